//! Numbers of scenario files, whose names end in their unit, as the types that carry it.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// `value` in a unit `scale` times smaller, as a whole number; refuses what no scenario can mean.
pub(super) fn scaled(value: f64, scale: f64) -> Result<u64, String> {
    let scaled = (value * scale).round();
    // 2^50 microseconds are 35 years, 2^50 bits a second more than any link has.
    if (0.0..=(1_u64 << 50) as f64).contains(&scaled) {
        Ok(scaled as u64)
    } else {
        Err(format!("{value} is out of range"))
    }
}

fn number<'de, D: Deserializer<'de>>(from: D, scale: f64) -> Result<u64, D::Error> {
    scaled(f64::deserialize(from)?, scale).map_err(D::Error::custom)
}

/// Milliseconds.
pub(super) fn millis<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    number(from, 1e3).map(Duration::from_micros)
}

/// Milliseconds: least, greatest.
pub(super) fn millis_between<'de, D: Deserializer<'de>>(from: D) -> Result<(Duration, Duration), D::Error> {
    let (low, high) = <(f64, f64)>::deserialize(from)?;
    let millis = |value| scaled(value, 1e3).map(Duration::from_micros).map_err(D::Error::custom);
    Ok((millis(low)?, millis(high)?))
}

/// Pairs of a moment in seconds and milliseconds.
pub(super) fn delay_steps<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(Instant, Duration)>, D::Error> {
    let pairs = Vec::<(f64, f64)>::deserialize(from)?;
    let micros = |value, scale| scaled(value, scale).map_err(D::Error::custom);
    pairs
        .into_iter()
        .map(|(at, delay)| {
            Ok((Instant::from_micros(micros(at, 1e6)?), Duration::from_micros(micros(delay, 1e3)?)))
        })
        .collect()
}

/// Milliseconds where the field may be missing.
pub(super) fn some_millis<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    millis(from).map(Some)
}

/// Seconds that last.
pub(super) fn some_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    number(from, 1e6).map(Duration::from_micros).map(Some)
}

/// Seconds since the start of the run.
pub(super) fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Instant, D::Error> {
    number(from, 1e6).map(Instant::from_micros)
}

/// The same where the field may be missing.
pub(super) fn some_moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Instant>, D::Error> {
    moment(from).map(Some)
}

/// Pairs of seconds: from, to.
pub(super) fn spans<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(Instant, Instant)>, D::Error> {
    let pairs = Vec::<(f64, f64)>::deserialize(from)?;
    let moment = |value| scaled(value, 1e6).map(Instant::from_micros).map_err(D::Error::custom);
    pairs.into_iter().map(|(from, to)| Ok((moment(from)?, moment(to)?))).collect()
}

/// Thousand bits per second.
pub(super) fn kbps<'de, D: Deserializer<'de>>(from: D) -> Result<Bitrate, D::Error> {
    number(from, 1e3).map(Bitrate::from_bps)
}

/// The same where the field may be missing.
pub(super) fn some_kbps<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Bitrate>, D::Error> {
    kbps(from).map(Some)
}

/// A list of them.
pub(super) fn list_of_kbps<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Bitrate>, D::Error> {
    let list = Vec::<f64>::deserialize(from)?;
    list.into_iter()
        .map(|value| scaled(value, 1e3).map(Bitrate::from_bps).map_err(D::Error::custom))
        .collect()
}

/// Thousand bytes.
pub(super) fn kilobytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    number(from, 1e3)
}

/// Thousand bytes: from, to.
pub(super) fn some_kilobytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<(u64, u64)>, D::Error> {
    let (low, high) = <(f64, f64)>::deserialize(from)?;
    let bytes = |value| scaled(value, 1e3).map_err(D::Error::custom);
    Ok(Some((bytes(low)?, bytes(high)?)))
}

/// Millionths by which a clock is fast, or slow where negative; no clock is off by more than a hundredth.
pub(super) fn drift<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(from)?;
    if value.abs() <= 10_000.0 {
        Ok(value)
    } else {
        Err(D::Error::custom(format!("{value} ppm is no clock")))
    }
}

/// A share or probability, from 0 to 1.
pub(super) fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(from)?;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(D::Error::custom(format!("{value} is no share")))
    }
}
