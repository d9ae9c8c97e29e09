use super::*;
use alloc::{collections::VecDeque, vec, vec::Vec};

/// A port with its FIFOs on.
fn with_fifo<const DEPTH: usize>() -> Pl011<DEPTH> {
    let mut port = Pl011::new();
    port.write(LCR_H, 0x70);
    port
}

#[test]
fn it_starts_enabled_and_idle() {
    let mut port: Pl011 = Pl011::new();
    let at_reset = [
        (DR, 0),
        (RSR_ECR, 0),
        (FR, 0x97),
        (ILPR, 0),
        (IBRD, 0),
        (FBRD, 0),
        (LCR_H, 0),
        (CR, 0x301),
        (IFLS, 0x12),
        (IMSC, 0),
        (RIS, 0),
        (MIS, 0),
        (ICR, 0),
        (DMACR, 0),
    ];
    for (offset, value) in at_reset {
        assert_eq!(port.read(offset), value, "{offset:#x}");
    }
    assert!(!port.line());
}

#[test]
fn each_register_keeps_the_bits_it_has() {
    let mut port: Pl011 = Pl011::new();
    let kept = [
        (ILPR, 0xff),
        (IBRD, 0xffff),
        (FBRD, 0x3f),
        (LCR_H, 0xff),
        (CR, 0xff87),
        (IFLS, 0x3f),
        (IMSC, 0x7ff),
        (DMACR, 0x7),
    ];
    for (offset, bits) in kept {
        for value in [u32::MAX, 0, 0xaaaa_aaaa, 0x5555_5555] {
            assert_eq!(port.write(offset, value), None);
            assert_eq!(port.read(offset), value & bits, "{offset:#x}");
        }
    }
}

#[test]
fn read_only_registers_ignore_writes() {
    let mut port: Pl011 = Pl011::new();
    for offset in [
        FR,
        RIS,
        MIS,
        0xfe0,
        0xffc,
        0x80,
        0x8c,
        0x4c,
        0x1000,
        u64::MAX,
    ] {
        let before = port.read(offset);
        port.write(offset, !before);
        assert_eq!(port.read(offset), before, "{offset:#x}");
    }
}

#[test]
fn the_identification_tells_the_depth() {
    fn bytes<const DEPTH: usize>() -> Vec<u32> {
        let mut port = Pl011::<DEPTH>::new();
        (0xfe0..0x1000).step_by(4).map(|at| port.read(at)).collect()
    }
    assert_eq!(bytes::<32>(), [0x11, 0x10, 0x34, 0, 0x0d, 0xf0, 0x05, 0xb1]);
    assert_eq!(bytes::<16>(), [0x11, 0x10, 0x14, 0, 0x0d, 0xf0, 0x05, 0xb1]);
    assert_eq!(Pl011::<32>::new().read(0xfe1), 0);
}

#[test]
fn a_byte_written_is_sent_and_says_so() {
    let mut port: Pl011 = Pl011::new();
    assert_eq!(port.write(DR, 0x1141), Some(0x41));
    assert_eq!(port.read(FR) & FR_TXFE, FR_TXFE);
    assert_eq!(port.read(RIS), INT_TX);
    assert!(!port.line());
    port.write(IMSC, INT_TX);
    assert!(port.line());
    assert_eq!(port.read(MIS), INT_TX);
    port.write(ICR, INT_TX);
    assert!(
        !port.line(),
        "it is the draining that interrupts, not being empty"
    );
}

#[test]
fn a_port_that_is_off_sends_nothing_and_hears_nothing() {
    for control in [0x300, CR_UARTEN, 0] {
        let mut port: Pl011 = Pl011::new();
        port.write(CR, control);
        assert_eq!(port.write(DR, 0x41), None);
        assert!(port.receive(0x42), "lost on the wire");
        assert_eq!(port.read(RIS), 0);
        assert_eq!(port.read(FR) & FR_RXFE, FR_RXFE);
        port.write(CR, 0x301);
        assert_eq!(port.write(DR, 0x41), Some(0x41));
    }
    let mut port: Pl011 = Pl011::new();
    port.write(CR, CR_UARTEN | CR_RXE);
    assert_eq!(port.write(DR, 0x41), None);
    assert!(port.receive(0x42));
    assert_eq!(port.read(DR), 0x42);
}

