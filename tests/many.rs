//! Many VMs at once: what becomes of one does not show in the others.

mod support;

use support::{BOOT, Bundle, Qemu, Run, vms};
use vms::{LINUX_WORK, Pulse};

/// What a VM of the guest `pulse` is described by, but for its name.
const PULSE: &str = "kernel = \"pulse.img\"\nmemory = \"16M\"\n";

fn pulse(name: &str, more: &str) -> String {
    format!("[vm.{name}]\n{PULSE}{more}\n")
}

fn bundle(vms: &str) -> Bundle {
    Bundle::new()
        .vms_toml(vms)
        .file("pulse.img", support::guest("pulse"))
        .file("Image", support::cached("Image"))
        .file("initrd.cpio.gz", support::cached("initrd.cpio.gz"))
}

/// Asserts that these guests found nothing wrong, and waits until each has said so at least `seconds`
/// after it started, and after what it had said in `before`.
fn all_well(run: &Run, names: &[String], seconds: u64, before: &str) {
    let what = format!("{names:?} go on");
    run.wait_until(&what, BOOT, |log| {
        names.iter().all(|name| {
            let earlier = vms::pulses(before, name).len();
            let later = &vms::pulses(log, name)[earlier..];
            later.last().is_some_and(|pulse| pulse.seconds >= seconds)
        })
    });
    for name in names {
        let said = vms::pulses(&run.log(), name);
        assert!(said.iter().all(Pulse::is_well), "{name}: {said:#?}");
    }
}

/// How many rounds each of these did in a second, on average from this second of its own on.
fn speeds(log: &str, names: &[String], from: u64) -> Vec<f64> {
    let speed = |name: &String| {
        let said = vms::pulses(log, name);
        let first = said.iter().find(|pulse| pulse.seconds >= from);
        let (first, last) = first.zip(said.last()).expect("it said so before");
        (last.rounds - first.rounds) as f64 / (last.time() - first.time())
    };
    names.iter().map(speed).collect()
}

#[test]
fn sixteen_vms_live_on_two_cpus() {
    let names: Vec<_> = (0..16).map(|n| format!("p{n:02}")).collect();
    let vms = names
        .iter()
        .enumerate()
        .fold(String::new(), |all, (n, name)| {
            all + &pulse(name, &format!("bootargs = \"seed={n}\""))
        });
    let mut run = Qemu::virt().cpus(2).bundle(&bundle(&vms)).start();
    all_well(&run, &names, 5, "");
    // One is brought to the front and does what it is told.
    vms::bring_to_front(&mut run, "p07");
    run.send("o");
    run.wait_for("[entresol] p07: powered off", BOOT);
    let others: Vec<_> = names.into_iter().filter(|name| name != "p07").collect();
    all_well(&run, &others, 5, &run.log());
    vms::power_off(run);
}

/// Where time is instructions, so that nothing else on the machine shows.
#[test]
fn sixteen_vms_on_one_cpu_have_parts_by_weight() {
    let mut names: Vec<_> = (0..15).map(|n| format!("p{n:02}")).collect();
    let vms = names
        .iter()
        .fold(pulse("heavy", "weight = 128"), |all, name| {
            all + &pulse(name, "weight = 64")
        });
    names.push("heavy".into());
    let run = Qemu::virt().icount().bundle(&bundle(&vms)).start();
    all_well(&run, &names, 2, "");
    let speeds = speeds(&run.log(), &names, 1);
    let (heavy, others) = speeds.split_last().expect("there are 16");
    let mean = others.iter().sum::<f64>() / others.len() as f64;
    assert!(
        others
            .iter()
            .all(|speed| (0.9..1.1).contains(&(speed / mean))),
        "{speeds:?}"
    );
    assert!((1.9..2.1).contains(&(heavy / mean)), "{speeds:?}");
    println!("{speeds:.0?}");
    vms::power_off(run);
}

