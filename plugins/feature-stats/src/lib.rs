//! What the features of a model look like: distributions, missing values, and values outside of what was
//! agreed.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use plan::{Feature, Plan};
use weir_plugin_sdk::prelude::*;

/// From thousandths to millions in half decades where features live, coarser below zero.
const EDGES: [f64; 21] = [
    -1000.0, -100.0, -10.0, -1.0, -0.1, 0.0, 0.001, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3,
    3e3, 1e4, 1e5, 1e6,
];

settings! {
    /// What is known of one feature.
    pub struct FeatureSettings {
        /// Lowest value that is in range.
        pub min: Option<f64> = None,
        /// Highest value that is in range.
        pub max: Option<f64> = None,
        /// Categories that were there in training; empty: any. Numbers are compared as such.
        pub categories: Vec<String> = Vec::new(),
        /// Rising upper edges of its histogram, which then has a name of its own: `value_FEATURE`.
        pub edges: Vec<f64> = Vec::new(),
    }
}

settings! {
    /// Which features are looked at, and what is known of them.
    pub struct Settings {
        /// What is known of features, by name.
        pub features: BTreeMap<String, FeatureSettings> = BTreeMap::new(),
        /// Only these features; empty: all.
        pub only: Vec<String> = Vec::new(),
        /// Features of a model with series of their own: first those in `features`, then in the order of the
        /// data. The values of all others are only counted, as `untracked`.
        pub max_features: u64 = 32,
        /// Categories of a feature with a series of their own; the others share `other`.
        pub max_categories: u64 = 20,
        /// Rising upper edges of the histogram of features that have none of their own.
        pub edges: Vec<f64> = EDGES.to_vec(),
    }
}

/// Looks at features.
#[derive(Debug)]
pub struct FeatureStats {
    settings: Settings,
    value: Histogram,
    /// Of features with edges of their own.
    values: Vec<(String, Histogram)>,
    rows: Counter,
    missing: Counter,
    out_of_range: Counter,
    unseen: Counter,
    category: Counter,
    untracked: Counter,
    plans: PerSchema<Plan>,
    /// By row of the batch: has it any feature at all?
    present: Vec<bool>,
    /// By code of a column.
    counts: Vec<u32>,
}

impl Plugin for FeatureStats {
    type Settings = Settings;

    fn configure(settings: Settings, manifest: &mut Manifest, faults: &mut Faults) -> Self {
        check(&settings, faults);
        if settings.only.is_empty() {
            manifest.want(Columns::role(role::INPUT));
        }
        settings.only.iter().for_each(|name| manifest.want(Columns::role(role::INPUT).named(name)));
        manifest.shards(4);

        let of_feature = |name: &str, help| Metric::new(name, help).labels(&["feature"]);
        let value = manifest.histogram(of_feature("value", "Values of numeric features."), &settings.edges);
        let mut own = |(name, feature): (&String, &FeatureSettings)| {
            let metric = of_feature(&format!("value_{}", slug(name)), "Values of one numeric feature.");
            (name.clone(), manifest.histogram(metric, &feature.edges))
        };
        let values = settings.features.iter().filter(|(_, f)| !f.edges.is_empty()).map(&mut own).collect();
        let mut counter = |name, help| manifest.counter(of_feature(name, help));
        let rows = counter("rows", "Rows with at least one feature.");
        let missing = counter("missing", "Rows of which this feature is missing.");
        let out_of_range = counter("out_of_range", "Values outside of the range that was agreed.");
        let unseen = counter("unseen_category", "Values that are none of the categories known.");
        let category = Metric::new("category", "Rows of a category.").labels(&["feature", "category"]);
        let untracked = Metric::new("untracked", "Values of features past the limit on features.");
        Self {
            value,
            values,
            rows,
            missing,
            out_of_range,
            unseen,
            category: manifest.counter(category),
            untracked: manifest.counter(untracked),
            plans: PerSchema::default(),
            present: Vec::new(),
            counts: Vec::new(),
            settings,
        }
    }

    fn observe(&mut self, batch: &Batch, out: &mut Outcome) {
        let schema = batch.schema();
        let mut plan = self.plans.remove(schema).unwrap_or_default();
        // Series that could stay at nothing are shown at 0 once, for the increase of what is first seen at 40
        // is 0.
        let fresh = plan.update(schema, &self.settings);
        self.mark_present(batch);
        let rows = self.present.iter().filter(|present| **present).count();
        for feature in &plan.features {
            self.look_at(feature, batch, (rows, fresh), out);
        }
        if plan.untracked > 0 {
            out.add(self.untracked, &[], (plan.untracked * rows) as f64);
        }
        self.plans.of(schema, || plan);
    }

