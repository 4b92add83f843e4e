//! The one definition of every key. From a [`Table`] come the reading of a file, the suggestions for
//! unknown keys, the JSON schema, the commented default and the redacted view; `section!` makes it from a
//! struct's own fields and doc comments.

use crate::kind::{Describe, Kind};

/// A key of a table.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// Doc comment, one line each, each with a leading space.
    pub(crate) doc: &'static str,
    pub(crate) presence: Presence,
    /// The default, or for a key that has none an example, as TOML.
    pub(crate) literal: &'static str,
    pub(crate) kind: &'static dyn Describe,
}

/// What the absence of a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The default holds.
    Default,
    /// A fault.
    Required,
    /// Nothing: the feature is off or decided elsewhere.
    Optional,
}

/// The keys of one table, in the order of the manual.
pub(crate) struct Table {
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [Key],
}

impl Table {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys.iter().map(|key| key.name)
    }
}

/// The known word nearest to `word`, if one is near enough to have been meant: a few typing errors away, or
/// longer or shorter at its end.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const SHORTEST: usize = 3;
    let word = word.to_ascii_lowercase();
    let enough = word.chars().count() / 3;
    let distance = |known: &str| {
        let known = known.to_ascii_lowercase();
        let (short, long) = if known.len() < word.len() { (&known, &word) } else { (&word, &known) };
        let cut = short.len() >= SHORTEST && long.starts_with(&**short);
        let typed = strsim::osa_distance(&word, &known);
        if cut { typed.min(enough) } else { typed }
    };
    let (distance, best) = known.into_iter().map(|known| (distance(known), known)).min_by_key(|(d, _)| *d)?;
    (distance <= enough).then_some(best)
}

/// ` (did you mean ..?)`, or else the hint given.
pub(crate) fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    match nearest(word, known) {
        Some(near) => format!(" (did you mean `{near}`?)"),
        None if otherwise.is_empty() => String::new(),
        None => format!(" ({otherwise})"),
    }
}

/// Declares a section: a struct whose fields are the keys of a TOML table. Each field says, after its type,
/// what its absence means (`default`, `required`, `optional`), a TOML literal (the default or an example)
/// and its kind. Fields under `beside` are no keys; the code that reads the section fills them.
macro_rules! section {
    (
        $(#[doc = $about:literal])* $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $fvis:vis $key:ident: $type:ty = $presence:ident($literal:literal, $kind:expr);
            )*
        }
        $(beside { $($(#[doc = $bdoc:literal])* $bvis:vis $beside:ident: $btype:ty = $initial:expr;)* })?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $($(#[doc = $doc])* $fvis $key: $type,)*
            $($($(#[doc = $bdoc])* $bvis $beside: $btype,)*)?
        }

        impl $crate::section::Keys for $name {
            const TABLE: &'static $crate::key::Table = &$crate::key::Table {
                about: concat!($($about, "\n"),*),
                keys: &[$($crate::key::$presence::<$type, _>(
                    $crate::key::plain(stringify!($key)), concat!($($doc, "\n"),*), $literal, &$kind,
                )),*],
            };

            fn read(section: &mut $crate::section::Section<'_, '_, '_>) -> Self {
                Self {
                    $($key: section.$presence($crate::key::plain(stringify!($key)), $literal, &$kind),)*
                    $($($beside: $initial,)*)?
                }
            }
        }
    };
}
pub(crate) use section;

/// A field's name as a key: `r#for` is `for`.
pub(crate) const fn plain(name: &'static str) -> &'static str {
    let bytes = name.as_bytes();
    if bytes.len() > 2 && bytes[0] == b'r' && bytes[1] == b'#' { name.split_at(2).1 } else { name }
}

/// A key whose default holds when it is absent. The type ties the kind to the field.
pub(crate) const fn default<T, K: Kind<Out = T>>(
    name: &'static str,
    doc: &'static str,
    literal: &'static str,
    kind: &'static K,
) -> Key {
    Key { name, doc, presence: Presence::Default, literal, kind }
}

/// A key that must be there.
pub(crate) const fn required<T, K>(
    name: &'static str,
    doc: &'static str,
    literal: &'static str,
    kind: &'static K,
) -> Key
where
    T: Maybe,
    K: Kind<Out = T::Of>,
{
    Key { name, doc, presence: Presence::Required, literal, kind }
}

/// A key that may be absent.
pub(crate) const fn optional<T, K>(
    name: &'static str,
    doc: &'static str,
    literal: &'static str,
    kind: &'static K,
) -> Key
where
    T: Maybe,
    K: Kind<Out = T::Of>,
{
    Key { name, doc, presence: Presence::Optional, literal, kind }
}

/// The type inside an `Option`.
pub(crate) trait Maybe {
    type Of;
}

impl<T> Maybe for Option<T> {
    type Of = T;
}
