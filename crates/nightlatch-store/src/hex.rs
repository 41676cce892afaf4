//! Lower-case hexadecimal, so that keys and checksums can be read, compared and copied by a person.
//!
//! Only lower case is read back: each value has one spelling, and a file that was edited by hand shows it.

/// Two lower-case digits for each byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The bytes that `text` spells, or nothing unless it is exactly `2 * N` lower-case digits.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_has_one_spelling() {
        let all: [u8; 256] = std::array::from_fn(|byte| byte as u8);
        assert_eq!(decode(&encode(&all)), Some(all));
        assert_eq!(encode(&[0x00, 0x9f, 0xa0]), "009fa0");
        for wrong in ["", "0", "00", "00000", "00AA", "0g00", "é00", " 000"] {
            assert_eq!(decode::<2>(wrong), None, "{wrong}");
        }
    }
}
