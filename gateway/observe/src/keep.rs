//! Which exchanges' spans are kept: what the head decided, what judges say, a share of the rest, and a budget
//! over all.
//!
//! Every decision compares the trace's one random value R with a threshold, so that the probability of all of
//! them together is that of the lowest threshold, and the budget's is the one it raises that to.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use smallvec::SmallVec;
use weir_exchange::{
    Batch, Exchange, HeadSample, KeptTrace, Outcome, RouteId, SchemaId, SpanFacts, Traced, Verdict,
};
use weir_stats::sampling::{Budget, Candidate, Closed, Randomness, Rates, RatesShape, Threshold};
use weir_telemetry::metric::Exemplar;
use weir_telemetry::{Family, Histogram};

use crate::judge::unix_ns;
use crate::metrics::{LineMetrics, TraceFate};
use crate::models::ModelMetrics;
use crate::record::{RecordRule, RecordSink, Recorded};

/// Takes what is kept. Must not block.
pub trait TraceSink: Send + Sync + 'static {
    /// One exchange, with the probability it was kept with.
    fn kept(&self, trace: KeptTrace);
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepRule {
    /// Traces a second of what nothing else keeps; 0: none.
    pub rest: usize,
    /// Most traces in any second; 0: no limit.
    pub budget: usize,
}

/// What a rate of the rest is for: what behaves alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    route: RouteId,
    schema: Option<SchemaId>,
    class: u64,
    status: u16,
}

/// What its rows tell of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// Something that is the same for rows of one class.
    pub(crate) class: u64,
    /// Highest class score of the first row; NaN if it has none.
    pub(crate) confidence: f64,
}

/// An exchange of which it is not yet known whether it is kept.
#[derive(Debug)]
pub(crate) struct Undecided {
    pub(crate) exchange: u32,
    pub(crate) traced: Traced,
}

/// Something kept that asks for a place in the budget.
struct Asking {
    trace: KeptTrace,
    confidence: f64,
}

struct State {
    rates: Option<Rates<Key>>,
    budget: Option<Budget<Box<Asking>>>,
}

/// Decides, for one generation of the configuration.
pub struct Keeper {
    /// `None`: no spans are exported.
    spans: Option<Arc<dyn TraceSink>>,
    records: Option<Records>,
    state: Mutex<State>,
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    metrics: LineMetrics,
    models: ModelMetrics,
    /// `http_server_request_duration_seconds`, for exemplars.
    durations: Family<Histogram>,
}

/// What goes where.
#[derive(Default)]
pub struct KeeperParts {
    pub spans: Option<(KeepRule, Arc<dyn TraceSink>)>,
    pub records: Option<(RecordRule, Arc<dyn RecordSink>)>,
}

/// The prediction log's part.
struct Records {
    rule: RecordRule,
    sample: Option<Threshold>,
    sink: Arc<dyn RecordSink>,
}

impl Keeper {
    /// `durations`: the family that the request path counts in, `http_server_request_duration_seconds`.
    pub fn new(parts: KeeperParts, metrics: &crate::Metrics, durations: Family<Histogram>) -> Self {
        let began = Instant::now();
        let clock = Box::new(move || began.elapsed().as_nanos() as u64);
        Self::with_clock(parts, metrics, durations, clock)
    }

    /// As [`Keeper::new`], by a monotonic clock in ns.
    pub(crate) fn with_clock(
        parts: KeeperParts,
        metrics: &crate::Metrics,
        durations: Family<Histogram>,
        clock: Box<dyn Fn() -> u64 + Send + Sync>,
    ) -> Self {
        let (rule, spans) = parts.spans.unzip();
        let rule = rule.unwrap_or(KeepRule { rest: 0, budget: 0 });
        let records = parts.records.map(|(rule, sink)| Records {
            sample: Threshold::from_probability(rule.sample),
            rule,
            sink,
        });
        let rates = (rule.rest > 0).then(|| Rates::new(RatesShape::with_goal(rule.rest as f64)));
        let state = State { rates, budget: NonZeroUsize::new(rule.budget).map(Budget::new) };
        Self {
            spans,
            records,
            state: Mutex::new(state),
            clock,
            metrics: metrics.line.clone(),
            models: metrics.models.clone(),
            durations,
        }
    }

    /// Whether exchanges of this route may be recorded, whatever becomes of their spans.
    pub(crate) fn records(&self, route: &str) -> bool {
        self.records.as_ref().is_some_and(|records| records.rule.takes(route))
    }

    /// Lets go of what a second that is over has kept. To be called some times a second.
    pub(crate) fn tick(&self) {
        let now = self.now_ns();
        let closed = self.lock().budget.as_mut().and_then(|budget| budget.close(now));
        self.emit_window(closed);
    }

