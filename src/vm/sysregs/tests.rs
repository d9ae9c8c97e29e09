use super::*;
use crate::{
    cpu::fake::{self, Event},
    isa::sysreg::{ALL, Class},
};
use alloc::{collections::BTreeMap, vec::Vec};

/// A guest with a virtual EL2 and an AArch32 EL1, on a CPU that has everything.
fn registers(vhe: bool, shown: Present) -> SysRegs {
    fake::reset();
    SysRegs::new(mode(vhe), shown)
}

fn mode(vhe: bool) -> HostMode {
    HostMode {
        vhe,
        features: Present::ALL.features,
    }
}

/// By which encoding the CPU is asked for a register.
fn encoding(reg: SysReg, vhe: bool) -> u32 {
    let info = reg.info();
    if vhe && info.aliased {
        info.encoding.vhe_alias().iss()
    } else {
        info.encoding.iss()
    }
}

/// What each class means, said once more and by itself: which loads put a register on the CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Travels {
    WithTheVcpu,
    WithFp,
    WithDebug,
    Never,
}

fn travels(class: Class) -> Travels {
    match class {
        Class::Deferred | Class::Deferred32 | Class::Timer | Class::DebugControl => {
            Travels::WithTheVcpu
        }
        Class::LazyFp => Travels::WithFp,
        Class::LazyDebug | Class::Breakpoint | Class::Watchpoint => Travels::WithDebug,
        Class::Immediate | Class::LoadOnly | Class::MemoryOnly | Class::View => Travels::Never,
    }
}

/// Every row that has a value of its own, with a value to tell it by.
fn rows() -> impl Iterator<Item = (u64, SysReg)> {
    (100..)
        .zip(ALL)
        .filter(|(_, reg)| reg.class() != Class::View)
}

fn load_all(file: &mut SysRegs) {
    file.load();
    file.load_fp();
    file.load_debug();
}

fn put_all(file: &mut SysRegs) {
    file.put_fp();
    file.put_debug();
    file.put();
}

#[test]
fn load_writes_each_register_by_its_name_and_put_reads_back_the_deferred_ones() {
    for vhe in [false, true] {
        let mut file = registers(vhe, Present::ALL);
        for (value, reg) in rows() {
            file.write(reg, value);
        }
        assert!(
            fake::with(|cpu| cpu.log.is_empty()),
            "nothing is loaded yet"
        );
        load_all(&mut file);
        for (value, reg) in rows() {
            let there = fake::with(|cpu| cpu.regs.get(&encoding(reg, vhe)).copied());
            let comes = travels(reg.class()) != Travels::Never || reg.class() == Class::LoadOnly;
            if comes {
                assert_eq!(there, Some(value), "{reg:?} vhe={vhe}");
            } else {
                assert_ne!(there, Some(value), "{reg:?} vhe={vhe}");
            }
        }
        for (_, reg) in rows().filter(|(_, reg)| reg.class().reaches_cpu()) {
            fake::with(|cpu| cpu.regs.insert(encoding(reg, vhe), 7));
        }
        fake::with(|cpu| cpu.log.clear());
        put_all(&mut file);
        for (value, reg) in rows() {
            let deferred = travels(reg.class()) != Travels::Never;
            let expected = if deferred { 7 } else { value };
            assert_eq!(file.read(reg), expected, "{reg:?} vhe={vhe}");
            let read = Event::Read(encoding(reg, vhe));
            if reg.class() == Class::LoadOnly {
                let read = fake::with(|cpu| cpu.log.contains(&read));
                assert!(!read, "{reg:?} is saved");
            }
            if reg.class() == Class::Timer {
                let left = fake::with(|cpu| cpu.regs[&encoding(reg, vhe)]);
                assert_eq!(left, 0, "{reg:?} is silent");
            }
        }
        assert_eq!(fake::with(|cpu| cpu.regs[&FPEXC32_EL2]), FPEXC_EN);
    }
}

const FPEXC32_EL2: u32 = Encoding::new(3, 4, 5, 3, 0).iss();

#[test]
fn accesses_go_where_the_value_is() {
    for vhe in [false, true] {
        let mut file = registers(vhe, Present::ALL);
        load_all(&mut file);
        for (_, reg) in rows() {
            fake::with(|cpu| cpu.log.clear());
            file.write(reg, 41);
            let wrote = fake::with(|cpu| cpu.log.contains(&Event::Write(encoding(reg, vhe), 41)));
            assert_eq!(wrote, reg.class().reaches_cpu(), "{reg:?}");
            fake::with(|cpu| cpu.regs.insert(encoding(reg, vhe), 42));
            let lives_there = travels(reg.class()) != Travels::Never;
            assert_eq!(file.read(reg), if lives_there { 42 } else { 41 }, "{reg:?}");
        }
    }
}

