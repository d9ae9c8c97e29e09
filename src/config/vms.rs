//! The list of VMs, `vms.toml`.
//!
//! ```toml
//! [vm.linux]
//! kernel   = "Image"           # the one key every VM needs
//! ramdisk  = "initrd.cpio.gz"
//! dtb      = "guest.dtb"       # merged with what the hypervisor says, instead of a generated one
//! bootargs = "console=ttyAMA0"
//! cpus     = 2                 # 1 to 64; 1 if left out
//! memory   = "512M"            # or "1G", "262144K", a number of bytes; 256M if left out
//! pin      = [0, 1]            # physical CPUs, one for each virtual one
//! load     = "0x80000"         # where in RAM a raw binary goes
//! aarch32  = false
//! weight   = 64                # its part of a CPU that it shares, 1 to 1024
//! on_reboot = "restart"        # or "stop"
//! on_crash  = "stop"           # or "restart"
//! ```

mod number;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::LIST;
use crate::error::Refusal;
use crate::refuse;
use crate::sched::{DEFAULT_WEIGHT, MAX_WEIGHT};
pub(super) use number::size;
use number::{Offset, Size};

/// The most virtual CPUs a VM may have.
pub const MAX_CPUS: u32 = 64;
/// The unit of a VM's RAM in bytes: the block size of its stage 2 tables.
pub const MEMORY_UNIT: u64 = 2 << 20;
/// The least RAM a VM may have, in bytes.
pub const MIN_MEMORY: u64 = 16 << 20;
/// The RAM a VM has if the list does not say, in bytes.
pub const DEFAULT_MEMORY: u64 = 256 << 20;
/// What follows a reset if the list does not say.
pub const DEFAULT_ON_REBOOT: Reaction = Reaction::Restart;
/// What follows a crash if the list does not say.
pub const DEFAULT_ON_CRASH: Reaction = Reaction::Stop;
/// The longest name of a VM.
pub const MAX_NAME: usize = 31;

/// One checked entry of the list; file names are not looked up yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VmTable {
    /// The kernel's file name.
    pub kernel: String,
    /// The ramdisk's file name.
    pub ramdisk: Option<String>,
    /// The device tree's file name.
    pub dtb: Option<String>,
    /// The kernel's arguments.
    pub bootargs: String,
    /// How many virtual CPUs.
    pub cpus: u32,
    /// How many bytes of RAM.
    pub memory: u64,
    /// The physical CPU for each virtual one; empty: any.
    pub pin: Vec<u32>,
    /// Where in RAM a raw binary goes, in bytes from the start.
    pub load: Option<u64>,
    /// Whether the kernel starts in AArch32 state.
    pub aarch32: bool,
    /// What it gets of a CPU in proportion to others.
    pub weight: u32,
    /// What follows when its guest asks for a reset.
    pub on_reboot: Reaction,
    /// What follows when it can't go on.
    pub on_crash: Reaction,
}

/// What follows when a VM ends in a way that its owner did not ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reaction {
    /// It starts anew from the bundle.
    Restart,
    /// It stays stopped.
    Stop,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [vm.NAME]")]
struct Table {
    kernel: Spanned<String>,
    ramdisk: Option<Spanned<String>>,
    dtb: Option<Spanned<String>>,
    bootargs: Option<Spanned<String>>,
    cpus: Option<Spanned<u32>>,
    memory: Option<Spanned<Size>>,
    pin: Option<Spanned<Vec<u32>>>,
    load: Option<Spanned<Offset>>,
    #[serde(default)]
    aarch32: bool,
    weight: Option<Spanned<u32>>,
    on_reboot: Option<Reaction>,
    on_crash: Option<Reaction>,
}

macro_rules! fault {
    ($value:expr, $($text:tt)*) => { Fault::at($value.span(), alloc::format!($($text)*)) };
}

/// A VM of the list: its name, and its table or what is wrong with it.
pub type Entry = (String, Result<VmTable, Refusal>);

/// Reads the list: the VMs in the order of the text.
///
/// A VM whose table has unknown keys or values out of bounds is refused by itself, as
/// `vms.toml:LINE:COLUMN: vm.NAME: what`.
///
/// # Errors
///
/// Refuses what is no TOML or no list of VMs, as `vms.toml:LINE:COLUMN: what`, and a list of
/// nothing.
pub fn parse(text: &str) -> Result<Vec<Entry>, Refusal> {
    let mut tables = tables(text).map_err(|fault| fault.place(text, ""))?;
    if tables.is_empty() {
        return Err(refuse!("{LIST}: no VMs: a [vm.NAME] table is needed"));
    }
    tables.sort_by_key(|(name, _)| name.span().start);
    let read = |(name, value): RawEntry<'_>| {
        let table = check_name(&name)
            .map_err(|fault| fault.place(text, ""))
            .and_then(|()| {
                let table = Table::deserialize(ValueDeserializer::from(value));
                let checked = table.map_err(Fault::from).and_then(Table::check);
                checked.map_err(|fault| fault.place(text, name.get_ref()))
            });
        (name.into_inner(), table)
    };
    Ok(tables.into_iter().map(read).collect())
}

/// A VM's name and what stands there, as the parser left it.
type RawEntry<'a> = (Spanned<String>, Spanned<DeValue<'a>>);

