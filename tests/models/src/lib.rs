//! What the hypervisor's CPUs share without locks, to be modelled.
//!
//! The hypervisor's own source files are compiled here once more, with [loom]'s atomics in the
//! place of the machine's. loom then runs each model in `tests/` in every order of events that
//! the memory model allows.
//!
//! [loom]: https://docs.rs/loom

#[path = "../../../src/sync/doorbell.rs"]
pub mod doorbell;
#[path = "../../../src/vm/psci/switch.rs"]
pub mod switch;

/// What the files name of the hypervisor.
mod isa {
    pub use entresol::isa::{affinity, psci};
}

mod sync {
    pub mod atomic {
        pub use loom::sync::atomic::{
            AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence,
        };
    }
}

mod vm {
    pub mod smccc {
        pub use entresol::vm::smccc::Start;
    }
}
