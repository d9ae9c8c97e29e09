//! Who has the debug registers: how many are moved and when, and that nobody meets another's.

use super::fixture::*;
use crate::{
    addr::PAGE_SIZE,
    cpu::fake::Event,
    isa::{
        encoding::Encoding,
        esr::class,
        sysreg::{ALL, Class, SysReg},
    },
    vm::{
        debug::{
            self, Owner,
            session::{Kind, Plan, Watch},
        },
        exits,
        vcpu::Vcpu,
    },
};
use alloc::{boxed::Box, vec, vec::Vec};

const OSLAR: Encoding = Encoding::new(2, 0, 1, 0, 4);
const CLAIMSET: Encoding = Encoding::new(2, 0, 7, 8, 6);
const CLAIMCLR: Encoding = Encoding::new(2, 0, 7, 9, 6);
const MDCR_EL2: u32 = Encoding::new(3, 4, 1, 1, 1).iss();
const OSDTRTX_EL1: u32 = Encoding::new(2, 0, 0, 3, 2).iss();

const TDE: u64 = 1 << 8;
const TDA: u64 = 1 << 9;
const TDOSA: u64 = 1 << 10;
const SS: u64 = 1 << 0;
const KDE: u64 = 1 << 13;
const MDE: u64 = 1 << 15;
const PERIOD: u64 = FREQUENCY / 10;

/// 6 breakpoints and 4 watchpoints have two registers each.
const NUMBERED: usize = 20;

fn encoding(reg: SysReg) -> Encoding {
    reg.info().encoding
}

/// vCPUs that share the CPU, one of which is loaded, as the CPU's loop has them.
struct Shared {
    vcpus: Vec<Box<Vcpu>>,
    at: usize,
    now: u64,
    /// When the CPU's loop has to look again.
    due: Option<u64>,
    _guest: Guest,
}

impl Shared {
    /// vCPUs whose guests have unlocked the OS lock.
    fn unlocked(count: usize) -> Self {
        Self::unlocked_on(USUAL, count)
    }

    fn unlocked_on(build: Build, count: usize) -> Self {
        let mut guest = Guest::build(build);
        guest.vcpu.put();
        poke(MDCR_EL2, TDA | TDOSA);
        let vcpus = (0..count).map(|_| guest.another(0)).collect();
        let mut shared = Self {
            vcpus,
            at: 0,
            now: 0,
            due: None,
            _guest: guest,
        };
        shared.vcpus[0].load();
        for n in (0..count).rev() {
            shared.switch_to(n);
            shared.msr(OSLAR, 0);
        }
        shared
    }

    fn vcpu(&mut self) -> &mut Vcpu {
        &mut self.vcpus[self.at]
    }

    fn settle(&mut self) {
        self.due = debug::settle(&mut self.vcpus, self.at, self.now);
    }

    fn switch_to(&mut self, n: usize) {
        self.vcpus[self.at].put();
        self.at = n;
        self.vcpus[n].load();
        self.settle();
    }

    /// Does an access of the guest's, trapped or not. The machine runs no code: what is not trapped
    /// is done to its registers.
    fn access(&mut self, register: Encoding, write: Option<u64>) -> u64 {
        for _ in 0..2 {
            let mdcr = peek(MDCR_EL2);
            let always = matches!(register, OSLAR);
            if mdcr & (TDA | TDE) == 0 && !always {
                let iss = register.iss();
                let value = write.unwrap_or_else(|| peek(iss));
                poke(iss, value);
                return value;
            }
            let vcpu = self.vcpu();
            let pc = vcpu.sysregs().pc();
            vcpu.frame.write(3, write.unwrap_or(0));
            let next = exits::guest_synchronous(vcpu, system_esr(register, 3, write.is_none()));
            let done = vcpu.sysregs().pc() == pc + 4;
            assert!(done || next.leaves(), "{register:?} is refused");
            let value = vcpu.x(3);
            if next.leaves() {
                self.settle();
            }
            if done {
                return value;
            }
        }
        panic!("{register:?} is trapped for ever");
    }

    fn mrs(&mut self, register: Encoding) -> u64 {
        self.access(register, None)
    }

    fn msr(&mut self, register: Encoding, value: u64) {
        self.access(register, Some(value));
    }
}