#[test]
fn groups_come_and_go_by_themselves() {
    let mut file = registers(false, Present::ALL);
    file.load();
    fake::with(|cpu| cpu.log.clear());
    for reg in [
        SysReg::DBGBVR3_EL1,
        SysReg::MDCCINT_EL1,
        SysReg::FPEXC32_EL2,
    ] {
        file.write(reg, 5);
        assert_eq!(file.read(reg), 5);
    }
    assert!(fake::with(|cpu| cpu.log.is_empty()), "still in memory");
    file.load_debug();
    let there = fake::with(|cpu| cpu.regs[&encoding(SysReg::DBGBVR3_EL1, false)]);
    assert_eq!(there, 5);
    assert!(!fake::with(|cpu| cpu.regs.contains_key(&FPEXC32_EL2)));
    file.put_debug();
    file.put();
}

#[test]
fn a_register_of_an_absent_feature_or_number_is_never_touched() {
    let shown = Present {
        features: Features::NONE,
        breakpoints: 6,
        watchpoints: 4,
    };
    // Both ways: the guest was not shown it, or the CPU does not have it.
    for (machine, shown) in [
        (Features::ALL, shown),
        (
            Features::NONE,
            Present {
                breakpoints: 6,
                watchpoints: 4,
                ..Present::ALL
            },
        ),
    ] {
        fake::reset();
        let mode = HostMode {
            vhe: false,
            features: machine,
        };
        let mut file = SysRegs::new(mode, shown);
        let absent: Vec<_> = ALL
            .into_iter()
            .filter(|reg| !file.state().present.has(*reg))
            .collect();
        assert!(absent.len() > 100);
        for reg in [
            SysReg::APIAKEYLO_EL1,
            SysReg::DACR32_EL2,
            SysReg::FPEXC32_EL2,
            SysReg::TCR2_EL1,
            SysReg::DBGBCR6_EL1,
            SysReg::HCR_EL2,
        ] {
            assert!(absent.contains(&reg), "{reg:?}");
        }
        // What nothing can hide is switched all the same.
        let ras = machine.has(Features::RAS);
        assert_eq!(!absent.contains(&SysReg::VDISR_EL2), ras);
        load_all(&mut file);
        for &reg in &absent {
            file.write(reg, 9);
            assert_eq!(file.read(reg), 0, "{reg:?}");
        }
        put_all(&mut file);
        let touched: Vec<_> = fake::with(|cpu| cpu.log.clone())
            .into_iter()
            .map(|event| match event {
                Event::Read(iss) | Event::Write(iss, _) => iss,
                other => panic!("{other:?} is no register access"),
            })
            .collect();
        for reg in absent {
            // EL2's own names are the hypervisor's control words too.
            let controls = ALL.into_iter().filter(|it| it.class() == Class::LoadOnly);
            let shared = controls
                .clone()
                .any(|it| it.info().encoding == reg.info().encoding);
            let of_guest = [GUEST_PC, GUEST_PSTATE].contains(&encoding(reg, false));
            assert!(
                shared || of_guest || !touched.contains(&encoding(reg, false)),
                "{reg:?}"
            );
        }
    }
}

#[test]
fn a_guest_without_aarch32_never_touches_its_registers() {
    for (vhe, aarch32) in [(false, false), (true, false), (false, true), (true, true)] {
        let features = Features::NONE.with(Features::AARCH32_EL1, aarch32);
        let mut file = registers(
            vhe,
            Present {
                features,
                ..Present::ALL
            },
        );
        file.load();
        assert_eq!(file.state().aarch32, aarch32);
        file.put();
        let dacr = encoding(SysReg::DACR32_EL2, vhe);
        let events = [Event::Write(dacr, 0), Event::Read(dacr)];
        let seen = fake::with(|cpu| events.map(|event| cpu.log.contains(&event)));
        assert_eq!(seen, [aarch32; 2], "vhe={vhe}");
        assert!(!file.state().aarch32);
    }
}

/// With E2H set, a name of EL1 that has an alias reaches EL2's own register: never what is meant.
#[test]
fn with_e2h_el2s_own_registers_stay_alone() {
    let mut file = registers(true, Present::ALL);
    load_all(&mut file);
    for (_, reg) in rows() {
        file.write(reg, 1);
        file.read(reg);
    }
    put_all(&mut file);
    let log = fake::with(|cpu| cpu.log.clone());
    for reg in ALL.into_iter().filter(|reg| reg.info().aliased) {
        let own = reg.info().encoding.iss();
        let touched = log
            .iter()
            .any(|event| matches!(event, Event::Read(iss) | Event::Write(iss, _) if *iss == own));
        assert!(!touched, "{reg:?}");
    }
}

