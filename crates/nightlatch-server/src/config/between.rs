//! Checks that need more than one table.
//!
//! Each value is right by itself here; what is looked for is a combination that would not do what it looks like: a
//! session cookie that crosses the network in clear, a demo that strangers can reach, an app that is the gateway.

use std::net::SocketAddr;

use super::api_key::{ApiKey, Role};
use super::app::App;
use super::code::Code;
use super::identity::Identity;
use super::listen::Listen;
use super::mistake::Mistake;
use super::notes::Notes;

/// The listeners against each other, and against what browsers need.
pub(super) fn listeners(notes: &mut Notes<'_>, listen: &Listen) {
    let Listen { gateway, admin, public_url, .. } = listen;
    if let Some(proxied) = listen.gateway_proxied {
        proxied_listener(notes, listen, proxied);
    }
    if overlap(*gateway, *admin) {
        let message = format!("`listen.gateway` and `listen.admin` would both take port {}", gateway.port());
        notes.blame(
            "listen.admin",
            Mistake::new(Code::SameAddress, message).hint("give each a port of its own"),
        );
    }
    if !admin.ip().is_loopback() {
        let message = format!(
            "`listen.admin` is {admin}, so API keys and the record can cross the network unencrypted"
        );
        let hint = "keep it on loopback, or let only something that encrypts reach it";
        notes.blame("listen.admin", Mistake::new(Code::AdminInClear, message).hint(hint));
    }
    if let Some(url) = public_url.as_ref().filter(|url| !url.https) {
        if !listen.tls.is_empty() {
            let message = format!("`tls` makes the gateway speak https, but `public_url` is `{url}`");
            notes.blame(
                "listen.public_url",
                Mistake::new(Code::CookieNotSecure, message).hint("write `public_url` with `https://`"),
            );
        } else if !url.is_loopback() {
            let message = format!(
                "browsers would come to `{url}` without TLS, so the session cookie could be read on the way"
            );
            let hint = "write `public_url` with `https://`, and let the gateway (`tls`) or a proxy encrypt";
            notes.blame("listen.public_url", Mistake::new(Code::CookieNotSecure, message).hint(hint));
        }
    }
    if listen.tls.is_empty() && !gateway.ip().is_loopback() {
        let missing = match (listen.is_https(), listen.trusted_proxies.is_empty()) {
            (true, false) => return,
            (true, true) => "`trusted_proxies` with the proxies that encrypt",
            (false, false) => "`public_url` with `https://`",
            (false, true) => {
                "`public_url` with `https://` and `trusted_proxies` with the proxies that encrypt"
            }
        };
        let message = format!(
            "`listen.gateway` is {gateway}, which is not loopback, and nothing says that browsers come over https"
        );
        let hint = format!("set `tls`; or, behind a proxy that encrypts, set {missing}");
        notes.blame("listen.gateway", Mistake::new(Code::CookieNotSecure, message).hint(hint));
    }
}

/// The listener on which connections say whose they are, against the others and against who may use it.
fn proxied_listener(notes: &mut Notes<'_>, listen: &Listen, proxied: SocketAddr) {
    for (key, other) in [("listen.gateway", listen.gateway), ("listen.admin", listen.admin)] {
        if overlap(proxied, other) {
            let message =
                format!("`listen.gateway_proxied` and `{key}` would both take port {}", other.port());
            let mistake = Mistake::new(Code::SameAddress, message).hint("give each a port of its own");
            notes.blame("listen.gateway_proxied", mistake);
        }
    }
    if listen.trusted_proxies.is_empty() {
        let message = "`gateway_proxied` takes trusted proxies only, and there are none";
        let hint = "list your load balancers in `trusted_proxies`, such as `10.0.1.0/24`, or remove it";
        notes.blame("listen.gateway_proxied", Mistake::new(Code::MissingKey, message).hint(hint));
    }
    if listen.tls.is_empty() && !proxied.ip().is_loopback() && !listen.is_https() {
        let message = format!(
            "`listen.gateway_proxied` is {proxied}, which is not loopback, and nothing says that browsers come over https"
        );
        let hint = "set `tls`; or, behind a balancer that encrypts, set `public_url` with `https://`";
        notes.blame("listen.gateway_proxied", Mistake::new(Code::CookieNotSecure, message).hint(hint));
    }
}

/// Whether two listeners would take the same port.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && same
}

/// The demo sign-in against everything that could make it reachable.
pub(super) fn demo(notes: &mut Notes<'_>, listen: &Listen, identity: &Identity) {
    if identity.demo.is_empty() {
        return;
    }
    let open = |address: SocketAddr| !address.ip().is_loopback();
    let reachable = [
        ("listen.gateway", open(listen.gateway)),
        ("listen.gateway_proxied", listen.gateway_proxied.is_some_and(open)),
        ("listen.admin", open(listen.admin)),
        ("listen.public_url", listen.public_url.as_ref().is_some_and(|url| !url.is_loopback())),
        ("listen.trusted_proxies", listen.trusted_proxies.iter().any(|net| !net.addr().is_loopback())),
    ];
    for (key, _) in reachable.into_iter().filter(|(_, open)| *open) {
        let message =
            format!("`{key}` is not loopback, and `[identity.demo]` lets anybody sign in as anybody");
        let hint = "remove `[identity.demo]`, or use loopback everywhere: `127.0.0.1`";
        notes.blame(key, Mistake::new(Code::DemoNotLoopback, message).hint(hint));
    }
}

/// The apps, in the order of the file, against our own listeners.
pub(super) fn upstreams(notes: &mut Notes<'_>, listen: &Listen, apps: &[(String, App)]) {
    for (path, app) in apps {
        for (key, address) in [("listen.gateway", listen.gateway), ("listen.admin", listen.admin)] {
            if app.upstream.reaches(address) {
                let message =
                    format!("`{}` is `{key}` itself, so requests would come back here", app.upstream);
                notes.blame(
                    &format!("{path}.upstream"),
                    Mistake::new(Code::UpstreamIsUs, message).hint("write where the app listens"),
                );
            }
        }
    }
}

/// The demo sign-in beside one that asks for something would be the way around it.
pub(super) fn one_sign_in(notes: &mut Notes<'_>, identity: &Identity) {
    if !identity.demo.is_empty() && !identity.oidc.is_empty() {
        let message =
            "`[identity.demo]` lets anybody sign in as anybody, so it cannot stand beside `[identity.oidc]`";
        let mistake = Mistake::new(Code::TwoSignIns, message).hint("remove one of them");
        notes.blame("identity.demo", mistake);
    }
}

/// Whether any session could ever start.
pub(super) fn sign_in(notes: &mut Notes<'_>, identity: &Identity, api_keys: &[ApiKey]) {
    let nobody = identity.demo.is_empty() && identity.oidc.is_empty();
    if nobody && !api_keys.iter().any(|key| key.role == Role::Issuer) {
        let message =
            "no session can start: there is no sign-in, and no `[[api_key]]` with the role `issuer`";
        let hint = "add `[identity.oidc]`, or an `[[api_key]]` with `role = \"issuer\"`, or for a demo on loopback `[identity.demo]`";
        notes.blame("identity", Mistake::new(Code::NobodyCanSignIn, message).hint(hint));
    }
}
