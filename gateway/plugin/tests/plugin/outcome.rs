//! What a plugin returns, applied: counters exact, windows fed, verdicts given, conditions told, the rest
//! dropped and counted.

use crate::support::*;
use weir_exchange::{Role, Verdict};
use weir_telemetry::Value;

#[test]
fn a_plugin_counts_rows_exactly() {
    let house = House::default();
    let mut judge = house.judge(spec("rows", &counting("counter")));
    for _ in 0..100 {
        judge.observe(&batch(&[1.0, 2.0]), T0);
    }
    let labels = [("plugin", "rows"), ("route", "r"), ("model", "m"), ("model_version", "1")];
    assert_eq!(house.value("counter_rows_total", &labels), Some(200.0));
    assert_eq!(house.value("weir_plugin_batches_total", &[("plugin", "rows")]), Some(100.0));
    assert_eq!(house.value("weir_plugin_rows_total", &[("plugin", "rows")]), Some(200.0));
    assert_eq!(house.value("weir_plugin_state", &[("plugin", "rows"), ("state", "running")]), Some(1.0));
    let duration = &house.samples("weir_plugin_call_duration_seconds", &[("plugin", "rows")])[0];
    let Value::Histogram { counts, .. } = &duration.value else { panic!("a histogram") };
    assert_eq!(counts.iter().sum::<u64>(), 100);
    let status = &house.host.status()[0];
    assert_eq!((status.batches, status.rows, status.faults), (100, 200, 0));
    assert_eq!((&*status.name, &*status.version), ("counter", "1.0.0"));
    assert!(status.cpu_seconds > 0.0 && status.memory_bytes == 4 * 65536);
}

#[test]
fn a_column_of_the_host_goes_into_metrics_without_crossing() {
    let house = House::default();
    let guest = Guest {
        declared: Declared {
            columns: vec![("input".into(), Some("age".into()), false), ("unheard-of".into(), None, true)],
            metrics: vec![metric("ages", 2, &["feature"]), metric("last", 1, &[])],
            ..Declared::default()
        },
        asks: vec![("series", 0, strings(&["age"])), ("series", 1, Vec::new())],
        observed: Returns {
            runs: vec![(0, From::Column(0)), (1, From::Column(0)), (0, From::Column(1))],
            ..Returns::default()
        },
        ..Guest::default()
    };
    let mut judge = house.judge(spec("p", &guest));
    let table = Table::new(1, 4).numbers(Role::Input, "other", &[9.0; 4]);
    judge.observe(&table.numbers(Role::Input, "age", &[0.5, 2.0, f64::NAN, 7.0]).batch(), T0);
    let samples = house.samples("guest_ages", &[("feature", "age")]);
    let Value::Histogram { counts, sum, .. } = &samples[0].value else { panic!("a histogram") };
    assert_eq!((counts.as_slice(), *sum), (&[1, 1, 1][..], 9.5), "missing values are left out");
    assert_eq!(house.value("guest_last", &[]), Some(7.0));
    let dropped = |reason| house.value("weir_plugin_dropped_total", &[("reason", reason)]);
    assert_eq!((dropped("column"), dropped("not_finite")), (Some(1.0), Some(0.0)));
}

