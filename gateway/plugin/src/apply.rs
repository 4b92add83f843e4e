//! Applies what a call returned: values to series and windows, verdicts, conditions. Whatever does not fit is
//! dropped and counted; nothing a plugin can return makes this take long.

use std::ops::Range;
use std::sync::Arc;

use weir_exchange::{Batch, Column, ColumnData, ConditionState, Verdict};

use crate::bindings::weir::plugin::types;
use crate::conditions::Report;
use crate::family::Cell;
use crate::handles::{Handles, Target};
use crate::metrics::{Cells, Dropped};
use crate::plan::Plan;
use crate::state::State;
use crate::view::View;
use crate::windows::Fed;

/// How often values may be used: a plugin observes a column in a metric and a window or two.
const USES: usize = 8;

/// Values that may be applied whatever the size of the batch, for ticks and small batches.
const FREE_VALUES: usize = 1 << 16;

/// Memory that is used again from call to call.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    finite: Vec<f64>,
    /// Values by code of the column they are grouped by, and which codes there were.
    groups: Vec<Vec<f64>>,
    codes: Vec<u32>,
    /// For each exchange, whether a listed verdict names it.
    named: Vec<bool>,
}

/// What an outcome belongs to.
pub(crate) struct Applier<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) handles: &'a Handles,
    pub(crate) state: &'a mut State,
    pub(crate) cells: &'a Cells,
    pub(crate) scratch: &'a mut Scratch,
    /// `None` for a tick.
    pub(crate) batch: Option<(&'a Batch, &'a View)>,
    /// Unix time the values are of.
    pub(crate) at_ns: u64,
}

/// What comes of an outcome beyond state.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) verdicts: Vec<Verdict>,
    /// Conditions that came or went.
    pub(crate) transitions: Vec<ConditionState>,
}

/// Values and where they are from: in a column of the host's, NaN is missing and no fault.
#[derive(Clone, Copy)]
struct Values<'v> {
    values: &'v [f64],
    column: bool,
}

impl<'a> Applier<'a> {
    pub(crate) fn apply(mut self, outcome: &types::Outcome) -> Applied {
        let packed =
            self.batch.map_or(0, |(batch, view)| batch.rows.max(batch.exchanges) * view.columns.len());
        let mut work = FREE_VALUES.saturating_add((packed + outcome.values.len()).saturating_mul(USES));
        for run in &outcome.runs {
            match self.source(run.source, outcome, &mut work) {
                Ok(values) => self.run(run.series, values),
                Err(reason) => self.cells.dropped(reason, 1),
            }
        }
        for feed in &outcome.feeds {
            let values = self.source(feed.source, outcome, &mut work);
            if let Err(reason) = values.and_then(|values| self.feed(feed, values)) {
                self.cells.dropped(reason, 1);
            }
        }
        let verdicts = self.verdicts(outcome, work);
        Applied { verdicts, transitions: self.conditions(&outcome.conditions) }
    }

