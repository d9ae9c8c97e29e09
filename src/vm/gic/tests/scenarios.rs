//! Short stories with one point each.

use super::*;

const PENDING: u64 = 1 << 62;
const UART: u32 = 33;
const TIMER: u32 = 27;

fn hw(intid: u32) -> HwIntid {
    HwIntid::new(intid).unwrap()
}

#[test]
fn an_sgi_to_self_writes_one_list_register() {
    let (mut gic, mut cpus) = running(2, 4);
    let here = &mut Here::new(1, &mut cpus[1]);
    assert!(gic.sgi1r(here, 3 << 24 | 0b10).is_empty());
    assert_eq!(cpus[1].lr, [PENDING | 1 << 60 | 3, 0, 0, 0]);
    assert_eq!(cpus[1].iar(), Some(3));
    cpus[1].eoi(3);
    // Its list register is still its home, so the next one comes there again.
    let _ = gic.sgi1r(&mut Here::new(1, &mut cpus[1]), 3 << 24 | 0b10);
    assert_eq!(cpus[1].lr[0], PENDING | 1 << 60 | 3);
}

#[test]
fn sgis_find_their_targets_by_affinity() {
    let affinities = [0, 1, 0x11, 0x0100, 0x0203_0000, 0x0203_0001].map(Affinity::from_u32);
    let config = Config {
        affinities: &affinities,
        spis: 32,
        version: Version::V3,
        priority_bits: 5,
    };
    let mut gic = Gic::new(&config).unwrap();
    let mut cpu = Cpu::new(4);
    let here = &mut Here::nobody(&mut cpu);
    let mut hit = |from: usize, value: u64| {
        for vcpu in &mut gic.vcpus {
            vcpu.bank.pending = 0;
        }
        here.vcpu = from;
        let _ = gic.sgi1r(here, value | 5 << 24);
        gic.vcpus
            .iter()
            .map(|vcpu| u8::from(vcpu.bank.pending == 1 << 5))
            .collect::<Vec<_>>()
    };
    assert_eq!(hit(0, 0b11), [1, 1, 0, 0, 0, 0]);
    assert_eq!(hit(0, 0b11 | 1 << 44), [0, 0, 1, 0, 0, 0]);
    assert_eq!(hit(3, 0b11 | 1 << 16), [0, 0, 0, 1, 0, 0]);
    assert_eq!(hit(0, 0b11 | 2 << 48 | 3 << 32), [0, 0, 0, 0, 1, 1]);
    assert_eq!(hit(2, 1 << 40 | 0xff), [1, 1, 0, 1, 1, 1]);
    assert_eq!(hit(0, 0b11 | 9 << 48), [0; 6]);
}

#[test]
fn group_0_registers_raise_no_group_1_sgis() {
    let (mut gic, mut cpus) = running(1, 4);
    let here = &mut Here::new(0, &mut cpus[0]);
    let _ = gic.sgi0r(here, 1) | gic.asgi1r(here, 1);
    assert_eq!(here.lists.peek(), None);
    let _ = gic.redist_write(here, 0x1_0080, 4, 0xffff_fffe);
    let _ = gic.asgi1r(here, 1);
    assert_eq!(here.lists.peek(), Some((0, 0)));
}

#[test]
fn sixty_four_vcpus_and_all_the_others() {
    let (mut gic, mut cpus) = running(64, 4);
    let kicks = gic.sgi1r(&mut Here::new(63, &mut cpus[63]), 1 << 40 | 7 << 24);
    assert_eq!(kicks.bits(), u64::MAX >> 1);
    assert!(gic.sync(&mut Here::new(40, &mut cpus[40])).is_empty());
    assert_eq!(cpus[40].iar(), Some(7));
    assert_eq!(cpus[63].peek(), None);
}

#[test]
fn a_level_is_looked_at_again_after_its_end() {
    let (mut gic, mut cpus) = running(1, 4);
    let _ = gic.set_level(&mut Here::new(0, &mut cpus[0]), 0, UART, true);
    assert_eq!(cpus[0].iar(), Some(UART));
    cpus[0].eoi(UART);
    assert!(cpus[0].wants_maintenance());
    let _ = gic.maintenance(&mut Here::new(0, &mut cpus[0]));
    assert_eq!(cpus[0].iar(), Some(UART));
    // Served this time: the line falls while active, so that its end needs no exit.
    let _ = gic.set_level(&mut Here::new(0, &mut cpus[0]), 0, UART, false);
    cpus[0].eoi(UART);
    assert!(!cpus[0].wants_maintenance());
    assert_eq!(cpus[0].peek(), None);
}

