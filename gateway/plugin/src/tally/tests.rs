//! Counts against what can be said of them without the code: by hand, by another split, by another way round.

use std::sync::Arc;

use weir_exchange::{Batch, Column, ColumnData, Kind, ObservedRoute, Outcome, Role, Schema, SchemaId};
use weir_profile::{Cell, Feature, FeatureCounts, FeatureKind, Profile};
use weir_stats::drift::{Bins, Groups};

use super::compare::Against;
use super::file::{Found, Keep};
use super::rows::Scratch;
use super::set::{Owner, Tallies};
use super::wish::{Shape, Wish};
use super::{Lost, Tally};
use crate::windows::Windows;

const SECOND: u64 = 1_000_000_000;
pub(super) const SPAN: u64 = 60 * SECOND;
/// Begin of a window.
pub(super) const T0: u64 = 30_000_000 * SPAN;
pub(super) const NOBODY: Lost = Lost { total: None, share: 1.0 };

pub(super) fn number(name: &str, reference: &[f64]) -> (Feature, FeatureCounts) {
    let bins = Bins::of(reference).unwrap();
    let groups = bins.deciles();
    let counts = FeatureCounts { bins: bins.count(reference).bins, missing: 0.0 };
    (Feature::new(name.into(), Role::Input, FeatureKind::Number { bins, integers: false }, groups), counts)
}

fn category(name: &str, texts: &[&str], rows: &[f64]) -> (Feature, FeatureCounts) {
    let texts = texts.iter().map(|text| Arc::from(*text)).collect();
    let groups = Groups::new((0..rows.len()).collect());
    let counts = FeatureCounts { bins: rows.to_vec(), missing: 0.0 };
    (Feature::new(name.into(), Role::Input, FeatureKind::Category { texts }, groups), counts)
}

pub(super) fn profile(features: Vec<(Feature, FeatureCounts)>) -> Profile {
    let (features, counts): (Vec<Feature>, Vec<FeatureCounts>) = features.into_iter().unzip();
    let rows = counts.first().map_or(0.0, |counts| counts.bins.iter().sum());
    let cells = vec![Cell { slot: None, segment: None, rows, distinct: rows, counts }];
    Profile { digest: "d".into(), window_rows: 100, features, cells, ..Profile::default() }
}

/// Ages 0 to 99 and colours.
pub(super) fn simple() -> Profile {
    let ages: Vec<f64> = (0..100).map(f64::from).collect();
    profile(vec![number("age", &ages), category("colour", &["red", "blue"], &[60.0, 40.0, 0.0])])
}

pub(super) fn wish(segment: Option<&str>) -> Wish {
    let segments = if segment.is_some() { 2 } else { 0 };
    let shape = Shape { span_ns: SPAN, segment: segment.map(str::to_owned), segments, entity: Vec::new() };
    Wish { name: "t".into(), shape, keep: 3, exported: None, run_length: 0 }
}

pub(super) struct Rows(pub(super) Batch);

/// A batch at a time, one row an exchange.
pub(super) fn rows(at_ns: u64, count: usize) -> Rows {
    let schema = Schema {
        id: SchemaId(1),
        version: 1,
        route: "r".into(),
        model: "m".into(),
        model_version: "1".into(),
        classification: None,
        columns: Vec::new(),
    };
    Rows(Batch {
        sequence: 1,
        route: Arc::new(ObservedRoute::named("r", None)),
        schema: Arc::new(schema),
        rows: count,
        exchanges: count,
        row_exchange: (0..count as u32).collect(),
        columns: Vec::new(),
        outcomes: vec![Outcome::Ok; count],
        trace_ids: vec![0; count],
        probabilities: vec![1.0; count],
        closed_unix_ns: at_ns,
    })
}

impl Rows {
    fn column(mut self, role: Role, name: &str, texts: Option<&[&str]>, data: ColumnData) -> Self {
        let codes = texts.unwrap_or_default().iter().map(|text| Arc::from(*text)).collect();
        let kind = if texts.is_some() { Kind::Code } else { Kind::Number };
        let schema = Arc::make_mut(&mut self.0.schema);
        schema.columns.push(Column { role, name: name.into(), kind, codes });
        self.0.columns.push(data);
        self
    }

    pub(super) fn numbers(self, name: &str, values: &[f64]) -> Self {
        self.column(Role::Input, name, None, ColumnData::Number(values.to_vec()))
    }

