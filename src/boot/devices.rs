//! The host's devices at start-up: console, interrupt controller, firmware.

use super::{cpus, memory::mebibytes, tree};
use crate::{
    addr::{Pa, PaRange},
    board::{self, Board, firmware, gic::Gic, uart::UartKind},
    cpu::{local, regs, timer},
    dev::{
        Uart,
        bcm2835_pm::PowerManagement,
        console,
        gic::{
            Interface, v2,
            v3::{self, Distributor, Redistributor, Region},
        },
        ns16550::{self, Ns16550, Width},
        pl011::Pl011,
        pl031,
        power::Power,
        psci::{Conduit, Psci},
        smccc::Firmware,
    },
    error::Refusal,
    isa::{affinity::Affinity, encoding::Encoding},
    mem::{frames::Frames, stage1},
    mmio::Mmio,
    refuse,
    sync::{Rank, SpinLock},
    vm::host::{Host, HostGic, Interrupts, KICK, NUDGE, PhysicalCpu, PrivatePart},
};
use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicU8, Ordering};

fn map(registers: PaRange, what: &str) -> Result<Mmio, Refusal> {
    stage1::map_device(registers)
        .map_err(|error| refuse!("the {what} at {registers} can't be mapped: {error:?}"))
}

/// Starts the console on the UART that the device tree names. Without one, nothing is said.
pub fn start_console(board: &Board) -> Result<(), Refusal> {
    if let Some(uart) = &board.uart {
        install(uart)?;
    }
    Ok(())
}

fn install(uart: &board::uart::Uart) -> Result<(), Refusal> {
    let registers = map(uart.registers, "UART")?;
    let driver = match uart.kind {
        UartKind::Pl011 => {
            let mut port = Pl011::new(registers);
            port.enable();
            Uart::Pl011(port)
        }
        UartKind::Sbsa => Uart::Pl011(Pl011::new(registers)),
        UartKind::Ns16550 => {
            let width = if uart.width == 1 {
                Width::Byte
            } else {
                Width::Word
            };
            Uart::Ns16550(Ns16550::new(registers, uart.shift, width))
        }
        UartKind::BcmAux => {
            if let Some(enables) = uart.enables {
                ns16550::turn_on_mini_uart(&map(enables, "UART's switch")?);
            }
            let mut port = Ns16550::new(registers, uart.shift, Width::Word);
            port.enable_mini_uart();
            Uart::Ns16550(port)
        }
    };
    console::install(driver);
    crate::log::init(super::print);
    Ok(())
}

/// Where QEMU's `virt` has its PL011: the last resort of a refusal that nothing else can show.
const LAST_RESORT: PaRange = PaRange::between(Pa::new(0x900_0000), Pa::new(0x900_1000));

/// Starts a console for one last message when there is none yet: on the first PL011 that an
/// unusable tree still shows, else where QEMU's `virt` machine has one.
pub fn start_last_resort_console(tree: Pa) {
    if crate::log::is_on() {
        return;
    }
    let found = tree::bytes(tree)
        .ok()
        .and_then(|(bytes, _)| board::fdt::find_uart_leniently(bytes));
    let uart = found.unwrap_or(board::uart::Uart {
        kind: UartKind::Pl011,
        registers: LAST_RESORT,
        shift: 2,
        width: 4,
        interrupt: None,
        enables: None,
    });
    // Nobody is left to tell of a failure.
    let _ = install(&uart);
}

/// Starts the interrupt controller, this CPU's interface to it, and the parts of all CPUs.
pub fn start_gic(board: &Board, cpus: &[Affinity]) -> Result<HostGic, Refusal> {
    let interrupts = interrupts(board);
    match &board.gic {
        Gic::V3 {
            distributor,
            redistributors,
            redistributor_stride,
            ..
        } => {
            let registers = (*distributor, redistributors.as_slice());
            start_gicv3(registers, *redistributor_stride, cpus, &interrupts)
        }
        &Gic::V2 {
            distributor,
            cpu_interface,
            hypervisor_interface,
            virtual_cpu_interface,
            ..
        } => {
            let gic = v2::Gic::new(
                map(distributor, "GIC distributor")?,
                map(both_pages(cpu_interface)?, "GIC CPU interface")?,
                map(hypervisor_interface, "GIC hypervisor interface")?,
            )?;
            start_gicv2(gic, both_pages(virtual_cpu_interface)?, cpus, &interrupts)
        }
    }
}

