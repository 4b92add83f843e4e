//! The random value of a trace, from which all its sampling decisions are made.

use std::fmt;

use super::{UNIVERSE, hex56};

/// A 56-bit value R, uniform over 0 to 2^56 - 1 and the same wherever its trace is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Randomness(u64);

impl Randomness {
    /// The last 7 bytes of a trace id, which W3C Trace Context Level 2 wants random.
    pub fn from_trace_id(trace_id: u128) -> Self {
        Self((trace_id & u128::from(UNIVERSE - 1)) as u64)
    }

    /// The lowest 56 bits of any random number.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits & (UNIVERSE - 1))
    }

    /// Reads the value of `rv`: exactly 14 lower-case hexadecimal digits, else `None`.
    pub fn parse(rv: &str) -> Option<Self> {
        if rv.len() == 14 { hex56(rv).map(Self) } else { None }
    }

    /// As a number, 0 to 2^56 - 1.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// The value of `rv`: 14 digits.
impl fmt::Display for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_gives_its_last_seven_bytes() {
        let id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
        assert_eq!(Randomness::from_trace_id(id).to_string(), "ce929d0e0e4736");
    }

    #[test]
    fn rv_has_exactly_fourteen_lower_case_digits() {
        for good in ["00000000000000", "ffffffffffffff", "0123456789abcd"] {
            assert_eq!(Randomness::parse(good).map(|r| r.to_string()).as_deref(), Some(good));
        }
        for bad in [
            "",
            "0",
            "0123456789abc",
            "0123456789abcde",
            "0123456789ABCD",
            "0x234567890abc",
            "+123456789abcd",
        ] {
            assert_eq!(Randomness::parse(bad), None, "{bad}");
        }
        assert_eq!(Randomness::parse("ÿÿÿÿÿÿÿ"), None, "14 bytes are not 14 digits");
    }
}