    pub(super) fn scores(self, name: &str, values: &[f64]) -> Self {
        self.column(Role::Score, name, None, ColumnData::Number(values.to_vec()))
    }

    pub(super) fn texts(self, name: &str, texts: &[&str], codes: &[u32]) -> Self {
        self.column(Role::Input, name, Some(texts), ColumnData::Code(codes.to_vec()))
    }
}

pub(super) fn ages(at_ns: u64, values: &[f64]) -> Batch {
    rows(at_ns, values.len()).numbers("age", values).0
}

fn tally(profile: Profile, wish: Wish) -> Tally {
    Tally::new(wish, Arc::new(profile), T0)
}

fn count_of(tally: &mut Tally, batch: &Batch, lost: Lost) -> u64 {
    let late = tally.take_in(batch, lost, &mut Scratch::default()).late;
    tally.count();
    late
}

fn count(tally: &mut Tally, batch: &Batch) -> u64 {
    count_of(tally, batch, NOBODY)
}

#[test]
fn counts_are_those_of_the_reference_however_batches_are_split() {
    let values: Vec<f64> = (0..1000).map(|i| f64::from(i * 7919 % 1013) / 9.0 - 3.0).collect();
    let exact = Bins::of(&(0..100).map(f64::from).collect::<Vec<_>>()).unwrap().count(&values);
    for size in [1, 7, 64, 1000] {
        let mut tally = tally(simple(), wish(None));
        values.chunks(size).for_each(|chunk| assert_eq!(count(&mut tally, &ages(T0, chunk)), 0));
        let part = &tally.open[0].whole;
        assert_eq!(part.bins[tally.layout.bins(0)], exact.bins, "batches of {size}");
        let side = &part.sides[0];
        assert_eq!((side.below, side.above), (exact.below as f64, exact.above as f64));
        assert_eq!(part.sides[1].missing, 1000.0, "there is no such column");
        assert_eq!((part.rows, part.weight, part.squares), (1000, 1000.0, 1000.0));
    }
}

#[test]
fn what_is_in_no_bin_is_told_apart() {
    let mut tally = tally(simple(), wish(None));
    let batch = rows(T0, 6)
        .numbers("age", &[f64::NAN, 5.0, f64::INFINITY, -1.0, f64::NAN, f64::NAN])
        .texts("age", &["old"], &[0, u32::MAX, u32::MAX, u32::MAX, u32::MAX, 0])
        .texts("colour", &["green", "blue", "red"], &[0, 1, 2, u32::MAX, 1, 1])
        .numbers("colour", &[1.0, f64::NAN, f64::NAN, 7.0, f64::NAN, f64::NAN]);
    count(&mut tally, &batch.0);
    tally.advance(T0 + 2 * SPAN, NOBODY);
    let age = tally.numbers(0, None).unwrap();
    assert_eq!((age.rows, age.missing, age.other_kind), (6.0, 1.0, 2.0));
    assert_eq!((age.below, age.above, age.infinite), (1.0, 1.0, 1.0));
    assert_eq!((age.min, age.max, age.varies), (-1.0, f64::INFINITY, true));
    let colour = tally.numbers(1, None).unwrap();
    assert_eq!((colour.rows, colour.missing, colour.other_kind, colour.unseen), (6.0, 0.0, 1.0, 1.0));
    assert_eq!(colour.bins, [1.0, 3.0, 1.0], "red, blue, other");
    assert!(colour.varies && colour.min.is_nan());
    assert!(tally.numbers(2, None).is_none() && tally.numbers(0, Some(0)).is_none());
}

#[test]
fn a_value_that_never_changes_does_not_vary() {
    let mut tally = tally(simple(), wish(None));
    count(&mut tally, &rows(T0, 2).numbers("age", &[0.0, -0.0]).texts("colour", &["x", "red"], &[1, 1]).0);
    // The same text has another code in another schema.
    let mut other = rows(T0, 1).texts("colour", &["red"], &[0]).0;
    Arc::make_mut(&mut other.schema).id = SchemaId(2);
    count(&mut tally, &other);
    let varies = |tally: &Tally| tally.open[0].whole.sides.iter().map(|side| side.varies).collect::<Vec<_>>();
    assert_eq!(varies(&tally), [false, false]);
    count(&mut tally, &rows(T0, 1).numbers("age", &[1.0]).0);
    assert_eq!(varies(&tally), [true, false]);
}

