//! The engine: one core's conferences behind five verbs.

use crate::base::deadlines::Deadlines;
use crate::base::limits;
use crate::base::random::Random;
use crate::base::slots::Slots;
use crate::base::time::Instant;
use crate::conference::config::{ConfigError, EngineConfig};
use crate::conference::congestion::Transmits;
use crate::conference::decisions::Decisions;
use crate::conference::drops::{DropCounters, DropReason};
use crate::conference::egress::Written;
use crate::conference::event::{Event, Events, LeaveReason};
use crate::conference::ids::{ParticipantId, RoomId, SourceId, StreamId, SubscriptionId};
use crate::conference::negotiation;
use crate::conference::participant::{ParticipantState, Timer};
use crate::conference::redundancy::Redundancy;
use crate::conference::room::RoomState;
use crate::conference::source::{Source, Stream};
use crate::conference::stats::{EngineStats, Traffic};
use crate::conference::streams::{StreamEnd, Streams};
use crate::conference::subscription::Subscription;
use crate::congestion::bwe::Arrival;
use crate::forwarding::history::Pages;
use crate::session::{dtls, ice};
use crate::transport::network;
use crate::wire::mux::{Ecn, Path, Protocol};
use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;

/// A received datagram, lent for one call.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// The way it took.
    pub path: Path,
    /// The ECN bits it came with.
    pub ecn: Ecn,
    /// Its bytes.
    pub data: &'a [u8],
}

/// Names a transmit, for [`Engine::handle_departure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransmitId(pub u64);

/// One or more datagrams that [`Engine::poll_transmit`] wrote, in the shape of generic segmentation
/// offload: all of one path, each of `segment_size` bytes, the last one possibly shorter.
///
/// On a path of TCP the bytes are whole frames of RFC 4571, the lengths included, to be written to the
/// stream as they are. A stream that takes them more slowly than they come is the embedder's to bound:
/// whole transmits may be left out there like datagrams that are lost, but once a part of one was
/// written the rest has to follow. Some hundred kilobytes are as much as is of use: what waits longer
/// than a round trip is better asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// Its name.
    pub id: TransmitId,
    /// The way to take.
    pub path: Path,
    /// The ECN bits to send with.
    pub ecn: Ecn,
    /// Bytes written at the start of the buffer.
    pub len: usize,
    /// The datagrams' size when there are several; `None` for streams.
    pub segment_size: Option<NonZeroU16>,
}

/// The latest moment that is believed.
const END_OF_TIME: Instant = Instant::from_micros(u64::MAX >> 1);

/// One core's conferences. `Send`, not shared: no clock, socket, thread, lock or global inside.
///
/// Any number of inputs and calls may precede a poll, and polling may stop early and resume. Time
/// that goes back is taken as standing still.
pub struct Engine {
    pub(super) config: EngineConfig,
    pub(super) dtls: dtls::Context,
    /// What is negotiated with participants, by [`Engine::negotiable`].
    negotiation: [Arc<negotiation::Config>; 4],
    pub(super) redundancy: Option<Redundancy>,
    pub(super) random: Random,
    /// The latest moment seen.
    pub(super) now: Instant,

    pub(super) rooms: Slots<RoomId, RoomState>,
    pub(super) participants: Slots<ParticipantId, ParticipantState>,
    pub(super) sources: Slots<SourceId, Source>,
    pub(super) streams: Slots<StreamId, Stream>,
    pub(super) subscriptions: Slots<SubscriptionId, Subscription>,
    pub(super) pages: Pages,

    pub(super) directory: ice::Directory<ParticipantId>,
    pub(super) connections: Streams,
    /// Participants with something to send, in turn.
    pub(super) ready: VecDeque<ParticipantId>,
    pub(super) deadlines: Deadlines<ParticipantId>,
    pub(super) room_deadlines: Deadlines<RoomId>,
    pub(super) events: Events,
    transmits: u64,
    /// Whose the latest were, once the embedder tells departures.
    pub(super) departures: Option<Transmits<ParticipantId>>,
    /// What was decided, for whoever wants to know.
    pub(super) decisions: Decisions,
    /// When its ceiling was last divided.
    pub(super) divided: Option<Instant>,
    /// What feedback says of arrivals while it is read.
    pub(super) arrivals: Vec<Arrival>,
    /// How many rooms there ever were: the label of the next one's fork.
    pub(super) rooms_created: u64,
    /// Where packets of streams that have no history yet are opened.
    pub(super) scratch: Box<[u8]>,

    pub(super) traffic: Traffic,
    pub(super) drops: DropCounters,
}

