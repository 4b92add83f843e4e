//! How a goal is shared out among keys of unequal traffic.

/// Halvings until the level is known to more digits than anybody counts.
const HALVINGS: u32 = 64;

/// How many of `count` items are to be kept at this level: all, or as many as its logarithm is worth, but
/// one.
pub(super) fn share(count: f64, level: f64) -> f64 {
    (level * count.max(1.0).log10()).max(1.0).min(count)
}

/// The level at which the shares of all counts add up to `goal`: the largest at which they do not exceed it,
/// and 0 if even one a key is more. Does not depend on the order of `counts`, which it sorts.
pub(super) fn level(goal: f64, counts: &mut [f64]) -> f64 {
    counts.sort_unstable_by(f64::total_cmp);
    let kept = |level: f64| counts.iter().map(|count| share(*count, level)).sum::<f64>();
    let busy = counts.iter().filter(|count| **count > 1.0);
    // Here every key keeps all it has.
    let mut high = busy.map(|count| count / count.log10()).fold(0.0, f64::max);
    if kept(high) <= goal {
        return high;
    }
    let mut low = 0.0;
    for _ in 0..HALVINGS {
        let middle = low + (high - low) / 2.0;
        if kept(middle) <= goal {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(goal: f64, counts: &[f64]) -> Vec<f64> {
        let level = level(goal, &mut counts.to_vec());
        counts.iter().map(|count| share(*count, level)).collect()
    }

    #[test]
    fn shares_go_by_logarithm_and_add_up_to_the_goal() {
        let some = shares(60.0, &[1e3, 1e6, 10.0]);
        // 10 keeps at most ten; as one of ten parts of the logarithm it is worth six.
        for (share, expected) in some.iter().zip([18.0, 36.0, 6.0]) {
            assert!((share - expected).abs() < 1e-6, "{some:?}");
        }
    }

    #[test]
    fn what_a_small_key_leaves_goes_to_the_others() {
        let some = shares(100.0, &[10.0, 1e3, 1e6]);
        for (share, expected) in some.iter().zip([10.0, 30.0, 60.0]) {
            assert!((share - expected).abs() < 1e-6, "{some:?}");
        }
    }

    #[test]
    fn a_goal_above_the_traffic_keeps_all() {
        assert_eq!(shares(1e9, &[0.5, 1.0, 2.0, 1e6]), [0.5, 1.0, 2.0, 1e6]);
        assert_eq!(shares(f64::INFINITY, &[3.0]), [3.0]);
        assert!(shares(5.0, &[]).is_empty());
    }

    #[test]
    fn every_key_keeps_one_even_beyond_the_goal() {
        assert_eq!(shares(0.0, &[5.0, 1e6, 1.0]), [1.0, 1.0, 1.0]);
        assert_eq!(shares(f64::NAN, &[5.0]), [1.0]);
    }
}
