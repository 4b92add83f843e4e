//! ADWIN: a window that is as long as its values have one mean.

use std::collections::VecDeque;

/// Buckets of one size, at most; one more makes the two oldest into one of twice the size.
const BUCKETS: usize = 5;

/// Sizes of buckets, from 1 to 2^31: more values than a window will see. The oldest fall off.
const SIZES: usize = 32;

/// Values between two checks.
const CLOCK: u64 = 32;

/// Values a window has before it is checked, and each part of it.
const MIN_WINDOW: f64 = 10.0;
const MIN_PART: f64 = 5.0;

/// ADWIN2 of Bifet and Gavalda (2007), of values from 0 to 1, such as `Bins::rank`.
///
/// Old values leave while the window has two parts, of n0 and n1 values, whose means are further apart than
/// e = sqrt(2 s^2 d / h) + 2 d / (3 h), with s^2 the variance of the window, d = ln(2 ln(n) / delta) and
/// 1 / h = 1 / (n0 - 4) + 1 / (n1 - 4): as river has it, whose 5 is a part's least size. Parts end where
/// buckets do, of which there are five of each power of two: at most 32 sizes, 3 kB.
///
/// It shows what the mean did and when. It raises no alarm of drift by default: rows that are alike for an
/// hour are a change to it, and it knows no phi.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Stored")]
pub struct Adwin {
    delta: f64,
    seen: u64,
    /// Of the whole window.
    whole: Bucket,
    /// Buckets of 2^i values at i, the oldest in front.
    sizes: Vec<VecDeque<Bucket>>,
}

#[derive(serde::Deserialize)]
struct Stored {
    delta: f64,
    seen: u64,
    whole: Bucket,
    sizes: Vec<VecDeque<Bucket>>,
}

/// Values that were put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Bucket {
    n: f64,
    sum: f64,
    /// Sum of squares around the mean.
    squares: f64,
}

impl Bucket {
    fn mean(&self) -> f64 {
        self.sum / self.n
    }

    fn and(&self, other: &Self) -> Self {
        let Self { n, sum, squares } = *other;
        if self.n == 0.0 {
            return *other;
        }
        let between = self.n * n / (self.n + n) * (self.mean() - other.mean()).powi(2);
        Self { n: self.n + n, sum: self.sum + sum, squares: self.squares + squares + between }
    }

    fn without(&self, part: &Self) -> Self {
        let rest = Self { n: self.n - part.n, sum: self.sum - part.sum, squares: 0.0 };
        if rest.n <= 0.0 {
            return Self::default();
        }
        let between = rest.n * part.n / self.n * (rest.mean() - part.mean()).powi(2);
        Self { squares: (self.squares - part.squares - between).max(0.0), ..rest }
    }
}

impl Adwin {
    /// With the probability `delta` that a check finds a change where there is none; `None` unless it is
    /// between 0 and 1.
    pub fn new(delta: f64) -> Option<Self> {
        (delta > 0.0 && delta < 1.0).then_some(Self {
            delta,
            seen: 0,
            whole: Bucket::default(),
            sizes: Vec::new(),
        })
    }

    /// That finds a change where there is none once in at least `run_length` values, on average; `None`
    /// unless that is over 64 and finite.
    ///
    /// There is a check every 32 values, so 32 / `run_length` would do; but the bound is far from tight. Of
    /// 3e7 uniform ranks runs were 7.1e3 values with a delta of 0.5, 2.6e4 with 0.2, 6.4e4 with 0.1, 2.9e5
    /// with 0.03, 1.0e6 with 0.01, and 1.5e7 with 0.001: this is a curve 5 to 10 % below, at most 0.9.
    pub fn for_run_length(run_length: f64) -> Option<Self> {
        let asked = run_length > 2.0 * CLOCK as f64 && run_length.is_finite();
        asked.then(|| Self::new((0.085 * (6e4 / run_length).powf(0.8)).min(0.9))).flatten()
    }

