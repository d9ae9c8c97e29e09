//! A vCPU that goes on as another: out by the export, in by the import.

use super::{ExportError, ids::Name};
use crate::vm::vcpu::Vcpu;
use alloc::boxed::Box;

impl Vcpu {
    /// Makes a new vCPU of the same VM, which has what this one exports and nothing else of it. This
    /// one must be in memory.
    ///
    /// The distributor and the redistributors are the VM's and stay as they are.
    ///
    /// # Errors
    ///
    /// [`ExportError`] for a register that does not go in as it came out.
    pub fn remade(&mut self) -> Result<Box<Self>, ExportError> {
        debug_assert!(!self.sysregs().sysregs_loaded_on_cpu() && !self.sysregs().state().debug);
        let mut fresh = Self::new(self.vm(), self.index());
        for id in self.reg_list() {
            if !matches!(
                Name::from_id(id),
                Some(Name::Dist(_) | Name::Redist(_)) | None
            ) {
                fresh.set_reg(id, self.get_reg(id)?)?;
            }
        }
        Ok(fresh)
    }

    /// Returns whether what the vCPU is in the middle of is in its registers alone: no cleaning of
    /// its memory, and no debugger.
    pub const fn is_registers_alone(&self) -> bool {
        self.cleaning.is_none() && self.debug.session.is_none()
    }
}
