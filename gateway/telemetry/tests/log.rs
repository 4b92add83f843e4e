//! The log as its callers and its reader see it.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;
use weir_telemetry::Registry;
use weir_telemetry::exposition::text;
use weir_telemetry::log::{Field, Level, LogOptions, Logger};

const LONG: Duration = Duration::from_secs(20);

/// A sink that passes on what it is given, and waits for permission first if it was made so.
struct Pipe {
    written: Sender<Vec<u8>>,
    gate: Option<Receiver<()>>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(gate) = &self.gate {
            gate.recv().map_err(io::Error::other)?;
        }
        self.written.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(options: LogOptions) -> (Logger, Receiver<Vec<u8>>) {
    let (written, lines) = channel();
    (Logger::new(Pipe { written, gate: None }, options).expect("started"), lines)
}

/// Everything written so far, as JSON.
fn read(lines: &Receiver<Vec<u8>>) -> Vec<Json> {
    let bytes: Vec<u8> = lines.try_iter().flatten().collect();
    let text = String::from_utf8(bytes).expect("text");
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn dropped(logger: &Logger, reason: &str) -> u64 {
    let registry = Registry::default();
    logger.register(&registry).expect("registered");
    let text = text(&registry.gather());
    let head = format!("weir_log_dropped_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|l| l.strip_prefix(&head)).expect(&text).parse().expect("a number")
}

#[test]
fn lines_are_json_in_order_with_time_level_source_and_fields() {
    let (log, lines) = open(LogOptions::default());
    log.info("listening", &[("address", "127.0.0.1:0".into())]);
    log.source("plugin.drift")
        .error("trapped \"badly\"\n", &[("trace_id", Field::Trace(7)), ("batch", 3_u64.into())]);
    assert!(log.flush(LONG));
    let read = read(&lines);
    assert_eq!((&read[0]["level"], &read[0]["source"]), (&"info".into(), &"weir".into()));
    assert_eq!((&read[0]["message"], &read[0]["address"]), (&"listening".into(), &"127.0.0.1:0".into()));
    assert_eq!((&read[1]["level"], &read[1]["source"]), (&"error".into(), &"plugin.drift".into()));
    assert_eq!((&read[1]["message"], &read[1]["batch"]), (&"trapped \"badly\"\n".into(), &3.into()));
    assert_eq!(read[1]["trace_id"], "00000000000000000000000000000007");
    assert!(read[0]["ts"].as_str().expect("time").ends_with('Z'));
    let keys: Vec<_> = read[0].as_object().expect("object").keys().cloned().collect();
    assert_eq!(keys, ["ts", "level", "source", "message", "address"]);
}

#[test]
fn lines_below_the_level_are_not_written_and_the_level_holds_for_every_handle() {
    let (log, lines) = open(LogOptions { level: Level::Warn, ..LogOptions::default() });
    let other = log.source("other");
    other.info("quiet", &[]);
    other.warn("first", &[]);
    log.set_level(Level::Debug);
    other.debug("second", &[]);
    assert!(other.enabled(Level::Debug) && log.flush(LONG));
    let messages: Vec<_> = read(&lines).iter().map(|l| l["message"].clone()).collect();
    assert_eq!(messages, ["first", "second"]);
}

#[test]
fn a_sink_that_hangs_costs_lines_and_never_the_caller() {
    let (written, lines) = channel();
    let (permit, gate) = channel();
    let options = LogOptions { queue_bytes: 4096, lines_per_second: 1_000_000, ..LogOptions::default() };
    let log = Logger::new(Pipe { written, gate: Some(gate) }, options).expect("started");
    (0..10_000_u64).for_each(|i| log.error("stuck", &[("i", i.into())]));
    assert!(!log.flush(Duration::from_millis(1)), "nothing can have been written");
    let lost = dropped(&log, "queue_full");
    assert!((9_800..10_000).contains(&lost), "{lost}");
    permit.send(()).expect("the writer lives");
    permit.send(()).expect("the writer lives");
    assert!(log.flush(LONG));
    assert_eq!(read(&lines).len() as u64 + lost, 10_000);
}

#[test]
fn a_source_that_talks_too_much_is_held_back_alone() {
    let (log, lines) = open(LogOptions { lines_per_second: 1, ..LogOptions::default() });
    let (loud, same, quiet) = (log.source("loud"), log.source("loud"), log.source("quiet"));
    (0..50).for_each(|_| loud.info("again", &[]));
    (0..50).for_each(|_| same.info("again", &[]));
    quiet.info("once", &[]);
    assert!(log.flush(LONG));
    let read = read(&lines);
    let quiet_lines = read.iter().filter(|l| l["source"] == "quiet").count();
    assert_eq!(quiet_lines, 1);
    assert_eq!(dropped(&log, "rate_limited"), 101 - read.len() as u64);
    assert!(read.len() < 10, "{}", read.len());
}

#[test]
fn lines_a_sink_refuses_are_counted() {
    let (log, lines) = open(LogOptions::default());
    drop(lines);
    log.error("nobody reads", &[]);
    log.error("this", &[]);
    assert!(log.flush(LONG));
    assert_eq!(dropped(&log, "write_failed"), 2);
}

#[test]
fn the_writer_ends_with_its_last_handle_and_writes_what_was_left() {
    let (log, lines) = open(LogOptions::default());
    let clone = log.clone();
    drop(log);
    clone.info("last", &[]);
    drop(clone);
    let mut bytes = Vec::new();
    // The channel closes when the writer thread drops its sink.
    while let Ok(more) = lines.recv_timeout(LONG) {
        bytes.extend(more);
    }
    assert!(String::from_utf8(bytes).expect("text").contains("\"last\""));
    assert!(matches!(lines.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected)));
}

#[test]
fn many_threads_write_whole_lines() {
    let (log, lines) = open(LogOptions { lines_per_second: 1_000_000, ..LogOptions::default() });
    thread::scope(|scope| {
        for t in 0..4_u64 {
            let log = log.source(&format!("t{t}"));
            scope.spawn(move || (0..500_u64).for_each(|i| log.info("x", &[("i", i.into())])));
        }
    });
    assert!(log.flush(LONG));
    assert_eq!(read(&lines).len(), 2000);
}

#[test]
fn a_discarded_log_takes_everything_and_flushes_at_once() {
    let log = Logger::discard();
    log.error("gone", &[]);
    assert!(log.flush(Duration::ZERO));
    assert_eq!(dropped(&log, "queue_full"), 0);
}
