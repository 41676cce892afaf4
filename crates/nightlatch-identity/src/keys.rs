//! A provider's public keys (RFC 7517), and which of them a token may have been signed with.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde_json::Value;

/// More than any provider publishes; each is tried for a token that names none.
const KEYS_MOST: usize = 64;

/// The keys that can verify a signature. Keys of other kinds are passed over, as RFC 7517 section 5 says.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<Jwk>);

impl KeySet {
    /// Reads a key set.
    ///
    /// # Errors
    /// If it is not the JSON of one.
    pub fn read(json: &[u8]) -> Result<KeySet, String> {
        let set: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let keys = set["keys"].as_array().ok_or("there is no list `keys`")?;
        let readable = keys.iter().filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
        Ok(KeySet(readable.filter(verifies).take(KEYS_MOST).collect()))
    }

    /// The key of this name for this algorithm; without a name, the only one there is for it.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            fits(key, algorithm) && kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid))
        });
        let key = fitting.next()?;
        // Trying one after the other would make it the token's choice.
        if fitting.next().is_some() {
            return None;
        }
        DecodingKey::from_jwk(key).ok()
    }
}

/// Whether it is a public key for signatures.
fn verifies(key: &Jwk) -> bool {
    let for_signatures =
        key.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let public = matches!(
        key.algorithm,
        AlgorithmParameters::RSA(_)
            | AlgorithmParameters::EllipticCurve(_)
            | AlgorithmParameters::OctetKeyPair(_)
    );
    for_signatures && public
}

/// Whether the key is for this algorithm, by its kind and by what it says itself.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let said = key.common.key_algorithm.as_ref();
    if said.is_some_and(|said| format!("{said:?}") != format!("{algorithm:?}")) {
        return false;
    }
    match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), algorithm) => matches!(
            algorithm,
            Algorithm::RS256
                | Algorithm::RS384
                | Algorithm::RS512
                | Algorithm::PS256
                | Algorithm::PS384
                | Algorithm::PS512
        ),
        (AlgorithmParameters::EllipticCurve(of), Algorithm::ES256) => of.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(of), Algorithm::ES384) => of.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(of), Algorithm::EdDSA) => of.curve == EllipticCurve::Ed25519,
        _ => false,
    }
}
