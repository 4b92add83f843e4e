//! `Accept` to a format (RFC 9110, 12.5.1).

use super::Format;

/// The format a scraper likes best. Something unknown, malformed or absent gets Prometheus text, which
/// everybody reads; OpenMetrics is given only to those who name it.
pub fn negotiate(accept: &str) -> Format {
    let quality = |format| {
        let ranges = accept.split(',').filter_map(|range| weigh(range, format));
        ranges.fold(None, |best: Option<f32>, q| Some(best.map_or(q, |b| b.max(q))))
    };
    match (quality(Format::OpenMetrics), quality(Format::Text)) {
        (Some(open), text) if open > 0.0 && open >= text.unwrap_or(0.0) => Format::OpenMetrics,
        _ => Format::Text,
    }
}

/// The weight of one media range for a format; `None` if it does not cover the format.
fn weigh(range: &str, format: Format) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?;
    let (named, version) = match format {
        Format::Text => ("text/plain", "0.0.4"),
        Format::OpenMetrics => ("application/openmetrics-text", "1.0.0"),
    };
    let wild = format == Format::Text && matches!(media, "*/*" | "text/*");
    if !wild && !media.eq_ignore_ascii_case(named) {
        return None;
    }
    let mut quality = 1.0;
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if key.eq_ignore_ascii_case("q") {
            quality = value.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?;
        } else if key.eq_ignore_ascii_case("version") && value != version {
            return None;
        }
    }
    Some(quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scrapers_send_gets_what_they_like_best() {
        use Format::{OpenMetrics, Text};
        let cases = [
            // Prometheus 2.42
            (
                "application/openmetrics-text;version=1.0.0,\
                 application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            // Prometheus 3 with its default protocols
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            // Prometheus 3 asking for protobuf, or else text
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2",
                Text,
            ),
            ("", Text),
            ("*/*", Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.9", Text),
            ("text/plain;q=0.2, application/openmetrics-text; version=\"1.0.0\"; Q=0.9", OpenMetrics),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;version=2.0.0", Text),
            ("application/openmetrics-text;q=high", Text),
            ("image/png", Text),
            (";;;,,,=", Text),
        ];
        for (accept, expect) in cases {
            assert_eq!(negotiate(accept), expect, "{accept}");
        }
    }
}
