//! wire/sdp
