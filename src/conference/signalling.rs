//! From descriptions to tables: what a session says becomes transport, sources and subscriptions once,
//! and the packet plane never sees SDP.

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::candidate::ranked;
use crate::conference::config::EngineConfig;
use crate::conference::congestion::FeedbackKind;
use crate::conference::engine::Engine;
use crate::conference::event::Event;
use crate::conference::handles::LimitReached;
use crate::conference::ids::{ParticipantId, SourceId, SubscriptionId};
use crate::conference::negotiation::{
    self, DtlsRole, Line, LocalTransport, NegotiationError, Payload, Publication, RemoteTransport, Session,
};
use crate::conference::participant::{ParticipantState, Role, Timer};
use crate::conference::reading::{EncodingName, Ingress};
use crate::conference::redundancy::Redundancy;
use crate::conference::source::{Encoding, Source, SourceInfo};
use crate::conference::subscription::{EgressExtensions, Subscription, UNNEGOTIATED};
use crate::forwarding::ladder::Ladder;
use crate::session::{dtls, ice};
use crate::transport::network::Remote;
use crate::wire::rtp::{ExtensionKind, Ssrc};
use crate::wire::sdp;

impl Engine {
    pub(super) fn accept_offer(&mut self, id: ParticipantId, sdp: &str) -> Result<String, NegotiationError> {
        let fresh = self.participants.get_mut(id).map(|participant| participant.random.clone());
        let Some(mut random) = fresh else {
            return Err(NegotiationError::State { what: "the participant has left" });
        };
        let fresh = self.fresh_credentials(&mut random);
        let local = self
            .local_transport(id, Some(&fresh))
            .ok_or(NegotiationError::State { what: "the participant has left" })?;
        let Some(participant) = self.participants.get_mut(id) else {
            return Err(NegotiationError::State { what: "the participant has left" });
        };
        participant.reserve_lines();
        let answer = participant.negotiation.accept_offer(sdp, &local)?;
        self.keep_asked_lines(id);
        // Only now the random numbers drawn for a restart are spent.
        if answer.outcome.ice_restarted {
            if let Some(participant) = self.participants.get_mut(id) {
                participant.random = random;
            }
            self.begin_ice_generation(id, fresh);
        }
        if let Some(participant) = self.participants.get_mut(id) {
            participant.negotiation_announced = false;
            if !participant.connected {
                participant.timers.set(Timer::Connect, Some(self.now + limits::CONNECT_TIMEOUT));
                self.requeue(id);
            }
        }
        self.apply_session(self.now, id);
        self.announce_negotiation(id);
        Ok(answer.sdp)
    }

    pub(super) fn create_offer(&mut self, id: ParticipantId) -> Result<String, NegotiationError> {
        let local = self
            .local_transport(id, None)
            .ok_or(NegotiationError::State { what: "the participant has left" })?;
        let participant = self
            .participants
            .get_mut(id)
            .ok_or(NegotiationError::State { what: "the participant has left" })?;
        let offer = participant.negotiation.create_offer(&local)?;
        participant.negotiation_announced = false;
        Ok(offer)
    }

    pub(super) fn accept_answer(&mut self, id: ParticipantId, sdp: &str) -> Result<(), NegotiationError> {
        let participant = self
            .participants
            .get_mut(id)
            .ok_or(NegotiationError::State { what: "the participant has left" })?;
        let first = participant.negotiation.session().remote.is_none();
        participant.negotiation.accept_answer(sdp)?;
        if first {
            // Who offers first controls (RFC 8445, section 6.1.1).
            participant.network.set_ice_role(ice::Role::Controlling);
        }
        self.apply_session(self.now, id);
        self.announce_negotiation(id);
        Ok(())
    }

    /// Gives up our unanswered offer, and asks for another if it is still needed.
    pub(super) fn rollback(&mut self, id: ParticipantId) -> bool {
        let Some(participant) = self.participants.get_mut(id) else { return false };
        let was_pending = participant.negotiation.rollback();
        participant.negotiation_announced = false;
        self.announce_negotiation(id);
        was_pending
    }

