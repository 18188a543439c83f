//! Who is in which room, and on which engine each room lives.

mod guess;
mod invitation;
mod room;
#[cfg(test)]
mod tests;

pub use room::Keys;

use crate::code::Code;
use crate::limits::{Imposed, MediaLimits};
use crate::media::{Command, Engine, Rules};
use crate::message::{Act, Denied, Options, Outbox, Plan, Shown};
use guess::Guesses;
use room::{Room, Visitor};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The number of a participant, never given twice: a late message for one that left finds nobody.
pub type Label = u32;

/// How long a room made ahead of its participants is theirs alone: they are on their way.
const AHEAD: Duration = Duration::from_secs(60);

/// How long whoever is refused waits for the answer, so that the time it took tells nothing and guessing is slow.
/// Waiting is the caller's affair, who holds nothing meanwhile but the connection.
pub const REFUSAL: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 1_000 });

/// Sizes the lobby keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Participants in one room, those who wait not counted: there are 32 of them at most.
    pub room_size: usize,
    /// Participants in all rooms, those who wait included.
    pub participants: usize,
    /// Rooms, empty ones included.
    pub rooms: usize,
}

/// Which room a participant asks for.
#[derive(Debug, Clone)]
pub enum Door {
    /// A new one, of which it is the moderator.
    New {
        /// As its moderator wants it.
        options: Options,
        /// Whether it is encrypted end to end.
        encrypted: bool,
    },
    /// The one that this opens. If it is gone, who has the moderator's secret makes it again, as the plan says.
    Existing(Keys, Plan),
    /// The same for who was in it: without the secret as well, but then nobody gets further than the lobby.
    Resumed(Keys, Plan),
}

/// Wrong code, full room, full house, too many tries: the same to whoever asks.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

/// All rooms of this server.
#[derive(Debug)]
pub struct Lobby {
    limits: Limits,
    engines: Vec<Engine>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rooms: HashMap<Code, Room>,
    /// What is allowed of media in all of them.
    limits: MediaLimits,
    guesses: Guesses,
    /// Who was refused since the start.
    refusals: u64,
    last_label: Label,
    last_room: u64,
}

/// A room as those see it who look after the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct RoomLine {
    /// Its number.
    pub number: u64,
    /// The engine that has it.
    pub engine: usize,
    /// Participants.
    pub people: usize,
    /// Those who wait at its door.
    pub waiting: usize,
    /// Seconds since it was made.
    pub seconds: u64,
    /// What is allowed of media, and by whom.
    pub limits: Imposed,
}

impl RoomLine {
    fn of(room: &Room) -> RoomLine {
        RoomLine {
            number: room.number,
            engine: room.engine,
            people: room.members(),
            waiting: room.waiting(),
            seconds: room.since.elapsed().as_secs(),
            limits: room.limits(),
        }
    }
}

/// A participant's place in a room, or among those who wait; dropping it leaves, however the session ends.
#[derive(Debug)]
pub struct Seat {
    lobby: Arc<Lobby>,
    engine: Engine,
    code: Code,
    room: u64,
    encrypted: bool,
    label: Label,
}

impl Lobby {
    /// An empty house with these engines, of which there is at least one.
    pub fn new(limits: Limits, engines: Vec<Engine>) -> Arc<Lobby> {
        Arc::new(Lobby { limits, engines, state: Mutex::default() })
    }

