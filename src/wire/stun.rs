//! wire/stun
