//! `[tracing]`: which traces are kept, and where their spans go.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::key::section;
use crate::kind::{Blank, Collector, Count, List, Pairs, Period, Placed, SecretPairs, Share, Text, headers};
use crate::kind::{Word, Words};
use crate::reader::{At, Reader};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

section! {
    /// Which traces are kept, and where their spans go. The head decides by `sample` and tells the model
    /// server; what is known at the end (verdicts of plugins, `rest`) can keep more.
    pub(crate) struct TracingKeys {
        /// URL of the OpenTelemetry collector, such as "http://127.0.0.1:4317"; "" exports no spans.
        otlp: Option<At<String>> = default("\"\"", Blank(Placed(Collector)));
        /// "grpc", or "http/protobuf": then spans go to `/v1/traces` below the URL.
        protocol: OtlpProtocol = default("\"grpc\"", Word::of(PROTOCOLS));
        /// Headers of every export, such as { authorization = "Bearer ${OTLP_TOKEN}" }. Never shown.
        headers: Vec<At<(String, String)>> = default("{}", SecretPairs);
        /// "gzip" compresses what is exported, "none" does not.
        compression: bool = default("\"none\"", Word::of(&[("none", false), ("gzip", true)]));
        /// PEM file of the authorities that the collector's certificate may be from; "" for the system's.
        ca: Option<String> = default("\"\"", Blank(Text));
        /// PEM file of the certificate that Weir shows the collector, with `key`; "" for none.
        certificate: Option<At<String>> = default("\"\"", Blank(Placed(Text)));
        /// PEM file of the private key to `certificate`.
        key: Option<At<String>> = default("\"\"", Blank(Placed(Text)));
        /// What an export may take.
        timeout: Duration = default("\"10s\"", Period::new(MS, HOUR));
        /// How long a failed export is tried again, at growing intervals, before its spans are dropped.
        retry_for: Duration = default("\"1m\"", Period::new(MS, HOUR).or_zero());
        /// Spans that may wait for the collector; further ones are dropped and counted.
        queue: usize = default("8192", Count::new(64, 1 << 20));
        /// Share of the traces that begin here which the head samples.
        sample: f64 = default("\"1%\"", Share::from(0.0));
        /// "honour" lets a caller's `sampled` flag decide for its trace; "ignore" decides anew by `sample`.
        callers: Callers = default("\"honour\"", Word::of(CALLERS));
        /// Formats of trace context, read in this order and written all: "w3c", "b3" (one header),
        /// "b3multi".
        propagate: Vec<At<Format>> = default("[\"w3c\"]", List::up_to(3, Placed(Word::of(FORMATS))));
        /// Traces a second to keep of what nothing else keeps, spread over routes, classes and statuses so
        /// that rare ones are seen; 0 for none.
        rest: usize = default("5", Count::new(0, 1 << 20));
        /// Most traces kept in any second; 0 for no such limit. What is over it is dropped at random with a
        /// known probability.
        budget: usize = default("100", Count::new(0, 1 << 20));
        /// `service.name` of Weir's spans.
        service: String = default("\"weir\"", Text);
        /// Further resource attributes, such as { "deployment.environment.name" = "prod" }.
        resource: Vec<At<(String, String)>> = default("{}", Pairs);
    }
}

/// How spans travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    Grpc,
    HttpProtobuf,
}

const PROTOCOLS: Words<OtlpProtocol> =
    &[("grpc", OtlpProtocol::Grpc), ("http/protobuf", OtlpProtocol::HttpProtobuf)];

/// Whether a caller's decision holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    Honour,
    Ignore,
}

const CALLERS: Words<Callers> = &[("honour", Callers::Honour), ("ignore", Callers::Ignore)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    W3c,
    B3,
    B3Multi,
}

const FORMATS: Words<Format> = &[("w3c", Format::W3c), ("b3", Format::B3), ("b3multi", Format::B3Multi)];

/// The formats of trace context that are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation {
    pub w3c: bool,
    pub b3: bool,
    pub b3multi: bool,
}

impl Propagation {
    /// `traceparent` and `tracestate` alone.
    pub const W3C: Self = Self { w3c: true, b3: false, b3multi: false };

    pub fn any_b3(self) -> bool {
        self.b3 || self.b3multi
    }
}

/// `[tracing]`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// `None`: no spans are exported, and the rest means nothing.
    pub otlp: Option<Otlp>,
    /// 0..=1.
    pub sample: f64,
    pub callers: Callers,
    pub propagate: Propagation,
    /// Traces a second; 0: none.
    pub rest: usize,
    /// Traces a second; 0: no limit.
    pub budget: usize,
}

/// A collector, and how it is spoken to.
#[derive(Clone, PartialEq)]
pub struct Otlp {
    /// `http://` or `https://`, with any path kept.
    pub url: String,
    pub protocol: OtlpProtocol,
    /// Names in lower case. Values are secret.
    pub headers: Vec<(String, String)>,
    pub gzip: bool,
    pub ca: Option<PathBuf>,
    /// Certificate and private key.
    pub identity: Option<(PathBuf, PathBuf)>,
    pub timeout: Duration,
    pub retry_for: Duration,
    pub queue: usize,
    pub service: String,
    pub resource: Vec<(String, String)>,
}

impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Otlp").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

impl TracingKeys {
    pub(crate) fn resolve(self, base: &Path, reader: &mut Reader<'_>) -> Tracing {
        let has = |format| self.propagate.iter().any(|f| f.value == format);
        let propagate =
            Propagation { w3c: has(Format::W3c), b3: has(Format::B3), b3multi: has(Format::B3Multi) };
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((base.join(&certificate.value), base.join(&key.value))),
            (None, None) => None,
            (Some(lonely), None) | (None, Some(lonely)) => {
                reader.misfit(&lonely.place, "`certificate` and `key` belong together (give both)");
                None
            }
        };
        let headers = headers(&self.headers, reader);
        let otlp = self.otlp.map(|url| Otlp {
            url: url.value,
            protocol: self.protocol,
            headers,
            gzip: self.compression,
            ca: self.ca.map(|file| base.join(file)),
            identity,
            timeout: self.timeout,
            retry_for: self.retry_for,
            queue: self.queue,
            service: self.service,
            resource: self.resource.into_iter().map(|pair| pair.value).collect(),
        });
        Tracing {
            otlp,
            sample: self.sample,
            callers: self.callers,
            propagate,
            rest: self.rest,
            budget: self.budget,
        }
    }
}
