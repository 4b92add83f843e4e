//! What arrives, when, and how much at once.

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Version};
use prost::Message;
use weir_telemetry::export::proto::collector::logs::v1::ExportLogsServiceRequest;
use weir_telemetry::export::proto::logs::v1::LogRecord;
use weir_telemetry::export::{
    Answer, ExportOptions, Fault, Logs, Otlp, Post, PostOptions, PostShape, RequestResult, Transport,
};

use crate::collector::{Collector, Down, LONG, Say};
use crate::rig::{Rig, batches, decode, gunzip, names, offer, otlp, quick, resource, span};

fn takes_all() -> Collector {
    Collector::start(|_, _| Say::status(200))
}

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|i| format!("s{i}")).collect()
}

#[test]
fn spans_arrive_in_order_under_one_resource_and_one_scope_with_the_headers_that_were_given() {
    let collector = takes_all();
    let mut options = otlp(&format!("{}/otlp/", collector.url()));
    options.post.headers = vec![("X-Tenant".into(), "blue".into()), ("content-type".into(), "no".into())];
    let rig = Rig::traces(&options, batches(3));
    assert_eq!(rig.offer(["a", "b", "c"]), 3);
    let seen = collector.next();
    assert_eq!((seen.path.as_str(), seen.version), ("/otlp/v1/traces", Version::HTTP_11));
    assert_eq!(seen.header("content-type"), "application/x-protobuf");
    assert_eq!((seen.header("x-tenant"), seen.header("content-encoding")), ("blue", ""));
    assert!(seen.header("user-agent").starts_with("weir/"));
    assert_eq!(names(&seen), ["a", "b", "c"]);
    let mut request = decode(&seen.body);
    assert_eq!(request.resource_spans.len(), 1);
    let group = request.resource_spans.remove(0);
    assert_eq!(
        group.resource,
        Some(resource().described()).map(|mut theirs| {
            // The id of an instance is random.
            let ours = group.resource.clone().expect("a resource");
            let at = |r: &[weir_telemetry::export::proto::common::v1::KeyValue]| {
                r.iter().position(|a| a.key == "service.instance.id").expect("an id")
            };
            let from = at(&ours.attributes);
            let to = at(&theirs.attributes);
            theirs.attributes[to] = ours.attributes[from].clone();
            theirs
        })
    );
    assert_eq!(group.scope_spans.len(), 1);
    assert_eq!(group.scope_spans[0].scope.as_ref().map(|s| s.name.as_str()), Some("weir"));
    assert_eq!(group.scope_spans[0].spans[0], span("a"));
    rig.flush();
    assert_eq!((rig.items("sent"), rig.requests("ok")), (3, 1));
    assert_eq!(rig.metric("weir_export_request_duration_seconds_count{signal=\"traces\"}"), 1.0);
    assert_eq!(rig.said(), [] as [serde_json::Value; 0]);
}

#[test]
fn a_compressed_request_says_so_and_holds_the_same() {
    let collector = takes_all();
    let rig = Rig::traces(
        &weir_telemetry::export::OtlpOptions { gzip: true, ..otlp(&collector.url()) },
        batches(1),
    );
    rig.offer(["a"]);
    let mut seen = collector.next();
    assert_eq!(seen.header("content-encoding"), "gzip");
    seen.body = gunzip(&seen.body).into();
    assert_eq!(names(&seen), ["a"]);
}

#[test]
fn log_records_go_the_same_way_to_a_place_of_their_own() {
    let collector = takes_all();
    let transport = Otlp::<Logs>::new(&otlp(&collector.url()), &resource()).expect("usable");
    let rig = Rig::new(transport, batches(1));
    rig.exporter.offer(LogRecord { severity_text: "WARN".into(), ..LogRecord::default() });
    let seen = collector.next();
    assert_eq!(seen.path, "/v1/logs");
    let request = ExportLogsServiceRequest::decode(&*seen.body).expect("a request");
    assert_eq!(request.resource_logs[0].scope_logs[0].log_records[0].severity_text, "WARN");
    rig.flush();
    assert_eq!(rig.metric("weir_export_items_total{signal=\"logs\",outcome=\"sent\"}"), 1.0);
    assert_eq!(rig.items("sent"), 0);
}

#[test]
fn a_batch_goes_when_it_is_full_of_items_or_bytes_or_old_enough_or_asked_for() {
    let collector = takes_all();
    let rig = Rig::traces(&otlp(&collector.url()), batches(2));
    rig.offer(numbered(0, 5));
    assert_eq!(names(&collector.next()), ["s0", "s1"]);
    assert_eq!(names(&collector.next()), ["s2", "s3"]);
    rig.flush();
    assert_eq!(names(&collector.next()), ["s4"]);

    let size = Otlp::<weir_telemetry::export::Traces>::size(&span("s0"));
    let rig =
        Rig::traces(&otlp(&collector.url()), ExportOptions { batch_bytes: 3 * size + 1, ..batches(100) });
    rig.offer(numbered(0, 4));
    rig.flush();
    assert_eq!((names(&collector.next()).len(), names(&collector.next()).len()), (3, 1));

    let rig = Rig::traces(
        &otlp(&collector.url()),
        ExportOptions { delay: Duration::from_millis(1), ..batches(100) },
    );
    rig.offer(["old"]);
    assert_eq!(names(&collector.next()), ["old"]);
}

