//! An error and what is behind it, for a line of log or of a terminal.

use std::{error::Error, iter::successors};

/// An error and all that is behind it, on one line. What an error repeats of the one behind it is said once.
#[must_use]
pub fn reasons(error: &dyn Error) -> String {
    successors(error.source(), |behind| (*behind).source()).map(ToString::to_string).fold(
        error.to_string(),
        |text, behind| if text.contains(&behind) { text } else { format!("{text}: {behind}") },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Said {
        said: &'static str,
        #[source]
        behind: io::Error,
    }

    #[test]
    fn what_is_behind_is_said_once() {
        for (said, whole) in [
            ("no index", "no index: the disk is full"),
            ("no index: the disk is full", "no index: the disk is full"),
        ] {
            let error = Said { said, behind: io::Error::other("the disk is full") };
            assert_eq!(reasons(&error), whole);
        }
    }
}
