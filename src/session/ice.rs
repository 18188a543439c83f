//! session/ice
