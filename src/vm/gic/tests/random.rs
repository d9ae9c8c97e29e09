//! Long random sequences against the naive model: nothing lost, nothing spurious, the right order.

use super::model::Model;
use super::*;

const TIMER: u32 = 27;
const WORDS: usize = 2;

/// Guests, CPUs, the controller, and the model beside it.
struct World {
    version: Version,
    rng: Rng,
    gic: Gic,
    cpus: Vec<Cpu>,
    /// The vCPU on each CPU.
    resident: Vec<Option<usize>>,
    model: Model,
    eoimode: Vec<bool>,
    /// Who was told to look during this step.
    kicked: u64,
}

/// Runs a call of the controller on a CPU and keeps the kicks.
macro_rules! on {
    ($world:ident, $cpu:expr, $gic:ident, $here:ident => $call:expr) => {{
        let cpu: usize = $cpu;
        let vcpu = $world.resident[cpu];
        let $gic = &mut $world.gic;
        let lists = &mut $world.cpus[cpu];
        let $here = &mut match vcpu {
            Some(vcpu) => Here::new(vcpu, lists),
            None => Here::nobody(lists),
        };
        let kicks: Kicks = $call;
        $world.kicked |= kicks.bits();
        $world.settle(kicks);
    }};
}

impl World {
    fn new(version: Version, seed: u64, vcpus: usize, cpus: usize, lists: u32) -> Self {
        let mut rng = Rng(seed);
        let is_v3 = version == Version::V3;
        let make = if is_v3 { gic } else { gic_v2 };
        let mut cpu = Cpu::new(lists);
        cpu.tds = is_v3;
        let mut world = Self {
            version,
            gic: make(vcpus as u32, 32 * WORDS as u32),
            cpus: vec![cpu; cpus],
            resident: vec![None; cpus],
            model: Model::new(version, vcpus, WORDS),
            // Without a trap of DIR, what lacks a list register is ended by its priority.
            eoimode: (0..vcpus).map(|_| rng.one_in(3) && is_v3).collect(),
            kicked: 0,
            rng,
        };
        for v in 0..vcpus {
            world.gic.vcpus[v].face.vmcr = u64::from(world.eoimode[v]) << 9;
        }
        world
    }

    fn is_v2(&self) -> bool {
        self.version == Version::V2
    }

    fn host_of(&self, vcpu: usize) -> Option<usize> {
        self.resident.iter().position(|&v| v == Some(vcpu))
    }

    /// Lets everybody do what they were told to do, until nobody has anything to do.
    fn settle(&mut self, kicks: Kicks) {
        let mut todo = kicks.bits();
        for round in 0.. {
            assert!(round < 50, "the machine does not come to rest");
            let mut quiet = todo == 0;
            for cpu in 0..self.cpus.len() {
                let Some(vcpu) = self.resident[cpu] else {
                    continue;
                };
                let lists = &mut self.cpus[cpu];
                let mut kicks = Kicks::NONE;
                if todo >> vcpu & 1 != 0 {
                    let here = &mut Here::new(vcpu, lists);
                    // The short way and the long one lead to the same.
                    if self.rng.one_in(3) || !self.gic.sync_at_once(here) {
                        kicks |= self.gic.sync(here);
                    }
                }
                if lists.wants_maintenance() {
                    quiet = false;
                    kicks |= self.gic.maintenance(&mut Here::new(vcpu, lists));
                    assert!(!lists.wants_maintenance(), "maintenance did not help");
                }
                if self.model.irq(vcpu, TIMER).level && lists.physical.insert(TIMER) {
                    quiet = false;
                    let hw = HwIntid::new(TIMER).unwrap();
                    kicks |= self
                        .gic
                        .inject_hw(&mut Here::new(vcpu, lists), vcpu, TIMER, hw);
                }
                todo &= !(1 << vcpu);
                todo |= kicks.bits();
                self.kicked |= kicks.bits();
                quiet &= kicks.is_empty();
            }
            // Whoever is not loaded anywhere has nothing to sync.
            let loaded = self.resident.iter().flatten().fold(0, |w, v| w | 1u64 << v);
            todo &= loaded;
            if quiet && todo == 0 {
                return;
            }
        }
    }

