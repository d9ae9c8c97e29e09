use super::*;

const RAM: core::ops::Range<u64> = 0x4000_0000..0x8000_0000;
const NONE: [u64; 3] = [0; 3];

const FACTS: Facts<'static> = Facts {
    aarch32: false,
    in_memory: &|address, size| RAM.contains(&address) && size <= RAM.end - address,
    workarounds: Workarounds {
        targets: Workaround::Effective,
        stores: Workaround::Unknown,
        history: Workaround::NotNeeded,
    },
    stolen_time: Some(0x090a_0040),
};
const AARCH32: Facts<'static> = Facts {
    aarch32: true,
    ..FACTS
};

fn ask(function: u32, args: [u64; 3]) -> Action {
    call(function.into(), args, &FACTS)
}

fn code(error: Error) -> Action {
    Action::Return(error.code())
}

#[test]
fn constants_come_the_short_way_and_the_long() {
    for (function, answer) in [
        (0x8400_0000, 0x1_0001),
        (0x8000_0000, 0x1_0001),
        (0x8400_0006, 2),
    ] {
        assert_eq!(immediate(function), Some(answer));
        assert_eq!(ask(function, [7; 3]), Action::Return(answer));
    }
    assert_eq!(immediate(psci::CPU_ON), None);
    assert_eq!(immediate(0xc400_0000), None);
}

#[test]
fn what_is_not_there_is_minus_one_in_all_64_bits() {
    let unknown = [
        0,
        0x0400_0000, // PSCI_VERSION, but yielding
        0x8400_0005, // MIGRATE
        0x8400_0007, // MIGRATE_INFO_UP_CPU
        0x8400_000b, // CPU_FREEZE
        0x8400_000c, // CPU_DEFAULT_SUSPEND
        0xc400_000d, // NODE_HW_STATE
        0x8400_000f, // SET_SUSPEND_MODE
        0xc400_0010, // STAT_RESIDENCY
        0xc400_0011, // STAT_COUNT
        0xc400_0013, // MEM_PROTECT has no 64-bit twin
        0x8000_0002, // SMCCC_ARCH_SOC_ID
        0xc500_0022, // after PV time
        0xc400_0000, // PSCI_VERSION has no 64-bit twin
        0xc400_0002,
        0xc400_0008,
        0x8000_7fff, // workaround 2
        0x8600_0000, // another hypervisor's calls
        0x8600_ff00,
        0xc600_ff01,
        0xffff_ffff,
    ];
    for function in unknown {
        assert_eq!(
            ask(function, NONE),
            Action::Return(u64::MAX),
            "{function:#x}"
        );
    }
}

#[test]
fn the_upper_half_of_the_function_register_does_not_count() {
    let x0 = 0xdead_beef_8400_0000;
    assert_eq!(call(x0, NONE, &FACTS), Action::Return(PSCI_VERSION));
}

#[test]
fn a_32_bit_call_takes_the_low_halves() {
    let args = [
        0xffff_ffff_0000_0102,
        0xffff_ffff_4000_0000,
        0xffff_ffff_0000_0007,
    ];
    let start = Start {
        entry: 0x4000_0000,
        context: 7,
        rest: [0; 2],
    };
    let target = Affinity::new(0, 0, 1, 2);
    assert_eq!(ask(psci::CPU_ON, args), Action::CpuOn { target, start });
    assert_eq!(ask(psci::CPU_ON_64, args), code(Error::InvalidParameters));
    let level = [1 << 32 | 5, 1 << 32 | 1, 0];
    let low = Action::AffinityInfo {
        target: Affinity::new(0, 0, 0, 5),
        level: 1,
    };
    assert_eq!(ask(psci::AFFINITY_INFO, level), low);
    assert_eq!(
        ask(psci::AFFINITY_INFO_64, level),
        code(Error::InvalidParameters)
    );
}