/// How often the debug registers were read and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Count {
    /// Breakpoints' and watchpoints'.
    numbered: (usize, usize),
    /// MDSCR_EL1.
    control: (usize, usize),
    /// MDCCINT_EL1, the claim tags, and the words of the channel.
    channel: (usize, usize),
    /// MDCR_EL2.
    traps: (usize, usize),
}

fn count() -> Count {
    let mut count = Count::default();
    for event in take_log() {
        let (iss, read) = match event {
            Event::Read(iss) => (iss, true),
            Event::Write(iss, _) => (iss, false),
            _ => continue,
        };
        let register = Encoding::from_iss(iss);
        let class = SysReg::from_encoding(register).map(SysReg::class);
        let kind = match (register, class) {
            (_, Some(Class::Breakpoint | Class::Watchpoint)) => &mut count.numbered,
            (_, Some(Class::DebugControl)) => &mut count.control,
            (Encoding { op0: 2, .. }, _) => &mut count.channel,
            _ if iss == MDCR_EL2 => &mut count.traps,
            _ => continue,
        };
        if read {
            kind.0 += 1;
        } else {
            kind.1 += 1;
        }
    }
    count
}

#[test]
fn a_clean_switch_moves_mdscr_and_nothing_else() {
    let mut shared = Shared::unlocked(2);
    assert_eq!(shared.vcpu().debug_owner(), Owner::Free);
    take_log();
    shared.switch_to(1);
    let clean = Count {
        control: (1, 1),
        ..Count::default()
    };
    assert_eq!(count(), clean);
    shared.switch_to(0);
    assert_eq!(count(), clean);
}

#[test]
fn the_first_use_writes_all_there_are_once() {
    let mut shared = Shared::unlocked(1);
    take_log();
    shared.msr(encoding(SysReg::DBGBVR2_EL1), 0x4000);
    assert_eq!(shared.vcpu().debug_owner(), Owner::Guest);
    let first = Count {
        numbered: (0, NUMBERED),
        // Is there an external debugger? Then the two words of the channel and MDCCINT_EL1.
        channel: (1, 3),
        traps: (1, 1),
        ..Count::default()
    };
    assert_eq!(count(), first);
    shared.msr(encoding(SysReg::DBGBCR2_EL1), 0x1e7);
    shared.msr(encoding(SysReg::MDSCR_EL1), MDE);
    assert_eq!(count(), Count::default(), "not trapped");
}

#[test]
fn a_switch_between_two_users_saves_one_and_loads_the_other() {
    let mut shared = Shared::unlocked(2);
    for n in 0..2 {
        shared.switch_to(n);
        shared.msr(encoding(SysReg::MDSCR_EL1), MDE);
    }
    take_log();
    shared.switch_to(0);
    let switch = Count {
        numbered: (NUMBERED, NUMBERED),
        // MDCCINT_EL1 and the claim tags both ways, tag 0 looked at, the channel's words cleared.
        channel: (3, 3),
        // Saved; nothing enabled until the registers are there; loaded.
        control: (1, 2),
        traps: (2, 2),
    };
    assert_eq!(count(), switch);
}

/// With FEAT_FGT the claim tags and the channel stay trapped, and don't go with the breakpoints.
#[test]
fn what_is_trapped_alone_is_not_moved() {
    let mut shared = Shared::unlocked_on(Build { fgt: true, ..USUAL }, 2);
    take_log();
    shared.msr(encoding(SysReg::MDCCINT_EL1), 1 << 30);
    shared.msr(CLAIMSET, 0b110);
    assert_eq!(shared.mrs(CLAIMCLR), 0b110);
    assert_eq!(shared.vcpu().debug_owner(), Owner::Free);
    assert_eq!(count(), Count::default());
    shared.msr(encoding(SysReg::MDSCR_EL1), MDE);
    let first = Count {
        numbered: (0, NUMBERED),
        channel: (1, 1),
        traps: (1, 1),
        ..Count::default()
    };
    assert_eq!(count(), first);
    shared.switch_to(1);
    shared.msr(encoding(SysReg::MDSCR_EL1), MDE);
    take_log();
    shared.switch_to(0);
    let switch = Count {
        numbered: (NUMBERED, NUMBERED),
        channel: (2, 1),
        control: (1, 2),
        traps: (2, 2),
    };
    assert_eq!(count(), switch);
}