    /// An ICE restart without descriptions; see [`Participant::restart_ice`](super::Participant).
    pub(super) fn restart_ice(
        &mut self,
        id: ParticipantId,
        remote: &ice::Credentials,
    ) -> Result<ice::Credentials, NegotiationError> {
        let gone = NegotiationError::State { what: "the participant has left" };
        let mut random = self.participants.get(id).ok_or(gone)?.random.clone();
        let fresh = self.fresh_credentials(&mut random);
        let participant = self.participants.get_mut(id).ok_or(gone)?;
        participant.negotiation.restart_ice(negotiated(remote))?;
        participant.random = random;
        self.begin_ice_generation(id, fresh.clone());
        if let Some(participant) = self.participants.get_mut(id) {
            participant.network.set_remote_credentials(remote.clone());
        }
        self.drain_network(self.now, id);
        self.announce_negotiation(id);
        Ok(fresh)
    }

    pub(super) fn add_remote_candidate(
        &mut self,
        id: ParticipantId,
        candidate: &sdp::Candidate,
    ) -> Result<(), LimitReached> {
        let Some(participant) = self.participants.get_mut(id) else { return Ok(()) };
        let added = participant.network.add_remote_candidate(candidate.into()).map_err(|_| LimitReached);
        // A full agent has a check to send now.
        self.drain_network(self.now, id);
        added
    }

