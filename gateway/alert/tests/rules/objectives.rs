//! Objectives: events in, one alert a severity out.

use crate::world::{World, plan, shown};

const SLO: &str = "[slo.availability]\nobjective = 0.999\n";

/// The definition of the only objective.
fn definition(text: &str) -> String {
    let (_, config) = plan(text).unwrap_or_else(|faults| panic!("{faults:?}"));
    config.slos[0].event.definition.to_string()
}

/// Ticks with so many events each; the names and severities of what fires at the end.
fn run(world: &mut World, text: &str, ticks: usize, good: u64, bad: u64) -> Vec<String> {
    let definition = definition(text);
    let mut firing = Vec::new();
    for _ in 0..ticks {
        world.count("weir_slo_events_total", &["availability", &definition, "true"], good as f64);
        world.count("weir_slo_events_total", &["availability", &definition, "false"], bad as f64);
        firing = world.tick().firing;
    }
    let muted = |alert: &weir_alert::Alert| if alert.muted { " (muted)" } else { "" };
    firing.iter().map(|alert| format!("{}{}", alert.labels["severity"], muted(alert))).collect()
}

#[test]
fn a_burning_budget_pages_once_and_its_ticket_is_muted() {
    let mut world = World::new(SLO);
    assert_eq!(run(&mut world, SLO, 4 * 60 * 13, 100, 0), [""; 0]);
    let firing = run(&mut world, SLO, 4 * 60 * 3, 90, 10);
    assert_eq!(firing, ["page", "ticket (muted)"]);
    let outcome = world.tick();
    assert_eq!(
        shown(&outcome.firing)[0],
        "alertname=SLOErrorBudgetBurn instance=weir-1 severity=page slo=availability"
    );
    let words = &outcome.firing[0].annotations;
    assert!(words["burning"].contains("1h/5m at ") && words["burning"].contains("6h/30m at "), "{words:?}");
    assert!(words["budget_left"].starts_with('-'), "{words:?}");
    let firing = run(&mut world, SLO, 4 * 60, 100, 0);
    assert_eq!(firing, ["ticket"], "the page is over with its short windows");
}

#[test]
fn what_was_not_seen_is_not_good_and_decides_nothing() {
    let mut world = World::new(SLO);
    assert_eq!(run(&mut world, SLO, 4, 90, 10), [""; 0], "a minute of five was seen");
    assert_eq!(run(&mut world, SLO, 4 * 29, 90, 10), ["page"], "half an hour was");
}

#[test]
fn an_outage_in_a_quiet_night_pages_after_five_and_a_single_failure_does_not() {
    let mut world = World::new(SLO);
    run(&mut world, SLO, 40, 0, 0);
    assert_eq!(run(&mut world, SLO, 1, 1, 0), [""; 0]);
    for bad in 1..=4 {
        assert_eq!(run(&mut world, SLO, 1, 0, 1), [""; 0], "{bad} in a row");
        assert_eq!(run(&mut world, SLO, 20, 0, 0), [""; 0], "{bad} in a row");
    }
    assert_eq!(run(&mut world, SLO, 1, 0, 1), ["page"]);
    assert!(world.tick().firing[0].annotations["burning"].contains("5 bad events in a row"));
    run(&mut world, SLO, 1, 1, 0);
    let words = world.tick().firing[0].annotations["burning"].clone();
    assert!(!words.contains("in a row") && words.contains("1h/5m"), "a good one ends the row: {words}");
}

#[test]
fn five_failures_in_one_moment_of_a_busy_hour_are_left_to_the_pairs() {
    let mut world = World::new(SLO);
    run(&mut world, SLO, 4 * 60, 100, 0);
    assert_eq!(run(&mut world, SLO, 1, 0, 20), [""; 0]);
    assert_eq!(run(&mut world, SLO, 4, 0, 20), ["page"], "a minute without one good event is another thing");
}

#[test]
fn another_bound_begins_anew_and_another_label_does_not() {
    let mut world = World::new(SLO);
    run(&mut world, SLO, 4 * 40, 90, 10);
    let relabelled = format!("{SLO}labels = {{ team = \"ml\" }}\n");
    world.replace(&relabelled);
    let outcome = world.tick();
    assert_eq!(outcome.resolved.len(), 1, "the old identity ends");
    assert_eq!(outcome.firing.len(), 1, "and the budget goes on burning");
    let other = SLO.replace("0.999", "0.998");
    world.replace(&other);
    assert_eq!(world.tick().firing.len(), 0);
    assert_eq!(run(&mut world, &other, 2, 90, 10), [""; 0]);
}

#[test]
fn an_objective_says_what_it_takes_to_fire() {
    let (plan, _) = plan(SLO).unwrap_or_else(|faults| panic!("{faults:?}"));
    let notes = plan.notes().join("\n");
    for words in [
        "slo.availability: 99.9 % over 30d",
        "page when over 1.44 % of events are bad in 1h and in 5m (8334 events a day or more",
        "ticket when over 0.1 % of events are bad in 3d and in 6h",
        "page after 5 bad events in a row within a day (from 348 events an hour on: 5 evaluations)",
        "a pair is judged once its short window and half of its long one were observed",
    ] {
        assert!(notes.contains(words), "{words}\n{notes}");
    }
}

#[test]
fn another_interval_counts_nothing_twice() {
    let mut world = World::new(SLO);
    run(&mut world, SLO, 8, 90, 10);
    world.replace(&format!("{SLO}[alerting]\ninterval = \"30s\"\n"));
    world.tick();
    let status = world.slo();
    assert_eq!((status.good, status.bad), (720, 80));
}

#[test]
fn labels_of_all_alerts_do_not_change_the_severity_of_one() {
    let mut world =
        World::new(&format!("{SLO}[alerting]\nlabels = {{ severity = \"info\", cluster = \"eu\" }}\n"));
    assert_eq!(run(&mut world, SLO, 4 * 60 * 3, 90, 10), ["page"]);
    assert_eq!(world.tick().firing[0].labels["cluster"], "eu");
}
