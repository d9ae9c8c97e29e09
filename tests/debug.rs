//! Debug registers among VMs on one CPU, and a VM that the hypervisor debugs.

mod support;

use support::{BOOT, Bundle, Qemu, Run};

/// The key that leads to the hypervisor's commands.
const ESCAPE: &str = "\x1d";

const CPUS: [&str; 3] = ["max", "neoverse-n1", "cortex-a72"];

fn points(name: &str, bootargs: &str) -> String {
    format!("[vm.{name}]\nkernel = \"points.img\"\nmemory = \"32M\"\nbootargs = \"{bootargs}\"\n")
}

fn start(cpu: &str, vms: &str) -> Run {
    let bundle = Bundle::new()
        .vms_toml(vms)
        .file("points.img", support::guest("points"));
    Qemu::virt().cpu(cpu).bundle(&bundle).start()
}

/// Two VMs use all breakpoints and watchpoints, at different addresses, and give the CPU up to each
/// other and to a third, which uses none and is always ready to run: so each wait is a switch. The
/// third ends last, or not all of them were.
fn none_is_lost_and_none_is_anothers(cpu: &str, options: &str) {
    // Each speaks when the others have.
    let vms = points("one", "set=0 rounds=1000 wait=4000")
        + &points("two", "set=2 rounds=1000 wait=8000")
        + &points("three", "rounds=150000");
    let bundle = Bundle::new()
        .vms_toml(&vms)
        .file("points.img", support::guest("points"));
    let qemu = Qemu::virt().cpu(cpu).append(options).bundle(&bundle);
    let mut run = qemu.start();
    assert!(run.wait_exit(BOOT).success());
    let log = run.log();
    let done = |verdict: &str| -> Vec<u64> {
        let lines = log.lines().filter(|line| line.contains(verdict));
        lines.map(|line| number_after(line, "at", 10)).collect()
    };
    let last = done("points: 150000 rounds, 0 exceptions, 0 missing, 0 stray, done at ");
    // 6 breakpoints; 4 watchpoints, each for a store and a load.
    let users = done("points: 1000 rounds, 14000 exceptions, 0 missing, 0 stray, done at ");
    assert_eq!((last.len(), users.len()), (1, 2), "{log}");
    assert!(users.iter().all(|user| *user < last[0]), "{log}");
}

#[test]
fn none_is_lost_and_none_is_anothers_on_max() {
    none_is_lost_and_none_is_anothers("max", "");
}

#[test]
fn none_is_lost_and_none_is_anothers_with_vhe() {
    none_is_lost_and_none_is_anothers("max", "vhe=on");
}

#[test]
fn none_is_lost_and_none_is_anothers_on_neoverse_n1() {
    none_is_lost_and_none_is_anothers("neoverse-n1", "");
}

#[test]
fn none_is_lost_and_none_is_anothers_on_cortex_a72() {
    none_is_lost_and_none_is_anothers("cortex-a72", "");
}

/// In each of two Linux guests a debugger, by the kernel's ptrace, stops a process at all breakpoints
/// and watchpoints that the CPU has.
#[test]
fn two_debuggers_in_two_linux_guests_on_one_cpu() {
    let vm = |name, first| {
        format!(
            "[vm.{name}]\nkernel = \"Image\"\nramdisk = \"ramdisk\"\n\
             bootargs = \"console=ttyAMA0 quiet -- {first}\"\nmemory = \"256M\"\n"
        )
    };
    for cpu in ["max", "cortex-a72"] {
        let bundle = Bundle::new()
            .vms_toml(&(vm("one", 0) + &vm("two", 8)))
            .file("Image", support::cached("Image"))
            .file("ramdisk", support::linux_init("ptrace_init.rs"));
        let mut run = Qemu::virt().cpu(cpu).bundle(&bundle).start();
        for _ in 0..2 {
            let verdict = run.wait_for("PTRACE 6 breakpoints, 4 watchpoints, ", BOOT);
            assert!(verdict.ends_with("500 right, 0 wrong end"), "{verdict}");
        }
        assert!(run.wait_exit(BOOT).success());
    }
}

/// Returns the number after a word.
fn number_after(line: &str, word: &str, radix: u32) -> u64 {
    let mut words = line.split_whitespace().skip_while(|it| *it != word);
    words
        .nth(1)
        .and_then(|text| u64::from_str_radix(text.trim_start_matches("0x"), radix).ok())
        .unwrap_or_else(|| panic!("no {word} in {line}"))
}

/// From the hypervisor's console: stops a VM at an address, looks at its registers, steps, goes on,
/// watches a variable. The guest, which uses the same registers, finds what it wrote, and another
/// goes on with its own.
#[test]
fn a_vm_is_debugged_from_outside() {
    for cpu in CPUS {
        let vms = points("target", "target") + &points("other", "set=1 rounds=1000000");
        let mut run = start(cpu, &vms);
        let line = run.wait_for("points: instruction ", BOOT);
        let instruction = number_after(&line, "instruction", 16);
        let word = number_after(&line, "word", 16);
        run.wait_for("points: 0 stray end", BOOT);
        run.send(ESCAPE);
        run.wait_for_prompt("entresol> ", BOOT);
        let mut ask = |command: &str, answer: &str| {
            run.send(&format!("{command}\r"));
            run.wait_for(answer, BOOT);
        };
        ask("halt target", "target: stands still");
        let at = instruction + 8;
        ask(&format!("break target {at:#x}"), "break target");
        let stands = format!("target: vCPU 0 stands at {at:#x}: Breakpoint");
        ask("go target", &stands);
        ask("regs target", &format!("pc  {at:016x}"));
        ask(
            "step target",
            &format!("stands at {:#x}: Step", instruction + 12),
        );
        ask("go target", &stands);
        ask("go target", &stands);
        ask("clear target", "clear target");
        let second = word + 8;
        ask(&format!("watch target {second:#x} 8"), "watch target");
        // The store, and then the load.
        ask("go target", &format!("Watchpoint({second:x})"));
        ask("go target", &format!("Watchpoint({second:x})"));
        ask("step target", ": Step");
        ask("detach target", "detach target");
        ask("", "points: 0 stray end");
        run.send(ESCAPE);
        run.wait_for_prompt("entresol> ", BOOT);
        run.send("poweroff\r");
        assert!(run.wait_exit(BOOT).success());
        let log = run.log();
        assert!(!log.contains("fatal"), "{log}");
    }
}
