//! A case: series as a scraper saw them, and rules over them.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use weir_alert::{Catalogue, DeclaredCondition, Plan};
use weir_config::Config;
use weir_telemetry::{Shape, Spec, Value};

use crate::random::Random;

pub(crate) const FORMS: [&str; 15] = [
    "rate",
    "increase",
    "few",
    "ratio",
    "other",
    "under",
    "quantile",
    "each",
    "min",
    "max",
    "sum",
    "avg",
    "absent",
    "missing",
    "condition",
];
const ROUTES: [&str; 4] = ["a", "b", "c.d", ""];
const KINDS: [&str; 3] = ["ok", "bad", "it's \"odd\" \\"];
const EDGES: [f64; 5] = [0.1, 0.5, 1.0, 2.5, 100.0];

const BASE: &str = r#"
[[route]]
name = "r"
path = "/p"
backend = "b"
protocol = "mlflow"
[backend.b]
endpoints = ["http://127.0.0.1:9000"]
"#;

/// One series: what was scraped at each step, `Some(None)` for its end.
pub(crate) struct Line {
    pub(crate) spec: Spec,
    pub(crate) labels: Arc<[Arc<str>]>,
    pub(crate) samples: Vec<Option<Option<Value>>>,
}

pub(crate) struct Case {
    pub(crate) number: u64,
    /// Time between samples, in s.
    pub(crate) step: u64,
    /// Time between evaluations, in s.
    pub(crate) interval: u64,
    pub(crate) lines: Vec<Line>,
    /// The configuration of the rules.
    pub(crate) rules: String,
    pub(crate) config: Config,
    pub(crate) plan: Plan,
}

impl Case {
    pub(crate) fn new(number: u64) -> Self {
        let mut random = Random::new(number + 1);
        let step = random.pick(&[5, 7, 10, 15, 15, 15]);
        let interval = random.pick(&[15, 15, 20, 30, 60]);
        let steps = interval * crate::EVALUATIONS / step;
        let lines = lines(&mut random, steps as usize);
        let rules: String = FORMS.iter().map(|form| rule(&mut random, form, interval)).collect();
        // Not the interval of the case: a window that holds no two looks is refused, and yet to be agreed on.
        let text = format!("{BASE}\n[alerting]\ninterval = \"5s\"\n{rules}");
        let config = Config::parse(&text, "case.toml", Path::new("/"), &|_| None);
        let config = config.unwrap_or_else(|faults| panic!("case {number}: {faults}\n{rules}")).config;
        let gauge = "weir_plugin_low".into();
        let condition = DeclaredCondition { plugin: "p".into(), name: "low".into(), gauge };
        let plan = Plan::new(&config, &Catalogue::new(specs(), vec![condition]));
        let plan = plan.unwrap_or_else(|misfits| panic!("case {number}: {misfits:?}\n{rules}"));
        Self { number, step, interval, lines, rules, config, plan }
    }