/// Returns where in a GICv2's CPU interface its two pages lie one after the other.
fn both_pages(interface: PaRange) -> Result<PaRange, Refusal> {
    const BOTH: u64 = 0x2000;
    let offset = v2::pages_offset(interface.size());
    interface
        .start()
        .checked_add(offset)
        .and_then(|start| PaRange::new(start, BOTH))
        .filter(|&pages| interface.contains(pages))
        .ok_or_else(|| refuse!("a GIC CPU interface at {interface} is too small"))
}

fn start_gicv2(
    gic: v2::Gic,
    virtual_interface: PaRange,
    cpus: &[Affinity],
    interrupts: &Interrupts,
) -> Result<HostGic, Refusal> {
    if cpus.len() > MAX_CPUS_V2 {
        log::warn!("a GICv2 serves {MAX_CPUS_V2} CPUs: the others are not used");
    }
    let gic: &'static v2::Gic = Box::leak(Box::new(gic));
    gic.init();
    let own = start_gicv2_cpu(gic, interrupts)?;
    if let Some(spi) = interrupts.console.filter(|&intid| gic.has_spi(intid)) {
        gic.set_priority(spi, PRIORITY);
        gic.route(spi, own);
        gic.enable(spi);
    }
    let cpus = cpus.iter().take(MAX_CPUS_V2).enumerate();
    Ok(HostGic {
        interface: Interface::V2(gic),
        virtual_interface: Some(virtual_interface),
        cpus: cpus
            .map(|(n, &affinity)| {
                let target = if n == 0 { own.bits() } else { 0 };
                PhysicalCpu::new(affinity, PrivatePart::V2(AtomicU8::new(target)))
            })
            .collect(),
    })
}

/// How many CPUs a GICv2 serves.
const MAX_CPUS_V2: usize = 8;

/// Starts this CPU's part of a GICv2, and lets through what EL2 takes.
fn start_gicv2_cpu(gic: &v2::Gic, interrupts: &Interrupts) -> Result<v2::Target, Refusal> {
    let target = gic.init_cpu()?;
    for intid in private(interrupts) {
        gic.set_priority(intid, PRIORITY);
        gic.enable(intid);
    }
    Ok(target)
}