    /// From now on checks under these credentials of ours are answered, and under those before until
    /// one of the new generation is selected.
    fn begin_ice_generation(&mut self, id: ParticipantId, fresh: ice::Credentials) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        self.directory.add_ufrag(fresh.ufrag(), id);
        participant.network.restart_ice(fresh);
        self.forget_dead_ufrags(id);
    }

    /// User fragments that the agent no longer answers to lead nowhere (S-STUN-16).
    pub(super) fn forget_dead_ufrags(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get(id) else { return };
        self.directory.retain_ufrags(id, |ufrag| participant.network.answers_to(ufrag));
    }

    /// Tells the embedder, once, that an offer of ours is needed.
    pub(super) fn announce_negotiation(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        // Before the first offer came there is nothing to add to: its answer carries what fits. Some take
        // no offers.
        let begun = participant.negotiation.session().remote.is_some() && participant.config.renegotiates;
        if begun && participant.negotiation.needed() && !participant.negotiation_announced {
            participant.negotiation_announced = true;
            self.emit(Event::NegotiationNeeded(id));
        }
    }

    fn local_transport(
        &self,
        id: ParticipantId,
        restart: Option<&ice::Credentials>,
    ) -> Option<LocalTransport> {
        let network = &self.participants.get(id)?.network;
        let (local, fingerprint) = (network.local_credentials(), network.local_fingerprint());
        Some(LocalTransport {
            credentials: negotiated(local),
            restart: restart.map(negotiated),
            fingerprint: sdp::Fingerprint::parse(&fingerprint.to_string())?,
            candidates: self.config.candidates.clone(),
            ice_lite: self.config.ice == ice::Mode::Lite,
            sctp_init: network.sctp_init(),
        })
    }

    /// Makes transport, sources and subscriptions agree with the session.
    fn apply_session(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let session = participant.negotiation.session().clone();
        participant.reduced_size_rtcp = session.lines.iter().any(|line| line.rtcp_rsize);
        participant.network.set_cryptex(session.cryptex);
        participant.egress.agree(FeedbackKind::of(&session), &self.config);
        participant.receiving.agree(session.feedback);
        if let Some(remote) = &session.remote {
            participant.apply_remote(now, remote, &self.config);
        }
        participant.apply_data(now);
        if !participant.network.is_secured() {
            // The first handshake, or one that new fingerprints ask for.
            participant.timers.arm(Timer::Connect, now + limits::CONNECT_TIMEOUT);
        }
        self.drain_network(now, id);
        self.apply_sources(id, &session);
        self.apply_subscriptions(now, id);
        self.settle_roles(id);
    }

    /// SSRCs whose source is gone are forgotten: their places serve others (S-SRTP-05).
    fn settle_roles(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        for role in &mut participant.contexts {
            let gone = match role {
                Role::Open => false,
                Role::Media(stream) => !self.streams.contains(*stream),
                Role::Repair(source, _) | Role::Retired(source, _) => !self.sources.contains(*source),
            };
            if gone {
                *role = Role::Open;
            }
        }
        let contexts = &participant.contexts;
        if let Some(keys) = participant.network.keys() {
            keys.opener
                .forget_where(|context| matches!(contexts.get(context.index()), None | Some(Role::Open)));
        }
    }

    fn apply_sources(&mut self, id: ParticipantId, session: &Session) {
        let Some(participant) = self.participants.get(id) else {
            return;
        };
        let room = participant.room;
        let published = |mid: &str| session.line(mid).is_some_and(|line| line.publishes.is_some());
        for key in participant.sources.clone() {
            if self.sources.get(key).is_some_and(|source| !published(&source.info.mid)) {
                self.remove_source(key);
                self.review_room(room);
            }
        }
        for line in &session.lines {
            let Some(publication) = &line.publishes else {
                continue;
            };
            let Some(participant) = self.participants.get_mut(id) else {
                return;
            };
            let known = participant.sources.iter().copied().find(|key| {
                self.sources.get(*key).is_some_and(|source| source.info.mid == line.mid.as_str())
            });
            let ingress = self.config.ingress(line, publication);
            if let Some((key, source)) = known.and_then(|key| Some((key, self.sources.get_mut(key)?))) {
                let before = std::mem::replace(&mut source.ingress, ingress);
                // What the embedder has said stays.
                source.info.screen |= publication.screen;
                self.settle_encodings(key, &before);
            } else if participant.config.publish
                && participant.sources.len() < limits::SOURCES_PER_PARTICIPANT
            {
                participant.sources_published += 1;
                let (room, number) = (participant.room, participant.sources_published);
                self.add_source(|key| Source {
                    info: info_of(key, room, id, number, line, publication),
                    encodings: std::iter::repeat_with(Encoding::default).take(ingress.names.len()).collect(),
                    ingress,
                    ladder: Ladder::default(),
                    live: false,
                    lapsed: false,
                    held_back: false,
                    audience: Vec::new(),
                    subscriptions: Vec::new(),
                    fir_seq: 0,
                });
            }
        }
    }

    /// Encodings that go by another name now, or by none, end with their streams.
    fn settle_encodings(&mut self, id: SourceId, before: &Ingress) {
        let Some(source) = self.sources.get_mut(id) else { return };
        let names = &source.ingress.names;
        let mut ended = Vec::new();
        for (at, encoding) in source.encodings.iter_mut().enumerate() {
            if before.names.get(at) != names.get(at) && names.get(at).is_none_or(|name| name.is_distinct()) {
                ended.extend(encoding.stream.take());
                encoding.left = None;
            }
        }
        source.encodings.resize_with(names.len(), Encoding::default);
        for key in ended {
            if let Some(mut stream) = self.streams.remove(key) {
                stream.history.clear(&mut self.pages);
                self.restart_listeners(id, stream.encoding);
            }
        }
    }

    fn apply_subscriptions(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get(id) else { return };
        let shares = participant.shared_lines().is_some();
        for key in participant.subscriptions.clone() {
            self.apply_subscription(now, key);
        }
        if shares {
            // There may be other lines now.
            self.review(id);
        }
    }

    /// Makes a subscription agree with the line that the session has for it, if any.
    pub(super) fn apply_subscription(&mut self, now: Instant, key: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        let Some(subscriber) = self.participants.get(subscription.subscriber) else { return };
        let session = subscriber.negotiation.session();
        let line = session.line_of_slot(subscription.slot);
        subscription.negotiated = line.is_some();
        match line {
            Some(line) => {
                subscription.apply(line, session.extmap_allow_mixed, self.redundancy);
                self.seat(now, key);
            }
            None => self.unseat(key),
        }
    }
}

fn negotiated(credentials: &ice::Credentials) -> negotiation::Credentials {
    negotiation::Credentials {
        ufrag: credentials.ufrag().to_owned(),
        pwd: sdp::Password::new(credentials.pwd()),
    }
}

fn info_of(
    id: SourceId,
    room: crate::conference::ids::RoomId,
    participant: ParticipantId,
    number: u32,
    line: &Line,
    publication: &Publication,
) -> SourceInfo {
    let track = publication.msid.as_ref().map(|msid| msid.track.clone()).unwrap_or_default();
    SourceInfo {
        id,
        room,
        participant,
        number,
        kind: line.kind,
        mid: line.mid.as_str().to_owned(),
        screen: publication.screen,
        track,
    }
}

