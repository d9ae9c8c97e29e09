use super::chosen::Chosen;
use super::fdt::tests::{ODD, RPI4, VIRT_V2, VIRT_V3, VIRT_V3_6G};
use super::firmware::{Conduit, Version};
use super::uart::UartKind;
use super::*;
use crate::addr::Pa;

fn board(blob: &[u8]) -> Board {
    Board::from_fdt(&fdt::check(blob).unwrap()).unwrap()
}

fn range(start: u64, end: u64) -> PaRange {
    PaRange::between(Pa::new(start), Pa::new(end))
}

fn sized(start: u64, size: u64) -> PaRange {
    PaRange::new(Pa::new(start), size).unwrap()
}

/// Replaces every `from` in a tree by `to` of the same length.
fn with(blob: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut copy = blob.to_vec();
    let mut found = false;
    for at in 0..blob.len() - from.len() {
        if &blob[at..at + from.len()] == from {
            copy[at..at + from.len()].copy_from_slice(to);
            found = true;
        }
    }
    assert!(found, "nothing to replace");
    copy
}

fn refusal(blob: &[u8], from: &[u8], to: &[u8]) -> String {
    let blob = with(blob, from, to);
    Board::from_fdt(&fdt::check(&blob).unwrap()).unwrap_err().0
}

#[test]
fn qemu_virt_with_gicv3() {
    let board = board(VIRT_V3);
    assert_eq!(board.model, "linux,dummy-virt");
    assert_eq!(board.ram, [range(0x4000_0000, 0x5000_0000)]);
    assert_eq!(board.usable_ram, board.ram);
    assert_eq!(
        board.cpus,
        [Cpu {
            mpidr: 0,
            start: Start::Unknown,
            is_usable: true,
            core: "arm,cortex-a57".into(),
        }]
    );
    assert_eq!(
        board.gic,
        Gic::V3 {
            distributor: sized(0x800_0000, 0x1_0000),
            redistributors: vec![sized(0x80a_0000, 0xf6_0000)],
            redistributor_stride: None,
            maintenance: 25,
        }
    );
    assert_eq!(
        board.timer,
        Timer {
            secure_physical: Some(29),
            physical: Some(30),
            virtual_: 27,
            hypervisor_physical: 26,
            hypervisor_virtual: Some(28),
            frequency: None,
        }
    );
    assert_eq!(
        board.psci,
        Some(Psci {
            conduit: Conduit::Smc,
            version: Version::V1_0
        })
    );
    assert_eq!(
        board.uart,
        Some(Uart {
            kind: UartKind::Pl011,
            registers: sized(0x900_0000, 0x1000),
            shift: 2,
            width: 4,
            interrupt: Some(33),
            enables: None,
        })
    );
    assert_eq!(board.chosen.bootargs, "console=x quiet");
    assert_eq!(board.chosen.initrd, Some(range(0x4800_0000, 0x484c_4b40)));
    assert_eq!(board.chosen.rng_seed.len(), 32);
    assert!(board.chosen.has_kaslr_seed);
}

#[test]
fn qemu_virt_with_four_cpus_and_six_gigabytes() {
    let board = board(VIRT_V3_6G);
    assert_eq!(board.ram, [sized(0x4000_0000, 6 << 30)]);
    let mpidrs: Vec<u64> = board.cpus.iter().map(|cpu| cpu.mpidr).collect();
    assert_eq!(mpidrs, [0, 1, 2, 3]);
    assert!(board.cpus.iter().all(|cpu| cpu.start == Start::Psci));
}

#[test]
fn qemu_virt_with_gicv2_and_secure_memory() {
    let board = board(VIRT_V2);
    assert_eq!(board.ram, [range(0x4000_0000, 0x5000_0000)]);
    assert_eq!(
        board.gic,
        Gic::V2 {
            distributor: sized(0x800_0000, 0x1_0000),
            cpu_interface: sized(0x801_0000, 0x1_0000),
            hypervisor_interface: sized(0x803_0000, 0x1_0000),
            virtual_cpu_interface: sized(0x804_0000, 0x1_0000),
            maintenance: 25,
        }
    );
    assert_eq!(board.timer.hypervisor_virtual, None);
    assert_eq!(board.uart.unwrap().registers.start(), Pa::new(0x900_0000));
    assert_eq!(board.chosen.initrd, None);
}