fn start_gicv3(
    (distributor, redistributors): (PaRange, &[PaRange]),
    stride: Option<u64>,
    cpus: &[Affinity],
    interrupts: &Interrupts,
) -> Result<HostGic, Refusal> {
    let mut distributor = Distributor::new(map(distributor, "GIC distributor")?)?;
    distributor.init(this_cpu())?;
    let stride = stride.map(|bytes| bytes as usize);
    let regions = redistributors
        .iter()
        .map(|&range| {
            let registers = map(range, "GIC redistributors")?;
            Ok(Region { registers, stride })
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    let cpus = cpus
        .iter()
        .map(|&affinity| {
            let redistributor = redistributor(&regions, affinity, interrupts)?;
            let part = PrivatePart::V3(SpinLock::new(Rank::Redistributor, redistributor));
            Ok(PhysicalCpu::new(affinity, part))
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    v3::init_cpu_interface()?;
    if let Some(spi) = interrupts.console.and_then(|intid| distributor.spi(intid)) {
        distributor.set_priority(spi, PRIORITY);
        distributor.route(spi, this_cpu());
        distributor.enable(spi);
    }
    Ok(HostGic {
        interface: Interface::V3,
        virtual_interface: None,
        cpus,
    })
}

/// Starts this CPU's interface to the interrupt controller; it is not the CPU that booted.
pub fn start_cpu_interface(host: &Host) -> Result<(), Refusal> {
    let gic = match host.gic {
        Interface::V3 => return v3::init_cpu_interface(),
        Interface::V2(gic) => gic,
    };
    let target = start_gicv2_cpu(gic, &host.interrupts)?;
    if let Some(cpu) = host.cpus.get(local::this().index)
        && let PrivatePart::V2(own) = &cpu.gic
    {
        own.store(target.bits(), Ordering::Release);
    }
    Ok(())
}

/// Finds a CPU's redistributor and lets through what EL2 takes.
fn redistributor(
    regions: &[Region],
    cpu: Affinity,
    interrupts: &Interrupts,
) -> Result<Redistributor, Refusal> {
    let mut redistributor = Redistributor::find(regions, cpu)?;
    redistributor.init()?;
    for intid in private(interrupts) {
        redistributor.set_priority(intid, PRIORITY);
        redistributor.enable(intid);
    }
    Ok(redistributor)
}

/// Returns the private interrupts that EL2 takes, on each CPU.
const fn private(interrupts: &Interrupts) -> [u32; 6] {
    [
        KICK,
        NUDGE,
        interrupts.virtual_timer,
        interrupts.physical_timer,
        interrupts.hypervisor_timer,
        interrupts.maintenance,
    ]
}

/// The one priority of all physical interrupts: EL2 takes none while it handles one.
const PRIORITY: u8 = 0x80;

const MPIDR_EL1: u32 = Encoding::new(3, 0, 0, 0, 5).iss();

/// Returns which CPU this is.
pub fn this_cpu() -> Affinity {
    Affinity::from_mpidr(regs::read::<MPIDR_EL1>())
}

/// Returns which physical interrupts EL2 takes.
pub fn interrupts(board: &Board) -> Interrupts {
    let (Gic::V2 { maintenance, .. } | Gic::V3 { maintenance, .. }) = board.gic;
    Interrupts {
        virtual_timer: board.timer.virtual_,
        physical_timer: board.timer.physical.unwrap_or(ARCHITECTED_PHYSICAL_TIMER),
        maintenance,
        hypervisor_timer: board.timer.hypervisor_physical,
        console: board.uart.as_ref().and_then(|uart| uart.interrupt),
    }
}

/// The PPI that Arm's Base System Architecture gives the EL1 physical timer.
const ARCHITECTED_PHYSICAL_TIMER: u32 = 30;

/// Returns the time of day at count 0, in seconds since 1970, by the clock or as the loader says;
/// without either, the machine was started in 1970.
pub fn time_at_count_0(board: &Board) -> Result<u64, Refusal> {
    let Some(clock) = board.rtc else {
        return Ok(board.chosen.time_at_count_0.unwrap_or(0));
    };
    let now = pl031::seconds(&map(clock, "clock")?);
    Ok(now.saturating_sub(timer::count() / timer::frequency()))
}

/// Says what was found.
pub fn report(board: &Board, host: &Host, frames: &Frames) {
    let online = cpus::online();
    log::info!(
        "{online} CPU{}, {} MiB of RAM, {} MiB for guests, counter at {} Hz, E2H={}",
        if online == 1 { "" } else { "s" },
        mebibytes(&board.ram),
        frames.free_bytes() >> 20,
        host.frequency,
        u8::from(host.mode.vhe),
    );
}

/// Returns the firmware, if it can be asked for more than PSCI.
pub fn firmware(board: &Board) -> Option<Firmware> {
    let psci = board.psci.as_ref()?;
    let version = psci.version >= firmware::Version::V1_0;
    version.then(|| Firmware::find(conduit(psci.conduit)))?
}

const fn conduit(conduit: firmware::Conduit) -> Conduit {
    match conduit {
        firmware::Conduit::Hvc => Conduit::Hvc,
        firmware::Conduit::Smc => Conduit::Smc,
    }
}

/// Returns a client of the firmware's power interface.
pub fn psci(board: &Board) -> Option<Psci> {
    let psci = board.psci.as_ref()?;
    Some(Psci::new(conduit(psci.conduit)))
}

/// Returns what turns the machine off, if anything does.
pub fn power(board: &Board) -> Result<Option<Power>, Refusal> {
    if let Some(psci) = psci(board) {
        return Ok(Some(Power::Firmware(psci)));
    }
    let block = board.power_management;
    block
        .map(|registers| {
            let registers = map(registers, "power management block")?;
            Ok(Power::Bcm2835(PowerManagement::new(registers)))
        })
        .transpose()
}
