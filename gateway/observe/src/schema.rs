//! One live schema of one telemetry thread: which field goes to which column, dictionaries, and the snapshot
//! that batches carry. Everything only grows.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use weir_exchange::{Column, Fields, Kind, ObservedRoute, Outcome, Per, Role, Schema, SchemaId, Table};

use crate::config::SchemaLimits;

/// The columns every schema begins with, one value an exchange each, in this order.
pub(crate) const EXCHANGE_ROLES: [Role; 6] =
    [Role::Status, Role::Duration, Role::RequestBytes, Role::ResponseBytes, Role::Time, Role::Outcome];

/// Bytes of one exchange in a batch: five numbers and a code, and what stands beside the columns.
pub(crate) const EXCHANGE_BYTES: usize = 5 * 8 + 4 + 24;

/// Bytes of one row before its columns: the index of its exchange.
const ROW_BYTES: usize = 4;

/// Bytes around a dictionary entry: its reference counts and its places in the dictionary and in the column.
const NAME_BYTES: usize = 64;

/// Bytes around a field name: the same, and the columns the field may get.
const FIELD_BYTES: usize = 256;

/// What carries rows, in the order the tables of an exchange are handed around.
pub(crate) const ROW_ROLES: [Role; 3] = [Role::Input, Role::Output, Role::Score];

/// Request rows, predictions and scores of one exchange; `None` where a side has no rows.
pub(crate) type Tables<'a> = [Option<&'a Table>; 3];

/// The form of one table. Positional rows are told apart by width, so that a client that sends the wrong
/// width does not pollute the schema of those who send the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Positional(usize),
    Named,
}

impl Shape {
    /// `None` if the table has no cells.
    pub(crate) fn of(table: &Table) -> Option<Self> {
        match table.fields {
            _ if table.rows == 0 || table.width == 0 => None,
            Fields::Positional => Some(Self::Positional(table.width)),
            Fields::Named(_) => Some(Self::Named),
        }
    }
}

/// The forms of an exchange's tables, as decoded.
pub(crate) type Signature = [Option<Shape>; 3];

/// No column: the field has not carried a value of this kind, or the cap turned it away.
const NONE: u32 = u32::MAX;

/// The columns of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    number: u32,
    code: u32,
}

impl Slot {
    const EMPTY: Self = Self { number: NONE, code: NONE };
}

/// The fields of one role.
#[derive(Debug, Default)]
struct Side {
    slots: Vec<Slot>,
    /// By field name; a positional field's name is its index.
    by_name: HashMap<Arc<str>, u32, ahash::RandomState>,
    /// Names (if it was a named one), width, and the slot of each field of the table seen last.
    names: Vec<Arc<str>>,
    width: usize,
    order: Vec<u32>,
}

/// How many columns and codes the caps turned away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TurnedAway {
    pub(crate) columns: u64,
    pub(crate) codes: u64,
}

type Codes = HashMap<Arc<str>, u32, ahash::RandomState>;

#[derive(Debug)]
pub(crate) struct OpenSchema {
    pub(crate) route: Arc<ObservedRoute>,
    pub(crate) classification: Option<bool>,
    pub(crate) last_used: Instant,
    pub(crate) turned_away: TurnedAway,
    signature: Signature,
    sides: [Side; 3],
    columns: Vec<Column>,
    dictionaries: Vec<Codes>,
    row_bytes: usize,
    /// Bytes of field names and dictionaries, with what stands around each.
    names_bytes: usize,
    grown: bool,
    snapshot: Arc<Schema>,
    limits: SchemaLimits,
}

/// What a schema is called.
pub(crate) struct SchemaName<'a> {
    pub(crate) id: SchemaId,
    pub(crate) model: &'a Arc<str>,
    pub(crate) model_version: &'a Arc<str>,
}

impl OpenSchema {
    pub(crate) fn new(
        route: &Arc<ObservedRoute>,
        name: &SchemaName<'_>,
        limits: SchemaLimits,
        now: Instant,
    ) -> Self {
        let columns: Vec<Column> = EXCHANGE_ROLES.into_iter().map(exchange_column).collect();
        let snapshot = Schema {
            id: name.id,
            version: 0,
            route: route.name.clone(),
            model: name.model.clone(),
            model_version: name.model_version.clone(),
            classification: None,
            columns: Vec::new(),
        };
        Self {
            route: route.clone(),
            classification: None,
            last_used: now,
            turned_away: TurnedAway::default(),
            signature: [None; 3],
            sides: Default::default(),
            dictionaries: columns.iter().map(|_| Codes::default()).collect(),
            columns,
            row_bytes: ROW_BYTES,
            names_bytes: 0,
            grown: true,
            snapshot: Arc::new(snapshot),
            limits,
        }
    }