#[test]
fn a_level_that_falls_unacknowledged_is_withdrawn() {
    let (mut gic, mut cpus) = running(1, 4);
    let here = &mut Here::new(0, &mut cpus[0]);
    let _ = gic.set_level(here, 0, UART, true);
    let _ = gic.set_level(here, 0, UART, false);
    assert_eq!(here.lists.peek(), None);
    assert!(!here.lists.wants_maintenance());
    // An edge stays.
    let _ = gic.pulse(here, 0, UART);
    let _ = gic.set_level(here, 0, UART, true);
    let _ = gic.set_level(here, 0, UART, false);
    assert_eq!(here.lists.peek(), Some((UART, 0)));
}

#[test]
fn the_guest_ends_the_physical_timer_itself() {
    let (mut gic, mut cpus) = running(1, 4);
    cpus[0].physical.insert(TIMER);
    let _ = gic.inject_hw(&mut Here::new(0, &mut cpus[0]), 0, TIMER, hw(TIMER));
    assert_eq!(cpus[0].lr[0], PENDING | 1 << 61 | 1 << 60 | 27 << 32 | 27);
    assert_eq!(cpus[0].iar(), Some(TIMER));
    cpus[0].eoi(TIMER);
    assert!(cpus[0].physical.is_empty() && !cpus[0].wants_maintenance());
    let _ = gic.put(&mut Here::new(0, &mut cpus[0]));
    assert_eq!(gic.hw_in_flight(0), 0);
}

#[test]
fn a_timer_found_low_is_withdrawn_and_deactivated() {
    let (mut gic, mut cpus) = running(1, 4);
    cpus[0].physical.insert(TIMER);
    let here = &mut Here::new(0, &mut cpus[0]);
    let _ = gic.inject_hw(here, 0, TIMER, hw(TIMER));
    let _ = gic.set_level(here, 0, TIMER, false);
    assert!(here.lists.physical.is_empty());
    assert_eq!(here.lists.lr, [0; 4]);
}

#[test]
fn a_timer_that_fires_disabled_is_resampled_when_enabled() {
    let (mut gic, mut cpus) = running(1, 4);
    let here = &mut Here::new(0, &mut cpus[0]);
    let _ = gic.redist_write(here, 0x1_0180, 4, 1 << TIMER);
    here.lists.physical.insert(TIMER);
    let _ = gic.inject_hw(here, 0, TIMER, hw(TIMER));
    assert_eq!(here.lists.lr, [0; 4]);
    assert_eq!(gic.hw_in_flight(0), 1 << TIMER);
    let _ = gic.redist_write(here, 0x1_0100, 4, 1 << TIMER);
    assert!(here.lists.physical.is_empty());
    assert_eq!(here.lists.lr, [0; 4]);
}

#[test]
fn a_timer_in_flight_moves_with_its_vcpu() {
    let (mut gic, mut cpus) = running(2, 4);
    cpus[0].physical.insert(TIMER);
    let _ = gic.inject_hw(&mut Here::new(0, &mut cpus[0]), 0, TIMER, hw(TIMER));
    assert_eq!(cpus[0].iar(), Some(TIMER));
    let _ = gic.put(&mut Here::new(0, &mut cpus[0]));
    assert_eq!(gic.hw_in_flight(0), 1 << TIMER);
    let _ = gic.put(&mut Here::new(1, &mut cpus[1]));
    cpus[1].physical.insert(TIMER);
    let _ = gic.load(&mut Here::new(0, &mut cpus[1]));
    cpus[1].eoi(TIMER);
    assert!(cpus[1].physical.is_empty());
}

