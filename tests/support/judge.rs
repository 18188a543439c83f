//! A decoder as judge: what a receiver got is put together by the depacketisers of the `rtp` crate,
//! decoded by ffmpeg (with libvpx and dav1d), and every picture is looked up among those of the recording.
//!
//! Decoders conceal: a picture whose reference never came, or came from another layer, is mostly shown
//! without a word. So a picture is right only if it is, to the last bit, one that decoding a whole
//! encoding of the recording gives, at one of its spatial layers. That also tells which moment and layer
//! is shown, whatever the timestamps say.

use super::client::receive::Arrived;
use super::recording::{Encoding, Format, Recording};
use bytes::Bytes;
use estafette::Instant;
use rtp::codec::av1::Av1Depacketizer;
use rtp::codec::h264::H264Packet;
use rtp::codec::vp8::Vp8Packet;
use rtp::codec::vp9::Vp9Packet;
use rtp::packetizer::Depacketizer as _;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The place of a picture in the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub encoding: usize,
    pub spatial: u8,
    /// Since the start of the recording.
    pub captured: Duration,
}

/// A picture that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// When it and all before it had come.
    pub at: Instant,
    /// Its timestamp as it was received.
    pub timestamp: u32,
    /// Octets of the decoded picture: its size.
    pub octets: usize,
    /// Where it is from; of a picture that is none of the recording's there is none.
    pub origin: Option<Origin>,
}

/// What is wrong with a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Two packets under one number are not the same.
    Contradiction(u64),
    /// So many packets never came before this number.
    Missing(u64, u64),
    /// A frame is not ended by a marker, or goes on after it.
    Marker(u64),
    /// What the depacketiser cannot read.
    Unreadable(u64, String),
    /// Numbers in the descriptor that would make a receiver wait or refuse.
    Descriptor(u64, String),
    /// What the decoder said.
    Decoder(String),
    /// Frames that went into the decoder and pictures that came out.
    Pictures(usize, usize),
    /// The picture is none of the recording's: it was decoded from other references than it was encoded
    /// with.
    Corrupt(usize),
    /// The picture is not newer than its predecessor.
    Older(usize),
    /// The timestamp is not.
    TimestampOlder(usize),
}

impl Fault {
    /// The packet at which it was seen, if it was before decoding.
    fn number(&self) -> Option<u64> {
        match self {
            Fault::Contradiction(number)
            | Fault::Missing(_, number)
            | Fault::Marker(number)
            | Fault::Unreadable(number, _)
            | Fault::Descriptor(number, _) => Some(*number),
            _ => None,
        }
    }
}

/// What the judge found.
#[derive(Clone, Default)]
pub struct Verdict {
    pub pictures: Vec<Picture>,
    pub faults: Vec<Fault>,
    /// Frames before the first key frame: a receiver can do nothing with them.
    pub before_key: usize,
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = &self.faults[..self.faults.len().min(8)];
        let layers = self.layers();
        write!(
            f,
            "{} pictures {layers:?}, freeze {:?}, {} frames before the first key frame, {} faults: {faults:?}",
            self.pictures.len(),
            self.longest_freeze(),
            self.before_key,
            self.faults.len(),
        )
    }
}

impl Verdict {
    /// Asserts that nothing is wrong and that at least so many pictures were shown.
    pub fn assert_good(&self, at_least: usize) {
        assert!(self.faults.is_empty() && self.pictures.len() >= at_least, "{self:?}");
    }

    /// The longest time without a new picture.
    pub fn longest_freeze(&self) -> Duration {
        self.steps().map(|[before, after]| after.at - before.at).max().unwrap_or_default()
    }

    /// The longest time of what was filmed that no picture shows.
    pub fn longest_skip(&self) -> Duration {
        let origins = self.steps().filter_map(|[before, after]| Some((before.origin?, after.origin?)));
        origins
            .map(|(before, after)| after.captured.saturating_sub(before.captured))
            .max()
            .unwrap_or_default()
    }

    /// How far the timestamps stray from what was filmed: zero for one clock over all switches.
    pub fn drift(&self) -> Duration {
        let mut elapsed = 0i64;
        let mut stray = Vec::new();
        for [before, after] in self.steps() {
            elapsed += i64::from(after.timestamp.wrapping_sub(before.timestamp).cast_signed()) * 100 / 9;
            let (Some(first), Some(origin)) = (self.pictures[0].origin, after.origin) else { continue };
            let filmed = origin.captured.as_micros() as i64 - first.captured.as_micros() as i64;
            stray.push(Duration::from_micros((elapsed - filmed).unsigned_abs()));
        }
        stray.into_iter().max().unwrap_or_default()
    }

