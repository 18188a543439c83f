//! The codecs an engine forwards, and how an offered one is told to be the same.

use super::MediaKind;
use crate::wire::payload::Format;
use crate::wire::sdp;

/// Place of a codec in the engine's list ([`Config::codecs`](super::Config::codecs)): below
/// [`limits::CODECS`](crate::limits::CODECS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodecId(pub u8);

/// Some of the engine's codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodecSet(u16);

// One bit each.
const _: () = assert!(crate::base::limits::CODECS <= 16);

impl CodecSet {
    /// No codec.
    pub const NONE: CodecSet = CodecSet(0);
    /// Every codec.
    pub const ALL: CodecSet = CodecSet(u16::MAX);

    /// Also this one.
    #[must_use]
    pub fn with(self, codec: CodecId) -> CodecSet {
        CodecSet(self.0 | 1u16.checked_shl(codec.0.into()).unwrap_or(0))
    }

    /// Those of either.
    #[must_use]
    pub const fn union(self, other: CodecSet) -> CodecSet {
        CodecSet(self.0 | other.0)
    }

    /// Those of both.
    #[must_use]
    pub const fn intersection(self, other: CodecSet) -> CodecSet {
        CodecSet(self.0 & other.0)
    }
}

/// A codec with the parameters that make its streams understood by a decoder or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Opus, 48 kHz, declared with two channels (RFC 7587).
    Opus,
    /// Opus with older packets repeated in front of the newest (RED, RFC 2198), on lines that have
    /// [`Codec::Opus`] as well. Put in front of it, it is what browsers send.
    Red,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9 {
        /// `profile-id`, 0 to 3; 0 if absent.
        profile: u8,
    },
    /// H.264 (RFC 6184).
    H264 {
        /// The profile that `profile-level-id` names.
        profile: H264Profile,
        /// `packetization-mode`, 0 or 1; 0 if absent.
        packetization_mode: u8,
    },
    /// AV1 (AOMedia, "RTP Payload Format For AV1").
    Av1 {
        /// `profile`, 0 to 2; 0 if absent.
        profile: u8,
    },
}

/// Profiles of H.264 as told from `profile-level-id` (RFC 6184, table 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum H264Profile {
    /// What every WebRTC endpoint with H.264 has (RFC 7742, section 6.2), and the meaning of an
    /// absent parameter in practice.
    ConstrainedBaseline,
    /// Baseline.
    Baseline,
    /// Main.
    Main,
    /// Constrained High.
    ConstrainedHigh,
    /// High.
    High,
}

impl Codec {
    /// What an engine forwards unless told otherwise, most preferred first: what all browsers
    /// share comes before what few have. Redundant audio is taken from who sends it and asked of nobody.
    pub fn defaults() -> Vec<Codec> {
        vec![
            Codec::Opus,
            Codec::Vp8,
            Codec::Vp9 { profile: 0 },
            Codec::H264 { profile: H264Profile::ConstrainedBaseline, packetization_mode: 1 },
            Codec::Av1 { profile: 0 },
            Codec::Red,
        ]
    }

    /// Audio or video.
    pub fn kind(self) -> MediaKind {
        match self {
            Codec::Opus | Codec::Red => MediaKind::Audio,
            _ => MediaKind::Video,
        }
    }

