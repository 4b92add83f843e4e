//! Write plugins for Weir.
//!
//! A plugin sees batches of predictions as columns and says what is worth counting, watching or keeping. It
//! implements [`Plugin`] and ends in `weir_plugin_sdk::export!(MyPlugin)`:
//!
//! ```
//! use weir_plugin_sdk::prelude::*;
//!
//! struct Extremes {
//!     far: Counter,
//! }
//!
//! impl Plugin for Extremes {
//!     type Settings = ();
//!
//!     fn configure((): (), manifest: &mut Manifest, _: &mut Faults) -> Self {
//!         manifest.want(Columns::role(role::INPUT).numbers());
//!         let far = Metric::new("far", "Values beyond a thousand.").labels(&["feature"]);
//!         Self { far: manifest.counter(far) }
//!     }
//!
//!     fn observe(&mut self, batch: &Batch, out: &mut Outcome) {
//!         for (i, column) in batch.schema().with_role(role::INPUT) {
//!             let far = batch.numbers(i).iter().filter(|x| x.abs() > 1000.0).count();
//!             out.add(self.far, &[&column.name], far as f64);
//!         }
//!     }
//! }
//!
//! // A plugin is tested without WebAssembly:
//! use weir_plugin_sdk::testing::{Harness, Table};
//! let mut harness = Harness::<Extremes>::new("{}").unwrap();
//! harness.observe(&Table::rows(3).numbers(role::INPUT, "age", &[1.0, -2000.0, f64::NAN]));
//! assert_eq!(harness.counter("far", &["age"]), 1.0);
//! ```
//!
//! Metrics, windows and conditions belong to the gateway: they survive a reload or a trap. What a plugin
//! keeps in its own fields does not, unless it implements [`Plugin::save`] and [`Plugin::load`].

mod batch;
#[doc(hidden)]
pub mod bindings;
mod host;
pub mod looks;
mod manifest;
mod nearest;
mod outcome;
pub mod reference;
#[doc(hidden)]
pub mod runtime;
mod schema;
pub mod settings;
pub mod statistics;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod turns;

pub use batch::Batch;
pub use host::{Level, log};
pub use manifest::{
    Columns, Condition, Counter, Gauge, Histogram, Manifest, Metric, Reason, Window, WindowSpec, role,
};
pub use outcome::{ColumnValues, Outcome, Placed, Summary, Values};
pub use schema::{Column, Kind, MISSING, Per, PerSchema, Schema, Task};
/// For what [`Plugin::save`] writes and [`Plugin::load`] reads, for instance.
pub use serde_json as json;
pub use settings::{Fault, Faults, Setting};

/// Everything a plugin usually names.
pub mod prelude {
    pub use crate::{
        Batch, Column, ColumnValues, Columns, Condition, Counter, Faults, Gauge, Histogram, Kind, Level,
        MISSING, Manifest, Metric, Outcome, PerSchema, Plugin, Reason, Schema, Task, Window, WindowSpec,
        role, settings,
    };
}

/// What judges traffic.
pub trait Plugin: Sized {
    /// A struct declared with [`settings!`], or `()`.
    type Settings: Setting + Default;

    /// Declares what the plugin wants and gives, and makes it. The plugin is not used if there are faults.
    fn configure(settings: Self::Settings, manifest: &mut Manifest, faults: &mut Faults) -> Self;

    /// Judges one batch.
    fn observe(&mut self, batch: &Batch, out: &mut Outcome);

    /// Time has passed (see [`Manifest::tick_every`]); called for each model that has been seen. `now_ns` is
    /// Unix time.
    fn tick(&mut self, _schema: &Schema, _now_ns: u64, _out: &mut Outcome) {}

    /// A schema will not come again: what is kept for it can go.
    fn retire(&mut self, _schema: &Schema) {}

    /// What to carry over a reload or a trap: a number for its layout, and the bytes.
    fn save(&self) -> Option<(u32, Vec<u8>)> {
        None
    }

    /// Takes over what was saved, perhaps by an older version; false if the layout is unknown.
    fn load(&mut self, _format: u32, _data: &[u8]) -> bool {
        false
    }
}

/// Makes a plugin the component's own. Name, version and description are those of the crate.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::exports::weir::plugin as exports;
            use $crate::bindings::weir::plugin::types;

            std::thread_local! {
                static RUNTIME: std::cell::RefCell<Option<$crate::runtime::Runtime<$plugin>>> =
                    const { std::cell::RefCell::new(None) };
            }

            fn with<R>(run: impl FnOnce(&mut $crate::runtime::Runtime<$plugin>) -> R) -> R {
                RUNTIME.with_borrow_mut(|it| run(it.as_mut().expect("the host configures first")))
            }

            struct Component;

            impl exports::plugin::Guest for Component {
                fn describe() -> types::Identity {
                    $crate::runtime::describe::<$plugin>(
                        env!("CARGO_PKG_NAME"),
                        env!("CARGO_PKG_VERSION"),
                        env!("CARGO_PKG_DESCRIPTION"),
                    )
                }

                fn configure(settings: String) -> Result<types::Manifest, Vec<types::Fault>> {
                    $crate::runtime::report_panics();
                    let (runtime, manifest) = $crate::runtime::Runtime::configure(&settings)?;
                    RUNTIME.with_borrow_mut(|it| *it = Some(runtime));
                    Ok(manifest)
                }

                fn schema(delta: types::SchemaDelta) {
                    with(|it| it.schema(delta));
                }

                fn retire(schema: u32) {
                    with(|it| it.retire(schema));
                }

                fn observe(batch: types::Batch) -> types::Outcome {
                    with(|it| it.observe(&batch))
                }

                fn tick(now_ns: u64) -> types::Outcome {
                    with(|it| it.tick(now_ns))
                }
            }

            impl exports::snapshot::Guest for Component {
                fn save() -> Option<exports::snapshot::State> {
                    with(|it| it.save()).map(|(format, data)| exports::snapshot::State { format, data })
                }

                fn load(state: exports::snapshot::State) -> bool {
                    with(|it| it.load(state.format, &state.data))
                }
            }

    $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        };
    };
}
