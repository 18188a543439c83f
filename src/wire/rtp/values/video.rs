//! How a picture is to be shown, and how long it took.

use super::super::NoSpace;
use super::put;
use std::time::Duration;

/// How to turn a picture before it is shown (3GPP TS 26.114, section 7.4.5).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VideoOrientation {
    /// Whether the camera looks away from its user.
    pub back_camera: bool,
    /// Whether left and right are to be exchanged.
    pub flip: bool,
    /// Clockwise quarter turns that set the picture upright, 0 to 3.
    pub quarter_turns: u8,
}

impl VideoOrientation {
    /// Reads the value; `None` if it is not one byte.
    pub const fn parse(value: &[u8]) -> Option<VideoOrientation> {
        match *value {
            [byte] => Some(VideoOrientation {
                back_camera: byte & 8 != 0,
                flip: byte & 4 != 0,
                quarter_turns: byte & 3,
            }),
            _ => None,
        }
    }

    /// The value as it travels; whole turns are left out.
    pub const fn to_byte(self) -> u8 {
        (self.back_camera as u8) << 3 | (self.flip as u8) << 2 | (self.quarter_turns & 3)
    }
}

/// The delay between capture and rendering that a sender wants, least and greatest
/// (<http://www.webrtc.org/experiments/rtp-hdrext/playout-delay>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlayoutDelay {
    /// The least delay, in steps of 10 ms up to 40.95 s.
    pub min: Duration,
    /// The greatest delay, likewise.
    pub max: Duration,
}

/// The grain of a delay, in milliseconds.
const GRAIN: u16 = 10;
/// Most grains: they have twelve bits.
const MOST_GRAINS: u16 = 0x0fff;

impl PlayoutDelay {
    /// Reads the value; `None` if it is not three bytes or the least delay is above the greatest.
    pub fn parse(value: &[u8]) -> Option<PlayoutDelay> {
        let [a, b, c] = *value else { return None };
        let delay = |high, low| Duration::from_millis(u64::from(u16::from_be_bytes([high, low])) * 10);
        let (min, max) = (delay(a >> 4, a << 4 | b >> 4), delay(b & 0x0f, c));
        (min <= max).then_some(PlayoutDelay { min, max })
    }

    /// The value as it travels; longer delays are 40.95 s.
    pub fn to_bytes(self) -> [u8; 3] {
        let grains = |delay: Duration| {
            let grains = delay.as_millis() / u128::from(GRAIN);
            u16::try_from(grains).map_or(MOST_GRAINS, |grains| grains.min(MOST_GRAINS))
        };
        let [_, a, b, c] = (u32::from(grains(self.min)) << 12 | u32::from(grains(self.max))).to_be_bytes();
        [a, b, c]
    }
}

/// What a picture shows (<http://www.webrtc.org/experiments/rtp-hdrext/video-content-type>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VideoContentType(pub u8);

impl VideoContentType {
    /// Reads the value; `None` if it is not one byte.
    pub const fn parse(value: &[u8]) -> Option<VideoContentType> {
        match *value {
            [byte] => Some(VideoContentType(byte)),
            _ => None,
        }
    }

    /// Whether it is a screen rather than a camera. The other bits were an experiment's.
    pub const fn is_screen(self) -> bool {
        self.0 & 1 != 0
    }

    /// The value as it travels.
    pub const fn to_byte(self) -> u8 {
        self.0
    }
}

/// When a frame passed the stages of its sender, in milliseconds after its capture
/// (<http://www.webrtc.org/experiments/rtp-hdrext/video-timing>). It is on a frame's last packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VideoTiming {
    /// Why this frame tells its times; `None` in the old form of 12 bytes, which does not say.
    pub flags: Option<u8>,
    /// Its encoding began.
    pub encode_start: u16,
    /// Its encoding ended.
    pub encode_finish: u16,
    /// It was cut into packets.
    pub packetized: u16,
    /// Its last packet left the pacer.
    pub left_pacer: u16,
    /// Left to middleboxes.
    pub network: u16,
    /// The same, another one.
    pub network_2: u16,
}

impl VideoTiming {
    /// Bytes of the longer form.
    pub const MAX_LEN: usize = 13;

    /// Reads the value; `None` if it is not 13 bytes, or 12 as it was before it had flags.
    pub fn parse(value: &[u8]) -> Option<VideoTiming> {
        let (flags, times) = match value.len() {
            12 => (None, value),
            _ => value.split_first().map(|(flags, times)| (Some(*flags), times))?,
        };
        let times: &[u8; 12] = times.try_into().ok()?;
        let &[a, b, c, d, e, f, g, h, i, j, k, l] = times;
        Some(VideoTiming {
            flags,
            encode_start: u16::from_be_bytes([a, b]),
            encode_finish: u16::from_be_bytes([c, d]),
            packetized: u16::from_be_bytes([e, f]),
            left_pacer: u16::from_be_bytes([g, h]),
            network: u16::from_be_bytes([i, j]),
            network_2: u16::from_be_bytes([k, l]),
        })
    }