#[test]
fn columns_are_packed_in_the_order_of_the_schema_and_only_those_asked_for() {
    let house = House::default();
    let numbers = "(i32.load offset=40 (local.get 0))";
    let computed = ["0", "8", "16", "24"].map(|at| format!("(f64.load offset={at} {numbers})"));
    let count = "(f64.convert_i32_u (i32.load offset=44 (local.get 0)))".to_owned();
    let computed: Vec<&str> = computed.iter().map(String::as_str).chain([&*count]).collect();
    let guest = Guest {
        declared: Declared {
            columns: vec![("input".into(), None, true)],
            metrics: (0..5).map(|i| metric(&format!("v{i}"), 1, &[])).collect(),
            ..Declared::default()
        },
        asks: (0..5).map(|i| ("series", i, Vec::new())).collect(),
        observed: Returns { runs: (0..5).map(|i| (i, From::Values(i, 1))).collect(), ..Returns::default() },
        ..Guest::default()
    }
    .computing(&computed);
    let mut judge = house.judge(spec("p", &guest));
    let table =
        Table::new(1, 2).numbers(Role::Input, "a", &[1.0, 2.0]).numbers(Role::Score, "x", &[8.0, 9.0]);
    judge.observe(&table.numbers(Role::Input, "b", &[3.0, 4.0]).batch(), T0);
    let values: Vec<Option<f64>> = (0..5).map(|i| house.value(&format!("guest_v{i}"), &[])).collect();
    assert_eq!(values, [Some(1.0), Some(2.0), Some(3.0), Some(4.0), Some(4.0)]);
}

#[test]
fn a_schema_that_grows_is_told_once_and_only_what_is_new() {
    let house = House::default();
    let sent = "(f64.convert_i32_u (i32.load offset=44 (local.get 0)))";
    let told = ["deltas", "columns", "codes"].map(|name| format!("(f64.convert_i32_u (global.get ${name}))"));
    let add = |name, by| format!("(global.set ${name} (i32.add (global.get ${name}) {by}))");
    let guest = Guest {
        declared: Declared {
            columns: vec![("input".into(), None, true)],
            metrics: ["sent", "deltas", "columns", "codes"].map(|name| metric(name, 1, &[])).into(),
            ..Declared::default()
        },
        asks: (0..4).map(|i| ("series", i, Vec::new())).collect(),
        observed: Returns { runs: (0..4).map(|i| (i, From::Values(i, 1))).collect(), ..Returns::default() },
        more: ["deltas", "columns", "codes"]
            .map(|name| format!("(global ${name} (mut i32) (i32.const 0))"))
            .concat(),
        ..Guest::default()
    }
    .doing("schema", &add("deltas", "(i32.const 1)"))
    .doing("schema", &add("columns", "(local.get 9)"))
    .doing("schema", &add("codes", "(local.get 11)"))
    .computing(&[sent, &told[0], &told[1], &told[2]]);
    let mut judge = house.judge(spec("p", &guest));
    let first = || Table::new(1, 1).numbers(Role::Input, "a", &[1.0]).codes(Role::Input, "c", &["x"], &[0]);
    let second =
        || Table::new(1, 1).numbers(Role::Input, "a", &[1.0]).codes(Role::Input, "c", &["x", "y"], &[1]);
    let shown = || {
        ["sent", "deltas", "columns", "codes"].map(|name| house.value(&format!("guest_{name}"), &[]).unwrap())
    };
    judge.observe(&first().batch(), T0);
    judge.observe(&first().batch(), T0);
    assert_eq!(shown(), [1.0, 1.0, 2.0, 1.0]);
    judge.observe(&second().numbers(Role::Input, "b", &[2.0]).version(2).batch(), T0);
    assert_eq!(shown(), [2.0, 2.0, 3.0, 2.0], "one column and one text more");
    // A batch that was closed before has no values of the new column.
    judge.observe(&first().batch(), T0);
    assert_eq!(shown(), [2.0, 2.0, 3.0, 2.0]);
}

