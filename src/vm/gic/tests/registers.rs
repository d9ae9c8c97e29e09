//! The registers, one by one.

use super::*;

fn read(gic: &mut Gic, offset: u32) -> u64 {
    let mut cpu = Cpu::new(4);
    gic.dist_read(&mut Here::nobody(&mut cpu), offset, 4).value
}

fn write(gic: &mut Gic, offset: u32, value: u64) {
    let mut cpu = Cpu::new(4);
    let _ = gic.dist_write(&mut Here::nobody(&mut cpu), offset, 4, value);
}

fn redist(gic: &mut Gic, offset: u64, size: u32) -> u64 {
    let mut cpu = Cpu::new(4);
    gic.redist_read(&mut Here::nobody(&mut cpu), offset, size)
        .value
}

fn redist_set(gic: &mut Gic, offset: u64, value: u64) {
    let mut cpu = Cpu::new(4);
    let _ = gic.redist_write(&mut Here::nobody(&mut cpu), offset, 4, value);
}

#[test]
fn the_distributor_introduces_itself() {
    let mut gic = gic(2, 96);
    assert_eq!(read(&mut gic, CTLR), 0x50);
    write(&mut gic, CTLR, 0xffff_ffff);
    assert_eq!(read(&mut gic, CTLR), 0x53);
    // 4 words, message-based SPIs, 10 bits, A3V, No1N.
    assert_eq!(read(&mut gic, 0x4), 0x0349_0003);
    assert_eq!(read(&mut gic, 0x8), 0x4500_043b);
    assert_eq!(read(&mut gic, 0xffe8) >> 4 & 0xf, 3);
    assert_eq!(read(&mut gic, 0xfff0), 0x0d);
    assert_eq!((read(&mut gic, 0xc), read(&mut gic, 0x10)), (0, 0));
}

#[test]
fn reset_is_the_architectures() {
    let mut gic = gic(2, 64);
    for offset in [IGROUPR, ISENABLER, ISPENDR, ISACTIVER, IPRIORITYR, ICFGR] {
        assert_eq!(read(&mut gic, offset + 4), 0);
        assert_eq!(read(&mut gic, offset + 8), 0);
    }
    let frame = REDIST_SIZE + 0x1_0000;
    assert_eq!(redist(&mut gic, frame + 0xc00, 4), 0xaaaa_aaaa);
    assert_eq!(redist(&mut gic, frame + 0xc04, 4), 0);
    assert_eq!(redist(&mut gic, frame + 0x80, 4), 0);
    assert_eq!(gic.target(32), Some(0));
}

#[test]
fn set_and_clear_registers_pair_up() {
    let mut gic = gic(1, 64);
    for (set, clear) in [
        (ISENABLER, ICENABLER),
        (ISPENDR, ICPENDR),
        (ISACTIVER, ICACTIVER),
    ] {
        write(&mut gic, set + 4, 0xf0f0_0001);
        write(&mut gic, set + 8, 0x8000_0000);
        assert_eq!(read(&mut gic, set + 4), 0xf0f0_0001);
        assert_eq!(read(&mut gic, clear + 4), 0xf0f0_0001);
        write(&mut gic, clear + 4, 0x0ff0_0000);
        assert_eq!(read(&mut gic, set + 4), 0xf000_0001);
        assert_eq!(read(&mut gic, clear + 8), 0x8000_0000);
        redist_set(&mut gic, 0x1_0000 + u64::from(set), 0x8000_8001);
        redist_set(&mut gic, 0x1_0000 + u64::from(clear), 0x8000);
        assert_eq!(redist(&mut gic, 0x1_0000 + u64::from(set), 4), 0x8000_0001);
    }
}

#[test]
fn interrupts_that_do_not_exist_stay_silent() {
    let mut gic = gic(1, 988);
    for row in (IGROUPR..IPRIORITYR).step_by(0x80) {
        // The private ones are the redistributor's; 1020 to 1023 are special.
        write(&mut gic, row, 0xffff_ffff);
        assert_eq!(read(&mut gic, row), 0);
    }
    write(&mut gic, ISENABLER + 4 * 31, 0xffff_ffff);
    assert_eq!(read(&mut gic, ISENABLER + 4 * 31), 0x0fff_ffff);
    write(&mut gic, IPRIORITYR + 1020, 0xffff_ffff);
    assert_eq!(read(&mut gic, IPRIORITYR + 1020), 0);
    write(&mut gic, IPRIORITYR + 1016, 0xffff_ffff);
    assert_eq!(read(&mut gic, IPRIORITYR + 1016), 0xf8f8_f8f8);
    assert_eq!(read(&mut gic, 0x4) & 0x1f, 31);
    let mut small = super::gic(1, 32);
    write(&mut small, ISENABLER + 8, 0xffff_ffff);
    assert_eq!(read(&mut small, ISENABLER + 8), 0);
}

