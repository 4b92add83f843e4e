//! Two profiles beside each other: training against serving.

use weir_exchange::Role;
use weir_profile::{BuildOptions, Comparison, Current, Profile, Sheet, Skew, Typing, build};

const ROWS: usize = 4000;

/// Rows of a seed, with one cell a column made by `cell`.
fn profile(seed: u64, texts: &[&str], cell: impl Fn(&str, f64, f64) -> String) -> Profile {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut csv = "age,income,flag,plan,said\n".to_owned();
    for _ in 0..ROWS {
        let (x, y) = (random.f64(), random.f64());
        let cells = ["age", "income", "flag", "plan", "said"].map(|column| cell(column, x, y));
        csv.push_str(&(cells.join(",") + "\n"));
    }
    let category = texts.iter().map(|name| (*name).to_owned()).collect();
    let sheet = Sheet::read(csv.as_bytes(), &Typing { category, ..Typing::default() }).expect("a table");
    let mut options = BuildOptions::new(&format!("{seed}.csv"), 1);
    options.prediction = Some(("said".to_owned(), "0".to_owned()));
    build(sheet, &options).expect("it builds").profile
}

fn usual(column: &str, x: f64, y: f64) -> String {
    match column {
        "age" => format!("{}", 18 + (x * 60.0) as u32),
        "income" => format!("{:.2}", 1000.0 * (1.0 + y).powi(3)),
        "flag" => format!("{}", u8::from(x + y > 1.2)),
        "plan" => ["free", "free", "pro", "team"][(y * 4.0) as usize].to_owned(),
        _ => if x < 0.8 { "No" } else { "Yes" }.to_owned(),
    }
}

fn compared(reference: &Profile, other: &Profile) -> Comparison {
    let whole = reference.cell(None, None).expect("the whole");
    reference.compare(whole, &Current::of_profile(reference, other), 0.01)
}

fn skew<'c>(comparison: &'c Comparison, name: &str) -> &'c Skew {
    comparison.features.iter().find(|skew| &*skew.name == name).expect(name)
}

#[test]
fn a_profile_does_not_differ_from_itself_nor_from_other_rows_of_the_same_kind() {
    let reference = profile(1, &[], usual);
    let same = compared(&reference, &reference);
    for skew in &same.features {
        let verdict = skew.values.unwrap();
        assert!(verdict.effects.psi.corrected < 1e-3 && verdict.adjusted > 0.99, "{skew:?}");
    }
    let other = compared(&reference, &profile(2, &[], usual));
    assert!(other.features.iter().all(|skew| !skew.differs(0.01) && skew.notes.is_empty()), "{other}");
    assert!(other.to_string().contains("differ      0 of 5 features"), "{other}");
}

#[test]
fn a_null_code_text_numbers_and_rebalanced_classes_show() {
    let reference = profile(1, &[], usual);
    let served = profile(2, &["flag"], |column, x, y| match column {
        "age" if y < 0.05 => "-999".to_owned(),
        "income" if x < 0.1 => String::new(),
        "said" => if x < 0.5 { "No" } else { "Yes" }.to_owned(),
        _ => usual(column, x, y),
    });
    let comparison = compared(&reference, &served);
    let age = &skew(&comparison, "age").notes;
    assert!(age[0].contains("% below 18") && age[0].contains("-999: a code for a missing value?"), "{age:?}");
    assert_eq!(skew(&comparison, "flag").notes, ["texts such as \"0\" where the reference has numbers"]);
    assert_eq!(skew(&comparison, "flag").values.map(|verdict| verdict.adjusted > 0.5), Some(true));
    let said = skew(&comparison, "0");
    assert_eq!(said.notes, ["classes are in another proportion: was either side rebalanced?"]);
    assert_eq!(said.role, Role::Output);
    let income = skew(&comparison, "income");
    assert!(income.missing.0 == 0.0 && (0.07..0.13).contains(&income.missing.1));
    assert!(income.differs(0.01) && income.presence.unwrap().adjusted < 1e-30);
    assert!(!skew(&comparison, "plan").differs(0.01));
    let text = comparison.to_string();
    assert!(text.contains("of another kind: input `flag` (text, not number)"), "{text}");
    assert!(text.contains("independent rows assumed"), "{text}");
    assert!(text.contains("missing 0 % ->"), "{text}");
}

#[test]
fn a_shift_of_categories_names_what_changed_most() {
    let reference = profile(1, &[], usual);
    let moved = profile(2, &[], |column, x, y| match column {
        "plan" => ["free", "new", "pro", "team"][(y * 4.0) as usize].to_owned(),
        _ => usual(column, x, y),
    });
    let comparison = compared(&reference, &moved);
    let plan = &comparison.features[0];
    assert_eq!((&*plan.name, plan.differs(0.01)), ("plan", true), "the largest comes first");
    let names: Vec<&str> = plan.changes.iter().map(|change| &*change.group).collect();
    assert!(names[..2].contains(&"`free`") && names[..2].contains(&"others"), "{names:?}");
}
