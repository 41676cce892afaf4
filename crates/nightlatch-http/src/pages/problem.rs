//! The page for a navigation that could not be served, which leaves the session alone.

use super::{Page, Words};
use askama::Template;

/// What the page says.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The status that the page goes out with, shown small beneath.
    pub status: u16,
    /// What happened, in one short sentence. [`trouble`] has one for every status of ours.
    pub title: &'a str,
    /// What it means for the session, and what to do. Left out where it is empty.
    pub sentence: &'a str,
    /// What support can tell it by, shown behind the status: a stable code, or the name of the request.
    pub reference: Option<&'a str>,
    /// Whether to offer "Try again", which asks for the same address with GET. Only where the method was GET.
    pub retry: bool,
}

/// How much of a request may have reached the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing that could have had an effect: it was never handed over, or only asked for a page.
    Nothing,
    /// An unsafe request was handed over and nobody knows what became of it.
    Perhaps,
}

/// The page.
#[must_use]
pub fn problem(problem: &Problem<'_>) -> Page {
    Page::of(&Trouble { problem: *problem })
}

/// What to say when a request could not be served, by the status that it gets.
#[must_use]
pub fn trouble(status: u16, sent: Sent) -> Words {
    let what = match status {
        404 => "There is no page at this address",
        421 => "There is no application at this address",
        502 if sent == Sent::Perhaps => "The application broke off before it had answered",
        502 => "The application could not be reached",
        503 => "Requests cannot be let through right now",
        504 => "The application did not answer in time",
        500.. => "Something went wrong at this gateway",
        _ => "This request could not be used",
    };
    if sent == Sent::Perhaps {
        return Words {
            title: "We cannot tell whether what you sent arrived.".into(),
            sentence: format!(
                "{what}; your session is not affected. Check in the application before you send it again."
            ),
        };
    }
    let sentence = match status {
        404 | 421 => {
            "Your session is not affected. Check the address, or open the application the way you usually do."
        }
        500.. => {
            "Nothing was changed and your session is not affected. Try again in a moment; if it stays like this, call the \
             help desk."
        }
        _ => {
            "It was not passed on to the application, and your session is not affected. Go back and try again; if it stays \
             like this, call the help desk."
        }
    };
    Words { title: format!("{what}.").into(), sentence: sentence.to_owned() }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Trouble<'a> {
    problem: Problem<'a>,
}