#[test]
fn clearing_a_timer_active_deactivates_the_physical_one() {
    let (mut gic, mut cpus) = running(1, 4);
    cpus[0].physical.insert(TIMER);
    let _ = gic.inject_hw(&mut Here::new(0, &mut cpus[0]), 0, TIMER, hw(TIMER));
    assert_eq!(cpus[0].iar(), Some(TIMER));
    let _ = gic.redist_write(&mut Here::new(0, &mut cpus[0]), 0x1_0380, 4, 1 << TIMER);
    assert!(cpus[0].physical.is_empty());
}

#[test]
fn disabling_on_another_cpu_takes_a_kick() {
    let (mut gic, mut cpus) = running(2, 4);
    let _ = gic.set_level(&mut Here::new(0, &mut cpus[0]), 0, UART, true);
    let bit = 1 << (UART - 32);
    let kicks = gic.dist_write(&mut Here::new(1, &mut cpus[1]), ICENABLER + 4, 4, bit);
    assert_eq!(kicks.bits(), 0b01);
    assert!(!gic.is_synced(kicks));
    // Meanwhile it may still be taken, and whoever reads is told that it may have been.
    assert_eq!(cpus[0].iar(), Some(UART));
    let seen = gic.dist_read(&mut Here::new(1, &mut cpus[1]), ISACTIVER + 4, 4);
    assert_eq!((seen.value, seen.stale.bits()), (0, 0b01));
    let _ = gic.sync(&mut Here::new(0, &mut cpus[0]));
    assert!(gic.is_synced(kicks));
    let seen = gic.dist_read(&mut Here::new(1, &mut cpus[1]), ISACTIVER + 4, 4);
    assert_eq!(seen.value, bit);
}

#[test]
fn what_is_cleared_on_another_cpu_reads_back_clear() {
    let (mut gic, mut cpus) = running(2, 4);
    let _ = gic.pulse(&mut Here::new(0, &mut cpus[0]), 0, UART);
    let bit = 1 << (UART - 32);
    let here = &mut Here::new(1, &mut cpus[1]);
    assert_eq!(gic.dist_write(here, ICPENDR + 4, 4, bit).bits(), 0b01);
    assert_eq!(gic.dist_read(here, ISPENDR + 4, 4).value, 0);
    // A new edge after the clear survives it.
    let _ = gic.pulse(here, 0, UART);
    let _ = gic.sync(&mut Here::new(0, &mut cpus[0]));
    assert_eq!(cpus[0].peek(), Some((UART, 0)));
}

#[test]
fn rerouting_moves_what_is_pending() {
    let (mut gic, mut cpus) = running(2, 4);
    let _ = gic.pulse(&mut Here::new(0, &mut cpus[0]), 0, UART);
    let here = &mut Here::new(1, &mut cpus[1]);
    assert_eq!(gic.dist_write(here, IROUTER + 8 * UART, 8, 1).bits(), 0b01);
    let kicks = gic.sync(&mut Here::new(0, &mut cpus[0]));
    assert_eq!((kicks.bits(), cpus[0].peek()), (0b10, None));
    let _ = gic.sync(&mut Here::new(1, &mut cpus[1]));
    assert_eq!(cpus[1].peek(), Some((UART, 0)));
}

#[test]
fn more_pending_than_list_registers_come_in_order() {
    let (mut gic, mut cpus) = running(1, 2);
    let order: Vec<u32> = (0..20).map(|n| 32 + n * 7 % 20).collect();
    for (n, &intid) in order.iter().enumerate() {
        let here = &mut Here::new(0, &mut cpus[0]);
        let _ = gic.dist_write(here, IPRIORITYR + intid, 1, n as u64 * 8);
    }
    for intid in 32..52 {
        let _ = gic.pulse(&mut Here::new(0, &mut cpus[0]), 0, intid);
    }
    for &intid in &order {
        assert_eq!(cpus[0].iar(), Some(intid));
        cpus[0].eoi(intid);
        if cpus[0].wants_maintenance() {
            let _ = gic.maintenance(&mut Here::new(0, &mut cpus[0]));
        }
    }
    assert_eq!(cpus[0].peek(), None);
}

