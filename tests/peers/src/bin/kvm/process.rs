//! What the process does, from its start to its end.

use core::fmt::Write;
use core::panic::PanicInfo;

use super::linux::{self, Console, Error, power_off};
use super::vm::{self, Vcpu};

/// How long Linux gets to be done with what it put off while it started, in seconds: the guest's
/// numbers hold whatever any CPU executes.
const SETTLE: u64 = 20;

/// Where the process starts.
pub extern "C" fn start() -> ! {
    let made = linux::sleep(SETTLE).and_then(|()| vm::make());
    let started = made.and_then(|[first, second]| {
        linux::spawn(run, second)?;
        Ok(first)
    });
    match started {
        Ok(first) => run(first),
        Err(error) => end(error),
    }
}

fn run(vcpu: Vcpu) -> ! {
    match vcpu.run() {
        Ok(()) => power_off(),
        Err(error) => end(error),
    }
}

fn end(error: Error) -> ! {
    // The console never fails.
    let _ = writeln!(Console, "kvm: {error}");
    power_off()
}

#[panic_handler]
fn panic(why: &PanicInfo) -> ! {
    let _ = writeln!(Console, "kvm: {why}");
    power_off()
}
