//! Calls to the firmware the guest believes in: PSCI and SMCCC.

use guests::rt::smccc::{
    AFFINITY_INFO, ALREADY_ON, ARCH_FEATURES, CPU_OFF, CPU_ON, CPU_SUSPEND, INVALID_PARAMETERS,
    MIGRATE_INFO_TYPE, NOT_SUPPORTED, PSCI_FEATURES, PSCI_VERSION, SMCCC_VERSION, SYSTEM_OFF,
    SYSTEM_RESET, VENDOR_HYP_UID, call, hvc, hvc_1, smc, smc_1,
};
use guests::rt::timer::{ENABLE, Timer, ticks, wait};
use guests::rt::{entry, gic, irq, trap};
use guests::{checks, expect, expect_eq, outcome::TestResult};

/// An affinity that no machine of ours has.
const NOBODY: u64 = 0xff_00ff_fff7;

checks! {
    everywhere version_is_1_1_or_newer;
    everywhere features_of_what_must_be_there;
    everywhere features_of_the_unknown;
    everywhere no_trusted_os_to_migrate;
    everywhere affinity_info_of_this_cpu;
    everywhere affinity_info_of_nobody;
    everywhere cpu_on_of_this_cpu;
    everywhere cpu_on_of_nobody;
    everywhere standby_returns_on_an_interrupt;
    everywhere unknown_function_by_hvc;
    hypervisor("the machine has no EL3 to call") unknown_function_by_smc;
    hypervisor("the machine has no EL3 to call") psci_by_smc;
    hypervisor("QEMU's PSCI has no SMCCC version") smccc_is_1_1_or_newer;
    hypervisor("QEMU has no vendor services") vendor_is_ourselves;
    hypervisor("QEMU answers HVC with any immediate") odd_immediates_are_answered;
}

fn version_is_1_1_or_newer() -> TestResult {
    let version = call(PSCI_VERSION, [0; 3]);
    expect!(
        (0x1_0001..0x2_0000).contains(&version),
        "PSCI_VERSION {version:#x}"
    );
    Ok(())
}

fn features_of_what_must_be_there() -> TestResult {
    for function in [
        PSCI_VERSION,
        CPU_SUSPEND,
        CPU_OFF,
        CPU_ON,
        AFFINITY_INFO,
        SYSTEM_OFF,
        SYSTEM_RESET,
        PSCI_FEATURES,
    ] {
        let features = call(PSCI_FEATURES, [u64::from(function), 0, 0]);
        expect!(
            features >= 0,
            "PSCI_FEATURES of {function:#x} is {features}"
        );
    }
    Ok(())
}

fn features_of_the_unknown() -> TestResult {
    for function in [0x8400_001f_u64, 0xc400_7777, 0x1234_5678] {
        expect_eq!(call(PSCI_FEATURES, [function, 0, 0]), NOT_SUPPORTED);
    }
    Ok(())
}

fn no_trusted_os_to_migrate() -> TestResult {
    expect_eq!(call(MIGRATE_INFO_TYPE, [0; 3]), 2);
    Ok(())
}

fn affinity_info_of_this_cpu() -> TestResult {
    expect_eq!(call(AFFINITY_INFO, [gic::affinity(), 0, 0]), 0);
    Ok(())
}

fn affinity_info_of_nobody() -> TestResult {
    expect_eq!(call(AFFINITY_INFO, [NOBODY, 0, 0]), INVALID_PARAMETERS);
    Ok(())
}

fn cpu_on_of_this_cpu() -> TestResult {
    let start = entry::image().0;
    expect_eq!(call(CPU_ON, [gic::affinity(), start, 0]), ALREADY_ON);
    Ok(())
}

fn cpu_on_of_nobody() -> TestResult {
    let start = entry::image().0;
    expect_eq!(call(CPU_ON, [NOBODY, start, 0]), INVALID_PARAMETERS);
    Ok(())
}

fn standby_returns_on_an_interrupt() -> TestResult {
    let timer = Timer::Virtual;
    gic::enable(timer.intid());
    let when = timer.count() + ticks(2000);
    timer.set_cval(when);
    timer.set_ctl(ENABLE);
    while timer.count() < when {
        expect_eq!(call(CPU_SUSPEND, [0; 3]), 0);
    }
    expect!(
        timer.count() < when + ticks(1_000_000),
        "slept past the timer"
    );
    irq::unmask();
    expect!(
        wait(1_000_000, || irq::taken() == 1),
        "the interrupt was lost"
    );
    Ok(())
}

const UNKNOWN: [u32; 6] = [
    0x8400_001f, // PSCI's range
    0xc600_7777, // vendor-specific hypervisor service
    0x8300_0000, // OEM
    0xbf00_ff01, // trusted OS
    0x0100_0000, // yielding call
    0xffff_ffff,
];

fn unknown_function_by_hvc() -> TestResult {
    for function in UNKNOWN {
        expect_eq!(hvc(function, [1, 2, 3])[0] as i32, NOT_SUPPORTED);
    }
    Ok(())
}

fn unknown_function_by_smc() -> TestResult {
    for function in UNKNOWN {
        expect_eq!(smc(function, [1, 2, 3])[0] as i32, NOT_SUPPORTED);
    }
    Ok(())
}

fn psci_by_smc() -> TestResult {
    expect_eq!(smc(PSCI_VERSION, [0; 3])[0], hvc(PSCI_VERSION, [0; 3])[0]);
    expect_eq!(smc(AFFINITY_INFO, [gic::affinity(), 0, 0])[0], 0);
    Ok(())
}

fn smccc_is_1_1_or_newer() -> TestResult {
    expect_eq!(call(PSCI_FEATURES, [u64::from(SMCCC_VERSION), 0, 0]), 0);
    let version = call(SMCCC_VERSION, [0; 3]);
    expect!(version >= 0x1_0001, "SMCCC_VERSION {version:#x}");
    expect_eq!(call(ARCH_FEATURES, [u64::from(ARCH_FEATURES), 0, 0]), 0);
    expect_eq!(call(ARCH_FEATURES, [0x8000_7777, 0, 0]), NOT_SUPPORTED);
    Ok(())
}

fn vendor_is_ourselves() -> TestResult {
    let uid = hvc(VENDOR_HYP_UID, [0; 3]).map(|word| word as u32);
    expect!(uid[0] != NOT_SUPPORTED as u32, "no vendor UID");
    expect!(uid != [0; 4], "the vendor UID is zero");
    let kvm = [0xb66f_b428, 0xe911_c52e, 0x564b_caa9, 0x743a_004d];
    expect!(uid != kvm, "the vendor UID is KVM's");
    expect_eq!(smc(VENDOR_HYP_UID, [0; 3]).map(|word| word as u32), uid);
    Ok(())
}

/// An immediate other than 0 is no SMCCC call. Whether it is UNDEFINED, refused or taken
/// for 0 is the callee's choice; it does come back, with an answer that makes sense.
fn odd_immediates_are_answered() -> TestResult {
    let version = call(PSCI_VERSION, [0; 3]);
    for conduit in [hvc_1, smc_1] {
        let mut x = [0; 4];
        match trap::catch(|| x = conduit(PSCI_VERSION, [0; 3])) {
            Some(fault) => expect_eq!(fault.class(), trap::EC_UNKNOWN),
            None => expect!(
                [version, NOT_SUPPORTED].contains(&(x[0] as i32)),
                "X0 is {:#x}",
                x[0]
            ),
        }
    }
    Ok(())
}