    pub(crate) fn id(&self) -> SchemaId {
        self.snapshot.id
    }

    /// True if an exchange of this form belongs here. A body that is absent fits any form, and a body that
    /// this schema has not seen yet takes the form of the first exchange that has it. Predictions and scores
    /// are one body: a reply that has both is of another form than one that has only either, so that what
    /// says the class of a row is the same for all rows.
    pub(crate) fn fits(&self, route: &Arc<ObservedRoute>, signature: &Signature) -> bool {
        let fit = |mine: &[Option<Shape>], its: &[Option<Shape>]| {
            let absent = |body: &[Option<Shape>]| body.iter().all(Option::is_none);
            absent(mine) || absent(its) || mine == its
        };
        let ((request, reply), (its_request, its_reply)) =
            (self.signature.split_at(1), signature.split_at(1));
        fit(request, its_request) && fit(reply, its_reply) && same_reading(&self.route, route)
    }

    /// Takes on the forms of an exchange that fits.
    pub(crate) fn adopt(&mut self, signature: &Signature) {
        for (mine, its) in self.signature.iter_mut().zip(signature) {
            *mine = mine.or(*its);
        }
    }

    /// Freezes whether replies have class scores. That they have none is what a reply without any says, and
    /// holds until one has them under a name of their own: `classify` says true to a frozen false only then.
    pub(crate) fn decide(&mut self, classification: Option<bool>) {
        let decides =
            matches!((self.classification, classification), (None, Some(_)) | (Some(false), Some(true)));
        if decides {
            self.classification = classification;
            self.grown = true;
        }
    }

    /// Bytes that one row takes in a batch, whether its cells are there or missing.
    pub(crate) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Makes the columns that these tables need and finds the column of each of their fields.
    pub(crate) fn prepare(&mut self, tables: &Tables<'_>) {
        for (side, table) in tables.iter().enumerate() {
            if let Some(table) = table {
                self.align(side, table);
                self.grow(side, table);
            }
        }
    }

    /// Number column of a field of the table prepared last.
    pub(crate) fn number_column(&self, side: usize, field: usize) -> Option<usize> {
        let slot = self.sides[side].order.get(field)?;
        let number = self.sides[side].slots.get(*slot as usize)?.number;
        (number != NONE).then_some(number as usize)
    }

    /// Code column of a field of the table prepared last.
    pub(crate) fn code_column(&self, side: usize, field: usize) -> Option<usize> {
        let slot = self.sides[side].order.get(field)?;
        let code = self.sides[side].slots.get(*slot as usize)?.code;
        (code != NONE).then_some(code as usize)
    }

    /// The code of a text, new or known.
    pub(crate) fn encode(&mut self, column: usize, text: &str) -> u32 {
        if text.len() > self.limits.text_bytes {
            return self.encode_short(column, length_class(text.len()));
        }
        self.encode_short(column, text)
    }

    fn encode_short(&mut self, column: usize, text: &str) -> u32 {
        let dictionary = &mut self.dictionaries[column];
        if let Some(code) = dictionary.get(text) {
            return *code;
        }
        // The last place is for all that come after it.
        let full = dictionary.len() + 1 >= self.limits.codes
            || self.names_bytes + text.len() + NAME_BYTES > self.limits.names_bytes;
        self.turned_away.codes += u64::from(full);
        let text = if full { Column::OTHER } else { text };
        if let Some(code) = dictionary.get(text) {
            return *code;
        }
        self.names_bytes += text.len() + NAME_BYTES;
        let text: Arc<str> = text.into();
        let code = self.columns[column].codes.len() as u32;
        self.columns[column].codes.push(text.clone());
        dictionary.insert(text, code);
        self.grown = true;
        code
    }

    /// The schema as it is now; the same `Arc` while nothing grew. True if it is a new one.
    pub(crate) fn snapshot(&mut self) -> (Arc<Schema>, bool) {
        let grown = std::mem::take(&mut self.grown);
        if grown {
            self.snapshot = Arc::new(Schema {
                id: self.snapshot.id,
                version: self.snapshot.version + 1,
                route: self.snapshot.route.clone(),
                model: self.snapshot.model.clone(),
                model_version: self.snapshot.model_version.clone(),
                classification: self.classification,
                columns: self.columns.clone(),
            });
        }
        (self.snapshot.clone(), grown)
    }

