//! Every body, however broken, ends in dense tables or a typed error. Seeds are fixed: a failure repeats.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use weir_codec::{Body, DecodeErrorKind, DecodeLimits, Decoder, classify, encode};
use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::{Output, Protocol, Reply, Table, Task};

use crate::support::{json, outcome, request_in, response_in, route, samples, show, show_reply};

/// Small enough to be reached by the samples' mutations.
const TIGHT: DecodeLimits = DecodeLimits { decompressed: 300, cells: 12, depth: 5, columns: 5 };

/// Reads a body as both sides in every way there is; the tables that come out must be whole.
fn read_all_ways(decoders: &mut [Decoder; 2], protocol: &Protocol, bytes: &[u8]) {
    let outputs = [Output::default(), Output { task: Task::Classification, ..Output::default() }];
    for decoder in decoders {
        let read = request_in(decoder, protocol, Body::json(bytes));
        drop(outcome(read.map(|table| show(&table))));
        for output in &outputs {
            let read = response_in(decoder, protocol, output.clone(), bytes);
            drop(outcome(read.map(|reply| show_reply(&reply))));
        }
    }
    drop(encode::request_id(protocol, bytes));
}

fn decoders() -> [Decoder; 2] {
    [Decoder::default(), Decoder::new(TIGHT)]
}

#[test]
fn samples_cut_at_any_byte_end_in_rows_or_an_error() {
    let mut decoders = decoders();
    for (protocol, request, response) in samples() {
        for body in [request, response] {
            for end in 0..body.len() {
                read_all_ways(&mut decoders, &protocol, &body.as_bytes()[..end]);
                let read = request_in(&mut decoders[0], &protocol, Body::json(&body.as_bytes()[..end]));
                assert!(read.is_err(), "a body cut at {end} is no body: {body}");
            }
        }
    }
}

#[test]
fn samples_with_any_byte_changed_end_in_rows_or_an_error() {
    let mut decoders = decoders();
    for (protocol, request, response) in samples() {
        for body in [request, response] {
            let mut bytes = body.as_bytes().to_vec();
            for at in 0..bytes.len() {
                let was = bytes[at];
                for byte in [0, b'"', b'\\', b'[', b']', b'{', b'}', b',', b':', b'9', b'-', b'e', b'n', 0xff]
                {
                    bytes[at] = byte;
                    read_all_ways(&mut decoders, &protocol, &bytes);
                }
                bytes[at] = was;
            }
        }
    }
}

#[test]
fn samples_with_pieces_moved_about_end_in_rows_or_an_error() {
    let (mut decoders, mut random) = (decoders(), fastrand::Rng::with_seed(7));
    let samples = samples();
    for _ in 0..4_000 {
        let (protocol, request, response) = &samples[random.usize(..samples.len())];
        let mut bytes = if random.bool() { request } else { response }.as_bytes().to_vec();
        for _ in 0..random.usize(1..4) {
            let (from, to) = (random.usize(..bytes.len()), random.usize(..bytes.len()));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            let at = random.usize(..bytes.len());
            if random.bool() {
                bytes.splice(at..at, piece);
            } else {
                bytes.drain(from.min(to)..from.max(to));
            }
            if bytes.is_empty() {
                break;
            }
        }
        read_all_ways(&mut decoders, protocol, &bytes);
    }
}

/// Plain values; those from `BROKEN` on are no JSON.
const WORDS: &str = r#"0 -1.5e3 1e999 12345678901234567890.125 null true false NaN -Infinity "" "x" "\ud83d"
    "\u00e9\n" [] {} [[]] 01 "a nul [1,] {"a"} é"#;
const BROKEN: usize = 16;

/// What the codecs look for, and what they do not.
const KEYS: &str = r"instances inputs outputs predictions features dataframe_split dataframe_records columns data
    index name shape datatype parameters binary_data_size class_names probabilities scores probs model_name
    model_version id a b 0 \u0061";

