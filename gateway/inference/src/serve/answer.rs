//! One request to one answer.

use std::sync::Arc;

use weir_codec::encode::{self, Datatype, ModelInfo, ModelLabels};
use weir_codec::{Body, Decoder};
use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::{LocalReply, LocalRequest, ModelFault, ObservedRoute, Protocol, Reply, Table};

use crate::about::{Feature, Kind};
use crate::model::Model;
use crate::serve::address;
use crate::serve::clock::Clock;

/// A model under the name it is served by.
#[derive(Debug)]
pub(super) struct Answerer {
    model: Arc<Model>,
    info: ModelInfo,
}

impl Answerer {
    pub(super) fn new(model: Arc<Model>, name: Option<Arc<str>>) -> Self {
        let about = model.about();
        let info = ModelInfo {
            name: name.unwrap_or_else(|| about.name.as_str().into()),
            version: about.version.as_str().into(),
            features: about.features.iter().map(|f| (f.name.as_str().into(), datatype(f))).collect(),
            classes: model.classes().to_vec(),
        };
        Self { model, info }
    }

    pub(super) fn name(&self) -> &str {
        &self.info.name
    }

    pub(super) fn version(&self) -> &str {
        &self.info.version
    }

    /// What this many rows will cost.
    pub(super) fn nanoseconds(&self, rows: usize) -> f64 {
        rows as f64 * self.model.nanoseconds_per_row()
    }

    /// Metadata and readiness.
    pub(super) fn get(&self, request: &LocalRequest) -> LocalReply {
        let protocol = protocol(&request.route);
        match encode::answer_get(protocol, &request.path, &self.info) {
            Some((status, body)) => LocalReply {
                fault: (status >= 400).then_some(ModelFault::Client),
                ..self.reply(status, body)
            },
            None => {
                self.refuse(&request.route, 404, &format!("`GET {}` asks for nothing here", request.path))
            }
        }
    }

    /// The rows of a request, or its refusal.
    pub(super) fn decode(
        &self,
        decoder: &mut Decoder,
        request: &LocalRequest,
    ) -> Result<Box<Table>, LocalReply> {
        let content = match request.content {
            // Who sends JSON may call it anything, and nothing else is read here.
            Content::Json | Content::Other => Content::Json,
            Content::Csv => Content::Csv,
        };
        let body = Body { bytes: &request.body, encoding: request.encoding, content };
        let mut rows = Box::<Table>::default();
        match decoder.request(&request.route, &request.path, body, &mut rows) {
            Ok(()) => Ok(rows),
            Err(error) => Err(self.refuse(&request.route, 400, &error.message)),
        }
    }

    /// The refusal of a POST that asks another model, or for something else than predictions.
    pub(super) fn refuse_other(&self, request: &LocalRequest) -> Option<LocalReply> {
        let body = address::refusal(request, protocol(&request.route), &self.info)?;
        Some(LocalReply { fault: Some(ModelFault::Client), ..self.reply(404, body) })
    }

    pub(super) fn predict(&self, request: &LocalRequest, rows: Box<Table>, clock: &mut Clock) -> LocalReply {
        let mut reply = Box::<Reply>::default();
        clock.began();
        let refused = self.model.predict(&rows, &mut reply).err();
        clock.predicted();
        if let Some(error) = refused {
            let refusal = self.refuse(&request.route, 400, &error.to_string());
            return LocalReply { request: Some(rows), ..refusal };
        }
        let protocol = protocol(&request.route);
        let labels = ModelLabels { name: &self.info.name, version: &self.info.version };
        let id = encode_id(protocol, request);
        let body = encode::reply(protocol, &reply, &labels, id.as_deref());
        // What the body says of the model, whoever looks at the columns must know too.
        reply.model.push_str(&self.info.name);
        reply.model_version.push_str(&self.info.version);
        let stages = Some(Box::new(clock.encoded()));
        LocalReply { request: Some(rows), reply: Some(reply), stages, ..self.reply(200, body) }
    }

    /// The answer when predicting panicked: the route's protocol may be what was wrong, so the plainest
    /// shape.
    pub(super) fn failed(&self) -> LocalReply {
        let message = format!("the model `{}` failed", self.info.name);
        let body = encode::error(&Protocol::KserveV1, ModelFault::Model, &message);
        LocalReply { fault: Some(ModelFault::Model), ..self.reply(500, body) }
    }

    fn refuse(&self, route: &ObservedRoute, status: u16, message: &str) -> LocalReply {
        let body = encode::error(protocol(route), ModelFault::Client, message);
        LocalReply { fault: Some(ModelFault::Client), ..self.reply(status, body) }
    }

    fn reply(&self, status: u16, body: Vec<u8>) -> LocalReply {
        LocalReply {
            status,
            body: body.into(),
            model: Arc::clone(&self.info.name),
            model_version: Arc::clone(&self.info.version),
            request: None,
            reply: None,
            fault: None,
            stages: None,
        }
    }
}

/// A route without a protocol is refused by the decoder; until then its errors look like most.
fn protocol(route: &ObservedRoute) -> &Protocol {
    route.protocol.as_ref().unwrap_or(&Protocol::KserveV1)
}

/// A compressed body is not decompressed twice for its `id`, which is optional.
fn encode_id(protocol: &Protocol, request: &LocalRequest) -> Option<String> {
    let plain = request.encoding == Encoding::Identity;
    if plain { encode::request_id(protocol, &request.body) } else { None }
}

fn datatype(feature: &Feature) -> Datatype {
    match feature.kind {
        Kind::Number { whole: true, .. } => Datatype::Int64,
        Kind::Number { .. } => Datatype::Fp64,
        Kind::Flag { .. } => Datatype::Bool,
        Kind::Category { .. } => Datatype::Bytes,
    }
}
