//! Where somebody is signed in: one part for each session, and a way to end it.

use super::{Moment, Page, Reference, humane};
use askama::Template;
use nightlatch_core::{DeadlineReason, Span};

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Sessions<'a> {
    /// Whose sessions they are.
    pub subject: &'a str,
    /// When this was true.
    pub as_of: Moment,
    /// The session of whoever asks comes first.
    pub sessions: Vec<SignedIn>,
    /// How many more there are than are shown.
    pub more: usize,
    /// What was just done, if anything was.
    pub done: Option<Done>,
    /// Whether all others may be ended right now; if not, how old the sign-in may be for that, and how old it is.
    pub others: Others,
    /// Where this page is, and where a session is ended.
    pub here: &'a str,
    /// Where this session is signed out.
    pub logout: &'a str,
    /// Where signing in again begins, which leads back here.
    pub login: &'a str,
}

/// A session that somebody is signed in with.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Its public name. Opens nothing.
    pub id: String,
    /// The same, short enough to be read out.
    pub reference: Reference,
    /// Whether it is the one of whoever asks.
    pub here: bool,
    /// The device in a person's words, if it is known.
    pub device: Option<String>,
    /// The address, if it is known.
    pub address: Option<String>,
    /// When it was signed in to.
    pub started: Moment,
    /// When something last counted as activity.
    pub last_activity: Moment,
    /// When it ends if nothing happens.
    pub ends: Moment,
    /// What ends it then.
    pub reason: DeadlineReason,
    /// How long it lasts at most.
    pub absolute: Span,
}

/// What was just done from this page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// A session was ended, on this device.
    One(Option<String>),
    /// All others were ended.
    Others,
}

/// Whether all other sessions may be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Others {
    /// There are none.
    None,
    /// They may.
    May,
    /// The sign-in is older than `at_most`.
    SignInFirst {
        /// How old it may be.
        at_most: Span,
        /// When it was.
        was: Moment,
    },
}

impl SignedIn {
    fn device(&self) -> &str {
        self.device.as_deref().unwrap_or("Device not known")
    }

    fn address(&self) -> &str {
        self.address.as_deref().unwrap_or("Not known")
    }

    fn unless(&self) -> String {
        match self.reason {
            DeadlineReason::Absolute => {
                format!(": sessions last {} at most, even while you work", humane(self.absolute))
            }
            DeadlineReason::Idle if self.here => ", unless something happens here".to_owned(),
            DeadlineReason::Idle => ", unless something happens there".to_owned(),
            DeadlineReason::Parent => ", with the session it belongs to".to_owned(),
        }
    }
}

impl Sessions<'_> {
    fn title(&self) -> &'static str {
        match &self.done {
            None => "Where you are signed in",
            Some(Done::One(_)) => "Signed out there. Where you are signed in",
            Some(Done::Others) => "Signed out everywhere else. Where you are signed in",
        }
    }

    fn done(&self) -> Option<String> {
        Some(match self.done.as_ref()? {
            Done::One(Some(device)) => format!("Signed out there: {device}."),
            Done::One(None) => "Signed out there.".to_owned(),
            Done::Others => "You are signed out everywhere else.".to_owned(),
        })
    }

    fn count(&self) -> usize {
        self.sessions.len() + self.more
    }

    fn at_most(&self) -> String {
        match &self.others {
            Others::SignInFirst { at_most, .. } => humane(*at_most),
            Others::None | Others::May => String::new(),
        }
    }
}

/// The page.
#[must_use]
pub fn sessions(sessions: &Sessions<'_>) -> Page {
    Page::of(&Mine { sessions })
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct Mine<'a> {
    sessions: &'a Sessions<'a>,
}