    /// The encoding's name.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::Red => "red",
            Codec::Vp8 => "VP8",
            Codec::Vp9 { .. } => "VP9",
            Codec::H264 { .. } => "H264",
            Codec::Av1 { .. } => "AV1",
        }
    }

    /// How its payloads are read; `None` of RED, which holds payloads of another codec
    /// ([`crate::rtp::red`]).
    pub fn format(self) -> Option<Format> {
        match self {
            Codec::Opus => Some(Format::Opus),
            Codec::Red => None,
            Codec::Vp8 => Some(Format::Vp8),
            Codec::Vp9 { .. } => Some(Format::Vp9),
            Codec::H264 { .. } => Some(Format::H264),
            Codec::Av1 { .. } => Some(Format::Av1),
        }
    }

    /// The RTP clock in Hz.
    pub fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus | Codec::Red => 48_000,
            _ => 90_000,
        }
    }

    /// The channels in `a=rtpmap`, if they stand there.
    pub fn channels(self) -> Option<u8> {
        match self {
            Codec::Opus | Codec::Red => Some(2),
            _ => None,
        }
    }

    /// Whether the offered codec is this one: name, clock, channels and the parameters that matter.
    pub fn matches(self, offered: &sdp::Codec) -> bool {
        let same = offered.is(self.name()) && offered.clock_rate == self.clock_rate();
        let number = |key| offered.parameter(key).unwrap_or("0").parse().ok();
        same && offered.channels.unwrap_or(1) == self.channels().unwrap_or(1)
            && match self {
                Codec::Opus | Codec::Red | Codec::Vp8 => true,
                Codec::Vp9 { profile } => number("profile-id") == Some(profile),
                Codec::Av1 { profile } => number("profile") == Some(profile),
                Codec::H264 { profile, packetization_mode } => {
                    number("packetization-mode") == Some(packetization_mode)
                        && H264Profile::of(offered) == Some(profile)
                }
            }
    }

    /// Our parameters: an answer to `offered`, or an offer. Nothing but checked numbers is taken
    /// over.
    pub(super) fn fmtp(self, offered: Option<&sdp::Codec>) -> String {
        let number = |key, default: u16| {
            let value = offered.and_then(|codec| codec.parameter(key));
            value.and_then(|v| v.parse().ok()).unwrap_or(default)
        };
        match self {
            Codec::Opus => {
                let (minptime, fec) = (number("minptime", 10), number("useinbandfec", 1));
                format!("minptime={minptime};useinbandfec={fec}")
            }
            // Those of RED name the line's Opus: see `redundancy_of`.
            Codec::Red | Codec::Vp8 => String::new(),
            Codec::Vp9 { profile } => format!("profile-id={profile}"),
            Codec::H264 { profile, packetization_mode: mode } => {
                // Levels may differ by direction, so the offered one does as ours.
                let ours = profile.level_3_1();
                let id = offered.and_then(profile_level_id).unwrap_or(ours);
                format!("level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={id:06x}")
            }
            // Level 3.1, main tier: the defaults of the payload format.
            Codec::Av1 { profile } => format!("level-idx=5;profile={profile};tier=0"),
        }
    }
}

/// The parameters of RED that carries a payload type and an older packet of it (RFC 2198, section 5).
pub(super) fn redundancy_of(opus: u8) -> String {
    format!("{opus}/{opus}")
}

/// Whether described RED carries this payload type and nothing else.
pub(super) fn is_redundancy_of(red: &sdp::Codec, opus: u8) -> bool {
    red.fmtp.split('/').all(|carried| carried.trim().parse() == Ok(opus))
}

/// `profile-level-id` as a number: profile, constraints and level, a byte each.
fn profile_level_id(codec: &sdp::Codec) -> Option<u32> {
    let text = codec.parameter("profile-level-id")?;
    let digits = text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|_| digits)
}

impl H264Profile {
    fn of(codec: &sdp::Codec) -> Option<H264Profile> {
        if codec.parameter("profile-level-id").is_none() {
            return Some(H264Profile::ConstrainedBaseline);
        }
        let [_, profile, constraints, _] = profile_level_id(codec)?.to_be_bytes();
        Some(match (profile, constraints) {
            (0x42, c) if c & 0x4F == 0x40 => H264Profile::ConstrainedBaseline,
            (0x4D, c) if c & 0x8F == 0x80 => H264Profile::ConstrainedBaseline,
            (0x58, c) if c & 0xCF == 0xC0 => H264Profile::ConstrainedBaseline,
            (0x42, c) if c & 0x4F == 0x00 => H264Profile::Baseline,
            (0x58, c) if c & 0xCF == 0x80 => H264Profile::Baseline,
            (0x4D, c) if c & 0xAF == 0x00 => H264Profile::Main,
            (0x64, 0x00) => H264Profile::High,
            (0x64, 0x0C) => H264Profile::ConstrainedHigh,
            _ => return None,
        })
    }

