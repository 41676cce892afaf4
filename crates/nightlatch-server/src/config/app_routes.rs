//! The lists of patterns of an app, checked for what they mean together.
//!
//! These lists decide what extends a session. A pattern that makes everything passive would sign out people at work,
//! one that makes everything activity would let polls keep a session alive, and one that lies outside the app does
//! nothing while it looks as if it did.

use super::app_match::Match;
use super::code::Code;
use super::mistake::Mistake;
use super::notes::Notes;
use super::reader::Table;
use super::route::RoutePattern;
use super::source::quoted;
use super::upgrade::Upgrade;

/// Reads a list of patterns with their paths, and notes what is odd about each for this app.
pub(super) fn read(
    notes: &mut Notes<'_>,
    app: &Table<'_>,
    list: &str,
    matches: Option<&Match>,
    upgrades: &[Upgrade],
) -> Vec<(String, RoutePattern)> {
    let patterns = app.texts_at(notes, list, RoutePattern::parse);
    let Some(prefix) = matches.map(|matches| matches.path.as_str()) else {
        return patterns;
    };
    for (path, pattern) in &patterns {
        let odd = if pattern.is_everything(prefix) {
            Some(match list {
                "passive" => Mistake::new(Code::EverythingPassive, format!("`{pattern}` makes every request passive, so people would be signed out while they work"))
                    .hint("name the routes that scripts call by themselves, such as `POST /api/poll/**`"),
                "active" => Mistake::new(Code::EverythingActive, format!("`{pattern}` makes every request activity, polls included"))
                    .hint("name the routes that only a person's input calls, or set `activity = \"requests\"` to say so openly"),
                _ => Mistake::new(Code::EverythingPublic, format!("`{pattern}` lets every request to this app pass without a session"))
                    .hint("name the routes that need no session, such as `GET /assets/**`"),
            })
        } else {
            never_matches(pattern, matches, upgrades)
        };
        if let Some(mistake) = odd {
            notes.blame(path, mistake);
        }
    }
    patterns
}

/// Why no request to the app matches a pattern, if that is so.
pub(super) fn never_matches(
    pattern: &RoutePattern,
    matches: Option<&Match>,
    upgrades: &[Upgrade],
) -> Option<Mistake> {
    let prefix = matches?.path.as_str();
    if !pattern.can_match_under(prefix) {
        let message = format!("`{pattern}` is outside of `{}`, where this app is", quoted(prefix));
        let hint = "patterns are matched on the whole path, with the path of the app in front";
        return Some(Mistake::new(Code::NeverMatches, message).hint(hint));
    }
    if pattern.method.as_deref() == Some("WS") && !upgrades.contains(&Upgrade::WebSocket) {
        let message = format!("`{pattern}` never happens, as this app allows no WebSocket");
        let hint = "add `websocket` to `upgrades`, or remove the pattern";
        return Some(Mistake::new(Code::NeverMatches, message).hint(hint));
    }
    None
}
