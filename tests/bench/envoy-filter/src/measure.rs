//! What is counted per exchange. Pure: the clock and the random number are arguments.

use crate::body::Matrix;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Upper edges for scores, margins and normalised entropies, all of which lie in 0..=1.
const UNIT_EDGES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
/// Buckets between a feature's configured minimum and maximum.
const FEATURE_BUCKETS: usize = 20;

/// The filter's settings, given as JSON in Envoy's configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// Expected (minimum, maximum) per feature: the range of its histogram.
    pub ranges: Vec<(f64, f64)>,
    /// A top-1 probability below this is kept.
    pub low_confidence: f64,
    /// An exchange slower than this is kept.
    pub slow_seconds: f64,
    /// The share of all other exchanges that is kept.
    pub probability: f64,
}

/// Why an exchange is kept by the sampler, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Error,
    Slow,
    LowConfidence,
    FirstSeenClass,
    Chance,
}

/// One exchange after both bodies have been parsed; `None` = undecodable.
pub struct Exchange<'a> {
    pub status: u32,
    pub seconds: f64,
    /// Uniform in 0..1.
    pub chance: f64,
    pub request: Option<&'a Matrix>,
    pub response: Option<&'a Matrix>,
}

#[derive(Default)]
struct Feature {
    buckets: [u64; FEATURE_BUCKETS],
    missing: u64,
    out_of_range: u64,
}

#[derive(Default)]
struct Class {
    confidence: [u64; UNIT_EDGES.len() + 1],
    margin: [u64; UNIT_EDGES.len() + 1],
    entropy: [u64; UNIT_EDGES.len() + 1],
}

/// Everything counted since the last [`Measures::drain`].
pub struct Measures {
    settings: Settings,
    features: Vec<Feature>,
    classes: Vec<Option<Class>>,
    kept: [u64; 5],
    exchanges: u64,
    undecodable: u64,
}

impl Measures {
    pub fn new(settings: Settings) -> Self {
        let features = settings.ranges.iter().map(|_| Feature::default()).collect();
        Self { settings, features, classes: Vec::new(), kept: [0; 5], exchanges: 0, undecodable: 0 }
    }

    /// Counts one exchange and says whether it is kept, and why.
    pub fn observe(&mut self, exchange: &Exchange) -> Option<Kept> {
        self.exchanges += 1;
        self.undecodable += u64::from(exchange.request.is_none()) + u64::from(exchange.response.is_none());
        if let Some(request) = exchange.request {
            self.count_features(request);
        }
        let (lowest, first_seen) = exchange.response.map_or((1.0, false), |scores| self.count_scores(scores));
        let kept = self.decide(exchange, lowest, first_seen);
        if let Some(reason) = kept {
            self.kept[reason as usize] += 1;
        }
        kept
    }

    fn count_features(&mut self, request: &Matrix) {
        for row in request.rows() {
            for ((value, feature), (low, high)) in
                row.iter().zip(&mut self.features).zip(&self.settings.ranges)
            {
                if value.is_nan() {
                    feature.missing += 1;
                    continue;
                }
                feature.out_of_range += u64::from(value < low || value > high);
                let place = (value - low) / (high - low) * FEATURE_BUCKETS as f64;
                feature.buckets[(place.max(0.0) as usize).min(FEATURE_BUCKETS - 1)] += 1;
            }
        }
    }

    /// Returns the lowest top-1 probability and whether a class was predicted for the first time.
    fn count_scores(&mut self, scores: &Matrix) -> (f64, bool) {
        let (mut lowest, mut first_seen) = (1.0_f64, false);
        for row in scores.rows() {
            let top = Top::of(row);
            lowest = lowest.min(top.first);
            if self.classes.len() <= top.class {
                self.classes.resize_with(top.class + 1, || None);
            }
            first_seen |= self.classes[top.class].is_none();
            let class = self.classes[top.class].get_or_insert_with(Class::default);
            class.confidence[bucket(top.first)] += 1;
            class.margin[bucket(top.first - top.second)] += 1;
            class.entropy[bucket(entropy(row))] += 1;
        }
        (lowest, first_seen)
    }

    fn decide(&self, exchange: &Exchange, lowest: f64, first_seen: bool) -> Option<Kept> {
        if exchange.status >= 400 {
            Some(Kept::Error)
        } else if exchange.seconds > self.settings.slow_seconds {
            Some(Kept::Slow)
        } else if lowest < self.settings.low_confidence {
            Some(Kept::LowConfidence)
        } else if first_seen {
            Some(Kept::FirstSeenClass)
        } else {
            (exchange.chance < self.settings.probability).then_some(Kept::Chance)
        }
    }

