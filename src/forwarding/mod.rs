//! Floor 5: what is known of an RTP stream.
