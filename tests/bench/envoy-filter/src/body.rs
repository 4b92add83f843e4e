//! KServe V1 bodies as one flat matrix each: no intermediate JSON value, no allocation per row.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Rows of equal width, row-major. A `null` is `NaN`.
#[derive(Debug, Default, PartialEq)]
pub struct Matrix {
    pub values: Vec<f64>,
    pub width: usize,
}

impl Matrix {
    /// The rows, each `width` long; none if the matrix is empty.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width.max(1))
    }
}

/// Reads the two-dimensional number array under `key` (or `other`) of a JSON object.
///
/// # Errors
/// If the body is not a JSON object, has neither key, or its rows are ragged or not numeric.
pub fn matrix(body: &[u8], key: &str, other: &str) -> Result<Matrix, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let found = Object { keys: [key, other] }.deserialize(&mut reader)?;
    reader.end()?;
    found.ok_or_else(|| serde_json::Error::custom(format!("neither `{key}` nor `{other}`")))
}

struct Object<'a> {
    keys: [&'a str; 2],
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Option<Matrix>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Option<Matrix>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<&str>()? {
            if self.keys.contains(&key) {
                let mut matrix = Matrix::default();
                map.next_value_seed(Rows(&mut matrix))?;
                found = Some(matrix);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The outer array: appends every row to the matrix and holds all rows to the width of the first.
struct Rows<'a>(&'a mut Matrix);

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(width) = rows.next_element_seed(Row(&mut self.0.values))? {
            if self.0.width == 0 {
                self.0.width = width;
            } else if self.0.width != width {
                return Err(A::Error::custom("rows of different width"));
            }
        }
        Ok(())
    }
}

/// One row: appends its numbers and returns how many they were.
struct Row<'a>(&'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<usize, D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut cells: A) -> Result<usize, A::Error> {
        let before = self.0.len();
        while let Some(cell) = cells.next_element::<Option<f64>>()? {
            self.0.push(cell.unwrap_or(f64::NAN));
        }
        Ok(self.0.len() - before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_flattened_and_other_keys_skipped() {
        let read =
            matrix(br#"{"a":{"b":[1]},"instances":[[1,2.5],[-3e2,4]]}"#, "instances", "inputs").unwrap();
        assert_eq!(read, Matrix { values: vec![1.0, 2.5, -300.0, 4.0], width: 2 });
        assert_eq!(read.rows().count(), 2);
    }

    #[test]
    fn a_null_is_missing() {
        let read = matrix(br#"{"inputs":[[null,1]]}"#, "instances", "inputs").unwrap();
        assert!(read.values[0].is_nan());
    }

    #[test]
    fn ragged_rows_text_and_cut_bodies_are_errors() {
        for body in [
            r#"{"instances":[[1],[1,2]]}"#,
            r#"{"instances":[["x"]]}"#,
            r#"{"instances":[[1"#,
            r#"{"b":1}"#,
            "[]",
        ] {
            assert!(matrix(body.as_bytes(), "instances", "inputs").is_err(), "{body}");
        }
    }
}
