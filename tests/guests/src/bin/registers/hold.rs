//! A value of its own in every register, while others run.

use core::arch::asm;

use guests::println;
use guests::rt::{
    fp::{self, Vectors},
    gic,
    sysreg::wait_for_interrupt,
    timer::{ENABLE, IMASK, Timer, ticks},
    trap,
};

use super::table::{REGISTERS, Register};

const COUNT: usize = REGISTERS.len();

/// What the registers of a vCPU should hold.
struct Held {
    seed: u64,
    /// What was there at the start: what the program lives on.
    base: [u64; COUNT],
    present: [bool; COUNT],
    /// What they hold now.
    expected: [u64; COUNT],
    /// Which of them took every bit that they were given.
    kept: [bool; COUNT],
    vectors: Vectors,
    rounds: u64,
    wrong: u64,
    first_wrong: Option<Wrong>,
}

#[derive(Clone, Copy)]
struct Wrong {
    name: &'static str,
    round: u64,
    found: u64,
    expected: u64,
}

/// Gives the CPU up in each of so many rounds, tells, and sleeps.
pub fn sleep(seed: u64, rounds: u64) {
    let mut held = Held::new(seed);
    for timer in [Timer::Virtual, Timer::Physical] {
        gic::enable(timer.intid());
    }
    for round in 0..rounds {
        let timer = if round % 2 == 0 {
            Timer::Virtual
        } else {
            Timer::Physical
        };
        held.round(|stack| sleep_on(stack, timer));
        timer.set_ctl(0);
        // One that is left pending would end the next sleep before it starts.
        while let intid @ 0..gic::SPECIAL = gic::acknowledge() {
            gic::end(intid);
        }
    }
    held.tell();
    loop {
        wait_for_interrupt();
    }
}

/// Never gives the CPU up.
pub fn spin(seed: u64) {
    let mut held = Held::new(seed);
    loop {
        for _ in 0..100 {
            held.round(spin_on);
        }
        held.tell();
    }
}

/// Runs code with another stack pointer, and returns what that is afterwards.
macro_rules! on_stack {
    ($stack:expr, $($line:literal),*) => {{
        let after: u64;
        // SAFETY: interrupts are masked and nothing here uses the stack, which is as before at the
        // end.
        unsafe {
            asm!(
                "mov {kept}, sp", "mov sp, {stack}", $($line,)* "mov {after}, sp", "mov sp, {kept}",
                kept = out(reg) _, stack = in(reg) $stack, after = out(reg) after, out("x9") _,
                options(nostack)
            )
        }
        after
    }};
}

/// Sleeps until a timer of its own wakes it.
fn sleep_on(stack: u64, timer: Timer) -> Now {
    let when = timer.count() + ticks(500);
    timer.set_cval(when);
    timer.set_ctl(ENABLE);
    let stack = on_stack!(stack, "dsb sy", "wfi");
    let name = match timer {
        Timer::Virtual => "CNTV_CVAL_EL0",
        Timer::Physical => "CNTP_CVAL_EL0",
    };
    let control = timer.ctl() & (ENABLE | IMASK) == ENABLE;
    Now {
        stack,
        woken_by: Some((name, when)),
        control,
    }
}

fn spin_on(stack: u64) -> Now {
    Now {
        stack: on_stack!(stack, "mov x9, #20000", "2:", "subs x9, x9, #1", "b.ne 2b"),
        woken_by: None,
        control: true,
    }
}

/// What came back from giving the CPU up.
struct Now {
    stack: u64,
    /// A compare value that was changed for it, and its value.
    woken_by: Option<(&'static str, u64)>,
    /// Whether the timer's control was as it was left.
    control: bool,
}

impl Held {
    fn new(seed: u64) -> Self {
        let present = core::array::from_fn(|n| is_present(&REGISTERS[n]));
        let read = |n: usize| {
            if present[n] { (REGISTERS[n].read)() } else { 0 }
        };
        Self {
            seed,
            base: core::array::from_fn(read),
            present,
            expected: [0; COUNT],
            kept: [false; COUNT],
            vectors: Vectors([0; 32]),
            rounds: 0,
            wrong: 0,
            first_wrong: None,
        }
    }

    fn each(&self) -> impl Iterator<Item = (usize, &'static Register)> + use<> {
        let present = self.present;
        REGISTERS
            .iter()
            .enumerate()
            .filter(move |(n, _)| present[*n])
    }

    /// Returns the value of this VM, this round and a register.
    fn value(&self, n: usize) -> u64 {
        let mut z = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ (self.rounds << 8 | n as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 30).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Writes a part of the registers, gives the CPU up, and compares all.
    fn round(&mut self, give_way: impl FnOnce(u64) -> Now) {
        self.write();
        let stack = self.value(100);
        let now = give_way(stack);
        if let Some((name, value)) = now.woken_by
            && let Some(n) = REGISTERS.iter().position(|register| register.name == name)
        {
            self.expected[n] = value;
        }
        for (n, register) in self.each() {
            self.compare(register.name, (register.read)(), self.expected[n]);
        }
        self.compare("SP_EL1", now.stack, stack);
        self.compare("a timer's control", u64::from(now.control), 1);
        let found = fp::store();
        for (found, expected) in found.0.into_iter().zip(self.vectors.0) {
            self.compare("V", found as u64, expected as u64);
            self.compare("V", (found >> 64) as u64, (expected >> 64) as u64);
        }
        self.rounds += 1;
    }

    /// Gives new values to a quarter of the registers, at first to all: some of them cost QEMU its
    /// TLB.
    fn write(&mut self) {
        const PART: u64 = 4;
        let part = self.rounds % PART;
        if part == 0 {
            let half = |n| u128::from(self.value(n));
            self.vectors = Vectors(core::array::from_fn(|n| {
                half(200 + n) << 64 | half(300 + n)
            }));
            fp::load(&self.vectors);
        }
        for (n, register) in self.each() {
            if self.rounds == 0 || n as u64 % PART == part {
                let given = self.value(n) & register.mask;
                (register.write)(self.base[n] & !register.mask | given);
                self.expected[n] = (register.read)();
                self.kept[n] = given != 0 && self.expected[n] & register.mask == given;
            }
        }
    }

    fn compare(&mut self, name: &'static str, found: u64, expected: u64) {
        if found != expected {
            self.wrong += 1;
            self.first_wrong.get_or_insert(Wrong {
                name,
                round: self.rounds,
                found,
                expected,
            });
        }
    }

    fn tell(&self) {
        let (rounds, wrong) = (self.rounds, self.wrong);
        let kept = self.kept.iter().filter(|kept| **kept).count();
        let registers = self.each().count();
        let first = self.first_wrong.unwrap_or(Wrong {
            name: "none",
            round: 0,
            found: 0,
            expected: 0,
        });
        println!(
            "registers: {rounds} rounds, {registers} registers, {kept} held, {wrong} wrong: \
             {}, round {}, {:#x} for {:#x}; end",
            first.name, first.round, first.found, first.expected
        );
    }
}

/// Returns whether a register may be read and written.
fn is_present(register: &Register) -> bool {
    trap::catch(|| (register.write)((register.read)())).is_none()
}
