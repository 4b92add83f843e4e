//! A token bucket; time is an argument.

use std::time::Duration;

/// How many lines a source may still write.
#[derive(Debug)]
pub(super) struct Limit {
    per_second: f64,
    tokens: f64,
    filled: Duration,
    suppressed: u64,
}

impl Limit {
    /// A full bucket that holds one second's lines.
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, tokens: per_second, filled: Duration::ZERO, suppressed: 0 }
    }

    /// Takes one line's token at `now`. `Ok` tells how many lines were held back since the last one that
    /// passed.
    pub(super) fn take(&mut self, now: Duration) -> Result<u64, HeldBack> {
        let gained = now.saturating_sub(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.per_second);
        self.filled = self.filled.max(now);
        if self.tokens < 1.0 {
            self.suppressed += 1;
            return Err(HeldBack);
        }
        self.tokens -= 1.0;
        Ok(std::mem::take(&mut self.suppressed))
    }
}

/// The line is over its source's rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeldBack;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_one_second_passes_then_the_rate_holds_and_the_next_line_tells() {
        let mut limit = Limit::new(10);
        let at = Duration::from_millis;
        assert!((0..10).all(|_| limit.take(at(0)) == Ok(0)));
        assert!((0..5).all(|_| limit.take(at(50)) == Err(HeldBack)));
        assert_eq!(limit.take(at(101)), Ok(5));
        assert_eq!(limit.take(at(102)), Err(HeldBack));
        // An hour of silence is worth one second's lines, and a clock that steps back is worth none.
        let hour = at(3_600_000);
        assert_eq!(limit.take(hour), Ok(1));
        assert!((0..9).all(|_| limit.take(hour) == Ok(0)));
        assert_eq!(limit.take(at(0)), Err(HeldBack));
    }
}