#[test]
fn rows_weigh_what_they_stand_for_and_what_was_not_answered_or_read_is_left_out() {
    let mut tally = tally(simple(), wish(None));
    let mut batch = ages(T0, &[1.0, 1.0, 50.0, 50.0, f64::NAN]);
    batch.probabilities = vec![0.5, 1.0, 0.25, 1.0, 1.0];
    batch.outcomes[3] = Outcome::Timeout;
    count(&mut tally, &batch);
    tally.advance(T0 + 2 * SPAN, NOBODY);
    let closed = tally.closed().unwrap();
    assert_eq!((closed.rows, closed.observed, closed.answered), (3, 7.0, 7.0));
    assert!((closed.effective - 49.0 / 21.0).abs() < 1e-12, "Kish: (sum w)^2 / sum w^2");
    let age = tally.numbers(0, None).unwrap();
    assert_eq!((age.rows, age.missing), (7.0, 0.0), "the last request was not read");
    assert_eq!(age.bins.iter().sum::<f64>(), 7.0);
    assert_eq!(age.bins[0], 3.0);
}

#[test]
fn a_row_without_a_value_in_a_request_that_was_read_is_missing() {
    let mut tally = tally(simple(), wish(None));
    let mut batch = ages(T0, &[1.0, f64::NAN]);
    (batch.row_exchange, batch.exchanges) = (vec![0, 0], 1);
    count(&mut tally, &batch);
    assert_eq!(tally.open[0].whole.sides[0].missing, 1.0);
    assert_eq!(tally.open[0].observed, 1.0);
}

#[test]
fn predictions_count_where_the_reply_was_read() {
    let mut features = vec![number("age", &[1.0, 2.0])];
    let (mut output, counts) = number("output", &[0.0, 1.0]);
    output.role = Role::Output;
    features.push((output, counts));
    let mut tally = tally(profile(features), wish(None));
    let batch = rows(T0, 3).numbers("age", &[1.0, 2.0, f64::NAN]);
    let output = ColumnData::Number(vec![1.0, f64::NAN, 0.0]);
    count(&mut tally, &batch.column(Role::Output, "output", None, output).0);
    let part = &tally.open[0].whole;
    assert_eq!(part.rows, 3);
    let filled = |at: usize| part.bins[tally.layout.bins(at)].iter().sum::<f64>();
    assert_eq!((filled(0), part.sides[0].missing), (2.0, 0.0));
    assert_eq!((filled(1), part.sides[1].missing), (2.0, 0.0));
}

#[test]
fn windows_close_on_time_wait_for_what_is_late_and_drop_what_nobody_takes() {
    let mut tally = tally(simple(), wish(None));
    count(&mut tally, &ages(T0 + 1, &[1.0]));
    // In the time that is left the next window has begun.
    count(&mut tally, &ages(T0 + SPAN, &[2.0, 2.0]));
    count(&mut tally, &ages(T0 + SPAN - 1, &[1.0]));
    tally.advance(T0 + SPAN + 2 * SECOND - 1, NOBODY);
    assert!(tally.closed().is_none());
    tally.advance(T0 + SPAN + 2 * SECOND, NOBODY);
    let closed = tally.closed().unwrap();
    assert_eq!((closed.begin_ns, closed.end_ns, closed.rows), (T0, T0 + SPAN, 2));
    assert_eq!(count(&mut tally, &ages(T0 + SPAN - 1, &[1.0])), 1, "too late");
    // Nobody takes them: two wait beside the one that runs.
    tally.advance(T0 + 3 * SPAN, NOBODY);
    count(&mut tally, &ages(T0 + 3 * SPAN, &[3.0]));
    tally.advance(T0 + 4 * SPAN + 2 * SECOND, NOBODY);
    let closed = tally.closed().unwrap();
    assert_eq!((closed.begin_ns, closed.rows, closed.dropped), (T0 + SPAN, 2, 1));
    // Years later: empty windows are not made one by one.
    tally.advance(T0 + 10_000_000 * SPAN + 2 * SECOND, NOBODY);
    let begins: Vec<u64> = tally.waiting.iter().map(|window| (window.begin_ns - T0) / SPAN).collect();
    assert_eq!(begins, [9_999_997, 9_999_998, 9_999_999]);
    assert_eq!(tally.closed().unwrap().dropped, 9_999_997);
    assert!(tally.open.len() + tally.waiting.len() <= super::MOST_WINDOWS);
}

