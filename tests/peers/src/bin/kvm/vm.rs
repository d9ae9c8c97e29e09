//! A VM of KVM's, and its vCPUs.

use peers::abi::{
    self, CreateDevice, DeviceAttribute, MemoryRegion, Mmio, OneRegister, Run, VcpuInit, vgic,
};
use peers::uart::Uart;

use super::linux::{Console, Error, File, Mapping};

/// Where things are for the guest: as on QEMU's `virt`.
mod place {
    pub const DISTRIBUTOR: u64 = 0x0800_0000;
    pub const INTERFACE: u64 = 0x0801_0000;
    pub const REDISTRIBUTORS: u64 = 0x080a_0000;
    pub const UART: u64 = 0x0900_0000;
    pub const UART_SIZE: u64 = 0x1000;
    pub const RAM: u64 = 0x4000_0000;
    /// From the start of RAM.
    pub const TREE: u64 = 0;
    pub const PROGRAM: u64 = 2 << 20;
}

const MEMORY: usize = 256 << 20;
/// A block of stage 2.
const BLOCK: usize = 2 << 20;
/// SGIs, PPIs, and 64 SPIs.
const INTERRUPTS: u32 = 96;
const ADDRESS_WIDTH: u64 = 40;

/// A vCPU, and what it shares with Linux.
pub struct Vcpu {
    file: File,
    shared: Mapping,
}

/// Makes the VM with two vCPUs, the second one off, and the guest in its memory.
pub fn make() -> Result<[Vcpu; 2], Error> {
    let kvm = File::open(c"/dev/kvm", true)?;
    let vm = kvm.plain("making a VM", abi::CREATE_VM, ADDRESS_WIDTH)?;
    let vm = File::from_descriptor(vm as u32);
    let memory = Mapping::anonymous(MEMORY, BLOCK)?;
    memory.load(place::TREE as usize, c"/bench.dtb")?;
    memory.load(place::PROGRAM as usize, c"/bench")?;
    let mut region = MemoryRegion {
        guest: place::RAM,
        size: memory.size() as u64,
        host: memory.start() as u64,
        ..MemoryRegion::default()
    };
    vm.request("giving memory", &abi::SET_USER_MEMORY_REGION, &mut region)?;
    let shared = kvm.plain("asking for a size", abi::GET_VCPU_MMAP_SIZE, 0)? as usize;
    let vcpus = [Vcpu::make(vm, 0, shared)?, Vcpu::make(vm, 1, shared)?];
    make_gic(vm)?;
    vcpus[0].set(abi::PC, place::RAM + place::PROGRAM)?;
    vcpus[0].set(abi::X0, place::RAM + place::TREE)?;
    Ok(vcpus)
}

/// Gives the VM a GIC of the version that the machine has.
fn make_gic(vm: File) -> Result<(), Error> {
    let make = |kind| {
        let mut device = CreateDevice {
            kind,
            ..CreateDevice::default()
        };
        vm.request("making a GIC", &abi::CREATE_DEVICE, &mut device)?;
        Ok(File::from_descriptor(device.descriptor))
    };
    let places = |gic: File, places: [(u64, u64); 2]| {
        places
            .into_iter()
            .try_for_each(|(part, at)| set(gic, vgic::ADDRESSES, part, &at))
    };
    let gic = match make(vgic::V3) {
        Ok(gic) => {
            places(
                gic,
                [
                    (vgic::V3_DISTRIBUTOR, place::DISTRIBUTOR),
                    (vgic::V3_REDISTRIBUTORS, place::REDISTRIBUTORS),
                ],
            )?;
            gic
        }
        Err(_) => {
            let gic = make(vgic::V2)?;
            places(
                gic,
                [
                    (vgic::V2_DISTRIBUTOR, place::DISTRIBUTOR),
                    (vgic::V2_INTERFACE, place::INTERFACE),
                ],
            )?;
            gic
        }
    };
    set(gic, vgic::INTERRUPTS, 0, &INTERRUPTS)?;
    set(gic, vgic::CONTROL, vgic::INIT, &0_u64)
}

/// Sets a property of a device, whose type is that of `value`.
fn set<T>(device: File, group: u32, attribute: u64, value: &T) -> Result<(), Error> {
    let value = core::ptr::from_ref(value) as u64;
    let mut property = DeviceAttribute {
        group,
        attribute,
        value,
        flags: 0,
    };
    device.request("setting up the GIC", &abi::SET_DEVICE_ATTR, &mut property)
}

impl Vcpu {
    fn make(vm: File, index: usize, shared: usize) -> Result<Self, Error> {
        let file = vm.plain("making a vCPU", abi::CREATE_VCPU, index as u64)?;
        let file = File::from_descriptor(file as u32);
        let mut init = VcpuInit::default();
        vm.request(
            "asking for the kind of vCPU",
            &abi::ARM_PREFERRED_TARGET,
            &mut init,
        )?;
        init.features[0] = VcpuInit::PSCI | if index == 0 { 0 } else { VcpuInit::POWER_OFF };
        file.request("resetting a vCPU", &abi::ARM_VCPU_INIT, &mut init)?;
        Ok(Self {
            file,
            shared: Mapping::of(file, shared)?,
        })
    }

    fn set(&self, id: u64, value: u64) -> Result<(), Error> {
        let mut register = OneRegister {
            id,
            value: &raw const value as u64,
        };
        self.file
            .request("setting a register", &abi::SET_ONE_REG, &mut register)
    }

    /// Runs it until the guest turns itself off.
    pub fn run(self) -> Result<(), Error> {
        let mut uart = Uart::default();
        let run = self.shared.start().cast::<Run>();
        loop {
            match self.file.plain("running a vCPU", abi::RUN, 0) {
                Err(error) if error.errno() != Error::INTERRUPTED => return Err(error),
                Err(_) => continue,
                Ok(_) => {}
            }
            // SAFETY: Linux mapped its `Run` here, and changes it only while the vCPU runs.
            match unsafe { (&raw const (*run).reason).read_volatile() } {
                Run::MMIO => {
                    // SAFETY: as above.
                    let access = unsafe { &raw mut (*run).mmio };
                    // SAFETY: as above, in this line and the next.
                    let answered = answer(&mut uart, unsafe { access.read_volatile() });
                    // SAFETY: as above; Linux takes what was read when the vCPU runs again.
                    unsafe { access.write_volatile(answered) };
                }
                Run::SYSTEM_EVENT => return Ok(()),
                reason => {
                    return Err(Error::new(
                        "the guest's exit is not known: running it",
                        reason.into(),
                    ));
                }
            }
        }
    }
}

/// Does an access to the UART; elsewhere zero is read.
fn answer(uart: &mut Uart, mut access: Mmio) -> Mmio {
    let mut word = [0; 4];
    word.copy_from_slice(&access.data[..4]);
    let offset = access.address.wrapping_sub(place::UART);
    if access.is_write != 0 {
        if offset < place::UART_SIZE {
            uart.write(offset, u32::from_le_bytes(word), |line| Console.send(line));
        }
        return access;
    }
    let value = if offset < place::UART_SIZE {
        uart.read(offset)
    } else {
        0
    };
    access.data = u64::from(value).to_le_bytes();
    access
}
