//! What to say after an end.

use nightlatch_core::{EndReason, SessionId, Span};
use std::{borrow::Cow, fmt};

/// A title and what follows it: whole sentences, ready for a page or for `title` and `detail` of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What happened, in one short sentence.
    pub title: Cow<'static, str>,
    /// Why, and what to do.
    pub sentence: String,
}

/// Why somebody is looking at a sign-in page: the session they had is over.
///
/// Only for who held the credential; anybody else learns nothing and gets a page without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub(super) words: Words,
    pub(super) code: &'static str,
    /// For the line beneath; none if the sentence itself has it.
    pub(super) reference: Option<Reference>,
}

impl Notice {
    /// What to say of `session`, which ended for `reason` under these limits. Without a session there is no reference to give.
    #[must_use]
    pub fn new(reason: EndReason, idle: Span, absolute: Span, session: Option<SessionId>) -> Notice {
        let reference = session.map(Reference::from);
        Notice {
            words: words_with(reason, idle, absolute, reference),
            code: reason.code(),
            reference: reference.filter(|_| !says_whom_to_call(reason)),
        }
    }
}

/// The short name of a session that people read out on the telephone: four characters, none of which can be mistaken for
/// another, made of the first 20 bits of its id. Narrows a search down; opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference([u8; 4]);

impl From<SessionId> for Reference {
    fn from(id: SessionId) -> Reference {
        /// Crockford's: no I, L, O or U.
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let bits = u32::from_be_bytes([id.0[0], id.0[1], id.0[2], id.0[3]]) >> 12;
        Reference([15, 10, 5, 0].map(|shift| DIGITS[(bits >> shift & 31) as usize]))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&digit| write!(f, "{}", char::from(digit)))
    }
}

/// What to say after an end for `reason` of a session with these limits, where no reference can be given.
#[must_use]
pub fn words(reason: EndReason, idle: Span, absolute: Span) -> Words {
    words_with(reason, idle, absolute, None)
}

fn words_with(reason: EndReason, idle: Span, absolute: Span, reference: Option<Reference>) -> Words {
    const OUT: &str = "You are signed out.";
    const BY_THE_FIRM: &str = "Your firm ended this session.";
    let reference = reference.map(|reference| format!(", reference {reference}")).unwrap_or_default();
    let (title, sentence) = match reason {
        EndReason::IdleTimeout => {
            let limit = known(idle).unwrap_or_else(|| "as long as your firm allows".to_owned());
            (OUT, format!("Nothing happened for {limit}. Sign in again to continue."))
        }
        EndReason::AbsoluteTimeout => {
            let limit = known(absolute).unwrap_or_else(|| "as long as your firm allows".to_owned());
            (OUT, format!("Sessions last {limit} at most, even while you work. Sign in again to continue."))
        }
        EndReason::Logout => {
            (
                OUT,
                "This session was signed out, here or from another of your sessions. Sign in again whenever you like."
                    .to_owned(),
            )
        }
        EndReason::Revoked => (BY_THE_FIRM, format!("Call the help desk{reference}.")),
        EndReason::Blocked => (
            BY_THE_FIRM,
            format!("Your account cannot sign in until your firm allows it again. Call the help desk{reference}."),
        ),
        EndReason::Displaced => (
            "Signed out here.",
            format!(
                "Your account signed in elsewhere and reached its limit of sessions. If that was not you, call your \
                 firm's security desk{reference}."
            ),
        ),
        EndReason::ParentEnded => (
            OUT,
            "The session that this one belonged to has ended, and this one ends with it. Sign in again to continue."
                .to_owned(),
        ),
        EndReason::ProviderLogout => (
            OUT,
            "Your firm's sign-in service signed you out, and this session ends with it. Sign in again to continue."
                .to_owned(),
        ),
        EndReason::CredentialReuse => (
            OUT,
            format!(
                "An old copy of this session's key was used, so the session was ended to protect your account. Sign in \
                 again, and tell your firm's security desk{reference}."
            ),
        ),
        EndReason::PolicyTightened => (
            OUT,
            "Your firm shortened how long sessions may last, and this one had already reached the new limit. Sign in \
             again to continue."
                .to_owned(),
        ),
        EndReason::ClockFault => (
            OUT,
            "The clock that times sessions could not be trusted, so this one was ended. Nothing is wrong with your \
             account: sign in again to continue."
                .to_owned(),
        ),
        EndReason::Restored => (
            OUT,
            "The session service was restored from a backup, and sessions do not outlive that. Sign in again to continue."
                .to_owned(),
        ),
    };
    Words { title: title.into(), sentence }
}

const fn says_whom_to_call(reason: EndReason) -> bool {
    matches!(
        reason,
        EndReason::Revoked | EndReason::Blocked | EndReason::Displaced | EndReason::CredentialReuse
    )
}

/// The limit in words; none where there is none, or where it is not known any more.
fn known(limit: Span) -> Option<String> {
    (limit != Span::ZERO && limit != Span::MAX).then(|| humane(limit))
}

