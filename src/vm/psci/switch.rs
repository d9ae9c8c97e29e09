//! One vCPU's power switch: an atomic word, and where the vCPU starts.
//!
//! A vCPU is turned on in three steps by two parties: somebody *claims* it (of many who try at
//! once, one wins), *publishes* where it starts, and the vCPU itself *arrives*. Between claim and
//! arrival others are told that it is pending. Only the vCPU turns itself off.

use crate::{
    isa::{affinity::Affinity, psci::Error},
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    vm::smccc::Start,
};

/// A vCPU's state as AFFINITY_INFO gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Power {
    /// It runs, or could.
    On = 0,
    /// It waits to be turned on.
    Off = 1,
    /// It was turned on and has not arrived.
    OnPending = 2,
}

const ON: u8 = Power::On as u8;
const OFF: u8 = Power::Off as u8;
const ON_PENDING: u8 = Power::OnPending as u8;
/// Claimed, and where it starts is being written: pending to all but the vCPU itself.
const CLAIMED: u8 = 3;

/// One vCPU's power switch.
#[derive(Debug)]
pub struct Switch {
    affinity: Affinity,
    state: AtomicU8,
    entry: AtomicU64,
    context: AtomicU64,
    rest: [AtomicU64; 2],
}

/// The right to start a vCPU, which one of those who tried to turn it on has.
#[derive(Debug)]
#[must_use = "until it is published the vCPU stays pending"]
pub struct Claim<'a>(&'a Switch);

impl Switch {
    /// Makes the switch of the vCPU with this affinity, off.
    pub fn new(affinity: Affinity) -> Self {
        Self {
            affinity,
            state: AtomicU8::new(OFF),
            entry: AtomicU64::new(0),
            context: AtomicU64::new(0),
            rest: [0; 2].map(AtomicU64::new),
        }
    }

    /// Returns whose switch it is.
    pub const fn affinity(&self) -> Affinity {
        self.affinity
    }

    /// Returns the state as others see it.
    pub fn power(&self) -> Power {
        match self.state.load(Ordering::Acquire) {
            ON => Power::On,
            OFF => Power::Off,
            _ => Power::OnPending,
        }
    }

    /// Claims a vCPU that is off, to start it.
    ///
    /// # Errors
    ///
    /// ALREADY_ON, or ON_PENDING when somebody else was first.
    pub fn claim(&self) -> Result<Claim<'_>, Error> {
        // Acquire: what the vCPU wrote before it went off is seen by who turns it on.
        let order = (Ordering::Acquire, Ordering::Relaxed);
        match self.state.compare_exchange(OFF, CLAIMED, order.0, order.1) {
            Ok(_) => Ok(Claim(self)),
            Err(ON) => Err(Error::AlreadyOn),
            Err(_) => Err(Error::OnPending),
        }
    }

    /// Arrives, if this vCPU was turned on; returns where it starts. For the vCPU itself.
    pub fn arrive(&self) -> Option<Start> {
        // Acquire: pairs with the release that published the start.
        self.state
            .compare_exchange(ON_PENDING, ON, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        Some(Start {
            entry: self.entry.load(Ordering::Relaxed),
            context: self.context.load(Ordering::Relaxed),
            rest: self.rest.each_ref().map(|x| x.load(Ordering::Relaxed)),
        })
    }

    /// Turns off. For the vCPU itself, as the last thing it does: from here on another may start
    /// it anew.
    pub fn turn_off(&self) {
        self.state.store(OFF, Ordering::Release);
    }
}

impl Claim<'_> {
    /// Says where the vCPU starts. The caller then wakes whoever runs it.
    pub fn publish(self, start: Start) {
        self.0.entry.store(start.entry, Ordering::Relaxed);
        self.0.context.store(start.context, Ordering::Relaxed);
        for (x, value) in self.0.rest.iter().zip(start.rest) {
            x.store(value, Ordering::Relaxed);
        }
        self.0.state.store(ON_PENDING, Ordering::Release);
    }
}
