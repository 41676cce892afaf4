//! Applications that authenticate the connection, not the request: NTLM, and Negotiate where it takes more than one leg (RFC 4559).
//!
//! Whoever speaks on such a connection afterwards is taken for the one who authenticated it. Here is only told whether
//! either side speaks of it; whose the connection is from then on is said in `upstream/pinned`.

use super::hop_by_hop::list_members;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{AUTHORIZATION, PROXY_AUTHENTICATE, WWW_AUTHENTICATE},
};

const SCHEMES: [&[u8]; 2] = [b"ntlm", b"negotiate"];
/// What IIS says on a connection that it takes for somebody's.
const PERSISTENT_AUTH: HeaderName = HeaderName::from_static("persistent-auth");

/// Whether a request carries such a credential.
pub(crate) fn is_offered(request: &HeaderMap) -> bool {
    request.get_all(AUTHORIZATION).iter().any(|field| of_the_connection(field.as_bytes()).is_some())
}

/// Whether an answer asks for one, or says that it took one.
pub(crate) fn is_spoken_of(answer: &HeaderMap) -> bool {
    challenges(answer).next().is_some() || answer.contains_key(PERSISTENT_AUTH)
}

/// Whether an answer is a leg in the middle: what follows must be said on the same connection.
pub(crate) fn goes_on(status: StatusCode, answer: &HeaderMap) -> bool {
    let asks = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    asks && challenges(answer).any(|token| !token.is_empty())
}

/// What follows the scheme in each challenge of these.
fn challenges(answer: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    [&WWW_AUTHENTICATE, &PROXY_AUTHENTICATE]
        .into_iter()
        .flat_map(|name| list_members(answer, name))
        .filter_map(of_the_connection)
}

/// What follows the scheme, if it is one of these.
fn of_the_connection(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (scheme, rest) = text.split_at_checked(end)?;
    SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::headers;
    use super::*;

    #[test]
    fn rows() {
        for (status, lines, offered, spoken_of, on) in [
            (401, "www-authenticate: NTLM", false, true, false),
            (401, "www-authenticate: Negotiate, NTLM", false, true, false),
            (
                401,
                "www-authenticate: Basic realm=\"x\"\nwww-authenticate: ntlm TlRMTVNTUAAC",
                false,
                true,
                true,
            ),
            (401, "www-authenticate: Basic realm=\"x\", NEGOTIATE YII=", false, true, true),
            (407, "proxy-authenticate: NTLM TlRM", false, true, true),
            // the last leg of Negotiate: it is done
            (200, "www-authenticate: Negotiate YII=", false, true, false),
            (200, "persistent-auth: true", false, true, false),
            (401, "www-authenticate: Basic realm=\"NTLM\"", false, false, false),
            (401, "www-authenticate: NTLMv3", false, false, false),
            (200, "authorization: NTLM TlRM", true, false, false),
            (200, "authorization: Bearer x\nauthorization: negotiate YII=", true, false, false),
            (200, "authorization: Basic x", false, false, false),
        ] {
            let (status, map) = (StatusCode::from_u16(status).unwrap(), headers(lines));
            assert_eq!(
                (is_offered(&map), is_spoken_of(&map), goes_on(status, &map)),
                (offered, spoken_of, on),
                "{status} {lines}"
            );
        }
    }
}
