//! The commented default: every key with its doc and default, made from the definitions.

use std::fmt::Write;

use crate::document::File;
use crate::key::{Key, Presence, Table};
use crate::kind::Shape;
use crate::section::Keys;

const HEAD: &str = "\
# Weir's configuration: every key, what it means, and its default. This file is what `weir run` and
# `weir demo` use without `--config`, and the reference manual. It is made from the definitions in
# gateway/config.
#
# A line `#key = value` shows a default: take the `#` away and change it. `# example` at its end says that
# the key has no default and shows how it may look. A header behind a `#` belongs to an optional table.
#
# Values carry their unit: \"250ms\", \"10s\", \"5m\", \"1h\", \"1d\"; \"64KiB\", \"16MiB\"; \"2%\".
# Relative paths start at the folder of the file. `${NAME}` inside a string is taken from the environment,
# and `$$` is a `$`. Unknown keys are refused. `weir check` reports every fault at once, and
# weir.schema.json lets an editor do so.
";

/// What the default says beyond the defaults: one route to the built-in model, the three plugins, a rule and
/// an objective.
const LIVE: [(&str, &str, &str); 12] = [
    ("[[route]]", "name", "\"churn\""),
    ("[[route]]", "path", "\"/v1/models/churn:predict\""),
    ("[[route]]", "backend", "\"local\""),
    ("[[route]]", "protocol", "\"kserve-v1\""),
    ("[backend.local]", "model", "\"builtin:churn\""),
    ("[backend.local]", "model_name", "\"ChurnPredictor\""),
    ("[plugin.confidence]", "path", "\"builtin:confidence\""),
    ("[alert.low_confidence]", "plugin", "\"confidence\""),
    ("[alert.low_confidence]", "condition", "\"low_confidence\""),
    ("[alert.low_confidence]", "for", "\"10m\""),
    ("[alert.low_confidence]", "labels", "{ severity = \"warning\" }"),
    ("[slo.availability]", "objective", "0.999"),
];

/// Tables that mean nothing without further keys.
const EXAMPLES: [&str; 2] = ["[route.json]", "[alerting.maintenance.night]"];

/// What the tables of a key are called here.
const NAMES: [(&str, &[&str]); 6] = [
    ("backend", &["churn", "local"]),
    ("plugin", &["confidence"]),
    ("alert", &["low_confidence"]),
    ("slo", &["availability"]),
    ("webhook", &["pager"]),
    ("maintenance", &["night"]),
];

const MORE_PLUGINS: &str = "
[plugin.feature-stats]
path = \"builtin:feature-stats\"

[plugin.sampler]
path = \"builtin:sampler\"
";

/// The text of `config/default.toml`: every key with its doc comment and default.
pub fn manual() -> String {
    let mut text = HEAD.to_owned();
    for key in File::TABLE.keys {
        match key.kind.shape() {
            Shape::Leaf => {}
            Shape::Table(table) => write_table(&mut text, &format!("[{}]", key.name), table),
            Shape::Tables(table) => write_table(&mut text, &format!("[[{}]]", key.name), table),
            Shape::Named(tables) => {
                write_named(&mut text, key.name, key.name, tables);
                if key.name == "plugin" {
                    text.push_str(MORE_PLUGINS);
                }
            }
        }
    }
    text
}

/// Tables with names, one of each kind.
fn write_named(text: &mut String, path: &str, key: &str, tables: &[&Table]) {
    let names = NAMES.iter().find(|(of, _)| *of == key).map_or(&["name"][..], |(_, names)| names);
    for (table, name) in tables.iter().zip(names) {
        write_table(text, &format!("[{path}.{name}]"), table);
    }
}

/// One table and those below it. It is commented out if it has keys that must be there and are not.
fn write_table(text: &mut String, header: &str, table: &Table) {
    let live = |key: &Key| LIVE.iter().find(|(h, name, _)| *h == header && *name == key.name);
    let missing = |key: &Key| key.presence == Presence::Required && live(key).is_none();
    let commented = if table.keys.iter().any(missing) || EXAMPLES.contains(&header) { "#" } else { "" };
    text.push('\n');
    write_doc(text, table.about);
    write_line(text, &format!("{commented}{header}"));
    for key in table.keys.iter().filter(|key| matches!(key.kind.shape(), Shape::Leaf)) {
        text.push('\n');
        write_doc(text, key.doc);
        let note = if key.presence == Presence::Optional { "  # example" } else { "" };
        write_line(
            text,
            &match live(key) {
                Some((_, name, value)) => format!("{name} = {value}"),
                None => format!("#{} = {}{note}", key.name, key.literal),
            },
        );
    }
    for key in table.keys {
        let path = format!("{}.{}", header.trim_matches(['[', ']']), key.name);
        match key.kind.shape() {
            Shape::Leaf => {}
            Shape::Table(inner) => write_table(text, &format!("[{path}]"), inner),
            Shape::Tables(inner) => write_table(text, &format!("[[{path}]]"), inner),
            Shape::Named(tables) => write_named(text, &path, key.name, tables),
        }
    }
}

fn write_doc(text: &mut String, doc: &str) {
    doc.lines().for_each(|line| write_line(text, &format!("#{line}")));
}

fn write_line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes every line");
}
