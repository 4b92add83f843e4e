//! The file: what comes back from it, and what is refused.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use weir_exchange::{Kind, Role};
use weir_profile::{
    Cell, Feature, FeatureCounts, FeatureKind, LeftOut, Made, ModelRef, Profile, ProfileError, Season,
};
use weir_stats::drift::{Bins, Dispersion, Groups, Logits, MissingDispersion};

fn profile() -> Profile {
    let bins = Bins::of(&[1.0, 1.5, 2.0, 7.25, f64::NAN]).expect("there are rows");
    let (deciles, kind) = (bins.deciles(), FeatureKind::Number { bins, integers: false });
    let number = Feature {
        dispersion: Dispersion { phi: 1.75, dof: Some((3.5, 29.0)) },
        missing_dispersion: MissingDispersion {
            logits: Some(Logits { mean: -3.0, sd: 0.25, blocks: 30.0 }),
            ..MissingDispersion::none()
        },
        ..Feature::new("tenure".into(), Role::Input, kind, deciles)
    };
    let kind = FeatureKind::Category { texts: vec!["No".into(), "Yes".into()] };
    let groups = Groups::new(vec![0, 1, 1]);
    let category =
        Feature { unstable: Some(3.5), ..Feature::new("prediction".into(), Role::Output, kind, groups) };
    let counts = |number: &[f64], missing, category: &[f64]| {
        vec![
            FeatureCounts { bins: number.to_vec(), missing },
            FeatureCounts { bins: category.to_vec(), missing: 0.0 },
        ]
    };
    let whole = counts(&[1.0, 1.0, 1.0, 1.0], 1.0, &[3.0, 2.0, 0.0]);
    let part = counts(&[0.5, 0.0, 1.0, 0.0], 1.0, &[1.5, 1.0, 0.0]);
    Profile {
        digest: String::new(),
        made: Made {
            at_unix_ms: 1_700_000_000_123,
            source: "rows.csv".into(),
            rows: 5,
            author: Some("Ada".into()),
            reason: Some("a new tariff".into()),
            weir_version: "0.1.0".into(),
        },
        model: Some(ModelRef { name: "churn".into(), version: Some("3".into()) }),
        window_rows: 50,
        block: Some(Duration::from_secs(86_400)),
        blocks: 2,
        window: Some(Duration::from_secs(3600)),
        season: Some(Season::Hour),
        segment: Some("region".into()),
        entity: None,
        rows_distinct: true,
        features: vec![number, category],
        left_out: vec![LeftOut { column: "id".into(), reason: "an id".into() }],
        cells: vec![
            Cell { slot: None, segment: None, rows: 5.0, distinct: 4.0, counts: whole },
            Cell { slot: Some(23), segment: Some("north".into()), rows: 2.5, distinct: 2.0, counts: part },
        ],
    }
    .sealed()
}

/// The file with its content changed, under the digest of what it then holds.
fn resealed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut file: Value = serde_json::from_slice(&profile().to_json()).expect("it is JSON");
    change(&mut file["profile"]);
    let digest = Sha256::digest(serde_json::to_vec(&file["profile"]).expect("it is JSON"));
    file["digest"] = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    serde_json::to_vec(&file).expect("it is JSON")
}

#[test]
fn a_profile_comes_back_from_its_file_as_it_was() {
    let (profile, bytes) = (profile(), profile().to_json());
    assert_eq!(profile.digest.len(), 64);
    assert_eq!(Profile::read(&bytes), Ok(profile));
}

#[test]
fn a_file_laid_out_anew_is_the_same_profile() {
    let value: Value = serde_json::from_slice(&profile().to_json()).unwrap();
    assert_eq!(Profile::read(&serde_json::to_vec_pretty(&value).unwrap()), Ok(profile()));
}

