//! Four SMP Linux guests under stress-ng on two CPUs, for as long as one likes, and a small one that
//! keeps time.
//!
//! `scripts/test soak` runs it; it is no part of what continuous integration runs.

mod support;

use std::fmt::Write as _;
use std::time::Duration;
use support::{BOOT, Bundle, Qemu, Run, vms};

const NAMES: [&str; 4] = ["lin0", "lin1", "lin2", "lin3"];

/// What stress-ng does on each, and what of it counts operations.
const STRESSORS: [&str; 3] = ["cpu", "timer", "switch"];

fn minutes() -> u64 {
    let given = std::env::var("ENTRESOL_SOAK_MINUTES").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(10)
}

fn bundle() -> Bundle {
    let small = "[vm.pulse]\nkernel = \"pulse.img\"\nmemory = \"16M\"\nbootargs = \"rest hz=20\"\n";
    let vms = NAMES.iter().fold(String::from(small), |mut all, name| {
        let _ = write!(
            all,
            "[vm.{name}]\nkernel = \"Image\"\nramdisk = \"initrd-stress.cpio.gz\"\n\
             memory = \"192M\"\ncpus = 2\nbootargs = \"console=ttyAMA0 quiet\"\n"
        );
        all
    });
    Bundle::new()
        .vms_toml(&vms)
        .file("pulse.img", support::guest("pulse"))
        .file("Image", support::cached("Image"))
        .file(
            "initrd-stress.cpio.gz",
            support::cached("initrd-stress.cpio.gz"),
        )
}

fn start_stress(run: &mut Run, name: &str) {
    vms::front_shell(run, name);
    let line = format!(
        "(stress-ng --cpu 2 --timer 1 --timer-freq 1000 --switch 1 --timeout {}m --metrics-brief; \
         echo stress''ed $?) 2>&1 | sed 's/.*/| &;/' &",
        minutes()
    );
    // sed holds each line back until there is another: this is the first of two.
    vms::ask(run, name, &line, "setting to a");
}

/// Returns what one VM did, or what is wrong with it.
fn verdict(run: &mut Run, name: &str) -> Result<String, String> {
    let said = vms::said_by(&run.log(), name);
    let operations = STRESSORS.map(|stressor| {
        let line = said.split(&format!("] {stressor} ")).nth(1);
        let number = line.and_then(|line| line.split_whitespace().next());
        let number = number.and_then(|text| text.parse().ok());
        (stressor, number.unwrap_or(0_u64))
    });
    vms::front_shell(run, name);
    // Both CPUs take interrupts of their timers still.
    let line = "echo CP''Us $(for n in 1 2; do taskset $n sleep 1 && echo up; done | wc -l)\\;";
    let alive = vms::ask(run, name, line, "CPUs ") == "CPUs 2";
    let complaints = vms::complaints(run, name);
    let mut line = format!("{name}: {}", if alive { "alive" } else { "a CPU is stuck" });
    for (stressor, number) in operations {
        let _ = write!(line, ", {stressor} {number}");
    }
    let clean = complaints == 0;
    let _ = match clean {
        true => write!(line, " bogo ops, its kernel complains of nothing"),
        false => write!(
            line,
            " bogo ops, its kernel complains in {complaints} lines"
        ),
    };
    let worked = operations.iter().all(|&(_, number)| number > 0);
    if alive && clean && worked && said.contains("| stressed 0;") {
        Ok(line)
    } else {
        Err(line)
    }
}

/// Gives a command that makes this VM, and waits until it is up.
fn make(run: &mut Run, verb: &str, name: &str) {
    vms::command(run, &format!("{verb} {name}"));
    run.wait_for(&format!("[entresol] vm.{name}: 192 MiB"), 2 * BOOT);
    run.send("\r");
    vms::front_shell(run, name);
}

/// Boots them one after the other: a loaded machine may be too slow for all at once.
fn start_all(run: &mut Run) {
    let made = NAMES.map(|name| format!("[entresol] vm.{name}: 192 MiB"));
    run.wait_for_all(&made.each_ref().map(String::as_str), 2 * BOOT);
    for name in &NAMES[1..] {
        vms::command(run, &format!("stop {name}"));
        run.wait_for(&format!("[entresol] {name}: powered off"), BOOT);
        run.send("\r");
    }
    vms::front_shell(run, NAMES[0]);
    NAMES[1..].iter().for_each(|name| make(run, "start", name));
}

#[test]
#[ignore = "takes ten minutes: scripts/test soak"]
fn four_smp_guests_on_two_cpus() {
    let mut run = Qemu::virt().cpus(2).bundle(&bundle()).start();
    start_all(&mut run);
    NAMES.iter().for_each(|name| start_stress(&mut run, name));
    let before = vms::memory(&mut run, "lin0").1;
    // Virtual time is the machine's, but four guests end what they began at different times.
    let patience = Duration::from_secs(60 * minutes() + 600);
    run.wait_until("the end of the stress", patience, |log| {
        NAMES
            .iter()
            .all(|name| vms::said_by(log, name).contains("| stressed "))
    });
    let verdicts = NAMES.map(|name| verdict(&mut run, name));
    let after = vms::memory(&mut run, "lin0").1;
    NAMES
        .iter()
        .for_each(|name| make(&mut run, "restart", name));
    let anew = vms::memory(&mut run, "lin0").1;
    println!(
        "soak: {} minutes, four guests of two vCPUs on two CPUs",
        minutes()
    );
    for Ok(line) | Err(line) in &verdicts {
        println!("soak: {line}");
    }
    let said = vms::pulses(&run.log(), "pulse");
    let well = said.iter().filter(|pulse| pulse.is_well()).count();
    let last = said.last().map_or(0, |pulse| pulse.seconds);
    println!(
        "soak: pulse: {last} s, {well} of {} lines without a lost interrupt",
        said.len()
    );
    println!("soak: memory before: {before:?}");
    println!("soak: after the stress: {after:?}; all started anew: {anew:?}");
    if verdicts.iter().any(Result::is_err) || well != said.len() {
        panic!("{}", run.log());
    }
    after.assert_as(before);
    anew.assert_as(before);
    vms::power_off(run);
}
