//! session/dtls
