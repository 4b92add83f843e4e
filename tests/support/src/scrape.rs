//! A strict reader of Prometheus text 0.0.4 and OpenMetrics 1.0: what Prometheus only warns of is refused
//! here.

use std::collections::{BTreeMap, BTreeSet};

/// One reading of `/metrics`.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    pub families: Vec<Family>,
}

/// Samples under one `# TYPE`.
#[derive(Clone, Debug, Default)]
pub struct Family {
    pub name: String,
    pub kind: String,
    pub help: String,
    pub unit: String,
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Sample {
    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(*name).is_some_and(|v| v == value))
    }

    /// Name and labels: what makes it a series.
    pub fn series(&self) -> String {
        format!("{}{:?}", self.name, self.labels)
    }
}

impl Scrape {
    /// Reads Prometheus text 0.0.4.
    ///
    /// # Panics
    /// With the line that is wrong.
    #[track_caller]
    pub fn text(text: &str) -> Self {
        read(text, false).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Reads OpenMetrics 1.0.
    ///
    /// # Panics
    /// With the line that is wrong.
    #[track_caller]
    pub fn openmetrics(text: &str) -> Self {
        read(text, true).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The sum of the series with this name that have these labels; nothing if there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found: Vec<f64> = self.series(name).filter(|s| s.has(labels)).map(|s| s.value).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// Every series of this name.
    pub fn series(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|f| &f.samples).filter(move |s| s.name == name)
    }

    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|f| f.name == name)
    }

    /// Every value that only ever rises: counters, and the buckets, counts and sums of histograms.
    pub fn rising(&self) -> BTreeMap<String, f64> {
        let counted = self.families.iter().filter(|f| f.kind == "counter" || f.kind == "histogram");
        counted.flat_map(|f| &f.samples).map(|s| (s.series(), s.value)).collect()
    }

    /// Asserts that no counter fell or vanished since `before`.
    #[track_caller]
    pub fn continues(&self, before: &Self) {
        let now = self.rising();
        for (series, value) in before.rising() {
            let Some(risen) = now.get(&series) else { panic!("{series} vanished") };
            assert!(*risen >= value, "{series} fell from {value} to {risen}");
        }
    }
}

type Read<T> = Result<T, String>;

fn read(text: &str, openmetrics: bool) -> Read<Scrape> {
    let mut reader = Reader { openmetrics, ..Reader::default() };
    let body = match (openmetrics, text.strip_suffix("# EOF\n")) {
        (true, None) => return Err("the end is not `# EOF`".into()),
        (true, Some(body)) => body,
        (false, _) => text,
    };
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    for line in body.lines() {
        reader.line(line).map_err(|why| format!("{why}: `{line}`"))?;
    }
    reader.end_family()?;
    Ok(reader.scrape)
}

#[derive(Default)]
struct Reader {
    openmetrics: bool,
    scrape: Scrape,
    family: Option<Family>,
    names: BTreeSet<String>,
    series: BTreeSet<String>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Read<()> {
        if line.is_empty() {
            return Err("an empty line".into());
        }
        let Some(comment) = line.strip_prefix("# ") else { return self.sample(line) };
        let mut parts = comment.splitn(3, ' ');
        let (keyword, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let text = parts.next().unwrap_or_default();
        if !is_name(name) {
            return Err("a comment about no metric name".into());
        }
        self.turn_to(name)?;
        let family = self.family.as_mut().expect("turned to it");
        if !family.samples.is_empty() {
            return Err("a comment behind samples of its family".into());
        }
        let slot = match keyword {
            "HELP" => &mut family.help,
            "TYPE" => &mut family.kind,
            "UNIT" if self.openmetrics => &mut family.unit,
            _ => return Err("an unknown comment".into()),
        };
        if !slot.is_empty() {
            return Err(format!("a second {keyword}"));
        }
        if text.is_empty() {
            return Err(format!("an empty {keyword}"));
        }
        text.clone_into(slot);
        if keyword == "TYPE" && !matches!(text, "counter" | "gauge" | "histogram") {
            return Err("an unknown type".into());
        }
        if keyword == "UNIT" && !name.ends_with(&format!("_{text}")) {
            return Err("a unit that the name does not end in".into());
        }
        Ok(())
    }

    fn turn_to(&mut self, name: &str) -> Read<()> {
        if self.family.as_ref().is_some_and(|f| f.name == name) {
            return Ok(());
        }
        self.end_family()?;
        if !self.names.insert(name.to_owned()) {
            return Err("a family that came before".into());
        }
        self.family = Some(Family { name: name.to_owned(), ..Family::default() });
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Read<()> {
        let name_end = line.find(['{', ' ']).ok_or("no value")?;
        let (name, rest) = line.split_at(name_end);
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (BTreeMap::new(), rest),
        };
        let value = value.strip_prefix(' ').ok_or("no space before the value")?;
        let sample = Sample { name: name.to_owned(), labels, value: number(value)? };
        let family = self.family.as_mut().ok_or("a sample without a family")?;
        if family.kind.is_empty() || family.help.is_empty() {
            return Err("a sample without TYPE and HELP".into());
        }
        let suffix = name.strip_prefix(family.name.as_str()).ok_or("a sample of another family")?;
        let fits = match family.kind.as_str() {
            "counter" if self.openmetrics => suffix == "_total",
            "counter" => suffix.is_empty() && name.ends_with("_total"),
            "histogram" => matches!(suffix, "_bucket" | "_sum" | "_count"),
            _ => suffix.is_empty() && !name.ends_with("_total"),
        };
        if !fits {
            return Err(format!("a sample that does not fit the {} `{}`", family.kind, family.name));
        }
        if family.kind == "counter" && !(sample.value.is_finite() && sample.value >= 0.0) {
            return Err("a counter that is no count".into());
        }
        if (suffix == "_bucket") != sample.labels.contains_key("le") {
            return Err("`le` is for buckets, and buckets have one".into());
        }
        if !self.series.insert(sample.series()) {
            return Err("a series that came before".into());
        }
        family.samples.push(sample);
        Ok(())
    }

    fn end_family(&mut self) -> Read<()> {
        let Some(family) = self.family.take() else { return Ok(()) };
        if family.kind.is_empty() || family.help.is_empty() {
            return Err(format!("`{}` has no TYPE or no HELP", family.name));
        }
        if family.kind == "histogram" {
            check_histograms(&family)?;
        }
        self.scrape.families.push(family);
        Ok(())
    }
}

/// Buckets rise in edge and count, the last is infinite and agrees with the count, and there is a sum.
fn check_histograms(family: &Family) -> Read<()> {
    let mut rows: BTreeMap<String, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        rows.entry(format!("{labels:?}")).or_default().push(sample);
    }
    for (labels, samples) in rows {
        let fail = |why: &str| Err(format!("`{}`{labels}: {why}", family.name));
        let one = |suffix: &str| {
            let name = format!("{}{suffix}", family.name);
            samples.iter().find(|s| s.name == name).map(|s| s.value)
        };
        let (mut edge, mut below) = (f64::NEG_INFINITY, 0.0);
        for bucket in samples.iter().filter(|s| s.labels.contains_key("le")) {
            let le = &bucket.labels["le"];
            let next = number(le)?;
            if next.is_finite() && !le.contains(['.', 'e']) {
                return fail("an edge that is no float");
            }
            if next <= edge || bucket.value < below {
                return fail("buckets that do not rise");
            }
            (edge, below) = (next, bucket.value);
        }
        if edge != f64::INFINITY || one("_count") != Some(below) || one("_sum").is_none() {
            return fail("no infinite bucket, or another count, or no sum");
        }
    }
    Ok(())
}

