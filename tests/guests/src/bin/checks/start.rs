//! How the guest was started: the arm64 boot protocol.

use guests::rt::{entry, mmu};
use guests::{checks, expect, expect_eq, fdt, outcome::TestResult};

checks! {
    everywhere runs_at_el1;
    everywhere x0_is_the_device_tree;
    everywhere x1_to_x3_are_zero;
    everywhere exceptions_were_masked;
    everywhere mmu_and_cache_were_off;
    everywhere ram_holds_the_image;
    hypervisor("what the machine's RAM holds is not ours to say") ram_beyond_the_image_is_zero;
}

fn runs_at_el1() -> TestResult {
    expect_eq!(entry::state().current_el >> 2, 1);
    Ok(())
}

fn x0_is_the_device_tree() -> TestResult {
    let tree = entry::device_tree().unwrap_or(&[]);
    expect_eq!(fdt::word(tree, 0), Some(fdt::MAGIC));
    Ok(())
}

fn x1_to_x3_are_zero() -> TestResult {
    let [_, x1, x2, x3] = entry::state().x;
    expect_eq!([x1, x2, x3], [0; 3]);
    Ok(())
}

fn exceptions_were_masked() -> TestResult {
    expect_eq!(entry::state().daif, 0xf << 6);
    Ok(())
}

fn mmu_and_cache_were_off() -> TestResult {
    let (mmu, data_cache) = (1, 1 << 2);
    expect_eq!(entry::state().sctlr & (mmu | data_cache), 0);
    Ok(())
}

fn ram_holds_the_image() -> TestResult {
    let (ram, image) = (entry::ram(), entry::image());
    expect_eq!(ram.0, mmu::RAM_BASE);
    expect!(
        image.0 >= ram.0 && image.1 <= ram.1,
        "image {image:x?} outside RAM {ram:x?}"
    );
    Ok(())
}

/// Looks at eight bytes out of every 68 KiB, the device tree left out.
fn ram_beyond_the_image_is_zero() -> TestResult {
    let tree = entry::device_tree().unwrap_or(&[]).as_ptr_range();
    let tree = tree.start as u64..tree.end as u64;
    let end = entry::ram().1.min(mmu::RAM_BASE + (1 << 30));
    let mut address = entry::image().1;
    expect!(address < end);
    while address < end {
        if !(tree.start.saturating_sub(8)..tree.end).contains(&address) {
            // SAFETY: RAM that nothing of this program lies in, mapped as normal memory.
            let value = unsafe { (address as *const u64).read_volatile() };
            expect!(value == 0, "{value:#x} at {address:#x}");
        }
        address += 0x1_1000;
    }
    Ok(())
}
