//! Counts as bytes: most are small whole numbers, many are 0, and a file of eight bytes each would be large.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A float that is no whole number follows as it is.
const FLOAT: u64 = 0;

/// Whole numbers above this are written as floats.
const LARGEST: f64 = 9e15;

pub(super) fn serialize<S: Serializer>(counts: &[f64], to: S) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::with_capacity(counts.len() * 2);
    for count in counts {
        if count.fract() == 0.0 && (0.0..LARGEST).contains(count) {
            varint(&mut bytes, *count as u64 + 1);
        } else {
            varint(&mut bytes, FLOAT);
            bytes.extend_from_slice(&count.to_le_bytes());
        }
    }
    (counts.len() as u64, bytes).serialize(to)
}

pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<f64>, D::Error> {
    let (len, bytes): (u64, Vec<u8>) = Deserialize::deserialize(from)?;
    // A count takes a byte at least: a length that was made up takes no memory.
    if len > bytes.len() as u64 {
        return Err(D::Error::custom("counts are cut off"));
    }
    let mut rest = bytes.as_slice();
    let counts: Option<Vec<f64>> = (0..len).map(|_| count(&mut rest)).collect();
    counts.filter(|_| rest.is_empty()).ok_or_else(|| D::Error::custom("counts are cut off"))
}

fn varint(bytes: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        bytes.push(x as u8 | 0x80);
        x >>= 7;
    }
    bytes.push(x as u8);
}

fn count(rest: &mut &[u8]) -> Option<f64> {
    let mut x = 0;
    for shift in (0..64).step_by(7) {
        let (byte, others) = rest.split_first()?;
        *rest = others;
        x |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            break;
        }
    }
    if x != FLOAT {
        return Some((x - 1) as f64);
    }
    let (float, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(f64::from_le_bytes(*float)).filter(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Counts(#[serde(with = "super")] Vec<f64>);

    #[test]
    fn counts_come_back_as_they_were_and_most_take_a_byte() {
        let counts = Counts(vec![0.0, 1.0, 126.0, 127.0, 1e15, 1e300, 0.1, 3.75, -1.0, 9e15]);
        let bytes = postcard::to_allocvec(&counts).unwrap();
        assert_eq!(postcard::from_bytes::<Counts>(&bytes).unwrap(), counts);
        let zeros = postcard::to_allocvec(&Counts(vec![0.0; 100])).unwrap();
        assert!(zeros.len() <= 104);
        for len in 0..bytes.len() {
            assert!(postcard::from_bytes::<Counts>(&bytes[..len]).is_err(), "cut at {len}");
        }
        let nan = Counts(vec![f64::NAN]);
        assert!(postcard::from_bytes::<Counts>(&postcard::to_allocvec(&nan).unwrap()).is_err());
    }
}