/// Returns the tables below `vm`, in any order.
fn tables(text: &str) -> Result<Vec<RawEntry<'_>>, Fault> {
    let root = DeTable::parse(text)?;
    let mut tables = vec![];
    for (key, value) in root.into_inner() {
        if key.get_ref() != "vm" {
            return Err(fault!(
                key,
                "unknown field `{}`, expected `vm`",
                key.get_ref()
            ));
        }
        let span = value.span();
        let DeValue::Table(vms) = value.into_inner() else {
            return Err(Fault::at(span, "expected tables [vm.NAME]".into()));
        };
        tables = vms
            .into_iter()
            .map(|(name, value)| {
                let span = name.span();
                (Spanned::new(span, name.into_inner().into_owned()), value)
            })
            .collect();
    }
    Ok(tables)
}

/// Something wrong at a place in the text.
struct Fault {
    at: usize,
    what: String,
}

impl Fault {
    fn at(span: Range<usize>, what: String) -> Self {
        Self {
            at: span.start,
            what,
        }
    }

    /// Makes a line for a person, with line and column counted from 1, columns in characters,
    /// and the VM's name if there is one.
    fn place(self, text: &str, vm: &str) -> Refusal {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        match vm {
            "" => refuse!("{LIST}:{line}:{column}: {}", self.what),
            vm => refuse!("{LIST}:{line}:{column}: vm.{vm}: {}", self.what),
        }
    }
}

impl From<toml::de::Error> for Fault {
    fn from(error: toml::de::Error) -> Self {
        // The parser may tell what it expected on lines of their own.
        let what = error.message().trim().replace('\n', ", ");
        Self::at(error.span().unwrap_or_default(), what)
    }
}

fn check_name(name: &Spanned<String>) -> Result<(), Fault> {
    let text = name.get_ref();
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
    if (1..=MAX_NAME).contains(&text.len()) && text.chars().all(allowed) {
        Ok(())
    } else {
        Err(fault!(
            name,
            "{text:?} is no name of a VM: 1 to {MAX_NAME} of a-z, 0-9, - and _"
        ))
    }
}

impl Table {
    fn check(self) -> Result<VmTable, Fault> {
        let cpus = check_cpus(self.cpus.as_ref())?;
        Ok(VmTable {
            kernel: file(self.kernel)?,
            ramdisk: self.ramdisk.map(file).transpose()?,
            dtb: self.dtb.map(file).transpose()?,
            bootargs: check_bootargs(self.bootargs)?,
            cpus,
            memory: check_memory(self.memory)?,
            pin: check_pin(self.pin, cpus)?,
            load: self.load.map(|load| load.into_inner().0),
            aarch32: self.aarch32,
            weight: check_weight(self.weight.as_ref())?,
            on_reboot: self.on_reboot.unwrap_or(DEFAULT_ON_REBOOT),
            on_crash: self.on_crash.unwrap_or(DEFAULT_ON_CRASH),
        })
    }
}

fn file(name: Spanned<String>) -> Result<String, Fault> {
    if name.get_ref().is_empty() {
        return Err(fault!(name, "an empty file name"));
    }
    Ok(name.into_inner())
}

fn check_bootargs(bootargs: Option<Spanned<String>>) -> Result<String, Fault> {
    match bootargs {
        // A device tree's strings end with one.
        Some(text) if text.get_ref().contains('\0') => Err(fault!(text, "a NUL in bootargs")),
        text => Ok(text.map(Spanned::into_inner).unwrap_or_default()),
    }
}

fn check_cpus(cpus: Option<&Spanned<u32>>) -> Result<u32, Fault> {
    match cpus {
        None => Ok(1),
        Some(cpus) if (1..=MAX_CPUS).contains(cpus.get_ref()) => Ok(*cpus.get_ref()),
        Some(cpus) => Err(fault!(
            cpus,
            "cpus is {}, but a VM has 1 to {MAX_CPUS}",
            cpus.get_ref()
        )),
    }
}

fn check_weight(weight: Option<&Spanned<u32>>) -> Result<u32, Fault> {
    match weight {
        None => Ok(DEFAULT_WEIGHT),
        Some(weight) if (1..=MAX_WEIGHT).contains(weight.get_ref()) => Ok(*weight.get_ref()),
        Some(weight) => Err(fault!(
            weight,
            "weight is {}, but a VM has 1 to {MAX_WEIGHT}",
            weight.get_ref()
        )),
    }
}

fn check_memory(memory: Option<Spanned<Size>>) -> Result<u64, Fault> {
    let Some(memory) = memory else {
        return Ok(DEFAULT_MEMORY);
    };
    let bytes = memory.get_ref().0;
    if bytes < MIN_MEMORY {
        Err(fault!(
            memory,
            "memory is {bytes} bytes, but a VM has at least 16M"
        ))
    } else if !bytes.is_multiple_of(MEMORY_UNIT) {
        Err(fault!(memory, "memory is {bytes} bytes, no multiple of 2M"))
    } else {
        Ok(bytes)
    }
}

fn check_pin(pin: Option<Spanned<Vec<u32>>>, cpus: u32) -> Result<Vec<u32>, Fault> {
    let Some(pin) = pin else {
        return Ok(vec![]);
    };
    let listed = pin.get_ref().len();
    if listed == cpus as usize {
        Ok(pin.into_inner())
    } else {
        Err(fault!(
            pin,
            "pin lists {listed} physical CPUs for {cpus} virtual ones"
        ))
    }
}

#[cfg(test)]
mod tests;