    /// `profile-level-id` at level 3.1.
    fn level_3_1(self) -> u32 {
        match self {
            H264Profile::ConstrainedBaseline => 0x42E01F,
            H264Profile::Baseline => 0x42001F,
            H264Profile::Main => 0x4D001F,
            H264Profile::ConstrainedHigh => 0x640C1F,
            H264Profile::High => 0x64001F,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(name: &str, clock_rate: u32, channels: Option<u8>, fmtp: &str) -> sdp::Codec {
        sdp::Codec {
            payload_type: 96,
            name: name.into(),
            clock_rate,
            channels,
            fmtp: fmtp.into(),
            feedback: sdp::Feedback::default(),
        }
    }

    #[test]
    fn a_codec_is_told_by_name_clock_channels_and_the_parameters_that_matter() {
        assert!(Codec::Opus.matches(&offered("OPUS", 48_000, Some(2), "")));
        assert!(!Codec::Opus.matches(&offered("opus", 48_000, None, "")));
        assert!(!Codec::Vp8.matches(&offered("VP8", 8_000, None, "")));
        let vp9 = Codec::Vp9 { profile: 0 };
        assert!(vp9.matches(&offered("VP9", 90_000, None, "max-fs=12288;max-fr=60")));
        assert!(!vp9.matches(&offered("VP9", 90_000, None, "profile-id=2")));
        let av1 = Codec::Av1 { profile: 0 };
        assert!(av1.matches(&offered("AV1", 90_000, None, "level-idx=5; profile=0")));
        assert!(!av1.matches(&offered("AV1", 90_000, None, "profile=1")));
    }

    #[test]
    fn rfc_6184_table_5_profiles() {
        let of = |id: &str| {
            let fmtp = format!("profile-level-id={id}");
            H264Profile::of(&offered("H264", 90_000, None, &fmtp))
        };
        for id in ["42e01f", "42C01F", "4d801f", "58c00a"] {
            assert_eq!(of(id), Some(H264Profile::ConstrainedBaseline), "{id}");
        }
        assert_eq!(of("42001f"), Some(H264Profile::Baseline));
        assert_eq!(of("4d001f"), Some(H264Profile::Main));
        assert_eq!(of("64001f"), Some(H264Profile::High));
        assert_eq!(of("640c1f"), Some(H264Profile::ConstrainedHigh));
        for id in ["f4001f", "42e0", "+2e01f", "42e01fff"] {
            assert_eq!(of(id), None, "{id}");
        }
        let h264 = |mode| Codec::H264 { profile: H264Profile::ConstrainedBaseline, packetization_mode: mode };
        let bare = offered("h264", 90_000, None, "");
        assert!(h264(0).matches(&bare) && !h264(1).matches(&bare));
    }

    #[test]
    fn parameters_are_answered_with_numbers_only() {
        let opus = offered("opus", 48_000, Some(2), "minptime=20;useinbandfec=0;stereo=1");
        assert_eq!(Codec::Opus.fmtp(Some(&opus)), "minptime=20;useinbandfec=0");
        let odd = offered("opus", 48_000, Some(2), "minptime=x y;useinbandfec=-1");
        assert_eq!(Codec::Opus.fmtp(Some(&odd)), "minptime=10;useinbandfec=1");
        let h264 = Codec::defaults()[3];
        let high_level = offered("H264", 90_000, None, "profile-level-id=42E034");
        assert!(h264.fmtp(Some(&high_level)).ends_with("packetization-mode=1;profile-level-id=42e034"));
        assert!(h264.fmtp(None).ends_with("profile-level-id=42e01f"));
    }
}
