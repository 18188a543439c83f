//! A camera of 720p: VP8 in three encodings of two temporal layers each, 30 frames a second, the two smaller 15.
//! Pictures are made up; what a forwarder reads of them is as it should be: descriptors, the headers of frames,
//! their sizes, key frames when they are asked for.

use crate::stamp::{self, Stamp};
use estafette::Instant;
use estafette::payload::vp8::{Descriptor, FrameHeader, KeyFrame, Layer};
use estafette::payload::{PictureId, Resolution};
use estafette::random::Random;
use estafette::rtp::{SeqNo, Ssrc, WireSeq};
use std::collections::VecDeque;
use std::time::Duration;

const FRAME: Duration = Duration::from_micros(33_333);
const FRAMES_PER_SECOND: u64 = 30;
/// The clock of video counts so much in a frame.
const TICKS: u32 = 3_000;
/// Bytes of a payload at most.
const PAYLOAD: usize = 1_100;
/// Packets kept for repair: more than a second of the largest encoding.
const HISTORY: usize = 512;
/// Of what is sent so many parts are one of repairs at most, as browsers keep them within the path's rate: a server
/// that is overloaded and asks for all that it lost must not get more to do.
const REPAIRS: u32 = 4;
/// A key frame has the bytes of so many others.
const KEY_FRAME: u64 = 5;
/// A descriptor and the header of a key frame.
const HEAD: usize = 16;

/// One of the encodings of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    pub rid: &'static str,
    pub width: u16,
    pub height: u16,
    pub bits_per_second: u64,
    pub frames_per_second: u64,
}

/// What browsers and their libraries make of a camera, give or take.
pub const ENCODINGS: [Encoding; 3] = [
    Encoding { rid: "q", width: 320, height: 180, bits_per_second: 150_000, frames_per_second: 15 },
    Encoding { rid: "h", width: 640, height: 360, bits_per_second: 500_000, frames_per_second: 15 },
    Encoding { rid: "f", width: 1_280, height: 720, bits_per_second: 1_500_000, frames_per_second: 30 },
];

/// A packet as it was sent first, but for what is the same in all.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    pub seq: SeqNo,
    pub timestamp: u32,
    pub marker: bool,
    /// Bytes of the payload.
    pub len: usize,
    stamp: Stamp,
    head: [u8; HEAD],
    head_len: usize,
}

impl Kept {
    /// Writes the payload over what stands in `buf`, which fills up the picture.
    pub fn write(&self, buf: &mut [u8]) {
        buf[..self.head_len].copy_from_slice(&self.head[..self.head_len]);
        self.stamp.write(&mut buf[..self.len]);
    }
}

/// One encoding's stream, and that of its repetitions.
pub struct Stream {
    pub encoding: Encoding,
    number: usize,
    pub ssrc: Ssrc,
    pub rtx_ssrc: Ssrc,
    /// Whether the server takes this encoding.
    pub wanted: bool,
    pub packets: u32,
    pub octets: u32,
    seq: u64,
    rtx_seq: u64,
    picture: u16,
    base_pictures: u8,
    key_frame_due: bool,
    history: VecDeque<Kept>,
    /// Packets that may be repeated, in parts of one.
    credit: u32,
}

impl Stream {
    fn new(number: usize, encoding: Encoding, random: &mut Random) -> Stream {
        Stream {
            encoding,
            number,
            ssrc: Ssrc(random.next_u32()),
            rtx_ssrc: Ssrc(random.next_u32()),
            wanted: true,
            packets: 0,
            octets: 0,
            seq: random.below(30_000),
            rtx_seq: random.below(30_000),
            picture: random.below(0x8000) as u16,
            base_pictures: random.below(0x100) as u8,
            key_frame_due: true,
            history: VecDeque::with_capacity(HISTORY),
            credit: 0,
        }
    }

