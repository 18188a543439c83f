//! Who is where and who receives what: joining, leaving, sources and subscriptions that come and go.

use crate::base::deadlines::Deadlines;
use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::budget::PublishBudget;
use crate::conference::config::{EngineConfig, ParticipantConfig, RoomConfig};
use crate::conference::data::Messages;
use crate::conference::decisions::Choice;
use crate::conference::decisions::KeyFrameReason;
use crate::conference::drops::{DropReason, DropTally};
use crate::conference::engine::Engine;
use crate::conference::event::{Event, LeaveReason};
use crate::conference::handles::{JoinError, LimitReached, SubscribeError};
use crate::conference::ids::{ParticipantId, RoomId, SourceId, SubscriptionId};
use crate::conference::negotiation::MediaKind;
use crate::conference::negotiation::Negotiation;
use crate::conference::negotiation::SendSlot;
use crate::conference::participant::{Egress, ParticipantState, RtcpBudget, RtcpDue, Timer, Timers};
use crate::conference::receiving::Receiving;
use crate::conference::room::RoomState;
use crate::conference::source::{Listener, Source};
use crate::conference::stats::ParticipantTraffic;
use crate::conference::streams::StreamEnd;
use crate::conference::subscription::{Numbers, Subscription};
use crate::congestion::allocation::Reason;
use crate::forwarding::ladder::Wish;
use crate::forwarding::speakers::Speakers;
use crate::session::ice;
use crate::transport::network::Network;
use crate::wire::rtp::Ssrc;
use crate::wire::sdp::Msid;
use smallvec::SmallVec;
use std::collections::VecDeque;

// A participant's slots: its subscriptions, or the lines that they share.
const _: () = assert!(limits::SUBSCRIPTIONS_PER_PARTICIPANT <= limits::SDP_MEDIA);
const _: () = assert!(limits::SPARE_LINES <= limits::SHARED_LINES);

impl Engine {
    pub(super) fn open_room(&mut self, mut config: RoomConfig) -> Result<RoomId, LimitReached> {
        let fits = self.rooms.len() < self.config.max_rooms;
        if !fits || !(1..=limits::PARTICIPANTS_PER_ROOM).contains(&config.max_participants) {
            return Err(LimitReached);
        }
        config.view.bound();
        self.rooms_created += 1;
        let random = self.random.fork(self.rooms_created);
        let speakers = Speakers::new(config.speakers);
        Ok(self.rooms.insert_with(|_| RoomState {
            config,
            participants: Vec::new(),
            random,
            joined: 0,
            speakers,
            reviewed: None,
            review_at: None,
            divided: None,
            queued: None,
        }))
    }

    pub(super) fn close_room(&mut self, id: RoomId) {
        // Nobody's view is reviewed for what goes in whole.
        let members = self.rooms.get_mut(id).map(|room| std::mem::take(&mut room.participants));
        for participant in members.into_iter().flatten().rev() {
            self.remove(participant, LeaveReason::Removed);
        }
        self.rooms.remove(id);
    }

    pub(super) fn join(
        &mut self,
        room_id: RoomId,
        mut config: ParticipantConfig,
    ) -> Result<ParticipantId, JoinError> {
        let room = self.rooms.get_mut(room_id).ok_or(JoinError::UnknownRoom)?;
        if !config.label_is_token() {
            return Err(JoinError::Label);
        }
        let full = room.participants.len() >= room.config.max_participants;
        if full || self.participants.len() >= self.config.max_participants {
            return Err(JoinError::Full);
        }
        let taken = |label: &str| {
            let members = room.participants.iter().filter_map(|id| self.participants.get(*id));
            members.into_iter().any(|member| member.config.label == label)
        };
        if !config.label.is_empty() && taken(&config.label) {
            return Err(JoinError::LabelTaken);
        }
        let mut joined = room.joined + 1;
        if config.label.is_empty() {
            while taken(&joined.to_string()) {
                joined += 1;
            }
            config.label = joined.to_string();
        }
        room.joined = joined;
        let mut random = room.random.fork(room.joined);
        let credentials = self.fresh_credentials(&mut random);
        let ufrag = credentials.ufrag().to_owned();
        let network = Network::new(credentials, self.ice_config(), self.dtls.clone(), random.fork(1));
        let negotiable = self.negotiable(config.publish, config.data);
        let id = self.participants.insert_with(|_| ParticipantState {
            egress: Egress::default(),
            path: None,
            network,
            budget: PublishBudget::new(&config, self.now),
            contexts: Vec::new(),
            receiving: Receiving::default(),
            timers: Timers::default(),
            rtcp: RtcpDue::default(),
            traffic: ParticipantTraffic::default(),
            room: room_id,
            config,
            negotiation: Negotiation::new(negotiable, random.next_u64()),
            negotiation_announced: false,
            connected: false,
            announced: false,
            sources: SmallVec::new(),
            sources_published: 0,
            subscriptions: Vec::new(),
            lines: Vec::new(),
            viewing: None,
            ssrc: Ssrc(random.next_u32() | 1),
            ssrcs: random.next_u32(),
            cname: format!("{:016x}", random.next_u64()),
            reduced_size_rtcp: false,
            rtt: None,
            ceiling: None,
            video_wish: Wish::default(),
            rtcp_budget: RtcpBudget::default(),
            rebound: None,
            messages: Messages::new(self.now),
            drops: DropTally::new(),
            random,
        });
        self.directory.add_ufrag(&ufrag, id);
        self.arm(id, Timer::Connect, self.now + limits::CONNECT_TIMEOUT);
        if let Some(participant) = self.participants.get_mut(id) {
            participant.reserve_lines();
        }
        if let Some(room) = self.rooms.get_mut(room_id) {
            room.participants.push(id);
        }
        self.review(id);
        Ok(id)
    }

