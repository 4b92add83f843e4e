//! Years in which nothing changes, made of January's own days: how often they are called drift.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Flights, january, january_of, replay};

const SEEDS: u64 = 20;
const FIRST_YEAR: u64 = 2001;
/// Alarms of a year that are put up with: one a month.
const MOST_ALARMS: usize = 12;
/// Days of the months of 2013.
const MONTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The same numbers for the same seed (splitmix64, Steele and others 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// Rows by their day, each without its date.
fn days<'f>(rows: &[&'f str]) -> Vec<Vec<&'f str>> {
    let mut days: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for row in rows {
        let mut cells = row.splitn(3, ',').skip(1);
        let day = cells.next().and_then(|day| day.parse().ok()).expect("a day");
        days.entry(day).or_default().push(cells.next().expect("what follows"));
    }
    days.into_values().collect()
}

/// A year of days drawn with replacement, dated anew.
fn add_year(csv: &mut String, year: u64, days: &[Vec<&str>], dice: &mut Dice) {
    for (month, length) in (1..).zip(MONTHS) {
        for day in 1..=length {
            for row in &days[dice.below(days.len())] {
                writeln!(csv, "{year},{month},{day},{row}").expect("a string takes all");
            }
        }
    }
}

/// Replays rows that say their year too.
fn replay_dated(folder: &Path, csv: &str) -> Vec<Value> {
    fs::write(folder.join("dated.csv"), csv).expect("it is writable");
    let time = "year,month,day,hhmm=sched_dep_time";
    super::replay_at(folder, "dated.csv", time, &["--window", "1d", "--budget", "1"]).remove(0)
}

/// The year in which a window begins.
fn year_of(look: &Value) -> u64 {
    let mut days = look["window"]["begin_unix_ns"].as_u64().expect("a time") / 86_400_000_000_000;
    let mut year = 1970;
    // No century but 2000 is among them, and that one has its day too.
    while days >= 365 + u64::from(year % 4 == 0) {
        days -= 365 + u64::from(year % 4 == 0);
        year += 1;
    }
    year
}

fn is(look: &Value, verdict: &str) -> bool {
    look["verdict"] == verdict
}

#[test]
fn a_year_of_days_of_january_in_random_order_raises_at_most_an_alarm_a_month() {
    let (folder, flights) = (tempfile::tempdir().expect("a folder"), Flights::read());
    january(folder.path(), &flights, &[]);
    let rows = flights.of_month(1);
    let days = days(&rows);
    // All years are replayed as one, 29 February without a row, so that the plugin is compiled once.
    let mut csv = format!("year,{}\n", flights.header);
    (0..SEEDS).for_each(|seed| add_year(&mut csv, FIRST_YEAR + seed, &days, &mut Dice(seed)));
    let looks = replay_dated(folder.path(), &csv);
    let count = |year: u64, verdict: &str| {
        looks.iter().filter(|look| year_of(look) == year && is(look, verdict)).count()
    };
    let alarms: Vec<usize> = (0..SEEDS).map(|seed| count(FIRST_YEAR + seed, "drift")).collect();
    println!("alarms in each year: {alarms:?}, mean {}", alarms.iter().sum::<usize>() as f64 / SEEDS as f64);
    for (year, alarms) in (FIRST_YEAR..).zip(&alarms) {
        assert_eq!(count(year, "ok") + alarms, 365, "{year}");
        assert!(*alarms <= MOST_ALARMS, "{year}: {alarms}");
    }
}

/// Days that the profile has not seen: it is of a random half of January, and judges the other.
fn held_out(flights: &Flights, seed: u64) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = flights.of_month(1);
    let (mut dice, mut order) = (Dice(seed), (1..=31).collect::<Vec<u32>>());
    (1..31).rev().for_each(|at| order.swap(at, dice.below(at + 1)));
    let of = |days: &[u32]| -> Vec<&str> {
        let day = |row: &str| row.split(',').nth(1).and_then(|day| day.parse().ok());
        rows.iter().filter(|row| day(row).is_some_and(|day| days.contains(&day))).copied().collect()
    };
    january_of(folder.path(), flights, &of(&order[..16]), &[]);
    flights.write(&folder.path().join("others.csv"), &of(&order[16..]));
    let looks = replay(folder.path(), "others.csv", &["--window", "1d", "--budget", "1"]).remove(0);
    let judged = looks.iter().filter(|look| is(look, "ok") || is(look, "drift")).count();
    (looks.iter().filter(|look| is(look, "drift")).count(), judged)
}

#[test]
#[ignore = "a minute: cargo test --test drift -- --ignored --nocapture"]
fn days_of_january_that_the_profile_has_not_seen_keep_to_the_budget() {
    let flights = Flights::read();
    let each: Vec<(usize, usize)> = (0..SEEDS).map(|seed| held_out(&flights, seed)).collect();
    let (alarms, judged) = each.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("{alarms} of {judged} days that were held out are called drift: {each:?}");
    assert_eq!(judged, 15 * SEEDS as usize);
    // One in thirty is what the budget allows.
    assert!(alarms * 30 <= judged, "{alarms} of {judged}");
}
