//! The host's side of references, as a script: a test says which profile there is, which windows close, and
//! what they hold.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::bindings::weir::plugin::types::{
    Against, Closed, Comparison, FeatureNumbers, ProfileInfo, Sensitivity, Tally,
};
use crate::statistics;

/// A window that has closed: what the plugin is told of it.
#[derive(Clone, Debug)]
pub struct Window {
    pub closed: Closed,
    /// By feature and segment, whatever it is compared with.
    pub comparisons: BTreeMap<(usize, Option<usize>), Comparison>,
    pub numbers: BTreeMap<(usize, Option<usize>), FeatureNumbers>,
}

#[derive(Default)]
struct Script {
    profile: Option<ProfileInfo>,
    edges: BTreeMap<u32, Vec<f64>>,
    bins: BTreeMap<u32, Vec<(String, f64)>>,
    opened: Vec<Tally>,
    windows: Vec<Window>,
    /// What the running call has said is done, and whether that was a look.
    done: Option<bool>,
    /// What every look was compared with.
    asked: Vec<Against>,
    looks: Vec<bool>,
    reports: Vec<(String, serde_json::Value)>,
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
}

pub(super) fn reset() {
    SCRIPT.with_borrow_mut(|script| *script = Script::default());
}

pub(super) fn set_profile(profile: ProfileInfo) {
    SCRIPT.with_borrow_mut(|script| script.profile = Some(profile));
}

pub(super) fn set_edges(feature: usize, edges: &[f64]) {
    SCRIPT.with_borrow_mut(|script| script.edges.insert(feature as u32, edges.to_vec()));
}

pub(super) fn set_bins(feature: usize, bins: &[(&str, f64)]) {
    let bins = bins.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
    SCRIPT.with_borrow_mut(|script| script.bins.insert(feature as u32, bins));
}

pub(super) fn close(window: Window) {
    SCRIPT.with_borrow_mut(|script| script.windows.push(window));
}

/// The call has returned.
pub(super) fn returned() {
    SCRIPT.with_borrow_mut(|script| {
        if let Some(looked) = script.done.take() {
            script.windows.remove(0);
            script.looks.push(looked);
        }
    });
}

pub(super) fn looks() -> Vec<bool> {
    SCRIPT.with_borrow(|script| script.looks.clone())
}

pub(super) fn asked() -> Vec<Against> {
    SCRIPT.with_borrow(|script| script.asked.clone())
}

pub(super) fn opened() -> Vec<Tally> {
    SCRIPT.with_borrow(|script| script.opened.clone())
}

pub(super) fn reports(kind: &str) -> Vec<serde_json::Value> {
    SCRIPT.with_borrow(|script| {
        script.reports.iter().filter(|(it, _)| it == kind).map(|(_, finding)| finding.clone()).collect()
    })
}

pub(crate) fn profile(_schema: u32) -> Option<ProfileInfo> {
    SCRIPT.with_borrow(|script| script.profile.clone())
}

pub(crate) fn edges(_schema: u32, feature: u32) -> Vec<f64> {
    SCRIPT.with_borrow(|script| script.edges.get(&feature).cloned().unwrap_or_default())
}

pub(crate) fn bins(_schema: u32, feature: u32) -> Vec<(String, f64)> {
    SCRIPT.with_borrow(|script| script.bins.get(&feature).cloned().unwrap_or_default())
}

/// As of rows that have nothing to do with each other, whatever the profile's phi comes of.
pub(crate) fn visible(_schema: u32, feature: u32, rows: f64, level: f64) -> Option<Sensitivity> {
    SCRIPT.with_borrow(|script| {
        let profile = script.profile.as_ref()?;
        let known = profile.features.get(feature as usize)?;
        let dof = known.bins.saturating_sub(1);
        Some(Sensitivity {
            cut_off_x2: statistics::chi2_isf(level, dof) * known.phi,
            smallest_psi: statistics::smallest_psi(profile.rows, rows, level, dof, known.phi),
        })
    })
}

pub(crate) fn open(_schema: u32, tally: &Tally) -> u32 {
    SCRIPT.with_borrow_mut(|script| {
        if script.profile.is_none() {
            return u32::MAX;
        }
        if !script.opened.iter().any(|it| it.name == tally.name) {
            script.opened.push(tally.clone());
        }
        0
    })
}

pub(crate) fn next(_tally: u32) -> Option<Closed> {
    SCRIPT.with_borrow(|script| script.windows.first().map(|window| window.closed.clone()))
}

pub(crate) fn compare(
    _tally: u32,
    feature: u32,
    segment: Option<u32>,
    against: &Against,
) -> Option<Comparison> {
    SCRIPT.with_borrow_mut(|script| {
        script.asked.push(against.clone());
        let place = (feature as usize, segment.map(|it| it as usize));
        script.windows.first()?.comparisons.get(&place).cloned()
    })
}

pub(crate) fn numbers(_tally: u32, feature: u32, segment: Option<u32>) -> Option<FeatureNumbers> {
    SCRIPT.with_borrow(|script| {
        let place = (feature as usize, segment.map(|it| it as usize));
        script.windows.first()?.numbers.get(&place).cloned()
    })
}

pub(crate) fn done(_tally: u32, looked: bool) {
    SCRIPT.with_borrow_mut(|script| script.done = Some(looked));
}

pub(crate) fn report(_schema: u32, kind: &str, finding: &str) {
    let finding = serde_json::from_str(finding).expect("a finding is JSON");
    SCRIPT.with_borrow_mut(|script| script.reports.push((kind.to_owned(), finding)));
}