    /// Takes a place for a participant, tells it so, and tells everybody in the room; or has it wait, and
    /// tells the moderators. `source` is where it comes from.
    pub fn enter(
        self: &Arc<Self>,
        door: Door,
        source: IpAddr,
        name: String,
        outbox: &Outbox,
    ) -> Result<Seat, Refused> {
        let now = Instant::now();
        let state = &mut *self.state();
        let (options, encrypted) = match &door {
            Door::New { options, encrypted } => (*options, *encrypted),
            Door::Existing(keys, _) | Door::Resumed(keys, _) => {
                let given = state.gave(keys);
                let enter = |state: &mut State| self.enter_by_code(state, door, source, name, outbox, now);
                return state.try_code(source, given, now, enter);
            }
        };
        if state.people() >= self.limits.participants {
            return Err(Refused);
        }
        let secret = Code::random().map_err(|_| Refused)?;
        let visitor = state.visitor(name, outbox)?;
        let label = visitor.label;
        let (number, engine) = self.make_place(state, Duration::ZERO)?;
        let mut room = Room::new(number, engine, secret, options, encrypted, self.limits.room_size, now);
        room.limit(|limits| limits.server = state.limits);
        room.found(visitor, secret, now)?;
        let seat = self.seat(&room, secret.code(), label);
        state.rooms.insert(secret.code(), room);
        self.rule(state);
        Ok(seat)
    }

    fn enter_by_code(
        self: &Arc<Self>,
        state: &mut State,
        door: Door,
        source: IpAddr,
        name: String,
        outbox: &Outbox,
        now: Instant,
    ) -> Result<Seat, Refused> {
        let (keys, plan, resumed) = match door {
            Door::New { .. } => return Err(Refused),
            Door::Existing(keys, plan) => (keys, plan, false),
            Door::Resumed(keys, plan) => (keys, plan, true),
        };
        let known = state.find(&keys, now);
        let code = known.unwrap_or(keys.code);
        // A wrong secret is a guess, and none.
        let secret = keys.secret.filter(|secret| secret.code() == code);
        if secret != keys.secret {
            state.guesses.wrong(source, now);
        }
        let keys = Keys { secret, ..keys };
        if known.is_none() && secret.is_none() && !resumed {
            return Err(Refused);
        }
        // Who takes over its own place needs no other.
        let returns = |room: &Room| keys.seat.is_some_and(|seat| room.is_taken(seat));
        if state.people() >= self.limits.participants && !state.rooms.get(&code).is_some_and(returns) {
            return Err(Refused);
        }
        let visitor = state.visitor(name, outbox)?;
        let label = visitor.label;
        if known.is_none() {
            let (number, engine) = self.make_place(state, Duration::ZERO)?;
            let mut room = Room::again(number, engine, code, plan.encrypted, self.limits.room_size, now);
            room.limit(|limits| limits.server = state.limits);
            state.rooms.insert(code, room);
        }
        let room = state.rooms.get_mut(&code).ok_or(Refused)?;
        if let Some(secret) = secret {
            room.claim(secret, &plan, now);
        }
        let before = room.enter(visitor, &keys, now)?;
        if let Some(label) = before {
            self.engines[room.engine].send_surely(Command::Leave { label });
        }
        let seat = self.seat(room, code, label);
        self.rule(state);
        Ok(seat)
    }

    fn seat(self: &Arc<Self>, room: &Room, code: Code, label: Label) -> Seat {
        let engine = self.engines[room.engine].clone();
        Seat { lobby: self.clone(), engine, code, room: room.number, encrypted: room.encrypted, label }
    }

    /// Whether one more participant fits into the house, whatever room it asks for.
    pub fn has_place(&self) -> bool {
        self.state().people() < self.limits.participants
    }

    /// Whether this code opens a room to who cannot wait and has no keys, and there is a place in it. A try like any
    /// other.
    pub fn knock(&self, code: Code, source: IpAddr) -> Result<(), Refused> {
        let now = Instant::now();
        self.state().try_code(source, false, now, |state| {
            let room = state.find(&Keys::at_once(code), now).and_then(|room| state.rooms.get(&room));
            let open = |room: &Room| !room.encrypted && room.is_open_to(code, now);
            room.is_some_and(open).then_some(()).ok_or(Refused)
        })
    }

    /// Takes note of a try of what is not even a code.
    pub fn note_nonsense(&self, source: IpAddr) {
        let _ = self.state().try_code(source, false, Instant::now(), |_| Err::<(), _>(Refused));
    }

