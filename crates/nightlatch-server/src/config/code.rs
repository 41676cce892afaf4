//! The stable name of every mistake the configuration check knows.
//!
//! A code outlives the wording: scripts filter on it, runbooks are filed under it, and the sentence beside it may get
//! better without breaking either. So the codes are one list, and its other views (the level of a finding, the table
//! in the reference page) are made from that list rather than kept in step with it by hand.

use std::fmt;

use serde::{Serialize, Serializer};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// The file is refused; whatever is in force stays in force.
    Error,
    /// The file is taken, and somebody should look at this.
    Warning,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

macro_rules! codes {
    ($( #[doc = $means:literal] $level:ident $variant:ident = $name:literal; )+) => {
        /// What kind of mistake a finding is about. The texts are in the list below and in the reference page.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Code {
            $( #[doc = $means] $variant, )+
        }

        impl Code {
            /// Every code, in the order of the reference page.
            pub(crate) const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// The name that is printed and never changes.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }

            /// Whether this mistake refuses the file.
            pub(crate) const fn level(self) -> Level {
                match self { $( Self::$variant => Level::$level, )+ }
            }

            /// One sentence for the reference page.
            pub(crate) const fn means(self) -> &'static str {
                match self { $( Self::$variant => $means, )+ }
            }
        }
    };
}

codes! {
    /// The text is not TOML; nothing else is checked until it is.
    Error BadToml = "bad-toml";
    /// A key that is not part of the format, or stands in the wrong table.
    Error UnknownKey = "unknown-key";
    /// The key or value is part of the format, but this version does not enforce it.
    Error NotYet = "not-yet";
    /// A key without a default is absent.
    Error MissingKey = "missing-key";
    /// The value has another form than the key asks for, such as a number where text is expected.
    Error WrongType = "wrong-type";
    /// The value is not one of the words that the key takes.
    Error BadChoice = "bad-choice";
    /// A text or a list that must hold something is empty.
    Error EmptyValue = "empty-value";
    /// The same value stands in a list twice.
    Error DuplicateValue = "duplicate-value";
    /// Two tables of the same kind have the same name.
    Error DuplicateName = "duplicate-name";
    /// The file is written for another version of the format.
    Error BadVersion = "bad-version";
    /// Not the form of a time zone name.
    Error BadTimezone = "bad-timezone";
    /// Not a duration, or one that cannot be a limit.
    Error BadDuration = "bad-duration";
    /// Not a number of bytes with its unit.
    Error BadSize = "bad-size";
    /// A number outside of the bounds that make sense for it.
    Error OutOfBounds = "out-of-bounds";
    /// Not an IP address and a port.
    Error BadAddress = "bad-address";
    /// Not a network or a single address.
    Error BadNetwork = "bad-network";
    /// Not a URL of the kind that the key takes.
    Error BadUrl = "bad-url";
    /// Not the public key of a witness, as it publishes it.
    Error BadWitnessKey = "bad-witness-key";
    /// Not a host name or address that a request could carry.
    Error BadHost = "bad-host";
    /// Not a path in canonical form.
    Error BadPath = "bad-path";
    /// Not a route pattern.
    Error BadPattern = "bad-pattern";
    /// A name with characters that it must not have.
    Error BadName = "bad-name";
    /// Not the name of a cookie.
    Error BadCookie = "bad-cookie";
    /// Not the token of a protocol.
    Error BadUpgrade = "bad-upgrade";
    /// A protocol that would carry what nobody checks.
    Error RefusedUpgrade = "refused-upgrade";
    /// The cookie named for the app is one of Nightlatch's own.
    Error OwnCookie = "own-cookie";
    /// `idle`, `absolute` and `warning` do not fit into each other.
    Error LimitsOutOfOrder = "limits-out-of-order";
    /// The warning is shorter than the 20 seconds of WCAG 2.2.1.
    Warning ShortWarning = "short-warning";
    /// There is no `[[app]]`, so there is nothing to guard.
    Error NoApp = "no-app";
    /// Two apps answer for the same host and path.
    Error DuplicateMatch = "duplicate-match";
    /// The app would be reached through Nightlatch's own address.
    Error UpstreamIsUs = "upstream-is-us";
    /// Every request to the app would be passive, so nobody could stay signed in by working.
    Error EverythingPassive = "everything-passive";
    /// Every request to the app would count as activity, polls included.
    Warning EverythingActive = "everything-active";
    /// Every request to the app would pass without a session.
    Warning EverythingPublic = "everything-public";
    /// A pattern is both active and passive; passive wins.
    Warning ActiveAndPassive = "active-and-passive";
    /// A pattern that no request to this app can match.
    Warning NeverMatches = "never-matches";
    /// Two listeners would take the same address.
    Error SameAddress = "same-address";
    /// Every client would be believed about its own address.
    Error TrustsEveryone = "trusts-everyone";
    /// Browsers would be served without TLS, so the session cookie could be read on the way.
    Error CookieNotSecure = "cookie-not-secure";
    /// API keys would cross a network unencrypted.
    Warning AdminInClear = "admin-in-clear";
    /// The demo sign-in, which asks for no password, could be reached from another machine.
    Error DemoNotLoopback = "demo-not-loopback";
    /// The demo sign-in stands beside one that asks for something.
    Error TwoSignIns = "two-sign-ins";
    /// The scope without which no provider says who signed in.
    Error MissingScope = "missing-scope";
    /// After an idle end the provider's own session would bring people back without a prompt.
    Warning SilentReturn = "silent-return";
    /// There is neither a sign-in nor an API key that may start sessions.
    Warning NobodyCanSignIn = "nobody-can-sign-in";
    /// A secret is written into the file.
    Error InlineSecret = "inline-secret";
    /// A secret comes from exactly one place: a file or an environment variable.
    Error SecretSource = "secret-source";
    /// Every user of this machine may open a file with a secret in it.
    Warning OpenSecret = "open-secret";
}

// === impl Code ===

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_in_kebab_case() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    }
}
