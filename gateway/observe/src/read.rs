//! An exchange's two bodies, each on its own, and the model that made the answer.

use weir_codec::{Body, DecodeErrorKind, Decoder, model_in_path};
use weir_exchange::exchange::Content;
use weir_exchange::{End, Exchange, Fate, ObservedRoute, Outcome, Payload, Reply, Shard, Side, Table};

use crate::metrics::ROW_MISMATCH;

/// Longer names are not taken for labels.
const LONGEST_NAME: usize = 128;

/// What one body gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its rows are in the table.
    Rows,
    /// There was nothing to read, or nothing that says a prediction.
    Absent,
    /// Longer than what is kept of it, or cut off with its exchange: a prefix is a biased sample.
    Truncated,
    Failed(DecodeErrorKind),
    /// It was read, but has not as many rows as the other side.
    Mismatch,
}

impl State {
    /// `kind` of `weir_decode_errors_total`.
    pub(crate) fn error(self) -> Option<&'static str> {
        match self {
            Self::Failed(kind) => Some(kind.as_str()),
            Self::Mismatch => Some(ROW_MISMATCH),
            Self::Rows | Self::Absent | Self::Truncated => None,
        }
    }
}

/// Both sides of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) request: State,
    pub(crate) response: State,
}

impl Reading {
    /// A route without a protocol.
    const PASSED: Self = Self { request: State::Absent, response: State::Absent };

    pub(crate) fn fate(self) -> Fate {
        let sides = [self.request, self.response];
        if sides.contains(&State::Truncated) {
            Fate::Truncated
        } else if sides.iter().any(|side| side.error().is_some()) {
            Fate::Undecodable
        } else {
            Fate::Observed
        }
    }
}

/// The tables that a route's bodies are read into. Handing a decoder the tables of the route's last exchange
/// spares the allocations of its field names.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) request: Table,
    pub(crate) reply: Reply,
}

impl Tables {
    /// Gives back what a rare giant took.
    pub(crate) fn trim(&mut self) {
        const KEEP: usize = 64 << 10;
        let Self { request, reply } = self;
        if request.heap_bytes() > KEEP {
            *request = Table::default();
        }
        if reply.outputs.heap_bytes() + reply.scores.heap_bytes() > KEEP {
            *reply = Reply::default();
        }
    }
}

/// Reads exchanges for one telemetry thread.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    decoder: Decoder,
    joined: Vec<u8>,
    path: Vec<u8>,
}

impl Reader {
    /// Fills `tables` with what the sides say.
    pub(crate) fn read(
        &mut self,
        shard: &Shard,
        exchange: &mut Exchange,
        outcome: Outcome,
        tables: &mut Tables,
    ) -> Reading {
        tables.request.rows = 0;
        tables.reply.outputs.rows = 0;
        tables.reply.scores.rows = 0;
        if exchange.route.protocol.is_none() {
            return Reading::PASSED;
        }
        let request = cut(self.read_request(shard, exchange, &mut tables.request), exchange.end);
        let mut response = State::Absent;
        // An error's body is no prediction, and a body that was cut short is none either: the outcome tells
        // of both.
        if outcome == Outcome::Ok
            && exchange.end == End::Complete
            && (200..300).contains(&exchange.head.status)
        {
            response = self.read_response(shard, exchange, &mut tables.reply);
        }
        self.reconcile(Reading { request, response }, tables)
    }

    fn reconcile(&self, mut reading: Reading, tables: &mut Tables) -> Reading {
        let Tables { request, reply } = tables;
        if reading.request == State::Absent && matches!(reading.response, State::Failed(_)) {
            // Nothing was asked to be predicted: metadata, a health probe under the same path.
            reading.response = State::Absent;
        }
        if reading.response != State::Rows {
            reply.clear();
        }
        if reading.request != State::Rows {
            request.rows = 0;
        } else if reading.response == State::Rows && reply.rows() != request.rows {
            request.rows = 0;
            reading.request = State::Mismatch;
        }
        reading
    }

