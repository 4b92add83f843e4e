//! What is refused at load, and what it is told in.

use std::sync::Arc;

use crate::support::guest::component;
use crate::support::*;
use weir_plugin::{MOST_COMPONENT_BYTES, inspect};
use weir_telemetry::{Cap, Family, Gauge, Spec};

fn check(component: Arc<[u8]>, said: &[&str]) {
    let house = House::default();
    let words = house.refused(vec![raw("p", component), spec("well", &counting("well"))]);
    for said in said {
        assert!(words.contains(said), "`{words}` does not say `{said}`");
    }
    assert!(words.starts_with("plugin `p` (`p.wasm`) "), "{words}");
    assert!(!house.has("well_rows_total"), "nothing changes");
    house.still_serves();
}

fn wat(text: &str) -> Arc<[u8]> {
    wat::parse_str(text).expect("a component in text").into()
}

#[test]
fn what_is_no_component_is_told_as_what_it_is() {
    check(Arc::from([]), &["is no WebAssembly file"]);
    check(b"#!/usr/bin/env python3\n".as_slice().into(), &["is no WebAssembly file"]);
    check(wat("(module)"), &["is a core module, not a component", "weir plugin build"]);
    let whole = counting("x").component();
    for len in [8, 100, whole.len() / 2, whole.len() - 1] {
        check(whole[..len].into(), &[if len == 8 { "does not export" } else { "cannot be compiled" }]);
    }
    let mut large = vec![0; MOST_COMPONENT_BYTES + 1];
    large[..8].copy_from_slice(&whole[..8]);
    check(large.into(), &["67108865 bytes, more than the 67108864"]);
}

#[test]
fn an_import_that_nobody_gets_is_named_with_a_way_out() {
    let wasi =
        r#"(component (import "wasi:random/random@0.2.0" (instance (export "get" (func (result u64))))))"#;
    check(
        wat(wasi),
        &["imports `wasi:random/random@0.2.0`", "componentize-py -s", "--stub-wasi", "disableFeatures"],
    );
    let own = r#"(component (import "my:own/thing" (instance)) (import "wasi:io/poll@0.2.0" (instance)))"#;
    check(wat(own), &["imports `my:own/thing`", "nothing else", "imports `wasi:io/poll@0.2.0`"]);
    let newer = r#"(component (import "weir:plugin/host@0.2.0" (instance)))"#;
    check(
        wat(newer),
        &["is made for `weir:plugin/host@0.2.0`, while this gateway serves `weir:plugin/plugin@0.1.1`"],
    );
    let more =
        r#"(component (import "weir:plugin/host@0.1.7" (instance (export "clock" (func (result u64))))))"#;
    check(wat(more), &["does not fit `weir:plugin/plugin@0.1.1`", "clock"]);
}

#[test]
fn a_component_of_another_world_is_told_what_is_missing() {
    let other =
        component("(module (func (export \"run\")))", "package a:b; world w { export run: func(); }", "w");
    check(other, &["does not export `weir:plugin/plugin@0.1.1`", "weir_plugin_sdk::export!"]);
    let version = |version| {
        let wit = format!(
            "package weir:plugin@{version}; interface plugin {{ describe: func() -> u32; }} world w {{ export plugin; }}"
        );
        let module = format!(
            "(module (func (export \"weir:plugin/plugin@{version}#describe\") (result i32) (i32.const 0)))"
        );
        component(&module, &wit, "w")
    };
    check(version("0.2.0"), &["is made for `weir:plugin/plugin@0.2.0`"]);
    check(version("0.1.0"), &["does not fit", "`configure`"]);
}