#[test]
fn priorities_are_bytes_of_five_bits() {
    let mut gic = gic(1, 64);
    let mut cpu = Cpu::new(4);
    let here = &mut Here::nobody(&mut cpu);
    let _ = gic.dist_write(here, IPRIORITYR + 32, 4, 0x1234_56ff);
    let _ = gic.dist_write(here, IPRIORITYR + 33, 1, 0xa7);
    assert_eq!(gic.dist_read(here, IPRIORITYR + 32, 4).value, 0x1030_a0f8);
    assert_eq!(gic.dist_read(here, IPRIORITYR + 34, 1).value, 0x30);
    assert_eq!(gic.dist_read(here, IPRIORITYR + 32, 2).value, 0);
    let _ = gic.redist_write(here, 0x1_0400 + 31, 1, 0xff);
    assert_eq!(gic.redist_read(here, 0x1_041c, 4).value, 0xf800_0000);
}

#[test]
fn configuration_is_two_bits_each() {
    let mut gic = gic(1, 64);
    write(&mut gic, ICFGR + 8, 0xffff_ffff);
    write(&mut gic, ICFGR + 12, 0x8000_0002);
    assert_eq!(read(&mut gic, ICFGR + 8), 0xaaaa_aaaa);
    assert_eq!(read(&mut gic, ICFGR + 12), 0x8000_0002);
    redist_set(&mut gic, 0x1_0c04, 0xffff_ffff);
    assert_eq!(redist(&mut gic, 0x1_0c04, 4), 0);
}

#[test]
fn routers_come_whole_and_in_halves() {
    let affinities = [0, 0x0102_0304, 0xff00_0010].map(Affinity::from_u32);
    let config = Config {
        affinities: &affinities,
        spis: 64,
        version: Version::V3,
        priority_bits: 8,
    };
    let mut gic = Gic::new(&config).unwrap();
    let mut cpu = Cpu::new(4);
    let here = &mut Here::nobody(&mut cpu);
    let _ = gic.dist_write(here, IROUTER + 8 * 33, 8, 0x0000_0001_8002_0304);
    assert_eq!(gic.target(33), Some(1));
    assert_eq!(
        gic.dist_read(here, IROUTER + 8 * 33, 8).value,
        0x1_0002_0304
    );
    let _ = gic.dist_write(here, IROUTER + 8 * 33, 4, 0x10);
    assert_eq!(gic.target(33), None);
    let _ = gic.dist_write(here, IROUTER + 8 * 33 + 4, 4, 0xff);
    assert_eq!(gic.target(33), Some(2));
    assert_eq!(gic.dist_read(here, IROUTER + 8 * 33 + 4, 4).value, 0xff);
    assert_eq!(gic.dist_read(here, IROUTER + 8 * 33, 4).value, 0x10);
    let _ = gic.dist_write(here, IROUTER + 8 * 31, 8, 7);
    assert_eq!(gic.dist_read(here, IROUTER + 8 * 31, 8).value, 0);
    // Aff0 above 15: SGIs need range selectors.
    assert_eq!(gic.dist_read(here, 4, 4).value >> 26 & 1, 1);
}

#[test]
fn redistributors_introduce_themselves() {
    let affinities = [0x100, 0x0102_0304].map(Affinity::from_u32);
    let config = Config {
        affinities: &affinities,
        spis: 32,
        version: Version::V3,
        priority_bits: 5,
    };
    let mut gic = Gic::new(&config).unwrap();
    assert_eq!(redist(&mut gic, 8, 8), 0x0000_0100_0000_0000);
    assert_eq!(redist(&mut gic, REDIST_SIZE + 8, 8), 0x0102_0304_0000_0110);
    assert_eq!(redist(&mut gic, REDIST_SIZE + 8, 4), 0x110);
    assert_eq!(redist(&mut gic, REDIST_SIZE + 12, 4), 0x0102_0304);
    assert_eq!(redist(&mut gic, 0xffe8, 4) >> 4 & 0xf, 3);
    assert_eq!(redist(&mut gic, REDIST_SIZE * 2 + 8, 8), 0);
    assert_eq!(redist(&mut gic, 0x14, 4), 0b110);
    redist_set(&mut gic, 0x14, 0);
    assert_eq!(redist(&mut gic, 0x14, 4), 0);
    assert_eq!(redist(&mut gic, REDIST_SIZE + 0x14, 4), 0b110);
    redist_set(&mut gic, 0x14, 2);
    assert_eq!(redist(&mut gic, 0x14, 4), 0b110);
}

