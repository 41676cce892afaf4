//! The ledger's signing key: an Ed25519 key in a file that only its owner may read.
//!
//! The secret is PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it, so that an operator's own key
//! ceremony can make it. The public half stands beside it, with the suffix `vkey`, in the C2SP text form that an
//! auditor pastes into a verifier. The key's name is the ledger's origin: one name, said once.
//!
//! The secret never leaves this type: it is not in `Debug`, and there is no way to ask for it.

use std::{
    fmt, fs,
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    files,
    note::{KeyKind, Note, VerifierKey, VerifierKeyError},
};

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
const PEM_LINE_CHARS: usize = 64;

/// Signs checkpoints under a name.
pub struct Signer {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl Signer {
    /// Makes a new key for the ledger called `name`, and writes `path` (mode 0600) and the public `path` with the
    /// suffix `vkey` (mode 0644). Both are on the disk when it returns.
    ///
    /// # Errors
    ///
    /// [`KeyError::Write`] if there is a file at `path` already: a key is never overwritten. Else see [`KeyError`].
    pub fn create(path: &Path, name: &str) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?;
        let secret: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Generate)?;
        let pem = to_pem(secret.as_ref());
        let signer = Self::new(pair, name)?;
        let public_path = path.with_extension("vkey");
        // The secret comes last and whole: until it is there, there is no key, and another try begins anew.
        if path.exists() {
            return Err(KeyError::Write { path: path.to_owned(), source: ErrorKind::AlreadyExists.into() });
        }
        write_whole(&public_path, 0o644, format!("{}\n", signer.verifier).as_bytes())?;
        write_whole(path, 0o600, pem.as_bytes())?;
        Ok(signer)
    }

    /// Reads the key of the ledger called `name` from a PKCS#8 file in PEM.
    ///
    /// # Errors
    ///
    /// [`KeyError::Exposed`] if others than the owner may read the file. Else see [`KeyError`].
    pub fn load(path: &Path, name: &str) -> Result<Self, KeyError> {
        let read = |source| KeyError::Read { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(read)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let pem = fs::read_to_string(path).map_err(read)?;
        let form = || KeyError::Form { path: path.to_owned() };
        let secret = from_pem(&pem).ok_or_else(form)?;
        let pair = Ed25519KeyPair::from_pkcs8(&secret).map_err(|_| form())?;
        Self::new(pair, name)
    }

    /// What an auditor needs to check signatures; may be published.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(crate) fn sign(&self, checkpoint: Checkpoint) -> SignedCheckpoint {
        let sign = |text: &[u8]| self.pair.sign(text).as_ref().to_vec();
        let note = Note::new_signed(checkpoint.to_string(), &self.verifier, sign);
        SignedCheckpoint::new(checkpoint, note)
    }

    fn new(pair: Ed25519KeyPair, name: &str) -> Result<Self, KeyError> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Generate)?;
        let verifier = VerifierKey::new(name, KeyKind::Log, public).map_err(KeyError::Name)?;
        Ok(Self { pair, verifier })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier)
    }
}

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gave no randomness, or the library no key.
    #[error("could not generate a key")]
    Generate,
    /// A file could not be read.
    #[error("could not read the key file `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written, or is there already.
    #[error("could not write the key file `{path}`")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file may be read by others than its owner.
    #[error("the key file `{path}` has mode {mode:o}; want 600")]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not an Ed25519 key as PKCS#8 in PEM.
    #[error("the key file `{path}` is not an Ed25519 private key as PKCS#8 in PEM")]
    Form {
        /// Which.
        path: PathBuf,
    },
    /// The name cannot be used as an origin.
    #[error(transparent)]
    Name(VerifierKeyError),
}

/// Puts a file in its place whole, or not at all.
fn write_whole(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), KeyError> {
    let prepared = path.with_added_extension("new");
    let write = || {
        let _ = fs::remove_file(&prepared);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&prepared)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&prepared, path)?;
        files::sync_parent(path)
    };
    write().map_err(|source| KeyError::Write { path: path.to_owned(), source })
}

fn to_pem(der: &[u8]) -> String {
    let mut pem = format!("{PEM_BEGIN}\n");
    for (place, char) in STANDARD.encode(der).chars().enumerate() {
        if place > 0 && place % PEM_LINE_CHARS == 0 {
            pem.push('\n');
        }
        pem.push(char);
    }
    pem + "\n" + PEM_END + "\n"
}

fn from_pem(pem: &str) -> Option<Vec<u8>> {
    let body = pem.trim().strip_prefix(PEM_BEGIN)?.strip_suffix(PEM_END)?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_created_key_is_private_and_loads_again_as_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.key");
        let created = Signer::create(&path, "node-a.example").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let loaded = Signer::load(&path, "node-a.example").unwrap();
        assert_eq!(loaded.verifier(), created.verifier());
        let public = fs::read_to_string(dir.path().join("ledger.vkey")).unwrap();
        assert_eq!(public.trim_end().parse::<VerifierKey>().unwrap(), *created.verifier());
        assert!(!format!("{loaded:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_key_is_never_overwritten_and_an_exposed_one_never_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.key");
        Signer::create(&path, "node-a.example").unwrap();
        assert!(matches!(Signer::create(&path, "node-a.example"), Err(KeyError::Write { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Signer::load(&path, "node-a.example"), Err(KeyError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_key_made_by_openssl_loads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.key");
        // RFC 8410, section 10.3: a key without its public half.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        write_whole(&path, 0o600, pem.as_bytes()).unwrap();
        let signer = Signer::load(&path, "node-a.example").unwrap();
        let public = STANDARD.decode("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=").unwrap();
        let verifier = VerifierKey::new("node-a.example", KeyKind::Log, public.try_into().unwrap());
        assert_eq!(signer.verifier(), &verifier.unwrap());
    }

    #[test]
    fn what_is_no_key_and_what_is_no_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.key");
        write_whole(&path, 0o600, b"not a key").unwrap();
        assert!(matches!(Signer::load(&path, "node-a.example"), Err(KeyError::Form { .. })));
        let other = dir.path().join("other.key");
        assert!(matches!(Signer::create(&other, "node a"), Err(KeyError::Name(_))));
        assert!(!other.exists());
    }
}
