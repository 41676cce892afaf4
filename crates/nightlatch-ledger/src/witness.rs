//! What is said to a witness and what it answers (<https://c2sp.org/tlog-witness>, version 1.0.0), as text; how it gets there is for others.
//!
//! A witness keeps, for each log it knows, the size and root it has last cosigned, and cosigns a larger checkpoint only with a proof that
//! it continues that one. So a log can show a witness one history and no second. Whether an answer is to be believed is decided by the
//! cosignature in it alone: [`SignedCheckpoint::cosigned`].

use std::fmt::Write as _;

use crate::{checkpoint::SignedCheckpoint, proof::ConsistencyProof};

/// The type of the body of a 409: the size that the witness has.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// The body of `POST <prefix>/add-checkpoint`: the size to go on from, the proof, an empty line, the signed checkpoint.
///
/// The proof is one between two numbers of 64 bits, so it has 63 lines at most, as the specification asks.
#[must_use]
pub fn add_checkpoint(proof: &ConsistencyProof, signed: &SignedCheckpoint) -> String {
    let mut body = format!("old {}\n", proof.old_size);
    for hash in &proof.path {
        // Writing to a string does not fail.
        let _ = writeln!(body, "{hash}");
    }
    body.push('\n');
    body.push_str(&signed.note());
    body
}

/// Reads the body of a 409: a size in decimal, as a checkpoint writes it, and a line feed.
#[must_use]
pub fn read_size(body: &str) -> Option<u64> {
    let digits = body.strip_suffix('\n')?;
    let size: u64 = digits.parse().ok()?;
    (digits == size.to_string()).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hash, NoteError, VerifierKey};

    // Made with Go's `note` and `torchwood` 0.9.0 from the secrets of RFC 8032, section 7.1, tests 1 and 2, over the published root of
    // eight entries.
    const LOG: &str = "example.com/log+cc714670+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
    const WITNESS: &str = "witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM";
    const NOTE: &str = "example.com/log\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n\u{2014} example.com/log \
        zHFGcFgWv11lWNcaencFBAIP2jaYDmzzTqQYktcWjHonYVMYj1dpRwXFs7qAp9G9NVl6Q4L2TIziuY0FeM1j5xOVYQ0=\n";
    const LINE: &str = "\u{2014} witness.example/w1 BNLYMwAAAABrBbOKreOC1HGif04IZJN0QQ18pbp3/hWXnPkseavCxP5g7ioGbeoj\
        U5gIus8FVWJ4sv0gQ60gNiS4mCQlhmb9GfXtDA==\n";
    const AT: u64 = 1_795_535_754;

    fn signed() -> SignedCheckpoint {
        SignedCheckpoint::parse(NOTE, &LOG.parse().unwrap()).unwrap()
    }

    fn witness() -> VerifierKey {
        WITNESS.parse().unwrap()
    }

    #[test]
    fn a_foreign_witness_and_a_foreign_log_are_read_to_the_byte() {
        let (cosigned, at) = signed().cosigned(LINE, &witness()).unwrap();
        assert_eq!(cosigned.note(), format!("{NOTE}{LINE}"));
        assert_eq!(at, AT);
        assert_eq!(cosigned.cosigners().collect::<Vec<_>>(), ["witness.example/w1"]);
        assert_eq!(SignedCheckpoint::parse(&cosigned.note(), &LOG.parse().unwrap()), Ok(cosigned));
    }

    #[test]
    fn of_an_answer_only_what_the_witness_really_signed_is_taken() {
        let stranger = LINE.replace("/w1", "/w2");
        let turned = LINE.replace("GfXt", "GfXu");
        let older = LINE.replace("AAAABrBbOK", "AAAABrBbOJ");
        let many = LINE.repeat(65);
        let rows = [
            ("as it is", LINE.to_owned(), Ok(AT)),
            ("with a line by somebody else", format!("{stranger}{LINE}"), Ok(AT)),
            ("twice", LINE.repeat(2), Ok(AT)),
            ("by somebody else only", stranger.clone(), Err(NoteError::NotSigned)),
            ("with another signature", turned.clone(), Err(NoteError::Forged)),
            ("with another time", older, Err(NoteError::Forged)),
            ("a good one and a bad one", format!("{LINE}{turned}"), Err(NoteError::Forged)),
            ("the log's own line", NOTE.rsplit_once("\n\n").unwrap().1.to_owned(), Err(NoteError::NotSigned)),
            ("without its line feed", LINE.trim_end().to_owned(), Err(NoteError::Form)),
            ("with a blank line and a text before it", format!("other\n\n{LINE}"), Err(NoteError::Form)),
            ("nothing", String::new(), Err(NoteError::Form)),
            ("a page for people", "<html>\n".to_owned(), Err(NoteError::Form)),
            ("more lines than anybody needs", many, Err(NoteError::Form)),
        ];
        for (what, lines, expected) in rows {
            assert_eq!(signed().cosigned(&lines, &witness()).map(|(_, at)| at), expected, "{what}");
        }
        assert_eq!(signed().cosigned(LINE, &LOG.parse().unwrap()).unwrap_err(), NoteError::NotSigned);
    }

    #[test]
    fn a_request_is_as_the_specification_writes_it() {
        let hash = Hash::of_empty_tree();
        let proof = ConsistencyProof { old_size: 5, new_size: 8, path: vec![hash, hash] };
        let line = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(add_checkpoint(&proof, &signed()), format!("old 5\n{line}\n{line}\n\n{NOTE}"));
        let first = ConsistencyProof { old_size: 0, new_size: 8, path: Vec::new() };
        assert_eq!(add_checkpoint(&first, &signed()), format!("old 0\n\n{NOTE}"));
    }

    #[test]
    fn a_size_has_one_spelling() {
        let rows = [
            ("0\n", Some(0)),
            ("20852014\n", Some(20_852_014)),
            ("18446744073709551615\n", Some(u64::MAX)),
            ("18446744073709551616\n", None),
            ("20852014", None),
            ("20852014\r\n", None),
            ("+1\n", None),
            ("01\n", None),
            (" 1\n", None),
            ("1\n1\n", None),
            ("\n", None),
            ("", None),
            ("<html>\n", None),
        ];
        for (body, size) in rows {
            assert_eq!(read_size(body), size, "{body:?}");
        }
    }
}
