//! Published vectors of `tests/data/vectors`, as unit tests read them.

use serde_json::Value;

/// The whole of a file.
pub(crate) fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What a field says in hex.
pub(crate) fn bytes(field: &Value) -> Vec<u8> {
    unhex(field.as_str().unwrap_or_else(|| panic!("no hex: {field}")))
}

/// The same of a literal.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}