/// Reads `name="value",...}` and returns what stands behind it.
fn labels(mut rest: &str) -> Read<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        if !is_name(name) || name.contains(':') || name.starts_with("__") {
            return Err(format!("`{name}` is no label name"));
        }
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().ok_or("a label value without an end")? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next() {
                    Some((_, '\\')) => '\\',
                    Some((_, '"')) => '"',
                    Some((_, 'n')) => '\n',
                    _ => return Err("an unknown escape".into()),
                }),
                (_, c) => value.push(c),
            }
        };
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("label `{name}` twice"));
        }
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok((labels, rest.strip_prefix('}').ok_or("labels without an end")?)),
        }
    }
}

fn number(text: &str) -> Read<f64> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            text.parse().map_err(|_| format!("`{text}` is no number"))
        }
        _ => Err(format!("`{text}` is no number")),
    }
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# HELP a_total x\n# TYPE a_total counter\n";

    #[test]
    fn what_both_formats_allow_is_read() {
        let scrape = Scrape::text(&format!("{HEAD}a_total{{l=\"q\\\"\\n\"}} 3.0\na_total{{l=\"z\"}} 4\n"));
        assert_eq!(scrape.sum("a_total", &[]), Some(7.0));
        assert_eq!(scrape.sum("a_total", &[("l", "q\"\n")]), Some(3.0));
        assert_eq!(scrape.sum("a_total", &[("l", "other")]), None);
        let open = "# HELP a x\n# TYPE a counter\na_total 1.0\n# EOF\n";
        assert_eq!(Scrape::openmetrics(open).sum("a_total", &[]), Some(1.0));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for (tail, why) in [
            ("a_total -1\n", "no count"),
            ("a_total 1\na_total 1\n", "came before"),
            ("a_total 1 5\n", "no number"),
            ("a_total{} 1\n", "label"),
            ("a_total{l=\"x\\t\"} 1\n", "escape"),
            ("a_total{l=\"x\"}1\n", "space"),
            ("b_total 1\n", "another family"),
            ("a_total 1", "no end"),
            ("\n", "empty"),
            ("# HELP b x\n", "no TYPE"),
            ("# HELP b x\n# TYPE b gauge\nb 1\n# HELP a_total y\n", "came before"),
        ] {
            let read = read(&format!("{HEAD}{tail}"), false);
            assert!(read.as_ref().is_err_and(|e| e.contains(why)), "{tail:?}: {read:?}");
        }
        assert!(read("# HELP a x\n# TYPE a counter\na_total 1\n", true).is_err_and(|e| e.contains("EOF")));
    }

    #[test]
    fn histograms_must_add_up() {
        let histogram = |buckets: &str| {
            read(&format!("# HELP h x\n# TYPE h histogram\n{buckets}h_sum 1\nh_count 2\n"), false)
        };
        assert!(histogram("h_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n").is_ok());
        for wrong in [
            "h_bucket{le=\"1.0\"} 3\nh_bucket{le=\"+Inf\"} 2\n",
            "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n",
            "h_bucket{le=\"+Inf\"} 3\n",
            "h_bucket{le=\"1.0\"} 2\n",
            "h_bucket 2\n",
        ] {
            assert!(histogram(wrong).is_err(), "{wrong:?}");
        }
    }
}
