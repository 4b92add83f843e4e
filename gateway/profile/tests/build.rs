//! From rows to a profile: kinds, what is left out, phi, slots, and that a file's format changes nothing.

use std::time::Duration;

use weir_exchange::{Kind, Role};
use weir_profile::{BuildError, BuildOptions, Built, FeatureKind, Profile, Season, Sheet, Typing, build};

const DAY: Duration = Duration::from_secs(86_400);
/// 2024-01-01, a Monday.
const MONDAY: i64 = 1_704_067_200;

fn sheet(csv: &str) -> Sheet {
    Sheet::read(csv.as_bytes(), &Typing::default()).expect("it is a table")
}

fn options(set: impl FnOnce(&mut BuildOptions)) -> BuildOptions {
    let mut options = BuildOptions::new("rows.csv", 1);
    set(&mut options);
    options
}

#[track_caller]
fn built(csv: &str, set: impl FnOnce(&mut BuildOptions)) -> Built {
    build(sheet(csv), &options(set)).expect("it builds")
}

/// Lines of cells under a header.
fn table(header: &str, rows: impl Iterator<Item = String>) -> String {
    [header.to_owned()].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn reason<'p>(profile: &'p Profile, column: &str) -> Option<&'p str> {
    profile.left_out.iter().find(|left| left.column == column).map(|left| &*left.reason)
}

#[test]
fn kinds_are_those_that_live_json_has() {
    let rows = (0..100)
        .map(|at| format!("{}.5,{},{},k{},{}", at % 7, at % 2 == 0, at % 3, at % 4, ["", "7"][at % 2]));
    let profile = built(&table("float,flag,whole,text,half", rows), |_| {}).profile;
    let kinds: Vec<Kind> = profile.features.iter().map(weir_profile::Feature::column_kind).collect();
    assert_eq!(kinds, [Kind::Number, Kind::Number, Kind::Number, Kind::Code, Kind::Number]);
    let integers = |at: usize| match &profile.features[at].kind {
        FeatureKind::Number { integers, bins } => (*integers, bins.range()),
        FeatureKind::Category { .. } => panic!("a number"),
    };
    assert_eq!(integers(0), (false, (0.5, 6.5)));
    assert_eq!(integers(1), (true, (0.0, 1.0)), "true is 1, as in live columns");
    let whole = profile.cell(None, None).unwrap();
    assert_eq!((whole.rows, whole.counts[4].missing, &whole.counts[4].bins[..]), (100.0, 50.0, &[50.0][..]));
    assert_eq!(whole.counts[3].bins, [25.0, 25.0, 25.0, 25.0, 0.0]);
    assert!(profile.fit(profile.features.iter().map(|f| (f.role, &*f.name, f.column_kind()))).is_empty());
}

#[test]
fn a_value_that_few_rows_have_is_tested_beside_one_that_nearly_all_have() {
    let csv = table(
        "flag,spent",
        (0..1000).map(|at| format!("{},{}", u8::from(at % 20 > 0), if at % 20 > 0 { 0 } else { at })),
    );
    let profile = built(&csv, |_| {}).profile;
    let shares = |at: usize| profile.features[at].groups.sum(&profile.cells[0].counts[at].bins);
    assert_eq!((shares(0), shares(1)), (vec![50.0, 950.0], vec![951.0, 49.0]));
}

#[test]
fn rare_texts_are_tested_with_their_neighbours_by_name_whatever_their_counts() {
    // Rows of each text; every group expects five of a window of 100.
    let rows = [("d", 3), ("a", 480), ("c", 4), ("e", 430), ("b", 60), ("f", 23)];
    let texts = rows.iter().flat_map(|(text, rows)| std::iter::repeat_n((*text).to_owned(), *rows));
    let profile = built(&table("text", texts), |o| o.window_rows = Some(100)).profile;
    let feature = &profile.features[0];
    let groups = feature.groups.sum(&profile.cells[0].counts[0].bins);
    assert_eq!(groups, [480.0, 60.0, 460.0, 0.0], "a, b, what comes after by name, and others");
    assert_eq!(feature.group_names(), ["`a`", "`b`", "`c` to `f`", "others"]);
}

