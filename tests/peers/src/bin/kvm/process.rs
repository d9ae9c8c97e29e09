//! What the process does, from its start to its end.

use core::fmt::Write;
use core::panic::PanicInfo;

use super::linux::{self, Console, Error, File, power_off};
use super::vm::{self, Vcpu};

/// How long Linux, and the second vCPU, get to be done with what they put off while they started,
/// in seconds: the guest's numbers hold whatever any CPU executes.
const SETTLE: u64 = 20;

/// Where the process starts.
pub extern "C" fn start() -> ! {
    match prepare() {
        Ok(first) => run((first, 0)),
        Err(error) => end(error),
    }
}

/// Makes the VM, of which the second vCPU runs, and waits to be turned on; returns the first.
fn prepare() -> Result<Vcpu, Error> {
    linux::seed_random_numbers()?;
    let [first, second] = vm::make()?;
    linux::spawn(run, (second, usize::from(!is_shared())))?;
    linux::sleep(SETTLE)?;
    Ok(first)
}

/// Returns whether both vCPUs run on the first CPU.
fn is_shared() -> bool {
    File::open(c"/shared", false).is_ok()
}

/// Runs a vCPU on a CPU until the guest turns itself off.
fn run((vcpu, cpu): (Vcpu, usize)) -> ! {
    match linux::pin(cpu).and_then(|()| vcpu.run()) {
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
