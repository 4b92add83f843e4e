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

/// What the default says beyond the defaults: one route to the built-in model, and the three plugins.
const LIVE: [(&str, &str, &str); 7] = [
    ("[[route]]", "name", "\"churn\""),
    ("[[route]]", "path", "\"/v1/models/churn:predict\""),
    ("[[route]]", "backend", "\"local\""),
    ("[[route]]", "protocol", "\"kserve-v1\""),
    ("[backend.local]", "model", "\"builtin:churn\""),
    ("[backend.local]", "model_name", "\"ChurnPredictor\""),
    ("[plugin.confidence]", "path", "\"builtin:confidence\""),
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
            Shape::Named([plugin]) => {
                write_table(&mut text, &format!("[{}.confidence]", key.name), plugin);
                text.push_str(MORE_PLUGINS);
            }
            Shape::Named(tables) => {
                for (table, name) in tables.iter().zip(["churn", "local"]) {
                    write_table(&mut text, &format!("[{}.{name}]", key.name), table);
                }
            }
        }
    }
    text
}

/// One table and those below it. It is commented out if it has keys that must be there and are not.
fn write_table(text: &mut String, header: &str, table: &Table) {
    let live = |key: &Key| LIVE.iter().find(|(h, name, _)| *h == header && *name == key.name);
    let missing = |key: &Key| key.presence == Presence::Required && live(key).is_none();
    let commented = if table.keys.iter().any(missing) || header == "[route.json]" { "#" } else { "" };
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
        if let Shape::Table(inner) = key.kind.shape() {
            let path = header.trim_matches(['[', ']']);
            write_table(text, &format!("[{path}.{}]", key.name), inner);
        }
    }
}

fn write_doc(text: &mut String, doc: &str) {
    doc.lines().for_each(|line| write_line(text, &format!("#{line}")));
}

fn write_line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes every line");
}