    /// The engines.
    pub fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// The rooms in the order of their numbers, without what opens them.
    pub fn rooms(&self) -> Vec<RoomLine> {
        let state = self.state();
        let mut rooms: Vec<RoomLine> = state.rooms.values().map(RoomLine::of).collect();
        rooms.sort_by_key(|room| room.number);
        rooms
    }

    /// What is allowed of media in all rooms.
    pub fn limits(&self) -> MediaLimits {
        self.state().limits
    }

    /// Allows more or less of media in all rooms, from now on.
    pub fn limit(&self, server: MediaLimits) {
        let state = &mut *self.state();
        state.limits = server;
        state.rooms.values_mut().for_each(|room| room.limit(|limits| limits.server = server));
        self.rule(state);
    }

    /// Allows more or less of media in the room of this number, from now on; false if there is none.
    pub fn limit_room(&self, number: u64, meeting: MediaLimits) -> bool {
        let state = &mut *self.state();
        let Some(room) = state.rooms.values_mut().find(|room| room.number == number) else { return false };
        room.limit(|limits| limits.meeting = meeting);
        self.rule(state);
        true
    }

    /// Tells the engines what they are to keep to. Each has a part of the server's ceiling, by how many it serves.
    fn rule(&self, state: &State) {
        let people = |engine: usize| -> usize {
            state.rooms.values().filter(|room| room.engine == engine).map(Room::members).sum()
        };
        let all: usize = (0..self.engines.len()).map(people).sum();
        for (index, engine) in self.engines.iter().enumerate() {
            let (part, whole) = if all == 0 { (1, self.engines.len()) } else { (people(index), all) };
            let part = |ceiling: u32| (u64::from(ceiling) * part as u64 / whole as u64) as u32;
            let server = MediaLimits { ceiling: state.limits.ceiling.map(part), ..state.limits };
            let rooms = state.rooms.values().filter(|room| room.engine == index);
            let rooms = rooms.map(|room| (room.number, room.limits().own()));
            let rooms = rooms.filter(|(_, limits)| *limits != MediaLimits::default()).collect();
            engine.rule(Rules { server, rooms });
        }
    }

