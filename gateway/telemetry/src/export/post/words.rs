//! Why a request failed, for people: the cause, not the layers it came through, and what to do.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};

use super::PostError;

/// Connecting took too long, DNS and TLS included.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(super) struct ConnectTimeout(pub(super) Duration);

/// Classifies what the client says of a request that got no answer.
///
/// A server that misses a client certificate says so after the handshake, and what it said is lost if the
/// connection's task reads it first: hence the guess, for `anonymous` clients over TLS.
pub(super) fn explain(error: &hyper_util::client::legacy::Error, anonymous: bool) -> PostError {
    let chain: Vec<_> = causes(error).collect();
    if let Some(tls) = chain.iter().find_map(|e| e.downcast_ref::<rustls::Error>()) {
        return PostError::Tls { reason: tls_words(tls) };
    }
    let mut deepest = chain.last().map(ToString::to_string).unwrap_or_default();
    // What an HTTP/1.1 server answers, read as HTTP/2.
    if deepest.contains("frame with invalid size") {
        deepest.push_str(" (it does not speak gRPC here: is `http/protobuf` its protocol?)");
    }
    match error.is_connect() {
        true => PostError::Unreachable { reason: connect_words(&chain, deepest) },
        false if anonymous => {
            let reason = format!("{deepest} (the server may want a client certificate)");
            PostError::Broken { reason }
        }
        false => PostError::Broken { reason: deepest },
    }
}

/// What broke while an answer was read.
pub(super) fn broken(error: &hyper::Error) -> PostError {
    PostError::Broken { reason: causes(error).last().map(ToString::to_string).unwrap_or_default() }
}

/// An error and all below it. An `io::Error` that wraps another gives out as its source what is below the
/// wrapped one, which is often what matters.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

fn connect_words(chain: &[&(dyn Error + 'static)], deepest: String) -> String {
    let refused = |io: &io::Error| io.kind() == io::ErrorKind::ConnectionRefused;
    match chain.iter().filter_map(|e| e.downcast_ref::<io::Error>()).any(refused) {
        true => "connection refused (does anything listen there?)".into(),
        false => deepest,
    }
}

fn tls_words(error: &rustls::Error) -> String {
    use CertificateError as Bad;
    let fixed = match error {
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            "the server's certificate is not signed by an authority that is trusted here (give that \
             authority's certificate as the CA bundle)"
        }
        rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name (check the host of the URL)"
        }
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the server's certificate has expired (renew it)"
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        ) => "the server refused the handshake (it may want a client certificate)",
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS there (is the URL `http://`?)",
        _ => return error.to_string(),
    };
    fixed.into()
}
