//! `timeout=5s` in a query.

use std::time::Duration;

/// Reads `250ms`, `5s` or `1m`; whole numbers only.
///
/// # Errors
/// What would be accepted.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let fault = || format!("`{text}` is no duration (write `250ms`, `5s` or `1m`)");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
    let (number, unit) = text.split_at(unit_at);
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(fault()),
    };
    let number: u64 = number.parse().map_err(|_| fault())?;
    Ok(Duration::from_millis(number.saturating_mul(ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("1m"), Ok(Duration::from_secs(60)));
        assert!(parse("99999999999999999m").is_ok());
        for wrong in ["", "5", "s", "5 s", "-1s", "1.5s", "1h", "999999999999999999999s"] {
            assert!(parse(wrong).is_err_and(|e| e.contains(wrong)), "{wrong}");
        }
    }
}
