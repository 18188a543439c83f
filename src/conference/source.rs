//! What a participant publishes: a camera, a microphone, a screen (RFC 7656, section 2.1.1).

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::ids::{ParticipantId, RoomId, SourceId, StreamId, SubscriptionId};
use crate::conference::negotiation::CodecId;
use crate::conference::negotiation::{MediaKind, Payload};
use crate::forwarding::history::History;
use crate::forwarding::keyframes::Keyframes;
use crate::forwarding::reception::Reception;
use crate::forwarding::repair::Missing;
use crate::forwarding::rewrite::Rewriter;
use crate::forwarding::seen::Seen;
use crate::wire::rtp::{ExtensionKind, PayloadType, SeqNo, Ssrc};
use smallvec::SmallVec;

/// What the embedder is told of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceInfo {
    /// Its id.
    pub id: SourceId,
    /// Where it is published.
    pub room: RoomId,
    /// Who publishes it.
    pub participant: ParticipantId,
    /// Counts what its publisher ever published. To those who receive it the source is the track
    /// `s` and this number of the stream `p` and the publisher's label (msid, RFC 8830).
    pub number: u32,
    /// Audio or video.
    pub kind: MediaKind,
    /// The m-line it is published on (RFC 8843), at its publisher.
    pub mid: String,
    /// The publisher's name for it: the track of its msid (RFC 8830), empty if there is none.
    pub track: String,
}

/// A source and its audience.
pub(super) struct Source {
    pub(super) info: SourceInfo,
    /// How the publisher's packets are read.
    pub(super) ingress: Ingress,
    pub(super) stream: Option<StreamId>,
    /// Everybody who receives it now, in the order of the walk.
    pub(super) audience: Vec<Listener>,
    /// Every subscription, receiving or not yet.
    pub(super) subscriptions: Vec<SubscriptionId>,
    pub(super) keyframes: Keyframes,
    /// Number of the last full intra request (RFC 5104, section 4.3.1.1).
    pub(super) fir_seq: u8,
}

/// No payload type, no extension.
const NONE: u8 = 0xff;
/// Set in a payload type's entry that stands for retransmissions.
const RTX: u8 = 0x80;

/// How a publisher's packets are read: small tables derived from its session once.
#[derive(Debug, Clone)]
pub(super) struct Ingress {
    payloads: Box<[u8; 128]>,
    /// Extension kinds by id; ids above 14 are not negotiated.
    kinds: [u8; 15],
    ids: [u8; ExtensionKind::COUNT],
    clock_rates: [u32; limits::CODECS],
    ssrcs: SmallVec<[Ssrc; 2]>,
    pub(super) nack: bool,
    pub(super) pli: bool,
    pub(super) fir: bool,
}

impl Ingress {
    /// A table without any payload type.
    pub(super) fn new(clock_rates: [u32; limits::CODECS], ssrcs: SmallVec<[Ssrc; 2]>) -> Self {
        Ingress {
            payloads: Box::new([NONE; 128]),
            kinds: [NONE; 15],
            ids: [0; ExtensionKind::COUNT],
            clock_rates,
            ssrcs,
            nack: false,
            pli: false,
            fir: false,
        }
    }

    pub(super) fn set_payload(&mut self, payload_type: u8, payload: Payload) {
        let entry = match payload {
            Payload::Media(codec) => codec.0,
            Payload::Rtx(codec) => codec.0 | RTX,
        };
        if let Some(slot) = self.payloads.get_mut(usize::from(payload_type)) {
            *slot = entry;
        }
    }

    pub(super) fn set_extension(&mut self, id: u8, kind: ExtensionKind) {
        if let Some(slot) = self.kinds.get_mut(usize::from(id)) {
            // There are far fewer than 255 kinds.
            *slot = kind.index() as u8;
            if let Some(slot) = self.ids.get_mut(kind.index()) {
                *slot = id;
            }
        }
    }

    fn entry(&self, payload_type: PayloadType) -> u8 {
        self.payloads.get(usize::from(payload_type.get())).copied().unwrap_or(NONE)
    }

    pub(super) fn payload(&self, payload_type: PayloadType) -> Option<Payload> {
        match self.entry(payload_type) {
            NONE => None,
            entry if entry & RTX != 0 => Some(Payload::Rtx(CodecId(entry & !RTX))),
            entry => Some(Payload::Media(CodecId(entry))),
        }
    }

    /// The codec of a media packet, as an index into the engine's list.
    #[inline]
    pub(super) fn codec(&self, payload_type: PayloadType) -> Option<u8> {
        Some(self.entry(payload_type)).filter(|entry| entry & RTX == 0)
    }

    /// The codec that a retransmission's payload type repairs.
    pub(super) fn repaired_codec(&self, payload_type: PayloadType) -> Option<u8> {
        Some(self.entry(payload_type))
            .filter(|entry| *entry != NONE && entry & RTX != 0)
            .map(|entry| entry & !RTX)
    }

    #[inline]
    pub(super) fn kind_of(&self, id: u8) -> Option<ExtensionKind> {
        let kind = self.kinds.get(usize::from(id)).copied().filter(|kind| *kind != NONE)?;
        ExtensionKind::ALL.get(usize::from(kind)).copied()
    }

    pub(super) fn id_of(&self, kind: ExtensionKind) -> Option<u8> {
        self.ids.get(kind.index()).copied().filter(|id| *id != 0)
    }

    pub(super) fn clock_rate(&self, payload_type: PayloadType) -> Option<u32> {
        let codec = usize::from(self.codec(payload_type)?);
        self.clock_rates.get(codec).copied().filter(|rate| *rate > 0)
    }

    pub(super) fn signalled(&self, ssrc: Ssrc) -> bool {
        self.ssrcs.contains(&ssrc)
    }
}

/// One subscription as the fan-out sees it: small, walked in order.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Listener {
    pub(super) subscription: SubscriptionId,
    pub(super) subscriber: ParticipantId,
    pub(super) rewriter: Rewriter,
}

// The walk over an audience reads one after the other: they stay small.
const _: () = assert!(size_of::<Listener>() <= 72);

/// One RTP stream (one SSRC) as it is received.
pub(super) struct Stream {
    pub(super) source: SourceId,
    pub(super) ssrc: Ssrc,
    pub(super) clock_rate: u32,
    pub(super) history: History,
    pub(super) reception: Reception,
    pub(super) missing: Missing,
    /// Numbers that came, as themselves or as retransmissions: none passes twice.
    pub(super) seen: Seen,
    /// The newest packet by number, for the continuation by another stream.
    pub(super) newest: Option<(SeqNo, u32, Instant)>,
    pub(super) sender_report: Option<SenderClock>,
    /// Whether anything is sent for repair: NACK was negotiated.
    pub(super) nack: bool,
}

/// A sender report as it was received: which wall time its timestamp stands for.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct SenderClock {
    pub(super) ntp: u64,
    pub(super) rtp: u32,
    pub(super) arrival: Instant,
}
