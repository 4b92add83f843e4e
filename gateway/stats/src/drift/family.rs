//! Many features looked at together, many times.

/// The level of one look, so that of `looks` a month `budget` report anything by chance: b / L, from 0 to 1.
/// `holm` at this level is wrong about any feature in at most that share of looks without drift, so b is
/// what is expected a month, however alike looks and features are. Nonsense gives 0: no alarm.
pub fn look_level(budget: f64, looks: f64) -> f64 {
    let level = budget / looks;
    if level.is_finite() && budget >= 0.0 && looks > 0.0 { level.min(1.0) } else { 0.0 }
}

/// Holm's adjusted p-values (Holm 1979), in the order they came in: of the i-th smallest of k, the largest
/// of (k - j + 1) p_j over j up to i, at most 1. Those at or below the level are its alarms.
///
/// The share of looks with any false alarm is at most the level, whatever the features have to do with each
/// other. What is not a number counts as 1.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let mut adjusted = vec![1.0; p.len()];
    let mut largest = 0.0;
    for (before, at) in order.iter().enumerate() {
        largest = f64::max(largest, ((p.len() - before) as f64 * clean(p[*at])).min(1.0));
        adjusted[*at] = largest;
    }
    adjusted
}

/// Benjamini and Hochberg's adjusted p-values (1995), in the order they came in: of the i-th smallest of k,
/// the smallest of k p_j / j over j from i. For a ranking of what to look at first, not for alarms.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let mut adjusted = vec![1.0; p.len()];
    let mut smallest = 1.0;
    for (before, at) in order.iter().enumerate().rev() {
        smallest = f64::min(smallest, p.len() as f64 * clean(p[*at]) / (before + 1) as f64);
        adjusted[*at] = smallest;
    }
    adjusted
}

fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| clean(p[*a]).total_cmp(&clean(p[*b])));
    order
}

fn clean(p: f64) -> f64 {
    if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) }
}