    /// Compares what the guests can see with the model.
    fn check(&self, before: &[bool]) {
        for (v, &waited) in before.iter().enumerate() {
            let best = self.model.best(v);
            match self.host_of(v) {
                Some(cpu) => {
                    self.cpus[cpu].check();
                    match self.cpus[cpu].peek() {
                        Some(found) => assert!(best.contains(&found), "{found:?} not in {best:?}"),
                        None => assert!(best.is_empty(), "lost {best:?} of vCPU {v}"),
                    }
                }
                None => {
                    let waiting = self.waiting(v);
                    assert_eq!(self.gic.has_deliverable(v), waiting);
                    assert!(
                        waited || !waiting || self.kicked >> v & 1 != 0,
                        "{v} not woken"
                    );
                }
            }
        }
    }

    /// Whether a vCPU that is not loaded has something to wake for; its timer is its host's matter.
    fn waiting(&self, v: usize) -> bool {
        let timer = self.gic.vcpus[v].bank.pended() >> TIMER & 1 != 0;
        self.model
            .deliverable(v)
            .iter()
            .any(|irq| irq.0 != TIMER || timer)
    }

    fn some_loaded(&mut self) -> Option<(usize, usize)> {
        let cpu = self.rng.below(self.cpus.len());
        Some((cpu, self.resident[cpu]?))
    }

    fn step(&mut self) {
        let waiting: Vec<_> = (0..self.model.vcpus.len())
            .map(|v| self.waiting(v))
            .collect();
        self.kicked = 0;
        match self.rng.below(16) {
            0..=3 => self.acknowledge(),
            4..=6 => self.end(),
            7 | 8 => self.line(),
            9 => self.move_vcpu(),
            10 => self.interface(),
            11 => self.sgi(),
            12 => self.timer(),
            13 if self.is_v2() && self.rng.one_in(3) => self.read_senders(),
            13 => self.read_back(),
            _ => self.write(),
        }
        self.check(&waiting);
    }

    fn acknowledge(&mut self) {
        let Some((cpu, v)) = self.some_loaded() else {
            return;
        };
        let best = self.model.best(v);
        let Some((intid, sender)) = self.cpus[cpu].iar_with_sender() else {
            return assert!(best.is_empty(), "lost {best:?}");
        };
        let &found = best.iter().find(|irq| irq.0 == intid).expect("spurious");
        let is_v2 = self.is_v2();
        let irq = self.model.irq(v, intid);
        (irq.latch, irq.active) = (false, true);
        if is_v2 && intid < 16 {
            assert_ne!(
                irq.senders >> sender & 1,
                0,
                "{sender} did not send {intid}"
            );
            irq.senders &= !(1 << sender);
            irq.latch = irq.senders != 0;
        }
        self.model.vcpus[v].stack.push(found);
        self.settle(Kicks::NONE);
    }

    fn end(&mut self) {
        let Some((cpu, v)) = self.some_loaded() else {
            return;
        };
        if self.eoimode[v] && self.rng.one_in(2) {
            return self.dir(cpu, v);
        }
        let Some((intid, _)) = self.model.vcpus[v].stack.pop() else {
            return;
        };
        self.cpus[cpu].eoi(intid);
        match self.eoimode[v] {
            true => self.model.vcpus[v].dropped.push(intid),
            false => self.model.irq(v, intid).active = false,
        }
        self.settle(Kicks::NONE);
    }

    /// Deactivates something dropped; shared interrupts may be another vCPU's.
    fn dir(&mut self, cpu: usize, v: usize) {
        let from = self.rng.below(self.model.vcpus.len());
        let Some(&intid) = self.model.vcpus[from].dropped.last() else {
            return;
        };
        if from != v && intid < 32 {
            return;
        }
        self.model.vcpus[from].dropped.pop();
        self.model.irq(v, intid).active = false;
        if !self.cpus[cpu].dir(intid) {
            on!(self, cpu, gic, here => gic.dir(here, intid.into()));
        }
        self.settle(Kicks::NONE);
    }