    /// What tells this case from what another version of this file makes of its number.
    pub(crate) fn digest(&self) -> String {
        let lines: String = self
            .lines
            .iter()
            .map(|line| format!("{} {:?} {:?}\n", line.spec.name, line.labels, line.samples))
            .collect();
        let all = format!("{} {} {}\n{lines}", self.step, self.interval, self.rules);
        Sha256::digest(all)[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn specs() -> [Spec; 5] {
    [
        Spec::counter("hits_total", "Help.", &["route", "kind"]),
        Spec::counter("tries_total", "Help.", &["route", "kind"]),
        Spec::histogram("size", "Help.", &EDGES, &["route", "kind"]),
        Spec::gauge("level", "Help.", &["route", "kind"]),
        Spec::gauge("weir_plugin_low", "Help.", &["plugin", "route"]),
    ]
}

/// A few series of each metric.
fn lines(random: &mut Random, steps: usize) -> Vec<Line> {
    // At a restart, everything is gone and begins anew.
    let restart = random.percent(40).then(|| random.below(steps as u64) as usize);
    let mut lines: Vec<Line> = Vec::new();
    for spec in specs() {
        for _ in 0..2 + random.below(4) {
            let route = random.pick(&ROUTES);
            let labels: [Arc<str>; 2] = if *spec.labels[0] == *"plugin" {
                ["p".into(), route.into()]
            } else {
                [route.into(), random.pick(&KINDS).into()]
            };
            let labels: Arc<[Arc<str>]> = Arc::from(labels);
            if lines.iter().all(|line| line.spec.name != spec.name || line.labels != labels) {
                let samples = samples(random, &spec.shape, &spec.name, steps, restart);
                lines.push(Line { spec: spec.clone(), labels, samples });
            }
        }
    }
    lines
}

fn samples(
    random: &mut Random,
    shape: &Shape,
    name: &str,
    steps: usize,
    restart: Option<usize>,
) -> Vec<Option<Option<Value>>> {
    let mut at = if random.percent(30) { random.below(steps as u64 / 2) as usize } else { 0 };
    let mut all = vec![None; at];
    let old = random.percent(30);
    let mut cells = vec![if old { random.below(1000) } else { 0 }; EDGES.len() + 1];
    let (mut level, mut busy) = (0.0, random.percent(50));
    let odd = random.percent(15);
    while at < steps {
        let ends = restart.is_some_and(|restart| restart == at);
        if ends || random.percent(2) {
            // Gone: noticed by the scraper or not, for a moment or for longer than anybody looks back.
            if ends || random.percent(50) {
                all.push(Some(None));
            }
            let gap = random.pick(&[0, 1, 2, 3, 8, 25, 70]);
            all.extend(vec![None; gap]);
            if ends || random.percent(50) {
                cells.fill(0);
            }
        } else if random.percent(3) {
            cells.iter_mut().for_each(|cell| *cell = random.pick(&[0, 0, 1]));
        }
        if random.percent(6) {
            busy = !busy;
        }
        for cell in &mut cells {
            let quiet = [0, 0, 0, 0, 0, 1];
            *cell += if busy { random.pick(&[0, 1, 2, 3, 10]) } else { random.pick(&quiet) };
        }
        if random.percent(15) {
            level = random.pick(&[0.0, 0.0, 0.25, 0.5, 1.0, 1.0, 2.0, -3.0, 7.5]);
        }
        let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        all.push(Some(Some(match shape {
            Shape::Counter if odd && random.percent(3) => Value::Counter(random.pick(&strange)),
            Shape::Counter => Value::Counter(cells[0] as f64),
            Shape::Gauge if name != "level" => Value::Gauge(f64::from(u8::from(level > 0.4))),
            Shape::Gauge if odd && random.percent(20) => Value::Gauge(random.pick(&strange)),
            Shape::Gauge => Value::Gauge(level),
            Shape::Histogram(edges) => {
                Value::Histogram { edges: edges.clone(), counts: cells.clone(), sum: 0.0 }
            }
        })));
        at = all.len();
    }
    all.truncate(steps);
    all
}

/// A rule as the configuration has it.
fn rule(random: &mut Random, form: &str, interval: u64) -> String {
    let by = random.pick(&["[]", "[\"route\"]", "[\"kind\"]", "[\"route\", \"kind\"]"]);
    let whose = selectors(random, form);
    let how = random.pick(&["above", "below"]);
    let bound = |bounds: &[f64], random: &mut Random| format!("{how} = {:?}\n", random.pick(bounds));
    let least = |random: &mut Random| format!("min_events = {}\n", random.pick(&[0, 1, 10, 10, 100]));
    let window = format!("window = \"{}s\"\n", random.pick(&[45, 60, 60, 120, 300, 90]));
    let shares = [0.0, 0.05, 0.21, 0.5, 0.83];
    let levels = [0.0, 0.25, 0.9, 1.0, 3.0];
    let by = format!("by = {by}\n");
    let body = match form {
        "rate" => {
            format!("rate = \"hits_total\"\n{by}{window}{whose}")
                + &bound(&[0.0, 0.1, 0.2, 0.57, 2.0], random)
        }
        "increase" => {
            format!("increase = \"size\"\n{by}{window}{whose}") + &bound(&[0.0, 1.0, 30.5, 200.0], random)
        }
        "few" | "ratio" => {
            let least = if form == "few" { "min_events = 0\n".to_owned() } else { least(random) };
            format!("ratio = \"hits_total\"\nwhere = {{ kind = \"bad\" }}\n{by}{window}{least}")
                + &bound(&shares, random)
        }
        "other" => {
            let of =
                format!("of = \"tries_total\"\nof_where = {{ kind = [\"ok\", \"bad\"] }}\n{}", least(random));
            format!("ratio = \"hits_total\"\n{of}{by}{window}{whose}")
                + &bound(&[0.0, 0.3, 1.07, 2.5], random)
        }
        "under" => {
            let under = format!("under = {:?}\n{}", random.pick(&EDGES), least(random));
            format!("ratio = \"size\"\n{under}{by}{window}{whose}") + &bound(&shares, random)
        }
        "quantile" => {
            let q = format!("q = {:?}\n{}", random.pick(&[0.0, 0.5, 0.9, 0.99, 1.0]), least(random));
            format!("quantile = \"size\"\n{q}{by}{window}{whose}") + &bound(&[0.07, 0.31, 1.2, 17.0], random)
        }
        "each" => {
            let how = random.pick(&["above", "below", "equals"]);
            format!("gauge = \"level\"\n{whose}{how} = {:?}\n", random.pick(&levels))
        }
        "min" | "max" | "sum" | "avg" => {
            let levels: &[f64] = if form == "avg" { &[0.1, 0.6, 1.3, 2.9] } else { &levels };
            format!("gauge = \"level\"\naggregate = \"{form}\"\n{by}{whose}") + &bound(levels, random)
        }
        "absent" => format!("absent = \"{}\"\n{whose}", random.pick(&["level", "size", "hits_total"])),
        "missing" => {
            let route = random.pick(&ROUTES[..3]);
            let not = random.pick(&["", "not = { route = \"b\" }\n", "not = { kind = [\"ok\", \"bad\"] }\n"]);
            format!("absent = \"hits_total\"\nwhere = {{ route = \"{route}\" }}\n{not}")
        }
        _ => "plugin = \"p\"\ncondition = \"low\"\n".to_owned() + &whose,
    };
    format!("[alert.{form}]\n{body}{}", holds(random, interval))
}

fn holds(random: &mut Random, interval: u64) -> String {
    let hold = random.pick(&[0, interval, 2 * interval, 70, 100]);
    let keep = random.pick(&[0, 0, interval, 2 * interval, 95]);
    format!("for = \"{hold}s\"\nkeep_firing_for = \"{keep}s\"\n")
}

fn selectors(random: &mut Random, form: &str) -> String {
    let of_route = [
        "where = { route = \"a\" }\n",
        "where = { route = [\"a\", \"c.d\"] }\n",
        "not = { route = \"b\" }\n",
    ];
    let of_kind =
        ["where = { kind = [\"ok\", \"bad\"] }\n", "not = { kind = [\"it's \\\"odd\\\" \\\\\", \"bad\"] }\n"];
    match random.below(4) {
        0 | 1 => String::new(),
        3 if form != "condition" => random.pick(&of_kind).to_owned(),
        _ => random.pick(&of_route).to_owned(),
    }
}