#[test]
fn an_aarch32_caller_has_no_64_bit_calls() {
    let args = [1, 0x4000_0000, 0];
    for function in [
        psci::CPU_ON_64,
        psci::CPU_SUSPEND_64,
        psci::AFFINITY_INFO_64,
    ] {
        assert_ne!(ask(function, args), Action::Return(NOT_SUPPORTED));
        assert_eq!(
            call(function.into(), args, &AARCH32),
            Action::Return(NOT_SUPPORTED)
        );
        let features = [function.into(), 0, 0];
        assert_eq!(ask(psci::FEATURES, features), Action::Return(0));
        let refused = call(psci::FEATURES.into(), features, &AARCH32);
        assert_eq!(refused, Action::Return(NOT_SUPPORTED));
    }
    assert!(matches!(
        call(psci::CPU_ON.into(), args, &AARCH32),
        Action::CpuOn { .. }
    ));
}

#[test]
fn a_cpu_is_turned_on_by_its_whole_affinity() {
    let start = Start {
        entry: 0x4008_0000,
        context: u64::MAX,
        rest: [0; 2],
    };
    assert_eq!(
        ask(psci::CPU_ON_64, [0x3_0002_0100, 0x4008_0000, u64::MAX]),
        Action::CpuOn {
            target: Affinity::new(3, 2, 1, 0),
            start
        }
    );
    for target in [1 << 24, 1 << 31, 1 << 40, u64::MAX] {
        assert_eq!(
            ask(psci::CPU_ON_64, [target, 0x4008_0000, 0]),
            code(Error::InvalidParameters)
        );
    }
}

#[test]
fn an_entry_outside_memory_or_between_instructions_is_invalid() {
    for entry in [0, 0x3fff_fffc, 0x8000_0000, !3, 0x4000_0002, 0x4000_0001] {
        assert_eq!(
            ask(psci::CPU_ON_64, [1, entry, 0]),
            code(Error::InvalidAddress),
            "{entry:#x}"
        );
    }
    assert!(matches!(
        ask(psci::CPU_ON_64, [1, 0x7fff_fffc, 0]),
        Action::CpuOn { .. }
    ));
}

#[test]
fn an_aarch32_entry_may_be_t32() {
    let on = |entry| call(psci::CPU_ON.into(), [1, entry, 0], &AARCH32);
    for entry in [0x4000_0001, 0x4000_0003, 0x4000_0004] {
        assert!(matches!(on(entry), Action::CpuOn { start, .. } if start.entry == entry));
    }
    let only_there = Facts {
        in_memory: &|address, size| (address, size) == (0x4000_0000, 2),
        ..AARCH32
    };
    let t32 = call(psci::CPU_ON.into(), [1, 0x4000_0001, 0], &only_there);
    assert!(
        matches!(t32, Action::CpuOn { .. }),
        "the address is without the state bit"
    );
    assert_eq!(on(0x4000_0002), code(Error::InvalidAddress));
    assert_eq!(on(0x8000_0001), code(Error::InvalidAddress));
}

#[test]
fn suspend_is_standby_or_a_new_start() {
    for function in [psci::CPU_SUSPEND, psci::CPU_SUSPEND_64] {
        assert_eq!(ask(function, [0, 0, 0]), Action::Standby);
        assert_eq!(ask(function, [0xffff, 1, 1]), Action::Standby);
        let start = Start {
            entry: 0x4000_0000,
            context: 3,
            rest: [0; 2],
        };
        assert_eq!(
            ask(function, [1 << 16, 0x4000_0000, 3]),
            Action::PowerDown(start)
        );
        assert_eq!(ask(function, [1 << 16, 0, 3]), code(Error::InvalidAddress));
        for bad in [1 << 17, 1 << 24, 1 << 30, 0xffff_0000] {
            assert_eq!(
                ask(function, [bad, 0x4000_0000, 0]),
                code(Error::InvalidParameters)
            );
        }
    }
    assert_eq!(
        ask(psci::CPU_SUSPEND_64, [1 << 32, 0, 0]),
        code(Error::InvalidParameters)
    );
}

#[test]
fn affinity_levels_are_four() {
    for level in 0..4 {
        let info = Action::AffinityInfo {
            target: Affinity::new(0, 0, 0, 1),
            level: level as u32,
        };
        assert_eq!(ask(psci::AFFINITY_INFO_64, [1, level, 0]), info);
    }
    for level in [4, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(
            ask(psci::AFFINITY_INFO_64, [1, level, 0]),
            code(Error::InvalidParameters)
        );
    }
    assert_eq!(
        ask(psci::AFFINITY_INFO, [1 << 24, 0, 0]),
        code(Error::InvalidParameters)
    );
}

