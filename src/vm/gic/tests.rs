//! Tests of the whole controller.

mod cpu;
mod model;
mod random;
mod registers;
mod registers_v2;
mod scenarios;

use super::*;
use cpu::Cpu;

/// Registers by offset, as the tests name them.
const CTLR: u32 = 0;
const IGROUPR: u32 = 0x80;
const ISENABLER: u32 = 0x100;
const ICENABLER: u32 = 0x180;
const ISPENDR: u32 = 0x200;
const ICPENDR: u32 = 0x280;
const ISACTIVER: u32 = 0x300;
const ICACTIVER: u32 = 0x380;
const IPRIORITYR: u32 = 0x400;
const ICFGR: u32 = 0xc00;
const IROUTER: u32 = 0x6000;

/// A generator of numbers that look random (xorshift64*).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A word with few bits set.
    fn sparse(&mut self) -> u32 {
        (self.next() & self.next() & self.next()) as u32
    }
}

/// A controller with vCPUs 0.0.0.0, 0.0.0.1 and so on.
fn gic(vcpus: u32, spis: u32) -> Gic {
    let affinities: Vec<_> = (0..vcpus).map(Affinity::from_u32).collect();
    Gic::new(&Config {
        affinities: &affinities,
        spis,
        version: Version::V3,
        priority_bits: 5,
    })
    .unwrap()
}

/// A GICv2 of so many vCPUs.
fn gic_v2(vcpus: u32, spis: u32) -> Gic {
    let affinities: Vec<_> = (0..vcpus).map(Affinity::from_u32).collect();
    Gic::new(&Config {
        version: Version::V2,
        affinities: &affinities,
        spis,
        priority_bits: 5,
    })
    .unwrap()
}

/// A controller whose vCPU n is loaded on CPU n, everything enabled and in group 1.
fn running(vcpus: u32, lists: u32) -> (Gic, Vec<Cpu>) {
    let mut gic = gic(vcpus, 64);
    let mut cpus: Vec<_> = (0..vcpus).map(|_| Cpu::new(lists)).collect();
    for (n, cpu) in cpus.iter_mut().enumerate() {
        let _ = gic.load(&mut Here::new(n, cpu));
        cpu.vmcr |= 0xf8 << 24 | 0b11;
    }
    let here = &mut Here::nobody(&mut cpus[0]);
    let _ = gic.dist_write(here, CTLR, 4, 0b11);
    for word in 1..3 {
        let _ = gic.dist_write(here, IGROUPR + 4 * word, 4, !0);
        let _ = gic.dist_write(here, ISENABLER + 4 * word, 4, !0);
    }
    for vcpu in 0..u64::from(vcpus) {
        let base = vcpu * REDIST_SIZE + 0x1_0000;
        let _ = gic.redist_write(here, base + u64::from(IGROUPR), 4, !0);
        let _ = gic.redist_write(here, base + u64::from(ISENABLER), 4, !0);
    }
    for (n, cpu) in cpus.iter_mut().enumerate() {
        let _ = gic.sync(&mut Here::new(n, cpu));
    }
    (gic, cpus)
}