#[test]
fn messages_set_and_clear_spis() {
    let mut gic = gic(1, 64);
    write(&mut gic, ICFGR + 8, 0x8);
    write(&mut gic, 0x40, 32);
    write(&mut gic, 0x40, 33);
    write(&mut gic, 0x40, 5);
    write(&mut gic, 0x40, 1023);
    write(&mut gic, 0x50, 34);
    assert_eq!(read(&mut gic, ISPENDR + 4), 0b11);
    write(&mut gic, 0x48, 32);
    write(&mut gic, 0x48, 33);
    assert_eq!(read(&mut gic, ISPENDR + 4), 0);
}

#[test]
fn what_is_not_there_reads_as_zero() {
    let mut gic = gic(1, 64);
    for row in [
        0x800, 0x820, 0xd00, 0xd04, 0xe00, 0xe10, 0xf00, 0xf10, 0xf20, 0x1000, 0x5ffc,
    ] {
        write(&mut gic, row, 0xffff_ffff);
        assert_eq!(read(&mut gic, row), 0, "{row:#x}");
    }
    let mut cpu = Cpu::new(4);
    let here = &mut Here::nobody(&mut cpu);
    for (offset, size) in [(ISENABLER + 4, 8), (ISENABLER + 4, 1), (ISENABLER + 6, 4)] {
        let _ = gic.dist_write(here, offset, size, u64::MAX);
        assert_eq!(gic.dist_read(here, offset, size).value, 0);
    }
    assert_eq!(read(&mut gic, ISENABLER + 4), 0);
    for offset in [0x40, 0x70, 0x1_0d00, 0x1_0e00, 0x1_0084] {
        redist_set(&mut gic, offset, 0xffff_ffff);
        assert_eq!(redist(&mut gic, offset, 4), 0, "{offset:#x}");
    }
}

#[test]
fn wrong_configurations_are_refused() {
    let one = [Affinity::from_u32(0)];
    let good = Config {
        affinities: &one,
        spis: 32,
        version: Version::V3,
        priority_bits: 5,
    };
    assert!(Gic::new(&good).is_ok());
    assert!(
        Gic::new(&Config {
            affinities: &[],
            ..good
        })
        .is_err()
    );
    assert!(Gic::new(&Config { spis: 989, ..good }).is_err());
    assert!(
        Gic::new(&Config {
            version: Version::V3,
            priority_bits: 4,
            ..good
        })
        .is_err()
    );
    assert!(
        Gic::new(&Config {
            affinities: &[one[0]; 2],
            ..good
        })
        .is_err()
    );
    let many: Vec<_> = (0..65).map(Affinity::from_u32).collect();
    assert!(
        Gic::new(&Config {
            affinities: &many,
            ..good
        })
        .is_err()
    );
    assert!(
        Gic::new(&Config {
            affinities: &many[..64],
            ..good
        })
        .is_ok()
    );
    assert_eq!(Affinity::from_mpidr(0x12_c034_5678).as_u32(), 0x1234_5678);
    assert_eq!(Affinity::from_u32(0x1234_5678).as_mpidr(), 0x12_0034_5678);
}

#[test]
fn nothing_a_guest_does_panics() {
    let mut rng = Rng(99);
    let (mut gic, mut cpus) = running(3, 4);
    for _ in 0..200_000 {
        let cpu = rng.below(3);
        let vcpu = if rng.one_in(20) { usize::MAX } else { cpu };
        let here = &mut Here {
            vcpu,
            lists: &mut cpus[cpu],
        };
        let size = [1, 2, 4, 8, 3, 0][rng.below(6)];
        let value = rng.next() ^ rng.next() << 40;
        let dist = (rng.next() & 0xffff) as u32 & if rng.one_in(2) { !0 } else { 0xffc };
        let redist = rng.next() & 0xf_ffff & if rng.one_in(2) { !0 } else { !0x3 };
        match rng.below(9) {
            0 => drop(gic.dist_read(here, dist, size)),
            1 | 2 => drop(gic.dist_write(here, dist, size, value)),
            3 => drop(gic.redist_read(here, redist, size)),
            4 => drop(gic.redist_write(here, redist, size, value)),
            5 => drop(gic.sgi1r(here, value) | gic.sgi0r(here, value) | gic.asgi1r(here, value)),
            6 => drop(gic.dir(here, value & 0x3ff)),
            7 => drop(gic.set_level(here, rng.below(4), rng.below(1100) as u32, rng.one_in(2))),
            _ if vcpu == cpu => drop(gic.sync(here)),
            _ => {}
        }
        if rng.one_in(3)
            && let Some(intid) = cpus[cpu].iar()
            && rng.one_in(2)
        {
            cpus[cpu].eoi(intid);
        }
        if cpus[cpu].wants_maintenance() {
            let _ = gic.maintenance(&mut Here::new(cpu, &mut cpus[cpu]));
        }
    }
}