#[test]
fn a_tally_far_ahead_of_the_clock_begins_anew() {
    let mut ahead = tally(simple(), wish(None));
    window(&mut ahead, 1000, &[1.0]);
    while let Some(begin_ns) = ahead.front().map(|front| front.begin_ns) {
        ahead.done(begin_ns, true);
    }
    window(&mut ahead, 1001, &[1.0]);
    count(&mut ahead, &ages(T0 + 1002 * SPAN, &[1.0]));
    let front_ns = ahead.front_ns;
    assert!(!ahead.set_back(front_ns - 2 * SPAN), "a clock may be a little behind");
    assert_eq!((ahead.front_ns, ahead.past.len(), ahead.open.len()), (front_ns, 3, 1));
    let now_ns = T0 + 5 * SPAN + 7;
    assert!(ahead.set_back(now_ns) && !ahead.set_back(now_ns));
    assert_eq!((ahead.front_ns, ahead.last_look_ns), (T0 + 5 * SPAN, Some(T0 + 5 * SPAN)));
    assert_eq!((ahead.open.len(), ahead.waiting.len(), ahead.past.len(), ahead.dropped), (0, 0, 0, 2));
    assert!(ahead.last.is_none() && ahead.counted_ns == now_ns);
    assert_eq!(count(&mut ahead, &ages(now_ns, &[1.0])), 0, "nothing is late");
}

#[test]
fn segments_of_the_profile_come_first_and_the_rest_as_they_come() {
    let mut known = simple();
    known.segment = Some("colour".into());
    let blue = Cell { segment: Some("blue".into()), ..known.cells[0].clone() };
    known.cells.push(blue);
    let mut tally = tally(known, wish(Some("colour")));
    let batch = rows(T0, 4).numbers("age", &[1.0, 2.0, 3.0, 4.0]).texts(
        "colour",
        &["unused", "red", "blue", "green"],
        &[1, 3, 2, 1],
    );
    count(&mut tally, &batch.0);
    tally.advance(T0 + 2 * SPAN, NOBODY);
    let segments = tally.closed().unwrap().segments;
    let told: Vec<(&str, u64)> = segments.iter().map(|segment| (&*segment.name, segment.rows)).collect();
    assert_eq!(told, [("blue", 1), ("red", 2)], "there is room for two");
    assert_eq!(tally.numbers(0, Some(1)).unwrap().rows, 2.0);
    assert_eq!(tally.numbers(0, None).unwrap().rows, 4.0);
    assert!(tally.compare(0, Some(0), Against::Profile).is_some());
    assert!(tally.compare(0, Some(1), Against::Profile).is_none(), "the profile has no cell for it");
    assert!(tally.compare(0, Some(0), Against::Trailing(1)).is_none());
}

#[test]
fn segments_may_be_numbers() {
    let mut tally = tally(simple(), wish(Some("age")));
    count(&mut tally, &ages(T0, &[1.0, 2.5, 1.0, f64::NAN, 9.0]));
    assert_eq!(tally.segments.names.iter().map(|name| &**name).collect::<Vec<_>>(), ["1", "2.5"]);
}

#[test]
fn rows_that_repeat_know_no_more() {
    let mut known = simple();
    known.rows_distinct = true;
    let mut tally = tally(known, wish(None));
    let values: Vec<f64> = (0..100).map(|i| f64::from(i % 20)).collect();
    count(&mut tally, &ages(T0, &values));
    // The same values in columns of another order are the same rows.
    let other = rows(T0, 20).texts("colour", &["red"], &[u32::MAX; 20]).numbers("age", &values[..20]);
    let mut other = other.0;
    Arc::make_mut(&mut other.schema).id = SchemaId(2);
    count(&mut tally, &other);
    tally.advance(T0 + 2 * SPAN, NOBODY);
    let closed = tally.closed().unwrap();
    assert_eq!((closed.rows, closed.distinct, closed.effective), (120, 20.0, 20.0));
    let compared = tally.compare(0, None, Against::Profile).unwrap();
    assert!((compared.values.m - 20.0).abs() < 1e-9 && compared.values.n == 100.0);
}

#[test]
fn an_entity_tells_rows_apart() {
    let mut wish = wish(None);
    wish.shape.entity = vec!["colour".into()];
    let mut tally = tally(simple(), wish);
    let batch = rows(T0, 4).numbers("age", &[1.0, 2.0, 3.0, 4.0]).texts("colour", &["a", "b"], &[0, 1, 0, 1]);
    count(&mut tally, &batch.0);
    tally.advance(T0 + 2 * SPAN, NOBODY);
    assert_eq!(tally.closed().unwrap().effective, 2.0);
}

