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
//! background = false           # true: it is stopped when no other is left
//! on_reboot = "restart"        # or "stop"
//! on_crash  = "stop"           # or "restart"
//! ```

mod number;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::LIST;
use super::toml::{self, Fault, Placed, Table, Value};
use crate::error::Refusal;
use crate::refuse;
use crate::sched::{DEFAULT_WEIGHT, MAX_WEIGHT};
pub(super) use number::size;
use number::{offset, wanted};

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
    /// Whether the machine may be turned off while it runs.
    pub background: bool,
    /// What follows when its guest asks for a reset.
    pub on_reboot: Reaction,
    /// What follows when it can't go on.
    pub on_crash: Reaction,
}

/// What follows when a VM ends in a way that its owner did not ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// It starts anew from the bundle.
    Restart,
    /// It stays stopped.
    Stop,
}

macro_rules! fault {
    ($value:expr, $($text:tt)*) => { Fault::new($value.at, alloc::format!($($text)*)) };
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
    let tables = toml::parse(text)
        .and_then(tables)
        .map_err(|fault| place(fault, text, ""))?;
    if tables.is_empty() {
        return Err(refuse!("{LIST}: no VMs: a [vm.NAME] table is needed"));
    }
    let read = |(name, value): RawEntry| {
        let table = check_name(&name)
            .map_err(|fault| place(fault, text, ""))
            .and_then(|()| VmTable::read(value).map_err(|fault| place(fault, text, &name.value)));
        (name.value, table)
    };
    Ok(tables.into_iter().map(read).collect())
}

/// A VM's name and what stands there, as the parser left it.
type RawEntry = (Placed<String>, Placed<Value>);

/// Returns the tables below `vm`, in the order of the text.
fn tables(root: Table) -> Result<Vec<RawEntry>, Fault> {
    let mut tables = vec![];
    for (key, value) in root.entries {
        if key.value != "vm" {
            return Err(fault!(key, "unknown field `{}`, expected `vm`", key.value));
        }
        let Value::Table(vms) = value.value else {
            return Err(fault!(value, "expected tables [vm.NAME]"));
        };
        tables = vms.entries;
    }
    Ok(tables)
}

