//! Start-up, as one list: from the device tree to running guests.

mod devices;
mod entropy;
mod guests;
mod memory;
mod tree;

use crate::{
    addr::{Pa, PaRange},
    board::Board,
    dev::console,
    error::Refusal,
    isa::descriptor::stage1::Regime,
    mem::stage1,
    vm::{host::Host, traps},
};
use alloc::sync::Arc;
use core::convert::Infallible;

/// Starts the hypervisor: `tree` is where the device tree is, `image` where the loader put us.
pub fn start(tree: u64, image: u64) -> ! {
    let image = memory::image(Pa::new(image));
    memory::adopt_map(image, Regime::El2);
    let Err(refusal) = run(Pa::new(tree), image);
    stop(Pa::new(tree), &refusal)
}

/// Everything there is to do; returns only with a reason not to.
fn run(tree: Pa, image: PaRange) -> Result<Infallible, Refusal> {
    let (tree, tree_range) = tree::read(tree)?;
    let board = Board::from_fdt(&tree)?;
    devices::start_console(&board)?;
    log::info!("Entresol {} on {}", env!("CARGO_PKG_VERSION"), board.model);
    let bundle = board.chosen.initrd;
    let mut frames = memory::take(&board, &[Some(image), Some(tree_range), bundle])?;
    stage1::drop_identity_map().map_err(memory::refusal)?;
    let redistributor = devices::start_gic(&board)?;
    let host = Arc::new(Host::probe(devices::interrupts(&board), redistributor));
    traps::configure_cpu(host.mode);
    crate::cpu::tlb::invalidate_guests();
    devices::report(&board, &host, &frames);
    let bundle = guests::bundle(&board)?;
    let mut entropy = entropy::Source::new(&board.chosen.rng_seed);
    let vm = guests::make(&bundle, &host, &mut frames, &mut entropy)?;
    console::enable_input();
    let ending = guests::run(vm);
    devices::end(&board, ending)
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
    memory::adopt_map(image, Regime::El2And0);
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