#[test]
fn the_rest_of_power_needs_no_arguments() {
    assert_eq!(ask(psci::CPU_OFF, [9; 3]), Action::CpuOff);
    assert_eq!(ask(psci::SYSTEM_OFF, [9; 3]), Action::SystemOff);
    assert_eq!(ask(psci::SYSTEM_RESET, [9; 3]), Action::SystemReset);
}

/// Every function there is, found by asking: what is announced answers, and nothing else does.
#[test]
fn features_tell_the_truth() {
    let ranges = [0x8400_0000..0x8400_0040_u32, 0xc400_0000..0xc400_0040];
    for function in ranges.into_iter().flatten() {
        let announced = ask(psci::FEATURES, [function.into(), 0, 0]);
        let answer = ask(function, [1, 0, 0]);
        let there = answer != Action::Return(NOT_SUPPORTED) || function == psci::FEATURES;
        assert_eq!(announced == Action::Return(0), there, "{function:#x}");
        assert!(there || announced == Action::Return(NOT_SUPPORTED));
    }
    assert_eq!(
        ask(psci::FEATURES, [smccc::VERSION.into(), 0, 0]),
        Action::Return(0)
    );
    assert_eq!(
        ask(psci::FEATURES, [smccc::ARCH_FEATURES.into(), 0, 0]),
        Action::Return(u64::MAX)
    );
}

#[test]
fn workarounds_are_announced_as_they_are() {
    let cases = [
        (Workaround::Unknown, u64::MAX, u64::MAX, Some(u64::MAX)),
        (Workaround::Effective, 0, 0, None),
        (Workaround::NotNeeded, 1, -2_i64 as u64, Some(0)),
    ];
    for (workaround, announced, announced_2, called) in cases {
        let facts = Facts {
            workarounds: Workarounds {
                targets: workaround,
                stores: workaround,
                history: workaround,
            },
            ..FACTS
        };
        for (function, announced) in [
            (smccc::ARCH_WORKAROUND_1, announced),
            (smccc::ARCH_WORKAROUND_2, announced_2),
            (smccc::ARCH_WORKAROUND_3, announced),
        ] {
            let features = call(smccc::ARCH_FEATURES.into(), [function.into(), 0, 0], &facts);
            assert_eq!(features, Action::Return(announced));
            let done = called.map_or(Action::WorkAround(function), Action::Return);
            assert_eq!(call(function.into(), NONE, &facts), done);
        }
    }
    for there in [smccc::VERSION, smccc::ARCH_FEATURES] {
        assert_eq!(
            ask(smccc::ARCH_FEATURES, [there.into(), 0, 0]),
            Action::Return(0)
        );
    }
    for absent in [smccc::ARCH_WORKAROUND_2, psci::VERSION, 0x8000_0002] {
        assert_eq!(
            ask(smccc::ARCH_FEATURES, [absent.into(), 0, 0]),
            Action::Return(u64::MAX)
        );
    }
}

#[test]
fn a_system_is_reset_by_the_architectures_type_only() {
    for function in [psci::SYSTEM_RESET2, psci::SYSTEM_RESET2_64] {
        assert_eq!(ask(function, [0, 77, 0]), Action::SystemReset);
        for kind in [1, 0x8000_0000, 0x8000_0001, 0xffff_ffff] {
            assert_eq!(ask(function, [kind, 0, 0]), code(Error::InvalidParameters));
        }
    }
}

#[test]
fn a_system_is_suspended_to_where_it_can_start() {
    for function in [psci::SYSTEM_SUSPEND, psci::SYSTEM_SUSPEND_64] {
        let start = Start {
            entry: 0x4000_0010,
            context: 9,
            rest: [0; 2],
        };
        let action = ask(function, [0x4000_0010, 9, 0]);
        assert_eq!(action, Action::SystemSuspend(start));
        assert_eq!(ask(function, [0x1000, 9, 0]), code(Error::InvalidAddress));
    }
}

