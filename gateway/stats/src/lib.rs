//! Statistics over streams: pure, without a clock. Time is an argument, in ns of any one clock.

pub mod drift;
mod moments;
pub mod sampling;
pub mod series;
pub mod slo;
mod window;

pub use moments::Moments;
pub use window::{MAX_SLICES, Summary, Window, WindowShape};