/// A window with these ages, closed.
fn window(tally: &mut Tally, number: u64, values: &[f64]) {
    count(tally, &ages(T0 + number * SPAN, values));
    tally.advance(T0 + (number + 1) * SPAN + 2 * SECOND, NOBODY);
}

#[test]
fn windows_are_compared_with_the_profile_what_was_before_and_another_version() {
    let mut tally = tally(simple(), wish(None));
    let even: Vec<f64> = (0..100).map(f64::from).collect();
    let shifted: Vec<f64> = even.iter().map(|x| x / 2.0).collect();
    window(&mut tally, 0, &even);
    let same = tally.compare(0, None, Against::Profile).unwrap();
    assert_eq!((same.values.x2, same.values.n, same.values.m), (0.0, 100.0, 100.0));
    assert!(same.effects.is_some() && same.wasserstein.is_some() && same.ks_p > 0.99);
    assert!(tally.compare(0, None, Against::Trailing(3)).is_none(), "nothing is done yet");
    tally.done(T0, true);
    window(&mut tally, 1, &shifted);
    let compare = |against| tally.compare(0, None, against);
    let moved = compare(Against::Profile).unwrap();
    assert!(moved.values.alarm_p < 1e-6 && moved.values.psi.corrected > 0.5, "{moved:?}");
    assert_eq!(compare(Against::Earlier(SPAN)).unwrap().values.x2, moved.values.x2);
    assert_eq!(compare(Against::Trailing(1)).unwrap().values.x2, moved.values.x2);
    assert!(compare(Against::Earlier(2 * SPAN)).is_none() && compare(Against::Earlier(u64::MAX)).is_none());
    let closed = tally.closed().unwrap();
    assert_eq!((closed.last_look_ns, closed.unlooked), (Some(T0 + SPAN), 0));
    tally.done(T0 + SPAN, false);
    window(&mut tally, 2, &even);
    let trailing = tally.compare(0, None, Against::Trailing(2)).unwrap();
    assert_eq!((trailing.values.n, trailing.values.m), (200.0, 100.0));
    assert_eq!(tally.closed().unwrap().unlooked, 1);
    let mut other = self::tally(simple(), wish(None));
    window(&mut other, 2, &shifted);
    let version = tally.compare(0, None, Against::Other(&other)).unwrap();
    assert!((version.values.x2 - moved.values.x2).abs() < 1e-9);
    other.done(T0 + 2 * SPAN, true);
    let later = tally.compare(0, None, Against::Other(&other)).unwrap();
    assert_eq!(later.values.x2, version.values.x2, "done or not");
}

#[test]
fn a_season_is_the_slot_of_the_windows_begin() {
    let mut known = simple();
    known.season = Some(weir_profile::Season::Hour);
    let ten = Cell { slot: known.slot_at(T0), rows: 10.0, ..known.cells[0].clone() };
    known.cells.push(ten);
    known.cells[1].counts[0].bins.iter_mut().for_each(|bin| *bin /= 10.0);
    let mut tally = tally(known, wish(None));
    window(&mut tally, 0, &[5.0; 10]);
    assert!((tally.compare(0, None, Against::Profile).unwrap().values.n - 10.0).abs() < 1e-9);
}

#[test]
fn what_is_missing_is_a_table_of_its_own() {
    let mut tally = tally(simple(), wish(None));
    let values: Vec<f64> = (0..100).map(|i| if i % 2 == 0 { f64::NAN } else { f64::from(i) }).collect();
    let colours = vec![0; 100];
    count(&mut tally, &rows(T0, 100).numbers("age", &values).texts("colour", &["red"], &colours).0);
    tally.advance(T0 + 2 * SPAN, NOBODY);
    let age = tally.compare(0, None, Against::Profile).unwrap();
    assert_eq!((age.reference_missing, age.current_missing), (0.0, 0.5));
    assert!(age.missing.alarm_p < 1e-6 && age.missing.dof == 1);
    let colour = tally.compare(1, None, Against::Profile).unwrap();
    assert_eq!((colour.missing.dof, colour.missing.alarm_p), (0, 1.0));
    assert!(colour.values.alarm_p < 1e-6 && colour.ks_p == 1.0);
}