#[test]
fn what_is_no_profile_of_this_version_is_refused_as_such() {
    let said = |bytes: &[u8]| Profile::read(bytes).unwrap_err().to_string();
    assert!(said(b"").starts_with("it is no profile of `weir profile build`: "));
    assert!(said(b"[1]").starts_with("it is no profile"));
    assert_eq!(said(b"{}"), "it is no profile of `weir profile build`: its `format` is not `weir-profile`");
    let newer = said(br#"{"format": "weir-profile", "version": 9, "new": [1]}"#);
    assert_eq!(newer, "it is a profile of version 9, and this build reads version 1 (build it anew)");
    assert_eq!(Profile::read(&vec![b' '; weir_profile::LARGEST_FILE + 1]), Err(ProfileError::TooLarge));
    let unknown = String::from_utf8(profile().to_json()).unwrap().replace("\"unstable\":", "\"unstabel\":");
    assert!(said(unknown.as_bytes()).starts_with("it is damaged: unknown field `unstabel`"));
    let cut = profile().to_json();
    assert!(said(&cut[..cut.len() / 2]).contains("EOF"));
}

#[test]
fn a_file_changed_by_hand_is_refused() {
    let text = String::from_utf8(profile().to_json()).unwrap();
    for (from, to) in [("1.75", "1.5"), ("\"tenure\"", "\"tenor\""), ("[3,2,0]", "[2,3,0]")] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        let said = Profile::read(changed.as_bytes()).unwrap_err().to_string();
        assert!(said.starts_with("it was changed by hand: its content has sha256 `"), "{said}");
        assert!(said.ends_with("(build it anew)"), "{said}");
    }
}

#[test]
fn content_that_makes_no_profile_is_refused_with_its_place() {
    let check = |place: &str, path: &str, value: Value| {
        let bytes = resealed(|content| *content.pointer_mut(path).expect(path) = value);
        match Profile::read(&bytes) {
            Err(ProfileError::Malformed { place: found, .. }) => assert_eq!(found, place),
            other => panic!("{path}: {other:?}"),
        }
    };
    check("window_rows", "/window_rows", json!(0));
    check("block_ms", "/block_ms", json!(0));
    check("features", "/features", json!([]));
    check("features[0].role", "/features/0/role", json!("status"));
    check("features[0].role", "/features/0/role", json!("nonsense"));
    check("features[0].dispersion", "/features/0/dispersion/phi", json!(0.5));
    check("features[0].dispersion", "/features/0/dispersion/dof", json!([0.0, 29.0]));
    check("features[1].missing_dispersion", "/features/1/missing_dispersion/dispersion/phi", json!(-1.0));
    check("features[0].missing_dispersion", "/features/0/missing_dispersion/logits/sd", json!(-1.0));
    check("features[0].unstable", "/features/0/unstable", json!(-1.0));
    check("features[0].kind.number", "/features/0/kind/number/edges", json!([1.5, 1.0, 2.0]));
    check("features[0].kind.number", "/features/0/kind/number/points", json!([1.0]));
    check("features[0].kind.number", "/features/0/kind/number/max", json!(0.5));
    check("features[1].kind.category", "/features/1/kind/category/texts", json!(["No", "No"]));
    check("features[1].kind.category", "/features/1/kind/category/texts/0", json!("x".repeat(5000)));
    let many: Vec<String> = (0..1025).map(|at| at.to_string()).collect();
    check("features[1].kind.category", "/features/1/kind/category/texts", json!(many));
    check("features[0].groups", "/features/0/groups", json!([0, 1, 2]));
    check("features[0].groups", "/features/0/groups", json!([0, 1, 2, 1_000_000_000_000_000_u64]));
    check("features[0].groups", "/features/0/groups", json!([0, 3, 3, 3]));
    check("cells", "/cells/0/slot", json!(1));
    check("cells", "/cells", json!([]));
    check("cells[1]", "/cells/1/slot", json!(24));
    check("cells[1]", "/season", Value::Null);
    check("cells[1]", "/segment", Value::Null);
    check("cells[0].rows", "/cells/0/rows", json!(0));
    check("cells[0].distinct", "/cells/0/distinct", json!(6));
    check("cells[0].counts", "/cells/0/counts", json!([]));
    check("cells[0].counts[0]", "/cells/0/counts/0/bins", json!([1, 1, 1]));
    check("cells[0].counts[0]", "/cells/0/counts/0/bins/0", json!(-0.5));
    check("cells[0].counts[1]", "/cells/0/counts/1/missing", json!(7));
}

