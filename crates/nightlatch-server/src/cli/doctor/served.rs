//! The certificate that the running gateway really shows, held against the file.
//!
//! A renewed file does nothing before somebody sends SIGHUP, and nobody notices until the old certificate is over. So the gateway is asked
//! as a browser would ask, by each name of the configuration and without one, and what it shows is compared byte for byte. What is
//! shown is looked at and not believed: nothing is sent over the connection.

use super::{process::Holder, report::Report, server::reached};
use crate::{
    config::Config,
    tls::{chosen, load_one},
    words::instant_ms,
};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// For each step of a handshake with this machine.
const WAIT: Duration = Duration::from_secs(3);

/// Looks at what the gateway shows for each name, if a server runs with this configuration.
pub(super) fn look(report: &mut Report, config: &Config, holder: &Holder) {
    let (check, what) = ("certificate.served", "certificates that the running gateway shows");
    let files: Result<Vec<Arc<CertifiedKey>>, _> =
        config.listen.tls.iter().map(|files| load_one(files).map(Arc::new)).collect();
    let address = reached(config.listen.gateway);
    match (files, holder) {
        (Ok(files), _) if files.is_empty() => {}
        (Err(_), _) => report.not_looked_at(check, what, "those in the files cannot be used; see above"),
        (Ok(_), Holder::Nobody) => {
            report.not_looked_at(check, what, "no server runs with this data directory")
        }
        (Ok(_), _) if address.port() == 0 => {
            report.not_looked_at(check, what, "the system chose the gateway's port");
        }
        (Ok(files), _) => names(config).iter().for_each(|name| one(report, &files, address, name.as_deref())),
    }
}

/// The names that browsers ask by, and none.
fn names(config: &Config) -> BTreeSet<Option<String>> {
    let hosts = config.apps.iter().filter_map(|app| app.matches.host.as_ref()).map(|host| &host.name);
    let public = config.listen.public_url.as_ref().map(|url| &url.host);
    // Of an address none is asked by: TLS names hosts only (RFC 6066, section 3).
    let is_name = |name: &&String| matches!(ServerName::try_from(name.as_str()), Ok(ServerName::DnsName(_)));
    hosts.chain(public).filter(is_name).cloned().map(Some).chain([None]).collect()
}

fn one(report: &mut Report, files: &[Arc<CertifiedKey>], address: SocketAddr, name: Option<&str>) {
    let check = "certificate.served";
    let asked = name.map_or_else(|| "no name".to_owned(), |name| format!("`{name}`"));
    let what = format!("certificate that the gateway at {address} shows for {asked}");
    let named = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    let Some(file) = chosen(files, named.as_ref()).and_then(|file| file.cert.first()) else { return };
    match shown(address, named) {
        Ok(shown) if shown == *file => report.good(check, what, "is the one in the file"),
        Ok(shown) => report.wrong(
            check,
            what,
            format_args!("is another than the one in the file: {} there, {} in the file", until(&shown), until(file)),
            "send SIGHUP (`systemctl reload nightlatch`), and have whatever renews certificates do that; if it stays, see the server's log",
        ),
        Err(error) => report.not_looked_at(check, what, format_args!("it did not finish a handshake: {error}")),
    }
}

fn until(certificate: &CertificateDer<'_>) -> String {
    match X509Certificate::from_der(certificate) {
        Ok((_, read)) => {
            let seconds = u64::try_from(read.validity().not_after.timestamp()).unwrap_or(0);
            format!(
                "serial {}, good until {}",
                read.raw_serial_as_string(),
                instant_ms(seconds.saturating_mul(1_000))
            )
        }
        Err(_) => "one that cannot be read".to_owned(),
    }
}

/// The certificate that is shown to whoever asks by this name.
fn shown(address: SocketAddr, name: Option<ServerName<'static>>) -> io::Result<CertificateDer<'static>> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Onlooker(provider)))
        .with_no_client_auth();
    // An address is not sent as a name.
    let name = name.unwrap_or(ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into()));
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    let first = session.peer_certificates().and_then(|chain| chain.first());
    first.cloned().ok_or_else(|| io::Error::other("it shows none")).map(CertificateDer::into_owned)
}

/// Takes any certificate, in order to look at it; whoever shows it has to have its key all the same.
#[derive(Debug)]
struct Onlooker(Arc<CryptoProvider>);

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