#[test]
fn one_byte_is_all_there_is_room_for_without_fifo() {
    let mut port: Pl011 = Pl011::new();
    assert!(port.has_room());
    assert!(port.receive(1));
    assert!(!port.has_room());
    assert_eq!(port.read(FR) & (FR_RXFE | FR_RXFF), FR_RXFF);
    assert_eq!(port.read(RIS), INT_RX | INT_RT);
    assert!(!port.receive(2), "the caller keeps it");
    assert_eq!(port.read(RIS), INT_RX | INT_RT, "so it is not lost");
    assert_eq!(port.read(DR), 1);
    assert_eq!(port.read(RIS), 0);
    assert_eq!(port.read(FR) & (FR_RXFE | FR_RXFF), FR_RXFE);
    assert_eq!(port.read(DR), 0);
}

fn marks<const DEPTH: usize>() -> Vec<usize> {
    let mark = |select: u32| {
        let mut port = with_fifo::<DEPTH>();
        port.write(IFLS, select << 3);
        (1..=DEPTH)
            .find(|_| {
                assert!(port.receive(0));
                port.read(RIS) & INT_RX != 0
            })
            .unwrap()
    };
    (0..8).map(mark).collect()
}

#[test]
fn the_receive_mark_is_the_one_selected() {
    assert_eq!(marks::<16>(), [2, 4, 8, 12, 14, 8, 8, 8]);
    assert_eq!(marks::<32>(), [4, 8, 16, 24, 28, 16, 16, 16]);
}

#[test]
fn the_receive_interrupt_falls_below_the_mark() {
    let mut port = with_fifo::<16>();
    for byte in 0..16 {
        assert!(port.receive(byte));
    }
    assert!(!port.receive(16));
    assert_eq!(port.read(FR) & (FR_RXFE | FR_RXFF), FR_RXFF);
    for byte in 0..16 {
        assert_eq!(port.read(RIS) & INT_RX != 0, byte <= 8, "{byte}");
        assert_eq!(port.read(RIS) & INT_RT, INT_RT);
        assert_eq!(port.read(DR), byte);
    }
    assert_eq!(port.read(RIS), 0);
}

#[test]
fn taking_the_timeout_back_leaves_no_byte_unannounced() {
    let mut port = with_fifo::<32>();
    port.write(IMSC, INT_RX | INT_RT);
    assert!(port.receive(1) && port.receive(2) && port.receive(3));
    port.write(ICR, INT_RX | INT_RT);
    assert!(!port.line());
    assert_eq!(port.read(DR), 1);
    assert!(port.line(), "two are left");
    assert_eq!((port.read(DR), port.read(DR)), (2, 3));
    assert!(!port.line());
}

#[test]
fn lost_bytes_are_told_until_acknowledged() {
    let mut port: Pl011 = Pl011::new();
    assert!(port.receive(1));
    port.overrun();
    assert_eq!(port.read(RIS) & INT_OE, INT_OE);
    assert_eq!(port.read(RSR_ECR), 8);
    assert_eq!(port.read(DR), 0x801);
    assert!(port.receive(2));
    assert_eq!(port.read(DR), 2, "the next byte in comes without loss");
    assert_eq!(port.read(RSR_ECR), 8);
    port.write(RSR_ECR, 0);
    port.write(ICR, INT_OE);
    assert_eq!((port.read(RSR_ECR), port.read(RIS)), (0, 0));
}

#[test]
fn switching_the_fifo_empties_it() {
    let mut port = with_fifo::<16>();
    assert!(port.receive(1) && port.receive(2));
    port.write(LCR_H, 0x60);
    assert_eq!(port.read(FR) & (FR_RXFE | FR_RXFF), FR_RXFE);
    assert_eq!(port.read(RIS), 0);
    assert!(port.receive(3) && !port.receive(4));
    port.write(LCR_H, 0x70);
    assert!(port.receive(5));
    port.write(LCR_H, 0x7e);
    assert_eq!(port.read(DR), 5, "other bits of the format leave it alone");
}