#[test]
fn what_was_lost_of_a_route_is_told() {
    let mut tally = tally(simple(), wish(None));
    let lost = |total| Lost { total: Some(total), share: 0.5 };
    count_of(&mut tally, &ages(T0, &[1.0; 4]), lost(100));
    tally.advance(T0 + SPAN + 2 * SECOND, lost(110));
    let closed = tally.closed().unwrap();
    assert_eq!((closed.observed, closed.answered), (4.0, 9.0));
}

#[test]
fn a_tally_takes_no_more_than_is_said_even_of_a_thousand_features_and_ten_segments() {
    let reference: Vec<f64> = (0..1000).map(f64::from).collect();
    let one = number("f", &reference);
    let many = (0..1000).map(|i| (Feature { name: format!("f{i}").into(), ..one.0.clone() }, one.1.clone()));
    let profile = Arc::new(profile(many.collect()));
    let mut wish = wish(Some("s"));
    wish.shape.segments = 10;
    wish.keep = 24;
    let said = Tally::bytes(&wish, &profile);
    assert!(said < 113 << 20, "the README says so: {said}");
    let mut windows = Windows::new(Vec::new(), said);
    let mut tallies = Tallies::default();
    let model = ["r", "m", "1"].map(Arc::from);
    let owner = Owner { key: "p", families: &[] };
    let mut open = |name: &str| {
        let wish = Wish { name: name.into(), ..wish.clone() };
        tallies.open((&model, wish), &profile, (owner, &mut windows), T0).is_some()
    };
    assert!(open("t") && !open("another"), "there is room for one");
    let codes: Vec<u32> = (0..10).collect();
    let names: Vec<String> = codes.iter().map(|i| format!("s{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut held = 0;
    for window in 0..6 {
        let mut batch = rows(T0 + window * SPAN, 10).texts("s", &names, &codes);
        for i in 0..1000 {
            batch = batch.numbers(&format!("f{i}"), &[f64::from(i); 10]);
        }
        tallies.take_in(&batch.0, &model, (&|_| None, T0), false);
        tallies.count();
        let tally = tallies.get(0).unwrap();
        let windows = tally.open.iter().chain(&tally.waiting).chain(&tally.last);
        let parts = windows.flat_map(|window| window.segments.iter().flatten().chain([&window.whole]));
        let part = |part: &super::Part| tally.layout.part_bytes() + part.distinct.bytes();
        held = held.max(parts.map(part).sum::<usize>());
        let front = tally.front().map(|front| front.begin_ns);
        if let Some(begin) = front.filter(|_| window == 2) {
            tallies.done(0, begin, true);
        }
    }
    assert!(held > said / 2 && held <= said, "{held} of {said}");
}

#[test]
fn counts_go_on_after_a_restart_as_if_there_had_been_none() {
    let folder = tempfile::tempdir().unwrap();
    let keep = Keep::new(folder.path(), "p");
    let mut known = simple();
    known.rows_distinct = true;
    let profile = Arc::new(known);
    let model = ["r", "m", "1"].map(Arc::from);
    let owner = Owner { key: "p", families: &[] };
    let run = |restarts: bool| {
        let mut tallies = Tallies::default();
        let open = |tallies: &mut Tallies, now| {
            let windows = &mut Windows::new(Vec::new(), 1 << 24);
            let wish = (&model, wish(Some("colour")));
            tallies.open(wish, &profile, (owner, windows), now).unwrap()
        };
        open(&mut tallies, T0);
        for i in 0..20_u64 {
            let values: Vec<f64> = (0..7).map(|row| ((i * 7 + row) % 90) as f64).collect();
            let mut batch = rows(T0 + i * SPAN / 6, 7).numbers("age", &values);
            batch = batch.texts("colour", &["red", "x", "y"], &[0, 1, 2, 0, 0, 1, 2]);
            batch.0.probabilities = vec![0.3; 7];
            tallies.take_in(&batch.0, &model, (&|_| None, T0), false);
            let front = tallies.get(0).unwrap().front().map(|front| front.begin_ns);
            front.into_iter().for_each(|begin| tallies.done(0, begin, i % 2 == 0));
            if restarts {
                tallies.count();
                keep.write(&Keep::encode(&tallies).unwrap()).unwrap();
                let Found::Tallies(read, 0) = keep.load(std::slice::from_ref(&profile)) else {
                    panic!("tallies")
                };
                tallies = *read;
                tallies.redeclared(owner, &mut Windows::default(), T0);
                assert!(!open(&mut tallies, T0).reset);
            }
        }
        tallies.count();
        let tally = tallies.get(0).unwrap();
        let names = tally.segments.names.clone();
        (
            tally.open.clone(),
            tally.waiting.clone(),
            tally.past.clone(),
            names,
            tally.closed().map(|it| it.effective),
        )
    };
    assert!(run(true) == run(false));
}

#[test]
fn a_file_that_is_damaged_or_of_another_profile_is_set_aside_or_left() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let keep = Keep::new(&folder.path().join("tallies"), "../p");
    let profile = Arc::new(simple());
    assert!(matches!(keep.load(&[]), Found::Nothing));
    let mut tallies = Tallies::default();
    let model = ["r", "m", "1"].map(Arc::from);
    let owner = Owner { key: "p", families: &[] };
    let windows = &mut Windows::new(Vec::new(), 1 << 24);
    tallies.open((&model, wish(None)), &profile, (owner, windows), T0).unwrap();
    keep.write(&Keep::encode(&tallies).unwrap()).unwrap();
    let files: Vec<_> = fs::read_dir(folder.path().join("tallies")).unwrap().map(|it| it.unwrap()).collect();
    assert_eq!(files.len(), 1, "whatever the key is made of");
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(keep.load(&[]), Found::Tallies(_, 1)), "the profile is not there any more");
    let path = files[0].path();
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [Vec::new(), b"foreign".to_vec(), whole[..whole.len() - 1].to_vec(), flipped] {
        fs::write(&path, damaged).unwrap();
        let Found::SetAside(aside, _) = keep.load(std::slice::from_ref(&profile)) else { panic!("damaged") };
        assert!(aside.exists() && !path.exists());
    }
}