    /// The layers shown one after another, with how many pictures of each.
    pub fn layers(&self) -> Vec<((usize, u8), usize)> {
        let mut layers: Vec<((usize, u8), usize)> = Vec::new();
        for origin in self.pictures.iter().filter_map(|picture| picture.origin) {
            let layer = (origin.encoding, origin.spatial);
            match layers.last_mut().filter(|(last, _)| *last == layer) {
                Some((_, count)) => *count += 1,
                None => layers.push((layer, 1)),
            }
        }
        layers
    }

    fn steps(&self) -> impl Iterator<Item = [&Picture; 2]> {
        self.pictures.windows(2).map(|pair| [&pair[0], &pair[1]])
    }
}

/// Whether there is a decoder. Where there must be one (`CI=true`), its absence is a failure; elsewhere
/// the test that asks says that it is skipped.
pub fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        let version = Command::new(program()).arg("-version").stdout(Stdio::null()).status();
        let there = version.is_ok_and(|status| status.success());
        assert!(there || std::env::var("CI").as_deref() != Ok("true"), "ffmpeg is not there");
        if !there {
            // Past the test runner, which keeps what passing tests print to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED: no ffmpeg to judge by (tests/run installs it)");
        }
        there
    })
}

fn program() -> String {
    std::env::var("FFMPEG").unwrap_or_else(|_| "ffmpeg".into())
}

/// Knows every picture of a recording.
pub struct Judge {
    pub recording: &'static Recording,
    pictures: BTreeMap<Shown, Vec<Origin>>,
}

/// A decoded picture: its octets and their digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    octets: usize,
    digest: String,
}

impl Judge {
    /// The judge of a recording; `None` without a decoder.
    pub fn of(name: &str) -> Option<&'static Judge> {
        static JUDGES: OnceLock<BTreeMap<&str, OnceLock<Judge>>> = OnceLock::new();
        let judges =
            JUDGES.get_or_init(|| Recording::all().keys().map(|name| (&**name, OnceLock::new())).collect());
        let recording = Recording::load(name);
        available().then(|| judges[name].get_or_init(|| Judge::new(recording)))
    }

    fn new(recording: &'static Recording) -> Judge {
        let mut judge = Judge { recording, pictures: BTreeMap::new() };
        for (place, encoding) in recording.encodings.iter().enumerate() {
            let frames = frames(recording.format, &arrived(encoding));
            let tops = frames.iter().flat_map(|frame| frame.layers.iter().map(|layer| layer.spatial)).max();
            for spatial in 0..=tops.unwrap_or(0) {
                judge.learn(place, encoding, spatial, &frames);
            }
        }
        judge
    }

    /// Decodes an encoding up to one spatial layer.
    fn learn(&mut self, place: usize, encoding: &Encoding, spatial: u8, frames: &[Frame]) {
        let data: Vec<Vec<u8>> = frames.iter().map(|frame| frame.up_to(spatial)).collect();
        let (shown, complaints) = decode(self.recording.format, &data);
        let name = (&self.recording.name, &encoding.rid, spatial);
        assert_eq!((complaints, shown.len()), (Vec::new(), frames.len()), "{name:?}");
        for (frame, shown) in frames.iter().zip(shown) {
            let captured = encoding.captured(frame.timestamp);
            let origins = self.pictures.entry(shown).or_default();
            // Where a layer has nothing of its own the picture is the one below's.
            if !origins.iter().any(|known| (known.encoding, known.captured) == (place, captured)) {
                origins.push(Origin { encoding: place, spatial, captured });
            }
        }
    }

    /// What a decoder makes of a stream.
    pub fn judge(&self, tape: &[Arrived]) -> Verdict {
        let (frames, mut faults) = assemble(self.recording.format, tape);
        let before_key = frames.iter().position(|frame| frame.key).unwrap_or(frames.len());
        let frames = &frames[before_key..];
        // What came in before a receiver could begin is for nobody.
        let begin = frames.first().map_or(u64::MAX, |frame| *frame.numbers.start());
        faults.retain(|fault| fault.number().is_none_or(|number| number > begin));
        let data: Vec<Vec<u8>> = frames.iter().map(|frame| frame.up_to(u8::MAX)).collect();
        let (shown, complaints) = decode(self.recording.format, &data);
        faults.extend(complaints.into_iter().map(Fault::Decoder));
        if shown.len() != frames.len() {
            faults.push(Fault::Pictures(frames.len(), shown.len()));
        }
        let mut verdict = Verdict { pictures: Vec::new(), faults, before_key };
        for (frame, shown) in frames.iter().zip(shown) {
            self.show(&mut verdict, frame, &shown);
        }
        verdict
    }

    fn show(&self, verdict: &mut Verdict, frame: &Frame, shown: &Shown) {
        let at = verdict.pictures.len();
        let before = verdict.pictures.last().copied();
        let origins = self.pictures.get(shown).map_or(&[][..], Vec::as_slice);
        let last =
            verdict.pictures.iter().rev().find_map(|picture| Some((picture.timestamp, picture.origin?)));
        let origin = match last {
            None => origins.first(),
            // A still scene gives the same picture again: the one that fits the clock is meant.
            Some((timestamp, last)) => {
                let step = u64::from(frame.timestamp.wrapping_sub(timestamp)) * 100 / 9;
                let expected = last.captured + Duration::from_micros(step);
                // At a switch the same moment may be seen again, with another encoding's eyes.
                let newer = origins.iter().filter(|origin| {
                    let switched = origin.encoding != last.encoding;
                    origin.captured > last.captured || switched && origin.captured == last.captured
                });
                newer.min_by_key(|origin| origin.captured.abs_diff(expected))
            }
        };
        if origins.is_empty() {
            verdict.faults.push(Fault::Corrupt(at));
        } else if origin.is_none() {
            verdict.faults.push(Fault::Older(at));
        }
        if before.is_some_and(|before| frame.timestamp.wrapping_sub(before.timestamp).cast_signed() <= 0) {
            verdict.faults.push(Fault::TimestampOlder(at));
        }
        verdict.pictures.push(Picture {
            at: before.map_or(frame.at, |before| before.at.max(frame.at)),
            timestamp: frame.timestamp,
            octets: shown.octets,
            origin: origin.or(origins.last()).copied(),
        });
    }
}

