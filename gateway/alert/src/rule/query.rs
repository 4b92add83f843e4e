//! What a rule asks of the series, with names looked up.

use std::sync::Arc;

use weir_config::{Aggregate, Selector};
use weir_telemetry::Spec;

/// Series of one metric.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) spec: Spec,
    /// The index of the label, and what is meant.
    pub(crate) selectors: Vec<(usize, Selector)>,
    /// Indexes of the labels that tell groups apart, in the rule's order.
    pub(crate) by: Vec<usize>,
}

impl Pick {
    /// Whether a label set is meant.
    pub(crate) fn takes(&self, labels: &[Arc<str>]) -> bool {
        self.selectors.iter().all(|(at, selector)| selector.takes(labels.get(*at).map_or("", |v| v)))
    }

    /// The labels that `absent` can tell: of which one value is meant.
    pub(crate) fn told_when_absent(&self) -> impl Iterator<Item = &Selector> {
        let selectors = self.selectors.iter().map(|(_, selector)| selector);
        selectors.filter(|selector| !selector.negated && selector.values.len() == 1)
    }
}

/// A query; what it compares with is the rule's.
#[derive(Clone, Debug)]
pub(crate) enum Query {
    Rate(Pick),
    Increase(Pick),
    Ratio {
        part: Pick,
        whole: Pick,
        /// The part is what lies in buckets up to this one.
        under: Option<usize>,
    },
    Quantile {
        q: f64,
        of: Pick,
    },
    /// `None`: each series by itself.
    Gauge {
        of: Pick,
        aggregate: Option<Aggregate>,
    },
    Absent(Pick),
    /// A gauge that is 1 while the condition is active.
    Condition {
        of: Pick,
        plugin: Arc<str>,
        condition: Arc<str>,
    },
}

impl Query {
    /// Every selection of series in it.
    pub(crate) fn picks(&self) -> impl Iterator<Item = &Pick> {
        let (one, other) = match self {
            Self::Ratio { part, whole, .. } => (part, Some(whole)),
            Self::Rate(of)
            | Self::Increase(of)
            | Self::Quantile { of, .. }
            | Self::Gauge { of, .. }
            | Self::Absent(of)
            | Self::Condition { of, .. } => (of, None),
        };
        std::iter::once(one).chain(other)
    }

    /// Whether single buckets of a histogram are asked for.
    pub(crate) fn wants_buckets(&self) -> bool {
        matches!(self, Self::Quantile { .. } | Self::Ratio { under: Some(_), .. })
    }
}
