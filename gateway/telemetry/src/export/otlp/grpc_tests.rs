use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};

use super::*;
use crate::export::Traces;

fn reply(http: u16, headers: &[(HeaderName, &str)], trailers: &[(HeaderName, &str)], body: &[u8]) -> Reply {
    let map = |pairs: &[(HeaderName, &str)]| {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a value")))
            .collect()
    };
    let status = StatusCode::from_u16(http).expect("a status");
    Reply { status, headers: map(headers), body: body.to_vec().into(), trailers: map(trailers) }
}

fn details(delay: Option<Span>) -> String {
    let value = RetryInfo { retry_delay: delay }.encode_to_vec();
    let other = Any { type_url: "type.googleapis.com/google.rpc.Help".into(), value: vec![0xff] };
    let info = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value };
    let status = Status { code: 8, message: "full".into(), details: vec![other, info] };
    BINARY.encode(status.encode_to_vec())
}

#[test]
fn the_codes_of_the_specification_mean_later_and_every_other_one_is_final() {
    for code in 1..20_u16 {
        let answer = answer::<Traces>(&reply(200, &[], &[(STATUS, &code.to_string())], b""));
        let later = matches!(answer, Answer::Later { after: None, .. });
        assert_eq!(later, [1, 4, 10, 11, 14, 15].contains(&code), "{code}: {answer:?}");
        assert!(later || matches!(answer, Answer::Never { .. }), "{code}: {answer:?}");
    }
}

#[test]
fn resource_exhausted_means_later_only_with_a_time_which_holds_for_others_too() {
    let half = Duration::from_millis(2500);
    let with = details(Some(Span { seconds: 2, nanos: 500_000_000 }));
    for code in ["8", "14"] {
        let padded = reply(200, &[], &[(STATUS, code), (DETAILS, &with)], b"");
        assert!(matches!(answer::<Traces>(&padded), Answer::Later { after, .. } if after == Some(half)));
        let bare = with.trim_end_matches('=');
        let bare = reply(200, &[(STATUS, code), (DETAILS, bare)], &[], b"");
        assert!(matches!(answer::<Traces>(&bare), Answer::Later { after, .. } if after == Some(half)));
    }
    for nonsense in ["!", "AAAA", ""] {
        let reply = reply(200, &[], &[(STATUS, "8"), (DETAILS, nonsense)], b"");
        assert!(matches!(answer::<Traces>(&reply), Answer::Never { .. }), "{nonsense}");
    }
    let negative = details(Some(Span { seconds: -1, nanos: -1 }));
    let reply = reply(200, &[], &[(STATUS, "8"), (DETAILS, &negative)], b"");
    assert!(matches!(answer::<Traces>(&reply), Answer::Later { after: Some(Duration::ZERO), .. }));
}

#[test]
fn a_status_is_found_in_trailers_in_headers_or_made_from_that_of_http() {
    let code = |reply: &Reply| match answer::<Traces>(reply) {
        Answer::Taken { .. } => "OK".to_owned(),
        Answer::Later { fault, .. } | Answer::Never { fault } => fault.words,
    };
    assert_eq!(code(&reply(200, &[], &[(STATUS, "0")], b"")), "OK");
    assert_eq!(code(&reply(200, &[(STATUS, "0")], &[], b"")), "OK");
    let said = [(STATUS, "16"), (MESSAGE, "no%20token%21")];
    assert_eq!(
        code(&reply(200, &said, &[], b"")),
        "answered UNAUTHENTICATED: no token! (check the headers and the client certificate)"
    );
    assert_eq!(code(&reply(200, &[], &[(STATUS, "x")], b"")), "answered UNKNOWN");
    assert!(code(&reply(200, &[], &[], b"")).starts_with("answered UNKNOWN: HTTP 200"));
    for (http, name) in [(401, "UNAUTHENTICATED"), (404, "UNIMPLEMENTED"), (503, "UNAVAILABLE")] {
        let said = code(&reply(http, &[], &[], b""));
        assert!(said.starts_with(&format!("answered {name}: HTTP {http}")), "{said}");
    }
}

#[test]
fn a_frame_comes_back_as_it_was_and_nonsense_is_an_empty_message() {
    assert_eq!(&*frame(b"abc", true), b"\x01\0\0\0\x03abc");
    assert_eq!(unframe(&frame(b"abc", false)), b"abc");
    for nonsense in [&b""[..], b"\0\0", b"\0\0\0\0\x09abc", b"\x01\0\0\0\x01a", b"\0\xff\xff\xff\xffa"] {
        assert_eq!(unframe(nonsense), b"");
    }
}

#[test]
fn what_a_server_did_not_take_is_in_the_message() {
    let partial = ExportTracePartialSuccess { rejected_spans: 3, error_message: "too old".into() };
    let message = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let taken = answer::<Traces>(&reply(200, &[], &[(STATUS, "0")], &frame(&message, false)));
    assert_eq!(taken, Answer::Taken { rejected: 3, message: "too old".into() });
    let garbage = reply(200, &[], &[(STATUS, "0")], &frame(b"\xff\xff", false));
    assert_eq!(answer::<Traces>(&garbage), Answer::TAKEN);
}

#[test]
fn a_timeout_fits_into_eight_digits() {
    let said = |timeout| shape("/m", true, timeout).headers["grpc-timeout"].to_str().unwrap().to_owned();
    assert_eq!(said(Duration::from_secs(10)), "10000m");
    assert_eq!(said(Duration::MAX), "99999999m");
    assert_eq!(said(Duration::ZERO), "1m");
}
