//! A collector that goes away and comes back while requests go on.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use support::{Gateway, PATIENCE, Scrape, Server, Wire, eventually, eventually_within, forward_with, nobody};

use super::blackhole;
use super::receivers::Oteltap;
use crate::{WEIR, is_skipped, post_json};

const ITEMS: &str = "weir_export_items_total";
/// The queue holds few spans, and a batch is given up soon, so that every way to lose spans is taken.
const SHORT: &str = "queue = 256\nretry_for = \"500ms\"\nsample = \"100%\"\nrest = 0\nbudget = 0";
/// Requests before and while the collector is away, on top of the load. Their spans would take twice
/// `MORE_MEMORY` if they were kept.
const BURST: u64 = 10_000;
const MORE_MEMORY: u64 = 24 << 20;

/// Somebody who asks again and again over one connection.
struct Client(Wire);

impl Client {
    #[track_caller]
    fn ask(&mut self) {
        self.0.send(post_json("/predict", "{}"));
        assert_eq!(self.0.message().status(), 200, "no request knows of it");
    }

    #[track_caller]
    fn burst(&mut self) {
        (0..BURST).for_each(|_| self.ask());
    }
}

/// Requests one after the other until told to stop; returns how many.
fn load(gateway: &Gateway, stop: &AtomicBool) -> u64 {
    let mut client = Client(gateway.client());
    let mut asked = 0;
    while !stop.load(SeqCst) {
        client.ask();
        asked += 1;
        // A pace that leaves the cores to others.
        std::thread::park_timeout(Duration::from_millis(1));
    }
    asked
}

fn outcome(scrape: &Scrape, outcome: &str) -> f64 {
    scrape.sum(ITEMS, &[("signal", "traces"), ("outcome", outcome)]).expect("it is declared")
}

/// Waits until a scrape shows something.
#[track_caller]
fn until(gateway: &Gateway, what: &str, shows: impl Fn(&Scrape) -> bool) -> Scrape {
    eventually(what, || Some(gateway.scrape()).filter(|scrape| shows(scrape)))
}

/// Stops the load however the test ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Kills the collector under load and starts it again. Returns the collector, and how many spans it was sent
/// since.
fn survives<C>(protocol: &str, start: impl Fn(SocketAddr) -> C) -> (C, f64) {
    let (server, address) = (Server::json("{}"), nobody());
    let collector = start(address);
    let tracing = format!("[tracing]\notlp = \"http://{address}\"\nprotocol = \"{protocol}\"\n{SHORT}\n");
    // Not observed, so that no judge lags behind: two spans a request, and never a third that says so.
    let route = forward_with(&[server.address()], "observe = false", "");
    let gateway = &Gateway::start(WEIR, &format!("{tracing}{route}"));
    let stop = AtomicBool::new(false);
    let (asked, collector, before) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| load(gateway, &stop));
        let _stop = Stop(&stop);
        let mut client = Client(gateway.client());
        // A burst fills more buffers than the exporter's; what comes later is compared with a gateway that
        // has had one.
        client.burst();
        until(gateway, "spans that are sent", |now| outcome(now, "sent") > 500.0);
        let memory = gateway.resident();

        drop(collector);
        let before = sent_before(gateway);
        client.burst();
        let lost = |now: &Scrape| outcome(now, "gave_up") > 0.0 && outcome(now, "queue_full") > 0.0;
        until(gateway, "spans that are lost", lost);
        let more = gateway.resident().saturating_sub(memory);
        assert!(more < MORE_MEMORY, "{more} bytes more than before");

        let collector = start(address);
        // The longest that the exporter waits between two tries is 30 seconds.
        let again = || (outcome(&gateway.scrape(), "sent") > before + 500.0).then_some(());
        eventually_within(2 * PATIENCE, "spans that are sent again", again);
        stop.store(true, SeqCst);
        (asked.join().expect("every request is answered") + 2 * BURST, collector, before)
    });
    (collector, all_counted(gateway, asked) - before)
}

/// Spans that a collector was sent that is gone by now.
#[track_caller]
fn sent_before(gateway: &Gateway) -> f64 {
    // One request at a time: when one has failed, whatever was answered before is counted.
    let unreachable = [("signal", "traces"), ("result", "unreachable")];
    let down = |now: &Scrape| now.sum("weir_export_requests_total", &unreachable) > Some(0.0);
    outcome(&until(gateway, "a request that fails", down), "sent")
}

/// Every span of so many requests has one outcome. Returns how many were sent.
#[track_caller]
fn all_counted(gateway: &Gateway, requests: u64) -> f64 {
    gateway.await_exchanges(requests);
    let scrape = gateway.await_metric(ITEMS, &[("signal", "traces")], (requests * 2) as f64);
    assert_eq!(scrape.sum("weir_traces_total", &[]), Some(requests as f64));
    assert_eq!(scrape.sum("weir_export_queue_items", &[("signal", "traces")]), Some(0.0));
    outcome(&scrape, "sent")
}

#[test]
fn a_collector_that_is_killed_and_started_again_gets_spans_again_by_http() {
    if is_skipped("OtelTap") {
        return;
    }
    let (tap, sent) = survives("http/protobuf", Oteltap::start_at);
    let had = eventually("all that was sent", || Some(tap.all().len() as f64).filter(|had| *had >= sent));
    assert_eq!(had, sent, "what is counted as sent is there, each span once");
}

#[test]
fn a_collector_that_is_killed_and_started_again_gets_spans_again_by_grpc() {
    if is_skipped("Rotel") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    survives("grpc", |address| blackhole(address, folder.path()));
}