#[test]
fn coming_back_to_the_last_owner_moves_none() {
    let mut shared = Shared::unlocked(2);
    shared.msr(encoding(SysReg::DBGWVR3_EL1), 0x7770);
    shared.msr(encoding(SysReg::MDSCR_EL1), KDE | MDE);
    take_log();
    shared.switch_to(1);
    shared.switch_to(0);
    let back = Count {
        control: (2, 2),
        traps: (2, 2),
        ..Count::default()
    };
    assert_eq!(count(), back);
    assert_eq!(shared.mrs(encoding(SysReg::DBGWVR3_EL1)), 0x7770);
}

#[test]
fn one_that_does_not_use_them_any_more_goes_back_to_free() {
    let mut shared = Shared::unlocked(2);
    shared.msr(encoding(SysReg::DBGBVR0_EL1), 0x1000);
    shared.switch_to(1);
    assert_eq!(shared.vcpus[0].debug_owner(), Owner::Free);
    take_log();
    shared.switch_to(0);
    assert_eq!(count().traps, (0, 0));
    // Its registers are still there: to have them again costs the trap alone.
    assert_eq!(shared.mrs(encoding(SysReg::DBGBVR0_EL1)), 0x1000);
    let again = Count {
        traps: (1, 1),
        ..Count::default()
    };
    assert_eq!(count(), again);
}

#[test]
fn one_that_is_never_put_goes_back_to_free_when_its_time_is_over() {
    let mut shared = Shared::unlocked(1);
    assert_eq!(shared.due, None);
    shared.msr(encoding(SysReg::DBGBVR0_EL1), 0x1000);
    assert_eq!(shared.due, Some(PERIOD));
    for now in [PERIOD - 1, PERIOD] {
        assert_eq!(shared.vcpu().debug_owner(), Owner::Guest);
        shared.now = now;
        take_log();
        shared.settle();
    }
    assert_eq!(shared.vcpu().debug_owner(), Owner::Free);
    let closed = Count {
        control: (1, 0),
        traps: (1, 1),
        ..Count::default()
    };
    assert_eq!(count(), closed);
    assert_eq!((peek(MDCR_EL2), shared.due), (TDA | TDOSA, None));
    // One that uses them is asked again after as long.
    shared.msr(encoding(SysReg::MDSCR_EL1), KDE);
    shared.now = 2 * PERIOD;
    shared.settle();
    assert_eq!(shared.vcpu().debug_owner(), Owner::Guest);
    assert_eq!(shared.due, Some(3 * PERIOD));
}

#[test]
fn nothing_fires_under_the_os_lock_and_all_can_be_read() {
    let mut shared = Shared::unlocked(1);
    shared.msr(encoding(SysReg::DBGBVR1_EL1), 0x1234_0000);
    shared.msr(encoding(SysReg::MDSCR_EL1), MDE | KDE | SS);
    let mdscr = encoding(SysReg::MDSCR_EL1);
    assert_eq!(peek(mdscr.iss()), MDE | KDE | SS);
    shared.msr(OSLAR, 1);
    assert_eq!(shared.vcpu().debug_owner(), Owner::Locked);
    assert_eq!(peek(mdscr.iss()), 0);
    assert_eq!(peek(MDCR_EL2), TDA | TDOSA);
    assert_eq!(shared.mrs(mdscr), MDE | KDE | SS);
    assert_eq!(shared.mrs(encoding(SysReg::DBGBVR1_EL1)), 0x1234_0000);
    shared.msr(encoding(SysReg::DBGBVR1_EL1), 0x5678_0000);
    shared.msr(OSLAR, 0);
    assert_eq!(shared.vcpu().debug_owner(), Owner::Guest);
    assert_eq!(peek(mdscr.iss()), MDE | KDE | SS);
    assert_eq!(peek(encoding(SysReg::DBGBVR1_EL1).iss()), 0x5678_0000);
}

