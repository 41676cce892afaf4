//! What counts as activity.
//!
//! A page that polls keeps a session open for ever if each request counts. So the default, `human`, counts what a person
//! did and not what a script does in their absence: a navigation the person started, an unsafe method, a request of a client that is
//! not a browser, and the guard's report of real input. Routes may say otherwise either way; where they contradict each
//! other, passive wins, because a session that ends too early is an annoyance and one that never ends is a breach.

/// How a request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activity {
    /// Moves the idle deadline.
    Active,
    /// Is traffic, and extends nothing.
    Passive,
}

/// What an application takes for activity, where its routes say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ActivityMode {
    /// What a person did. The default.
    #[default]
    Human,
    /// Every request that no route calls passive.
    Requests,
}

/// What set a request off, as far as the client's protocol tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A navigation that a person started (`Sec-Fetch-User: ?1`, Fetch Metadata).
    UserNavigation,
    /// A method that changes something (not GET, HEAD, OPTIONS or TRACE; RFC 9110 section 9.2.1).
    UnsafeMethod,
    /// A request without Fetch Metadata: not made by a browser.
    NotABrowser,
    /// A request a page made by itself: subresource, `fetch`, poll, a navigation nobody clicked.
    Script,
    /// A prefetch or prerender: nobody has asked for it yet. Never activity.
    Prefetch,
    /// A frame or chunk of an open stream.
    Stream,
    /// The guard saw a key, pointer or touch.
    Input,
}

/// What the application's `active` and `passive` routes say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum RouteSays {
    /// No route names it.
    #[default]
    Nothing,
    /// A route in `active` names it, and none in `passive`.
    Active,
    /// A route in `passive` names it.
    Passive,
}

impl Activity {
    /// Whether a request set off by `trigger` counts.
    #[must_use]
    pub const fn of(mode: ActivityMode, route: RouteSays, trigger: Trigger) -> Activity {
        match (route, trigger) {
            (_, Trigger::Prefetch) | (RouteSays::Passive, _) => Activity::Passive,
            (_, Trigger::Input) | (RouteSays::Active, _) => Activity::Active,
            (RouteSays::Nothing, Trigger::UserNavigation | Trigger::UnsafeMethod | Trigger::NotABrowser) => {
                Activity::Active
            }
            (RouteSays::Nothing, Trigger::Stream) => Activity::Passive,
            (RouteSays::Nothing, Trigger::Script) => match mode {
                ActivityMode::Human => Activity::Passive,
                ActivityMode::Requests => Activity::Active,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row a rule: mode, what the route says, trigger, and whether it counts.
    const TABLE: &str = "
        human    -       navigation  active
        human    -       unsafe      active
        human    -       program     active
        human    -       script      passive
        human    -       stream      passive
        human    -       prefetch    passive
        human    -       input       active
        human    active  script      active
        human    active  stream      active
        human    active  prefetch    passive
        human    passive navigation  passive
        human    passive unsafe      passive
        human    passive program     passive
        human    passive input       passive
        requests -       script      active
        requests -       stream      passive
        requests -       prefetch    passive
        requests active  stream      active
        requests passive script      passive
        requests passive unsafe      passive
    ";

    #[test]
    fn what_counts_as_activity() {
        for row in TABLE.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let [mode, route, trigger, expected] = row.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("four words a row: {row}")
            };
            let mode = match mode {
                "human" => ActivityMode::Human,
                _ => ActivityMode::Requests,
            };
            let route = match route {
                "active" => RouteSays::Active,
                "passive" => RouteSays::Passive,
                _ => RouteSays::Nothing,
            };
            let trigger = match trigger {
                "navigation" => Trigger::UserNavigation,
                "unsafe" => Trigger::UnsafeMethod,
                "program" => Trigger::NotABrowser,
                "script" => Trigger::Script,
                "prefetch" => Trigger::Prefetch,
                "stream" => Trigger::Stream,
                _ => Trigger::Input,
            };
            let counts = match Activity::of(mode, route, trigger) {
                Activity::Active => "active",
                Activity::Passive => "passive",
            };
            assert_eq!(counts, expected, "{row}");
        }
    }
}
