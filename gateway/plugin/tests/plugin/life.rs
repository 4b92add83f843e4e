//! What goes on over traps, reloads and restarts, and what does not.

use std::fs;

use crate::support::*;
use weir_exchange::SchemaId;
use weir_telemetry::log::Logger;

/// A keeper that shows how many schemas this instance knows and what was loaded into it; it traps at seven
/// rows.
fn keeper(version: &str) -> Guest {
    let guest = Guest {
        name: "keeper".into(),
        version: version.into(),
        declared: Declared {
            metrics: vec![metric("schemas", 1, &[]), metric("loaded", 1, &[]), metric("rows", 0, &[])],
            ..Declared::default()
        },
        asks: (0..3).map(|i| ("series", i, Vec::new())).collect(),
        observed: Returns { runs: (0..3).map(|i| (i, From::Values(i, 1))).collect(), ..Returns::default() },
        saved: Some((1, vec![42])),
        more: "(global $schemas (mut i32) (i32.const 0)) (global $loaded (mut i32) (i32.const 0))".into(),
        ..Guest::default()
    };
    guest
        .doing("schema", "(global.set $schemas (i32.add (global.get $schemas) (i32.const 1)))")
        .doing("load", "(global.set $loaded (i32.load8_u (local.get 1)))")
        .doing("observe", "(if (i32.eq (i32.load offset=16 (local.get 0)) (i32.const 7)) (then unreachable))")
        .computing(&[
            "(f64.convert_i32_u (global.get $schemas))",
            "(f64.convert_i32_u (global.get $loaded))",
            "(f64.convert_i32_u (i32.load offset=16 (local.get 0)))",
        ])
}

const MODEL: [(&str, &str); 2] = [("plugin", "p"), ("model", "m")];

#[test]
fn after_a_trap_a_new_instance_knows_settings_schemas_and_snapshot() {
    let house = House::default();
    let mut judge = house.judge(spec("p", &keeper("1.0.0")));
    judge.observe(&batch(&[1.0]), T0);
    judge.observe(&Table::new(2, 1).model("other").batch(), T0);
    let shown = |name| house.value(name, &MODEL);
    judge.observe(&batch(&[1.0]), T0);
    assert_eq!((shown("keeper_schemas"), shown("keeper_loaded")), (Some(2.0), Some(0.0)));
    assert_eq!(judge.next_tick(), Some(T0 + 10 * SECOND), "to save");
    judge.tick(T0 + 10 * SECOND);
    judge.observe(&batch(&[1.0; 7]), T0 + 11 * SECOND);
    judge.observe(&batch(&[1.0]), T0 + 12 * SECOND);
    assert_eq!((shown("keeper_schemas"), shown("keeper_loaded")), (Some(2.0), Some(42.0)));
    assert_eq!(shown("keeper_rows_total"), Some(4.0), "the batch that trapped is lost, the others are not");
    let snapshots = |outcome| house.value("weir_plugin_snapshots_total", &[("outcome", outcome)]);
    assert_eq!((snapshots("saved"), snapshots("loaded")), (Some(1.0), Some(1.0)));
    // A schema that is gone is not told again.
    judge.forget(SchemaId(2));
    judge.observe(&batch(&[1.0; 7]), T0 + 13 * SECOND);
    judge.observe(&batch(&[1.0]), T0 + 14 * SECOND);
    assert_eq!(shown("keeper_schemas"), Some(1.0));
}

#[test]
fn a_new_version_takes_over_counters_schemas_and_snapshot() {
    let house = House::default();
    let mut old = house.judge(spec("p", &keeper("1.0.0")));
    old.observe(&batch(&[1.0, 1.0]), T0);
    let mut new = house.judge(spec("p", &keeper("2.0.0")));
    // Batches that were queued before the reload are judged by the old version.
    old.observe(&batch(&[1.0]), T0);
    drop(old);
    new.observe(&batch(&[1.0]), T0);
    let shown = |name| house.value(name, &MODEL);
    assert_eq!(shown("keeper_rows_total"), Some(4.0));
    assert_eq!((shown("keeper_schemas"), shown("keeper_loaded")), (Some(1.0), Some(42.0)));
    let resets = |what| house.value("weir_state_resets_total", &[("what", what)]);
    assert_eq!((resets("metric"), resets("window"), resets("condition")), (Some(0.0), Some(0.0), Some(0.0)));
    assert_eq!(house.value("weir_plugin_info", &[("plugin", "p")]), Some(1.0), "one version");
    assert_eq!(house.host.status()[0].version, "2.0.0");
}

