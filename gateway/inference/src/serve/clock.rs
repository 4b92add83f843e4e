//! When the stages of one answer ended.

use std::time::Instant;

use weir_exchange::trace::Stages;

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    stages: Stages,
}

impl Clock {
    /// The model has got the request.
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), stages: Stages::default() }
    }

    pub(super) fn decoded(&mut self) {
        self.stages.decoded_ns = self.elapsed_ns();
    }

    pub(super) fn began(&mut self) {
        self.stages.began_ns = self.elapsed_ns();
    }

    pub(super) fn predicted(&mut self) {
        self.stages.predicted_ns = self.elapsed_ns();
    }

    pub(super) fn encoded(&mut self) -> Stages {
        self.stages.encoded_ns = self.elapsed_ns();
        self.stages
    }

    fn elapsed_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}