#[test]
fn texts_that_a_profile_lacks_are_tested_alone_unless_some_are_to_be_expected() {
    let names = |rare: usize| {
        let text = |at: usize| if at < rare { format!("rare{at}") } else { ["no", "yes"][at % 2].to_owned() };
        let profile = built(&table("text", (0..1000).map(text)), |_| {}).profile;
        profile.features[0].group_names()
    };
    assert_eq!(names(0), ["`no`", "`yes`", "others"]);
    assert_eq!(names(1), ["`no`", "`rare0` to `yes` and others"]);
}

#[test]
fn what_is_missing_or_a_category_can_be_said() {
    let csv = table(
        "a,b,zip",
        (0..100).map(|at| format!("{},{},{}", [-999, 1, 2][at % 3], ["?", "4"][at % 2], at % 5)),
    );
    let typing = Typing {
        missing: vec!["-999.0".into(), "?".into()],
        category: vec!["zip".into()],
        ..Typing::default()
    };
    let profile = build(Sheet::read(csv.as_bytes(), &typing).unwrap(), &options(|_| {})).unwrap().profile;
    let cell = profile.cell(None, None).unwrap();
    assert_eq!((cell.counts[0].missing, cell.counts[1].missing), (34.0, 50.0));
    assert_eq!(profile.features[1].column_kind(), Kind::Number);
    let FeatureKind::Category { texts } = &profile.features[2].kind else { panic!("a category") };
    assert_eq!(texts.iter().map(|text| &**text).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    let number = Typing { number: vec!["b".into()], ..Typing::default() };
    let said = Sheet::read(csv.as_bytes(), &number).unwrap_err().to_string();
    assert!(said.starts_with("column `b`: `?` is no number (mend it"), "{said}");
    let nothing = Typing { category: vec!["c".into()], ..Typing::default() };
    let said = Sheet::read(csv.as_bytes(), &nothing).unwrap_err().to_string();
    assert_eq!(said, "`--category`: there is no column `c` (the data has `a`, `b`, `zip`)");
}

#[test]
fn ids_times_clocks_and_the_label_are_left_out_and_named() {
    let row = |at: usize| {
        let shuffled = (at * 37) % 101;
        let (day, epoch) = (1 + at % 28, MONDAY + (shuffled as i64) * 3600);
        format!("{shuffled},u{at},{at}.25,2024-01-{day:02},{epoch},,7,{},{}.5,{}", at / 60, shuffled, at % 2)
    };
    let header = "id,user,clock,date,epoch,empty,constant,step,measure,label";
    let csv = table(header, (0..101).map(row));
    let profile = built(&csv, |o| (o.label, o.ignore) = (Some("label".into()), vec!["step".into()])).profile;
    let named: Vec<&str> = profile.features.iter().map(|f| &*f.name).collect();
    assert_eq!(named, ["constant", "measure"]);
    let check = |column, expect: &str| {
        let found = reason(&profile, column).unwrap();
        assert!(found.starts_with(expect), "{column}: {found}");
    };
    check("id", "an id: every value is different");
    check("user", "an id: nearly every value is different");
    check("clock", "rises or falls with the rows");
    check("date", "timestamps");
    check("epoch", "timestamps");
    check("empty", "no value in any row");
    check("step", "as asked");
    check("label", "the label");
    let kept = built(&csv, |o| o.keep = vec!["id".into()]).profile;
    let named: Vec<&str> = kept.features.iter().map(|f| &*f.name).collect();
    assert_eq!(named, ["id", "constant", "step", "measure", "label"], "a step of two values is no clock");
    let none = build(sheet(&csv), &options(|o| o.inputs = Some(vec![]))).unwrap_err().to_string();
    assert!(
        none.starts_with("no column is left to be judged; left out: `id` (no input of the model)"),
        "{none}"
    );
}

/// 40 days of 200 rows: `quiet` is alike every day, `moody` has a mood of each day, `holey` holes on some.
fn days() -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let row = move |at: usize| {
        let (day, second) = (at / 200, random.u32(0..86_400));
        let mood = ((day * 17) % 10) as f64;
        let holey = if day % 4 == 0 && random.bool() { String::new() } else { "1".to_owned() };
        let secs = MONDAY + day as i64 * 86_400 + i64::from(second);
        format!("{secs},{},{},{holey}", random.f64(), random.f64() * 3.0 + mood)
    };
    table("time,quiet,moody,holey", (0..8000).map(row))
}

