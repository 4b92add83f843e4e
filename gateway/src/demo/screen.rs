//! What the demo shows in the terminal: one picture that is drawn again, or plain lines where nobody looks.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use weir_inference::{About, Kind};

use crate::cli::CliError;
use crate::demo::look::{DRIFTING, Look, PluginLook, UNSURE};

/// Between two lines where the picture cannot be drawn again.
const PLAIN: Duration = Duration::from_secs(5);

/// Whether more will follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drawn {
    Live,
    /// After everything so far was judged: shown in any case.
    Last,
}

pub(super) struct Screen {
    terminal: bool,
    begin: Instant,
    /// Mean of the drifting feature in training.
    trained: f64,
    /// Lines of the picture that stands there.
    height: usize,
    last_plain: Option<Instant>,
    latest: Look,
    /// As it was when the data shifted.
    before: Option<Look>,
    /// The last thing that went wrong.
    note: String,
}

impl Screen {
    pub(super) fn new(about: &About) -> Self {
        let mean = about.features.iter().find(|f| f.name == DRIFTING).map(|f| match f.kind {
            Kind::Number { mean, .. } => mean,
            Kind::Flag { .. } | Kind::Category { .. } => f64::NAN,
        });
        Self {
            terminal: stdout().is_terminal(),
            begin: Instant::now(),
            trained: mean.unwrap_or(f64::NAN),
            height: 0,
            last_plain: None,
            latest: Look::default(),
            before: None,
            note: String::new(),
        }
    }

    /// From now on the data is another.
    pub(super) fn shifted(&mut self) {
        self.before = Some(self.latest.clone());
    }

    /// Something went wrong.
    pub(super) fn note(&mut self, what: &str) {
        self.note = what.chars().take(200).collect::<String>().replace('\n', " ");
    }

    pub(super) fn show(&mut self, look: Look, sent: u64, failed: u64, drawn: Drawn) -> Result<(), CliError> {
        self.latest = look;
        let mut out = stdout().lock();
        if self.terminal {
            let lines = self.picture(sent, failed);
            let up = if self.height > 0 { format!("\x1b[{}A", self.height) } else { String::new() };
            let picture: String = lines.iter().map(|line| format!("\x1b[2K{line}\n")).collect();
            // Without wrapping, so that a narrow terminal cuts lines and the picture keeps its height.
            write!(out, "{up}\x1b[?7l{picture}\x1b[?7h")?;
            self.height = lines.len();
        } else if drawn == Drawn::Last || self.last_plain.is_none_or(|last| last.elapsed() >= PLAIN) {
            self.last_plain = Some(Instant::now());
            let lines = self.picture(sent, failed);
            let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
            writeln!(out, "{}", lines.iter().map(words).collect::<Vec<_>>().join(" | "))?;
        }
        Ok(out.flush()?)
    }

    fn picture(&self, sent: u64, failed: u64) -> Vec<String> {
        let (look, seconds) = (&self.latest, self.begin.elapsed().as_secs());
        let mut lines = vec![format!(
            "{:02}:{:02}  {sent} requests, {failed} failed, {} rows predicted{}",
            seconds / 60,
            seconds % 60,
            look.rows,
            if self.before.is_some() { "; the data has shifted" } else { "" }
        )];
        let periods = self.periods();
        let each = |show: &dyn Fn(&Look) -> String| {
            let shown: Vec<String> =
                periods.iter().map(|(when, look)| format!("{}{when}", show(look))).collect();
            shown.join(", ")
        };
        lines.push(format!(
            "latency      p50 {}, p99 {} for the model",
            look.latency(0.5),
            look.latency(0.99)
        ));
        lines.push(format!("predictions  {}", each(&classes)));
        lines.push(format!("confidence   at most {UNSURE} in {}", each(&unsure)));
        lines.push(format!("{DRIFTING:<12} mean {:.1} in training, {}", self.trained, each(&mean)));
        lines.push(format!(
            "features     {} missing, {} of a category nobody has seen, {} out of range",
            look.missing, look.unseen, look.out_of_range
        ));
        lines.push(format!("drift        {}", drift(look)));
        for (key, PluginLook { state, rows, cpu }) in &look.plugins {
            let each = cpu * 1e6 / rows.max(1.0);
            lines.push(format!("plugin       {key} is {state}: {rows} rows, {each:.1} us each"));
        }
        let holds = if look.low_confidence { "holds" } else { "does not hold" };
        lines.push(format!("condition    low_confidence {holds}"));
        if !self.note.is_empty() {
            lines.push(format!("last failure {}", self.note));
        }
        lines
    }

    /// All so far; once the data has shifted, what came before and what after.
    fn periods(&self) -> Vec<(&'static str, Look)> {
        match &self.before {
            None => vec![("", self.latest.clone())],
            Some(before) => {
                vec![(" before the shift", before.clone()), (" since", self.latest.since(before))]
            }
        }
    }

    /// The last words.
    pub(super) fn sum_up(&self, rows_sent: u64) {
        println!("\nsent {rows_sent} rows; the metrics counted {} when last read", self.latest.rows);
        for (when, look) in self.periods() {
            let when = if when.is_empty() { "all" } else { when.trim() };
            println!("  {when:<17} {}; {DRIFTING} {}; unsure {}", classes(&look), mean(&look), unsure(&look));
        }
        println!("everything has ended and the temporary folder is gone");
    }
}

/// What the last window of ten seconds says.
fn drift(look: &Look) -> String {
    let drifted = look.drifted();
    let named = drifted.iter().take(5).map(|(name, psi)| format!("{name} {psi:.2}"));
    let more = drifted.len().saturating_sub(5);
    let rest = (more > 0).then(|| format!("{more} more"));
    match (drifted.is_empty(), &*look.drift) {
        (true, "") => "no window has closed yet".to_owned(),
        (true, state) => state.replace('_', " "),
        (false, state) => {
            format!("{state}, by corrected PSI: {}", named.chain(rest).collect::<Vec<_>>().join(", "))
        }
    }
}

fn classes(look: &Look) -> String {
    let all: f64 = look.classes.values().sum();
    let share = |(class, rows): (&String, &f64)| format!("{class} {}", percent(*rows, all));
    look.classes.iter().map(share).collect::<Vec<_>>().join(" ")
}

fn unsure(look: &Look) -> String {
    percent(look.unsure, look.scored)
}

fn mean(look: &Look) -> String {
    let (sum, count) = look.drifting;
    if count > 0.0 { format!("{:.1}", sum / count) } else { "-".into() }
}

fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1} %", 100.0 * part / whole) } else { "-".into() }
}
