//! Runs a target: fixed values first, so that what is found once is found again, then what the engine makes up.

use bolero::TypeGenerator;
use bolero::generator::bolero_generator::driver::{ByteSliceDriver, Options};

/// How many values are the same in every run, and how many are new in each; bolero prints the seed of a new one
/// that fails, and the variable `BOLERO_RANDOM_ITERATIONS` asks for more.
pub const COUNT: usize = 200;

/// Longest input of a fixed value, in bytes.
const BYTES_MAX: u64 = 2048;

/// Runs a target over values of a type: `target!(Json, |json| ..)`; over bytes: `target!(|bytes| ..)`. Where each
/// value costs much, `target!(count = 50; Json, |json| ..)` takes fewer.
#[macro_export]
macro_rules! target {
    (count = $count:expr; $type:ty, $test:expr) => {{
        let test = $test;
        $crate::fixed::<$type>($count, &test);
        $crate::bolero::check!()
            .with_iterations($count)
            .with_type::<$type>()
            .for_each(|value: &$type| test(value));
    }};
    ($type:ty, $test:expr) => {
        $crate::target!(count = $crate::COUNT; $type, $test)
    };
    ($test:expr) => {{
        let test = $test;
        $crate::fixed_bytes($crate::COUNT, &test);
        $crate::bolero::check!().with_iterations($crate::COUNT).for_each(|bytes: &[u8]| test(bytes));
    }};
}

/// Runs a test over fixed values of a type. What a failure says ends with the number of the value.
pub fn fixed<T: TypeGenerator>(count: usize, test: &dyn Fn(&T)) {
    each(count, |bytes| {
        let mut driver = ByteSliceDriver::new(bytes, &Options::default());
        if let Some(value) = T::generate(&mut driver) {
            test(&value);
        }
    });
}

/// Runs a test over fixed bytes.
pub fn fixed_bytes(count: usize, test: &dyn Fn(&[u8])) {
    each(count, test);
}

fn each(count: usize, test: impl Fn(&[u8])) {
    // Whoever only lists the targets wants none of them run.
    if std::env::var_os("CARGO_BOLERO_SELECT").is_some() {
        return;
    }
    for number in 0..count {
        let mut dice = Dice(number as u64);
        let length = dice.next() % BYTES_MAX;
        let bytes: Vec<u8> = (0..length).map(|_| dice.next().to_le_bytes()[0]).collect();
        let _shown = Shown(number);
        test(&bytes);
    }
}

/// Says which value it was when a test over it panics.
struct Shown(usize);

impl Drop for Shown {
    #[allow(clippy::print_stderr, reason = "a test says what it failed with")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was fixed value {}", self.0);
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
