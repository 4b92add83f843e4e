//! The model file: `weirmodl`, format (u32), length (u64) and SHA-256 of what follows, all little-endian, and
//! then the content as postcard.

use sha2::{Digest as _, Sha256};

use crate::error::ModelError;
use crate::model::{Content, Model};

const MAGIC: &[u8; 8] = b"weirmodl";
/// Rises when a file of the old format can no longer be read.
const FORMAT: u32 = 1;
const HEAD: usize = 8 + 4 + 8 + 32;

impl Model {
    /// The model as a file. The same model gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let content = postcard::to_allocvec(self.content()).expect("plain data can always be encoded");
        let mut bytes = Vec::with_capacity(HEAD + content.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&Sha256::digest(&content));
        bytes.extend_from_slice(&content);
        bytes
    }

    /// Reads a file, checks it in every part, and predicts its golden rows again.
    ///
    /// # Errors See [`ModelError`]: a file that is something else, of another format, cut off, damaged, or
    /// that no longer predicts what it did.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ModelError::NotAModel)?;
        let cut_off = |expected| ModelError::Truncated { found: bytes.len() as u64, expected };
        let (format, rest) = rest.split_first_chunk::<4>().ok_or(cut_off(HEAD as u64))?;
        let found = u32::from_le_bytes(*format);
        if found != FORMAT {
            return Err(ModelError::Format { found, known: FORMAT });
        }
        let (length, rest) = rest.split_first_chunk::<8>().ok_or(cut_off(HEAD as u64))?;
        let (digest, content) = rest.split_first_chunk::<32>().ok_or(cut_off(HEAD as u64))?;
        let length = u64::from_le_bytes(*length);
        if (content.len() as u64) < length {
            return Err(cut_off(length.saturating_add(HEAD as u64)));
        }
        let found = Sha256::digest(content);
        if *digest != *found {
            return Err(ModelError::Damaged { found: hex(&found), expected: hex(digest) });
        }
        let content: Content =
            postcard::from_bytes(content).map_err(|error| ModelError::Malformed(error.to_string()))?;
        let model = Self::new(content)?;
        model.self_test()?;
        Ok(model)
    }
}

/// Bytes as lower case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