/// The packets of an encoding as if each had come at once.
pub fn arrived(encoding: &Encoding) -> Vec<Arrived> {
    let arrived = |packet: &super::recording::Recorded| Arrived {
        at: Instant::from_micros(packet.at.as_micros() as u64),
        seq: packet.seq,
        timestamp: packet.timestamp,
        marker: packet.marker,
        payload: packet.payload.clone(),
        descriptor: None,
    };
    encoding.packets.iter().map(arrived).collect()
}

/// The part of a frame that belongs to one spatial layer.
struct Layer {
    spatial: u8,
    data: Vec<u8>,
}

/// All that has one timestamp: a picture with its spatial layers, as a browser hands it to its decoder.
pub struct Frame {
    /// When the last of it came.
    pub at: Instant,
    pub timestamp: u32,
    /// Its packets.
    pub numbers: RangeInclusive<u64>,
    /// Whether decoding can begin here, in every layer.
    pub key: bool,
    /// The temporal layer, as far as the payload tells it.
    pub temporal: u8,
    /// The spatial layer of each packet.
    pub spatial: Vec<u8>,
    layers: Vec<Layer>,
}

impl Frame {
    fn up_to(&self, spatial: u8) -> Vec<u8> {
        let layers = self.layers.iter().filter(|layer| layer.spatial <= spatial);
        layers.flat_map(|layer| layer.data.iter().copied()).collect()
    }
}

/// The frames of a stream without a fault.
pub fn frames(format: Format, tape: &[Arrived]) -> Vec<Frame> {
    let (frames, faults) = assemble(format, tape);
    assert_eq!(faults, []);
    frames
}

