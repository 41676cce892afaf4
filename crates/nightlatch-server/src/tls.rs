//! Certificates of the gateway: read once, chosen by the name the client asks for.

use crate::config::listen::TlsFiles;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::{path::PathBuf, sync::Arc};
use tokio_rustls::TlsAcceptor;

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read, or does not hold what it should.
    #[error("`{}` holds no usable PEM: {source}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// The file with the chain holds no certificate.
    #[error("`{}` holds no certificate", .0.display())]
    Empty(PathBuf),
    /// The key does not fit the certificate, or neither is of a kind that can be used.
    #[error("`{}` and its key do not go together: {source}", path.display())]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// This program's TLS cannot be set up at all.
    #[error(transparent)]
    SetUp(#[from] rustls::Error),
}

/// What accepts TLS with these certificates; the first is for clients that name no host, or one that none is for.
pub(crate) fn acceptor(files: &[TlsFiles]) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut certificates = Vec::new();
    for file in files {
        certificates.push(Arc::new(load(file, &provider)?));
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByName(certificates)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn load(files: &TlsFiles, provider: &rustls::crypto::CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let pem = |path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::Pem { path, source }
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect).map_err(pem(&files.cert))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(files.cert.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(pem(&files.key))?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|source| TlsError::Pair { path: files.cert.clone(), source })
}

/// Chooses the certificate that is for the name asked for.
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let fitting = named.and_then(|name| self.0.iter().find(|certificate| is_for(certificate, &name)));
        fitting.or(self.0.first()).cloned()
    }
}

fn is_for(certificate: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let end_entity = certificate.cert.first().map(webpki::EndEntityCert::try_from);
    matches!(end_entity, Some(Ok(end_entity)) if end_entity.verify_is_valid_for_subject_name(name).is_ok())
}
