//! A GICv2's registers, one by one.

use super::*;

const ITARGETSR: u32 = 0x800;
const SGIR: u32 = 0xf00;
const CPENDSGIR: u32 = 0xf10;
const SPENDSGIR: u32 = 0xf20;

/// vCPUs, each loaded on a CPU of its own.
struct Machine {
    gic: Gic,
    cpus: Vec<Cpu>,
}

impl Machine {
    fn new(vcpus: usize) -> Self {
        let mut gic = gic_v2(vcpus as u32, 64);
        let mut cpus = vec![Cpu::new(4); vcpus];
        for (v, cpu) in cpus.iter_mut().enumerate() {
            cpu.tds = false;
            let _ = gic.load(&mut Here::new(v, cpu));
            cpu.vmcr = 0xf8 << 24 | 0b11;
        }
        Self { gic, cpus }
    }

    fn read(&mut self, v: usize, offset: u32, size: u32) -> u64 {
        let here = &mut Here::new(v, &mut self.cpus[v]);
        self.gic.dist_v2_read(here, offset, size).value
    }

    fn word(&mut self, v: usize, offset: u32) -> u64 {
        self.read(v, offset, 4)
    }

    fn write(&mut self, v: usize, offset: u32, size: u32, value: u64) {
        let here = &mut Here::new(v, &mut self.cpus[v]);
        let mut kicks = self.gic.dist_v2_write(here, offset, size, value);
        while !kicks.is_empty() {
            for v in core::mem::take(&mut kicks).iter() {
                let here = &mut Here::new(v, &mut self.cpus[v]);
                if !self.gic.sync_at_once(here) {
                    kicks |= self.gic.sync(here);
                }
            }
        }
    }

    fn set(&mut self, v: usize, offset: u32, value: u64) {
        self.write(v, offset, 4, value);
    }

    fn maintain(&mut self, v: usize) {
        while self.cpus[v].wants_maintenance() {
            let _ = self.gic.maintenance(&mut Here::new(v, &mut self.cpus[v]));
        }
    }
}

#[test]
fn the_distributor_introduces_itself() {
    let mut m = Machine::new(3);
    assert_eq!(m.word(0, CTLR), 0);
    m.set(0, CTLR, 0xffff_ffff);
    assert_eq!(m.word(2, CTLR), 3);
    m.set(0, CTLR, 1);
    assert_eq!(m.word(0, CTLR), 1);
    // Two words of SPIs, three CPUs, no security extensions.
    assert_eq!(m.word(0, 0x4), 2 << 5 | 2);
    assert_eq!(m.word(0, 0x8), 0x4500_043b);
    assert_eq!(m.word(0, 0xfe8) >> 4 & 0xf, 2);
    assert_eq!(m.word(0, 0xff0), 0x0d);
}

#[test]
fn more_than_eight_vcpus_are_refused() {
    let affinities: Vec<_> = (0..9).map(Affinity::from_u32).collect();
    let config = Config {
        version: Version::V2,
        affinities: &affinities,
        spis: 32,
        priority_bits: 5,
    };
    assert!(Gic::new(&config).is_err());
    let eight = Config {
        affinities: &affinities[..8],
        ..config
    };
    let mut gic = Gic::new(&eight).unwrap();
    let mut cpu = Cpu::new(4);
    let here = &mut Here::new(7, &mut cpu);
    assert_eq!(gic.dist_v2_read(here, 4, 4).value >> 5 & 7, 7);
    let _ = gic.dist_v2_write(here, ITARGETSR + 40, 1, 0xff);
    assert_eq!(gic.dist_v2_read(here, ITARGETSR + 40, 1).value, 0xff);
    assert_eq!(gic.dist_v2_read(here, ITARGETSR + 4, 1).value, 0x80);
}

#[test]
fn reset_is_gic_400s() {
    let mut m = Machine::new(2);
    assert_eq!(m.word(1, ISENABLER), 0xffff);
    assert_eq!(m.word(1, ICFGR), 0xaaaa_aaaa);
    for row in [IGROUPR, ISPENDR, ISACTIVER, ICFGR + 4] {
        assert_eq!(m.word(1, row), 0, "{row:#x}");
    }
    for row in [IGROUPR, ISENABLER, ISPENDR, ISACTIVER, IPRIORITYR, ICFGR] {
        assert_eq!(m.word(1, row + 8), 0, "{row:#x}");
    }
    assert_eq!(m.word(1, ITARGETSR + 32), 0);
    assert_eq!(m.gic.target(32), None);
}

