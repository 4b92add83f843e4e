//! What a sample says about everything it was taken from.

/// A Horvitz-Thompson estimate of a count: each kept item stands for the inverse of its inclusion
/// probability.
///
/// Unbiased if the probabilities are, whatever they are. The variance assumes that the items were drawn
/// independently of each other or by a [`Budget`](super::Budget) of two or more, whose weights are
/// uncorrelated. Estimates add up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Items that were added.
    pub kept: u64,
    /// How many there were before sampling: the sum of 1/p.
    pub total: f64,
    /// Variance of `total`, estimated without bias: the sum of (1 - p)/p^2.
    pub variance: f64,
}

impl Estimate {
    /// Adds a kept item of this inclusion probability; false, and nothing added, unless 0 < `probability` <=
    /// 1.
    pub fn add(&mut self, probability: f64) -> bool {
        if !(probability > 0.0 && probability <= 1.0) {
            return false;
        }
        self.kept += 1;
        self.total += 1.0 / probability;
        self.variance += (1.0 - probability) / (probability * probability);
        true
    }

    /// Adds what is estimated of other items.
    pub fn merge(&mut self, other: &Self) {
        self.kept += other.kept;
        self.total += other.total;
        self.variance += other.variance;
    }

    /// Lower and upper end of the normal interval, `z` standard errors to each side: 1.96 for 95 %. Never
    /// below what was kept, which is certain.
    ///
    /// It covers what it says from some fifty kept items on. With fewer, total and variance rise and fall
    /// together and the interval is too narrow where it is too low; with none it is empty and says nothing.
    pub fn interval(&self, z: f64) -> (f64, f64) {
        let reach = z * self.variance.sqrt();
        ((self.total - reach).max(self.kept as f64), self.total + reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kept_item_stands_for_the_inverse_of_its_probability() {
        let mut some = Estimate::default();
        assert!(some.add(0.5) && some.add(0.25) && some.add(1.0));
        assert_eq!(some, Estimate { kept: 3, total: 7.0, variance: 2.0 + 12.0 });
        let reach = 14f64.sqrt();
        assert_eq!(some.interval(1.0), (7.0 - reach, 7.0 + reach));
        assert_eq!(some.interval(1.96).0, 3.0, "three were seen");
        let mut twice = some;
        twice.merge(&some);
        assert_eq!(twice, Estimate { kept: 6, total: 14.0, variance: 28.0 });
    }

    #[test]
    fn what_is_no_probability_is_not_counted() {
        let mut none = Estimate::default();
        for wrong in [0.0, -0.5, 1.5, f64::NAN, f64::INFINITY] {
            assert!(!none.add(wrong));
        }
        assert_eq!(none, Estimate::default());
    }
}
