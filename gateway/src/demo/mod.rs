//! `weir demo`: train a model, serve it, send it the rows it has not seen, and watch the telemetry that comes
//! out. After a while the rows change, as the world does, and the telemetry shows it.

mod look;
pub(crate) mod profile;
#[cfg(test)]
mod proof;
mod screen;
mod traffic;

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use weir_inference::{About, Algorithm, Feature, Kind, Row, TrainOptions, holdout_rows, train};

use crate::app::Serving;
use crate::artifacts::{CHURN, CHURN_TARGET};
use crate::cli::{CliError, DemoArgs};
use look::{Look, UNSURE};
use screen::{Drawn, Screen};
use traffic::{Client, Traffic};

/// How often the metrics are read and shown.
const LOOKS: Duration = Duration::from_millis(500);
/// Where telemetry has surely caught up; what is not there by then is shown as missing.
const SETTLE: &str = "/api/settle?timeout=5s";

pub(crate) fn run(args: &DemoArgs) -> Result<ExitCode, CliError> {
    let folder = tempfile::tempdir()?;
    println!("training a churn model on 4,930 customers and checking it on 2,113 others ..");
    let (about, rows) = train_into(folder.path())?;
    let config = write_config(folder.path(), args, &about)?;
    let serving = Serving::start(config)?;
    introduce(&serving, args, &about);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut demo = Demo {
        traffic: Traffic::new(rows, args.shift_after),
        screen: Screen::new(&about),
        client: Client::new(serving.traffic()),
        admin: Client::new(serving.admin()),
        failed: 0,
    };
    let ended = runtime.block_on(demo.drive(&serving, args));
    serving.stop();
    ended?;
    drop(folder);
    demo.screen.sum_up(demo.traffic.rows_sent());
    match demo.failed {
        0 => Ok(ExitCode::SUCCESS),
        failed => Err(format!("{failed} requests of the demo failed").into()),
    }
}

/// A model file and its profile in the folder, and the rows that were held out.
fn train_into(folder: &Path) -> Result<(About, Vec<Row>), CliError> {
    let options = TrainOptions {
        name: "churn".into(),
        ..TrainOptions::new(CHURN_TARGET, Algorithm::LogisticRegression)
    };
    let model = train(CHURN, &options)?;
    fs::write(folder.join("churn.model"), model.to_bytes())?;
    profile::write(folder, &model)?;
    Ok((model.about().clone(), holdout_rows(CHURN, model.about())?))
}

/// A configuration as anybody would write it, and what is known of the features from training.
fn write_config(folder: &Path, args: &DemoArgs, about: &About) -> Result<PathBuf, CliError> {
    let mut toml = format!(
        r#"[gateway]
listen = "{}"
admin = "{}"

[[route]]
name = "churn"
path = "/v1/models/churn*"
backend = "churn"
protocol = "kserve-v1"

[backend.churn]
model = "churn.model"

[plugin.confidence]
path = "builtin:confidence"
config = {{ threshold = {UNSURE}, min_share = 0.4, window = "30s" }}

[plugin.drift]
path = "builtin:drift"
config = {{ profile = "churn.profile.json", window = "10s" }}

[plugin.sampler]
path = "builtin:sampler"

[log]
level = "error"
access = "0%"

[plugin.feature-stats]
path = "builtin:feature-stats"
"#,
        args.listen, args.admin
    );
    about.features.iter().try_for_each(|feature| describe(&mut toml, feature))?;
    let path = folder.join("weir.toml");
    fs::write(&path, toml)?;
    Ok(path)
}

fn describe(toml: &mut String, feature: &Feature) -> Result<(), CliError> {
    let header =
        format!("\n[plugin.feature-stats.config.features.{}]", serde_json::to_string(&feature.name)?);
    match &feature.kind {
        Kind::Number { min, max, .. } => writeln!(toml, "{header}\nmin = {min:?}\nmax = {max:?}")?,
        Kind::Category { values } => {
            let values: Vec<&str> = values.iter().map(|category| category.value.as_str()).collect();
            writeln!(toml, "{header}\ncategories = {}", serde_json::to_string(&values)?)?;
        }
        Kind::Flag { .. } => {}
    }
    Ok(())
}

fn introduce(serving: &Serving, args: &DemoArgs, about: &About) {
    let (traffic, admin): (SocketAddr, SocketAddr) = (serving.traffic(), serving.admin());
    let v = about.validation;
    println!(
        "a {}: AUC {:.3}, accuracy {:.3}, log loss {:.3} on rows it has not seen

  open   http://{admin}/            what there is to read
         http://{admin}/ui          how Weir is
         http://{admin}/metrics     what Prometheus would scrape
  curl   http://{admin}/api/plugins
         http://{admin}/api/verdicts
         http://{admin}/api/findings
         http://{traffic}/v1/models/churn

{} requests a second go to http://{traffic}/v1/models/churn:predict; after {} of them the customers change.
Ctrl-C ends it.
",
        about.algorithm, v.auc, v.accuracy, v.log_loss, args.rate, args.shift_after
    );
}

struct Demo {
    traffic: Traffic,
    screen: Screen,
    client: Client,
    admin: Client,
    failed: u64,
}

impl Demo {
    /// Sends and shows until told to stop.
    async fn drive(&mut self, serving: &Serving, args: &DemoArgs) -> Result<(), CliError> {
        let mut sends = interval(Duration::from_secs(1) / args.rate.max(1));
        sends.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut looks = interval(LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !serving.stopped() && args.requests.is_none_or(|most| self.traffic.sent() < most) {
            tokio::select! {
                _ = sends.tick() => self.send(serving).await?,
                _ = looks.tick() => self.look(serving, Drawn::Live).await?,
            }
        }
        match self.settled(serving).await {
            // After a signal the gateway ends by itself, and may be gone before it is asked.
            Err(_) if serving.stopped() => Ok(()),
            settled => settled,
        }
    }

    async fn send(&mut self, serving: &Serving) -> Result<(), CliError> {
        if self.traffic.shifts_now() {
            // So that everything before the shift is counted before it.
            self.settled(serving).await?;
            self.screen.shifted();
        }
        let body = self.traffic.next_body()?;
        match self.client.post("/v1/models/churn:predict", body).await {
            Ok((200, _)) => self.traffic.count_sent(),
            Ok(_) | Err(_) if serving.stopped() => {}
            Ok((status, answer)) => {
                self.failed += 1;
                self.screen.note(&format!("status {status}: {answer}"));
            }
            Err(error) => {
                self.failed += 1;
                self.screen.note(&error.to_string());
            }
        }
        Ok(())
    }

    /// Waits until all that was sent is judged, and shows it.
    async fn settled(&mut self, serving: &Serving) -> Result<(), CliError> {
        self.admin.get(SETTLE).await?;
        self.look(serving, Drawn::Last).await
    }

    /// Reads `/metrics` as a scraper does. A gateway that is just ending may not answer.
    async fn look(&mut self, serving: &Serving, drawn: Drawn) -> Result<(), CliError> {
        match self.admin.get("/metrics").await {
            Ok((200, text)) => self.screen.show(Look::of(&text), self.traffic.sent(), self.failed, drawn)?,
            Ok((status, text)) => return Err(format!("failed to read /metrics: {status} {text}").into()),
            Err(_) if serving.stopped() => {}
            Err(error) => return Err(format!("failed to read /metrics: {error}").into()),
        }
        Ok(())
    }
}
