//! The probability of an item that may be kept for several reasons.

/// How the decisions about one item hang together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Draws {
    /// All are made from the item's one random value, as Weir does: the most generous one contains the
    /// others.
    #[default]
    Shared,
    /// Each is made by a draw of its own.
    Independent,
}

/// With which probability an item is kept that may be kept at the `head` probability or for any of the
/// `reasons` that apply to it, in [0, 1]; 0 if nothing applies. Computed once, over everything that applies,
/// whether or not it was what kept the item in the end: a weight by the lucky reason alone would be biased.
///
/// - [`Draws::Shared`]: kept if R >= T for any of them, that is for the lowest threshold: the largest
///   probability. The same in thresholds is their least (`Ord::min`), which can be written as `th`.
/// - [`Draws::Independent`]: 1 minus the product of (1 - p). Such a decision has no threshold, since an item
///   may be kept with R below it; `th` must then be removed, as OpenTelemetry demands.
///
/// Values are taken as within 0 to 1, NaN as 0.
pub fn inclusion(head: Option<f64>, reasons: &[f64], draws: Draws) -> f64 {
    let all = head.iter().chain(reasons).filter(|p| !p.is_nan()).map(|p| p.clamp(0.0, 1.0));
    match draws {
        Draws::Shared => all.fold(0.0, f64::max),
        // By logarithms, since 1 - (1 - p) loses the digits of a small p.
        Draws::Independent => -all.map(|p| (-p).ln_1p()).sum::<f64>().exp_m1(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::{Randomness, Threshold};

    #[test]
    fn shared_draws_take_the_largest_probability() {
        assert_eq!(inclusion(Some(0.1), &[0.5, 0.2], Draws::Shared), 0.5);
        assert_eq!(inclusion(Some(0.1), &[], Draws::default()), 0.1);
        assert_eq!(inclusion(None, &[], Draws::Shared), 0.0);
        assert_eq!(inclusion(None, &[1.0], Draws::Shared), 1.0);
        assert_eq!(inclusion(Some(f64::NAN), &[-1.0, 7.0], Draws::Shared), 1.0);
    }

    #[test]
    fn independent_draws_miss_an_item_only_together() {
        assert!((inclusion(Some(0.1), &[0.5, 0.2], Draws::Independent) - 0.64).abs() < 1e-15);
        assert_eq!(inclusion(Some(0.1), &[1.0], Draws::Independent), 1.0);
        assert_eq!(inclusion(None, &[], Draws::Independent), 0.0);
        assert_eq!(inclusion(Some(1e-20), &[], Draws::Independent), 1e-20, "small ones keep their digits");
        assert_eq!(inclusion(Some(f64::NAN), &[f64::NAN], Draws::Independent), 0.0);
    }

    #[test]
    fn the_lowest_threshold_keeps_with_the_largest_probability() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..1_000 {
            let probabilities: Vec<f64> = (0..3).map(|_| 1.0 - random.f64()).collect();
            let thresholds = || probabilities.iter().map(|p| Threshold::from_probability(*p).unwrap());
            let lowest = thresholds().min().unwrap();
            let together = inclusion(Some(probabilities[0]), &probabilities[1..], Draws::Shared);
            assert_eq!(Threshold::from_probability(together), Some(lowest));
            let r = Randomness::from_bits(random.u64(..));
            assert_eq!(thresholds().any(|t| t.keeps(r)), lowest.keeps(r));
        }
    }
}
