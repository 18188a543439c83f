//! SHA-2 over whole inputs: fingerprints of certificates.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};

/// SHA-256 of `data`, at the start of 64 bytes as the longest hash needs.
pub(crate) fn sha256(data: &[u8]) -> [u8; 64] {
    padded(&SHA256, data)
}

/// SHA-384 of `data`, at the start of 64 bytes.
pub(crate) fn sha384(data: &[u8]) -> [u8; 64] {
    padded(&SHA384, data)
}

/// SHA-512 of `data`.
pub(crate) fn sha512(data: &[u8]) -> [u8; 64] {
    padded(&SHA512, data)
}

fn padded(algorithm: &'static digest::Algorithm, data: &[u8]) -> [u8; 64] {
    let mut out = [0; 64];
    for (to, from) in out.iter_mut().zip(digest::digest(algorithm, data).as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fips_180_4_examples_of_abc() {
        assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(sha256(b"abc")[32..], [0; 32]);
        assert_eq!(sha384(b"abc")[..4], [0xcb, 0x00, 0x75, 0x3f]);
        assert_eq!(sha512(b"abc")[..4], [0xdd, 0xaf, 0x35, 0xa1]);
    }
}
