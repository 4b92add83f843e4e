//! The threshold below which a trace is rejected.

use std::fmt;

use super::{Randomness, UNIVERSE, hex56};

/// Digits a threshold is rounded to if nobody says otherwise, as OpenTelemetry recommends to its SDKs.
pub const DEFAULT_DIGITS: u32 = 4;

/// Digits of a threshold that is not rounded.
pub const MAX_DIGITS: u32 = 14;

/// A 56-bit rejection threshold T, 0 to 2^56 - 1: a trace is kept if its random value R >= T, that is with
/// probability (2^56 - T) / 2^56, from 2^-56 to 1. "Never" is not a probability and has no threshold.
///
/// Decisions by thresholds are consistent: what passes the higher one passes the lower one. So of several
/// reasons to keep an item, each with its threshold, the lowest decides (`Ord::min`), and of several filters
/// the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

impl Threshold {
    /// Keeps everything.
    pub const ALWAYS: Self = Self(0);

    /// The threshold T itself; `None` from 2^56 on, which would keep nothing.
    pub fn from_bits(bits: u64) -> Option<Self> {
        (bits < UNIVERSE).then_some(Self(bits))
    }

    /// The threshold of a probability, in the full precision of 14 digits; `None` unless 0 < `probability` <=
    /// 1.
    ///
    /// 2^56 times the probability is rounded to the nearest whole number, halves up, and to 1 if it would be
    /// 0: exact for powers of two down to 2^-56 and for every `f64` from 1/8 up.
    pub fn from_probability(probability: f64) -> Option<Self> {
        if !(probability > 0.0 && probability <= 1.0) {
            return None;
        }
        let kept = (probability * UNIVERSE as f64).round() as u64;
        Some(Self(UNIVERSE - kept.max(1)))
    }

    /// The threshold of a probability, rounded to the nearest that has at most `digits` significant
    /// hexadecimal digits, halves up; `None` unless 0 < `probability` <= 1. `digits` outside 1 to 14 count as
    /// 1 or 14.
    ///
    /// Leading digits `f` are not significant, else small probabilities would be coarse: for 4 digits 1/3 is
    /// `aaab` and 1 % is `fd70a`, as in OpenTelemetry's table. The probability moves by less than one part in
    /// 16^(digits - 1). What is kept must be weighed by the rounded probability, never by the one asked for.
    pub fn rounded(probability: f64, digits: u32) -> Option<Self> {
        let exact = Self::from_probability(probability)?;
        let leading = (UNIVERSE - exact.0).leading_zeros().saturating_sub(8) / 4;
        let shown = (digits.clamp(1, MAX_DIGITS) + leading).min(MAX_DIGITS);
        let unit = 1 << (4 * (MAX_DIGITS - shown));
        let rounded = (exact.0 + unit / 2) / unit * unit;
        // At least 16 to the power of `digits - 1` units are kept, so rounding never reaches 2^56.
        Some(Self(rounded.min(UNIVERSE - 1)))
    }

    /// Reads the value of `th`: 1 to 14 lower-case hexadecimal digits, filled up with zeros on the right;
    /// else `None`.
    pub fn parse(th: &str) -> Option<Self> {
        hex56(th).map(Self)
    }

    /// True if a trace of this random value is kept.
    pub fn keeps(self, randomness: Randomness) -> bool {
        randomness.bits() >= self.0
    }

    /// With which probability a trace is kept, in (0, 1]; the nearest `f64`.
    pub fn probability(self) -> f64 {
        (UNIVERSE - self.0) as f64 / UNIVERSE as f64
    }

    /// How many traces a kept one stands for: the inverse of the probability, 1 to 2^56.
    pub fn adjusted_count(self) -> f64 {
        UNIVERSE as f64 / (UNIVERSE - self.0) as f64
    }