/// A random value; sometimes not quite JSON.
fn write_random(random: &mut fastrand::Rng, depth: usize, out: &mut String) {
    let word = |random: &mut fastrand::Rng, words: &'static str, count: usize| {
        words.split_whitespace().nth(random.usize(..count)).unwrap()
    };
    let list = |random: &mut fastrand::Rng| random.usize(..5);
    match if depth == 0 { 0 } else { random.u8(..4) } {
        0 => {
            let words = if random.u8(..40) == 0 { BROKEN + 6 } else { BROKEN };
            out.push_str(word(random, WORDS, words));
        }
        1 | 2 => {
            out.push('[');
            for at in 0..list(random) {
                out.push_str(if at == 0 { " " } else { ", " });
                write_random(random, depth - 1, out);
            }
            out.push(']');
        }
        _ => {
            out.push('{');
            for at in 0..list(random) {
                out.push_str(if at == 0 { "\"" } else { ",\"" });
                out.push_str(word(random, KEYS, 26));
                out.push_str("\":");
                write_random(random, depth - 1, out);
            }
            out.push('}');
        }
    }
}

#[test]
fn random_documents_end_in_rows_or_an_error() {
    let (mut decoders, mut random) = (decoders(), fastrand::Rng::with_seed(11));
    let protocols = [Protocol::KserveV1, Protocol::OipV2, Protocol::Mlflow, json()];
    let (mut read, mut total) = (0, 0);
    for _ in 0..6_000 {
        let field = KEYS.split_whitespace().nth(random.usize(..7)).unwrap();
        let mut body = format!("{{\"{field}\": ");
        write_random(&mut random, 5, &mut body);
        body.push_str(", \"scores\": ");
        write_random(&mut random, 3, &mut body);
        body.push('}');
        for protocol in &protocols {
            read_all_ways(&mut decoders, protocol, body.as_bytes());
            total += 1;
            read += usize::from(request_in(&mut decoders[0], protocol, Body::json(body.as_bytes())).is_ok());
        }
    }
    assert!(read > total / 50, "the generator reaches past the first fault: {read} of {total} are read");
}

fn pick(random: &mut fastrand::Rng, from: &str) -> char {
    from.chars().nth(random.usize(..from.chars().count())).unwrap()
}

/// What the codec reads and serde_json does not: Python's literals, half of a surrogate pair, numbers
/// beyond a double.
fn beyond_serde(body: &str, theirs: Option<&serde_json::Error>) -> bool {
    ["NaN", "Infinity", "\\ud", "\\uD"].iter().any(|mark| body.contains(mark))
        || theirs.is_some_and(|error| error.to_string().contains("number out of range"))
}

#[test]
fn well_formed_is_what_serde_json_says() {
    let (mut decoder, mut random) = (Decoder::default(), fastrand::Rng::with_seed(13));
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let mut skipped = String::new();
        write_random(&mut random, 4, &mut skipped);
        if random.bool() {
            let at = random.usize(..=skipped.len());
            if skipped.is_char_boundary(at) {
                skipped.insert(at, pick(&mut random, "\"\\[]{},:019.e+-nt \u{1}"));
            }
        }
        let body = format!("{{\"skipped\": {skipped}, \"instances\": [1]}}");
        let ours = request_in(&mut decoder, &Protocol::KserveV1, Body::json(body.as_bytes()));
        let theirs = serde_json::from_str::<serde_json::Value>(&body);
        if beyond_serde(&body, theirs.as_ref().err()) {
            continue;
        }
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{body}\n{ours:?}\n{theirs:?}");
        *(if ours.is_ok() { &mut good } else { &mut bad }) += 1;
    }
    assert!(good > 3_000 && bad > 3_000, "both happen often: {good} good, {bad} bad");
}

