//! Which names count as which.
//!
//! CGI and everything made in its image turns field names into variables, and every character that is not a letter or
//! a digit into `_`. `X_Nightlatch.Subject` and `X-Nightlatch-Subject` then arrive as one. A filter that compares
//! names exactly lets the other spellings through, so names that must not pass are compared the way the most careless
//! upstream does. (`HeaderName` is lower-case already.)

use http::{HeaderMap, HeaderName};

/// Fields that replace the method or the target that was matched. What is matched is what must arrive.
const OVERRIDES: [&str; 7] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-override-url",
];

/// Fields that say where a client is or what it asked for, beside all of `x-forwarded-*`.
const CLIENT_CLAIMS: [&str; 6] =
    ["x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "x-cluster-client-ip", "x-originating-ip"];

/// Whether a name begins like `prefix` for somebody who takes every punctuation for `-`.
#[must_use]
pub fn begins_like(name: &HeaderName, prefix: &str) -> bool {
    let alike = |(a, b): (u8, u8)| a == b || (b == b'-' && !a.is_ascii_alphanumeric());
    name.as_str().len() >= prefix.len() && name.as_str().bytes().zip(prefix.bytes()).all(alike)
}

/// Whether a name is `other` for such a reader.
#[must_use]
pub fn reads_like(name: &HeaderName, other: &str) -> bool {
    name.as_str().len() == other.len() && begins_like(name, other)
}

/// Whether only we may say this to an upstream: `X-Nightlatch` and everything that begins with it.
#[must_use]
pub fn is_ours(name: &HeaderName) -> bool {
    begins_like(name, "x-nightlatch")
}

/// Whether this would make an upstream see another method or path than the one that was matched.
#[must_use]
pub fn is_override(name: &HeaderName) -> bool {
    OVERRIDES.iter().any(|other| reads_like(name, other))
}

/// Whether this says where the client is: for trusted proxies only.
#[must_use]
pub fn is_client_claim(name: &HeaderName) -> bool {
    begins_like(name, "x-forwarded") || CLIENT_CLAIMS.iter().any(|other| reads_like(name, other))
}

/// Removes every field whose name is meant.
pub(crate) fn remove_where(headers: &mut HeaderMap, meant: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| meant(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (name, ours, replaces, claims) in [
            ("x-nightlatch-subject", true, false, false),
            ("X_Nightlatch_Subject", true, false, false),
            ("x-nightlatch.subject", true, false, false),
            ("x~nightlatch", true, false, false),
            ("x-nightlatch", true, false, false),
            ("x-nightlatchsubject", true, false, false),
            ("x-nightlatc", false, false, false),
            ("xx-nightlatch", false, false, false),
            ("x-http-method-override", false, true, false),
            ("x_http_method.override", false, true, false),
            ("X-Method-Override", false, true, false),
            ("x-http-methods", false, false, false),
            ("X-Original-URL", false, true, false),
            ("x-forwarded-for", false, false, true),
            ("x_forwarded_host", false, false, true),
            ("x-forwarded", false, false, true),
            ("true_client_ip", false, false, true),
            ("forwarded", false, false, false),
            ("accept", false, false, false),
        ] {
            let header = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(
                (is_ours(&header), is_override(&header), is_client_claim(&header)),
                (ours, replaces, claims),
                "{name}"
            );
        }
    }
}
