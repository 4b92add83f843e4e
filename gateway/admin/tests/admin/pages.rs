//! What the listener answers, byte by byte, from a real socket.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;

use flate2::read::GzDecoder;
use weir_admin::{Options, Pages, Reloaded, Scope};

use crate::support::{House, Site, TOKEN, registry};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

fn site() -> Site {
    Site::start(&Options { token: Some("s3cret".into()), ..Options::default() })
}

#[test]
fn findings_and_live_traffic_are_read_by_what_is_asked_for() {
    let site = site();
    assert_eq!(site.get("/api/findings").json()["findings"][0]["kind"], "drift");
    let found = site.get("/api/profile?route=a%20b&model=m%2F1");
    assert_eq!(found.json(), serde_json::json!({"route": "a b", "model": "m/1"}));
    let unnamed = site.get("/api/profile?model=");
    assert_eq!(
        unnamed.json(),
        serde_json::json!({"route": null, "model": ""}),
        "absent is any, empty is not"
    );
    let none = site.get("/api/profile?model=other");
    assert_eq!((none.status, none.json()["error"]["type"].as_str()), (404, Some("no_profile")));
    let wrong = site.get("/api/profile?modle=1");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("`modle`"), "{}", wrong.text());
}

#[test]
fn a_look_at_plugins_at_work_delays_no_other_page_and_breaks_off_in_words() {
    let site = site();
    for path in ["/api/findings", "/api/profile"] {
        let (word, look) = mpsc::channel();
        *site.house.look.lock().expect("whole") = Some(look);
        let mut waiting = site.client();
        waiting.send("GET", path, &[]);
        // It has begun to wait when its receiver is gone.
        while site.house.look.lock().expect("whole").is_some() {
            assert_eq!(site.get("/health").status, 200);
        }
        // On another connection, and before there is a word.
        assert_eq!(site.get("/metrics").status, 200, "while {path} waits");
        word.send(()).expect("it still waits");
        assert_eq!(waiting.read(false).expect("an answer").status, 200);

        let (word, look) = mpsc::channel();
        *site.house.look.lock().expect("whole") = Some(look);
        drop(word);
        let broken = site.get(path);
        assert_eq!((broken.status, broken.error().contains("broke off")), (500, true));
    }
}

#[test]
fn metrics_come_in_the_format_that_accept_asks_for() {
    let site = site();
    let plain = site.get("/metrics");
    assert_eq!((plain.status, plain.header("content-type")), (200, Some(TEXT)));
    assert!(plain.text().contains("requests_total{route=\"churn\"} 5\n"));
    assert!(plain.text().contains("weir_admin_refused_total{reason=\"host\"} 0\n"));
    let accept = [("accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")];
    let open = site.client().ask("GET", "/metrics", &accept);
    assert_eq!(open.header("content-type"), Some(OPENMETRICS));
    assert!(open.text().contains("# TYPE requests counter\n") && open.text().ends_with("# EOF\n"));
    let less = [("accept", "application/openmetrics-text;q=0.2, text/plain;q=0.9")];
    assert_eq!(site.client().ask("GET", "/metrics", &less).header("content-type"), Some(TEXT));
    assert_eq!(open.header("vary"), Some("Accept, Accept-Encoding"));
}

#[test]
fn a_large_page_is_gzipped_for_those_who_take_it() {
    let site = site();
    let plain = site.get("/metrics");
    assert_eq!(plain.header("content-encoding"), None);
    let zipped = site.client().ask("GET", "/metrics", &[("accept-encoding", "gzip, br")]);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    GzDecoder::new(zipped.body.as_slice()).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, plain.text());
    assert!(zipped.body.len() < plain.body.len() / 3);
    let small = site.client().ask("GET", "/health", &[("accept-encoding", "gzip")]);
    assert_eq!(small.header("content-encoding"), None);
}

#[test]
fn health_is_200_while_ready_tells_whether_to_send_traffic() {
    let site = site();
    assert_eq!(site.get("/health").json(), serde_json::json!({ "status": "healthy", "model_loaded": true }));
    assert_eq!(site.get("/ready").status, 200);
    site.house.draining.store(true, SeqCst);
    let ready = site.get("/ready");
    assert_eq!((ready.status, &ready.json()["reason"]), (503, &"draining".into()));
    assert_eq!(site.get("/health").status, 200);
}

