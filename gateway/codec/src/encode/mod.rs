//! The answers of a model that Weir runs itself, in the words of the route's protocol.
//!
//! What is written here, the decoder reads back as it was, and a client of the protocol accepts it. JSON
//! has no NaN and no infinity: both become null.

mod answer;
mod reply;
mod writer;

use weir_exchange::{ModelFault, Protocol};

pub use answer::{Datatype, ModelInfo, answer_get};
pub use reply::{ModelLabels, reply};

use crate::error::DecodeLimits;
use crate::json::Reader;
use writer::Writer;

/// An error's body: `{"error": ..}`, or MLflow's `error_code` and `message`.
pub fn error(protocol: &Protocol, fault: ModelFault, message: &str) -> Vec<u8> {
    let mut out = Writer::default();
    match protocol {
        Protocol::Mlflow => {
            // Names of MLflow's own error codes.
            let code = match fault {
                ModelFault::Client => "BAD_REQUEST",
                ModelFault::Model => "INTERNAL_ERROR",
                ModelFault::Busy => "TEMPORARILY_UNAVAILABLE",
            };
            out.raw("{\"error_code\":").text(code).raw(",\"message\":").text(message).raw("}");
        }
        Protocol::KserveV1 | Protocol::OipV2 | Protocol::Json(_) => {
            out.raw("{\"error\":").text(message).raw("}");
        }
    }
    out.into_bytes()
}

/// The `id` of an Open Inference Protocol request, which its answer repeats; other protocols have none.
pub fn request_id(protocol: &Protocol, body: &[u8]) -> Option<String> {
    if *protocol != Protocol::OipV2 {
        return None;
    }
    let mut r = Reader::new(body, DecodeLimits::default().depth).ok()?;
    let (mut unescaped, mut id) = (String::new(), None);
    let mut object = r.object().ok()?;
    while let Some(key) = r.key(&mut object, &mut unescaped).ok()? {
        if key == "id" && r.peek() == b'"' {
            id = Some(r.string(&mut unescaped).ok()?.to_owned());
        } else {
            r.skip(&mut unescaped).ok()?;
        }
    }
    id
}