/// Makes a line for a person, with line and column counted from 1, columns in characters, and the
/// VM's name if there is one.
fn place(fault: Fault, text: &str, vm: &str) -> Refusal {
    let before = text.get(..fault.at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    match vm {
        "" => refuse!("{LIST}:{line}:{column}: {}", fault.what),
        vm => refuse!("{LIST}:{line}:{column}: vm.{vm}: {}", fault.what),
    }
}

fn check_name(name: &Placed<String>) -> Result<(), Fault> {
    let text = &name.value;
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

impl VmTable {
    fn read(value: Placed<Value>) -> Result<Self, Fault> {
        let at = value.at;
        let Value::Table(table) = value.value else {
            return Err(unexpected(&value, "a table [vm.NAME]"));
        };
        let mut vm = Self {
            kernel: String::new(),
            ramdisk: None,
            dtb: None,
            bootargs: String::new(),
            cpus: 1,
            memory: DEFAULT_MEMORY,
            pin: vec![],
            load: None,
            aarch32: false,
            weight: DEFAULT_WEIGHT,
            background: false,
            on_reboot: DEFAULT_ON_REBOOT,
            on_crash: DEFAULT_ON_CRASH,
        };
        let mut pin = None;
        for (key, value) in table.entries {
            match key.value.as_str() {
                "kernel" => vm.kernel = file(value)?,
                "ramdisk" => vm.ramdisk = Some(file(value)?),
                "dtb" => vm.dtb = Some(file(value)?),
                "bootargs" => vm.bootargs = bootargs(value)?,
                "cpus" => vm.cpus = number(&value, "cpus", MAX_CPUS)?,
                "memory" => vm.memory = memory(&value)?,
                "pin" => pin = Some(value),
                "load" => {
                    vm.load = Some(wanted(&value, "an offset such as \"0x80000\"", offset)?);
                }
                "aarch32" => vm.aarch32 = boolean(&value)?,
                "weight" => vm.weight = number(&value, "weight", MAX_WEIGHT)?,
                "background" => vm.background = boolean(&value)?,
                "on_reboot" => vm.on_reboot = reaction(&value)?,
                "on_crash" => vm.on_crash = reaction(&value)?,
                _ => return Err(unknown(&key)),
            }
        }
        if vm.kernel.is_empty() {
            return Err(Fault::new(at, "missing field `kernel`"));
        }
        if let Some(pin) = pin {
            vm.pin = pins(&pin, vm.cpus)?;
        }
        Ok(vm)
    }
}

fn unknown(key: &Placed<String>) -> Fault {
    fault!(
        key,
        "unknown field `{}`, expected one of `kernel`, `ramdisk`, `dtb`, `bootargs`, `cpus`, \
         `memory`, `pin`, `load`, `aarch32`, `weight`, `background`, `on_reboot`, `on_crash`",
        key.value
    )
}

fn unexpected(value: &Placed<Value>, expected: &str) -> Fault {
    let found = value.value.describe();
    fault!(value, "invalid type: {found}, expected {expected}")
}

fn text(value: Placed<Value>) -> Result<Placed<String>, Fault> {
    match value {
        Placed {
            at,
            value: Value::Text(value),
        } => Ok(Placed { at, value }),
        other => Err(unexpected(&other, "a string")),
    }
}

fn file(value: Placed<Value>) -> Result<String, Fault> {
    let name = text(value)?;
    if name.value.is_empty() {
        return Err(fault!(name, "an empty file name"));
    }
    Ok(name.value)
}

fn bootargs(value: Placed<Value>) -> Result<String, Fault> {
    let text = text(value)?;
    // A device tree's strings end with one.
    if text.value.contains('\0') {
        return Err(fault!(text, "a NUL in bootargs"));
    }
    Ok(text.value)
}

fn boolean(value: &Placed<Value>) -> Result<bool, Fault> {
    match value.value {
        Value::Boolean(value) => Ok(value),
        _ => Err(unexpected(value, "a boolean")),
    }
}

fn reaction(value: &Placed<Value>) -> Result<Reaction, Fault> {
    let Value::Text(text) = &value.value else {
        return Err(unexpected(value, "`restart` or `stop`"));
    };
    match text.as_str() {
        "restart" => Ok(Reaction::Restart),
        "stop" => Ok(Reaction::Stop),
        _ => Err(fault!(
            value,
            "unknown variant `{text}`, expected `restart` or `stop`"
        )),
    }
}

fn word(value: &Placed<Value>) -> Result<u32, Fault> {
    match value.value {
        Value::Integer(number) => u32::try_from(number)
            .map_err(|_| fault!(value, "invalid value: integer `{number}`, expected u32")),
        _ => Err(unexpected(value, "u32")),
    }
}

/// Reads a number from 1 up.
fn number(value: &Placed<Value>, name: &str, most: u32) -> Result<u32, Fault> {
    let number = word(value)?;
    if (1..=most).contains(&number) {
        return Ok(number);
    }
    Err(fault!(
        value,
        "{name} is {number}, but a VM has 1 to {most}"
    ))
}

fn memory(value: &Placed<Value>) -> Result<u64, Fault> {
    let bytes = wanted(value, "a size such as \"512M\"", size)?;
    if bytes < MIN_MEMORY {
        Err(fault!(
            value,
            "memory is {bytes} bytes, but a VM has at least 16M"
        ))
    } else if !bytes.is_multiple_of(MEMORY_UNIT) {
        Err(fault!(value, "memory is {bytes} bytes, no multiple of 2M"))
    } else {
        Ok(bytes)
    }
}

fn pins(value: &Placed<Value>, cpus: u32) -> Result<Vec<u32>, Fault> {
    let Value::Array(items) = &value.value else {
        return Err(unexpected(value, "a list of CPUs"));
    };
    let pins = items.iter().map(word).collect::<Result<Vec<_>, _>>()?;
    if pins.len() != cpus as usize {
        return Err(fault!(
            value,
            "pin lists {} physical CPUs for {cpus} virtual ones",
            pins.len()
        ));
    }
    Ok(pins)
}

#[cfg(test)]
mod tests;
