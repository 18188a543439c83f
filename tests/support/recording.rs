//! Recordings of real encoders under `tests/data/streams`: plain RTP packets, and what was negotiated.

use estafette::rtp::{self, SeqNo, Ssrc, WireSeq};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

pub const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Vp8,
    Vp9,
    H264,
    Av1,
}

impl Format {
    /// The encoding's name in `a=rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Vp8 => "VP8",
            Format::Vp9 => "VP9",
            Format::H264 => "H264",
            Format::Av1 => "AV1",
        }
    }
}

/// One packet as it left the encoder's side.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Since the start of the recording.
    pub at: Duration,
    pub seq: SeqNo,
    pub timestamp: u32,
    pub marker: bool,
    /// Identifiers are those of [`Recording::extensions`].
    pub extensions: Vec<(u8, Vec<u8>)>,
    pub payload: Vec<u8>,
}

/// One simulcast encoding, or all layers of an SVC stream.
#[derive(Debug, Clone)]
pub struct Encoding {
    pub rid: Option<String>,
    /// The timestamp of what was captured when the recording started.
    pub start: u32,
    pub packets: Vec<Recorded>,
}

impl Encoding {
    /// When a frame was captured, by its timestamp.
    pub fn captured(&self, timestamp: u32) -> Duration {
        Duration::from_micros(u64::from(timestamp.wrapping_sub(self.start)) * 100 / 9)
    }
}

#[derive(Debug, Clone)]
pub struct Recording {
    pub name: String,
    pub format: Format,
    pub fmtp: String,
    /// The header extensions in it, by identifier.
    pub extensions: Vec<(u8, String)>,
    /// From the smallest picture to the largest.
    pub encodings: Vec<Encoding>,
}

impl Recording {
    /// All of `tests/data/streams`, by name.
    pub fn all() -> &'static BTreeMap<String, Recording> {
        static ALL: OnceLock<BTreeMap<String, Recording>> = OnceLock::new();
        ALL.get_or_init(|| {
            let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "data", "streams"].iter().collect();
            let files =
                std::fs::read_dir(folder).expect("recordings").map(|entry| entry.expect("a file").path());
            let described =
                files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
            described.map(|path| Recording::read(&path)).map(|one| (one.name.clone(), one)).collect()
        })
    }

    pub fn load(name: &str) -> &'static Recording {
        Recording::all().get(name).unwrap_or_else(|| panic!("a recording {name}"))
    }

    /// Reads a description and the packets beside it.
    fn read(path: &Path) -> Recording {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        let json = std::fs::read(path).expect("a recording");
        let json: Value = serde_json::from_slice(&json).expect("JSON");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let extensions = json["extensions"].as_object().expect("extensions by identifier");
        let mut recording = Recording {
            name: name.to_owned(),
            format: match json["codec"].as_str() {
                Some("VP8") => Format::Vp8,
                Some("VP9") => Format::Vp9,
                Some("H264") => Format::H264,
                Some("AV1") => Format::Av1,
                other => panic!("codec {other:?}"),
            },
            fmtp: text(&json["fmtp"]).expect("parameters"),
            extensions: extensions
                .iter()
                .map(|(id, uri)| (id.parse().expect("an identifier"), text(uri).expect("a URI")))
                .collect(),
            encodings: Vec::new(),
        };
        let number = |value: &Value| u32::try_from(value.as_u64().expect("a number")).expect("32 bits");
        let mut places = BTreeMap::new();
        for stream in json["streams"].as_array().expect("streams") {
            places.insert(Ssrc(number(&stream["ssrc"])), recording.encodings.len());
            let (rid, start) = (text(&stream["rid"]), number(&stream["start"]));
            recording.encodings.push(Encoding { rid, start, packets: Vec::new() });
        }
        let dump = std::fs::read(path.with_extension("rtpdump")).expect("a recording");
        for (at, packet) in packets(&dump) {
            let packet = rtp::Packet::parse(packet).expect("RTP");
            let encoding = &mut recording.encodings[places[&packet.ssrc()]];
            encoding.add(at, &packet);
        }
        assert!(recording.encodings.iter().all(|encoding| encoding.packets.len() > 50), "{name} is whole");
        recording
    }

    /// The identifier of an extension in it.
    pub fn extension(&self, uri: &str) -> Option<u8> {
        self.extensions.iter().find(|(_, known)| known == uri).map(|(id, _)| *id)
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        self.encodings
            .iter()
            .filter_map(|encoding| Some(encoding.packets.last()?.at))
            .max()
            .unwrap_or_default()
    }
}

impl Encoding {
    fn add(&mut self, at: Duration, packet: &rtp::Packet<'_>) {
        let seq = match self.packets.last() {
            Some(last) => SeqNo::extend(last.seq, packet.sequence_number()),
            None => SeqNo(u64::from(packet.sequence_number().0)),
        };
        self.packets.push(Recorded {
            at,
            seq,
            timestamp: packet.timestamp().0,
            marker: packet.marker(),
            extensions: packet.extensions().map(|(id, value)| (id, value.to_vec())).collect(),
            payload: packet.payload().to_vec(),
        });
    }
}

/// The packets of an rtpdump file (rtptools): a line of text, 16 bytes, and of each packet the length
/// with these eight bytes, its own length and the milliseconds since the start.
fn packets(dump: &[u8]) -> impl Iterator<Item = (Duration, &[u8])> {
    let line = dump.iter().position(|byte| *byte == b'\n').expect("a first line");
    assert!(dump.starts_with(b"#!rtpplay1.0 "), "an rtpdump file");
    let mut rest = &dump[line + 1 + 16..];
    std::iter::from_fn(move || {
        let (head, body) = rest.split_first_chunk::<8>()?;
        let len = usize::from(u16::from_be_bytes([head[0], head[1]])) - 8;
        let at = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let (packet, next) = body.split_at(len);
        rest = next;
        Some((Duration::from_millis(u64::from(at)), packet))
    })
}
