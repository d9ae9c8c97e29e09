//! Interrupts of the machine while a guest runs.

use super::fixture::*;
use crate::{
    cpu::{
        fake::{self, Event},
        switch::Next,
    },
    isa::gic::{icc, ich},
    vm::{fdt::VIRT, input},
};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

const GICD: u64 = 0x0800_0000;
const GICR_SGI: u64 = 0x080a_0000 + 0x1_0000;
const UART: u64 = VIRT.uart.base;
const CONSOLE: u32 = 40;

/// A guest that has turned its timers and its UART's interrupt on.
fn guest() -> Guest {
    let mut guest = Guest::new();
    guest.store(GICD, 4, 2);
    guest.store(GICR_SGI + 0x80, 4, u32::MAX.into());
    guest.store(GICR_SGI + 0x100, 4, 1 << 27 | 1 << 30);
    guest.store(GICD + 0x84, 4, u32::MAX.into());
    guest.store(GICD + 0x104, 4, 1 << 1);
    guest.store(UART + 0x2c, 4, 0x70);
    guest.store(UART + 0x38, 4, 0x50);
    take_log();
    guest
}

/// Returns what the CPU interface was asked, in order.
fn conversation() -> Vec<Event> {
    let of_the_interface = |event: &Event| {
        matches!(
            event,
            Event::Read(icc::IAR1_EL1)
                | Event::Write(icc::EOIR1_EL1, _)
                | Event::Write(icc::DIR_EL1, _)
        )
    };
    take_log().into_iter().filter(of_the_interface).collect()
}

/// Returns the list register that holds this virtual interrupt, with its number.
fn list_of(intid: u32) -> Option<(u8, u64)> {
    (0..)
        .zip(lists())
        .find(|(_, value)| value >> 62 != 0 && *value as u32 == intid)
}

/// The guest takes an interrupt and ends it, in one step.
fn guest_ends(intid: u32) {
    let (n, value) = list_of(intid).unwrap();
    poke(ich::lr_el2(n), value & !(0b11 << 62));
}

fn ends(guest: &mut Guest, intid: u32) {
    let next = guest.interrupt(intid);
    assert_eq!(next, Next::resume(&mut guest.vcpu.frame));
    let id = intid.into();
    assert_eq!(
        conversation(),
        [
            Event::Read(icc::IAR1_EL1),
            Event::Write(icc::EOIR1_EL1, id),
            Event::Write(icc::DIR_EL1, id),
        ]
    );
}

#[test]
fn a_timer_is_handed_over_and_left_active() {
    for (physical, guests) in [
        (INTERRUPTS.virtual_timer, 27),
        (INTERRUPTS.physical_timer, 30),
    ] {
        let mut guest = guest();
        let next = guest.interrupt(physical);
        assert_eq!(next, Next::resume(&mut guest.vcpu.frame));
        assert_eq!(
            conversation(),
            [
                Event::Read(icc::IAR1_EL1),
                Event::Write(icc::EOIR1_EL1, physical.into()),
            ],
            "the guest's own deactivation is the second step"
        );
        let (_, value) = list_of(guests).unwrap();
        assert_eq!(value >> 62, 0b01, "pending");
        assert_eq!(value >> 61 & 1, 1, "linked");
        assert_eq!(value >> 60 & 1, 1, "group 1");
        assert_eq!(value >> 32 & 0x1fff, u64::from(physical));
        assert_eq!(lists().iter().filter(|value| **value >> 62 != 0).count(), 1);

        guest_ends(guests);
        let _ = guest.interrupt(physical);
        assert!(list_of(guests).is_some(), "and again");
    }
}

#[test]
fn a_timer_the_guest_does_not_want_yet_waits() {
    let mut guest = guest();
    guest.store(GICR_SGI + 0x180, 4, 1 << 27);
    let _ = guest.interrupt(INTERRUPTS.virtual_timer);
    assert_eq!(list_of(27), None);
    take_log();
    guest.store(GICR_SGI + 0x100, 4, 1 << 27);
    // Enabling it asks the line anew: the physical interrupt is ended and fires if it is high.
    assert_eq!(conversation(), [Event::Write(icc::DIR_EL1, 20)]);
    assert_eq!(list_of(27), None);
}

#[test]
fn maintenance_is_the_hypervisors_own() {
    let mut guest = guest();
    ends(&mut guest, INTERRUPTS.maintenance);
    assert_eq!(lists(), [0; LISTS as usize]);
    assert_eq!(guest.vm.counters.strays.load(Ordering::Relaxed), 0);
}

#[test]
fn maintenance_gives_list_registers_to_those_that_wait() {
    let mut guest = guest();
    // SGIs 0 to 7 to itself: twice as many as there are list registers.
    guest.store(GICR_SGI + 0x100, 4, 0xff);
    guest.store(GICR_SGI + 0x200, 4, 0xff);
    let mut seen = 0_u32;
    for _ in 0..4 {
        for (n, value) in (0..).zip(lists()) {
            if value >> 62 != 0 {
                seen |= 1 << (value as u32);
                poke(ich::lr_el2(n), value & !(0b11 << 62));
            }
        }
        let _ = guest.interrupt(INTERRUPTS.maintenance);
    }
    assert_eq!(seen, 0xff, "none is lost");
}

