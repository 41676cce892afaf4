//! The canonical path: one reading of a path, shared by everyone who has to understand it.
//!
//! A gateway is bypassed wherever it reads a path otherwise than the application behind it. `/assets/..;/admin` is a
//! public asset to the one and the administration page to the other. Guessing what each upstream would make of such
//! a path is a race nobody wins, so there is no guessing here: the path is read *once*, into one form, and that form
//! is both matched against the routes and forwarded. What has two readings left after that is refused.
//!
//! The reading, in order:
//!
//! 1. Percent-encoding is taken off once (RFC 3986 section 2.1). What still looks encoded afterwards was encoded
//!    twice, for somebody further in who decodes twice, and is refused.
//! 2. Separators that only a decoder sees (`%2F`, `%5C`) and the backslash are refused; so are control characters.
//! 3. The decoded bytes must be UTF-8. That refuses overlong forms (`%C0%AF`, a slash to careless decoders) and, as
//!    a price, paths in old single-byte encodings.
//! 4. Doubled slashes are collapsed, then dot segments resolved (RFC 3986 section 5.2.4). Climbing above the root is
//!    refused, not clamped. A segment that only *becomes* a dot segment, or nothing at all, when somebody strips
//!    `;params` or trailing blanks and dots, is refused.
//! 5. The result is written with every `pchar` that needs no escape as itself, and all else as upper-case `%XX`.
//!
//! One pair is kept apart although it decodes alike: `;` starts parameters and `%3B` is a letter of a name. Each
//! stays as it came, and [`segment_name`] ends a name at either, because upstreams differ.
//!
//! What is absent: case folding, Unicode normalisation and file name suffixes. An upstream that takes `/Admin` for
//! `/admin` needs routes for both.

use std::fmt;

use http::uri::PathAndQuery;

/// The longest path that is read, in bytes, before and after it is made canonical.
pub const PATH_BYTES_MAX: usize = 8192;

/// A path with one reading, beginning with `/`; the form that is matched and the form that is forwarded.
///
/// Making it canonical again changes nothing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalPath(String);

/// Why a path was refused. The answer to each is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PathRefusal {
    /// The path does not begin with `/` (RFC 9112 section 3.2.1).
    #[error("the path does not begin with a slash")]
    NotOriginForm,
    /// The path is longer than [`PATH_BYTES_MAX`], as received or when written canonically.
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// A `%` that two hexadecimal digits do not follow (RFC 3986 section 2.1).
    #[error("a percent sign is not followed by two hexadecimal digits")]
    MalformedPercent,
    /// An encoded slash or backslash, which splits the path only for those who decode first.
    #[error("the path holds an encoded slash or backslash")]
    EncodedSeparator,
    /// A raw backslash, which some servers take for a slash.
    #[error("the path holds a backslash")]
    Backslash,
    /// A control character (encoded or not), or a raw space.
    #[error("the path holds a control character or a raw space")]
    ControlCharacter,
    /// A raw `?` in the path, or a `#` in the path or the query; fragments are never sent (RFC 9110 section 7.1).
    #[error("the path holds a query or fragment delimiter")]
    StrayDelimiter,
    /// What is left after decoding once would decode again.
    #[error("the path is percent-encoded twice")]
    DoubleEncoding,
    /// A segment that becomes empty or a dot segment when parameters, or trailing blanks and dots, are stripped.
    #[error("a path segment turns into a dot segment for some readers")]
    AmbiguousSegment,
    /// More `..` than there are segments to leave.
    #[error("the path climbs above the root")]
    ClimbsAboveRoot,
    /// The decoded path is not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
}

impl CanonicalPath {
    /// Reads the path of a request target, without its query, as it was received.
    ///
    /// # Errors
    ///
    /// A [`PathRefusal`] when the path is malformed or has more than one reading. Linear in the length of the path,
    /// and nothing longer than [`PATH_BYTES_MAX`] is looked at.
    pub fn parse(raw: &[u8]) -> Result<Self, PathRefusal> {
        if raw.len() > PATH_BYTES_MAX {
            return Err(PathRefusal::TooLong);
        }
        let Some((b'/', rest)) = raw.split_first() else {
            return Err(PathRefusal::NotOriginForm);
        };
        let mut out = String::with_capacity(raw.len());
        let mut decoded = Vec::new();
        let mut ends_with_slash = true;
        for segment in rest.split(|&byte| byte == b'/') {
            let before = out.len();
            out.push('/');
            if let Some(word) = plain_word(segment) {
                out.push_str(word);
                ends_with_slash = false;
                continue;
            }
            decoded.clear();
            read_segment(segment, &mut decoded, &mut out)?;
            ends_with_slash = true;
            match classify(&decoded)? {
                Segment::Name => ends_with_slash = false,
                Segment::Nothing => out.truncate(before),
                Segment::Parent => {
                    out.truncate(before);
                    let parent = out.rfind('/').ok_or(PathRefusal::ClimbsAboveRoot)?;
                    out.truncate(parent);
                }
            }
        }
        if ends_with_slash {
            out.push('/');
        }
        if out.len() > PATH_BYTES_MAX {
            return Err(PathRefusal::TooLong);
        }
        Ok(Self(out))
    }

