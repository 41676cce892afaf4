//! `[listen]`: where Nightlatch can be reached, and as what.
//!
//! The session cookie is Secure, so browsers must come over https: either the gateway has the certificates itself, or
//! it is told the https address that browsers use and which proxies stand in between. Anything else is refused
//! (`between`), except on loopback, where the demo and the tests live.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use super::address;
use super::code::Code;
use super::key::{Form, Key, Need, Section, Status};
use super::mistake::Mistake;
use super::notes::Notes;
use super::reader::Table;
use super::url::{self, Origin};

pub(super) static SECTION: Section = Section {
    path: "listen",
    header: "[listen]",
    about: "Where Nightlatch can be reached. Port 0 lets the system choose one, which is of use in tests.",
    keys: &[
        Key {
            name: "gateway",
            form: Form::SocketAddress,
            need: Need::Required,
            status: Status::Now,
            example: "\"0.0.0.0:8443\"",
            means: "For browsers and API clients.",
        },
        Key {
            name: "gateway_proxied",
            form: Form::SocketAddress,
            need: Need::Optional("no such listener"),
            status: Status::Now,
            example: "\"0.0.0.0:8444\"",
            means: "The gateway once more, for load balancers that say by PROXY protocol (version 1 or 2) whose connection it is, before TLS and HTTP. Only `trusted_proxies` may connect, and every connection must begin so.",
        },
        Key {
            name: "gateway_unix",
            form: Form::SocketFile,
            need: Need::Optional("no such listener"),
            status: Status::Now,
            example: "\"unix:/run/nightlatch/gateway.sock\"",
            means: "The gateway once more, on a socket file of this machine, mode 0660, without TLS. Who connects there counts as 127.0.0.1.",
        },
        Key {
            name: "admin",
            form: Form::SocketAddress,
            need: Need::Default("\"127.0.0.1:8081\""),
            status: Status::Now,
            example: "\"127.0.0.1:8081\"",
            means: "For the API, the console, metrics and health. Not encrypted, so keep it on loopback or behind something that encrypts.",
        },
        Key::later(
            "points",
            Form::SocketAddress,
            "\"127.0.0.1:8082\"",
            "For forward-auth, ext_authz, AuthZEN and introspection.",
        ),
        Key {
            name: "trusted_proxies",
            form: Form::Networks,
            need: Need::Default("[]"),
            status: Status::Now,
            example: "[\"10.0.1.0/24\", \"10.0.2.7\"]",
            means: "Only these may say where a client is.",
        },
        Key {
            name: "public_url",
            form: Form::Origin,
            need: Need::Optional("the scheme of the gateway and the host of each request"),
            status: Status::Now,
            example: "\"https://desk.example.com\"",
            means: "How browsers reach the gateway: scheme, host and port, without a path. `http` is taken on loopback only.",
        },
        Key {
            name: "tls",
            form: Form::TableOrTables,
            need: Need::Optional("the gateway speaks plain http"),
            status: Status::Now,
            example: "{ cert = \"tls/cert.pem\", key = \"tls/key.pem\" }",
            means: "The certificate of the gateway, or a list of them for several hosts.",
        },
    ],
};

pub(super) static TLS: Section = Section {
    path: "listen.tls",
    header: "listen.tls = { cert = \"..\", key = \"..\" }",
    about: "One certificate.",
    keys: &[
        Key {
            name: "cert",
            form: Form::File,
            need: Need::Required,
            status: Status::Now,
            example: "\"tls/cert.pem\"",
            means: "The certificate and those that lead to its root, as PEM.",
        },
        Key {
            name: "key",
            form: Form::File,
            need: Need::Required,
            status: Status::Now,
            example: "\"tls/key.pem\"",
            means: "Its private key, as PEM.",
        },
    ],
};

/// `[listen]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Listen {
    /// For browsers and API clients.
    pub(crate) gateway: SocketAddr,
    /// The same, for load balancers that say whose connection it is.
    pub(crate) gateway_proxied: Option<SocketAddr>,
    /// The same, on a socket file.
    pub(crate) gateway_unix: Option<PathBuf>,
    /// For the API, console, metrics and health.
    pub(crate) admin: SocketAddr,
    /// Who may say where a client is.
    #[serde(serialize_with = "networks")]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// How browsers reach the gateway.
    pub(crate) public_url: Option<Origin>,
    /// The certificates; none means plain http.
    pub(crate) tls: Vec<TlsFiles>,
}

/// One certificate and its private key, as files that have not been opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TlsFiles {
    /// The certificate chain.
    pub(crate) cert: PathBuf,
    /// The private key.
    pub(crate) key: PathBuf,
}

impl Listen {
    /// Whether browsers come over https, here or at a proxy in front. If not, this is loopback.
    pub(crate) fn is_https(&self) -> bool {
        !self.tls.is_empty() || self.public_url.as_ref().is_some_and(|url| url.https)
    }

    pub(super) fn read(notes: &mut Notes<'_>, root: &Table<'_>) -> Option<Self> {
        let table = root.child(notes, &SECTION, "listen")?;
        let gateway = table.text(notes, "gateway", address::socket_address);
        let gateway_proxied = table.text(notes, "gateway_proxied", address::socket_address);
        let gateway_unix = table.text(notes, "gateway_unix", address::socket_file);
        let admin = table.text(notes, "admin", address::socket_address);
        let trusted_proxies = table.texts(notes, "trusted_proxies", address::network);
        let public_url = table.text(notes, "public_url", url::origin);
        let tls = tls(notes, &table);
        Some(Self {
            gateway: gateway?,
            gateway_proxied,
            gateway_unix,
            admin: admin?,
            trusted_proxies,
            public_url,
            tls,
        })
    }
}

fn tls(notes: &mut Notes<'_>, listen: &Table<'_>) -> Vec<TlsFiles> {
    let tables = listen.children(notes, &TLS, "tls", true);
    if tables.is_empty() && listen.is_empty_list("tls") {
        let mistake = Mistake::new(
            Code::EmptyValue,
            "a list of no certificates is plain http, but looks as if it were not",
        );
        notes.blame(&listen.at("tls"), mistake.hint("name a certificate, or remove `tls`"));
    }
    let mut list = Vec::new();
    for table in tables {
        let (cert, key) = (table.file(notes, "cert"), table.file(notes, "key"));
        list.extend(cert.zip(key).map(|(cert, key)| TlsFiles { cert, key }));
    }
    list
}

fn networks<S: Serializer>(list: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(ToString::to_string))
}