    /// Whether the frame tells its times because it was its turn.
    pub fn by_timer(&self) -> bool {
        self.flags.is_some_and(|flags| flags & 1 != 0)
    }

    /// Whether the frame tells its times because it is larger than usual.
    pub fn by_size(&self) -> bool {
        self.flags.is_some_and(|flags| flags & 2 != 0)
    }

    /// Writes the value to the start of `buf` and returns its length, 13 or 12.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is shorter.
    pub fn write(&self, buf: &mut [u8]) -> Result<usize, NoSpace> {
        let [a, b] = self.encode_start.to_be_bytes();
        let [c, d] = self.encode_finish.to_be_bytes();
        let [e, f] = self.packetized.to_be_bytes();
        let [g, h] = self.left_pacer.to_be_bytes();
        let [i, j] = self.network.to_be_bytes();
        let [k, l] = self.network_2.to_be_bytes();
        match self.flags {
            None => put(buf, &[a, b, c, d, e, f, g, h, i, j, k, l]),
            Some(flags) => put(buf, &[flags, a, b, c, d, e, f, g, h, i, j, k, l]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_orientation_is_camera_flip_and_quarter_turns() {
        let orientation = VideoOrientation { back_camera: true, flip: false, quarter_turns: 3 };
        assert_eq!(VideoOrientation::parse(&[0xfb]), Some(orientation), "reserved bits are not read");
        assert_eq!(orientation.to_byte(), 0x0b);
        assert_eq!(VideoOrientation { quarter_turns: 5, ..orientation }.to_byte(), 0x09);
        for byte in 0..16 {
            assert_eq!(VideoOrientation::parse(&[byte]).map(VideoOrientation::to_byte), Some(byte));
        }
        assert_eq!(VideoOrientation::parse(&[]), None);
        assert_eq!(VideoOrientation::parse(&[0, 0]), None);
    }

    #[test]
    fn a_playout_delay_is_twice_twelve_bits_of_10_milliseconds() {
        let delay = PlayoutDelay { min: Duration::from_millis(180), max: Duration::from_millis(40_950) };
        assert_eq!(PlayoutDelay::parse(&[0x01, 0x2f, 0xff]), Some(delay));
        assert_eq!(delay.to_bytes(), [0x01, 0x2f, 0xff]);
        let long = PlayoutDelay { min: Duration::from_secs(41), max: Duration::MAX };
        assert_eq!(long.to_bytes(), [0xff; 3]);
        assert_eq!(PlayoutDelay::parse(&[0, 0x20, 0x01]), None, "least above greatest");
        assert_eq!(PlayoutDelay::parse(&[0, 0]), None);
    }

    #[test]
    fn content_is_a_screen_by_its_lowest_bit() {
        assert_eq!(VideoContentType::parse(&[1]).map(VideoContentType::is_screen), Some(true));
        assert_eq!(VideoContentType::parse(&[0x20]).map(VideoContentType::is_screen), Some(false));
        assert_eq!(VideoContentType::parse(&[1, 0]), None);
    }

    #[test]
    fn a_timing_has_13_bytes_or_12_without_flags() {
        let bytes = [2, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 1, 6];
        let timing = VideoTiming::parse(&bytes).expect("13 bytes");
        assert!(timing.by_size() && !timing.by_timer());
        assert_eq!((timing.encode_start, timing.encode_finish, timing.packetized), (1, 2, 3));
        assert_eq!((timing.left_pacer, timing.network, timing.network_2), (4, 5, 0x106));
        let old = VideoTiming::parse(&bytes[1..]).expect("12 bytes");
        assert_eq!(old, VideoTiming { flags: None, ..timing });
        assert!(!old.by_size() && !old.by_timer());
        for len in [0, 1, 11] {
            assert_eq!(VideoTiming::parse(&bytes[..len]), None);
        }
        assert_eq!(VideoTiming::parse(&[0; 14]), None);
        assert_eq!(timing.write(&mut [0; 12]), Err(NoSpace));
    }

    proptest! {
        #[test]
        fn timings_and_delays_survive_the_wire(value: [u8; 13], old: bool, min in 0u64..4_096, more in 0u64..4_096) {
            let (value, mut buf) = (&value[usize::from(old)..], [0; VideoTiming::MAX_LEN]);
            let len = VideoTiming::parse(value).expect("a length of it").write(&mut buf).expect("room");
            prop_assert_eq!(&buf[..len], value);
            let of = |grains: u64| Duration::from_millis(grains.min(4_095) * 10);
            let delay = PlayoutDelay { min: of(min), max: of(min + more) };
            prop_assert_eq!(PlayoutDelay::parse(&delay.to_bytes()), Some(delay));
        }
    }
}
