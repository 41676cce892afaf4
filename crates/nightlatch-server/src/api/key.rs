//! Who asks, and what they may ask for.
//!
//! An API key is a secret of the firm's own, so it is compared the way secrets are: by its SHA-256, with every key looked at, each in
//! constant time, so that how long a refusal takes says nothing about how near it came. A handler cannot be reached around this: it
//! takes a [`By`] as its first argument, which only a request with the right role can be made into.

use super::{
    ApiState,
    problem::{Code, Problem},
};
use crate::config::api_key::Role;
use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use std::{marker::PhantomData, sync::Arc};

/// Every API key, as a hash.
#[derive(Default)]
pub(crate) struct ApiKeys(Vec<ApiKey>);

struct ApiKey {
    caller: Caller,
    hash: [u8; 32],
}

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// How the key is called in the configuration and, as `key:NAME`, in the ledger.
    pub(crate) name: Arc<str>,
    /// What it may do.
    pub(crate) role: Role,
}

impl Caller {
    /// The caller as the ledger names it, and the provider of the subjects it vouches for.
    pub(crate) fn provider(&self) -> String {
        format!("key:{}", self.name)
    }
}

impl ApiKeys {
    /// Takes a key; its secret is hashed here and goes no further.
    pub(crate) fn add(&mut self, name: &str, role: Role, secret: &str) {
        self.0.push(ApiKey { caller: Caller { name: name.into(), role }, hash: sha256(secret) });
    }

    /// Whose secret this is. Looks at every key, whatever it finds.
    fn caller(&self, secret: &str) -> Option<&Caller> {
        let presented = sha256(secret);
        let mut found = None;
        for key in &self.0 {
            if verify_slices_are_equal(&key.hash, &presented).is_ok() {
                found = Some(&key.caller);
            }
        }
        found
    }
}

fn sha256(secret: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    bytes
}

/// The roles that a route takes.
pub(crate) trait Roles: Send + Sync {
    /// Any of these.
    const ANY_OF: &'static [Role];
}

/// Starts sessions.
pub(crate) struct Issuer;
/// Asks about credentials.
pub(crate) struct Checker;
/// Ends sessions.
pub(crate) struct Operator;
/// Reads the record.
pub(crate) struct Auditor;
/// Looks at sessions: an operator or an auditor.
pub(crate) struct Watcher;
/// Any key at all.
pub(crate) struct Anyone;

impl Roles for Issuer {
    const ANY_OF: &'static [Role] = &[Role::Issuer];
}
impl Roles for Checker {
    const ANY_OF: &'static [Role] = &[Role::Checker];
}
impl Roles for Operator {
    const ANY_OF: &'static [Role] = &[Role::Operator];
}
impl Roles for Auditor {
    const ANY_OF: &'static [Role] = &[Role::Auditor];
}
impl Roles for Watcher {
    const ANY_OF: &'static [Role] = &[Role::Operator, Role::Auditor];
}
impl Roles for Anyone {
    const ANY_OF: &'static [Role] = &[Role::Issuer, Role::Checker, Role::Operator, Role::Auditor];
}

/// Proof that the request was made with a key of one of these roles.
pub(crate) struct By<R> {
    /// Whose key it was.
    pub(crate) caller: Caller,
    roles: PhantomData<R>,
}

impl<R: Roles> FromRequestParts<ApiState> for By<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<By<R>, Problem> {
        let secret = bearer(parts).ok_or_else(|| {
            Problem::new(Code::NoKey, "send `Authorization: Bearer` and the secret of an API key, once")
        })?;
        let caller = state.keys().caller(secret).ok_or_else(|| {
            Problem::new(Code::NoKey, "this is not the secret of an API key in the configuration")
        })?;
        if !R::ANY_OF.contains(&caller.role) {
            let needed: Vec<_> = R::ANY_OF.iter().map(|role| format!("`{}`", role_name(*role))).collect();
            let detail = format!(
                "the key `{}` has the role `{}`; this needs {}",
                caller.name,
                role_name(caller.role),
                needed.join(" or ")
            );
            return Err(Problem::new(Code::WrongRole, detail));
        }
        Ok(By { caller: caller.clone(), roles: PhantomData })
    }
}

/// The secret in the one `Authorization` header. Two of them are as good as none: whoever stands between might read the other.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
    let secret = secret.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret)
}

/// The word that the configuration has for a role.
pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Issuer => "issuer",
        Role::Checker => "checker",
        Role::Operator => "operator",
        Role::Auditor => "auditor",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_whole_secret_only() {
        let mut keys = ApiKeys::default();
        keys.add("one", Role::Issuer, "a-secret-of-the-first-key-000000");
        keys.add("two", Role::Auditor, "a-secret-of-the-other-key-000000");
        let name = |secret| keys.caller(secret).map(|caller| caller.name.to_string());
        assert_eq!(name("a-secret-of-the-other-key-000000"), Some("two".to_owned()));
        for secret in
            ["", "a-secret", "a-secret-of-the-other-key-0000000", "A-secret-of-the-other-key-000000"]
        {
            assert_eq!(name(secret), None, "{secret}");
        }
    }

    #[test]
    fn one_bearer_and_nothing_else_is_taken_for_a_key() {
        let rows: [(&[&str], Option<&str>); 8] = [
            (&["Bearer abc"], Some("abc")),
            (&["bearer  abc"], Some("abc")),
            (&[], None),
            (&["Bearer"], None),
            (&["Bearer "], None),
            (&["Basic abc"], None),
            (&["abc"], None),
            (&["Bearer abc", "Bearer abc"], None),
        ];
        for (values, expected) in rows {
            let mut request = http::Request::new(());
            for value in values {
                request.headers_mut().append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer(&request.into_parts().0), expected, "{values:?}");
        }
    }
}
