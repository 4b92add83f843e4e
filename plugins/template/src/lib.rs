//! Counts predictions by class.

use weir_plugin_sdk::prelude::*;

settings! {
    /// What may be set under `config` of the plugin.
    pub struct Settings {
        /// Leave out this class; empty: none.
        pub ignore: String = String::new(),
    }
}

/// The plugin: what it was told, and handles of what it declared.
#[derive(Debug)]
pub struct Classes {
    settings: Settings,
    predictions: Counter,
}

impl Plugin for Classes {
    type Settings = Settings;

    fn configure(settings: Settings, manifest: &mut Manifest, _: &mut Faults) -> Self {
        // Only the columns asked for come into the sandbox: here, predictions that are texts.
        manifest.want(Columns::role(role::OUTPUT).codes());
        let metric = Metric::new("predictions", "Predictions by class.").labels(&["class"]);
        Self { settings, predictions: manifest.counter(metric) }
    }

    fn observe(&mut self, batch: &Batch, out: &mut Outcome) {
        for (i, column) in batch.schema().with_role(role::OUTPUT) {
            for (code, class) in column.texts.iter().enumerate() {
                let count = batch.codes(i).iter().filter(|c| **c as usize == code).count();
                if count > 0 && *class != self.settings.ignore {
                    out.add(self.predictions, &[class], count as f64);
                }
            }
        }
    }
}

weir_plugin_sdk::export!(Classes);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::{Harness, Table};

    #[test]
    fn predictions_are_counted_by_class() {
        let mut harness = Harness::<Classes>::new(r#"{"ignore": "No"}"#).unwrap();
        harness.observe(&Table::rows(3).texts(role::OUTPUT, "output", &["Yes", "No", "Yes"]));
        assert_eq!(harness.counter("predictions", &["Yes"]), 2.0);
        assert_eq!(harness.counter("predictions", &["No"]), 0.0);
    }
}
