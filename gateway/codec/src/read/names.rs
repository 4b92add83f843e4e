//! Field names, shared instead of allocated: bodies of one route repeat the same few names for ever.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use weir_exchange::{Fields, Table};

use crate::error::{Read, malformed, too_large};

/// Names seen lately, by a hash of their bytes. A clash replaces: the cache is bounded and never wrong.
#[derive(Debug, Default)]
pub(crate) struct NameCache {
    slots: Vec<Option<Arc<str>>>,
}

impl NameCache {
    const SLOTS: usize = 2048;
    /// Longer names are allocated each time, so that strangers cannot park memory here.
    const LONGEST: usize = 128;

    /// The shared form of a name.
    pub(crate) fn share(&mut self, name: &str) -> Arc<str> {
        if name.len() > Self::LONGEST {
            return name.into();
        }
        if self.slots.is_empty() {
            self.slots.resize(Self::SLOTS, None);
        }
        let slot = &mut self.slots[fnv1a(name) as usize % Self::SLOTS];
        match slot {
            Some(known) if **known == *name => Arc::clone(known),
            _ => Arc::clone(slot.insert(name.into())),
        }
    }
}

fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// A list of names being read over that of the body before, which is mostly the same.
pub(crate) struct NameList {
    names: Vec<Arc<str>>,
    at: usize,
    changed: bool,
    limit: usize,
}

impl NameList {
    /// Takes the previous names, which are distinct, out of a table.
    pub(crate) fn of(table: &mut Table, limit: usize) -> Self {
        Self { names: take_names(table), at: 0, changed: false, limit }
    }

    /// Names so far.
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    /// Appends a name.
    pub(crate) fn push(&mut self, name: &str, cache: &mut NameCache) -> Read<()> {
        if self.at == self.limit {
            return too_large("columns", self.limit);
        }
        if self.names.get(self.at).is_none_or(|known| **known != *name) {
            self.names.truncate(self.at);
            self.names.push(cache.share(name));
            self.changed = true;
        }
        self.at += 1;
        Ok(())
    }

    /// Starts anew.
    pub(crate) fn restart(&mut self) {
        self.at = 0;
    }

    /// The names, unless two are equal: their values could not be told apart.
    pub(crate) fn finish(mut self) -> Read<Vec<Arc<str>>> {
        self.names.truncate(self.at);
        let mut seen = HashSet::with_capacity(if self.changed { self.at } else { 0 });
        match self.names.iter().find(|name| self.changed && !seen.insert(&***name)) {
            Some(twice) => malformed(format_args!("field `{twice}` stands there twice")),
            None => Ok(self.names),
        }
    }
}

fn take_names(table: &mut Table) -> Vec<Arc<str>> {
    match std::mem::take(&mut table.fields) {
        Fields::Named(names) => names,
        Fields::Positional => Vec::new(),
    }
}

/// The fields of the table being filled, in first-seen order.
///
/// The names of the table's previous body stay in place until this body's differ, so the usual body costs one
/// comparison a field.
#[derive(Debug)]
pub(crate) struct Names {
    names: Vec<Arc<str>>,
    /// Names of this body; those behind are the previous body's.
    known: usize,
    /// Where the next field of the row is expected.
    next: usize,
    /// Positions by name, once a row came in another order and there are too many fields to search.
    index: HashMap<Arc<str>, usize>,
    limit: usize,
}

impl Names {
    /// Up to here a search is faster than a hash.
    const SEARCHED: usize = 16;

    /// Takes the previous names out of a table.
    pub(crate) fn of(table: &mut Table, limit: usize) -> Self {
        Self { names: take_names(table), known: 0, next: 0, index: HashMap::new(), limit }
    }

    /// Expects the first field again.
    #[inline(always)]
    pub(crate) fn start_row(&mut self) {
        self.next = 0;
    }

    /// Fields so far.
    pub(crate) fn len(&self) -> usize {
        self.known
    }

    /// The position of a field; a new one is appended.
    #[inline(always)]
    pub(crate) fn position(&mut self, name: &str, cache: &mut NameCache) -> Read<usize> {
        let at = self.next;
        // The previous body's names are distinct, so one that follows them all so far is new and needs no
        // search.
        if self.names.get(at).is_some_and(|expected| **expected == *name) {
            self.known = self.known.max(at + 1);
            self.next = at + 1;
            return Ok(at);
        }
        self.search(name, cache)
    }

    fn search(&mut self, name: &str, cache: &mut NameCache) -> Read<usize> {
        let at = match self.find(name) {
            Some(at) => at,
            None => self.append(name, cache)?,
        };
        self.next = at + 1;
        Ok(at)
    }

    fn find(&mut self, name: &str) -> Option<usize> {
        let known = &self.names[..self.known];
        if known.len() <= Self::SEARCHED {
            return known.iter().position(|n| **n == *name);
        }
        if self.index.len() < known.len() {
            let first = self.index.len();
            self.index.extend(known.iter().enumerate().skip(first).map(|(at, name)| (Arc::clone(name), at)));
        }
        self.index.get(name).copied()
    }

    fn append(&mut self, name: &str, cache: &mut NameCache) -> Read<usize> {
        if self.known == self.limit {
            return too_large("columns", self.limit);
        }
        self.names.truncate(self.known);
        self.names.push(cache.share(name));
        self.known = self.names.len();
        Ok(self.known - 1)
    }

    /// The fields of the finished table.
    pub(crate) fn finish(mut self) -> Fields {
        self.names.truncate(self.known);
        Fields::Named(self.names)
    }
}
