//! Whether a POST is addressed to this model and asks it to predict.

use std::borrow::Cow;

use weir_codec::encode::{self, ModelInfo};
use weir_codec::model_in_path;
use weir_exchange::{LocalRequest, ModelFault, Protocol};

/// What stands around the model's name in the path of a prediction.
struct Call {
    before: &'static str,
    after: &'static str,
    /// What sets a verb off from the name.
    mark: char,
}

const KSERVE: Call = Call { before: "/v1/models/", after: ":predict", mark: ':' };
const OIP: Call = Call { before: "/v2/models/", after: "/infer", mark: '/' };

/// The body of the 404 for a POST to another model, to another version, or of another verb. Whatever model an
/// exact path names is this one: the configuration says so.
pub(super) fn refusal(request: &LocalRequest, protocol: &Protocol, model: &ModelInfo) -> Option<Vec<u8>> {
    let LocalRequest { path, exact_path, .. } = request;
    let call = match protocol {
        Protocol::KserveV1 => Some(KSERVE),
        Protocol::OipV2 => Some(OIP),
        Protocol::Mlflow | Protocol::Json(_) => None,
    };
    let named = call.as_ref().and_then(|call| {
        // Behind a mount point, too.
        path.find(call.before).map(|at| (call, &path[at + call.before.len()..]))
    });
    let Some((call, named)) = named else {
        // A path of the route's own, unless the protocol has another use for it.
        let other = !exact_path && encode::answer_get(protocol, path, model).is_some();
        return other.then(|| nothing_here(request, protocol, model, call.as_ref()));
    };
    match named.strip_suffix(call.after) {
        Some(_) if *exact_path => None,
        Some(named) => other_model(request, protocol, model, (call, named)),
        None if *exact_path && !named.contains(call.mark) => None,
        None => Some(nothing_here(request, protocol, model, Some(call))),
    }
}

/// The refusal of `m[/versions/v]` if that is not this model by any of its names.
fn other_model(
    request: &LocalRequest,
    protocol: &Protocol,
    model: &ModelInfo,
    (call, named): (&Call, &str),
) -> Option<Vec<u8>> {
    let (name, version) = model_in_path(protocol, &request.path);
    let route = &request.route;
    let is = |part: &str, ours: [&str; 3]| ours.contains(&&*decoded(part));
    let name_fits = name.is_some_and(|name| is(name, [&model.name, &route.model, &request.backend]));
    let version_fits = |version| is(version, [&model.version, &route.model_version, &model.version]);
    if name_fits && version.is_none_or(version_fits) {
        return None;
    }
    // By the name that its metadata has.
    let asked = match version {
        Some(version) if name_fits => format!("{}{}/versions/{version}", call.before, model.name),
        _ => format!("{}{named}", call.before),
    };
    match encode::answer_get(protocol, &asked, model) {
        Some((404, body)) => Some(body),
        _ => Some(nothing_here(request, protocol, model, Some(call))),
    }
}

fn nothing_here(
    request: &LocalRequest,
    protocol: &Protocol,
    model: &ModelInfo,
    call: Option<&Call>,
) -> Vec<u8> {
    let hint =
        call.map(|Call { before, after, .. }| format!(" (`POST {before}{}{after}` predicts)", model.name));
    let message = format!("`POST {}` asks for nothing here{}", request.path, hint.unwrap_or_default());
    encode::error(protocol, ModelFault::Client, &message)
}

/// A segment of a path with its percent-encoding undone; one that is broken stays as it is.
fn decoded(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return segment.into();
    }
    let mut parts = segment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        let Some(code) = code else { return segment.into() };
        bytes.push(code);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_or(segment.into(), Cow::Owned)
}
