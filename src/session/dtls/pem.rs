//! Certificates and keys as text (RFC 7468).

use zeroize::Zeroizing;

/// The bytes of the first block of `label`: `CERTIFICATE`, `PRIVATE KEY`. What stands around blocks is
/// ignored, as are blocks of other labels. `None` if there is no such block or it is malformed.
pub(super) fn block(text: &str, label: &str) -> Option<Vec<u8>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let (_, rest) = text.split_once(&begin)?;
    let (body, _) = rest.split_once(&end)?;
    decode(body)
}

/// Base64 with line breaks (RFC 4648, section 4).
fn decode(text: &str) -> Option<Vec<u8>> {
    // It may be a private key: what is left behind is wiped.
    let digits: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    let mut bytes = Vec::with_capacity(digits.len());
    let mut groups = digits.chunks(4).peekable();
    while let Some(group) = groups.next() {
        let padding = group.iter().rev().take_while(|digit| **digit == b'=').count();
        if group.len() != 4 || padding > 2 || (padding > 0 && groups.peek().is_some()) {
            return None;
        }
        let (digits, _) = group.split_at_checked(group.len().checked_sub(padding)?)?;
        let bits = digits.iter().try_fold(0u32, |bits, digit| Some(bits << 6 | value(*digit)?))?;
        let [_, whole @ ..] = (bits << (6 * padding)).to_be_bytes();
        bytes.extend(whole.iter().take(whole.len().checked_sub(padding)?));
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit.wrapping_sub(b'A'),
        b'a'..=b'z' => digit.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => digit.wrapping_sub(b'0').wrapping_add(52),
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_10_test_vectors() {
        let cases = [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9v\r\nYmFy\n", "foobar"),
        ];
        for (text, bytes) in cases {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for text in ["Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm9*", "Zm9v-"] {
            assert_eq!(decode(text), None, "{text}");
        }
        assert_eq!(decode("+/+/"), Some(vec![0xfb, 0xff, 0xbf]));
    }

    #[test]
    fn rfc_7468_2_blocks_are_found_by_their_label() {
        let text = "note\n-----BEGIN PRIVATE KEY-----\nZm9v\n-----END PRIVATE KEY-----\n\
                    -----BEGIN CERTIFICATE-----\nYmFy\n-----END CERTIFICATE-----\n";
        assert_eq!(block(text, "CERTIFICATE").as_deref(), Some(&b"bar"[..]));
        assert_eq!(block(text, "PRIVATE KEY").as_deref(), Some(&b"foo"[..]));
        assert_eq!(block(text, "EC PRIVATE KEY"), None);
        assert_eq!(block("-----BEGIN CERTIFICATE-----\nZm9v", "CERTIFICATE"), None);
    }
}
