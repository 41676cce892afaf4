//! The names that the record has for what a provider calls its sessions and tokens.
//!
//! What a provider calls a session opens nothing, but it stands in the provider's own logs, next to the person. So the record has something
//! in its place that is made from it with a key: the same for the same, of no use to whoever has only one of the two.

use aws_lc_rs::hmac;
use nightlatch_core::ProviderSession;

/// Makes names.
#[derive(Debug)]
pub struct Names(hmac::Key);

impl Names {
    /// With this key, always the same one: names have to be found again.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Names {
        Names(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A session at a provider, by its `sid`.
    pub(crate) fn session(&self, issuer: &str, sid: &str) -> ProviderSession {
        ProviderSession(self.name("session", issuer, sid))
    }

    /// A logout token of a provider, by its `jti`.
    pub(crate) fn token(&self, issuer: &str, jti: &str) -> [u8; 16] {
        self.name("token", issuer, jti)
    }

    fn name(&self, what: &str, issuer: &str, given: &str) -> [u8; 16] {
        // An issuer is an address, in which no zero byte stands.
        let mac = hmac::sign(&self.0, &[what, issuer, given].join("\0").into_bytes());
        let mut name = [0; 16];
        name.copy_from_slice(&mac.as_ref()[..16]);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_thing_at_one_provider_under_one_key() {
        let names = Names::new(&[7; 32]);
        let name = names.session("https://a.example", "1").0;
        assert_eq!(Names::new(&[7; 32]).session("https://a.example", "1").0, name);
        for other in [
            Names::new(&[8; 32]).session("https://a.example", "1").0,
            names.session("https://a.example", "2").0,
            names.session("https://b.example", "1").0,
            names.token("https://a.example", "1"),
        ] {
            assert_ne!(other, name);
        }
    }
}
