//! Media that proves itself: every packet says whose it is, which frame and which part, under a
//! checksum.

/// What a packet of a test's stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The room it belongs to.
    pub room: u32,
    /// Who published it.
    pub publisher: u32,
    pub video: bool,
    /// A frame of video, or a packet of audio.
    pub frame: u32,
    /// Its part of the frame, of so many.
    pub part: u16,
    pub parts: u16,
    pub keyframe: bool,
    /// The height of the picture, as the frame header has it.
    pub height: u16,
}

const HEAD: usize = 27;
const TRAILER: usize = 4;
/// Bytes of an audio payload.
pub const AUDIO: usize = 160;
/// Bytes of a video packet's payload.
pub const VIDEO: usize = 1_100;

impl Content {
    pub fn audio(room: u32, publisher: u32, number: u32) -> Self {
        Content {
            room,
            publisher,
            video: false,
            frame: number,
            part: 0,
            parts: 1,
            keyframe: false,
            height: 180,
        }
    }

    /// The payload: for video behind a VP8 descriptor of one byte, the start of a partition marked on
    /// a frame's first packet (RFC 7741, section 4.2), and the frame header, whose lowest bit is clear in
    /// key frames: those go on with start code and size (section 4.3).
    pub fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(VIDEO);
        let first = self.part == 0;
        payload.push(if first { 0x10 } else { 0x00 });
        payload.push(u8::from(!self.keyframe) | u8::from(self.video) << 1);
        payload.extend([0, 0, 0x9d, 0x01, 0x2a]);
        payload.extend([self.height / 9 * 16, self.height].map(u16::to_le_bytes).concat());
        payload.extend(self.room.to_be_bytes());
        payload.extend(self.publisher.to_be_bytes());
        payload.extend(self.frame.to_be_bytes());
        payload.extend(self.part.to_be_bytes());
        payload.extend(self.parts.to_be_bytes());
        let len = if self.video { VIDEO } else { AUDIO };
        // Filling that differs everywhere: a packet in another's place cannot pass.
        let place = u32::from(self.part) << 16 | u32::from(self.height);
        let mut word = self.frame.wrapping_mul(0x9e37_79b9) ^ place ^ self.publisher;
        while payload.len() < len - TRAILER {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            payload.push((word >> 24) as u8);
        }
        payload.extend(crc32fast::hash(&payload).to_be_bytes());
        payload
    }

    /// Reads and checks a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, &'static str> {
        if payload.len() < HEAD + TRAILER {
            return Err("too short");
        }
        let (body, trailer) = payload.split_at(payload.len() - TRAILER);
        if crc32fast::hash(body).to_be_bytes() != trailer {
            return Err("the checksum does not match");
        }
        let word = |at: usize| u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        let half = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        let content = Content {
            room: word(11),
            publisher: word(15),
            video: body[1] & 2 != 0,
            frame: word(19),
            part: half(23),
            parts: half(25),
            keyframe: body[1] & 1 == 0,
            height: u16::from_le_bytes([body[9], body[10]]),
        };
        if body[0] != if content.part == 0 { 0x10 } else { 0x00 } || content.part >= content.parts {
            return Err("the descriptor does not fit");
        }
        Ok(content)
    }
}
