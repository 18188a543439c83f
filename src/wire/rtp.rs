//! wire/rtp
