//! Registers among VMs on one CPU: what is switched is held, and what is hidden does not leak.

mod support;

use std::path::Path;

use support::{BOOT, Bundle, Qemu, Run, vms};

/// The key that leads to the hypervisor's commands.
const ESCAPE: &str = "\x1d";

fn vm(name: &str, bootargs: &str, more: &str) -> String {
    format!(
        "[vm.{name}]\nkernel = \"registers.img\"\nmemory = \"32M\"\nbootargs = \"{bootargs}\"\n{more}"
    )
}

fn bundle(vms: &str) -> Bundle {
    Bundle::new()
        .vms_toml(vms)
        .file("registers.img", support::guest("registers"))
}

/// One VM that gives the CPU up in each of its rounds, and one that is always ready to run.
fn holders(rounds: u32) -> Bundle {
    let sleeper = format!("hold=sleep seed=1 rounds={rounds}");
    bundle(&(vm("sleeper", &sleeper, "") + &vm("spinner", "hold=spin seed=2", "")))
}

/// What a VM says of its registers.
struct Report {
    rounds: u64,
    registers: u64,
    held: u64,
    wrong: u64,
    line: String,
}

/// Waits for what a VM says after `since` bytes of the log.
fn report(run: &Run, vm: &str, since: usize) -> Report {
    let last = |log: &str| last_said(&log[since..], vm, "registers: ", "; end");
    run.wait_until(&format!("{vm} reports"), BOOT, |log| last(log).is_some());
    let line = last(&run.log()).unwrap_or_default();
    let before = |word: &str| number_before(&line, word);
    Report {
        rounds: before("rounds,"),
        registers: before("registers,"),
        held: before("held,"),
        wrong: before("wrong:"),
        line,
    }
}

/// Returns the last that a VM said from one text to another. Its lines may have come in pieces, with
/// others' between them.
fn last_said(log: &str, vm: &str, from: &str, to: &str) -> Option<String> {
    let said = vms::said_by(log, vm);
    let whole = said.get(..said.rfind(to)?)?;
    Some(whole.rsplit_once(from)?.1.to_owned())
}

/// Returns the number before a word.
fn number_before(line: &str, word: &str) -> u64 {
    let words: Vec<_> = line.split_whitespace().collect();
    let at = words.iter().position(|it| *it == word);
    at.and_then(|at| words[at.checked_sub(1)?].parse().ok())
        .unwrap_or_else(|| panic!("no number before {word} in {line}"))
}

/// Asks for the hypervisor's counts, and returns the last of a VM's: what but calls, registers,
/// devices, interrupts and waits made it exit.
fn other_exits(run: &mut Run, vm: &str) -> u64 {
    run.send(ESCAPE);
    run.wait_for_prompt("entresol> ", BOOT);
    run.send("stats\r");
    run.wait_for("vCPU", BOOT);
    let line = run.wait_for(&format!("{vm} "), BOOT);
    let count = line.split_whitespace().last().and_then(|n| n.parse().ok());
    count.unwrap_or_else(|| panic!("no count in {line}"))
}

fn power_off(mut run: Run) {
    run.send("poweroff\r");
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    assert!(!log.contains("fatal"), "{log}");
}

/// How often the CPU changes hands: half of it is to the VM that gives it up. Each costs QEMU its TLB,
/// so that 10,000 take a minute or more on a loaded machine.
const SWITCHES: u64 = 10_000;

/// Every register holds its value over so many switches.
fn all_hold(cpu: &str, options: &str, registers: u64) {
    let rounds = SWITCHES as u32 / 2 + SWITCHES as u32 / 20;
    let mut run = Qemu::virt()
        .cpu(cpu)
        .append(options)
        .bundle(&holders(rounds))
        .start();
    let sleeper = report(&run, "sleeper", 0);
    let spinner = report(&run, "spinner", 0);
    assert_eq!(sleeper.rounds, u64::from(rounds), "{}", sleeper.line);
    for Report {
        registers: count,
        held,
        wrong,
        line,
        ..
    } in [sleeper, spinner]
    {
        assert_eq!(wrong, 0, "{line}");
        assert!(count >= registers, "{line}");
        // A random value may be zero under a narrow mask, and QEMU keeps nothing in some registers.
        assert!(held + 9 >= count, "{line}");
    }
    // Its first use of an FP register after each load is such an exit.
    let loads = other_exits(&mut run, "sleeper");
    assert!(2 * loads >= SWITCHES, "{loads} loads in {rounds} rounds");
    power_off(run);
}

#[test]
fn all_hold_on_max() {
    all_hold("max", "vhe=off", 45);
}

#[test]
fn all_hold_on_max_with_vhe() {
    all_hold("max", "vhe=on", 45);
}

#[test]
fn all_hold_on_neoverse_n1() {
    all_hold("neoverse-n1", "vhe=off", 35);
}

#[test]
fn all_hold_on_neoverse_n1_with_vhe() {
    all_hold("neoverse-n1", "vhe=on", 35);
}

