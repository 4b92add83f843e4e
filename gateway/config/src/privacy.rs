//! `[privacy]`: what nobody may see of the bodies.

use std::sync::Arc;

use weir_exchange::{FieldName, Privacy};

use crate::key::section;
use crate::kind::{Blank, List, Placed, Secret, Text};
use crate::reader::{At, Reader};

section! {
    /// Fields that are hidden before anything is counted, judged or kept of a body. A name is a field's, as
    /// /api shows it: its index where rows are arrays, or with a `*` at its end all that begin so.
    pub(crate) struct PrivacyKeys {
        /// Fields that are treated as if they had not been sent, such as ["ssn", "card.*"].
        redact: Vec<At<String>> = default("[]", List::up_to(256, Placed(Text)));
        /// Fields whose values are replaced by salted hashes.
        hash: Vec<At<String>> = default("[]", List::up_to(256, Placed(Text)));
        /// Salt of the hashes. Take it from the environment: "${WEIR_SALT}".
        salt: Option<String> = default("\"\"", Blank(Secret));
    }
}

impl PrivacyKeys {
    /// `None`: nothing is hidden.
    pub(crate) fn resolve(self, reader: &mut Reader<'_>) -> Option<Arc<Privacy>> {
        if let (Some(hashed), None) = (self.hash.first(), &self.salt) {
            reader.misfit(&hashed.place, "hashes without a salt can be guessed (set `privacy.salt`)");
        }
        let names = |names: &[At<String>]| names.iter().map(|name| FieldName::new(&name.value)).collect();
        let hides = !self.redact.is_empty() || !self.hash.is_empty();
        let salt = self.salt.as_deref().unwrap_or_default().into();
        hides.then(|| Arc::new(Privacy { redact: names(&self.redact), hash: names(&self.hash), salt }))
    }
}