    fn line(&mut self) {
        let cpu = self.rng.below(self.cpus.len());
        let v = self.rng.below(self.model.vcpus.len());
        let intid = match self.rng.one_in(4) {
            true => 16 + self.rng.below(8) as u32,
            false => 32 + self.rng.below(32 * WORDS) as u32,
        };
        if self.rng.one_in(3) {
            self.model.irq(v, intid).latch = true;
            return on!(self, cpu, gic, here => gic.pulse(here, v, intid));
        }
        let irq = self.model.irq(v, intid);
        irq.level = !irq.level;
        irq.latch |= irq.edge && irq.level;
        let level = irq.level;
        on!(self, cpu, gic, here => gic.set_level(here, v, intid, level));
    }

    fn timer(&mut self) {
        let v = self.rng.below(self.model.vcpus.len());
        let irq = self.model.irq(v, TIMER);
        irq.level = !irq.level;
        if !irq.level {
            // The host looks at the timer: from the vCPU's own CPU, or when it is not loaded.
            let cpu = self.host_of(v).unwrap_or(0);
            on!(self, cpu, gic, here => gic.set_level(here, v, TIMER, false));
        }
        self.settle(Kicks::NONE);
    }

    fn move_vcpu(&mut self) {
        let cpu = self.rng.below(self.cpus.len());
        if let Some(v) = self.resident[cpu] {
            let kicks = self.gic.put(&mut Here::new(v, &mut self.cpus[cpu]));
            self.resident[cpu] = None;
            let cpu = &mut self.cpus[cpu];
            let physical = cpu.physical.remove(&TIMER);
            assert_eq!(self.gic.hw_in_flight(v) >> TIMER & 1 != 0, physical);
            assert!(cpu.physical.is_empty());
            assert_eq!((cpu.hcr, cpu.vmcr, cpu.ap), (0, 0, [0; 2]));
            assert!(cpu.lr.iter().all(|&lr| lr == 0));
            self.kicked |= kicks.bits() | 1 << v;
            return self.settle(kicks);
        }
        let v = self.rng.below(self.model.vcpus.len());
        if self.host_of(v).is_some() {
            return;
        }
        if self.gic.hw_in_flight(v) >> TIMER & 1 != 0 {
            self.cpus[cpu].physical.insert(TIMER);
        }
        let kicks = self.gic.load(&mut Here::new(v, &mut self.cpus[cpu]));
        self.resident[cpu] = Some(v);
        self.settle(kicks);
    }

    /// The guest writes its priority mask or group enables: no exit.
    fn interface(&mut self) {
        let Some((cpu, v)) = self.some_loaded() else {
            return;
        };
        let me = &mut self.model.vcpus[v];
        match self.rng.one_in(2) {
            true => me.mask = (self.rng.next() as u8 | self.rng.next() as u8) & 0xf8,
            false => me.enable = [!self.rng.one_in(4), !self.rng.one_in(4)],
        }
        let fixed = self.cpus[cpu].vmcr & (1 << 9);
        self.cpus[cpu].vmcr = fixed
            | u64::from(me.mask) << 24
            | u64::from(me.enable[1]) << 1
            | u64::from(me.enable[0]);
        self.settle(Kicks::NONE);
    }

    fn sgi(&mut self) {
        let Some((cpu, v)) = self.some_loaded() else {
            return;
        };
        if self.is_v2() {
            return self.sgi_v2(cpu, v);
        }
        let n = self.rng.below(16) as u32;
        let list = self.rng.next() & 0xffff;
        let all = self.rng.one_in(4);
        let any_group = !self.rng.one_in(4);
        let value = u64::from(n) << 24 | u64::from(all) << 40 | list;
        for target in 0..self.model.vcpus.len() {
            let named = if all {
                target != v
            } else {
                list >> target & 1 != 0
            };
            let irq = self.model.irq(target, n);
            irq.latch |= named && (any_group || !irq.group1);
        }
        match any_group {
            true if self.rng.one_in(3) => on!(self, cpu, gic, here => gic.sgi1r(here, value)),
            true => on!(self, cpu, gic, here => gic
                .sgi1r_at_once(here, value)
                .unwrap_or_else(|| gic.sgi1r(here, value))),
            false => on!(self, cpu, gic, here => gic.sgi0r(here, value)),
        }
    }