    fn source<'o>(
        &self,
        source: types::Source,
        outcome: &'o types::Outcome,
        work: &mut usize,
    ) -> Result<Values<'o>, Dropped>
    where
        'a: 'o,
    {
        let values = match source {
            types::Source::Values(span) => {
                let values = outcome.values.get(range(span)).ok_or(Dropped::Span)?;
                Values { values, column: false }
            }
            types::Source::Column(column) => Values { values: self.number_column(column)?, column: true },
        };
        afford(work, values.values.len())?;
        Ok(values)
    }

    fn number_column(&self, column: u32) -> Result<&'a [f64], Dropped> {
        match self.column(column)? {
            ColumnData::Number(values) => Ok(values),
            ColumnData::Code(_) => Err(Dropped::Column),
        }
    }

    fn column(&self, column: u32) -> Result<&'a ColumnData, Dropped> {
        let (batch, view) = self.batch.ok_or(Dropped::Column)?;
        let seen = view.columns.get(column as usize).ok_or(Dropped::Column)?;
        batch.columns.get(seen.column).ok_or(Dropped::Column)
    }

    fn run(&self, series: u32, Values { values, column }: Values<'_>) {
        let Some(Target::Series(cell)) = self.handles.get(series) else {
            self.cells.dropped(Dropped::Handle, 1);
            return;
        };
        let mut odd = 0;
        // A value that is missing in a column is no loss.
        let mut finite = |x: f64| {
            odd += u64::from(!(x.is_finite() || column && x.is_nan()));
            x.is_finite()
        };
        match cell {
            Cell::Histogram(histogram) => {
                histogram.observe_all_local(values.iter().copied().filter(|x| finite(*x)));
            }
            Cell::Gauge(gauge) => {
                if let Some(last) = values.iter().copied().filter(|x| finite(*x)).last() {
                    gauge.set(last);
                }
            }
            Cell::Counter(counter) => {
                let (mut whole, mut rest, mut negative) = (0_u64, 0.0, 0);
                for x in values.iter().copied().filter(|x| finite(*x)) {
                    match x {
                        _ if x < 0.0 => negative += 1,
                        // Whole numbers are counted exactly, as far as a float holds them.
                        _ if x.fract() == 0.0 && x < 9e15 => whole = whole.saturating_add(x as u64),
                        _ => rest += x,
                    }
                }
                counter.bump(whole);
                counter.add_f64(rest);
                self.cells.dropped(Dropped::Negative, negative);
            }
        }
        self.cells.dropped(Dropped::NotFinite, odd);
    }

    fn feed(&mut self, feed: &types::Feed, values: Values<'_>) -> Result<(), Dropped> {
        let Some(Target::Window(place)) = self.handles.get(feed.window) else {
            return Err(Dropped::Handle);
        };
        let fed = match feed.group_by {
            None => {
                let Scratch { finite, .. } = &mut *self.scratch;
                finite.clear();
                finite.extend(values.values.iter().filter(|x| x.is_finite()));
                self.state.windows.feed(*place, None, self.at_ns, finite)
            }
            Some(by) => self.feed_groups(*place, by, values.values)?,
        };
        let odd = |x: &&f64| !(x.is_finite() || values.column && x.is_nan());
        self.cells.dropped(Dropped::NotFinite, values.values.iter().filter(odd).count() as u64);
        self.cells.dropped(Dropped::Late, fed.late);
        self.cells.dropped(Dropped::Room, fed.no_room);
        Ok(())
    }

    /// Sorts values by the code beside each and feeds every text's window once.
    fn feed_groups(&mut self, place: usize, by: u32, values: &[f64]) -> Result<Fed, Dropped> {
        let ColumnData::Code(codes) = self.column(by)? else { return Err(Dropped::Column) };
        let (batch, view) = self.batch.ok_or(Dropped::Column)?;
        if codes.len() != values.len() {
            return Err(Dropped::Column);
        }
        let dictionary = &batch.schema.columns[view.columns[by as usize].column].codes;
        let Scratch { groups, codes: present, .. } = &mut *self.scratch;
        if groups.len() < dictionary.len() {
            groups.resize_with(dictionary.len(), Vec::new);
        }
        for (code, x) in codes.iter().zip(values) {
            // A row without a text is in no group.
            if *code == Column::MISSING || *code as usize >= dictionary.len() || !x.is_finite() {
                continue;
            }
            let group = &mut groups[*code as usize];
            if group.is_empty() {
                present.push(*code);
            }
            group.push(*x);
        }
        let mut fed = Fed::default();
        for code in present.drain(..) {
            let group = &mut groups[code as usize];
            let text = Some(&dictionary[code as usize]);
            fed.add(self.state.windows.feed(place, text, self.at_ns, group));
            group.clear();
        }
        Ok(fed)
    }

    fn verdicts(&mut self, outcome: &types::Outcome, mut work: usize) -> Vec<Verdict> {
        if outcome.verdicts.is_empty() {
            return Vec::new();
        }
        let Some((batch, _)) = self.batch else {
            self.cells.dropped(Dropped::Exchange, outcome.verdicts.len() as u64);
            return Vec::new();
        };
        let mut verdicts = Vec::new();
        self.scratch.named.clear();
        self.scratch.named.resize(batch.exchanges, false);
        let mut rest = Vec::new();
        for verdict in &outcome.verdicts {
            let done = self.wish(verdict).and_then(|wish| match verdict.exchanges {
                types::Selection::Rest => {
                    afford(&mut work, batch.exchanges)?;
                    rest.push(wish);
                    Ok(())
                }
                types::Selection::Listed(span) => {
                    let listed = outcome.exchanges.get(range(span)).ok_or(Dropped::Span)?;
                    afford(&mut work, listed.len())?;
                    self.list(listed, wish, &mut verdicts);
                    Ok(())
                }
            });
            if let Err(reason) = done {
                self.cells.dropped(reason, 1);
            }
        }
        for wish in rest {
            let unnamed = (0..).zip(&self.scratch.named).filter(|(_, named)| !**named);
            verdicts.extend(unnamed.map(|(exchange, _)| said(exchange, wish)));
        }
        verdicts
    }

    fn wish(&self, verdict: &types::Verdict) -> Result<(&'a Arc<str>, f64), Dropped> {
        let reason = self.plan.reasons.get(verdict.reason as usize).ok_or(Dropped::Reason)?;
        if !verdict.probability.is_finite() {
            return Err(Dropped::NotFinite);
        }
        Ok((reason, verdict.probability.clamp(0.0, 1.0)))
    }

    fn list(&mut self, listed: &[u32], wish: (&Arc<str>, f64), verdicts: &mut Vec<Verdict>) {
        for exchange in listed {
            match self.scratch.named.get_mut(*exchange as usize) {
                Some(named) => {
                    *named = true;
                    verdicts.push(said(*exchange, wish));
                }
                None => self.cells.dropped(Dropped::Exchange, 1),
            }
        }
    }

    fn conditions(&self, reports: &[types::ConditionState]) -> Vec<ConditionState> {
        let mut transitions = Vec::new();
        if reports.is_empty() {
            return transitions;
        }
        let mut conditions = self.state.conditions.lock();
        for types::ConditionState { condition, active, value, count } in reports {
            match self.handles.get(*condition) {
                // The value is shown, not computed with, but JSON has no NaN.
                Some(Target::Condition(_)) if !value.is_finite() => self.cells.dropped(Dropped::NotFinite, 1),
                Some(Target::Condition(place)) => {
                    let report = Report { active: *active, value: *value, count: *count };
                    transitions.extend(conditions.report(*place, report, self.at_ns).cloned());
                }
                _ => self.cells.dropped(Dropped::Handle, 1),
            }
        }
        transitions
    }
}

fn said(exchange: u32, (reason, probability): (&Arc<str>, f64)) -> Verdict {
    Verdict { exchange, reason: reason.clone(), probability }
}

/// Takes the work on some values from what is left. One more, so that empty spans are not free.
fn afford(work: &mut usize, values: usize) -> Result<(), Dropped> {
    *work = work.checked_sub(values + 1).ok_or(Dropped::Work)?;
    Ok(())
}

fn range(types::Span { start, len }: types::Span) -> Range<usize> {
    start as usize..(start as usize).saturating_add(len as usize)
}
