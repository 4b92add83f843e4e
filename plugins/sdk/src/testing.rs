//! Runs a plugin without WebAssembly: a harness that stands for the gateway, and tables that stand for
//! traffic.

use std::collections::BTreeMap;

pub(crate) mod reference;

use crate::Plugin;
use crate::bindings::weir::plugin::types;
use crate::host::{Summary, Target};
use crate::runtime::Runtime;
use crate::schema::{Kind, MISSING, Per, Task};
use crate::settings::Fault;

pub use reference::Window;

/// Exchanges to show a plugin: as many rows as said, one exchange each unless said otherwise.
#[derive(Clone, Debug)]
pub struct Table {
    rows: usize,
    row_exchange: Vec<u32>,
    exchanges: usize,
    model: String,
    columns: Vec<(types::Column, Values)>,
    probabilities: Vec<f32>,
    missed: u64,
}

#[derive(Clone, Debug)]
enum Values {
    Numbers(Vec<f64>),
    Texts(Vec<Option<String>>),
}

impl Table {
    /// Rows of one exchange each.
    pub fn rows(rows: usize) -> Self {
        let row_exchange = (0..rows as u32).collect();
        Self {
            rows,
            row_exchange,
            exchanges: rows,
            model: "m".to_owned(),
            columns: Vec::new(),
            probabilities: Vec::new(),
            missed: 0,
        }
    }

    /// Says which exchange each row belongs to, and how many exchanges there are.
    #[must_use]
    pub fn of_exchanges(mut self, row_exchange: &[u32], exchanges: usize) -> Self {
        self.row_exchange = row_exchange.to_vec();
        self.exchanges = exchanges;
        self
    }

    /// Says whose traffic it is.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    /// Says with which probability each exchange was observed.
    #[must_use]
    pub fn probabilities(mut self, probabilities: &[f32]) -> Self {
        assert_eq!(probabilities.len(), self.exchanges, "one an exchange");
        self.probabilities = probabilities.to_vec();
        self
    }

    /// Says how many exchanges the plugin did not get to see before these.
    #[must_use]
    pub fn missed(mut self, exchanges: u64) -> Self {
        self.missed = exchanges;
        self
    }

    /// A column of numbers; NaN is missing.
    #[must_use]
    pub fn numbers(self, role: &str, name: &str, values: &[f64]) -> Self {
        self.column(role, name, Kind::Number, Values::Numbers(values.to_vec()))
    }

    /// A column of texts; empty is missing.
    #[must_use]
    pub fn texts(self, role: &str, name: &str, values: &[&str]) -> Self {
        let texts = values.iter().map(|t| (!t.is_empty()).then(|| (*t).to_owned())).collect();
        self.column(role, name, Kind::Code, Values::Texts(texts))
    }

    fn column(mut self, role: &str, name: &str, kind: Kind, values: Values) -> Self {
        let per = if matches!(role, "input" | "output" | "score") { Per::Row } else { Per::Exchange };
        let wanted = if per == Per::Row { self.rows } else { self.exchanges };
        let found = match &values {
            Values::Numbers(v) => v.len(),
            Values::Texts(v) => v.len(),
        };
        assert_eq!(found, wanted, "values of `{name}`");
        let (role, name) = (role.to_owned(), name.to_owned());
        self.columns.push((types::Column { role, name, kind, per, send: true }, values));
        self
    }
}

/// A plugin and what the gateway would keep for it.
#[derive(Debug)]
pub struct Harness<P> {
    runtime: Runtime<P>,
    manifest: types::Manifest,
    /// By (model, shape): the schema's number and, by column, the dictionary.
    schemas: BTreeMap<String, (u32, Vec<Vec<String>>)>,
    /// By metric name and labels joined with commas: everything that was observed, or the sum, or the last
    /// value.
    series: BTreeMap<(String, String), Vec<f64>>,
    conditions: BTreeMap<(String, String), types::ConditionState>,
    /// (exchange, reason, probability) of the last batch; exchange `None` for the rest.
    verdicts: Vec<(Option<u32>, String, f64)>,
    now_ns: u64,
}

