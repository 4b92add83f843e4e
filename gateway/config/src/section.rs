//! The walk: one table of the document against the definition of its keys.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::fault::Place;
use crate::key::{Table, meant};
use crate::kind::Kind;
use crate::reader::{Item, Reader};

/// A struct whose fields are the keys of a table; made by `section!`.
pub(crate) trait Keys: Sized + 'static {
    const TABLE: &'static Table;

    /// Reads every key; what is faulty is recorded and replaced by its default.
    fn read(section: &mut Section<'_, '_, '_>) -> Self;
}

/// A table being read.
pub(crate) struct Section<'a, 'r, 'e> {
    table: &'a DeTable<'a>,
    place: Place,
    reader: &'r mut Reader<'e>,
}

impl<'a, 'r, 'e> Section<'a, 'r, 'e> {
    pub(crate) fn new(table: &'a DeTable<'a>, place: Place, reader: &'r mut Reader<'e>) -> Self {
        Self { table, place, reader }
    }

    /// The value of a key, or its default.
    pub(crate) fn default<K: Kind>(&mut self, name: &str, literal: &'static str, kind: &K) -> K::Out {
        self.optional(name, literal, kind).unwrap_or_else(|| {
            let value = DeValue::parse(literal).expect("a default is TOML, which a test proves");
            let item =
                Item { value: value.get_ref(), place: self.place.below(name, self.place.span.clone()) };
            kind.read(&item, self.reader).expect("a default is valid, which a test proves")
        })
    }

    /// The value of a key that must be there.
    pub(crate) fn required<K: Kind>(
        &mut self,
        name: &str,
        literal: &'static str,
        kind: &K,
    ) -> Option<K::Out> {
        if !self.table.contains_key(name) {
            let place = self.place.clone();
            self.reader.misfit(&place, format!("`{name}` is missing (write `{name} = {literal}`, say)"));
        }
        self.optional(name, literal, kind)
    }

    /// The value of a key that may be absent. `literal` is its example, which only the manual needs.
    pub(crate) fn optional<K: Kind>(&mut self, name: &str, _: &'static str, kind: &K) -> Option<K::Out> {
        let value = self.table.get(name)?;
        let item = Item { value: value.get_ref(), place: self.place.below(name, value.span()) };
        kind.read(&item, self.reader)
    }
}

/// Reads a table whole: its known keys, then a fault for each that is not.
pub(crate) fn read<S: Keys>(table: &DeTable<'_>, place: &Place, reader: &mut Reader<'_>) -> S {
    let keys = S::read(&mut Section::new(table, place.clone(), reader));
    for (name, _) in in_order(table) {
        let text: &str = name.get_ref();
        if S::TABLE.key(text).is_none() {
            let hint = meant(text, S::TABLE.names(), &elsewhere(text, S::TABLE));
            reader.misfit(&place.below(text, name.span()), format!("there is no key `{text}` here{hint}"));
        }
    }
    keys
}

/// A key as it stands in the file.
pub(crate) type Title<'a> = Spanned<DeString<'a>>;

/// A key and its value.
pub(crate) type Line<'t, 'a> = (&'t Title<'a>, &'t Spanned<DeValue<'a>>);

/// A table's entries in the order of the file: the parser sorts them by name.
pub(crate) fn in_order<'t, 'a>(table: &'t DeTable<'a>) -> Vec<Line<'t, 'a>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// Where a key unknown here is known, else which keys are known here.
fn elsewhere(name: &str, table: &Table) -> String {
    let tables = crate::document::tables();
    let Some((header, home)) = tables.iter().find(|(_, other)| other.key(name).is_some()) else {
        return format!("known: {}", table.names().collect::<Vec<_>>().join(", "));
    };
    let shared = tables.iter().filter(|(other, _)| other == header).count() > 1;
    let which = if shared { format!(" with `{}`", home.keys[0].name) } else { String::new() };
    format!("`{name}` is a key of `{header}`{which}")
}
