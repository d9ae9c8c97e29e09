//! A machine with one VM on it, and the ways a test makes its guest exit.

#![expect(unsafe_code, reason = "a script is given a pointer to the vCPU")]

use crate::{
    addr::{Ipa, Pa, PaRange},
    cpu::{
        fake::{self, Event, Fake},
        switch::Next,
    },
    dev::{
        console,
        entropy::Entropy,
        gic::{
            Interface,
            v3::{Redistributor, Region},
        },
        uart::{FakePort, Uart},
    },
    isa::{
        affinity::Affinity,
        descriptor::stage2::Support,
        encoding::Encoding,
        esr::{Access, class},
        features::IdReg,
        gic::{gicr, icc, ich},
        sysreg::{Class, SysReg, TABLE},
    },
    mem::{stage2::Stage2, table::array::ArrayTables},
    mmio::{Bench, Mmio},
    sync::{Rank, SpinLock},
    vm::{
        Parts, Vm, exits,
        fdt::VIRT,
        frequent,
        host::{Host, HostGic, Interrupts, PhysicalCpu, PrivatePart},
        input,
        memory::GuestMemory,
        pvtime::{self, StolenTime},
        trng::Generator,
        vcpu::Vcpu,
    },
};
use alloc::{boxed::Box, string::String, sync::Arc, vec, vec::Vec};
use core::cell::RefCell;

pub const ELR_EL2: u32 = Encoding::new(3, 4, 4, 0, 1).iss();
pub const SPSR_EL2: u32 = Encoding::new(3, 4, 4, 0, 0).iss();
pub const FAR_EL2: u32 = Encoding::new(3, 4, 6, 0, 0).iss();
pub const HPFAR_EL2: u32 = Encoding::new(3, 4, 6, 0, 4).iss();
pub const CPTR_EL2: u32 = Encoding::new(3, 4, 1, 1, 2).iss();
pub const HCR_EL2: u32 = Encoding::new(3, 4, 1, 1, 0).iss();
const CNTFRQ_EL0: u32 = Encoding::new(3, 3, 14, 0, 0).iss();
const CNTPCT_EL0: u32 = Encoding::new(3, 3, 14, 0, 1).iss();

/// ESR_ELx.IL.
pub const IL: u64 = 1 << 25;
/// How fast the machine's counter counts.
pub const FREQUENCY: u64 = 1_000_000;
/// The size of the guest's RAM.
pub const RAM: u64 = 2 << 20;
/// What the guest's PC is when it exits.
pub const PC: u64 = 0xffff_8000_0001_2340;
/// The machine's interrupts; the timers' are not the guest's 27 and 30.
pub const INTERRUPTS: Interrupts = Interrupts {
    virtual_timer: 20,
    physical_timer: 22,
    maintenance: 25,
    hypervisor_timer: 26,
    console: Some(40),
};
/// How many list registers the machine has.
pub const LISTS: u8 = 4;

/// ID registers of a CPU that has much that a guest is not shown.
const IDS: [(IdReg, u64); 7] = [
    // SVE, RAS, a GIC by system registers, EL3, and AArch32 at EL0.
    (IdReg::ID_AA64PFR0, 0x1_1111_1112),
    // MTE, SSBS, BTI.
    (IdReg::ID_AA64PFR1, 0x221),
    // Trace filters, a profiler, 4 watchpoints, 6 breakpoints, a PMU.
    (IdReg::ID_AA64DFR0, 0x101_1030_5606),
    // A pointer authentication algorithm.
    (IdReg::ID_AA64ISAR1, 0x10),
    // 44 bits of PA, 16 of ASID.
    (IdReg::ID_AA64MMFR0, 0x24),
    // PAN, LORegions, VHE.
    (IdReg::ID_AA64MMFR1, 0x11_0100),
    (IdReg::ID_AA64MMFR2, 0x1_0000),
];

/// What of the machine a test chooses.
#[derive(Clone, Copy)]
pub struct Build {
    /// EL2 has HCR_EL2.E2H set.
    pub vhe: bool,
    /// The CPUs have nothing optional.
    pub plain: bool,
    /// The CPUs have FEAT_FGT.
    pub fgt: bool,
    /// vCPUs of the VM.
    pub cpus: u8,
    /// The size of the VM's RAM, which starts at the machine's.
    pub ram: u64,
    /// The VM's EL1 is AArch32, which the CPUs then have.
    pub aarch32: bool,
}

