//! A participant's session descriptions: one offer as a page makes it, and answers to the server's.

use crate::camera::ENCODINGS;
use crate::receiver::Announced;
use estafette::rtp::Ssrc;
use estafette::sdp::{Description, Fingerprint, Kind, Media, ParseError};
use estafette::{Protocol, dtls, ice};
use std::fmt::{self, Write as _};
use std::net::SocketAddr;

/// Payload types and extension identifiers; the server keeps to what the first offer says.
pub const OPUS: u8 = 111;
pub const VP8: u8 = 96;
pub const VP8_RTX: u8 = 97;
pub const AUDIO_LEVEL: u8 = 1;
pub const TRANSPORT_NUMBER: u8 = 2;
pub const MID: u8 = 3;
pub const RID: u8 = 4;
pub const REPAIRED_RID: u8 = 5;

/// The m-lines of the microphone and of the camera.
pub const AUDIO_MID: &str = "0";
pub const VIDEO_MID: &str = "1";

const EXTENSIONS: [(u8, &str); 5] = [
    (AUDIO_LEVEL, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
    (TRANSPORT_NUMBER, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"),
    (MID, "urn:ietf:params:rtp-hdrext:sdes:mid"),
    (RID, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
    (REPAIRED_RID, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"),
];

/// What the server says of its transport.
pub struct Remote {
    pub credentials: ice::Credentials,
    pub fingerprint: dtls::Fingerprint,
    /// Where it takes UDP, best first.
    pub candidates: Vec<SocketAddr>,
}

/// Why a description of the server's cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    Syntax(ParseError),
    Missing(&'static str),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Syntax(error) => write!(f, "the server's description: {error}"),
            Unusable::Missing(what) => write!(f, "the server's description lacks {what}"),
        }
    }
}

struct Line {
    mid: String,
    video: bool,
    rejected: bool,
    /// Whether this side sends and receives on it.
    sends: bool,
    receives: bool,
}

/// The state of a participant's negotiation.
pub struct Local {
    pub ufrag: String,
    pub pwd: String,
    pub fingerprint: String,
    /// The SSRC of the microphone; streams of the camera are told apart by their rids.
    pub audio_ssrc: Ssrc,
    camera: bool,
    lines: Vec<Line>,
    version: u32,
}

/// What a description of the server's brings.
pub struct Taken {
    pub remote: Remote,
    pub announced: Vec<Announced>,
    /// The encodings that it takes.
    pub rids: Vec<String>,
}

impl Local {
    pub fn new(
        credentials: &ice::Credentials,
        fingerprint: &dtls::Fingerprint,
        audio_ssrc: Ssrc,
        camera: bool,
    ) -> Local {
        let line = |mid: &str, video, sends| {
            let (mid, rejected, receives) = (mid.to_owned(), false, true);
            Line { mid, video, rejected, sends, receives }
        };
        Local {
            ufrag: credentials.ufrag().to_owned(),
            pwd: credentials.pwd().to_owned(),
            fingerprint: fingerprint.to_string(),
            audio_ssrc,
            camera,
            lines: vec![line(AUDIO_MID, false, true), line(VIDEO_MID, true, camera)],
            version: 0,
        }
    }

    /// The first description.
    pub fn offer(&mut self) -> String {
        self.write("actpass")
    }

    /// The answer to what was taken last.
    pub fn answer(&mut self) -> String {
        self.write("active")
    }

    /// Takes an answer or an offer.
    pub fn take(&mut self, text: &str) -> Result<Taken, Unusable> {
        let description = Description::parse(text).map_err(Unusable::Syntax)?;
        let mut announced = Vec::new();
        for (at, media) in description.media.iter().enumerate() {
            let own = at < 2 && (media.kind == Kind::Audio || self.camera);
            let line = Line {
                mid: media.mid.as_ref().map(|mid| mid.as_str().to_owned()).unwrap_or_default(),
                video: media.kind == Kind::Video,
                rejected: media.rejected(),
                sends: own && media.direction.receives(),
                receives: media.direction.sends(),
            };
            announced.extend(announced_by(media).filter(|_| !line.rejected && line.receives));
            match self.lines.get_mut(at) {
                Some(known) => *known = line,
                None => self.lines.push(line),
            }
        }
        let accepted = description.media.iter().find(|media| !media.rejected());
        let remote = remote(accepted.ok_or(Unusable::Missing("a line that is accepted"))?)?;
        let simulcast = description.media.get(1).and_then(|media| media.simulcast.as_ref());
        let rids = simulcast.iter().flat_map(|simulcast| &simulcast.receive).filter_map(|list| list.first());
        let rids = rids.map(|one| one.rid.clone()).collect();
        Ok(Taken { remote, announced, rids })
    }

    fn write(&mut self, setup: &str) -> String {
        self.version += 1;
        let mids: Vec<&str> =
            self.lines.iter().filter(|line| !line.rejected).map(|line| line.mid.as_str()).collect();
        let mut sdp = format!(
            "v=0\r\no=- 1 {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n\
             a=extmap-allow-mixed\r\na=msid-semantic: WMS *\r\n",
            self.version,
            mids.join(" ")
        );
        for (at, line) in self.lines.iter().enumerate() {
            self.section(&mut sdp, line, setup);
            if line.sends && line.video && at < 2 {
                let rids = ENCODINGS.map(|encoding| encoding.rid);
                rids.iter().for_each(|rid| _ = write!(sdp, "a=rid:{rid} send\r\n"));
                let _ = write!(sdp, "a=simulcast:send {}\r\n", rids.join(";"));
            }
        }
        sdp
    }

    fn section(&self, sdp: &mut String, line: &Line, setup: &str) {
        let Local { ufrag, pwd, fingerprint, audio_ssrc, .. } = self;
        let (kind, types) =
            if line.video { ("video", format!("{VP8} {VP8_RTX}")) } else { ("audio", OPUS.to_string()) };
        let (port, mid) = (if line.rejected { 0 } else { 9 }, &line.mid);
        let direction = match (line.sends, line.receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        };
        let _ = write!(
            sdp,
            "m={kind} {port} UDP/TLS/RTP/SAVPF {types}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=ice-options:trickle\r\n\
             a=fingerprint:{fingerprint}\r\na=setup:{setup}\r\na=mid:{mid}\r\n\
             a={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"
        );
        let used = |id: u8| if line.video { id != AUDIO_LEVEL } else { id < RID };
        for (id, uri) in EXTENSIONS.into_iter().filter(|(id, _)| used(*id)) {
            let _ = write!(sdp, "a=extmap:{id} {uri}\r\n");
        }
        let _ = if line.video {
            write!(
                sdp,
                "a=rtpmap:{VP8} VP8/90000\r\na=rtcp-fb:{VP8} transport-cc\r\na=rtcp-fb:{VP8} ccm fir\r\n\
                 a=rtcp-fb:{VP8} nack\r\na=rtcp-fb:{VP8} nack pli\r\na=rtpmap:{VP8_RTX} rtx/90000\r\n\
                 a=fmtp:{VP8_RTX} apt={VP8}\r\n"
            )
        } else {
            write!(
                sdp,
                "a=rtpmap:{OPUS} opus/48000/2\r\na=rtcp-fb:{OPUS} transport-cc\r\n\
                 a=fmtp:{OPUS} minptime=10;useinbandfec=1;usedtx=1\r\n"
            )
        };
        if line.sends {
            let _ = write!(sdp, "a=msid:load {kind}\r\n");
        }
        if line.sends && !line.video {
            let _ = write!(sdp, "a=ssrc:{} cname:load\r\n", audio_ssrc.0);
        }
    }
}

/// The stream that the server sends in a section.
fn announced_by(media: &Media) -> Option<Announced> {
    let group = media.stream_groups.iter().find(|group| group.semantics == "FID");
    let rtx = group.and_then(|group| group.ssrcs.get(1)).copied();
    let stream = media.streams.iter().find(|stream| Some(stream.ssrc) != rtx)?;
    let msid = media.msid.as_ref().or(stream.msid.as_ref())?;
    Some(Announced {
        ssrc: Ssrc(stream.ssrc),
        rtx_ssrc: rtx.map(Ssrc),
        publisher: msid.stream.clone(),
        track: msid.track.clone(),
        video: media.kind == Kind::Video,
    })
}

fn remote(media: &Media) -> Result<Remote, Unusable> {
    let transport = &media.transport;
    let ufrag = transport.ufrag.as_ref().ok_or(Unusable::Missing("a user fragment"))?;
    let pwd = transport.pwd.as_ref().ok_or(Unusable::Missing("a password"))?;
    let credentials = ice::Credentials::new(ufrag, pwd.as_str());
    let fingerprint = transport.fingerprints.first().map(written).unwrap_or_default();
    let over_udp = transport.candidates.iter().filter(|candidate| candidate.protocol == Protocol::Udp);
    Ok(Remote {
        credentials: credentials.map_err(|_| Unusable::Missing("usable credentials"))?,
        fingerprint: dtls::Fingerprint::parse(&fingerprint)
            .map_err(|_| Unusable::Missing("a usable fingerprint"))?,
        candidates: over_udp.map(|candidate| candidate.address).collect(),
    })
}

fn written(fingerprint: &Fingerprint) -> String {
    let bytes: Vec<String> = fingerprint.bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("{} {}", fingerprint.algorithm, bytes.join(":"))
}
