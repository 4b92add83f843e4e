//! A request as its model server shall see it.

use http::header::{CONNECTION, HeaderValue, TE, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Uri, Version};

use crate::body::RequestBody;
use crate::headers::Hop;
use crate::live::Live;
use crate::onward::{Onward, Sink};
use crate::upstream::{Endpoint, Upload};

/// A request ready to leave, to one endpoint or, if that did not get it, to another.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// As the client sent it.
    pub(crate) head: Box<Parts>,
    pub(crate) hop: Hop,
    /// The protocol to ask the server to change to.
    pub(crate) upgrade: Option<HeaderValue>,
    /// `None` once the response has begun.
    pub(crate) upload: Option<Upload>,
}

impl Outgoing {
    pub(crate) fn new(head: Box<Parts>, hop: Hop, body: RequestBody) -> Self {
        let upload = Upload::new(body, &head.headers);
        Self { head, hop, upgrade: None, upload: Some(upload) }
    }

    /// Begins the upload over HTTP/1.1, or begins it again; `text` is memory to use.
    pub(crate) fn begin(&mut self, live: &Live, endpoint: &Endpoint, text: Vec<u8>) {
        if let Some(mut upload) = self.upload.take() {
            upload.begin(text, |length, text| self.write(live, endpoint, length, text));
            self.upload = Some(upload);
        }
    }

    /// The head of an HTTP/1.1 request, without the line that ends it.
    fn write(&self, live: &Live, endpoint: &Endpoint, length: Option<u64>, out: &mut Vec<u8>) {
        let [slash, path] = self.target();
        for piece in [self.head.method.as_str(), " ", &endpoint.config.prefix, slash, path, " HTTP/1.1\r\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
        out.pass(&http::header::HOST, &endpoint.host);
        self.fields(live, length, out);
        if let Some(protocol) = &self.upgrade {
            out.put(&CONNECTION, b"upgrade");
            out.pass(&UPGRADE, protocol);
        }
    }

    /// The HTTP/2 request, with the body taken out of the upload.
    pub(crate) fn request(&mut self, live: &std::rc::Rc<Live>, endpoint: &Endpoint) -> Request<RequestBody> {
        let mut fields = HeaderMap::with_capacity(self.head.headers.len() + 6);
        self.fields(live, self.upload.as_ref().and_then(Upload::length), &mut fields);
        if self.hop.trailers {
            fields.insert(TE, HeaderValue::from_static("trailers"));
        }
        let body = self.upload.as_mut().and_then(Upload::take_body);
        let mut request = Request::new(body.unwrap_or_else(|| RequestBody::empty(live.clone())));
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.absolute(endpoint);
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = fields;
        request
    }

    /// Takes back the body of a request that was not sent.
    pub(crate) fn restore(&mut self, body: RequestBody) -> bool {
        self.upload = Some(Upload::new(body, &self.head.headers));
        true
    }

    /// Path and query, behind the slash that a target of nothing but a query lacks.
    fn target(&self) -> [&str; 2] {
        let path = self.head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        [if path.starts_with('?') { "/" } else { "" }, path]
    }

    fn fields(&self, live: &Live, length: Option<u64>, sink: &mut impl Sink) {
        // A whole URI has the last word over `Host` (RFC 9112, 3.2.2).
        let named = self.head.uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok());
        let onward = Onward {
            headers: &self.head.headers,
            hop: &self.hop,
            host: named.as_ref().or_else(|| self.head.headers.get(http::header::HOST)),
            http2: self.head.version == Version::HTTP_2,
            forwarding: &live.conn.forwarding,
            trace: &live.trace,
            span_id: live.span_above_server(),
            length,
        };
        onward.write(sink);
    }

    /// Path and query under the endpoint's prefix, with the scheme and authority that HTTP/2 needs for its
    /// pseudo-headers.
    fn absolute(&self, endpoint: &Endpoint) -> Uri {
        let [slash, path] = self.target();
        let mut parts = http::uri::Parts::default();
        parts.path_and_query =
            PathAndQuery::try_from(format!("{}{slash}{path}", endpoint.config.prefix)).ok();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Authority::try_from(&*endpoint.config.authority).ok();
        Uri::from_parts(parts).unwrap_or_default()
    }
}
