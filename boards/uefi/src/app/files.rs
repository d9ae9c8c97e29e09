//! The files beside the application, on the partition that it was started from.

#![expect(unsafe_code, reason = "pages become a slice")]

use alloc::format;
use alloc::string::{String, ToString};
use core::slice;

use entresol_uefi::machine::Place;
use entresol_uefi::memory::PAGE;
use entresol_uefi::{Refusal, refuse};
use uefi::boot::{self, AllocateType, MemoryType};
use uefi::proto::device_path::DeviceSubType;
use uefi::proto::device_path::media::FilePath;
use uefi::proto::loaded_image::LoadedImage;
use uefi::proto::media::file::{File, FileAttribute, FileMode, RegularFile};
use uefi::{CString16, Status};

/// Where the application is, and what it was told.
pub struct Own {
    /// Its folder, with a backslash at the end.
    folder: String,
    /// Its load options.
    pub options: String,
}

impl Own {
    /// Asks the firmware.
    ///
    /// # Errors
    ///
    /// Refuses when the firmware does not know.
    pub fn find() -> Result<Self, Refusal> {
        let image = boot::open_protocol_exclusive::<LoadedImage>(boot::image_handle())
            .map_err(|error| refuse!("UEFI does not say what was loaded: {error}"))?;
        let mut path = String::new();
        for node in image.file_path().iter().flat_map(|path| path.node_iter()) {
            if node.sub_type() == DeviceSubType::MEDIA_FILE_PATH
                && let Ok(part) = <&FilePath>::try_from(node)
                && let Ok(part) = part.path_name().to_cstring16()
            {
                path += "\\";
                path += &part.to_string();
            }
        }
        let folder = path.rsplit_once('\\').map_or("", |(folder, _)| folder);
        let options = image.load_options_as_cstr16().ok();
        Ok(Self {
            folder: format!("{}\\", folder.trim_start_matches('\\')),
            options: options.map(ToString::to_string).unwrap_or_default(),
        })
    }

    /// Returns the path of a file beside the application, from the partition's root.
    pub fn path(&self, name: &str) -> String {
        format!("\\{}{name}", self.folder.trim_start_matches('\\'))
    }

    /// Reads a file beside the application into pages of its own; `None` when it is not there.
    ///
    /// # Errors
    ///
    /// Refuses what can't be read.
    pub fn read(&self, name: &str) -> Result<Option<&'static [u8]>, Refusal> {
        let path = self.path(name);
        let bad = |what: &str, error: uefi::Error| refuse!("{path}: {what}: {error}");
        let name = CString16::try_from(path.as_str())
            .map_err(|_| refuse!("{path}: not a name that UEFI can have"))?;
        let mut volume = boot::get_image_file_system(boot::image_handle())
            .map_err(|error| bad("its partition can't be read", error))?;
        let opened = volume
            .open_volume()
            .and_then(|mut root| root.open(&name, FileMode::Read, FileAttribute::empty()));
        let file = match opened {
            Err(error) if error.status() == Status::NOT_FOUND => return Ok(None),
            opened => opened.map_err(|error| bad("it can't be opened", error))?,
        };
        let mut file = file
            .into_regular_file()
            .ok_or_else(|| refuse!("{path}: it is a folder"))?;
        contents(&mut file)
            .map(Some)
            .map_err(|error| bad("it can't be read", error))
    }
}

/// Reads a whole file.
fn contents(file: &mut RegularFile) -> uefi::Result<&'static [u8]> {
    file.set_position(RegularFile::END_OF_FILE)?;
    let size = file.get_position()? as usize;
    file.set_position(0)?;
    let place = pages(size)?;
    // SAFETY: the pages were just allocated, for good, and are nobody else's. Any bytes are bytes.
    let bytes = unsafe { slice::from_raw_parts_mut(place.start as *mut u8, size) };
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => return Err(Status::END_OF_FILE.into()),
            Ok(count) => read += count,
            Err(error) => return Err(error.status().into()),
        }
    }
    Ok(bytes)
}

/// Allocates whole pages that hold `size` bytes, for good.
pub fn pages(size: usize) -> uefi::Result<Place> {
    let count = size.div_ceil(PAGE as usize).max(1);
    let start = boot::allocate_pages(AllocateType::AnyPages, MemoryType::LOADER_DATA, count)?;
    let start = start.as_ptr().expose_provenance() as u64;
    Place::new(start, count as u64 * PAGE).ok_or_else(|| Status::OUT_OF_RESOURCES.into())
}