    /// Participants in the house.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.state().people()
    }

    /// Who was refused since the start.
    pub fn refusals(&self) -> u64 {
        self.state().refusals
    }

    /// Makes an empty room, and tells its moderator's secret. When all rooms are there, one gives way that has
    /// been empty for [`AHEAD`].
    pub fn create(&self, options: Options) -> Result<Code, Refused> {
        let secret = Code::random().map_err(|_| Refused)?;
        let state = &mut *self.state();
        let (number, engine) = self.make_place(state, AHEAD)?;
        let mut room =
            Room::new(number, engine, secret, options, false, self.limits.room_size, Instant::now());
        room.limit(|limits| limits.server = state.limits);
        state.rooms.insert(secret.code(), room);
        Ok(secret)
    }

    /// A number and an engine for a new room: the one with the fewest participants. When all rooms are there, the
    /// one that has been empty longest gives way, if that is at least `spare`.
    fn make_place(&self, state: &mut State, spare: Duration) -> Result<(u64, usize), Refused> {
        if state.rooms.len() >= self.limits.rooms {
            let empty = state.rooms.iter().filter_map(|(code, room)| Some((room.empty_since?, *code)));
            let (since, oldest) = empty.min_by_key(|(since, _)| *since).ok_or(Refused)?;
            if since.elapsed() < spare {
                return Err(Refused);
            }
            state.rooms.remove(&oldest);
        }
        let mut load = vec![(0, 0); self.engines.len()];
        for room in state.rooms.values() {
            // Participants first, then rooms, so that rooms opened ahead spread as well.
            load[room.engine].0 += room.members();
            load[room.engine].1 += 1;
        }
        let engine = (0..load.len()).min_by_key(|index| load[*index]).ok_or(Refused)?;
        state.last_room += 1;
        tracing::info!(room = state.last_room, engine, "room opened");
        Ok((state.last_room, engine))
    }

    /// The state is consistent between statements, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A try of a code. Of a source that has had too many wrong ones it is refused unseen, unless it was `given`.
    fn try_code<T>(
        &mut self,
        source: IpAddr,
        given: bool,
        now: Instant,
        look: impl FnOnce(&mut State) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let found = if given || self.guesses.allows(source, now) { look(self) } else { Err(Refused) };
        if found.is_err() {
            self.guesses.wrong(source, now);
            self.refusals += 1;
            if self.refusals.is_power_of_two() {
                tracing::info!(refusals = self.refusals, "refused since the start");
            }
        }
        found
    }

    /// Whether one of the keys shows that its bearer was given it and does not guess: a place, or the secret that the
    /// code proves. Who guesses behind the same address does not keep these out.
    fn gave(&self, keys: &Keys) -> bool {
        keys.secret.is_some_and(|secret| secret.code() == keys.code)
            || keys.seat.is_some_and(|seat| self.rooms.values().any(|room| room.knows(seat)))
    }

    /// The code of the room that the keys open. Seats and invitations are looked for in each room: there are
    /// few in each, and one index more would have to be kept right. A room made again by whoever knows a code
    /// comes last, for the code may have been an invitation's.
    fn find(&self, keys: &Keys, now: Instant) -> Option<Code> {
        let of = |opens: &dyn Fn(&Room) -> bool| {
            self.rooms.iter().find(|(_, room)| opens(room)).map(|(code, _)| *code)
        };
        keys.seat
            .and_then(|seat| of(&|room| room.knows(seat)))
            .or(self.rooms.get(&keys.code).filter(|room| room.is_claimed()).map(|_| keys.code))
            .or_else(|| of(&|room| room.invites(keys.code, now)))
            .or(self.rooms.contains_key(&keys.code).then_some(keys.code))
    }

    fn people(&self) -> usize {
        self.rooms.values().map(Room::people).sum()
    }

    fn visitor(&mut self, name: String, outbox: &Outbox) -> Result<Visitor, Refused> {
        self.last_label = self.last_label.checked_add(1).ok_or(Refused)?;
        Ok(Visitor { label: self.last_label, name, outbox: outbox.clone() })
    }
}

impl Seat {
    /// The participant's number.
    pub fn label(&self) -> Label {
        self.label
    }

    /// The room's number.
    pub fn room(&self) -> u64 {
        self.room
    }

    /// Whether the meeting is encrypted end to end.
    pub fn encrypted(&self) -> bool {
        self.encrypted
    }

    /// The engine that has the room.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The participant's name; empty once it is gone.
    pub fn name(&self) -> String {
        let state = self.lobby.state();
        state.rooms.get(&self.code).and_then(|room| room.name(self.label)).unwrap_or_default().to_owned()
    }

    /// Whether this participant is a moderator now.
    pub fn moderates(&self) -> bool {
        let state = self.lobby.state();
        state.rooms.get(&self.code).is_some_and(|room| room.is_moderator(self.label))
    }

    /// Tells everybody what this participant has switched on.
    pub fn show(&self, shown: Shown) {
        if let Some(room) = self.lobby.state().rooms.get_mut(&self.code) {
            room.show(self.label, shown);
        }
    }

    /// Does something in the room. Nothing goes to or comes from whoever is taken out once this returns,
    /// but what the engine had already been handed.
    pub fn act(&self, act: Act) -> Result<(), Denied> {
        let state = &mut *self.lobby.state();
        let room = state.rooms.get_mut(&self.code).ok_or(Denied::Moderators)?;
        let outcome = room.act(self.label, act, Instant::now())?;
        if outcome.over {
            state.rooms.remove(&self.code);
        }
        self.lobby.rule(state);
        for label in outcome.gone {
            tracing::info!(room = self.room, label, by = self.label, "removed");
            self.engine.send_surely(Command::Leave { label });
        }
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.engine.send_surely(Command::Leave { label: self.label });
        let state = &mut *self.lobby.state();
        if let Some(room) = state.rooms.get_mut(&self.code) {
            room.leave(self.label, Instant::now());
        }
        self.lobby.rule(state);
    }
}