    /// As a number, 0 to 2^56 - 1.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// The value of `th`: up to 14 digits without trailing zeros, `0` for [`Threshold::ALWAYS`].
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        let zeros = self.0.trailing_zeros() / 4;
        let shown = (MAX_DIGITS - zeros) as usize;
        write!(f, "{:0shown$x}", self.0 >> (4 * zeros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn th(probability: f64, digits: u32) -> String {
        Threshold::rounded(probability, digits).unwrap().to_string()
    }

    #[test]
    fn known_thresholds_have_known_probabilities() {
        for (text, probability) in
            [("0", 1.0), ("8", 0.5), ("c", 0.25), ("e", 0.125), ("f", 0.0625), ("008", 0.998046875)]
        {
            let threshold = Threshold::parse(text).unwrap();
            assert_eq!(threshold.probability(), probability, "{text}");
            assert_eq!(threshold.adjusted_count(), 1.0 / probability, "{text}");
            assert_eq!(Threshold::from_probability(probability), Some(threshold), "{text}");
            assert_eq!(threshold.to_string(), text);
        }
        assert_eq!(Threshold::parse("ffffffffffffff").unwrap().probability(), 2f64.powi(-56));
    }

    /// The table of OpenTelemetry's "TraceState: Probability Sampling", for 3, 4 and 5 digits.
    #[test]
    fn thresholds_of_one_in_n_are_those_of_the_specification() {
        let table = [
            (1.0, ["0", "0", "0"]),
            (2.0, ["8", "8", "8"]),
            (3.0, ["aab", "aaab", "aaaab"]),
            (4.0, ["c", "c", "c"]),
            (5.0, ["ccd", "cccd", "ccccd"]),
            (8.0, ["e", "e", "e"]),
            (10.0, ["e66", "e666", "e6666"]),
            (16.0, ["f", "f", "f"]),
            (100.0, ["fd71", "fd70a", "fd70a4"]),
            (1e3, ["ffbe7", "ffbe77", "ffbe76d"]),
            (1e4, ["fff972", "fff9724", "fff97247"]),
            (1e5, ["ffff584", "ffff583a", "ffff583a5"]),
            (1e6, ["ffffef4", "ffffef39", "ffffef391"]),
        ];
        for (n, texts) in table {
            for (digits, text) in (3..).zip(texts) {
                assert_eq!(th(1.0 / n, digits), text, "1 in {n} with {digits} digits");
            }
        }
    }

    #[test]
    fn powers_of_two_are_exact_and_less_is_the_least() {
        for power in 0..=56 {
            let probability = 2f64.powi(-power);
            assert_eq!(Threshold::from_probability(probability).unwrap().probability(), probability);
            assert_eq!(Threshold::rounded(probability, 1).unwrap().probability(), probability);
        }
        assert_eq!(Threshold::from_probability(1e-300).unwrap().to_string(), "ffffffffffffff");
    }

    #[test]
    fn what_is_no_probability_has_no_threshold() {
        for wrong in [0.0, -0.0, -0.1, 1.0 + f64::EPSILON, f64::NAN, f64::INFINITY] {
            assert_eq!(Threshold::from_probability(wrong), None, "{wrong}");
            assert_eq!(Threshold::rounded(wrong, 4), None, "{wrong}");
        }
        assert_eq!(Threshold::from_bits(UNIVERSE), None);
    }

    #[test]
    fn text_is_strict_and_comes_back_as_it_was() {
        for wrong in ["", "C", "0x8", "8 ", " 8", "-8", "+8", "g", "000000000000000", "é"] {
            assert_eq!(Threshold::parse(wrong), None, "{wrong:?}");
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let bits = random.u64(..UNIVERSE) & (u64::MAX << random.u32(..56));
            let threshold = Threshold::from_bits(bits).unwrap();
            let text = threshold.to_string();
            assert_eq!(Threshold::parse(&text), Some(threshold), "{text}");
            assert!(text == "0" || !text.ends_with('0'));
        }
    }

    #[test]
    fn rounding_stays_within_its_digits() {
        let mut random = fastrand::Rng::with_seed(2);
        for _ in 0..10_000 {
            let probability = (-38.0 * random.f64()).exp();
            let digits = random.u32(1..=14);
            let rounded = Threshold::rounded(probability, digits).unwrap().probability();
            let bound = 16f64.powi(1 - digits as i32).max(2f64.powi(-56) / probability);
            assert!(
                (rounded / probability - 1.0).abs() <= bound,
                "{probability} with {digits} digits: {rounded}"
            );
        }
    }

    #[test]
    fn a_trace_is_kept_from_its_threshold_on() {
        let quarter = Threshold::parse("c").unwrap();
        assert!(quarter.keeps(Randomness::parse("c0000000000000").unwrap()));
        assert!(!quarter.keeps(Randomness::parse("bfffffffffffff").unwrap()));
        assert!(Threshold::ALWAYS.keeps(Randomness::from_bits(0)));
    }
}
