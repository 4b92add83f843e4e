//! Holds a plugin to its share of a core. Time is an argument.

/// A share of CPU time: what was used beyond it must be waited for. Up to a second's share may be saved up,
/// so that a burst of batches after a lull is judged whole.
#[derive(Debug)]
pub(crate) struct Share {
    rate: f64,
    credit_ns: f64,
    at_ns: Option<u64>,
}

const SAVED_SECONDS: f64 = 1.0;

impl Share {
    /// `rate` is in cores; one or more bounds nothing, since a plugin has one thread.
    pub(crate) fn new(rate: f64) -> Self {
        Self { rate: rate.max(0.0), credit_ns: rate.max(0.0) * SAVED_SECONDS * 1e9, at_ns: None }
    }

    /// Whether a call may be made now.
    pub(crate) fn admits(&mut self, now_ns: u64) -> bool {
        if self.rate >= 1.0 {
            return true;
        }
        let elapsed = now_ns.saturating_sub(self.at_ns.unwrap_or(now_ns));
        self.at_ns = Some(self.at_ns.map_or(now_ns, |at| at.max(now_ns)));
        self.credit_ns = (self.credit_ns + elapsed as f64 * self.rate).min(self.rate * SAVED_SECONDS * 1e9);
        self.credit_ns > 0.0
    }

    /// A call took so much CPU time.
    pub(crate) fn used(&mut self, cpu_ns: u64) {
        if self.rate < 1.0 {
            self.credit_ns -= cpu_ns as f64;
        }
    }

    /// How long from the last question until a call may be made again.
    pub(crate) fn wait_ns(&self) -> u64 {
        match self.credit_ns > 0.0 {
            true => 0,
            false if self.rate <= 0.0 => u64::MAX,
            false => (-self.credit_ns / self.rate) as u64 + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_plugin_that_wants_more_gets_its_share_over_time() {
        let mut share = Share::new(0.1);
        let mut used = 0;
        // Ten seconds, a batch of 5 ms of work every 10 ms.
        for now in (0..10_000).step_by(10) {
            if share.admits(now * MS) {
                share.used(5 * MS);
                used += 5;
            }
        }
        assert!((1000..=1110).contains(&used), "a tenth of 10 s and what was saved up: {used} ms");
    }

    #[test]
    fn debt_is_waited_for() {
        let mut share = Share::new(0.5);
        assert!(share.admits(0));
        share.used(600 * MS);
        assert!(!share.admits(0));
        let wait = share.wait_ns();
        assert!((200 * MS..201 * MS).contains(&wait));
        assert!(!share.admits(wait - MS) && share.admits(wait + MS));
    }

    #[test]
    fn a_whole_core_is_no_bound_and_a_clock_that_steps_back_gives_nothing() {
        let mut share = Share::new(1.0);
        share.used(u64::MAX);
        assert!(share.admits(0));
        let mut share = Share::new(0.1);
        share.admits(1000 * MS);
        share.used(200 * MS);
        assert!(!share.admits(0) && !share.admits(1000 * MS));
    }
}
