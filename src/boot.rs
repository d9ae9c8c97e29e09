//! Start-up, as one list: from the device tree to running guests.

pub mod arguments;
mod cpus;
pub use cpus::hand_over;
mod devices;
mod entropy;
pub mod guests;
mod memory;
pub mod restarts;
#[cfg(feature = "selftest")]
mod selftest;
mod tree;

use crate::{
    addr::{Pa, PaRange},
    board::Board,
    boot::arguments::Arguments,
    cpu::{timer, tlb, vhe},
    dev::console,
    error::Refusal,
    isa::descriptor::stage1::Regime,
    mem::stage1,
    vm::host::Host,
};
use alloc::sync::Arc;
use core::convert::Infallible;

/// Starts the hypervisor: `tree` is where the device tree is, `image` where the loader put us.
pub fn start(tree: u64, image: u64) -> ! {
    let image = memory::image(Pa::new(image));
    memory::adopt(image, vhe::current());
    let Err(refusal) = run(Pa::new(tree), image);
    stop(Pa::new(tree), &refusal)
}

/// Everything there is to do; returns only with a reason not to.
fn run(tree: Pa, image: PaRange) -> Result<Infallible, Refusal> {
    let (tree, tree_range) = tree::read(tree)?;
    let board = Board::from_fdt(&tree)?;
    devices::start_console(&board)?;
    log::info!("Entresol {} on {}", env!("CARGO_PKG_VERSION"), board.model);
    let arguments = Arguments::read(&board.chosen.bootargs)?;
    let regime = arguments.vhe.choose(vhe::Support::probe())?;
    let bundle = board.chosen.initrd;
    let frames = memory::take(&board, &[Some(image), Some(tree_range), bundle])?;
    stage1::enter_regime(regime).map_err(memory::refusal)?;
    let gic = devices::start_gic(&board, &cpus::affinities(&board))?;
    let firmware = devices::firmware(&board);
    let host = Arc::new(Host::probe(
        devices::interrupts(&board),
        gic,
        firmware,
        |ids| entropy::find(firmware, ids),
    ));
    tlb::invalidate_guests();
    cpus::start(&board, &host)?;
    stage1::drop_identity_map().map_err(memory::refusal)?;
    devices::report(&board, &host, &frames);
    #[cfg(feature = "selftest")]
    selftest::run(&board.chosen.bootargs)?;
    let config = guests::bundle(&board)?;
    let entropy = entropy::Source::new(&board.chosen.rng_seed, host.entropy);
    let time = devices::time_at_count_0(&board)?;
    let front = arguments.console.map(Into::into);
    let power = devices::power(&board)?;
    log::info!("ready to make VMs at count {}", timer::count());
    guests::start(config, &host, frames, entropy, power, time, front)?;
    console::enable_input();
    cpus::run(&host)
}

/// Where every CPU but the first comes to Rust.
pub fn start_secondary() -> ! {
    cpus::secondary()
}

/// Says why the hypervisor does not go on, and halts.
fn stop(tree: Pa, refusal: &Refusal) -> ! {
    devices::start_last_resort_console(tree);
    log::error!("{refusal}");
    crate::cpu::barrier::halt()
}

/// Says that the machine was started at EL1, where there is nothing to be done, and halts.
pub fn refuse_el1(tree: u64, image: u64) -> ! {
    let image = memory::image(Pa::new(image));
    memory::adopt(image, Regime::El2And0);
    if let Ok((tree, _)) = tree::read(Pa::new(tree))
        && let Ok(board) = Board::from_fdt(&tree)
    {
        // Without one, the last resort follows.
        let _ = devices::start_console(&board);
    }
    stop(
        Pa::new(tree),
        &crate::refuse!(
            "started at EL1, but a hypervisor needs EL2: start QEMU with -machine virt,virtualization=on"
        ),
    )
}

/// Prints to the console; the sink of [`crate::log`].
fn print(text: &str) {
    console::print(text);
}
