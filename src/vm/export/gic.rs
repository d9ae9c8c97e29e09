//! The interrupt controller's state by register: as the guest sees it, and its CPU interface.

use super::ids::Name;
use crate::vm::{
    gic::{
        Gic, Here, HwIntid, ListRegisters, REDIST_SIZE, Version, lists::ActivePriorities, on_lists,
    },
    vcpu::Vcpu,
};

/// Offsets of the distributor's registers (Arm IHI 0069, 12.8); redistributors have some too.
mod dist {
    pub const CTLR: u32 = 0x0;
    pub const TYPER: u32 = 0x4;
    pub const IGROUPR: u32 = 0x80;
    pub const ISENABLER: u32 = 0x100;
    pub const ISPENDR: u32 = 0x200;
    pub const ISACTIVER: u32 = 0x300;
    pub const IPRIORITYR: u32 = 0x400;
    pub const ICFGR: u32 = 0xc00;
    pub const ITARGETSR: u32 = 0x800;
    pub const SPENDSGIR: u32 = 0xf20;
    pub const IROUTER: u32 = 0x6000;
}

/// GICR_WAKER, and the redistributor's frame for its own interrupts.
const WAKER: u32 = 0x14;
const SGI_FRAME: u32 = 0x1_0000;

/// From a register that sets bits to the one that clears them.
const TO_CLEARING: u32 = 0x80;

/// The interface of a vCPU that is on no CPU.
struct NoLists;

impl ListRegisters for NoLists {
    fn count(&self) -> u32 {
        0
    }
    fn traps_dir(&self) -> bool {
        true
    }
    fn read(&self, _: u32) -> u64 {
        0
    }
    fn write(&mut self, _: u32, _: u64) {}
    fn empty(&self) -> u64 {
        0
    }
    fn hcr(&self) -> u64 {
        0
    }
    fn set_hcr(&mut self, _: u64) {}
    fn vmcr(&self) -> u64 {
        0
    }
    fn set_vmcr(&mut self, _: u64) {}
    fn take_active_priorities(&mut self, _: &mut ActivePriorities) {}
    fn set_active_priorities(&mut self, _: &ActivePriorities) {}
    fn misr(&self) -> u64 {
        0
    }
    fn eisr(&self) -> u64 {
        0
    }
    fn deactivate_physical(&mut self, _: HwIntid) {}
}

/// Iterates over the registers of one word of 32 interrupts, by offset from those of word 0.
fn word_registers(word: u32) -> impl Iterator<Item = u32> {
    let bits = [
        dist::IGROUPR,
        dist::ISENABLER,
        dist::ISPENDR,
        dist::ISACTIVER,
    ];
    let priorities = (0..8).map(move |n| dist::IPRIORITYR + 32 * word + 4 * n);
    bits.into_iter()
        .map(move |row| row + 4 * word)
        .chain(priorities)
}

impl Vcpu {
    /// Iterates over what there is to export of the interrupt controller.
    ///
    /// A GICv2's are all in the distributor, the private ones too. Who sent an SGI that is active
    /// is not among them.
    pub(super) fn gic_registers(&mut self) -> impl Iterator<Item = Name> + use<> {
        let words = self.read_dist(dist::TYPER, 4) as u32 & 0x1f;
        let is_v2 = self.vm.host.gic_version == Version::V2;
        let banked = (0..=words).flat_map(|word| {
            let configuration = (0..2).map(move |n| dist::ICFGR + 8 * word + 4 * n);
            let targets = (0..8).map(move |n| dist::ITARGETSR + 32 * word + 4 * n);
            word_registers(word).chain(configuration).chain(targets)
        });
        let senders = (0..4).map(|n| dist::SPENDSGIR + 4 * n);
        let shared = (1..=words).flat_map(|word| {
            let configuration = (0..2).map(move |n| dist::ICFGR + 8 * word + 4 * n);
            let routes = (0..32).map(move |n| dist::IROUTER + 8 * (32 * word + n));
            word_registers(word).chain(configuration).chain(routes)
        });
        let own = word_registers(0).map(|offset| SGI_FRAME + offset);
        let interface = [0].into_iter().chain(8..12).chain(16..20);
        let of_v2 = banked.chain(senders).filter(move |_| is_v2);
        let of_v3 = shared.filter(move |_| !is_v2);
        let redistributor = [WAKER].into_iter().chain(own).filter(move |_| !is_v2);
        [dist::CTLR]
            .into_iter()
            .chain(of_v2)
            .chain(of_v3)
            .map(Name::Dist)
            .chain(redistributor.map(Name::Redist))
            .chain(interface.map(Name::Interface))
    }

    pub(super) fn get_gic(&mut self, name: Name) -> u64 {
        match name {
            Name::Dist(offset) => self.read_dist(offset, size(offset)),
            Name::Redist(offset) => self.read_redist(offset),
            Name::Interface(n) => self.get_interface(n),
            _ => 0,
        }
    }