impl<P: Plugin> Harness<P> {
    /// Configures the plugin with JSON settings. Only one harness at a time lives on a thread.
    ///
    /// # Errors
    /// What the plugin finds wrong with the settings.
    pub fn new(settings: &str) -> Result<Self, Vec<Fault>> {
        fake::reset();
        reference::reset();
        let fault = |f: types::Fault| Fault { path: f.path, message: f.message };
        let (runtime, manifest) = Runtime::configure(settings)
            .map_err(|faults| faults.into_iter().map(fault).collect::<Vec<_>>())?;
        Ok(Self {
            runtime,
            manifest,
            schemas: BTreeMap::new(),
            series: BTreeMap::new(),
            conditions: BTreeMap::new(),
            verdicts: Vec::new(),
            now_ns: 0,
        })
    }

    /// Shows the plugin a batch, with the columns it asked for, and applies what comes of it.
    pub fn observe(&mut self, table: &Table) {
        let table = self.wanted(table);
        let batch = self.batch(&table);
        let outcome = self.runtime.observe(&batch);
        self.apply(&outcome, Some(&table));
        reference::returned();
    }

    /// Lets time pass. Windows of the harness never slide.
    pub fn tick(&mut self) {
        self.now_ns += self.manifest.tick_ns;
        let outcome = self.runtime.tick(self.now_ns);
        self.apply(&outcome, None);
        reference::returned();
    }

