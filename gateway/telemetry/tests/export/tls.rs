//! Who is trusted, and who we say we are.

use std::sync::Arc;
use std::time::Duration;

use http::Version;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;
use weir_telemetry::export::{
    ExportOptions, Identity, Otlp, OtlpOptions, Post, PostFault, PostOptions, PostShape, Protocol, Traces,
};

use crate::collector::{Collector, Down, Say};
use crate::rig::{Rig, batches, otlp, resource};

/// An authority made for one test.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        Self::named("Test CA")
    }

    fn named(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a name.
    fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Identity { certificate: certificate.into(), key: key.serialize_pem().into() }
    }

    fn acceptor(&self, name: &str, clients: Option<&Self>) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                let authority = CertificateDer::from_pem_slice(clients.pem.as_bytes()).expect("PEM");
                roots.add(authority).expect("a root");
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let Identity { certificate, key } = self.issue(name);
        let chain = vec![CertificateDer::from_pem_slice(&certificate).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(&key).expect("PEM");
        let mut config = builder.with_single_cert(chain, key).expect("a pair");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// A collector with a certificate for `localhost`.
    fn collector(&self, clients: Option<&Self>) -> Collector {
        let grpc = |seen: &crate::collector::Seen| seen.header("content-type") == "application/grpc";
        let say = move |_, seen: &_| match grpc(seen) {
            true => Say::grpc(&[("grpc-status", "0")], b"\0\0\0\0\0"),
            false => Say::status(200),
        };
        Down::new().up(Some(self.acceptor("localhost", clients)), say)
    }
}

fn secure(collector: &Collector, ca: &Authority) -> OtlpOptions {
    let url = format!("https://localhost:{}", collector.address.port());
    let post = PostOptions { ca: Some(ca.pem.clone().into()), ..PostOptions::default() };
    OtlpOptions { post, ..otlp(&url) }
}

/// Sends one span with one try.
fn send(options: &OtlpOptions) -> Rig {
    let rig = Rig::traces(options, ExportOptions { retry_for: Duration::ZERO, ..batches(1) });
    rig.offer(["a"]);
    rig.flush();
    rig
}

/// The reason for which a span could not be sent.
fn refused(options: &OtlpOptions) -> String {
    let rig = send(options);
    assert_eq!(rig.outcomes(), [("gave_up", 1)]);
    let line = rig.line("export fails");
    assert_eq!((&line["result"], rig.requests("tls")), (&"tls".into(), 1), "{line}");
    line["reason"].as_str().expect("text").to_owned()
}

#[test]
fn an_authority_of_ones_own_is_trusted_over_http_and_grpc() {
    let authority = Authority::new();
    let collector = authority.collector(None);
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let rig = send(&OtlpOptions { protocol, ..secure(&collector, &authority) });
        assert_eq!(rig.outcomes(), [("sent", 1)], "{:?}", rig.said());
        // Both sides know HTTP/2 and agree on it.
        assert_eq!(collector.next().version, Version::HTTP_2);
    }
}

#[test]
fn an_unknown_authority_is_refused_in_words() {
    let authority = Authority::new();
    for other in [Authority::named("Another CA"), Authority::new()] {
        let said = refused(&secure(&authority.collector(None), &other));
        assert!(said.contains("not signed by an authority that is trusted here"), "{said}");
    }
}

#[test]
fn a_certificate_of_another_name_is_refused_in_words() {
    let authority = Authority::new();
    let collector = Down::new().up(Some(authority.acceptor("elsewhere", None)), |_, _| Say::status(200));
    let said = refused(&secure(&collector, &authority));
    assert!(said.contains("for another name"), "{said}");
}

#[test]
fn a_server_without_tls_is_named_as_that() {
    let collector = Collector::start(|_, _| Say::status(200));
    let said = refused(&secure(&collector, &Authority::new()));
    assert!(said.contains("does not speak TLS"), "{said}");
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_the_time_to_connect_and_no_more() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", silent.local_addr().expect("an address"));
    let authority = Authority::new();
    let post = PostOptions {
        ca: Some(authority.pem.into()),
        connect_timeout: Duration::from_millis(20),
        ..PostOptions::default()
    };
    let rig = send(&OtlpOptions { post, ..otlp(&url) });
    let line = rig.line("export fails");
    assert_eq!(line["result"], "unreachable");
    assert_eq!(line["reason"], "cannot connect: no connection within 20ms");
}

#[test]
fn a_client_certificate_opens_a_door_that_is_closed_without_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let collector = authority.collector(Some(&clients));
    let mut options = secure(&collector, &authority);
    // Whether the alert is read as one or only as the end of the connection is a race.
    let said = send(&options).line("export fails")["reason"].to_string();
    assert!(said.contains("may want a client certificate"), "{said}");
    options.post.identity = Some(clients.issue("weir"));
    assert_eq!(send(&options).outcomes(), [("sent", 1)]);
}

#[test]
fn what_cannot_be_used_is_refused_before_anything_is_sent() {
    let made = |url: &str, options: PostOptions| Post::new(url, PostShape::default(), &options).map(drop);
    let with = |change: fn(&mut PostOptions)| {
        let mut options = PostOptions::default();
        change(&mut options);
        made("https://c/", options).expect_err("refused").to_string()
    };
    assert!(with(|o| o.ca = Some(b"no PEM".to_vec())).contains("CA bundle: it holds no PEM certificate"));
    let broken = with(|o| {
        o.ca = Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec());
    });
    assert!(broken.starts_with("read the CA bundle: "));
    assert!(with(|o| o.headers = vec![("a b".into(), "hidden".into())]).contains("`a b`"));
    let value = with(|o| o.headers = vec![("a".into(), "hidden\n".into())]);
    assert!(value.contains("`a`") && !value.contains("hidden"), "{value}");

    let authority = Authority::new();
    let ca = Some(authority.pem.clone().into_bytes());
    let identity = |certificate, key| {
        let identity = Some(Identity { certificate, key });
        let refused = made("https://c/", PostOptions { ca: ca.clone(), identity, ..PostOptions::default() });
        refused.expect_err("refused").to_string()
    };
    let (one, other) = (authority.issue("one"), authority.issue("other"));
    assert!(identity(Vec::new(), one.key.clone()).contains("holds no PEM certificate"));
    assert!(identity(one.certificate.clone(), Vec::new()).contains("holds no PEM private key"));
    assert!(identity(one.certificate, other.key).starts_with("use the client certificate: "));
    let fault = Otlp::<Traces>::new(&otlp("c:4317"), &resource()).map(drop);
    assert_eq!(fault, Err(PostFault::Url));
}
