//! KVM's interface on arm64: requests, and the structures they take.
//!
//! The numbers are Linux's, from `include/uapi/linux/kvm.h` and `arch/arm64`'s `asm/kvm.h`; those
//! of its random numbers from `include/uapi/linux/random.h`.

use core::marker::PhantomData;

/// KVM's letter among all ioctls.
const KVM: u64 = 0xae;
const KERNEL_READS: u64 = 1 << 30;
const KERNEL_WRITES: u64 = 1 << 31;

/// A request that takes a number.
#[derive(Clone, Copy)]
pub struct Plain(pub u64);

const fn plain(number: u64) -> Plain {
    Plain(KVM << 8 | number)
}

/// A request that takes a `T` by address, whose size is a part of the request's number.
pub struct Request<T>(u64, PhantomData<T>);

impl<T> Request<T> {
    const fn new(direction: u64, number: u64) -> Self {
        let size = size_of::<T>() as u64;
        Self(direction | size << 16 | KVM << 8 | number, PhantomData)
    }

    /// Returns the request's number.
    pub const fn number(&self) -> u64 {
        self.0
    }
}

/// Of KVM: makes a VM; the number is the width of its addresses.
pub const CREATE_VM: Plain = plain(0x01);
/// Of KVM: asks how many bytes of a vCPU are to be mapped.
pub const GET_VCPU_MMAP_SIZE: Plain = plain(0x04);
/// Of a VM: makes a vCPU; the number is its index.
pub const CREATE_VCPU: Plain = plain(0x41);
/// Of a VM: gives it memory.
pub const SET_USER_MEMORY_REGION: Request<MemoryRegion> = Request::new(KERNEL_READS, 0x46);
/// Of a vCPU: runs it until it needs something.
pub const RUN: Plain = plain(0x80);
/// Of a vCPU: sets a register.
pub const SET_ONE_REG: Request<OneRegister> = Request::new(KERNEL_READS, 0xac);
/// Of a vCPU: brings it to its state at reset.
pub const ARM_VCPU_INIT: Request<VcpuInit> = Request::new(KERNEL_READS, 0xae);
/// Of a VM: asks for the kind of CPU the machine's vCPUs are.
pub const ARM_PREFERRED_TARGET: Request<VcpuInit> = Request::new(KERNEL_WRITES, 0xaf);
/// Of a VM: makes a device of the kernel's.
pub const CREATE_DEVICE: Request<CreateDevice> = Request::new(KERNEL_READS | KERNEL_WRITES, 0xe0);
/// Of a device: sets a property.
pub const SET_DEVICE_ATTR: Request<DeviceAttribute> = Request::new(KERNEL_READS, 0xe1);

/// Of random numbers: makes a [`Seed`] a part of them, given its address.
pub const ADD_ENTROPY: Plain = Plain(0x4008_5203);

/// What Linux is to make random numbers from.
#[repr(C)]
pub struct Seed {
    /// How many bits of it nobody can guess.
    pub entropy: u32,
    /// The size of what follows, in bytes.
    pub size: u32,
    /// The seed itself.
    pub bytes: [u8; 32],
}

/// A piece of a VM's memory.
#[derive(Default)]
#[repr(C)]
pub struct MemoryRegion {
    /// Its number.
    pub slot: u32,
    /// None here.
    pub flags: u32,
    /// Where the guest has it.
    pub guest: u64,
    /// In bytes.
    pub size: u64,
    /// Where this process has it.
    pub host: u64,
}

/// What kind of vCPU it is.
#[derive(Default)]
#[repr(C)]
pub struct VcpuInit {
    /// The CPU it is like.
    pub target: u32,
    /// A bit for each feature.
    pub features: [u32; 7],
}

impl VcpuInit {
    /// The vCPU is off until another turns it on.
    pub const POWER_OFF: u32 = 1 << 0;
    /// It has PSCI of version 0.2 or newer.
    pub const PSCI: u32 = 1 << 2;
}

