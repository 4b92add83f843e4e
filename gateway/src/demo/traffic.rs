//! Real HTTP traffic of held-out rows, and how they shift.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use weir_inference::{Row, Value};

use crate::cli::CliError;

/// An answer takes longer only if something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// One keep-alive connection, made again when it is gone.
pub(super) struct Client {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    /// Status and body.
    pub(super) async fn get(&mut self, path: &str) -> Result<(u16, String), CliError> {
        self.send(Request::get(path).body(Full::default())?).await
    }

    /// Status and body.
    pub(super) async fn post(&mut self, path: &str, body: String) -> Result<(u16, String), CliError> {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(Full::new(Bytes::from(body)))?).await
    }

    async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<(u16, String), CliError> {
        request.headers_mut().insert("host", self.address.to_string().parse()?);
        let exchange = async {
            let response = self.connected().await?.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        let answered = timeout(PATIENCE, exchange).await;
        if !matches!(answered, Ok(Ok(_))) {
            self.sender = None;
        }
        answered.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
    }

    async fn connected(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, CliError> {
        let alive = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let sender = match alive {
            Some(sender) => sender,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                // It ends when the sender is dropped; what went wrong, the sender is told.
                tokio::spawn(connection);
                sender
            }
        };
        Ok(self.sender.insert(sender))
    }
}

/// Requests of one to three held-out rows, in turn.
pub(super) struct Traffic {
    rows: Vec<Row>,
    shift_after: u64,
    /// Requests begun and answered, and rows of the latter.
    begun: u64,
    sent: u64,
    rows_sent: u64,
    /// Rows taken so far, and rows of the request under way.
    taken: usize,
    under_way: u64,
    dice: Dice,
}

impl Traffic {
    pub(super) fn new(rows: Vec<Row>, shift_after: u64) -> Self {
        Self { rows, shift_after, begun: 0, sent: 0, rows_sent: 0, taken: 0, under_way: 0, dice: Dice(1) }
    }

    /// Requests that were answered.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn rows_sent(&self) -> u64 {
        self.rows_sent
    }

    /// The request under way was answered.
    pub(super) fn count_sent(&mut self) {
        self.sent += 1;
        self.rows_sent += self.under_way;
    }

    /// The next request is the first of a changed world.
    pub(super) fn shifts_now(&self) -> bool {
        self.begun == self.shift_after
    }

    /// `{"instances": [..]}` of the next rows.
    pub(super) fn next_body(&mut self) -> Result<String, CliError> {
        Ok(format!("{{\"instances\":{}}}", serde_json::to_string(&self.next_rows())?))
    }

    /// The rows of the next request.
    pub(super) fn next_rows(&mut self) -> Vec<Row> {
        let shifted = self.begun >= self.shift_after;
        self.under_way = 1 + self.begun % 3;
        self.begun += 1;
        let mut rows = Vec::new();
        for _ in 0..self.under_way {
            let mut row = self.rows[self.taken % self.rows.len()].clone();
            self.taken += 1;
            if shifted && self.dice.in_percent(80) {
                shift(&mut row, &mut self.dice);
            }
            rows.push(row);
        }
        rows
    }
}

/// A campaign brings new customers with cheap fibre and no term: the model is less sure of them, and thinks
/// that many will leave. Some pay in a way nobody has seen, and for some the sum of charges is not there yet.
fn shift(row: &mut Row, dice: &mut Dice) {
    for (name, value) in &mut row.features {
        match (&**name, &mut *value) {
            ("tenure", Value::Number(months)) => *months = (*months * 0.4).round(),
            ("monthly_charges", Value::Number(charges)) => {
                *charges = (*charges * 0.8 * 100.0).round() / 100.0;
            }
            ("contract", _) => *value = Value::Text("Month-to-month".into()),
            ("internet_service", _) => *value = Value::Text("Fiber optic".into()),
            ("payment_method", _) if dice.in_percent(10) => *value = Value::Text("Mobile wallet".into()),
            ("total_charges", _) if dice.in_percent(15) => *value = Value::Missing,
            _ => {}
        }
    }
}

/// The same rolls in every demo (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn in_percent(&mut self, percent: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % 100 < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let features = [
            ("tenure", Value::Number(40.0)),
            ("monthly_charges", Value::Number(50.0)),
            ("contract", Value::Text("Two year".into())),
        ];
        Row { features: features.map(|(name, value)| (name.into(), value)).to_vec(), label: "No".into() }
    }

    #[test]
    fn rows_are_as_they_were_until_the_shift_and_most_are_others_after_it() {
        let mut traffic = Traffic::new(vec![row()], 30);
        let as_it_was = serde_json::to_string(&row()).unwrap();
        let same = |body: &str| body.matches(&as_it_was).count();
        for request in 0..30 {
            assert!(!traffic.shifts_now());
            assert_eq!(same(&traffic.next_body().unwrap()), 1 + request % 3);
        }
        assert!(traffic.shifts_now());
        let unchanged: usize = (0..300).map(|_| same(&traffic.next_body().unwrap())).sum();
        assert!((60..180).contains(&unchanged), "{unchanged} of 600 rows where a fifth is to be expected");
    }
}