#[test]
fn a_collector_that_comes_up_late_gets_all_that_fitted_and_the_rest_is_counted() {
    let down = Down::new();
    let url = format!("http://{}", down.address());
    let rig = Rig::traces(&otlp(&url), ExportOptions { queue_items: 20, ..batches(5) });
    rig.offer(numbered(0, 5));
    let line = rig.line("export fails");
    assert_eq!((&line["level"], &line["source"]), (&"error".into(), &"export.traces".into()));
    assert_eq!((&line["result"], &line["url"]), (&"unreachable".into(), &format!("{url}/v1/traces").into()));
    assert!(line["reason"].as_str().expect("text").contains("connection refused"), "{line}");
    // Five are in hand, so twenty more fit.
    assert_eq!(rig.offer(numbered(5, 40)), 20);
    assert_eq!(rig.metric("weir_export_queue_items{signal=\"traces\"}"), 20.0);
    let collector = down.up(None, |_, _| Say::status(200));
    rig.flush();
    let arrived: Vec<_> = collector.seen().iter().flat_map(names).collect();
    assert_eq!(arrived, numbered(0, 25));
    assert_eq!(rig.outcomes(), [("sent", 25), ("queue_full", 15)]);
    assert_eq!(rig.metric("weir_export_queue_items{signal=\"traces\"}"), 0.0);
    assert_eq!(rig.line("export works again")["url"], format!("{url}/v1/traces"));
    assert_eq!(rig.said().len(), 0, "nothing else is said");
}

#[test]
fn a_collector_that_went_away_is_found_again_at_its_address() {
    let (first, second) = Down::twice();
    let collector = first.up(None, |_, _| Say::status(200));
    let rig = Rig::traces(&otlp(&collector.url()), batches(1));
    rig.offer(["before"]);
    rig.flush();
    drop(collector);
    rig.offer(["after"]);
    rig.line("export fails");
    let collector = second.up(None, |_, _| Say::status(200));
    rig.flush();
    assert_eq!(names(&collector.next()), ["after"]);
    assert_eq!(rig.outcomes(), [("sent", 2)]);
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let rig = Rig::traces(
        &otlp(&Collector::start(|_, _| Say::Hang).url()),
        ExportOptions { queue_bytes: 3000, batch_bytes: 3000, delay: crate::rig::HOUR, ..quick() },
    );
    // A little over a thousand bytes each.
    let taken = rig.offer((0..10).map(|_| "x".repeat(1000)));
    assert_eq!(taken, 2);
    assert_eq!(rig.outcomes(), [("queue_full", 8)]);
}

#[test]
fn an_item_longer_than_a_batch_is_dropped_and_counted() {
    let collector = takes_all();
    let rig = Rig::traces(&otlp(&collector.url()), ExportOptions { batch_bytes: 500, ..quick() });
    assert!(!rig.exporter.offer(span("x".repeat(600))));
    assert!(rig.exporter.offer(span("small")));
    rig.flush();
    assert_eq!(names(&collector.next()), ["small"]);
    assert_eq!(rig.outcomes(), [("sent", 1), ("too_large", 1)]);
}

#[test]
fn many_threads_offer_at_a_time() {
    let collector = takes_all();
    let rig = Rig::traces(&otlp(&collector.url()), ExportOptions { queue_items: 10_000, ..batches(100) });
    thread::scope(|scope| {
        for _ in 0..4 {
            let exporter = rig.exporter.clone();
            scope.spawn(move || offer(&exporter, numbered(0, 1000)));
        }
    });
    rig.flush();
    assert_eq!(rig.outcomes(), [("sent", 4000)]);
    assert_eq!(collector.seen().iter().map(|seen| names(seen).len()).sum::<usize>(), 4000);
}

/// Single JSON documents: what a webhook takes.
struct Events(Post);

impl Transport for Events {
    type Item = String;
    type Body = Bytes;

    fn signal(&self) -> &'static str {
        "events"
    }

    fn place(&self) -> &str {
        self.0.place()
    }

    fn size(item: &String) -> usize {
        item.len() + 1
    }

    fn encode(&self, items: Vec<String>) -> Bytes {
        format!("[{}]", items.join(",")).into()
    }

    async fn send(&self, body: Bytes) -> Answer {
        match self.0.send(body).await {
            Ok(reply) if reply.status.is_success() => Answer::TAKEN,
            Ok(reply) => {
                let fault = Fault { result: RequestResult::Retry, words: reply.status.to_string() };
                Answer::Later { fault, after: None }
            }
            Err(error) => error.into(),
        }
    }
}

#[test]
fn anything_that_can_be_posted_has_the_same_queue_retries_and_counts() {
    let collector = Collector::start(|n, _| Say::status(if n == 0 { 500 } else { 204 }));
    let kind = HeaderValue::from_static("application/cloudevents-batch+json");
    let shape = PostShape { headers: HeaderMap::from_iter([(CONTENT_TYPE, kind)]), ..PostShape::default() };
    let url = format!("{}/hook?key=1", collector.url());
    let post = Post::new(&url, shape, &PostOptions::default()).expect("usable");
    let rig = Rig::new(Events(post), batches(2));
    assert!(rig.exporter.offer("{\"id\":1}".into()) && rig.exporter.offer("{\"id\":2}".into()));
    assert!(rig.exporter.flush(LONG));
    let seen = collector.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[1].path.as_str(), &*seen[1].body), ("/hook?key=1", &b"[{\"id\":1},{\"id\":2}]"[..]));
    assert_eq!(seen[1].header("content-type"), "application/cloudevents-batch+json");
    assert_eq!(rig.metric("weir_export_items_total{signal=\"events\",outcome=\"sent\"}"), 2.0);
    assert!(!rig.line("export fails")["url"].to_string().contains("key"));
}
