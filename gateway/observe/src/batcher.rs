//! Exchanges in, closed batches out: one thread's routes, models, schemas and open batches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use weir_codec::classify;
use weir_exchange::{Exchange, Fate, ObservedRoute, Outcome, RouteId, Shard, Traced};
use weir_telemetry::{Counter, Family, Gauge};

use crate::config::{BatchLimits, SchemaLimits};
use crate::directory::{Directory, Pair};
use crate::events::Events;
use crate::hide::hide;
use crate::judge::Panel;
use crate::keep::{self, Join, Keeper};
use crate::metrics::{BatchCells, Capped, Closed, LineMetrics};
use crate::models::{ClassCells, ModelCells, ModelMetrics, RowMeter, RowScratch};
use crate::open::{Facts, OpenBatch, Size};
use crate::read::{self, Named, Reader, State};
use crate::schema::{self, EXCHANGE_BYTES, OpenSchema, SchemaName, Shape, Signature, TurnedAway};

/// What every telemetry thread works with.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) directory: Arc<Directory>,
    pub(crate) panel: Arc<Panel>,
    pub(crate) metrics: LineMetrics,
    pub(crate) models: ModelMetrics,
    pub(crate) slo_events: Family<Counter>,
    pub(crate) batches: BatchLimits,
    pub(crate) schemas: SchemaLimits,
    /// `None`: no spans are exported.
    pub(crate) keeper: Arc<ArcSwapOption<Keeper>>,
}

/// One thread's part of the line between a shard and the judges.
pub(crate) struct Batcher {
    common: Common,
    cells: BatchCells,
    events: Events,
    schemas_live: Arc<Gauge>,
    open_bytes_gauge: Arc<Gauge>,
    reader: Reader,
    routes: Vec<Option<RouteState>>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// Openings by age: the slot and the opening's number. An entry whose batch has closed since is skipped.
    openings: VecDeque<(usize, u64)>,
    opened: u64,
    open_bytes: usize,
    budget: usize,
    now: Instant,
    unix_ns: u64,
    names: [Vec<u8>; 3],
    row_scratch: RowScratch,
}

struct RouteState {
    id: RouteId,
    fates: [Arc<Counter>; Fate::ALL.len()],
    pairs: Vec<PairState>,
    /// Where the last exchange's pair stands.
    last: usize,
    schemas: usize,
    /// `None` while an exchange of the route is read into them, and for a route without traffic.
    tables: Option<Box<read::Tables>>,
}

struct PairState {
    pair: Arc<Pair>,
    cells: Arc<ModelCells>,
    slots: Vec<usize>,
}

struct Slot {
    route: RouteId,
    pair: Arc<Pair>,
    cells: Arc<ModelCells>,
    schema: OpenSchema,
    rows: RowMeter,
    batch: Option<OpenBatch>,
    opening: u64,
    last: Size,
}

impl Batcher {
    pub(crate) fn new(common: Common, threads: usize, now: Instant) -> Self {
        Self {
            cells: BatchCells::new(&common.metrics),
            events: Events::new(common.slo_events.clone()),
            schemas_live: common.metrics.schemas.local(&[]),
            open_bytes_gauge: common.metrics.open_bytes.local(&[]),
            budget: common.batches.open_bytes / threads.max(1),
            common,
            reader: Reader::default(),
            routes: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            openings: VecDeque::new(),
            opened: 0,
            open_bytes: 0,
            now,
            unix_ns: 0,
            names: Default::default(),
            row_scratch: RowScratch::default(),
        }
    }

    /// Sets the clocks that batches are opened and closed by: once a pass.
    pub(crate) fn set_time(&mut self, now: Instant, unix_ns: u64) {
        (self.now, self.unix_ns) = (now, unix_ns);
    }