    /// Takes a value; true if the window was cut. What is not between 0 and 1 is not taken.
    pub fn push(&mut self, x: f64) -> bool {
        if !(0.0..=1.0).contains(&x) {
            return false;
        }
        self.seen += 1;
        let value = Bucket { n: 1.0, sum: x, squares: 0.0 };
        self.whole = self.whole.and(&value);
        self.insert(value);
        self.seen.is_multiple_of(CLOCK) && self.shrink()
    }

    /// How many values have had one mean.
    pub fn width(&self) -> f64 {
        self.whole.n
    }

    /// The mean of the window; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.whole.n > 0.0).then(|| self.whole.mean())
    }

    fn insert(&mut self, mut bucket: Bucket) {
        for at in 0..SIZES {
            if at == self.sizes.len() {
                self.sizes.push(VecDeque::new());
            }
            let row = &mut self.sizes[at];
            row.push_back(bucket);
            if row.len() <= BUCKETS {
                return;
            }
            let (Some(a), Some(b)) = (row.pop_front(), row.pop_front()) else { return };
            bucket = a.and(&b);
        }
        // Older than any window: it is not kept.
        self.whole = self.whole.without(&bucket);
    }

    fn shrink(&mut self) -> bool {
        let mut cut = false;
        while self.whole.n > MIN_WINDOW && self.has_two_means() {
            self.drop_oldest();
            cut = true;
        }
        cut
    }

    fn has_two_means(&self) -> bool {
        let mut old = Bucket::default();
        let mut buckets = self.sizes.iter().rev().flatten();
        buckets.any(|bucket| {
            old = Bucket { n: old.n + bucket.n, sum: old.sum + bucket.sum, squares: 0.0 };
            self.differ(&old)
        })
    }

    fn differ(&self, old: &Bucket) -> bool {
        let Bucket { n, sum, squares } = self.whole;
        let (n0, n1) = (old.n, n - old.n);
        if n0 < MIN_PART || n1 < MIN_PART {
            return false;
        }
        let inverse = 1.0 / (n0 - MIN_PART + 1.0) + 1.0 / (n1 - MIN_PART + 1.0);
        let d = (2.0 * n.ln() / self.delta).ln();
        let reach = (2.0 * inverse * squares / n * d).sqrt() + 2.0 / 3.0 * d * inverse;
        (old.mean() - (sum - old.sum) / n1).abs() > reach
    }

    fn drop_oldest(&mut self) {
        let oldest = self.sizes.last_mut().and_then(VecDeque::pop_front);
        self.whole = oldest.map_or(Bucket::default(), |oldest| self.whole.without(&oldest));
        while self.sizes.last().is_some_and(VecDeque::is_empty) {
            self.sizes.pop();
        }
    }
}

impl TryFrom<Stored> for Adwin {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let Stored { delta, seen, whole, sizes } = stored;
        let fits = |(at, row): (usize, &VecDeque<Bucket>)| {
            let size = f64::powi(2.0, at as i32);
            row.len() <= BUCKETS && row.iter().all(|bucket| bucket.n == size && bucket.possible())
        };
        let n: f64 = sizes.iter().flatten().map(|bucket| bucket.n).sum();
        let fit = sizes.len() <= SIZES && sizes.iter().enumerate().all(fits) && whole.n == n;
        if !(delta > 0.0 && delta < 1.0 && whole.possible() && fit && seen as f64 >= n) {
            return Err("this is no window that values from 0 to 1 have made");
        }
        Ok(Self { delta, seen, whole, sizes })
    }
}

impl Bucket {
    fn possible(&self) -> bool {
        // Sums from which others were taken are off by their rounding.
        let slack = 1e-6 * (1.0 + self.n);
        (-slack..=self.n + slack).contains(&self.sum) && (0.0..=self.n + slack).contains(&self.squares)
    }
}