#[test]
fn what_is_not_finite_negative_or_out_of_range_is_dropped_and_counted() {
    let house = House::default();
    let mut guest = counting("odd");
    guest.declared.windows = vec![("w".into(), SECOND, 1, Vec::new())];
    guest.declared.reasons = strings(&["odd"]);
    guest.observed = Returns {
        values: vec![f64::NAN, f64::INFINITY, -1.0, 2.5, 1e300],
        runs: vec![
            (0, From::Values(0, 4)),
            (0, From::Values(3, 9)),
            (0, From::Values(u32::MAX, u32::MAX)),
            (17, From::Values(0, 1)),
            (u32::MAX, From::Values(0, 1)),
            (0, From::Column(0)),
        ],
        feeds: vec![(0, From::Values(0, 1), None)],
        exchanges: vec![0, 99],
        verdicts: vec![(0, f64::NAN, None), (7, 1.0, None), (0, 1.0, Some((0, 2))), (0, 1.0, Some((1, 5)))],
        conditions: vec![(0, true, 1.0, 1)],
    };
    let mut judge = house.judge(spec("p", &guest));
    let verdicts = judge.observe(&batch(&[1.0]), T0);
    assert_eq!(verdicts, [Verdict { exchange: 0, reason: "odd".into(), probability: 1.0 }]);
    assert_eq!(house.value("odd_rows_total", &[]), Some(2.5));
    let dropped = |reason| house.value("weir_plugin_dropped_total", &[("reason", reason)]).unwrap();
    assert_eq!((dropped("not_finite"), dropped("negative")), (3.0, 1.0), "two values and a probability");
    assert_eq!((dropped("span"), dropped("column"), dropped("reason")), (3.0, 1.0, 1.0));
    assert_eq!(dropped("handle"), 4.0, "two runs, a feed and a condition: 0 is a series");
    assert_eq!(dropped("exchange"), 1.0);
    house.still_serves();
}

#[test]
fn what_an_outcome_makes_the_host_do_is_bounded() {
    let house = House::default();
    let mut guest = counting("busy");
    guest.observed.values = vec![1.0; 1000];
    // 2000 runs over 1000 values each: 16 kB of result, two million values.
    guest.observed.runs = vec![(0, From::Values(0, 1000)); 2000];
    let mut judge = house.judge(spec("p", &guest));
    judge.observe(&batch(&[1.0]), T0);
    let applied = house.value("busy_rows_total", &[]).unwrap();
    let dropped = house.value("weir_plugin_dropped_total", &[("reason", "work")]).unwrap();
    assert_eq!(applied, (2000.0 - dropped) * 1000.0);
    assert!(applied < 100_000.0, "{applied} values");
}

#[test]
fn listed_exchanges_are_kept_and_the_rest_is_everything_else() {
    let house = House::default();
    let guest = Guest {
        declared: Declared { reasons: strings(&["slow", "sample"]), ..Declared::default() },
        observed: Returns {
            exchanges: vec![2, 0],
            verdicts: vec![(1, 0.25, None), (0, 7.0, Some((0, 2)))],
            ..Returns::default()
        },
        ..Guest::default()
    };
    let mut judge = house.judge(spec("p", &guest));
    let verdicts = judge.observe(&batch(&[1.0; 4]), T0);
    let said: Vec<(u32, &str, f64)> =
        verdicts.iter().map(|v| (v.exchange, &*v.reason, v.probability)).collect();
    assert_eq!(said, [(2, "slow", 1.0), (0, "slow", 1.0), (1, "sample", 0.25), (3, "sample", 0.25)]);
    let counts = &house.host.status()[0].verdicts;
    assert_eq!(counts.iter().map(|c| (&*c.reason, c.kept)).collect::<Vec<_>>(), [("slow", 2), ("sample", 2)]);
}

/// A guest that feeds the input column 0 into its window, by the codes of column 1 if asked, and shows how
/// many values the window holds before.
fn windowed(group: Option<u32>) -> Guest {
    let guest = Guest {
        declared: Declared {
            columns: vec![("input".into(), None, false)],
            metrics: vec![metric("held", 1, &[])],
            windows: vec![("recent".into(), 60 * SECOND, 60, Vec::new())],
            ..Declared::default()
        },
        asks: vec![("series", 0, Vec::new()), ("window", 0, Vec::new())],
        observed: Returns {
            runs: vec![(0, From::Values(0, 1))],
            feeds: vec![(1, From::Column(0), group)],
            ..Returns::default()
        },
        more: r#"(data (i32.const 0x3c000) "red")"#.to_owned(),
        ..Guest::default()
    };
    let option = i32::from(group.is_some());
    let read = format!(
        "(call $read (i32.const 1) (i32.const {option}) (i32.const 0x3c000) (i32.const 3) (i32.const 0x30000))"
    );
    guest.doing("observe", &read).computing(&[
        "(select (f64.convert_i64_u (i64.load offset=8 (i32.const 0x30000))) (f64.const -1) (i32.load8_u (i32.const 0x30000)))",
    ])
}

