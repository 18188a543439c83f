//! The invariants of the threat model as far as they can be seen from outside, checked after every step.

use estafette::mux::{Kind, kind_of};
use estafette::{DropReason, Engine, Instant, ParticipantId, framing, limits, rtp, stun};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What an address received and sent before it answered a check.
#[derive(Debug, Default)]
struct Account {
    received: u64,
    sent: u64,
    /// Of full ICE.
    checks: u64,
    proven: bool,
}

/// Which extended numbers of a stream were used.
#[derive(Debug, Default)]
struct Numbers {
    highest: Option<u64>,
    used: BTreeSet<u64>,
}

impl Numbers {
    /// True if `wire`, extended by the wraps so far, was not used before.
    fn first_use(&mut self, wire: u16) -> bool {
        let highest = self.highest.unwrap_or(u64::from(wire) + 0x1_0000);
        let distance = i64::from(wire.wrapping_sub(highest as u16) as i16);
        let seq = highest.wrapping_add_signed(distance);
        self.highest = Some(highest.max(seq));
        self.used.insert(seq)
    }
}

/// Watches one engine from outside.
#[derive(Default)]
pub struct Watch {
    accounts: BTreeMap<SocketAddr, Account>,
    rtp: BTreeMap<u32, Numbers>,
    rtcp: BTreeSet<(usize, u32)>,
    /// Which association lies behind an address: keys are per association, not per address.
    owners: BTreeMap<SocketAddr, usize>,
    datagrams_sent: u64,
    bytes_sent: u64,
    datagrams_received: u64,
    /// Nothing is lost or reordered on the way to the engine: what it sends has increasing numbers.
    pub in_order: bool,
    /// The engine does full ICE: it also checks what participants name, in a bounded number.
    pub full_ice: bool,
}

impl Watch {
    /// Datagrams to `address` are sealed for `owner` from now on.
    pub fn own(&mut self, address: SocketAddr, owner: usize) {
        self.owners.insert(address, owner);
    }

    pub fn owner(&self, address: SocketAddr) -> Option<usize> {
        self.owners.get(&address).copied()
    }

    /// A datagram was handed to the engine.
    pub fn received(&mut self, from: SocketAddr, data: &[u8]) {
        self.datagrams_received += 1;
        let account = self.accounts.entry(from).or_default();
        account.received += data.len() as u64;
        if kind_of(data) == Some(Kind::Stun) {
            let class = stun::Message::parse(data).map(|message| message.class());
            account.proven |= class == Ok(stun::Class::Success);
        }
    }

    /// The engine sent a datagram.
    pub fn sent(&mut self, to: SocketAddr, data: &[u8]) {
        self.datagrams_sent += 1;
        self.bytes_sent += data.len() as u64;
        let account = self.accounts.entry(to).or_default();
        let check = kind_of(data) == Some(Kind::Stun)
            && stun::Message::parse(data).is_ok_and(|message| message.class() == stun::Class::Request);
        if self.full_ice && check && !account.proven {
            account.checks += 1;
            assert!(account.checks <= limits::FULL_CHECK_TRANSMISSIONS.into(), "S-STUN-10: {to}");
        } else {
            account.sent += data.len() as u64;
        }
        let unproven = !account.proven;
        assert!(
            !unproven || account.sent <= 3 * account.received,
            "I-04: {to} proved nothing, sent {} bytes and got {}",
            account.received,
            account.sent
        );
        let kind = kind_of(data).expect("what is sent is STUN, DTLS, RTP or RTCP");
        match kind {
            Kind::Stun => {
                let message = stun::Message::parse(data).expect("well-formed STUN");
                assert!(message.has_fingerprint() && message.has_integrity(), "S-STUN-04: {message:?}");
                assert_eq!(message.attribute(0x8022), None, "S-STUN-07: SOFTWARE is not sent");
            }
            Kind::Dtls => {}
            Kind::Rtp => {
                assert!(!unproven, "S-STUN-14: media to {to}, which proved nothing");
                let packet = rtp::Packet::parse(data).expect("well-formed RTP");
                let (ssrc, wire) = (packet.ssrc().0, packet.sequence_number().0);
                assert!(
                    self.rtp.entry(ssrc).or_default().first_use(wire),
                    "I-10: {ssrc:#x} uses {wire} twice"
                );
                let numbers = self.rtp.entry(ssrc).or_default();
                let latest = numbers.highest.is_none_or(|highest| highest as u16 == wire);
                assert!(!self.in_order || latest, "{ssrc:#x} goes back to {wire}");
                assert_eq!(packet.csrcs().len(), 0, "S-RTP-13: {packet:?}");
            }
            Kind::Rtcp => {
                assert!(!unproven, "S-STUN-14: RTCP to {to}, which proved nothing");
                // All of these calls use GCM, where the index comes last (RFC 7714, section 9.2).
                let word = u32::from_be_bytes(*data.last_chunk().expect("an index"));
                assert!(word & 1 << 31 != 0, "S-SRTP-06: SRTCP is encrypted");
                let owner = self.owners.get(&to).copied().expect("media goes to somebody");
                assert!(self.rtcp.insert((owner, word)), "I-10: SRTCP index {word:#x} twice to {to}");
            }
        }
    }

    /// The engine was drained at `now`.
    pub fn settled(&self, now: Instant, engine: &mut Engine, participants: &[ParticipantId]) {
        let next = engine.poll_timeout();
        assert!(next.is_none_or(|at| at > now), "after a drain at {now:?} the engine is due at {next:?}");
        let held = participants.iter().filter_map(|id| Some(engine.participant(*id)?.stats().packets_queued));
        let held = held.sum::<usize>() as u64;
        self.balanced(engine, held);
        let stats = engine.stats();
        assert_eq!((stats.datagrams_sent, stats.bytes_sent), (self.datagrams_sent, self.bytes_sent));
    }

    /// I-06: what came in went somewhere, `held` packets still wait.
    pub fn balanced(&self, engine: &Engine, held: u64) {
        let stats = engine.stats();
        assert_eq!(stats.datagrams_received, self.datagrams_received, "I-06");
        let received = stats.datagrams_consumed + stats.media_received + stats.datagrams_dropped;
        assert_eq!(stats.datagrams_received, received, "I-06: {stats:?}");
        let queued = stats.packets_forwarded + stats.packets_dropped + held;
        assert_eq!(stats.packets_queued, queued, "I-06: {held} held, {stats:?}");
        let streams = framing::Fault::ALL.map(DropReason::Framing);
        let others = [DropReason::EventLost, DropReason::StreamRefused, DropReason::StreamUnproven];
        let others: u64 = streams.into_iter().chain(others).map(|reason| stats.dropped(reason)).sum();
        let reasons = stats.dropped_in_all() - others;
        let dropped = stats.datagrams_dropped + stats.packets_dropped + stats.messages_dropped;
        assert_eq!(reasons, dropped, "I-06: {stats:?}");
    }
}

/// What an unauthenticated datagram must not change (I-03): everything but counters.
pub fn digest(engine: &Engine) -> impl PartialEq + std::fmt::Debug + use<> {
    let stats = engine.stats();
    (
        (stats.rooms, stats.participants, stats.sources, stats.subscriptions, stats.history_pages),
        (stats.datagrams_sent, stats.bytes_sent, stats.datagrams_consumed, stats.media_received),
        (stats.packets_queued, stats.packets_forwarded, stats.packets_dropped),
        engine.poll_timeout(),
    )
}
