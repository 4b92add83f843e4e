//! The statistics that plugins may ask for: `weir-stats`, held to a bound on what one question costs.

use weir_stats::drift;

use crate::bindings::weir::plugin::{statistics, types};
use crate::context::Context;

/// Values of a list; a longer one makes no sense. Sorting so many takes 10 ms, half of what the watchdog
/// waits before it looks.
const MOST_VALUES: usize = 100_000;

/// Degrees of freedom of a question about power: each needs a sum over tails, and more than so many would
/// take seconds. A feature has a tenth of it.
const MOST_DOF: u32 = 1000;

impl statistics::Host for Context {
    fn pearson(&mut self, reference: Vec<f64>, current: Vec<f64>, phi: f64) -> Option<types::PearsonTest> {
        bounded(&reference)?;
        let test = drift::pearson(&reference, &current, phi)?;
        Some(types::PearsonTest { x2: test.x2, dof: test.dof, p: test.p })
    }

    fn effects(&mut self, reference: Vec<f64>, current: Vec<f64>, phi: f64) -> Option<types::EffectSizes> {
        bounded(&reference)?;
        drift::effects(&reference, &current, phi).map(effect_sizes)
    }

    fn holm(&mut self, p: Vec<f64>) -> Vec<f64> {
        bounded(&p).map_or_else(Vec::new, |()| drift::holm(&p))
    }

    fn benjamini_hochberg(&mut self, p: Vec<f64>) -> Vec<f64> {
        bounded(&p).map_or_else(Vec::new, |()| drift::benjamini_hochberg(&p))
    }

    fn look_level(&mut self, budget: f64, looks: f64) -> f64 {
        drift::look_level(budget, looks)
    }

    fn chi2_sf(&mut self, x: f64, dof: u32) -> f64 {
        drift::chi2_sf(x, dof)
    }

    fn chi2_isf(&mut self, p: f64, dof: u32) -> f64 {
        drift::chi2_isf(p, dof)
    }

    fn wilson(&mut self, hits: f64, n: f64, confidence: f64) -> types::Interval {
        let whole = (0.0, 1.0);
        let z = z_of(confidence).filter(|_| hits.is_finite());
        interval(z.map_or(whole, |z| drift::wilson(hits, n, z)))
    }

    fn newcombe(&mut self, first: (f64, f64), second: (f64, f64), confidence: f64) -> types::Interval {
        let whole = (-1.0, 1.0);
        let z = z_of(confidence).filter(|_| first.0.is_finite() && second.0.is_finite());
        interval(z.map_or(whole, |z| drift::newcombe(first, second, z)))
    }

    fn smallest_psi(&mut self, n: f64, m: f64, level: f64, dof: u32, phi: f64) -> f64 {
        if dof > MOST_DOF || !(n > 0.0 && m > 0.0) {
            return f64::INFINITY;
        }
        drift::smallest_psi(n, m, level, dof, phi)
    }
}

fn bounded(values: &[f64]) -> Option<()> {
    (values.len() <= MOST_VALUES).then_some(())
}

/// `None` if it is no confidence: then an interval is as wide as it can be.
fn z_of(confidence: f64) -> Option<f64> {
    (confidence > 0.0 && confidence < 1.0).then(|| drift::z_of(confidence))
}

fn interval((low, high): drift::Interval) -> types::Interval {
    types::Interval { low, high }
}

pub(crate) fn effect_sizes(effects: drift::Effects) -> types::EffectSizes {
    let drift::Effects { psi, js, ks, total_variation, hellinger } = effects;
    types::EffectSizes {
        psi: effect(psi),
        js: effect(js),
        ks: effect(ks),
        total_variation: effect(total_variation),
        hellinger: effect(hellinger),
    }
}

pub(crate) fn effect(drift::Effect { raw, corrected }: drift::Effect) -> types::Effect {
    types::Effect { raw, corrected }
}
