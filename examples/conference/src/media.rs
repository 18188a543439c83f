//! The engines: each on a thread with a UDP socket and a TCP listener of its own. The only place that
//! knows the engine's API.

mod calls;
mod census;
mod engine;
mod link;
mod rules;
#[cfg(test)]
pub mod tests;

pub use calls::{Call, Part, Refusal};
pub use census::Census;
pub use engine::{Command, Engine, Sockets};
pub use rules::{Policy, Rules};

use crate::decisions::{DecisionLog, Lines};
use crate::desk::{self, Channel, Say, To, Word};
use crate::lobby::Label;
use crate::message::{Outbox, Reply, TrackWish, Withheld, stream_id};
use crate::socket::{Batch, Socket};
use crate::spread::Spread;
use crate::streams::{Notice, Streams};
use estafette::{
    ChannelId, Datagram, EngineConfig, Event, Instant, LeaveReason, Message, ParticipantConfig,
    ParticipantId, Protocol, RoomConfig, RoomId, Route, SendError, SourceInfo, Wish,
};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant as Clock};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

/// Batches received before anything is sent, so that a flood cannot hold back what is due.
const BATCHES: usize = 8;

/// Sends in a row before receiving again.
const SENDS: usize = 512;

/// Between two looks at which pictures are withheld.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps an engine running: should it ever panic, its participants are disconnected, come back by
/// themselves, and find a new one at the same port. Other engines notice nothing.
fn supervise(
    config: &EngineConfig,
    sockets: &Sockets,
    log: Option<&DecisionLog>,
    mut commands: mpsc::Receiver<Command>,
    rules: &watch::Receiver<Rules>,
) {
    let number = config.number;
    // Each line of this thread's says which engine it is.
    let _span = tracing::error_span!("engine", number).entered();
    loop {
        let run = || -> Result<(), Box<dyn std::error::Error>> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let udp = sockets.udp.try_clone()?;
            let tcp = sockets.tcp.as_ref().map(std::net::TcpListener::try_clone).transpose()?;
            let sockets = Sockets { udp, tcp };
            let lines = log.map(|log| log.of(number));
            let rules = rules.clone();
            runtime.block_on(async {
                Thread::new(config.clone(), sockets, lines, rules)?.run(&mut commands).await
            })
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::error!(%error, "stopped");
                return;
            }
            Err(_) => tracing::error!("panicked and is started again"),
        }
    }
}

