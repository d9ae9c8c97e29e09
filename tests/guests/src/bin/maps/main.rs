//! Two CPUs that change their own translation tables, by instructions that reach the own CPU's TLB
//! only, and never read by an old one: wherever the hypervisor runs them, side by side or in turns.
//!
//! The first maps an address to one page after the other, and reads it many times each; the second
//! has the same address mapped to a page of its own. Lines tell how many reads were wrong; what is
//! typed ends it.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "changes the tables it runs by")
)]

#[cfg(target_os = "none")]
guests::entry!(main);

#[cfg(target_os = "none")]
mod second;

#[cfg(target_os = "none")]
fn main() -> ! {
    use guests::println;
    use guests::rt::{console, smccc};

    console::init();
    if !second::start() {
        println!("maps: there is no second CPU");
        smccc::system_off();
    }
    let (rounds, stale) = views::change();
    let other = second::stale();
    println!("maps: {rounds} rounds, {stale} stale reads, {other} of the other CPU's, at the end");
    smccc::system_off()
}

#[cfg(target_os = "none")]
mod views {
    use core::arch::asm;
    use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use guests::println;
    use guests::rt::{
        console,
        mmu::{self, Table},
    };

    /// The GiB of the address whose mapping is changed.
    pub const GIB: usize = 6;
    /// The address.
    pub const ADDRESS: u64 = (GIB as u64) << 30;

    #[repr(C, align(4096))]
    pub struct Page(AtomicU64, [u64; 511]);

    impl Page {
        /// Makes a page that begins with a number.
        pub const fn new(number: u64) -> Self {
            Self(AtomicU64::new(number), [0; 511])
        }

        /// Returns its descriptor.
        pub fn descriptor(&self) -> u64 {
            self.0.as_ptr() as u64 | Table::RAM_PAGE
        }
    }

    static PAGES: [Page; 4] = [Page::new(1), Page::new(2), Page::new(3), Page::new(4)];
    static MIDDLE: Table = Table::new();
    static LAST: Table = Table::new();

    /// Reads what the address leads to.
    #[inline(always)]
    pub fn look() -> u64 {
        // SAFETY: whichever page is mapped, this is the word it begins with.
        unsafe { (ADDRESS as *const u64).read_volatile() }
    }

    /// Forgets the address on this CPU, by one of the instructions that do.
    fn forget(round: u64) {
        // SAFETY: invalidating the TLB loses nothing but time.
        unsafe {
            match round % 3 {
                0 => {
                    asm!("dsb nshst", "tlbi vae1, {}", "dsb nsh", "isb", in(reg) ADDRESS >> 12);
                }
                1 => {
                    asm!("dsb nshst", "tlbi vaale1, {}", "dsb nsh", "isb", in(reg) ADDRESS >> 12);
                }
                _ => asm!("dsb nshst", "tlbi vmalle1", "dsb nsh", "isb"),
            }
        }
    }

    /// How often the address is read between two changes: for some hundredths of a second.
    const READS: u64 = 300_000;
    /// Rounds between two lines.
    const NEWS: u64 = 20;

    /// Changes the mapping until something is typed; returns how often, and how many reads were wrong.
    pub fn change() -> (u64, u64) {
        mmu::LEVEL1.set(GIB, 0);
        forget(2);
        MIDDLE.set(0, LAST.address() | 3);
        mmu::LEVEL1.set(GIB, MIDDLE.address() | 3);
        let (mut rounds, mut stale) = (0, 0);
        while console::receive().is_none() {
            let index = (rounds % 4) as usize;
            LAST.set(0, 0);
            forget(rounds);
            LAST.set(0, PAGES[index].descriptor());
            let expected = PAGES[index].0.load(Relaxed);
            stale += (0..READS).filter(|_| look() != expected).count() as u64;
            rounds += 1;
            if rounds % NEWS == 0 {
                let other = super::second::stale();
                println!("maps: {rounds} rounds, {stale} stale reads, {other} of the other CPU's");
            }
        }
        (rounds, stale)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("maps runs at EL1 of an Arm machine: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
