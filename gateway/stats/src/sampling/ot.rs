//! The `ot` entry of `tracestate`: what OpenTelemetry says about a trace.

use std::fmt;

use super::{Randomness, Threshold};

/// Longest value of the entry, in characters.
pub const MAX_OT_LENGTH: usize = 256;

/// The sub-keys of an `ot` entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ot {
    /// `th`: the threshold that has kept the trace so far.
    pub threshold: Option<Threshold>,
    /// `rv`: the random value, if it is not that of the trace id.
    pub randomness: Option<Randomness>,
    /// Other sub-keys with their values, in order.
    others: Vec<(String, String)>,
}

impl Ot {
    /// Reads the value of an entry: `key:value` joined by `;`, keys of `a-z0-9` beginning with a letter and
    /// each there once, values of `A-Za-z0-9._-`, at most [`MAX_OT_LENGTH`] characters. `None` if it is
    /// anything else; a `th` or `rv` that is no threshold or random value counts as absent, without harm to
    /// the rest.
    pub fn parse(value: &str) -> Option<Self> {
        if value.len() > MAX_OT_LENGTH {
            return None;
        }
        let mut ot = Self::default();
        let mut keys = Vec::new();
        for part in value.split(';') {
            let (key, value) = part.split_once(':')?;
            if !is_key(key) || !value.bytes().all(is_value_byte) || keys.contains(&key) {
                return None;
            }
            keys.push(key);
            match key {
                "th" => ot.threshold = Threshold::parse(value),
                "rv" => ot.randomness = Randomness::parse(value),
                _ => ot.others.push((key.to_owned(), value.to_owned())),
            }
        }
        Some(ot)
    }

    /// True if it has nothing to say; such an entry is not written.
    pub fn is_empty(&self) -> bool {
        self.threshold.is_none() && self.randomness.is_none() && self.others.is_empty()
    }

    /// The other sub-keys that fit beside `th` and `rv`: from the first that does not, all are left out.
    fn fitting(&self) -> impl Iterator<Item = &(String, String)> {
        let threshold = self.threshold.map_or(0, |th| "th:;".len() + th.to_string().len());
        let randomness = if self.randomness.is_some() { "rv:;".len() + 14 } else { 0 };
        // Each part is counted with a separator, of which there is one less than parts.
        let mut length = threshold + randomness;
        self.others.iter().take_while(move |(key, value)| {
            length += key.len() + value.len() + ":;".len();
            length <= MAX_OT_LENGTH + 1
        })
    }
}

/// The value of the entry: `th`, `rv`, then the other sub-keys in order, as many of them as fit into
/// [`MAX_OT_LENGTH`]. Those at the end are dropped whole; `th` and `rv` always fit.
impl fmt::Display for Ot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threshold = self.threshold.map(|th| format!("th:{th}"));
        let randomness = self.randomness.map(|rv| format!("rv:{rv}"));
        let others = self.fitting().map(|(key, value)| format!("{key}:{value}"));
        for (at, part) in threshold.into_iter().chain(randomness).chain(others).enumerate() {
            f.write_str(if at == 0 { "" } else { ";" })?;
            f.write_str(&part)?;
        }
        Ok(())
    }
}

fn is_key(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn is_value_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(value: &str) -> Option<String> {
        Ot::parse(value).map(|ot| ot.to_string())
    }

    #[test]
    fn an_entry_comes_back_with_threshold_and_randomness_first() {
        for same in
            ["th:0", "th:c", "rv:ce929d0e0e4736", "th:fd70a;rv:ce929d0e0e4736;p:8;r:62", "a1:", "x:A.b_c-9"]
        {
            assert_eq!(again(same).as_deref(), Some(same));
        }
        assert_eq!(
            again("p:8;rv:ce929d0e0e4736;r:62;th:c00").as_deref(),
            Some("th:c;rv:ce929d0e0e4736;p:8;r:62")
        );
        assert_eq!(Ot::parse("th:0").unwrap().threshold.unwrap().probability(), 1.0);
        assert_eq!(Ot::parse("th:c").unwrap().threshold.unwrap().probability(), 0.25);
    }

    #[test]
    fn what_breaks_the_grammar_is_no_entry() {
        for wrong in [
            "",
            ";",
            "th",
            "th:0;",
            ";th:0",
            "TH:0",
            "1a:0",
            ":0",
            "th:0;th:c",
            "a:b;a:b",
            "a:b:c",
            "a:b c",
            "a:ü",
        ] {
            assert_eq!(again(wrong), None, "{wrong:?}");
        }
        assert_eq!(again(&format!("a:{}", "b".repeat(254))).map(|text| text.len()), Some(256));
        assert_eq!(again(&format!("a:{}", "b".repeat(255))), None);
    }

    #[test]
    fn a_threshold_or_randomness_that_is_none_is_absent() {
        assert_eq!(again("th:C;a:b").as_deref(), Some("a:b"));
        assert_eq!(again("th:0;rv:123").as_deref(), Some("th:0"));
        assert!(Ot::parse("th:;rv:").unwrap().is_empty());
    }

    #[test]
    fn what_does_not_fit_is_dropped_whole_from_the_end() {
        let filler = "b".repeat(200);
        let mut ot = Ot::parse(&format!("long:{filler};s:1;middle:{};t:2", "c".repeat(30))).unwrap();
        assert_eq!(ot.to_string().len(), 205 + 4 + 38 + 4);
        ot.threshold = Threshold::parse("8");
        assert_eq!(ot.to_string().len(), 256, "it just fits");
        ot.threshold = Threshold::parse("fd70a");
        let text = ot.to_string();
        assert!(
            text.starts_with("th:fd70a;long:b") && text.ends_with(&format!(";middle:{}", "c".repeat(30)))
        );
        ot.randomness = Some(Randomness::from_bits(7));
        assert!(ot.to_string().ends_with("b;s:1"), "what comes after one that is dropped is dropped too");
    }
}
