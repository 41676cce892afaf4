//! `[ledger]`: who outside of the operator's reach is shown the record.
//!
//! A witness is two things, where it is and whose word it is, and the second is what counts: a cosignature is believed by the key that
//! stands here, whoever answered at the URL. Encryption is asked for all the same, since a witness that can be cut off by anybody on the
//! way is of little use; only what never leaves this machine may go without.

use std::fmt;
use std::path::PathBuf;

use nightlatch_ledger::{KeyKind, VerifierKey};
use serde::{Serialize, Serializer};

use super::code::Code;
use super::duration::Millis;
use super::key::{Form, Key, Need, Section, Status};
use super::mistake::Mistake;
use super::notes::Notes;
use super::reader::Table;
use super::source::quoted;
use super::url::{self, Origin};

pub(super) static SECTION: Section = Section {
    path: "ledger",
    header: "[ledger]",
    about: "Who is shown checkpoints of the record, so that a rewritten history can be told. The running server shows them; so does `nightlatch ledger anchor`, at once.",
    keys: &[
        Key {
            name: "anchor_every",
            form: Form::Duration,
            need: Need::Default("\"1h\""),
            status: Status::Now,
            example: "\"10m\"",
            means: "How often the server shows the newest checkpoint to every witness, from its start on. What was written after the last time is not anchored. At least a second; each time that there is something new, a file of some 300 bytes is kept.",
        },
        Key {
            name: "witness",
            form: Form::Tables,
            need: Need::Optional("nobody is shown the record"),
            status: Status::Now,
            example: "[[ledger.witness]]",
            means: "See its own section.",
        },
    ],
};

pub(super) static WITNESS: Section = Section {
    path: "ledger.witness",
    header: "[[ledger.witness]]",
    about: "Somebody who cosigns checkpoints of the record (C2SP `tlog-witness`). The witness has to know this ledger: give whoever runs it `keys/ledger.vkey`. It learns how many entries there are and the hash over them, and nothing that is in them.",
    keys: &[
        Key {
            name: "key",
            form: Form::WitnessKey,
            need: Need::Required,
            status: Status::Now,
            example: "\"witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM\"",
            means: "The witness's public key, as it publishes it. A cosignature by any other is not taken. The name in it is what reports call the witness; each once.",
        },
        Key {
            name: "url",
            form: Form::WitnessUrl,
            need: Need::Required,
            status: Status::Now,
            example: "\"https://witness.example/w1\"",
            means: "Its submission prefix: what stands before `/add-checkpoint`. `http` is taken on loopback only. Redirects are not followed.",
        },
        Key {
            name: "ca_file",
            form: Form::File,
            need: Need::Optional("the certificate authorities of the system"),
            status: Status::Now,
            example: "\"tls/witness-ca.pem\"",
            means: "The certificate authorities that may vouch for the witness's server, in PEM, in place of the system's.",
        },
    ],
};

/// `[ledger]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ledger {
    /// How often the server shows its checkpoints.
    pub(crate) anchor_every: Millis,
    /// Who is shown them.
    pub(crate) witnesses: Vec<Witness>,
}

/// `[[ledger.witness]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Witness {
    /// By which its cosignatures are believed.
    #[serde(serialize_with = "as_text")]
    pub(crate) key: VerifierKey,
    /// Where it is asked.
    pub(crate) url: Prefix,
    /// Who may vouch for its server, if not the system's authorities.
    pub(crate) ca_file: Option<PathBuf>,
}

/// A URL that a path is put behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Prefix {
    /// Scheme, host and port.
    pub(crate) origin: Origin,
    /// Empty, or begins with a slash; does not end with one.
    pub(crate) path: String,
}

impl Ledger {
    pub(super) fn read(notes: &mut Notes<'_>, root: &Table<'_>) -> Option<Self> {
        let table = root.child(notes, &SECTION, "ledger")?;
        let anchor_every = table.text(notes, "anchor_every", every);
        let mut witnesses: Vec<Witness> = Vec::new();
        for table in table.children(notes, &WITNESS, "witness", false) {
            let key = table.text(notes, "key", key);
            let url = table.text(notes, "url", prefix);
            let ca_file = table.file(notes, "ca_file");
            let (Some(key), Some(url)) = (key, url) else { continue };
            if witnesses.iter().any(|other| other.key.is_same_pair(&key) || other.key.name() == key.name()) {
                let message = format!(
                    "there is another `[[ledger.witness]]` with the name or the key of `{}`",
                    key.name()
                );
                let hint = "list each witness once; one that is counted twice vouches for no more than one";
                notes.blame(&table.at("key"), Mistake::new(Code::DuplicateName, message).hint(hint));
            }
            witnesses.push(Witness { key, url, ca_file });
        }
        Some(Self { anchor_every: anchor_every?, witnesses })
    }
}

