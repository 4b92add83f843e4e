//! The command line: what can be asked of the binary, and where each request goes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{app, commands, demo};

/// A reverse proxy for model servers that turns prediction traffic into telemetry.
#[derive(Debug, Parser)]
#[command(name = "weir", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What went wrong, in words that complete "failed to ...".
pub type CliError = Box<dyn std::error::Error>;

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve traffic until SIGTERM or Ctrl-C.
    Run(ConfigArg),
    /// Check a configuration, its plugins and its models, as `run` would, and say every fault.
    Check(ConfigArg),
    /// Train a model, serve it, send it real rows, and show the telemetry that comes out.
    Demo(DemoArgs),
    /// Write, build and look at plugins.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Train and look at models that Weir runs itself.
    #[command(subcommand)]
    Model(ModelCommand),
    /// See whether those who should be told of alerts are reached.
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Write files derived from the configuration.
    #[command(subcommand)]
    Generate(GenerateCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArg {
    /// Configuration file; the built-in default if absent.
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Traffic address; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    /// Address of metrics and admin API; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9464")]
    pub(crate) admin: SocketAddr,
    /// Requests a second.
    #[arg(long, default_value_t = 40)]
    pub(crate) rate: u32,
    /// End after this many requests (default: go on until Ctrl-C).
    #[arg(long)]
    pub(crate) requests: Option<u64>,
    /// Shift the data after this many requests.
    #[arg(long, default_value_t = 800)]
    pub(crate) shift_after: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Write a new plugin, ready to build.
    New {
        /// Folder to make; its last part is the plugin's name.
        folder: PathBuf,
        /// Path of the plugin SDK, if it is not beside this binary's sources.
        #[arg(long)]
        sdk: Option<PathBuf>,
    },
    /// Compile a plugin and make a component of it.
    Build {
        /// Folder of the plugin's Cargo.toml.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Where the component goes; default `dist/` in the folder.
        #[arg(long, short)]
        out: Option<PathBuf>,
    },
    /// Run a plugin's own tests, on this machine rather than in Wasm.
    Test {
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Say what a component is, wants, and exports, and whether this gateway would load it.
    Inspect {
        file: PathBuf,
        /// Settings to configure it with, as JSON.
        #[arg(long, default_value = "{}")]
        settings: String,
        #[arg(long)]
        json: bool,
    },
    /// Measure what a component costs an exchange.
    Bench {
        file: PathBuf,
        #[arg(long, default_value = "{}")]
        settings: String,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Algorithm {
    RandomForest,
    LogisticRegression,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Train a classifier on a CSV file and check it on rows it has not seen.
    Train(TrainArgs),
    /// Say what a model file holds.
    Inspect {
        file: PathBuf,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// CSV file with a header.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Column to predict.
    #[arg(long)]
    pub(crate) target: String,
    #[arg(long, value_enum, default_value = "random-forest")]
    pub(crate) algorithm: Algorithm,
    /// File to write.
    #[arg(long, short)]
    pub(crate) out: PathBuf,
    /// Model name; default: the file's.
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[arg(long, default_value = "1")]
    pub(crate) model_version: String,
    /// Columns to leave out, such as ids.
    #[arg(long, value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    #[arg(long, default_value_t = 100)]
    pub(crate) trees: usize,
    /// Seed of the split and the forest: the same seed gives the same file.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// Send an alert as this rule or objective would, marked with the label test="true", to every receiver.
    Test {
        /// Key of the rule or objective.
        name: String,
        #[command(flatten)]
        config: ConfigArg,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GenerateCommand {
    /// The JSON schema of the configuration, for editors.
    Schema,
    /// The default configuration, with every key explained.
    Config,
    /// The rules and objectives of a configuration as Prometheus rules, over all gateways it scrapes.
    Rules(RulesArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// Matchers of the scrape job.
    #[arg(long, default_value = "job=\"weir\"")]
    pub(crate) scope: String,
    /// Write alerting rules though Weir tells of alerts itself.
    #[arg(long, conflicts_with = "no_alerts")]
    pub(crate) alerts: bool,
    /// Write recording rules only.
    #[arg(long)]
    pub(crate) no_alerts: bool,
}

/// Does what was asked.
///
/// # Errors
/// Whatever kept it from being done, in words.
pub fn run(cli: Cli) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Run(arg) => app::run(arg.config),
        Command::Check(arg) => app::check(arg.config),
        Command::Demo(args) => demo::run(&args),
        Command::Plugin(command) => commands::plugin::run(command),
        Command::Model(command) => commands::model::run(command),
        Command::Alert(command) => commands::alert::run(command),
        Command::Generate(command) => commands::generate(command),
    }
}
