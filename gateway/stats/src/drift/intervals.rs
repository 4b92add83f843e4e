//! Intervals of shares, for fairness and for anything else that is a share.

/// From, to.
pub type Interval = (f64, f64);

/// Wilson's score interval (1927) of `hits` of `n` rows; `z` as from `z_of`. Without rows: all from 0 to 1.
///
/// (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).
pub fn wilson(hits: f64, n: f64, z: f64) -> Interval {
    if n.is_nan() || n <= 0.0 {
        return (0.0, 1.0);
    }
    let p = (hits / n).clamp(0.0, 1.0);
    let (z2, scale) = (z * z / n, 1.0 + z * z / n);
    let middle = p + z2 / 2.0;
    let half = z * (p * (1.0 - p) / n + z2 / (4.0 * n)).sqrt();
    let low = if p == 0.0 { 0.0 } else { (middle - half) / scale };
    let high = if p == 1.0 { 1.0 } else { (middle + half) / scale };
    (low.max(0.0), high.min(1.0))
}

/// Newcombe's interval (1998, method 10) of the difference of two shares, each `(hits, n)`, first less
/// second: from d - sqrt((p1 - l1)^2 + (u2 - p2)^2) to d + sqrt((u1 - p1)^2 + (p2 - l2)^2), where l and u
/// are Wilson's. Without rows on either side: all from -1 to 1.
pub fn newcombe(first: (f64, f64), second: (f64, f64), z: f64) -> Interval {
    if !(first.1 > 0.0 && second.1 > 0.0) {
        return (-1.0, 1.0);
    }
    let (p1, p2) = (first.0 / first.1, second.0 / second.1);
    let ((l1, u1), (l2, u2)) = (wilson(first.0, first.1, z), wilson(second.0, second.1, z));
    let d = p1 - p2;
    (d - (p1 - l1).hypot(u2 - p2), d + (u1 - p1).hypot(p2 - l2))
}
