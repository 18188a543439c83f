//! A log of decisions, read; the story that it tells of a participant, and a chart of it.

pub(crate) mod chart;
pub(crate) mod log;
pub(crate) mod story;
pub(crate) mod words;