    /// Sends an SGI in any of the ways there are, or sets or clears who sent some.
    fn sgi_v2(&mut self, cpu: usize, v: usize) {
        let vcpus = self.model.vcpus.len();
        let everybody = (1u16 << vcpus) - 1;
        let mut word = self.rng.sparse();
        if self.rng.one_in(3) {
            let (first, set) = (4 * self.rng.below(4) as u32, self.rng.one_in(2));
            for (n, byte) in (first..).zip(word.to_le_bytes()) {
                let irq = self.model.irq(v, n);
                match set {
                    true => irq.senders |= byte & everybody as u8,
                    false => irq.senders &= !byte,
                }
                irq.latch = irq.senders != 0;
            }
            let offset = if set { 0xf20 } else { 0xf10 } + first;
            return on!(self, cpu, gic, here => gic.dist_v2_write(here, offset, 4, word.into()));
        }
        word = self.rng.next() as u32 & 0x03ff_000f;
        let targets = match word >> 24 {
            0 => word >> 16 & 0xff,
            1 => !(1 << v),
            2 => 1 << v,
            _ => 0,
        };
        for target in (0..vcpus).filter(|target| targets >> target & 1 != 0) {
            let irq = self.model.irq(target, word & 15);
            irq.senders |= 1 << v;
            irq.latch = true;
        }
        on!(self, cpu, gic, here => gic.dist_v2_write(here, 0xf00, 4, word.into()));
    }

    /// Writes a register of one bit per interrupt in some bank, through the guest's map.
    fn put_word(&mut self, cpu: usize, bank: usize, register: u32, value: u32) {
        let value = u64::from(value);
        if self.is_v2() {
            let offset = register + 4 * if bank < 32 { bank as u32 } else { 0 };
            on!(self, cpu, gic, here => gic.dist_v2_write(here, offset, 4, value));
        } else if bank < 32 {
            let offset = register + 4 * bank as u32;
            on!(self, cpu, gic, here => gic.dist_write(here, offset, 4, value));
        } else {
            let offset = (bank as u64 - 32) * REDIST_SIZE + 0x1_0000 + u64::from(register);
            on!(self, cpu, gic, here => gic.redist_write(here, offset, 4, value));
        }
    }

    /// Chooses a bank that vCPU `v` reaches: with GICv2 of the private ones only its own.
    fn some_bank(&mut self, v: usize) -> usize {
        let n = self.rng.below(WORDS + self.model.vcpus.len());
        match n.checked_sub(WORDS) {
            None => n + 1,
            Some(_) if self.is_v2() => 32 + v,
            Some(other) => 32 + other,
        }
    }

    /// The bits of a bank that its enable and pending registers can't change.
    fn fixed(&self, bank: usize) -> u32 {
        if self.is_v2() && bank >= 32 {
            0xffff
        } else {
            0
        }
    }

    /// What must not be cleared behind the back of a vCPU about to EOI it (EOImode 0).
    fn on_stacks(&self, bank: usize) -> u32 {
        let mut word = 0;
        for (v, vcpu) in self.model.vcpus.iter().enumerate() {
            for &(intid, _) in &vcpu.stack {
                let its = if intid < 32 {
                    32 + v
                } else {
                    intid as usize / 32
                };
                word |= u32::from(its == bank) << (intid % 32);
            }
        }
        word
    }

