//! Metric families of any kind, and the cells that runs are applied to.

use std::sync::Arc;
use std::time::Duration;

use weir_telemetry::{Cap, Counter, Family, Gauge, Histogram, Metric, Sample, Shape, Spec, Value};

/// The cells of one metric of one plugin key. The key's judge is their only writer.
#[derive(Clone, Debug)]
pub(crate) enum AnyFamily {
    Counter(Family<Counter>),
    Gauge(Family<Gauge>),
    Histogram(Family<Histogram>),
}

/// One series.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Counter(Arc<Counter>),
    Gauge(Arc<Gauge>),
    Histogram(Arc<Histogram>),
}

impl AnyFamily {
    /// An empty family that holds at most `series` series.
    pub(crate) fn new(spec: Spec, series: usize) -> Self {
        let cap = Cap::Open { series };
        match spec.shape {
            Shape::Counter => Self::Counter(Family::new(spec, cap)),
            Shape::Gauge => Self::Gauge(Family::new(spec, cap)),
            Shape::Histogram(_) => Self::Histogram(Family::new(spec, cap)),
        }
    }

    pub(crate) fn spec(&self) -> &Spec {
        match self {
            Self::Counter(family) => family.spec(),
            Self::Gauge(family) => family.spec(),
            Self::Histogram(family) => family.spec(),
        }
    }

    /// The series of a label set, and whether it is the one past the cap.
    pub(crate) fn series(&self, labels: &[&str]) -> (Cell, bool) {
        fn get<M: Metric>(family: &Family<M>, labels: &[&str]) -> (Arc<M>, bool) {
            // Only what stands for all models past the route's cap has a model without a name.
            let mut named = family.spec().labels.iter().zip(labels);
            if named.any(|(label, value)| &**label == "model" && value.is_empty()) {
                return (family.overflow(labels), true);
            }
            // Nobody else asks this family for series in between.
            let before = family.overflowed();
            let cell = family.get(labels);
            (cell, family.overflowed() != before)
        }
        match self {
            Self::Counter(family) => {
                let (cell, over) = get(family, labels);
                (Cell::Counter(cell), over)
            }
            Self::Gauge(family) => {
                let (cell, over) = get(family, labels);
                (Cell::Gauge(cell), over)
            }
            Self::Histogram(family) => {
                let (cell, over) = get(family, labels);
                (Cell::Histogram(cell), over)
            }
        }
    }

    pub(crate) fn remove(&self, labels: &[&str]) {
        match self {
            Self::Counter(family) => family.remove(labels),
            Self::Gauge(family) => family.remove(labels),
            Self::Histogram(family) => family.remove(labels),
        };
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        match self {
            Self::Counter(family) => family.samples(),
            Self::Gauge(family) => family.samples(),
            Self::Histogram(family) => family.samples(),
        }
    }

    pub(crate) fn sweep(&self, now: Duration) {
        match self {
            Self::Counter(family) => family.sweep(now),
            Self::Gauge(family) => family.sweep(now),
            Self::Histogram(family) => family.sweep(now),
        }
    }

    pub(crate) fn overflowed(&self) -> u64 {
        match self {
            Self::Counter(family) => family.overflowed(),
            Self::Gauge(family) => family.overflowed(),
            Self::Histogram(family) => family.overflowed(),
        }
    }

    pub(crate) fn cap(&self) -> Cap {
        match self {
            Self::Counter(family) => family.cap(),
            Self::Gauge(family) => family.cap(),
            Self::Histogram(family) => family.cap(),
        }
    }

    /// The same series under another cap. An overflow series goes on if the new cap is reached too.
    pub(crate) fn recapped(&self, series: usize) -> Self {
        let other = Self::new(self.spec().clone(), series);
        let samples = self.samples();
        let full = samples.iter().filter(|sample| !sample.overflow).count() >= series;
        // Overflow samples come last, with one value more than there are names, which the family adds by
        // itself.
        for sample in samples.iter().filter(|sample| full || !sample.overflow) {
            let labels: Vec<&str> =
                sample.labels.iter().take(self.spec().labels.len()).map(|l| &**l).collect();
            other.series(&labels).0.absorb(&sample.value);
        }
        other
    }
}

impl Cell {
    fn absorb(&self, value: &Value) {
        match (self, value) {
            (Self::Counter(cell), Value::Counter(x)) => {
                // Whole counts stay exact; both parts are non-negative.
                cell.add(x.trunc() as u64);
                cell.add_f64(x.fract());
            }
            (Self::Gauge(cell), Value::Gauge(x)) => cell.set(*x),
            (Self::Histogram(cell), Value::Histogram { counts, sum, .. }) => cell.merge(counts, *sum),
            _ => debug_assert!(false, "cells of one family are of one kind"),
        }
    }
}

/// Whether state goes on from one declaration to the next: all but the help text is equal.
pub(crate) fn same_metric(a: &Spec, b: &Spec) -> bool {
    (&a.name, &a.unit, &a.shape, &a.labels) == (&b.name, &b.unit, &b.shape, &b.labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(cap: usize) -> AnyFamily {
        let family = AnyFamily::new(Spec::counter("x_total", "", &["plugin", "route", "k"]), cap);
        for i in 0..4 {
            let (cell, over) = family.series(&["p", "r", &i.to_string()]);
            let Cell::Counter(cell) = cell else { panic!("a counter") };
            cell.add_f64(f64::from(i) + 0.5);
            assert_eq!(over, i as usize >= cap);
        }
        family
    }

    fn told(family: &AnyFamily) -> Vec<(bool, Value)> {
        family.samples().into_iter().map(|s| (s.overflow, s.value)).collect()
    }

    #[test]
    fn another_cap_keeps_every_series_it_has_room_for() {
        let counter = |x| Value::Counter(x);
        let three =
            [(false, counter(0.5)), (false, counter(1.5)), (false, counter(2.5)), (true, counter(3.5))];
        assert_eq!(told(&filled(3)), three);
        assert_eq!(told(&filled(3).recapped(3)), three);
        assert_eq!(told(&filled(3).recapped(100)), three[..3]);
        assert_eq!(told(&filled(3).recapped(1)), [(false, counter(0.5)), (true, counter(7.5))]);
    }

    #[test]
    fn models_past_the_cap_of_their_route_share_its_overflow_series() {
        let family = AnyFamily::new(Spec::counter("x_total", "", &["plugin", "route", "model"]), 9);
        assert!(!family.series(&["p", "r", "m"]).1 && family.series(&["p", "r", ""]).1);
        let overflow: Vec<_> = family.samples().iter().map(|sample| sample.overflow).collect();
        assert_eq!(overflow, [false, true]);
    }
}
