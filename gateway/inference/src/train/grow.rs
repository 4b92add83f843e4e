//! A random forest: smartcore grows the trees, and they are taken out of it into flat arrays.

use serde::Deserialize;
use smartcore::ensemble::random_forest_classifier::{
    RandomForestClassifier, RandomForestClassifierParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;

use crate::error::TrainError;
use crate::forest::{Forest, LEAF};
use crate::train::{Encoded, gave_up};

/// Rows a leaf must hold, as the bootstrap counts them: enough for its class shares to mean something.
pub(crate) const LEAF_ROWS: usize = 10;

/// The runtime keeps its trees private and offers votes only, but serialises them: these types mirror its 0.7
/// form, field by field. What was read is checked against its own predictions, so that another form cannot
/// pass unnoticed.
#[derive(Deserialize)]
struct Grown {
    trees: Option<Vec<Tree>>,
    _classes: Option<Vec<u32>>,
    _samples: Option<Vec<Vec<bool>>>,
}

#[derive(Deserialize)]
struct Tree {
    nodes: Vec<Node>,
    _parameters: Option<Parameters>,
    _num_classes: usize,
    _classes: Vec<u32>,
    _depth: u16,
    _num_features: usize,
}

#[derive(Deserialize)]
enum Criterion {
    Gini,
    Entropy,
    ClassificationError,
}

#[derive(Deserialize)]
struct Parameters {
    _criterion: Criterion,
    _max_depth: Option<u16>,
    _min_samples_leaf: usize,
    _min_samples_split: usize,
    _seed: Option<u64>,
}

#[derive(Deserialize)]
struct Node {
    output: usize,
    _n_node_samples: usize,
    split_feature: usize,
    split_value: Option<f64>,
    _split_score: Option<f64>,
    true_child: Option<usize>,
    false_child: Option<usize>,
    _impurity: Option<f64>,
}

/// Grows a forest on the rows trained on.
pub(crate) fn grow(rows: &Encoded, classes: usize, trees: u16, seed: u64) -> Result<Forest, TrainError> {
    let filled = rows.filled();
    let count = rows.labels.len();
    let matrix = DenseMatrix::new(count, rows.width, filled.clone(), false).map_err(gave_up)?;
    let parameters = RandomForestClassifierParameters::default()
        .with_n_trees(trees)
        .with_min_samples_leaf(LEAF_ROWS)
        .with_seed(seed);
    let fitted = RandomForestClassifier::fit(&matrix, &rows.labels, parameters).map_err(gave_up)?;
    let votes: Vec<u32> = fitted.predict(&matrix).map_err(gave_up)?;
    let trees = read(&fitted)?;
    check_votes(&trees, &filled, rows.width, &votes, classes)?;
    let mut forest = flatten(&trees, classes, rows.means.clone());
    share_leaves(&mut forest, &filled, &rows.labels);
    Ok(forest)
}

fn read(fitted: &impl serde::Serialize) -> Result<Vec<Tree>, TrainError> {
    let unreadable = |error: postcard::Error| TrainError::Fit(format!("its trees cannot be read: {error}"));
    let bytes = postcard::to_allocvec(fitted).map_err(unreadable)?;
    let (grown, rest): (Grown, _) = postcard::take_from_bytes(&bytes).map_err(unreadable)?;
    match grown.trees {
        Some(trees) if rest.is_empty() => Ok(trees),
        _ => Err(TrainError::Fit("its trees have another form than expected".into())),
    }
}

/// Compares the majority of the trees that were read with what the runtime predicts.
fn check_votes(
    trees: &[Tree],
    filled: &[f64],
    width: usize,
    votes: &[u32],
    classes: usize,
) -> Result<(), TrainError> {
    for (row, expected) in filled.chunks_exact(width).zip(votes) {
        let mut count = vec![0_u32; classes];
        trees.iter().for_each(|tree| count[tree.vote(row)] += 1);
        let first = |best: usize, at| if count[at] > count[best] { at } else { best };
        if (1..classes).fold(0, first) != *expected as usize {
            return Err(TrainError::Fit("its trees, once read, vote otherwise than the forest".into()));
        }
    }
    Ok(())
}

impl Tree {
    fn vote(&self, row: &[f64]) -> usize {
        let mut node = &self.nodes[0];
        while let (Some(yes), Some(no), Some(value)) = (node.true_child, node.false_child, node.split_value) {
            node = &self.nodes[if row[node.split_feature] <= value { yes } else { no }];
        }
        node.output
    }
}

/// Lays the trees out, children beside each other behind their parents. Leaves get empty shares.
fn flatten(trees: &[Tree], classes: usize, fallback: Vec<f64>) -> Forest {
    let mut forest = Forest {
        classes,
        fallback,
        roots: Vec::with_capacity(trees.len()),
        feature: Vec::new(),
        threshold: Vec::new(),
        child: Vec::new(),
        shares: Vec::new(),
        steps: 0.0,
    };
    for tree in trees {
        let root = forest.push_empty();
        forest.roots.push(root as u32);
        let mut open = vec![(root, 0)];
        while let Some((at, node)) = open.pop() {
            let node = &tree.nodes[node];
            let (Some(yes), Some(no), Some(value)) = (node.true_child, node.false_child, node.split_value)
            else {
                forest.child[at] = (forest.shares.len() / classes) as u32;
                forest.shares.resize(forest.shares.len() + classes, 0.0);
                continue;
            };
            let first = forest.push_empty();
            let second = forest.push_empty();
            forest.feature[at] = node.split_feature as u16;
            forest.threshold[at] = value;
            forest.child[at] = first as u32;
            open.extend([(second, no), (first, yes)]);
        }
    }
    forest
}

impl Forest {
    fn push_empty(&mut self) -> usize {
        self.feature.push(LEAF);
        self.threshold.push(0.0);
        self.child.push(0);
        self.feature.len() - 1
    }
}

/// Sends the training rows through the trees and notes how many of each class end in each leaf. All of them,
/// not only those a tree was grown on: what a tree saw is what its leaves overrate.
fn share_leaves(forest: &mut Forest, filled: &[f64], labels: &[u32]) {
    let (width, classes) = (forest.fallback.len(), forest.classes);
    let mut passed = 0_u64;
    for root in forest.roots.clone() {
        for (row, label) in filled.chunks_exact(width).zip(labels) {
            let leaf = forest.leaf(root, row);
            forest.shares[leaf * classes + *label as usize] += 1.0;
            passed += forest.depth(root, row);
        }
    }
    for shares in forest.shares.chunks_exact_mut(classes) {
        let rows: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= rows);
    }
    forest.steps = passed as f64 / (labels.len() * forest.roots.len()) as f64;
}

impl Forest {
    /// Nodes a row passes.
    fn depth(&self, root: u32, row: &[f64]) -> u64 {
        let (mut at, mut passed) = (root as usize, 1);
        while self.feature[at] != LEAF {
            let second = row[usize::from(self.feature[at])] > self.threshold[at];
            at = self.child[at] as usize + usize::from(second);
            passed += 1;
        }
        passed
    }
}
