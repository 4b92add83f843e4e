//! Profiles and comparisons as text for a terminal.

use std::fmt::{self, Write};
use std::time::Duration;

use weir_stats::drift::{Bins, look_level, smallest_psi_of, smallest_share_shift};

use crate::compare::{Comparison, Skew, Verdict, extent, short};
use crate::profile::{Feature, FeatureCounts, FeatureKind, Profile};

/// Columns of a histogram.
const WIDTH: usize = 32;
/// Categories that are shown.
const SHOWN: usize = 5;
/// Values up to which numbers are shown as categories are.
const FEW: usize = 4;
/// Of this share at either end a histogram says nothing, so that a few far values do not flatten it.
const TAIL: f64 = 0.01;
/// Alarms a month for which is shown what could be seen.
const BUDGET: f64 = 1.0;
/// Looks at a window of a day.
const DAY: Duration = Duration::from_secs(86_400);

impl Profile {
    /// The corrected PSI of a feature that the smallest window shows in 80 % of looks, when `budget` alarms a
    /// month are spread over windows of this length (a day, if the profile has none) and all tables.
    pub fn smallest_psi(&self, feature: &Feature, budget: f64) -> f64 {
        let Some(cell) = self.cell(None, None) else { return f64::INFINITY };
        let looks = 30.0 * DAY.as_secs_f64() / self.window.unwrap_or(DAY).as_secs_f64();
        let level = look_level(budget, looks) / (2 * self.features.len()) as f64;
        let n = cell.rows * self.scale(cell.rows, cell.distinct);
        let dof = u32::try_from(feature.groups.len().saturating_sub(1)).unwrap_or(u32::MAX);
        smallest_psi_of((n, self.window_rows as f64), level, dof, &feature.dispersion)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cell) = self.cell(None, None) else { return Ok(()) };
        write!(f, "{}: {} rows", self.made.source, cell.rows)?;
        let entity = self.entity.as_ref().map(|entity| format!("{} different `{entity}`", cell.distinct));
        writeln!(f, ", {}", entity.unwrap_or_else(|| format!("{} of them distinct", cell.distinct)))?;
        if let Some(model) = &self.model {
            let version =
                model.version.as_ref().map_or(String::new(), |version| format!(", version {version}"));
            writeln!(f, "model       {}{version}", model.name)?;
        }
        if let Some(author) = &self.made.author {
            writeln!(
                f,
                "accepted    by {author}: {}",
                self.made.reason.as_deref().unwrap_or("no reason given")
            )?;
        }
        writeln!(f, "windows     of {} rows and more are judged", self.window_rows)?;
        match self.block {
            Some(block) => writeln!(f, "phi         of {} blocks of {}", self.blocks, length(block))?,
            None => writeln!(f, "phi         none: independent rows assumed")?,
        }
        if let Some(season) = self.season {
            let slots =
                self.cells.iter().filter(|cell| cell.slot.is_some() && cell.segment.is_none()).count();
            writeln!(f, "season      {season}, {slots} of {} slots have rows", season.slots())?;
        }
        if let Some(segment) = &self.segment {
            let values =
                self.cells.iter().filter(|cell| cell.slot.is_none()).filter_map(|cell| cell.segment.as_ref());
            let values: Vec<String> = values.map(|value| format!("`{value}`")).collect();
            writeln!(f, "segments    of `{segment}`: {}", values.join(", "))?;
        }
        writeln!(f, "features    {}", self.features.len())?;
        let width = self.features.iter().map(|feature| feature.name.chars().count()).max().unwrap_or(0);
        for (feature, counts) in self.features.iter().zip(&cell.counts) {
            draw_feature(f, feature, (counts, cell.rows), (width, self.smallest_psi(feature, BUDGET)))?;
        }
        if !self.left_out.is_empty() {
            writeln!(f, "left out    {}", self.left_out.len())?;
        }
        for left in &self.left_out {
            writeln!(f, "  {}: {}", left.column, left.reason)?;
        }
        Ok(())
    }
}