#[test]
fn loopback_turns_the_port_on_itself() {
    let mut port = with_fifo::<16>();
    port.write(CR, 0x301 | CR_LBE);
    assert!(port.receive(9), "cut off from the other end");
    for byte in 0..16 {
        assert_eq!(port.write(DR, byte), None);
    }
    assert_eq!(port.read(RIS) & INT_OE, 0);
    assert_eq!(port.write(DR, 16), None);
    assert_eq!(port.read(RIS) & (INT_OE | INT_TX), INT_OE | INT_TX);
    assert_eq!(port.read(DR), 0x800);
    for byte in 1..16 {
        assert_eq!(port.read(DR) & 0xff, byte);
    }
    port.write(CR, CR_UARTEN | CR_TXE | CR_LBE);
    port.write(DR, 1);
    assert_eq!(port.read(FR) & FR_RXFE, FR_RXFE, "the receiver is off");
}

#[test]
fn loopback_joins_the_modem_lines() {
    let mut port: Pl011 = Pl011::new();
    port.write(CR, 0x301 | CR_LBE);
    assert_eq!(port.read(FR) & FR_MODEM, 0);
    assert_eq!(port.read(RIS), INT_CTS | INT_DSR | INT_DCD);
    port.write(ICR, INT_ALL);
    for (output, input, interrupt) in [
        (CR_RTS, FR_CTS, INT_CTS),
        (CR_DTR, FR_DSR, INT_DSR),
        (CR_OUT1, FR_DCD, INT_DCD),
        (CR_OUT2, FR_RI, INT_RI),
    ] {
        port.write(CR, 0x301 | CR_LBE | output);
        assert_eq!(port.read(FR) & FR_MODEM, input);
        assert_eq!(port.read(RIS), interrupt);
        port.write(CR, 0x301 | CR_LBE);
        port.write(ICR, INT_ALL);
    }
    port.write(CR, 0x301);
    assert_eq!(port.read(FR) & FR_MODEM, FR_CTS | FR_DSR | FR_DCD);
}

/// What Linux's `amba-pl011` does, in its order: probe, start-up, transmission by interrupt,
/// reception by interrupt, shut-down.
struct Linux {
    port: Pl011,
    to_send: VecDeque<u8>,
    sent: Vec<u8>,
    read: Vec<u8>,
    depth: usize,
    mask: u32,
}

impl Linux {
    fn start(port: Pl011) -> Self {
        let mut driver = Self {
            port,
            to_send: VecDeque::new(),
            sent: vec![],
            read: vec![],
            depth: 0,
            mask: 0,
        };
        let id: u32 = (0..4)
            .map(|n| (driver.port.read(0xfe0 + 4 * n) & 0xff) << (8 * n))
            .sum();
        assert_eq!(id & 0x000f_ffff, 0x0004_1011);
        driver.depth = if (id >> 20) & 0xf < 3 { 16 } else { 32 };
        driver.put(IMSC, 0);
        driver.put(ICR, 0xffff);
        driver.put(IFLS, 2 << 3 | 2);
        let keep = driver.port.read(CR) & (CR_RTS | CR_DTR);
        driver.put(CR, keep | CR_UARTEN | CR_RXE | CR_TXE);
        driver.set_format();
        driver.put(ICR, INT_RT | INT_RX);
        for _ in 0..driver.depth * 2 {
            if driver.port.read(FR) & FR_RXFE != 0 {
                break;
            }
            driver.port.read(DR);
        }
        driver.mask = INT_RT | INT_RX;
        driver.put(IMSC, driver.mask);
        driver
    }

    fn set_format(&mut self) {
        let control = self.port.read(CR);
        self.put(CR, 0);
        self.put(FBRD, 4);
        self.put(IBRD, 0x27);
        self.put(LCR_H, 0x70);
        self.put(CR, control | CR_RTS | CR_DTR);
    }

    fn put(&mut self, offset: u64, value: u32) {
        let byte = self.port.write(offset, value);
        self.sent.extend(byte);
    }

    fn send(&mut self, text: &[u8]) {
        self.to_send.extend(text);
        self.transmit(self.depth, false);
        if !self.to_send.is_empty() {
            self.mask |= INT_TX;
            self.put(IMSC, self.mask);
        }
    }