    /// The packets of the next frame. All but the last have the same length.
    fn frame(&mut self, now: Instant, timestamp: u32, upper: bool, random: &mut Random) -> FramePackets<'_> {
        let key_frame = std::mem::take(&mut self.key_frame_due);
        let upper = upper && !key_frame;
        let mean = self.encoding.bits_per_second / 8 / self.encoding.frames_per_second;
        // No two pictures are alike.
        let size = mean * (70 + random.below(61)) / 100 * if key_frame { KEY_FRAME } else { 1 };
        let size = (size as usize).max(HEAD + stamp::LEN);
        let count = size.div_ceil(PAYLOAD);
        let len = size.div_ceil(count);
        self.picture = (self.picture + 1) & 0x7fff;
        self.base_pictures = self.base_pictures.wrapping_add(u8::from(!upper));
        for part in 0..count {
            let (head, head_len) = self.head(part == 0, key_frame, upper);
            let kept = Kept {
                seq: SeqNo(self.seq),
                timestamp,
                marker: part + 1 == count,
                len: len.min(size - part * len).max(HEAD + stamp::LEN),
                stamp: Stamp { sent: now, encoding: self.number },
                head,
                head_len,
            };
            self.seq += 1;
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(kept.len as u32);
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(kept);
            self.credit = (self.credit + 1).min(HISTORY as u32);
        }
        self.history.range(self.history.len() - count..)
    }

    /// The beginning of a payload.
    fn head(&self, begins: bool, key_frame: bool, upper: bool) -> ([u8; HEAD], usize) {
        let mut head = [0; HEAD];
        let descriptor = Descriptor {
            non_reference: upper,
            begins_partition: begins,
            picture_id: Some(PictureId::Long(self.picture)),
            tl0_pic_idx: Some(self.base_pictures),
            layer: Some(Layer { temporal_id: u8::from(upper), sync: upper }),
            ..Descriptor::default()
        };
        // A descriptor has six bytes and a frame's header ten at most.
        let mut len = descriptor.write(&mut head).unwrap_or(0);
        if begins {
            let resolution = Resolution { width: self.encoding.width, height: self.encoding.height };
            let key = KeyFrame { resolution, horizontal_scale: 0, vertical_scale: 0 };
            let key_frame = key_frame.then_some(key);
            let header = FrameHeader { version: 0, shown: true, first_partition: 1, key_frame };
            len += header.write(&mut head[len..]).unwrap_or(0);
        }
        (head, len)
    }

    /// A packet that is asked for again, and the number of its repetition.
    pub fn repeat(&mut self, wire: WireSeq) -> Option<(SeqNo, Kept)> {
        let credit = self.credit.checked_sub(REPAIRS)?;
        let first = self.history.front()?.seq.0;
        let seq = SeqNo::extend(SeqNo(self.seq), wire).0;
        let kept = *self.history.get(usize::try_from(seq.checked_sub(first)?).ok()?)?;
        self.credit = credit;
        self.rtx_seq += 1;
        Some((SeqNo(self.rtx_seq), kept))
    }

    pub fn request_key_frame(&mut self) {
        self.key_frame_due = true;
    }
}

/// The packets of one frame, in order.
pub type FramePackets<'a> = std::collections::vec_deque::Iter<'a, Kept>;

pub struct Camera {
    pub streams: [Stream; 3],
    next: Instant,
    timestamp: u32,
    /// Frames so far.
    count: u64,
    random: Random,
}

impl Camera {
    pub fn new(now: Instant, mut random: Random) -> Camera {
        let phase = Duration::from_micros(random.below(FRAME.as_micros() as u64));
        Camera {
            streams: [0, 1, 2].map(|number| Stream::new(number, ENCODINGS[number], &mut random)),
            next: now + phase,
            timestamp: random.next_u32(),
            count: 0,
            random,
        }
    }

    /// Encodings that the server does not take are not sent.
    pub fn want(&mut self, rids: &[String]) {
        for stream in &mut self.streams {
            stream.wanted = rids.iter().any(|rid| rid == stream.encoding.rid);
        }
    }