#[test]
fn private_registers_are_banked() {
    let mut m = Machine::new(2);
    m.set(0, ISENABLER, 1 << 27);
    m.set(0, IPRIORITYR + 24, 0xa0a0_a0a0);
    m.set(0, IGROUPR, 1 << 3);
    m.set(0, ISPENDR, 1 << 29);
    m.set(0, ISACTIVER, 1 << 30);
    assert_eq!(m.word(0, ISENABLER), 1 << 27 | 0xffff);
    assert_eq!(m.word(0, IPRIORITYR + 24), 0xa0a0_a0a0);
    assert_eq!(m.word(0, IGROUPR), 1 << 3);
    assert_eq!(m.word(0, ICPENDR), 1 << 29);
    assert_eq!(m.word(0, ICACTIVER), 1 << 30);
    for row in [IGROUPR, ICPENDR, ICACTIVER, IPRIORITYR + 24] {
        assert_eq!(m.word(1, row), 0, "{row:#x}");
    }
    assert_eq!(m.word(1, ISENABLER), 0xffff);
    // Shared ones are not.
    m.set(0, ISENABLER + 4, 0xf0);
    assert_eq!(m.word(1, ICENABLER + 4), 0xf0);
}

#[test]
fn sgis_can_not_be_disabled_or_pended_like_others() {
    let mut m = Machine::new(1);
    m.set(0, ICENABLER, !0);
    assert_eq!(m.word(0, ISENABLER), 0xffff);
    m.set(0, ISPENDR, 0xffff);
    assert_eq!(m.word(0, ISPENDR), 0);
    m.set(0, SPENDSGIR, 1);
    m.set(0, ICPENDR, 0xffff);
    assert_eq!(m.word(0, ISPENDR), 1);
    m.set(0, ICFGR, 0);
    m.set(0, ICFGR + 4, !0);
    assert_eq!(m.word(0, ICFGR), 0xaaaa_aaaa);
    assert_eq!(m.word(0, ICFGR + 4), 0);
}

#[test]
fn targets_come_in_bytes_and_words() {
    let mut m = Machine::new(3);
    for v in 0..3 {
        assert_eq!(m.word(v, ITARGETSR), 0x0101_0101 << v);
        assert_eq!(m.read(v, ITARGETSR + 31, 1), 1 << v);
        m.set(v, ITARGETSR, 0);
        assert_eq!(m.word(v, ITARGETSR), 0x0101_0101 << v);
    }
    m.set(0, ITARGETSR + 32, 0xff_06_04_00);
    // There are three CPUs.
    assert_eq!(m.word(0, ITARGETSR + 32), 0x07_06_04_00);
    assert_eq!(
        [32, 33, 34, 35].map(|intid| m.gic.target(intid)),
        [None, Some(2), Some(1), Some(0)]
    );
    m.write(1, ITARGETSR + 35, 1, 4);
    assert_eq!(m.read(0, ITARGETSR + 35, 1), 4);
    assert_eq!(m.gic.target(35), Some(2));
    // Past the last interrupt, and by halves, there is nothing.
    m.set(0, ITARGETSR + 96, !0);
    assert_eq!(m.word(0, ITARGETSR + 96), 0);
    m.write(0, ITARGETSR + 36, 2, 0x0101);
    assert_eq!(m.word(0, ITARGETSR + 36), 0);
}

#[test]
fn a_lone_vcpu_is_every_interrupts_target() {
    let mut m = Machine::new(1);
    m.set(0, ITARGETSR + 32, 0x0101_0101);
    assert_eq!(m.word(0, ITARGETSR), 0);
    assert_eq!(m.word(0, ITARGETSR + 32), 0);
    assert_eq!(m.gic.target(32), Some(0));
    m.set(0, CTLR, 1);
    m.set(0, ISENABLER + 4, 1);
    m.set(0, ISPENDR + 4, 1);
    assert_eq!(m.cpus[0].iar(), Some(32));
}

