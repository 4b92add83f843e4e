//! `[prediction_log]`: records of predictions, for whoever trains and judges models later.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::fault::Place;
use crate::key::section;
use crate::kind::{
    Blank, Bool, Collector, Count, List, Period, Placed, SecretPairs, Share, Size, Text, Word, Words, headers,
};
use crate::reader::{At, Reader};

const KIB: u64 = 1 << 10;
const TIB: u64 = 1 << 40;
const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

section! {
    /// Records of predictions: features, prediction, scores, ids, and why they were kept. Off unless it is
    /// told where to. What `[privacy]` hides is hidden here.
    pub(crate) struct PredictionLogKeys {
        /// File of JSON lines, one a row; "" for none.
        file: Option<String> = default("\"\"", Blank(Text));
        /// Size at which the file is set aside, its time in its name, and a new one begun.
        file_bytes: u64 = default("\"100MiB\"", Size::new(4 * KIB, TIB));
        /// Size of all files together; past it the oldest is removed.
        total_bytes: u64 = default("\"1GiB\"", Size::new(8 * KIB, TIB));
        /// When what was written must outlive a power cut: "never", "close" (of a file) or "batch".
        sync: Sync = default("\"close\"", Word::of(SYNCS));
        /// Send records as OTLP logs to the collector of `[tracing]` too.
        otlp: bool = default("false", Bool);
        /// URL that gets requests and responses as CloudEvents, as KServe's logger sends them; "" for none.
        cloudevents: Option<String> = default("\"\"", Blank(Collector));
        /// Headers of every event. Never shown.
        headers: Vec<At<(String, String)>> = default("{}", SecretPairs);
        /// Share of exchanges that is recorded.
        sample: f64 = default("\"1%\"", Share::from(0.0));
        /// Record what a plugin wants kept too.
        verdicts: bool = default("true", Bool);
        /// Routes to record; [] for all.
        pub(crate) routes: Vec<At<String>> = default("[]", List::up_to(1000, Placed(Text)));
        /// Rows of one exchange that are recorded at most.
        rows: usize = default("100", Count::new(1, 16_384));
        /// Bytes that may wait for a slow sink; what is beyond is dropped and counted.
        queue_bytes: usize = default("\"16MiB\"", Size::new(64 * KIB, 4 << 30));
        /// How long a full disk or a silent receiver is tried again before records are dropped.
        retry_for: Duration = default("\"1m\"", Period::new(MS, HOUR).or_zero());
    }
}

/// When what was written must outlive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    Never,
    Close,
    Batch,
}

pub(crate) const SYNCS: Words<Sync> =
    &[("never", Sync::Never), ("close", Sync::Close), ("batch", Sync::Batch)];

/// `[prediction_log]`, resolved.
#[derive(Clone, PartialEq)]
pub struct PredictionLog {
    pub file: Option<PathBuf>,
    pub file_bytes: u64,
    pub total_bytes: u64,
    pub sync: Sync,
    pub otlp: bool,
    pub cloudevents: Option<String>,
    /// Names in lower case. Values are secret.
    pub headers: Vec<(String, String)>,
    pub sample: f64,
    pub verdicts: bool,
    pub routes: Vec<Arc<str>>,
    pub rows: usize,
    pub queue_bytes: usize,
    pub retry_for: Duration,
}

impl std::fmt::Debug for PredictionLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PredictionLog").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Refuses sizes that leave no room for a second file.
pub(crate) fn check_sizes(file: u64, total: u64, place: &Place, reader: &mut Reader<'_>) {
    if file.saturating_mul(2) > total {
        let words = "`total_bytes` leaves no room for a second file (make it twice `file_bytes` or more)";
        reader.misfit(place, words);
    }
}

impl At<PredictionLogKeys> {
    pub(crate) fn resolve(self, base: &Path, exports: bool, reader: &mut Reader<'_>) -> PredictionLog {
        let keys = self.value;
        if keys.otlp && !exports {
            let words = "records go to the collector of `[tracing]`, which has none (set `tracing.otlp`)";
            reader.misfit(&self.place, words);
        }
        check_sizes(keys.file_bytes, keys.total_bytes, &self.place, reader);
        PredictionLog {
            headers: headers(&keys.headers, reader),
            file: keys.file.map(|file| base.join(file)),
            file_bytes: keys.file_bytes,
            total_bytes: keys.total_bytes,
            sync: keys.sync,
            otlp: keys.otlp,
            cloudevents: keys.cloudevents,
            sample: keys.sample,
            verdicts: keys.verdicts,
            routes: keys.routes.into_iter().map(|route| route.value.into()).collect(),
            rows: keys.rows,
            queue_bytes: keys.queue_bytes,
            retry_for: keys.retry_for,
        }
    }
}
