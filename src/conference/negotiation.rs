//! JSEP.
