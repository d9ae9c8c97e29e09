//! What several targets do with their input.

use entresol::{
    addr::Ipa,
    error::Refusal,
    vm::image::{Extent, Kernel, Layout, Source},
};

/// Asserts that a refusal is one line.
pub fn assert_line(Refusal(text): &Refusal) {
    assert!(!text.contains('\n'), "{text}");
}

/// Recognises a kernel, places it in 16 MiB of RAM, and checks that nothing goes anywhere else.
pub fn place(file: &[u8], load: Option<u64>) {
    if let Err(refusal) = try_place(file, load) {
        assert_line(&refusal);
    }
}

fn try_place(file: &[u8], load: Option<u64>) -> Result<(), Refusal> {
    let ram = Extent::new(Ipa::new(0x4000_0000), 16 << 20).expect("it does not wrap");
    let source = Source::open(file)?;
    let kernel = Kernel::identify(&source.head()?, source.size(), load)?;
    // Pages of 4 KiB and 64 KiB.
    kernel.check_cpu(0)?;
    let layout = Layout::plan(ram, &kernel, 4096, 4096)?;
    assert!(ram.contains(layout.kernel) && ram.contains(layout.tree));
    source.unpack(&kernel.pieces(), |at, part| {
        assert!(at + part.len() as u64 <= layout.kernel.size);
        Ok(())
    })
}
