//! The quantile of a histogram whose buckets are cumulative.

/// The `q` quantile of (inclusive upper edge, count at or below it), by a straight line within the bucket,
/// as `histogram_quantile` of Prometheus 2.42 reckons it. The buckets are sorted and mended in place: equal
/// edges are added up, and a count below the one before, as counters that are read one after another give,
/// is raised to it.
///
/// NaN if there is no observation, no bucket up to infinity or none beside it, or if `q` is NaN; minus
/// infinity for a `q` below 0, infinity for one above 1. In the bucket up to infinity the answer is the edge
/// below it; the lowest bucket begins at 0, or has no beginning if its edge is not above 0, and then the
/// answer is its edge.
pub fn quantile(q: f64, buckets: &mut Vec<(f64, f64)>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets.last().is_none_or(|last| last.0 != f64::INFINITY) {
        return f64::NAN;
    }
    mend(buckets);
    let finite = buckets.len() - 1;
    let all = buckets[finite].1;
    if finite == 0 || all == 0.0 {
        return f64::NAN;
    }
    let rank = q * all;
    let at = buckets[..finite].partition_point(|bucket| bucket.1 < rank);
    if at == finite {
        return buckets[finite - 1].0;
    }
    let (end, count) = buckets[at];
    if at == 0 && end <= 0.0 {
        return end;
    }
    let (start, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    start + (end - start) * ((rank - below) / (count - below))
}

fn mend(buckets: &mut Vec<(f64, f64)>) {
    buckets.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    let mut most = f64::NEG_INFINITY;
    for (_, count) in buckets {
        *count = count.max(most);
        most = *count;
    }
}
