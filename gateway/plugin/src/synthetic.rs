//! Batches that nobody sent, to try a plugin with before use and to measure one.

use std::sync::Arc;

use weir_exchange::{Batch, Column, ColumnData, Kind, ObservedRoute, Outcome, Per, Role, Schema, SchemaId};
use weir_profile::{FeatureKind, Profile};

/// Any moment will do; a plugin may not depend on it.
pub(crate) const BEGIN_UNIX_NS: u64 = 1_700_000_000_000_000_000;

/// The column whose values are segments.
pub(crate) const SEGMENT: &str = "segment";

/// What a batch is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) schema: SchemaId,
    pub(crate) exchanges: usize,
    pub(crate) rows_per_exchange: usize,
    /// Number columns of the request.
    pub(crate) features: usize,
    /// Text columns of the request.
    pub(crate) texts: usize,
    pub(crate) classes: usize,
    /// One value in so many is missing; 0 for none.
    pub(crate) missing: usize,
}

impl Shape {
    pub(crate) fn batch(&self) -> Batch {
        let columns = self.columns();
        let rows = self.exchanges * self.rows_per_exchange;
        let mut noise = Noise(0x2545_f491_4f6c_dd1d);
        let data = columns.iter().map(|column| {
            let len = if column.role.per() == Per::Row { rows } else { self.exchanges };
            self.values(column, len, &mut noise)
        });
        let data = data.collect();
        let row_exchange = (0..rows).map(|row| (row / self.rows_per_exchange.max(1)) as u32).collect();
        self.of((columns, data), row_exchange, ["synthetic", "1"])
    }

    /// Traffic that looks like what a profile describes: values where the reference had some, of the model
    /// that the profile is bound to.
    pub(crate) fn batch_of(&self, profile: &Profile, segments: u32) -> Batch {
        let mut noise = Noise(0x2545_f491_4f6c_dd1d);
        let mut columns: Vec<Column> = exchange_columns().collect();
        let mut data: Vec<ColumnData> =
            columns.iter().map(|column| self.values(column, self.exchanges, &mut noise)).collect();
        for feature in &profile.features {
            let (texts, values) = match &feature.kind {
                FeatureKind::Number { bins, .. } => {
                    let points = bins.points();
                    let any = || points.get(noise.next() as usize % points.len().max(1)).copied();
                    let any = std::iter::repeat_with(any).map(|point| point.unwrap_or(f64::NAN));
                    (Vec::new(), ColumnData::Number(any.take(self.exchanges).collect()))
                }
                FeatureKind::Category { texts } => {
                    let any = || (noise.next() % texts.len().max(1) as u64) as u32;
                    let codes = std::iter::repeat_with(any).take(self.exchanges).collect();
                    (texts.clone(), ColumnData::Code(codes))
                }
            };
            let (name, kind) = (feature.name.clone(), feature.column_kind());
            columns.push(Column { role: feature.role, name, kind, codes: texts });
            data.push(values);
        }
        if segments > 0 {
            let codes = (0..segments).map(|segment| segment.to_string().into()).collect();
            columns.push(Column { role: Role::Input, name: SEGMENT.into(), kind: Kind::Code, codes });
            let any = || (noise.next() % u64::from(segments)) as u32;
            data.push(ColumnData::Code(std::iter::repeat_with(any).take(self.exchanges).collect()));
        }
        let bound = profile.model.as_ref();
        let model = bound.map_or("synthetic", |model| &model.name);
        let version = bound.and_then(|model| model.version.as_deref()).unwrap_or("1");
        self.of((columns, data), (0..self.exchanges as u32).collect(), [model, version])
    }

    fn of(
        &self,
        (columns, data): (Vec<Column>, Vec<ColumnData>),
        row_exchange: Vec<u32>,
        [model, model_version]: [&str; 2],
    ) -> Batch {
        let route = route();
        let schema = Schema {
            id: self.schema,
            version: 1,
            route: route.name.clone(),
            model: model.into(),
            model_version: model_version.into(),
            classification: (self.classes > 0).then_some(true),
            columns,
        };
        Batch {
            sequence: 0,
            route,
            schema: Arc::new(schema),
            rows: row_exchange.len(),
            exchanges: self.exchanges,
            row_exchange,
            columns: data,
            outcomes: vec![Outcome::Ok; self.exchanges],
            trace_ids: vec![0; self.exchanges],
            probabilities: vec![1.0; self.exchanges],
            closed_unix_ns: BEGIN_UNIX_NS,
        }
    }

    fn columns(&self) -> Vec<Column> {
        let exchange = exchange_columns();
        let features = (0..self.features).map(|i| column(Role::Input, &format!("feature_{i}"), &[]));
        let texts =
            (0..self.texts).map(|i| column(Role::Input, &format!("text_{i}"), &["red", "green", "blue"]));
        let output = (self.classes > 0).then(|| column(Role::Output, "output", &[]));
        let scores = (0..self.classes).map(|i| column(Role::Score, &i.to_string(), &[]));
        exchange.chain(features).chain(texts).chain(output).chain(scores).collect()
    }

    fn values(&self, column: &Column, len: usize, noise: &mut Noise) -> ColumnData {
        let missing = |i: usize| column.role == Role::Input && self.missing > 0 && i % self.missing == 1;
        if column.kind == Kind::Code {
            let codes = column.codes.len() as u64;
            let any = column.role == Role::Input;
            let code = |i| match i {
                _ if missing(i) => Column::MISSING,
                _ if any => (noise.next() % codes) as u32,
                _ => 0,
            };
            return ColumnData::Code((0..len).map(code).collect());
        }
        let number = |i| {
            let unit = noise.unit();
            match column.role {
                _ if missing(i) => f64::NAN,
                Role::Status => 200.0,
                Role::Duration => 0.001 + unit / 100.0,
                Role::RequestBytes | Role::ResponseBytes => (unit * 1000.0).floor(),
                Role::Time => BEGIN_UNIX_NS as f64 / 1e9,
                Role::Output => (unit * self.classes as f64).floor(),
                Role::Score => 1.0 / self.classes as f64,
                _ => unit * 100.0,
            }
        };
        ColumnData::Number((0..len).map(number).collect())
    }
}

fn exchange_columns() -> impl Iterator<Item = Column> {
    Role::ALL.into_iter().filter(|role| role.per() == Per::Exchange).map(|role| {
        if role == Role::Outcome {
            column(role, role.as_str(), &Outcome::ALL.map(Outcome::as_str))
        } else {
            column(role, role.as_str(), &[])
        }
    })
}

fn column(role: Role, name: &str, codes: &[&str]) -> Column {
    let kind = if codes.is_empty() { Kind::Number } else { Kind::Code };
    Column { role, name: name.into(), kind, codes: codes.iter().map(|text| Arc::from(*text)).collect() }
}

fn route() -> Arc<ObservedRoute> {
    Arc::new(ObservedRoute::named("synthetic", None))
}

/// Xorshift (Marsaglia, 2003): the same numbers every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