    fn ice_config(&self) -> ice::Config {
        let EngineConfig { ice: mode, private_candidates, .. } = self.config;
        ice::Config { mode, role: ice::Role::Controlled, private_candidates, attach_to_named: false }
    }

    /// User fragments are unique on the socket (S-STUN-16); 48 random bits hardly ever need a second try.
    pub(super) fn fresh_credentials(&self, random: &mut crate::base::random::Random) -> ice::Credentials {
        let prefix = format!("{:04x}", self.config.number);
        loop {
            let credentials = ice::Credentials::random(random, &prefix);
            if !self.directory.has_ufrag(credentials.ufrag()) {
                return credentials;
            }
        }
    }

    /// Removes a participant with all that belonged to it; not one packet goes to or from it afterwards
    /// (S-ROOM-03).
    pub(super) fn remove(&mut self, id: ParticipantId, reason: LeaveReason) {
        // Taken out first: what follows concerns the others alone.
        let Some(participant) = self.participants.remove(id) else { return };
        let room_id = participant.room;
        for source in &participant.sources {
            self.remove_source(*source);
        }
        for subscription in &participant.subscriptions {
            self.remove_subscription(*subscription);
        }
        for path in self.directory.remove(id) {
            self.end_stream(path, StreamEnd::Left);
        }
        for _ in 0..participant.egress.len() {
            self.traffic.queued_dropped += 1;
            self.count_drop(None, DropReason::Unsubscribed);
        }
        if let Some(room) = self.rooms.get_mut(room_id) {
            room.participants.retain(|other| *other != id);
            room.speakers.remove(id);
        }
        self.settle_speakers(room_id);
        self.review_room(room_id);
        self.emit(Event::Left { room: room_id, participant: id, reason });
        if self.participants.len() == 0 {
            self.give_back();
        }
    }

    /// Nobody is there: what grew with the participants goes back to the allocator (I-02).
    fn give_back(&mut self) {
        self.ready = VecDeque::new();
        self.arrivals = Vec::new();
        self.deadlines = Deadlines::new();
        self.pages.give_back();
    }

    /// The handshake is done: whatever was negotiated begins.
    pub(super) fn connect(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        // New keys: every SSRC proves itself anew.
        participant.contexts.clear();
        participant.connected = true;
        let path = participant.path;
        let announced = participant.announced;
        if path.is_some() {
            participant.timers.set(Timer::Connect, None);
            participant.announced = true;
        }
        for key in participant.subscriptions.clone() {
            self.seat(now, key);
        }
        if let (false, Some(path)) = (announced, path) {
            self.emit(Event::Connected { participant: id, path });
        }
        self.arm_reports(now, id);
    }

    /// Adds what a participant publishes on a line and tells everybody in the room.
    pub(super) fn add_source(&mut self, make: impl FnOnce(SourceId) -> Source) -> SourceId {
        let key = self.sources.insert_with(make);
        let Some(source) = self.sources.get(key) else {
            return key;
        };
        let info = source.info.clone();
        if let Some(publisher) = self.participants.get_mut(info.participant) {
            publisher.sources.push(key);
        }
        let (room, participant) = (info.room, info.participant);
        self.choose_senders(room);
        self.emit(Event::SourceAdded(info));
        self.show(room, participant, key);
        key
    }

