//! The architecture's rules, one interrupt at a time and without list registers.

use crate::vm::gic::Version;

/// One interrupt.
#[derive(Clone, Default, Debug)]
pub struct Irq {
    pub enabled: bool,
    pub group1: bool,
    pub edge: bool,
    pub level: bool,
    pub latch: bool,
    pub active: bool,
    pub priority: u8,
    pub target: Option<usize>,
    /// Who sent it, if it is a GICv2's SGI: a bit each.
    pub senders: u8,
}

impl Irq {
    pub fn pending(&self) -> bool {
        self.latch || (!self.edge && self.level)
    }
}

/// One vCPU's CPU interface.
#[derive(Clone, Default, Debug)]
pub struct Interface {
    pub mask: u8,
    pub enable: [bool; 2],
    /// INTID and priority of what was acknowledged and not yet dropped, innermost last.
    pub stack: Vec<(u32, u8)>,
    /// Dropped, not yet deactivated (EOImode 1).
    pub dropped: Vec<u32>,
}

/// The whole controller.
pub struct Model {
    pub open: [bool; 2],
    pub irqs: Vec<Vec<Irq>>,
    pub vcpus: Vec<Interface>,
}

impl Model {
    /// Banks are numbered as the controller numbers them: SPI words, then 32 + vCPU.
    ///
    /// A GICv2's SGIs are always enabled, and its SPIs have no target where there is a choice.
    pub fn new(version: Version, vcpus: usize, words: usize) -> Self {
        let v2 = version == Version::V2;
        let target = (!v2 || vcpus == 1).then_some(0);
        let mut irqs = vec![vec![Irq::default(); 32]; 32 + vcpus];
        for word in &mut irqs[1..=words] {
            word.iter_mut().for_each(|irq| irq.target = target);
        }
        for (v, bank) in irqs[32..].iter_mut().enumerate() {
            for (n, irq) in bank.iter_mut().enumerate() {
                irq.target = Some(v);
                irq.edge = n < 16;
                irq.enabled = v2 && n < 16;
            }
        }
        Self {
            open: [false; 2],
            irqs,
            vcpus: vec![Interface::default(); vcpus],
        }
    }

    pub fn irq(&mut self, vcpu: usize, intid: u32) -> &mut Irq {
        let bank = match intid {
            0..32 => 32 + vcpu,
            _ => intid as usize / 32,
        };
        &mut self.irqs[bank][intid as usize % 32]
    }

    /// INTID and priority of all that may be signalled to a vCPU, but for what it runs now.
    pub fn deliverable(&self, v: usize) -> Vec<(u32, u8)> {
        let me = &self.vcpus[v];
        let mut found = Vec::new();
        for (bank, irqs) in self.irqs.iter().enumerate() {
            let base = if bank < 32 { bank * 32 } else { 0 };
            for (n, irq) in irqs.iter().enumerate() {
                let group = usize::from(irq.group1);
                let signalled = irq.pending() && irq.enabled && !irq.active && self.open[group];
                if signalled && irq.target == Some(v) && me.enable[group] && irq.priority < me.mask
                {
                    found.push(((base + n) as u32, irq.priority));
                }
            }
        }
        found
    }

    /// Those of the highest priority, if that preempts what runs.
    pub fn best(&self, v: usize) -> Vec<(u32, u8)> {
        let running = self.vcpus[v].stack.iter().map(|run| run.1 >> 3).min();
        let all = self.deliverable(v);
        let best = all.iter().map(|irq| irq.1).min();
        all.into_iter()
            .filter(|irq| Some(irq.1) == best && running.is_none_or(|running| irq.1 >> 3 < running))
            .collect()
    }

    /// A register of one bit per interrupt.
    pub fn word(&self, bank: usize, bit: impl Fn(&Irq) -> bool) -> u32 {
        (0..32)
            .filter(|&n| bit(&self.irqs[bank][n]))
            .fold(0, |word, n| word | 1 << n)
    }

    /// Does something to the interrupts of a bank that a word names.
    pub fn each(&mut self, bank: usize, word: u32, mut f: impl FnMut(&mut Irq)) {
        for n in (0..32).filter(|n| word >> n & 1 != 0) {
            f(&mut self.irqs[bank][n]);
        }
    }
}
