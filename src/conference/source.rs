//! What a participant publishes: a camera, a microphone, a screen (RFC 7656, section 2.1.1).

use crate::base::time::Instant;
use crate::conference::ids::{ParticipantId, RoomId, SourceId, StreamId, SubscriptionId};
use crate::conference::negotiation::MediaKind;
use crate::conference::reading::{Ingress, Noted};
use crate::forwarding::history::History;
use crate::forwarding::keyframes::Keyframes;
use crate::forwarding::ladder::{Ladder, Meter};
use crate::forwarding::reading::Reader;
use crate::forwarding::reception::Reception;
use crate::forwarding::repair::Missing;
use crate::forwarding::rewrite::Rewriter;
use crate::forwarding::seen::Seen;
use crate::wire::rtp::{self, ExtensionKind, SeqNo, Ssrc};
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
    /// Whether it shows a screen or slides: by its description (`a=content:slides`, RFC 4796), or because the embedder
    /// says so ([`crate::Participant::set_screen`]).
    pub screen: bool,
    /// The publisher's name for it: the track of its msid (RFC 8830), empty if there is none.
    pub track: String,
}

/// A source and its audience.
pub(super) struct Source {
    pub(super) info: SourceInfo,
    /// How the publisher's packets are read.
    pub(super) ingress: Ingress,
    /// The encodings of simulcast in the order that was negotiated; one without.
    pub(super) encodings: SmallVec<[Encoding; 1]>,
    /// What is there of them, as it was measured last.
    pub(super) ladder: Ladder,
    /// Whether any of its video comes.
    pub(super) live: bool,
    /// Whether it fell silent before.
    pub(super) lapsed: bool,
    /// There are as many senders as may be: it is not forwarded.
    pub(super) held_back: bool,
    /// Everybody who receives it now, in the order of the walk.
    pub(super) audience: Vec<Listener>,
    /// Every subscription, receiving or not yet.
    pub(super) subscriptions: Vec<SubscriptionId>,
    /// Number of the last full intra request (RFC 5104, section 4.3.1.1).
    pub(super) fir_seq: u8,
}

/// One encoding of a source: what one stream after the other carries.
#[derive(Debug, Default, Clone, Hash)]
pub(super) struct Encoding {
    pub(super) stream: Option<StreamId>,
    /// The stream before: where the next one goes on.
    pub(super) left: Option<Newest>,
    pub(super) keyframes: Keyframes,
}

/// The newest packet of a stream by its number, and when it came.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Newest {
    pub(super) seq: SeqNo,
    pub(super) timestamp: u32,
    pub(super) at: Instant,
    /// By its place in the engine's list.
    pub(super) codec: u8,
    /// Its sender said that the stream ends with it; a later packet shows that it goes on.
    pub(super) ended: bool,
}

/// A moment in a stream's own time, and when that was.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Moment {
    pub(super) timestamp: u32,
    pub(super) at: Instant,
}

impl Moment {
    /// What a packet's timestamp would be that came at `now`.
    pub(super) fn timestamp_at(&self, now: Instant, clock_rate: u32) -> u32 {
        let passed = u128::from(clock_rate) * (now - self.at).as_micros() / 1_000_000;
        self.timestamp.wrapping_add(passed as u32)
    }
}

impl Newest {
    pub(super) fn moment(&self) -> Moment {
        Moment { timestamp: self.timestamp, at: self.at }
    }
}

impl Source {
    /// The m-line that a packet names.
    pub(super) fn mid_of<'p>(&self, packet: &rtp::Packet<'p>) -> Option<&'p [u8]> {
        packet.extension(self.ingress.id_of(ExtensionKind::Mid)?)
    }

    /// Whether a packet names another place than this encoding: another m-line, another rid.
    pub(super) fn names_another(&self, encoding: u8, packet: &rtp::Packet<'_>) -> bool {
        let other_rid = |rid: &[u8]| !self.ingress.is_rid(encoding, rid);
        self.mid_of(packet).is_some_and(|mid| mid != self.info.mid.as_bytes())
            || self.ingress.rid_of(packet).is_some_and(other_rid)
    }

    /// Reads the extensions of a packet that belongs to an encoding.
    pub(super) fn note(&self, encoding: u8, packet: &rtp::Packet<'_>, place: &mut [u8]) -> Noted {
        self.ingress.note(packet, &self.info.mid, encoding, place)
    }

    /// The streams of its encodings.
    pub(super) fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.encodings.iter().filter_map(|encoding| encoding.stream)
    }

    pub(super) fn encoding(&self, encoding: u8) -> Option<&Encoding> {
        self.encodings.get(usize::from(encoding))
    }

    pub(super) fn encoding_mut(&mut self, encoding: u8) -> Option<&mut Encoding> {
        self.encodings.get_mut(usize::from(encoding))
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
const _: () = assert!(size_of::<Listener>() <= 88);

/// One RTP stream (one SSRC) as it is received.
pub(super) struct Stream {
    pub(super) source: SourceId,
    /// Which of the source's encodings it carries.
    pub(super) encoding: u8,
    pub(super) ssrc: Ssrc,
    pub(super) clock_rate: u32,
    pub(super) history: History,
    pub(super) reader: Reader,
    /// Whether its payloads are encrypted end to end.
    pub(super) opaque: bool,
    /// Of video alone.
    pub(super) meter: Option<Box<Meter>>,
    pub(super) reception: Reception,
    pub(super) counts: Counts,
    pub(super) missing: Missing,
    /// Numbers that came, as themselves or as retransmissions: none passes twice.
    pub(super) seen: Seen,
    /// For the continuation by another stream.
    pub(super) newest: Option<Newest>,
    pub(super) sender_report: Option<SenderClock>,
    /// Whether anything is sent for repair: NACK was negotiated.
    pub(super) nack: bool,
}

/// What is only told of a stream, and changes nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    /// Packets that had come before.
    pub(super) discarded: u64,
    /// Pictures whose last packet came, and key frames whose first one did.
    pub(super) frames: u64,
    pub(super) key_frames: u64,
    /// Requests of ours.
    pub(super) nacks: u32,
    pub(super) plis: u32,
    pub(super) firs: u32,
}

impl Stream {
    /// Whether its sender said that it has ended, and nothing came since.
    pub(super) fn has_ended(&self) -> bool {
        self.newest.is_some_and(|newest| newest.ended)
    }

    /// Its sender says that it has ended: nothing more is expected of it, and its layers are not there. What
    /// was under way is taken as it comes. True unless that was known.
    pub(super) fn end(&mut self) -> bool {
        let Some(newest) = self.newest.as_mut().filter(|newest| !newest.ended) else { return false };
        newest.ended = true;
        self.missing = Missing::default();
        if let Some(meter) = &mut self.meter {
            meter.silence();
        }
        true
    }
}

/// A sender report as it was received: which wall time its timestamp stands for.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct SenderClock {
    pub(super) ntp: u64,
    pub(super) rtp: u32,
    pub(super) arrival: Instant,
}
