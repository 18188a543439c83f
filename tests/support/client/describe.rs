//! A client's descriptions: offers written by hand as a browser would, answers to the server's.

use super::ice::Credentials;
use super::publish::{
    ABS_SEND_TIME, AUDIO_LEVEL, COLOR_SPACE, MID, OPUS, Publisher, TRANSPORT_CC, VP8, VP8_RTX,
};
use super::receive::Announced;
use estafette::negotiation::FeedbackKind;
use estafette::rtp::{ExtensionKind, Ssrc};
use estafette::sdp::{self, Description, Kind};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// A video codec, as `a=rtpmap` and `a=fmtp` name it.
#[derive(Debug, Clone)]
pub struct VideoCodec {
    pub name: &'static str,
    pub fmtp: String,
}

const EXTENSIONS: [(u8, &str); 5] = [
    (AUDIO_LEVEL, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
    (ABS_SEND_TIME, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
    (TRANSPORT_CC, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"),
    (MID, "urn:ietf:params:rtp-hdrext:sdes:mid"),
    (COLOR_SPACE, "http://www.webrtc.org/experiments/rtp-hdrext/color-space"),
];

/// What the server's description says of its transport.
#[derive(Debug, Clone)]
pub struct Server {
    pub credentials: Credentials,
    pub fingerprint: String,
    pub candidate: Option<SocketAddr>,
}

/// One media section, as this client sees it.
#[derive(Debug, Clone)]
struct Line {
    mid: String,
    video: bool,
    /// Data channels, and no media.
    data: bool,
    rejected: bool,
    payload_type: u8,
    rtx_payload_type: Option<u8>,
    /// Of redundant audio (RFC 2198).
    red_payload_type: Option<u8>,
    extensions: Vec<(u8, String)>,
    /// Whether the server sends and receives on it.
    sends: bool,
    receives: bool,
}

impl Line {
    fn own(video: bool) -> Self {
        Line {
            mid: if video { "1" } else { "0" }.into(),
            video,
            data: false,
            rejected: false,
            payload_type: if video { VP8 } else { OPUS },
            rtx_payload_type: video.then_some(VP8_RTX),
            red_payload_type: None,
            extensions: EXTENSIONS.iter().map(|(id, uri)| (*id, (*uri).to_owned())).collect(),
            sends: true,
            receives: true,
        }
    }
}

/// The state of a client's negotiation.
pub struct Describe {
    lines: Vec<Line>,
    version: u32,
    pub fingerprint: String,
    pub server: Option<Server>,
    /// The codec of all video lines.
    pub codec: VideoCodec,
    /// The encodings that the server wants, if it agreed to simulcast.
    pub simulcast: Option<Vec<String>>,
    /// What the server sends, by its last description.
    pub announced: Vec<Announced>,
    /// Whether this client says that it takes encrypted headers (RFC 9335).
    pub cryptex: bool,
    /// The kinds of congestion control feedback that this client knows.
    pub feedback: Vec<FeedbackKind>,
    /// The one that an answer of its own names.
    answers: Option<FeedbackKind>,
    /// Whether this client takes nothing for the time being.
    pub hold: bool,
    /// Whether this client takes header extensions of either form (RFC 8285, section 6).
    pub mixed: bool,
    /// Whether this client takes data channels that it is asked for.
    pub data: bool,
    /// Whether both sides said that they take encrypted headers.
    pub cryptex_agreed: bool,
    /// The text of the last server description, for tests that look closer.
    pub last: String,
}

impl Describe {
    pub fn new(fingerprint: String) -> Self {
        let lines = vec![Line::own(false), Line::own(true)];
        Describe {
            lines,
            version: 0,
            fingerprint,
            server: None,
            codec: VideoCodec { name: "VP8", fmtp: String::new() },
            simulcast: None,
            announced: Vec::new(),
            cryptex: false,
            feedback: vec![FeedbackKind::TransportWide, FeedbackKind::Remb],
            answers: None,
            hold: false,
            mixed: true,
            data: true,
            cryptex_agreed: false,
            last: String::new(),
        }
    }

    /// Offers data channels on a line of their own.
    pub fn offer_data(&mut self) {
        let mid = self.lines.len().to_string();
        self.lines.push(Line { mid, data: true, ..Line::own(false) });
    }

    /// Offers more header extensions on the video line of its own; its identifiers go on from those of
    /// the lines.
    pub fn offer_extensions<'a>(&mut self, uris: impl IntoIterator<Item = &'a str>) {
        let extensions = &mut self.lines[1].extensions;
        for uri in uris {
            if !extensions.iter().any(|(_, known)| known == uri) {
                let id = extensions.iter().map(|(id, _)| id + 1).max().unwrap_or(1);
                extensions.push((id, uri.to_owned()));
            }
        }
    }

    /// Numbers Opus, its retransmissions and redundant audio on the audio line of its own; without a number it
    /// does not take them.
    pub fn number_audio(&mut self, opus: u8, rtx: Option<u8>, red: Option<u8>) {
        let line = &mut self.lines[0];
        (line.payload_type, line.rtx_payload_type, line.red_payload_type) = (opus, rtx, red);
    }

    /// The identification tag and the header extensions of the video line of its own.
    pub fn published_video(&self) -> Option<(&str, &[(u8, String)])> {
        let line = self.lines.get(1).filter(|line| !line.rejected)?;
        Some((&line.mid, &line.extensions))
    }

    pub fn offer(&mut self, local: &Credentials, publisher: &Publisher) -> String {
        self.write(local, publisher, "actpass", true)
    }

    pub fn accept_answer(&mut self, sdp: &str) {
        self.take(sdp);
    }

    pub fn accept_offer(&mut self, sdp: &str, local: &Credentials, publisher: &Publisher) -> String {
        self.take(sdp);
        self.write(local, publisher, "active", false)
    }

    /// Takes sections, transport and streams of a server's description.
    fn take(&mut self, sdp: &str) {
        let description = Description::parse(sdp).unwrap_or_else(|error| panic!("{error}\n{sdp}"));
        self.last = sdp.to_owned();
        self.announced.clear();
        self.answers = FeedbackKind::ALL.into_iter().find(|kind| self.knows(*kind, &description));
        let mut accepted = description.media.iter().filter(|media| !media.rejected());
        self.cryptex_agreed = self.cryptex && accepted.all(|media| media.cryptex);
        for (at, media) in description.media.iter().enumerate() {
            if self.lines.len() <= at {
                let data = media.kind == Kind::Application;
                self.lines.push(Line { data, ..Line::own(media.kind == Kind::Video) });
            }
            let takes_red = self.lines[0].red_payload_type.is_some();
            let line = &mut self.lines[at];
            line.mid = media.mid.as_ref().map(|mid| mid.as_str().to_owned()).unwrap_or_default();
            line.rejected = media.rejected() || line.data && !self.data;
            (line.sends, line.receives) = (media.direction.sends(), media.direction.receives());
            if line.data {
                continue;
            }
            line.extensions = media.extmaps.iter().map(|extmap| (extmap.id, extmap.uri.clone())).collect();
            if at == 1 {
                let first = |list: &Vec<sdp::Alternative>| list.first().map(|one| one.rid.clone());
                let simulcast = media.simulcast.as_ref().map(|simulcast| &simulcast.receive);
                let rids: Option<Vec<_>> = simulcast.map(|lists| lists.iter().filter_map(first).collect());
                self.simulcast = rids.filter(|rids| !rids.is_empty());
            }
            let wanted = if line.video { self.codec.name } else { "opus" };
            let codec = media.codecs.iter().find(|codec| codec.is(wanted));
            let Some(codec) = codec.filter(|_| !line.rejected) else { continue };
            line.payload_type = codec.payload_type;
            let repairs = |other: &&sdp::Codec| other.repairs() == Some(codec.payload_type);
            line.rtx_payload_type = media.codecs.iter().find(repairs).map(|rtx| rtx.payload_type);
            let red = media.codecs.iter().find(|codec| takes_red && codec.is("red"));
            line.red_payload_type = red.map(|red| red.payload_type);
            if line.sends {
                self.announced.extend(announced(line, media));
            }
        }
        let transport =
            description.media.iter().find(|media| !media.rejected()).map(|media| &media.transport);
        let transport = transport.expect("at least one section is accepted");
        let candidate = transport.candidates.first().map(|candidate| candidate.address);
        self.server = Some(Server {
            credentials: Credentials {
                ufrag: transport.ufrag.clone().expect("a user fragment"),
                pwd: transport.pwd.as_ref().expect("a password").as_str().to_owned(),
            },
            fingerprint: fingerprint(&transport.fingerprints[0]),
            candidate: candidate.or(self.server.as_ref().and_then(|server| server.candidate)),
        });
    }

    /// Whether a kind of feedback is the server's, too.
    fn knows(&self, kind: FeedbackKind, theirs: &Description) -> bool {
        let mut codecs = theirs.media.iter().flat_map(|media| &media.codecs);
        self.feedback.contains(&kind)
            && match kind {
                FeedbackKind::Ccfb => theirs.media.iter().all(|media| media.ccfb),
                FeedbackKind::TransportWide => codecs.any(|codec| codec.feedback.transport_cc),
                _ => codecs.any(|codec| codec.feedback.remb),
            }
    }

    fn write(&mut self, local: &Credentials, publisher: &Publisher, setup: &str, offer: bool) -> String {
        self.version += 1;
        let mut sdp = format!(
            "v=0\r\no=- 46117{} {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
            local.ufrag.len(),
            self.version
        );
        let mids: Vec<&str> =
            self.lines.iter().filter(|line| !line.rejected).map(|line| line.mid.as_str()).collect();
        let _ = write!(
            sdp,
            "a=group:BUNDLE {}\r\n{}a=msid-semantic: WMS *\r\n",
            mids.join(" "),
            if self.mixed { "a=extmap-allow-mixed\r\n" } else { "" }
        );
        for (at, line) in self.lines.iter().enumerate() {
            if line.data {
                self.data_section(&mut sdp, line, local, setup);
                continue;
            }
            // The first two sections are this client's own, the rest the server asked for.
            let publishes = at < 2 && if line.video { publisher.plan.video } else { publisher.plan.audio };
            let (sends, receives) =
                if offer { (publishes, true) } else { (publishes && line.receives, line.sends) };
            let receives = receives && !self.hold;
            let feedback = if offer { self.feedback.clone() } else { self.answers.into_iter().collect() };
            self.section(&mut sdp, line, publisher, (sends, receives), local, (setup, &feedback));
            let simulcast = publisher.plan.encodings > 1 && publisher.replay.is_none();
            if simulcast && sends && line.video && (offer || self.simulcast.is_some()) {
                publisher.describe_simulcast(&mut sdp);
            }
            if let Some(replay) = publisher.replay.as_ref().filter(|_| sends && line.video) {
                replay.describe(&mut sdp, offer || self.simulcast.is_some());
            }
        }
        sdp
    }

    fn data_section(&self, sdp: &mut String, line: &Line, local: &Credentials, setup: &str) {
        let port = if line.rejected { 0 } else { 9 };
        let _ = write!(
            sdp,
            "m=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
             a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=ice-options:trickle\r\na=fingerprint:{}\r\na=setup:{setup}\r\n\
             a=mid:{}\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n",
            local.ufrag, local.pwd, self.fingerprint, line.mid
        );
    }

    fn section(
        &self,
        sdp: &mut String,
        line: &Line,
        publisher: &Publisher,
        (sends, receives): (bool, bool),
        local: &Credentials,
        (setup, feedback): (&str, &[FeedbackKind]),
    ) {
        let (kind, pt, rtx) =
            (if line.video { "video" } else { "audio" }, line.payload_type, line.rtx_payload_type);
        let types = [Some(pt), rtx, line.red_payload_type].into_iter().flatten();
        let list = types.map(|payload_type| payload_type.to_string()).collect::<Vec<_>>().join(" ");
        let port = if line.rejected { 0 } else { 9 };
        let _ = write!(
            sdp,
            "m={kind} {port} UDP/TLS/RTP/SAVPF {list}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
        );
        let _ = write!(
            sdp,
            "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=ice-options:trickle\r\n",
            local.ufrag, local.pwd
        );
        let _ =
            write!(sdp, "a=fingerprint:{}\r\na=setup:{setup}\r\na=mid:{}\r\n", self.fingerprint, line.mid);
        if self.cryptex {
            sdp.push_str("a=cryptex\r\n");
        }
        let numbered = |uri: &str| uri == ExtensionKind::TransportSequenceNumber.uri();
        let by_stream = feedback == [FeedbackKind::Ccfb];
        for (id, uri) in line.extensions.iter().filter(|(_, uri)| !by_stream || !numbered(uri)) {
            let _ = write!(sdp, "a=extmap:{id} {uri}\r\n");
        }
        let direction = match (sends, receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        };
        let _ = write!(sdp, "a={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n");
        for kind in feedback {
            let _ = match kind {
                FeedbackKind::Ccfb => write!(sdp, "a=rtcp-fb:* ack ccfb\r\n"),
                FeedbackKind::TransportWide => write!(sdp, "a=rtcp-fb:{pt} transport-cc\r\n"),
                _ if line.video => write!(sdp, "a=rtcp-fb:{pt} goog-remb\r\n"),
                _ => Ok(()),
            };
        }
        if line.video {
            let _ = write!(sdp, "a=rtpmap:{pt} {}/90000\r\n", self.codec.name);
            if !self.codec.fmtp.is_empty() {
                let _ = write!(sdp, "a=fmtp:{pt} {}\r\n", self.codec.fmtp);
            }
            let _ =
                write!(sdp, "a=rtcp-fb:{pt} ccm fir\r\na=rtcp-fb:{pt} nack\r\na=rtcp-fb:{pt} nack pli\r\n");
            if let Some(rtx) = rtx {
                let _ = write!(sdp, "a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={pt}\r\n");
            }
        } else {
            let _ = write!(sdp, "a=rtpmap:{pt} opus/48000/2\r\n");
            let _ = write!(sdp, "a=fmtp:{pt} minptime=10;useinbandfec=1\r\n");
            if let Some(rtx) = rtx {
                let _ = write!(
                    sdp,
                    "a=rtcp-fb:{pt} nack\r\na=rtpmap:{rtx} rtx/48000\r\na=fmtp:{rtx} apt={pt}\r\n"
                );
            }
            if let Some(red) = line.red_payload_type {
                let _ = write!(sdp, "a=rtpmap:{red} red/48000/2\r\na=fmtp:{red} {pt}/{pt}\r\n");
            }
        }
        if sends {
            let outgoing = if line.video { &publisher.video } else { &publisher.audio };
            let (ssrc, rtx) = (outgoing.ssrc.0, outgoing.rtx_ssrc.0);
            let _ = write!(sdp, "a=msid:camera {kind}-track\r\n");
            if line.video && (publisher.replay.is_some() || publisher.plan.encodings > 1) {
                return;
            }
            if line.video {
                let _ = write!(sdp, "a=ssrc-group:FID {ssrc} {rtx}\r\na=ssrc:{rtx} cname:secret-cname\r\n");
            }
            let _ = write!(sdp, "a=ssrc:{ssrc} cname:secret-cname\r\n");
        }
    }
}

/// The streams of a section on which the server sends.
fn announced(line: &Line, media: &sdp::Media) -> Option<Announced> {
    let groups = media.stream_groups.iter().find(|group| group.semantics == "FID").map(|group| &group.ssrcs);
    let rtx = groups.and_then(|ssrcs| ssrcs.get(1)).copied();
    let first = media.streams.iter().find(|stream| Some(stream.ssrc) != rtx)?;
    let msid = media.msid.as_ref().or(first.msid.as_ref())?;
    Some(Announced {
        ssrc: Ssrc(first.ssrc),
        rtx_ssrc: rtx.map(Ssrc),
        stream: msid.stream.clone(),
        video: line.video,
        payload_type: line.payload_type,
        rtx_payload_type: line.rtx_payload_type,
        extensions: line.extensions.clone(),
    })
}

fn fingerprint(from: &sdp::Fingerprint) -> String {
    let bytes: Vec<String> = from.bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("{} {}", from.algorithm, bytes.join(":"))
}
