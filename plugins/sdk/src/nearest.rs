//! The known word that was probably meant.

/// The known word nearest to `word`, if one is near enough to have been meant: a few typing errors away, or
/// longer or shorter at its end. The same rule as for the keys of Weir's own configuration.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    const SHORTEST: usize = 3;
    let word = word.to_ascii_lowercase();
    let enough = word.chars().count() / 3;
    let distance = |known: &str| {
        let known = known.to_ascii_lowercase();
        let (short, long) = if known.len() < word.len() { (&known, &word) } else { (&word, &known) };
        let cut = short.len() >= SHORTEST && long.starts_with(&**short);
        let typed = typing_errors(&word, &known);
        if cut { typed.min(enough) } else { typed }
    };
    let (distance, best) = known.iter().map(|known| (distance(known), *known)).min_by_key(|(d, _)| *d)?;
    (distance <= enough).then_some(best)
}

/// Letters added, left out, mistaken, or swapped with their neighbour, that make one word of the other.
fn typing_errors(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Rows of the usual table: two letters before the current one of `a`, one before, and at it.
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let other = above[j] + usize::from(a[i] != b[j]);
            let mut least = other.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_one_letter_or_two_swapped() {
        for (a, b, errors) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("threshhold", "threshold", 1),
            ("windwo", "window", 1),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ] {
            assert_eq!(typing_errors(a, b), errors, "{a} {b}");
        }
    }

    #[test]
    fn what_is_far_from_every_word_meant_none() {
        let known = ["threshold", "min_share", "window"];
        assert_eq!(nearest("Threshhold", &known), Some("threshold"));
        assert_eq!(nearest("min_share_of_rows", &known), Some("min_share"));
        assert_eq!(nearest("win", &known), Some("window"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &known), None);
        assert_eq!(nearest("window", &[]), None);
    }
}
