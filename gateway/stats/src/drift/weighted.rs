//! Rows that were kept with known probabilities.

/// Sums of weights by bin, each weight the inverse of the probability with which its row was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    bins: Vec<f64>,
    sum: f64,
    squares: f64,
}

impl Weighted {
    /// Nothing yet.
    pub fn new(bins: usize) -> Self {
        Self { bins: vec![0.0; bins], sum: 0.0, squares: 0.0 }
    }

    /// Adds a row; false, and nothing added, if the bin is not there or the weight not above 0 and finite.
    pub fn push(&mut self, bin: usize, weight: f64) -> bool {
        let Some(sum) = self.bins.get_mut(bin).filter(|_| weight.is_finite() && weight > 0.0) else {
            return false;
        };
        *sum += weight;
        self.sum += weight;
        self.squares += weight * weight;
        true
    }

    /// How many equally weighted rows know as much: (sum w)^2 / sum w^2 (Kish 1965); 0 without rows.
    pub fn effective(&self) -> f64 {
        if self.squares > 0.0 { self.sum * (self.sum / self.squares) } else { 0.0 }
    }

    /// The share of each bin, which estimates that of all rows, kept or not; `None` without rows.
    pub fn shares(&self) -> Option<Vec<f64>> {
        (self.sum > 0.0).then(|| self.bins.iter().map(|bin| bin / self.sum).collect())
    }

    /// The shares as counts of the effective number of rows: what tests and effects take.
    pub fn counts(&self) -> Option<Vec<f64>> {
        let n = self.effective();
        self.shares().map(|shares| shares.into_iter().map(|share| share * n).collect())
    }
}