#[test]
fn raspberry_pi_4() {
    let board = board(RPI4);
    assert_eq!(board.model, "Raspberry Pi 4 Model B");
    assert_eq!(
        board.usable_ram,
        [range(0x1000, 0x3b3f_f000), range(0x4000_0000, 0xfc00_0000),]
    );
    let starts: Vec<Start> = board.cpus.iter().map(|cpu| cpu.start).collect();
    let place = |address| Start::SpinTable(Pa::new(address));
    assert_eq!(starts, [place(0xd8), place(0xe0), place(0xe8), place(0xf0)]);
    assert_eq!(board.psci, None);
    assert_eq!(board.power_management, Some(sized(0xfe10_0000, 0x114)));
    assert_eq!(
        board.gic,
        Gic::V2 {
            distributor: sized(0xff84_1000, 0x1000),
            cpu_interface: sized(0xff84_2000, 0x2000),
            hypervisor_interface: sized(0xff84_4000, 0x2000),
            virtual_cpu_interface: sized(0xff84_6000, 0x2000),
            maintenance: 25,
        }
    );
    assert_eq!(
        board.uart,
        Some(Uart {
            kind: UartKind::BcmAux,
            registers: sized(0xfe21_5040, 0x40),
            shift: 2,
            width: 4,
            interrupt: Some(125),
            enables: Some(sized(0xfe21_5004, 4)),
        })
    );
    assert_eq!(
        board.chosen,
        Chosen {
            bootargs: "log=debug".into(),
            initrd: Some(range(0x2eb0_0000, 0x2ec0_0000)),
            rng_seed: vec![],
            has_kaslr_seed: false,
            time_at_count_0: None,
        }
    );
}

#[test]
fn an_odd_tree() {
    let board = board(ODD);
    assert_eq!(board.model, "unknown machine");
    assert_eq!(
        board.ram,
        [
            range(0x8000_0000, 0x9000_0000),
            range(0x8_8000_0000, 0x9_8000_1000),
        ]
    );
    assert_eq!(
        board.usable_ram,
        [
            range(0x8001_1000, 0x8800_0000),
            range(0x8810_0000, 0x8c00_0000),
            range(0x8c00_1000, 0x9000_0000),
            range(0x8_8000_1000, 0x9_8000_1000),
        ]
    );
    assert_eq!(board.cpus[1].mpidr, 0x1_0000_0100);
    assert!(board.cpus[0].is_usable && !board.cpus[1].is_usable);
    assert_eq!(
        board.gic,
        Gic::V3 {
            distributor: sized(0x2f00_0000, 0x1_0000),
            redistributors: vec![
                sized(0x2f10_0000, 0x20_0000),
                sized(0x4_0000_0000, 0x40_0000)
            ],
            redistributor_stride: Some(0x4_0000),
            maintenance: 25,
        }
    );
    assert_eq!(
        board.timer,
        Timer {
            secure_physical: None,
            physical: Some(30),
            virtual_: 27,
            hypervisor_physical: 26,
            hypervisor_virtual: Some(28),
            frequency: Some(100_000_000),
        }
    );
    assert_eq!(
        board.psci,
        Some(Psci {
            conduit: Conduit::Hvc,
            version: Version::V0_2
        })
    );
    assert_eq!(
        board.uart,
        Some(Uart {
            kind: UartKind::Ns16550,
            registers: sized(0x10_0010_0040, 0x20),
            shift: 2,
            width: 4,
            interrupt: Some(39),
            enables: None,
        })
    );
}

#[test]
fn the_console_falls_back_to_a_pl011() {
    let none = with(RPI4, b"stdout-path\0", b"xtdout-path\0");
    assert_eq!(board(&none).uart.unwrap().kind, UartKind::Pl011);
    let dangling = with(RPI4, b"serial1:115200n8", b"serial7:115200n8");
    assert_eq!(board(&dangling).uart.unwrap().kind, UartKind::Pl011);
    let strange = with(RPI4, b"brcm,bcm2835-aux-uart", b"brcm,bcm2835-aux-what");
    assert_eq!(board(&strange).uart.unwrap().kind, UartKind::Pl011);
    // The one PL011 left lies outside its bus.
    let unmapped = with(ODD, b"ns16550a", b"ns16550x");
    assert_eq!(board(&unmapped).uart, None);
}

/// A place to write to that the tree forgot to reserve.
#[test]
fn spin_tables_are_nobodys_ram() {
    let places = (1..4).map(|cpu| {
        let place = |high: u8| [0, 0, 0, high, 0, 0, 0, 0xd8 + 8 * cpu];
        (place(0), [0, 0, 0, 0, 0x10, 0, 0x20, 0xd8 + 8 * cpu])
    });
    let moved = places.fold(RPI4.to_vec(), |tree, (from, to)| with(&tree, &from, &to));
    assert_eq!(
        board(&moved).usable_ram,
        [
            range(0x1000, 0x1000_2000),
            range(0x1000_3000, 0x3b3f_f000),
            range(0x4000_0000, 0xfc00_0000)
        ]
    );
    assert_eq!(
        refusal(RPI4, b"\0\0\0\0\0\0\0\xe0", b"\0\0\0\0\0\0\0\xe4"),
        "device tree: /cpus/cpu@1: cpu-release-addr 0xe4 is no place for an address"
    );
}

