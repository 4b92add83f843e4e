//! What plugins of interface 0.1.1 get: counts that no fault of theirs changes, over reloads and restarts.

use std::sync::{Arc, Mutex};

use crate::support::*;
use weir_exchange::{Batch, Role};
use weir_plugin::{Coverage, HostOptions, LiveCounts, PluginJudge, PluginSpec};
use weir_profile::{Cell, Feature, FeatureCounts, FeatureKind, Made, Profile};
use weir_stats::drift::Bins;
use weir_telemetry::Value;

const SPAN: u64 = 60 * SECOND;
/// When the window of the tests begins.
const BEGIN: u64 = T0 - T0 % SPAN;

const IMPORTS: &str = r#"
(import "weir:plugin/reference@0.1.1" "open" (func $open
  (param i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64) (result i32)))
(import "weir:plugin/reference@0.1.1" "next" (func $next (param i32 i32)))
(import "weir:plugin/reference@0.1.1" "done" (func $done (param i32 i32)))
(import "weir:plugin/reference@0.1.1" "report" (func $report (param i32 i32 i32 i32 i32)))
(import "weir:plugin/reference@0.1.1" "compare" (func $compare (param i32 i32 i32 i32 i32 i64 i32 i32)))
(import "weir:plugin/statistics@0.1.1" "chi2-sf" (func $chi2 (param f64 i32) (result f64)))
"#;

/// Opens a tally of a minute for each schema. In a tick it adds up the rows of the window that has closed,
/// says that it is done, and reports. It traps in `observe` at seven rows, and at the end of a tick whose
/// time ends in 7 ns.
fn watcher(version: &str) -> Guest {
    let guest = Guest {
        name: "watcher".into(),
        version: version.into(),
        interface: "0.1.1",
        imports: IMPORTS.into(),
        declared: Declared {
            columns: vec![("input".into(), None, true)],
            metrics: vec![
                metric("binned", 0, &["feature", "bin"]),
                metric("closed", 1, &[]),
                metric("tail", 1, &[]),
                metric("moved", 1, &[]),
            ],
            tick_ns: SECOND,
            ..Declared::default()
        },
        // The tally has the first handle.
        asks: (1..4).map(|i| ("series", i, Vec::new())).collect(),
        ticked: Returns { runs: (0..3).map(|i| (i + 1, From::Values(i, 1))).collect(), ..Returns::default() },
        more: r#"
            (data (i32.const 0x3C000) "minutes")
            (data (i32.const 0x3C010) "drift")
            (data (i32.const 0x3C020) "{\"drift\":\n true}")
            (global $tally (mut i32) (i32.const -1)) (global $schema (mut i32) (i32.const 0))
            (global $rows (mut f64) (f64.const 0)) (global $p (mut f64) (f64.const -1))"#
            .into(),
        ..Guest::default()
    };
    guest
        .doing(
            "schema",
            &format!(
                "(global.set $schema (local.get 0))
                 (global.set $tally (call $open (local.get 0) (i32.const 0x3C000) (i32.const 7)
                   (i64.const {SPAN}) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                   (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1) (i64.const 0)))"
            ),
        )
        .doing("observe", "(if (i32.eq (i32.load offset=16 (local.get 0)) (i32.const 7)) (then unreachable))")
        .doing(
            "tick",
            "(call $next (global.get $tally) (i32.const 0x3D000))
             (if (i32.load8_u (i32.const 0x3D000)) (then
               (global.set $rows (f64.add (global.get $rows)
                 (f64.convert_i64_u (i64.load (i32.const 0x3D018)))))
               (call $compare (global.get $tally) (i32.const 0) (i32.const 0) (i32.const 0)
                 (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0x3D100))
               (global.set $p (f64.load (i32.const 0x3D138)))
               (call $done (global.get $tally) (i32.const 1))
               (call $report (global.get $schema) (i32.const 0x3C010) (i32.const 5)
                 (i32.const 0x3C020) (i32.const 16))))
             (if (i64.eq (i64.rem_u (local.get 0) (i64.const 1000)) (i64.const 7)) (then unreachable))",
        )
        .computing_in(
            "tick",
            &[
                "(global.get $rows)",
                "(call $chi2 (f64.const 3.841458820694124) (i32.const 1))",
                "(global.get $p)",
            ],
        )
}