    pub(super) fn set_gic(&mut self, name: Name, value: u64) {
        // What a guest can only set bit by bit is made what it was.
        let clears = |offset: u32| matches!(offset >> 7, 2 | 4 | 6);
        match name {
            Name::Dist(offset @ dist::SPENDSGIR..0xf30) => {
                self.write_dist(offset - 0x10, 0xffff_ffff);
                self.write_dist(offset, value);
            }
            Name::Dist(offset) => {
                if clears(offset) {
                    self.write_dist(offset + TO_CLEARING, !value & 0xffff_ffff);
                }
                self.write_dist(offset, value);
            }
            Name::Redist(offset) => {
                if clears(offset.wrapping_sub(SGI_FRAME)) {
                    self.write_redist(offset + TO_CLEARING, !value & 0xffff_ffff);
                }
                self.write_redist(offset, value);
            }
            Name::Interface(n) => self.set_interface(n, value),
            _ => {}
        }
    }

    /// Lets `f` use the interrupt controller as this vCPU, which is on no CPU.
    fn with_gic_away<R>(&self, f: impl FnOnce(&mut Gic, &mut Here<'_, NoLists>) -> R) -> R {
        let mut lists = NoLists;
        f(
            &mut self.vm.gic.lock(),
            &mut Here::new(self.index, &mut lists),
        )
    }

    fn read_dist(&mut self, offset: u32, size: u32) -> u64 {
        if self.sysregs().sysregs_loaded_on_cpu() {
            let answer = on_lists!(self.lists, lists => {
                let here = &mut Here::new(self.index, lists);
                self.vm.gic.lock().distributor_read(here, offset, size)
            });
            self.vm.kick(answer.stale);
            return answer.value;
        }
        self.with_gic_away(|gic, here| gic.distributor_read(here, offset, size))
            .value
    }

    fn write_dist(&mut self, offset: u32, value: u64) {
        let size = size(offset);
        let kicks = if self.sysregs().sysregs_loaded_on_cpu() {
            on_lists!(self.lists, lists => {
                let here = &mut Here::new(self.index, lists);
                let mut gic = self.vm.gic.lock();
                gic.distributor_write(here, offset, size, value)
            })
        } else {
            self.with_gic_away(|gic, here| gic.distributor_write(here, offset, size, value))
        };
        self.vm.kick(kicks);
    }

    fn read_redist(&mut self, offset: u32) -> u64 {
        if self.vm.host.gic_version == Version::V2 {
            return 0;
        }
        let offset = self.redist_base() + u64::from(offset);
        if self.sysregs().sysregs_loaded_on_cpu() {
            return self.read_gic(|gic, here| gic.redist_read(here, offset, 4));
        }
        self.with_gic_away(|gic, here| gic.redist_read(here, offset, 4))
            .value
    }

    fn write_redist(&mut self, offset: u32, value: u64) {
        if self.vm.host.gic_version == Version::V2 {
            return;
        }
        let offset = self.redist_base() + u64::from(offset);
        if self.sysregs().sysregs_loaded_on_cpu() {
            return self.with_gic(|gic, here| gic.redist_write(here, offset, 4, value));
        }
        let kicks = self.with_gic_away(|gic, here| gic.redist_write(here, offset, 4, value));
        self.vm.kick(kicks);
    }

    const fn redist_base(&self) -> u64 {
        REDIST_SIZE * self.index as u64
    }

    /// Reads the CPU interface: ICH_VMCR_EL2 is 0, the active priorities follow from 8 and 16.
    fn get_interface(&self, n: u8) -> u64 {
        if self.sysregs().sysregs_loaded_on_cpu() {
            let mut lists = self.lists;
            return on_lists!(lists, lists => match u32::from(n) {
                0 => lists.vmcr(),
                n => active_priority(lists, n, |word| *word),
            });
        }
        let mut gic = self.vm.gic.lock();
        gic.saved_interface(self.index, n).map_or(0, |word| *word)
    }

    fn set_interface(&mut self, n: u8, value: u64) {
        if self.sysregs().sysregs_loaded_on_cpu() {
            return on_lists!(self.lists, lists => match u32::from(n) {
                0 => lists.set_vmcr(value),
                n => active_priority(lists, n, |word| *word = value),
            });
        }
        if let Some(word) = self.vm.gic.lock().saved_interface(self.index, n) {
            *word = value;
        }
    }
}

/// Shows `f` one of the active priorities in the CPU, zero where there is none.
fn active_priority<R: Default>(
    lists: &mut impl ListRegisters,
    n: u32,
    f: impl FnOnce(&mut u64) -> R,
) -> R {
    let mut all = ActivePriorities::default();
    lists.take_active_priorities(&mut all);
    let group = all.get_mut((n / 8).wrapping_sub(1) as usize);
    let word = group.and_then(|words| words.get_mut(n as usize % 8));
    let result = word.map(f).unwrap_or_default();
    lists.set_active_priorities(&all);
    result
}

/// GICD_IROUTER registers are 8 bytes wide, all others here 4.
const fn size(offset: u32) -> u32 {
    if offset >= dist::IROUTER { 8 } else { 4 }
}