/// One CPU, without E2H.
pub const USUAL: Build = Build {
    vhe: false,
    plain: false,
    fgt: false,
    cpus: 1,
    ram: RAM,
    aarch32: false,
};

/// A VM with its first vCPU loaded.
pub struct Guest {
    pub vm: Arc<Vm>,
    pub vcpu: Box<Vcpu>,
    /// The CPU's redistributor.
    pub redistributor: Mmio,
    /// Last, as the redistributor's driver uses it.
    _memory: Bench,
}

impl Guest {
    pub fn new() -> Self {
        Self::build(USUAL)
    }

    pub fn build(build: Build) -> Self {
        fake::reset();
        fake::with(|cpu| set_up(cpu, build));
        console::install(Uart::Fake(FakePort));
        console::enable_input();
        listen();
        let mut memory = Bench::new(gicr::SIZE);
        let part = PrivatePart::V3(SpinLock::new(
            Rank::Redistributor,
            redistributor(&mut memory),
        ));
        let cpu = PhysicalCpu::new(Affinity::default(), part);
        let gic = HostGic {
            interface: Interface::V3,
            virtual_interface: None,
            cpus: vec![cpu],
        };
        let host = Arc::new(Host::probe(INTERRUPTS, gic, None, |_| Entropy::Absent));
        let vm = vm(&host, build);
        input::give_to(&vm, true);
        let mut vcpu = Vcpu::new(&vm, 0);
        vcpu.load();
        let mut guest = Self {
            redistributor: memory.window(),
            vm,
            vcpu,
            _memory: memory,
        };
        guest.set_pc(PC);
        guest
    }

    /// Makes another vCPU, not loaded.
    pub fn another(&self, index: usize) -> Box<Vcpu> {
        Vcpu::new(&self.vm, index)
    }

    pub fn set_pc(&mut self, pc: u64) {
        self.vcpu.sysregs_mut().set_pc(pc);
    }

    pub fn pc(&self) -> u64 {
        self.vcpu.sysregs().pc()
    }

    pub fn set_pstate(&mut self, pstate: u64) {
        self.vcpu.sysregs_mut().set_pstate(pstate);
    }

    pub fn pstate(&self) -> u64 {
        self.vcpu.sysregs().pstate()
    }

    pub fn set_x(&mut self, n: u8, value: u64) {
        self.vcpu.frame.write(n, value);
    }

    pub fn set_reg(&mut self, reg: SysReg, value: u64) {
        self.vcpu.write_sys_reg(reg, value);
    }

    pub fn reg(&self, reg: SysReg) -> u64 {
        self.vcpu.read_sys_reg(reg)
    }

    /// Exits with a syndrome that is no hypercall's.
    pub fn exit(&mut self, esr: u64) -> Next {
        exits::guest_synchronous(&mut self.vcpu, esr)
    }

    /// Exits by HVC.
    pub fn hvc(&mut self, immediate: u16) -> Next {
        let esr = class::HVC << 26 | IL | u64::from(immediate);
        exits::guest_hypercall(&mut self.vcpu, esr)
    }

    /// Exits by SMC.
    pub fn smc(&mut self, immediate: u16) -> Next {
        self.exit(class::SMC << 26 | IL | u64::from(immediate))
    }

    /// Exits by an interrupt, whose acknowledge gives this.
    pub fn interrupt(&mut self, intid: u32) -> Next {
        fake::with(|cpu| cpu.regs.insert(icc::IAR1_EL1, intid.into()));
        exits::guest_interrupt(&mut self.vcpu)
    }

    /// Exits by a trapped MRS to x`rt`.
    pub fn mrs(&mut self, encoding: Encoding, rt: u8) -> Next {
        self.exit(system_esr(encoding, rt, true))
    }

    /// Exits by a trapped MSR from x`rt`.
    pub fn msr(&mut self, encoding: Encoding, rt: u8) -> Next {
        self.exit(system_esr(encoding, rt, false))
    }

