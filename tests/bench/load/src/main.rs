//! `bench-load --address 127.0.0.1:PORT --path P --body-file F --rate N --connections N --seconds N [--warmup
//! N]`
//!
//! Posts one fixed request at a constant rate over keep-alive connections and prints one JSON object: how
//! many were answered, how many failed, and percentiles of the latency in microseconds.
//!
//! Open loop: every request has an intended time, and its latency counts from there. A server that stalls is
//! charged for everything that had to wait meanwhile, which a client that waits for answers before asking
//! again would hide.

mod drive;
mod http;

use drive::{Outcome, Plan};
use std::time::Duration;

fn main() {
    match plan().and_then(|plan| drive::run(&plan).map_err(|error| format!("failed to run: {error}"))) {
        Ok(outcome) => println!("{}", json(outcome)),
        Err(message) => {
            eprintln!("bench-load: {message}");
            std::process::exit(2);
        }
    }
}

fn plan() -> Result<Plan, String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |name: &str| -> Result<&str, String> {
        let at = arguments.iter().position(|given| given == name);
        let value = at.and_then(|at| arguments.get(at + 1));
        value.map(String::as_str).ok_or_else(|| format!("`{name}` is missing (every flag takes a value)"))
    };
    let number = |name: &str| -> Result<f64, String> {
        let given = text(name)?;
        let number = given.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
        number.ok_or_else(|| format!("`{name}` must be a number above 0, not `{given}`"))
    };
    let address = text("--address")?;
    let file = text("--body-file")?;
    let body = std::fs::read(file).map_err(|error| format!("failed to read `{file}`: {error}"))?;
    Ok(Plan {
        address: address.parse().map_err(|_| format!("`{address}` is not an address (IP:PORT)"))?,
        request: http::request(address, text("--path")?, &body)?,
        rate: number("--rate")?,
        connections: number("--connections")? as usize,
        warmup: Duration::from_secs_f64(number("--warmup").unwrap_or(0.5)),
        measured: Duration::from_secs_f64(number("--seconds")?),
    })
}

fn json(outcome: Outcome) -> String {
    let mut nanoseconds = outcome.latencies;
    nanoseconds.sort_unstable();
    let at = |share: f64| match nanoseconds.len() {
        0 => "null".to_owned(),
        n => format!(
            "{:.1}",
            nanoseconds[((n as f64 * share).ceil() as usize).clamp(1, n) - 1] as f64 / 1000.0
        ),
    };
    format!(
        "{{\"answered\":{},\"failed\":{},\"p50_us\":{},\"p90_us\":{},\"p99_us\":{},\"p999_us\":{},\"max_us\":{}}}",
        nanoseconds.len(),
        outcome.failed,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    )
}
