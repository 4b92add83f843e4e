//! From the first evaluation that holds to the last word.

use std::sync::Arc;

use weir_alert::{Fingerprint, State};
use weir_exchange::ConditionState;

use crate::world::{START_MS, TICK_MS, World, shown};

const ERRORS: &str = "
[alert.HighErrorRate]
ratio = \"api_errors_total\"
of = \"http_server_request_duration_seconds\"
by = [\"route\"]
window = \"1m\"
above = 0.05
for = \"30s\"
labels = { severity = \"critical\" }
annotations = { summary = \"{{ $labels.route }} fails {{ $value | humanizePercentage }}\" }
runbook_url = \"https://runbooks.example/errors\"
";

const FIRING: &str = "alertname=HighErrorRate instance=weir-1 route=churn severity=critical";

/// Ticks with failures until the alert fires.
fn burn(world: &mut World) {
    for _ in 0..5 {
        world.requests("churn", 10, 10);
        world.requests("other", 10, 0);
        world.tick();
    }
}

#[test]
fn a_share_of_errors_fires_for_its_route_and_ends_with_what_it_began_with() {
    let mut world = World::new(ERRORS);
    world.requests("churn", 10, 10);
    world.requests("other", 10, 0);
    assert_eq!(world.tick().firing, [], "it is pending");
    assert_eq!(world.engine.rules()[0].alerts[0].state, State::Pending);
    world.requests("churn", 10, 10);
    world.tick();
    world.requests("churn", 10, 10);
    let outcome = world.tick();
    assert_eq!(shown(&outcome.firing), [FIRING]);
    let alert = outcome.firing[0].clone();
    assert!(outcome.changed && !alert.muted);
    assert_eq!(alert.starts_at_ms, START_MS + 4 * TICK_MS, "when it fired, not when it was pending");
    assert_eq!(alert.annotations["summary"], "churn fails 50%");
    assert_eq!(alert.annotations["runbook_url"], "https://runbooks.example/errors");
    let address = format!("http://127.0.0.1:9464/api/alerts/{}", alert.fingerprint());
    assert_eq!(alert.generator_url, address);
    let evidence = world.engine.evidence(alert.fingerprint()).expect("it is kept");
    assert_eq!((evidence.at_firing.counts.part, evidence.at_firing.counts.whole), (Some(30.0), Some(60.0)));
    assert_eq!((evidence.at_firing.generation, evidence.window_seconds), (7, 60));
    let mut resolved = Vec::new();
    for _ in 0..6 {
        world.requests("churn", 100, 0);
        resolved.extend(world.tick().resolved);
    }
    assert_eq!(shown(&resolved), [FIRING]);
    assert_eq!(resolved[0].starts_at_ms, alert.starts_at_ms);
    assert!(resolved[0].ends_at_ms.is_some());
    let evidence = world.engine.evidence(alert.fingerprint()).expect("it is kept for a while");
    assert_eq!(evidence.alert.ends_at_ms, resolved[0].ends_at_ms);
    assert!(world.engine.evidence(Fingerprint(1)).is_none(), "nobody knows of another");
}

#[test]
fn a_few_errors_among_few_events_are_believed_by_nobody() {
    let mut world = World::new(ERRORS);
    for _ in 0..6 {
        world.requests("churn", 1, 1);
        assert_eq!(world.tick().firing, [], "8 requests a minute are fewer than min_events");
    }
}

#[test]
fn a_rule_that_is_taken_away_or_relabelled_ends_under_its_old_labels() {
    let mut world = World::new(ERRORS);
    burn(&mut world);
    world.replace(&ERRORS.replace("critical", "page"));
    world.requests("churn", 10, 10);
    let outcome = world.tick();
    assert_eq!(shown(&outcome.resolved), [FIRING]);
    assert_eq!(shown(&outcome.firing), [FIRING.replace("critical", "page")]);
    world.replace("");
    let outcome = world.tick();
    assert_eq!(
        (shown(&outcome.resolved), outcome.firing),
        (vec![FIRING.replace("critical", "page")], vec![])
    );
}

#[test]
fn other_words_of_a_rule_that_fires_change_nothing_else() {
    let mut world = World::new(ERRORS);
    burn(&mut world);
    world.requests("churn", 10, 10);
    let before = world.tick().firing;
    world.replace(&ERRORS.replace("fails", "breaks"));
    world.requests("churn", 10, 10);
    let outcome = world.tick();
    assert_eq!((outcome.resolved, outcome.changed), (vec![], false));
    assert_eq!(outcome.firing[0].starts_at_ms, before[0].starts_at_ms);
    assert!(outcome.firing[0].annotations["summary"].contains("breaks"));
}

#[test]
fn after_a_restart_it_fires_on_since_when_it_did_and_ends_only_by_what_was_seen() {
    let mut world = World::new(ERRORS);
    burn(&mut world);
    let before = world.tick().firing;
    let saved = serde_json::to_string(&world.engine.saved()).expect("it can be written");
    world.at_ms += 3 * TICK_MS;
    let mut world = world.restarted(ERRORS, serde_json::from_str(&saved).expect("it can be read"));
    let mut resolved = Vec::new();
    for tick in 1..=8 {
        world.requests("churn", 100, 0);
        let outcome = world.tick();
        if tick < 4 {
            assert_eq!(outcome.firing.len(), 1, "tick {tick}: its window has not been seen whole");
            assert_eq!(outcome.firing[0].starts_at_ms, before[0].starts_at_ms);
        }
        resolved.extend(outcome.resolved);
    }
    assert_eq!(shown(&resolved), [FIRING]);
    assert_eq!(resolved[0].starts_at_ms, before[0].starts_at_ms);
}

#[test]
fn a_rule_that_went_while_the_gateway_was_down_ends_under_its_old_labels() {
    let mut world = World::new(ERRORS);
    burn(&mut world);
    let saved = world.engine.saved();
    let mut world = world.restarted("", saved);
    let outcome = world.tick();
    assert_eq!((shown(&outcome.resolved), outcome.firing), (vec![FIRING.to_owned()], vec![]));
}

#[test]
fn what_explains_another_alert_mutes_it_and_neither_ends_nor_delays_it() {
    let rules = "
[alert.ModelNotLoaded]
gauge = \"model_loaded\"
equals = 0
[alert.Low]
plugin = \"confidence\"
condition = \"low_confidence\"
for = \"30s\"
unless = [\"ModelNotLoaded\"]
annotations = { summary = \"{{ $value }}\" }
";
    let mut world = World::new(rules);
    let labels = ["confidence", "churn", "m", "1"];
    world.gauge("confidence_low_confidence_active", &labels, 1.0);
    world.gauge("model_loaded", &["m", "1"], 0.0);
    world.gauge("model_loaded", &["n", "1"], 1.0);
    let names = ["route", "model", "model_version"].map(Arc::from).into_iter();
    let state = ConditionState {
        name: "low_confidence".into(),
        labels: names.zip(labels[1..].iter().map(|l| Arc::from(*l))).collect(),
        active: true,
        value: 0.43,
        count: 200,
        since_unix_ns: 0,
    };
    world.conditions = vec![("confidence".into(), state)];
    world.tick();
    world.tick();
    let firing = world.tick().firing;
    let of = |name: &str| firing.iter().find(|alert| alert.name() == name).expect(name);
    assert_eq!((of("Low").muted, of("ModelNotLoaded").muted), (true, false));
    assert_eq!(of("Low").annotations["summary"], "0.43", "the value it was decided on");
    let began = of("Low").starts_at_ms;
    world.gauge("model_loaded", &["m", "1"], 1.0);
    let firing = world.tick().firing;
    assert_eq!((firing.len(), firing[0].muted, firing[0].starts_at_ms), (1, false, began));
    world.gauge("model_loaded", &["n", "1"], 0.0);
    let firing = world.tick().firing;
    let low = firing.iter().find(|alert| alert.name() == "Low").expect("it fires");
    assert!(!low.muted, "another model explains nothing");
}

#[test]
fn what_is_absent_is_told_and_what_comes_back_ends_it() {
    let mut world = World::new("[alert.Gone]\nabsent = \"model_loaded\"\nwhere = { model = \"m\" }");
    let outcome = world.tick();
    assert_eq!(shown(&outcome.firing), ["alertname=Gone instance=weir-1 model=m"]);
    world.gauge("model_loaded", &["m", "1"], 0.0);
    assert_eq!(world.tick().resolved.len(), 1, "0 is not absent");
    world.remove("model_loaded");
    assert_eq!(world.tick().firing.len(), 1, "a series that ended is gone at once");
}

#[test]
fn a_dry_run_is_shown_and_told_to_nobody_and_maintenance_mutes() {
    let rules = format!("{ERRORS}dry_run = true\n");
    let mut world = World::new(&rules);
    burn(&mut world);
    world.requests("churn", 10, 10);
    assert_eq!(world.tick().firing, []);
    let rule = &world.engine.rules()[0];
    assert_eq!((rule.state, rule.dry_run), ("firing", true));
    let all_day = "[alerting.maintenance.always]\ndaily = \"00:00-23:59\"\n[alerting]\nwatchdog = true\n";
    world.replace(&format!("{ERRORS}{all_day}"));
    world.requests("churn", 10, 10);
    let firing = world.tick().firing;
    let muted: Vec<_> = firing.iter().map(|alert| (alert.name(), alert.muted)).collect();
    assert_eq!(muted, [("HighErrorRate", true), ("Watchdog", false)].map(|m| m));
}

#[test]
fn little_traffic_is_told_of_once_a_whole_window_was_seen_and_not_because_the_gateway_is_young() {
    let mut world = World::new("[alert.Quiet]\nrate = \"predictions_total\"\nbelow = 5\nwindow = \"1m\"");
    for _ in 0..8 {
        world.count("predictions_total", &["churn", "m", "1", "ok"], 150.0);
        assert_eq!(world.tick().firing, [], "10 a second");
    }
    let fired: Vec<usize> = (0..6).map(|_| world.tick().firing.len()).collect();
    assert_eq!(fired, [0, 0, 1, 1, 1, 1]);
}

#[test]
fn a_longer_window_after_a_reload_does_not_take_all_that_was_ever_counted_for_new() {
    let rule = "[alert.Many]\nincrease = \"predictions_total\"\nabove = 500\nwindow = \"1m\"";
    let mut world = World::new(rule);
    for _ in 0..40 {
        world.count("predictions_total", &["churn", "m", "1", "ok"], 100.0);
        assert_eq!(world.tick().firing, []);
    }
    let two = rule.replace("Many", "More").replace("1m", "90s");
    world.replace(&format!("{rule}\n{two}\n[alert.Errors]\nincrease = \"weir_build_info\"\nabove = 0"));
    for _ in 0..3 {
        assert_eq!(world.tick().firing, []);
    }
}

#[test]
fn a_clock_that_was_set_back_over_a_restart_takes_what_was_stored_with_it() {
    let mut world = World::new(ERRORS);
    burn(&mut world);
    let saved = world.engine.saved();
    world.at_ms -= 3_600_000;
    let mut world = world.restarted(ERRORS, saved);
    let firing = world.tick().firing;
    assert_eq!(firing.len(), 1);
    assert!(firing[0].starts_at_ms < world.at_ms && firing[0].starts_at_ms > world.at_ms - 120_000);
}
