//! From the firmware's call to the hypervisor, as one list.

#![expect(unsafe_code, reason = "leaves the firmware for good")]

use alloc::string::String;
use core::convert::Infallible;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use entresol_uefi::machine::Place;
use entresol_uefi::tree::Handover;
use entresol_uefi::{Refusal, arguments, memory, refuse};
use uefi::{Status, boot, entry, println};

use super::enter::{self, Image, Room};
use super::files::Own;
use super::firmware::{self, Description};

/// The guests, and the hypervisor's command line: files beside the application.
const BUNDLE: &str = "bundle.cpio";
const ARGUMENTS: &str = "cmdline.txt";

/// How long a message stays, where the firmware goes on to something that clears the screen.
const TIME_TO_READ: Duration = Duration::from_secs(5);

/// Whether boot services have been left, and with them the way to say anything.
static LEFT: AtomicBool = AtomicBool::new(false);

#[entry]
fn main() -> Status {
    let Err(refusal) = run();
    println!("[entresol] error: {refusal}");
    boot::stall(TIME_TO_READ);
    Status::LOAD_ERROR
}

/// Everything there is to do; returns only with a reason not to.
fn run() -> Result<Infallible, Refusal> {
    enter::check_level()?;
    let own = Own::find()?;
    let image = Image::load()?;
    let bundle = bundle(&own)?;
    let bootargs = bootargs(&own)?;
    let description = Description::find()?;
    for note in description.notes() {
        println!("[entresol] warning: {note}");
    }
    let seed = firmware::seed();
    let time_at_count_0 = firmware::time_at_count_0();
    let handover = |memory| Handover {
        memory,
        bundle: Some(bundle),
        bootargs: &bootargs,
        seed: &seed,
        time_at_count_0,
    };
    // Once for its size, and for what might be wrong with it.
    let size = description.tree(&handover(&[]))?.len();
    let room = Room::allocate(size)?;
    let masters = enter::Masters::new(description.segments());
    println!("[entresol] {}: starting the hypervisor", own.path(BUNDLE));
    LEFT.store(true, Ordering::Relaxed);
    // SAFETY: nothing of the firmware's is used from here on but memory that stays.
    let map = unsafe { boot::exit_boot_services(None) };
    let memory = memory::usable(firmware::entries(&map));
    core::mem::forget(map);
    match description.tree(&handover(&memory)) {
        Ok(tree) => enter::enter(&image, room.put(&tree), bundle, &masters),
        // It was fine a moment ago.
        Err(_) => enter::halt(),
    }
}

/// Reads the bundle.
fn bundle(own: &Own) -> Result<Place, Refusal> {
    let bytes = own.read(BUNDLE)?.ok_or_else(|| {
        refuse!(
            "no bundle: there is no {} (scripts/bundle makes it)",
            own.path(BUNDLE)
        )
    })?;
    let start = bytes.as_ptr().expose_provenance() as u64;
    Place::new(start, bytes.len() as u64).ok_or_else(|| refuse!("{} is empty", own.path(BUNDLE)))
}

/// Returns the hypervisor's command line: the load options, or else the file's first line.
fn bootargs(own: &Own) -> Result<String, Refusal> {
    let options = arguments::of_options(&own.options);
    if !options.is_empty() {
        return Ok(options.into());
    }
    let file = own.read(ARGUMENTS)?.unwrap_or_default();
    let text = str::from_utf8(file).map_err(|_| refuse!("{}: not UTF-8", own.path(ARGUMENTS)))?;
    Ok(text.lines().next().unwrap_or_default().trim().into())
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // A second panic, while this is said, says nothing.
    if !LEFT.swap(true, Ordering::Relaxed) {
        println!("[entresol] fatal: {info}");
    }
    enter::halt()
}
