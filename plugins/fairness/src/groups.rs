//! Which group a row is of, and whether its outcome is favourable.

use weir_plugin_sdk::prelude::*;

use crate::settings::Settings;

/// What the host calls texts past its own limit.
const PAST_LIMIT: &str = "(other)";

/// Numbers that are known by their bits; of more, each is looked up.
const MOST_NUMBERS: usize = 256;

/// A row without a group.
pub(crate) const NONE: u16 = u16::MAX;

/// Groups of one model, the listed ones first. The last number, `most`, is of all that are not among them.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    pub(crate) names: Vec<String>,
    pub(crate) most: usize,
}

impl Groups {
    pub(crate) fn new(settings: &Settings, found: impl IntoIterator<Item = String>) -> Self {
        let mut it = Self { names: settings.values.clone(), most: settings.max_groups as usize };
        found.into_iter().for_each(|name| {
            it.number(&name);
        });
        it
    }

    /// The number of a text, a new one while there is room.
    fn number(&mut self, text: &str) -> u16 {
        let found = self.names.iter().position(|name| name == text);
        found.unwrap_or_else(|| self.insert(text)) as u16
    }

    /// The same of a number, however it was written in the settings.
    fn number_of(&mut self, x: f64) -> u16 {
        let found = self.names.iter().position(|name| name.parse() == Ok(x));
        found.unwrap_or_else(|| self.insert(&x.to_string())) as u16
    }

    fn insert(&mut self, text: &str) -> usize {
        if self.names.len() >= self.most || text == PAST_LIMIT {
            return self.most;
        }
        self.names.push(text.to_owned());
        self.names.len() - 1
    }
}

/// What is known of a schema.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By code of the group's column; `NONE` until a row has it.
    by_code: Vec<u16>,
    by_number: Vec<(u64, u16)>,
    /// By code of the output's column.
    favourable: Vec<bool>,
}

impl Known {
    /// Finds the group of each row.
    pub(crate) fn groups(&mut self, groups: &mut Groups, batch: &Batch, column: &str, rows: &mut Vec<u16>) {
        rows.clear();
        rows.resize(batch.rows(), NONE);
        let of_role = batch.schema().with_role(role::INPUT).filter(|(_, it)| it.name == column);
        for (i, column) in of_role {
            if column.kind == Kind::Code {
                self.by_code.resize(column.texts.len(), NONE);
            }
            for (group, code) in rows.iter_mut().zip(batch.codes(i)) {
                let Some(known) = self.by_code.get_mut(*code as usize) else { continue };
                if *known == NONE {
                    *known = groups.number(&column.texts[*code as usize]);
                }
                *group = *known;
            }
            for (group, x) in rows.iter_mut().zip(batch.numbers(i)).filter(|(_, x)| !x.is_nan()) {
                *group = self.of_number(groups, *x);
            }
        }
    }

    fn of_number(&mut self, groups: &mut Groups, x: f64) -> u16 {
        // The two zeros are one number.
        let bits = (x + 0.0).to_bits();
        if let Some((_, group)) = self.by_number.iter().find(|(known, _)| *known == bits) {
            return *group;
        }
        let group = groups.number_of(x + 0.0);
        if self.by_number.len() < MOST_NUMBERS {
            self.by_number.push((bits, group));
        }
        group
    }

    /// Finds the outcome of each row; none where nothing was predicted.
    pub(crate) fn outcomes(&mut self, settings: &Settings, batch: &Batch, rows: &mut Vec<Option<bool>>) {
        rows.clear();
        rows.resize(batch.rows(), None);
        let schema = batch.schema();
        if !settings.score.is_empty() {
            let named = |role| schema.with_role(role).find(|(_, it)| it.name == settings.score);
            if let Some((i, _)) = named(role::SCORE).or_else(|| named(role::OUTPUT)) {
                let scores = rows.iter_mut().zip(batch.numbers(i)).filter(|(_, x)| !x.is_nan());
                scores.for_each(|(row, x)| *row = Some(*x >= settings.threshold));
            }
            return;
        }
        let first = schema.with_role(role::OUTPUT).map(|(_, it)| it.name.as_str()).next();
        let name = if settings.output.is_empty() { first } else { Some(settings.output.as_str()) };
        let positive: Option<f64> = settings.positive.parse().ok();
        for (i, column) in schema.with_role(role::OUTPUT).filter(|(_, it)| Some(it.name.as_str()) == name) {
            let known = self.favourable.len();
            if column.kind == Kind::Code {
                self.favourable.extend(column.texts.iter().skip(known).map(|it| *it == settings.positive));
            }
            for (row, code) in rows.iter_mut().zip(batch.codes(i)) {
                *row = row.or_else(|| self.favourable.get(*code as usize).copied());
            }
            for (row, x) in rows.iter_mut().zip(batch.numbers(i)).filter(|(_, x)| !x.is_nan()) {
                *row = Some(Some(*x) == positive);
            }
        }
    }
}
