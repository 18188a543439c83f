//! Certificates and keys as text (RFC 7468).

use crate::base::base64::decode;

/// The bytes of the first block of `label`: `CERTIFICATE`, `PRIVATE KEY`. What stands around blocks is
/// ignored, as are blocks of other labels. `None` if there is no such block or it is malformed.
pub(super) fn block(text: &str, label: &str) -> Option<Vec<u8>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let (_, rest) = text.split_once(&begin)?;
    let (body, _) = rest.split_once(&end)?;
    decode(body)
}

#[cfg(test)]
mod tests {
    use super::*;

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
