//! Rules and objectives on a simulated clock: samples in, alerts out.

mod check;
mod life;
mod objectives;
mod world;
