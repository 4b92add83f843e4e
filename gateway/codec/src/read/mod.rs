//! From JSON values to tables: rows, named columns, tensors.

mod columns;
mod names;
mod rows;
mod sheet;

use weir_exchange::Table;

use crate::error::{DecodeLimits, Read};
use crate::json::Reader;

pub(crate) use columns::{Naming, Tensor, join};
pub(crate) use names::{NameCache, NameList};
pub(crate) use rows::{Listing, leaves, read_value};
pub(crate) use sheet::{RowKind, Sheet};

/// Memory that is kept from body to body, so that a decoder that is warm allocates nothing.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) limits: DecodeLimits,
    pub(crate) cache: NameCache,
    /// The last string that had escapes.
    pub(crate) unescaped: String,
    /// Name of the nested field being read.
    pub(crate) path: String,
    /// Where rows end while they differ in length.
    pub(crate) ends: Vec<usize>,
    /// Cells of tensors one behind the other, before they are joined to rows.
    pub(crate) flat: Table,
    pub(crate) tensors: Vec<Tensor>,
}

impl Scratch {
    pub(crate) fn new(limits: DecodeLimits) -> Self {
        Self {
            limits,
            cache: NameCache::default(),
            unescaped: String::new(),
            path: String::new(),
            ends: Vec::new(),
            flat: Table::default(),
            tensors: Vec::new(),
        }
    }

    /// Gives back what a rare giant took.
    #[inline]
    pub(crate) fn trim(&mut self) {
        const KEPT: usize = 256 << 10;
        let kept = self.unescaped.capacity()
            + self.path.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.flat.heap_bytes()
            + self.tensors.capacity() * size_of::<Tensor>();
        if kept > KEPT {
            let cache = std::mem::take(&mut self.cache);
            *self = Self { cache, ..Self::new(self.limits) };
        }
    }

    /// A reader at the first value of a body.
    pub(crate) fn reader<'a>(&self, bytes: &'a [u8]) -> Read<Reader<'a>> {
        Reader::new(bytes, self.limits.depth)
    }
}
