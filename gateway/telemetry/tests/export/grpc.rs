//! OTLP over gRPC.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::Version;
use weir_telemetry::export::{ExportOptions, OtlpOptions, Protocol};

use crate::collector::{Collector, Say, Seen};
use crate::rig::{HOUR, Rig, batches, gunzip, names, otlp};

const OK: (&str, &str) = ("grpc-status", "0");

fn grpc(url: &str) -> OtlpOptions {
    OtlpOptions { protocol: Protocol::Grpc, ..otlp(url) }
}

/// Takes the prefix off a request's only message.
fn unframe(mut seen: Seen) -> Seen {
    let length = u32::from_be_bytes(seen.body[1..5].try_into().expect("four bytes")) as usize;
    assert_eq!(seen.body.len(), 5 + length);
    let compressed = seen.body[0] == 1;
    seen.body = seen.body.slice(5..);
    if compressed {
        seen.body = gunzip(&seen.body).into();
    }
    seen
}

/// Sends one batch of two spans to a collector that answers as told, then well; what became of it.
fn check(say: Say, outcomes: &[(&str, u64)], result: &str) -> (Rig, Collector) {
    let collector =
        Collector::start(move |n, _| if n == 0 { say.clone() } else { Say::grpc(&[OK], b"\0\0\0\0\0") });
    let rig = Rig::traces(&grpc(&collector.url()), batches(2));
    rig.offer(["a", "b"]);
    rig.flush();
    assert_eq!(rig.outcomes(), outcomes);
    assert_eq!(rig.requests(result), 1, "{result}: {:?}", rig.said());
    (rig, collector)
}

#[test]
fn a_call_arrives_as_grpc_has_it() {
    let collector = Collector::start(|_, _| Say::grpc(&[OK], b"\0\0\0\0\0"));
    let mut options = grpc(&format!("{}/prefix", collector.url()));
    options.post.headers = vec![("X-Tenant".into(), "blue".into())];
    for gzip in [false, true] {
        options.gzip = gzip;
        let rig = Rig::traces(&options, batches(2));
        rig.offer(["a", "b"]);
        let seen = collector.next();
        assert_eq!(seen.version, Version::HTTP_2);
        assert_eq!(seen.path, "/prefix/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        assert_eq!((seen.header("content-type"), seen.header("te")), ("application/grpc", "trailers"));
        assert_eq!((seen.header("grpc-timeout"), seen.header("x-tenant")), ("10000m", "blue"));
        assert_eq!(seen.header("grpc-encoding"), if gzip { "gzip" } else { "" });
        assert_eq!(names(&unframe(seen)), ["a", "b"]);
        rig.flush();
        assert_eq!((rig.outcomes(), rig.requests("ok")), (vec![("sent", 2)], 1));
    }
}

#[test]
fn unavailable_is_tried_again_with_or_without_a_body() {
    let later = ("grpc-status", "14");
    let (rig, collector) =
        check(Say::grpc(&[later, ("grpc-message", "full%20up")], b""), &[("sent", 2)], "retry");
    assert_eq!(collector.seen().len(), 2);
    assert_eq!(rig.line("export fails")["reason"], "answered UNAVAILABLE: full up");
    // Trailers-only.
    let only = Say::answer(200, &[("content-type", "application/grpc"), later], b"");
    check(only, &[("sent", 2)], "retry");
    check(Say::status(503), &[("sent", 2)], "retry");
    check(Say::Break, &[("sent", 2)], "broken");
}

#[test]
fn resource_exhausted_is_tried_again_only_if_the_collector_says_when() {
    let full = ("grpc-status", "8");
    let (rig, collector) = check(Say::grpc(&[full], b""), &[("failed", 2)], "refused");
    assert_eq!(collector.seen().len(), 1);
    assert!(rig.line("export fails")["reason"].to_string().contains("RESOURCE_EXHAUSTED"));

    // A `google.rpc.Status` with a `RetryInfo` of no time at all.
    let kind = "type.googleapis.com/google.rpc.RetryInfo";
    let any = [&[0x0a, kind.len() as u8], kind.as_bytes(), &[0x12, 2, 0x0a, 0]].concat();
    let details = STANDARD_NO_PAD.encode([&[0x08, 8, 0x1a, any.len() as u8], &*any].concat());
    let collector = Collector::start(move |n, _| match n {
        0 => Say::grpc(&[full, ("grpc-status-details-bin", &details)], b""),
        _ => Say::grpc(&[OK], b"\0\0\0\0\0"),
    });
    // Our own wait would be up to an hour.
    let options = ExportOptions { retry_initial: HOUR, retry_longest: HOUR, ..batches(1) };
    let rig = Rig::traces(&grpc(&collector.url()), options);
    rig.offer(["a"]);
    rig.flush();
    assert_eq!((rig.outcomes(), rig.requests("retry")), (vec![("sent", 1)], 1));
}

#[test]
fn a_refusal_is_final_and_an_answer_without_a_status_is_one() {
    for say in [
        Say::grpc(&[("grpc-status", "3")], b""),
        Say::grpc(&[("grpc-status", "16")], b""),
        Say::grpc(&[("grpc-status", "12")], b""),
        Say::grpc(&[], b"\0\0\0\0\0"),
        Say::answer(404, &[], b"<html>"),
    ] {
        let (rig, collector) = check(say, &[("failed", 2)], "refused");
        rig.offer(["c", "d"]);
        rig.flush();
        assert_eq!((collector.seen().len(), rig.items("sent")), (2, 2));
    }
}

#[test]
fn a_partial_success_is_counted_and_garbage_is_a_success() {
    // One of two was rejected.
    let partial = Say::grpc(&[OK], b"\0\0\0\0\x04\x0a\x02\x08\x01");
    check(partial, &[("sent", 1), ("rejected", 1)], "partial");
    for garbage in [&b"\0\0\0\0\x03\xff\xff\xff"[..], b"\x01\0\0\0\x01x", b"\0\xff\xff\xff\xff", b"x", b""] {
        check(Say::grpc(&[OK], garbage), &[("sent", 2)], "ok");
    }
}

#[test]
fn a_server_that_knows_no_http2_is_a_failure_in_words() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = std::io::Write::write_all(
                &mut stream.expect("accepted"),
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
            );
        }
    });
    let options = ExportOptions { retry_for: std::time::Duration::ZERO, ..batches(1) };
    let rig = Rig::traces(&grpc(&format!("http://{address}")), options);
    rig.offer(["a"]);
    rig.flush();
    assert_eq!(rig.outcomes(), [("gave_up", 1)]);
    let line = rig.line("export fails");
    assert_eq!(line["result"], "broken", "{line}");
}
