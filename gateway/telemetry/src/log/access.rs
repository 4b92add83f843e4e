//! One request as the access log tells it.

use std::net::IpAddr;

use weir_exchange::{ErrorType, TraceIds};

use super::line::{Field, Line};

/// A finished request. Fields that are empty, 0 or `None` as described are left out of the line.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Unix time of the request in ns.
    pub unix_ns: u64,
    pub trace: TraceIds,
    pub client: IpAddr,
    /// Empty if no route matched.
    pub route: &'a str,
    pub method: &'a str,
    /// Without the query, which may hold secrets.
    pub path: &'a str,
    /// 0 if no response was sent.
    pub status: u16,
    pub duration_ns: u64,
    /// Address of the endpoint that was asked, if any.
    pub upstream: Option<&'a str>,
    /// Time spent waiting for the endpoint; 0 if none was asked.
    pub upstream_ns: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub error: Option<ErrorType>,
}

impl Access<'_> {
    pub(super) fn line(&self) -> Line {
        let mut line = Line::begin(self.unix_ns / 1_000_000);
        line.field("kind", "access".into());
        line.field("trace_id", Field::Trace(self.trace.trace_id));
        line.field("span_id", Field::Span(self.trace.span_id));
        line.address("client", self.client);
        line.text("route", self.route);
        line.field("method", self.method.into());
        line.field("path", self.path.into());
        if self.status != 0 {
            line.field("status", u64::from(self.status).into());
        }
        line.field("duration_ms", millis(self.duration_ns));
        line.text("upstream", self.upstream.unwrap_or_default());
        if self.upstream_ns != 0 {
            line.field("upstream_ms", millis(self.upstream_ns));
        }
        line.field("request_bytes", self.request_bytes.into());
        line.field("response_bytes", self.response_bytes.into());
        line.text("error_type", self.error.map_or("", ErrorType::as_str));
        line
    }
}

/// Milliseconds to the microsecond.
fn millis(ns: u64) -> Field<'static> {
    Field::F64((ns / 1000) as f64 / 1000.0)
}

impl Line {
    /// A text that is left out when empty.
    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.field(name, value.into());
        }
    }

    fn address(&mut self, name: &str, address: IpAddr) {
        self.field(name, address.to_string().as_str().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access<'static> {
        Access {
            unix_ns: 1_700_000_000_123_456_789,
            trace: TraceIds { trace_id: 0x0af7, span_id: 0xb9c7, ..TraceIds::default() },
            client: IpAddr::from([192, 0, 2, 7]),
            route: "churn",
            method: "POST",
            path: "/v1/models/churn:predict",
            status: 502,
            duration_ns: 12_345_678,
            upstream: Some("127.0.0.1:9000"),
            upstream_ns: 12_000_999,
            request_bytes: 120,
            response_bytes: 64,
            error: Some(ErrorType::Reset),
        }
    }

    #[test]
    fn an_access_line_is_one_json_object() {
        let expect = concat!(
            r#"{"ts":"2023-11-14T22:13:20.123Z","kind":"access","#,
            r#""trace_id":"00000000000000000000000000000af7","span_id":"000000000000b9c7","client":"192.0.2.7","#,
            r#""route":"churn","method":"POST","#,
            r#""path":"/v1/models/churn:predict","status":502,"duration_ms":12.345,"#,
            r#""upstream":"127.0.0.1:9000","upstream_ms":12.0,"#,
            r#""request_bytes":120,"response_bytes":64,"error_type":"reset"}"#,
            "\n"
        );
        assert_eq!(access().line().end(), expect);
    }

    #[test]
    fn what_did_not_happen_is_left_out_and_a_hostile_path_is_escaped() {
        let refused = Access {
            route: "",
            path: "/\"\n{",
            status: 0,
            upstream: None,
            upstream_ns: 0,
            error: None,
            ..access()
        };
        let read: serde_json::Value = serde_json::from_str(&refused.line().end()).expect("json");
        for absent in ["route", "status", "upstream", "upstream_ms", "error_type"] {
            assert!(read.get(absent).is_none(), "{absent}");
        }
        assert_eq!(read["path"], "/\"\n{");
    }
}
