//! The names by which a packet says where it belongs.

/// Reads the name of an m-line (RFC 9143, section 15); `None` if it is not a token of SDP (RFC 8866,
/// section 9), as which it stands in `a=mid`.
#[inline]
pub fn mid(value: &[u8]) -> Option<&str> {
    let token = |byte: &u8| matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'~');
    name(value, token)
}

/// Reads the name of an encoding, of its own stream or of the one it repairs; `None` if it is not of
/// letters and digits alone (RFC 8852, section 3).
#[inline]
pub fn rid(value: &[u8]) -> Option<&str> {
    name(value, u8::is_ascii_alphanumeric)
}

fn name(value: &[u8], allowed: impl Fn(&u8) -> bool) -> Option<&str> {
    // All that is allowed is ASCII. The form's 255 bytes are the bound of the length.
    let whole = !value.is_empty() && value.iter().all(allowed);
    std::str::from_utf8(value).ok().filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_8866_9_a_mid_is_a_token() {
        assert_eq!(mid(b"0"), Some("0"));
        assert_eq!(mid(b"audio-1.~^!"), Some("audio-1.~^!"));
        let allowed = (0..=255u8).filter(|byte| mid(&[*byte]).is_some());
        let separators = b"\"(),/:;<=>?@[\\]";
        assert!(allowed.eq((0x21..0x7f).filter(|byte| !separators.contains(byte))));
        for wrong in [&b""[..], b"a b", b"\0", b"a\xff", "\u{e9}".as_bytes()] {
            assert_eq!(mid(wrong), None);
        }
    }

    #[test]
    fn rfc_8852_3_a_rid_is_letters_and_digits() {
        assert_eq!(rid(b"hi0"), Some("hi0"));
        let allowed = (0..=255u8).filter(|byte| rid(&[*byte]).is_some());
        assert!(allowed.eq((0..=255u8).filter(u8::is_ascii_alphanumeric)));
        for wrong in [&b""[..], b"a-b", b"a_b", b"~h", b"h\0"] {
            assert_eq!(rid(wrong), None);
        }
    }
}
