//! `weir alert test` and what `weir check` says of rules.

use std::fs;
use std::process::{Command, Output};

use support::pager::{Pager, labels};
use support::{Patient, nobody};

use crate::{NOT_LOADED, WEIR, configuration, webhook};

/// Runs `weir COMMAND... --config FILE` over a configuration; also gives the file's name.
#[track_caller]
fn weir(command: &[&str], toml: &str) -> (Output, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("weir.toml");
    fs::write(&config, toml).expect("it can be written");
    let output = Command::new(WEIR).args(command).arg("--config").arg(&config).output();
    (output.expect("the binary starts"), config.display().to_string())
}

/// Exit code, standard output, standard error.
fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("words are UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_test_alert_reaches_everybody_and_says_whom_it_did_not_reach() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let toml = configuration(&patient, &webhook("pager", &pager.url()), NOT_LOADED);
    let (code, out, err) = said(&weir(&["alert", "test", "ModelNotLoaded"], &toml).0);
    assert_eq!(code, Some(0), "{err}");
    let place = pager.url().replace("/page", "");
    assert!(out.contains(&format!("webhook:pager: told (at {place})\n")), "{out}");
    let told = pager.told();
    let expect = [
        ("alertname", "ModelNotLoaded"),
        ("instance", "gateway-1"),
        ("severity", "critical"),
        ("test", "true"),
    ];
    assert_eq!((told.len(), &*told[0].status, &told[0].labels), (1, "firing", &labels(&expect)));
    assert_eq!(told[0].annotations["summary"], "A test, sent by hand: nothing is wrong.");

    let nobody = format!("http://{}/secret", nobody());
    let both = format!("{}{}", webhook("away", &nobody), webhook("pager", &pager.url()));
    let (code, out, _) =
        said(&weir(&["alert", "test", "ModelNotLoaded"], &configuration(&patient, &both, NOT_LOADED)).0);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("webhook:away: NOT told (at ") && out.contains("webhook:pager: told"), "{out}");
    assert!(!out.contains("secret"), "{out}");
    assert_eq!(pager.told().len(), 2);
}

#[test]
fn a_test_alert_needs_a_rule_and_somebody_to_tell() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let toml = configuration(&patient, &webhook("pager", &pager.url()), NOT_LOADED);
    let (code, _, err) = said(&weir(&["alert", "test", "ModelNotLoded"], &toml).0);
    assert_eq!(code, Some(1));
    assert!(err.contains("`ModelNotLoded`") && err.contains("there is: ModelNotLoaded"), "{err}");
    let (code, _, err) =
        said(&weir(&["alert", "test", "ModelNotLoaded"], &configuration(&patient, "", NOT_LOADED)).0);
    assert_eq!(code, Some(1));
    assert!(err.contains("names no receiver"), "{err}");
    assert_eq!(pager.told(), []);
}

/// The course's rules as they stand there, and its objective over `up`.
const MISTAKES: &str = r#"[alert.HighErrorRate]
rate = "api_errors_total"
above = 0.05
[alert.HighLatency]
quantile = "predictions_total"
q = 0.95
above = 1.0
[alert.LowConfidence]
gauge = "prediction_confidence"
aggregate = "avg"
below = 0.6
[alert.SuccessRate]
ratio = "predictions_total"
of = "api_errors_total"
by = ["error_type"]
below = 0.99
[alert.ApiAvailability]
gauge = "up"
below = 0.999
"#;

#[test]
fn check_refuses_the_course_s_mistakes_each_at_its_place_with_the_form_that_works() {
    let patient = Patient::start();
    let (output, config) = weir(&["check"], &format!("{MISTAKES}{}", patient.route()));
    let (code, _, err) = said(&output);
    assert_eq!(code, Some(1), "{err}");
    for (place, words, form) in [
        (
            "2:8: alert.HighErrorRate.rate: ",
            "fires when traffic grows",
            "`ratio = \"api_errors_total\"`, `of = \"http_server",
        ),
        (
            "5:12: alert.HighLatency.quantile: ",
            "only a histogram has quantiles",
            "`predictions_total` is a counter",
        ),
        (
            "9:9: alert.LowConfidence.gauge: ",
            "its average says nothing",
            "`ratio = \"prediction_confidence\"` with `under`",
        ),
        ("15:7: alert.SuccessRate.by[0]: ", "never match", "group by a label that both have: route"),
        ("18:9: alert.ApiAvailability.gauge: ", "not that anybody was served", "`[slo.availability]`"),
    ] {
        let place = format!("{config}:{place}");
        let fault = err
            .split("\n\n")
            .find(|fault| fault.contains(&place))
            .unwrap_or_else(|| panic!("no {place} in: {err}"));
        assert!(fault.contains(words) && fault.contains(form), "{place}: {fault}");
    }
    assert!(err.contains("5 faults in"), "{err}");
}