#[test]
fn all_hold_on_cortex_a72() {
    all_hold("cortex-a72", "", 34);
}

/// Starts the hypervisor that can be told to have a fault.
fn faulty(fault: &str, bundle: &Bundle) -> Run {
    let image: &Path = &support::selftest().image;
    Qemu::virt()
        .kernel(image)
        .append(&format!("selftest={fault}"))
        .bundle(bundle)
        .start()
}

/// A row without its restore is noticed, whichever it is: by its name.
#[test]
fn a_register_that_is_forgotten_is_noticed() {
    for register in ["TPIDR_EL0", "PAR_EL1", "CNTKCTL_EL1"] {
        let run = faulty(&format!("forget:{register}"), &holders(50));
        let sleeper = report(&run, "sleeper", 0);
        assert!(sleeper.wrong > 0, "{}", sleeper.line);
        assert!(
            sleeper.line.contains(&format!("wrong: {register}, round ")),
            "{}",
            sleeper.line
        );
    }
}

/// Lets one VM write every encoding of op0 2 and 3 and another read them, before and after; returns
/// how many changed for the other.
fn leaks(mut run: Run) -> (u64, String) {
    run.wait_for("registers: looked before; end", BOOT);
    run.send("x");
    let painted = |log: &str| last_said(log, "painter", "registers: painted ", "; end");
    run.wait_until("the painter painted", BOOT, |log| painted(log).is_some());
    let line = painted(&run.log()).unwrap_or_default();
    assert!(number_before(&line, "encodings,") > 60, "{line}");
    assert!(number_before(&line, "kept") > 30, "{line}");
    // The first look may have begun before.
    let since = run.log().len();
    let looks = |log: &str| {
        vms::said_by(&log[since..], "looker")
            .matches("; end")
            .count()
    };
    run.wait_until("two looks", BOOT, |log| looks(log) >= 2);
    let line = last_said(&run.log()[since..], "looker", "registers: looked ", "; end");
    let line = line.unwrap_or_default();
    assert!(number_before(&line, "encodings,") > 100, "{line}");
    (number_before(&line, "changed:"), line)
}

fn painter_and_looker() -> Bundle {
    bundle(&(vm("painter", "paint", "weight = 256\n") + &vm("looker", "look", "")))
}

fn nothing_leaks(cpu: &str, options: &str) {
    let qemu = Qemu::virt().cpu(cpu).append(options);
    let (changed, line) = leaks(qemu.bundle(&painter_and_looker()).start());
    assert_eq!(changed, 0, "{line}");
}

#[test]
fn nothing_leaks_on_max() {
    nothing_leaks("max", "vhe=off");
}

#[test]
fn nothing_leaks_on_neoverse_n1_with_vhe() {
    nothing_leaks("neoverse-n1", "vhe=on");
}

#[test]
fn nothing_leaks_on_cortex_a72() {
    nothing_leaks("cortex-a72", "");
}

#[test]
fn a_leak_is_noticed() {
    let (changed, line) = leaks(faulty("forget:TPIDR_EL0", &painter_and_looker()));
    assert!(changed > 0, "{line}");
}

/// The line by which the hypervisor tells of vCPUs that were replaced while they ran.
const MOVED: &str = " vCPUs were moved by export and import";

/// Again and again a vCPU goes on as another, with what was exported: no register notices.
#[test]
fn all_hold_in_vcpus_that_are_moved_by_export_and_import() {
    let mut run = faulty("remake-vcpu", &holders(600));
    run.wait_for(MOVED, BOOT);
    let moved = run.log().find(MOVED).unwrap_or_default();
    for vm in ["sleeper", "spinner"] {
        let Report { wrong, line, .. } = report(&run, vm, moved);
        assert_eq!(wrong, 0, "{line}");
    }
    assert!(!run.log().contains("not moved"), "{}", run.log());
}

/// The same under Linux, which boots to its shell meanwhile.
#[test]
fn linux_goes_on_in_vcpus_that_are_moved_by_export_and_import() {
    let linux = "[vm.linux]\nkernel = \"Image\"\nramdisk = \"initrd.cpio.gz\"\n\
                 bootargs = \"console=ttyAMA0\"\nmemory = \"256M\"\nweight = 512\n";
    let bundle = bundle(&(linux.to_owned() + &vm("spinner", "hold=spin seed=2", "")))
        .file("Image", support::cached("Image"))
        .file("initrd.cpio.gz", support::cached("initrd.cpio.gz"));
    let mut run = faulty("remake-vcpu", &bundle);
    run.wait_for(MOVED, BOOT);
    run.wait_for("Guest is up", BOOT);
    run.send("echo ans$((40+2))\n");
    run.wait_for("ans42", BOOT);
    let before = run.log().len();
    let Report { wrong, line, .. } = report(&run, "spinner", before);
    assert_eq!(wrong, 0, "{line}");
    let log = run.log();
    for complaint in ["fatal", "not moved", "BUG", "Oops", "Call trace"] {
        assert!(!log.contains(complaint), "{complaint:?} in:\n{log}");
    }
}
