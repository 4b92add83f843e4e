//! How many different rows came: what repeats knows no more than once.

/// Hashes that are kept, at most.
pub const MAX_HASHES: usize = 8192;

/// Slots of a new table; a power of two, as all its sizes are.
const FIRST_SLOTS: usize = 64;

/// Estimates how many distinct 64-bit hashes came, by Wegman's adaptive sampling (Flajolet 1990): hashes
/// whose leading `depth` bits are 0 are kept, and the depth grows by one when there are more than
/// `MAX_HASHES`. Each that is kept stands for 2^depth.
///
/// Exact up to `MAX_HASHES`; beyond without bias, with a standard error of 1.20 / sqrt(8192) = 1.3 %. At most
/// 128 KiB, half of it empty slots, and what is kept depends on nothing but the set of hashes, so that parts
/// merge in any order. Hashes have to be uniform: `RowHash`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Distinct {
    depth: u32,
    len: usize,
    /// Open addressing by the trailing bits, of which all are left; 0 is an empty slot.
    slots: Vec<u64>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Stored {
    depth: u32,
    /// Rising.
    hashes: Vec<u64>,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { depth: 0, len: 0, slots: vec![0; FIRST_SLOTS] }
    }
}

/// Equal if the same hashes came, however they did.
impl PartialEq for Distinct {
    fn eq(&self, other: &Self) -> bool {
        self.depth == other.depth && self.hashes() == other.hashes()
    }
}

impl Distinct {
    /// Takes a hash.
    pub fn push(&mut self, hash: u64) {
        // Two of 2^64 hashes are one, so that 0 can mean empty.
        let hash = hash.max(1);
        if !self.keeps(hash) || !self.insert(hash) {
            return;
        }
        while self.len > MAX_HASHES {
            self.depth += 1;
            self.rebuild(self.slots.len());
        }
        if self.len * 2 > self.slots.len() {
            self.rebuild(self.slots.len() * 2);
        }
    }

    /// How many distinct ones came.
    pub fn estimate(&self) -> f64 {
        self.len as f64 * f64::powi(2.0, self.depth.cast_signed())
    }

    /// Distinct rows / rows, at most 1: `Sample::factor`. 1 without rows.
    pub fn factor(&self, rows: f64) -> f64 {
        if rows > 0.0 { (self.estimate() / rows).min(1.0) } else { 1.0 }
    }

    /// Adds what another saw, of which both may have seen some.
    pub fn merge(&mut self, other: &Self) {
        if other.depth > self.depth {
            self.depth = other.depth;
            self.rebuild(self.slots.len());
        }
        other.slots.iter().filter(|hash| **hash != 0).for_each(|hash| self.push(*hash));
    }

    /// Bytes it takes now.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.slots[..])
    }

    fn keeps(&self, hash: u64) -> bool {
        hash.leading_zeros() >= self.depth
    }

    /// False if it was there already.
    fn insert(&mut self, hash: u64) -> bool {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        // At least half of the slots are empty.
        while self.slots[at] != 0 {
            if self.slots[at] == hash {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = hash;
        self.len += 1;
        true
    }

    fn rebuild(&mut self, slots: usize) {
        let old = std::mem::replace(&mut self.slots, vec![0; slots]);
        self.len = 0;
        for hash in old.into_iter().filter(|hash| *hash != 0) {
            if self.keeps(hash) {
                self.insert(hash);
            }
        }
    }

    fn hashes(&self) -> Vec<u64> {
        let mut hashes: Vec<u64> = self.slots.iter().copied().filter(|hash| *hash != 0).collect();
        hashes.sort_unstable();
        hashes
    }
}

impl From<Distinct> for Stored {
    fn from(distinct: Distinct) -> Self {
        Self { depth: distinct.depth, hashes: distinct.hashes() }
    }
}

impl TryFrom<Stored> for Distinct {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let mut distinct = Self { depth: stored.depth, ..Self::default() };
        let rising = stored.hashes.windows(2).all(|pair| pair[0] < pair[1]);
        let kept = stored.hashes.iter().all(|hash| *hash != 0 && distinct.keeps(*hash));
        if stored.depth >= u64::BITS || !rising || !kept || stored.hashes.len() > MAX_HASHES {
            return Err("these are no hashes that were kept");
        }
        stored.hashes.into_iter().for_each(|hash| distinct.push(hash));
        Ok(distinct)
    }
}

/// A hash of a row, value by value in a fixed order, so that equal rows have equal hashes.
///
/// Each value is folded in by a product of 128 bits whose halves are combined, as in wyhash, and the end is
/// Stafford's mix 13, as in SplitMix64. It is no keyed hash: who knows it can make rows collide, and thereby
/// make a window look poorer than it is.
#[derive(Clone, Copy, Debug)]
pub struct RowHash(u64);

impl Default for RowHash {
    fn default() -> Self {
        // Digits of pi, as below: nothing up the sleeve.
        Self(0x243f_6a88_85a3_08d3)
    }
}

impl RowHash {
    /// A number by its bits, but -0.0 as 0.0 and every NaN as a missing value.
    pub fn number(self, x: f64) -> Self {
        // Adding 0.0 makes 0.0 of -0.0.
        if x.is_nan() { self.missing() } else { self.fold((x + 0.0).to_bits(), 0x1319_8a2e_0370_7344) }
    }

    /// A text, by a hash of its own. The same bits as a number are another value.
    pub fn text(self, hash: u64) -> Self {
        self.fold(hash, 0xa409_3822_299f_31d0)
    }

    /// Nothing.
    pub fn missing(self) -> Self {
        self.fold(0, 0x082e_fa98_ec4e_6c89)
    }

    /// The hash of the row.
    pub fn finish(self) -> u64 {
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn fold(self, value: u64, kind: u64) -> Self {
        let product = u128::from(self.0.rotate_left(23) ^ kind ^ value) * 0x9e37_79b9_7f4a_7c15_u128;
        // The state is added, so that a product of 0 does not wipe it.
        Self(self.0.wrapping_add(product as u64 ^ (product >> 64) as u64))
    }
}