    /// An exchange that no judge will see, kept by the head.
    pub(crate) fn unobserved(&self, mut exchange: Exchange) {
        let outcome = Outcome::of(exchange.end, exchange.head.status, exchange.error);
        let route = exchange.route.clone();
        let Some(facts) = exchange.facts.take() else { return };
        let traced = traced(&exchange, outcome, Some(facts));
        let key = Key { route: route.id, schema: None, class: 0, status: traced.status };
        let trace = KeptTrace {
            model: route.model.clone(),
            model_version: route.model_version.clone(),
            route,
            traced,
            reasons: SmallVec::new(),
            threshold: None,
            judged_unix_ns: 0,
            partial: false,
        };
        let asking = Asking { trace, confidence: f64::NAN };
        let closed = self.decide(&mut self.lock(), key, asking);
        self.emit(closed);
    }

    /// Decides on one exchange whose verdicts are in. What is to be emitted now comes back.
    fn decide(&self, state: &mut State, key: Key, mut asking: Asking) -> Emitted {
        let Asking { trace, .. } = &mut asking;
        let ids = trace.traced.ids;
        let randomness = Randomness::from_bits(ids.randomness);
        let mut threshold = trace.threshold.and_then(Threshold::from_bits);
        let mut add = |with: Threshold, reason: &str, first: bool| {
            if !with.keeps(randomness) {
                return;
            }
            threshold = Some(threshold.map_or(with, |threshold| threshold.min(with)));
            trace.reasons.insert(if first { 0 } else { trace.reasons.len() }, reason.into());
        };
        if let HeadSample::In(bits) = ids.head
            && let Some(head) = Threshold::from_bits(bits)
        {
            add(head, "head", true);
        }
        if let Some(rates) = state.rates.as_mut().filter(|_| trace.traced.observed > 0.0)
            && let Some(rest) = Threshold::from_probability(rates.count(self.now_ns(), &key))
        {
            add(rest, "rest", false);
        }
        let unknown = ids.head == HeadSample::Unknown;
        if unknown {
            trace.reasons.insert(0, "head".into());
        }
        if trace.reasons.is_empty() {
            return Emitted::new();
        }
        trace.partial = ids.head == HeadSample::Out;
        trace.threshold = threshold.filter(|_| !unknown).map(Threshold::bits);
        self.ask(state, randomness, asking)
    }

    /// Asks for a place in the budget.
    fn ask(&self, state: &mut State, randomness: Randomness, asking: Asking) -> Emitted {
        let Some(budget) = &mut state.budget else { return SmallVec::from_iter([asking]) };
        // One of unknown probability takes part like any other, and stays unknown.
        let threshold = asking.trace.threshold.and_then(Threshold::from_bits).unwrap_or(Threshold::ALWAYS);
        match Candidate::new(randomness, threshold, Box::new(asking)) {
            Ok(candidate) => self.placed(budget.offer(self.now_ns(), candidate)),
            Err(_) => Emitted::new(),
        }
    }

    fn emit_window(&self, closed: Option<Closed<Box<Asking>>>) {
        let placed = self.placed(closed);
        self.emit(placed);
    }

    /// What a window has kept, under its raised thresholds; the rest is counted.
    fn placed(&self, closed: Option<Closed<Box<Asking>>>) -> Emitted {
        let Some(closed) = closed else { return Emitted::new() };
        let over = closed.offered - closed.kept.len() as u64;
        self.metrics.traces.get(&[TraceFate::Budget.as_str()]).add(over);
        let raised = |kept: weir_stats::sampling::Kept<Box<Asking>>| {
            let mut asking = *kept.payload;
            asking.trace.threshold = asking.trace.threshold.map(|_| kept.threshold.bits());
            asking
        };
        closed.kept.into_iter().map(raised).collect()
    }

    fn emit(&self, kept: Emitted) {
        for Asking { trace, confidence } in kept {
            let fate = match trace.probability() {
                Some(_) => TraceFate::Known,
                None => TraceFate::Unknown,
            };
            self.metrics.traces.get(&[fate.as_str()]).inc();
            self.exemplify(&trace, confidence);
            if let Some(spans) = &self.spans {
                spans.kept(trace);
            }
        }
    }

    /// Hangs the trace at the buckets its values fall in.
    fn exemplify(&self, trace: &KeptTrace, confidence: f64) {
        let Traced { ids, timing, status, error, facts, observed, .. } = &trace.traced;
        let exemplar = |value: f64| Exemplar {
            trace_id: ids.trace_id,
            span_id: ids.span_id,
            value,
            unix_ns: timing.start_unix_ns + timing.end_ns,
        };
        let Some(facts) = facts else { return };
        let status = if *status == 0 { String::new() } else { status.to_string() };
        let error = error.map_or("", weir_exchange::ErrorType::as_str);
        let route = &*trace.route.name;
        let labels = [facts.method, route, &trace.route.pattern, &status, facts.version, error];
        self.durations.exemplify(&labels, exemplar(timing.end_ns as f64 * 1e-9));
        if *observed <= 0.0 {
            return;
        }
        let labels = [route, &trace.model, &trace.model_version];
        if timing.upstream_start_ns > 0 {
            let seconds = timing.end_ns.saturating_sub(timing.upstream_start_ns) as f64 * 1e-9;
            self.models.latency.exemplify(&labels, exemplar(seconds));
        }
        if confidence.is_finite() {
            self.models.confidence.exemplify(&labels, exemplar(confidence));
        }
    }