#[test]
fn windows_slide_and_are_read_before_the_running_call_feeds_them() {
    let house = House::default();
    let mut judge = house.judge(spec("p", &windowed(None)));
    let held = || house.value("guest_held", &[]).unwrap();
    let mut later = batch(&[1.0, f64::NAN, 3.0]);
    judge.observe(&later, T0);
    assert_eq!(held(), -1.0, "nothing was ever fed");
    judge.observe(&later, T0);
    assert_eq!(held(), 2.0);
    later.closed_unix_ns = T0 + 59 * SECOND;
    judge.observe(&later, T0);
    assert_eq!(held(), 4.0);
    later.closed_unix_ns = T0 + 70 * SECOND;
    judge.observe(&later, T0);
    assert_eq!(held(), 2.0, "the first two batches have left");
}

#[test]
fn a_window_fed_by_a_code_column_has_a_window_for_each_text() {
    let house = House::default();
    let mut judge = house.judge(spec("p", &windowed(Some(1))));
    let table = Table::new(1, 5).numbers(Role::Input, "age", &[1.0, 2.0, 3.0, 4.0, f64::NAN]);
    let table = table.codes(Role::Input, "colour", &["blue", "red"], &[1, 0, 1, u32::MAX, 1]).batch();
    judge.observe(&table, T0);
    judge.observe(&table, T0);
    assert_eq!(house.value("guest_held", &[]), Some(2.0), "two of red, without the row that has no value");
    // A batch without that column gives nothing to group by.
    judge.observe(&Table::new(2, 1).numbers(Role::Input, "age", &[1.0]).batch(), T0);
    assert_eq!(house.value("weir_plugin_dropped_total", &[("reason", "column")]), Some(1.0));
}