    pub fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// Goes on to the next frame if it is due; says when it was.
    pub fn due(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next;
        if due > now {
            return None;
        }
        self.next = due + FRAME;
        self.timestamp = self.timestamp.wrapping_add(TICKS);
        self.count += 1;
        Some(due)
    }

    /// The frame that is due in one of the encodings.
    pub fn frame(&mut self, now: Instant, encoding: usize) -> FramePackets<'_> {
        let stream = &mut self.streams[encoding];
        let every = FRAMES_PER_SECOND / stream.encoding.frames_per_second;
        if !stream.wanted || !self.count.is_multiple_of(every) {
            return FramePackets::default();
        }
        // Every other frame is of the upper temporal layer.
        let upper = !(self.count / every).is_multiple_of(2);
        stream.frame(now, self.timestamp, upper, &mut self.random)
    }

    /// The timestamp that stands for `now`, for sender reports.
    pub fn timestamp_at(&self, now: Instant) -> u32 {
        let ahead = (self.next - now).as_micros() as u32 * 9 / 100;
        self.timestamp.wrapping_add(TICKS).wrapping_sub(ahead)
    }

    pub fn stream(&mut self, ssrc: Ssrc) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.ssrc == ssrc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera() -> Camera {
        Camera::new(Instant::ZERO, Random::new([5; 32]))
    }

    #[test]
    fn rates_are_those_of_the_encodings() {
        let mut camera = camera();
        let mut bytes = [0; 3];
        let end = Instant::from_millis(60_000);
        while camera.due(end).is_some() {
            for (encoding, bytes) in bytes.iter_mut().enumerate() {
                *bytes += camera.frame(end, encoding).map(|kept| kept.len as u64).sum::<u64>();
            }
        }
        for (encoding, bytes) in ENCODINGS.iter().zip(bytes) {
            let share = (bytes * 8 / 60) as f64 / encoding.bits_per_second as f64;
            assert!((0.95..1.05).contains(&share), "{encoding:?}: {share}");
        }
    }

    #[test]
    fn frames_begin_with_what_a_forwarder_reads() {
        let mut camera = camera();
        let now = Instant::from_millis(40);
        camera.due(now);
        let packets: Vec<Kept> = camera.frame(now, 2).copied().collect();
        let mut buf = [0; 2_048];
        packets[0].write(&mut buf);
        let (descriptor, rest) = Descriptor::parse(&buf[..packets[0].len]).expect("a descriptor");
        assert!(descriptor.begins_frame());
        let key = FrameHeader::parse(rest).expect("a header").key_frame.expect("a key frame");
        assert_eq!(key.resolution, Resolution { width: 1_280, height: 720 });
        assert_eq!(Stamp::read(&buf[..packets[0].len]), Some(Stamp { sent: now, encoding: 2 }));
        let (last, others) = packets.split_last().expect("packets");
        assert!(last.marker && others.iter().all(|kept| !kept.marker && kept.len == others[0].len));
        camera.due(now + FRAME);
        let next = *camera.frame(now, 2).next().expect("a packet");
        next.write(&mut buf);
        let (_, rest) = Descriptor::parse(&buf[..next.len]).expect("a descriptor");
        assert_eq!(FrameHeader::parse(rest).expect("a header").key_frame, None);
    }

    #[test]
    fn what_was_sent_can_be_repeated_and_what_was_not_cannot() {
        let mut camera = camera();
        camera.due(Instant::from_millis(40));
        let sent: Vec<Kept> = camera.frame(Instant::from_millis(40), 2).copied().collect();
        let stream = &mut camera.streams[2];
        let (seq, last) = (sent[0].seq, sent[sent.len() - 1].seq);
        assert!(stream.repeat(SeqNo(last.0 + 1).wire()).is_none());
        assert!(stream.repeat(SeqNo(seq.0 - 1).wire()).is_none());
        let repeated = std::iter::from_fn(|| stream.repeat(seq.wire()));
        let repeated: Vec<SeqNo> = repeated.map(|(_, kept)| kept.seq).collect();
        assert_eq!(repeated, vec![seq; sent.len() / REPAIRS as usize]);
    }
}
