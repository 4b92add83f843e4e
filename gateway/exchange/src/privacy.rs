//! Fields whose values nobody may see.

use std::fmt;
use std::sync::Arc;

/// Fields of bodies, by name, that are hidden before anything off the request path looks at them.
#[derive(Clone, PartialEq, Eq)]
pub struct Privacy {
    /// As if these fields had not been sent.
    pub redact: Vec<FieldName>,
    /// Values of these fields are replaced by salted hashes, so that equal ones can be told to be equal.
    pub hash: Vec<FieldName>,
    /// Secret.
    pub salt: Arc<str>,
}

/// The name of a field: whole, or all below it (`card.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName(Box<str>);

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    Redacted,
    Hashed,
}

impl FieldName {
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    fn names(&self, field: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => field.starts_with(prefix),
            None => *self.0 == *field,
        }
    }
}

impl Privacy {
    /// What becomes of a field; `None`: it is seen.
    pub fn of(&self, field: &str) -> Option<Hidden> {
        let named = |names: &[FieldName]| names.iter().any(|name| name.names(field));
        if named(&self.redact) { Some(Hidden::Redacted) } else { named(&self.hash).then_some(Hidden::Hashed) }
    }
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privacy")
            .field("redact", &self.redact)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}
