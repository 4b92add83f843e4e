//! Numbers as scrapers read them.

use std::fmt::Write;

/// Integers up to here are exact as `f64` and print without a point.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends a sample's value: shortest digits that read back to the same number, no exponent, as Rust
/// displays an `f64` (of two numbers equally short and near, ryu may take the other one). Infinities are
/// `+Inf` and `-Inf`, as both formats spell them.
pub(super) fn push(out: &mut String, x: f64) {
    let size = x.abs();
    if x.fract() == 0.0 && size < EXACT && (x != 0.0 || x.is_sign_positive()) {
        out.push_str(itoa::Buffer::new().format(x as i64));
    } else if x.is_infinite() {
        out.push_str(if x > 0.0 { "+Inf" } else { "-Inf" });
    } else if (1e-4..EXACT).contains(&size) {
        // Within this range ryu writes no exponent.
        out.push_str(ryu::Buffer::new().format_finite(x));
    } else {
        write!(out, "{x}").expect("writing to a string cannot fail");
    }
}

/// A finite `le` value in the canonical form of OpenMetrics 1.0 ("Canonical Numbers"): Go's `%g`, with `.0`
/// where that has neither point nor exponent. Label values are opaque, so every exporter of a metric must
/// print an edge alike.
pub(super) fn canonical(x: f64) -> String {
    // The decimal exponents that Go writes without one when asked for the shortest digits.
    const PLAIN: std::ops::Range<i32> = -4..6;
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').expect("`{:e}` always writes an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a small integer");
    if PLAIN.contains(&exponent) || x == 0.0 {
        let plain = x.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(x: f64) -> String {
        let mut out = String::new();
        push(&mut out, x);
        out
    }

    #[test]
    fn edges_are_canonical() {
        let cases = [
            (0.0, "0.0"),
            (-1.5, "-1.5"),
            (0.001, "0.001"),
            (1.0, "1.0"),
            (1.7, "1.7"),
            (10.0, "10.0"),
            (100_000.0, "100000.0"),
            (0.0001, "0.0001"),
            (0.00005, "5e-05"),
            (1e-10, "1e-10"),
            (1e6, "1e+06"),
            (1_048_576.0, "1.048576e+06"),
            (1e10, "1e+10"),
            (1e-300, "1e-300"),
        ];
        for (x, expect) in cases {
            assert_eq!(canonical(x), expect);
        }
    }

    #[test]
    fn values_are_written_as_rust_displays_them_except_infinities() {
        let mut all =
            vec![0.0, -0.0, 1.0, -7.0, 0.1, 0.25, 1e-4, 9.9e-5, 1e-5, 1e-7, 5e-324, 1e15, 1e16, 1e17, 1e300];
        all.extend([
            f64::NAN,
            EXACT,
            EXACT - 1.0,
            EXACT + 2.0,
            123_456.789,
            2_f64.powi(60),
            4_503_599_627_370_495.5,
        ]);
        for x in all {
            let out = pushed(x);
            assert_eq!(out, x.to_string());
        }
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let x = f64::from_bits(random);
            for x in [x, (random >> 40) as f64 / 1000.0].into_iter().filter(|x| x.is_finite()) {
                let (out, std) = (pushed(x), x.to_string());
                assert!(
                    out.parse() == Ok(x) && out.len() == std.len() && !out.contains('e'),
                    "{out} for {std}"
                );
            }
        }
        assert_eq!((&*pushed(f64::INFINITY), &*pushed(f64::NEG_INFINITY)), ("+Inf", "-Inf"));
    }
}
