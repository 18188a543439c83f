//! What an administrator or a moderator allows of media, checked where it comes in. Of several the strictest counts.

use estafette::{Bitrate, VideoLimits};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The lines of a picture.
pub const HEIGHT: RangeInclusive<u32> = 90..=4_320;

/// Participants whose cameras are forwarded at once: as many as a room may have.
pub const SENDERS: RangeInclusive<u32> = 0..=50;

/// kbit/s.
pub const CEILING: RangeInclusive<u32> = 100..=100_000_000;

/// What is allowed; anything without.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct MediaLimits {
    /// The height of pictures in lines.
    pub max_height: Option<u32>,
    /// Of how many participants of a meeting cameras are forwarded at once; screens do not count.
    pub max_senders: Option<u32>,
    /// Neither cameras nor screens.
    pub audio_only: bool,
    /// What is sent to everybody together in kbit/s, sound in any case.
    pub ceiling: Option<u32>,
}

/// A limit is not one that can be: its name in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange(pub &'static str);

impl MediaLimits {
    /// Whether they can be.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let named = [
            ("maxHeight", self.max_height, HEIGHT),
            ("maxSenders", self.max_senders, SENDERS),
            ("ceiling", self.ceiling, CEILING),
        ];
        let wrong = named.iter().find(|(_, value, range)| value.is_some_and(|value| !range.contains(&value)));
        wrong.map_or(Ok(()), |(name, ..)| Err(OutOfRange(name)))
    }

    /// The stricter of both.
    pub fn and(self, other: MediaLimits) -> MediaLimits {
        let least = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
        MediaLimits {
            max_height: least(self.max_height, other.max_height),
            max_senders: least(self.max_senders, other.max_senders),
            audio_only: self.audio_only || other.audio_only,
            ceiling: least(self.ceiling, other.ceiling),
        }
    }

    /// What of them is about video, as the engine takes it.
    pub fn video(&self) -> VideoLimits {
        // Those that can be are smaller.
        let small = |value: Option<u32>| value.map(|value| u16::try_from(value).unwrap_or(u16::MAX));
        VideoLimits {
            max_height: small(self.max_height),
            max_senders: small(self.max_senders),
            audio_only: self.audio_only,
        }
    }

    /// The ceiling, as the engine takes it.
    pub fn bitrate(&self) -> Option<Bitrate> {
        self.ceiling.map(|kbps| Bitrate::from_kbps(kbps.into()))
    }
}

/// What counts in a meeting, by who set it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Imposed {
    /// An administrator, for all meetings of this server.
    pub server: MediaLimits,
    /// An administrator, for this one.
    pub meeting: MediaLimits,
    /// Its moderators.
    pub moderators: MediaLimits,
}

impl Imposed {
    /// What is this meeting's own.
    pub fn own(&self) -> MediaLimits {
        self.meeting.and(self.moderators)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_out_of_range_are_named() {
        let limits = |text: &str| serde_json::from_str::<MediaLimits>(text);
        for (text, name) in [
            (r#"{"maxHeight":89}"#, "maxHeight"),
            (r#"{"maxHeight":4321}"#, "maxHeight"),
            (r#"{"maxSenders":51}"#, "maxSenders"),
            (r#"{"ceiling":99}"#, "ceiling"),
            (r#"{"ceiling":4294967295}"#, "ceiling"),
        ] {
            assert_eq!(limits(text).expect("numbers").check(), Err(OutOfRange(name)), "{text}");
        }
        for text in [r#"{"maxheight":180}"#, r#"{"maxHeight":-1}"#, r#"{"audioOnly":1}"#, "180"] {
            assert!(limits(text).is_err(), "{text}");
        }
        let all = r#"{"maxHeight":90,"maxSenders":0,"audioOnly":true,"ceiling":100}"#;
        assert_eq!(limits(all).expect("limits").check(), Ok(()));
        assert_eq!(limits("{}").expect("none").check(), Ok(()));
    }

    #[test]
    fn the_strictest_counts() {
        let one = MediaLimits { max_height: Some(360), ceiling: Some(500), ..MediaLimits::default() };
        let other =
            MediaLimits { max_height: Some(720), max_senders: Some(2), audio_only: true, ceiling: None };
        let both =
            MediaLimits { max_height: Some(360), max_senders: Some(2), audio_only: true, ceiling: Some(500) };
        assert_eq!((one.and(other), other.and(one)), (both, both));
    }
}