fn draw_feature(
    f: &mut fmt::Formatter<'_>,
    feature: &Feature,
    (counts, rows): (&FeatureCounts, f64),
    (width, psi): (usize, f64),
) -> fmt::Result {
    let Feature { name, role, kind, .. } = feature;
    write!(f, "  {:6} {name:width$}  ", role.as_str())?;
    match kind {
        FeatureKind::Number { bins, integers } => {
            let (min, max) = bins.range();
            let what = if *integers { "whole number" } else { "number" };
            let middle = quantile(bins, &counts.bins, 0.5);
            write!(f, "{what} {} to {}, median {}", short(min), short(max), short(middle))?;
        }
        FeatureKind::Category { texts } => write!(f, "one of {} texts", texts.len())?,
    }
    if counts.missing > 0.0 {
        write!(f, ", {} missing", percent(counts.missing / rows))?;
    }
    write!(f, "; {} groups, phi {:.2}", feature.groups.len(), feature.dispersion.phi)?;
    let missing = feature.missing_dispersion.dispersion.phi;
    if counts.missing > 0.0 && missing > 1.0 {
        write!(f, " (missing {missing:.2})")?;
    }
    if feature.groups.len() > 1 {
        write!(f, "; shows PSI {}", visible(psi))?;
    }
    if let Some(rate) = feature.unstable {
        write!(f, "; unstable: {rate:.1} would-be alarms a month, never alarmed")?;
    }
    let drawing = match kind {
        FeatureKind::Number { bins, .. } if bins.len() == 1 => {
            "always the same: judged by what is out of range only".to_owned()
        }
        FeatureKind::Number { bins, integers: true } if bins.len() <= FEW => {
            let names: Vec<String> = bins.points().iter().map(|point| short(*point)).collect();
            shares(&names, &counts.bins)
        }
        FeatureKind::Number { bins, .. } => histogram(bins, &counts.bins),
        FeatureKind::Category { texts } => shares(texts, &counts.bins),
    };
    writeln!(f, "\n         {:width$}  {drawing}", "")
}

/// Where a share of the rows lies below, evenly spread within bins.
fn quantile(bins: &Bins, counts: &[f64], share: f64) -> f64 {
    let (min, max) = bins.range();
    let mut left = share * counts.iter().sum::<f64>();
    let mut lower = min;
    for (upper, count) in bins.edges().iter().copied().chain([max]).zip(counts) {
        if left <= *count {
            // Of equal values and of few there is nothing between.
            return if left <= 0.0 { lower } else { upper };
        }
        (left, lower) = (left - count, upper);
    }
    max
}

/// Rows between the tails, in columns of equal width.
fn histogram(bins: &Bins, counts: &[f64]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (min, max) = bins.range();
    let (mut from, mut to) = (quantile(bins, counts, TAIL), quantile(bins, counts, 1.0 - TAIL));
    if from >= to {
        (from, to) = (min, max);
    }
    let mut columns = [0.0_f64; WIDTH];
    let column = |x: f64| (((x - from) / (to - from) * WIDTH as f64).clamp(0.0, WIDTH as f64 - 1.0)) as usize;
    let mut lower = min;
    let uppers = bins.edges().iter().copied().chain([max]);
    for ((upper, point), count) in uppers.zip(bins.points()).zip(counts) {
        let (low, high) = extent(lower, upper, *point);
        let (first, last) = (column(low), column(high));
        for part in columns.iter_mut().take(last + 1).skip(first) {
            *part += count / (last + 1 - first) as f64;
        }
        lower = upper;
    }
    let highest = columns.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let level = |x: &f64| if *x > 0.0 { LEVELS[(x / highest * 7.0).round() as usize] } else { ' ' };
    let drawn: String = columns.iter().map(level).collect();
    format!("{} {drawn} {}", short(from), short(to))
}

