//! wire/rtcp