    /// Every counter that moved since the last call, by name, and starts again at zero.
    pub fn drain(&mut self) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        let mut put = |name: String, value: &mut u64| {
            if *value > 0 {
                out.insert(name, std::mem::take(value));
            }
        };
        put("exchanges".into(), &mut self.exchanges);
        put("undecodable".into(), &mut self.undecodable);
        for (reason, count) in self.kept.iter_mut().enumerate() {
            put(format!("kept.{reason}"), count);
        }
        for (at, feature) in self.features.iter_mut().enumerate() {
            put(format!("feature.{at}.missing"), &mut feature.missing);
            put(format!("feature.{at}.out_of_range"), &mut feature.out_of_range);
            for (bucket, count) in feature.buckets.iter_mut().enumerate() {
                put(format!("feature.{at}.bucket.{bucket}"), count);
            }
        }
        for (at, class) in self.classes.iter_mut().enumerate() {
            let Some(class) = class else { continue };
            let parts = [
                ("confidence", &mut class.confidence),
                ("margin", &mut class.margin),
                ("entropy", &mut class.entropy),
            ];
            for (what, buckets) in parts {
                for (bucket, count) in buckets.iter_mut().enumerate() {
                    put(format!("class.{at}.{what}.bucket.{bucket}"), count);
                }
            }
        }
        out
    }
}

/// The two highest scores of a row and the index of the highest.
struct Top {
    class: usize,
    first: f64,
    second: f64,
}

impl Top {
    fn of(row: &[f64]) -> Self {
        let mut top = Top { class: 0, first: f64::NEG_INFINITY, second: 0.0 };
        for (class, &score) in row.iter().enumerate() {
            if score > top.first {
                top = Top { class, first: score, second: top.first.max(0.0) };
            } else if score > top.second {
                top.second = score;
            }
        }
        top
    }
}

/// Shannon entropy divided by its maximum, so that 1 is a uniform guess whatever the number of classes.
fn entropy(row: &[f64]) -> f64 {
    let sum: f64 = row.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
    sum / (row.len().max(2) as f64).ln()
}

fn bucket(value: f64) -> usize {
    UNIT_EDGES.partition_point(|edge| *edge < value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measures() -> Measures {
        let settings = Settings {
            ranges: vec![(0.0, 10.0); 2],
            low_confidence: 0.6,
            slow_seconds: 0.5,
            probability: 0.01,
        };
        Measures::new(settings)
    }

    fn exchange<'a>(request: &'a Matrix, response: &'a Matrix) -> Exchange<'a> {
        Exchange { status: 200, seconds: 0.01, chance: 0.5, request: Some(request), response: Some(response) }
    }

    #[test]
    fn every_cell_is_counted_once() {
        let mut measures = measures();
        let request = Matrix { values: vec![0.2, f64::NAN, 5.0, 11.0], width: 2 };
        let response = Matrix { values: vec![0.1, 0.9, 0.75, 0.25], width: 2 };
        measures.observe(&exchange(&request, &response));
        let counts = measures.drain();
        assert_eq!(counts["feature.0.bucket.0"] + counts["feature.0.bucket.10"], 2);
        assert_eq!((counts["feature.1.missing"], counts["feature.1.out_of_range"]), (1, 1));
        assert_eq!((counts["class.1.confidence.bucket.8"], counts["class.0.margin.bucket.4"]), (1, 1));
        assert!(measures.drain().is_empty());
    }

    #[test]
    fn an_exchange_is_kept_for_the_first_reason_that_holds() {
        let mut measures = measures();
        let request = Matrix { values: vec![1.0, 1.0], width: 2 };
        let (sure, unsure) =
            (Matrix { values: vec![0.9, 0.1], width: 2 }, Matrix { values: vec![0.5, 0.5], width: 2 });
        assert_eq!(measures.observe(&exchange(&request, &sure)), Some(Kept::FirstSeenClass));
        assert_eq!(measures.observe(&exchange(&request, &sure)), None);
        assert_eq!(measures.observe(&exchange(&request, &unsure)), Some(Kept::LowConfidence));
        let slow = Exchange { seconds: 0.6, ..exchange(&request, &unsure) };
        assert_eq!(measures.observe(&slow), Some(Kept::Slow));
        assert_eq!(measures.observe(&Exchange { status: 503, ..slow }), Some(Kept::Error));
        assert_eq!(
            measures.observe(&Exchange { chance: 0.001, ..exchange(&request, &sure) }),
            Some(Kept::Chance)
        );
    }

    #[test]
    fn a_uniform_guess_has_entropy_one() {
        assert!((entropy(&[0.25; 4]) - 1.0).abs() < 1e-12);
        assert_eq!(entropy(&[1.0, 0.0]), 0.0);
    }
}
