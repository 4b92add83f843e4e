//! How good predicted probabilities are. `probabilities` is row-major, one column a class; `labels` holds
//! class indices.

use crate::about::Validation;

/// All measures at once.
pub(crate) fn validate(probabilities: &[f64], labels: &[u32], classes: usize) -> Validation {
    let mut rows_of = vec![0_usize; classes];
    labels.iter().for_each(|label| rows_of[*label as usize] += 1);
    let most = rows_of.iter().max().copied().unwrap_or(0);
    Validation {
        auc: auc(probabilities, labels, classes),
        accuracy: accuracy(probabilities, labels, classes),
        baseline: most as f64 / labels.len() as f64,
        log_loss: log_loss(probabilities, labels, classes),
        brier: brier(probabilities, labels, classes),
    }
}

/// Area under the ROC curve of the last class; over more than two classes, the mean over classes of one
/// against the rest (Hand and Till's M is another measure).
pub(crate) fn auc(probabilities: &[f64], labels: &[u32], classes: usize) -> f64 {
    let of = |class: usize| {
        let scores = probabilities.chunks_exact(classes).map(|row| row[class]);
        area(scores.zip(labels.iter().map(|label| *label as usize == class)).collect())
    };
    if classes == 2 { of(1) } else { (0..classes).map(of).sum::<f64>() / classes as f64 }
}

/// The share of pairs, one positive and one negative, whose scores stand in the right order; ties count half.
/// NaN if one side is empty.
fn area(mut scored: Vec<(f64, bool)>) -> f64 {
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut pairs) = (0_u64, 0.0);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let positive = tied.iter().filter(|(_, positive)| *positive).count() as u64;
        let negative = tied.len() as u64 - positive;
        pairs += positive as f64 * (below as f64 + negative as f64 / 2.0);
        below += negative;
    }
    let positives = scored.len() as u64 - below;
    pairs / (positives as f64 * below as f64)
}

/// Share of rows whose most probable class is the true one.
pub(crate) fn accuracy(probabilities: &[f64], labels: &[u32], classes: usize) -> f64 {
    let rows = probabilities.chunks_exact(classes).zip(labels);
    let right = rows.filter(|(row, label)| most_probable(row) == **label as usize).count();
    right as f64 / labels.len() as f64
}

/// The first of the greatest.
pub(crate) fn most_probable(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best })
}

/// Mean negative logarithm of the true class's probability, which is taken to be at least `f64::EPSILON`.
pub(crate) fn log_loss(probabilities: &[f64], labels: &[u32], classes: usize) -> f64 {
    let rows = probabilities.chunks_exact(classes).zip(labels);
    let losses = rows.map(|(row, label)| -row[*label as usize].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln());
    losses.sum::<f64>() / labels.len() as f64
}

/// Two classes: the mean squared error of the last one's probability. More: the mean over rows of the sum
/// over classes.
pub(crate) fn brier(probabilities: &[f64], labels: &[u32], classes: usize) -> f64 {
    let first = if classes == 2 { 1 } else { 0 };
    let rows = probabilities.chunks_exact(classes).zip(labels);
    let error = |(row, label): (&[f64], &u32)| {
        let of = |class: usize| row[class] - f64::from(u8::from(class == *label as usize));
        (first..classes).map(|class| of(class).powi(2)).sum::<f64>()
    };
    rows.map(error).sum::<f64>() / labels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What scikit-learn says of the same numbers; `tests/vectors/record.py` recorded it.
    #[test]
    fn every_measure_agrees_with_scikit_learn() {
        let recorded: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/metrics.json")).unwrap();
        for set in recorded.as_array().unwrap() {
            let numbers = |key: &str| -> Vec<f64> {
                set[key].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
            };
            let labels: Vec<u32> = numbers("labels").into_iter().map(|label| label as u32).collect();
            let classes = set["classes"].as_u64().unwrap() as usize;
            let found = validate(&numbers("probabilities"), &labels, classes);
            for (name, found) in [
                ("auc", found.auc),
                ("accuracy", found.accuracy),
                ("log_loss", found.log_loss),
                ("brier", found.brier),
            ] {
                let expected = set[name].as_f64().unwrap();
                assert!((found - expected).abs() < 1e-12, "{name} of {classes}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn ties_count_half_and_perfect_order_is_one() {
        let of = |scores: &[(f64, bool)]| area(scores.to_vec());
        assert_eq!(of(&[(0.1, false), (0.2, true)]), 1.0);
        assert_eq!(of(&[(0.2, false), (0.1, true)]), 0.0);
        assert_eq!(of(&[(0.5, false), (0.5, true)]), 0.5);
    }
}
