//! The host's devices at start-up: console, interrupt controller, firmware.

use super::{cpus, memory::mebibytes, tree};
use crate::{
    addr::{Pa, PaRange},
    board::{self, Board, firmware, gic::Gic, uart::UartKind},
    cpu::{regs, timer},
    dev::{
        Uart, console,
        gic::v3::{self, Distributor, Redistributor, Region},
        ns16550::{Ns16550, Width},
        pl011::Pl011,
        pl031,
        psci::{Conduit, Psci},
    },
    error::Refusal,
    isa::{affinity::Affinity, encoding::Encoding},
    mem::{frames::Frames, stage1},
    mmio::Mmio,
    refuse,
    sync::SpinLock,
    vm::host::{Host, Interrupts, KICK, NUDGE, PhysicalCpu},
};
use alloc::vec::Vec;

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
        UartKind::Ns16550 | UartKind::BcmAux => {
            let width = if uart.width == 1 {
                Width::Byte
            } else {
                Width::Word
            };
            Uart::Ns16550(Ns16550::new(registers, uart.shift, width))
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
    });
    // Nobody is left to tell of a failure.
    let _ = install(&uart);
}

/// Starts the interrupt controller, this CPU's interface to it, and the parts of all CPUs.
pub fn start_gic(board: &Board, cpus: &[Affinity]) -> Result<Vec<PhysicalCpu>, Refusal> {
    let Gic::V3 {
        distributor,
        redistributors,
        redistributor_stride,
        ..
    } = &board.gic
    else {
        return Err(refuse!(
            "the machine has a GICv2, and only GICv3 is supported yet: start QEMU with gic-version=3"
        ));
    };
    let mut distributor = Distributor::new(map(*distributor, "GIC distributor")?)?;
    distributor.init(this_cpu())?;
    let stride = redistributor_stride.map(|bytes| bytes as usize);
    let regions = redistributors
        .iter()
        .map(|&range| {
            let registers = map(range, "GIC redistributors")?;
            Ok(Region { registers, stride })
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    let interrupts = interrupts(board);
    let cpus = cpus
        .iter()
        .map(|&affinity| {
            Ok(PhysicalCpu {
                affinity,
                redistributor: SpinLock::new(redistributor(&regions, affinity, &interrupts)?),
            })
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    v3::init_cpu_interface()?;
    if let Some(spi) = interrupts.console.and_then(|intid| distributor.spi(intid)) {
        distributor.set_priority(spi, PRIORITY);
        distributor.route(spi, this_cpu());
        distributor.enable(spi);
    }
    Ok(cpus)
}

/// Finds a CPU's redistributor and lets through what EL2 takes.
fn redistributor(
    regions: &[Region],
    cpu: Affinity,
    interrupts: &Interrupts,
) -> Result<Redistributor, Refusal> {
    let mut redistributor = Redistributor::find(regions, cpu)?;
    redistributor.init()?;
    for intid in [
        KICK,
        NUDGE,
        interrupts.virtual_timer,
        interrupts.physical_timer,
        interrupts.hypervisor_timer,
        interrupts.maintenance,
    ] {
        redistributor.set_priority(intid, PRIORITY);
        redistributor.enable(intid);
    }
    Ok(redistributor)
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

/// Returns the time of day at count 0, in seconds since 1970; without a clock, the machine was
/// started in 1970.
pub fn time_at_count_0(board: &Board) -> Result<u64, Refusal> {
    let Some(clock) = board.rtc else {
        return Ok(0);
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

/// Returns a client of the firmware's power interface.
pub fn psci(board: &Board) -> Option<Psci> {
    let psci = board.psci.as_ref()?;
    Some(Psci::new(match psci.conduit {
        firmware::Conduit::Hvc => Conduit::Hvc,
        firmware::Conduit::Smc => Conduit::Smc,
    }))
}
