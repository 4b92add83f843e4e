//! Count, mean, spread and extremes of values, mergeable.

/// What is known of a set of finite values. Merging is exact up to rounding, in any order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    pub count: u64,
    pub sum: f64,
    /// Sum of squared distances from the mean.
    pub squares: f64,
    /// NaN while empty.
    pub min: f64,
    pub max: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, squares: 0.0, min: f64::NAN, max: f64::NAN }
    }
}

impl Moments {
    /// The moments of some values; what is not finite is left out. Two passes, so that squares do not cancel.
    pub fn of(values: &[f64]) -> Self {
        let finite = || values.iter().copied().filter(|x| x.is_finite());
        let mut all = Self::default();
        for x in finite() {
            all.count += 1;
            all.sum += x;
            all.min = all.min.min(x);
            all.max = all.max.max(x);
        }
        let mean = all.mean();
        all.squares = finite().map(|x| (x - mean) * (x - mean)).sum();
        all
    }

    /// The mean; NaN while empty.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// Variance of the population; 0 for fewer than two values.
    pub fn variance(&self) -> f64 {
        if self.count < 2 { 0.0 } else { self.squares / self.count as f64 }
    }

    /// Adds what is known of other values (Chan, Golub and LeVeque, 1979).
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let apart = other.mean() - self.mean();
        self.squares += other.squares + apart * apart * (n * m / (n + m));
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_parts_equal_the_whole() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i * 37 % 101) / 7.0 + 1e6).collect();
        let whole = Moments::of(&values);
        let mut parts = Moments::default();
        values.chunks(13).for_each(|part| parts.merge(&Moments::of(part)));
        assert_eq!((parts.count, parts.min, parts.max), (whole.count, whole.min, whole.max));
        assert!((parts.variance() / whole.variance() - 1.0).abs() < 1e-9);
        assert!((parts.mean() / whole.mean() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        let some = Moments::of(&[f64::NAN, 1.0, f64::INFINITY, 3.0, f64::NEG_INFINITY]);
        assert_eq!((some.count, some.sum, some.min, some.max), (2, 4.0, 1.0, 3.0));
        assert_eq!(some.variance(), 1.0);
    }

    #[test]
    fn nothing_has_no_mean_and_no_extremes() {
        let nothing = Moments::of(&[f64::NAN]);
        assert!(nothing.mean().is_nan() && nothing.min.is_nan() && nothing.max.is_nan());
        assert_eq!((nothing.count, nothing.variance()), (0, 0.0));
        let mut one = nothing;
        one.merge(&Moments::of(&[5.0]));
        one.merge(&nothing);
        assert_eq!((one.count, one.min, one.variance()), (1, 5.0, 0.0));
    }
}