    fn transmit(&mut self, room: usize, from_interrupt: bool) {
        for _ in 0..room {
            let Some(byte) = self.to_send.front().copied() else {
                break;
            };
            if !from_interrupt && self.port.read(FR) & (1 << 5) != 0 {
                break;
            }
            self.put(DR, byte.into());
            self.to_send.pop_front();
        }
        if self.to_send.is_empty() {
            self.mask &= !INT_TX;
            self.put(IMSC, self.mask);
        }
    }

    fn interrupt(&mut self) {
        let mut status = self.port.read(RIS) & self.mask;
        let mut passes = 256;
        while status != 0 && passes > 0 {
            self.put(ICR, status & !(INT_TX | INT_RT | INT_RX));
            if status & (INT_RT | INT_RX) != 0 {
                while self.port.read(FR) & FR_RXFE == 0 {
                    let word = self.port.read(DR);
                    assert_eq!(word & 0xf00, 0, "no errors");
                    self.read.push(word as u8);
                }
            }
            if status & INT_TX != 0 {
                self.transmit(self.depth / 2, true);
            }
            passes -= 1;
            status = self.port.read(RIS) & self.mask;
        }
        assert!(passes > 0, "the interrupt would never end");
    }
}

#[test]
fn linux_sends_and_receives() {
    let mut early: Pl011 = Pl011::new();
    // The early console: polls FR, writes DR.
    assert_eq!(early.read(FR) & (1 << 5), 0);
    assert_eq!(early.write(DR, b'E'.into()), Some(b'E'));
    assert_eq!(early.read(FR) & (1 << 3), 0, "not busy");
    assert!(early.receive(b'?'), "typed too early");

    let mut linux = Linux::start(early);
    assert!(!linux.port.line());
    assert_eq!(linux.depth, 32);
    let text: Vec<u8> = (0..200).collect();
    linux.send(&text);
    let mut interrupts = 0;
    while linux.port.line() {
        linux.interrupt();
        interrupts += 1;
    }
    assert_eq!(linux.sent, text);
    assert!(interrupts > 0 && linux.to_send.is_empty());

    for byte in 0..100 {
        if !linux.port.receive(byte) {
            assert!(linux.port.line());
            linux.interrupt();
            assert!(linux.port.receive(byte));
        }
    }
    assert!(linux.port.line());
    linux.interrupt();
    assert!(!linux.port.line());
    assert_eq!(linux.read, (0..100).collect::<Vec<u8>>());
}

#[test]
fn random_accesses_keep_the_port_whole() {
    let mut seed = 0x1234_5678_9abc_def1_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut port = Pl011::<16>::new();
    let mut model = VecDeque::new();
    for _ in 0..100_000 {
        let value = random() as u32;
        let offset = match random() % 8 {
            0 => random(),
            1 => random() % 0x1100,
            _ => (random() % 0x13) * 4,
        };
        let fifo_on = port.read(LCR_H) & LCR_H_FEN != 0;
        let control = port.read(CR);
        let enabled = |bit| control & (CR_UARTEN | bit) == CR_UARTEN | bit;
        let room = model.len() < if fifo_on { 16 } else { 1 };
        match random() % 3 {
            0 => {
                let read = port.read(offset);
                if offset == DR {
                    assert_eq!(read & 0xff, u32::from(model.pop_front().unwrap_or(0)));
                }
            }
            1 => {
                let out = port.write(offset, value);
                let sent = offset == DR && enabled(CR_TXE);
                let looped = control & CR_LBE != 0;
                assert_eq!(out, (sent && !looped).then_some(value as u8));
                if sent && looped && enabled(CR_RXE) && room {
                    model.push_back(value as u8);
                }
                if offset == LCR_H && (value & LCR_H_FEN != 0) != fifo_on {
                    model.clear();
                }
            }
            _ => {
                let heard = enabled(CR_RXE) && control & CR_LBE == 0;
                assert_eq!(port.receive(value as u8), room || !heard);
                if heard && room {
                    model.push_back(value as u8);
                }
            }
        }
        assert_eq!(port.read(FR) & FR_RXFE != 0, model.is_empty());
        assert_eq!(port.line(), port.read(RIS) & port.read(IMSC) != 0);
        assert_eq!(port.line(), port.read(MIS) != 0);
        assert_eq!(port.read(RIS) & !INT_ALL, 0);
    }
}
