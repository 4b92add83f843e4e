//! OTLP 1.x: batches of one signal to one collector, as protobuf over HTTP or as gRPC.
//!
//! Which answers are final and which mean "later" is what the specification says, section by section
//! (<https://opentelemetry.io/docs/specs/otlp/>).

mod grpc;
mod http;
mod signal;

use std::io::Write;
use std::marker::PhantomData;

use ::http::HeaderMap;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::resource::v1::Resource as Described;
use prost::Message;

use super::post::{Post, PostFault, PostOptions};
use super::resource::Resource;
use super::transport::{Answer, Transport};

pub use signal::{Logs, Signal, Traces};

/// When the receiver wants to be asked again, if it says so.
pub(super) fn after(headers: &HeaderMap) -> Option<std::time::Duration> {
    super::post::retry_after(headers, std::time::SystemTime::now())
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf over HTTP, commonly on port 4318.
    #[default]
    Http,
    /// gRPC, commonly on port 4317.
    Grpc,
}

/// Where and how to send a signal.
#[derive(Clone, Debug)]
pub struct OtlpOptions {
    /// The collector; `/v1/traces`, `/v1/logs` or the gRPC method is appended to its path.
    pub url: String,
    pub protocol: Protocol,
    /// Compress requests.
    pub gzip: bool,
    pub post: PostOptions,
}

/// A collector that takes one signal.
#[derive(Debug)]
pub struct Otlp<S> {
    post: Post,
    protocol: Protocol,
    gzip: bool,
    resource: Described,
    signal: PhantomData<fn() -> S>,
}

impl<S: Signal> Otlp<S> {
    /// A client of a collector; nothing is connected yet.
    ///
    /// # Errors
    /// The URL, a header or a certificate cannot be used.
    pub fn new(options: &OtlpOptions, resource: &Resource) -> Result<Self, PostFault> {
        let shape = match options.protocol {
            Protocol::Http => http::shape(S::PATH, options.gzip),
            Protocol::Grpc => grpc::shape(S::METHOD, options.gzip, options.post.timeout),
        };
        Ok(Self {
            post: Post::new(&options.url, shape, &options.post)?,
            protocol: options.protocol,
            gzip: options.gzip,
            resource: resource.described(),
            signal: PhantomData,
        })
    }
}

impl<S: Signal> Transport for Otlp<S> {
    type Item = S::Item;
    type Body = Bytes;

    fn signal(&self) -> &'static str {
        S::NAME
    }

    fn place(&self) -> &str {
        self.post.place()
    }

    fn size(item: &S::Item) -> usize {
        // Its tag and its length stand before it.
        item.encoded_len() + 4
    }

    fn encode(&self, items: Vec<S::Item>) -> Bytes {
        let message = S::request(&self.resource, items);
        let message = if self.gzip { gzip(&message) } else { message };
        match self.protocol {
            Protocol::Http => message.into(),
            Protocol::Grpc => grpc::frame(&message, self.gzip),
        }
    }

    async fn send(&self, body: Bytes) -> Answer {
        let reply = match self.post.send(body).await {
            Ok(reply) => reply,
            Err(error) => return error.into(),
        };
        match self.protocol {
            Protocol::Http => http::answer::<S>(&reply),
            Protocol::Grpc => grpc::answer::<S>(&reply),
        }
    }
}

/// The batch was taken; `answer` may say otherwise of some items.
fn taken<S: Signal>(answer: &[u8]) -> Answer {
    let (rejected, message) = S::rejected(answer).unwrap_or_default();
    Answer::Taken { rejected: u64::try_from(rejected).unwrap_or(0), message }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Fast: a core that encodes for longer is a core that others wait for.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes every byte")
}

/// What a stranger says, short enough for a line of the log; empty if it is no text.
fn short(text: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.trim().chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
