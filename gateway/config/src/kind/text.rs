//! Strings of a form: names, words of a closed set, addresses, URLs, field paths, secrets.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_exchange::FieldPath;

use super::{Describe, Kind, Shape, string_schema};
use crate::key::meant;
use crate::reader::{At, Item, Reader};

/// No string in a configuration is longer; what is, is a mistake or an attack.
const LONGEST: usize = 4096;

/// Any string that is not empty and has no control characters.
pub(crate) struct Text;

impl Describe for Text {
    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

impl Kind for Text {
    type Out = String;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<String> {
        let text = reader.text(item, "a string")?;
        let wrong = match &*text {
            "" => "is empty (write something, or leave the key out)".to_owned(),
            text if text.len() > LONGEST => format!("is over {LONGEST} bytes long (write less)"),
            text if text.contains(char::is_control) => "has a control character (take it out)".to_owned(),
            _ => return Some(text.into_owned()),
        };
        reader.fault(&item.place, format!("the value {wrong}"));
        None
    }
}

/// A name that others refer to, and that labels metrics.
pub(crate) struct Name;

impl Name {
    const RULE: &str = "1 to 64 letters, digits, `_`, `-` and `.`";

    pub(crate) fn fits(text: &str) -> bool {
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        (1..=64).contains(&text.len()) && text.chars().all(legal)
    }

    pub(crate) fn unfit(quoted: &str) -> String {
        format!("{quoted} is no name (use {})", Self::RULE)
    }
}

impl Describe for Name {
    fn schema(&self) -> Value {
        string_schema("[A-Za-z0-9_.-]{1,64}")
    }
}

impl Kind for Name {
    type Out = Arc<str>;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Arc<str>> {
        let text = reader.text(item, "a name")?;
        if !Self::fits(&text) {
            reader.fault(&item.place, Self::unfit(&item.quoted()));
            return None;
        }
        Some(text.into())
    }
}

/// Words of a closed set, as they are written and what they mean.
pub(crate) type Words<T> = &'static [(&'static str, T)];

/// One word of a closed set.
pub(crate) struct Word<T: 'static> {
    pub(crate) words: Words<T>,
    /// Words of the contract that this build does not implement.
    pub(crate) absent: &'static [&'static str],
}

impl<T> Word<T> {
    pub(crate) const fn of(words: Words<T>) -> Self {
        Self { words, absent: &[] }
    }
}

impl<T> Describe for Word<T> {
    fn schema(&self) -> Value {
        json!({"enum": self.words.iter().map(|(word, _)| *word).collect::<Vec<_>>()})
    }
}

impl<T: Copy> Kind for Word<T> {
    type Out = T;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<T> {
        let words: Vec<&str> = self.words.iter().map(|(word, _)| *word).collect();
        let all = format!("one of {}", words.join(", "));
        let text = reader.text(item, &all)?;
        if let Some((_, meaning)) = self.words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let message = if self.absent.contains(&&*text) {
            format!("{} is not in this build (use {all})", item.quoted())
        } else {
            format!("{} is not known{}", item.quoted(), meant(&text, words, &format!("use {all}")))
        };
        reader.fault(&item.place, message);
        None
    }
}

/// An address to listen on: `IP:PORT`.
pub(crate) struct Addr;

impl Describe for Addr {
    fn schema(&self) -> Value {
        string_schema(r"[0-9.]+:[0-9]+|\[[0-9A-Fa-f:.]+\]:[0-9]+")
    }
}

impl Kind for Addr {
    type Out = SocketAddr;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<SocketAddr> {
        let form = "an IP address and a port: `127.0.0.1:8000`, or `0.0.0.0:8000` for every interface";
        let text = reader.text(item, form)?;
        let address = text.parse().ok();
        if address.is_none() {
            reader.fault(&item.place, format!("{} is no address (write {form})", item.quoted()));
        }
        address
    }
}

/// `""` is none.
pub(crate) struct Blank<K>(pub(crate) K);

impl<K: Describe> Describe for Blank<K> {
    fn schema(&self) -> Value {
        json!({"anyOf": [{"const": ""}, self.0.schema()]})
    }

    fn secret(&self) -> bool {
        self.0.secret()
    }
}

impl<K: Kind> Kind for Blank<K> {
    type Out = Option<K::Out>;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        if item.value.as_str() == Some("") {
            return Some(None);
        }
        self.0.read(item, reader).map(Some)
    }
}

/// A value that is never shown, and long enough not to be guessed.
pub(crate) struct Secret;

impl Secret {
    const SHORTEST: usize = 16;
}

impl Describe for Secret {
    fn schema(&self) -> Value {
        json!({"type": "string"})
    }

    fn secret(&self) -> bool {
        true
    }
}