impl ParticipantState {
    fn apply_remote(&mut self, now: Instant, remote: &RemoteTransport, config: &EngineConfig) {
        let parsed = |fingerprint: &sdp::Fingerprint| dtls::Fingerprint::parse(&fingerprint.to_string()).ok();
        let mut fingerprints: Vec<_> = remote.fingerprints.iter().filter_map(parsed).collect();
        fingerprints.shrink_to_fit();
        let role = match remote.role {
            DtlsRole::Server => dtls::Role::Server,
            DtlsRole::Client => dtls::Role::Client,
        };
        // Negotiation let nothing through that ICE would refuse.
        let Ok(credentials) =
            ice::Credentials::new(&remote.credentials.ufrag, remote.credentials.pwd.as_str())
        else {
            return;
        };
        // A lite agent has no use for the peer's candidates.
        let full = config.ice == ice::Mode::Full || remote.ice_lite;
        let locals = ranked(&config.candidates).collect();
        let usable = remote.candidates.iter().filter(|_| full);
        let candidates = usable.map(ice::Candidate::from).collect();
        let ice_lite = remote.ice_lite;
        let embeds = (config.sped && !remote.sped.is_empty()).then_some(config.mtu);
        self.network.set_remote(
            now,
            Remote { credentials, ice_lite, locals, candidates, fingerprints, role, embeds },
        );
    }
}

impl SubscriptionId {
    /// The subscription's name among the slots of a negotiation.
    pub(super) fn token(self) -> u64 {
        use crate::base::slots::Key as _;
        u64::from(self.index()) << 32 | u64::from(self.generation())
    }
}

impl Subscription {
    /// Derives the tables of the packet plane from the subscriber's line.
    fn apply(&mut self, line: &Line, mixed: bool, redundancy: Option<Redundancy>) {
        self.payload_types = [UNNEGOTIATED; limits::CODECS];
        self.rtx_payload_types = [UNNEGOTIATED; limits::CODECS];
        for negotiated in line.payloads.iter() {
            let at = usize::from(negotiated.codec.0);
            if let (Some(plain), Some(rtx)) =
                (self.payload_types.get_mut(at), self.rtx_payload_types.get_mut(at))
            {
                *plain = negotiated.payload_type;
                *rtx = negotiated.rtx.unwrap_or(UNNEGOTIATED);
            }
        }
        if let Some(redundancy) = redundancy {
            redundancy.complete(self);
        }
        let id_of = |kind| line.extensions.id_of(kind).unwrap_or(UNNEGOTIATED);
        let mut extensions = EgressExtensions {
            mixed,
            transport_sequence_number: id_of(ExtensionKind::TransportSequenceNumber),
            abs_send_time: id_of(ExtensionKind::AbsSendTime),
            ..EgressExtensions::default()
        };
        for kind in ExtensionKind::ALL.into_iter().filter(|kind| kind.forwarded()) {
            if let Some(slot) = extensions.forwarded.get_mut(kind.index()) {
                *slot = id_of(kind);
            }
        }
        self.extensions = extensions;
    }
}

impl crate::conference::config::EngineConfig {
    /// The tables by which a publisher's packets are read.
    fn ingress(&self, line: &Line, publication: &Publication) -> Ingress {
        let mut clock_rates = [0; limits::CODECS];
        for (slot, codec) in clock_rates.iter_mut().zip(&self.codecs) {
            *slot = codec.clock_rate();
        }
        let names = publication.encodings.iter().map(|encoding| EncodingName {
            rid: encoding.rid.as_deref().map(Into::into),
            ssrc: encoding.ssrc.map(Ssrc),
            rtx: encoding.rtx.map(Ssrc),
        });
        let mut ingress = Ingress::new(clock_rates, names.collect());
        for negotiated in line.payloads.iter() {
            ingress.set_payload(negotiated.payload_type, Payload::Media(negotiated.codec));
            if let Some(rtx) = negotiated.rtx {
                ingress.set_payload(rtx, Payload::Rtx(negotiated.codec));
            }
        }
        for id in 1..=14 {
            if let Some(kind) = line.extensions.kind_of(id) {
                ingress.set_extension(id, kind);
            }
        }
        ingress.nack = line.feedback.nack;
        ingress.pli = line.feedback.pli;
        ingress.fir = line.feedback.fir;
        ingress
    }
}
