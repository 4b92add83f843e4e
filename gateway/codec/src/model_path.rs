//! The model a request's path names.

use weir_exchange::Protocol;

/// Name and version in the path of a prediction: KServe V1 and TensorFlow Serving
/// `/v1/models/{m}[/versions/{v}]:predict`, Open Inference Protocol `/v2/models/{m}[/versions/{v}]/infer`;
/// a path before them (a mount point) is ignored. MLflow and `json` services name no model there.
///
/// This is what the client asked for: a label only if the route says `model_from = "request"`.
pub fn model_in_path<'p>(protocol: &Protocol, path: &'p str) -> (Option<&'p str>, Option<&'p str>) {
    let named = match protocol {
        Protocol::KserveV1 => {
            after(path, "/v1/models/").and_then(|rest| rest.rsplit_once(':')).map(|(m, _)| m)
        }
        Protocol::OipV2 => after(path, "/v2/models/").and_then(|rest| rest.strip_suffix("/infer")),
        Protocol::Mlflow | Protocol::Json(_) => None,
    };
    named.map_or((None, None), model_and_version)
}

fn after<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    // Mount points are rare, and a search costs more than the rest of it.
    path.strip_prefix(prefix).or_else(|| path.find(prefix).map(|at| &path[at + prefix.len()..]))
}

/// `m` or `m/versions/v`.
pub(crate) fn model_and_version(named: &str) -> (Option<&str>, Option<&str>) {
    // Most names have no version: to find no slash costs less than to find no substring.
    let Some(slash) = named.find('/') else { return (Some(named).filter(|m| !m.is_empty()), None) };
    let (model, rest) = named.split_at(slash);
    let whole = |part: &&str| !part.is_empty() && !part.contains('/');
    match rest.strip_prefix("/versions/") {
        Some(version) => (Some(model).filter(whole), Some(version).filter(whole)),
        None => (None, None),
    }
}