fn profile() -> Profile {
    let ages: Vec<f64> = (0..100).map(f64::from).collect();
    let bins = Bins::of(&ages).expect("rows");
    let groups = bins.deciles();
    let counts = FeatureCounts { bins: bins.count(&ages).bins, missing: 0.0 };
    let kind = FeatureKind::Number { bins, integers: true };
    let age = Feature::new("age".into(), Role::Input, kind, groups);
    let profile = Profile {
        made: Made { rows: 100, ..Made::default() },
        window_rows: 100,
        features: vec![age],
        cells: vec![Cell { slot: None, segment: None, rows: 100.0, distinct: 100.0, counts: vec![counts] }],
        ..Profile::default()
    };
    profile.sealed()
}

fn watching(guest: &Guest) -> PluginSpec {
    PluginSpec { profiles: vec![Arc::new(profile())], ..spec("p", guest) }
}

fn at(ns: u64, ages: &[f64]) -> Batch {
    Batch { closed_unix_ns: BEGIN + ns, ..batch(ages) }
}

fn observe(judge: &mut PluginJudge, ns: u64, ages: &[f64]) {
    judge.observe(&at(ns, ages), BEGIN + ns);
}

fn live(house: &House) -> LiveCounts {
    let mut all = house.host.live("p", ["r", "m", "1"]);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Everything that is counted, in words.
fn counted(house: &House) -> String {
    let LiveCounts { running, closed, .. } = live(house);
    format!("{running:?} {closed:?}")
}

#[test]
fn a_component_of_the_new_interface_gets_counts_statistics_and_a_place_to_report() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = told.clone();
    let findings: weir_plugin::FindingSink =
        Arc::new(move |finding| sink.lock().expect("no panic").push(finding.finding.to_string()));
    let house = House::with(HostOptions { findings: Some(findings), ..HostOptions::default() });
    let mut judge = house.judge(watching(&watcher("1.0.0")));
    observe(&mut judge, 0, &[5.0, 15.0, 15.0]);
    assert_eq!(judge.next_tick(), Some(BEGIN + SECOND), "rows wait to be counted for a second at most");
    judge.tick(BEGIN + SECOND - 1);
    let shown = |name: &str| house.value(name, &[("plugin", "p"), ("model", "m")]);
    let binned = |bin: &str| house.value("watcher_binned_total", &[("feature", "age"), ("bin", bin)]);
    assert_eq!((binned("9"), binned("19"), binned("+Inf")), (Some(1.0), Some(2.0), Some(0.0)));
    assert_eq!(judge.next_tick(), Some(BEGIN + SECOND), "the plugin's own");
    observe(&mut judge, SECOND, &[5.0]);
    judge.tick(BEGIN + SECOND);
    assert_eq!(binned("9"), Some(2.0));
    judge.tick(BEGIN + SPAN + SECOND);
    assert_eq!((shown("watcher_closed"), shown("watcher_moved")), (Some(0.0), Some(-1.0)));
    judge.tick(BEGIN + SPAN + 3 * SECOND);
    assert_eq!(shown("watcher_closed"), Some(4.0));
    assert!(shown("watcher_moved").is_some_and(|p| p > 0.0 && p <= 1.0));
    assert!(shown("watcher_tail").is_some_and(|p| (p - 0.05).abs() < 1e-9));
    judge.tick(BEGIN + SPAN + 5 * SECOND);
    assert_eq!(shown("watcher_closed"), Some(4.0), "it is done");
    assert_eq!(*told.lock().expect("no panic"), [r#"{"drift":true}"#]);
    let findings = house.host.findings();
    assert_eq!((findings.len(), &*findings[0].kind, &*findings[0].model), (1, "drift", "m"));
    let json = serde_json::to_string(&findings[0]).expect("JSON");
    assert!(json.ends_with(r#""finding":{"drift":true}}"#), "{json}");
    house.commit(Vec::new());
    assert!(house.host.findings().is_empty());
}

/// Rows that are exported, by bin.
fn binned(house: &House) -> Vec<f64> {
    let samples = house.samples("watcher_binned_total", &[("plugin", "p")]);
    let rows = |value| if let Value::Counter(rows) = value { rows } else { 0.0 };
    samples.into_iter().map(|sample| rows(sample.value)).collect()
}

#[test]
fn faults_of_the_plugin_change_no_count() {
    let (fine, faulty) = (House::default(), House::default());
    let mut judges = [&fine, &faulty].map(|house| house.judge(watching(&watcher("1.0.0"))));
    for i in 0..20_u64 {
        let ages: Vec<f64> = (0..7).map(|row| ((i * 7 + row) % 100) as f64).collect();
        // In two halves nothing traps.
        observe(&mut judges[0], i * SECOND, &ages[..3]);
        observe(&mut judges[0], i * SECOND, &ages[3..]);
        // The first batches trap, the others come while it is in quarantine.
        judges[1].observe(&at(i * SECOND, &ages), BEGIN + 1);
    }
    let faults = |reason| faulty.value("weir_plugin_lost_exchanges_total", &[("reason", reason)]);
    assert_eq!((faults("fault"), faults("quarantine")), (Some(21.0), Some(119.0)));
    assert_eq!(counted(&faulty), counted(&fine));
    assert_eq!(live(&fine).running.expect("a window").parts[0].rows, 140);
    // Rows that wait to be counted are in what is exported at the end, whether anything is kept or not.
    drop(judges);
    assert_eq!(binned(&fine).iter().sum::<f64>(), 140.0);
    assert_eq!(binned(&faulty), binned(&fine));
}

#[test]
fn a_window_is_done_only_if_the_call_returns() {
    let house = House::default();
    let mut judge = house.judge(watching(&watcher("1.0.0")));
    observe(&mut judge, 0, &[5.0; 3]);
    let closed = |house: &House| house.value("watcher_closed", &[("plugin", "p")]);
    judge.tick(BEGIN + SPAN + 3 * SECOND + 7);
    assert_eq!(house.value("weir_plugin_faults_total", &[("kind", "panic")]), Some(1.0));
    assert!(house.host.findings().is_empty(), "nor is anything reported");
    judge.tick(BEGIN + SPAN + 5 * SECOND);
    assert_eq!(closed(&house), Some(3.0), "the next instance is given the same window");
    assert_eq!(house.host.findings().len(), 1);
}

#[test]
fn counts_go_on_over_a_reload_and_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || HostOptions { state_dir: Some(folder.path().to_owned()), ..HostOptions::default() };
    let house = House::with(options());
    let mut first = house.judge(watching(&watcher("1.0.0")));
    observe(&mut first, 0, &[5.0, 15.0]);
    let mut second = house.judge(watching(&watcher("2.0.0")));
    drop(first);
    observe(&mut second, SECOND, &[25.0]);
    assert_eq!(house.value("weir_state_resets_total", &[("what", "tally")]), Some(0.0));
    let before = counted(&house);
    drop(second);
    drop(house);
    let house = House::with(options());
    let mut third = house.judge(watching(&watcher("2.0.0")));
    third.tick(BEGIN + 2 * SECOND);
    assert_eq!(counted(&house), before);
    observe(&mut third, 2 * SECOND, &[5.0]);
    third.tick(BEGIN + SPAN + 3 * SECOND);
    third.tick(BEGIN + SPAN + 5 * SECOND);
    assert_eq!(house.value("watcher_closed", &[("plugin", "p")]), Some(4.0));
    // Another profile is another tally.
    let mut other = profile();
    other.made.rows = 99;
    let mut fourth =
        house.judge(PluginSpec { profiles: vec![Arc::new(other.sealed())], ..watching(&watcher("2.0.0")) });
    drop(third);
    observe(&mut fourth, 2 * SPAN, &[5.0]);
    assert_eq!(house.value("weir_state_resets_total", &[("what", "tally")]), Some(1.0));
}

#[test]
fn counts_are_written_as_time_passes_and_damaged_ones_do_not_stop_a_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || HostOptions { state_dir: Some(folder.path().to_owned()), ..HostOptions::default() };
    let house = House::with(options());
    let mut judge = house.judge(watching(&watcher("1.0.0")));
    observe(&mut judge, 0, &[5.0, 15.0]);
    let file = folder.path().join("tallies/p.bin");
    judge.tick(BEGIN + 29 * SECOND);
    assert!(!file.exists());
    judge.tick(BEGIN + 31 * SECOND);
    assert!(file.exists());
    std::fs::write(&file, "damaged").expect("it is ours");
    let house = House::with(options());
    let mut judge = house.judge(watching(&watcher("1.0.0")));
    observe(&mut judge, 0, &[5.0]);
    assert_eq!(live(&house).running.expect("a window").parts[0].rows, 1);
    assert!(house.log().contains("cannot be read and are set aside"));
    assert!(folder.path().join("tallies/p.damaged").exists());
}

#[test]
fn counts_that_could_not_be_written_are_written_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state_dir, tallies) = (Some(folder.path().to_owned()), folder.path().join("tallies"));
    std::fs::write(&tallies, "in the way").expect("it is ours");
    let house = House::with(HostOptions { state_dir, ..HostOptions::default() });
    let mut judge = house.judge(watching(&watcher("1.0.0")));
    observe(&mut judge, 0, &[5.0]);
    judge.tick(BEGIN + 31 * SECOND);
    assert!(house.log().contains("cannot be kept over a restart"));
    std::fs::remove_file(&tallies).expect("it is there");
    // Nothing was counted since.
    drop(judge);
    assert!(tallies.join("p.bin").exists());
}