#[test]
fn phi_is_that_of_blocks_of_days() {
    let csv = days();
    let profile = built(&csv, |o| (o.time, o.block) = (Some("time".parse().unwrap()), Some(DAY))).profile;
    assert_eq!((profile.block, profile.blocks), (Some(DAY), 40));
    assert!(!profile.assumes_independent_rows());
    assert_eq!(reason(&profile, "time"), Some("the time of the rows"));
    let [quiet, moody, holey] = &profile.features[..] else { panic!("three features") };
    assert!((1.0..1.2).contains(&quiet.dispersion.phi), "{}", quiet.dispersion.phi);
    assert!(moody.dispersion.phi > 10.0, "{}", moody.dispersion.phi);
    assert_eq!(
        (quiet.missing_dispersion.dispersion.phi, moody.missing_dispersion.dispersion.phi),
        (1.0, 1.0)
    );
    assert!(holey.missing_dispersion.dispersion.phi > 10.0, "{}", holey.missing_dispersion.dispersion.phi);
    let untimed = built(&csv, |_| {}).profile;
    assert!(untimed.assumes_independent_rows());
    assert!(untimed.features.iter().all(|feature| feature.dispersion.phi == 1.0));
}

#[test]
fn what_needs_a_time_says_so() {
    let csv = "a\n1\n2\n";
    let said = |set: fn(&mut BuildOptions)| build(sheet(csv), &options(set)).unwrap_err().to_string();
    let expect = |key| {
        format!("`--{key}`: it needs to know when rows were (say where that stands, with `--time COLUMN`)")
    };
    assert_eq!(said(|o| o.block = Some(DAY)), expect("block"));
    assert_eq!(said(|o| o.window = Some(DAY)), expect("window"));
    assert_eq!(said(|o| o.season = Some(Season::Hour)), expect("season"));
    let untimed = table("time,x", ["2024-01-01", "", "soon"].into_iter().map(|time| format!("{time},1")));
    let at = options(|o| o.time = Some("time".parse().unwrap()));
    let said = build(sheet(&untimed), &at).unwrap_err().to_string();
    assert!(said.starts_with("`--time`: 2 of 3 rows have no time in time, row 2 first"), "{said}");
}

#[test]
fn a_time_may_stand_in_parts() {
    let csv = table(
        "month,day,clock,x",
        (0..600).map(|at| format!("1,{},{},{}", 1 + at % 30, 100 * (at % 24) + at % 60, at % 11)),
    );
    let time = Some("year=2024,month,day,hhmm=clock".parse().unwrap());
    let built = built(&csv, |o| (o.time, o.season) = (time, Some(Season::HourOfWeek)));
    assert_eq!(built.span, Some((MONDAY * 1000, (MONDAY + 29 * 86_400 + 23 * 3600 + 59 * 60) * 1000)));
    let named: Vec<&str> = built.profile.features.iter().map(|f| &*f.name).collect();
    assert_eq!(named, ["clock", "x"], "an hour is a feature, a date is not");
    assert!(
        "month,dax".parse::<weir_profile::TimeColumns>().unwrap_err().contains("`dax` is no part of a time")
    );
    let no_such_day = table("month,day,x", (28..31).map(|day| format!("2,{day},1")));
    let at = options(|o| o.time = Some("month,day".parse().unwrap()));
    let said = build(sheet(&no_such_day), &at).unwrap_err().to_string();
    assert!(said.contains("2 of 3 rows have no time in the parts, row 2 first"), "{said}");
}

#[test]
fn slots_and_segments_have_their_own_counts() {
    // Rows on both sides of midnight from Sunday to Monday.
    let rows = (0..60).flat_map(|at| {
        let segment = ["a", "b", "b"][at % 3];
        let x = (at * 37) % 60;
        [(MONDAY - 1, x), (MONDAY, x + 100)].map(|(secs, x)| format!("{secs},{x}.5,{segment}"))
    });
    let csv = table("time,x,segment", rows);
    let profile = built(&csv, |o| {
        o.time = Some("time".parse().unwrap());
        (o.season, o.segment) = (Some(Season::HourOfWeek), Some("segment".into()));
    })
    .profile;
    let rows = |slot, segment| profile.cell(slot, segment).map(|cell| cell.rows);
    assert_eq!(rows(None, None), Some(120.0));
    assert_eq!(
        (rows(Some(167), None), rows(Some(0), None), rows(Some(1), None)),
        (Some(60.0), Some(60.0), None)
    );
    assert_eq!((rows(None, Some("a")), rows(None, Some("b"))), (Some(40.0), Some(80.0)));
    assert_eq!(rows(Some(167), Some("b")), Some(40.0));
    let x = profile.feature(Role::Input, "x").unwrap();
    let sunday = &profile.cell(Some(167), None).unwrap().counts[x].bins;
    assert_eq!(sunday[..60].iter().sum::<f64>(), 60.0, "what is low was on Sunday");
    assert_eq!(Profile::read(&profile.to_json()), Ok(profile));
}

