//! What integration tests share.

// Each test file compiles this tree for itself and uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod seeded_dtls;