#[test]
fn a_snapshot_of_an_unknown_format_is_counted_and_left() {
    let house = House::default();
    let mut old = house.judge(spec("p", &keeper("1.0.0")));
    old.observe(&batch(&[1.0]), T0);
    // It loads what it saved itself, as it must when it is tried, but not that of the old version.
    let picky = keeper("2.0.0")
        .doing("load", "(if (i32.ne (local.get 0) (i32.const 9)) (then (return (i32.const 0))))");
    let mut new = house.judge(spec("p", &Guest { saved: Some((9, vec![9])), ..picky }));
    drop(old);
    new.observe(&batch(&[1.0]), T0);
    assert_eq!(house.value("weir_plugin_snapshots_total", &[("outcome", "refused")]), Some(1.0));
    assert!(house.log().contains("does not know the format"));
    assert_eq!(house.value("keeper_rows_total", &MODEL), Some(2.0));
}

#[test]
fn state_whose_shape_changes_begins_anew_and_is_counted() {
    let house = House::default();
    let guest = |edges: Vec<f64>, span, label: &str| Guest {
        declared: Declared {
            metrics: vec![("size".into(), 2, String::new(), Vec::new(), edges), metric("stays", 0, &[])],
            windows: vec![("w".into(), span, 10, Vec::new())],
            conditions: vec![("c".into(), strings(&[label]))],
            ..Declared::default()
        },
        asks: vec![
            ("series", 0, Vec::new()),
            ("series", 1, Vec::new()),
            ("window", 0, Vec::new()),
            ("condition", 0, strings(&["v"])),
        ],
        observed: Returns {
            values: vec![1.0],
            runs: vec![(0, From::Values(0, 1)), (1, From::Values(0, 1))],
            feeds: vec![(2, From::Values(0, 1), None)],
            conditions: vec![(3, true, 1.0, 1)],
            ..Returns::default()
        },
        ..Guest::default()
    };
    let mut old = house.judge(spec("p", &guest(vec![1.0], SECOND, "a")));
    old.observe(&batch(&[1.0]), T0);
    let mut new = house.judge(spec("p", &guest(vec![1.0, 2.0], 2 * SECOND, "b")));
    drop(old);
    new.observe(&batch(&[1.0]), T0);
    let resets = |what| house.value("weir_state_resets_total", &[("what", what)]);
    assert_eq!((resets("window"), resets("condition")), (Some(1.0), Some(1.0)));
    assert_eq!(resets("metric"), Some(2.0), "the histogram, and the gauge of the condition");
    let sizes = house.samples("guest_size", &[]);
    let weir_telemetry::Value::Histogram { counts, .. } = &sizes[0].value else { panic!("a histogram") };
    assert_eq!(counts.as_slice(), [1, 0, 0]);
    assert_eq!(house.value("guest_stays_total", &[]), Some(2.0));
    assert_eq!(house.value("guest_c_active", &[("b", "v")]), Some(1.0));
}

#[test]
fn what_did_not_change_goes_on_untouched() {
    let house = House::default();
    let change = house.commit(vec![spec("a", &counting("x")), spec("b", &counting("y"))]);
    assert_eq!((change.keep.len(), change.new.len()), (0, 2));
    let keys = |change: &weir_plugin::Change| {
        let new: Vec<String> = change.new.iter().map(|judge| judge.key().to_owned()).collect();
        (change.keep.iter().map(ToString::to_string).collect::<Vec<_>>(), new)
    };
    let mut routes = spec("a", &counting("x"));
    routes.routes = Some(vec!["r".into()]);
    let change = house.commit(vec![routes.clone(), spec("b", &counting("y"))]);
    assert_eq!(keys(&change), (vec!["b".to_owned()], vec!["a".to_owned()]));
    assert_eq!(change.new[0].routes(), Some(vec!["r".into()]));
    let mut more = routes.clone();
    more.limits.series += 1;
    let mut settings = spec("b", &counting("y"));
    settings.settings = r#"{"a":1}"#.into();
    let change = house.commit(vec![more.clone(), settings.clone()]);
    assert_eq!(keys(&change), (Vec::new(), vec!["a".to_owned(), "b".to_owned()]));
    let change = house.commit(vec![settings, more]);
    assert_eq!(keys(&change), (vec!["b".to_owned(), "a".to_owned()], Vec::new()));
}

