//! `Accept-Encoding`: gzip or nothing.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Bodies that fit into one packet anyway are not worth it.
const SMALLEST: usize = 1400;

/// The body in gzip, if the client takes that (RFC 9110, 12.5.3) and it is worth it.
pub(crate) fn gzip(accept_encoding: &str, body: &Bytes) -> Option<Bytes> {
    if body.len() < SMALLEST || !accepts(accept_encoding) {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body).expect("writing to a vector cannot fail");
    Some(encoder.finish().expect("writing to a vector cannot fail").into())
}

/// `gzip` said by name counts before `*`.
fn accepts(accept_encoding: &str) -> bool {
    let weight = |coding: &str| {
        accept_encoding.split(',').find_map(|part| {
            let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
            let named = |key: &str| key.trim().eq_ignore_ascii_case("q");
            let quality = parameters.split_once('=').filter(|(key, _)| named(key));
            let quality = quality.map_or(Ok(1.0), |(_, value)| value.trim().parse::<f32>());
            name.trim().eq_ignore_ascii_case(coding).then(|| quality.unwrap_or(0.0))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|q| q > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_only_by_those_who_take_it() {
        for yes in ["gzip", "deflate, GZIP;q=0.5", "*", "br, *;q=0.1", "identity, gzip; q=1.0"] {
            assert!(accepts(yes), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "*, gzip;q=0.0", "br", "gzip;q=x", "gzip;Q=0", "xgzip"] {
            assert!(!accepts(no), "{no}");
        }
        assert_eq!(gzip("gzip", &Bytes::from_static(b"short")), None);
    }
}
