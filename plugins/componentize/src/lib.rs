//! Makes a component of a plugin's core module: what rustc writes for `wasm32-unknown-unknown` already
//! carries the interface it was compiled against in a custom section, and only has to be wrapped and checked.

use std::fmt;

use wasmparser::{BinaryReaderError, Parser, Payload};

/// Every plugin exports this interface, in some version.
const INTERFACE: &str = "weir:plugin/plugin@";

/// Why a core module is no plugin.
#[derive(Debug)]
pub enum Error {
    /// The bytes are no WebAssembly module.
    Malformed(String),
    /// It wants something that no plugin gets: (module, name).
    Import(String, String),
    /// It exports no plugin.
    NoPlugin,
    /// It does not fit the interface it was compiled against.
    Encode(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(cause) => write!(f, "no WebAssembly module: {cause}"),
            Self::Import(module, name) => write!(
                f,
                "the module imports `{name}` of `{module}`, which no plugin gets (build it for \
                 wasm32-unknown-unknown, without crates that need a clock, randomness, files or network)"
            ),
            Self::NoPlugin => f.write_str(
                "the module exports no plugin (the crate ends in `weir_plugin_sdk::export!(MyPlugin);`)",
            ),
            Self::Encode(cause) => write!(f, "the module does not fit the plugin interface: {cause}"),
        }
    }
}

impl std::error::Error for Error {}

/// Wraps a core module into a validated component whose only import is `weir:plugin/host`.
///
/// # Errors
/// If the bytes are no module, import anything else, export no plugin, or do not fit the interface.
pub fn componentize(core_module: &[u8]) -> Result<Vec<u8>, Error> {
    check(core_module)?;
    let encode = || wit_component::ComponentEncoder::default().validate(true).module(core_module)?.encode();
    encode().map_err(|error| Error::Encode(format!("{error:#}")))
}

/// Says in words what the encoder would say in its own, or not at all: it makes an empty component of an
/// empty module.
fn check(core_module: &[u8]) -> Result<(), Error> {
    let malformed = |error: BinaryReaderError| Error::Malformed(error.to_string());
    if !Parser::is_core_wasm(core_module) {
        return Err(Error::Malformed("it does not begin as one".to_owned()));
    }
    let mut plugin = false;
    for payload in Parser::new(0).parse_all(core_module) {
        match payload.map_err(malformed)? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(malformed)?;
                    // `[export]weir:plugin/...` are the intrinsics of its own exports.
                    if !import.module.trim_start_matches("[export]").starts_with("weir:plugin/") {
                        return Err(Error::Import(import.module.to_owned(), import.name.to_owned()));
                    }
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    plugin |= export.map_err(malformed)?.name.starts_with(INTERFACE);
                }
            }
            _ => {}
        }
    }
    if plugin { Ok(()) } else { Err(Error::NoPlugin) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(module: &[u8]) -> String {
        componentize(module).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(message(b"").starts_with("no WebAssembly module"));
        assert!(message(b"\0asm\x0d\0\x01\0").starts_with("no WebAssembly module"), "a component");
        assert!(message(b"\0asm\x01\0\0\0\x01\xff").starts_with("no WebAssembly module"), "cut off");
    }

    #[test]
    fn a_module_without_a_plugin_is_refused() {
        assert!(message(b"\0asm\x01\0\0\0").contains("exports no plugin"));
    }

    #[test]
    fn an_import_from_elsewhere_is_named() {
        // (module (type (func)) (import "wasi" "now" (func (type 0))))
        let module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x0c\x01\x04wasi\x03now\0\0";
        assert!(message(module).starts_with("the module imports `now` of `wasi`"));
    }
}
