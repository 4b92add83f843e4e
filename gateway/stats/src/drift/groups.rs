//! Bins that the test takes together, decided on the profile and never by what comes live: a choice made
//! after a look at the rows would bend the level.

/// Rows a group has to expect, at the smallest window (Cochran 1954).
pub const MIN_EXPECTED: f64 = 5.0;

/// The group of each bin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    of: Box<[usize]>,
    len: usize,
}

impl Groups {
    /// Groups numbered from 0.
    pub fn new(of: Vec<usize>) -> Self {
        let len = of.iter().max().map_or(0, |last| last + 1);
        Self { of: of.into(), len }
    }

    /// The group of each bin, as `new` takes them.
    pub fn of_bins(&self) -> &[usize] {
        &self.of
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without any bin.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Counts of the groups from counts of the bins.
    pub fn sum(&self, bins: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.len];
        for (group, count) in self.of.iter().zip(bins) {
            sums[*group] += count;
        }
        sums
    }

    /// These groups, neighbours merged from the lowest up until each expects `MIN_EXPECTED` rows of `window`,
    /// or of as many rows as the reference has, if those are fewer: its counts enter the test as well.
    /// What is left at the upper end joins the last.
    pub fn merge_neighbours(&self, reference: &[f64], window: u64) -> Self {
        let expected = expected(&self.sum(reference), window);
        let (mut into, mut group, mut sum) = (Vec::with_capacity(self.len), 0_usize, 0.0);
        for rows in expected {
            into.push(group);
            sum += rows;
            if sum >= MIN_EXPECTED {
                (group, sum) = (group + 1, 0.0);
            }
        }
        // The open group at the end never reached what it needs.
        let last = group.saturating_sub(1);
        self.then(&into.into_iter().map(|group| group.min(last)).collect::<Vec<_>>())
    }

    /// Groups of categories: neighbours by code merged likewise. What the reference lacks is with the last.
    ///
    /// Codes have to be in an order that counts do not decide, such as that of their names. All rare ones in
    /// one group would be those that happened to be rare, and come more often in any window: 1000 rows of
    /// 100 categories against 1000 alarmed in 12 times the looks they should at 1e-4 (Zipf's law; numpy).
    pub fn of_categories(reference: &[f64], window: u64) -> Self {
        Self::new((0..reference.len()).collect()).merge_neighbours(reference, window)
    }

    fn then(&self, into: &[usize]) -> Self {
        Self::new(self.of.iter().map(|group| into[*group]).collect())
    }
}

/// Rows of a window that each bin expects, if the window is not larger than the reference.
fn expected(reference: &[f64], window: u64) -> Vec<f64> {
    let total: f64 = reference.iter().sum();
    let rows = total.min(window as f64);
    reference.iter().map(|count| if total > 0.0 { count * rows / total } else { 0.0 }).collect()
}