#[test]
fn an_external_debuggers_registers_are_left_alone() {
    let mut shared = Shared::unlocked(1);
    let bvr = encoding(SysReg::DBGBVR0_EL1);
    poke(CLAIMCLR.iss(), 1);
    poke(bvr.iss(), 0xe7e7);
    shared.msr(bvr, 0x1000);
    shared.msr(encoding(SysReg::MDSCR_EL1), MDE);
    assert_eq!(shared.vcpu().debug_owner(), Owner::Locked);
    assert_eq!((shared.mrs(bvr), peek(bvr.iss())), (0x1000, 0xe7e7));
    assert_eq!(peek(encoding(SysReg::MDSCR_EL1).iss()), 0);
    assert_eq!(peek(MDCR_EL2) & TDA, TDA);
    // It has gone, which is noticed in time.
    poke(CLAIMCLR.iss(), 0);
    shared.now = shared.due.unwrap();
    shared.settle();
    assert_eq!(shared.vcpu().debug_owner(), Owner::Guest);
    assert_eq!(peek(bvr.iss()), 0x1000);
}

/// Without FEAT_FGT, a guest that has the breakpoints has the claim tags and the channel too.
#[test]
fn claim_tags_and_channel_go_with_their_vcpu() {
    let mut shared = Shared::unlocked(2);
    shared.msr(encoding(SysReg::MDSCR_EL1), MDE);
    // As the machine does for the guest's write of DBGCLAIMSET_EL1.
    poke(CLAIMCLR.iss(), 0b110);
    poke(OSDTRTX_EL1, 0x005e_c2e7);
    shared.switch_to(1);
    shared.msr(encoding(SysReg::MDSCR_EL1), MDE);
    assert_eq!(peek(OSDTRTX_EL1), 0, "a word for another VM");
    // The fake's tags hold what was written last; the machine's are clear then.
    assert_eq!(peek(CLAIMCLR.iss()), 0b110);
    poke(CLAIMCLR.iss(), 0);
    poke(CLAIMSET.iss(), 0);
    shared.switch_to(0);
    assert_eq!(peek(CLAIMSET.iss()), 0b110);
}

#[test]
fn nothing_moves_a_register_that_is_not_there() {
    let mut shared = Shared::unlocked(2);
    take_log();
    for n in [0, 1, 0] {
        shared.switch_to(n);
        shared.msr(encoding(SysReg::MDSCR_EL1), MDE);
    }
    let absent = ALL.into_iter().filter(|reg| {
        matches!(reg.class(), Class::Breakpoint | Class::Watchpoint)
            && !shared.vcpus[0].sysregs().state().present.has(*reg)
    });
    let absent: Vec<_> = absent.map(|reg| encoding(reg).iss()).collect();
    assert_eq!(absent.len(), 64 - NUMBERED);
    for event in take_log() {
        if let Event::Read(iss) | Event::Write(iss, _) = event {
            assert!(!absent.contains(&iss), "{event:?}");
        }
    }
}

/// What a guest of the model has, and what is being done to it.
struct Model {
    values: Vec<u64>,
    locked: bool,
    debugged: Option<Plan>,
}

const fn random_plan(seed: u64) -> (u64, u64) {
    (
        0xffff_0000_0000_0000 | seed & 0xffff_fffc,
        seed & 0xffff_f000,
    )
}

