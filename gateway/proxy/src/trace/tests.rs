use super::*;

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const ALL: Propagation = Propagation { w3c: true, b3: true, b3multi: true };

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    fields.iter().map(field).collect()
}

fn joined(fields: &[(&str, &str)], rule: Option<&TraceRule>) -> Joined {
    let headers = map(fields);
    join(&Gist::of(&headers), &headers, rule)
}

fn rule(share: f64, callers: Callers, propagate: Propagation) -> TraceRule {
    let tracing = Tracing { otlp: None, sample: share, callers, propagate, rest: 0, budget: 0 };
    TraceRule::new(&tracing, share)
}

/// What the model server gets when `span` is its parent.
fn sent(trace: &Joined, span: u64) -> HeaderMap {
    let mut sent = HeaderMap::new();
    trace.write(span, &mut sent);
    sent
}

#[test]
fn a_valid_parent_keeps_its_trace_flag_and_state_and_gets_a_new_span() {
    let trace = joined(&[("traceparent", PARENT), ("tracestate", "a=1")], None);
    assert_eq!((trace.ids.trace_id, trace.ids.parent_id), (TRACE, 0x00f0_67aa_0ba9_02b7));
    assert!(trace.ids.sampled() && trace.passes_state());
    assert_ne!(trace.ids.span_id, 0x00f0_67aa_0ba9_02b7);
    let sent = sent(&trace, 0xab);
    assert_eq!(sent["traceparent"], format!("00-{TRACE:032x}-00000000000000ab-01"));
    assert!(!sent.contains_key("tracestate"), "it passes with the client's other fields");
}

#[test]
fn a_parent_that_is_not_one_starts_a_new_trace_without_state() {
    for bad in [
        "",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    ] {
        let trace = joined(&[("traceparent", bad)], None);
        assert_ne!(trace.ids.trace_id, TRACE, "{bad}");
        assert!(!trace.ids.sampled() && !trace.passes_state(), "{bad}");
        assert_eq!(trace.ids.parent_id, 0, "{bad}");
    }
    let later = format!("01-{}", &PARENT[3..]);
    assert_eq!(joined(&[("traceparent", &later)], None).ids.trace_id, TRACE);
}

#[test]
fn the_random_flag_passes_and_is_set_where_a_trace_begins() {
    let random = format!("{}3", &PARENT[..54]);
    assert!(sent(&joined(&[("traceparent", &random)], None), 1)["traceparent"].as_bytes().ends_with(b"-03"));
    assert!(sent(&joined(&[("traceparent", PARENT)], None), 1)["traceparent"].as_bytes().ends_with(b"-01"));
    assert!(sent(&joined(&[], None), 1)["traceparent"].as_bytes().ends_with(b"-02"));
}

#[test]
fn a_trace_that_begins_here_is_sampled_by_its_random_value_and_says_with_which_threshold() {
    let quarter = rule(0.25, Callers::Honour, Propagation::W3C);
    let (mut sampled, n) = (0, 4000);
    for _ in 0..n {
        let trace = joined(&[], Some(&quarter));
        let kept = trace.ids.randomness >= 0xc0_0000_0000_0000;
        assert_eq!(trace.ids.randomness, (trace.ids.trace_id & ((1 << 56) - 1)) as u64);
        assert_eq!(trace.ids.sampled(), kept);
        let state = sent(&trace, 1).get("tracestate").cloned();
        assert_eq!(state, kept.then(|| HeaderValue::from_static("ot=th:c")));
        if kept {
            assert_eq!(trace.ids.head, HeadSample::In(0xc0_0000_0000_0000));
            sampled += 1;
        }
    }
    // Six standard errors.
    assert!((836..1164).contains(&sampled), "{sampled} of {n}");
    assert!(joined(&[], Some(&rule(1.0, Callers::Honour, ALL))).ids.sampled());
    assert!(!joined(&[], Some(&rule(0.0, Callers::Honour, ALL))).ids.sampled());
}