/// More restarts than there are VMIDs of 8 bits, which is what this CPU has.
#[test]
fn restarts_leave_nothing_behind() {
    let vms = pulse("steady", "bootargs = \"rest\"") + &pulse("again", "bootargs = \"rest\"");
    let qemu = Qemu::virt().cpu("cortex-a72").cpus(2);
    let mut run = qemu.bundle(&bundle(&vms)).start();
    let names = ["steady".into(), "again".into()];
    all_well(&run, &names, 1, "");
    let (first_vmid, before) = vms::memory(&mut run, "again");
    vms::open_commands(&mut run);
    for _ in 0..300 {
        run.send("restart again\r");
        run.wait_for("[entresol] again: starts anew", BOOT);
        run.wait_for("[entresol] vm.again: 16 MiB", BOOT);
    }
    run.send("\r");
    let (last_vmid, after) = vms::memory(&mut run, "again");
    after.assert_as(before);
    // 1 is still the other VM's when all have been given out once.
    assert_eq!(last_vmid, (first_vmid + 300) - 254);
    all_well(&run, &names, 1, &run.log());
    vms::power_off(run);
}

#[test]
fn crashes_and_resets_have_the_consequences_that_were_asked_for() {
    let rests = "bootargs = \"rest\"\n";
    let vms = pulse("steady", rests)
        + &pulse("comes-back", &format!("{rests}on_crash = \"restart\""))
        + &pulse("stays-down", rests)
        + &pulse("ends", &format!("{rests}on_reboot = \"stop\""));
    let mut run = Qemu::virt().cpus(2).icount().bundle(&bundle(&vms)).start();
    let all = ["steady", "comes-back", "stays-down", "ends"].map(String::from);
    all_well(&run, &all, 1, "");

    // The sixth crash within a minute is one too many.
    vms::bring_to_front(&mut run, "comes-back");
    for _ in 0..5 {
        run.send("c");
        run.wait_for(
            "comes-back: stopped: nothing is where its exception vectors",
            BOOT,
        );
        run.wait_for("[entresol] comes-back: starts anew", BOOT);
        // It listens once it speaks.
        all_well(&run, &all[1..2], 1, &run.log());
    }
    run.send("c");
    run.wait_for("comes-back: it keeps crashing", BOOT);
    run.wait_for("[entresol] comes-back: stays stopped", BOOT);
    // Its owner may know better.
    vms::command(&mut run, "start comes-back");
    run.wait_for("[entresol] vm.comes-back: 16 MiB", BOOT);
    run.send("\r");

    vms::bring_to_front(&mut run, "stays-down");
    run.send("c");
    run.wait_for("[entresol] stays-down: stays stopped", BOOT);
    vms::bring_to_front(&mut run, "ends");
    run.send("r");
    run.wait_for("[entresol] ends: stays stopped", BOOT);
    vms::bring_to_front(&mut run, "steady");
    run.send("r");
    run.wait_for("[entresol] steady: starts anew", BOOT);
    all_well(&run, &all[..2], 1, &run.log());
    vms::power_off(run);
}

