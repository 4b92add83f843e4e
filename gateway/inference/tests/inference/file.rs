//! Model files: what is written is read again, and whatever else is read is refused in words.

use sha2::{Digest as _, Sha256};
use weir_inference::{Algorithm, Model, ModelError};

use crate::support::{FOREST, REGRESSION, small};

/// Magic, format, length, digest.
const HEAD: usize = 8 + 4 + 8 + 32;

#[test]
fn what_is_written_is_read_again() {
    for model in [&*REGRESSION, &*FOREST] {
        let bytes = model.to_bytes();
        let read = Model::from_bytes(&bytes).unwrap();
        assert_eq!(read.about(), model.about());
        assert_eq!(read.to_bytes(), bytes);
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let bytes = REGRESSION.to_bytes();
    for length in 0..bytes.len() {
        let error = Model::from_bytes(&bytes[..length]).unwrap_err();
        match length {
            0..8 => assert_eq!(error, ModelError::NotAModel),
            _ => assert!(matches!(error, ModelError::Truncated { found, .. } if found == length as u64)),
        }
    }
    let error = Model::from_bytes(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
    assert!(error.contains(&format!("{} bytes of {}", bytes.len() - 1, bytes.len())), "{error}");
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let bytes = REGRESSION.to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(Model::from_bytes(&changed).is_err(), "byte {at}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(Model::from_bytes(&longer), Err(ModelError::Damaged { .. })));
}

#[test]
fn another_format_is_refused_by_its_number() {
    let mut bytes = REGRESSION.to_bytes();
    bytes[8] = 9;
    let error = Model::from_bytes(&bytes).unwrap_err();
    assert_eq!(error, ModelError::Format { found: 9, known: 1 });
    assert!(error.to_string().contains("train it again"));
    assert_eq!(Model::from_bytes(b"PK\x03\x04 a zip file").unwrap_err(), ModelError::NotAModel);
}

/// The content with one byte changed, under a digest that fits.
fn forged(bytes: &[u8], at: usize, flip: u8) -> Vec<u8> {
    let mut forged = bytes.to_vec();
    forged[HEAD + at] ^= flip;
    let digest = Sha256::digest(&forged[HEAD..]);
    forged[HEAD - 32..HEAD].copy_from_slice(&digest);
    forged
}

#[test]
fn content_that_makes_no_sense_is_refused_or_harmless_but_never_a_panic() {
    for algorithm in [Algorithm::LogisticRegression, Algorithm::RandomForest] {
        let bytes = small(algorithm).to_bytes();
        let (mut refused, step) = (0, (bytes.len() / 4000).max(1));
        for at in (0..bytes.len() - HEAD).step_by(step) {
            for flip in [0x01, 0x80] {
                refused += usize::from(Model::from_bytes(&forged(&bytes, at, flip)).is_err());
            }
        }
        assert!(refused > 100, "{refused} changes were noticed");
    }
}

#[test]
fn a_model_that_predicts_otherwise_than_when_it_was_trained_fails_its_self_test() {
    let bytes = REGRESSION.to_bytes();
    // The golden probabilities are the last numbers of the file; this is the exponent of one.
    let error = Model::from_bytes(&forged(&bytes, bytes.len() - HEAD - 2, 0x20)).unwrap_err();
    assert!(matches!(error, ModelError::SelfTest { row: 7, .. }), "{error}");
    assert!(error.to_string().contains("probability of `Yes` in row 7"), "{error}");
}
