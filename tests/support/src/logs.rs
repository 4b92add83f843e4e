//! What the binary wrote to standard error.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::PATIENCE;

/// Lines as they come. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    shared: Arc<(Mutex<Lines>, Condvar)>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

impl Logs {
    /// Reads until the end, on a thread of its own.
    pub(crate) fn of(from: impl Read + Send + 'static) -> Self {
        let logs = Self::default();
        let shared = logs.shared.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines() {
                let Ok(line) = line else { break };
                shared.0.lock().unwrap_or_else(PoisonError::into_inner).lines.push(line);
                shared.1.notify_all();
            }
            shared.0.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
            shared.1.notify_all();
        });
        logs
    }

    /// Every line so far, as it was written.
    pub fn text(&self) -> String {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).lines.join("\n")
    }

    /// Every line so far that is a JSON object.
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The first line that fits, now or when it comes; nothing if the log ends first.
    ///
    /// # Panics
    /// None comes within [`PATIENCE`].
    pub fn find(&self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let began = Instant::now();
        let (lock, came) = &*self.shared;
        let mut lines = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        loop {
            let mut new = lines.lines[seen..].iter().filter_map(|line| serde_json::from_str(line).ok());
            if let Some(found) = new.find(|line| fits(line)) {
                return Some(found);
            }
            seen = lines.lines.len();
            if lines.ended {
                return None;
            }
            let left = PATIENCE.saturating_sub(began.elapsed());
            assert!(!left.is_zero(), "no such line in the log:\n{}", lines.lines.join("\n"));
            lines = came.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
