//! Columns of a kind of exchange.

use crate::bindings::weir::plugin::types;

pub use types::{Kind, Per, Task};

/// The code of a missing text.
pub const MISSING: u32 = u32::MAX;

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    pub role: String,
    /// The feature, the class of a score, or the role where there is one such column only.
    pub name: String,
    pub kind: Kind,
    pub per: Per,
    /// Texts of a code column by code; grows.
    pub texts: Vec<String>,
    /// Its place among the sent columns of its kind and per; `None` if it is not sent.
    pub(crate) place: Option<usize>,
}

/// What exchanges of one route, model version and shape look like; grows.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Unique in the gateway's process.
    pub id: u32,
    pub route: String,
    pub model: String,
    pub model_version: String,
    pub task: Task,
    /// The columns the plugin asked for, in order.
    pub columns: Vec<Column>,
    sent: [usize; 4],
}

impl Schema {
    pub(crate) fn new(delta: &types::SchemaDelta) -> Self {
        Self {
            id: delta.id,
            route: delta.route.clone(),
            model: delta.model.clone(),
            model_version: delta.model_version.clone(),
            task: delta.task,
            columns: Vec::new(),
            sent: [0; 4],
        }
    }

    pub(crate) fn grow(&mut self, delta: types::SchemaDelta) {
        self.task = delta.task;
        for types::Column { role, name, kind, per, send } in delta.columns {
            let sent = &mut self.sent[part(kind, per)];
            let place = send.then_some(*sent);
            *sent += usize::from(send);
            self.columns.push(Column { role, name, kind, per, texts: Vec::new(), place });
        }
        for types::NewCodes { column, texts } in delta.codes {
            self.columns[column as usize].texts.extend(texts);
        }
    }

    /// The columns of a role with their indices, in order.
    pub fn with_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = (usize, &'a Column)> + 'a {
        self.columns.iter().enumerate().filter(move |(_, c)| c.role == role)
    }

    /// The first column of a role and kind.
    pub fn find(&self, role: &str, kind: Kind) -> Option<usize> {
        self.columns.iter().position(|c| c.role == role && c.kind == kind)
    }

    /// True if both are of one route, model and version.
    pub fn same_model(&self, other: &Self) -> bool {
        (&self.route, &self.model, &self.model_version) == (&other.route, &other.model, &other.model_version)
    }

    /// Route, model and version as one text, for what is kept or saved for each model.
    pub fn model_key(&self) -> String {
        [&*self.route, &*self.model, &*self.model_version].join("\n")
    }
}

/// What a plugin keeps for each schema. There are a few, so that a sorted list beats a map; forget them in
/// [`crate::Plugin::retire`].
#[derive(Clone, Debug)]
pub struct PerSchema<T>(Vec<(u32, T)>);

impl<T> Default for PerSchema<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> PerSchema<T> {
    /// What is kept for a schema, made anew if there is nothing yet.
    pub fn of(&mut self, schema: &Schema, make: impl FnOnce() -> T) -> &mut T {
        self.entry(schema.id, make)
    }

    /// Forgets what is kept for a schema.
    pub fn remove(&mut self, schema: &Schema) -> Option<T> {
        self.take(schema.id)
    }

    pub(crate) fn entry(&mut self, id: u32, make: impl FnOnce() -> T) -> &mut T {
        let at = match self.at(id) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (id, make()));
                at
            }
        };
        &mut self.0[at].1
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.at(id).ok().map(|at| &self.0[at].1)
    }

    pub(crate) fn take(&mut self, id: u32) -> Option<T> {
        self.at(id).ok().map(|at| self.0.remove(at).1)
    }

    /// In the order of their ids: the newest is the last.
    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.iter().map(|(_, it)| it)
    }

    fn at(&self, id: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |(id, _)| *id)
    }
}

fn part(kind: Kind, per: Per) -> usize {
    match (kind, per) {
        (Kind::Number, Per::Row) => 0,
        (Kind::Code, Per::Row) => 1,
        (Kind::Number, Per::Exchange) => 2,
        (Kind::Code, Per::Exchange) => 3,
    }
}
