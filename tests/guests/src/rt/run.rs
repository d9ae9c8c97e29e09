//! Runs checks and prints a line for each.

use core::panic::PanicInfo;

use super::{console, entry, gic, irq, smccc, timer, trap};
use crate::outcome::{Check, Native, TestResult, Unmet};
use crate::text::Text;
use crate::{mrs, msr, print, println};

#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
    ignored: u32,
}

/// Runs the checks, prints the tally under `title`, and turns the machine off.
///
/// The boot argument `native` says that there is no hypervisor; `only=TEXT` leaves out
/// the checks whose name does not contain the text.
pub fn run(title: &str, groups: &[&[Check]]) -> ! {
    console::init();
    gic::init();
    let native = entry::has_argument("native");
    let only = entry::argument("only").unwrap_or("");
    let place = if native {
        "native"
    } else {
        "under the hypervisor"
    };
    println!("{title}: {place}, loaded at {:#x}", entry::image().0);
    let mut tally = Tally::default();
    for check in groups.iter().copied().flatten() {
        let name = name(check);
        if name.as_str().contains(only) {
            verdict(check, &name, native, &mut tally);
        }
    }
    println!(
        "{title}: {} passed, {} failed, {} ignored",
        tally.passed, tally.failed, tally.ignored
    );
    smccc::system_off()
}

fn name(check: &Check) -> Text<80> {
    let module = check
        .module
        .split_once("::")
        .map_or("", |(_, module)| module);
    Text::format(format_args!("{module}::{}", check.name))
}

fn verdict(check: &Check, name: &Text<80>, native: bool, tally: &mut Tally) {
    if !check.speaks {
        print!("test {name} ... ");
    }
    let result = match check.native {
        Native::Ignored(why) if native => Err(Unmet::Ignored(why)),
        _ => {
            reset();
            attempt(check)
        }
    };
    reset();
    if check.speaks {
        print!("test {name} ... ");
    }
    match result {
        Ok(()) => {
            tally.passed += 1;
            println!("ok");
        }
        Err(Unmet::Ignored(why)) => {
            tally.ignored += 1;
            println!("ignored: {why}");
        }
        Err(Unmet::Failed { reason, file, line }) => {
            tally.failed += 1;
            println!("FAILED: {reason} ({file}:{line})");
        }
    }
}

fn attempt(check: &Check) -> TestResult {
    trap::guard(check.run).unwrap_or_else(|fault| {
        let base = entry::image().0;
        crate::fail!(
            "unexpected exception: ESR {:#x} ELR {:#x} (image + {:#x}) FAR {:#x}",
            fault.esr,
            fault.elr,
            fault.elr.wrapping_sub(base),
            fault.far
        )
    })
}

/// Brings the machine back to where every check starts: interrupts masked, devices quiet.
fn reset() {
    irq::mask();
    for timer in [timer::Timer::Virtual, timer::Timer::Physical] {
        timer.set_ctl(0);
    }
    console::init();
    gic::reset();
    irq::reset();
    msr!("CPACR_EL1", mrs!("CPACR_EL1") & !(3 << 20) | 3 << 20);
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("panic: {info}");
    smccc::system_off()
}