/// Puts packets in order and frames together. Frames with a packet missing are left out, as is a last one
/// without its end.
fn assemble(format: Format, tape: &[Arrived]) -> (Vec<Frame>, Vec<Fault>) {
    let (mut frames, mut faults) = (Vec::new(), Vec::new());
    let mut packets: BTreeMap<u64, Arrived> = BTreeMap::new();
    for packet in tape {
        match packets.get(&packet.seq.0) {
            None => _ = packets.insert(packet.seq.0, packet.clone()),
            Some(known) => {
                let same = Arrived { at: known.at, ..packet.clone() } == *known;
                faults.extend((!same).then_some(Fault::Contradiction(packet.seq.0)));
            }
        }
    }
    let mut reader = Reader::new(format);
    let mut open: Vec<&Arrived> = Vec::new();
    let (mut before, mut broken) = (None, false);
    for (seq, packet) in &packets {
        if let Some(before) = before.filter(|before| before + 1 < *seq) {
            faults.push(Fault::Missing(seq - before - 1, *seq));
            open.clear();
            reader.forget();
            broken = true;
        }
        before = Some(*seq);
        if packet.payload.is_empty() {
            reader.emptied += 1;
            continue;
        }
        if open.last().is_some_and(|last| last.timestamp != packet.timestamp) {
            faults.push(Fault::Marker(*seq));
            frames.extend(reader.frame(&open, &mut faults));
            open.clear();
        }
        open.push(packet);
        if packet.marker {
            // What is left of the frame in which a packet is missing is no frame.
            if !std::mem::take(&mut broken) || reader.begins(&open) {
                frames.extend(reader.frame(&open, &mut faults));
            }
            open.clear();
        }
    }
    (frames, faults)
}

/// Reads payloads by code that is not ours.
struct Reader {
    format: Format,
    vp8: Option<Vp8Packet>,
    vp9: BTreeMap<u8, u16>,
    timestamp: Option<u32>,
    /// Packets without payload since the last frame.
    emptied: u16,
}

impl Reader {
    fn new(format: Format) -> Self {
        Reader { format, vp8: None, vp9: BTreeMap::new(), timestamp: None, emptied: 0 }
    }

    /// After a loss the numbers before it bind no more.
    fn forget(&mut self) {
        self.vp8 = None;
        self.vp9.clear();
        self.timestamp = None;
    }

    /// Whether a packet can be a frame's first.
    fn begins(&self, packets: &[&Arrived]) -> bool {
        let payload = Bytes::copy_from_slice(&packets[0].payload);
        match self.format {
            Format::Vp8 => Vp8Packet::default().is_partition_head(&payload) && payload[0] & 7 == 0,
            Format::Vp9 => Vp9Packet::default().is_partition_head(&payload),
            Format::H264 => H264Packet::default().is_partition_head(&payload),
            Format::Av1 => Av1Depacketizer::new().is_partition_head(&payload),
        }
    }

    fn frame(&mut self, packets: &[&Arrived], faults: &mut Vec<Fault>) -> Option<Frame> {
        let seq = packets[0].seq.0;
        let read = match self.format {
            Format::Vp8 => self.vp8(packets, faults),
            Format::Vp9 => self.vp9(packets, faults),
            Format::H264 => h264(packets),
            Format::Av1 => av1(packets),
        };
        if self.timestamp == Some(packets[0].timestamp) {
            faults.push(Fault::Marker(seq));
        }
        self.timestamp = Some(packets[0].timestamp);
        let Read { key, temporal, spatial, layers } = match read {
            Ok(read) => read,
            Err(error) => {
                faults.push(Fault::Unreadable(seq, error));
                return None;
            }
        };
        let at = packets.iter().map(|packet| packet.at).max().expect("a packet");
        let numbers = seq..=packets.last().expect("a packet").seq.0;
        Some(Frame { at, timestamp: packets[0].timestamp, numbers, key, temporal, spatial, layers })
    }

    /// The picture id counts frames, TL0PICIDX those of the lowest temporal layer (RFC 7741, section 4.2):
    /// libwebrtc waits for what is left out of either. A frame that was left out after its successors were
    /// sent is the exception: packets without payload stand in its place.
    fn vp8(&mut self, packets: &[&Arrived], faults: &mut Vec<Fault>) -> Result<Read, String> {
        let mut data = Vec::new();
        let mut first = None;
        for packet in packets {
            let mut descriptor = Vp8Packet::default();
            data.extend(depacketize(&mut descriptor, packet)?);
            first.get_or_insert(descriptor);
        }
        let head = first.ok_or("no packet")?;
        let starts = head.s == 1 && head.pid == 0;
        let temporal = head.tid;
        let key = starts && data.first().is_some_and(|byte| byte & 1 == 0);
        if let Some(last) = self.vp8.take() {
            let picture = last.picture_id.wrapping_add(1) & 0x7fff;
            let tl0 = last.tl0_pic_idx.wrapping_add(u8::from(head.tid == 0));
            let ahead = head.picture_id.wrapping_sub(picture) & 0x7fff;
            if (head.i == 1 && ahead > std::mem::take(&mut self.emptied))
                || (head.l == 1 && head.tl0_pic_idx != tl0)
            {
                let text = format!(
                    "picture {} after {}, TL0PICIDX {} after {} in layer {}",
                    head.picture_id, last.picture_id, head.tl0_pic_idx, last.tl0_pic_idx, head.tid
                );
                faults.push(Fault::Descriptor(packets[0].seq.0, text));
            }
        }
        self.vp8 = Some(head);
        if !starts {
            return Err("the frame does not begin with its first partition".into());
        }
        Ok(Read::flat(key, temporal, packets.len(), data))
    }

