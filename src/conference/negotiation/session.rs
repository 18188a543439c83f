//! What a negotiation results in: the values the packet plane makes its tables from.

use super::{CodecId, CodecSet, FeedbackKind};
use crate::conference::candidate::HostCandidate;
use crate::wire::rtp::ExtensionKind;
use crate::wire::sctp::Init;
use crate::wire::sdp::{Candidate, Feedback, Fingerprint, Mid, Msid, Password};

/// What one participant and the engine agreed on; made by [`Negotiation`](super::Negotiation)
/// alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// How to reach and authenticate the participant; `None` until a section was accepted.
    pub remote: Option<RemoteTransport>,
    /// The accepted media sections, in the order of the description. Rejected ones are left out.
    pub lines: Vec<Line>,
    /// Whether one- and two-byte header extensions may alternate (RFC 8285, section 6).
    pub extmap_allow_mixed: bool,
    /// Whether both sides take packets whose header is encrypted (Cryptex, RFC 9335, section 4).
    pub cryptex: bool,
    /// How either side tells the other what arrived of its packets, for congestion control, if at all.
    pub feedback: Option<FeedbackKind>,
    /// The data channels, if the participant takes them.
    pub data: Option<DataSection>,
}

impl Session {
    /// The line of a mid.
    pub fn line(&self, mid: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.mid.as_str() == mid)
    }

    /// The line that carries one of our slots.
    pub fn line_of_slot(&self, id: u64) -> Option<&Line> {
        let sends = |line: &&Line| line.sends.as_ref().is_some_and(|slot| slot.id == id);
        self.lines.iter().find(sends)
    }
}

/// One accepted media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The place of its `m=` line, 0 for the first.
    pub index: usize,
    /// Its name, unique in the session and never given to another section while this one lives.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
    /// What the participant sends here.
    pub publishes: Option<Box<Publication>>,
    /// Whether the participant takes media here.
    pub receives: bool,
    /// What we send here.
    pub sends: Option<Box<SendSlot>>,
    /// The codecs both know, most preferred first.
    pub payloads: Payloads,
    /// The header extensions both know.
    pub extensions: ExtensionMap,
    /// The RTCP feedback of any of the codecs.
    pub feedback: Feedback,
    /// Whether RTCP packets may stand alone (RFC 5506).
    pub rtcp_rsize: bool,
}

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaKind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

/// A source that the participant sends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publication {
    /// Its stream and track, tokens, if given.
    pub msid: Option<Msid>,
    /// The encodings that are taken of it, in the order of the description; at least one, at most
    /// [`limits::SDP_ENCODINGS`](crate::limits::SDP_ENCODINGS). Where nothing tells the one encoding of
    /// a source, its stream is to be known by its mid.
    pub encodings: Vec<PublishedEncoding>,
    /// The RTCP name of the endpoint, a token, if given.
    pub cname: Option<String>,
    /// Whether it shows a screen or slides (`a=content:slides`, RFC 4796).
    pub screen: bool,
}

/// One encoding of a source that the participant sends: a simulcast encoding, or all there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishedEncoding {
    /// What its packets say in the header extension [`ExtensionKind::Rid`], letters and digits, if it is
    /// known by that (RFC 8853).
    pub rid: Option<String>,
    /// Its SSRC, if it is known by that.
    pub ssrc: Option<u32>,
    /// The SSRC of its retransmissions, if announced.
    pub rtx: Option<u32>,
    /// The payload types, all of the line, that it is restricted to (RFC 8851); empty if it is not.
    pub payload_types: Vec<u8>,
    /// Whether it was paused when the description was made (RFC 8853, section 5.1); it may come at any
    /// time all the same.
    pub paused: bool,
}

/// What we send to the participant: one source on a line of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendSlot {
    /// The owner's name for it, unique among the participant's slots.
    pub id: u64,
    /// Audio or video.
    pub kind: MediaKind,
    /// The codecs that may have to be sent; [`CodecSet::ALL`] if that is not known.
    pub codecs: CodecSet,
    /// The SSRC of the media.
    pub ssrc: u32,
    /// The SSRC of retransmissions; announced if the line has a payload type for them.
    pub rtx: Option<u32>,
    /// What the participant's page sees as stream and track.
    pub msid: Msid,
    /// The RTCP name of all that is to be played in synchrony.
    pub cname: String,
}

/// A codec of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Which of the engine's codecs.
    pub codec: CodecId,
    /// Its payload type, in both directions.
    pub payload_type: u8,
    /// The payload type of its retransmissions (RFC 4588).
    pub rtx: Option<u8>,
    /// Its RTCP feedback.
    pub feedback: Feedback,
    /// Our parameters, as written in `a=fmtp`.
    pub fmtp: String,
}

/// What a payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// Media of a codec.
    Media(CodecId),
    /// Retransmissions of a codec's packets.
    Rtx(CodecId),
}

/// The codecs of a line, in the engine's order of preference; at most
/// [`limits::CODECS`](crate::limits::CODECS), each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payloads(pub(super) Vec<Negotiated>);

impl Payloads {
    /// The codecs, most preferred first.
    pub fn iter(&self) -> impl Iterator<Item = &Negotiated> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a payload type stands for.
    pub fn lookup(&self, payload_type: u8) -> Option<Payload> {
        self.0.iter().find_map(|n| {
            if n.payload_type == payload_type {
                Some(Payload::Media(n.codec))
            } else if n.rtx == Some(payload_type) {
                Some(Payload::Rtx(n.codec))
            } else {
                None
            }
        })
    }

