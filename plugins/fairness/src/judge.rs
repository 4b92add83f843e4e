//! Each group against all other rows: two shares, their difference, and what of it is certain.

use weir_plugin_sdk::statistics::{self, Interval};

/// Rows of a group, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rows {
    /// Each as many times as it stands for.
    pub(crate) weight: f64,
    /// Sum of the squares of that.
    pub(crate) squares: f64,
    /// Those with the favourable outcome.
    pub(crate) favourable: f64,
}

impl Rows {
    /// How many equally weighted rows know as much (Kish 1965).
    pub(crate) fn effective(&self) -> f64 {
        if self.squares > 0.0 { self.weight * (self.weight / self.squares) } else { 0.0 }
    }

    /// Share of them with the favourable outcome.
    pub(crate) fn rate(&self) -> f64 {
        if self.weight > 0.0 { (self.favourable / self.weight).clamp(0.0, 1.0) } else { 0.0 }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            weight: self.weight + other.weight,
            squares: self.squares + other.squares,
            favourable: self.favourable + other.favourable,
        }
    }

    /// Hits and rows, as tests take them.
    pub(crate) fn counts(&self) -> (f64, f64) {
        (self.rate() * self.effective(), self.effective())
    }
}

/// A group that is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    /// Its number.
    pub(crate) group: usize,
    pub(crate) rows: Rows,
    /// All others.
    pub(crate) rest: Rows,
    /// The level it was last tried at.
    pub(crate) level: f64,
    pub(crate) disparity: bool,
}

impl Judged {
    pub(crate) fn difference(&self) -> f64 {
        self.rows.rate() - self.rest.rate()
    }

    /// Newcombe's interval of that.
    pub(crate) fn interval(&self, confidence: f64) -> Interval {
        statistics::newcombe(self.rows.counts(), self.rest.counts(), confidence)
    }

    /// Whether the difference is certainly more than this, either way. Newcombe's interval says so, and once
    /// more with limits that hold their level however few are expected: far out in the tail, Wilson's do not.
    fn is_more(&self, than: f64, level: f64) -> bool {
        let outside = |it: Interval| it.low > than || it.high < -than;
        outside(self.interval(1.0 - level)) && outside(self.safe_interval(level))
    }

    /// Newcombe's recipe with Chernoff's limits.
    fn safe_interval(&self, level: f64) -> Interval {
        let of = |rows: &Rows| (rows.rate(), limits(rows, level));
        let ((p1, one), (p2, two)) = (of(&self.rows), of(&self.rest));
        let d = p1 - p2;
        Interval {
            low: d - (p1 - one.low).hypot(two.high - p2),
            high: d + (one.high - p1).hypot(p2 - two.low),
        }
    }
}

/// Shares between which the true one lies but for this level, half of it to either side (Chernoff 1952):
/// where n KL(p, q) = ln(2 / level).
fn limits(rows: &Rows, level: f64) -> Interval {
    let (p, most) = (rows.rate(), (2.0 / level).ln() / rows.effective());
    let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    let far = |q: f64| part(p, q) + part(1.0 - p, 1.0 - q) > most;
    let limit = |mut inside: f64, mut outside: f64| {
        // As exact as any count of rows needs it.
        for _ in 0..40 {
            let middle = inside + (outside - inside) / 2.0;
            if far(middle) { outside = middle } else { inside = middle }
        }
        outside
    };
    Interval { low: limit(p, 0.0), high: limit(p, 1.0) }
}

/// Judges each group that has rows enough, as have all others together; Holm's procedure over them, with
/// intervals in place of p-values: as long as groups are rejected at the level divided by how many are left,
/// the rest is tried at the next one.
pub(crate) fn judge(groups: &[Rows], min_rows: f64, (than, level): (f64, f64)) -> Vec<Judged> {
    let without = |at: usize| {
        let others = groups.iter().enumerate().filter(|(other, _)| *other != at);
        others.fold(Rows::default(), |sum, (_, rows)| sum.and(*rows))
    };
    // The last is of rows whose groups are not told apart.
    let named = groups.iter().enumerate().take(groups.len().saturating_sub(1));
    let judged = named.map(|(group, rows)| Judged {
        group,
        rows: *rows,
        rest: without(group),
        level,
        disparity: false,
    });
    let enough = |it: &Judged| it.rows.effective() >= min_rows && it.rest.effective() >= min_rows;
    let mut judged: Vec<Judged> = judged.filter(enough).collect();
    let mut left = judged.len();
    loop {
        let (before, tried) = (left, level / left.max(1) as f64);
        for it in judged.iter_mut().filter(|it| !it.disparity) {
            it.level = tried;
            it.disparity = it.is_more(than, tried);
            left -= usize::from(it.disparity);
        }
        if left == before {
            return judged;
        }
    }
}