#[test]
fn a_feature_or_a_cell_stands_there_once() {
    let mut twice = profile();
    twice.features[1] = twice.features[0].clone();
    let place = |profile: &Profile| Profile::read(&profile.to_json()).unwrap_err().to_string();
    assert!(place(&twice).starts_with("`features[1].name` makes no sense: it stands there twice"));
    let mut twice = profile();
    twice.cells.push(twice.cells[1].clone());
    assert!(place(&twice).starts_with("`cells[2]` makes no sense"));
    // Two features of one name are two, if their roles are.
    let mut roles = profile();
    roles.features[1].name = "tenure".into();
    assert!(Profile::read(&roles.to_json()).is_ok());
}

#[test]
fn more_features_than_the_limit_are_refused() {
    let mut wide = profile();
    wide.features = vec![wide.features[1].clone(); 4097];
    let said = Profile::read(&wide.to_json()).unwrap_err().to_string();
    assert_eq!(said, "`features` makes no sense: there are 4097, where 1 to 4096 fit (build it anew)");
}

#[test]
fn a_profile_names_the_columns_that_differ() {
    let profile = profile();
    let input = |name, kind| (Role::Input, name, kind);
    let output = (Role::Output, "prediction", Kind::Code);
    let fit = |columns: &[_]| profile.fit(columns.iter().copied());
    assert!(fit(&[input("tenure", Kind::Number), input("id", Kind::Number), output]).is_empty());
    // The profile says nothing of scores, and a field with both kinds fits.
    let both = [input("tenure", Kind::Code), input("tenure", Kind::Number), output];
    let score = [(Role::Score, "Yes", Kind::Number)];
    assert!(fit(&[&both[..], &score].concat()).is_empty());
    let other = fit(&[input("tenure", Kind::Code), input("age", Kind::Number), input("age", Kind::Code)]);
    let said = "missing: output `prediction`; not in the profile: input `age`; of another kind: input `tenure` \
                (text, not number)";
    assert_eq!(other.to_string(), said);
}

#[test]
fn slots_begin_on_the_hour_and_on_monday_of_utc() {
    // 2024-01-01 was a Monday.
    let monday = 1_704_067_200;
    let check = |season: Season, offset: i64, slot, name| {
        assert_eq!((season.slot_at(monday + offset), &*season.slot_name(slot)), (slot, name), "{offset}");
    };
    check(Season::Hour, -1, 23, "23:00");
    check(Season::Hour, 0, 0, "00:00");
    check(Season::Hour, 3599, 0, "00:00");
    check(Season::Hour, 3600, 1, "01:00");
    check(Season::Weekday, -1, 6, "Sun");
    check(Season::Weekday, 0, 0, "Mon");
    check(Season::Weekday, 86_400, 1, "Tue");
    check(Season::HourOfWeek, -1, 167, "Sun 23:00");
    check(Season::HourOfWeek, 0, 0, "Mon 00:00");
    check(Season::HourOfWeek, 30 * 3600, 30, "Tue 06:00");
    assert_eq!(Season::Weekday.slot_at(0), 3, "the epoch was a Thursday");
    assert_eq!(Season::Hour.slot_at(-1), 23, "before the epoch");
    let profile = profile();
    assert_eq!(profile.slot_at(monday as u64 * 1_000_000_000 + 3_600_000_000_000), Some(1));
    assert!(profile.cell(Some(23), Some("north")).is_some() && profile.cell(Some(23), None).is_none());
}