/// A participant as its engine's thread knows it. Dropping it disconnects the page.
struct Member {
    room: u64,
    /// Its room is encrypted end to end.
    opaque: bool,
    label: Label,
    name: String,
    outbox: Outbox,
    /// Its channels that are open, one of each kind.
    channels: Vec<(Channel, ChannelId)>,
    /// Which pictures it was told are withheld, and whether its own is.
    withheld: (Vec<Withheld>, bool),
    joined: Clock,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

struct Thread {
    engine: estafette::Engine,
    socket: Socket,
    streams: Streams,
    origin: Clock,
    rooms: HashMap<u64, RoomId>,
    members: HashMap<ParticipantId, Member>,
    ids: HashMap<Label, ParticipantId>,
    /// Where transmits are written: one burst to one participant.
    out: Vec<u8>,
    /// Where decisions are written, if they are.
    decisions: Option<Lines>,
    /// Where what rooms write is worked at, and what is to be sent of it.
    desks: desk::Way,
    /// What the engine is to keep to.
    rules: watch::Receiver<Rules>,
    says: mpsc::Receiver<Say>,
    /// The engine's number.
    number: u16,
    /// Seconds from joining to being connected.
    join_times: Spread,
}

impl Thread {
    fn new(
        config: EngineConfig,
        sockets: Sockets,
        decisions: Option<Lines>,
        rules: watch::Receiver<Rules>,
    ) -> Result<Thread, Box<dyn std::error::Error>> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let number = config.number;
        let burst = config.mtu + estafette::framing::PREFIX;
        let engine = estafette::Engine::new(config, seed, Instant::ZERO)?;
        let (socket, streams) = (Socket::new(sockets.udp)?, Streams::new(sockets.tcp)?);
        // A UDP datagram's 16-bit length bounds what the kernel takes at once.
        let out = vec![0; (socket.segments() * burst).min(65_000)];
        let (rooms, members, ids) = Default::default();
        let origin = Clock::now();
        let (desks, says) = desk::Way::start()?;
        let join_times = Spread::new(census::JOIN_TIMES);
        let mut thread = Thread {
            engine,
            socket,
            streams,
            origin,
            rooms,
            members,
            ids,
            out,
            decisions,
            desks,
            rules,
            says,
            number,
            join_times,
        };
        thread.keep_rules();
        Ok(thread)
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// The loop around the engine: datagrams, commands and time in; datagrams and events out.
    async fn run(mut self, commands: &mut mpsc::Receiver<Command>) -> Result<(), Box<dyn std::error::Error>> {
        let mut batch = Batch::new();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let more = self.flush();
            let due = self.engine.poll_timeout();
            let pause = async {
                match due {
                    _ if more => tokio::task::yield_now().await,
                    Some(at) => tokio::time::sleep_until((self.origin + (at - Instant::ZERO)).into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = self.socket.readable() => { ready?; self.receive(&mut batch); }
                notice = self.streams.notice() => self.notice(notice),
                Some(say) = self.says.recv() => self.say(&say),
                Ok(()) = self.rules.changed() => self.keep_rules(),
                _ = looks.tick() => self.tell_withheld(),
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                () = pause => self.engine.handle_timeout(self.now()),
            }
        }
        // All pages are gone: say goodbye to their browsers.
        for (participant, _) in std::mem::take(&mut self.members) {
            if let Some(participant) = self.engine.participant(participant) {
                participant.leave();
            }
        }
        self.flush();
        Ok(())
    }

    fn receive(&mut self, batch: &mut Batch) {
        for _ in 0..BATCHES {
            match self.socket.receive(batch) {
                Ok(()) => {
                    let now = self.now();
                    for (path, ecn, data) in self.socket.datagrams(batch) {
                        self.engine.handle_datagram(now, Datagram { path, ecn, data });
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // Somebody's unreachable port, reported late; the socket is well.
                Err(error) => return tracing::debug!(%error, "receive"),
            }
        }
    }

    /// Something happened to a connection.
    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Accepted(stream) => {
                if let Some(path) = self.streams.add(stream)
                    && let Err(end) = self.engine.open_stream(path)
                {
                    tracing::debug!(remote = %path.remote, %end, "connection refused");
                    self.streams.close(&path);
                }
            }
            Notice::Readable(path, serial) => {
                let now = self.now();
                let engine = &mut self.engine;
                let alive = self.streams.read(path, serial, |piece| {
                    engine
                        .handle_stream(now, path, piece)
                        .inspect_err(|end| {
                            tracing::debug!(remote = %path.remote, %end, "connection ended");
                        })
                        .is_ok()
                });
                if !alive {
                    self.engine.close_stream(path);
                    self.streams.close(&path);
                }
            }
            Notice::Writable(path, serial) => self.streams.resume(path, serial),
        }
    }

    /// Carries out what the engine wants; true if it wants more than one turn allows.
    fn flush(&mut self) -> bool {
        while let Some(event) = self.engine.poll_event() {
            self.event(event);
        }
        let more = self.send();
        if let Some(lines) = &mut self.decisions {
            while let Some(decision) = self.engine.poll_decision() {
                lines.write(&decision);
            }
        }
        more
    }

    fn send(&mut self) -> bool {
        for _ in 0..SENDS {
            let now = self.now();
            let Some(transmit) = self.engine.poll_transmit(now, &mut self.out) else {
                return false;
            };
            let contents = &self.out[..transmit.len];
            if transmit.path.protocol == Protocol::Tcp {
                self.streams.write(&transmit.path, contents);
                continue;
            }
            let segment_size = transmit.segment_size.map(|size| usize::from(size.get()));
            self.socket.send(&transmit.path, transmit.ecn, segment_size, contents);
        }
        true
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Join { room, opaque, label, name, part, outbox } => {
                self.join((room, opaque), (label, name), part, outbox);
            }
            Command::Call { label, call } => self.call(label, call),
            Command::Leave { label } => {
                if let Some(id) = self.ids.get(&label).copied() {
                    if let Some(participant) = self.engine.participant(id) {
                        participant.leave();
                    }
                    if let Some(member) = self.members.get(&id) {
                        tracing::info!(room = member.room, label, reason = "gone", "left");
                    }
                    self.forget(id);
                }
            }
            Command::Watch { label, moderator } => self.tell_link(label, moderator),
            Command::Census { answer } => {
                // Whoever asked may have gone.
                let _ = answer.send(self.census());
            }
            Command::Offer { label, sdp } => {
                let screens = self.screens(label);
                self.negotiate(label, |participant, outbox| {
                    let answer = participant.accept_offer(&sdp).map_err(|error| error.to_string())?;
                    outbox.push(&Reply::Answer { sdp: &answer, screens });
                    Ok(())
                });
            }
            Command::Answer { label, sdp } => self.negotiate(label, |participant, _| {
                participant.accept_answer(&sdp).map_err(|error| error.to_string())
            }),
            Command::Name { label, name } => {
                if let Some(member) = self.ids.get(&label).and_then(|id| self.members.get_mut(id)) {
                    member.name = name;
                }
            }
            Command::Choose { label, choice } => self.choose(label, choice),
            Command::Wishes { label, list } => list.iter().for_each(|wish| self.wish(label, wish)),
        }
    }