    /// Each spatial layer's frame begins and ends; one that uses the layer below follows it; picture ids
    /// rise (RFC 9628, section 4.2).
    fn vp9(&mut self, packets: &[&Arrived], faults: &mut Vec<Fault>) -> Result<Read, String> {
        let seq = packets[0].seq.0;
        let mut layers: Vec<Layer> = Vec::new();
        let (mut key, mut temporal, mut ended, mut picture) = (false, 0, true, None);
        let mut spatial = Vec::new();
        for packet in packets {
            let mut descriptor = Vp9Packet::default();
            let data = depacketize(&mut descriptor, packet)?;
            if descriptor.b != ended {
                return Err("a layer's frame without its begin or end".into());
            }
            if descriptor.i && *picture.get_or_insert(descriptor.picture_id) != descriptor.picture_id {
                faults.push(Fault::Descriptor(seq, "two picture ids in one picture".into()));
            }
            if descriptor.b {
                let below = layers.last().map(|layer| layer.spatial);
                key |= below.is_none() && !descriptor.p && descriptor.sid == 0;
                let based = !descriptor.d || below.is_some_and(|below| below + 1 == descriptor.sid);
                if !based || below.is_some_and(|below| below >= descriptor.sid) {
                    let text = format!("layer {} on {below:?}", descriptor.sid);
                    faults.push(Fault::Descriptor(seq, text));
                }
                temporal = descriptor.tid;
                layers.push(Layer { spatial: descriptor.sid, data: Vec::new() });
            }
            layers.last_mut().ok_or("no layer")?.data.extend(data);
            spatial.push(descriptor.sid);
            ended = descriptor.e;
        }
        if !ended {
            return Err("the last layer's frame has no end".into());
        }
        if let Some(picture) = picture {
            let last = self.vp9.insert(0, picture);
            let step = last.map(|last| picture.wrapping_sub(last) & 0x7fff);
            if step.is_some_and(|step| step == 0 || step > 0x3fff) {
                let text = format!("picture {picture} after {last:?}");
                faults.push(Fault::Descriptor(seq, text));
            }
        }
        Ok(Read { key, temporal, spatial, layers })
    }
}

/// What a frame's payloads say.
struct Read {
    key: bool,
    temporal: u8,
    spatial: Vec<u8>,
    layers: Vec<Layer>,
}

impl Read {
    /// A frame of one spatial layer.
    fn flat(key: bool, temporal: u8, packets: usize, data: Vec<u8>) -> Read {
        Read { key, temporal, spatial: vec![0; packets], layers: vec![Layer { spatial: 0, data }] }
    }
}

fn depacketize(reader: &mut impl rtp::packetizer::Depacketizer, packet: &Arrived) -> Result<Bytes, String> {
    reader.depacketize(&Bytes::copy_from_slice(&packet.payload)).map_err(|error| error.to_string())
}

fn h264(packets: &[&Arrived]) -> Result<Read, String> {
    let (mut reader, mut data) = (H264Packet::default(), Vec::new());
    for packet in packets {
        data.extend(depacketize(&mut reader, packet)?);
    }
    // A picture of type 5 (IDR) that comes with its parameter sets (type 7).
    let units = data.windows(4).filter(|window| window[..3] == [0, 0, 1]).map(|window| window[3]);
    let units: Vec<u8> = units.collect();
    let has = |wanted: u8| units.iter().any(|unit| unit & 31 == wanted);
    // Layers have no names here; what nothing refers to is of the highest.
    let unused = units.iter().all(|unit| !matches!(unit & 31, 1 | 5) || unit & 0x60 == 0);
    let temporal = if unused { 2 } else { 0 };
    Ok(Read::flat(has(5) && has(7), temporal, packets.len(), data))
}