#[test]
fn a_clock_that_was_ahead_blinds_no_model() {
    const AHEAD: u64 = 400 * 24 * 3600 * SECOND;
    let folder = tempfile::tempdir().expect("a folder");
    let options = || HostOptions { state_dir: Some(folder.path().to_owned()), ..HostOptions::default() };
    for restarts in [false, true] {
        let mut house = House::with(options());
        let mut judge = house.judge(watching(&watcher("1.0.0")));
        observe(&mut judge, AHEAD, &[5.0; 3]);
        judge.tick(BEGIN + AHEAD + SECOND);
        if restarts {
            drop(judge);
            drop(house);
            house = House::with(options());
            judge = house.judge(watching(&watcher("1.0.0")));
        }
        observe(&mut judge, 0, &[5.0, 15.0]);
        assert_eq!(house.value("weir_plugin_dropped_total", &[("reason", "late")]), Some(0.0));
        assert_eq!(house.value("weir_state_resets_total", &[("what", "tally")]), Some(1.0));
        assert!(house.log().contains("counts of a plugin begin anew"));
        assert_eq!(live(&house).running.expect("a window").parts[0].rows, 2);
        assert!(judge.next_tick().is_some_and(|due| due <= BEGIN + SECOND), "nor is a tick put off");
        judge.tick(BEGIN + 31 * SECOND);
        judge.tick(BEGIN + SPAN + 3 * SECOND);
        judge.tick(BEGIN + SPAN + 5 * SECOND);
        assert_eq!(house.value("watcher_closed", &[("plugin", "p")]), Some(2.0), "the window is judged");
        assert_eq!(house.value("weir_state_resets_total", &[("what", "tally")]), Some(1.0), "once");
        std::fs::remove_dir_all(folder.path().join("tallies")).expect("written meanwhile");
    }
}

