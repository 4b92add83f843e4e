//! What cannot work is refused, with the form that does.

use crate::world::plan;

fn refused(text: &str) -> Vec<String> {
    let faults = plan(&format!("[alert.x]\n{text}\n")).map(|_| ()).expect_err(text);
    faults.iter().map(|fault| format!("{}: {}", fault.path.join("."), fault.message)).collect()
}

/// What is asked for, and part of what is said of it.
const MISTAKES: [(&str, &str); 23] = [
    (
        "quantile = \"predictions_total\"\nq = 0.95\nabove = 1",
        "alert.x.quantile: `predictions_total` is a counter, which has no quantile",
    ),
    (
        "gauge = \"prediction_confidence\"\nbelow = 0.6",
        "write `quantile = \"prediction_confidence\"` with `q`",
    ),
    ("gauge = \"prediction_confidence\"\nbelow = 0.6", "`under` for the share"),
    ("gauge = \"predictions_total\"\nabove = 1", "it only rises"),
    ("rate = \"model_loaded\"\nabove = 1", "write `gauge = \"model_loaded\"`"),
    ("rate = \"api_errors_total\"\nabove = 0.05", "fires when traffic grows"),
    (
        "rate = \"api_errors_total\"\nabove = 0.05",
        "`ratio = \"api_errors_total\"`, `of = \"http_server_request_duration_seconds\"`",
    ),
    (
        "increase = \"predictions_total\"\nwhere = { outcome = \"timeout\" }\nabove = 5",
        "fires when traffic grows",
    ),
    (
        "rate = \"http_server_request_duration_seconds\"\nwhere = { http_response_status_code = \"500\" }\nabove = 5",
        "fires when traffic grows",
    ),
    ("gauge = \"up\"\nequals = 0", "`up` is Prometheus' and says only that a scrape worked"),
    (
        "ratio = \"api_errors_total\"\nof = \"predictions_total\"\nby = [\"model\"]\nabove = 0.1",
        "`api_errors_total` has no label `model`, so that part and whole never match (group by a label that both have: route",
    ),
    (
        "rate = \"predictions_totals\"\nbelow = 1",
        "there is no metric `predictions_totals` (did you mean `predictions_total`?)",
    ),
    (
        "quantile = \"prediction_confidence_bucket\"\nq = 0.5\nbelow = 1",
        "is part of the histogram `prediction_confidence`",
    ),
    (
        "gauge = \"model_loaded\"\nwhere = { route = \"a\" }\nequals = 0",
        "alert.x.where.route: `model_loaded` has no label `route` (it has: model, model_version)",
    ),
    ("rate = \"predictions_total\"\nwhere = { instance = \"a\" }\nbelow = 1", "only Prometheus writes it"),
    (
        "rate = \"predictions_total\"\nwhere = { outcome = \"error\" }\nbelow = 1",
        "`outcome` is never `error` (it is one of: ok,",
    ),
    ("ratio = \"prediction_confidence\"\nunder = 0.55\nabove = 0.5", "has no edge at `0.55`"),
    ("ratio = \"api_errors_total\"\nunder = 0.5\nabove = 0.5", "is a counter, which has no edges"),
    (
        "plugin = \"confidence\"\ncondition = \"low\"",
        "declares no condition `low` (it declares: low_confidence)",
    ),
    (
        "plugin = \"drift\"\ncondition = \"low\"",
        "the plugin `drift` declares no condition, or is not configured (these do: confidence)",
    ),
    (
        "rate = \"predictions_total\"\nbelow = 1\nannotations = { s = \"{{ $labels.model }}\" }",
        "alert.x.annotations.s: `{{ $labels.model }}` would be empty",
    ),
    (
        "rate = \"predictions_total\"\nbelow = 1\nlabels = { s = \"{{ $value }}\" }",
        "alert.x.labels.s: a label that changes with the value",
    ),
    ("rate = \"predictions_total\"\nbelow = 1\nannotations = { s = \"{{ $value\" }", "`{{` is not closed"),
];

#[test]
fn the_mistakes_everybody_makes_are_refused_with_the_right_form() {
    for (text, words) in MISTAKES {
        let faults = refused(text);
        assert!(faults.iter().any(|fault| fault.contains(words)), "{text}\n{words}\n{faults:#?}");
    }
}

#[test]
fn every_fault_of_a_rule_is_found_at_once() {
    let faults = refused(
        "rate = \"predictions_total\"\nwhere = { modle = \"a\", outcome = \"bad\" }\nby = [\"rout\"]\nbelow = 1",
    );
    assert_eq!(faults.len(), 3, "{faults:#?}");
}

#[test]
fn what_can_work_is_taken() {
    for text in [
        "rate = \"predictions_total\"\nbelow = 1",
        "increase = \"predictions_total\"\nwhere = { outcome = \"ok\" }\nabove = 1000000",
        "ratio = \"predictions_total\"\nwhere = { outcome = [\"timeout\", \"model_error\"] }\nby = [\"route\", \"model\"]\nabove = 0.1",
        "ratio = \"prediction_confidence\"\nunder = 0.6\nabove = 0.5",
        "quantile = \"prediction_confidence\"\nq = 0.1\nbelow = 0.5\nby = [\"model\"]",
        "gauge = \"model_loaded\"\naggregate = \"min\"\nby = [\"model\"]\nequals = 0",
        "absent = \"model_loaded\"",
        "plugin = \"confidence\"\ncondition = \"low_confidence\"\nwhere = { route = \"churn\" }",
    ] {
        assert!(plan(&format!("[alert.x]\n{text}\n")).is_ok(), "{text}");
    }
}
