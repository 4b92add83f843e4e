//! The few shapes of YAML that rule files are made of. Every string is quoted, or a block.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Lines of comments are broken here.
const WIDTH: usize = 100;

/// A file under way.
#[derive(Debug, Default)]
pub(super) struct Sheet(String);

/// One rule; what is empty is left out.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// `alert` or `record`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) expr: String,
    pub(super) hold: Option<String>,
    pub(super) keep: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Sheet {
    pub(super) fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// Words as comments, a blank line where a paragraph ends.
    pub(super) fn comment(&mut self, words: &str) {
        self.comment_at("", words);
    }

    fn comment_at(&mut self, indent: &str, words: &str) {
        for paragraph in words.split('\n') {
            let mut line = format!("{indent}#");
            for word in paragraph.split_whitespace() {
                if line.len() + word.len() >= WIDTH {
                    self.line(&line);
                    line = format!("{indent}#");
                }
                line.push(' ');
                line.push_str(word);
            }
            self.line(&line);
        }
    }

    /// What stands above the next rule.
    pub(super) fn note(&mut self, words: &str) {
        self.comment_at("      ", words);
    }

    /// Begins a group. Nothing without rules is legal, but every group has one.
    pub(super) fn group(&mut self, name: &str, interval: &str) {
        self.line(&format!("  - name: {}", quoted(name)));
        self.line(&format!("    interval: {interval}"));
        self.line("    rules:");
    }

    pub(super) fn rule(&mut self, entry: &Entry) {
        self.line(&format!("      - {}: {}", entry.kind, quoted(&entry.name)));
        self.line(&format!("        expr: {}", block(&entry.expr, "          ")));
        for (key, period) in [("for", &entry.hold), ("keep_firing_for", &entry.keep)] {
            if let Some(period) = period {
                self.line(&format!("        {key}: {period}"));
            }
        }
        for (key, pairs) in [("labels", &entry.labels), ("annotations", &entry.annotations)] {
            if !pairs.is_empty() {
                self.line(&format!("        {key}:"));
            }
            for (name, text) in pairs {
                self.line(&format!("          {}: {}", quoted(name), quoted(text)));
            }
        }
    }

    /// The text; a file of no groups says so.
    pub(super) fn finish(self) -> String {
        if self.0.ends_with("\ngroups:\n") { self.0.replace("\ngroups:\n", "\ngroups: []\n") } else { self.0 }
    }
}

/// A literal block, or a quoted string where a character would not survive in one.
fn block(text: &str, indent: &str) -> String {
    if text.chars().any(|c| c != '\n' && unprintable(c)) || text.starts_with([' ', '\n']) {
        return quoted(text);
    }
    let lines = text.lines().map(|line| format!("\n{indent}{line}"));
    format!("|-{}", lines.collect::<String>())
}

/// Characters that YAML 1.1 takes for line breaks, or not at all.
fn unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A double-quoted string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if unprintable(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_survives_whatever_is_in_it() {
        let cases = [
            ("plain: text # no comment", r#""plain: text # no comment""#),
            ("\"\\", r#""\"\\""#),
            ("a\nb\tc\u{7f}\u{85}\u{2028}", r#""a\nb\u0009c\u007f\u0085\u2028""#),
            ("größer 🙂", "\"größer 🙂\""),
        ];
        for (text, expect) in cases {
            assert_eq!(quoted(text), expect);
        }
        assert_eq!(block("a\nb", "  "), "|-\n  a\n  b");
        assert_eq!(block("a\tb", "  "), r#""a\u0009b""#);
    }
}
