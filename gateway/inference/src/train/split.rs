//! Which rows are held out.

/// Parts rows into those to train on and those held out, both rising: of each class, the same share is held
/// out, at least one row and never all. `label` gives the class of each row, `None` for rows that take no
/// part.
///
/// A row's turn depends on the seed and its number alone and is computed here, not by a crate whose generator
/// might change: a model file must find its held-out rows again for ever.
pub(crate) fn split(
    label: &[Option<u32>],
    classes: usize,
    share: f64,
    seed: u64,
) -> (Vec<usize>, Vec<usize>) {
    let (mut train, mut holdout) = (Vec::new(), Vec::new());
    for class in 0..classes as u32 {
        let mut rows: Vec<usize> = (0..label.len()).filter(|row| label[*row] == Some(class)).collect();
        rows.sort_by_key(|row| mix(mix(seed) ^ *row as u64));
        let most = rows.len().saturating_sub(1);
        let held = ((rows.len() as f64 * share).round() as usize).clamp(1.min(most), most);
        holdout.extend_from_slice(&rows[..held]);
        train.extend_from_slice(&rows[held..]);
    }
    train.sort_unstable();
    holdout.sort_unstable();
    (train, holdout)
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014): a bijection, so no two rows tie.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