/// Checks sums on both vCPUs while these are sent from CPU to CPU.
fn linux_is_moved_about(cpu: &str, gic: u32) {
    let vms = "[vm.linux]\nkernel = \"Image\"\nramdisk = \"initrd.cpio.gz\"\nmemory = \"128M\"\n\
               cpus = 2\nbootargs = \"console=ttyAMA0 quiet\"\n"
        .to_owned()
        + &pulse("steady", "");
    let qemu = Qemu::virt().cpu(cpu).gic(gic).cpus(3);
    let mut run = qemu.bundle(&bundle(&vms)).start();
    run.wait_for_all(&["Guest is up", "# "], BOOT);
    for n in [1, 2] {
        run.send(&format!(
            "taskset {n} sh -c '{}' &\n",
            LINUX_WORK.trim_end()
        ));
    }
    run.wait_for("sums 1;", BOOT);
    vms::open_commands(&mut run);
    for step in 0..60 {
        run.send(&format!("move linux {} {}\r", step % 2, step * 7 / 3 % 3));
        run.wait_for_prompt("entresol> ", BOOT);
        if step % 10 == 9 {
            vms::linux_works(&run, "linux", &run.log(), 2);
        }
    }
    run.send("move linux 0 2\rmove linux 1 0\r");
    (0..2).for_each(|_| _ = run.wait_for_prompt("entresol> ", BOOT));
    vms::linux_works(&run, "linux", &run.log(), 2);
    run.send("vms\r");
    let line = run.wait_for("* linux", BOOT);
    assert!(line.ends_with("on CPUs 2 0"), "{line}");
    run.send("\r");
    all_well(&run, &["steady".into()], 1, &run.log());
    assert_eq!(vms::complaints(&mut run, "linux"), 0, "{}", run.log());
    vms::power_off(run);
}

#[test]
fn linux_is_moved_about_with_gicv3() {
    linux_is_moved_about("max", 3);
}

#[test]
fn linux_is_moved_about_with_gicv2() {
    linux_is_moved_about("cortex-a72", 2);
}

/// Four Linux VMs and four others on two CPUs, of which one after another comes to grief.
#[test]
fn one_of_eight_fails_and_the_others_do_not_notice() {
    let linux: Vec<_> = (0..4).map(|n| format!("lin{n}")).collect();
    let bare: Vec<_> = (0..4).map(|n| format!("pulse{n}")).collect();
    let vms = linux
        .iter()
        .zip(&bare)
        .fold(String::new(), |all, (linux, bare)| {
            all + &format!(
                "[vm.{linux}]\nkernel = \"Image\"\nramdisk = \"initrd.cpio.gz\"\nmemory = \"96M\"\n\
             bootargs = \"console=ttyAMA0 quiet panic=1\"\n"
            ) + &pulse(bare, "bootargs = \"rest hz=20\"\non_crash = \"restart\"")
        });
    let mut run = Qemu::virt().cpus(2).bundle(&bundle(&vms)).start();
    for name in &linux {
        vms::set_to_work(&mut run, name);
    }
    let mut event = |what: &mut dyn FnMut(&mut Run)| {
        what(&mut run);
        let before = run.log();
        all_well(&run, &bare, 1, &before);
        for name in &linux {
            vms::linux_works(&run, name, &before, 1);
        }
    };
    // A kernel panics, and starts anew by its own reset.
    event(&mut |run| {
        vms::bring_to_front(run, "lin3");
        // Its shell is busy in the background only.
        run.send("echo c > /proc/sysrq-trigger\n");
        run.wait_for("[entresol] lin3: starts anew", BOOT);
        run.wait_for("[entresol] vm.lin3: 96 MiB", BOOT);
        vms::set_to_work(run, "lin3");
    });
    event(&mut |run| {
        vms::bring_to_front(run, "pulse1");
        run.send("c");
        run.wait_for("[entresol] pulse1: starts anew", BOOT);
    });
    event(&mut |run| {
        vms::bring_to_front(run, "pulse2");
        run.send("r");
        run.wait_for("[entresol] pulse2: starts anew", BOOT);
    });
    // One that spins with interrupts masked is heard of no more until it is started anew.
    let mut spinning = String::new();
    event(&mut |run| {
        vms::bring_to_front(run, "pulse3");
        run.send("s");
        let before = run.log();
        all_well(run, &bare[..3], 1, &before);
        for name in &linux {
            vms::linux_works(run, name, &before, 2);
        }
        spinning = run.log()[before.len()..].to_owned();
        vms::command(run, "restart pulse3");
        run.wait_for("[entresol] pulse3: starts anew", BOOT);
        run.send("\r");
    });
    assert!(vms::pulses(&spinning, "pulse3").len() <= 1, "{spinning}");
    vms::power_off(run);
}