#[test]
fn conditions_are_shown_logged_when_they_change_and_end_with_their_model() {
    let house = House::default();
    let guest = Guest {
        declared: Declared { conditions: vec![("low".into(), strings(&["class"]))], ..Declared::default() },
        asks: vec![("condition", 0, strings(&["cat"]))],
        observed: Returns { conditions: vec![(0, true, 0.5, 10)], ..Returns::default() },
        ..Guest::default()
    }
    // Inactive for batches of one row.
    .doing(
        "observe",
        "(i32.store8 offset=4 (i32.load offset=40 (global.get $observed))
           (i32.ne (i32.load offset=16 (local.get 0)) (i32.const 1)))",
    );
    let mut judge = house.judge(spec("p", &guest));
    let labels = [("plugin", "p"), ("route", "r"), ("model", "m"), ("class", "cat")];
    judge.observe(&batch(&[1.0]), T0);
    assert_eq!(house.value("guest_low_active", &labels), Some(0.0));
    assert!(!house.log().contains("condition"));
    let mut two = batch(&[1.0, 2.0]);
    two.closed_unix_ns = T0 + SECOND;
    judge.observe(&two, T0);
    two.closed_unix_ns = T0 + 2 * SECOND;
    judge.observe(&two, T0);
    assert_eq!(house.value("guest_low_active", &labels), Some(1.0));
    let state = &house.host.status()[0].conditions[0];
    assert_eq!((&*state.name, state.active, state.value, state.count), ("low", true, 0.5, 10));
    assert_eq!(state.since_unix_ns, T0 + SECOND);
    let named: Vec<(&str, &str)> = state.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(named, [("route", "r"), ("model", "m"), ("model_version", "1"), ("class", "cat")]);
    let log = house.log();
    assert_eq!(log.matches("condition began").count(), 1, "{log}");
    assert!(log.contains(r#""plugin":"p","condition":"low","#) && log.contains(r#"class=\"cat\""#), "{log}");
    judge.observe(&batch(&[1.0]), T0);
    assert_eq!(house.log().matches("condition ended").count(), 1);

    // The model goes: so does what was said of it.
    judge.forget(weir_exchange::SchemaId(1));
    judge.tick(judge.next_tick().unwrap());
    assert_eq!(house.value("guest_low_active", &labels), None);
    assert!(house.host.status()[0].conditions.is_empty());
}

#[test]
fn many_label_sets_share_the_overflow_series() {
    let house = House::default();
    let mut guest = counting("many");
    guest.declared.metrics = vec![metric("rows", 0, &["id"])];
    guest.asks = Vec::new();
    guest.observed.runs = vec![
        (0, From::Values(0, 2)),
        (2, From::Values(0, 2)),
        (3, From::Values(0, 1)),
        (4, From::Values(0, 1)),
    ];
    // 1000 different labels of four letters, made in place.
    let guest = guest.doing(
        "schema",
        r#"(local.set $x (i32.const 1000))
           (i32.store (i32.const 0x30000) (i32.const 0x30010))
           (i32.store (i32.const 0x30004) (i32.const 4))
           (loop $next
             (i32.store (i32.const 0x30010) (i32.const 0x61616161))
             (i32.store8 (i32.const 0x30010)
               (i32.add (i32.const 97) (i32.rem_u (local.get $x) (i32.const 26))))
             (i32.store8 (i32.const 0x30011)
               (i32.add (i32.const 97) (i32.rem_u (i32.div_u (local.get $x) (i32.const 26)) (i32.const 26))))
             (i32.store8 (i32.const 0x30012)
               (i32.add (i32.const 97) (i32.div_u (local.get $x) (i32.const 676))))
             (drop (call $series (local.get 0) (i32.const 0) (i32.const 0x30000) (i32.const 1)))
             (local.set $x (i32.sub (local.get $x) (i32.const 1)))
             (br_if $next (local.get $x)))"#,
    );
    let mut spec = spec("p", &guest);
    spec.limits.series = 3;
    let mut judge = house.judge(spec);
    judge.observe(&batch(&[1.0, 2.0]), T0);
    let samples = house.samples("many_rows_total", &[]);
    assert_eq!(samples.len(), 4, "three and the overflow");
    assert_eq!(
        samples.iter().filter(|s| s.overflow).map(|s| s.value.clone()).collect::<Vec<_>>(),
        [Value::Counter(1.0)]
    );
    assert_eq!(house.value("weir_series_overflow_total", &[("metric", "many_rows_total")]), Some(997.0));
    let dropped = house.value("weir_plugin_dropped_total", &[("reason", "handle")]);
    assert_eq!(dropped, Some(1.0), "past the cap there is one handle for all");
    house.still_serves();
}

#[test]
fn log_lines_are_cut_and_past_the_rate_counted() {
    let house = House::default();
    let guest = counting("chatty").doing(
        "observe",
        "(local.set $x (i32.const 5))
         (memory.fill (i32.const 0x30000) (i32.const 65) (i32.const 2000))
         (loop $again
           (call $log (i32.const 2) (i32.const 0x30000) (i32.const 2000))
           (local.set $x (i32.sub (local.get $x) (i32.const 1)))
           (br_if $again (local.get $x)))",
    );
    let mut spec = spec("p", &guest);
    spec.limits.log_lines = 2;
    let mut judge = house.judge(spec);
    judge.observe(&batch(&[1.0]), T0);
    let log = house.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("AAAA")).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains(r#""source":"plugin.p""#) && lines[0].matches('A').count() == 1024);
    assert_eq!(house.value("weir_plugin_dropped_total", &[("reason", "log")]), Some(3.0));
}
