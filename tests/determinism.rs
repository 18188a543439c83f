//! The same inputs, times, calls and seeds give the same datagrams, byte for byte (I-08).

mod support;