    /// Tells the engine what a page wants of a track. One that is gone, or not received, is no mistake:
    /// the page has not heard of it yet.
    fn wish(&mut self, label: Label, wish: &TrackWish) {
        let TrackWish { track, max_height, paused } = *wish;
        let publisher = self.ids.get(&track.publisher).and_then(|id| self.engine.participant(*id));
        let source = publisher.and_then(|publisher| {
            publisher.sources().find(|source| source.number == track.number).map(|source| source.id)
        });
        let page = self.ids.get(&label).and_then(|id| self.engine.participant(*id));
        if let (Some(source), Some(mut page)) = (source, page) {
            let _ = page.set_wish(source, Wish { max_height, paused, ..Wish::default() });
        }
    }

    fn join(
        &mut self,
        (room, opaque): (u64, bool),
        (label, name): (Label, String),
        part: Part,
        outbox: Outbox,
    ) {
        let id = match self.rooms.get(&room) {
            Some(id) => Some(*id),
            None => {
                let limits = self.rules.borrow().rooms.get(&room).copied().unwrap_or_default();
                let config =
                    RoomConfig { video: limits.video(), ceiling: limits.bitrate(), ..room_config(opaque) };
                self.engine.create_room(config).ok()
            }
        };
        let config = ParticipantConfig {
            label: label.to_string(),
            publish: part != Part::Viewer,
            receive: part != Part::Publisher,
            // WHIP and WHEP have one offer and one answer, and are about media.
            renegotiates: part == Part::Page,
            data: part == Part::Page,
            ..ParticipantConfig::default()
        };
        let joined = id.and_then(|id| {
            self.rooms.insert(room, id);
            self.engine.room(id)?.join(config).ok()
        });
        match joined {
            Some(participant) => {
                self.ids.insert(label, participant);
                tracing::info!(room, label, part = part.name(), "joined");
                let (channels, withheld) = Default::default();
                let joined = Clock::now();
                let member = Member { room, opaque, label, name, outbox, channels, withheld, joined };
                self.members.insert(participant, member);
            }
            None => {
                tracing::warn!(room, label, "the engine has no place");
                outbox.push(&Reply::Refused);
                outbox.close();
                self.close_if_empty(room);
            }
        }
    }

    /// One step of a participant's negotiation; a page whose description cannot be used is told so
    /// and disconnected.
    fn negotiate(
        &mut self,
        label: Label,
        step: impl FnOnce(&mut estafette::Participant<'_>, &Outbox) -> Result<(), String>,
    ) {
        let Some(id) = self.ids.get(&label).copied() else {
            return;
        };
        let (Some(mut participant), Some(member)) = (self.engine.participant(id), self.members.get(&id))
        else {
            return;
        };
        if let Err(error) = step(&mut participant, &member.outbox) {
            tracing::info!(room = member.room, label, error = ?error, "negotiation failed");
            participant.leave();
            self.end(id, &error);
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::NegotiationNeeded(id) => {
                let screens = self.members.get(&id).map(|member| member.label);
                let screens = screens.map(|label| self.screens(label)).unwrap_or_default();
                let (Some(mut participant), Some(member)) =
                    (self.engine.participant(id), self.members.get(&id))
                else {
                    return;
                };
                match participant.create_offer() {
                    Ok(offer) => member.outbox.push(&Reply::Offer { sdp: &offer, screens }),
                    // Overtaken by an offer of the page's; the engine asks again if it still needs one.
                    Err(error) => {
                        tracing::debug!(room = member.room, label = member.label, %error, "no offer")
                    }
                }
            }
            Event::Connected { participant, path } => {
                if let Some(member) = self.members.get(&participant) {
                    let (room, label, took) = (member.room, member.label, member.joined.elapsed());
                    self.join_times.add(took.as_secs_f64());
                    let (carrier, took_ms) = (link::carrier(path.protocol), took.as_millis() as u64);
                    tracing::info!(room, label, carrier, took_ms, "connected");
                    tracing::debug!(room, label, remote = %path.remote, "connected from");
                }
            }
            Event::PathChanged { participant, path } => {
                if let Some(member) = self.members.get(&participant) {
                    let carrier = link::carrier(path.protocol);
                    tracing::info!(room = member.room, label = member.label, carrier, "path changed");
                }
            }
            Event::ChannelOpened { participant, channel, config, .. } => {
                self.channel_opened(participant, channel, &config.label);
            }
            Event::ChannelClosed { participant, channel, reason } => {
                if let Some(member) = self.members.get_mut(&participant) {
                    tracing::info!(room = member.room, label = member.label, ?reason, "channel closed");
                    member.channels.retain(|(_, open)| *open != channel);
                }
            }
            Event::Message { participant, channel, message } => self.heard(participant, channel, message),
            Event::StreamClosed { path, .. } => self.streams.close(&path),
            Event::Left { reason: LeaveReason::Removed, .. } => {}
            Event::Left { participant, reason, .. } => self.end(participant, reason.name()),
            _ => {}
        }
    }

    fn channel_opened(&mut self, id: ParticipantId, channel: ChannelId, name: &str) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        if let Some(kind) = Channel::named(name).filter(|_| !member.opaque) {
            member.channels.retain(|(open, _)| *open != kind);
            member.channels.push((kind, channel));
            let _ = self.desks.tell(Word::Opened { room: member.room, label: member.label, channel: kind });
        }
    }