    fn write(&mut self) {
        let Some((cpu, v)) = self.some_loaded() else {
            return;
        };
        let bank = self.some_bank(v);
        let fixed = self.fixed(bank);
        let mut word = self.rng.sparse();
        if bank >= 32 {
            // The timer's latch belongs to its physical interrupt.
            word &= !(1 << TIMER) | self.rng.sparse();
        }
        let no_timer = if bank >= 32 { !(1 << TIMER) } else { !0 };
        match self.rng.below(14) {
            0..=2 => {
                self.model.each(bank, word, |irq| irq.enabled = true);
                self.put_word(cpu, bank, ISENABLER, word);
            }
            3 => {
                self.model
                    .each(bank, word & !fixed, |irq| irq.enabled = false);
                self.put_word(cpu, bank, ICENABLER, word);
            }
            4 => {
                self.model
                    .each(bank, word & no_timer & !fixed, |irq| irq.latch = true);
                self.put_word(cpu, bank, ISPENDR, word & no_timer);
            }
            5 => {
                self.model
                    .each(bank, word & !fixed, |irq| irq.latch = false);
                self.put_word(cpu, bank, ICPENDR, word);
            }
            6 => {
                let word = word & self.rng.sparse();
                self.model.each(bank, word, |irq| irq.active = true);
                self.put_word(cpu, bank, ISACTIVER, word);
            }
            7 | 8 => {
                let word = !self.on_stacks(bank) & (word | self.rng.next() as u32);
                self.model.each(bank, word, |irq| irq.active = false);
                self.put_word(cpu, bank, ICACTIVER, word);
            }
            9 => self.write_group(cpu, bank, word),
            10 | 11 => self.write_priority(cpu, bank),
            12 => self.write_router(cpu),
            _ => self.write_rarely(cpu),
        }
    }

    fn write_group(&mut self, cpu: usize, bank: usize, flips: u32) {
        let word = self.model.word(bank, |irq| irq.group1) ^ flips;
        self.model.each(bank, flips, |irq| irq.group1 = !irq.group1);
        self.put_word(cpu, bank, IGROUPR, word);
    }

    fn write_priority(&mut self, cpu: usize, bank: usize) {
        let n = self.rng.below(8) * 4;
        let value = self.rng.next() & 0xffff_ffff;
        for (irq, byte) in self.model.irqs[bank][n..]
            .iter_mut()
            .zip((value as u32).to_le_bytes())
        {
            irq.priority = byte & 0xf8;
        }
        match bank {
            _ if self.is_v2() => {
                let first = if bank < 32 { bank * 32 } else { 0 };
                let offset = IPRIORITYR + (first + n) as u32;
                on!(self, cpu, gic, here => gic.dist_v2_write(here, offset, 4, value));
            }
            0..32 => {
                let offset = IPRIORITYR + (bank * 32 + n) as u32;
                on!(self, cpu, gic, here => gic.dist_write(here, offset, 4, value));
            }
            _ => {
                let offset = (bank as u64 - 32) * REDIST_SIZE + 0x1_0400 + n as u64;
                on!(self, cpu, gic, here => gic.redist_write(here, offset, 4, value));
            }
        }
    }

    fn write_router(&mut self, cpu: usize) {
        let vcpus = self.model.vcpus.len();
        let intid = 32 + self.rng.below(32 * WORDS) as u32;
        if self.is_v2() {
            let byte = self.rng.sparse() & 0xff;
            if vcpus > 1 {
                let target = (byte & ((1 << vcpus) - 1)).trailing_zeros() as usize;
                self.model.irq(0, intid).target = (target < vcpus).then_some(target);
            }
            let offset = 0x800 + intid;
            return on!(self, cpu, gic, here => gic.dist_v2_write(here, offset, 1, byte.into()));
        }
        let target = self.rng.below(vcpus + 1);
        self.model.irq(0, intid).target = (target < vcpus).then_some(target);
        let offset = IROUTER + 8 * intid;
        on!(self, cpu, gic, here => gic.dist_write(here, offset, 8, target as u64));
    }