#[test]
fn a_caller_that_samples_says_with_which_probability_or_nobody_knows_it() {
    let rule = rule(0.0, Callers::Honour, Propagation::W3C);
    let head = |parent: &str, state: &str| {
        let trace = joined(&[("traceparent", parent), ("tracestate", state)], Some(&rule));
        assert!(trace.passes_state());
        trace.ids.head
    };
    // The random value is 0xce929d0e0e4736 or the one that is given.
    assert_eq!(head(PARENT, "ot=th:8"), HeadSample::In(0x80_0000_0000_0000));
    assert_eq!(head(PARENT, "a=1,ot=th:8;rv:90000000000000"), HeadSample::In(0x80_0000_0000_0000));
    assert_eq!(
        head(PARENT, "ot=th:8;rv:70000000000000"),
        HeadSample::Unknown,
        "the two contradict each other"
    );
    assert_eq!(head(PARENT, "ot=th:x"), HeadSample::Unknown);
    assert_eq!(head(PARENT, ""), HeadSample::Unknown);
    assert_eq!(head(UNSAMPLED, "ot=th:8"), HeadSample::Out);
}

#[test]
fn a_caller_that_is_not_honoured_keeps_its_trace_and_its_random_value() {
    let half = rule(0.5, Callers::Ignore, Propagation::W3C);
    let trace = joined(
        &[("traceparent", UNSAMPLED), ("tracestate", "a=1,ot=th:f;rv:90000000000000"), ("tracestate", "b=2")],
        Some(&half),
    );
    assert_eq!((trace.ids.trace_id, trace.ids.head), (TRACE, HeadSample::In(0x80_0000_0000_0000)));
    assert!(!trace.passes_state());
    assert_eq!(sent(&trace, 1)["tracestate"], "ot=th:8;rv:90000000000000,a=1,b=2");
    assert!(sent(&trace, 1)["traceparent"].as_bytes().ends_with(b"-01"));

    let none = rule(0.0, Callers::Ignore, Propagation::W3C);
    let trace = joined(&[("traceparent", PARENT), ("tracestate", "ot=th:8")], Some(&none));
    assert_eq!(trace.ids.head, HeadSample::Out);
    assert!(!sent(&trace, 1).contains_key("tracestate"), "no threshold where nothing was sampled");
}

#[test]
fn b3_is_read_in_both_forms_behind_w3c_and_written_in_those_asked_for() {
    let rule = rule(0.0, Callers::Honour, ALL);
    let single = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90";
    let multi =
        [("x-b3-traceid", "64fe8b2a57d3eff7"), ("x-b3-spanid", "e457b5a2e4d86bd1"), ("x-b3-sampled", "0")];
    let trace = joined(&[("b3", single)], Some(&rule));
    assert_eq!(trace.ids.trace_id, 0x80f1_98ee_5634_3ba8_64fe_8b2a_57d3_eff7);
    assert_eq!((trace.ids.parent_id, trace.ids.head), (0xe457_b5a2_e4d8_6bd1, HeadSample::Unknown));
    let trace = joined(&multi, Some(&rule));
    assert_eq!((trace.ids.trace_id, trace.ids.head), (0x64fe_8b2a_57d3_eff7, HeadSample::Out));
    let both = [&multi[..], &[("traceparent", PARENT)]].concat();
    let trace = joined(&both, Some(&rule));
    assert_eq!(trace.ids.trace_id, TRACE);
    let (out, own) = (sent(&trace, 0xab), trace.ids.span_id);
    assert_eq!(out["b3"], format!("{TRACE:032x}-00000000000000ab-1-{own:016x}"));
    let multi = ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-parentspanid"].map(|name| &out[name]);
    let expect = [format!("{TRACE:032x}"), "00000000000000ab".into(), "1".into(), format!("{own:016x}")];
    assert_eq!(multi.map(|value| value.to_str().unwrap()), expect.each_ref().map(|text| &**text));
    assert!(out.contains_key("traceparent") && trace.owns(&HeaderName::from_static("x-b3-flags")));

    let plain = joined(&[("b3", single)], None);
    assert_eq!(
        (plain.ids.parent_id, plain.owns(&HeaderName::from_static("b3"))),
        (0, false),
        "not asked for"
    );
    assert_eq!(joined(&[("b3", "0")], Some(&rule)).ids.head, HeadSample::Out);
    assert_eq!(joined(&[("x-b3-flags", "1")], Some(&rule)).ids.head, HeadSample::Unknown);
    for bad in ["", "1-2-3", "80f198ee56343ba864fe8b2a57d3eff7", "00000000000000000-e457b5a2e4d86bd1-1"] {
        assert_eq!(joined(&[("b3", bad)], Some(&rule)).ids.parent_id, 0, "{bad}");
    }
}