fn every(text: &str) -> Result<Millis, Mistake> {
    let every = Millis::parse(text)?;
    if every < Millis(1_000) {
        let message = format!("`{}` is too often for anybody to be asked over a network", quoted(text));
        return Err(
            Mistake::new(Code::BadDuration, message).hint("a second at least; `10m` or `1h` is usual")
        );
    }
    Ok(every)
}

/// Does not repeat what it refuses: it may be the private key, pasted in the public one's place.
fn key(text: &str) -> Result<VerifierKey, Mistake> {
    let bad =
        |what: &str| Mistake::new(Code::BadWitnessKey, format!("this cannot be a witness's key: {what}"));
    if text.contains("PRIVATE") {
        let hint = "write the public one, which has no `PRIVATE+KEY+` before its name; whoever runs the witness needs a new pair, as this one has been read";
        return Err(bad("it is a private one").hint(hint));
    }
    let key: VerifierKey = text.parse().map_err(|error| bad(&format!("{error}")))?;
    match key.kind() {
        KeyKind::Witness => Ok(key),
        KeyKind::Log => {
            let hint = "ask whoever runs the witness for its verifier key; the part behind the last `+` begins with `B`";
            Err(bad("it is the key of a log").hint(hint))
        }
    }
}

fn prefix(text: &str) -> Result<Prefix, Mistake> {
    let bad = |what: &str| Mistake::new(Code::BadUrl, format!("`{}` {what}", quoted(text)));
    let start = text.find("://").map_or(0, |scheme| scheme + 3);
    let (origin, path) = text.split_at(text[start..].find('/').map_or(text.len(), |slash| start + slash));
    let origin = url::origin(origin)?;
    let path = path.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    if !path.bytes().all(plain) || path.contains("//") {
        return Err(bad("has more than scheme, host, port and a path"));
    }
    if path.ends_with("/add-checkpoint") {
        let hint = format!(
            "write what stands before it: `{}`",
            quoted(text.trim_end_matches('/').trim_end_matches("/add-checkpoint"))
        );
        return Err(bad("has `/add-checkpoint` at its end, which is added by itself").hint(hint));
    }
    if !origin.https && !origin.is_loopback() {
        let hint = "write it with `https://`; `http://` is for a witness on this machine, or behind a tunnel that begins here";
        return Err(bad("could be read and cut off by anybody on the way").hint(hint));
    }
    Ok(Prefix { origin, path: path.to_owned() })
}

fn as_text<S: Serializer>(key: &VerifierKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}

// === impl Prefix ===

impl Prefix {
    /// Host, and port where it is not the scheme's: what goes into `Host`.
    pub(crate) fn authority(&self) -> String {
        match self.origin.port {
            Some(port) => format!("{}:{port}", self.origin.host),
            None => self.origin.host.clone(),
        }
    }
}

/// As in the file, without a slash at the end.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_is_asked_over_https_or_on_this_machine() {
        for (text, expected) in [
            ("https://Witness.example/w1", "https://witness.example/w1"),
            ("https://witness.example/w1/", "https://witness.example/w1"),
            ("https://witness.example", "https://witness.example"),
            ("https://witness.example:8443/a/b", "https://witness.example:8443/a/b"),
            ("http://127.0.0.1:7380", "http://127.0.0.1:7380"),
            ("http://[::1]:7380/w", "http://[::1]:7380/w"),
            ("http://localhost/w", "http://localhost/w"),
            (
                "http://witness.example/w1",
                "bad-url: write it with `https://`; `http://` is for a witness on this machine, or behind a tunnel that begins here",
            ),
            (
                "https://witness.example/w1/add-checkpoint",
                "bad-url: write what stands before it: `https://witness.example/w1`",
            ),
            ("https://witness.example/w1?x=1", "bad-url: "),
            ("https://witness.example/w1#x", "bad-url: "),
            ("https://witness.example//w1", "bad-url: "),
            ("https://witness.example/w 1", "bad-url: "),
            ("https://user@witness.example/w1", "bad-url: "),
            ("witness.example/w1", "bad-url: "),
            ("https://", "bad-url: "),
            ("", "bad-url: "),
        ] {
            let said = match prefix(text) {
                Ok(prefix) => prefix.to_string(),
                Err(mistake) => format!("{}: {}", mistake.code, mistake.hint.unwrap_or_default()),
            };
            assert_eq!(said, expected, "{text}");
        }
    }
}
