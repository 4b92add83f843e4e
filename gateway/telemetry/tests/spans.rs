//! Spans of exchanges that no test of the binary can make happen at will.

use std::sync::Arc;

use smallvec::smallvec;
use weir_exchange::{
    End, HeadSample, KeptTrace, ObservedRoute, Outcome, SpanFacts, Timing, TraceIds, Traced,
};
use weir_telemetry::spans::spans;

const SECOND: u64 = 1_000_000_000;

fn kept(threshold: Option<u64>, judged_after: u64) -> KeptTrace {
    let ids = TraceIds { trace_id: 7, span_id: 9, head: HeadSample::Out, ..TraceIds::default() };
    let timing = Timing { start_unix_ns: 100 * SECOND, end_ns: SECOND, ..Timing::default() };
    let facts = SpanFacts { method: "POST", version: "1.1", ..SpanFacts::default() };
    KeptTrace {
        traced: Traced {
            ids,
            timing,
            status: 200,
            end: End::Complete,
            error: None,
            outcome: Outcome::Ok,
            request_bytes: 1,
            response_bytes: 1,
            rows: 1,
            observed: 1.0,
            facts: Some(Box::new(facts)),
        },
        route: Arc::new(ObservedRoute::named("churn", None)),
        model: "churn".into(),
        model_version: Arc::default(),
        reasons: smallvec!["sampler:error".into()],
        threshold,
        judged_unix_ns: timing.start_unix_ns + timing.end_ns + judged_after,
        partial: true,
    }
}

#[test]
fn judging_that_lags_has_a_span_linked_to_the_request() {
    assert_eq!(spans(&kept(Some(0), SECOND / 2)).len(), 1);
    let spans = spans(&kept(Some(0), 3 * SECOND));
    let [request, observe] = &spans[..] else { panic!("two spans, not {}", spans.len()) };
    assert_eq!((observe.name.as_str(), &observe.links[0].span_id), ("weir.observe", &request.span_id));
    assert_eq!(observe.end_time_unix_nano - observe.start_time_unix_nano, 3 * SECOND);
    assert_eq!(weir_telemetry::spans::spans(&kept(Some(0), 3 * SECOND)).len(), 1, "once a second");
}

#[test]
fn a_threshold_is_written_as_open_telemetry_writes_it_and_an_unknown_one_not_at_all() {
    let state = |threshold| spans(&kept(threshold, 0))[0].trace_state.clone();
    assert_eq!(state(Some(0)), "ot=th:0");
    assert_eq!(state(Some(0xc0_0000_0000_0000)), "ot=th:c");
    assert_eq!(state(Some(0xfd_70a3_d70a_3d71)), "ot=th:fd70a3d70a3d71");
    assert_eq!(state(None), "");
    let mut half = kept(Some(0), 0);
    half.traced.observed = 0.5;
    assert_eq!(spans(&half)[0].trace_state, "", "chance beside the trace's own had a part");
    assert_eq!(half.probability(), Some(0.5));
}
