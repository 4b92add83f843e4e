//! Past rows as the batches they would have come in.

use std::fs::File;
use std::sync::Arc;

use weir_exchange::{Batch, Column, ColumnData, Kind, ObservedRoute, Outcome, Role, Schema, SchemaId};
use weir_profile::{BuildError, FeatureKind, Misfits, Profile, Sheet, SheetColumn, Typing, Values};
use weir_telemetry::log::rfc3339;

use crate::cli::{CliError, ReplayArgs};
use crate::commands::profile::{predicted, read_model};

/// Rows of one batch.
const BATCH: usize = 4096;

/// Rows in the order of time.
pub(super) struct Rows {
    sheet: Sheet,
    schema: Arc<Schema>,
    route: Arc<ObservedRoute>,
    /// Time of each row in ns, rising.
    times: Vec<u64>,
    /// Row of the sheet, by time.
    order: Vec<usize>,
    source: String,
}

impl Rows {
    /// Reads the rows as the profile's columns.
    pub(super) fn read(args: &ReplayArgs, profile: &Profile) -> Result<Self, CliError> {
        let data = args.data.display();
        let failed = |error: String| format!("failed to replay `{data}`: {error}");
        let open = || File::open(&args.data).map_err(|error| format!("failed to read `{data}`: {error}"));
        let typing = typing(args, profile);
        let sheet = match Sheet::read(open()?, &typing) {
            // A column of the profile that is not there: all of them are named, and no option nobody gave.
            Err(BuildError::Option { .. }) => {
                let plain = Typing { category: Vec::new(), number: Vec::new(), ..typing };
                let columns =
                    Sheet::read(open()?, &plain).map_err(|error| failed(error.to_string()))?.columns;
                return Err(failed(lacking(profile, &columns).to_string()).into());
            }
            read => read.map_err(|error| failed(error.to_string()))?,
        };
        let (times, _) = sheet.times(&args.time).map_err(|error| failed(error.to_string()))?;
        let mut sheet = match &args.model {
            Some(model) => predicted(sheet, &read_model(model)?).map_err(failed)?,
            None => sheet,
        };
        sheet.columns.iter_mut().for_each(|column| settle_role(column, profile, args));
        let mut order: Vec<usize> = (0..sheet.rows).collect();
        order.sort_by_key(|row| times[*row]);
        let ns = |row: &usize| u64::try_from(times[*row]).unwrap_or_default().saturating_mul(1_000_000);
        let times: Vec<u64> = order.iter().map(ns).collect();
        if times.is_empty() {
            return Err(failed("the data holds no rows".to_owned()).into());
        }
        let schema = schema(&sheet, profile);
        let misfits = profile.fit(schema.columns.iter().map(|it| (it.role, &*it.name, it.kind)));
        if !misfits.missing.is_empty() || !misfits.other_kind.is_empty() {
            return Err(failed(misfits.to_string()).into());
        }
        let route = Arc::new(ObservedRoute::named("replay", None));
        Ok(Self { sheet, schema: Arc::new(schema), route, times, order, source: data.to_string() })
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    fn last_ns(&self) -> u64 {
        self.times.last().copied().unwrap_or_default()
    }

    pub(super) fn summary(&self) -> String {
        let day = |ns: u64| rfc3339(ns / 1_000_000)[..10].to_owned();
        let first = self.times.first().copied().unwrap_or_default();
        format!("data        {}, {} rows, {} to {}", self.source, self.len(), day(first), day(self.last_ns()))
    }

    /// Batches in the order of time, none of which spans the end of a window.
    pub(super) fn batches(&self, span_ns: u64) -> impl Iterator<Item = Batch> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let first = *self.times.get(from)?;
            let end_ns = first - first % span_ns + span_ns;
            let to = from + self.times[from..].partition_point(|time| *time < end_ns).min(BATCH);
            let batch = self.batch(from, to);
            from = to;
            Some(batch)
        })
    }

    fn batch(&self, from: usize, to: usize) -> Batch {
        let rows = &self.order[from..to];
        let columns = self.schema.columns.iter().map(|column| {
            let found = self.sheet.columns.iter().find(|it| it.role == column.role && it.name == column.name);
            match found.map(|it| &it.values) {
                Some(Values::Number(numbers)) => {
                    ColumnData::Number(rows.iter().map(|row| numbers[*row]).collect())
                }
                Some(Values::Text(texts)) => {
                    ColumnData::Code(rows.iter().map(|row| texts.codes[*row]).collect())
                }
                _ => ColumnData::Number(vec![f64::NAN; rows.len()]),
            }
        });
        Batch {
            sequence: from as u64,
            route: self.route.clone(),
            schema: self.schema.clone(),
            rows: rows.len(),
            exchanges: rows.len(),
            row_exchange: (0..rows.len() as u32).collect(),
            columns: columns.collect(),
            outcomes: vec![Outcome::Ok; rows.len()],
            trace_ids: vec![0; rows.len()],
            probabilities: vec![1.0; rows.len()],
            closed_unix_ns: self.times[to - 1],
        }
    }
}

/// Columns are what they were in the profile, whatever these rows look like.
fn typing(args: &ReplayArgs, profile: &Profile) -> Typing {
    let of = |category: bool| {
        let is = move |kind: &FeatureKind| matches!(kind, FeatureKind::Category { .. }) == category;
        let inputs = profile.features.iter().filter(|it| it.role == Role::Input);
        inputs.filter(move |it| is(&it.kind)).map(|it| it.name.to_string()).collect()
    };
    Typing { category: of(true), number: of(false), missing: args.missing.clone(), guess: true }
}

/// Inputs of the profile that the data does not have.
fn lacking(profile: &Profile, columns: &[SheetColumn]) -> Misfits {
    let inputs = profile.features.iter().filter(|it| it.role == Role::Input);
    let missing = inputs.filter(|it| !columns.iter().any(|column| column.name == it.name));
    Misfits { missing: missing.map(|it| (it.role, it.name.clone())).collect(), ..Misfits::default() }
}

/// A column of predictions or scores is one of the profile's, unless a model has made it.
fn settle_role(column: &mut SheetColumn, profile: &Profile, args: &ReplayArgs) {
    if column.role != Role::Input {
        return;
    }
    if args.prediction.as_deref() == Some(&*column.name) {
        let output = profile.features.iter().find(|it| it.role == Role::Output);
        column.role = Role::Output;
        column.name = output.map_or_else(|| "0".into(), |it| it.name.clone());
    } else if args.score.iter().any(|name| **name == *column.name) {
        column.role = Role::Score;
    }
}

/// What the rows have of the profile, and its segment and entity.
fn schema(sheet: &Sheet, profile: &Profile) -> Schema {
    let of_profile = |it: &&SheetColumn| {
        profile.feature(it.role, &it.name).is_some()
            || [&profile.segment, &profile.entity].iter().any(|name| name.as_deref() == Some(&*it.name))
    };
    let column = |it: &SheetColumn| {
        let (kind, codes) = match &it.values {
            Values::Text(texts) => (Kind::Code, texts.dictionary.clone()),
            _ => (Kind::Number, Vec::new()),
        };
        Column { role: it.role, name: it.name.clone(), kind, codes }
    };
    let model = profile.model.as_ref();
    Schema {
        id: SchemaId(0),
        version: 1,
        route: "replay".into(),
        model: model.map_or("", |it| &it.name).into(),
        model_version: model.and_then(|it| it.version.as_deref()).unwrap_or_default().into(),
        classification: None,
        columns: sheet.columns.iter().filter(of_profile).map(column).collect(),
    }
}
