//! The gateway's statistics: tests that hold their level, effects without bias, intervals.
//!
//! They are computed by the gateway, so that every plugin and every replica has the same; in tests outside of
//! WebAssembly by the same code.

pub use crate::bindings::weir::plugin::types::{Effect, EffectSizes, Interval, PearsonTest};

#[cfg(target_arch = "wasm32")]
pub use crate::bindings::weir::plugin::statistics::{
    benjamini_hochberg, chi2_isf, chi2_sf, effects, holm, look_level, newcombe, pearson, smallest_psi, wilson,
};

#[cfg(not(target_arch = "wasm32"))]
pub use native::{
    benjamini_hochberg, chi2_isf, chi2_sf, effects, holm, look_level, newcombe, pearson, smallest_psi, wilson,
};

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use weir_stats::drift;

    use super::{Effect, EffectSizes, Interval, PearsonTest};

    /// Pearson's test of two rows of counts, X2 divided by `phi`; none where there is nothing to compare.
    pub fn pearson(reference: &[f64], current: &[f64], phi: f64) -> Option<PearsonTest> {
        let drift::Pearson { x2, dof, p, .. } = drift::pearson(reference, current, phi)?;
        Some(PearsonTest { x2, dof, p })
    }

    /// How far two rows of counts are apart, less what chance alone would show.
    pub fn effects(reference: &[f64], current: &[f64], phi: f64) -> Option<EffectSizes> {
        let drift::Effects { psi, js, ks, total_variation, hellinger, .. } =
            drift::effects(reference, current, phi)?;
        let effect = |drift::Effect { raw, corrected }| Effect { raw, corrected };
        Some(EffectSizes {
            psi: effect(psi),
            js: effect(js),
            ks: effect(ks),
            total_variation: effect(total_variation),
            hellinger: effect(hellinger),
        })
    }

    /// Holm's adjusted p-values, in the order they came in.
    pub fn holm(p: &[f64]) -> Vec<f64> {
        drift::holm(p)
    }

    /// Adjusted p-values of Benjamini and Hochberg: a ranking, no alarm.
    pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
        drift::benjamini_hochberg(p)
    }

    /// The level of one look, so that of `looks` a month `budget` report anything by chance.
    pub fn look_level(budget: f64, looks: f64) -> f64 {
        drift::look_level(budget, looks)
    }

    /// Upper tail of chi-squared.
    pub fn chi2_sf(x: f64, dof: u32) -> f64 {
        drift::chi2_sf(x, dof)
    }

    /// Where that tail is p.
    pub fn chi2_isf(p: f64, dof: u32) -> f64 {
        drift::chi2_isf(p, dof)
    }

    /// Wilson's interval of a share, at a confidence such as 0.95.
    pub fn wilson(hits: f64, n: f64, confidence: f64) -> Interval {
        let (low, high) = drift::wilson(hits, n, drift::z_of(confidence));
        Interval { low, high }
    }

    /// Newcombe's interval of the difference of two shares, each `(hits, n)`, first less second.
    pub fn newcombe(first: (f64, f64), second: (f64, f64), confidence: f64) -> Interval {
        let (low, high) = drift::newcombe(first, second, drift::z_of(confidence));
        Interval { low, high }
    }

    /// The smallest corrected PSI that `m` rows against `n` show in 80 % of looks at this level.
    pub fn smallest_psi(n: f64, m: f64, level: f64, dof: u32, phi: f64) -> f64 {
        drift::smallest_psi(n, m, level, dof, phi)
    }
}