#[test]
fn deep_nesting_ends_by_count() {
    let (mut gic, mut cpus) = running(1, 1);
    for n in 0..10 {
        let here = &mut Here::new(0, &mut cpus[0]);
        let _ = gic.dist_write(here, IPRIORITYR + 32 + n, 1, 0xf0 - u64::from(n) * 8);
        let _ = gic.pulse(here, 0, 32 + n);
        assert_eq!(cpus[0].iar(), Some(32 + n));
    }
    for n in (0..10).rev() {
        cpus[0].eoi(32 + n);
        if cpus[0].wants_maintenance() {
            let _ = gic.maintenance(&mut Here::new(0, &mut cpus[0]));
        }
        let here = &mut Here::new(0, &mut cpus[0]);
        assert_eq!(gic.dist_read(here, ISACTIVER + 4, 4).value, (1 << n) - 1);
    }
}

#[test]
fn a_count_is_done_before_its_maintenance_interrupt_comes() {
    let (mut gic, mut cpus) = running(1, 1);
    let here = &mut Here::new(0, &mut cpus[0]);
    let _ = gic.pulse(here, 0, 40);
    assert_eq!(here.lists.iar(), Some(40));
    let _ = gic.pulse(here, 0, 41);
    here.lists.eoi(40);
    assert!(here.lists.wants_maintenance());
    assert_eq!(gic.dist_read(here, ISACTIVER + 4, 4).value, 0);
}

#[test]
fn a_dir_reaches_across_vcpus() {
    let (mut gic, mut cpus) = running(2, 4);
    for cpu in &mut cpus {
        cpu.vmcr |= 1 << 9;
    }
    let _ = gic.pulse(&mut Here::new(0, &mut cpus[0]), 0, UART);
    assert_eq!(cpus[0].iar(), Some(UART));
    cpus[0].eoi(UART);
    assert!(!cpus[1].dir(UART), "not trapped");
    let kicks = gic.dir(&mut Here::new(1, &mut cpus[1]), UART.into());
    assert_eq!(kicks.bits(), 0b01);
    let _ = gic.sync(&mut Here::new(0, &mut cpus[0]));
    let here = &mut Here::new(0, &mut cpus[0]);
    assert_eq!(gic.dist_read(here, ISACTIVER + 4, 4).value, 0);
}

#[test]
fn a_dir_in_eoimode_0_is_ignored() {
    let (mut gic, mut cpus) = running(2, 4);
    let _ = gic.pulse(&mut Here::new(0, &mut cpus[0]), 0, UART);
    assert_eq!(cpus[0].iar(), Some(UART));
    let here = &mut Here::new(0, &mut cpus[0]);
    let _ = gic.dir(here, UART.into());
    assert_ne!(gic.dist_read(here, ISACTIVER + 4, 4).value, 0);
}

#[test]
fn put_leaves_nothing_and_load_brings_it_back() {
    let (mut gic, mut cpus) = running(1, 4);
    let _ = gic.pulse(&mut Here::new(0, &mut cpus[0]), 0, 40);
    assert_eq!(cpus[0].iar(), Some(40));
    let _ = gic.pulse(&mut Here::new(0, &mut cpus[0]), 0, 41);
    let before = cpus[0].clone();
    let _ = gic.put(&mut Here::new(0, &mut cpus[0]));
    assert_eq!((cpus[0].hcr, cpus[0].vmcr, cpus[0].ap), (0, 0, [0, 0]));
    assert_eq!(cpus[0].lr, [0; 4]);
    assert!(gic.has_deliverable(0));
    let _ = gic.load(&mut Here::new(0, &mut cpus[0]));
    assert_eq!((cpus[0].vmcr, cpus[0].ap), (before.vmcr, before.ap));
    cpus[0].eoi(40);
    assert_eq!(cpus[0].iar(), Some(41));
}

#[test]
fn waking_looks_at_mask_and_groups() {
    let (mut gic, mut cpus) = running(1, 4);
    let here = &mut Here::new(0, &mut cpus[0]);
    let _ = gic.dist_write(here, IPRIORITYR + 40, 1, 0x80);
    let _ = gic.pulse(here, 0, 40);
    assert!(gic.has_deliverable_here(here));
    here.lists.vmcr = 0x80 << 24 | 0b11;
    assert!(!gic.has_deliverable_here(here));
    let _ = gic.put(here);
    assert!(!gic.has_deliverable(0));
    gic.vcpus[0].face.vmcr = 0x88 << 24 | 0b11;
    assert!(gic.has_deliverable(0));
    gic.vcpus[0].face.vmcr = 0x88 << 24 | 0b01;
    assert!(!gic.has_deliverable(0));
}