#[test]
fn shared_interrupts_follow_their_targets() {
    let mut m = Machine::new(3);
    m.set(0, CTLR, 1);
    m.set(0, ISENABLER + 4, 1);
    m.set(0, ISPENDR + 4, 1);
    assert!(m.cpus.iter().all(|cpu| cpu.peek().is_none()));
    m.write(0, ITARGETSR + 32, 1, 0b110);
    assert_eq!(m.cpus[1].peek(), Some((32, 0)));
    m.write(0, ITARGETSR + 32, 1, 0b100);
    assert_eq!(m.cpus[1].peek(), None);
    assert_eq!(m.cpus[2].iar(), Some(32));
}

#[test]
fn sgis_reach_whom_they_name() {
    for (filter, list, from, expected) in [
        (0, 0b1011_u64, 1, [true, true, false, true]),
        (0, 0b1111_0000, 1, [false; 4]),
        (1, 0b0010, 1, [true, false, true, true]),
        (2, 0b1111, 3, [false, false, false, true]),
        (3, 0b1111, 0, [false; 4]),
    ] {
        let mut m = Machine::new(4);
        m.set(0, CTLR, 1);
        m.set(from, SGIR, filter << 24 | list << 16 | 9);
        for (v, expected) in expected.into_iter().enumerate() {
            assert_eq!(m.word(v, ISPENDR), u64::from(expected) << 9);
            let senders = u64::from(expected) << from;
            assert_eq!(m.read(v, SPENDSGIR + 9, 1), senders);
            let taken = m.cpus[v].iar_with_sender();
            assert_eq!(taken, expected.then_some((9, from as u32)));
            // Acknowledged, it is pending no more.
            assert_eq!(m.read(v, CPENDSGIR + 9, 1), 0);
        }
    }
}

#[test]
fn each_sender_gets_its_sgi_taken() {
    let mut m = Machine::new(8);
    m.set(0, CTLR, 1);
    for from in [6, 1, 1, 3] {
        m.set(from, SGIR, 1 << 16 | 5);
    }
    assert_eq!(m.read(0, SPENDSGIR + 5, 1), 0b100_1010);
    let mut seen = 0;
    for _ in 0..3 {
        let (intid, from) = m.cpus[0].iar_with_sender().expect("three were sent");
        assert_eq!(intid, 5);
        assert_eq!(m.word(0, ISACTIVER), 1 << 5);
        assert_eq!(m.cpus[0].peek(), None, "one of a number at a time");
        seen |= 1 << from;
        m.cpus[0].eoi(5);
        m.maintain(0);
    }
    assert_eq!(seen, 0b100_1010);
    assert_eq!(m.cpus[0].iar(), None);
    assert_eq!((m.word(0, ISPENDR), m.word(0, ISACTIVER)), (0, 0));
}

#[test]
fn an_sgi_sent_while_active_is_taken_after() {
    let mut m = Machine::new(2);
    m.set(0, CTLR, 1);
    m.set(0, SGIR, 2 << 16 | 5);
    assert_eq!(m.cpus[1].iar_with_sender(), Some((5, 0)));
    m.set(1, SGIR, 2 << 16 | 5);
    m.set(0, SGIR, 2 << 16 | 5);
    assert_eq!(m.read(1, SPENDSGIR + 5, 1), 0b11);
    let mut seen = Vec::new();
    for _ in 0..2 {
        m.cpus[1].eoi(5);
        m.maintain(1);
        seen.push(m.cpus[1].iar_with_sender().expect("two were sent").1);
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1]);
}

#[test]
fn pending_sgis_are_set_and_cleared_by_sender() {
    let mut m = Machine::new(4);
    m.set(0, CTLR, 1);
    m.set(2, SPENDSGIR + 4, 0xff_00_0a_01);
    // Four CPUs can have sent them.
    assert_eq!(m.word(2, CPENDSGIR + 4), 0x0f_00_0a_01);
    assert_eq!(m.word(2, ISPENDR), 0b1011_0000);
    assert_eq!(m.word(1, CPENDSGIR + 4), 0, "they are banked");
    m.write(2, CPENDSGIR + 5, 1, 0x02);
    m.set(2, CPENDSGIR + 4, 0x05_00_00_01);
    assert_eq!(m.word(2, SPENDSGIR + 4), 0x0a_00_08_00);
    assert_eq!(m.word(2, ISPENDR), 0b1010_0000);
    let mut seen = Vec::new();
    while let Some((intid, from)) = m.cpus[2].iar_with_sender() {
        seen.push((intid, from));
        m.cpus[2].eoi(intid);
        m.maintain(2);
    }
    seen.sort_unstable();
    assert_eq!(seen, [(5, 3), (7, 1), (7, 3)]);
}

