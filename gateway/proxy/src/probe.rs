//! Ready probes: one task an endpoint, for all workers together.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::{http1, http2};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use weir_config::{Forward, PathMatch, Ready, Route};
use weir_exchange::Protocol;

use crate::io::Io;
use crate::metrics::ProxyMetrics;
use crate::snapshot::{Snapshot, TargetKind};
use crate::upstream::Endpoint;

/// The longest wait before an endpoint that is not ready is asked again.
const OUT_AGAIN: Duration = Duration::from_secs(1);

/// The probes of one generation; dropping it ends them.
#[derive(Debug)]
pub struct Prober {
    _tasks: JoinSet<()>,
}

/// What one endpoint is asked.
#[derive(Clone, Debug)]
struct Probe {
    endpoint: Arc<Endpoint>,
    path: String,
    http2: bool,
    every: Duration,
    within: Duration,
}

impl Prober {
    /// Starts probing every endpoint of the snapshot that has a probe; the first answer comes at once.
    /// `changed` is told when an endpoint comes or goes, with the reason. Must be called on a tokio runtime.
    pub fn start(
        snapshot: &Snapshot,
        metrics: &ProxyMetrics,
        changed: &(impl Fn(&str, Result<(), &str>) + Clone + Send + 'static),
    ) -> Self {
        let mut tasks = JoinSet::new();
        for target in &snapshot.backends {
            let TargetKind::Forward { config, endpoints } = &target.kind else { continue };
            let Some(path) = probe_path(snapshot, &target.name, config) else { continue };
            for endpoint in endpoints {
                let probe = Probe {
                    endpoint: endpoint.clone(),
                    path: format!("{}{path}", endpoint.config.prefix),
                    http2: config.http2,
                    every: config.ready_interval,
                    within: config.ready_timeout,
                };
                tasks.spawn(keep_probing(probe, metrics.clone(), changed.clone()));
            }
        }
        Self { _tasks: tasks }
    }
}

/// The path to ask: the configured one, or the ready path of the protocol that a route to this backend
/// speaks.
fn probe_path(snapshot: &Snapshot, backend: &Arc<str>, config: &Forward) -> Option<String> {
    match &config.ready {
        Ready::Off => None,
        Ready::Path(path) => Some(path.clone()),
        Ready::Protocol => {
            let routes = snapshot.routes.iter().map(|r| &r.config).filter(|r| r.backend == *backend);
            routes.into_iter().find_map(protocol_path)
        }
    }
}

/// Sources: KServe V1 and Open Inference Protocol V2 specifications; MLflow's scoring server (`/ping`).
fn protocol_path(route: &Route) -> Option<String> {
    let (PathMatch::Exact(path) | PathMatch::Prefix(path)) = &route.path;
    let named = |prefix: &str, end: &[char]| {
        let name = path.strip_prefix(prefix)?.split(end).next()?;
        (!name.is_empty()).then(|| name.to_owned())
    };
    // The server knows the name that requests are sent to; the route's is a label of ours.
    let model =
        |from_path: Option<String>| from_path.or_else(|| route.model.as_ref().map(ToString::to_string));
    match route.protocol.as_ref()? {
        Protocol::KserveV1 => model(named("/v1/models/", &[':', '/'])).map(|m| format!("/v1/models/{m}")),
        Protocol::OipV2 => Some(match model(named("/v2/models/", &['/'])) {
            Some(m) => format!("/v2/models/{m}/ready"),
            None => "/v2/health/ready".to_owned(),
        }),
        Protocol::Mlflow => Some("/ping".to_owned()),
        // A service of its own making has no ready path anyone could know.
        Protocol::Json(_) => None,
    }
}

async fn keep_probing(
    probe: Probe,
    metrics: ProxyMetrics,
    changed: impl Fn(&str, Result<(), &str>) + Send + 'static,
) {
    loop {
        let asked = Instant::now();
        let late = || Err(format!("no answer to `{}` within {} ms", probe.path, probe.within.as_millis()));
        let found = tokio::time::timeout(probe.within, ask(&probe)).await.unwrap_or_else(|_| late());
        let result = match &found {
            Ok(()) => "ready",
            Err(_) => "not_ready",
        };
        let endpoint = &probe.endpoint;
        metrics.probes.get(&[&endpoint.backend, &endpoint.config.url, result]).inc();
        let found = found.as_ref().map(|&()| ()).map_err(String::as_str);
        if endpoint.probed(found) {
            changed(&endpoint.config.url, found);
        }
        tokio::time::sleep_until(asked + pause(probe.every, found.is_ok())).await;
    }
}

/// From one question to the next. A server that is out is asked often, so that it is soon back.
fn pause(every: Duration, ready: bool) -> Duration {
    let pause = if ready { every } else { every.min(OUT_AGAIN) };
    pause.max(Duration::from_millis(10))
}

/// Asks once. Ready is a 2xx whose JSON, if it says `ready` or `live`, says true.
async fn ask(probe: &Probe) -> Result<(), String> {
    let config = &probe.endpoint.config;
    let stream = TcpStream::connect((config.host.as_str(), config.port))
        .await
        .map_err(|e| format!("failed to connect: {e}"))?;
    let io = Io::upstream(stream);
    let uri =
        if probe.http2 { format!("http://{}{}", config.authority, probe.path) } else { probe.path.clone() };
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri.parse().map_err(|e| format!("`{}` is not a path: {e}", probe.path))?;
    let response = if probe.http2 {
        *request.version_mut() = Version::HTTP_2;
        let executor = TokioExec;
        let (mut sender, connection) =
            http2::handshake(executor, io).await.map_err(|e| format!("handshake failed: {e}"))?;
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        request.headers_mut().insert(http::header::HOST, probe.endpoint.host.clone());
        let (mut sender, connection) =
            http1::handshake(io).await.map_err(|e| format!("handshake failed: {e}"))?;
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let response = response.map_err(|e| format!("`{}` failed: {e}", probe.path))?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("`{}` answered {status}", probe.path));
    }
    let body = Limited::new(response.into_body(), 64 << 10).collect().await.map(|b| b.to_bytes());
    let said = body.ok().and_then(|b| serde_json::from_slice::<serde_json::Value>(&b).ok());
    let denies = |key: &str| said.as_ref().and_then(|s| s.get(key)?.as_bool()) == Some(false);
    if denies("ready") || denies("live") {
        return Err(format!("`{}` answered that the model is not ready", probe.path));
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
struct TokioExec;

impl<F> hyper::rt::Executor<F> for TokioExec
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_is_out_is_asked_again_within_a_second() {
        let (often, seldom) = (Duration::from_millis(100), Duration::from_secs(60));
        assert_eq!([pause(seldom, true), pause(seldom, false)], [seldom, OUT_AGAIN]);
        assert_eq!([pause(often, true), pause(often, false)], [often, often]);
    }
}
