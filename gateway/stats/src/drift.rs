//! Has the distribution of a feature changed? Fixed bins, a test that holds its level, effects without bias.
//!
//! A profile is made once, of reference rows: `Bins` (or `Categories`) and, from the smallest window that
//! will be judged, `Groups` of bins, so that every group expects enough rows. A live window then costs a
//! count a fine bin; a look at it is `pearson` on the groups, `holm` over the features at the level of
//! `look_level`, and `effects` of what is reported. Counts are `f64`, so that weighted rows enter as
//! `Weighted::counts`. What is missing is no bin: present and missing rows are a table of their own.

mod bins;
mod chi2;
mod effects;
mod family;
mod groups;
mod intervals;
mod power;
mod table;
mod weighted;

pub use bins::{Bins, Categories, Counts, DECILES, FINE_BINS, Place};
pub use chi2::{chi2_isf, chi2_ln_sf, chi2_sf, kolmogorov_sf, z_of};
pub use effects::{Effect, Effects, effects, wasserstein};
pub use family::{benjamini_hochberg, holm, look_level};
pub use groups::{Groups, MIN_EXPECTED};
pub use intervals::{Interval, newcombe, wilson};
pub use power::{smallest_psi, smallest_share_shift};
pub use table::{KolmogorovSmirnov, Pearson, kolmogorov_smirnov, pearson, phi};
pub use weighted::Weighted;