impl Kind for Secret {
    type Out = String;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<String> {
        let raw = item.value.as_str();
        if !raw.is_some_and(crate::expand::refers) {
            reader.mask(&item.place.span);
        }
        if raw.is_none() {
            reader.fault(
                &item.place,
                "a secret is a string (write `\"${NAME}\"` to take it from the environment)",
            );
            return None;
        }
        let text = reader.text(item, "a string")?;
        if text.len() < Self::SHORTEST {
            let message = format!("the secret is too short (use {} characters or more)", Self::SHORTEST);
            reader.fault(&item.place, message);
            return None;
        }
        if !raw.is_some_and(crate::expand::refers) {
            reader.warn(&item.place, "a secret stands in the file (write `\"${NAME}\"` to keep it out)");
        }
        Some(text.into_owned())
    }
}

/// The name of an HTTP header, read in lower case.
pub(crate) struct HeaderName;

impl HeaderName {
    /// RFC 9110, 5.6.2: a token.
    pub(crate) fn fits(text: &str) -> bool {
        let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        !text.is_empty() && text.len() <= 256 && text.chars().all(legal)
    }
}

impl Describe for HeaderName {
    fn schema(&self) -> Value {
        string_schema("[!#$%&'*+.^_`|~0-9A-Za-z-]+")
    }
}

impl Kind for HeaderName {
    type Out = String;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<String> {
        let text = reader.text(item, "a header name")?;
        if !Self::fits(&text) {
            let message =
                format!("{} is no header name (write one such as `x-model-version`)", item.quoted());
            reader.fault(&item.place, message);
            return None;
        }
        Some(text.to_ascii_lowercase())
    }
}

/// A dotted path into a JSON document.
pub(crate) struct Field;

impl Describe for Field {
    fn schema(&self) -> Value {
        json!({"type": "string"})
    }
}

impl Kind for Field {
    type Out = FieldPath;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<FieldPath> {
        let text = reader.text(item, "a field path such as `\"data.features\"`")?;
        match FieldPath::parse(&text) {
            Ok(path) => Some(path),
            Err(_) => {
                let hint = "write fields as `outer.inner`";
                reader.fault(&item.place, format!("{} has an empty segment ({hint})", item.quoted()));
                None
            }
        }
    }
}

/// A value that is never shown though it is no password: the URL of a webhook often is one.
pub(crate) struct Unshown<K>(pub(crate) K);

impl<K: Describe> Describe for Unshown<K> {
    fn schema(&self) -> Value {
        self.0.schema()
    }

    fn secret(&self) -> bool {
        true
    }
}

impl<K: Kind> Kind for Unshown<K> {
    type Out = K::Out;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        if !item.value.as_str().is_some_and(crate::expand::refers) {
            reader.mask(&item.place.span);
        }
        self.0.read(item, reader)
    }
}

/// A value of another kind, with its place.
pub(crate) struct Placed<K>(pub(crate) K);

impl<K: Describe> Describe for Placed<K> {
    fn schema(&self) -> Value {
        self.0.schema()
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn secret(&self) -> bool {
        self.0.secret()
    }
}

impl<K: Kind> Kind for Placed<K> {
    type Out = At<K::Out>;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        let value = self.0.read(item, reader)?;
        Some(At { value, shown: item.quoted(), place: item.place.clone() })
    }
}

/// The URL of a model server.
pub(crate) struct Url;

impl Describe for Url {
    fn schema(&self) -> Value {
        string_schema("http://.+")
    }
}

impl Kind for Url {
    type Out = crate::backend::Endpoint;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        let text = reader.text(item, "a URL such as `\"http://127.0.0.1:9000\"`")?;
        match crate::backend::Endpoint::parse(&text) {
            Ok(endpoint) => Some(endpoint),
            Err(wrong) => {
                reader.fault(&item.place, format!("{} {wrong}", item.quoted()));
                None
            }
        }
    }
}

/// The URL of a collector: `http` or `https`, a host, perhaps a port and a path.
pub(crate) struct Collector;

impl Describe for Collector {
    fn schema(&self) -> Value {
        string_schema("https?://.+")
    }
}

impl Kind for Collector {
    type Out = String;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<String> {
        let text = reader.text(item, "a URL such as `\"http://127.0.0.1:4317\"`")?;
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let authority = rest.map(|rest| rest.split('/').next().unwrap_or_default());
        let wrong = match authority {
            None => "does not begin with `http://` or `https://` (write `http://127.0.0.1:4317`)",
            Some("") => "names no host (write `http://127.0.0.1:4317`)",
            Some(host) if host.contains('@') => "holds credentials (put them into `headers`)",
            _ if text.contains(['?', '#']) => "has a query or fragment (an export has neither)",
            _ if text.contains(|c: char| c.is_whitespace() || !c.is_ascii()) => {
                "is no URL (percent-encode it)"
            }
            Some(host) if !port_fits(host) => "has no port from 1 to 65535 (write `http://127.0.0.1:4317`)",
            Some(_) => return Some(text.trim_end_matches('/').to_owned()),
        };
        reader.fault(&item.place, format!("{} {wrong}", item.quoted()));
        None
    }
}

/// True for a host without a port too.
fn port_fits(authority: &str) -> bool {
    let after = authority.rsplit(']').next().unwrap_or_default();
    after.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
}
