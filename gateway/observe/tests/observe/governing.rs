//! What happens when telemetry takes more of the CPU than it may.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::support::{House, LONG, good, kserve, still};

#[test]
fn over_its_share_of_the_cpu_telemetry_asks_for_fewer_exchanges() {
    let mut config = still();
    (config.telemetry_cpu, config.poll) = (0.0, Duration::from_millis(1));
    let (house, route) = (House::with(config, 1, Vec::new()), kserve());
    let probability = house.line.observe_probability();
    let probability = || f32::from_bits(probability.load(Relaxed));
    assert_eq!(probability(), 1.0);
    let begin = Instant::now();
    let mut routed = 0_u32;
    // Nothing is allowed, so that the first window is over its share.
    while probability() >= 1.0 && begin.elapsed() < LONG {
        routed += 1;
        house.see([good(&route, 1)]);
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert_eq!(probability(), 0.001, "the floor, since the target is nothing");
    house.settle();
    assert_eq!(house.value("weir_observe_probability", &[]), 0.001_f64);
    assert!(house.value("weir_telemetry_cpu_ratio", &[]) > 0.0);
    assert!(house.value("weir_telemetry_cpu_seconds_total", &[("thread", "0")]) > 0.0);

    // The request path leaves out what it is told to, and counts that in the same family.
    let unsampled = house.metrics.line.exchanges.local(&["route-0", "unsampled"]);
    for draw in 0..1000_u32 {
        routed += 1;
        if draw as f32 / 1000.0 < probability() {
            house.send(good(&route, 1));
        } else {
            unsampled.bump(1);
        }
    }
    house.settle();
    assert_eq!(house.fate("unsampled"), 999.0);
    assert_eq!(house.value("weir_exchanges_total", &[("route", "route-0")]), f64::from(routed));
}

#[test]
fn within_its_share_everything_is_observed() {
    let (house, route) = (House::new(), kserve());
    house.see((0..100).map(|_| good(&route, 1)));
    assert_eq!(f32::from_bits(house.line.observe_probability().load(Relaxed)), 1.0);
    assert_eq!(house.fate("observed"), 100.0);
}
