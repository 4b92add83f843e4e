//! Samples of one series, read as PromQL reads them.
//!
//! The rules are those of Prometheus 2.42 for floats, and `tests/promql.txt` holds what the real one
//! answers. Windows are closed at both ends, and so is the lookback of an instant; Prometheus 3 opened both
//! to the left. Times are ms of any one clock.
//!
//! A counter's resets are kept in a list of their own, so that `increase` looks at the two outermost samples
//! of a window and at the resets between them, in the order in which Prometheus adds them. A running sum
//! would spare even those, but would leave a rounding error where nothing rose, and "more than 0" would be
//! true of it.

mod quantile;

use std::collections::VecDeque;
use std::ops::Range;

pub use quantile::quantile;

/// The last samples of one series. It costs 24 bytes a sample and 16 a reset; whoever pushes bounds how many
/// there are within what is kept, at one a tick of evaluation.
#[derive(Clone, Debug)]
pub struct Series {
    keep_ms: u64,
    samples: VecDeque<Sample>,
    /// Time of each sample that is below the one before, with the value before.
    resets: VecDeque<(i64, f64)>,
    /// Time of the newest sample or marker.
    last_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at_ms: i64,
    value: f64,
    /// Time from here to the first marker of staleness before the next sample; 0 without one.
    stale_after_ms: u32,
}

impl Series {
    /// An empty series that can answer about the last `keep_ms` before its newest sample.
    pub fn new(keep_ms: u64) -> Self {
        Self { keep_ms, samples: VecDeque::new(), resets: VecDeque::new(), last_ms: None }
    }

    /// Keeps what comes from now on, and what is kept already, for longer; never for shorter.
    pub fn keep_longer(&mut self, keep_ms: u64) {
        self.keep_ms = self.keep_ms.max(keep_ms);
    }

    /// Adds a sample; one that is not later than the last sample or marker is ignored.
    pub fn push(&mut self, at_ms: i64, value: f64) {
        if !self.move_on(at_ms) {
            return;
        }
        if let Some(before) = self.samples.back().filter(|before| value < before.value) {
            self.resets.push_back((at_ms, before.value));
        }
        self.samples.push_back(Sample { at_ms, value, stale_after_ms: 0 });
    }

    /// Says that the series ended here: nothing is found by `instant` until the next sample. Windows skip
    /// the marker.
    pub fn push_stale(&mut self, at_ms: i64) {
        if !self.move_on(at_ms) {
            return;
        }
        if let Some(last) = self.samples.back_mut().filter(|last| last.stale_after_ms == 0) {
            // Saturated, it tells of a series that ended 49 days before anybody said so.
            last.stale_after_ms = u32::try_from(at_ms.saturating_sub(last.at_ms)).unwrap_or(u32::MAX);
        }
    }

    /// True, after what is too old has gone, if `at_ms` is later than all before.
    fn move_on(&mut self, at_ms: i64) -> bool {
        if self.last_ms.is_some_and(|last| at_ms <= last) {
            return false;
        }
        self.last_ms = Some(at_ms);
        let oldest = at_ms.saturating_sub_unsigned(self.keep_ms);
        while self.samples.front().is_some_and(|sample| sample.at_ms < oldest) {
            self.samples.pop_front();
        }
        while self.resets.front().is_some_and(|reset| reset.0 < oldest) {
            self.resets.pop_front();
        }
        true
    }

    /// Bytes it holds now.
    pub fn bytes(&self) -> usize {
        let resets = self.resets.capacity() * size_of::<(i64, f64)>();
        size_of::<Self>() + self.samples.capacity() * size_of::<Sample>() + resets
    }

    /// The newest value at `at_ms`, at most `lookback_ms` old; `None` if there is none or the series has
    /// ended.
    pub fn instant(&self, at_ms: i64, lookback_ms: u64) -> Option<f64> {
        let newest = self.samples.partition_point(|sample| sample.at_ms <= at_ms).checked_sub(1)?;
        let sample = self.samples.get(newest)?;
        let age = at_ms.abs_diff(sample.at_ms);
        let ended = sample.stale_after_ms > 0 && age >= u64::from(sample.stale_after_ms);
        (age <= lookback_ms && !ended).then_some(sample.value)
    }

    /// True if a sample lies in the window of `window_ms` that ends at `at_ms`.
    pub fn present_over(&self, at_ms: i64, window_ms: u64) -> bool {
        !self.within(at_ms, window_ms).is_empty()
    }

    /// By how much a counter rose in the window of `window_ms` that ends at `at_ms`, extrapolated to the
    /// whole of it; `None` of fewer than two samples.
    pub fn increase(&self, at_ms: i64, window_ms: u64) -> Option<f64> {
        self.rise(at_ms, window_ms).map(|(rise, factor)| rise * factor)
    }

    /// `increase` a second.
    pub fn rate(&self, at_ms: i64, window_ms: u64) -> Option<f64> {
        self.rise(at_ms, window_ms).map(|(rise, factor)| rise * (factor / (window_ms as f64 / 1000.0)))
    }

    /// By how much it rose between the outermost samples of a window, and how many times as much it would
    /// have risen in the whole of it.
    fn rise(&self, at_ms: i64, window_ms: u64) -> Option<(f64, f64)> {
        let range = self.within(at_ms, window_ms);
        let steps = range.len().checked_sub(1).filter(|steps| *steps > 0)?;
        let (first, last) = (self.samples.get(range.start)?, self.samples.get(range.end - 1)?);
        let rise = last.value - first.value;
        let rise = self.lost(first.at_ms, last.at_ms).fold(rise, |rise, lost| rise + lost);
        // In seconds, as Prometheus reckons, so that it rounds as Prometheus rounds.
        let seconds = |from: i64, to: i64| to.saturating_sub(from) as f64 / 1000.0;
        let sampled = seconds(first.at_ms, last.at_ms);
        let mut to_start = seconds(at_ms.saturating_sub_unsigned(window_ms), first.at_ms);
        if rise > 0.0 && first.value >= 0.0 {
            // A counter begins at zero: it cannot have risen before the time at which its line would be
            // there.
            to_start = to_start.min(sampled * (first.value / rise));
        }
        let average = sampled / steps as f64;
        // A series whose end is further away than samples are apart probably ended there: half a step is
        // added.
        let beyond = |gap: f64| if gap < average * 1.1 { gap } else { average / 2.0 };
        let whole = sampled + beyond(to_start) + beyond(seconds(last.at_ms, at_ms));
        Some((rise, whole / sampled))
    }

    /// Places of the samples in a window, both of whose ends belong to it.
    fn within(&self, at_ms: i64, window_ms: u64) -> Range<usize> {
        let start = at_ms.saturating_sub_unsigned(window_ms);
        let first = self.samples.partition_point(|sample| sample.at_ms < start);
        first..self.samples.partition_point(|sample| sample.at_ms <= at_ms)
    }

    /// The values that resets took away after the first of two times, up to the second.
    fn lost(&self, first_ms: i64, last_ms: i64) -> impl Iterator<Item = f64> {
        let from = self.resets.partition_point(|reset| reset.0 <= first_ms);
        self.resets.range(from..).take_while(move |reset| reset.0 <= last_ms).map(|reset| reset.1)
    }
}