impl Engine {
    /// An engine without rooms.
    ///
    /// `seed` are 32 secret random bytes, never shared by two engines: passwords, SSRCs and transaction
    /// ids follow from it. `now` is any moment on the embedder's clock.
    ///
    /// # Errors
    /// [`ConfigError`] names what is out of range, or says that there is no certificate.
    pub fn new(config: EngineConfig, seed: [u8; 32], now: Instant) -> Result<Engine, ConfigError> {
        config.check()?;
        let certificate = match &config.certificate {
            Some(certificate) => certificate.clone(),
            None => dtls::Certificate::generate().map_err(|_| ConfigError::Certificate)?,
        };
        let dtls = dtls::Context::new(config.dtls.clone(), certificate).map_err(ConfigError::Dtls)?;
        let negotiation =
            [(true, true), (true, false), (false, true), (false, false)].map(|(publish, data)| {
                Arc::new(negotiation::Config {
                    codecs: config.codecs.clone(),
                    publish,
                    cryptex: config.cryptex,
                    sped: config.sped,
                    snap: config.snap,
                    feedback: config.feedback.clone(),
                    data: data && config.data,
                    ..negotiation::Config::default()
                })
            });
        let mut random = Random::new(seed);
        Ok(Engine {
            dtls,
            negotiation,
            redundancy: Redundancy::of(&config.codecs),
            decisions: Decisions::new(config.decisions),
            pages: Pages::new(config.max_history_pages),
            config,
            now,
            rooms: Slots::new(),
            participants: Slots::new(),
            sources: Slots::new(),
            streams: Slots::new(),
            subscriptions: Slots::new(),
            directory: ice::Directory::new(&mut random),
            connections: Streams::new(&mut random),
            ready: VecDeque::new(),
            deadlines: Deadlines::new(),
            room_deadlines: Deadlines::new(),
            events: Events::default(),
            transmits: 0,
            departures: None,
            divided: None,
            arrivals: Vec::new(),
            rooms_created: 0,
            scratch: vec![0; limits::DATAGRAM].into_boxed_slice(),
            traffic: Traffic::default(),
            drops: DropCounters::new(),
            random,
        })
    }

    /// What is negotiated with a participant, by whether it may publish and have data channels.
    pub(super) fn negotiable(&self, publish: bool, data: bool) -> Arc<negotiation::Config> {
        let [both, publishing, messaging, neither] = &self.negotiation;
        let config = match (publish, data) {
            (true, true) => both,
            (true, false) => publishing,
            (false, true) => messaging,
            (false, false) => neither,
        };
        config.clone()
    }

    /// Shows participants that join from now on this certificate; those that are here keep the one they
    /// know, as their descriptions have its fingerprint (RFC 8842, section 5).
    pub fn set_certificate(&mut self, certificate: dtls::Certificate) {
        self.dtls = self.dtls.with_certificate(certificate);
    }

