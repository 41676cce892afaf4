//! A witness that answers by a script, over a real socket, with or without TLS.
#![allow(dead_code, reason = "each test file is a crate of its own and uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nightlatch_ledger::{KeyKind, VerifierKey};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto};
use rustls_pki_types::PrivateKeyDer;
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

pub(crate) const NAME: &str = "witness.example/w";

/// A witness's key.
pub(crate) struct Witness {
    pair: Arc<Ed25519KeyPair>,
}

/// What a witness does when it is asked.
#[derive(Clone)]
pub(crate) enum Act {
    /// 200 with a cosignature over what it was sent.
    Cosign,
    /// 200 with a cosignature over something else.
    CosignOther,
    /// This status, type and body.
    Say(u16, &'static str, String),
    /// Nothing, and keeps the connection.
    Hang,
}

impl Witness {
    pub(crate) fn new() -> Witness {
        Witness { pair: Arc::new(Ed25519KeyPair::generate().unwrap()) }
    }

    /// Its public key.
    pub(crate) fn key(&self) -> VerifierKey {
        let public = self.pair.public_key().as_ref().try_into().unwrap();
        VerifierKey::new(NAME, KeyKind::Witness, public).unwrap()
    }

    /// Answers like this, one act for each time it is asked, over TLS if there is a configuration for it. Gives its port, and what it is
    /// sent.
    pub(crate) fn listen(
        &self,
        acts: Vec<Act>,
        tls: Option<Arc<ServerConfig>>,
    ) -> (u16, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, pair, key) = (seen.clone(), self.pair.clone(), self.key());
        thread::spawn(move || {
            for act in acts {
                let stream = listener.accept().unwrap().0;
                let Some(tls) = &tls else {
                    answer(stream, act, &kept, &pair, &key);
                    continue;
                };
                let mut session = ServerConnection::new(tls.clone()).unwrap();
                let mut stream = stream;
                if session.complete_io(&mut stream).is_ok() {
                    answer(StreamOwned::new(session, stream), act, &kept, &pair, &key);
                }
            }
        });
        (port, seen)
    }
}

fn answer(
    mut stream: impl Read + Write,
    act: Act,
    kept: &Mutex<Vec<String>>,
    pair: &Ed25519KeyPair,
    key: &VerifierKey,
) {
    let request = receive(&mut stream);
    kept.lock().unwrap().push(request.clone());
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let note = body.split_once("\n\n").unwrap().1;
    let (text, _) = note.rsplit_once("\n\n").unwrap();
    let (status, kind, body) = match act {
        Act::Cosign => (200, "text/plain", cosign(pair, key, text)),
        Act::CosignOther => (200, "text/plain", cosign(pair, key, "something else")),
        Act::Say(status, kind, body) => (status, kind, body),
        Act::Hang => {
            thread::sleep(Duration::from_secs(30));
            return;
        }
    };
    let length = body.len();
    // Whoever reads no further than it has to breaks a long answer off.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
}

fn receive(stream: &mut impl Read) -> String {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            if body.len() >= length.trim().parse().unwrap() {
                return text;
            }
        }
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the request broke off: {text}");
        request.extend_from_slice(&piece[..read]);
    }
}

fn cosign(pair: &Ed25519KeyPair, key: &VerifierKey, text: &str) -> String {
    let at = 1_795_535_754_u64;
    let signature = pair.sign(format!("cosignature/v1\ntime {at}\n{text}\n").as_bytes());
    let bytes = [&key.id()[..], &at.to_be_bytes(), signature.as_ref()].concat();
    format!("\u{2014} {NAME} {}\n", STANDARD.encode(bytes))
}

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate authority of this name.
pub(crate) fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server's certificate for this name, valid until this year.
pub(crate) fn server(issuer: &Authority, name: &str, until: i32) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
    let certificate = params.signed_by(&key, issuer).unwrap();
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret);
    Arc::new(config.unwrap())
}
