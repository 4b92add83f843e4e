//! Page and Hinkley: sums of how far values are from their mean so far.

/// The standard deviation of ranks of values without ties; that of others is smaller.
const RANK_SD: f64 = 0.288_675_134_594_812_9;

/// How far a normal random walk steps over a threshold on average, in sd: -zeta(1/2) / sqrt(2 pi).
const OVERSHOOT: f64 = 0.583;

/// Values before the first verdict, so that there is a mean.
const MIN_VALUES: u64 = 30;

/// Page's test (1954) in Hinkley's form (1971), both ways, of values from 0 to 1, such as `Bins::rank`.
///
/// With mean_t the mean up to t, up_t = sum (x_i - mean_i - slack), and a rise is found when up_t - min up is
/// over the threshold; a fall likewise with + slack. It starts anew after a find. As in river with `alpha` 1.
///
/// Like `Adwin` it shows when, and raises no alarm of drift by default.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Stored")]
pub struct PageHinkley {
    slack: f64,
    threshold: f64,
    n: u64,
    mean: f64,
    /// up - min up, and max down - down: what is over the threshold.
    rise: f64,
    fall: f64,
}

#[derive(serde::Deserialize)]
struct Stored {
    slack: f64,
    threshold: f64,
    n: u64,
    mean: f64,
    rise: f64,
    fall: f64,
}

/// Which way the mean went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    Up,
    Down,
}

impl PageHinkley {
    /// With the deviation that is let pass, and the sum that is not; `None` unless both are above 0 and
    /// finite.
    pub fn new(slack: f64, threshold: f64) -> Option<Self> {
        let fit = |x: f64| x > 0.0 && x.is_finite();
        (fit(slack) && fit(threshold)).then_some(Self {
            slack,
            threshold,
            n: 0,
            mean: 0.0,
            rise: 0.0,
            fall: 0.0,
        })
    }

    /// That looks for a shift of the mean rank by `shift` (0.1 moves the median row to the sixth decile), and
    /// finds one where there is none once in at least `run_length` values, on average; `None` unless the
    /// shift is between 0 and 1 and the run over 100.
    ///
    /// The slack is half the shift, which is best for it, and the threshold h solves Siegmund's run length
    /// (1985) of a walk with drift -slack, one way twice as long as both: (exp(2 k b) - 1 - 2 k b) / (2 k^2),
    /// k = slack / sd, b = h / sd + 1.166. Ranks have lighter tails than normal numbers, which makes runs
    /// longer, and for a while after a find their mean is not well known, which makes them shorter: it aims
    /// a tenth higher, and runs are 1.0 to 1.7 times as long as asked (uniform ranks; with ties longer).
    pub fn for_run_length(run_length: f64, shift: f64) -> Option<Self> {
        if !(run_length > 100.0 && run_length.is_finite() && shift > 0.0 && shift < 1.0) {
            return None;
        }
        let k = shift / 2.0 / RANK_SD;
        let run = |h: f64| {
            let reach = 2.0 * k * (h / RANK_SD + 2.0 * OVERSHOOT);
            (reach.exp() - 1.0 - reach) / (2.0 * k * k)
        };
        let (mut low, mut high) = (0.0, 1.0);
        while run(high) < 2.2 * run_length {
            high *= 2.0;
        }
        for _ in 0..60 {
            let middle = low + (high - low) / 2.0;
            if run(middle) < 2.2 * run_length { low = middle } else { high = middle }
        }
        Self::new(shift / 2.0, high)
    }

    /// The sum that is not let pass.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Takes a value; which way the mean went, if it did. What is not between 0 and 1 is not taken.
    pub fn push(&mut self, x: f64) -> Option<Shift> {
        if !(0.0..=1.0).contains(&x) {
            return None;
        }
        self.n += 1;
        self.mean += (x - self.mean) / self.n as f64;
        let deviation = x - self.mean;
        self.rise = (self.rise + deviation - self.slack).max(0.0);
        self.fall = (self.fall - deviation - self.slack).max(0.0);
        let found = match () {
            () if self.n < MIN_VALUES => None,
            () if self.rise > self.threshold => Some(Shift::Up),
            () if self.fall > self.threshold => Some(Shift::Down),
            () => None,
        };
        if found.is_some() {
            *self = Self { n: 0, mean: 0.0, rise: 0.0, fall: 0.0, ..*self };
        }
        found
    }
}

impl TryFrom<Stored> for PageHinkley {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let Stored { slack, threshold, n, mean, rise, fall } = stored;
        let new = Self::new(slack, threshold).ok_or("slack and threshold have to be above 0")?;
        let fits = |sum: f64| (0.0..=n as f64).contains(&sum);
        if !((0.0..=1.0).contains(&mean) && fits(rise) && fits(fall)) {
            return Err("these are no sums of values from 0 to 1");
        }
        Ok(Self { n, mean, rise, fall, ..new })
    }
}