/// The most frequent texts.
fn shares(texts: &[impl fmt::Display], counts: &[f64]) -> String {
    let sum = counts.iter().sum::<f64>();
    let total = sum.max(f64::MIN_POSITIVE);
    let mut known: Vec<_> = texts.iter().zip(counts).collect();
    known.sort_by(|a, b| b.1.total_cmp(a.1));
    known.truncate(SHOWN);
    let shown = known.iter().map(|(text, count)| format!("{text} {}", percent(**count / total)));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    let rest = sum - known.iter().map(|(_, count)| **count).sum::<f64>();
    if rest > 0.0 {
        let _ = write!(text, ", others {}", percent(rest / total));
    }
    text
}

/// A PSI, and what it is if the share of one bin alone changes: `0.08 (10 % to 16 %)`.
fn visible(psi: f64) -> String {
    const SHARE: f64 = 0.1;
    format!("{psi:.3} ({} to {})", percent(SHARE), percent(SHARE + smallest_share_shift(SHARE, psi)))
}

/// A share.
pub(crate) fn percent(share: f64) -> String {
    match 100.0 * share {
        x if x > 0.0 && x < 0.1 => "under 0.1 %".to_owned(),
        x if x < 10.0 && x.fract() != 0.0 => format!("{x:.1} %"),
        x => format!("{x:.0} %"),
    }
}

/// A length of time in its largest whole unit, as it is written on the command line.
pub fn length(time: Duration) -> String {
    const UNITS: [(&str, u128); 4] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let ms = time.as_millis();
    let fits = |(_, unit): &&(&str, u128)| ms >= *unit && ms.is_multiple_of(*unit);
    UNITS.iter().find(fits).map_or(format!("{ms}ms"), |(name, unit)| format!("{}{name}", ms / unit))
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "reference   {}, {} rows", self.sources.0, self.rows.0)?;
        writeln!(f, "compared    {}, {} rows", self.sources.1, self.rows.1)?;
        if !self.misfits.is_empty() {
            writeln!(f, "columns     {}", self.misfits)?;
        }
        if self.independent_rows_assumed {
            writeln!(f, "verdicts    independent rows assumed")?;
        }
        let shown = |skew: &&Skew| skew.differs(self.level) || !skew.notes.is_empty();
        let differ = self.features.iter().filter(shown).count();
        writeln!(f, "differ      {differ} of {} features", self.features.len())?;
        let width =
            self.features.iter().filter(shown).map(|skew| skew.name.chars().count()).max().unwrap_or(0);
        self.features.iter().filter(shown).try_for_each(|skew| draw_skew(f, skew, width))
    }
}

fn draw_skew(f: &mut fmt::Formatter<'_>, skew: &Skew, width: usize) -> fmt::Result {
    write!(f, "  {:6} {:width$}  ", skew.role.as_str(), skew.name)?;
    match &skew.values {
        Some(verdict) => draw_verdict(f, verdict)?,
        None => f.write_str("no values to compare")?,
    }
    writeln!(f)?;
    let indent = width + 11;
    if !skew.changes.is_empty() {
        let change =
            |c: &crate::compare::Change| format!("{} {} -> {}", c.group, percent(c.then), percent(c.now));
        let changes: Vec<String> = skew.changes.iter().map(change).collect();
        writeln!(f, "{:indent$}{}", "", changes.join(", "))?;
    }
    if skew.missing.0 != skew.missing.1 {
        write!(f, "{:indent$}missing {} -> {}", "", percent(skew.missing.0), percent(skew.missing.1))?;
        if let Some(verdict) = &skew.presence {
            f.write_str(": ")?;
            draw_verdict(f, verdict)?;
        }
        writeln!(f)?;
    }
    skew.notes.iter().try_for_each(|note| writeln!(f, "{:indent$}{note}", ""))
}

fn draw_verdict(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    let Verdict { test, adjusted, effects, .. } = verdict;
    write!(f, "PSI {:.3}, X2 {:.1} of {} dof, p ", effects.psi.corrected, test.x2, test.dof)?;
    if *adjusted < 1e-300 { f.write_str("below 1e-300") } else { f.write_str(&short(*adjusted)) }
}
