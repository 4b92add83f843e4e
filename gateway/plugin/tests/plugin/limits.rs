//! Plugins that misbehave: each costs its own telemetry, is counted and named, and the host serves on.

use crate::support::*;

/// A guest that does this to batches of seven rows, and counts the others. It is well when it is tried.
fn bad(wat: &str) -> Guest {
    let seven = "(i32.eq (i32.load offset=16 (local.get 0)) (i32.const 7))";
    counting("bad").doing("observe", &format!("(if {seven} (then {wat}))"))
}

const SEVEN: [f64; 7] = [1.0; 7];

/// Shows that this costs the batch it happens in and nothing else, and what it is told as.
fn check(spec: weir_plugin::PluginSpec, kind: &str, said: &str) {
    let house = House::default();
    let mut judge = house.judge(spec);
    judge.observe(&batch(&[1.0]), T0);
    assert!(judge.observe(&batch(&SEVEN), T0).is_empty());
    let faults = |kind| house.value("weir_plugin_faults_total", &[("plugin", "bad"), ("kind", kind)]);
    assert_eq!(faults(kind), Some(1.0), "{kind}: {:?}", house.host.status()[0].last_fault);
    assert_eq!(house.host.status()[0].faults, 1);
    let lost = [("plugin", "bad"), ("reason", "fault")];
    assert_eq!(house.value("weir_plugin_lost_exchanges_total", &lost), Some(7.0));
    let last = house.host.status()[0].last_fault.clone().expect("a fault");
    assert!(last.contains(said), "`{last}` does not say `{said}`");
    let log = house.log();
    assert!(log.contains("plugin failed") && log.contains(r#""plugin":"bad""#), "{log}");
    // A new instance takes the next batch; what was counted before is still there.
    judge.observe(&batch(&[1.0]), T0);
    assert_eq!(house.value("bad_rows_total", &[]), Some(4.0), "{kind}");
    drop(judge);
    house.still_serves();
}

#[test]
fn a_plugin_that_loops_runs_out_of_fuel() {
    check(spec("bad", &bad("(loop $l (br $l))")), "fuel", "used up its fuel");
}

#[test]
fn a_plugin_with_fuel_for_a_year_is_ended_by_the_watchdog() {
    let mut spec = spec("bad", &bad("(loop $l (br $l))"));
    spec.limits.fuel_per_batch = 1 << 60;
    check(spec, "timeout", "ran longer than 100 ms");
}

#[test]
fn a_plugin_that_gives_up_is_replaced() {
    check(spec("bad", &bad("unreachable")), "panic", "panicked");
}

#[test]
fn a_plugin_that_traps_is_replaced() {
    let wat = "(drop (i32.div_u (i32.const 1) (i32.const 0)))";
    check(spec("bad", &bad(wat)), "trap", "integer divide by zero");
    check(spec("bad", &bad("(drop (i32.load (i32.const -8)))")), "trap", "out of bounds");
}

#[test]
fn a_plugin_that_allocates_without_bound_is_told_as_that() {
    let wat = "(loop $l (drop (memory.grow (i32.const 16))) (br $l))";
    check(spec("bad", &bad(wat)), "memory", "(its limit is 4194304)");
}

#[test]
fn a_plugin_that_recurses_runs_out_of_stack() {
    let mut guest = bad("(drop (call $deep (i32.const 1)))");
    guest.more = "(func $deep (param i32) (result i32)
                    (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))"
        .to_owned();
    check(spec("bad", &guest), "stack", "ran out of stack");
}

#[test]
fn a_plugin_that_floods_values_or_observations_returns_too_much() {
    for list in ["4", "12"] {
        let wat = format!("(i32.store offset={list} (global.get $observed) (i32.const 9000))");
        let mut spec = spec("bad", &bad(&wat));
        spec.limits.result_bytes = 64 << 10;
        check(spec, "result", "more than its limit on results");
    }
}

#[test]
fn a_plugin_that_returns_garbage_is_not_believed() {
    let length = "(i32.store offset=4 (global.get $observed) (i32.const 0x7fffffff))";
    check(spec("bad", &bad(length)), "result", "cannot be read");
    let pointer = "(i32.store (global.get $observed) (i32.const 0x7ffffff8))";
    check(spec("bad", &bad(pointer)), "result", "cannot be read");
    let misaligned = "(i32.store (global.get $observed) (i32.const 3))";
    check(spec("bad", &bad(misaligned)), "result", "cannot be read");
    check(spec("bad", &bad("(return (i32.const 0x7ffffff0))")), "result", "cannot be read");
    // A case that a variant does not have.
    let case = "(i32.store8 offset=4 (i32.load offset=8 (global.get $observed)) (i32.const 9))";
    check(spec("bad", &bad(case)), "result", "cannot be read");
}

#[test]
fn a_log_line_of_garbage_ends_the_call() {
    check(
        spec("bad", &bad("(call $log (i32.const 1) (i32.const 16) (i32.const -1))")),
        "result",
        "cannot be read",
    );
}

#[test]
fn a_plugin_over_its_share_gets_a_sample_and_learns_what_it_missed() {
    let house = House::default();
    let missed = "(f64.convert_i64_u (i64.load offset=24 (local.get 0)))";
    let mut guest = counting("heavy").computing(&[missed, "(f64.const 0)"]);
    // About 20 ms of work.
    guest = guest.doing(
        "observe",
        "(local.set $x (i32.const 20000000))
         (loop $l (local.set $x (i32.sub (local.get $x) (i32.const 1))) (br_if $l (local.get $x)))",
    );
    let mut spec = spec("p", &guest);
    spec.limits.cpu = 1e-6;
    spec.limits.fuel_per_batch = 1 << 40;
    let mut judge = house.judge(spec);
    judge.observe(&batch(&[1.0]), T0);
    for i in 1..=10 {
        judge.observe(&batch(&[1.0, 1.0]), T0 + i * SECOND);
    }
    let lost = |reason| house.value("weir_plugin_lost_exchanges_total", &[("reason", reason)]);
    assert_eq!((lost("cpu"), lost("fault")), (Some(20.0), Some(0.0)));
    // A year later the debt is paid, and the plugin is told.
    judge.observe(&batch(&[1.0]), T0 + 365 * 24 * 3600 * SECOND);
    assert_eq!(house.value("heavy_rows_total", &[]), Some(20.0));
    assert_eq!(house.value("weir_plugin_batches_total", &[("plugin", "p")]), Some(2.0));
}

#[test]
fn a_plugin_that_keeps_failing_is_quarantined_and_tried_again() {
    let house = House::default();
    let mut judge = house.judge(spec("bad", &bad("unreachable")));
    for _ in 0..3 {
        judge.observe(&batch(&SEVEN), T0);
    }
    let state = |state| house.value("weir_plugin_state", &[("plugin", "bad"), ("state", state)]);
    assert_eq!((state("running"), state("quarantined")), (Some(0.0), Some(1.0)));
    assert_eq!(house.host.status()[0].state.as_str(), "quarantined");
    assert!(house.log().contains("quarantined"));
    // Open: nothing is tried. Half open: one batch is, and fails. Then again, and it is well.
    judge.observe(&batch(&[1.0]), T0 + SECOND - 1);
    judge.observe(&batch(&SEVEN), T0 + SECOND);
    judge.observe(&batch(&[1.0]), T0 + 3 * SECOND - 1);
    assert_eq!(state("quarantined"), Some(1.0));
    assert_eq!(house.value("weir_plugin_lost_exchanges_total", &[("reason", "quarantine")]), Some(2.0));
    judge.observe(&batch(&[1.0]), T0 + 3 * SECOND);
    assert_eq!((state("running"), state("quarantined")), (Some(1.0), Some(0.0)));
    assert_eq!(house.value("bad_rows_total", &[]), Some(2.0));
    assert_eq!(house.host.status()[0].faults, 4);
}