#[test]
fn a_serial_port_needs_all_its_registers() {
    let port = |size: u8| [0x7e, 0x21, 0x50, 0x40, 0, 0, 0, size];
    let small = with(RPI4, &port(0x40), &port(0x20));
    assert_eq!(board(&small).uart.unwrap().kind, UartKind::Pl011);
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        refusal(VIRT_V3, b"memory\0", b"Memory\0"),
        "device tree: no RAM: no usable memory node"
    );
    assert_eq!(
        refusal(VIRT_V3, b"cpus\0", b"cpux\0"),
        "device tree: no /cpus"
    );
    assert_eq!(
        refusal(VIRT_V3, b"cpu@0\0", b"cqu@0\0"),
        "device tree: /cpus has no usable CPU"
    );
    assert_eq!(
        refusal(VIRT_V3, b"arm,gic-v3\0", b"arm,gic-v9\0"),
        "device tree: no usable GIC: nothing is compatible with arm,gic-v3 or arm,gic-400, \
         arm,cortex-a15-gic, arm,cortex-a7-gic, arm,cortex-a57-gic, arm,cortex-a53-gic"
    );
    assert_eq!(
        refusal(VIRT_V3, b"arm,armv8-timer", b"arm,armv8-Timer"),
        "device tree: no timer: nothing is compatible with arm,armv8-timer"
    );
    assert_eq!(
        refusal(ODD, b"hyp-phys", b"hyp-phyx"),
        "device tree: /timer has no hyp-phys interrupt"
    );
    assert_eq!(
        refusal(VIRT_V3, b"\0interrupts\0", b"\0interruptz\0"),
        "device tree: /intc@8000000 has no maintenance interrupt"
    );
    assert_eq!(
        refusal(VIRT_V3, b"smc\0", b"smx\0"),
        "device tree: /psci: method is smx, neither hvc nor smc"
    );
    assert_eq!(
        refusal(VIRT_V3_6G, b"arm,psci", b"arm,pscy"),
        "device tree: CPU 0x0 starts by PSCI, but there is no /psci"
    );
    assert_eq!(
        refusal(RPI4, b"cpu-release-addr", b"cpu-release-adxr"),
        "device tree: /cpus/cpu@0 starts by spin-table but has no cpu-release-addr"
    );
    assert_eq!(
        refusal(
            RPI4,
            &[0x7e, 0x10, 0, 0, 0, 0, 1, 0x14],
            &[0x7e, 0x10, 0, 0, 0, 0, 0, 0x24]
        ),
        "device tree: /soc/watchdog@7e100000: less than 0x28 bytes of registers"
    );
}

#[test]
fn contradictions_are_named() {
    let reg = |cpu: u8| [0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, cpu];
    let place = RPI4.windows(4).position(|w| w == b"reg\0").unwrap() as u32
        - u32::from_be_bytes(RPI4[12..16].try_into().unwrap());
    let cpu = |cpu| {
        let mut bytes = reg(cpu).to_vec();
        bytes.splice(8..8, place.to_be_bytes());
        bytes
    };
    assert_eq!(
        refusal(RPI4, &cpu(2), &cpu(1)),
        "device tree: /cpus/cpu@2: a second CPU 0x1"
    );
    assert_eq!(
        refusal(
            RPI4,
            &0x2eb0_0000_u32.to_be_bytes(),
            &0x2ed0_0000_u32.to_be_bytes()
        ),
        "device tree: /chosen: the bundle's place makes no sense: start 0x2ed00000, end 0x2ec00000"
    );
    assert_eq!(
        refusal(RPI4, b"linux,initrd-end", b"linux,initrd-enx"),
        "device tree: /chosen: the bundle's place makes no sense: start 0x2eb00000, end missing"
    );
    assert_eq!(
        refusal(RPI4, b"\0ranges\0", b"\0rangex\0"),
        "device tree: /soc/interrupt-controller@40041000: 0x40041000 is not mapped by the ranges of /soc"
    );
    assert_eq!(
        refusal(
            ODD,
            b"\0\0\0\x08\x80\0\0\0\0\0\0\x01\0\0\0\0",
            b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\x01\0\0\0\0"
        ),
        "device tree: /memory@880000000: 0x100000000 bytes at 0xffffffff80000000 wrap"
    );
}
