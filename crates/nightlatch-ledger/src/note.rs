//! C2SP signed notes (<https://c2sp.org/signed-note>, version 1.0.0): text and who signed it.
//!
//! A note is what leaves the operator's hands, so its form is a public one that other people's tools read. Two kinds
//! of signature are understood: the plain Ed25519 one that a ledger makes (type 1), and the timestamped cosignature of
//! a witness (type 4, <https://c2sp.org/tlog-cosignature>). Signatures by keys nobody asked about are carried along
//! and mean nothing.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::hash::Hash;

const ED25519_TYPE: u8 = 0x01;
const COSIGNATURE_TYPE: u8 = 0x04;
const SIGNATURE_PREFIX: &str = "\u{2014} ";
/// The specification asks for at least 16; what a ledger of ours meets is one log and a few witnesses.
const SIGNATURES_MAX: usize = 64;
const NOTE_BYTES_MAX: usize = 1 << 20;

/// Whose signature a [`VerifierKey`] checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A log's own Ed25519 signature over the text.
    Log,
    /// A witness's Ed25519 cosignature over a time and the text.
    Witness,
}

/// A public key with the name it signs under, in text form `name+id+base64`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    public: [u8; 32],
    id: [u8; 4],
}

impl VerifierKey {
    /// A key from its parts; `public` is an Ed25519 public key as RFC 8032 encodes it.
    ///
    /// # Errors
    ///
    /// [`VerifierKeyError::Name`] if the name is empty or has a space, a control character or a plus in it.
    pub fn new(name: &str, kind: KeyKind, public: [u8; 32]) -> Result<Self, VerifierKeyError> {
        if !is_key_name(name) {
            return Err(VerifierKeyError::Name);
        }
        let kind_byte = kind.as_byte();
        let hashed = [name.as_bytes(), b"\n", &[kind_byte], &public].concat();
        let [a, b, c, d, ..] = *Hash::of_bytes(&hashed).as_bytes();
        Ok(Self { name: name.to_owned(), kind, public, id: [a, b, c, d] })
    }

    /// The name this key signs under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a log's key or a witness's.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether both stand for one secret, whatever their names and kinds.
    #[must_use]
    pub fn is_same_pair(&self, other: &Self) -> bool {
        self.public == other.public
    }

    /// The first four bytes of SHA-256 over name, newline, type and key, which name the key in a signature.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }
}

impl KeyKind {
    fn as_byte(self) -> u8 {
        match self {
            Self::Log => ED25519_TYPE,
            Self::Witness => COSIGNATURE_TYPE,
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.as_byte()][..], &self.public].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, VerifierKeyError> {
        // Base64 may have a plus in it; the name and the id may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError::Form);
        };
        let bytes = STANDARD.decode(key).map_err(|_| VerifierKeyError::Form)?;
        let (kind, public) = bytes.split_first().ok_or(VerifierKeyError::Form)?;
        let kind = match *kind {
            ED25519_TYPE => KeyKind::Log,
            COSIGNATURE_TYPE => KeyKind::Witness,
            _ => return Err(VerifierKeyError::Algorithm),
        };
        let key = Self::new(name, kind, public.try_into().map_err(|_| VerifierKeyError::Form)?)?;
        if id.len() == 8 && u32::from_str_radix(id, 16) == Ok(u32::from_be_bytes(key.id)) {
            Ok(key)
        } else {
            Err(VerifierKeyError::Id)
        }
    }
}

/// Why a text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// It does not have the three parts, or the key is not base64 of the right length.
    #[error("not a verifier key: want `name+id+base64`")]
    Form,
    /// The name may not be used in a signed note.
    #[error("a key name must not be empty or have spaces, control characters or `+` in it")]
    Name,
    /// A signature type other than 1 (Ed25519) and 4 (Ed25519 cosignature).
    #[error("only Ed25519 keys of type 1 and 4 are understood")]
    Algorithm,
    /// The id is not the one that name and key give: the text was mistyped or changed.
    #[error("the key id does not belong to this name and key")]
    Id,
}

/// A text with signatures, none of which has been checked yet.
///
/// `Display` gives the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// Proof that a note was signed by a key, and what the signature said besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// For a witness: when it saw the checkpoint, in seconds since 1970-01-01 UTC.
    pub unix_seconds: Option<u64>,
}

impl Note {
    /// A note with one signature, made with `sign` over the text, which ends with a newline.
    pub(crate) fn new_signed(text: String, key: &VerifierKey, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        let signature = Signature { name: key.name.clone(), id: key.id, bytes: sign(text.as_bytes()) };
        Self { text, signatures: vec![signature] }
    }

