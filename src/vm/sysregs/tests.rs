use super::*;
use crate::{
    cpu::fake::{self, Event},
    isa::sysreg::ALL,
};

const EVERYTHING: Features = Features::PAUTH.with(Features::RAS, true);

fn registers(vhe: bool, features: Features) -> SysRegs {
    fake::reset();
    SysRegs::new(HostMode { vhe, features })
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

/// What each class means, said once more and by itself.
fn lives_on_cpu(class: Class) -> bool {
    matches!(class, Class::Deferred | Class::Timer)
}

#[test]
fn load_writes_each_register_by_its_name_and_put_reads_back_the_deferred_ones() {
    for vhe in [false, true] {
        let mut file = registers(vhe, EVERYTHING);
        for (value, reg) in (100..).zip(ALL) {
            file.write(reg, value);
        }
        assert!(
            fake::with(|cpu| cpu.log.is_empty()),
            "nothing is loaded yet"
        );
        file.load();
        for (value, reg) in (100..).zip(ALL) {
            let there = fake::with(|cpu| cpu.regs.get(&encoding(reg, vhe)).copied());
            let expected = (reg.class() != Class::MemoryOnly).then_some(value);
            assert_eq!(there, expected, "{reg:?} vhe={vhe}");
        }
        for reg in ALL {
            fake::with(|cpu| cpu.regs.insert(encoding(reg, vhe), 7));
        }
        file.put();
        for (value, reg) in (100..).zip(ALL) {
            let expected = if lives_on_cpu(reg.class()) { 7 } else { value };
            assert_eq!(file.read(reg), expected, "{reg:?} vhe={vhe}");
            if reg.class() == Class::Timer {
                assert_eq!(
                    fake::with(|cpu| cpu.regs[&encoding(reg, vhe)]),
                    0,
                    "{reg:?} is silent"
                );
            }
        }
    }
}

#[test]
fn accesses_go_where_the_value_is() {
    for vhe in [false, true] {
        let mut file = registers(vhe, EVERYTHING);
        file.load();
        for reg in ALL {
            fake::with(|cpu| cpu.log.clear());
            file.write(reg, 41);
            let wrote = fake::with(|cpu| cpu.log.contains(&Event::Write(encoding(reg, vhe), 41)));
            assert_eq!(wrote, reg.class() != Class::MemoryOnly, "{reg:?}");
            fake::with(|cpu| cpu.regs.insert(encoding(reg, vhe), 42));
            let expected = if lives_on_cpu(reg.class()) { 42 } else { 41 };
            assert_eq!(file.read(reg), expected, "{reg:?}");
        }
    }
}

#[test]
fn a_register_of_an_absent_feature_is_never_touched() {
    let mut file = registers(false, Features::default());
    file.load();
    file.put();
    let touched = fake::with(|cpu| cpu.log.clone());
    for event in touched {
        let (Event::Read(iss) | Event::Write(iss, _)) = event else {
            panic!("{event:?} is no register access");
        };
        for absent in [
            SysReg::APIAKEYLO_EL1,
            SysReg::APGAKEYHI_EL1,
            SysReg::VDISR_EL2,
        ] {
            assert_ne!(iss, encoding(absent, false), "{absent:?}");
        }
    }
}

#[test]
fn pc_and_pstate_follow_the_vcpu() {
    let mut file = registers(false, EVERYTHING);
    file.set_pc(0x4008_0000);
    file.load();
    assert_eq!(fake::with(|cpu| cpu.regs[&GUEST_PC]), 0x4008_0000);
    assert_eq!(file.pstate(), PSTATE_RESET);
    file.set_pc(0x4008_0004);
    fake::with(|cpu| cpu.regs.insert(GUEST_PSTATE, 0x5));
    file.put();
    fake::with(|cpu| cpu.regs.clear());
    assert_eq!((file.pc(), file.pstate()), (0x4008_0004, 0x5));
}

#[test]
fn only_an_ordinary_instruction_is_skipped_by_an_addition() {
    let mut file = registers(false, EVERYTHING);
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

/// 100,000 steps of load, put, read and write of two vCPUs on one CPU against plain arrays.
#[test]
fn random_use_never_meets_a_stale_value() {
    for vhe in [false, true] {
        let mode = HostMode {
            vhe,
            features: EVERYTHING,
        };
        fake::reset();
        let mut files = [SysRegs::new(mode), SysRegs::new(mode)];
        let mut model = [ALL.map(|reg| reg.info().reset); 2];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for step in 0..100_000_u64 {
            let who = random(2) as usize;
            let reg = ALL[random(COUNT as u64) as usize];
            match random(4) {
                0 if files[who].sysregs_loaded_on_cpu() => files[who].put(),
                0 if !files[1 - who].sysregs_loaded_on_cpu() => files[who].load(),
                1 => {
                    files[who].write(reg, step);
                    model[who][reg as usize] = step;
                }
                // The guest itself writes a register.
                2 if files[who].sysregs_loaded_on_cpu() && lives_on_cpu(reg.class()) => {
                    fake::with(|cpu| cpu.regs.insert(encoding(reg, vhe), step));
                    model[who][reg as usize] = step;
                }
                _ => assert_eq!(
                    files[who].read(reg),
                    model[who][reg as usize],
                    "{reg:?} at {step}"
                ),
            }
            fake::with(|cpu| cpu.log.clear());
        }
    }
}