#[test]
fn series_survive_another_cap() {
    let house = House::default();
    let mut judge = house.judge(spec("p", &counting("x")));
    judge.observe(&batch(&[1.0]), T0);
    let mut wider = spec("p", &counting("x"));
    wider.limits.series = 5;
    let mut next = house.judge(wider);
    assert_eq!(house.value("x_rows_total", &[]), Some(2.0), "still shown until the next judge begins");
    drop(judge);
    next.observe(&batch(&[1.0]), T0);
    assert_eq!(house.value("x_rows_total", &[]), Some(4.0));
}

#[test]
fn a_plugin_that_is_removed_leaves_no_series_behind() {
    let house = House::default();
    let change = house.commit(vec![spec("a", &counting("x")), spec("b", &counting("y"))]);
    let mut judges = change.new;
    judges.iter_mut().for_each(|judge| drop(judge.observe(&batch(&[1.0]), T0)));
    let change = house.commit(vec![spec("b", &counting("y"))]);
    assert_eq!((change.keep.len(), change.new.len()), (1, 0));
    assert!(!house.has("x_rows_total") && house.has("y_rows_total"));
    // The judge of the plugin that is gone may still have batches to see.
    judges[0].observe(&batch(&[1.0]), T0);
    drop(judges.remove(0));
    for points in house.registry.gather() {
        let Some(at) = points.spec.labels.iter().position(|label| &**label == "plugin") else { continue };
        assert!(points.samples.iter().all(|sample| &*sample.labels[at] != "a"), "{}", points.spec.name);
    }
    // It comes back as if it had never been there.
    let change = house.commit(vec![spec("a", &counting("x")), spec("b", &counting("y"))]);
    let mut again = change.new;
    again[0].observe(&batch(&[1.0]), T0);
    assert_eq!(house.value("x_rows_total", &[]), Some(2.0));
}

#[test]
fn a_set_that_is_prepared_and_dropped_changes_nothing() {
    let house = House::default();
    let mut judge = house.judge(spec("a", &counting("x")));
    drop(house.host.prepare(vec![spec("b", &counting("y"))]).map_err(|errors| words(&errors)).unwrap());
    judge.observe(&batch(&[1.0]), T0);
    assert_eq!(house.value("x_rows_total", &[]), Some(2.0));
    assert!(!house.has("y_rows_total") && house.host.status().len() == 1);
    assert_eq!(house.value("weir_plugin_calls_total", &[("plugin", "b")]), None);
}

#[test]
fn ticks_come_when_they_are_due() {
    let house = House::default();
    let mut guest = counting("x");
    guest.declared.tick_ns = SECOND;
    guest.ticked = Returns { values: vec![5.0], runs: vec![(0, From::Values(0, 1))], ..Returns::default() };
    let mut judge = house.judge(spec("p", &guest));
    assert_eq!(judge.next_tick(), Some(0), "to begin");
    judge.tick(T0);
    assert_eq!(judge.next_tick(), Some(T0 + SECOND));
    judge.observe(&batch(&[1.0]), T0);
    judge.tick(T0 + SECOND - 1);
    judge.tick(T0 + 10 * SECOND);
    assert_eq!(judge.next_tick(), Some(T0 + 11 * SECOND), "ticks that were missed are not made up for");
    assert_eq!(house.value("x_rows_total", &[]), Some(7.0));
}

#[test]
fn compiled_components_are_kept_and_damaged_ones_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("compiled");
    let from = |from: &str| {
        let house = House::with_cache(Some(cache.clone()));
        house.judge(spec("p", &counting("x"))).observe(&batch(&[1.0]), T0);
        assert_eq!(house.value("x_rows_total", &[]), Some(2.0));
        assert_eq!(house.value("weir_plugin_components_total", &[("from", from)]), Some(1.0), "{from}");
        assert_eq!(house.value("weir_plugin_cache_errors_total", &[]), Some(0.0));
    };
    from("compiled");
    from("cache");
    let files: Vec<_> = fs::read_dir(&cache).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let whole = fs::read(&files[0]).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [Vec::new(), whole[..whole.len() / 2].to_vec(), flipped, b"not ours".repeat(100)] {
        fs::write(&files[0], damaged).unwrap();
        from("damaged");
        from("cache");
    }
}

#[test]
fn the_cache_folder_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("a/b");
    drop(House::with_cache(Some(cache.clone())));
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let options = weir_plugin::HostOptions { cache: Some(file), ..weir_plugin::HostOptions::default() };
    let error = weir_plugin::Host::new(options, &weir_telemetry::Registry::default(), &Logger::discard());
    assert!(error.err().unwrap().to_string().contains("cannot hold compiled plugins"));
}
