//! The words between the request path and a model that Weir runs itself.

use std::sync::Arc;

use bytes::Bytes;

use crate::exchange::{Content, Encoding};
use crate::route::ObservedRoute;
use crate::table::{Reply, Table};
use crate::trace::Stages;

/// One request for a local model.
#[derive(Clone, Debug)]
pub struct LocalRequest {
    pub route: Arc<ObservedRoute>,
    /// `POST` for predictions; `GET` for metadata and readiness.
    pub method: http_like::Method,
    pub path: String,
    /// The configuration gave the whole path, so that whatever model it names is this one.
    pub exact_path: bool,
    /// Name of the backend, by which a path may call the model too.
    pub backend: Arc<str>,
    pub encoding: Encoding,
    pub content: Content,
    pub body: Bytes,
}

/// The little of HTTP this floor needs.
pub mod http_like {
    /// Methods a model answers.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Method {
        Get,
        Post,
    }
}

/// A local model's answer, already encoded in the route's protocol, with the columns it was made from.
#[derive(Clone, Debug)]
pub struct LocalReply {
    pub status: u16,
    /// `application/json` body.
    pub body: Bytes,
    pub model: Arc<str>,
    pub model_version: Arc<str>,
    /// The rows as the model saw them; `None` when the request was refused before it was a table.
    pub request: Option<Box<Table>>,
    /// What was predicted; `None` for an error or a metadata answer.
    pub reply: Option<Box<Reply>>,
    pub fault: Option<ModelFault>,
    /// How long each stage took, if it predicted.
    pub stages: Option<Box<Stages>>,
}

/// Why a local model did not predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelFault {
    /// The caller's: wrong columns, types or JSON.
    Client,
    /// Ours: the model failed.
    Model,
    /// The queue was full.
    Busy,
}