    fn now_ns(&self) -> u64 {
        (self.clock)()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Keeper {
    /// Nothing waits for it any more: what is kept goes out, whatever second it is.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let closed = state.budget.as_mut().and_then(Budget::finish);
        self.emit_window(closed);
    }
}

/// Mostly none or one; a window's worth when a second is over.
type Emitted = SmallVec<[Asking; 1]>;

/// What spans tell of an exchange.
pub(crate) fn traced(exchange: &Exchange, outcome: Outcome, facts: Option<Box<SpanFacts>>) -> Traced {
    let Exchange { head, request, response, timing, end, error, probability, trace, .. } = exchange;
    Traced {
        ids: *trace,
        timing: *timing,
        status: head.status,
        end: *end,
        error: *error,
        outcome,
        request_bytes: request.total,
        response_bytes: response.total,
        rows: 0,
        observed: *probability,
        facts,
    }
}

/// A batch on its way through the judges: when the last of them is done with it, whatever became of it there,
/// its exchanges are decided.
pub(crate) struct Join {
    keeper: Arc<Keeper>,
    batch: Arc<Batch>,
    told: Vec<Told>,
    pending: Mutex<Vec<Pending>>,
}

struct Pending {
    exchange: u32,
    traced: Traced,
    threshold: Option<Threshold>,
    reasons: SmallVec<[Arc<str>; 2]>,
}

impl Join {
    /// `told`: by exchange of the batch.
    pub(crate) fn new(
        keeper: Arc<Keeper>,
        batch: Arc<Batch>,
        undecided: Vec<Undecided>,
        told: Vec<Told>,
    ) -> Self {
        let pending = |Undecided { exchange, traced }| Pending {
            exchange,
            traced,
            threshold: None,
            reasons: SmallVec::new(),
        };
        let pending = Mutex::new(undecided.into_iter().map(pending).collect());
        Self { keeper, batch, told, pending }
    }

    /// What one judge says. Of what does not keep its exchange nothing is remembered: the least threshold of
    /// those that do is that of all.
    pub(crate) fn say(&self, judge: &str, verdicts: &[Verdict]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for run in verdicts.chunk_by(|a, b| a.probability == b.probability && a.reason == b.reason) {
            let Some(threshold) = Threshold::from_probability(run[0].probability) else { continue };
            let mut named: Option<Arc<str>> = None;
            for verdict in run {
                let Ok(at) = pending.binary_search_by_key(&verdict.exchange, |p| p.exchange) else {
                    continue;
                };
                let exchange = &mut pending[at];
                if threshold.keeps(Randomness::from_bits(exchange.traced.ids.randomness)) {
                    exchange.threshold = Some(exchange.threshold.map_or(threshold, |t| t.min(threshold)));
                    let name = || Arc::from(format!("{judge}:{}", verdict.reason));
                    exchange.reasons.push(named.get_or_insert_with(name).clone());
                }
            }
        }
    }
}

impl Records {
    /// Records an exchange if its sample or a judge wants it.
    fn take(&self, batch: &Batch, pending: &Pending) {
        let Pending { exchange, traced, threshold, reasons } = pending;
        let randomness = Randomness::from_bits(traced.ids.randomness);
        let sampled = self.sample.filter(|sample| sample.keeps(randomness));
        let judged = threshold.filter(|_| self.rule.verdicts);
        let Some(threshold) = [sampled, judged].into_iter().flatten().min() else { return };
        let sample = sampled.map(|_| Arc::from("sample"));
        let judged = if self.rule.verdicts { &reasons[..] } else { &[] };
        let reasons: Vec<Arc<str>> = sample.into_iter().chain(judged.iter().cloned()).collect();
        let probability = threshold.probability() * f64::from(traced.observed);
        let recorded = Recorded { batch, exchange: *exchange, traced, reasons: &reasons, probability };
        self.sink.record(recorded.record(&self.rule));
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        let Self { keeper, batch, told, pending } = self;
        let pending = std::mem::take(pending.get_mut().unwrap_or_else(PoisonError::into_inner));
        if let Some(records) = keeper.records.as_ref().filter(|records| records.rule.takes(&batch.route.name))
        {
            pending.iter().for_each(|pending| records.take(batch, pending));
        }
        let (mut emitted, now) = (Emitted::new(), unix_ns());
        let mut state = keeper.lock();
        let for_spans = pending.into_iter().filter(|pending| pending.traced.facts.is_some());
        for Pending { exchange, traced, threshold, reasons } in for_spans {
            let Told { class, confidence } = told.get(exchange as usize).copied().unwrap_or_default();
            let key =
                Key { route: batch.route.id, schema: Some(batch.schema.id), class, status: traced.status };
            let trace = KeptTrace {
                traced,
                route: batch.route.clone(),
                model: batch.schema.model.clone(),
                model_version: batch.schema.model_version.clone(),
                reasons,
                threshold: threshold.map(Threshold::bits),
                judged_unix_ns: now,
                partial: false,
            };
            emitted.extend(keeper.decide(&mut state, key, Asking { trace, confidence }));
        }
        drop(state);
        keeper.emit(emitted);
    }
}

#[cfg(test)]
mod tests;