#[test]
fn memory_is_protected_whole_and_nothing_else_is() {
    assert_eq!(ask(psci::MEM_PROTECT, [1, 0, 0]), Action::MemProtect(true));
    assert_eq!(ask(psci::MEM_PROTECT, [0, 0, 0]), Action::MemProtect(false));
    let bad = code(Error::InvalidParameters);
    assert_eq!(ask(psci::MEM_PROTECT, [2, 0, 0]), bad);
    let check = |base, size| ask(psci::MEM_PROTECT_CHECK_RANGE_64, [base, size, 0]);
    assert_eq!(check(0x4000_0000, 0x4000_0000), Action::Return(0));
    for (base, size) in [
        (0x4000_0000, 0),
        (0x4000_0000, 0x4000_0001),
        (0x7fff_ffff, 2),
        (0, 1),
        (0x4000_0000, u64::MAX),
    ] {
        assert_eq!(
            check(base, size),
            code(Error::Denied),
            "{base:#x} {size:#x}"
        );
    }
}

#[test]
fn stolen_time_is_where_the_vcpu_has_it() {
    let features = |function: u32| ask(smccc::PV_TIME_FEATURES, [function.into(), 0, 0]);
    for function in [smccc::PV_TIME_FEATURES, smccc::PV_TIME_ST] {
        assert_eq!(features(function), Action::Return(0));
    }
    assert_eq!(features(0xc500_0022), Action::Return(u64::MAX));
    assert_eq!(ask(smccc::PV_TIME_ST, NONE), Action::Return(0x090a_0040));
    let announced = [smccc::PV_TIME_FEATURES.into(), 0, 0];
    assert_eq!(ask(smccc::ARCH_FEATURES, announced), Action::Return(0));
    let without = Facts {
        stolen_time: None,
        ..FACTS
    };
    for (function, args) in [
        (smccc::PV_TIME_ST, NONE),
        (smccc::PV_TIME_FEATURES, announced),
        (smccc::ARCH_FEATURES, announced),
    ] {
        let answer = call(function.into(), args, &without);
        assert_eq!(answer, Action::Return(u64::MAX), "{function:#x}");
    }
}

#[test]
fn the_vendor_is_nobody_else() {
    let Action::ReturnAll(words) = ask(0x8600_ff01, NONE) else {
        panic!("no identity");
    };
    assert_eq!(words, [0x1cf8_d4a2, 0x134b_75aa, 0x4be7_e89c, 0x1cc6_0cfd]);
    let kvm = [0xb66f_b428, 0xe911_c52e, 0x564b_caa9, 0x743a_004d];
    assert_ne!(words, kvm);
    assert_eq!(ask(0x8600_ff03, NONE), Action::ReturnAll([0, 1, 0, 0]));
}

#[test]
fn any_call_gets_an_answer() {
    let mut seed = 0x0123_4567_89ab_cdef_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut started = 0;
    for round in 0..200_000_u32 {
        let service =
            [0, 0x8000_0000, 0x8400_0000, 0xc400_0000, 0x8600_0000][random() as usize % 5];
        let function = match round % 3 {
            0 => random(),
            _ => service | (random() % 0x20),
        };
        let args = [0; 3].map(|_: u64| match random() % 4 {
            0 => random(),
            1 => random() % 5,
            2 => 0x4000_0000 + random() % 64 * 4,
            _ => 1 << (random() % 64),
        });
        let facts = if random() % 2 == 0 { FACTS } else { AARCH32 };
        match call(function, args, &facts) {
            Action::CpuOn { target, start } => {
                assert!(RAM.contains(&start.entry));
                assert!(Affinity::from_argument(target.mpidr()).is_some());
                started += 1;
            }
            Action::PowerDown(start) | Action::SystemSuspend(start) => {
                assert!(RAM.contains(&start.entry))
            }
            Action::AffinityInfo { level, .. } => assert!(level < 4),
            Action::Return(x0) if x0 as i64 >= 0 => assert!(x0 <= 0x1_0001),
            Action::Return(x0) => assert!((x0 as i64) >= -9),
            _ => {}
        }
    }
    assert!(started > 100, "the numbers must reach past the checks");
}