#[test]
fn a_virtual_system_error_that_was_taken_is_not_pending_any_more() {
    for taken in [true, false] {
        let mut file = registers(false, Present::ALL);
        file.write(SysReg::RUN_HCR_EL2, hcr::VM | hcr::VSE);
        file.load();
        let run_hcr = encoding(SysReg::RUN_HCR_EL2, false);
        let left = if taken { hcr::VM } else { hcr::VM | hcr::VSE };
        fake::with(|cpu| cpu.regs.insert(run_hcr, left));
        file.put();
        assert_eq!(file.read(SysReg::RUN_HCR_EL2), left);
    }
}

#[test]
fn pc_and_pstate_follow_the_vcpu() {
    let mut file = registers(false, Present::ALL);
    assert_eq!(file.pstate(), PSTATE_RESET_32);
    file.set_pc(0x4008_0000);
    file.load();
    assert_eq!(fake::with(|cpu| cpu.regs[&GUEST_PC]), 0x4008_0000);
    assert_eq!(file.pstate(), PSTATE_RESET_32);
    file.set_pc(0x4008_0004);
    fake::with(|cpu| cpu.regs.insert(GUEST_PSTATE, 0x5));
    file.put();
    fake::with(|cpu| cpu.regs.clear());
    assert_eq!((file.pc(), file.pstate()), (0x4008_0004, 0x5));
}

#[test]
fn only_an_ordinary_instruction_is_skipped_by_an_addition() {
    let mut file = registers(false, Present::ALL);
    file.load();
    for (pstate, ordinary) in [
        (0x3c5, true),
        (0x6000_0000, true),
        (0x3c5 | 1 << 21, false),
        (0x3c5 | 1 << 10, false),
        (0x3c5 | 2 << 10, false),
        (0x1d3, false),
    ] {
        file.set_pc(0x1000);
        file.set_pstate(pstate);
        assert_eq!(file.skip_ordinary(), ordinary, "{pstate:#x}");
        assert_eq!(file.pc(), if ordinary { 0x1004 } else { 0x1000 });
        assert_eq!(file.pstate(), pstate);
    }
}

fn random() -> impl FnMut(usize) -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}

/// Two CPUs of which the fake machine is the one that this thread is on.
#[derive(Default)]
struct Cpus {
    here: usize,
    away: BTreeMap<u32, u64>,
}

impl Cpus {
    fn go_to(&mut self, cpu: usize) {
        if cpu != self.here {
            fake::with(|machine| core::mem::swap(&mut machine.regs, &mut self.away));
            self.here = cpu;
        }
    }
}

/// 100,000 steps of load, put, read, write and moves to another CPU, of three vCPUs on two CPUs
/// against plain arrays.
#[test]
fn random_use_never_meets_a_stale_value() {
    for vhe in [false, true] {
        fake::reset();
        let mut random = random();
        let mut cpus = Cpus::default();
        let rows: Vec<_> = rows().map(|(_, reg)| reg).collect();
        let mut files = [(); 3].map(|()| SysRegs::new(mode(vhe), Present::ALL));
        let mut model = [ALL.map(|reg| reg.reset(true)); 3];
        let mut resident: [Option<usize>; 2] = [None; 2];
        for step in 0..100_000_u64 {
            // Never with HCR_EL2.VSE, which the CPU may change in a control word.
            let value = step & !hcr::VSE;
            let cpu = random(2);
            cpus.go_to(cpu);
            let reg = rows[random(rows.len())];
            let action = random(8);
            let Some(who) = resident[cpu] else {
                // Nobody is loaded here: somebody who is loaded nowhere comes, or is looked at.
                let who = random(3);
                if resident.contains(&Some(who)) {
                    continue;
                }
                match action {
                    0..=3 => {
                        files[who].load();
                        resident[cpu] = Some(who);
                    }
                    4 | 5 => {
                        files[who].write(reg, value);
                        model[who][reg as usize] = value;
                    }
                    _ => assert_eq!(files[who].read(reg), model[who][reg as usize], "{reg:?}"),
                }
                continue;
            };
            let file = &mut files[who];
            let state = *file.state();
            match action {
                0 => {
                    if state.fp {
                        file.put_fp();
                    }
                    if state.debug {
                        file.put_debug();
                    }
                    file.put();
                    resident[cpu] = None;
                }
                1 if !state.fp => file.load_fp(),
                2 if state.debug => file.put_debug(),
                2 => file.load_debug(),
                3 | 4 => {
                    file.write(reg, value);
                    model[who][reg as usize] = value;
                }
                5 if locate(reg, &state) == Location::Cpu => {
                    // The guest itself writes a register.
                    fake::with(|cpu| cpu.regs.insert(encoding(reg, vhe), step));
                    model[who][reg as usize] = step;
                }
                _ => {
                    let value = file.read(reg);
                    assert_eq!(value, model[who][reg as usize], "{reg:?} at {step}");
                }
            }
            fake::with(|cpu| cpu.log.clear());
        }
    }
}