#[test]
fn numbers_are_the_nearest_doubles() {
    let (mut decoder, mut random) = (Decoder::default(), fastrand::Rng::with_seed(17));
    for _ in 0..500 {
        let texts: Vec<String> = (0..50).map(|_| random_number(&mut random)).collect();
        let body = format!("{{\"instances\": [[{}]]}}", texts.join(","));
        let table = request_in(&mut decoder, &Protocol::KserveV1, Body::json(body.as_bytes())).unwrap();
        for (text, number) in texts.iter().zip(&table.numbers) {
            assert_eq!(number.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
    }
}

fn random_number(random: &mut fastrand::Rng) -> String {
    let digits = |random: &mut fastrand::Rng, most: usize| {
        (0..random.usize(1..=most)).map(|_| random.digit(10)).collect::<String>()
    };
    match random.u8(..5) {
        0 => f64::from_bits(random.u64(..) & !(0x7ff << 52) | random.u64(1..0x7fe) << 52).to_string(),
        1 => random.f64().to_string(),
        2 => format!("{}{}", random.choice(["", "-"]).unwrap(), random.u64(..)),
        3 => format!("-{}.{}", random.u8(..), digits(random, 25)),
        _ => format!("{}.{}E{}", random.u32(..), digits(random, 12), random.i16(-330..330)),
    }
}

#[test]
fn deep_nesting_is_refused_wherever_it_stands() {
    let deep = |open: &str, close: &str| open.repeat(200_000) + "1" + &close.repeat(200_000);
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"inputs\":", "}]"), ("[[{\"b\":[", "]}]]")] {
        let nested = deep(open, close);
        for field in
            ["instances", "inputs", "features", "dataframe_split", "predictions", "outputs", "scores"]
        {
            let body = format!("{{\"{field}\": {nested}}}");
            for protocol in [Protocol::KserveV1, Protocol::OipV2, Protocol::Mlflow, json()] {
                let decoder = &mut Decoder::default();
                let request = request_in(decoder, &protocol, Body::json(body.as_bytes()));
                assert!(request.is_err(), "{field}");
                let reply = response_in(decoder, &protocol, Output::default(), body.as_bytes());
                assert!(reply.is_err(), "{field}");
            }
        }
    }
    let read = |depth| {
        let body = format!("{{\"instances\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
        outcome(
            request_in(&mut Decoder::default(), &Protocol::KserveV1, Body::json(body.as_bytes()))
                .map(|table| show(&table)),
        )
    };
    assert_eq!(read(63), "#1: 1");
    assert_eq!(read(64), "too_deep: more than 64 nested arrays and objects");
}

#[test]
fn what_costs_too_much_is_refused() {
    let k = Protocol::KserveV1;
    let tight = DecodeLimits { cells: 100, columns: 10, ..DecodeLimits::default() };
    let check = |protocol: &Protocol, body: &str, expect: &str| {
        let read = request_in(&mut Decoder::new(tight), protocol, Body::json(body.as_bytes()));
        assert_eq!(outcome(read.map(|table| show(&table))), expect, "{body}");
    };
    let list = |item: &str, count: usize| vec![item; count].join(",");
    let fields = |count: usize| (0..count).map(|at| format!("\"f{at}\": {at}")).collect::<Vec<_>>().join(",");
    let (cells, columns) = ("too_large: more than 100 cells", "too_large: more than 10 columns");
    check(&k, &format!("{{\"instances\": [{}]}}", list("1", 101)), cells);
    check(&k, &format!("{{\"instances\": [[{}]]}}", list("1", 11)), columns);
    check(&k, &format!("{{\"instances\": [{{{}}}]}}", fields(11)), columns);
    // A few wide rows make all the narrow ones wide.
    check(&k, &format!("{{\"instances\": [{}, [{}]]}}", list("[]", 20), list("1", 10)), cells);
    check(&k, &format!("{{\"instances\": [{{{}}}, {}]}}", fields(10), list("{}", 20)), cells);
    check(&k, &format!("{{\"inputs\": {{\"a\": [[{}]], \"b\": [1]}}}}", list("1", 10)), columns);
    let tensor = |shape: &str, data: &str| {
        format!(r#"{{"inputs": [{{"name": "x", "datatype": "FP32", "shape": {shape}, "data": {data}}}]}}"#)
    };
    check(&Protocol::OipV2, &tensor("[101]", &format!("[{}]", list("1", 101))), cells);
    check(&Protocol::OipV2, &tensor("[1, 11]", &format!("[{}]", list("1", 11))), columns);
    let names = list("\"n\"", 11);
    let split = format!("{{\"dataframe_split\": {{\"columns\": [{names}], \"data\": []}}}}");
    check(&Protocol::Mlflow, &split, columns);
    // Nothing was sent, but somebody would count to it.
    let rows = "too_large: more than 100 rows";
    check(&Protocol::OipV2, &tensor("[4611686018427387904, 0]", "[]"), rows);
}

#[test]
fn compressed_bodies_are_read_and_bombs_are_not() {
    let body = br#"{"instances": [[1, 2]]}"#;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(body).unwrap();
    zlib.write_all(body).unwrap();
    raw.write_all(body).unwrap();
    let gzip = gzip.finish().unwrap();
    let read = |bytes: &[u8], encoding| {
        let body = Body { bytes, encoding, content: Content::Json };
        let read = request_in(&mut Decoder::default(), &Protocol::KserveV1, body);
        read.map(|table| show(&table)).map_err(|error| error.kind)
    };
    assert_eq!(read(&gzip, Encoding::Gzip), Ok("#2: 1 2".to_owned()));
    assert_eq!(read(&zlib.finish().unwrap(), Encoding::Deflate), Ok("#2: 1 2".to_owned()));
    assert_eq!(read(&raw.finish().unwrap(), Encoding::Deflate), Ok("#2: 1 2".to_owned()));
    assert_eq!(read(body, Encoding::Gzip), Err(DecodeErrorKind::Malformed));
    assert_eq!(read(b"", Encoding::Gzip), Err(DecodeErrorKind::Absent));
    for end in 1..gzip.len() {
        assert_eq!(read(&gzip[..end], Encoding::Gzip), Err(DecodeErrorKind::Malformed), "cut at {end}");
    }
    for at in 0..gzip.len() {
        let mut broken = gzip.clone();
        broken[at] ^= 0x55;
        drop(read(&broken, Encoding::Gzip));
        drop(read(&broken, Encoding::Deflate));
    }
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    (0..64).for_each(|_| bomb.write_all(&[b' '; 1 << 20]).unwrap());
    let bomb = bomb.finish().unwrap();
    assert_eq!(read(&bomb, Encoding::Gzip), Err(DecodeErrorKind::TooLarge));
    // Its end is missing, which nobody learns who stops at the limit.
    assert_eq!(read(&bomb[..bomb.len() / 2], Encoding::Gzip), Err(DecodeErrorKind::TooLarge));
}

#[test]
fn text_that_is_not_utf8_is_named_so() {
    let read = |protocol: &Protocol, bytes: &[u8], content| {
        let body = Body { bytes, encoding: Encoding::Identity, content };
        outcome(request_in(&mut Decoder::default(), protocol, body).map(|table| show(&table)))
    };
    let latin = b"{\"instances\": [\"caf\xe9\"]}";
    assert_eq!(read(&Protocol::KserveV1, latin, Content::Json), "not_utf8: byte 19 is not UTF-8");
    assert_eq!(read(&Protocol::OipV2, latin, Content::Json), "not_utf8: byte 19 is not UTF-8");
    assert_eq!(read(&Protocol::Mlflow, b"a\n\xff\n", Content::Csv), "not_utf8: byte 2 is not UTF-8");
}

#[test]
fn csv_of_any_shape_is_dense_or_refused() {
    let mut random = fastrand::Rng::with_seed(19);
    let (mut decoder, mut into) = (Decoder::default(), Table::default());
    let route = route(&Protocol::Mlflow, Output::default());
    for _ in 0..5_000 {
        let text: String = (0..random.usize(1..40)).map(|_| pick(&mut random, "ab1.,,\n\r\n\" é")).collect();
        let body = Body { bytes: text.as_bytes(), encoding: Encoding::Identity, content: Content::Csv };
        if decoder.request(&route, "/invocations", body, &mut into).is_ok() {
            show(&into);
        }
    }
}

#[test]
fn every_error_empties_the_tables() {
    let (mut decoder, mut reply) = (Decoder::default(), Reply::default());
    let route = route(&Protocol::KserveV1, Output::default());
    let good =
        br#"{"predictions": ["a"], "probabilities": [[0.1, 0.9]], "model_name": "m", "model_version": "1"}"#;
    decoder.response(&route, Body::json(good), &mut reply).unwrap();
    assert_eq!(classify(&mut reply, None, &route.output), Some(true));
    decoder.response(&route, Body::json(&good[..good.len() - 1]), &mut reply).unwrap_err();
    assert_eq!(reply, Reply::default());
}

#[test]
fn error_kinds_are_a_closed_set_of_label_values() {
    let known = |kind| match kind {
        DecodeErrorKind::Absent
        | DecodeErrorKind::Malformed
        | DecodeErrorKind::Unsupported
        | DecodeErrorKind::TooDeep
        | DecodeErrorKind::TooLarge
        | DecodeErrorKind::NotUtf8 => 6,
    };
    let values: std::collections::BTreeSet<&str> = DecodeErrorKind::ALL.map(DecodeErrorKind::as_str).into();
    assert!(DecodeErrorKind::ALL.into_iter().all(|kind| known(kind) == values.len()));
    assert!(
        values.iter().all(|value| value.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'8'))
    );
}