fn av1(packets: &[&Arrived]) -> Result<Read, String> {
    let mut reader = Av1Depacketizer::new();
    // A temporal delimiter stands before each frame; RTP leaves it out.
    let mut layers = vec![Layer { spatial: 0, data: vec![0x12, 0x00] }];
    let (mut key, mut temporal, mut spatial) = (false, 0, Vec::new());
    for (done, packet) in (1..).zip(packets) {
        let data = depacketize(&mut reader, packet)?;
        let mut rest = &data[..];
        while !rest.is_empty() {
            let (unit, next) = open_bitstream_unit(rest)?;
            let extension = if unit[0] & 4 != 0 { unit[1] } else { 0 };
            key |= unit[0] >> 3 & 15 == 1;
            temporal = temporal.max(extension >> 5);
            let layer = extension >> 3 & 3;
            if layers.last().is_none_or(|last| last.spatial != layer) {
                layers.push(Layer { spatial: layer, data: Vec::new() });
            }
            layers.last_mut().ok_or("no layer")?.data.extend(unit);
            rest = next;
        }
        // Those before it that ended no unit have parts of this one.
        if !data.is_empty() {
            spatial.resize(done, layers.last().map_or(0, |layer| layer.spatial));
        }
    }
    if spatial.len() < packets.len() {
        return Err("a unit without its end".into());
    }
    Ok(Read { key, temporal, spatial, layers })
}

/// The first unit of a low-overhead bitstream (AV1, section 5.3.1), and what follows it.
fn open_bitstream_unit(data: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let (mut at, mut len, mut shift) = (if data[0] & 4 != 0 { 2 } else { 1 }, 0, 0);
    loop {
        let byte = *data.get(at).ok_or("a unit without its length")?;
        (len, at, shift) = (len | usize::from(byte & 0x7f) << shift, at + 1, shift + 7);
        if byte & 0x80 == 0 {
            return data.split_at_checked(at + len).ok_or_else(|| "a unit that is cut".into());
        }
    }
}

/// The pictures that ffmpeg makes of frames, and everything it has to say about them.
fn decode(format: Format, frames: &[Vec<u8>]) -> (Vec<Shown>, Vec<String>) {
    static FILES: AtomicU32 = AtomicU32::new(0);
    if frames.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let (container, decoder) = match format {
        Format::Vp8 => ("ivf", "libvpx"),
        Format::Vp9 => ("ivf", "libvpx-vp9"),
        Format::Av1 => ("ivf", "libdav1d"),
        Format::H264 => ("h264", "h264"),
    };
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path: PathBuf = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("judge-{}-{number}.{container}", std::process::id()));
    let file = if container == "ivf" { ivf(format, frames) } else { frames.concat() };
    std::fs::write(&path, file).expect("a file can be written");
    let output = Command::new(program())
        .args([
            "-nostdin",
            "-hide_banner",
            "-v",
            "warning",
            "-threads",
            "1",
            "-f",
            container,
            "-c:v",
            decoder,
            "-i",
        ])
        .arg(&path)
        // Every picture once, in its own size.
        .args(["-fps_mode", "passthrough", "-autoscale", "0", "-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg can be run");
    let _ = std::fs::remove_file(&path);
    let said = String::from_utf8_lossy(&output.stderr);
    let mut complaints: Vec<String> = said.lines().map(str::to_owned).collect();
    if !output.status.success() {
        complaints.push(format!("ffmpeg ended with {}", output.status));
    }
    // stream, dts, pts, duration, octets, digest
    let shown = String::from_utf8_lossy(&output.stdout);
    let lines = shown.lines().filter(|line| !line.starts_with('#'));
    let shown = lines.map(|line| {
        let mut fields = line.split(',').map(str::trim).skip(4);
        let octets = fields.next().and_then(|octets| octets.parse().ok()).expect("a size");
        Shown { octets, digest: fields.next().expect("a digest").to_owned() }
    });
    (shown.collect(), complaints)
}

/// The container of IVF: a header, and each frame with its length and number.
fn ivf(format: Format, frames: &[Vec<u8>]) -> Vec<u8> {
    let code = match format {
        Format::Vp8 => b"VP80",
        Format::Vp9 => b"VP90",
        Format::Av1 => b"AV01",
        Format::H264 => unreachable!("it has a format of its own"),
    };
    let mut file = [&b"DKIF\0\0\x20\0"[..], code].concat();
    file.extend([640u16, 360].map(u16::to_le_bytes).concat());
    file.extend([30, 1, frames.len() as u32, 0].map(u32::to_le_bytes).concat());
    for (number, frame) in (0u64..).zip(frames) {
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend(number.to_le_bytes());
        file.extend(frame);
    }
    file
}
