//! Why bytes are not what they should be: which field, and where.

use std::fmt;

/// What is wrong with a message, and where: the error of every parser of this floor.
///
/// `F` is the format's own list of faults, one for each field that can be wrong; its place in that
/// list is what counters count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Malformed<F> {
    /// The field that is wrong.
    pub fault: F,
    /// Where that field begins, in bytes from the start of what was parsed.
    pub offset: u16,
}

impl<F> Malformed<F> {
    /// A fault at a distance from the start; what lies beyond 65,535 bytes is said to be there.
    #[inline]
    pub(crate) fn at(offset: usize, fault: F) -> Malformed<F> {
        Malformed { fault, offset: u16::try_from(offset).unwrap_or(u16::MAX) }
    }

    /// The same of a part that begins `base` bytes into the whole.
    #[inline]
    pub(crate) fn within(self, base: usize) -> Malformed<F> {
        Malformed::at(base + usize::from(self.offset), self.fault)
    }
}

impl<F: fmt::Display> fmt::Display for Malformed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.fault, self.offset)
    }
}

impl<F: std::error::Error> std::error::Error for Malformed<F> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    #[error("the colour is unknown")]
    struct Colour;

    #[test]
    fn says_what_and_where() {
        assert_eq!(Malformed::at(4, Colour).within(8).to_string(), "the colour is unknown (at byte 12)");
        assert_eq!(Malformed::at(70_000, Colour).offset, u16::MAX);
    }
}