#[test]
fn tallies_of_another_shape_begin_anew_and_what_nobody_opens_again_goes() {
    let profile = Arc::new(simple());
    let model = ["r", "m", "1"].map(Arc::from);
    let owner = Owner { key: "p", families: &[] };
    let mut windows = Windows::new(Vec::new(), 1 << 24);
    let mut tallies = Tallies::default();
    let mut open = |tallies: &mut Tallies, wish: Wish| {
        tallies.open((&model, wish), &profile, (owner, &mut windows), T0).unwrap().reset
    };
    assert!(!open(&mut tallies, wish(None)));
    tallies.take_in(&ages(T0, &[1.0]), &model, (&|_| None, T0), false);
    tallies.count();
    assert!(!open(&mut tallies, Wish { keep: 9, ..wish(None) }));
    assert_eq!(tallies.live(["r", "m", "1"])[0].running.as_ref().unwrap().parts[0].rows, 1);
    assert!(open(&mut tallies, wish(Some("colour"))));
    assert!(tallies.live(["r", "m", "1"])[0].running.is_none());
    let mut booked = Windows::new(Vec::new(), 1 << 24);
    tallies.redeclared(owner, &mut booked, T0);
    tallies.sweep(T0 + SPAN, |_| true, &mut booked);
    assert!(tallies.get(0).is_some());
    tallies.sweep(T0 + SPAN + 2 * SECOND, |_| false, &mut booked);
    assert!(tallies.get(0).is_some(), "no instance could open it: there was no traffic since");
    tallies.sweep(T0 + SPAN + 2 * SECOND, |_| true, &mut booked);
    assert!(tallies.get(0).is_none());
    assert!(booked.rebook(0, 1 << 24), "its bytes are free again");
}

#[test]
fn live_counts_make_a_cell_of_a_profile() {
    let mut tally = tally(simple(), wish(Some("colour")));
    let batch = rows(T0, 3).numbers("age", &[1.0, 2.0, f64::NAN]).texts("colour", &["red"], &[0, 0, 0]);
    count(&mut tally, &batch.0);
    let live = tally.live();
    let parts = live.running.unwrap().parts;
    assert_eq!(parts.iter().map(|part| part.segment.as_deref()).collect::<Vec<_>>(), [None, Some("red")]);
    let cell = parts[1].cell(None);
    assert_eq!((cell.rows, cell.distinct, cell.counts[0].missing), (3.0, 3.0, 1.0));
    for counts in &cell.counts {
        assert_eq!(counts.bins.iter().sum::<f64>() + counts.missing, cell.rows);
    }
}