    /// Sets the time, Unix time in ns.
    pub fn set_now(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// The profile of every model, from now on.
    pub fn profile(&mut self, profile: types::ProfileInfo) {
        reference::set_profile(profile);
    }

    /// Upper edges of the fine bins of a feature of the profile.
    pub fn edges(&mut self, feature: usize, edges: &[f64]) {
        reference::set_edges(feature, edges);
    }

    /// Names and reference rows of the tested bins of a feature of the profile.
    pub fn bins(&mut self, feature: usize, bins: &[(&str, f64)]) {
        reference::set_bins(feature, bins);
    }

    /// A window of the plugin's tally closes; the plugin sees it at the next tick.
    pub fn close(&mut self, window: Window) {
        reference::close(window);
    }

    /// Of each window that is done: whether it was looked at.
    pub fn looks(&self) -> Vec<bool> {
        reference::looks()
    }

    /// What every comparison was with, in order.
    pub fn compared_with(&self) -> Vec<types::Against> {
        reference::asked()
    }

    /// The tallies the plugin has opened.
    pub fn tallies(&self) -> Vec<types::Tally> {
        reference::opened()
    }

    /// The findings of a kind, in order.
    pub fn reports(&self, kind: &str) -> Vec<serde_json::Value> {
        reference::reports(kind)
    }

    /// A new instance of the same plugin takes over what this one saves.
    pub fn reload(self, settings: &str) -> Result<Self, Vec<Fault>> {
        let saved = self.runtime.save();
        let mut next = Self::new(settings)?;
        if let Some((format, data)) = saved {
            assert!(next.runtime.load(format, &data), "the plugin reads what it saved");
        }
        Ok(next)
    }

    /// The sum of a counter; 0 if it was never added to.
    pub fn counter(&self, metric: &str, labels: &[&str]) -> f64 {
        self.observed(metric, labels).iter().sum()
    }

    /// The last value of a gauge.
    pub fn gauge(&self, metric: &str, labels: &[&str]) -> Option<f64> {
        self.observed(metric, labels).last().copied()
    }

    /// Every value of a series, in order.
    pub fn observed(&self, metric: &str, labels: &[&str]) -> &[f64] {
        let known = self.manifest.metrics.iter().any(|m| m.name == metric);
        assert!(known, "`{metric}` is declared");
        self.series.get(&(metric.to_owned(), labels.join(","))).map_or(&[], Vec::as_slice)
    }

    /// A condition: whether it holds, its value and what that rests on.
    pub fn condition(&self, name: &str, labels: &[&str]) -> Option<(bool, f64, u64)> {
        self.conditions.get(&(name.to_owned(), labels.join(","))).map(|c| (c.active, c.value, c.count))
    }

    /// The verdicts of the last batch: exchange (none for the rest), reason and probability.
    pub fn verdicts(&self) -> Vec<(Option<u32>, &str, f64)> {
        self.verdicts.iter().map(|(exchange, reason, p)| (*exchange, reason.as_str(), *p)).collect()
    }

    fn wanted(&self, table: &Table) -> Table {
        let fits = |q: &types::ColumnQuery, c: &types::Column| {
            q.role == c.role
                && q.name.as_ref().is_none_or(|n| *n == c.name)
                && q.kind.is_none_or(|k| k == c.kind)
        };
        let mut table = table.clone();
        table.columns.retain_mut(|(column, _)| {
            let mut queries = self.manifest.columns.iter().filter(|q| fits(q, column)).peekable();
            let wanted = queries.peek().is_some();
            column.send = queries.any(|q| q.send);
            wanted
        });
        table
    }

    /// Tells the plugin of schema and new texts, and packs the columns that are sent.
    fn batch(&mut self, table: &Table) -> types::Batch {
        let shape: String =
            table.columns.iter().map(|(c, _)| format!("{} {} {:?},", c.role, c.name, c.kind)).collect();
        let next = self.schemas.len() as u32;
        let mut fresh = false;
        let (id, texts) = self.schemas.entry(format!("{}: {shape}", table.model)).or_insert_with(|| {
            fresh = true;
            (next, vec![Vec::new(); table.columns.len()])
        });
        let mut codes = Vec::new();
        let (mut rn, mut rc, mut en, mut ec) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (i, (column, values)) in table.columns.iter().enumerate() {
            let before = texts[i].len();
            let row = column.per == Per::Row;
            match values {
                Values::Numbers(v) if column.send => if row { &mut rn } else { &mut en }.extend_from_slice(v),
                Values::Numbers(_) => {}
                Values::Texts(v) => {
                    let coded: Vec<u32> = v.iter().map(|t| code(&mut texts[i], t.as_deref())).collect();
                    if column.send {
                        if row { &mut rc } else { &mut ec }.extend(coded);
                    }
                }
            }
            codes.push(types::NewCodes { column: i as u32, texts: texts[i][before..].to_vec() });
        }
        let delta = types::SchemaDelta {
            id: *id,
            route: "r".to_owned(),
            model: table.model.clone(),
            model_version: "1".to_owned(),
            task: Task::Unknown,
            columns: if fresh { table.columns.iter().map(|(c, _)| c.clone()).collect() } else { Vec::new() },
            codes,
        };
        self.runtime.schema(delta);
        types::Batch {
            schema: *id,
            closed_ns: self.now_ns,
            rows: table.rows as u32,
            exchanges: table.exchanges as u32,
            missed: table.missed,
            row_exchange: table.row_exchange.clone(),
            row_numbers: rn,
            row_codes: rc,
            exchange_numbers: en,
            exchange_codes: ec,
            probabilities: table.probabilities.clone(),
        }
    }

    fn apply(&mut self, outcome: &types::Outcome, table: Option<&Table>) {
        for run in &outcome.runs {
            let (Target::Series(metric), labels) = fake::meaning(run.series) else {
                panic!("a run is of a series")
            };
            let name = self.manifest.metrics[metric as usize].name.clone();
            let values = source(&run.source, outcome, table);
            self.series.entry((name, labels)).or_default().extend(values.iter().filter(|x| !x.is_nan()));
        }
        for feed in &outcome.feeds {
            let values = source(&feed.source, outcome, table);
            let groups = feed.group_by.map(|by| texts(table, by as usize));
            for (i, x) in values.iter().enumerate().filter(|(_, x)| x.is_finite()) {
                let group = groups.as_ref().map(|g| g[i].clone().unwrap_or_default());
                fake::push(feed.window, group, *x, &self.manifest.windows);
            }
        }
        for state in &outcome.conditions {
            let (Target::Condition(i), labels) = fake::meaning(state.condition) else {
                panic!("a condition")
            };
            self.conditions.insert((self.manifest.conditions[i as usize].name.clone(), labels), *state);
        }
        self.verdicts.clear();
        for verdict in &outcome.verdicts {
            let reason = &self.manifest.reasons[verdict.reason as usize];
            let listed = match verdict.exchanges {
                types::Selection::Rest => vec![None],
                types::Selection::Listed(s) => {
                    part(&outcome.exchanges, s).iter().copied().map(Some).collect()
                }
            };
            self.verdicts.extend(listed.into_iter().map(|e| (e, reason.clone(), verdict.probability)));
        }
    }
}

fn code(texts: &mut Vec<String>, text: Option<&str>) -> u32 {
    let Some(text) = text else { return MISSING };
    let found = texts.iter().position(|t| t == text);
    found.unwrap_or_else(|| {
        texts.push(text.to_owned());
        texts.len() - 1
    }) as u32
}

fn part<T>(all: &[T], span: types::Span) -> &[T] {
    &all[span.start as usize..(span.start + span.len) as usize]
}

fn source(source: &types::Source, outcome: &types::Outcome, table: Option<&Table>) -> Vec<f64> {
    match source {
        types::Source::Values(span) => part(&outcome.values, *span).to_vec(),
        types::Source::Column(i) => match &table.expect("a tick has no columns").columns[*i as usize].1 {
            Values::Numbers(values) => values.clone(),
            Values::Texts(_) => panic!("a source is a column of numbers"),
        },
    }
}

fn texts(table: Option<&Table>, column: usize) -> Vec<Option<String>> {
    match &table.expect("a tick has no columns").columns[column].1 {
        Values::Texts(texts) => texts.clone(),
        Values::Numbers(_) => panic!("groups are a column of texts"),
    }
}

/// The host's side of the imports.
pub(crate) mod fake {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::{Summary, Target, types};
    use crate::host::Level;

