//! The whole configuration, and how it comes from a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use toml::de::DeTable;
use weir_exchange::Privacy;

use crate::effective::effective;
use crate::fault::{Fault, Faults, Place, Source};
use crate::places::Text;
use crate::reader::Reader;
use crate::{
    AlertRule, Alerting, Backend, Gateway, Limits, Log, Plugin, PredictionLog, Route, Slo, Telemetry,
    Timeouts, Tracing, VerdictLog, document,
};

/// The configuration of `weir run` and `weir demo` without `--config`, and the reference manual of every
/// key.
pub const DEFAULT: &str = include_str!("../../../config/default.toml");

/// A configuration is at most this long; what is longer is another file.
const LONGEST: u64 = 4 << 20;

/// A whole, checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub gateway: Gateway,
    pub limits: Limits,
    /// Defaults of routes and backends, which carry their own already.
    pub timeouts: Timeouts,
    /// In the order of the file; never empty.
    pub routes: Vec<Route>,
    /// In the order of the file.
    pub backends: Vec<Backend>,
    /// In the order of the file.
    pub plugins: Vec<Plugin>,
    pub telemetry: Telemetry,
    pub tracing: Tracing,
    pub prediction_log: PredictionLog,
    pub verdict_log: VerdictLog,
    /// `None`: nothing is hidden.
    pub privacy: Option<Arc<Privacy>>,
    pub alerting: Alerting,
    /// In the order of the file.
    pub alerts: Vec<AlertRule>,
    /// In the order of the file.
    pub slos: Vec<Slo>,
    pub log: Log,
    /// The folder that relative paths were resolved against.
    pub base: PathBuf,
}

/// A configuration and what else reading it told.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub config: Config,
    /// SHA-256 of the text, in hex. The environment is no part of it: compare `config` to know what
    /// changed.
    pub source_digest: String,
    /// Every key with the value in force, in the shape of the file; secrets and what came from the
    /// environment are `(redacted)`.
    pub redacted: Value,
    /// Legal, but probably not meant.
    pub warnings: Vec<Fault>,
    pub(crate) text: Text,
}

impl Loaded {
    /// The first 48 bits of the digest, exact in a float: the value of `weir_config_hash`.
    pub fn hash(&self) -> u64 {
        u64::from_str_radix(&self.source_digest[..12], 16).expect("a digest is hex")
    }
}

impl Default for Config {
    /// What [`DEFAULT`] says, with relative paths below the current folder.
    fn default() -> Self {
        Self::embedded().config
    }
}

impl Config {
    /// The embedded default.
    pub fn embedded() -> Loaded {
        let name = "config/default.toml";
        Self::parse(DEFAULT, name, Path::new("."), &|_| None)
            .expect("the default is valid, which a test proves")
    }

    /// Reads a file, with `${NAME}` from the process's environment. Relative paths inside are relative to
    /// the folder of `path` as given; symlinks are not resolved, so that a swapped Kubernetes ConfigMap
    /// stays whole.
    ///
    /// # Errors
    /// Every fault of the file, or that it cannot be read.
    pub fn load(path: &Path) -> Result<Loaded, Faults> {
        let name = path.display().to_string();
        let text = read_text(path, &name)?;
        let base = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        parse(&Source::new(&name, &text), base, &|name| std::env::var(name).ok(), &|path| path.is_dir())
    }

    /// Reads a text. `name` is what faults call it; no file is touched.
    ///
    /// # Errors
    /// Every fault of the text.
    pub fn parse(
        text: &str,
        name: &str,
        base: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, Faults> {
        parse(&Source::new(name, text), base, env, &|_| false)
    }
}

fn parse(
    source: &Source<'_>,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    is_folder: &dyn Fn(&Path) -> bool,
) -> Result<Loaded, Faults> {
    let mut reader = Reader::new(source, env);
    let (root, errors) = DeTable::parse_recoverable(source.text());
    errors.iter().for_each(|error| reader.syntax(error));
    let file = document::File::read(root.get_ref(), &mut reader);
    let config = file.resolve(base, is_folder, &mut reader);
    let text = Text::of(source, reader.masked().to_vec());
    let (faults, warnings) = reader.finish();
    if !faults.is_empty() {
        return Err(Faults::new(source.name(), faults));
    }
    let digest = Sha256::digest(source.text());
    let source_digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let redacted = effective(root.get_ref(), &config.gateway);
    Ok(Loaded { config, source_digest, redacted, warnings, text })
}

/// A file's text.
fn read_text(path: &Path, name: &str) -> Result<String, Faults> {
    let fault = |message: String| Faults::new(name, vec![Fault::of_file(name, message)]);
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| fault(format!("failed to read the configuration: {error} (see `--config`)")))?;
    if bytes.len() as u64 > LONGEST {
        return Err(fault(format!("the file is over {} MiB long (is it a configuration?)", LONGEST >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let known = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        let message = "the file is not UTF-8 from here on (save it as UTF-8)".to_owned();
        let place = Place::new("", valid..valid);
        Faults::new(name, vec![Source::new(name, &known).fault(&place, message, &[])])
    })
}
