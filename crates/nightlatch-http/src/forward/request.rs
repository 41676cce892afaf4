//! A request on its way to an upstream, all in order.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, Entry, TE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::client::{ClientView, TrustedProxies};
use super::hop_by_hop::{announce_close, announce_te_trailers, announce_upgrade, list_has};
use super::identity::{Identity, IdentityTooLarge};
use super::{hop_by_hop, spelling, trailers};
use crate::app_cookie::AppCookies;
use crate::cookies::{self, Fate, Filtered, is_reserved_name};
use crate::extract::our_bearer;

/// What is known about a request besides its fields.
#[derive(Debug, Clone, Copy)]
pub struct Upward<'a> {
    /// The other end of the connection the request came on.
    pub peer: IpAddr,
    /// Whether that connection is TLS.
    pub secure: bool,
    /// The host of the request: its `Host`, or `:authority`.
    pub host: Option<&'a HeaderValue>,
    /// The version of HTTP it came in.
    pub version: Version,
    /// The proxies that may say where a client is.
    pub trusted: &'a TrustedProxies,
    /// Who it is forwarded for; nobody on a public route.
    pub identity: Option<Identity<'a>>,
    /// The application's listed cookies.
    pub app_cookies: Option<&'a AppCookies>,
    /// The key of the present subject, which those cookies are bound to; none when nobody is signed in.
    pub subject_key: Option<&'a [u8]>,
    /// What the request asks to switch to, and may.
    pub upgrade: Option<&'a HeaderValue>,
    /// Whether the application's connection is to close after this request.
    pub alone: bool,
}

/// Turns the fields of a request as it came into those that are forwarded, and tells what to believe about the client.
///
/// Removed: what belongs to the connection; `X-Nightlatch-*`; method and target overrides; our cookies and bearer;
/// listed cookies that are not the subject's; claims about the client that the peer may not make. Then added:
/// `X-Nightlatch-*` where there is an identity, `X-Forwarded-For`, `-Proto` and `-Host`, `Via` (RFC 9110 section 7.6.3),
/// `TE: trailers` if the client said so, and the upgrade. Everything else is left as it is, `Host` included.
///
/// # Errors
///
/// [`IdentityTooLarge`]; the request must not be forwarded then.
pub fn prepare(headers: &mut HeaderMap, upward: &Upward<'_>) -> Result<ClientView, IdentityTooLarge> {
    let view = ClientView::of(headers, upward.peer, upward.secure, upward.host, upward.trusted);
    let te_trailers = list_has(headers, &TE, "trailers");

    hop_by_hop::strip(headers);
    canonical_length(headers);
    spelling::remove_where(headers, |name| spelling::is_ours(name) || spelling::is_override(name));
    trailers::filter_announcement(headers);
    strip_bearer(headers);
    filter_cookies(headers, upward);

    view.write(headers, upward.trusted.contains(upward.peer));
    headers.append(VIA, via(upward.version));
    if let Some(identity) = &upward.identity {
        identity.write(headers)?;
    }
    if let Some(protocol) = upward.upgrade {
        if headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0") {
            // Without a body a length would only be something to disagree about.
            headers.remove(CONTENT_LENGTH);
        }
        announce_upgrade(headers, protocol);
    } else if te_trailers {
        announce_te_trailers(headers);
    }
    if upward.alone {
        announce_close(headers);
    }
    Ok(view)
}

/// Zeros in front go: to some readers they make a number octal.
fn canonical_length(headers: &mut HeaderMap) {
    let Some(length) = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes) else { return };
    if length.len() > 1 && length.starts_with(b"0") {
        let number = std::str::from_utf8(length).ok().and_then(|length| length.parse::<u64>().ok());
        if let Some(number) = number {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(number));
        }
    }
}

/// Whether a request has a body that its method does not lead anybody to expect (RFC 9110 sections 9.3.1 to 9.3.7).
///
/// There are servers that answer such a request without looking for a body, and take what follows for the next request,
/// whoever the client wrote that it comes from. They do not look any further on a connection that is to close.
#[must_use]
pub fn has_unexpected_body(method: &Method, has_body: bool) -> bool {
    has_body && (method.is_safe() || method == Method::DELETE)
}

fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_09 => "0.9 nightlatch",
        Version::HTTP_10 => "1.0 nightlatch",
        Version::HTTP_2 => "2.0 nightlatch",
        Version::HTTP_3 => "3.0 nightlatch",
        _ => "1.1 nightlatch",
    })
}

/// Removes the bearer with our prefix, well-formed or not; another one beside it stays.
fn strip_bearer(headers: &mut HeaderMap) {
    rewrite(headers, &AUTHORIZATION, |field| match our_bearer(field) {
        Some(_) => Filtered::Gone,
        None => Filtered::Unchanged,
    });
}

/// Removes our cookies under all of their names, and the listed ones that are not the subject's.
fn filter_cookies(headers: &mut HeaderMap, upward: &Upward<'_>) {
    rewrite(headers, &COOKIE, |field| {
        cookies::filter(field, |pair| match upward.app_cookies {
            _ if is_reserved_name(pair.name) => Fate::Drop,
            Some(app_cookies) => app_cookies.fate(pair, upward.subject_key),
            None => Fate::Keep,
        })
    });
}

/// Decides for each field of a name, keeping their order.
pub(super) fn rewrite(
    headers: &mut HeaderMap,
    name: &HeaderName,
    mut decide: impl FnMut(&HeaderValue) -> Filtered,
) {
    let decided: Vec<Filtered> = headers.get_all(name).into_iter().map(&mut decide).collect();
    if decided.iter().all(|filtered| *filtered == Filtered::Unchanged) {
        return;
    }
    let Entry::Occupied(entry) = headers.entry(name) else { return };
    let fields: Vec<HeaderValue> = entry.remove_entry_mult().1.collect();
    for (field, filtered) in fields.into_iter().zip(decided) {
        match filtered {
            Filtered::Unchanged => headers.append(name.clone(), field),
            Filtered::Changed(field) => headers.append(name.clone(), field),
            Filtered::Gone => false,
        };
    }
}

#[cfg(test)]
pub(crate) mod tests;
