//! The Envoy side: contexts, body buffering, and the export of counters on a timer.

use crate::body::{self, Matrix};
use crate::measure::{Exchange, Measures, Settings};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::<Root>::default());
}}

type Shared = Rc<RefCell<Measures>>;

/// One per worker thread: owns the measures, exports them once a second.
#[derive(Default)]
struct Root {
    measures: Option<Shared>,
    metrics: HashMap<String, u32>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        match serde_json::from_slice::<Settings>(&text) {
            Ok(settings) => {
                self.measures = Some(Rc::new(RefCell::new(Measures::new(settings))));
                self.set_tick_period(Duration::from_secs(1));
                true
            }
            Err(error) => {
                log::error!("bad settings: {error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(measures) = &self.measures else { return };
        for (name, by) in measures.borrow_mut().drain() {
            let id = *self.metrics.entry(name).or_insert_with_key(|name| {
                hostcalls::define_metric(MetricType::Counter, &format!("bench.{name}")).unwrap_or_default()
            });
            if let Err(status) = hostcalls::increment_metric(id, by as i64) {
                log::error!("counter not taken: {status:?}");
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        let measures = Rc::clone(self.measures.as_ref()?);
        let started = SystemTime::UNIX_EPOCH;
        Some(Box::new(Stream { measures, context_id, started, status: 0, request: None }))
    }
}

/// One per request.
struct Stream {
    measures: Shared,
    context_id: u32,
    started: SystemTime,
    status: u32,
    request: Option<Matrix>,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.started = self.get_current_time();
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        let body = self.get_http_request_body(0, size).unwrap_or_default();
        self.request = body::matrix(&body, "instances", "inputs").ok();
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.status =
            self.get_http_response_header(":status").and_then(|text| text.parse().ok()).unwrap_or(0);
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, size).unwrap_or_default();
        let response = body::matrix(&body, "predictions", "outputs").ok();
        let taken = self.get_current_time().duration_since(self.started).unwrap_or_default();
        let exchange = Exchange {
            status: self.status,
            seconds: taken.as_secs_f64(),
            chance: self.chance(taken),
            request: self.request.as_ref(),
            response: response.as_ref(),
        };
        self.measures.borrow_mut().observe(&exchange);
        Action::Continue
    }
}

impl Stream {
    /// A number in 0..1 hashed (splitmix64) from what differs between requests; proxy-wasm offers no cheaper
    /// random.
    fn chance(&self, taken: Duration) -> f64 {
        let seed = (u64::from(self.context_id) << 32) ^ taken.as_nanos() as u64;
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
