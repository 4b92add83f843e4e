//! Has the distribution of a feature changed? Fixed bins, a test that holds its level, effects without bias.
//!
//! A profile is made once, of reference rows: `Bins` (or `Categories`) and, from the smallest window that
//! will be judged, `Groups` of bins, so that every group expects enough rows. A live window then costs a
//! count a fine bin; a look at it is `compare` of each feature and `judge_comparisons` of all of them at the
//! level of `look_level`. Counts are `f64`, so that weighted rows enter as `Weighted::counts`. What is
//! missing is no bin: present and missing rows are a table of their own.

mod adwin;
mod bins;
mod chi2;
mod comparison;
mod dispersion;
mod distinct;
mod effects;
mod family;
mod fisher;
mod groups;
mod intervals;
mod missing;
mod page_hinkley;
mod power;
mod significance;
mod table;
mod weighted;

pub use adwin::Adwin;
pub use bins::{Bins, Categories, Counts, DECILES, FINE_BINS, Place, mid_ranks};
pub use chi2::{chi2_isf, chi2_ln_sf, chi2_sf, f_sf, kolmogorov_sf, z_of};
pub use comparison::{
    Comparison, Finding, Hypothesis, Profile, Sample, Verdict, compare, judge, judge_comparisons,
};
pub use dispersion::{Dispersion, phi};
pub use distinct::{Distinct, MAX_HASHES, RowHash};
pub use effects::{Effect, Effects, effects, wasserstein};
pub use family::{benjamini_hochberg, holm, look_level};
pub use fisher::fisher_exact;
pub use groups::{Groups, MIN_EXPECTED};
pub use intervals::{Interval, newcombe, wilson};
pub use missing::{Logits, MissingComparison, MissingDispersion, Presence, is_hypothesis, missing};
pub use page_hinkley::{PageHinkley, Shift};
pub use power::{smallest_psi, smallest_psi_of, smallest_share_shift};
pub use significance::{Significance, significance};
pub use table::{KolmogorovSmirnov, Pearson, kolmogorov_smirnov, pearson};
pub use weighted::Weighted;
