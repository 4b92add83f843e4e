//! `${NAME}` inside string values, after parsing: the environment can fill a value, never add a key.

use std::borrow::Cow;
use std::ops::Range;

/// A reference that cannot be filled: its bytes in the raw string, and what is wrong.
#[derive(Debug, PartialEq)]
pub(crate) struct Unfilled {
    pub(crate) part: Range<usize>,
    pub(crate) message: String,
}

/// Fills `${NAME}` from `env` and turns `$$` into `$`. Any other `$` stands for itself. What was filled in
/// is not looked at again.
///
/// # Errors
/// Every reference that is unset, unclosed or misnamed.
pub(crate) fn expand<'a>(
    raw: &'a str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'a, str>, Vec<Unfilled>> {
    if !raw.contains('$') {
        return Ok(Cow::Borrowed(raw));
    }
    let (mut filled, mut wrong) = (String::with_capacity(raw.len()), Vec::new());
    for piece in pieces(raw) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Name { name, part } => match lookup(name, env) {
                Ok(value) => filled.push_str(&value),
                Err(message) => wrong.push(Unfilled { part, message }),
            },
        }
    }
    if wrong.is_empty() { Ok(Cow::Owned(filled)) } else { Err(wrong) }
}

/// Whether a raw string takes anything from the environment.
pub(crate) fn refers(raw: &str) -> bool {
    raw.contains('$') && pieces(raw).any(|piece| matches!(piece, Piece::Name { .. }))
}

enum Piece<'a> {
    Text(&'a str),
    /// `name` is `None` if the brace is never closed.
    Name {
        name: Option<&'a str>,
        part: Range<usize>,
    },
}

fn pieces(raw: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = raw.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let piece = if rest.starts_with("$$") {
            at += 2;
            Piece::Text("$")
        } else if let Some(inner) = rest.strip_prefix("${") {
            let name = inner.find('}').map(|close| &inner[..close]);
            at = name.map_or(raw.len(), |name| start + name.len() + 3);
            Piece::Name { name, part: start..at }
        } else {
            let lone = usize::from(rest.starts_with('$'));
            at += rest[lone..].find('$').map_or(rest.len(), |next| lone + next);
            Piece::Text(&raw[start..at])
        };
        Some(piece)
    })
}

fn lookup(name: Option<&str>, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let name = name.ok_or("`${` is never closed (write `${NAME}`, or `$$` for a `$`)")?;
    let legal = |(i, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (i > 0 && c.is_ascii_digit());
    if name.is_empty() || !name.chars().enumerate().all(legal) {
        return Err(format!("`${{{name}}}` does not name an environment variable (write `$$` for a `$`)"));
    }
    env(name).ok_or_else(|| format!("the environment variable `{name}` is not set (set it before the start)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expect: Result<&str, &[Range<usize>]>) {
        let env = |name: &str| (name == "A").then(|| "${B}$$".to_owned());
        let got = expand(raw, &env);
        let parts = got.as_ref().map(|text| &**text).map_err(|w| w.iter().map(|u| u.part.clone()).collect());
        assert_eq!(parts, expect.map_err(<[_]>::to_vec), "{raw}");
    }

    #[test]
    fn references_are_filled_once_and_dollars_are_escaped() {
        check("plain", Ok("plain"));
        check("${A}", Ok("${B}$$"));
        check("x${A}y$${A}z", Ok("x${B}$$y${A}z"));
        check("5$ and $$ and $x é$", Ok("5$ and $ and $x é$"));
        check("$é$$", Ok("$é$"));
    }

    #[test]
    fn every_reference_that_cannot_be_filled_is_reported() {
        check("${NO} ${A} ${9} ${", Err(&[0..5, 11..15, 16..18]));
        check("${}", Err(std::slice::from_ref(&(0..3))));
    }

    #[test]
    fn an_escaped_reference_is_no_reference() {
        assert!(refers("a${A}"));
        assert!(!refers("a$${A}"));
        assert!(!refers("a$A"));
    }
}
