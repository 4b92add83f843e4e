//! The decoder of one telemetry thread.

use weir_exchange::{ObservedRoute, Protocol, Reply, Table};

use crate::body::Body;
use crate::error::{DecodeError, DecodeLimits, Read, unsupported};
use crate::protocol;
use crate::read::Scratch;

/// Reads bodies into tables. Keeps its scratch memory: once warm, a body of positional numbers costs no
/// allocation.
#[derive(Debug)]
pub struct Decoder {
    scratch: Scratch,
    inflated: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(DecodeLimits::default())
    }
}

impl Decoder {
    /// A decoder that refuses bodies beyond `limits`.
    pub fn new(limits: DecodeLimits) -> Self {
        Self { scratch: Scratch::new(limits), inflated: Vec::new() }
    }

    /// Reads the rows a request to `path` carries. What `into` held is replaced; handing in the table of
    /// the route's previous request spares allocations for its field names.
    ///
    /// # Errors
    /// See [`crate::DecodeErrorKind`]; `into` is then empty.
    pub fn request(
        &mut self,
        route: &ObservedRoute,
        path: &str,
        body: Body<'_>,
        into: &mut Table,
    ) -> Result<(), DecodeError> {
        let read = self.try_request(route, path, body, into);
        self.trim();
        read.map_err(|error| {
            into.clear();
            *error
        })
    }

    /// Reads the predictions, class scores and model names of a response. Scores are found where they stand
    /// under their own name; whether the predictions themselves are scores is for [`crate::classify`] to
    /// say.
    ///
    /// # Errors
    /// See [`crate::DecodeErrorKind`]; `into` is then empty.
    pub fn response(
        &mut self,
        route: &ObservedRoute,
        body: Body<'_>,
        into: &mut Reply,
    ) -> Result<(), DecodeError> {
        let read = self.try_response(route, body, into);
        self.trim();
        read.map_err(|error| {
            into.clear();
            *error
        })
    }

    /// Gives back what a rare giant took.
    #[inline]
    fn trim(&mut self) {
        const KEPT: usize = 1 << 20;
        if self.inflated.capacity() > KEPT {
            self.inflated = Vec::new();
        }
        self.scratch.trim();
    }

    fn try_request(
        &mut self,
        route: &ObservedRoute,
        path: &str,
        body: Body<'_>,
        into: &mut Table,
    ) -> Read<()> {
        let protocol = known(route)?;
        protocol::refuse_other_calls(protocol, path)?;
        let bytes = body.plain(&mut self.inflated, &self.scratch.limits)?;
        protocol::request(protocol, bytes, body.content, &mut self.scratch, into)
    }

    fn try_response(&mut self, route: &ObservedRoute, body: Body<'_>, into: &mut Reply) -> Read<()> {
        let protocol = known(route)?;
        let bytes = body.plain(&mut self.inflated, &self.scratch.limits)?;
        into.model.clear();
        into.model_version.clear();
        protocol::response(protocol, &route.output, (bytes, body.content), &mut self.scratch, into)
    }
}

fn known(route: &ObservedRoute) -> Read<&Protocol> {
    match &route.protocol {
        Some(protocol) => Ok(protocol),
        None => unsupported(format_args!("the route names no protocol")),
    }
}