    /// A message for the room's desk. Who sent one that finds no room there loses the channel, and begins anew.
    fn heard(&mut self, id: ParticipantId, channel: ChannelId, message: Message) {
        let Some(member) = self.members.get(&id) else {
            return;
        };
        let Some((kind, _)) = member.channels.iter().find(|(_, open)| *open == channel) else {
            return;
        };
        let (room, label, name) = (member.room, member.label, member.name.clone());
        let told = self.desks.tell(Word::Heard { room, label, name, channel: *kind, data: message.data });
        if let (Err(desk::Behind), Some(mut participant)) = (told, self.engine.participant(id)) {
            participant.close_channel(channel);
        }
    }

    /// Sends what a desk has to say. Who reads too slowly loses the channel, and may open it again.
    fn say(&mut self, say: &Say) {
        let ids = match say.to {
            To::One(label) => self.ids.get(&label).copied().into_iter().collect(),
            To::Room(room) | To::Others(room, _) => {
                let room = self.rooms.get(&room).and_then(|id| self.engine.room(*id));
                room.map(|room| room.participants().to_vec()).unwrap_or_default()
            }
        };
        for id in ids {
            let (Some(mut participant), Some(member)) = (self.engine.participant(id), self.members.get(&id))
            else {
                continue;
            };
            let channel = member.channels.iter().find(|(kind, _)| *kind == say.channel);
            let skipped = matches!(say.to, To::Others(_, label) if label == member.label);
            let Some((_, channel)) = channel.filter(|_| !skipped) else {
                continue;
            };
            for data in &say.messages {
                let message = Message { text: say.channel == Channel::Chat, data: data.clone() };
                if participant.send(*channel, message) == Err(SendError::BufferFull) {
                    participant.close_channel(*channel);
                    break;
                }
            }
        }
    }

    /// The tracks of a participant's room that show a screen or are its sound, as pages name them.
    fn screens(&mut self, label: Label) -> Vec<String> {
        let member = self.ids.get(&label).and_then(|id| self.members.get(id));
        let room = member.and_then(|member| self.rooms.get(&member.room));
        let Some(room) = room.and_then(|id| self.engine.room(*id)) else {
            return Vec::new();
        };
        let members = &self.members;
        let name = |source: &SourceInfo| {
            let publisher = members.get(&source.participant)?.label;
            Some(format!("{}/s{}", stream_id(publisher), source.number))
        };
        room.sources().filter(|source| source.screen).filter_map(name).collect()
    }

    /// Tells a page that its media has ended, and lets it go.
    fn end(&mut self, id: ParticipantId, reason: &str) {
        if let Some(member) = self.members.get(&id) {
            tracing::info!(room = member.room, label = member.label, reason = ?reason, "left");
            member.outbox.push(&Reply::Ended { reason });
        }
        self.forget(id);
    }

    /// Drops what belonged to a participant that the engine has removed.
    fn forget(&mut self, id: ParticipantId) {
        if let Some(member) = self.members.remove(&id) {
            self.ids.remove(&member.label);
            let _ = self.desks.tell(Word::Left { room: member.room, label: member.label });
            self.close_if_empty(member.room);
        }
    }

    fn close_if_empty(&mut self, room: u64) {
        if self.members.values().any(|member| member.room == room) {
            return;
        }
        let _ = self.desks.tell(Word::Closed { room });
        if let Some(room) = self.rooms.remove(&room).and_then(|id| self.engine.room(id)) {
            room.close();
        }
    }
}

/// Messages go from page to page behind the label of who sent them, but for those that end at the room's desk. What is
/// encrypted end to end has no desk, which could read nothing of it.
pub fn room_config(opaque: bool) -> RoomConfig {
    let desk: &[Channel] = if opaque { &[] } else { &Channel::ALL };
    let routes = desk.iter().map(|channel| (channel.label().to_owned(), Route::Server)).collect();
    let route = Route::Room { copied: false };
    RoomConfig { opaque, route, routes, stamps: true, ..RoomConfig::default() }
}

/// How long engines get to say goodbye when the server stops.
pub const GOODBYE: Duration = Duration::from_secs(2);
