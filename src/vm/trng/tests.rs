use super::*;

const NONE: fn() -> Option<u64> = || None;

fn request(function: u32, bits: u64) -> Request {
    match call(function, bits) {
        Some(Action::Random(request)) => request,
        other => panic!("{bits} bits: {other:?}"),
    }
}

#[test]
fn the_number_of_bits_is_checked_by_the_calls_width() {
    for (function, most) in [(smccc::TRNG_RND, 96), (smccc::TRNG_RND_64, 192)] {
        assert_eq!(request(function, most).bits, most as u32);
        for bits in [0, most + 1, u64::MAX] {
            let refused = Action::ReturnAll([-2_i64 as u64, 0, 0, 0]);
            assert_eq!(call(function, bits), Some(refused), "{bits}");
        }
    }
    assert_eq!(call(0x8400_0054, 1), None);
}

#[test]
fn what_is_announced_is_there() {
    for function in (0x8400_0050..0x8400_0060_u32).chain(0xc400_0050..0xc400_0060) {
        let announced = call(smccc::TRNG_FEATURES, function.into());
        let there = call(function, 8).is_some();
        let expected = if there { 0 } else { u64::MAX };
        assert_eq!(announced, Some(Action::Return(expected)), "{function:#x}");
    }
    assert_eq!(call(smccc::TRNG_VERSION, 0), Some(Action::Return(0x1_0000)));
    let Some(Action::ReturnAll(uuid)) = call(smccc::TRNG_GET_UUID, 0) else {
        panic!("no UUID");
    };
    assert_ne!(uuid[0] as u32, u32::MAX, "that would mean NOT_SUPPORTED");
}

/// Every bit asked for is random, and every other is zero.
#[test]
fn the_bits_asked_for_fill_the_registers_from_the_last() {
    let mut generator = Generator::new(Some([7; 32]), false);
    for (function, width) in [(smccc::TRNG_RND, 32), (smccc::TRNG_RND_64, 64)] {
        for bits in 1..=3 * width {
            let (mut ever_one, mut ever_zero) = ([0; 3], [0; 3]);
            for _ in 0..40 {
                let [x0, x1, x2, x3] = generator.answer(request(function, bits), NONE);
                assert_eq!(x0, 0);
                for (n, x) in [x3, x2, x1].into_iter().enumerate() {
                    ever_one[n] |= x;
                    ever_zero[n] |= !x;
                }
            }
            for n in 0..3_u64 {
                let here = bits.saturating_sub(n * width).min(width);
                let expected = ones(here as u32);
                assert_eq!(ever_one[n as usize], expected, "{bits} bits, word {n}");
                assert_eq!(ever_zero[n as usize], u64::MAX);
            }
        }
    }
}

#[test]
fn without_any_entropy_there_is_none() {
    let mut generator = Generator::new(None, false);
    let none = [-3_i64 as u64, 0, 0, 0];
    let ask = request(smccc::TRNG_RND_64, 64);
    assert_eq!(generator.answer(ask, NONE), none);
    assert_eq!(generator.answer(ask, || Some(1)), none, "it has no source");
    let mut generator = Generator::new(None, true);
    assert_eq!(generator.answer(ask, NONE), none);
    let mut fresh = 0;
    let answer = generator.answer(ask, || {
        fresh += 1;
        (fresh < 4).then_some(fresh)
    });
    assert_eq!(answer, none, "three words are not a key");
    assert_eq!(generator.answer(ask, || Some(5))[0], 0);
}

#[test]
fn a_source_that_fails_for_long_is_noticed() {
    let mut generator = Generator::new(Some([1; 32]), true);
    let ask = request(smccc::TRNG_RND, 96);
    for _ in 0..CREDIT {
        assert_eq!(generator.answer(ask, NONE)[0], 0);
    }
    assert_eq!(generator.answer(ask, NONE)[0], -3_i64 as u64);
    assert_eq!(generator.answer(ask, || Some(3))[0], 0, "and is forgiven");
    let mut seeded = Generator::new(Some([1; 32]), false);
    for _ in 0..4 * CREDIT {
        assert_eq!(seeded.answer(ask, NONE)[0], 0, "a seed does not wear out");
    }
}

#[test]
fn seeds_and_fresh_bits_decide_the_output() {
    let ask = request(smccc::TRNG_RND_64, 192);
    let first = |seed, has_source, fresh: fn() -> Option<u64>| {
        Generator::new(Some([seed; 32]), has_source).answer(ask, fresh)
    };
    assert_eq!(first(1, false, NONE), first(1, false, NONE));
    assert_ne!(first(1, false, NONE), first(2, false, NONE));
    assert_ne!(first(1, true, || Some(1)), first(1, true, || Some(2)));
    let mut generator = Generator::new(Some([1; 32]), false);
    assert_ne!(generator.answer(ask, NONE), generator.answer(ask, NONE));
}
