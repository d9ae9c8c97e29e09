//! What a guest leaves in registers is there again after the hypervisor ran.

use core::arch::global_asm;

use guests::rt::console::FR;
use guests::rt::timer::Timer;
use guests::rt::{gic, irq, mmio};
use guests::{checks, expect, expect_eq, mrs, outcome::TestResult};

checks! {
    everywhere general_registers_over_hvc;
    hypervisor("the machine has no EL3 to call") general_registers_over_smc;
    everywhere general_registers_over_a_device_load;
    everywhere general_registers_over_a_device_store;
    everywhere general_registers_over_an_id_register;
    everywhere general_registers_over_a_debug_register;
    everywhere general_registers_over_wfi;
    everywhere general_registers_over_an_interrupt;
    everywhere el1_registers;
}

global_asm!(include_str!("state.s"));

/// X0 to X30, then NZCV.
type Registers = [u64; 32];
type Around = unsafe extern "C" fn(*mut Registers);

unsafe extern "C" {
    fn state_over_hvc(registers: *mut Registers);
    fn state_over_smc(registers: *mut Registers);
    fn state_over_load(registers: *mut Registers);
    fn state_over_load_into_30(registers: *mut Registers);
    fn state_over_store(registers: *mut Registers);
    fn state_over_id_register(registers: *mut Registers);
    fn state_over_debug_register(registers: *mut Registers);
    fn state_over_wfi(registers: *mut Registers);
    fn state_over_interrupt(registers: *mut Registers);
}

/// The number `state.s` fills a register with.
const fn filled(n: u64) -> u64 {
    0xc300_3200_2100_1000 + n * 0x1_0001_0001_0001
}

/// Runs an instruction between filled registers, and compares all but those it may change.
/// Returns what is in the registers.
fn around(run: Around, may_change: &[usize]) -> Result<Registers, guests::outcome::Unmet> {
    let mut registers = [0; 32];
    // SAFETY: `state.s` follows the calling convention and fills the array.
    unsafe { run(&mut registers) };
    for (n, &value) in registers.iter().enumerate().take(31) {
        if !may_change.contains(&n) {
            expect!(value == filled(n as u64), "X{n} is {value:#x}");
        }
    }
    expect_eq!(registers[31], filled(3) & 0xf << 28);
    Ok(registers)
}

fn general_registers_over_hvc() -> TestResult {
    for _ in 0..100 {
        let registers = around(state_over_hvc, &[0, 1, 2, 3])?;
        expect!(registers[0] >= 0x1_0001, "PSCI_VERSION {:#x}", registers[0]);
    }
    Ok(())
}

fn general_registers_over_smc() -> TestResult {
    for _ in 0..100 {
        let registers = around(state_over_smc, &[0, 1, 2, 3])?;
        expect!(registers[0] >= 0x1_0001, "PSCI_VERSION {:#x}", registers[0]);
    }
    Ok(())
}

fn general_registers_over_a_device_load() -> TestResult {
    for _ in 0..20 {
        let flags = u64::from(mmio::read32(FR));
        expect_eq!(around(state_over_load, &[5, 6])?[5], flags);
        expect_eq!(around(state_over_load_into_30, &[6, 30])?[30], flags);
    }
    Ok(())
}

fn general_registers_over_a_device_store() -> TestResult {
    around(state_over_store, &[6])?;
    Ok(())
}

fn general_registers_over_an_id_register() -> TestResult {
    let expected = mrs!("ID_AA64PFR0_EL1");
    expect_eq!(around(state_over_id_register, &[7])?[7], expected);
    Ok(())
}

fn general_registers_over_a_debug_register() -> TestResult {
    let expected = mrs!("MDSCR_EL1");
    expect_eq!(around(state_over_debug_register, &[29])?[29], expected);
    Ok(())
}

fn general_registers_over_wfi() -> TestResult {
    gic::enable(1);
    gic::send_to_self(1);
    around(state_over_wfi, &[])?;
    Ok(())
}

fn general_registers_over_an_interrupt() -> TestResult {
    gic::enable(Timer::Virtual.intid());
    irq::unmask();
    for n in 1..=50 {
        around(state_over_interrupt, &[9])?;
        expect_eq!(irq::taken(), n);
    }
    Ok(())
}

/// Registers that no instruction of this program depends on hold what they are given.
fn el1_registers() -> TestResult {
    macro_rules! hold {
        ($($name:literal $mask:literal;)*) => {
            for round in 0..8_u64 {
                let value = |n: u64| filled(n * 7 + round).rotate_left(round as u32 * 9);
                let mut n = 0;
                $(
                    n += 1;
                    guests::msr!($name, value(n) & $mask);
                )*
                for _ in 0..5 {
                    guests::rt::smccc::call(guests::rt::smccc::PSCI_VERSION, [0; 3]);
                    mmio::read32(FR);
                }
                n = 0;
                $(
                    n += 1;
                    let seen = mrs!($name) & $mask;
                    expect!(seen == value(n) & $mask, "{} is {seen:#x}", $name);
                )*
            }
        };
    }
    hold! {
        "TPIDR_EL0" 0xffff_ffff_ffff_ffff;
        "TPIDRRO_EL0" 0xffff_ffff_ffff_ffff;
        "TPIDR_EL1" 0xffff_ffff_ffff_ffff;
        "SP_EL0" 0xffff_ffff_ffff_ffff;
        "CONTEXTIDR_EL1" 0xffff_ffff;
        "TTBR1_EL1" 0x0000_00ff_ffff_f000;
        "CNTV_CVAL_EL0" 0xffff_ffff_ffff_ffff;
        "CNTP_CVAL_EL0" 0xffff_ffff_ffff_ffff;
        "CNTKCTL_EL1" 0x3ff;
    }
    Ok(())
}