    /// The path as text: ASCII, beginning with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments between the slashes, none of them empty; none at all for `/`.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether the path ends with a slash; `/` does.
    #[must_use]
    pub fn ends_with_slash(&self) -> bool {
        self.0.ends_with('/')
    }

    /// The request target for the upstream: this path and the query, the query untouched.
    ///
    /// # Errors
    ///
    /// [`PathRefusal::StrayDelimiter`] when the query holds a `#` or a byte that no query may hold.
    pub fn forwarded(&self, query: Option<&str>) -> Result<PathAndQuery, PathRefusal> {
        let target = match query {
            // `PathAndQuery` would drop a fragment without a word, and the query would not be untouched.
            Some(query) if query.contains('#') => return Err(PathRefusal::StrayDelimiter),
            Some(query) => PathAndQuery::try_from(format!("{}?{query}", self.0)),
            None => PathAndQuery::try_from(self.0.as_str()),
        };
        target.map_err(|_| PathRefusal::StrayDelimiter)
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CanonicalPath({})", self.0)
    }
}

/// The part of a canonical segment before its parameters (`;`) or before an encoded semicolon (`%3B`).
#[must_use]
pub fn segment_name(segment: &str) -> &str {
    let end = [segment.find(';'), segment.find("%3B")].into_iter().flatten().min();
    end.and_then(|end| segment.get(..end)).unwrap_or(segment)
}

/// What a decoded segment does to the path.
enum Segment {
    Name,
    Nothing,
    Parent,
}

/// A segment that is a name to every reader as it stands: most are, and nothing in them is to be decoded.
fn plain_word(segment: &[u8]) -> Option<&str> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
    let word = !segment.is_empty() && segment.iter().all(plain);
    std::str::from_utf8(segment).ok().filter(|_| word)
}

/// Decodes one segment into `decoded` and writes it canonically at the end of `out`.
fn read_segment(segment: &[u8], decoded: &mut Vec<u8>, out: &mut String) -> Result<(), PathRefusal> {
    let mut rest = segment;
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, encoded) = match (first, tail) {
            (b'%', &[high, low, ref after @ ..]) => {
                let byte = unhex(high).zip(unhex(low)).ok_or(PathRefusal::MalformedPercent)?;
                rest = after;
                (byte.0 << 4 | byte.1, true)
            }
            (b'%', _) => return Err(PathRefusal::MalformedPercent),
            _ => {
                rest = tail;
                (first, false)
            }
        };
        match byte {
            b'/' | b'\\' if encoded => return Err(PathRefusal::EncodedSeparator),
            b'\\' => return Err(PathRefusal::Backslash),
            b' ' if !encoded => return Err(PathRefusal::ControlCharacter),
            b'?' | b'#' if !encoded => return Err(PathRefusal::StrayDelimiter),
            byte if byte.is_ascii_control() => return Err(PathRefusal::ControlCharacter),
            _ => {}
        }
        decoded.push(byte);
        if stays_itself(byte) && !(encoded && byte == b';') {
            out.push(char::from(byte));
        } else {
            push_percent(out, byte);
        }
    }
    Ok(())
}

/// Decides what a decoded segment is, and refuses those that are something else to other readers.
fn classify(decoded: &[u8]) -> Result<Segment, PathRefusal> {
    let text = std::str::from_utf8(decoded).map_err(|_| PathRefusal::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(PathRefusal::ControlCharacter);
    }
    if decodes_again(decoded) {
        return Err(PathRefusal::DoubleEncoding);
    }
    match text {
        "" | "." => return Ok(Segment::Nothing),
        ".." => return Ok(Segment::Parent),
        _ => {}
    }
    let name = text.split(';').next().unwrap_or_default();
    if name.chars().all(|c| c == '.' || c.is_whitespace()) {
        return Err(PathRefusal::AmbiguousSegment);
    }
    Ok(Segment::Name)
}

/// Whether a decoder (`%41`, or the `%u0041` of some servers) would find something to do in what was decoded.
fn decodes_again(decoded: &[u8]) -> bool {
    let hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
    decoded.windows(3).any(|w| w[0] == b'%' && hex(&w[1..]))
        || decoded.windows(6).any(|w| w[0] == b'%' && w[1].eq_ignore_ascii_case(&b'u') && hex(&w[2..]))
}

/// The characters of `pchar` (RFC 3986 section 3.3) that stand for themselves.
fn stays_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

fn unhex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Writes one byte as `%XX` with upper-case digits.
pub(crate) fn push_percent(out: &mut String, byte: u8) {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0').to_ascii_uppercase();
    out.push('%');
    out.push(digit(byte >> 4));
    out.push(digit(byte & 0x0f));
}

#[cfg(test)]
mod tests;
