//! session/srtp
