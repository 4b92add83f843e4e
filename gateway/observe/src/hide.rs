//! Hides what a configuration says nobody may see, in the tables of an exchange, before anything is counted,
//! judged or kept of them.

use sha2::{Digest, Sha256};
use weir_exchange::{Fields, Hidden, Privacy, Table};

/// Replaces every value of a hidden field: by nothing, or by a salted hash.
pub(crate) fn hide(privacy: &Privacy, table: &mut Table) {
    if table.rows == 0 || table.width == 0 {
        return;
    }
    let hidden: Vec<(usize, Hidden)> = match &table.fields {
        Fields::Named(names) => {
            let hidden = |(at, name): (usize, &std::sync::Arc<str>)| Some((at, privacy.of(name)?));
            names.iter().enumerate().filter_map(hidden).collect()
        }
        Fields::Positional => {
            (0..table.width).filter_map(|at| Some((at, privacy.of(&at.to_string())?))).collect()
        }
    };
    if !hidden.is_empty() {
        rewrite(privacy, &hidden, table);
    }
}

fn rewrite(privacy: &Privacy, hidden: &[(usize, Hidden)], table: &mut Table) {
    let of = |cell: usize| hidden.iter().find(|(field, _)| *field == cell % table.width).map(|(_, how)| *how);
    let old = std::mem::take(&mut table.text);
    let mut texts: Vec<(usize, String)> = Vec::new();
    for (cell, range) in &table.texts {
        let text = old.get(range.start as usize..range.end as usize).unwrap_or_default();
        match of(*cell as usize) {
            None => texts.push((*cell as usize, text.to_owned())),
            Some(Hidden::Hashed) => texts.push((*cell as usize, hashed(&privacy.salt, text))),
            Some(Hidden::Redacted) => {}
        }
    }
    for (field, how) in hidden {
        for row in 0..table.rows {
            let cell = row * table.width + field;
            let Some(number) = table.numbers.get_mut(cell) else { continue };
            let number = std::mem::replace(number, f64::NAN);
            if *how == Hidden::Hashed && !number.is_nan() {
                texts.push((cell, hashed(&privacy.salt, &number.to_string())));
            }
        }
    }
    texts.sort_by_key(|(cell, _)| *cell);
    table.texts.clear();
    texts.iter().for_each(|(cell, text)| table.push_text(*cell, text));
    // Not even what was freed keeps a secret for long: the next body is written over it.
    drop(old);
}

/// The first 64 bits of SHA-256 over salt and value: enough to tell values apart, too few to tell which.
fn hashed(salt: &str, value: &str) -> String {
    let digest = Sha256::new().chain_update(salt).chain_update([0]).chain_update(value).finalize();
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("hash:{hex}")
}

#[cfg(test)]
mod tests {
    use weir_exchange::{Cell, FieldName};

    use super::*;

    fn privacy() -> Privacy {
        let names = |names: &[&str]| names.iter().map(|name| FieldName::new(name)).collect();
        Privacy { redact: names(&["ssn", "card.*", "1"]), hash: names(&["id"]), salt: "pepper".into() }
    }

    fn table(names: &[&str]) -> Table {
        let fields = Fields::Named(names.iter().map(|name| (*name).into()).collect());
        Table { fields, rows: 2, width: names.len(), ..Table::default() }
    }

    #[test]
    fn named_fields_are_hidden_and_the_others_are_as_they_were() {
        let mut table = table(&["age", "ssn", "id", "card.number", "city"]);
        table.numbers = vec![41.0, f64::NAN, 7.0, 4111.0, f64::NAN, 42.0, 9.0, f64::NAN, f64::NAN, f64::NAN];
        for (cell, text) in [(1, "078-05-1120"), (4, "Bonn"), (7, "7"), (9, "Köln")] {
            table.push_text(cell, text);
        }
        hide(&privacy(), &mut table);
        let row = |row: usize| (0..5).map(|at| table.cell(row, at)).collect::<Vec<_>>();
        let hash = hashed("pepper", "7");
        let (seven, missing) = (Cell::Text(&hash), Cell::Missing);
        assert_eq!(row(0), [Cell::Number(41.0), missing, seven, missing, Cell::Text("Bonn")]);
        assert_eq!(row(1), [Cell::Number(42.0), missing, seven, missing, Cell::Text("Köln")]);
        assert!(!format!("{table:?}").contains("078-05"));
    }

    #[test]
    fn positional_fields_go_by_their_index_and_a_hash_depends_on_the_salt() {
        let mut table = Table { rows: 1, width: 3, numbers: vec![1.0, 2.0, 3.0], ..Table::default() };
        hide(&privacy(), &mut table);
        assert_eq!(table.cell(0, 1), Cell::Missing);
        assert_eq!((table.cell(0, 0), table.cell(0, 2)), (Cell::Number(1.0), Cell::Number(3.0)));
        assert_ne!(hashed("a", "7"), hashed("b", "7"));
        // SHA-256 of `pepper`, a zero byte and `7`.
        assert_eq!(hashed("pepper", "7").len(), "hash:".len() + 16);
    }
}
