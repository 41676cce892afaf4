//! What a provider says of itself (OpenID Connect Discovery 1.0 section 3), as far as it is needed and believed.

use jsonwebtoken::Algorithm;
use serde::Deserialize;

/// The signatures that are taken at all: public keys only, so that nobody who can read a provider's key can sign with it. `none` and
/// the HMACs are not in it, whatever a provider says that it supports.
const TAKEN: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// A provider's metadata.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    pub(crate) jwks_uri: String,
    /// Where requests are handed over before the browser goes (RFC 9126 section 5), if it has that.
    pub(crate) pushed_endpoint: Option<String>,
    /// Those of ours that it signs with.
    pub(crate) algorithms: Vec<Algorithm>,
    /// It names itself in its answers through the browser (RFC 9207 section 3).
    pub(crate) names_itself: bool,
}

/// Why a provider's metadata is of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not the JSON that it has to be.
    #[error("its metadata cannot be read: {0}")]
    Form(String),
    /// Somebody else's.
    #[error(
        "its metadata is of the issuer `{0}`; `issuer` in the configuration must be the same to the letter"
    )]
    OtherIssuer(String),
    /// An endpoint that no one may listen in on.
    #[error("its `{0}` is neither `https` nor on this machine")]
    Endpoint(&'static str),
    /// No signature that is taken.
    #[error("it signs ID tokens with none of the algorithms that are taken here")]
    NoAlgorithm,
    /// PKCE is not to be had.
    #[error("it says that it has no PKCE with S256")]
    NoPkce,
}

#[derive(Deserialize)]
struct Raw {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    pushed_authorization_request_endpoint: Option<String>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Where it is asked for.
    pub(crate) fn address(issuer: &str) -> String {
        format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
    }

    /// Reads it, for a provider of this issuer.
    pub(crate) fn read(json: &[u8], issuer: &str) -> Result<Metadata, MetadataError> {
        let raw: Raw =
            serde_json::from_slice(json).map_err(|error| MetadataError::Form(error.to_string()))?;
        if raw.issuer != issuer {
            return Err(MetadataError::OtherIssuer(raw.issuer));
        }
        for (name, endpoint) in [
            ("authorization_endpoint", &raw.authorization_endpoint),
            ("token_endpoint", &raw.token_endpoint),
            ("jwks_uri", &raw.jwks_uri),
        ] {
            if !is_guarded(endpoint) {
                return Err(MetadataError::Endpoint(name));
            }
        }
        if raw.pushed_authorization_request_endpoint.as_deref().is_some_and(|at| !is_guarded(at)) {
            return Err(MetadataError::Endpoint("pushed_authorization_request_endpoint"));
        }
        // Absent, it says nothing; most providers have it and do not say so.
        if raw.code_challenge_methods_supported.is_some_and(|methods| !methods.iter().any(|m| m == "S256")) {
            return Err(MetadataError::NoPkce);
        }
        let supported = raw.id_token_signing_alg_values_supported;
        let algorithms: Vec<Algorithm> = match supported.is_empty() {
            // Every provider must have it (OpenID Connect Discovery section 3).
            true => vec![Algorithm::RS256],
            false => supported.iter().filter_map(|name| taken(name)).collect(),
        };
        if algorithms.is_empty() {
            return Err(MetadataError::NoAlgorithm);
        }
        Ok(Metadata {
            authorization_endpoint: raw.authorization_endpoint,
            token_endpoint: raw.token_endpoint,
            jwks_uri: raw.jwks_uri,
            pushed_endpoint: raw.pushed_authorization_request_endpoint,
            algorithms,
            names_itself: raw.authorization_response_iss_parameter_supported,
        })
    }
}

/// The algorithm of this name, if it is one that is taken.
pub(crate) fn taken(name: &str) -> Option<Algorithm> {
    TAKEN.into_iter().find(|algorithm| format!("{algorithm:?}") == name)
}

/// Whether nobody on the way can read or change what goes there. Which address is really reached is looked at when it is.
fn is_guarded(address: &str) -> bool {
    let Ok(uri) = address.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let plain = !address.contains('#') && uri.authority().is_some_and(|whole| !whole.as_str().contains('@'));
    let https = uri.scheme_str() == Some("https") && !host.is_empty();
    plain && (https || uri.scheme_str() == Some("http") && here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ISSUER: &str = "https://idp.example";

    fn read(change: &str, value: serde_json::Value) -> Result<Metadata, MetadataError> {
        let mut metadata = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://idp.example/auth",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://idp.example/jwks",
            "id_token_signing_alg_values_supported": ["none", "HS256", "RS256", "ES256"],
        });
        metadata[change] = value;
        Metadata::read(metadata.to_string().as_bytes(), ISSUER)
    }

    #[test]
    fn neither_none_nor_an_hmac_is_ever_taken() {
        let read = read("x", json!(1)).unwrap();
        assert_eq!(read.algorithms, [Algorithm::RS256, Algorithm::ES256]);
        for name in ["none", "None", "HS256", "HS384", "HS512", "ES256K", "rs256", ""] {
            assert_eq!(taken(name), None, "{name}");
        }
        for algorithm in TAKEN {
            assert_eq!(taken(&format!("{algorithm:?}")), Some(algorithm));
        }
    }

    #[test]
    fn metadata_that_cannot_be_trusted_is_refused() {
        let endpoint = MetadataError::Endpoint("token_endpoint");
        for (key, value, expected) in [
            (
                "issuer",
                json!("https://idp.example/"),
                MetadataError::OtherIssuer("https://idp.example/".into()),
            ),
            ("token_endpoint", json!("http://idp.example/token"), MetadataError::Endpoint("token_endpoint")),
            ("token_endpoint", json!("https://a@idp.example/"), MetadataError::Endpoint("token_endpoint")),
            ("token_endpoint", json!("javascript:alert(1)"), endpoint),
            (
                "pushed_authorization_request_endpoint",
                json!("http://idp.example/par"),
                MetadataError::Endpoint("pushed_authorization_request_endpoint"),
            ),
            ("authorization_endpoint", json!("//idp"), MetadataError::Endpoint("authorization_endpoint")),
            ("id_token_signing_alg_values_supported", json!(["none", "HS256"]), MetadataError::NoAlgorithm),
            ("code_challenge_methods_supported", json!(["plain"]), MetadataError::NoPkce),
        ] {
            assert_eq!(read(key, value).map(|_| ()), Err(expected), "{key}");
        }
        assert!(matches!(read("jwks_uri", json!(7)), Err(MetadataError::Form(_))));
        assert!(read("token_endpoint", json!("http://127.0.0.1:1/token")).is_ok());
    }
}
