//! What an interrupt controller starts as.

use super::bank::{Bank, NOBODY, SGIS};
use super::interface::{Face, Vcpu};
use super::{Gic, MAX_VCPUS, MAX_VCPUS_V2, PRIVATE, sgi};
use crate::error::Refusal;
use crate::refuse;
use alloc::boxed::Box;
use alloc::vec;

/// Where a PE is in the system: Aff3.Aff2.Aff1.Aff0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Affinity(u32);

impl Affinity {
    /// Takes the affinity fields out of an MPIDR_EL1, or of a GICD_IROUTER, which has the same.
    pub const fn from_mpidr(mpidr: u64) -> Self {
        Self(((mpidr >> 8) as u32 & 0xff00_0000) | (mpidr as u32 & 0x00ff_ffff))
    }

    /// Makes it from Aff3.Aff2.Aff1.Aff0 as one number.
    pub const fn from_u32(fields: u32) -> Self {
        Self(fields)
    }

    /// Returns Aff3.Aff2.Aff1.Aff0 as one number.
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// Returns the fields in their places in MPIDR_EL1 and GICD_IROUTER.
    pub const fn as_mpidr(self) -> u64 {
        ((self.0 as u64 & 0xff00_0000) << 8) | (self.0 as u64 & 0x00ff_ffff)
    }
}

/// Which architecture a controller has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// GICv2: distributor and CPU interfaces in memory, at most eight vCPUs.
    V2,
    /// GICv3: distributor and redistributors in memory, CPU interfaces in system registers.
    V3,
}

/// What there is to be controlled.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// The architecture: the host's.
    pub version: Version,
    /// The vCPUs' affinities, by index.
    pub affinities: &'a [Affinity],
    /// How many SPIs, rounded up to a multiple of 32; at most 988.
    pub spis: u32,
    /// How many bits a priority has, 5 to 8: as the virtual CPU interface has them
    /// ([`HostLists::priority_bits`](super::HostLists::priority_bits)).
    pub priority_bits: u32,
}

impl Gic {
    /// Makes a controller in its reset state.
    ///
    /// # Errors
    ///
    /// Refuses no vCPU or too many, affinities given twice, too many SPIs, and a number of
    /// priority bits that GICv3 doesn't know.
    pub fn new(config: &Config) -> Result<Self, Refusal> {
        let count = config.affinities.len();
        let most = match config.version {
            Version::V2 => MAX_VCPUS_V2,
            Version::V3 => MAX_VCPUS,
        };
        if !(1..=most).contains(&count) {
            let version = config.version;
            return Err(refuse!(
                "{count} vCPUs: a GIC{version:?} serves 1 to {most}"
            ));
        }
        if config.spis > 988 {
            return Err(refuse!("{} SPIs: a GIC has at most 988", config.spis));
        }
        if !(5..=8).contains(&config.priority_bits) {
            return Err(refuse!("{} priority bits: 5 to 8", config.priority_bits));
        }
        for (n, affinity) in config.affinities.iter().enumerate() {
            if config
                .affinities
                .iter()
                .skip(n)
                .skip(1)
                .any(|a| a == affinity)
            {
                let mpidr = affinity.as_mpidr();
                return Err(refuse!("two vCPUs have the affinity {mpidr:#x}"));
            }
        }
        // Not by way of the stack, of which they would take a third.
        let shared: Box<[Bank]> = (0..PRIVATE).map(|_| Bank::default()).collect();
        let mut gic = Self {
            version: config.version,
            shared: shared
                .try_into()
                .map_err(|_| refuse!("no GIC has so many interrupts"))?,
            vcpus: (0..)
                .zip(config.affinities)
                .map(|(n, &a)| Vcpu::new(config.version, n, a))
                .collect(),
            routers: vec![0; config.spis.next_multiple_of(32) as usize].into_boxed_slice(),
            open: super::Open::default(),
            spi_words: config.spis.div_ceil(32),
            priority_mask: 0xffu32.wrapping_shl(8u32.wrapping_sub(config.priority_bits)) as u8,
            wide_aff0: config.affinities.iter().any(|a| a.0 & 0xff > 15),
        };
        gic.reset();
        Ok(gic)
    }

    /// Puts everything but what devices drive their lines to back to the reset state.
    ///
    /// No vCPU may be loaded, and no physical interrupt in flight that the caller doesn't
    /// deactivate ([`hw_in_flight`](Self::hw_in_flight)).
    pub fn reset(&mut self) {
        self.open = super::Open::default();
        let words = self.spi_words as usize;
        self.routers.fill(0);
        let target = match self.version {
            Version::V2 => self.first_of(0),
            Version::V3 => self.vcpu_at(Affinity(0)),
        };
        for (id, bank) in self.shared.iter_mut().enumerate() {
            let level = bank.level;
            if (1..=words).contains(&id) {
                *bank = Bank::shared(id, target);
            }
            bank.level = level & bank.valid;
        }
        for (n, vcpu) in self.vcpus.iter_mut().enumerate() {
            let level = vcpu.bank.level;
            *vcpu = Vcpu::new(self.version, n, Affinity(vcpu.face.affinity));
            vcpu.bank.level = level;
        }
    }

    /// Puts a vCPU's CPU interface back to its reset state, as a CPU_ON finds it. It must not be
    /// loaded. The redistributor keeps its state.
    pub fn reset_interface(&mut self, vcpu: usize) {
        if let Some(vcpu) = self.face_mut(vcpu) {
            vcpu.vmcr = 0;
            vcpu.active_priorities = Default::default();
        }
    }

    /// Finds the vCPU with this affinity, or [`NOBODY`].
    pub(super) fn vcpu_at(&self, affinity: Affinity) -> u8 {
        self.vcpus
            .iter()
            .position(|vcpu| vcpu.face.affinity == affinity.0)
            .map_or(NOBODY, |n| n as u8)
    }
}

impl Bank {
    /// Returns a vCPU's SGIs (always edge-triggered) and PPIs at reset.
    ///
    /// A GICv2's SGIs know their sender and are always enabled, as GIC-400's are.
    fn private(version: Version, owner: usize) -> Self {
        let sourced = match version {
            Version::V2 => SGIS,
            Version::V3 => 0,
        };
        Self {
            edge: SGIS,
            valid: u32::MAX,
            owner: owner as u8,
            enabled: sourced,
            sourced,
            ..Self::default()
        }
    }

    /// Returns 32 SPIs at reset; the last four INTIDs of all, 1020 up, are special.
    fn shared(id: usize, target: u8) -> Self {
        let word = id as u32;
        Self {
            valid: if word == 31 { 0x0fff_ffff } else { u32::MAX },
            base: word.wrapping_mul(32),
            summary: word,
            owner: NOBODY,
            target: [target; 32],
            ..Self::default()
        }
    }
}

impl Vcpu {
    fn new(version: Version, n: usize, affinity: Affinity) -> Self {
        let (sgi_key, sgi_bit) = match version {
            Version::V2 => sgi::NOWHERE,
            Version::V3 => sgi::address(affinity.0),
        };
        let face = Face {
            affinity: affinity.0,
            asleep: true,
            sgi_key,
            sgi_bit,
            ..Face::default()
        };
        Self {
            bank: Bank::private(version, n),
            face,
        }
    }
}
