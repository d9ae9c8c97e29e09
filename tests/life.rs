//! VMs as they come and go beside others, and where their vCPUs go.

mod support;

use std::process::Command;

use support::{BOOT, Bundle, Qemu, Run, Scratch};

/// The key that leads to the hypervisor's commands.
const ESCAPE: &str = "\x1d";

fn small(name: &str, program: &str, more: &str) -> String {
    format!("[vm.{name}]\nkernel = \"{program}.img\"\nmemory = \"16M\"\n{more}\n")
}

fn bundle(vms: &str) -> Bundle {
    let mut bundle = Bundle::new().vms_toml(vms);
    for program in ["beacon", "maps"] {
        bundle = bundle.file(&format!("{program}.img"), support::guest(program));
    }
    bundle
}

fn ends_well(run: &mut Run) {
    run.wait_for("[entresol] no guest is left: powering off", BOOT);
    assert!(run.wait_exit(BOOT).success());
    assert!(!run.log().contains("fatal"), "{}", run.log());
}

/// The number before a word of a line.
fn number(line: &str, word: &str) -> u64 {
    let before = line.split(word).next().unwrap_or_default();
    let number = before.split_whitespace().next_back();
    let number = number.and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no number before {word:?} in {line:?}"))
}

/// Runs a guest whose timer fires a hundred times a second beside one that resets as often as it is
/// started; returns how late the timer was at most, in microseconds, and how often the other started.
fn beside_one_that_resets(memory: &str) -> (u64, usize) {
    let vms = small("clock", "beacon", "bootargs = \"ticks=300\"")
        + &format!(
            "[vm.loop]\nkernel = \"beacon.img\"\nbootargs = \"reset\"\nbackground = true\n\
             memory = \"{memory}\"\n"
        );
    let mut run = Qemu::virt().icount().bundle(&bundle(&vms)).start();
    let line = run.wait_for("beacon: 300 ticks", BOOT);
    ends_well(&mut run);
    let starts = run.log().matches("loop: starts anew").count();
    (number(&line, " us late"), starts)
}

/// Nothing here is left to chance: QEMU counts instructions.
#[test]
fn a_vm_that_resets_again_and_again_is_no_burden() {
    let (late, starts) = beside_one_that_resets("64M");
    assert!((5..=9).contains(&starts), "started {starts} times");
    assert!(late <= 6000, "{late} us late");
}

#[test]
fn the_console_answers_while_a_vm_is_made() {
    let vms = small("one", "beacon", "") + &small("two", "beacon", "").replace("16M", "512M");
    let mut run = Qemu::virt().bundle(&bundle(&vms)).start();
    run.wait_for_all(&["[one] beacon: up 0", "[two] beacon: up 0"], BOOT);
    // What is typed at once is there before the VM is.
    run.send(&format!("{ESCAPE}restart two\rvms\r"));
    run.wait_for("two              starting: ", BOOT);
    run.wait_for("[two] beacon: up 0", BOOT);
    // Stopped before it was started: all it had is given back.
    run.send("restart two\rstop two\r");
    run.wait_for("[entresol] two: stopped before it was started", BOOT);
    run.send("start two\rstart two\r");
    run.wait_for("two is being started", BOOT);
    run.wait_for("[two] beacon: up 0", BOOT);
    run.send("start two\r");
    run.wait_for("two runs already", BOOT);
    run.send("restart two\rpoweroff\r");
    ends_well(&mut run);
}

/// With no file named: Linux, and a small guest that the machine does not stay on for.
#[test]
fn what_scripts_run_boots_ends_with_linux() {
    let folder = Scratch::folder("default");
    let archive = folder.path().join("bundle.cpio");
    let done = Command::new(support::root().join("scripts/bundle"))
        .arg(support::root().join("boards/qemu-virt/vms.toml"))
        .arg("-o")
        .arg(&archive)
        .env("CARGO_TARGET_DIR", support::root().join("target/image"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("Python is there");
    assert!(done.status.success(), "{done:?}");
    let mut run = Qemu::virt().initrd(archive).start();
    let events = ["[beacon] beacon: up ", "[linux] Guest is up", "/root # "];
    run.wait_for_all(&events, BOOT);
    run.send(&format!("{ESCAPE}console beacon\r\r"));
    run.wait_for("beacon is in front", BOOT);
    run.send("\r");
    run.wait_for("beacon: up ", BOOT);
    run.send(&format!("{ESCAPE}console linux\r\r"));
    run.send("poweroff\n");
    run.wait_for("[entresol] linux: powered off", BOOT);
    run.wait_for("only VMs in the background are left", BOOT);
    run.wait_for("[entresol] beacon: powered off", BOOT);
    ends_well(&mut run);
}

#[test]
fn a_vm_in_the_background_can_be_turned_off_from_within() {
    let vms = small(
        "back",
        "beacon",
        "bootargs = \"every=0\"\nbackground = true",
    ) + &small("front", "beacon", "");
    let mut run = Qemu::virt().cpus(2).bundle(&bundle(&vms)).start();
    run.wait_for_all(&["[back] beacon: up 0", "[front] beacon: up 0"], BOOT);
    run.send("off\r");
    run.wait_for("[entresol] back: powered off", BOOT);
    run.send("off\r");
    run.wait_for("[entresol] front: powered off", BOOT);
    ends_well(&mut run);
}

/// Moves two vCPUs about, each of which has tables of its own and forgets translations on its own CPU
/// only; returns how many reads went by an old one, of the one and of the other.
fn stale_reads(qemu: Qemu) -> (u64, u64) {
    let vms = small("maps", "maps", "cpus = 2\npin = [0, 0]");
    let mut run = qemu.cpus(2).bundle(&bundle(&vms)).start();
    let news = "of the other CPU's";
    run.wait_for(news, BOOT);
    run.send(ESCAPE);
    run.wait_for_prompt("entresol> ", BOOT);
    for (vcpu, cpu) in [
        (0, 1),
        (0, 0),
        (1, 1),
        (0, 1),
        (0, 0),
        (1, 0),
        (0, 1),
        (0, 0),
    ] {
        run.send(&format!("move maps {vcpu} {cpu}\r"));
        run.wait_for_prompt("entresol> ", BOOT);
        run.wait_for(news, BOOT);
        run.wait_for(news, BOOT);
    }
    run.send("\r");
    run.send("q");
    let line = run.wait_for("at the end", BOOT);
    ends_well(&mut run);
    (
        number(&line, " stale reads"),
        number(&line, " of the other"),
    )
}

/// QEMU forgets more than it must whenever a vCPU is loaded, so this can't show that something is
/// missing there; `src/vm/tests/switch.rs` has what is asked of the CPU.
#[test]
fn a_vcpu_never_meets_a_stale_translation() {
    for cpu in ["max", "cortex-a72"] {
        assert_eq!(stale_reads(Qemu::virt().cpu(cpu)), (0, 0), "{cpu}");
    }
}
