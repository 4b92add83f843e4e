//! What one instance may allocate.

use wasmtime::{ResourceLimiter, Result};

/// Bounds that no plugin reaches in earnest; a Python guest has about twenty core instances.
const MOST_INSTANCES: usize = 256;
const MOST_TABLES: usize = 64;
const MOST_MEMORIES: usize = 16;
const MOST_TABLE_ELEMENTS: usize = 1 << 20;

/// Counts the linear memory of a store over all its memories and refuses more than the limit. A refusal ends
/// the call: a guest that is only told "no" aborts somewhere later, with nothing to say why.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: usize,
    memory: usize,
    refused: Option<usize>,
}

impl Limiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, memory: 0, refused: None }
    }

    /// Bytes of linear memory now.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The total it wanted when it was refused.
    pub(crate) fn refused(&self) -> Option<usize> {
        self.refused
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.limit {
            self.refused = Some(total);
            return Err(wasmtime::Error::msg("memory is over the plugin's limit"));
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(desired <= MOST_TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        MOST_INSTANCES
    }

    fn tables(&self) -> usize {
        MOST_TABLES
    }

    fn memories(&self) -> usize {
        MOST_MEMORIES
    }
}