#[test]
fn windows_close_without_any_tick_of_the_plugin_and_without_rows() {
    let house = House::default();
    let mut guest = watcher("1.0.0");
    guest.declared.tick_ns = 0;
    let mut judge = house.judge(watching(&guest));
    observe(&mut judge, 0, &[5.0]);
    judge.tick(BEGIN + 61 * SECOND);
    assert_eq!(judge.next_tick(), Some(BEGIN + SPAN + 2 * SECOND), "to close it");
    judge.tick(BEGIN + SPAN + 2 * SECOND);
    assert_eq!(live(&house).closed.expect("it has closed").parts[0].rows, 1);
    assert!(judge.next_tick().is_some_and(|next| next <= BEGIN + 2 * SPAN + 2 * SECOND));
    observe(&mut judge, SPAN - 1, &[1.0, 1.0]);
    assert_eq!(house.value("weir_plugin_dropped_total", &[("reason", "late")]), Some(2.0));
}

/// Ten more at every question.
#[derive(Default)]
struct Losing(std::sync::atomic::AtomicU64);

impl Coverage for Losing {
    fn lost(&self, key: &str, route: &str) -> u64 {
        assert_eq!((key, route), ("p", "r"));
        self.0.fetch_add(10, std::sync::atomic::Ordering::Relaxed)
    }
}

#[test]
fn a_tally_without_profile_or_room_has_no_handle() {
    let house =
        House::with(HostOptions { coverage: Some(Arc::new(Losing::default())), ..HostOptions::default() });
    let mut judge = house.judge(spec("p", &watcher("1.0.0")));
    observe(&mut judge, 0, &[5.0]);
    assert!(house.host.live("p", ["r", "m", "1"]).is_empty());
    let mut tight = watching(&watcher("1.0.0"));
    tight.limits.memory = 300_000;
    let mut next = house.judge(tight);
    drop(judge);
    observe(&mut next, 0, &[5.0]);
    assert!(house.host.live("p", ["r", "m", "1"]).is_empty());
    assert_eq!(house.value("weir_plugin_dropped_total", &[("reason", "room")]), Some(1.0));
    let mut last = house.judge(watching(&watcher("1.0.0")));
    drop(next);
    observe(&mut last, 0, &[5.0]);
    assert_eq!(house.host.live("p", ["r", "m", "1"]).len(), 1);
}