    /// Exits by a load or store to an IPA that is not mapped.
    pub fn access(&mut self, ipa: u64, access: Access) -> Next {
        set_fault(0xffff_0000_1234_5000 | ipa & 0xfff, ipa);
        self.exit(abort_esr(access))
    }

    /// Stores to a device, as a driver does.
    pub fn store(&mut self, ipa: u64, size: u8, value: u64) {
        self.set_x(9, value);
        let next = self.access(ipa, store(size, 9));
        assert_eq!(next, Next::resume(&mut self.vcpu.frame));
    }

    /// Loads from a device, as a driver does.
    pub fn load(&mut self, ipa: u64, size: u8) -> u64 {
        let next = self.access(ipa, load(size, 9));
        assert_eq!(next, Next::resume(&mut self.vcpu.frame));
        self.vcpu.x(9)
    }
}

/// Makes this thread another CPU of the machine.
pub fn another_cpu() {
    fake::reset();
    fake::with(|cpu| set_up(cpu, USUAL));
}

/// Makes a vCPU exit with a syndrome, as the vectors do.
pub fn exit(vcpu: &mut Vcpu, esr: u64) -> Next {
    match esr >> 26 {
        class::SYSTEM => frequent::guest_system_register(vcpu, esr),
        _ => exits::guest_synchronous(vcpu, esr),
    }
}

/// Makes a vCPU write a system register that is trapped.
pub fn msr(vcpu: &mut Vcpu, encoding: Encoding, value: u64) -> Next {
    const RT: u8 = 3;
    vcpu.frame.write(RT, value);
    exit(vcpu, system_esr(encoding, RT, false))
}

/// Returns the syndrome of a trapped MRS or MSR.
pub fn system_esr(encoding: Encoding, rt: u8, read: bool) -> u64 {
    let iss = u64::from(encoding.iss()) | u64::from(rt) << 5 | u64::from(read);
    class::SYSTEM << 26 | IL | iss
}

/// Returns the syndrome of a data abort at level 3 that tells the access.
pub fn abort_esr(access: Access) -> u64 {
    class::DATA_ABORT << 26
        | IL
        | 1 << 24
        | u64::from(access.size.trailing_zeros()) << 22
        | u64::from(access.sign_extend) << 21
        | u64::from(access.rt) << 16
        | u64::from(access.wide) << 15
        | u64::from(access.write) << 6
        | 0b111
}

pub const fn store(size: u8, rt: u8) -> Access {
    Access {
        size,
        rt,
        write: true,
        sign_extend: false,
        wide: size == 8,
    }
}

pub const fn load(size: u8, rt: u8) -> Access {
    Access {
        write: false,
        ..store(size, rt)
    }
}

/// Sets what FAR_EL2 and HPFAR_EL2 say of the next abort.
pub fn set_fault(va: u64, ipa: u64) {
    fake::with(|cpu| {
        cpu.regs.insert(FAR_EL2, va);
        cpu.regs.insert(HPFAR_EL2, ipa >> 12 << 4);
    });
}

/// Adds an exit to what the guest will do in [`Vcpu::run`].
pub fn script(exit: impl FnOnce(&mut Vcpu) -> Next + 'static) {
    let exit = Box::new(move |frame: *mut crate::cpu::switch::Frame| {
        // SAFETY: `run` makes the pointer from the whole of its vCPU, whose first field the frame
        // is, and does not touch the vCPU until the script is over.
        exit(unsafe { &mut *frame.cast::<Vcpu>() })
    });
    fake::with(|cpu| cpu.script.push_back(exit));
}

/// Returns what was done to the machine since the last call.
pub fn take_log() -> Vec<Event> {
    fake::with(|cpu| core::mem::take(&mut cpu.log))
}

/// Reads a register of the machine behind everybody's back.
pub fn peek(iss: u32) -> u64 {
    fake::with(|cpu| cpu.regs.get(&iss).copied().unwrap_or(0))
}

/// Changes a register of the machine behind everybody's back.
pub fn poke(iss: u32, value: u64) {
    fake::with(|cpu| cpu.regs.insert(iss, value));
}

/// Sets the physical count.
pub fn set_count(count: u64) {
    poke(CNTPCT_EL0, count);
}