#[test]
fn a_record_of_another_shape_is_refused() {
    let functions = ["describe", "configure", "schema", "retire", "observe", "tick"];
    let wit: String = functions.iter().map(|name| format!("{name}: func() -> u32;")).collect();
    let wit = format!("package weir:plugin@0.1.0; interface plugin {{ {wit} }} world w {{ export plugin; }}");
    let module: String = functions
        .iter()
        .map(|name| format!("(func (export \"weir:plugin/plugin@0.1.0#{name}\") (result i32) (i32.const 0))"))
        .collect();
    check(component(&format!("(module {module})"), &wit, "w"), &["does not fit `weir:plugin/plugin@0.1.1`"]);
}

#[test]
fn a_plugin_that_is_broken_from_the_start_never_sees_traffic() {
    let loops = "(loop $l (br $l))";
    for function in ["describe", "configure", "schema", "observe", "retire"] {
        check(counting("x").doing(function, "unreachable").component(), &["panicked in", function]);
    }
    check(counting("x").doing("observe", loops).component(), &["used up its fuel", "when it was tried"]);
    let mut ticking = counting("x");
    ticking.declared.tick_ns = SECOND;
    check(ticking.doing("tick", "unreachable").component(), &["panicked in `tick`"]);
    for function in ["save", "load"] {
        let keeper = Guest { saved: Some((1, vec![1, 2, 3])), ..counting("x") };
        check(keeper.doing(function, "unreachable").component(), &["panicked in", function]);
    }
    let large = Guest { pages: 100, ..counting("x") };
    check(large.component(), &["wanted 6553600 bytes of memory (its limit is 4194304)"]);
}

#[test]
fn every_fault_of_a_manifest_is_told_at_once() {
    let mut guest = counting("x");
    let declared = &mut guest.declared;
    declared.metrics = vec![
        metric("Upper", 0, &[]),
        metric("twice", 1, &[]),
        metric("twice", 1, &[]),
        metric("sum_total", 0, &[]),
        metric("labels", 0, &["route", "a", "a"]),
        ("falling".into(), 2, String::new(), Vec::new(), vec![2.0, 1.0]),
        ("edgeless".into(), 2, String::new(), Vec::new(), Vec::new()),
        ("wait_seconds".into(), 1, "seconds".into(), Vec::new(), Vec::new()),
    ];
    declared.windows = vec![("w".into(), SECOND, 0, Vec::new()), ("w".into(), 1 << 62, 121, Vec::new())];
    declared.conditions = vec![("c".into(), strings(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]))];
    declared.reasons = (0..65).map(|i| format!("r{i}")).collect();
    declared.tick_ns = 5;
    declared.shards = 2;
    let said = [
        "the metric `Upper`",
        "the exported metric `x_twice` twice",
        "the metric `sum_total`, whose suffix the gateway appends",
        "the label `route` for the metric `labels`, which the gateway sets",
        "the label `a` twice",
        "edges for the metric `falling` that are not finite and rising",
        "0 edges for the metric `edgeless`",
        "the metric `wait_seconds`, whose suffix",
        "the window `w` twice",
        "0 slices for the window `w` (1 to 120)",
        "121 slices",
        "a span of 4611686018427387904 ns",
        "9 labels for the condition `c` (at most 8)",
        "65 reasons (at most 64)",
        "a tick every 5 ns",
        "several shards together with a gauge or a condition",
    ];
    check(guest.component(), &said);
}

#[test]
fn a_name_or_version_that_cannot_be_used_is_told() {
    check(counting("Bad Name").component(), &["its name is `Bad Name`"]);
    check(counting("weir-x").component(), &["kept for the gateway"]);
    check(Guest { version: String::new(), ..counting("x") }.component(), &["its version is ``"]);
}

#[test]
fn faults_in_the_settings_are_told_with_their_places() {
    let mut guest = counting("x");
    guest.faults = vec![
        ("/features/age/max".into(), "must be above `min`".into()),
        (String::new(), "needs `profile`".into()),
    ];
    let said =
        ["has a fault in its settings at `/features/age/max`: must be above `min`", "in its settings: needs"];
    check(guest.component(), &said);
    let house = House::default();
    let settings = weir_plugin::PluginSpec { settings: "[1]".into(), ..spec("p", &counting("x")) };
    assert!(house.refused(vec![settings]).contains("settings that are no JSON object"));
}