/// 60,000 steps of three vCPUs of three guests on one CPU: uses, switches, OS locks, time, and a debugger that
/// comes and goes. After each, what a guest reads is what it wrote, and what could fire is
/// its own.
#[test]
fn random_use_fires_and_reads_nothing_of_anothers() {
    let seen: Vec<_> = [SysReg::MDSCR_EL1, SysReg::MDCCINT_EL1]
        .into_iter()
        .chain((0..6).flat_map(|n| {
            [
                numbered(SysReg::DBGBVR0_EL1, n),
                numbered(SysReg::DBGBCR0_EL1, n),
            ]
        }))
        .chain((0..4).flat_map(|n| {
            [
                numbered(SysReg::DBGWVR0_EL1, n),
                numbered(SysReg::DBGWCR0_EL1, n),
            ]
        }))
        .collect();
    let mut shared = Shared::unlocked(3);
    let mut seed = 0x1234_5678_9abc_def1;
    let mut models: Vec<_> = (0..3)
        .map(|_| Model {
            values: vec![0; seen.len()],
            locked: false,
            debugged: None,
        })
        .collect();
    let mut owners = [0_usize; 4];
    for step in 0..60_000_u64 {
        let at = shared.at;
        let which = random(&mut seed) as usize % seen.len();
        match random(&mut seed) % 16 {
            0..=3 => {
                let reg = encoding(seen[which]);
                let value = seen[which].info().settle(step << 16);
                shared.msr(reg, value);
                models[at].values[which] = value;
            }
            4 | 5 => {
                let value = [0, KDE, MDE, KDE | MDE, SS][random(&mut seed) as usize % 5];
                shared.msr(encoding(SysReg::MDSCR_EL1), value);
                models[at].values[0] = value;
            }
            6..=8 => {
                let value = shared.mrs(encoding(seen[which]));
                assert_eq!(
                    value, models[at].values[which],
                    "{:?} at {step}",
                    seen[which]
                );
            }
            9..=12 => shared.switch_to(random(&mut seed) as usize % 3),
            13 => {
                models[at].locked = !models[at].locked;
                shared.msr(OSLAR, models[at].locked.into());
            }
            14 => {
                shared.now += PERIOD / 2;
                shared.settle();
            }
            _ => {
                shared.vcpus[at].put();
                let vcpu = &mut shared.vcpus[at];
                if models[at].debugged.take().is_some() {
                    vcpu.debug_no_more();
                } else {
                    let (breakpoint, watched) = random_plan(random(&mut seed));
                    let plan = Plan {
                        breakpoints: vec![breakpoint],
                        watchpoints: vec![Watch::new(watched, PAGE_SIZE, Kind::Any).unwrap()],
                    };
                    vcpu.debug_by(plan.clone());
                    vcpu.debug_go(false);
                    models[at].debugged = Some(plan);
                }
                shared.vcpus[at].load();
                shared.settle();
            }
        }
        owners[shared.vcpu().debug_owner() as usize] += 1;
        holds(&mut shared, &models, &seen);
        take_log();
    }
    assert!(owners.iter().all(|&times| times > 2000), "{owners:?}");
}

fn numbered(first: SysReg, n: usize) -> SysReg {
    ALL[first as usize + n]
}

/// What must be so whenever a guest runs.
fn holds(shared: &mut Shared, models: &[Model], seen: &[SysReg]) {
    let model = &models[shared.at];
    let (mdcr, mdscr) = (peek(MDCR_EL2), peek(encoding(SysReg::MDSCR_EL1).iss()));
    let there: Vec<_> = seen[2..]
        .iter()
        .map(|reg| peek(encoding(*reg).iss()))
        .collect();
    let owner = shared.vcpu().debug_owner();
    assert_eq!(mdcr & TDOSA, TDOSA);
    assert_eq!(mdcr & TDE != 0, model.debugged.is_some());
    assert_eq!(mdcr & TDA == 0, owner == Owner::Guest);
    let enabled = model.values[0] & (KDE | MDE) != 0;
    match (&model.debugged, model.locked) {
        (Some(plan), _) => {
            assert_eq!(owner, Owner::Debugger);
            assert_eq!(mdscr & (MDE | KDE | SS), MDE);
            assert_eq!((there[0], there[1]), (plan.breakpoints[0], 0x1e7));
            assert!(there[3..12].iter().step_by(2).all(|control| *control == 0));
            assert_eq!(there[13], 12 << 24 | 0x1fff);
        }
        (None, true) => {
            assert_eq!(owner, Owner::Locked);
            assert_eq!(mdscr & (MDE | KDE | SS), 0);
        }
        (None, false) => {
            assert_eq!(mdscr, model.values[0]);
            assert!(owner == Owner::Guest || (owner == Owner::Free && !enabled));
            if owner == Owner::Guest {
                assert_eq!(there, model.values[2..]);
            }
        }
    }
}

#[test]
fn a_guests_own_brk_comes_back_to_it_while_it_is_debugged() {
    let mut shared = Shared::unlocked(1);
    shared.vcpus[0].put();
    shared.vcpus[0].debug_by(Plan::default());
    shared.vcpus[0].load();
    shared.settle();
    let vcpu = shared.vcpu();
    vcpu.sysregs_mut().set_pc(PC);
    vcpu.write_sys_reg(SysReg::VBAR_EL1, 0x8000);
    let next = exits::guest_synchronous(vcpu, class::BRK << 26 | IL | 0xf000);
    assert!(!next.leaves());
    assert_eq!(vcpu.sysregs().pc(), 0x8200);
    assert_eq!(vcpu.read_sys_reg(SysReg::ELR_EL1), PC);
    assert_eq!(
        vcpu.read_sys_reg(SysReg::ESR_EL1),
        class::BRK << 26 | IL | 0xf000
    );
}