    /// Splits a note into text and signatures. Verifies nothing.
    ///
    /// # Errors
    ///
    /// [`NoteError::Form`] if it is not a signed note of at most 1 MiB and 64 signatures.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let wrong_byte = |byte: u8| byte < 0x20 && byte != b'\n';
        if note.len() > NOTE_BYTES_MAX || note.bytes().any(wrong_byte) {
            return Err(NoteError::Form);
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let lines = signatures.strip_suffix('\n').ok_or(NoteError::Form)?;
        let signatures: Option<Vec<_>> = lines.split('\n').map(Signature::parse).collect();
        let signatures = signatures.filter(|all| all.len() <= SIGNATURES_MAX).ok_or(NoteError::Form)?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The signed text, with its final newline. Means nothing until a signature was verified.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same text with the signature of this key out of these signature lines, in the place of one by this key that was there.
    /// Lines by other keys are passed over.
    ///
    /// # Errors
    ///
    /// [`NoteError::Form`] if they are not signature lines, or too many; [`NoteError::NotSigned`] if none is by this key,
    /// [`NoteError::Forged`] if one is and it is wrong.
    pub(crate) fn with_signature(&self, lines: &str, key: &VerifierKey) -> Result<(Self, Signed), NoteError> {
        let answered = Self::parse(&format!("{}\n{lines}", self.text))?;
        // A blank line among the answer would have moved the border between text and signatures.
        if answered.text != self.text {
            return Err(NoteError::Form);
        }
        let signed = answered.verify(key)?;
        let mut signatures = self.signatures.clone();
        signatures.retain(|signature| !signature.is_by(key));
        // Each of them was verified; one is enough.
        signatures.extend(answered.signatures.into_iter().rfind(|signature| signature.is_by(key)));
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::Form);
        }
        Ok((Self { text: answered.text, signatures }, signed))
    }

    /// The same text with the other's signatures by keys that have not signed here; `None` if it is another text, or too many.
    pub(crate) fn merged(&self, other: &Self) -> Option<Self> {
        let mut signatures = self.signatures.clone();
        for signature in &other.signatures {
            if !signatures.iter().any(|kept| kept.name == signature.name && kept.id == signature.id) {
                signatures.push(signature.clone());
            }
        }
        let same = self.text == other.text && signatures.len() <= SIGNATURES_MAX;
        same.then(|| Self { text: self.text.clone(), signatures })
    }

    /// The names that signatures are in. Means nothing until a signature was verified.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signature| signature.name.as_str())
    }

    /// Checks the signature of one key.
    ///
    /// # Errors
    ///
    /// [`NoteError::NotSigned`] if there is none by this key, [`NoteError::Forged`] if there is one and it is wrong.
    pub fn verify(&self, key: &VerifierKey) -> Result<Signed, NoteError> {
        let mut signed = Err(NoteError::NotSigned);
        for signature in self.signatures.iter().filter(|signature| signature.is_by(key)) {
            signed = Ok(signature.verify(&self.text, key).ok_or(NoteError::Forged)?);
        }
        signed
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature { name, id, bytes } in &self.signatures {
            writeln!(f, "{SIGNATURE_PREFIX}{name} {}", STANDARD.encode([&id[..], bytes].concat()))?;
        }
        Ok(())
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        let bytes = STANDARD.decode(signature).ok()?;
        let (id, bytes) = bytes.split_at_checked(4)?;
        let name = (is_key_name(name) && !bytes.is_empty()).then(|| name.to_owned())?;
        Some(Self { name, id: id.try_into().ok()?, bytes: bytes.to_vec() })
    }

    fn is_by(&self, key: &VerifierKey) -> bool {
        self.name == key.name && self.id == key.id
    }

    fn verify(&self, text: &str, key: &VerifierKey) -> Option<Signed> {
        let public = UnparsedPublicKey::new(&ED25519, key.public);
        match key.kind {
            KeyKind::Log => {
                public.verify(text.as_bytes(), &self.bytes).ok()?;
                Some(Signed { unix_seconds: None })
            }
            KeyKind::Witness => {
                let (time, signature) = self.bytes.split_at_checked(8)?;
                let seconds = u64::from_be_bytes(time.try_into().ok()?);
                let message = format!("cosignature/v1\ntime {seconds}\n{text}");
                public.verify(message.as_bytes(), signature).ok()?;
                Some(Signed { unix_seconds: Some(seconds) })
            }
        }
    }
}

/// Why a note is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not text, a blank line and signature lines.
    #[error("not a signed note")]
    Form,
    /// No signature by this key.
    #[error("not signed by this key")]
    NotSigned,
    /// A signature in the key's name that the key did not make, or not over this text.
    #[error("the signature by this key is wrong")]
    Forged,
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the signed-note specification.
    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    fn key() -> VerifierKey {
        KEY.parse().unwrap()
    }

    #[test]
    fn the_specifications_example_verifies_and_is_written_back_as_it_was() {
        let note = Note::parse(NOTE).unwrap();
        assert_eq!(note.text(), "This is an example message.\n");
        assert_eq!(note.verify(&key()), Ok(Signed { unix_seconds: None }));
        assert_eq!(note.to_string(), NOTE);
        assert_eq!(key().to_string(), KEY);
        assert_eq!(key().id(), [0x53, 0x0d, 0x90, 0x3a]);
    }

    #[test]
    fn a_changed_text_is_a_forgery_and_another_name_is_a_stranger() {
        let changed = Note::parse(&NOTE.replace("an example", "no example")).unwrap();
        assert_eq!(changed.verify(&key()), Err(NoteError::Forged));
        let stranger = VerifierKey::new("example.com/bar", KeyKind::Log, key().public).unwrap();
        assert_eq!(Note::parse(NOTE).unwrap().verify(&stranger), Err(NoteError::NotSigned));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        for wrong in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n\u{2014} name\n",
            "a\tb\n\n\u{2014} n AAAAAAA=\n",
            "a key id and no signature\n\n\u{2014} n AAAAAA==\n",
            &NOTE[..NOTE.len() - 1],
        ] {
            assert_eq!(Note::parse(wrong), Err(NoteError::Form), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        let check = |text: &str, error| assert_eq!(text.parse::<VerifierKey>(), Err(error), "{text}");
        check("example.com/foo", VerifierKeyError::Form);
        check(&KEY.replace("530d", "530e"), VerifierKeyError::Id);
        check(&KEY.replace("foo", "fo o"), VerifierKeyError::Name);
        check(&KEY.replace("+Aeky", "+Beky"), VerifierKeyError::Algorithm);
        check(&KEY[..KEY.len() - 4], VerifierKeyError::Form);
    }
}