#[test]
fn a_disabled_group_does_not_starve_the_other() {
    let (mut gic, mut cpus) = running(1, 2);
    cpus[0].vmcr &= !1;
    let here = &mut Here::new(0, &mut cpus[0]);
    let _ = gic.dist_write(here, IGROUPR + 4, 4, 0xffff_0000);
    let _ = gic.dist_write(here, IPRIORITYR + 60, 1, 0xa0);
    for intid in 32..36 {
        let _ = gic.pulse(here, 0, intid);
    }
    let _ = gic.pulse(here, 0, 60);
    assert_eq!(here.lists.peek(), Some((60, 0xa0)));
    here.lists.vmcr |= 1;
    assert!(here.lists.wants_maintenance());
    let _ = gic.maintenance(here);
    assert_eq!(here.lists.peek(), Some((32, 0)));
}

#[test]
fn reset_forgets_all_but_lines() {
    let (mut gic, mut cpus) = running(1, 4);
    let _ = gic.set_level(&mut Here::new(0, &mut cpus[0]), 0, UART, true);
    let _ = gic.put(&mut Here::new(0, &mut cpus[0]));
    gic.reset();
    assert!(!gic.has_deliverable(0));
    let here = &mut Here::nobody(&mut cpus[0]);
    assert_eq!(gic.dist_read(here, CTLR, 4).value, 0x50);
    assert_eq!(gic.dist_read(here, ISENABLER + 4, 4).value, 0);
    assert_eq!(gic.dist_read(here, ISPENDR + 4, 4).value, 2);
}

/// Runs SGI 3 of vCPU 0 to its end, and lets vCPU 1 write a register of vCPU 0's SGI frame.
fn sgi_ended_then_remote(register: u32) -> (Gic, Vec<Cpu>) {
    let (mut gic, mut cpus) = running(2, 4);
    let _ = gic.sgi1r(&mut Here::new(0, &mut cpus[0]), 3 << 24 | 1);
    assert_eq!(cpus[0].iar(), Some(3));
    cpus[0].eoi(3);
    let here = &mut Here::new(1, &mut cpus[1]);
    let kicks = gic.redist_write(here, 0x1_0000 + u64::from(register), 4, 1 << 3);
    assert_eq!(kicks.bits(), 0b01);
    (gic, cpus)
}

#[test]
fn an_sgi_after_a_remote_clear_is_kept() {
    let (mut gic, mut cpus) = sgi_ended_then_remote(ICPENDR);
    let _ = gic.sgi1r(&mut Here::new(0, &mut cpus[0]), 3 << 24 | 1);
    let _ = gic.sync(&mut Here::new(0, &mut cpus[0]));
    assert_eq!(cpus[0].peek(), Some((3, 0)));
}

#[test]
fn an_sgi_made_active_by_another_cpu_is_not_signalled() {
    let (mut gic, mut cpus) = sgi_ended_then_remote(ISACTIVER);
    let _ = gic.sgi1r(&mut Here::new(0, &mut cpus[0]), 3 << 24 | 1);
    assert_eq!(cpus[0].peek(), None);
    let _ = gic.sync(&mut Here::new(0, &mut cpus[0]));
    assert_eq!(cpus[0].peek(), None);
    assert!(cpus[0].lr.contains(&(3 << 62 | 1 << 60 | 3)));
}

#[test]
fn what_is_made_active_gets_its_list_register() {
    let (mut gic, mut cpus) = running(2, 4);
    let here = &mut Here::new(1, &mut cpus[1]);
    let kicks = gic.dist_write(here, ISACTIVER + 4, 4, 2);
    assert_eq!(kicks.bits(), 0b01);
    let _ = gic.sync(&mut Here::new(0, &mut cpus[0]));
    assert_eq!(cpus[0].lr[0], 1 << 63 | 1 << 60 | 33);
}