    #[derive(Default)]
    struct Host {
        handles: Vec<(u32, Target, String)>,
        windows: BTreeMap<(u32, Option<String>), Window>,
    }

    struct Window {
        edges: Vec<f64>,
        values: Vec<f64>,
    }

    thread_local! {
        static HOST: RefCell<Host> = RefCell::default();
    }

    pub(super) fn reset() {
        HOST.with_borrow_mut(|host| *host = Host::default());
    }

    pub(super) fn meaning(handle: u32) -> (Target, String) {
        HOST.with_borrow(|host| {
            let (_, target, labels) = &host.handles[handle as usize];
            (*target, labels.clone())
        })
    }

    pub(super) fn push(window: u32, group: Option<String>, x: f64, specs: &[types::Window]) {
        let (Target::Window(i), _) = meaning(window) else { panic!("a feed is of a window") };
        HOST.with_borrow_mut(|host| {
            let fresh = || Window { edges: specs[i as usize].edges.clone(), values: Vec::new() };
            host.windows.entry((window, group)).or_insert_with(fresh).values.push(x);
        });
    }

    pub(crate) fn handle(schema: u32, target: Target, labels: &[&str]) -> u32 {
        HOST.with_borrow_mut(|host| {
            host.handles.push((schema, target, labels.join(",")));
            (host.handles.len() - 1) as u32
        })
    }

    pub(crate) fn window_read(window: u32, group: Option<&str>) -> Option<Summary> {
        HOST.with_borrow(|host| {
            let Window { edges, values } = host.windows.get(&(window, group.map(str::to_owned)))?;
            let n = values.len() as f64;
            let sum: f64 = values.iter().sum();
            let mut bins = vec![0; if edges.is_empty() { 0 } else { edges.len() + 1 }];
            if !bins.is_empty() {
                values.iter().for_each(|x| bins[edges.partition_point(|edge| edge < x)] += 1);
            }
            Some(Summary {
                count: values.len() as u64,
                sum,
                mean: sum / n,
                variance: values.iter().map(|x| (x - sum / n).powi(2)).sum::<f64>() / n,
                min: values.iter().copied().fold(f64::NAN, f64::min),
                max: values.iter().copied().fold(f64::NAN, f64::max),
                bins,
            })
        })
    }

    /// Writes a line where tests show it.
    pub fn log(level: Level, message: &str) {
        eprintln!("{level:?} {message}");
    }
}
