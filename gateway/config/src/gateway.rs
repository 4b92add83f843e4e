//! `[gateway]`: the process itself.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::key::section;
use crate::kind::{Addr, Blank, Bool, Count, List, Period, Placed, Secret, Share, Text};
use crate::reader::{At, Reader};

const ZERO: Duration = Duration::ZERO;
const TEN_MINUTES: Duration = Duration::from_secs(600);

section! {
    /// The process: where it listens, its threads, how it ends.
    pub(crate) struct GatewayKeys {
        /// Address for traffic. Fixed until restart.
        listen: At<SocketAddr> = default("\"127.0.0.1:8000\"", Placed(Addr));
        /// Address of /metrics, /health, /ready, /ui and /api; loopback unless told otherwise. Fixed until
        /// restart.
        admin: At<SocketAddr> = default("\"127.0.0.1:9464\"", Placed(Addr));
        /// A further address with /metrics and /health only, for a Prometheus on another host; "" for none.
        /// Fixed until restart.
        metrics: Option<At<SocketAddr>> = default("\"\"", Blank(Placed(Addr)));
        /// Serve /metrics and /health on the traffic address too, as the FastAPI habit is. These two paths
        /// then never reach a route. Fixed until restart.
        serve_metrics_on_listen: bool = default("false", Bool);
        /// Threads that carry traffic; 0 is one per core. Fixed until restart.
        workers: usize = default("0", Count::new(0, 256));
        /// Threads that decode and measure, off the request path; 0 is a quarter of the workers, at least
        /// one. Fixed until restart.
        telemetry_threads: usize = default("0", Count::new(0, 64));
        /// Share of one core, per worker, that observing may take. Past it exchanges are observed with a
        /// known probability, and the rest are counted as `unsampled`. Fixed until restart.
        pub(crate) telemetry_cpu: f64 = default("\"25%\"", Share::from(0.1));
        /// Folder for compiled plugins and state that outlives the process; "" keeps both in memory only.
        /// Fixed until restart.
        state_dir: Option<String> = default("\"\"", Blank(Text));
        /// Name of this process in alerts and traces; "" is the host's name. Fixed until restart.
        instance: Option<String> = default("\"\"", Blank(Text));
        /// Time between /ready turning 503 and the listener closing, for a load balancer to notice.
        drain_delay: Duration = default("\"0s\"", Period::new(ZERO, TEN_MINUTES));
        /// Time that requests in flight get to end once the listener is closed.
        drain_timeout: Duration = default("\"30s\"", Period::new(ZERO, TEN_MINUTES));
        /// What must work for /ready to be 200: `backend:NAME` and `plugin:NAME`. Nothing, unless named: a
        /// faulty plugin takes no traffic away.
        pub(crate) ready_requires: Vec<At<String>> = default("[]", List::up_to(256, Placed(Text)));
        /// Token for everything on the admin address that changes state; "" allows none of it. Take it from
        /// the environment: "${WEIR_ADMIN_TOKEN}". Fixed until restart.
        admin_token: Option<String> = default("\"\"", Blank(Secret));
        /// Keep what clients say in `X-Forwarded-*` and `Forwarded` and add to it. Only behind a proxy that
        /// sets them: otherwise they are replaced, for anyone can write them.
        trusted_proxies: bool = default("false", Bool);
    }
}

/// `[gateway]`, resolved: counts of 0, an empty instance and relative folders are gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub metrics: Option<SocketAddr>,
    pub serve_metrics_on_listen: bool,
    /// Never 0.
    pub workers: usize,
    /// Never 0.
    pub telemetry_threads: usize,
    /// `None`: in memory only.
    pub state_dir: Option<PathBuf>,
    /// Never empty.
    pub instance: String,
    pub drain_delay: Duration,
    pub drain_timeout: Duration,
    /// `backend:NAME` or `plugin:NAME`; each is configured.
    pub ready_requires: Vec<String>,
    /// `None`: nothing on the admin address may change state.
    pub admin_token: Option<String>,
    /// True: keep and extend incoming `X-Forwarded-*` and `Forwarded`; false: replace them.
    pub trusted_proxies: bool,
}

impl GatewayKeys {
    pub(crate) fn resolve(self, base: &Path) -> Gateway {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = if self.workers == 0 { cores } else { self.workers };
        let quarter = (workers / 4).max(1);
        Gateway {
            listen: self.listen.value,
            admin: self.admin.value,
            metrics: self.metrics.map(|m| m.value),
            serve_metrics_on_listen: self.serve_metrics_on_listen,
            workers,
            telemetry_threads: if self.telemetry_threads == 0 { quarter } else { self.telemetry_threads },
            state_dir: self.state_dir.map(|dir| base.join(dir)),
            instance: self.instance.unwrap_or_else(host_name),
            drain_delay: self.drain_delay,
            drain_timeout: self.drain_timeout,
            ready_requires: self.ready_requires.into_iter().map(|r| r.value).collect(),
            admin_token: self.admin_token,
            trusted_proxies: self.trusted_proxies,
        }
    }

    /// Two listeners cannot share an address, and an open admin address deserves a word.
    pub(crate) fn check(&self, reader: &mut Reader<'_>) {
        let all = [Some(&self.listen), Some(&self.admin), self.metrics.as_ref()];
        let bound: Vec<&At<SocketAddr>> = all.into_iter().flatten().collect();
        for (index, later) in bound.iter().enumerate() {
            let Some(earlier) = bound[..index].iter().find(|one| clash(one.value, later.value)) else {
                continue;
            };
            // A faulty address was replaced by the default, which clashes with nothing that anyone wrote.
            if !reader.is_faulty(&earlier.place) && !reader.is_faulty(&later.place) {
                // Of two, the one to show is the one further down: a default stands at the table's header.
                let written = later.place.span.start >= earlier.place.span.start;
                let (shown, other) = if written { (later, earlier) } else { (earlier, later) };
                let taken = format!("`{}` is the address of {} already", other.value, other.place.key);
                reader.misfit(&shown.place, format!("{taken} (choose another port)"));
            }
        }
        if !self.admin.value.ip().is_loopback() && self.admin_token.is_none() {
            let words =
                "the admin address is open to the network (set `admin_token`, or listen on 127.0.0.1)";
            reader.warn(&self.admin.place, words);
        }
    }
}

fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || any(a.ip()) || any(b.ip()))
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "weir".to_owned() } else { name }
}