    /// Takes a datagram. Its bytes are the caller's again on return; what cannot be used is dropped and
    /// counted ([`EngineStats::dropped`]). On a path of TCP it is one frame without its length, of an
    /// embedder that does [`Self::handle_stream`]'s part itself.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        let now = self.advance(now);
        self.traffic.datagrams_received += 1;
        self.traffic.bytes_received += datagram.data.len() as u64;
        self.traffic.ecn_ce_received += u64::from(datagram.ecn == Ecn::Ce);
        self.receive(now, datagram);
    }

    /// Does what is due. Early is a no-op, late only makes it later.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        while let Some((at, id)) = self.deadlines.pop_due(now) {
            let Some(participant) = self.participants.get_mut(id) else {
                continue;
            };
            if participant.timers.queued != Some(at) {
                continue;
            }
            participant.timers.queued = None;
            self.run_timers(now, id);
            self.requeue(id);
        }
        self.run_room_timers(now);
        self.end_overdue_streams(now);
        self.skip_stale_deadlines();
    }

    /// Writes the next transmit at the start of `buf`, or returns `None` when there is nothing to send.
    ///
    /// A `buf` of [`EngineConfig::mtu`] bytes gives one datagram at a time, a larger one lets a burst to
    /// one participant leave together; over TCP each datagram takes two bytes more. `now` is taken as the
    /// time of departure. A `buf` too small for the next datagram loses it.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        let now = self.advance(now);
        if self.next_deadline().is_some_and(|at| at <= now) {
            self.handle_timeout(now);
        }
        while let Some(&id) = self.ready.front() {
            let name = self.transmits + 1;
            let written = self.write_next(now, id, name, buf);
            // Ready participants take turns; who has nothing left leaves the line.
            self.ready.pop_front();
            if let Some(participant) = self.participants.get_mut(id) {
                let egress = &mut participant.egress;
                egress.ready = egress.due || written.is_some() && egress.has_more();
                if egress.ready {
                    self.ready.push_back(id);
                }
            }
            let Some(Written { path, ecn, len, segment_size }) = written else { continue };
            self.transmits = name;
            if let Some(departures) = &mut self.departures {
                departures.add(name, id);
            }
            return Some(Transmit { id: TransmitId(name), path, ecn, len, segment_size });
        }
        self.skip_stale_deadlines();
        None
    }

    /// The next fact.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// When to call [`Self::handle_timeout`]; `None` means nothing is pending. Right after a command or
    /// while transmits wait it is due at once; after a drain it lies in the future.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.ready.is_empty() {
            return Some(self.now);
        }
        self.next_deadline()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let participants = self.deadlines.peek().map(|(at, _)| at);
        let rooms = self.room_deadlines.peek().map(|(at, _)| at);
        let sooner = |one: Option<Instant>, other: Option<Instant>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        sooner(sooner(participants, rooms), self.connections.poll_timeout())
    }

    /// Tells when a transmit truly left, where the embedder knows better than the `now` of its poll: what is believed
    /// of paths is truer then. Told in the order of the transmits, and before anything else is handed in; what
    /// is told later, or of a transmit before the first one told, or of none, is of no effect.
    pub fn handle_departure(&mut self, at: Instant, id: TransmitId) {
        let at = at.min(self.advance(at));
        let departures = self.departures.get_or_insert_with(Transmits::new);
        let owner = departures.owner(id.0).and_then(|owner| self.participants.get_mut(owner));
        if let Some(congestion) = owner.and_then(|owner| owner.egress.congestion.as_deref_mut()) {
            congestion.on_departure(at, id.0);
        }
    }

    /// What the engine did so far, and what it holds.
    pub fn stats(&self) -> EngineStats {
        let traffic = &self.traffic;
        EngineStats {
            rooms: self.rooms.len(),
            participants: self.participants.len(),
            sources: self.sources.len(),
            subscriptions: self.subscriptions.len(),
            streams: self.connections.count().0,
            streams_unproven: self.connections.count().1,
            history_pages: self.pages.used(),
            datagrams_received: traffic.datagrams_received,
            bytes_received: traffic.bytes_received,
            datagrams_sent: traffic.datagrams_sent,
            bytes_sent: traffic.bytes_sent,
            datagrams_consumed: traffic.consumed,
            messages_received: traffic.messages_received,
            messages_sent: traffic.messages_sent,
            messages_dropped: traffic.messages_dropped,
            media_received: traffic.media_received,
            datagrams_dropped: traffic.received_dropped,
            packets_queued: traffic.queued,
            packets_forwarded: traffic.forwarded,
            packets_dropped: traffic.queued_dropped,
            ecn_ce_received: traffic.ecn_ce_received,
            drops: self.drops.clone(),
        }
    }

    /// Time only goes forward.
    pub(super) fn advance(&mut self, now: Instant) -> Instant {
        // A clock that leaps to the end of time leaves room for deadlines behind it.
        self.now = self.now.max(now.min(END_OF_TIME));
        self.now
    }

    /// Counts a dropped something of or for `participant`.
    pub(super) fn count_drop(&mut self, participant: Option<ParticipantId>, reason: DropReason) {
        self.drops.add(reason.index());
        if let Some(participant) = participant.and_then(|id| self.participants.get_mut(id)) {
            participant.drops.add(reason.index());
        }
    }

    /// Tells the embedder; when it does not listen, the oldest fact is lost and counted.
    pub(super) fn emit(&mut self, event: Event) {
        self.events.push(&mut self.drops, event);
    }

    /// Puts a participant in the line of those with something to send: other things than media alone.
    pub(super) fn make_ready(&mut self, id: ParticipantId) {
        if let Some(participant) = self.participants.get_mut(id) {
            participant.egress.control = true;
            if !participant.egress.ready {
                participant.egress.ready = true;
                self.ready.push_back(id);
            }
        }
    }

    /// Makes `timer` of a participant due at `at` or earlier.
    pub(super) fn arm(&mut self, id: ParticipantId, timer: Timer, at: Instant) {
        if let Some(participant) = self.participants.get_mut(id) {
            participant.timers.arm(timer, at);
            self.requeue(id);
        }
    }

    /// Makes the engine's queue agree with a participant's earliest deadline.
    pub(super) fn requeue(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let Some(earliest) = participant.timers.earliest() else {
            return;
        };
        if participant.timers.queued.is_none_or(|queued| earliest < queued) {
            participant.timers.queued = Some(earliest);
            self.deadlines.push(earliest, id);
        }
    }

    /// Deadlines of who left, or that moved, wake nobody.
    fn skip_stale_deadlines(&mut self) {
        self.skip_stale_room_deadlines();
        while let Some((at, id)) = self.deadlines.peek() {
            if self.participants.get(id).is_some_and(|participant| participant.timers.queued == Some(at)) {
                return;
            }
            self.deadlines.pop_due(at);
        }
    }

    /// Does what is due to one participant.
    fn run_timers(&mut self, now: Instant, id: ParticipantId) {
        let mut control = false;
        for timer in Timer::ALL {
            let Some(participant) = self.participants.get_mut(id) else {
                return;
            };
            if !participant.timers.take_due(timer, now) {
                continue;
            }
            match timer {
                Timer::Network => {
                    participant.network.handle_timeout(now);
                    self.drain_network(now, id);
                }
                Timer::Feedback => participant.rtcp.feedback = true,
                Timer::Repair => participant.rtcp.nacks = true,
                Timer::Keyframes => participant.rtcp.keyframes = true,
                Timer::Reports => self.begin_reports(now, id),
                Timer::Prune => self.prune(now, id),
                Timer::Ladder => self.measure_ladders(now, id),
                Timer::Connect if !participant.network.is_secured() => {
                    self.remove(id, LeaveReason::ConnectTimeout);
                }
                Timer::Connect if participant.path.is_none() => self.remove(id, LeaveReason::ConsentExpired),
                Timer::Connect => {}
                Timer::Pace => {
                    self.on_pace(now, id);
                    continue;
                }
                Timer::Messages => {
                    self.drain_channels(now, id);
                    continue;
                }
            }
            control = true;
        }
        if control {
            self.make_ready(id);
        }
    }

    /// The time of what waits for it has come.
    fn on_pace(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        let Some(congestion) = &mut participant.egress.congestion else { return };
        congestion.handle_timeout(now);
        self.refit(now, id);
    }

    /// Takes the facts of a participant's transport and keeps its deadline in step.
    pub(super) fn drain_network(&mut self, now: Instant, id: ParticipantId) {
        loop {
            let Some(participant) = self.participants.get_mut(id) else {
                return;
            };
            let Some(event) = participant.network.poll_event(now) else {
                break;
            };
            match event {
                network::Event::AddressKnown(path) => self.directory.add_path(id, path),
                network::Event::AddressForgotten(path) => self.forget_path(id, path),
                network::Event::Selected(path) => self.select_path(id, path),
                network::Event::Secured => self.connect(now, id),
                network::Event::Closed => self.remove(id, LeaveReason::Closed),
                network::Event::Failed(reason) => self.remove(id, LeaveReason::Handshake(reason)),
                network::Event::ConsentExpired => self.remove(id, LeaveReason::ConsentExpired),
                network::Event::Unasked => self.drop_message(id, DropReason::NotNegotiated),
                network::Event::Dropped(refusal) => self.drop_message(id, refusal.into()),
            }
        }
        self.drain_channels(now, id);
        if let Some(participant) = self.participants.get_mut(id) {
            // What is due at once is a datagram to be polled, not a deadline: its turn comes below, and
            // the deadline is set anew behind it.
            let at = participant.network.poll_timeout().filter(|at| *at > now);
            participant.timers.set(Timer::Network, at);
        }
        self.requeue(id);
        self.make_ready(id);
    }

    fn forget_path(&mut self, id: ParticipantId, path: Path) {
        if self.directory.remove_path(id, &path) && path.protocol == Protocol::Tcp {
            self.end_stream(path, StreamEnd::Forgotten);
        }
    }

    fn select_path(&mut self, id: ParticipantId, path: Path) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let before = participant.set_path(Some(path));
        let (secured, announced) = (participant.network.is_secured(), participant.announced);
        if secured {
            // A handshake that is under way still has its time.
            participant.timers.set(Timer::Connect, None);
            participant.announced = true;
        }
        self.forget_dead_ufrags(id);
        if before == Some(path) {
            return;
        }
        if announced {
            self.emit(Event::PathChanged { participant: id, path });
        } else if secured {
            // The handshake was done before a path was selected.
            self.emit(Event::Connected { participant: id, path });
        }
    }
}
