//! The ended ticket: it opens nothing, and says which session its holder had.
//!
//! When a session ends, the browser's session cookie is replaced by this one. It names the ended session under a MAC, so that the
//! reason of the end is told to whoever held the credential and to nobody else, and nothing needs to be remembered for it.

use aws_lc_rs::{constant_time, hmac};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nightlatch_core::SessionId;

const PREFIX: &str = "nle_";
const MAC_BYTES: usize = 16;

/// Makes and reads ended tickets.
pub(crate) struct Tickets(hmac::Key);

impl Tickets {
    /// With this key, which is used for nothing else.
    pub(crate) fn new(key: &[u8]) -> Tickets {
        Tickets(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The ticket of a session that ended.
    pub(crate) fn issue(&self, session: SessionId) -> String {
        format!("{PREFIX}{session}.{}", BASE64_URL_SAFE_NO_PAD.encode(self.mac(session)))
    }

    /// The session a ticket names, if the ticket is ours.
    pub(crate) fn read(&self, ticket: &str) -> Option<SessionId> {
        let (session, mac) = ticket.strip_prefix(PREFIX)?.split_once('.')?;
        let session: SessionId = session.parse().ok()?;
        let mac = BASE64_URL_SAFE_NO_PAD.decode(mac).ok()?;
        constant_time::verify_slices_are_equal(&self.mac(session), &mac).ok()?;
        Some(session)
    }

    fn mac(&self, session: SessionId) -> Vec<u8> {
        hmac::sign(&self.0, &session.0).as_ref()[..MAC_BYTES].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_names_its_session_and_cannot_be_made_up() {
        let tickets = Tickets::new(&[7; 32]);
        let session = SessionId([9; 16]);
        let ticket = tickets.issue(session);
        assert_eq!(tickets.read(&ticket), Some(session));
        assert_eq!(Tickets::new(&[8; 32]).read(&ticket), None);
        let other = SessionId([8; 16]).to_string();
        let forged = ticket.replace(&session.to_string(), &other);
        for bad in [forged.as_str(), "", "nle_", "nle_.", &ticket[..ticket.len() - 1], "nlt_x"] {
            assert_eq!(tickets.read(bad), None, "{bad}");
        }
    }
}