#[test]
fn a_metric_that_is_taken_in_another_shape_is_refused_in_words() {
    let house = House::default();
    let taken = Family::<Gauge>::new(Spec::gauge("x_rows", "Rows.", &[]), Cap::Closed);
    house.registry.family(&taken).unwrap();
    let words = house.refused(vec![spec("p", &counting("x"))]);
    assert!(
        words.contains("cannot export its metrics: metric `x_rows_total` would export the same"),
        "{words}"
    );
    // Two plugins of one name, one metric in two shapes.
    let mut other = counting("y");
    other.declared.metrics = vec![metric("rows", 0, &["more"])];
    other.asks = Vec::new();
    let words = house.refused(vec![spec("one", &counting("y")), spec("two", &other)]);
    assert!(
        words.contains("plugin `two`") && words.contains("`y_rows_total` is already registered"),
        "{words}"
    );
    // A label that belongs to the scraper.
    let mut label = counting("z");
    label.declared.metrics = vec![metric("rows", 0, &["instance"])];
    label.asks = Vec::new();
    assert!(house.refused(vec![spec("p", &label)]).contains("which the scraper or the format writes"));
    let twins = vec![spec("p", &counting("z")), spec("p", &counting("z"))];
    assert!(house.refused(twins).contains("has the key of another plugin"));
}

#[test]
fn two_keys_of_one_component_have_series_of_their_own() {
    let house = House::default();
    let change = house.commit(vec![spec("one", &counting("x")), spec("two", &counting("x"))]);
    for (mut judge, batches) in change.new.into_iter().zip([1, 2]) {
        (0..batches).for_each(|_| drop(judge.observe(&batch(&[1.0]), T0)));
    }
    assert_eq!(house.value("x_rows_total", &[("plugin", "one")]), Some(2.0));
    assert_eq!(house.value("x_rows_total", &[("plugin", "two")]), Some(4.0));
    let from = |from| house.value("weir_plugin_components_total", &[("from", from)]);
    assert_eq!((from("compiled"), from("memory")), (Some(1.0), Some(1.0)), "compiled once");
    house.commit(vec![spec("two", &counting("x"))]);
    assert_eq!(house.value("x_rows_total", &[]), Some(4.0), "the other key's series have gone with it");
}

#[test]
fn inspection_shows_what_a_plugin_is_wants_and_declares() {
    let house = House::default();
    let mut guest = counting("x");
    guest.declared.columns = vec![("score".into(), None, true)];
    guest.declared.conditions = vec![("low".into(), strings(&["class"]))];
    guest.declared.windows = vec![("recent".into(), 600 * SECOND, 60, Vec::new())];
    guest.declared.tick_ns = SECOND;
    let shown = inspect(&house.host, &spec("p", &guest)).unwrap();
    assert_eq!((&*shown.name, &*shown.version, shown.snapshot), ("x", "1.0.0", false));
    assert_eq!(shown.metrics[0].name, "x_rows_total");
    assert_eq!(shown.metrics[0].labels, ["plugin", "route", "model", "model_version"]);
    assert_eq!(shown.conditions[0].metric, "x_low_active");
    assert_eq!((shown.tick_seconds, shown.memory_bytes), (1.0, 4 * 65536));
    assert_eq!(shown.imports, ["weir:plugin/types@0.1.0", "weir:plugin/host@0.1.0"]);
    let text = shown.to_string();
    for said in
        ["x 1.0.0: A plugin for a test.", "counter x_rows_total{plugin,", "600 s in 60 slices", "every 1 s"]
    {
        assert!(text.contains(said), "{text}");
    }
    assert!(house.host.status().is_empty() && !house.has("x_rows_total"), "it is not used");
}
