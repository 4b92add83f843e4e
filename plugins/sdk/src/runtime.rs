//! Between the component's exports and a plugin: keeps schemas and handles.

use crate::Plugin;
use crate::batch::Batch;
use crate::bindings::weir::plugin::types;
#[cfg(target_arch = "wasm32")]
use crate::host;
use crate::manifest::Manifest;
use crate::outcome::{Handles, Outcome};
use crate::schema::{PerSchema, Schema};
use crate::settings::{Faults, Setting};

/// A configured plugin.
#[derive(Debug)]
pub struct Runtime<P> {
    plugin: P,
    schemas: PerSchema<Schema>,
    handles: Handles,
}

/// Sends the message of a panic to the gateway's log; without this it would say nowhere where and why.
#[cfg(target_arch = "wasm32")]
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| host::log(host::Level::Error, &panic.to_string())));
}

/// Who a plugin is.
pub fn describe<P: Plugin>(name: &str, version: &str, description: &str) -> types::Identity {
    types::Identity {
        name: name.to_owned(),
        version: version.to_owned(),
        description: description.to_owned(),
        settings_schema: P::Settings::schema().to_string(),
    }
}

impl<P: Plugin> Runtime<P> {
    /// Reads the settings and makes the plugin.
    ///
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn configure(settings: &str) -> Result<(Self, types::Manifest), Vec<types::Fault>> {
        let mut faults = Faults::default();
        let settings = match serde_json::from_str(settings) {
            Ok(value) => P::Settings::read(&value, "", &mut faults),
            Err(error) => {
                faults.push("", format!("settings are no JSON: {error}"));
                None
            }
        };
        let mut manifest = Manifest::default();
        let plugin = P::configure(settings.unwrap_or_default(), &mut manifest, &mut faults);
        if faults.list().is_empty() {
            Ok((Self { plugin, schemas: PerSchema::default(), handles: Handles::default() }, manifest.0))
        } else {
            Err(faults.into_wire())
        }
    }

    /// A schema is new or has grown.
    pub fn schema(&mut self, delta: types::SchemaDelta) {
        self.schemas.entry(delta.id, || Schema::new(&delta)).grow(delta);
    }

    /// A schema has gone.
    pub fn retire(&mut self, schema: u32) {
        if let Some(gone) = self.schemas.take(schema) {
            self.plugin.retire(&gone);
            self.handles.retire(schema);
        }
    }

    /// Judges a batch.
    pub fn observe(&mut self, wire: &types::Batch) -> types::Outcome {
        let mut outcome = empty();
        if let Some(schema) = self.schemas.get(wire.schema) {
            let mut out = Outcome { schema: schema.id, handles: &mut self.handles, wire: &mut outcome };
            self.plugin.observe(&Batch::new(schema, wire), &mut out);
        }
        outcome
    }

    /// Ticks once for each model, with its newest schema.
    pub fn tick(&mut self, now_ns: u64) -> types::Outcome {
        let mut outcome = empty();
        let newest = |s: &Schema| {
            !self.schemas.values().rev().take_while(|it| it.id > s.id).any(|it| it.same_model(s))
        };
        for schema in self.schemas.values().filter(|s| newest(s)) {
            let mut out = Outcome { schema: schema.id, handles: &mut self.handles, wire: &mut outcome };
            self.plugin.tick(schema, now_ns, &mut out);
        }
        outcome
    }

    /// What to carry over.
    pub fn save(&self) -> Option<(u32, Vec<u8>)> {
        self.plugin.save()
    }

    /// Takes over what was saved.
    pub fn load(&mut self, format: u32, data: &[u8]) -> bool {
        self.plugin.load(format, data)
    }
}

fn empty() -> types::Outcome {
    types::Outcome {
        values: Vec::new(),
        runs: Vec::new(),
        feeds: Vec::new(),
        exchanges: Vec::new(),
        verdicts: Vec::new(),
        conditions: Vec::new(),
    }
}
