//! A VM's RAM being filled, on the CPU of its first vCPU and at the VM's own weight: who resets again
//! and again takes nothing from others that its turns would not have taken.

use crate::{
    error::Refusal,
    refuse,
    sched::cpu::work::Work,
    vm::{load::Filling, memory::GuestMemory},
};
use alloc::{
    boxed::Box,
    string::{String, ToString},
    sync::Arc,
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What others may know of a VM that is being made.
pub struct News {
    /// The VM's name.
    pub name: String,
    percent: AtomicU64,
    is_cancelled: AtomicBool,
}

impl News {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            percent: AtomicU64::new(0),
            is_cancelled: AtomicBool::new(false),
        }
    }

    /// Returns how much of the work is done, in hundredths.
    pub fn percent(&self) -> u64 {
        self.percent.load(Ordering::Relaxed)
    }

    /// Returns whether the VM is not to be made after all.
    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Asks for the VM not to be made after all.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

/// The work itself.
pub struct Making {
    filling: Filling<'static>,
    refusal: Option<Refusal>,
    news: Arc<News>,
    weight: u32,
    begins: u64,
}

impl Making {
    pub(super) fn new(
        filling: Filling<'static>,
        news: &Arc<News>,
        weight: u32,
        begins: u64,
    ) -> Self {
        Self {
            filling,
            refusal: None,
            news: news.clone(),
            weight,
            begins,
        }
    }

    pub(super) const fn news(&self) -> &Arc<News> {
        &self.news
    }

    /// Gives the RAM away, if it could be filled.
    pub(super) fn into_memory(self) -> Result<GuestMemory, Refusal> {
        self.refusal.map_or_else(|| Ok(self.filling.finish()), Err)
    }
}

impl Work for Making {
    fn step(&mut self) -> bool {
        if self.news.is_cancelled() {
            self.refusal = Some(refuse!("stopped before it was started"));
            return true;
        }
        let done = self.filling.step();
        let percent = self.filling.percent();
        self.news.percent.store(percent, Ordering::Relaxed);
        done.unwrap_or_else(|refusal| {
            self.refusal = Some(refusal);
            true
        })
    }

    fn weight(&self) -> u32 {
        self.weight
    }

    fn begins(&self) -> u64 {
        self.begins
    }

    fn finish(self: Box<Self>) {
        super::made(*self);
    }
}