    fn write_rarely(&mut self, cpu: usize) {
        if self.rng.one_in(2) {
            let groups = self.rng.next() & self.rng.next() & 3 ^ 3;
            self.model.open = [groups & 1 != 0, groups & 2 != 0];
            return match self.version {
                Version::V2 => {
                    on!(self, cpu, gic, here => gic.dist_v2_write(here, CTLR, 4, groups))
                }
                Version::V3 => on!(self, cpu, gic, here => gic.dist_write(here, CTLR, 4, groups)),
            };
        }
        // Changing between edge and level is only defined for what is disabled.
        let (bank, half) = (1 + self.rng.below(WORDS), self.rng.below(2));
        let flips = self.rng.sparse() & 0xaaaa_aaaa;
        let mut value = 0;
        for n in 0..16 {
            let irq = &mut self.model.irqs[bank][half * 16 + n];
            irq.edge ^= flips >> (2 * n + 1) & 1 != 0 && !irq.enabled;
            value |= u64::from(irq.edge) << (2 * n + 1);
        }
        let offset = ICFGR + (bank * 8 + half * 4) as u32;
        match self.version {
            Version::V2 => {
                on!(self, cpu, gic, here => gic.dist_v2_write(here, offset, 4, value));
            }
            Version::V3 => on!(self, cpu, gic, here => gic.dist_write(here, offset, 4, value)),
        }
    }

    /// Reads pending and active words, waiting once for whoever is said to know better.
    fn read_back(&mut self) {
        let Some((cpu, v)) = self.some_loaded() else {
            return;
        };
        let bank = self.some_bank(v);
        let timer = if bank >= 32 { 1 << TIMER } else { 0 };
        let pending = self.model.word(bank, |irq| irq.pending());
        let active = self.model.word(bank, |irq| irq.active);
        for (register, expected, ignored) in [
            (ISPENDR, pending, timer),
            (ICACTIVER, active, 0),
            (ICPENDR, pending, timer),
        ] {
            let read = |world: &mut Self| {
                let here = &mut Here::new(v, &mut world.cpus[cpu]);
                match bank {
                    _ if world.version == Version::V2 => {
                        let number = if bank < 32 { bank as u32 } else { 0 };
                        world.gic.dist_v2_read(here, register + 4 * number, 4)
                    }
                    0..32 => world.gic.dist_read(here, register + 4 * bank as u32, 4),
                    _ => {
                        let offset = (bank as u64 - 32) * REDIST_SIZE + 0x1_0000;
                        world.gic.redist_read(here, offset + u64::from(register), 4)
                    }
                }
            };
            let first = read(self);
            self.settle(first.stale);
            assert!(self.gic.is_synced(first.stale));
            let value = read(self);
            self.settle(value.stale);
            assert_eq!(
                value.value as u32 & !ignored,
                expected & !ignored,
                "{register:#x} of {bank}"
            );
        }
    }

    /// Reads who sent a vCPU's SGIs.
    fn read_senders(&mut self) {
        let Some((cpu, v)) = self.some_loaded() else {
            return;
        };
        for n in 0..16 {
            let here = &mut Here::new(v, &mut self.cpus[cpu]);
            let value = self.gic.dist_v2_read(here, 0xf10 + n, 1).value;
            assert_eq!(value, self.model.irq(v, n).senders.into());
        }
    }

    /// The guest's crash kernel takes over: whatever was going on, everything can be made idle.
    fn repair(&mut self) {
        for cpu in 0..self.cpus.len() {
            let Some(v) = self.resident[cpu] else {
                continue;
            };
            self.cpus[cpu].ap = [0; 2];
            self.model.vcpus[v].stack.clear();
            self.model.vcpus[v].dropped.clear();
        }
        let Some(cpu) = (0..self.cpus.len()).find(|&cpu| self.resident[cpu].is_some()) else {
            return;
        };
        for bank in (1..=WORDS).chain(32..32 + self.model.vcpus.len()) {
            self.model.each(bank, !0, |irq| {
                (irq.active, irq.latch, irq.senders) = (false, false, 0);
            });
            let own = bank.checked_sub(32).and_then(|v| self.host_of(v));
            let cpu = own.unwrap_or(cpu);
            self.put_word(cpu, bank, ICACTIVER, !0);
            self.put_word(cpu, bank, ICPENDR, !0);
            if self.is_v2() && bank >= 32 {
                for offset in (0xf10..0xf20).step_by(4) {
                    let all = u32::MAX.into();
                    on!(self, cpu, gic, here => gic.dist_v2_write(here, offset, 4, all));
                }
            }
        }
    }
}

