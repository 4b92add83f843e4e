//! CPU time of calls, without asking the kernel at each.
//!
//! The clock of a thread's CPU time is a system call, on some virtual machines of 3 us: as much as a batch
//! costs. The monotonic clock is not. Over a short call both show the same, since whoever is preempted waits
//! for a millisecond or more; over a long one the thread's clock decides.

use std::time::Duration;

use crate::engine::thread_cpu_ns;

/// Shorter calls were not preempted.
const SHORT: Duration = Duration::from_micros(200);

/// Measures the calls of one thread.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// What the thread's clock showed last.
    read_ns: Option<u64>,
    /// What calls were charged since.
    charged_ns: u64,
}

impl Meter {
    /// CPU time in ns of a call that took so long and has just ended.
    pub(crate) fn charge(&mut self, wall: Duration) -> u64 {
        let wall_ns = wall.as_nanos() as u64;
        if wall < SHORT {
            self.charged_ns += wall_ns;
            return wall_ns;
        }
        let now = thread_cpu_ns();
        // All the thread used since the last reading, less what is charged already, bounds this call.
        let used = self.read_ns.map_or(u64::MAX, |before| now.saturating_sub(before));
        let charged = wall_ns.min(used.saturating_sub(self.charged_ns));
        *self = Self { read_ns: Some(now), charged_ns: 0 };
        charged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_not_charged() {
        let mut meter = Meter::default();
        assert_eq!(meter.charge(Duration::from_micros(5)), 5_000);
        assert_eq!(meter.charge(SHORT), 200_000, "nothing to compare with yet");
        assert_eq!(meter.charge(Duration::from_micros(5)), 5_000);
        let hour = meter.charge(Duration::from_secs(3600));
        assert!(hour < 1_000_000_000, "the thread did not work for an hour: {hour} ns");
    }
}
