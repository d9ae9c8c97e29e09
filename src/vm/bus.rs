//! Loads and stores to devices: which device is at an address, and what it answers.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

use super::{
    gic::{Here, Kicks, lists::MemoryLists},
    input, interrupts,
    vcpu::Vcpu,
};
use crate::{
    addr::Ipa, bits::field, cpu::timer, dev::console, error::GuestError, isa::esr::Access,
};

/// Does a guest's access to a device.
///
/// # Errors
///
/// [`GuestError::ExternalAbort`] where there is none, or for an address that is not a multiple of
/// the access's size.
#[inline(always)]
pub(super) fn access(vcpu: &mut Vcpu, ipa: Ipa, access: Access) -> Result<(), GuestError> {
    let at = ipa.as_u64();
    if at & u64::from(access.size).wrapping_sub(1) != 0 {
        return Err(GuestError::ExternalAbort);
    }
    let map = vcpu.vm.map;
    let size = u32::from(access.size);
    if let Some(offset) = map.distributor(at) {
        return distributor(vcpu, offset, size, access);
    }
    if let Some(offset) = map.uart.offset_of(at) {
        return uart(vcpu, offset, access);
    }
    if let Some(offset) = map.redistributors(at, vcpu.vm.switches.len()) {
        return redistributors(vcpu, offset, size, access);
    }
    if let Some(offset) = map.rtc.offset_of(at) {
        return rtc(vcpu, offset, access);
    }
    if map.is_flash(at) {
        if !access.write {
            load(vcpu, access, u64::MAX);
        }
        return Ok(());
    }
    Err(GuestError::ExternalAbort)
}

/// Returns what a store writes, cut to its size.
#[inline(always)]
fn stored(vcpu: &Vcpu, access: Access) -> u64 {
    field(vcpu.frame.read(access.rt), 0, u32::from(access.size) << 3)
}

/// Puts what a load read into its register.
#[inline(always)]
fn load(vcpu: &mut Vcpu, access: Access, value: u64) {
    vcpu.frame.write(access.rt, access.extend(value));
}

#[inline(always)]
fn distributor(vcpu: &mut Vcpu, offset: u64, size: u32, access: Access) -> Result<(), GuestError> {
    let offset = offset as u32;
    if access.write {
        let value = stored(vcpu, access);
        write_distributor(vcpu, offset, size, value);
    } else {
        let value = match vcpu.lists.memory {
            None => vcpu.read_gic(|gic, here| gic.dist_read(here, offset, size)),
            Some(lists) => read_distributor_v2(vcpu, lists, offset, size),
        };
        load(vcpu, access, value);
    }
    Ok(())
}

/// Writes `size` bytes at an offset into the distributor, of whichever version it is.
#[inline(always)]
pub(super) fn write_distributor(vcpu: &mut Vcpu, offset: u32, size: u32, value: u64) {
    match vcpu.lists.memory {
        // As `with_gic` does, whose closure would be a call here: this is a frequent exit.
        None => {
            let here = &mut Here::new(vcpu.index, &mut vcpu.lists.system);
            let kicks = vcpu.vm.gic.lock().dist_write(here, offset, size, value);
            vcpu.vm.kick(kicks);
        }
        Some(lists) => write_distributor_v2(vcpu, lists, (offset, size), value),
    }
}

#[inline(never)]
fn write_distributor_v2(
    vcpu: &Vcpu,
    mut lists: MemoryLists,
    (offset, size): (u32, u32),
    value: u64,
) {
    let here = &mut Here::new(vcpu.index, &mut lists);
    let kicks = vcpu.vm.gic.lock().dist_v2_write(here, offset, size, value);
    vcpu.vm.kick(kicks);
}

/// Writes a GICv2's GICD_SGIR; returns who is to be told.
#[inline(always)]
pub(super) fn write_sgir(vcpu: &Vcpu, mut lists: MemoryLists, value: u64) -> Kicks {
    let here = &mut Here::new(vcpu.index, &mut lists);
    vcpu.vm.gic.lock().sgir(here, value as u32)
}

#[inline(never)]
fn read_distributor_v2(vcpu: &Vcpu, mut lists: MemoryLists, offset: u32, size: u32) -> u64 {
    let here = &mut Here::new(vcpu.index, &mut lists);
    interrupts::read(&vcpu.vm, here, |gic, here| {
        gic.dist_v2_read(here, offset, size)
    })
}

fn redistributors(
    vcpu: &mut Vcpu,
    offset: u64,
    size: u32,
    access: Access,
) -> Result<(), GuestError> {
    if access.write {
        let value = stored(vcpu, access);
        vcpu.with_gic(|gic, here| gic.redist_write(here, offset, size, value));
    } else {
        let value = vcpu.read_gic(|gic, here| gic.redist_read(here, offset, size));
        load(vcpu, access, value);
    }
    Ok(())
}

/// UARTFR, which is read again and again.
pub(super) const UART_FLAGS: u64 = 0x18;

/// The UART's registers are 16 or 8 bits wide and lie 4 bytes apart; wider loads read zeroes above.
#[inline(always)]
fn uart(vcpu: &mut Vcpu, offset: u64, access: Access) -> Result<(), GuestError> {
    if !access.write && offset == UART_FLAGS {
        let value = vcpu.vm.uart.lock().read(offset);
        load(vcpu, access, value.into());
        return Ok(());
    }
    changing_uart(vcpu, offset, access);
    Ok(())
}

/// Does an access that may change the UART's interrupt, or make room for input.
#[inline(never)]
fn changing_uart(vcpu: &mut Vcpu, offset: u64, access: Access) {
    let mut uart = vcpu.vm.uart.lock();
    let mut sent = None;
    let mut value = 0;
    if access.write {
        sent = uart.write(offset, stored(vcpu, access) as u32);
    } else {
        value = uart.read(offset).into();
    }
    let line = uart.line();
    drop(uart);
    if let Some(byte) = sent {
        vcpu.vm.port.put(byte);
    }
    if !access.write {
        load(vcpu, access, value);
    }
    if console::holds_input() {
        input::receive(Some(vcpu));
    } else {
        vcpu.set_uart_line(line);
    }
}

fn rtc(vcpu: &mut Vcpu, offset: u64, access: Access) -> Result<(), GuestError> {
    let now = vcpu.vm.host.seconds(timer::count());
    if access.write {
        let value = stored(vcpu, access) as u32;
        vcpu.vm.rtc.lock().write(offset, value, now);
    } else {
        let value = vcpu.vm.rtc.lock().read(offset, now);
        load(vcpu, access, value.into());
    }
    let line = vcpu.vm.rtc.lock().line();
    vcpu.set_line(vcpu.vm.map.rtc.intid(), line);
    Ok(())
}