    /// Decodes, counts and batches one exchange of a shard.
    pub(crate) fn take(&mut self, shard: &Shard, mut exchange: Exchange) {
        if exchange.probability <= 0.0 {
            return self.trace_alone(exchange);
        }
        let outcome = Outcome::of(exchange.end, exchange.head.status, exchange.error);
        let at = self.route(&exchange.route);
        let state = self.routes[at].as_mut().expect("`route` has just made it");
        let mut tables = state.tables.take().unwrap_or_default();
        let reading = self.reader.read(shard, &mut exchange, outcome, &mut tables);
        if let Some(privacy) = &exchange.route.privacy {
            let read::Tables { request, reply } = &mut *tables;
            [request, &mut reply.outputs, &mut reply.scores].into_iter().for_each(|t| hide(privacy, t));
        }
        state.fates[reading.fate() as usize].bump(1);
        self.count_errors(&exchange.route, "request", reading.request);
        self.count_errors(&exchange.route, "response", reading.response);
        self.events.count_exchange(&exchange.route, outcome, reading);

        let span_facts = exchange.facts.take();
        let facts = facts(&exchange, outcome);
        let mut names = std::mem::take(&mut self.names);
        let pair = self.pair(at, read::name(shard, &exchange, &tables.reply, &mut names), &facts);
        self.names = names;
        let keeper = self.common.keeper.load();
        let records = keeper.as_ref().is_some_and(|keeper| keeper.records(&exchange.route.name));
        let traced = (span_facts.is_some() || records).then(|| keep::traced(&exchange, outcome, span_facts));
        self.append(at, pair, (&facts, traced), &mut tables);
        tables.trim();
        if let Some(state) = &mut self.routes[at] {
            state.tables = Some(tables);
        }
    }

    /// Closes what is older than a batch may be.
    pub(crate) fn close_aged(&mut self) {
        while let Some(slot) = self.oldest() {
            let opened = self.slots[slot].as_ref().and_then(|s| s.batch.as_ref()).map(|b| b.opened);
            if opened.is_some_and(|opened| self.now.duration_since(opened) < self.common.batches.age) {
                break;
            }
            self.close(slot, Closed::Age);
        }
        self.open_bytes_gauge.set(self.open_bytes as f64);
    }

    /// Closes every open batch, oldest first.
    pub(crate) fn close_all(&mut self) {
        while let Some(slot) = self.oldest() {
            self.close(slot, Closed::Settle);
        }
        self.open_bytes_gauge.set(0.0);
    }

    /// Forgets schemas and models that nobody sends any more.
    pub(crate) fn sweep(&mut self) {
        let idle = self.common.schemas.idle;
        for at in 0..self.slots.len() {
            let last_used = self.slots[at].as_ref().map(|slot| slot.schema.last_used);
            if last_used.is_some_and(|last_used| self.now.duration_since(last_used) >= idle) {
                self.evict(at);
            }
        }
        for state in self.routes.iter_mut().flatten() {
            state.pairs.retain(|pair| !pair.slots.is_empty());
            state.last = 0;
            // A route that has no traffic any more holds nothing.
            state.tables = None;
        }
    }

    fn count_errors(&self, route: &ObservedRoute, side: &str, state: State) {
        if let Some(kind) = state.error() {
            self.common.metrics.decode_errors.get(&[&route.name, side, kind]).inc();
        }
    }

    /// The place of a route's state.
    fn route(&mut self, route: &ObservedRoute) -> usize {
        let at = route.id.0 as usize;
        if self.routes.get(at).is_none_or(Option::is_none) {
            if self.routes.len() <= at {
                self.routes.resize_with(at + 1, || None);
            }
            let exchanges = &self.common.metrics.exchanges;
            self.routes[at] = Some(RouteState {
                id: route.id,
                fates: Fate::ALL.map(|fate| exchanges.local(&[&route.name, fate.as_str()])),
                pairs: Vec::new(),
                last: 0,
                schemas: 0,
                tables: None,
            });
        }
        at
    }

