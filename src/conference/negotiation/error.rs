//! Why a description is refused.

use crate::wire::sdp::ParseError;

/// Why a description or a slot was not accepted. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The text is no session description for us.
    #[error(transparent)]
    Syntax(#[from] ParseError),
    /// The call does not fit the state of the negotiation.
    #[error("{what}")]
    State {
        /// The sentence.
        what: &'static str,
    },
    /// The section at `line` lacks what the transport cannot do without.
    #[error("the media section at line {line} has no usable {what}")]
    Missing {
        /// The line of the section.
        line: usize,
        /// What it lacks.
        what: &'static str,
    },
    /// The section at `line` has a secret or hash that is too weak.
    #[error("the {what} of the media section at line {line} is too weak")]
    Weak {
        /// The line of the section.
        line: usize,
        /// What is weak.
        what: &'static str,
    },
    /// The section at `line` is not what this place in the session has been agreed to be.
    #[error("the media section at line {line} does not continue the session: {what}")]
    Mismatch {
        /// The line of the section, or of the last one if one is missing.
        line: usize,
        /// What does not fit.
        what: &'static str,
    },
    /// Something changed that only a restart may change.
    #[error("the {what} at line {line} changed without the restart this takes")]
    Restart {
        /// The line of the section.
        line: usize,
        /// What changed.
        what: &'static str,
    },
    /// The section at `line` gives a number a second meaning within the bundle.
    #[error("the media section at line {line} gives a {what} a second meaning")]
    Conflict {
        /// The line of the section.
        line: usize,
        /// Which number.
        what: &'static str,
    },
    /// There are as many slots as a description may have sections.
    #[error("there are as many send slots as a session description has room for")]
    Full,
}
