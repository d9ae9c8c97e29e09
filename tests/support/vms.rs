//! Several VMs on one console: what each said, and how they are commanded.

use std::time::Duration;

use super::{BOOT, Run};

/// What the guest `pulse` says of itself every second.
#[derive(Debug)]
pub struct Pulse {
    /// How long it runs.
    pub seconds: u64,
    /// How much it did.
    pub rounds: u64,
    /// How many interrupts of its timer came, how many should have, how much was wrong, and how
    /// many interrupts were nobody's.
    rest: [u64; 4],
}

impl Pulse {
    /// Returns whether everything is as it should be.
    pub fn is_well(&self) -> bool {
        let [ticks, due, wrong, stray] = self.rest;
        ticks == due && wrong == 0 && stray == 0
    }

    /// Returns how long it runs, in seconds, to one of the hundred deadlines in each.
    pub fn time(&self) -> f64 {
        self.rest[1] as f64 / 100.0
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.find(|text| !text.is_empty())?.parse().ok();
        Some(Self {
            seconds: number()?,
            rounds: number()?,
            rest: [number()?, number()?, number()?, number()?],
        })
    }
}

/// Returns what a VM said: lines of the VM in front come in pieces when others speak meanwhile, so
/// they are put together, without their ends. Without a name, all that was said.
pub fn said_by(log: &str, name: &str) -> String {
    if name.is_empty() {
        return log.to_owned();
    }
    let prefix = format!("[{name}] ");
    let lines = log.lines().filter_map(|line| line.strip_prefix(&prefix));
    lines.map(|line| line.trim_end_matches('\r')).collect()
}

/// Returns what a VM with the guest `pulse` said of itself.
pub fn pulses(log: &str, name: &str) -> Vec<Pulse> {
    let said = said_by(log, name);
    let parts = said.split("pulse: ").skip(1);
    let whole = parts.filter_map(|part| Some(part.split_once(" stray")?.0));
    whole.filter_map(Pulse::parse).collect()
}

/// Lets Linux compare the sum of a file with what it was, sleep, and say how often it was the same.
pub const LINUX_WORK: &str = "head -c 200000 /dev/urandom > /tmp/$$; s=$(sha256sum < /tmp/$$); n=0; \
    while [ \"$(sha256sum < /tmp/$$)\" = \"$s\" ]; do n=$((n+1)); echo \"sums $n;\"; sleep 0.5; done; \
    echo su''ms are WRONG";

/// Brings a Linux VM's shell to the front, once the VM is up.
pub fn front_shell(run: &mut Run, name: &str) {
    let up = |log: &str| {
        let made = format!("[entresol] vm.{name}: ");
        let latest = log.rsplit(&made).next().unwrap_or(log);
        said_by(latest, name).contains("Guest is up")
    };
    run.wait_until(&format!("{name} is up"), 2 * BOOT, up);
    bring_to_front(run, name);
    // Its prompt may have come long ago: an answer shows that it listens.
    ask(run, name, "echo lis''tens\\;", "listens");
}

/// Brings a Linux VM to the front once it is up, and sets it to work in the background.
pub fn set_to_work(run: &mut Run, name: &str) {
    front_shell(run, name);
    ask(run, name, &format!("({LINUX_WORK}) &"), "sums 1");
}

/// Types a line to the VM in front, and returns its answer from `wanted` to the next semicolon.
pub fn ask(run: &mut Run, name: &str, line: &str, wanted: &str) -> String {
    let before = run.log().len();
    run.send(&format!("{line}\n"));
    let answer = |log: &str| {
        let said = said_by(&log[before..], name);
        let (answer, _) = said[said.find(wanted)?..].split_once(';')?;
        Some(answer.to_owned())
    };
    let what = format!("{name} answers {wanted:?}");
    run.wait_until(&what, 2 * BOOT, |log| answer(log).is_some());
    answer(&run.log()).unwrap_or_default()
}

/// Waits until the work of a Linux VM has found so many more sums right than in `before`.
pub fn linux_works(run: &Run, name: &str, before: &str, more: usize) {
    let sums = |log: &str| said_by(log, name).matches("sums ").count();
    let wanted = sums(before) + more;
    run.wait_until(&format!("{name} works on"), BOOT, |log| sums(log) >= wanted);
    assert!(!run.log().contains("sums are WRONG"), "{}", run.log());
}

/// Opens the hypervisor's command line.
pub fn open_commands(run: &mut Run) {
    run.send("\x1d");
    run.wait_for_prompt("entresol> ", BOOT);
}

/// Gives the hypervisor a command.
pub fn command(run: &mut Run, command: &str) {
    open_commands(run);
    run.send(&format!("{command}\r"));
}

/// Brings a VM to the front.
pub fn bring_to_front(run: &mut Run, name: &str) {
    command(run, &format!("console {name}"));
    run.wait_for(&format!("[entresol] {name} is in front"), BOOT);
}

/// What the hypervisor has of memory.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// How much no VM has, in KiB.
    pub free: u64,
    /// How much of EL2's heap is used, in bytes.
    pub heap: u64,
}

impl Memory {
    /// Asserts that nothing was lost since: no frame, and of the heap less than one line that a VM
    /// has begun to print. The heap may have had more in use before: what making a VM took.
    pub fn assert_as(self, before: Self) {
        let kept = self.free == before.free && self.heap < before.heap + 256;
        assert!(kept, "{before:?} became {self:?}");
    }
}

/// Asks for a VM's VMID, and for what memory there is.
pub fn memory(run: &mut Run, name: &str) -> (u64, Memory) {
    command(run, "vms");
    let line = run.wait_for(&format!(" {name} "), BOOT);
    let vmid = line.split_once("VMID ").map_or("", |(_, rest)| rest);
    let vmid = vmid.split(',').next().and_then(|text| text.parse().ok());
    let free = run.wait_for("free: ", BOOT);
    run.send("\r");
    let numbers = free.split(' ').filter_map(|text| text.parse().ok());
    let numbers: Vec<u64> = numbers.collect();
    let &[free, heap, _] = &numbers[..] else {
        panic!("no numbers in {free}");
    };
    let vmid = vmid.unwrap_or_else(|| panic!("no VMID in {line}"));
    (vmid, Memory { free, heap })
}

/// Lets Linux in front list what its kernel complained of, and returns how many lines there are.
pub fn complaints(run: &mut Run, name: &str) -> u64 {
    const COMPLAINTS: &str = "WARNING|BUG|stall|lockup|Call trace|nobody cared";
    let line = format!(
        "dmesg | grep -E -A 30 '{COMPLAINTS}'; echo complaint''s: $(dmesg | grep -cE '{COMPLAINTS}')\\;"
    );
    let answer = ask(run, name, &line, "complaints: ");
    let count = answer.rsplit(' ').next().and_then(|text| text.parse().ok());
    count.unwrap_or_else(|| panic!("no number in {answer}"))
}

/// Stops all VMs, and waits for the machine's end.
pub fn power_off(mut run: Run) {
    command(&mut run, "poweroff");
    run.wait_for("[entresol] no guest is left: powering off", BOOT);
    assert!(run.wait_exit(Duration::from_secs(60)).success());
    for complaint in ["fatal", "panicked"] {
        assert!(!run.log().contains(complaint), "{}", run.log());
    }
}