#[test]
fn the_api_shows_what_the_gateway_says() {
    let site = site();
    let plugin = &site.get("/api/plugins").json()["plugins"][0];
    assert_eq!((&plugin["key"], &plugin["state"]), (&"drift".into(), &"quarantined".into()));
    let verdicts = site.get("/api/verdicts").json();
    let verdict = serde_json::json!({
        "plugin": "drift", "route": "churn", "trace_id": "000000000000000000000000000000ab",
        "reason": "slow", "probability": 1.0, "at_unix_ms": 3
    });
    assert_eq!(verdicts, serde_json::json!({ "verdicts": [verdict] }));
    assert_eq!(site.get("/api/backends").json()["endpoints"][0]["ready"], false);
    assert_eq!(site.get("/api/config").json()["gateway"]["listen"], "127.0.0.1:8000");
    let generation = site.get("/api/generation").json();
    assert_eq!(
        (&generation["number"], &generation["last_reload"]["outcome"]),
        (&7.into(), &"refused".into())
    );
    assert_eq!(generation["last_reload"]["error"], "unknown key `lisen`");
}

#[test]
fn the_index_lists_every_page_as_text_or_html() {
    let site = site();
    let text = site.get("/");
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    let paths: Vec<&str> = text.text().lines().filter_map(|l| l.split_whitespace().next()).collect();
    for path in paths.iter().filter(|p| p.starts_with('/') && !p.starts_with("/api/settle")) {
        let status = site.get(path).status;
        assert!(status == 200 || (*path == "/api/reload" && status == 405), "{path}: {status}");
    }
    assert_eq!(paths.len(), 16, "the name and fifteen pages");
    let html = site.client().ask("GET", "/", &[("accept", "text/html,*/*;q=0.8")]);
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(html.text().contains("<a href=\"/metrics\">"));
    assert_eq!(site.get("/ui").header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn the_page_for_browsers_shows_how_weir_is_and_runs_nothing() {
    let site = site();
    let page = site.get("/ui");
    for shown in [
        concat!("Weir ", env!("CARGO_PKG_VERSION")),
        "every route can be answered",
        "traffic may come",
        "<td>7, loaded ",
        "config refused",
        "unknown key `lisen`",
        "<td class=\"bad\">quarantined</td>",
        "trapped in &lt;script&gt;alert(1)&lt;/script&gt;",
        "<td>127.0.0.1:9000</td><td class=\"bad\">taken out</td>",
        "<td>Errors</td><td class=\"bad\">firing, ",
        " days ago, muted</td><td>route=&lt;b&gt;</td>",
        "<td>availability (99.9 %)</td><td>90</td><td>10</td><td class=\"bad\">-3.0 %</td><td class=\"bad\">burning</td>",
    ] {
        assert!(page.text().contains(shown), "{shown}");
    }
    assert!(!page.text().contains("<script") && !page.text().contains("http"), "it loads nothing");
    assert!(page.header("content-security-policy").is_some_and(|p| p.starts_with("default-src 'none';")));
    site.house.draining.store(true, SeqCst);
    assert!(site.get("/ui").text().contains("<td class=\"bad\">no: draining</td>"));
}

#[test]
fn what_an_alert_fired_on_is_a_page_of_its_own() {
    let site = site();
    assert_eq!(site.get("/api/alerts").json()["rules"][0]["name"], "Errors");
    assert_eq!(site.get("/api/alerts/00ab").json()["value"], 0.5);
    for unknown in ["/api/alerts/", "/api/alerts/00ac", "/api/alerts/00ab/x"] {
        assert_eq!(site.get(unknown).status, 404, "{unknown}");
    }
    assert_eq!(site.client().ask("POST", "/api/alerts/00ab", &[]).status, 405);
}

#[test]
fn head_has_the_head_of_get_and_no_body() {
    let site = site();
    let mut client = site.client();
    for path in ["/", "/ui", "/metrics", "/health", "/ready", "/api/plugins", "/api/config", "/nothing"] {
        let get = client.ask("GET", path, &[]);
        let head = client.ask("HEAD", path, &[]);
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
    assert_eq!(client.ask("GET", "/health", &[]).status, 200, "the connection is still in step");
}

#[test]
fn what_is_not_here_is_refused_in_words() {
    let site = site();
    let answer = site.get("/metricz");
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.error(),
        "no page at `/metricz` (there is /, /ui, /metrics, /health, /ready, /api/plugins, /api/verdicts, \
         /api/alerts, /api/findings, /api/profile, \
         /api/backends, /api/config, /api/generation, /api/settle, /api/reload)"
    );
    let long = site.get(&format!("/{}", "x".repeat(5000)));
    assert!((long.status, long.body.len() < 500) == (404, true), "it is not repeated whole");
    let answer = site.client().ask("DELETE", "/metrics", &[]);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    assert!(answer.error().contains("`DELETE`"));
    let answer = site.get("/api/reload");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

#[test]
fn settle_answers_when_all_is_judged_or_says_that_it_is_not() {
    let site = site();
    let answer = site.get("/api/settle?timeout=1ms");
    assert_eq!(answer.status, 504);
    assert!(answer.error().contains("still being judged after 1 ms"), "{}", answer.error());
    let wrong = site.get("/api/settle?timeout=soon");
    assert_eq!((wrong.status, wrong.error().contains("`soon`")), (400, true));

    site.house.judged.notify_one();
    let answer = site.get("/api/settle?x=1&timeout=20s");
    assert_eq!(answer.json(), serde_json::json!({ "settled": true, "exchanges": 42 }));
    // While one client waits the others are served.
    let mut waiting = site.client();
    waiting.send("GET", "/api/settle?timeout=20s", &[]);
    assert_eq!(site.get("/health").status, 200);
    site.house.judged.notify_one();
    assert_eq!(waiting.read(false).expect("an answer").status, 200);
}

#[test]
fn a_reload_is_answered_with_its_outcome_and_only_one_runs() {
    let site = site();
    let answer = site.client().ask("POST", "/api/reload", &[TOKEN, ("content-length", "0")]);
    assert_eq!(answer.json(), serde_json::json!({ "outcome": "unchanged", "generation": 7 }));

    let (word, reload) = mpsc::channel();
    *site.house.reload.lock().expect("whole") = Some(reload);
    let mut first = site.client();
    first.send("POST", "/api/reload", &[TOKEN]);
    // The first has begun when its receiver is gone; from then on a second one is refused, and pages are
    // served.
    while site.house.reload.lock().expect("whole").is_some() {
        assert_eq!(site.get("/health").status, 200);
    }
    let second = site.client().ask("POST", "/api/reload", &[TOKEN]);
    assert_eq!((second.status, second.header("retry-after")), (409, Some("1")));
    word.send(Err("line 3: unknown key `lisen`".to_owned())).expect("heard");
    let refused = first.read(false).expect("an answer");
    assert_eq!(refused.status, 422);
    let expect = "line 3: unknown key `lisen`";
    assert_eq!(
        (&refused.json()["outcome"], &refused.json()["error"]["message"]),
        (&"refused".into(), &expect.into())
    );

    let (word, reload) = mpsc::channel();
    *site.house.reload.lock().expect("whole") = Some(reload);
    word.send(Ok(Reloaded::Applied)).expect("kept");
    assert_eq!(first.ask("POST", "/api/reload", &[TOKEN]).json()["outcome"], "applied");
}

#[test]
fn a_reload_that_panics_is_told_and_the_next_one_runs() {
    let site = site();
    let (word, reload) = mpsc::channel();
    *site.house.reload.lock().expect("whole") = Some(reload);
    drop(word);
    let answer = site.client().ask("POST", "/api/reload", &[TOKEN]);
    assert_eq!(answer.status, 500);
    assert!(answer.error().contains("old generation stays"));
    assert_eq!(site.client().ask("POST", "/api/reload", &[TOKEN]).status, 200);
}

#[test]
fn the_metrics_listener_has_two_pages_under_any_name() {
    let site = Site::start(&Options { scope: Scope::Metrics, ..Options::default() });
    let from_elsewhere = [("host", "weir.monitoring.svc:9465")];
    assert_eq!(site.client().ask("GET", "/metrics", &from_elsewhere).status, 200);
    assert_eq!(site.client().ask("HEAD", "/health", &from_elsewhere).status, 200);
    for path in ["/", "/ready", "/api/config", "/api/generation", "/api/settle"] {
        let answer = site.get(path);
        assert_eq!((answer.status, answer.error().contains("(there is /metrics, /health)")), (404, true));
    }
    assert_eq!(site.client().ask("POST", "/api/reload", &[TOKEN]).status, 404);
}

#[test]
fn a_listener_of_somebody_else_gets_the_same_two_pages() {
    let registry = registry();
    let pages = Pages::new(Arc::new(House::default()), &registry).expect("names are free");
    let metrics = pages.scrape("/metrics", "application/openmetrics-text").expect("a page");
    assert_eq!((metrics.status, metrics.content_type), (200, OPENMETRICS));
    assert_eq!(pages.scrape("/metrics", "").expect("a page").content_type, TEXT);
    assert_eq!(pages.scrape("/health", "").expect("a page").content_type, "application/json");
    for other in ["/", "/ready", "/api/config", "/metrics/", "/health?"] {
        assert_eq!(pages.scrape(other, ""), None, "{other}");
    }
}
