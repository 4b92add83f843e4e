//! Tests of the list: what comes back changed, what unchanged, and that nothing can break it.

use super::*;
use crate::sampling::MAX_OT_LENGTH;

/// The header after `th` is set.
fn with_threshold(header: &str, th: &str) -> String {
    let mut state = TraceState::parse(header);
    state.set_threshold(Some(Threshold::parse(th).unwrap()));
    state.header().into_owned()
}

#[test]
fn a_changed_entry_moves_to_the_front_and_the_others_keep_their_order() {
    assert_eq!(
        with_threshold("rojo=00f067aa0ba902b7,ot=th:8;p:1,congo=t61", "c"),
        "ot=th:c;p:1,rojo=00f067aa0ba902b7,congo=t61"
    );
    assert_eq!(with_threshold("rojo=1, congo= 2\t,, a@b= x!", "0"), "ot=th:0,rojo=1,congo= 2,a@b= x!");
    assert_eq!(with_threshold("", "c"), "ot=th:c");
}

#[test]
fn an_unchanged_list_is_written_as_it_came() {
    for header in ["", "rojo=1 ,, ot=th:c0;x:1,congo=2", "ot=th:c", "ot=broken,a=1", "no list at all: \u{7}ü"]
    {
        let mut state = TraceState::parse(header);
        let (threshold, randomness) = (state.ot().threshold, state.ot().randomness);
        state.set_threshold(threshold);
        state.set_randomness(randomness);
        assert_eq!(state.header(), header);
    }
}

#[test]
fn an_entry_with_nothing_left_is_not_written() {
    let mut state = TraceState::parse("a=1,ot=th:c,b=2");
    state.set_threshold(None);
    assert_eq!(state.header(), "a=1,b=2");
    let mut alone = TraceState::parse("ot=rv:ce929d0e0e4736");
    alone.set_randomness(None);
    assert_eq!(alone.header(), "");
}

#[test]
fn a_malformed_entry_counts_as_absent_and_is_dropped_when_the_list_is_rewritten() {
    assert_eq!(with_threshold("a=1,ot=th:0;th:0;x:1,b=2", "c"), "ot=th:c,a=1,b=2");
    assert_eq!(with_threshold("ot=,ot=th:0;x:1", "c"), "ot=th:c", "the first is the newest");
    assert_eq!(with_threshold("a,=b,A=1,c=,d=1=2,e=ü,f=\u{7},g=1", "c"), "ot=th:c,g=1");
    let absent = TraceState::parse("ot=th:0;");
    assert!(absent.ot().is_empty());
}

#[test]
fn the_random_value_is_rv_or_the_end_of_the_trace_id() {
    let id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    assert_eq!(TraceState::parse("a=1").randomness(id).to_string(), "ce929d0e0e4736");
    assert_eq!(TraceState::parse("ot=rv:0123456789abcd").randomness(id).to_string(), "0123456789abcd");
    assert_eq!(TraceState::parse("ot=rv:123").randomness(id).to_string(), "ce929d0e0e4736");
}

#[test]
fn at_most_thirty_two_members_are_written() {
    let many: Vec<String> = (0..40).map(|i| format!("k{i}=v")).collect();
    let written = with_threshold(&many.join(","), "c");
    assert_eq!(written.split(',').count(), 32);
    assert!(written.starts_with("ot=th:c,k0=v,") && written.ends_with(",k30=v"));
    let late = with_threshold(&format!("{},ot=x:1", many.join(",")), "c");
    assert!(late.starts_with("ot=th:c;x:1,k0=v,"), "an entry beyond the limit is still found");
}

#[test]
fn long_members_go_first_and_then_the_last_ones() {
    let (long, short) = ("l".repeat(130), "s".repeat(110));
    let list = format!("a={long},b={short},c={long},d={short},e={short}");
    assert_eq!(with_threshold(&list, "c"), format!("ot=th:c,a={long},b={short},d={short},e={short}"));
    let fours: Vec<String> = "abcdef".chars().map(|key| format!("{key}={short}")).collect();
    assert_eq!(with_threshold(&fours.join(","), "c"), format!("ot=th:c,{}", fours[..4].join(",")));
    let filled = |last: usize| {
        let long = "x".repeat(124);
        with_threshold(&format!("a={long},b={long},c={long},d={}", "x".repeat(last)), "c")
    };
    assert_eq!(filled(121).len(), 512);
    assert_eq!(filled(122).len(), 512 - 124, "one character too many costs the last member");
}

/// Random lists of likely and unlikely pieces: whatever comes, what is written is a list within its limits
/// that reads back as what was meant.
#[test]
fn no_input_breaks_it() {
    let pieces = [
        "ot",
        "=",
        ",",
        ";",
        ":",
        "th",
        "rv",
        "th:c",
        "rv:ce929d0e0e4736",
        "ot=th:8;a:b",
        " ",
        "\t",
        "k",
        "k=v",
        "K",
        "0",
        "é",
        "\u{0}",
        "\u{1F600}",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "x:1",
        "ffffffffffffff",
        "@",
        "~",
    ];
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..30_000 {
        let header: String = (0..random.usize(..60)).map(|_| *random.choice(&pieces).unwrap()).collect();
        let mut state = TraceState::parse(&header);
        assert_eq!(state.header(), header);
        let threshold = Threshold::from_bits(random.u64(..1 << 56) << random.u32(..56) & ((1 << 56) - 1));
        state.set_threshold(threshold);
        state.set_randomness(random.bool().then(|| Randomness::from_bits(random.u64(..))));
        let written = state.header().into_owned();
        let back = TraceState::parse(&written);
        assert_eq!((back.ot().threshold, back.ot().randomness), (threshold, state.ot().randomness));
        if state.changed {
            assert!(
                written.len() <= MAX_STATE_LENGTH && written.split(',').count() <= MAX_MEMBERS,
                "{written}"
            );
            assert!(written.bytes().all(|b| matches!(b, b' '..=b'~')), "{written:?}");
            assert!(back.ot().to_string().len() <= MAX_OT_LENGTH);
            assert!(state.others.starts_with(&back.others) || header.len() > MAX_STATE_LENGTH);
        }
    }
}