    pub(super) fn remove_source(&mut self, key: SourceId) {
        let Some(source) = self.sources.get(key) else {
            return;
        };
        for key in source.subscriptions.clone() {
            // That the source is gone is all that is told.
            if let Some(subscription) = self.subscriptions.get_mut(key) {
                subscription.told = false;
            }
            self.remove_subscription(key);
        }
        let Some(source) = self.sources.remove(key) else {
            return;
        };
        for key in source.streams() {
            if let Some(mut stream) = self.streams.remove(key) {
                stream.history.clear(&mut self.pages);
            }
        }
        let info = source.info;
        if let Some(publisher) = self.participants.get_mut(info.participant) {
            publisher.sources.retain(|other| *other != key);
        }
        self.emit(Event::SourceRemoved { room: info.room, participant: info.participant, source: key });
    }

    /// Subscribes a participant to a source of its room, by hand or because it is in view; it is received as soon
    /// as a line for it is negotiated.
    pub(super) fn subscribe(
        &mut self,
        id: ParticipantId,
        source: SourceId,
        by_hand: bool,
    ) -> Result<(), SubscribeError> {
        let info = &self.sources.get(source).ok_or(SubscribeError::UnknownSource)?.info;
        let participant = self.participants.get(id).ok_or(SubscribeError::UnknownSource)?;
        if participant.room != info.room || info.participant == id {
            return Err(SubscribeError::UnknownSource);
        }
        if !participant.config.receive {
            return Err(SubscribeError::NotReceiving);
        }
        if let Some(key) = self.subscription_to(id, source) {
            if let Some(subscription) = self.subscriptions.get_mut(key).filter(|_| by_hand) {
                (subscription.by_hand, subscription.hidden) = (true, false);
                self.retarget(self.now, key);
            }
            return Ok(());
        }
        let (kind, shared) = (info.kind, participant.shared_lines().is_some());
        let full = if shared {
            !participant.has_free_line(kind)
        } else {
            participant.subscriptions.len() >= limits::SUBSCRIPTIONS_PER_PARTICIPANT
        };
        if full {
            // What is asked for comes before what is only in view.
            let least = self.least_of_view(id, kind, shared).filter(|_| by_hand);
            self.remove_subscription(least.ok_or(SubscribeError::LimitReached)?);
        }
        let key = if shared { self.take_line(id, source, kind) } else { self.take_own_line(id, source) };
        let key = key.ok_or(SubscribeError::LimitReached)?;
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            subscription.by_hand = by_hand;
        }
        if let Some(participant) = self.participants.get_mut(id) {
            participant.subscriptions.push(key);
        }
        if let Some(source) = self.sources.get_mut(source) {
            source.subscriptions.push(key);
        }
        self.apply_subscription(self.now, key);
        self.announce_negotiation(id);
        Ok(())
    }

    /// A subscription with SSRCs and a line of its own, named after its publisher.
    fn take_own_line(&mut self, id: ParticipantId, source_id: SourceId) -> Option<SubscriptionId> {
        let source = self.sources.get(source_id)?;
        let publisher = self.participants.get(source.info.participant)?;
        let (stream, cname) = (format!("p{}", publisher.config.label), publisher.cname.clone());
        let msid = Msid { stream, track: format!("s{}", source.info.number) };
        let participant = self.participants.get_mut(id)?;
        let ssrcs = (participant.fresh_ssrc(), participant.fresh_ssrc());
        let numbers = Numbers::new(&mut participant.random);
        let key = self.subscriptions.insert_with(|key| {
            Subscription::new(id, (source_id, source.info.participant), ssrcs, key.token(), numbers)
        });
        let (kind, codecs) = (source.info.kind, source.ingress.codecs());
        let (ssrc, rtx) = (ssrcs.0.0, Some(ssrcs.1.0));
        // There are as many slots as subscriptions.
        let _ = participant.negotiation.assign_send(SendSlot {
            id: key.token(),
            kind,
            codecs,
            ssrc,
            rtx,
            msid,
            cname,
        });
        Some(key)
    }

    pub(super) fn subscribe_by_hand(
        &mut self,
        id: ParticipantId,
        source: SourceId,
    ) -> Result<(), SubscribeError> {
        self.subscribe(id, source, true)?;
        self.decline(id, source, false);
        self.review(id);
        Ok(())
    }

    /// Ends a subscription and begins it again, on another line; what cannot be is left.
    pub(super) fn subscribe_again(&mut self, key: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(key) else { return };
        let (id, source, wish) = (subscription.subscriber, subscription.source, subscription.wish);
        let by_hand = subscription.by_hand;
        self.remove_subscription(key);
        if self.subscribe(id, source, by_hand).is_ok() {
            let _ = self.set_wish(id, source, wish);
        }
    }

    pub(super) fn unsubscribe(&mut self, id: ParticipantId, source: SourceId) {
        if let Some(key) = self.subscription_to(id, source) {
            self.remove_subscription(key);
        }
        // Whatever its view says.
        self.decline(id, source, true);
        self.review(id);
    }

    pub(super) fn remove_subscription(&mut self, key: SubscriptionId) {
        let left = self.last_sent(self.now, key);
        self.unseat(key);
        let Some(subscription) = self.subscriptions.remove(key) else {
            return;
        };
        if let Some(source) = self.sources.get_mut(subscription.source) {
            source.subscriptions.retain(|other| *other != key);
        }
        let id = subscription.subscriber;
        let Some(subscriber) = self.participants.get_mut(id) else { return };
        if subscription.told {
            let event = Event::SeenChanged { participant: id, source: subscription.source, seen: false };
            self.events.push(&mut self.drops, event);
        }
        subscriber.subscriptions.retain(|other| *other != key);
        match subscriber.lines.iter_mut().find(|line| line.carries == Some(key)) {
            // Its SSRCs go on with another source.
            Some(line) => line.release(subscription, left, &subscriber.egress),
            None => {
                subscriber.negotiation.remove_send(subscription.slot);
                self.say_bye(&subscription);
            }
        }
        self.announce_negotiation(id);
    }

    /// A subscription that was negotiated begins to receive, once its participant is connected.
    pub(super) fn seat(&mut self, now: Instant, key: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(key) else {
            return;
        };
        let connected =
            self.participants.get(subscription.subscriber).is_some_and(|subscriber| subscriber.connected);
        if !connected || !subscription.negotiated || subscription.seat.is_some() {
            return;
        }
        let (subscriber, source_id) = (subscription.subscriber, subscription.source);
        let video = self.sources.get(source_id).is_some_and(|source| source.info.kind == MediaKind::Video);
        if video {
            self.fit(now, subscriber);
        }
        let shared = video && self.shares(subscriber);
        let target = self.target(key);
        let (Some(subscription), Some(source)) =
            (self.subscriptions.get_mut(key), self.sources.get_mut(source_id))
        else {
            return;
        };
        // Numbers go on where they ended: none is used twice (I-10).
        subscription.rewriter.pause();
        // What is known to take much waits for its share, which is made at once; what is not known begins.
        let awaits_share = shared && !source.ladder.rungs().is_empty();
        let target = target.filter(|_| !awaits_share);
        subscription.rewriter.set_target(target);
        subscription.granted = target;
        subscription.seat = Some(source.audience.len());
        source.audience.push(Listener { subscription: key, subscriber, rewriter: subscription.rewriter });
        if let Some(target) = target {
            self.want_keyframe(now, source_id, target.encoding, KeyFrameReason::Switch);
        }
        if video {
            self.touch(now, subscriber);
        }
        self.arm_reports(now, subscriber);
    }

    /// A subscription stops receiving; the last listener takes its seat.
    pub(super) fn unseat(&mut self, key: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(key) else {
            return;
        };
        let Some(seat) = subscription.seat.take() else {
            return;
        };
        let subscriber = subscription.subscriber;
        let Some(source) = self.sources.get_mut(subscription.source) else {
            return;
        };
        if seat >= source.audience.len() {
            return;
        }
        subscription.rewriter = source.audience.swap_remove(seat).rewriter;
        let (id, sent) = (subscription.source, subscription.rewriter.selector.layer().is_some());
        let seen = sent && source.info.kind == MediaKind::Video;
        if let Some(moved) = source.audience.get(seat)
            && let Some(moved) = self.subscriptions.get_mut(moved.subscription)
        {
            moved.seat = Some(seat);
        }
        if seen {
            let choice = Choice::Sent { source: id, layer: None, reason: Reason::All };
            self.decide(self.now, subscriber, choice);
        }
        self.touch(self.now, subscriber);
    }
}
