//! What is typed on the machine's console: to the guest in front, or, after the escape key, to the
//! hypervisor's own command line.

use super::{
    Vm,
    gic::{Here, HostLists, on_lists},
    vcpu::Vcpu,
};
use crate::{
    dev::console::{self, Input},
    sync::{Rank, SpinLock},
};
use alloc::{
    string::String,
    sync::{Arc, Weak},
};

/// The key that leads to the hypervisor's command line, and back: Ctrl-].
pub const ESCAPE: u8 = 0x1d;

/// What the command line asks with.
pub const PROMPT: &str = "entresol> ";

/// Who reads the console.
struct Desk {
    /// The VM that gets what is typed.
    reader: SpinLock<Weak<Vm>>,
    command: SpinLock<CommandLine>,
}

impl Desk {
    const fn new() -> Self {
        Self {
            reader: SpinLock::new(Rank::Reader, Weak::new()),
            command: SpinLock::new(
                Rank::Command,
                CommandLine {
                    open: false,
                    line: String::new(),
                    entered: false,
                },
            ),
        }
    }
}

/// Returns who reads the console.
#[cfg(target_os = "none")]
fn desk() -> &'static Desk {
    static DESK: Desk = Desk::new();
    &DESK
}

/// Returns who reads this thread's console: each has a machine of its own.
#[cfg(not(target_os = "none"))]
fn desk() -> &'static Desk {
    std::thread_local! {
        static DESK: &'static Desk = alloc::boxed::Box::leak(alloc::boxed::Box::new(Desk::new()));
    }
    DESK.with(|desk| *desk)
}

struct CommandLine {
    /// Whether what is typed is a command.
    open: bool,
    line: String,
    /// Whether the line is a whole command, which nobody has taken yet.
    entered: bool,
}

/// The longest command.
const LONGEST: usize = 80;

/// Brings a VM to the front: it gets the input from now on.
pub fn give_to(vm: &Arc<Vm>, raw: bool) {
    *desk().reader.lock() = Arc::downgrade(vm);
    console::bring_to_front(&vm.port, raw);
}

/// Returns the VM in front.
pub fn reader() -> Option<Arc<Vm>> {
    desk().reader.lock().upgrade()
}

/// Takes a command that was entered.
pub fn take_command() -> Option<String> {
    let mut command = desk().command.lock();
    if !command.entered {
        return None;
    }
    command.entered = false;
    Some(core::mem::take(&mut command.line))
}

/// Returns whether a command waits to be taken.
pub fn has_command() -> bool {
    desk().command.lock().entered
}

/// Ends the command line: what is typed is the guest's again.
pub fn close_command_line() {
    desk().command.lock().open = false;
}

impl CommandLine {
    /// Takes one key; returns false for one that is the guest's.
    fn take(&mut self, byte: u8, input: &mut Input<'_>) -> bool {
        if byte == ESCAPE {
            self.open = !self.open;
            self.line.clear();
            let text = if self.open {
                "[entresol] commands; help lists them, an empty line goes back\n"
            } else {
                "\n"
            };
            input.echo(text);
            if self.open {
                input.echo(PROMPT);
            }
            return true;
        }
        if !self.open {
            return false;
        }
        const BACKSPACE: u8 = 0x08;
        const DELETE: u8 = 0x7f;
        match byte {
            b'\r' | b'\n' => {
                input.echo("\n");
                self.entered = true;
            }
            BACKSPACE | DELETE if self.line.pop().is_some() => input.echo("\u{8} \u{8}"),
            b' '..=b'~' if self.line.len() < LONGEST => {
                self.line.push(byte.into());
                input.echo(&self.line[self.line.len() - 1..]);
            }
            _ => {}
        }
        true
    }
}

/// Moves what was typed to whom it is for. As far as the guest's UART has no room, the rest waits
/// in the console's own FIFO, without interrupts, until the guest has read. `here` is the vCPU
/// loaded on this CPU, if any.
pub fn receive(here: Option<&mut Vcpu>) {
    let Some(vm) = reader() else {
        // What is typed without a reader is lost, as on a machine that is off.
        return console::receive(|input| sort(input, || true, |_| {}));
    };
    let line = {
        let uart = core::cell::RefCell::new(vm.uart.lock());
        console::receive(|input| {
            sort(
                input,
                || uart.borrow().has_room(),
                |byte| {
                    uart.borrow_mut().receive(byte);
                },
            )
        });
        uart.into_inner().line()
    };
    let intid = vm.map.uart.intid();
    match here {
        Some(vcpu) if Arc::ptr_eq(&vcpu.vm, &vm) => vcpu.set_line(intid, line),
        _ => {
            let mut lists = HostLists::probe(vm.host.gic);
            let kicks = on_lists!(lists, lists => {
                vm.gic.lock().set_level(&mut Here::nobody(lists), 0, intid, line)
            });
            vm.kick(kicks);
        }
    }
}

/// Reads keys for the command line and the guest; false when the guest has no room for more.
fn sort(input: &mut Input<'_>, has_room: impl Fn() -> bool, mut give: impl FnMut(u8)) -> bool {
    let mut command = desk().command.lock();
    loop {
        if command.entered {
            // The next keys wait for what the command does.
            return false;
        }
        if !command.open && !has_room() {
            return false;
        }
        let Some(byte) = input.next_byte() else {
            return true;
        };
        if !command.take(byte, input) {
            give(byte);
        }
    }
}