fn run(vcpus: usize, cpus: usize, lists: u32, steps: usize) {
    run_version(Version::V3, vcpus, cpus, lists, steps);
}

fn run_v2(vcpus: usize, cpus: usize, lists: u32, steps: usize) {
    run_version(Version::V2, vcpus, cpus, lists, steps);
}

fn run_version(version: Version, vcpus: usize, cpus: usize, lists: u32, steps: usize) {
    for seed in 1..=6 {
        let mut world = World::new(version, seed * 0x9e37_79b9, vcpus, cpus, lists);
        for step in 0..steps {
            world.step();
            // Everybody is loaded, so that no vCPU is left in the middle of something.
            if step % 2000 == 1999 && world.resident.iter().flatten().count() == vcpus {
                world.repair();
            }
        }
    }
}

#[test]
fn one_vcpu_four_list_registers() {
    run(1, 1, 4, 8000);
}

#[test]
fn one_list_register_is_enough() {
    run(2, 2, 1, 4000);
}

#[test]
fn several_vcpus_four_list_registers() {
    run(3, 3, 4, 8000);
}

#[test]
fn several_vcpus_sixteen_list_registers() {
    run(4, 4, 16, 5000);
}

#[test]
fn more_vcpus_than_cpus() {
    run(5, 2, 4, 6000);
}

#[test]
fn gicv2_one_vcpu_four_list_registers() {
    run_v2(1, 1, 4, 8000);
}

#[test]
fn gicv2_one_list_register_is_enough() {
    run_v2(2, 2, 1, 4000);
}

#[test]
fn gicv2_several_vcpus_four_list_registers() {
    run_v2(3, 3, 4, 8000);
}

#[test]
fn gicv2_eight_vcpus_sixteen_list_registers() {
    run_v2(8, 8, 16, 5000);
}

#[test]
fn gicv2_more_vcpus_than_cpus() {
    run_v2(5, 2, 4, 6000);
}

/// Kicks take their time here: edges are not lost, and none is seen that was not raised.
#[test]
fn edges_survive_late_syncs() {
    for seed in 1..20 {
        let mut rng = Rng(seed * 77_777);
        let (mut gic, mut cpus) = running(3, 2);
        let edges = 0xaaaa_aaaa;
        let _ = gic.dist_write(&mut Here::nobody(&mut cpus[0]), ICFGR + 8, 4, edges);
        let mut late = 0u64;
        let mut raised = [false; 64];
        let mut unseen = [0; 64];
        let mut stacks = vec![Vec::new(); 3];
        for step in 0..6000 {
            let cpu = rng.below(3);
            let draining = step > 4000;
            let here = &mut Here::new(cpu, &mut cpus[cpu]);
            let kicks = match rng.below(if draining { 3 } else { 6 }) {
                0 => match here.lists.iar() {
                    Some(intid) => {
                        raised[intid as usize] = false;
                        unseen[intid as usize] -= 1;
                        assert!(unseen[intid as usize] >= 0, "spurious {intid}");
                        stacks[cpu].push(intid);
                        Kicks::NONE
                    }
                    None => Kicks::NONE,
                },
                1 => match stacks[cpu].pop() {
                    Some(intid) => {
                        here.lists.eoi(intid);
                        Kicks::NONE
                    }
                    None => Kicks::NONE,
                },
                2 if late >> cpu & 1 != 0 || here.lists.wants_maintenance() => {
                    late &= !(1 << cpu);
                    gic.sync(here) | gic.maintenance(here)
                }
                3 | 4 => {
                    let intid = 32 + rng.below(16) as u32;
                    raised[intid as usize] = true;
                    unseen[intid as usize] += 1;
                    gic.pulse(here, 0, intid)
                }
                5 => {
                    let offset = IROUTER + 8 * (32 + rng.below(16) as u32);
                    gic.dist_write(here, offset, 8, rng.below(3) as u64)
                }
                _ => Kicks::NONE,
            };
            late |= kicks.bits();
        }
        assert_eq!(raised, [false; 64], "lost");
    }
}