    /// The place of the exchange's model among those of its route.
    fn pair<'a>(&mut self, at: usize, mut named: Named<'a>, facts: &Facts<'a>) -> usize {
        let Self { common, routes, now, .. } = self;
        let state = routes[at].as_mut().expect("the caller's route has a state");
        let Facts { route, outcome, .. } = *facts;
        // A client can ask for any model: only an answer shows that there is one of that name.
        let unproven = named.by_request() && outcome != Outcome::Ok && !route.model_from_request;
        if unproven && !common.directory.known(route, &named) {
            named = read::configured(route);
        }
        let is = |p: &PairState| *p.pair.model == *named.model && *p.pair.version == *named.version;
        if state.pairs.get(state.last).is_some_and(is) {
            return state.last;
        }
        if let Some(known) = state.pairs.iter().position(is) {
            state.last = known;
            return known;
        }
        let pair = common.directory.admit(route, named.model, named.version, *now);
        if pair.is_none() {
            common.metrics.turned_away(&route.name, Capped::Model, 1);
            if let Some(overflow) = state.pairs.iter().position(|p| p.pair.overflow) {
                return overflow;
            }
        }
        let pair = pair.unwrap_or_else(|| common.directory.overflow());
        let cells = ModelCells::new(&common.models, &route.name, &pair);
        state.pairs.push(PairState { pair, cells: Arc::new(cells), slots: Vec::new() });
        state.last = state.pairs.len() - 1;
        state.last
    }

    /// An exchange that is here for its spans alone.
    fn trace_alone(&mut self, exchange: Exchange) {
        // A request that no route took has no fate.
        if !exchange.route.name.is_empty() {
            let at = self.route(&exchange.route);
            let state = self.routes[at].as_ref().expect("`route` has just made it");
            state.fates[Fate::Unsampled as usize].bump(1);
        }
        if let Some(keeper) = &*self.common.keeper.load() {
            keeper.unobserved(exchange);
        }
    }

    fn append(
        &mut self,
        at: usize,
        pair: usize,
        (facts, mut traced): (&Facts<'_>, Option<Traced>),
        tables: &mut read::Tables,
    ) {
        let signature = [&tables.request, &tables.reply.outputs, &tables.reply.scores].map(Shape::of);
        let predicted = if tables.reply.rows() > 0 { tables.reply.rows() } else { tables.request.rows };
        let (slot, fits) = self.slot(at, pair, facts.route, &signature);
        let Self { slots, now, .. } = self;
        let Slot { schema, cells, .. } = slots[slot].as_mut().expect("`slot` gives a live slot");
        // Metadata and readiness under the path of a model ask for no prediction.
        if facts.route.protocol.is_none() || facts.request_bytes > 0.0 {
            cells.count(facts, predicted);
        }
        if let Some(traced) = &mut traced {
            traced.rows = predicted as u32;
        }
        schema.last_used = *now;
        if tables.reply.rows() > 0 {
            let decision = classify(&mut tables.reply, schema.classification, &facts.route.output);
            if fits {
                schema.decide(decision);
            }
        }
        let mut rows: schema::Tables<'_> =
            [Some(&tables.request), Some(&tables.reply.outputs), Some(&tables.reply.scores)];
        rows.iter_mut().for_each(|table| *table = table.filter(|t| fits && Shape::of(t).is_some()));
        let count = rows.iter().flatten().map(|table| table.rows).max().unwrap_or(0);
        schema.prepare(&rows);
        self.fill(slot, (facts, traced), &rows, count);
    }

    /// Appends an exchange to its slot's batch, in several batches if it is too large for one.
    fn fill(
        &mut self,
        slot: usize,
        (facts, mut traced): (&Facts<'_>, Option<Traced>),
        tables: &schema::Tables<'_>,
        count: usize,
    ) {
        let mut from = 0;
        loop {
            let to = self.make_room(slot, facts.route, from, count);
            let Slot { schema, batch, opening, last, .. } =
                self.slots[slot].as_mut().expect("the caller's slot is live");
            let batch = batch.get_or_insert_with(|| {
                self.opened += 1;
                *opening = self.opened;
                self.openings.push_back((slot, self.opened));
                OpenBatch::new(facts.route.clone(), self.now, *last)
            });
            // Of an exchange in several batches, the judges of its first rows decide.
            if let Some(traced) = traced.take() {
                batch.trace_next(traced);
            }
            batch.append(schema, facts, tables, (from..to, from > 0));
            self.open_bytes -= batch.charged;
            batch.charged = batch.bytes(schema) + batch.traced_bytes();
            self.open_bytes += batch.charged;
            from = to;
            if from >= count {
                break;
            }
        }
        self.close_if_full(slot);
        while self.open_bytes > self.budget
            && let Some(oldest) = self.oldest()
        {
            self.close(oldest, Closed::Budget);
        }
    }

    /// Closes the slot's batch if the next rows do not belong in it. Returns the end of the rows that fit.
    fn make_room(&mut self, slot: usize, route: &Arc<ObservedRoute>, from: usize, count: usize) -> usize {
        let BatchLimits { rows, bytes, .. } = self.common.batches;
        let Slot { schema, batch, .. } = self.slots[slot].as_ref().expect("the caller's slot is live");
        let most = rows.min(bytes.saturating_sub(EXCHANGE_BYTES) / schema.row_bytes()).max(1);
        let piece = (count - from).min(most);
        if let Some(open) = batch {
            // Each worker has a copy of its own: what is the same is told by number, not by place.
            let same = (open.route.id, open.route.generation) == (route.id, route.generation);
            let reason = if !same {
                Some(Closed::Generation)
            } else if open.size().rows + piece > rows {
                Some(Closed::Rows)
            } else if open.bytes(schema) + piece * schema.row_bytes() + EXCHANGE_BYTES > bytes {
                Some(Closed::Bytes)
            } else {
                None
            };
            if let Some(reason) = reason {
                self.close(slot, reason);
            }
        }
        from + piece
    }

    fn close_if_full(&mut self, slot: usize) {
        let size = self.slots[slot].as_ref().and_then(|slot| slot.batch.as_ref()).map(OpenBatch::size);
        let Some(size) = size else { return };
        if size.exchanges >= self.common.batches.exchanges {
            self.close(slot, Closed::Exchanges);
        } else if size.rows >= self.common.batches.rows {
            self.close(slot, Closed::Rows);
        }
    }

    /// The slot whose batch is open longest.
    fn oldest(&mut self) -> Option<usize> {
        while let Some((slot, opening)) = self.openings.front() {
            let open = self.slots[*slot].as_ref().is_some_and(|s| s.batch.is_some() && s.opening == *opening);
            if open {
                return Some(*slot);
            }
            self.openings.pop_front();
        }
        None
    }

    /// Ends the slot's batch: counts its rows and hands it to the judges.
    fn close(&mut self, at: usize, reason: Closed) {
        let Some(slot) = &mut self.slots[at] else { return };
        let Some(open) = slot.batch.take() else { return };
        self.open_bytes -= open.charged;
        slot.last = open.size();
        let (snapshot, grown) = slot.schema.snapshot();
        if grown {
            self.common.directory.show(&snapshot);
        }
        let (batch, undecided) = open.close(snapshot, self.unix_ns);
        let classes = ClassCells {
            metrics: &self.common.models,
            batch: &batch,
            cap: self.common.schemas.classes,
            overflow: slot.pair.overflow,
        };
        let beyond = slot.rows.count(&slot.cells, &classes, &mut self.row_scratch);
        self.events.count_rows(&batch.route, &slot.rows.scores(&self.row_scratch));
        self.cells.count(reason, batch.rows);
        let TurnedAway { columns, codes } = std::mem::take(&mut slot.schema.turned_away);
        for (what, n) in [(Capped::Column, columns), (Capped::Code, codes), (Capped::Class, beyond)] {
            self.common.metrics.turned_away(&batch.route.name, what, n);
        }
        self.common.directory.seen(&slot.pair, self.now);
        let keeper = if undecided.is_empty() { None } else { self.common.keeper.load_full() };
        let told = keeper.as_ref().map(|_| slot.rows.tell(&batch, &self.row_scratch));
        self.common
            .panel
            .dispatch(batch, |batch| Some(Arc::new(Join::new(keeper?, batch.clone(), undecided, told?))));
    }

    /// The slot of the schema an exchange belongs to. False if its rows do not belong there: the route has
    /// too many schemas already.
    fn slot(
        &mut self,
        at: usize,
        pair: usize,
        route: &Arc<ObservedRoute>,
        signature: &Signature,
    ) -> (usize, bool) {
        let state = self.routes[at].as_ref().expect("the caller's route has a state");
        let mine = &state.pairs[pair].slots;
        let fitting = mine
            .iter()
            .copied()
            .find(|slot| self.slots[*slot].as_ref().is_some_and(|slot| slot.schema.fits(route, signature)));
        if let Some(slot) = fitting {
            if let Some(slot) = &mut self.slots[slot] {
                slot.schema.adopt(signature);
            }
            return (slot, true);
        }
        // Each model keeps one schema whatever the cap says, so that its exchanges are judged.
        let first = mine.first().copied();
        if let Some(first) = first
            && state.schemas >= self.common.schemas.per_route
            && !self.make_way(route.id)
        {
            self.common.metrics.turned_away(&route.name, Capped::Schema, 1);
            return (first, false);
        }
        (self.new_slot(at, pair, route, signature), true)
    }

    fn new_slot(
        &mut self,
        at: usize,
        pair: usize,
        route: &Arc<ObservedRoute>,
        signature: &Signature,
    ) -> usize {
        let state = self.routes[at].as_mut().expect("the caller's route has a state");
        let PairState { pair, cells, slots } = &mut state.pairs[pair];
        let name = SchemaName {
            id: self.common.directory.next_schema(),
            model: &pair.model,
            model_version: &pair.version,
        };
        let mut schema = OpenSchema::new(route, &name, self.common.schemas, self.now);
        schema.adopt(signature);
        let slot = Slot {
            route: route.id,
            pair: pair.clone(),
            cells: cells.clone(),
            schema,
            rows: RowMeter::default(),
            batch: None,
            opening: 0,
            last: Size::default(),
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[place] = Some(slot);
        slots.push(place);
        state.schemas += 1;
        self.schemas_live.add(1.0);
        place
    }

    /// Evicts the route's schema that was idle longest, if it was idle long enough.
    fn make_way(&mut self, route: RouteId) -> bool {
        let mine = self.slots.iter().enumerate().filter_map(|(at, slot)| {
            slot.as_ref().filter(|slot| slot.route == route).map(|slot| (slot.schema.last_used, at))
        });
        let Some((last_used, at)) = mine.min() else { return false };
        let idle = self.now.duration_since(last_used) >= self.common.schemas.idle_at_cap;
        if idle {
            self.evict(at);
        }
        idle
    }

    fn evict(&mut self, at: usize) {
        self.close(at, Closed::Evicted);
        let Some(slot) = self.slots[at].take() else { return };
        self.free.push(at);
        self.schemas_live.add(-1.0);
        self.common.directory.hide(slot.schema.id());
        self.common.panel.forget(slot.schema.id());
        for state in self.routes.iter_mut().flatten().filter(|state| state.id == slot.route) {
            state.schemas -= 1;
            state.pairs.iter_mut().for_each(|pair| pair.slots.retain(|s| *s != at));
        }
    }
}

/// What is known of an exchange beside its bodies.
fn facts(exchange: &Exchange, outcome: Outcome) -> Facts<'_> {
    let Exchange { head, request, response, timing, trace, probability, .. } = exchange;
    let sent = timing.upstream_start_ns > 0;
    let duration = timing.end_ns.saturating_sub(timing.upstream_start_ns) as f64 * 1e-9;
    Facts {
        route: &exchange.route,
        outcome,
        status: f64::from(head.status),
        duration: if sent { duration } else { f64::NAN },
        request_bytes: request.total as f64,
        response_bytes: response.total as f64,
        unix_seconds: timing.start_unix_ns as f64 * 1e-9,
        trace_id: trace.trace_id,
        probability: *probability,
    }
}