/// What device to make.
#[derive(Default)]
#[repr(C)]
pub struct CreateDevice {
    /// Which.
    pub kind: u32,
    /// The descriptor of what was made.
    pub descriptor: u32,
    /// None here.
    pub flags: u32,
}

/// A property of a device.
#[derive(Default)]
#[repr(C)]
pub struct DeviceAttribute {
    /// None here.
    pub flags: u32,
    /// The group it belongs to.
    pub group: u32,
    /// Its number in the group.
    pub attribute: u64,
    /// Where this process has its value.
    pub value: u64,
}

/// A register's value.
#[derive(Default)]
#[repr(C)]
pub struct OneRegister {
    /// Which.
    pub id: u64,
    /// Where this process has its value.
    pub value: u64,
}

/// Returns the id of the 64-bit register at byte `offset` of `struct kvm_regs`.
const fn core_register(offset: u64) -> u64 {
    0x6030_0000_0010_0000 | (offset / 4)
}

/// X0.
pub const X0: u64 = core_register(0);
/// The program counter, after X0 to X30 and SP.
pub const PC: u64 = core_register(32 * 8);

/// The kernel's GICs, and their properties.
pub mod vgic {
    /// A GICv2, as a kind of device.
    pub const V2: u32 = 5;
    /// A GICv3.
    pub const V3: u32 = 7;

    /// Where a part of it is.
    pub const ADDRESSES: u32 = 0;
    /// How many interrupts it has.
    pub const INTERRUPTS: u32 = 3;
    /// What is done rather than set.
    pub const CONTROL: u32 = 4;

    /// Of [`ADDRESSES`]: a GICv2's distributor.
    pub const V2_DISTRIBUTOR: u64 = 0;
    /// Of [`ADDRESSES`]: a GICv2's CPU interface.
    pub const V2_INTERFACE: u64 = 1;
    /// Of [`ADDRESSES`]: a GICv3's distributor.
    pub const V3_DISTRIBUTOR: u64 = 2;
    /// Of [`ADDRESSES`]: a GICv3's redistributors.
    pub const V3_REDISTRIBUTORS: u64 = 3;
    /// Of [`CONTROL`]: all properties are set.
    pub const INIT: u64 = 0;
}

/// What a process and the kernel share of a vCPU: why it stopped, and what it needs.
#[repr(C)]
pub struct Run {
    requests: [u8; 8],
    /// Why it stopped.
    pub reason: u32,
    state: [u8; 20],
    /// For [`Run::MMIO`]: the access.
    pub mmio: Mmio,
}

impl Run {
    /// The guest accesses what isn't memory.
    pub const MMIO: u32 = 6;
    /// The guest turned itself off.
    pub const SYSTEM_EVENT: u32 = 24;
}

/// An access to what isn't memory.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Mmio {
    /// Where.
    pub address: u64,
    /// What is written, or what the process makes be read.
    pub data: [u8; 8],
    /// How many bytes of it.
    pub size: u32,
    /// Whether it is a write.
    pub is_write: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    /// As `strace` shows them of other programs.
    #[test]
    fn requests_have_linux_numbers() {
        assert_eq!(CREATE_VM.0, 0xae01);
        assert_eq!(RUN.0, 0xae80);
        assert_eq!(SET_USER_MEMORY_REGION.number(), 0x4020_ae46);
        assert_eq!(SET_ONE_REG.number(), 0x4010_aeac);
        assert_eq!(ARM_VCPU_INIT.number(), 0x4020_aeae);
        assert_eq!(ARM_PREFERRED_TARGET.number(), 0x8020_aeaf);
        assert_eq!(CREATE_DEVICE.number(), 0xc00c_aee0);
        assert_eq!(SET_DEVICE_ATTR.number(), 0x4018_aee1);
    }

    #[test]
    fn registers_and_fields_are_where_linux_has_them() {
        assert_eq!(X0, 0x6030_0000_0010_0000);
        assert_eq!(PC, 0x6030_0000_0010_0040);
        assert_eq!(offset_of!(Run, reason), 8);
        assert_eq!(offset_of!(Run, mmio), 32);
        assert_eq!(offset_of!(Mmio, is_write), 20);
    }
}