#[test]
fn a_feature_that_would_alarm_of_itself_is_unstable() {
    // A step in the middle: each window is unlike the rest, and few blocks are too few to widen phi enough.
    let mut random = fastrand::Rng::with_seed(3);
    let row = |at: usize| {
        let day = at / 400;
        let secs = MONDAY + day as i64 * 86_400 + i64::from(random.u32(0..86_400));
        let shift = if day == 5 || day == 25 { 5.0 } else { 0.0 };
        format!("{secs},{},{}", random.f64(), random.f64() + shift)
    };
    let csv = table("time,steady,moved", (0..12_000).map(row));
    let built = built(&csv, |o| (o.time, o.window) = (Some("time".parse().unwrap()), Some(DAY)));
    let replay = built.replay.unwrap();
    assert_eq!((replay.judged + replay.too_small, replay.months), (30, 1.0));
    let [steady, moved] = &built.profile.features[..] else { panic!("two features") };
    assert_eq!((steady.unstable, moved.unstable), (None, Some(2.0)));
}

#[test]
fn n_counts_entities_or_distinct_rows() {
    let csv = table("user,x", (0..200).map(|at| format!("u{},{}", at % 50, at % 10)));
    let by_rows = built(&csv, |o| o.ignore = vec!["user".into()]).profile;
    assert_eq!(
        (by_rows.cells[0].distinct, by_rows.rows_distinct, by_rows.scale(200.0, 10.0)),
        (10.0, false, 1.0)
    );
    let by_user = built(&csv, |o| o.entity = Some("user".into())).profile;
    assert_eq!((by_user.cells[0].distinct, by_user.scale(200.0, 50.0)), (50.0, 0.25));
    assert_eq!(reason(&by_user, "user"), Some("the entity of the rows"));
}

#[test]
fn predictions_and_scores_have_their_roles() {
    let csv =
        table("x,said,Yes", (0..200).map(|at| format!("{},{},0.{}", at % 10, ["No", "Yes"][at % 2], at % 9)));
    let profile = built(&csv, |o| {
        (o.prediction, o.scores) = (Some(("said".into(), "0".into())), vec!["Yes".into()]);
    })
    .profile;
    let roles: Vec<(Role, &str)> = profile.features.iter().map(|f| (f.role, &*f.name)).collect();
    assert_eq!(roles, [(Role::Input, "x"), (Role::Output, "0"), (Role::Score, "Yes")]);
}

#[test]
fn what_may_be_wrong_is_warned_of() {
    let row = |at: usize| {
        format!(
            "{},{}",
            if at.is_multiple_of(50) { -999 } else { at as i64 % 80 },
            if at.is_multiple_of(10) { "n/a".into() } else { (at % 7).to_string() }
        )
    };
    let warnings = built(&table("age,grade", (0..1000).map(row)), |_| {}).warnings;
    let said = warnings.join("\n");
    assert!(said.contains("`age`: 20 rows have -999, far from all others"), "{said}");
    assert!(
        said.contains("`grade`: 100 of 1000 values are texts such as `n/a`, the others numbers"),
        "{said}"
    );
    assert_eq!(warnings.len(), 2, "{said}");
}

#[test]
fn broken_data_is_refused_with_its_line() {
    let said = |csv: &str| Sheet::read(csv.as_bytes(), &Typing::default()).unwrap_err().to_string();
    assert_eq!(said("a,b\n1,2\n3\n"), "line 3: 1 cells where the header has 2 (is a comma unquoted?)");
    assert_eq!(said("a,a\n1,2\n"), "line 1: column 2 of the header, `a`, stands there twice (rename it)");
    assert!(said("PAR1 and then nothing").starts_with("the Parquet file cannot be read: "));
    let none = build(sheet("a,b\n"), &options(|_| {}));
    assert!(matches!(none, Err(BuildError::Nothing(message)) if message == "the data holds no rows"));
}
