//! Whom to trust, and who we are.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::{PostFault, PostOptions};

/// The TLS side of a client. For `http://` it is never used, so nothing is read from the system for it.
pub(super) fn client(tls: bool, http2: bool, options: &PostOptions) -> Result<ClientConfig, PostFault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trusted = match (&options.ca, tls) {
        (Some(pem), _) => bundle(pem)?,
        (None, true) => native()?,
        (None, false) => RootCertStore::empty(),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| PostFault::Tls { reason: e.to_string() })?
        .with_root_certificates(trusted);
    let mut config = match &options.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = (certificates(&identity.certificate)?, key(&identity.key)?);
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| PostFault::Identity { reason: e.to_string() })?
        }
    };
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec()],
        false => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(config)
}

/// The authorities of a bundle, and no others: who gives one says whom to trust.
fn bundle(pem: &[u8]) -> Result<RootCertStore, PostFault> {
    let fault = |reason: String| PostFault::Ca { reason };
    let mut trusted = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| fault(e.to_string()))?;
        trusted.add(certificate).map_err(|e| fault(e.to_string()))?;
    }
    if trusted.is_empty() {
        return Err(fault("it holds no PEM certificate".into()));
    }
    Ok(trusted)
}

/// The authorities this system trusts. Single files that cannot be read are passed over, as clients do.
fn native() -> Result<RootCertStore, PostFault> {
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if trusted.is_empty() { Err(PostFault::NoRoots) } else { Ok(trusted) }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PostFault> {
    let fault = |reason: String| PostFault::Identity { reason };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|e| fault(e.to_string()))?;
    if chain.is_empty() {
        return Err(fault("the certificate holds no PEM certificate".into()));
    }
    Ok(chain)
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PostFault> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| PostFault::Identity { reason: "the key holds no PEM private key".into() })
}
