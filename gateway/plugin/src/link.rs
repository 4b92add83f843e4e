//! From a component's bytes to something that can be instantiated, and in words what is in the way.

use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::bindings::exports::weir::plugin::{plugin, snapshot};
use crate::cache::{Cache, ComponentDigest, Found};
use crate::context::Context;
use crate::error::LoadFault;
use crate::metrics::{CodeFrom, HostMetrics};
use crate::{INTERFACE, MOST_COMPONENT_BYTES, PACKAGE};

/// Version a component may have been made for; later patches of it add functions and interfaces only.
const SERVED: &str = "0.1.";

/// Interfaces that plugins may import.
const OFFERED: [&str; 4] = ["host", "types", "statistics", "reference"];

/// A component that fits the world.
#[derive(Clone)]
pub(crate) struct Linked {
    pub(crate) pre: InstancePre<Context>,
    pub(crate) plugin: plugin::GuestIndices,
    pub(crate) snapshot: Option<snapshot::GuestIndices>,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

/// Refuses what is no component before a compiler looks at it.
pub(crate) fn check_form(bytes: &[u8]) -> Result<(), LoadFault> {
    if bytes.len() > MOST_COMPONENT_BYTES {
        return Err(LoadFault::TooLarge { bytes: bytes.len() });
    }
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Err(LoadFault::CoreModule),
        _ => Err(LoadFault::NotWasm),
    }
}

/// Where machine code comes from.
pub(crate) struct Code<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) cache: Option<&'a Cache>,
    pub(crate) metrics: &'a HostMetrics,
}

impl Code<'_> {
    /// The compiled component: from the cache, or compiled now and kept there.
    pub(crate) fn load(&self, digest: &ComponentDigest, bytes: &[u8]) -> Result<Component, LoadFault> {
        let found = self.cache.map_or(Found::Nothing, |cache| cache.get(self.engine, digest));
        let from = match found {
            Found::Component(component) => {
                self.metrics.code_from(CodeFrom::Cache);
                return Ok(component);
            }
            Found::Unusable => CodeFrom::Damaged,
            Found::Nothing => CodeFrom::Compiled,
        };
        let component = Component::new(self.engine, bytes)
            .map_err(|error| LoadFault::Compile(first_line(&format!("{error:#}"))))?;
        self.metrics.code_from(from);
        let kept = self.cache.map_or(Ok(()), |cache| cache.put(digest, &component));
        if kept.is_err() {
            self.metrics.cache_errors.get(&[]).inc();
        }
        Ok(component)
    }
}

/// Checks a component against the world; every import that nobody gets at once.
pub(crate) fn link(linker: &Linker<Context>, component: &Component) -> Result<Linked, Vec<LoadFault>> {
    let engine = linker.engine();
    let kind = component.component_type();
    let imports: Vec<String> = kind.imports(engine).map(|(name, _)| name.to_owned()).collect();
    let exports: Vec<String> = kind.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let faults: Vec<LoadFault> = imports.iter().filter_map(|name| check_import(name)).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    let mismatch = |error: wasmtime::Error| vec![LoadFault::Mismatch(first_line(&format!("{error:#}")))];
    let pre = linker.instantiate_pre(component).map_err(mismatch)?;
    if component.get_export_index(None, INTERFACE).is_none() {
        return Err(vec![missing(&exports)]);
    }
    let plugin = plugin::GuestIndices::new(&pre).map_err(mismatch)?;
    // It is optional; what is there in part is not.
    let keeps = exports.iter().any(|name| name.starts_with(&format!("{PACKAGE}/snapshot@{SERVED}")));
    let snapshot = keeps.then(|| snapshot::GuestIndices::new(&pre)).transpose().map_err(mismatch)?;
    Ok(Linked { pre, plugin, snapshot, imports, exports })
}

fn check_import(name: &str) -> Option<LoadFault> {
    let rest = name.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix('/'));
    match rest.and_then(|rest| rest.split_once('@')) {
        Some((interface, version)) if OFFERED.contains(&interface) => match version.starts_with(SERVED) {
            true => None,
            false => Some(LoadFault::Version { found: name.to_owned() }),
        },
        _ => Some(LoadFault::Import { name: name.to_owned() }),
    }
}

fn missing(exports: &[String]) -> LoadFault {
    let other = exports.iter().find(|name| name.starts_with(&format!("{PACKAGE}/plugin@")));
    other.map_or(LoadFault::NoPlugin, |found| LoadFault::Version { found: found.clone() })
}

/// Wasmtime's messages go on with offsets and hints for people who embed it.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
