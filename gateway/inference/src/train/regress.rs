//! Logistic regression: smartcore finds the weights, and the scaling is folded into them.

use smartcore::linalg::basic::arrays::Array;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};

use crate::error::TrainError;
use crate::linear::{Linear, Term};
use crate::train::{Encoded, gave_up};

/// Weight of half the squared norm of the weights (the intercept is free): scikit-learn's `C = 1`. Inputs are
/// standardised, so one strength suits all of them; a column for each index of a category is possible only
/// with it.
pub(crate) const L2: f64 = 1.0;

/// One standardised column of the design matrix.
struct Scale {
    feature: usize,
    /// The index of a category this column is 1 for; `None` for a number.
    code: Option<usize>,
    mean: f64,
    /// 0 if the column is constant: it then takes no part.
    deviation: f64,
}

/// Fits the rows trained on.
pub(crate) fn fit(rows: &Encoded, codes: &[usize]) -> Result<Linear, TrainError> {
    let scales = scales(rows, codes);
    let used: Vec<&Scale> = scales.iter().filter(|scale| scale.deviation > 0.0).collect();
    if used.is_empty() {
        return Err(TrainError::Fit("every feature has one and the same value in all rows".into()));
    }
    let mut design = Vec::with_capacity(rows.labels.len() * used.len());
    for row in rows.values.chunks_exact(rows.width) {
        design.extend(used.iter().map(|scale| scale.standardise(row)));
    }
    let design = DenseMatrix::new(rows.labels.len(), used.len(), design, false).map_err(gave_up)?;
    let parameters = LogisticRegressionParameters::default().with_alpha(L2);
    let fitted = LogisticRegression::fit(&design, &rows.labels, parameters).map_err(gave_up)?;
    let (weights, intercepts) = (fitted.coefficients(), fitted.intercept());
    let outputs = weights.shape().0;
    let mut folded = Folded { terms: empty_terms(rows, codes, outputs), intercepts: vec![0.0; outputs] };
    for output in 0..outputs {
        folded.intercepts[output] += *intercepts.get((output, 0));
        for (at, scale) in used.iter().enumerate() {
            folded.add(scale, *weights.get((output, at)) / scale.deviation, output);
        }
    }
    Ok(Linear { intercepts: folded.intercepts, terms: folded.terms })
}

fn scales(rows: &Encoded, codes: &[usize]) -> Vec<Scale> {
    let mut scales = Vec::new();
    for (feature, codes) in codes.iter().enumerate() {
        let columns = if *codes == 0 { vec![None] } else { (0..*codes).map(Some).collect() };
        for code in columns {
            let scale = Scale { feature, code, mean: 0.0, deviation: 1.0 };
            let known = || rows.values.chunks_exact(rows.width).filter_map(|row| scale.value(row));
            let count = known().count().max(1) as f64;
            let mean = known().sum::<f64>() / count;
            let variance = known().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            scales.push(Scale { mean, deviation: variance.sqrt(), ..scale });
        }
    }
    scales
}

impl Scale {
    fn value(&self, row: &[f64]) -> Option<f64> {
        let value = row[self.feature];
        match self.code {
            None => (!value.is_nan()).then_some(value),
            Some(code) => Some(f64::from(u8::from(value == code as f64))),
        }
    }

    /// A missing number counts as the mean.
    fn standardise(&self, row: &[f64]) -> f64 {
        self.value(row).map_or(0.0, |value| (value - self.mean) / self.deviation)
    }
}

fn empty_terms(rows: &Encoded, codes: &[usize], outputs: usize) -> Vec<Term> {
    let term = |(feature, codes): (usize, &usize)| match codes {
        0 => Term::Slope { weights: vec![0.0; outputs], mean: rows.means[feature] },
        codes => Term::Table { weights: vec![0.0; (codes + 1) * outputs] },
    };
    codes.iter().enumerate().map(term).collect()
}

/// `w * (x - mean) / deviation` taken apart: a weight of `x` itself, and the rest in the intercept.
struct Folded {
    terms: Vec<Term>,
    intercepts: Vec<f64>,
}

impl Folded {
    fn add(&mut self, scale: &Scale, weight: f64, output: usize) {
        self.intercepts[output] -= weight * scale.mean;
        let outputs = self.intercepts.len();
        match (&mut self.terms[scale.feature], scale.code) {
            (Term::Table { weights }, Some(code)) => {
                weights[code * outputs + output] += weight;
                // The mean row: each index by its share of the rows.
                let mean_row = weights.len() - outputs;
                weights[mean_row + output] += weight * scale.mean;
            }
            (Term::Slope { weights, .. } | Term::Table { weights }, _) => weights[output] += weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What scikit-learn's `LogisticRegression(C=1)` says of the same rows, scaled; `tests/vectors/record.py`
    /// recorded it.
    #[test]
    fn probabilities_agree_with_scikit_learn() {
        let recorded: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/logistic.json")).unwrap();
        for set in recorded.as_array().unwrap() {
            let numbers = |key: &str| -> Vec<f64> {
                set[key].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
            };
            let (values, expected) = (numbers("values"), numbers("probabilities"));
            let labels: Vec<u32> = numbers("labels").into_iter().map(|label| label as u32).collect();
            let classes = set["classes"].as_u64().unwrap() as usize;
            let rows = Encoded { width: 3, means: vec![0.0; 3], values, labels };
            let fitted = fit(&rows, &[0, 0, 0]).unwrap();
            let mut found = vec![0.0; expected.len()];
            fitted.predict(&rows.values, classes, &mut found);
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{classes} classes: {found}, not {expected}");
            }
        }
    }
}
