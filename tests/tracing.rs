//! Spans of what goes through the binary, as a collector gets them.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use support::collector::{Collector, attribute, named};
use support::{Gateway, Server, Upstream, forward, forward_with, nobody};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
const PREDICT: &str = "/v1/models/churn:predict";
const ROW: &str = "{\"instances\": [[1, 2]]}";
const ALL: &str = "sample = \"100%\"\nrest = 0";
const NONE: &str = "sample = \"0%\"\nrest = 0";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: weir.test:81\r\nUser-Agent: test/1\r\n\r\n")
}

fn id(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A span lies within its parent, in place and in time.
#[track_caller]
fn below(child: &Span, parent: &Span) {
    assert_eq!((&child.parent_span_id, &child.trace_id), (&parent.span_id, &parent.trace_id));
    assert!(child.start_time_unix_nano >= parent.start_time_unix_nano, "{child:?} begins in {parent:?}");
    assert!(child.end_time_unix_nano <= parent.end_time_unix_nano, "{child:?} ends in {parent:?}");
}

#[track_caller]
fn failed(span: &Span, error: &str) {
    assert_eq!(attribute(span, "error.type"), error);
    assert_eq!(span.status.as_ref().map(|status| status.code), Some(2), "{span:?}");
}

#[test]
fn a_forwarded_request_is_a_server_span_and_a_client_span_that_the_model_server_is_below() {
    let (mut collector, server) = (Collector::start(), Server::json("{\"predictions\": [[0.9, 0.1]]}"));
    let route = forward_with(&[server.address()], "protocol = \"kserve-v1\"\nmodel = \"churn\"", "");
    let resource = "resource = { \"deployment.environment.name\" = \"test\" }";
    let gateway =
        Gateway::start(WEIR, &format!("{}{route}", collector.tracing(&format!("{ALL}\n{resource}"))));
    assert_eq!(gateway.post(PREDICT, ROW).status(), 200);

    let spans = collector.await_spans("POST /*", 1);
    let (request, inference) = (named(&spans, "POST /*"), named(&spans, "inference"));
    assert_eq!((request.kind(), inference.kind()), (SpanKind::Server, SpanKind::Client));
    assert!(request.parent_span_id.is_empty(), "the trace begins here");
    below(inference, request);
    let came = server.request();
    let parent = came.header("traceparent").expect("a parent");
    assert_eq!(parent, format!("00-{}-{}-03", id(&request.trace_id), id(&inference.span_id)));
    assert_eq!(came.header("tracestate"), Some("ot=th:0"));
    assert_eq!(request.trace_state, "ot=th:0");
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/*"),
        ("url.path", PREDICT),
        ("client.address", "127.0.0.1"),
        ("server.address", "weir.test"),
        ("network.protocol.version", "1.1"),
        ("http.request.body.size", "23"),
        ("weir.route", "all"),
        ("weir.model", "churn"),
        ("weir.rows", "1"),
        ("weir.outcome", "ok"),
        ("weir.sampling.reasons", "head"),
        ("weir.sampling.probability", "1"),
        ("weir.sampling.adjusted_count", "1"),
        ("weir.trace.partial", ""),
        ("error.type", ""),
    ] {
        assert_eq!(attribute(request, key), value, "{key}");
    }
    assert_eq!(attribute(inference, "server.port"), server.address().port().to_string());
    assert_eq!(attribute(inference, "http.response.status_code"), "200");
    assert_eq!(collector.resource("service.name"), "weir");
    assert_eq!(collector.resource("deployment.environment.name"), "test");
    assert_eq!(gateway.metric("weir_traces_total", &[("fate", "kept_known")]), 1.0);
}

#[test]
fn a_caller_s_context_goes_through_and_its_decision_holds() {
    let (mut collector, server) = (Collector::start(), Server::json("{}"));
    let gateway = Gateway::start(WEIR, &format!("{}{}", collector.tracing(NONE), forward(server.address())));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let ask = |flags: &str, state: &str| {
        let context = format!("traceparent: 00-{trace}-00f067aa0ba902b7-{flags}\r\ntracestate: {state}\r\n");
        let reply = gateway.ask(get("/x").replace("\r\n\r\n", &format!("\r\nbaggage: k=v\r\n{context}\r\n")));
        assert_eq!(reply.status(), 200);
        server.request()
    };
    let unsampled = ask("00", "a=1");
    assert!(unsampled.header("traceparent").expect("a parent").ends_with("-00"));
    let came = ask("01", "a=1,ot=th:8");
    assert_eq!((came.header("tracestate"), came.header("baggage")), (Some("a=1,ot=th:8"), Some("k=v")));

    let spans = collector.await_spans("GET /*", 1);
    let request = named(&spans, "GET /*");
    assert_eq!(
        (id(&request.trace_id), id(&request.parent_span_id)),
        (trace.into(), "00f067aa0ba902b7".into())
    );
    assert_eq!(attribute(request, "weir.sampling.probability"), "0.5");
    assert_eq!(request.flags & 0x300, 0x300, "the parent is in another process");

    ask("01", "");
    let spans = collector.await_spans("GET /*", 2);
    let unknown = spans.iter().rfind(|span| span.name == "GET /*").expect("it is there");
    assert_eq!(attribute(unknown, "weir.sampling.adjusted_count"), "", "nobody knows it");
    assert_eq!(gateway.metric("weir_traces_total", &[("fate", "kept_unknown")]), 1.0);
}

#[test]
fn what_only_a_judge_keeps_is_marked_as_partial_with_its_reason() {
    let mut collector = Collector::start();
    let server = Server::start(|request| match request.header("x-fail") {
        Some(_) => b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_vec(),
        None => support::ok_json("{\"predictions\": [[0.9, 0.1]]}"),
    });
    let route = forward_with(&[server.address()], "protocol = \"kserve-v1\"\nmodel = \"churn\"", "");
    let sampler = "[plugin.sampler]\npath = \"builtin:sampler\"\nconfig = { rest = 0.0, max_classes = 0 }\n";
    let gateway = Gateway::start(WEIR, &format!("{}{route}{sampler}", collector.tracing(NONE)));
    assert_eq!(gateway.post(PREDICT, ROW).status(), 200);
    let failing =
        format!("POST {PREDICT} HTTP/1.1\r\nHost: h\r\nX-Fail: 1\r\nContent-Length: 23\r\n\r\n{ROW}");
    assert_eq!(gateway.ask(failing).status(), 500);
    let spans = collector.await_spans("POST /*", 1);
    let request = named(&spans, "POST /*");
    failed(request, "500");
    failed(named(&spans, "inference"), "500");
    assert_eq!(attribute(request, "weir.sampling.reasons"), "sampler:error");
    assert_eq!(attribute(request, "weir.trace.partial"), "true");
    gateway.await_exchanges(2);
    assert_eq!(collector.spans().iter().filter(|span| span.name == "POST /*").count(), 1);
}

#[test]
fn a_retry_is_two_spans_the_second_linked_to_the_first() {
    let (mut collector, server, down) = (Collector::start(), Server::json("{}"), nobody());
    let route = forward_with(&[down, server.address()], "", "eject_after = 100");
    let gateway = Gateway::start(WEIR, &format!("{}{route}", collector.tracing(ALL)));
    let mut asked = 0;
    // Which of the two comes first is drawn.
    let spans = loop {
        assert_eq!(gateway.ask(get("/")).status(), 200);
        asked += 1;
        let spans = collector.await_spans("GET /*", asked);
        if spans.iter().filter(|span| span.name == "inference").count() == 2 {
            break spans;
        }
    };
    let mut tries: Vec<&Span> = spans.iter().filter(|span| span.name == "inference").collect();
    tries.sort_by_key(|span| span.start_time_unix_nano);
    let [first, second] = tries[..] else { unreachable!("there are two") };
    failed(first, "connect");
    assert!(second.status.is_none());
    assert_eq!(attribute(second, "http.request.resend_count"), "1");
    assert_eq!(second.links[0].span_id, first.span_id);
    tries.iter().for_each(|span| below(span, named(&spans, "GET /*")));
}

#[test]
fn what_no_route_takes_a_limit_refuses_or_nobody_answers_in_time_has_its_span() {
    let (mut collector, upstream) = (Collector::start(), Upstream::bind());
    let route =
        forward_with(&[upstream.address()], "timeouts = { header = \"200ms\" }\nbody_bytes = \"10B\"", "");
    let route = route.replace("path = \"/*\"", "path = \"/m/*\"");
    let limits = "[gateway]\nworkers = 1\n[limits]\nin_flight = 1\n";
    let gateway = Gateway::start(WEIR, &format!("{limits}{}{route}", collector.tracing(ALL)));
    assert_eq!(gateway.ask(get("/other")).status(), 404);
    let spans = collector.await_spans("GET", 1);
    let unrouted = named(&spans, "GET");
    assert_eq!(attribute(unrouted, "error.type"), "no_route");
    assert_eq!(attribute(unrouted, "url.path"), "/other");
    assert!(unrouted.status.is_none(), "a client's fault is none of the server's");

    assert_eq!(gateway.post("/m/large", "{\"long\": \"body\"}").status(), 413);
    let spans = collector.await_spans("POST /m/*", 1);
    assert_eq!(attribute(named(&spans, "POST /m/*"), "error.type"), "body_too_large");
    assert_eq!(spans.len(), 1, "nothing was asked upstream");

    let mut client = gateway.client();
    client.send(get("/m/slow"));
    let mut server = upstream.accept();
    server.message();
    assert_eq!(gateway.ask(get("/m/one-too-many")).status(), 503);
    assert_eq!(client.message().status(), 504);
    let refused = collector.await_spans("GET", 2);
    failed(refused.last().expect("it is there"), "limit");
    let spans = collector.await_spans("GET /m/*", 1);
    failed(named(&spans, "GET /m/*"), "timeout");
    failed(named(&spans, "inference"), "timeout");
}

#[test]
fn a_stream_that_the_client_cuts_ends_when_it_was_cut() {
    let (mut collector, upstream) = (Collector::start(), Upstream::bind());
    let gateway = Gateway::start(WEIR, &format!("{}{}", collector.tracing(ALL), forward(upstream.address())));
    let mut client = gateway.client();
    client.send(get("/stream"));
    let mut server = upstream.accept();
    server.message();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n");
    client.head().expect("a head");
    assert_eq!(client.exactly(9), b"4\r\nsome\r\n");
    drop(client);
    server.ends();
    let spans = collector.await_spans("GET /*", 1);
    let request = named(&spans, "GET /*");
    failed(request, "client_gone");
    assert_eq!(attribute(request, "http.response.status_code"), "200");
    assert_eq!(attribute(request, "weir.outcome"), "cancelled");
    assert_eq!(request.events[0].name, "response.head");
    below(named(&spans, "inference"), request);
}

#[test]
fn a_local_model_shows_its_stages_and_points_at_its_loading() {
    let mut collector = Collector::start();
    let route = "[backend.local]\nmodel = \"builtin:churn\"\n[[route]]\nname = \"local\"\npath = \"/v1/models/*\"\n\
                 backend = \"local\"\nprotocol = \"kserve-v1\"\n";
    let gateway = Gateway::start(WEIR, &format!("{}{route}", collector.tracing(ALL)));
    let row = r#"{"instances": [[1, 0, 1, 0, 34, 1, "Yes", "DSL", "Yes", "Yes", "No", "Yes", "No", "No",
        "Month-to-month", 0, "Electronic check", 62.65, 2274.9]]}"#;
    assert_eq!(gateway.post(PREDICT, row).status(), 200);
    let spans = collector.await_spans("POST /v1/models/*", 1);
    let request = named(&spans, "POST /v1/models/*");
    let stages = ["preprocess", "inference", "postprocess"].map(|name| named(&spans, name));
    stages.iter().for_each(|stage| below(stage, request));
    for pair in stages.windows(2) {
        assert!(pair[0].end_time_unix_nano <= pair[1].start_time_unix_nano, "one after the other");
    }
    let loading = collector.await_spans("load_model", 1);
    let loading = named(&loading, "load_model");
    assert_eq!(request.links[0].span_id, loading.span_id);
    assert!(loading.end_time_unix_nano > loading.start_time_unix_nano);
    assert_eq!(attribute(loading, "weir.model"), "churn");
}

#[test]
fn exemplars_name_the_traces_that_were_exported() {
    let (mut collector, server) = (Collector::start(), Server::json("{\"predictions\": [[0.9, 0.1]]}"));
    let route = forward_with(&[server.address()], "protocol = \"kserve-v1\"\nmodel = \"churn\"", "");
    let gateway = Gateway::start(WEIR, &format!("{}{route}", collector.tracing(ALL)));
    assert_eq!(gateway.post(PREDICT, ROW).status(), 200);
    let spans = collector.await_spans("POST /*", 1);
    let open = gateway.page("GET", "/metrics", "application/openmetrics-text;version=1.0.0").text();
    let exemplar = format!("# {{trace_id=\"{}\",", id(&named(&spans, "POST /*").trace_id));
    for family in
        ["prediction_latency_seconds", "prediction_confidence", "http_server_request_duration_seconds"]
    {
        let with = |line: &&str| line.starts_with(&format!("{family}_bucket")) && line.contains(&exemplar);
        assert_eq!(open.lines().filter(with).count(), 1, "{family} in {open}");
    }
    assert!(!gateway.page("GET", "/metrics", "text/plain").text().contains("trace_id"));
}

#[test]
fn a_collector_that_is_down_costs_no_request_and_what_is_lost_is_counted() {
    let (server, down) = (Server::json("{}"), nobody());
    let tracing = format!(
        "[tracing]\notlp = \"http://{down}\"\nprotocol = \"http/protobuf\"\nqueue = 64\nbudget = 0\n\
         retry_for = \"0s\"\n{ALL}\n"
    );
    let gateway = Gateway::start(WEIR, &format!("{tracing}{}", forward(server.address())));
    let mut client = gateway.client();
    for _ in 0..200 {
        client.send(get("/"));
        assert_eq!(client.message().status(), 200);
    }
    gateway.await_exchanges(200);
    let counted = |scrape: &support::Scrape| scrape.sum("weir_export_items_total", &[("signal", "traces")]);
    let scrape = gateway.await_metric("weir_export_queue_items", &[("signal", "traces")], 0.0);
    assert!(counted(&scrape) <= Some(400.0));
    let scrape = gateway.await_metric("weir_export_items_total", &[("signal", "traces")], 400.0);
    assert_eq!(scrape.sum("weir_export_items_total", &[("outcome", "sent")]), Some(0.0));
    assert!(gateway.logs().find(|line| line["source"] == "export.traces").is_some(), "it is said");
}

#[test]
fn weir_s_own_log_goes_to_the_collector_too() {
    let (mut collector, server) = (Collector::start(), Server::json("{}"));
    let log = "[log]\notlp = true\naccess = \"100%\"\n";
    let gateway =
        Gateway::start(WEIR, &format!("{log}{}{}", collector.tracing(NONE), forward(server.address())));
    assert_eq!(gateway.ask(get("/x")).status(), 200);
    let trace = server.request().header("traceparent").expect("a parent")[3..35].to_owned();
    gateway.reload();
    let said = |record: &LogRecord| format!("{:?}", record.body);
    let is = |record: &&LogRecord| id(&record.trace_id) == trace && record.event_name == "weir.access";
    let mut seen = 1;
    // The access line and what a reload says, in whatever order.
    loop {
        let logs = collector.await_logs(seen);
        seen = logs.len() + 1;
        if logs.iter().any(|record| is(&record))
            && logs.iter().any(|l| said(l).contains("nothing has changed"))
        {
            break;
        }
    }
}

#[test]
fn a_reload_moves_spans_to_another_collector_and_secrets_are_shown_nowhere() {
    let (mut old, mut new, server) = (Collector::start(), Collector::start(), Server::json("{}"));
    let with = |collector: &Collector| {
        let keys = format!("{ALL}\nheaders = {{ authorization = \"Bearer hunter2hunter2\" }}");
        format!("{}{}", collector.tracing(&keys), forward(server.address()))
    };
    let gateway = Gateway::start(WEIR, &with(&old));
    assert_eq!(gateway.ask(get("/")).status(), 200);
    old.await_spans("GET /*", 1);
    gateway.replace_config(&with(&new));
    gateway.await_generation(2);
    assert_eq!(gateway.ask(get("/")).status(), 200);
    new.await_spans("GET /*", 1);
    let shown =
        [gateway.api("/api/config").to_string(), gateway.logs().text(), gateway.get("/metrics").text()];
    assert!(shown.iter().all(|text| !text.contains("hunter2")));

    let faulty = with(&new).replace("[tracing]\n", "[tracing]\nca = \"nowhere.pem\"\n");
    gateway.replace_config(&faulty);
    let why = gateway.await_reloads("config", "refused", 1);
    assert!(why.contains("tracing.ca") && why.contains("nowhere.pem"), "{why}");
    assert_eq!(gateway.ask(get("/")).status(), 200);
}
