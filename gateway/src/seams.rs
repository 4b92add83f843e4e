//! Where one room's need meets another's ability.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use weir_admin::Pages;
use weir_config::Config;
use weir_exchange::{Batch, LoadSpan, LocalRequest, SchemaId, Verdict};
use weir_inference::{Served, Submitted};
use weir_observe::{BatchLimits, Judge, LineConfig, LineMetrics, RecentVerdicts, SchemaLimits, VerdictSink};
use weir_plugin::{Coverage, PluginJudge};
use weir_proxy::{LocalModel, Predicted, TrafficPages};
use weir_telemetry::log::{Field, Logger};

/// A model on its own pool, as the request path asks it.
pub(crate) struct InProcess(pub(crate) Arc<Served>, pub(crate) Arc<LoadSpan>);

impl LocalModel for InProcess {
    fn labels(&self) -> [Arc<str>; 2] {
        [self.0.name().into(), self.0.version().into()]
    }

    fn load_span(&self) -> Option<Arc<LoadSpan>> {
        Some(self.1.clone())
    }

    fn predict(&self, request: LocalRequest) -> Predicted {
        let (answer, answered) = oneshot::channel();
        // A client that is gone no longer waits for its answer.
        let reply = Box::new(move |reply| drop(answer.send(reply)));
        match self.0.submit(request, reply) {
            Submitted::Now(reply) => Predicted::Now(reply),
            Submitted::Later => Predicted::Later(answered),
            Submitted::Busy => Predicted::Busy,
        }
    }
}

/// A plugin, as the line off the path calls it.
pub(crate) struct PluginSeat(pub(crate) PluginJudge);

impl Judge for PluginSeat {
    fn key(&self) -> &str {
        self.0.key()
    }

    fn routes(&self) -> Option<Vec<Arc<str>>> {
        self.0.routes()
    }

    fn observe(&mut self, batch: &Batch, now_unix_ns: u64) -> Vec<Verdict> {
        self.0.observe(batch, now_unix_ns)
    }

    fn next_tick(&self) -> Option<u64> {
        self.0.next_tick()
    }

    fn tick(&mut self, now_unix_ns: u64) {
        self.0.tick(now_unix_ns);
    }

    fn forget(&mut self, schema: SchemaId) {
        self.0.forget(schema);
    }
}

/// What of the traffic a plugin was not given, as tallies ask.
pub(crate) struct Unseen(pub(crate) LineMetrics);

impl Coverage for Unseen {
    fn lost(&self, key: &str, route: &str) -> u64 {
        self.0.unseen(key, route)
    }
}

/// Verdicts are counted, remembered for the admin API, and logged. Trace export will be a further taker.
pub(crate) struct Verdicts {
    recent: Arc<RecentVerdicts>,
    logger: Logger,
}

impl Verdicts {
    pub(crate) fn new(recent: Arc<RecentVerdicts>, logger: &Logger) -> Self {
        Self { recent, logger: logger.source("verdicts") }
    }
}

impl VerdictSink for Verdicts {
    /// One line a batch and reason, with the trace of one such exchange: a line each would be an access log.
    fn verdicts(&self, judge: &str, batch: &Arc<Batch>, verdicts: &[Verdict]) {
        self.recent.verdicts(judge, batch, verdicts);
        let mut by_reason: BTreeMap<&str, (usize, &Verdict)> = BTreeMap::new();
        for verdict in verdicts.iter().filter(|v| v.probability >= 1.0) {
            by_reason.entry(&verdict.reason).or_insert((0, verdict)).0 += 1;
        }
        for (reason, (count, example)) in by_reason {
            let trace = batch.trace_ids.get(example.exchange as usize).copied().unwrap_or_default();
            let fields = [
                ("plugin", Field::from(judge)),
                ("route", Field::from(&*batch.route.name)),
                ("reason", Field::from(reason)),
                ("exchanges", Field::from(count)),
                ("trace_id", Field::Trace(trace)),
            ];
            self.logger.info("worth keeping", &fields);
        }
    }
}

/// `/metrics` and `/health` on the traffic port are the admin room's pages.
pub(crate) struct TrafficPort(Pages);

impl TrafficPort {
    pub(crate) fn shared(pages: Pages) -> Arc<dyn TrafficPages> {
        Arc::new(Self(pages))
    }
}

impl TrafficPages for TrafficPort {
    fn page(&self, path: &str, accept: &str) -> Option<(u16, String, Bytes)> {
        let page = self.0.scrape(path, accept)?;
        Some((page.status, page.content_type.to_owned(), page.body))
    }
}

/// The line's part of the configuration.
pub(crate) fn line_config(config: &Config) -> LineConfig {
    let telemetry = &config.telemetry;
    LineConfig {
        telemetry_threads: config.gateway.telemetry_threads,
        workers: config.gateway.workers,
        telemetry_cpu: telemetry.cpu,
        batches: BatchLimits {
            exchanges: telemetry.batch_exchanges,
            rows: telemetry.batch_rows,
            bytes: telemetry.batch_bytes,
            age: telemetry.batch_age,
            open_bytes: telemetry.open_bytes,
        },
        schemas: SchemaLimits {
            per_route: telemetry.schemas_per_route,
            columns: telemetry.columns,
            codes: telemetry.codes,
            text_bytes: telemetry.string_bytes,
            models: telemetry.models_per_route,
            ..SchemaLimits::default()
        },
        ..LineConfig::default()
    }
}

/// Names an admin request may ask for, beside loopback and addresses.
pub(crate) fn admin_hosts(config: &Config) -> Vec<String> {
    let instance = config.gateway.instance.clone();
    if instance.parse::<IpAddr>().is_ok() { Vec::new() } else { vec![instance] }
}