    fn retire(&mut self, schema: &Schema) {
        self.plans.remove(schema);
    }
}

impl FeatureStats {
    /// A row without any feature is one whose request was not read: it says nothing of what is missing.
    fn mark_present(&mut self, batch: &Batch) {
        self.present.clear();
        self.present.resize(batch.rows(), false);
        for (i, column) in batch.schema().columns.iter().enumerate() {
            match column.kind {
                Kind::Number => {
                    self.present.iter_mut().zip(batch.numbers(i)).for_each(|(it, x)| *it |= !x.is_nan());
                }
                Kind::Code => {
                    self.present.iter_mut().zip(batch.codes(i)).for_each(|(it, c)| *it |= *c != MISSING);
                }
            }
        }
    }

    fn look_at(&mut self, feature: &Feature, batch: &Batch, (rows, fresh): (usize, bool), out: &mut Outcome) {
        let label = [feature.name.as_str()];
        let (mut there, mut outside, mut unseen) = (0, 0, 0);
        if let Some(i) = feature.numbers {
            for x in batch.numbers(i).iter().filter(|x| !x.is_nan()) {
                there += 1;
                outside += usize::from(!feature.in_range(*x));
                unseen += usize::from(!feature.knows_number(*x));
            }
            if there > 0 {
                let own = self.values.iter().find(|(name, _)| *name == feature.name);
                let histogram = own.map_or(self.value, |(_, own)| *own);
                out.observe(histogram, &label, ColumnValues(i));
            }
        }
        if let Some(i) = feature.codes {
            let (counted, unknown) = self.count_categories(feature, batch.codes(i), out);
            there += counted;
            unseen += unknown;
        }
        out.add(self.rows, &label, rows as f64);
        let mut say = |counter, count: usize, kept: bool| {
            if count > 0 || fresh && kept {
                out.add(counter, &label, count as f64);
            }
        };
        say(self.missing, rows - there.min(rows), true);
        say(self.out_of_range, outside, feature.has_range());
        say(self.unseen, unseen, feature.has_categories());
    }

    /// Rows by category. How many there are in all, and how many of categories nobody knows.
    fn count_categories(&mut self, feature: &Feature, codes: &[u32], out: &mut Outcome) -> (usize, usize) {
        self.counts.clear();
        self.counts.resize(feature.categories.len(), 0);
        for code in codes {
            if let Some(count) = self.counts.get_mut(*code as usize) {
                *count += 1;
            }
        }
        let (mut there, mut unseen, mut other) = (0, 0, 0);
        for (category, count) in feature.categories.iter().zip(&self.counts).filter(|(_, n)| **n > 0) {
            there += *count as usize;
            unseen += if category.known { 0 } else { *count as usize };
            match &category.label {
                Some(label) => out.add(self.category, &[&feature.name, label], f64::from(*count)),
                None => other += count,
            }
        }
        if other > 0 {
            out.add(self.category, &[&feature.name, "other"], f64::from(other));
        }
        (there, unseen)
    }
}

fn check(settings: &Settings, faults: &mut Faults) {
    let rising = |edges: &[f64]| edges.iter().all(|e| e.is_finite()) && edges.is_sorted_by(|a, b| a < b);
    let (order, few) = ("expected rising numbers", "expected 1 to 1000");
    faults.check(rising(&settings.edges) && !settings.edges.is_empty(), "/edges", order);
    faults.check((1..=1000).contains(&settings.max_features), "/max_features", few);
    faults.check((1..=1000).contains(&settings.max_categories), "/max_categories", few);
    let mut names = Vec::new();
    for (name, feature) in &settings.features {
        let path = format!("/features/{name}");
        let ordered = feature.min.zip(feature.max).is_none_or(|(min, max)| min <= max);
        faults.check(ordered, &path, "expected `min` to be at most `max`");
        faults.check(rising(&feature.edges), &format!("{path}/edges"), order);
        let own = (!feature.edges.is_empty()).then(|| slug(name));
        let taken = own.as_ref().is_some_and(|own| names.contains(own));
        names.extend(own);
        faults.check(!taken, &format!("{path}/edges"), "another feature's histogram has the same name");
        let looked_at = settings.only.is_empty() || settings.only.contains(name);
        faults.check(looked_at, &path, "not in `only`");
    }
}

/// The part of a metric's name that stands for a feature.
fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

weir_plugin_sdk::export!(FeatureStats);