    fn read_request(&mut self, shard: &Shard, exchange: &mut Exchange, into: &mut Table) -> State {
        let Exchange { route, request, head, .. } = exchange;
        if let Payload::Rows(rows) = &mut request.payload {
            std::mem::swap(into, rows);
            return State::Rows;
        }
        if let Some(state) = unread(request) {
            return state;
        }
        let path = str::from_utf8(shard.payload(&head.path, &mut self.path)).unwrap_or_default();
        let body = body(shard, request, &mut self.joined);
        state(self.decoder.request(route, path, body, into).map_err(|error| error.kind))
    }

    fn read_response(&mut self, shard: &Shard, exchange: &mut Exchange, into: &mut Reply) -> State {
        let Exchange { route, response, .. } = exchange;
        if let Payload::Reply(reply) = &mut response.payload {
            std::mem::swap(into, reply);
            return State::Rows;
        }
        if let Some(state) = unread(response) {
            return state;
        }
        let body = body(shard, response, &mut self.joined);
        state(self.decoder.response(route, body, into).map_err(|error| error.kind))
    }
}

/// The state of a side that there is nothing to decode of.
fn unread(side: &Side) -> Option<State> {
    if side.truncated {
        return Some(State::Truncated);
    }
    match (&side.payload, side.content) {
        // The request path does not keep what no codec reads.
        (Payload::Absent, Content::Other) if side.total > 0 => {
            Some(State::Failed(DecodeErrorKind::Unsupported))
        }
        (Payload::Absent, _) => Some(State::Absent),
        _ => None,
    }
}

/// A request that broke off with its exchange: the client left, stalled, or was refused while it sent.
fn cut(state: State, end: End) -> State {
    match state {
        State::Failed(DecodeErrorKind::Malformed | DecodeErrorKind::NotUtf8) if end != End::Complete => {
            State::Truncated
        }
        state => state,
    }
}

fn body<'a>(shard: &'a Shard, side: &'a Side, joined: &'a mut Vec<u8>) -> Body<'a> {
    Body { bytes: shard.payload(&side.payload, joined), encoding: side.encoding, content: side.content }
}

fn state(read: Result<(), DecodeErrorKind>) -> State {
    read.map_or_else(State::Failed, |()| State::Rows)
}

/// Who answered, by the sources of a route in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    pub(crate) model: &'a str,
    pub(crate) version: &'a str,
    /// Only the request says so: a label may be made of it only if the route allows that or a model answered
    /// to it.
    pub(crate) model_by_request: bool,
    pub(crate) version_by_request: bool,
}

/// Names from the response body, the path, response headers, the route; each name by the first that gives it.
pub(crate) fn name<'a>(
    shard: &'a Shard,
    exchange: &'a Exchange,
    reply: &'a Reply,
    [path, model, version]: &'a mut [Vec<u8>; 3],
) -> Named<'a> {
    let Exchange { route, head, .. } = exchange;
    let in_path = match &route.protocol {
        Some(protocol) => model_in_path(protocol, text(shard, &head.path, path)),
        None => (None, None),
    };
    let model_header = text(shard, &head.model, model);
    let version_header = text(shard, &head.model_version, version);
    let body_model = label(&reply.model);
    let body_version = label(&reply.model_version);
    let path_model = in_path.0.and_then(label);
    let path_version = in_path.1.and_then(label);
    Named {
        model: body_model.or(path_model).or_else(|| label(model_header)).unwrap_or(&route.model),
        version: body_version
            .or(path_version)
            .or_else(|| label(version_header))
            .unwrap_or(&route.model_version),
        model_by_request: body_model.is_none() && path_model.is_some(),
        version_by_request: body_version.is_none() && path_version.is_some(),
    }
}

impl Named<'_> {
    pub(crate) fn by_request(&self) -> bool {
        self.model_by_request || self.version_by_request
    }
}

/// What the route calls its model.
pub(crate) fn configured(route: &ObservedRoute) -> Named<'_> {
    Named {
        model: &route.model,
        version: &route.model_version,
        model_by_request: false,
        version_by_request: false,
    }
}

fn label(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty() && name.len() <= LONGEST_NAME)
}

fn text<'a>(shard: &'a Shard, payload: &'a Payload, scratch: &'a mut Vec<u8>) -> &'a str {
    str::from_utf8(shard.payload(payload, scratch)).unwrap_or_default()
}
