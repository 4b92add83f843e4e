//! A sliding window: a ring of time slices, each holding moments and counts between fixed edges.
//!
//! It slides by whole slices: it covers the running slice and the `slices - 1` before it. A value older than
//! the window is not taken, nor one for a slice whose place in the ring a newer one has taken.

use std::sync::Arc;

use crate::moments::Moments;

/// Finest division of a window; more would cost memory and show nothing.
pub const MAX_SLICES: u32 = 120;

/// What a window looks like. Two windows of equal shape can be merged or continued.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowShape {
    /// How far back it reaches, in ns.
    pub span_ns: u64,
    /// Steps it slides in.
    pub slices: u32,
    /// Rising, finite, inclusive upper edges; may be empty.
    pub edges: Arc<[f64]>,
}

impl WindowShape {
    /// Bytes one window of this shape holds.
    pub fn bytes(&self) -> usize {
        let bins = if self.edges.is_empty() { 0 } else { self.edges.len() + 1 };
        self.slices as usize * (size_of::<Slice>() + bins * 8)
    }
}

/// Values of the last span of time.
#[derive(Clone, Debug)]
pub struct Window {
    shape: WindowShape,
    slice_ns: u64,
    ring: Box<[Slice]>,
}

#[derive(Clone, Debug)]
struct Slice {
    /// Which slice of time this is, counted from 0; `None` before its first use.
    number: Option<u64>,
    moments: Moments,
    /// One more than there are edges; empty without edges.
    bins: Box<[u64]>,
}

/// What a window holds at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub moments: Moments,
    /// Counts between the edges, the last one beyond the last edge; empty without edges.
    pub bins: Vec<u64>,
}

impl Window {
    /// An empty window; a span or slice count of 0 counts as 1.
    pub fn new(shape: WindowShape) -> Self {
        let slices = shape.slices.clamp(1, MAX_SLICES);
        let bins = if shape.edges.is_empty() { 0 } else { shape.edges.len() + 1 };
        let empty = Slice { number: None, moments: Moments::default(), bins: vec![0; bins].into() };
        let slice_ns = (shape.span_ns / u64::from(slices)).max(1);
        Self { shape, slice_ns, ring: vec![empty; slices as usize].into() }
    }

    /// What it looks like.
    pub fn shape(&self) -> &WindowShape {
        &self.shape
    }

    /// Adds values seen at `now_ns`; what is not finite is left out. Returns how many were taken.
    pub fn push(&mut self, now_ns: u64, values: &[f64]) -> u64 {
        let number = now_ns / self.slice_ns;
        let place = (number % self.ring.len() as u64) as usize;
        let slice = &mut self.ring[place];
        if slice.number > Some(number) {
            return 0;
        }
        if slice.number != Some(number) {
            slice.number = Some(number);
            slice.moments = Moments::default();
            slice.bins.fill(0);
        }
        let moments = Moments::of(values);
        slice.moments.merge(&moments);
        if !slice.bins.is_empty() {
            let edges = &self.shape.edges;
            for x in values.iter().filter(|x| x.is_finite()) {
                slice.bins[edges.partition_point(|edge| edge < x)] += 1;
            }
        }
        moments.count
    }

    /// What it holds at `now_ns`.
    pub fn summary(&self, now_ns: u64) -> Summary {
        let newest = now_ns / self.slice_ns;
        let oldest = newest.saturating_sub(self.ring.len() as u64 - 1);
        let mut sum = Summary { moments: Moments::default(), bins: vec![0; self.ring[0].bins.len()] };
        for slice in &self.ring {
            if slice.number.is_some_and(|number| (oldest..=newest).contains(&number)) {
                sum.moments.merge(&slice.moments);
                sum.bins.iter_mut().zip(&slice.bins).for_each(|(all, n)| *all += n);
            }
        }
        sum
    }

    /// True if nothing is left in it at `now_ns`.
    pub fn is_empty(&self, now_ns: u64) -> bool {
        let oldest = (now_ns / self.slice_ns).saturating_sub(self.ring.len() as u64 - 1);
        !self.ring.iter().any(|slice| slice.number.is_some_and(|number| number >= oldest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(span_ns: u64, slices: u32, edges: &[f64]) -> Window {
        Window::new(WindowShape { span_ns, slices, edges: edges.into() })
    }

    #[test]
    fn values_leave_a_slice_at_a_time() {
        let mut w = window(100, 10, &[]);
        for t in 0..100 {
            w.push(t, &[1.0]);
        }
        assert_eq!(w.summary(99).moments.count, 100);
        assert_eq!(w.summary(100).moments.count, 90, "the running slice is new, the oldest is gone");
        assert_eq!(w.summary(155).moments.count, 40);
        assert!(!w.is_empty(189));
        assert!(w.is_empty(190));
        assert_eq!(w.summary(1_000_000).moments.count, 0);
    }

    #[test]
    fn a_slice_that_comes_round_again_starts_empty() {
        let mut w = window(100, 10, &[0.5]);
        w.push(5, &[1.0, 0.0]);
        w.push(105, &[0.0]);
        assert_eq!(w.summary(105).bins, [1, 0]);
        assert_eq!(w.push(5, &[1.0]), 0, "its place is taken by a newer slice");
    }

    #[test]
    fn an_edge_belongs_to_the_bin_below_it() {
        let mut w = window(10, 1, &[1.0, 2.0]);
        let taken = w.push(0, &[0.0, 1.0, 1.5, 2.0, 2.5, f64::NAN, f64::INFINITY]);
        assert_eq!((w.summary(0).bins, taken), (vec![2, 2, 1], 5));
    }

    #[test]
    fn a_value_that_is_late_but_inside_counts_in_its_own_slice() {
        let mut w = window(100, 10, &[]);
        w.push(95, &[1.0]);
        w.push(15, &[1.0]);
        assert_eq!(w.summary(95).moments.count, 2);
        assert_eq!(w.summary(109).moments.count, 2);
        assert_eq!(w.summary(110).moments.count, 1);
    }
}