/// Lets vCPU 0's timer fire while it is disabled.
fn timer_waits_disabled() -> (Gic, Vec<Cpu>) {
    let (mut gic, mut cpus) = running(2, 4);
    let here = &mut Here::new(0, &mut cpus[0]);
    let _ = gic.redist_write(here, 0x1_0180, 4, 1 << TIMER);
    here.lists.physical.insert(TIMER);
    let _ = gic.inject_hw(here, 0, TIMER, hw(TIMER));
    (gic, cpus)
}

#[test]
fn a_disabled_timer_found_low_is_deactivated() {
    let (mut gic, mut cpus) = timer_waits_disabled();
    let _ = gic.set_level(&mut Here::new(0, &mut cpus[0]), 0, TIMER, false);
    assert!(cpus[0].physical.is_empty());
}

#[test]
fn a_timer_enabled_by_another_cpu_is_resampled_on_its_own() {
    for put in [false, true] {
        let (mut gic, mut cpus) = timer_waits_disabled();
        let here = &mut Here::new(1, &mut cpus[1]);
        let kicks = gic.redist_write(here, 0x1_0100, 4, 1 << TIMER);
        assert_eq!(kicks.bits(), 0b01);
        assert!(!cpus[0].physical.is_empty());
        let here = &mut Here::new(0, &mut cpus[0]);
        let _ = if put { gic.put(here) } else { gic.sync(here) };
        assert!(cpus[0].physical.is_empty());
        assert!(gic.is_synced(kicks));
        assert_eq!(gic.hw_in_flight(0), 0);
    }
}

#[test]
fn a_reader_is_told_of_ends_not_yet_counted() {
    let (mut gic, mut cpus) = running(2, 1);
    let _ = gic.pulse(&mut Here::new(0, &mut cpus[0]), 0, 40);
    assert_eq!(cpus[0].iar(), Some(40));
    let _ = gic.pulse(&mut Here::new(0, &mut cpus[0]), 0, 70);
    cpus[0].eoi(40);
    let here = &mut Here::new(1, &mut cpus[1]);
    assert_eq!(gic.dist_read(here, ISACTIVER + 4, 4).stale.bits(), 0b01);
    let _ = gic.sync(&mut Here::new(0, &mut cpus[0]));
    let here = &mut Here::new(1, &mut cpus[1]);
    assert_eq!(gic.dist_read(here, ISACTIVER + 4, 4).value, 0);
}

#[test]
fn the_hosts_registers_are_the_right_ones() {
    use crate::cpu::fake::{self, Event};
    use crate::isa::encoding::Encoding;
    fake::reset();
    let ich = |crm, op2| Encoding::new(3, 4, 12, crm, op2).iss();
    // 16 list registers, 5 priority bits, 5 preemption bits, TDS.
    fake::with(|cpu| {
        cpu.regs
            .insert(ich(11, 1), 4 << 29 | 4 << 26 | 1 << 19 | 15)
    });
    let host = HostLists::probe(crate::dev::gic::Interface::V3);
    assert_eq!((host.priority_bits(), host.version()), (5, Version::V3));
    let mut lists = host.system;
    assert_eq!((lists.count(), lists.traps_dir()), (16, true));
    fake::with(|cpu| cpu.log.clear());
    for n in 0..17 {
        lists.write(n, u64::from(n));
    }
    lists.set_active_priorities(&[[5, 1, 1, 1], [7, 1, 1, 1]]);
    lists.deactivate_physical(hw(27));
    let mut expected: Vec<_> = (0..16)
        .map(|n| Event::Write(ich(12 + n / 8, n % 8), u64::from(n)))
        .collect();
    // 5 preemption bits are 32 levels: one register each.
    expected.push(Event::Write(ich(8, 0), 5));
    expected.push(Event::Write(ich(9, 0), 7));
    expected.push(Event::Write(Encoding::new(3, 0, 12, 11, 1).iss(), 27));
    fake::with(|cpu| assert_eq!(cpu.log, expected));
    assert_eq!((lists.read(9), lists.read(16)), (9, 0));
    assert!(lists.fill(3, PENDING | 5) && !lists.fill(3, 1) && !lists.fill(16, 1));
    assert!(lists.fill(12, PENDING | 6) && !lists.fill(12, 1));
    assert_eq!((lists.read(3), lists.read(12)), (PENDING | 5, PENDING | 6));
}