#[test]
fn senders_survive_a_put_and_reset_forgets_them() {
    let mut m = Machine::new(2);
    m.set(0, CTLR, 1);
    m.set(0, SGIR, 2 << 16 | 5);
    m.set(1, SGIR, 2 << 16 | 6);
    assert_eq!(m.cpus[1].iar_with_sender(), Some((5, 0)));
    let _ = m.gic.put(&mut Here::new(1, &mut m.cpus[1]));
    let _ = m.gic.load(&mut Here::new(1, &mut m.cpus[1]));
    let active = m.cpus[1].lr.iter().find(|&&lr| lr >> 63 != 0);
    assert_eq!(active.map(|lr| (*lr as u32, lr >> 32 & 7)), Some((5, 0)));
    m.cpus[1].eoi(5);
    assert_eq!(m.cpus[1].iar_with_sender(), Some((6, 1)));
    for v in 0..2 {
        let _ = m.gic.put(&mut Here::new(v, &mut m.cpus[v]));
    }
    m.set(1, SGIR, 1 << 16 | 6);
    m.gic.reset();
    assert_eq!(m.word(1, CPENDSGIR + 4), 0);
    assert_eq!((m.word(0, ISPENDR), m.word(1, ISACTIVER)), (0, 0));
}

#[test]
fn what_is_not_there_reads_as_zero() {
    let mut m = Machine::new(2);
    for offset in [
        0xc, 0x40, 0x7c, 0xbfc, 0xcfc, 0xd00, 0xd04, 0xe00, 0xf00, 0xf04, 0xf30, 0xf7c, 0xfb0,
        0x1000, 0x1100, 0x6100, 0xffe8, 0xfffc,
    ] {
        m.set(0, offset, 0xffff_ffff);
        assert_eq!(m.word(0, offset), 0, "{offset:#x}");
    }
    for (offset, size) in [
        (ISENABLER + 4, 8),
        (ISENABLER + 4, 1),
        (ISENABLER + 6, 4),
        (IPRIORITYR + 33, 4),
        (ITARGETSR + 33, 4),
        (SPENDSGIR + 1, 4),
        (SPENDSGIR, 2),
    ] {
        m.write(0, offset, size, u64::MAX);
        assert_eq!(m.read(0, offset, size), 0, "{offset:#x}");
        assert_eq!(m.word(0, offset & !3), 0, "{offset:#x}");
    }
}

#[test]
fn nobody_has_no_private_registers() {
    let mut gic = gic_v2(2, 32);
    let mut cpu = Cpu::new(4);
    let here = &mut Here::nobody(&mut cpu);
    for offset in [ISENABLER, ISPENDR, IPRIORITYR, SPENDSGIR, IGROUPR] {
        let _ = gic.dist_v2_write(here, offset, 4, u64::MAX);
        assert_eq!(gic.dist_v2_read(here, offset, 4).value, 0, "{offset:#x}");
    }
}

#[test]
fn system_registers_do_nothing() {
    let mut m = Machine::new(2);
    m.set(0, CTLR, 1);
    let here = &mut Here::new(0, &mut m.cpus[0]);
    for list in [1, 2, 3, 0xffff, 1 << 40 | 1] {
        let value = 5 << 24 | list;
        assert!(m.gic.sgi1r(here, value).is_empty());
        assert!(m.gic.sgi0r(here, value).is_empty());
        assert!(m.gic.asgi1r(here, value).is_empty());
    }
    // The value that the short way for SGIs to self compares with.
    assert!(m.gic.sgi1r(here, u64::MAX).is_empty());
    assert!(m.gic.dir(here, 5).is_empty());
    assert_eq!((m.word(0, ISPENDR), m.word(1, ISPENDR)), (0, 0));
}
