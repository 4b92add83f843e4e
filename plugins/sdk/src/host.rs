//! Calls to the host; outside WebAssembly, to the one of the test harness.

pub use crate::bindings::weir::plugin::types::{Level, Summary};

/// What a handle can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Series(u32),
    Window(u32),
    Condition(u32),
}

#[cfg(target_arch = "wasm32")]
mod real {
    use super::{Level, Summary, Target};
    use crate::bindings::weir::plugin::host;

    pub(crate) fn handle(schema: u32, target: Target, labels: &[&str]) -> u32 {
        let labels: Vec<String> = labels.iter().map(|l| (*l).to_owned()).collect();
        match target {
            Target::Series(metric) => host::series(schema, metric, &labels),
            Target::Window(window) => host::window(schema, window, &labels),
            Target::Condition(condition) => host::condition(schema, condition, &labels),
        }
    }

    pub(crate) fn window_read(window: u32, group: Option<&str>) -> Option<Summary> {
        host::window_read(window, group)
    }

    /// Writes a line to the gateway's log.
    pub fn log(level: Level, message: &str) {
        host::log(level, message);
    }
}

#[cfg(target_arch = "wasm32")]
pub use real::log;
#[cfg(target_arch = "wasm32")]
pub(crate) use real::{handle, window_read};

#[cfg(not(target_arch = "wasm32"))]
pub use crate::testing::fake::log;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::fake::{handle, window_read};
