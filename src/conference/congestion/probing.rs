//! What proves a path: packets of video once more, which the receiver may lack, or else padding; both on a stream of
//! retransmissions, whose numbers are its own (RFC 4588).

use super::{Cursor, overhead};
use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::egress::{Desk, Sealed, Written, enclose};
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, SubscriptionId};
use crate::conference::participant::SendEntry;
use crate::conference::subscription::UNNEGOTIATED;
use crate::congestion::pacing::Class;
use crate::wire::mux::Ecn;
use crate::wire::rtp::{self, SeqNo};

/// Headers, number and tag of a datagram of padding.
const PADDING_HEADERS: usize = 64;

/// What a probe is made of.
enum Filler {
    Again(SendEntry),
    Padding { key: SubscriptionId, timestamp: u32 },
}

impl Engine {
    /// Writes a packet of a probe, if one is wanted and there is a stream that it can go on.
    pub(in crate::conference) fn write_probe(
        &mut self,
        now: Instant,
        id: ParticipantId,
        name: u64,
        buf: &mut [u8],
    ) -> Option<Written> {
        let wanted = self.participants.get_mut(id)?.egress.congestion.as_mut()?.poll_probe(now)?;
        let filler = self.filler(id)?;
        let name = self.departures.is_some().then_some(name);
        let participant = self.participants.get_mut(id)?;
        let path = participant.path?;
        let overhead = overhead(&path);
        let keys = participant.network.keys()?;
        let egress = &mut participant.egress;
        let mut desk = Desk {
            subscriptions: &mut self.subscriptions,
            sources: &self.sources,
            streams: &self.streams,
            pages: &self.pages,
            sealer: &keys.sealer,
            codecs: &self.config.codecs,
            redundancy: self.redundancy,
            abs_send_time: rtp::AbsSendTime::at(now).to_bytes(),
        };
        let (seq, most) = (egress.transport_seq, buf.len().min(self.config.mtu));
        let (key, left, repeated) = match filler {
            Filler::Again(entry) => match desk.seal(&entry, seq, buf, most, false) {
                Sealed::Datagram(left) => (entry.subscription, left, true),
                _ => return None,
            },
            Filler::Padding { key, timestamp } => {
                // A count of padding has eight bits.
                let count = wanted.saturating_sub(overhead + PADDING_HEADERS).clamp(1, u8::MAX.into());
                let room = buf.get_mut(..most)?;
                (key, desk.pad(key, timestamp, seq, room, count as u8)?, false)
            }
        };
        let size = left.len + overhead;
        if egress.on_left(now, left, size, name, true) {
            desk.leave_out(key);
        }
        let ecn = egress.ecn(self.config.ecn, path.protocol);
        egress.congestion.as_mut()?.on_probe(now, size, repeated, ecn);
        participant.traffic.on_sent(left.len, 1);
        self.traffic.on_sent(left.len, 1);
        self.tell_decisions(now, id);
        Some(Written { ecn, ..enclose(path, buf, left.len)? })
    }

    /// What a participant can be sent to fill its path.
    fn filler(&mut self, id: ParticipantId) -> Option<Filler> {
        let participant = self.participants.get(id)?;
        let congestion = participant.egress.congestion.as_deref()?;
        let (newest, cursor) = (congestion.newest, congestion.cursor);
        if let Some((entry, cursor)) = newest.and_then(|key| self.again(key, cursor)) {
            self.participants.get_mut(id)?.egress.congestion.as_mut()?.cursor = Some(cursor);
            return Some(Filler::Again(entry));
        }
        let own = participant.subscriptions.iter().copied();
        let key = newest.into_iter().chain(own).find(|key| self.repairs(*key))?;
        let subscription = self.subscriptions.get(key)?;
        let source = self.sources.get(subscription.source)?;
        let listener = subscription.seat.and_then(|seat| source.audience.get(seat))?;
        Some(Filler::Padding { key, timestamp: listener.rewriter.latest_timestamp() })
    }

    /// Whether a subscription receives, and with retransmissions.
    fn repairs(&self, key: SubscriptionId) -> bool {
        self.subscriptions.get(key).is_some_and(|subscription| {
            let types = &subscription.rtx_payload_types;
            subscription.seat.is_some() && types.iter().any(|payload_type| *payload_type != UNNEGOTIATED)
        })
    }

    /// The next packet of a subscription's latest to be sent again, the newest first; from there anew once all were.
    fn again(&self, key: SubscriptionId, cursor: Option<Cursor>) -> Option<(SendEntry, Cursor)> {
        let highest = self.highest_out(key)?;
        let goes_on = cursor.filter(|cursor| cursor.highest == highest).map(|cursor| cursor.next);
        let lowest = highest.0.saturating_sub(limits::PROBE_DEPTH);
        let first = goes_on.map_or(highest.0, |next| next.0);
        let numbers = (lowest..=first).rev().chain((first + 1..=highest.0).rev());
        numbers.into_iter().find_map(|number| {
            let (entry, len) = self.repetition(key, SeqNo(number))?;
            let cursor = Cursor { highest, next: SeqNo(number.saturating_sub(1)) };
            (len > 0 && !entry.emptied).then_some((entry, cursor))
        })
    }
}

impl super::Congestion {
    fn on_probe(&mut self, now: Instant, size: usize, repeated: bool, ecn: Ecn) {
        self.pacer.on_sent(now, Class::Padding, size);
        let counts = &mut self.counts;
        counts.probes += 1;
        counts.probe_bytes += size as u64;
        counts.padding_bytes += if repeated { 0 } else { size as u64 };
        counts.ect1 += u64::from(ecn == Ecn::Ect1);
        if let Some(proving) = &mut self.proving {
            proving.on_probe();
        }
    }
}