/// Returns whether a register is one of a guest's that stays on the CPU between exits.
pub fn is_deferred(iss: u32) -> bool {
    TABLE
        .iter()
        .filter(|row| matches!(row.class, Class::Deferred | Class::Timer))
        .any(|row| {
            row.encoding.iss() == iss || row.aliased && row.encoding.vhe_alias().iss() == iss
        })
}

/// Returns the list registers' values.
pub fn lists() -> [u64; LISTS as usize] {
    core::array::from_fn(|n| peek(ich::lr_el2(n as u8)))
}

std::thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Returns what was logged since the last call.
pub fn take_lines() -> Vec<String> {
    LINES.take().concat().lines().map(String::from).collect()
}

fn listen() {
    crate::log::init(|text| LINES.with_borrow_mut(|lines| lines.push(text.into())));
    LINES.take();
}

fn set_up(cpu: &mut Fake, build: Build) {
    for (reg, value) in IDS {
        // Debug is never optional.
        if !build.plain || reg == IdReg::ID_AA64DFR0 {
            cpu.regs.insert(reg.encoding().iss(), value);
        }
    }
    if build.aarch32 {
        let iss = IdReg::ID_AA64PFR0.encoding().iss();
        let pfr0 = cpu.regs.get(&iss).copied().unwrap_or(0);
        cpu.regs.insert(iss, pfr0 & !0xff | 0x22);
    }
    if build.fgt {
        let mmfr0 = IdReg::ID_AA64MMFR0.encoding().iss();
        *cpu.regs.entry(mmfr0).or_default() |= 1 << 56;
    }
    // Five bits of priority, five of preemption.
    let vtr = 4 << 29 | 4 << 26 | u64::from(LISTS - 1);
    cpu.regs.insert(HCR_EL2, u64::from(build.vhe) << 34);
    cpu.regs.insert(ich::VTR_EL2, vtr);
    cpu.regs.insert(CNTFRQ_EL0, FREQUENCY);
    cpu.computed.insert(ich::ELRSR_EL2, empty_lists);
    cpu.ram = vec![0; (build.ram + RAM) as usize];
}

/// What ICH_ELRSR_EL2 says: a list register is empty that holds no interrupt and has no ended one
/// to tell of.
fn empty_lists(cpu: &Fake) -> u64 {
    (0..LISTS).fold(0, |empty, n| {
        let value = cpu.regs.get(&ich::lr_el2(n)).copied().unwrap_or(0);
        let tells = value >> 61 & 1 == 0 && value >> 41 & 1 != 0;
        empty | u64::from(value >> 62 == 0 && !tells) << n
    })
}

fn redistributor(memory: &mut Bench) -> Redistributor {
    let registers = memory.window();
    registers.write32(gicr::PIDR2, 3 << 4);
    let region = Region {
        registers,
        stride: None,
    };
    Redistributor::find(&[region], Affinity::default()).unwrap()
}

fn vm(host: &Arc<Host>, build: Build) -> Arc<Vm> {
    let Build {
        cpus, ram, aarch32, ..
    } = build;
    let last = Ipa::new(VIRT.ram.as_u64() + ram - 1);
    let tables = ArrayTables::new(8);
    let stage2 = Stage2::new(tables, last, 1, Support::from_id(5, 0x20)).unwrap();
    let block = PaRange::new(Pa::new(0), ram).unwrap();
    let stolen_time = PaRange::new(Pa::new(ram), pvtime::size(cpus.into())).unwrap();
    let affinities: Vec<_> = (0..cpus).map(|n| Affinity::new(0, 0, 0, n)).collect();
    Vm::new(Parts {
        name: "test",
        host: host.clone(),
        map: &VIRT,
        memory: GuestMemory::new(VIRT.ram, vec![block]),
        stage2: &stage2,
        affinities: &affinities,
        count: 0,
        time: 0,
        aarch32,
        generator: Generator::new(None, false),
        stolen_time: StolenTime::new(cpus.into(), stolen_time, host.frequency).unwrap(),
        weight: crate::sched::DEFAULT_WEIGHT,
    })
    .unwrap()
}

/// Returns the next of a sequence of random numbers (xorshift).
pub fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
}