    /// Fills `order` for this table; unchanged names cost one comparison a field.
    fn align(&mut self, side: usize, table: &Table) {
        let Side { names, width, .. } = &self.sides[side];
        match &table.fields {
            Fields::Positional if names.is_empty() && *width == table.width => {}
            Fields::Positional => {
                self.sides[side].names.clear();
                // Fields past the cap have no place in `order` and so no column.
                let kept = table.width.min(self.limits.columns);
                self.turned_away.columns += (table.width - kept) as u64;
                self.order_by(side, (0..kept).map(|field| Arc::from(field.to_string())));
            }
            Fields::Named(fields) if *names == *fields && *width == table.width => {}
            Fields::Named(fields) => {
                self.sides[side].names.clone_from(fields);
                self.order_by(side, fields.iter().cloned());
            }
        }
        self.sides[side].width = table.width;
    }

    fn order_by(&mut self, side: usize, names: impl Iterator<Item = Arc<str>>) {
        let SchemaLimits { columns, text_bytes, names_bytes, .. } = self.limits;
        let Side { slots, by_name, order, .. } = &mut self.sides[side];
        order.clear();
        for name in names {
            let known = by_name.get(&name).copied();
            let bytes = name.len() + FIELD_BYTES;
            let full =
                slots.len() >= columns || name.len() > text_bytes || self.names_bytes + bytes > names_bytes;
            order.push(match known {
                Some(slot) => slot,
                None if full => {
                    self.turned_away.columns += 1;
                    NONE
                }
                None => {
                    self.names_bytes += bytes;
                    let slot = slots.len() as u32;
                    slots.push(Slot::EMPTY);
                    by_name.insert(name, slot);
                    slot
                }
            });
        }
    }

    /// A field has no column until it carried a value, so that a text field that begins with a null does not
    /// get a number column that is always empty.
    fn grow(&mut self, side: usize, table: &Table) {
        for field in 0..self.sides[side].order.len() {
            if self.number_column(side, field).is_none() && has_number(table, field) {
                self.add(side, field, Kind::Number, table);
            }
        }
        for (cell, _) in &table.texts {
            let field = *cell as usize % table.width;
            if self.code_column(side, field).is_none() {
                self.add(side, field, Kind::Code, table);
            }
        }
    }

    fn add(&mut self, side: usize, field: usize, kind: Kind, table: &Table) {
        let Some(slot) = self.sides[side].order.get(field).copied().filter(|slot| *slot != NONE) else {
            return;
        };
        if self.columns.len() >= self.limits.columns {
            self.turned_away.columns += 1;
            return;
        }
        let column = self.columns.len() as u32;
        let name = field_name(field, table);
        self.columns.push(Column { role: ROW_ROLES[side], name, kind, codes: Vec::new() });
        self.dictionaries.push(Codes::default());
        let slot = &mut self.sides[side].slots[slot as usize];
        match kind {
            Kind::Number => slot.number = column,
            Kind::Code => slot.code = column,
        }
        self.row_bytes += if kind == Kind::Number { 8 } else { 4 };
        self.grown = true;
    }
}

/// Named fields keep their name; the rest is numbered from 0.
fn field_name(field: usize, table: &Table) -> Arc<str> {
    match &table.fields {
        Fields::Named(names) => names[field].clone(),
        Fields::Positional => field.to_string().into(),
    }
}

fn has_number(table: &Table, field: usize) -> bool {
    table.numbers.iter().skip(field).step_by(table.width).any(|n| !n.is_nan())
}

/// Whether two generations of a route read bodies alike, so that a schema can go on over the reload.
fn same_reading(a: &Arc<ObservedRoute>, b: &Arc<ObservedRoute>) -> bool {
    Arc::ptr_eq(a, b) || (a.protocol == b.protocol && a.output == b.output && a.privacy == b.privacy)
}

fn exchange_column(role: Role) -> Column {
    debug_assert_eq!(role.per(), Per::Exchange);
    let codes = match role {
        Role::Outcome => Outcome::ALL.iter().map(|o| o.as_str().into()).collect(),
        _ => Vec::new(),
    };
    let kind = if role == Role::Outcome { Kind::Code } else { Kind::Number };
    Column { role, name: role.as_str().into(), kind, codes }
}

/// What stands for a text that is too long to keep: its length in seven classes, so that a dictionary holds
/// few of them.
fn length_class(bytes: usize) -> &'static str {
    match bytes {
        0..=256 => "(text up to 256 bytes)",
        257..=512 => "(text up to 512 bytes)",
        513..=1024 => "(text up to 1 KiB)",
        1025..=4096 => "(text up to 4 KiB)",
        4097..=16_384 => "(text up to 16 KiB)",
        16_385..=65_536 => "(text up to 64 KiB)",
        _ => "(text over 64 KiB)",
    }
}
