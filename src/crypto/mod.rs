//! Floor 2: one seam to the cryptographic providers, which know nothing of packets.
//!
//! Four operations from a source slice to a destination slice: seal and open (`aead`), keystream
//! (`stream`), mac (`mac`). One file per operation, its provider chosen by bench.

pub(crate) mod aead;
pub(crate) mod digest;
pub(crate) mod mac;
pub(crate) mod secret;
pub(crate) mod stream;
pub(crate) mod work;

#[cfg(test)]
pub(crate) mod tests {
    //! Published vectors, kept as JSON of hexadecimal strings.

    use serde_json::Value;

    pub(crate) fn vectors(name: &str) -> Value {
        let path = format!("{}/tests/data/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    pub(crate) fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        let digits = digits.map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    pub(crate) fn hex(value: &Value) -> Vec<u8> {
        bytes(value.as_str().unwrap())
    }
}