#[test]
fn nothing_pending_is_nothing() {
    for intid in 1020..1024 {
        let mut guest = guest();
        let next = guest.interrupt(intid);
        assert_eq!(next, Next::resume(&mut guest.vcpu.frame));
        assert_eq!(conversation(), [Event::Read(icc::IAR1_EL1)]);
        assert_eq!(guest.vm.counters.strays.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn a_stray_is_ended_and_counted() {
    for intid in [0, 15, 27, 31, 32, 33, 41, 1019] {
        let mut guest = guest();
        ends(&mut guest, intid);
        assert_eq!(guest.vm.counters.strays.load(Ordering::Relaxed), 1);
        assert_eq!(lists(), [0; LISTS as usize], "it is not the guest's");
        assert!(take_lines()[0].contains(&alloc::format!("interrupt {intid} ")));
    }
}

#[test]
fn what_is_typed_comes_in_by_the_uart() {
    let mut guest = guest();
    fake::with(|cpu| cpu.port.typed.extend(*b"ls\n"));
    ends(&mut guest, CONSOLE);
    let (_, value) = list_of(33).unwrap();
    assert_eq!(value >> 62, 0b01, "pending");
    assert_eq!(value >> 61 & 1, 0, "no physical interrupt is behind it");
    for byte in *b"ls\n" {
        assert_eq!(guest.load(UART + 0x18, 4) >> 4 & 1, 0, "not empty");
        assert_eq!(guest.load(UART, 4), u64::from(byte));
    }
    assert_eq!(guest.load(UART + 0x18, 4) >> 4 & 1, 1, "empty");
    assert_eq!(list_of(33), None, "the line is low again");
    assert!(fake::with(|cpu| cpu.port.interrupts));
}

#[test]
fn input_without_an_interest_in_it_raises_nothing() {
    let mut guest = guest();
    guest.store(UART + 0x38, 4, 0);
    fake::with(|cpu| cpu.port.typed.push_back(b'x'));
    ends(&mut guest, CONSOLE);
    assert_eq!(list_of(33), None);
    assert_eq!(guest.load(UART, 4), u64::from(b'x'));
}

#[test]
fn a_full_uart_holds_input_back_and_loses_none() {
    let mut guest = guest();
    let text: Vec<u8> = (0..=200).filter(|&byte| byte != input::ESCAPE).collect();
    fake::with(|cpu| cpu.port.typed.extend(&text));
    ends(&mut guest, CONSOLE);
    assert_eq!(fake::with(|cpu| cpu.port.typed.len()), 200 - 32);
    assert!(
        !fake::with(|cpu| cpu.port.interrupts),
        "input would interrupt for ever"
    );
    assert_eq!(guest.load(UART + 0x18, 4) >> 6 & 1, 1, "full");
    let mut read = Vec::new();
    while guest.load(UART + 0x18, 4) >> 4 & 1 == 0 {
        read.push(guest.load(UART, 4) as u8);
        // More is typed meanwhile.
        if read.len() == 50 {
            fake::with(|cpu| cpu.port.typed.push_back(0xee));
        }
    }
    assert_eq!(read[..200], text);
    assert_eq!(read[200..], [0xee]);
    assert_eq!(guest.load(UART + 4, 4), 0, "no overrun");
    assert!(
        fake::with(|cpu| cpu.port.interrupts),
        "input is heard again"
    );
    assert_eq!(list_of(33), None);
}

#[test]
fn a_deactivation_by_name_ends_the_physical_interrupt_too() {
    let mut guest = guest();
    let _ = guest.interrupt(INTERRUPTS.virtual_timer);
    let (n, value) = list_of(27).unwrap();
    poke(ich::lr_el2(n), value & !(0b11 << 62) | 1 << 63);
    take_log();
    // ICACTIVER: the guest gives up an interrupt that it took.
    guest.store(GICR_SGI + 0x380, 4, 1 << 27);
    assert_eq!(conversation(), [Event::Write(icc::DIR_EL1, 20)]);
    assert_eq!(list_of(27), None);
}

/// What another vCPU has acknowledged is in a list register of its CPU, where nobody else sees it:
/// that CPU is asked, and answers at its next exit.
#[test]
fn a_read_tells_what_is_so_on_another_cpu_now() {
    const SPI: u32 = 41;
    const BIT: u64 = 1 << (SPI - 32);
    let mut guest = Guest::build(Build { cpus: 2, ..USUAL });
    guest.store(GICD, 4, 2);
    guest.store(GICD + 0x84, 4, u32::MAX.into());
    guest.store(GICD + 0x104, 4, BIT);
    guest.store(GICD + 0x6000 + u64::from(SPI) * 8, 8, 1);
    guest.store(GICD + 0x204, 4, BIT);
    let mut other = guest.another(1);
    let vm = guest.vm.clone();
    let is_active = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            another_cpu();
            other.load();
            let (n, value) = list_of(SPI).expect("it is delivered there");
            poke(ich::lr_el2(n), value ^ 0b11 << 62);
            is_active.wait();
            while !vm.take_ring(1) {
                std::thread::yield_now();
            }
            // Time enough for a reader that does not wait.
            (0..100_000).for_each(|_| std::thread::yield_now());
            other.sync_interrupts();
            other.put();
        });
        is_active.wait();
        assert_eq!(guest.load(GICD + 0x304, 4), BIT, "active");
        assert_eq!(guest.load(GICD + 0x204, 4), 0, "pending no more");
    });
}
