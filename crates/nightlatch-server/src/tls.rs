//! Certificates of the gateway: chosen by the name the client asks for, and changed in place when told.
//!
//! All of them are read before one is taken: a file that is half written, or a key that does not fit, leaves everything as it was.
//! Connections that are open keep what they have. What stays, too, is the configuration around them, and with it the keys of
//! session tickets: a client that was here before the change resumes after it.

use crate::{
    config::listen::TlsFiles,
    regular::{PEM_BYTES_MOST, read_regular},
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio_rustls::TlsAcceptor;

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read.
    #[error("`{key}` in `listen.tls`: {}", unread(path, source))]
    Unread {
        /// The key of the configuration that names it.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is in the way.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{key}` in `listen.tls`: `{}` holds no usable PEM: {source}", path.display())]
    Pem {
        /// The key of the configuration that names it.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// The file with the chain holds no certificate.
    #[error("`cert` in `listen.tls`: `{}` holds no certificate", .0.display())]
    Empty(PathBuf),
    /// The key does not fit the certificate, or neither is of a kind that can be used.
    #[error("`cert` and `key` in `listen.tls`: `{}` and its key do not go together: {source}", path.display())]
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

/// Why no server of others can be believed.
#[derive(Debug, thiserror::Error)]
#[error("the certificate authorities in `{file}` cannot be used: {what}")]
pub(crate) struct AuthoritiesError {
    /// Which file, or the system.
    file: String,
    /// What is wrong with it.
    what: String,
}

/// TLS towards servers of others, which believes these certificate authorities, or those of the system.
pub(crate) fn client(ca_file: Option<&Path>) -> Result<ClientConfig, AuthoritiesError> {
    let file = ca_file.map_or_else(|| "the system".to_owned(), |file| file.display().to_string());
    let wrong = |what: String| AuthoritiesError { file: file.clone(), what };
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let text = read_regular(path, PEM_BYTES_MOST).map_err(|error| wrong(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
        }
        // One that cannot be parsed among a system's many is passed over, as every program there does.
        None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    }
    if roots.is_empty() {
        return Err(wrong("there is no certificate".to_owned()));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| wrong(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn unread(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "`{path}` is not there: put the file there, or name where it is (from the configuration file, if not from `/`)"
        ),
        io::ErrorKind::PermissionDenied => format!("`{path}` may not be read by this user: {error}"),
        _ => format!("`{path}` cannot be read: {error}"),
    }
}

/// How often certificates were read again by this run.
pub(crate) struct Reloads {
    /// And taken.
    pub(crate) done: AtomicU64,
    /// And left, since something was wrong with one.
    pub(crate) failed: AtomicU64,
}

/// Of this process, which has one gateway.
pub(crate) static RELOADS: Reloads = Reloads { done: AtomicU64::new(0), failed: AtomicU64::new(0) };

/// The certificates in use, and where they come from.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: Vec<TlsFiles>,
    provider: Arc<CryptoProvider>,
    in_use: RwLock<Arc<[Arc<CertifiedKey>]>>,
}

impl Certificates {
    /// Reads them.
    pub(crate) fn read(files: &[TlsFiles]) -> Result<Arc<Certificates>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let in_use = RwLock::new(load_all(files, &provider)?);
        Ok(Arc::new(Certificates { files: files.to_vec(), provider, in_use }))
    }

    /// Reads them again. If anything is wrong with one of them, those in use stay.
    pub(crate) fn reload(&self) {
        match load_all(&self.files, &self.provider) {
            Ok(read) => {
                *self.in_use.write().unwrap_or_else(PoisonError::into_inner) = read;
                RELOADS.done.fetch_add(1, Relaxed);
                tracing::info!(
                    certificates = self.files.len(),
                    "certificates were read again and are in use"
                );
            }
            Err(error) => {
                RELOADS.failed.fetch_add(1, Relaxed);
                tracing::error!(%error, "certificates could not be read again: those in use stay");
            }
        }
    }

    fn in_use(&self) -> Arc<[Arc<CertifiedKey>]> {
        Arc::clone(&self.in_use.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn load_all(files: &[TlsFiles], provider: &CryptoProvider) -> Result<Arc<[Arc<CertifiedKey>]>, TlsError> {
    files.iter().map(|files| load(files, provider).map(Arc::new)).collect()
}

/// What accepts TLS with these certificates; the first is for clients that name no host, or one that none is for.
pub(crate) fn acceptor(certificates: &Arc<Certificates>) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::clone(&certificates.provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(certificates) as Arc<dyn ResolvesServerCert>);
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Reads one certificate and its key, as the gateway would.
pub(crate) fn load_one(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    load(files, &aws_lc_rs::default_provider())
}

fn load(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let wrong = |key, path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::Pem { key, path, source }
    };
    let text = |key, path: &PathBuf| {
        let unread = |source| TlsError::Unread { key, path: path.clone(), source };
        read_regular(path, PEM_BYTES_MOST).map_err(unread)
    };
    let chain = text("cert", &files.cert)?;
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.map_err(wrong("cert", &files.cert))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(files.cert.clone()));
    }
    let key = text("key", &files.key)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(wrong("key", &files.key))?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|source| TlsError::Pair { path: files.cert.clone(), source })
}

/// Chooses the certificate that is for the name asked for.
impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        chosen(&self.in_use(), named.as_ref()).cloned()
    }
}

/// The certificate for who asks by this name: the first that is for it, or else the first of all.
pub(crate) fn chosen<'a>(
    all: &'a [Arc<CertifiedKey>],
    name: Option<&ServerName<'_>>,
) -> Option<&'a Arc<CertifiedKey>> {
    let fitting = name.and_then(|name| all.iter().find(|certificate| is_for(certificate, name)));
    fitting.or(all.first())
}

/// Whether a certificate is for this name.
pub(crate) fn is_for(certificate: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let end_entity = certificate.cert.first().map(webpki::EndEntityCert::try_from);
    matches!(end_entity, Some(Ok(end_entity)) if end_entity.verify_is_valid_for_subject_name(name).is_ok())
}