    /// Which codecs they are.
    pub fn codecs(&self) -> CodecSet {
        self.0.iter().fold(CodecSet::NONE, |codecs, negotiated| codecs.with(negotiated.codec))
    }

    /// A codec's entry.
    pub fn get(&self, codec: CodecId) -> Option<&Negotiated> {
        self.0.iter().find(|n| n.codec == codec)
    }

    /// The payload type of a codec.
    pub fn payload_type(&self, codec: CodecId) -> Option<u8> {
        self.get(codec).map(|n| n.payload_type)
    }

    /// The payload type of a codec's retransmissions.
    pub fn rtx_payload_type(&self, codec: CodecId) -> Option<u8> {
        self.get(codec)?.rtx
    }
}

/// The header extensions of a line: ids 1 to 14, by kind and direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtensionMap {
    /// By [`ExtensionKind::index`]; 0 is none.
    pub(super) sent: [u8; ExtensionKind::COUNT],
    pub(super) received: [u8; ExtensionKind::COUNT],
}

impl ExtensionMap {
    /// The id to write on packets to the participant.
    pub fn id_of(&self, kind: ExtensionKind) -> Option<u8> {
        let id = self.sent.get(kind.index()).copied()?;
        (id != 0).then_some(id)
    }

    /// What an id on the participant's packets means.
    pub fn kind_of(&self, id: u8) -> Option<ExtensionKind> {
        let found = |kind: &ExtensionKind| self.received.get(kind.index()) == Some(&id);
        ExtensionKind::ALL.into_iter().find(|kind| id != 0 && found(kind))
    }

    /// Whether packets of the participant may carry it.
    pub fn receives(&self, kind: ExtensionKind) -> bool {
        self.received.get(kind.index()).is_some_and(|id| *id != 0)
    }

    pub(super) fn remove(&mut self, kind: ExtensionKind) {
        for ids in [&mut self.sent, &mut self.received] {
            if let Some(slot) = ids.get_mut(kind.index()) {
                *slot = 0;
            }
        }
    }

    /// The id in either direction.
    pub(super) fn any(&self, kind: ExtensionKind) -> Option<u8> {
        let received = self.received.get(kind.index()).copied()?;
        self.id_of(kind).or((received != 0).then_some(received))
    }

    pub(super) fn insert(&mut self, kind: ExtensionKind, id: u8, sent: bool, received: bool) {
        if let Some(slot) = self.sent.get_mut(kind.index()).filter(|_| sent) {
            *slot = id;
        }
        if let Some(slot) = self.received.get_mut(kind.index()).filter(|_| received) {
            *slot = id;
        }
    }
}

/// How to reach and authenticate the participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteTransport {
    /// Its ICE credentials.
    pub credentials: Credentials,
    /// The hashes of its certificate in functions we know (SHA-256, -384, -512), each of the right
    /// length; at least one.
    pub fingerprints: Vec<Fingerprint>,
    /// Our role in the DTLS handshake.
    pub role: DtlsRole,
    /// Its UDP candidates for RTP; others are left out, since it is always the participant that opens a
    /// TCP connection.
    pub candidates: Vec<Candidate>,
    /// Whether it is an ICE-lite agent.
    pub ice_lite: bool,
    /// By which ICE options it knows DTLS in STUN ([`sped::OPTIONS`](crate::sped::OPTIONS)).
    pub sped: Vec<&'static str>,
}

/// ICE credentials (RFC 8445, section 5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user fragment: at least 4 characters safe in a STUN username.
    pub ufrag: String,
    /// The password: at least 22 characters.
    pub pwd: Password,
}

/// Our role in a DTLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsRole {
    /// We wait for the handshake.
    Server,
    /// We begin the handshake.
    Client,
}

/// Our side of the transport, as told by the caller for each description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTransport {
    /// The ICE credentials in use.
    pub credentials: Credentials,
    /// Those to answer an ICE restart with; without them the old ones stay.
    pub restart: Option<Credentials>,
    /// The fingerprint of our certificate, as in `a=fingerprint`.
    pub fingerprint: Fingerprint,
    /// Our candidates, the most preferred of each protocol first; UDP is preferred to all of TCP.
    pub candidates: Vec<HostCandidate>,
    /// Whether we are an ICE-lite agent; with a participant that is one, we are not and do not say so.
    pub ice_lite: bool,
    /// How our SCTP begins: said to who says the same of its own.
    pub sctp_init: Init,
}

/// The data channels of a description (RFC 8841).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSection {
    /// The place of its `m=` line.
    pub index: usize,
    /// The participant's SCTP port, 5000 if it is not given.
    pub sctp_port: u16,
    /// The largest message the participant takes, in bytes; 0 means any. 65,536 if it is not given.
    pub max_message_size: u64,
    /// How the participant's SCTP begins, if it says so (SNAP, draft-hancke-tsvwg-snap-00).
    pub init: Option<Init>,
}

impl DataSection {
    /// Our SCTP port, and everybody's.
    pub(crate) const PORT: u16 = 5_000;

    /// One that we offer.
    pub(super) fn new(index: usize) -> DataSection {
        DataSection { index, sctp_port: Self::PORT, max_message_size: 65_536, init: None }
    }
}
