//! The command line: what can be asked of the binary, and where each request goes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use weir_profile::{Season, TimeColumns};

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
    /// Make and look at profiles, which drift is judged against.
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// See what drift would have been found in past rows.
    #[command(subcommand)]
    Drift(DriftCommand),
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
        /// Profile to try it with, made by `weir profile build`; several for several models.
        #[arg(long)]
        profile: Vec<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// Measure what a component costs an exchange.
    Bench {
        file: PathBuf,
        #[arg(long, default_value = "{}")]
        settings: String,
        /// Profile that it compares with; the traffic is then that profile's, a row a request.
        #[arg(long)]
        profile: Option<PathBuf>,
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
pub(crate) enum ProfileCommand {
    /// Make a profile of reference rows.
    Build(Box<ProfileArgs>),
    /// Draw a profile, or compare it with another.
    Inspect {
        file: PathBuf,
        #[arg(long)]
        json: bool,
        /// Profile of other rows to compare with, feature by feature; `live`: what a running gateway gets.
        #[arg(long, value_name = "PROFILE|live")]
        against: Option<PathBuf>,
        #[command(flatten)]
        live: LiveArgs,
    },
    /// Make what a running gateway gets now the new reference.
    Accept(AcceptArgs),
}

/// Which live traffic; where it is the only one, it need not be named.
#[derive(Debug, Args)]
pub(crate) struct LiveArgs {
    /// Admin address of the gateway: `HOST:PORT` or a URL.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464")]
    pub(crate) admin: String,
    /// Key of the plugin whose counts are meant.
    #[arg(long)]
    pub(crate) plugin: Option<String>,
    #[arg(long)]
    pub(crate) route: Option<String>,
    #[arg(long)]
    pub(crate) model: Option<String>,
    #[arg(long)]
    pub(crate) model_version: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    #[command(flatten)]
    pub(crate) live: LiveArgs,
    /// Who accepts it.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) author: String,
    /// Why it is the reference from now on.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) reason: String,
    /// Profile to write; a gateway that uses it reloads by itself.
    #[arg(long, short)]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// CSV file with a header, as it is or with gzip, or Parquet file.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// File to write.
    #[arg(long, short)]
    pub(crate) out: PathBuf,
    /// Column that the model predicts; left out.
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Columns to leave out.
    #[arg(long, value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// Columns that are text, though their values are numbers; kept whatever they look like.
    #[arg(long, value_delimiter = ',')]
    pub(crate) category: Vec<String>,
    /// Columns of numbers; kept whatever they look like.
    #[arg(long, value_delimiter = ',')]
    pub(crate) number: Vec<String>,
    /// Values that stand for a missing one, such as -999.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) missing: Vec<String>,
    /// Column of predictions.
    #[arg(long, conflicts_with = "model")]
    pub(crate) prediction: Option<String>,
    /// Name of the prediction in live replies; `0` where they have none, as plain lists.
    #[arg(long, default_value = "0")]
    pub(crate) prediction_name: String,
    /// Columns of class scores, each named as its class.
    #[arg(long, value_delimiter = ',', conflicts_with = "model")]
    pub(crate) score: Vec<String>,
    /// Model of `weir model train`: its predictions for the rows are profiled too, and the profile is bound
    /// to its name and version.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
    /// Name of the model that the profile is for.
    #[arg(long)]
    pub(crate) model_name: Option<String>,
    /// Version of the model that the profile is for.
    #[arg(long)]
    pub(crate) model_version: Option<String>,
    /// Column of the time of each row (unix seconds or ms, RFC 3339, `YYYY-MM-DD HH:MM:SS`), or its parts:
    /// `year=2013,month,day,hour,minute`, each PART, PART=COLUMN or PART=NUMBER; `hhmm` is 515 for 05:15.
    #[arg(long, value_parser = TimeColumns::from_str)]
    pub(crate) time: Option<TimeColumns>,
    /// Length of blocks of time that phi comes from; default: the window's, else a day.
    #[arg(long, value_parser = commands::profile::duration, requires = "time")]
    pub(crate) block: Option<Duration>,
    /// Replay the rows through themselves by windows of this length, and mark what would alarm too often.
    #[arg(long, value_parser = commands::profile::duration, requires = "time")]
    pub(crate) window: Option<Duration>,
    /// Alarms a month that are put up with.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) budget: f64,
    /// Keep a reference for each `hour`, `weekday` or `hour-of-week` (UTC).
    #[arg(long, value_parser = Season::from_str, requires = "time")]
    pub(crate) season: Option<Season>,
    /// Keep a reference for each of the ten most frequent values of this column.
    #[arg(long)]
    pub(crate) segment: Option<String>,
    /// Column of keys: rows of one entity count as one.
    #[arg(long)]
    pub(crate) entity: Option<String>,
    /// Rows of the smallest window that is judged; default: what nine in ten windows hold, else 500.
    #[arg(long)]
    pub(crate) window_rows: Option<u64>,
    /// Who accepts these rows as the reference.
    #[arg(long, requires = "reason")]
    pub(crate) author: Option<String>,
    /// Why these rows are the reference.
    #[arg(long, requires = "author")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DriftCommand {
    /// Put past rows through the drift plugin, window by window: what would have fired, by month and setting.
    Replay(Box<ReplayArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// CSV file with a header, as it is or with gzip, or Parquet file.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Profile to compare with, made by `weir profile build`.
    #[arg(long)]
    pub(crate) profile: PathBuf,
    /// Column of the time of each row, or its parts, as for `weir profile build`.
    #[arg(long, value_parser = TimeColumns::from_str)]
    pub(crate) time: TimeColumns,
    /// Lengths of windows.
    #[arg(long, value_delimiter = ',', default_value = "1d", value_parser = commands::profile::duration)]
    pub(crate) window: Vec<Duration>,
    /// Looks a month that may report anything though nothing has changed.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub(crate) budget: Vec<f64>,
    /// Corrected PSI that a change must reach beside the test.
    #[arg(long, value_delimiter = ',', default_value = "0.05")]
    pub(crate) min_effect: Vec<f64>,
    /// Model of `weir model train`, whose predictions for the rows are judged too.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
    /// Column of predictions.
    #[arg(long, conflicts_with = "model")]
    pub(crate) prediction: Option<String>,
    /// Columns of class scores, each named as its class.
    #[arg(long, value_delimiter = ',', conflicts_with = "model")]
    pub(crate) score: Vec<String>,
    /// Values that stand for a missing one, such as -999.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) missing: Vec<String>,
    /// Further settings of the plugin, as JSON.
    #[arg(long, default_value = "{}")]
    pub(crate) settings: String,
    /// Component of the plugin, or `builtin:NAME`.
    #[arg(long, default_value = "builtin:drift")]
    pub(crate) plugin: PathBuf,
    /// Everything each window showed, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
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
        Command::Profile(command) => commands::profile::run(command),
        Command::Drift(command) => commands::drift::run(command),
        Command::Alert(command) => commands::alert::run(command),
        Command::Generate(command) => commands::generate(command),
    }
}
