//! What it costs to count a value: `cargo bench -p weir-stats`. Fails over 20 ns.

use std::hint::black_box;
use std::time::Instant;

use fastrand::Rng;
use weir_stats::drift::{Bins, Distinct, RowHash, mid_ranks};

const VALUES: usize = 100_000;
const MOST_NANOS: f64 = 20.0;

/// Nanoseconds a value, the best of 20 runs: what others do on this machine only adds.
fn nanos(mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64 / VALUES as f64
    };
    (0..20).map(once).fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut rng = Rng::with_seed(1);
    let mut normal = || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
    let reference: Vec<f64> = (0..20_000).map(|_| normal()).collect();
    let values: Vec<f64> = (0..VALUES).map(|_| normal()).collect();
    let Some(bins) = Bins::of(&reference) else { return };
    let mut counts = bins.count(&[]);
    let counting = nanos(|| _ = black_box(bins.count_into(black_box(&values), &mut counts)));
    let mid_ranks = mid_ranks(&bins.count(&values).bins);
    let ranks = nanos(|| values.iter().for_each(|x| _ = black_box(bins.rank(&mid_ranks, *x))));
    let mut distinct = Distinct::default();
    let hashing = nanos(|| values.iter().for_each(|x| distinct.push(RowHash::default().number(*x).finish())));
    println!("count_into {} bins: {counting:.1} ns a value", bins.len());
    println!("rank: {ranks:.1} ns a value");
    println!("RowHash of one value and Distinct::push: {hashing:.1} ns");
    assert!(counting <= MOST_NANOS, "{counting} ns, not {MOST_NANOS}");
}