/// A limit as people say it in a sentence: `15 minutes`, `60 seconds`, `1 hour 30 minutes`.
///
/// Exact, since it is what the firm promised: no part is left out. Up to two minutes are said in seconds, and whole days from
/// the second on in days.
#[must_use]
pub fn humane(span: Span) -> String {
    let millis = span.as_millis();
    if millis < 120_000 {
        let (secs, rest) = (millis / 1_000, millis % 1_000);
        return match rest {
            0 => count(secs, "second"),
            rest => format!("{secs}.{} seconds", format!("{rest:03}").trim_end_matches('0')),
        };
    }
    let secs = millis / 1_000;
    let parts = if secs >= 172_800 && secs.is_multiple_of(86_400) {
        [(secs / 86_400, "day"), (0, "minute"), (0, "second")]
    } else {
        [(secs / 3_600, "hour"), (secs / 60 % 60, "minute"), (secs % 60, "second")]
    };
    let said: Vec<_> = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, unit)| count(n, unit)).collect();
    said.join(" ")
}

fn count(n: u64, unit: &str) -> String {
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Span = Span::from_secs(900);
    const ABSOLUTE: Span = Span::from_secs(43_200);

    fn session() -> SessionId {
        "ses_3bc73000000000000000000000000000".parse().unwrap()
    }

    #[test]
    fn limits_are_said_as_people_say_them() {
        let rows = [
            (250, "0.25 seconds"),
            (1_000, "1 second"),
            (60_000, "60 seconds"),
            (90_000, "90 seconds"),
            (120_000, "2 minutes"),
            (900_000, "15 minutes"),
            (930_000, "15 minutes 30 seconds"),
            (3_600_000, "1 hour"),
            (3_660_000, "1 hour 1 minute"),
            (5_400_000, "1 hour 30 minutes"),
            (43_200_000, "12 hours"),
            (86_400_000, "24 hours"),
            (129_600_000, "36 hours"),
            (604_800_000, "7 days"),
        ];
        for (millis, text) in rows {
            assert_eq!(humane(Span::from_millis(millis)), text);
        }
    }

    #[test]
    fn the_two_limits_name_their_number() {
        assert_eq!(
            words(EndReason::IdleTimeout, IDLE, ABSOLUTE),
            Words {
                title: "You are signed out.".into(),
                sentence: "Nothing happened for 15 minutes. Sign in again to continue.".to_owned()
            }
        );
        let absolute = words(EndReason::AbsoluteTimeout, IDLE, ABSOLUTE);
        assert!(absolute.sentence.starts_with("Sessions last 12 hours at most, even while you work."));
    }

    #[test]
    fn a_limit_that_is_not_known_is_not_made_up() {
        for limit in [Span::ZERO, Span::MAX] {
            for reason in [EndReason::IdleTimeout, EndReason::AbsoluteTimeout] {
                let said = words(reason, limit, limit).sentence;
                assert!(said.contains("as long as your firm allows"), "{said}");
                assert!(!said.contains(|c: char| c.is_ascii_digit()), "{said}");
            }
        }
    }

    #[test]
    fn every_reason_has_words_that_explain_and_do_not_blame() {
        for reason in EndReason::ALL {
            for session in [None, Some(session())] {
                let Words { title, sentence } = Notice::new(reason, IDLE, ABSOLUTE, session).words;
                assert!(
                    ["You are signed out.", "Signed out here.", "Your firm ended this session."]
                        .contains(&&*title),
                    "{reason}: {title}"
                );
                assert!(sentence.ends_with('.') && !sentence.contains("  "), "{reason}: {sentence}");
                assert!(sentence.matches(". ").count() <= 1, "{reason}: more than two sentences: {sentence}");
                let whole = format!("{title} {sentence}").to_lowercase();
                for word in [
                    "!",
                    "inactive",
                    "you were",
                    "you did",
                    "expired",
                    "invalid",
                    "token",
                    "unauthori",
                    "compliant",
                    "certified",
                    "required",
                    "sorry",
                    "oops",
                    "saved",
                ] {
                    assert!(!whole.contains(word), "{reason}: {word:?} in {whole:?}");
                }
                assert!(
                    whole.contains("sign in") || whole.contains("call "),
                    "{reason}: says not what to do"
                );
            }
        }
    }

    #[test]
    fn the_reference_is_said_once_where_it_is_needed() {
        assert_eq!(Reference::from(session()).to_string(), "7F3K");
        let revoked = Notice::new(EndReason::Revoked, IDLE, ABSOLUTE, Some(session()));
        assert_eq!(revoked.words.sentence, "Call the help desk, reference 7F3K.");
        for reason in EndReason::ALL {
            let notice = Notice::new(reason, IDLE, ABSOLUTE, Some(session()));
            let in_sentence = notice.words.sentence.contains("7F3K");
            assert_ne!(in_sentence, notice.reference.is_some(), "{reason}");
            assert!(!words(reason, IDLE, ABSOLUTE).sentence.contains("reference"), "{reason}");
        }
    }

    /// `docs/guide/what-your-users-see.md` shows people what their users will read, word by word.
    #[test]
    fn the_guide_has_the_words_of_every_reason() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/what-your-users-see.md");
        let guide = std::fs::read_to_string(path).unwrap();
        for reason in EndReason::ALL {
            let Words { title, sentence } = Notice::new(reason, IDLE, ABSOLUTE, Some(session())).words;
            let row = format!("| `{reason}` | {title} {sentence} |");
            assert!(guide.lines().any(|line| line == row), "the guide has no line {row}");
        }
    }

    #[test]
    fn a_reference_has_no_digit_that_could_be_another() {
        for first in 0..=u8::MAX {
            let text = Reference::from(SessionId([first; 16])).to_string();
            assert_eq!(text.len(), 4);
            assert!(!text.contains(['I', 'L', 'O', 'U']), "{text}");
        }
    }
}
