//! Valuable customers whom the model expects to leave.

use weir_plugin_sdk::prelude::*;

settings! {
    /// Who counts.
    pub struct Settings {
        /// The prediction that means leaving.
        pub leaving: String = "Yes".to_owned(),
        /// Monthly charges from which a customer is valuable.
        pub valuable: f64 = 80.0,
    }
}

/// Counts them, and what they pay.
#[derive(Debug)]
pub struct AtRisk {
    settings: Settings,
    customers: Counter,
    charges: Counter,
}

impl Plugin for AtRisk {
    type Settings = Settings;

    fn configure(settings: Settings, manifest: &mut Manifest, faults: &mut Faults) -> Self {
        faults.check(settings.valuable >= 0.0, "/valuable", "expected an amount from 0 on");
        manifest.want(Columns::role(role::INPUT).named("monthly_charges").numbers());
        manifest.want(Columns::role(role::OUTPUT).codes());
        let customers = Metric::new("customers", "Valuable customers about to leave.");
        let charges = Metric::new("charges", "What these customers pay a month.");
        Self { settings, customers: manifest.counter(customers), charges: manifest.counter(charges) }
    }

    fn observe(&mut self, batch: &Batch, out: &mut Outcome) {
        let schema = batch.schema();
        let charges = schema.find(role::INPUT, Kind::Number);
        let answer = schema.find(role::OUTPUT, Kind::Code);
        let (Some(charges), Some(answer)) = (charges, answer) else { return };

        let rows = batch.numbers(charges).iter().zip(batch.codes(answer));
        let at_risk: Vec<f64> = rows
            .filter(|(pays, _)| **pays >= self.settings.valuable)
            .filter(|(_, code)| batch.text(answer, **code) == Some(&self.settings.leaving))
            .map(|(pays, _)| *pays)
            .collect();
        out.add(self.customers, &[], at_risk.len() as f64);
        out.add(self.charges, &[], &at_risk);
    }
}

weir_plugin_sdk::export!(AtRisk);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::{Harness, Table};

    #[test]
    fn only_valuable_customers_who_leave_count() {
        let mut harness = Harness::<AtRisk>::new("{}").unwrap();
        let table = Table::rows(4)
            .numbers(role::INPUT, "monthly_charges", &[100.0, 79.9, 120.0, f64::NAN])
            .texts(role::OUTPUT, "output", &["Yes", "Yes", "No", "Yes"]);
        harness.observe(&table);
        assert_eq!(harness.counter("customers", &[]), 1.0);
        assert_eq!(harness.counter("charges", &[]), 100.0);
    }

    #[test]
    fn a_negative_amount_is_refused() {
        let faults = Harness::<AtRisk>::new(r#"{"valuable": -1}"#).unwrap_err();
        assert_eq!(faults[0].path, "/valuable");
    }
}
