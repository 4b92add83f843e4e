//! Logistic regression with the scaling folded in.

use serde::{Deserialize, Serialize};

/// A linear score for each output, turned into probabilities: with one output by the sigmoid (the probability
/// of the second of two classes), with several, one a class, by softmax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Linear {
    pub(crate) intercepts: Vec<f64>,
    /// One a feature.
    pub(crate) terms: Vec<Term>,
}

/// What a feature adds to the scores: `outputs` numbers in each row of weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Term {
    /// Weight times value; NaN counts as `mean`.
    Slope { weights: Vec<f64>, mean: f64 },
    /// A row of weights for each index of a category, and last the mean row, which NaN takes.
    Table { weights: Vec<f64> },
}

/// Values beyond this act like it: no score can become infinite, and no probability NaN.
const LARGEST: f64 = 1e100;

impl Linear {
    /// Probabilities of encoded rows, as many columns as classes.
    pub(crate) fn predict(&self, rows: &[f64], classes: usize, into: &mut [f64]) {
        let outputs = self.intercepts.len();
        for (row, out) in rows.chunks_exact(self.terms.len()).zip(into.chunks_exact_mut(classes)) {
            let scores = &mut out[classes - outputs..];
            scores.copy_from_slice(&self.intercepts);
            for (term, value) in self.terms.iter().zip(row) {
                term.add(*value, scores);
            }
            if outputs == 1 {
                let second = sigmoid(out[1]);
                (out[0], out[1]) = (1.0 - second, second);
            } else {
                softmax(out);
            }
        }
    }

    /// Refuses weights that would lead outside themselves. `codes` says how many indices each feature has, 0
    /// for numbers.
    pub(crate) fn check(&self, codes: &[usize], classes: usize) -> Result<(), String> {
        let outputs = self.intercepts.len();
        if outputs != if classes == 2 { 1 } else { classes } || self.terms.len() != codes.len() {
            return Err("the regression has other classes or features than the model".into());
        }
        let sane = |number: &f64| number.abs() < LARGEST;
        for (at, (term, codes)) in self.terms.iter().zip(codes).enumerate() {
            let fits = match term {
                Term::Slope { weights, mean } => *codes == 0 && weights.len() == outputs && mean.is_finite(),
                Term::Table { weights } => *codes > 0 && weights.len() == (codes + 1) * outputs,
            };
            let (Term::Slope { weights, .. } | Term::Table { weights }) = term;
            if !fits || !weights.iter().all(sane) {
                return Err(format!("the weights of feature {at} do not fit it"));
            }
        }
        if self.intercepts.iter().all(sane) { Ok(()) } else { Err("an intercept is no sane number".into()) }
    }
}

impl Term {
    #[inline(always)]
    fn add(&self, value: f64, scores: &mut [f64]) {
        match self {
            Self::Slope { weights, mean } => {
                let value = if value.is_nan() { *mean } else { value.clamp(-LARGEST, LARGEST) };
                scores.iter_mut().zip(weights).for_each(|(score, weight)| *score += weight * value);
            }
            Self::Table { weights } => {
                let last = weights.len() / scores.len() - 1;
                let at = if value.is_nan() { last } else { value as usize };
                let weights = &weights[at * scores.len()..(at + 1) * scores.len()];
                scores.iter_mut().zip(weights).for_each(|(score, weight)| *score += weight);
            }
        }
    }
}

/// Without overflow on either side.
fn sigmoid(score: f64) -> f64 {
    if score >= 0.0 {
        1.0 / (1.0 + (-score).exp())
    } else {
        let e = score.exp();
        e / (1.0 + e)
    }
}

fn softmax(scores: &mut [f64]) {
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = (*score - greatest).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}
