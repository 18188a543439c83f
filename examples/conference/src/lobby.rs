//! Who is in which room, and on which engine each room lives.

use crate::code::Code;
use crate::media::{Command, Engine};
use crate::message::{Entry, Outbox, Reply, joined, stream_id, text};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The number of a participant, never given twice: a late message for one that left finds nobody.
pub type Label = u32;

/// How long a room made ahead of its participants is theirs alone: they are on their way.
const AHEAD: Duration = Duration::from_secs(60);

/// Sizes the lobby keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Participants in one room.
    pub room_size: usize,
    /// Participants in all rooms.
    pub participants: usize,
    /// Rooms, empty ones included.
    pub rooms: usize,
}

/// Which room a participant asks for.
#[derive(Debug, Clone, Copy)]
pub enum Door {
    /// A new one.
    New,
    /// The one with this code.
    Existing(Code),
    /// The one with this code, made again if it is gone.
    Resumed(Code),
}

/// Wrong code, full room or full house: the same to whoever asks.
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
    participants: usize,
    last_label: Label,
    last_room: u64,
}

#[derive(Debug)]
struct Room {
    /// The room's name towards its engine and in logs; the code is a secret.
    number: u64,
    engine: usize,
    members: Vec<Member>,
    empty_since: Option<Instant>,
}

#[derive(Debug)]
struct Member {
    label: Label,
    name: String,
    audio: bool,
    video: bool,
    outbox: Outbox,
}

/// A participant's place in a room; dropping it leaves the room, however the session ends.
#[derive(Debug)]
pub struct Seat {
    lobby: Arc<Lobby>,
    engine: Engine,
    code: Code,
    room: u64,
    label: Label,
}

impl Lobby {
    /// An empty house with these engines, of which there is at least one.
    pub fn new(limits: Limits, engines: Vec<Engine>) -> Arc<Lobby> {
        Arc::new(Lobby { limits, engines, state: Mutex::default() })
    }

    /// Takes a place for a participant, tells it so, and tells everybody in the room.
    pub fn enter(self: &Arc<Self>, door: Door, name: String, outbox: &Outbox) -> Result<Seat, Refused> {
        let state = &mut *self.state();
        if state.participants >= self.limits.participants {
            return Err(Refused);
        }
        let code = match door {
            Door::New => Code::random().map_err(|_| Refused)?,
            Door::Existing(code) if !state.rooms.contains_key(&code) => return Err(Refused),
            Door::Existing(code) | Door::Resumed(code) => code,
        };
        if !state.rooms.contains_key(&code) {
            self.open_room(state, code, Duration::ZERO)?;
        }
        let room = state.rooms.get_mut(&code).ok_or(Refused)?;
        if room.members.len() >= self.limits.room_size {
            return Err(Refused);
        }
        state.last_label = state.last_label.checked_add(1).ok_or(Refused)?;
        state.participants += 1;
        let label = state.last_label;
        room.members.push(Member { label, name, audio: false, video: false, outbox: outbox.clone() });
        room.empty_since = None;
        outbox.push(&joined(code, label));
        room.announce();
        let engine = self.engines[room.engine].clone();
        Ok(Seat { lobby: self.clone(), engine, code, room: room.number, label })
    }

    /// Whether one more participant fits into the house, whatever room it asks for.
    pub fn has_place(&self) -> bool {
        self.state().participants < self.limits.participants
    }

    /// Whether there is a room with this code and a place in it.
    pub fn has_place_in(&self, code: Code) -> bool {
        let state = self.state();
        state.rooms.get(&code).is_some_and(|room| room.members.len() < self.limits.room_size)
    }

    /// Participants in the house.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.state().participants
    }

    /// Makes an empty room. When all rooms are there, one gives way that has been empty for [`AHEAD`].
    pub fn create(&self) -> Result<Code, Refused> {
        let code = Code::random().map_err(|_| Refused)?;
        self.open_room(&mut self.state(), code, AHEAD)?;
        Ok(code)
    }

    /// Makes a room on the engine with the fewest participants. When all are there, the one that has
    /// been empty longest gives way, if that is at least `spare`.
    fn open_room(&self, state: &mut State, code: Code, spare: Duration) -> Result<(), Refused> {
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
            load[room.engine].0 += room.members.len();
            load[room.engine].1 += 1;
        }
        let engine = (0..load.len()).min_by_key(|index| load[*index]).ok_or(Refused)?;
        state.last_room += 1;
        let room =
            Room { number: state.last_room, engine, members: Vec::new(), empty_since: Some(Instant::now()) };
        tracing::info!(room = room.number, engine, "room opened");
        state.rooms.insert(code, room);
        Ok(())
    }

    /// The state is consistent between statements, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Tells everybody who is here.
    fn announce(&self) {
        let list = self.members.iter().map(|member| Entry {
            id: stream_id(member.label),
            name: &member.name,
            audio: member.audio,
            video: member.video,
        });
        let message = text(&Reply::Participants { list: list.collect() });
        for member in &self.members {
            member.outbox.push_text(message.clone());
        }
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

    /// The engine that has the room.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Tells everybody what this participant has switched on.
    pub fn set_state(&self, audio: bool, video: bool) {
        let mut state = self.lobby.state();
        let Some(room) = state.rooms.get_mut(&self.code) else {
            return;
        };
        let Some(member) = room.members.iter_mut().find(|member| member.label == self.label) else {
            return;
        };
        if (member.audio, member.video) != (audio, video) {
            (member.audio, member.video) = (audio, video);
            room.announce();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.engine.send_surely(Command::Leave { label: self.label });
        let state = &mut *self.lobby.state();
        let Some(room) = state.rooms.get_mut(&self.code) else {
            return;
        };
        let before = room.members.len();
        room.members.retain(|member| member.label != self.label);
        state.participants -= before - room.members.len();
        if room.members.is_empty() {
            room.empty_since = Some(Instant::now());
        }
        room.announce();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Inbox;
    use std::collections::HashSet;

    fn lobby(limits: Limits) -> (Arc<Lobby>, Vec<tokio::sync::mpsc::Receiver<Command>>) {
        let (engines, commands) = (0..2).map(|_| Engine::channel()).unzip();
        (Lobby::new(limits, engines), commands)
    }

    fn enter(lobby: &Arc<Lobby>, door: Door) -> Result<(Seat, Inbox), Refused> {
        let (outbox, inbox) = Outbox::new();
        Ok((lobby.enter(door, "Ada".to_owned(), &outbox)?, inbox))
    }

    const SMALL: Limits = Limits { room_size: 2, participants: 3, rooms: 2 };

    #[test]
    fn s_room_01_wrong_and_full_look_alike() {
        let (lobby, _commands) = lobby(SMALL);
        let (first, _inbox) = enter(&lobby, Door::New).expect("first");
        let _second = enter(&lobby, Door::Existing(first.code)).expect("second");
        assert_eq!(enter(&lobby, Door::Existing(first.code)).err(), Some(Refused));
        assert_eq!(enter(&lobby, Door::Existing(Code::random().unwrap())).err(), Some(Refused));
    }

    #[test]
    fn a_left_seat_frees_its_place_and_tells_the_engine() {
        let (lobby, mut commands) = lobby(SMALL);
        let (first, mut inbox) = enter(&lobby, Door::New).expect("first");
        let (second, _) = enter(&lobby, Door::Existing(first.code)).expect("second");
        let (left, engine) = (second.label, second.lobby.state().rooms[&first.code].engine);
        drop(second);
        assert!(matches!(commands[engine].try_recv(), Ok(Command::Leave { label }) if label == left));
        enter(&lobby, Door::Existing(first.code)).expect("place is free again");
        let lists =
            std::iter::from_fn(|| inbox.queue.try_recv().ok()).filter(|text| text.contains("participants"));
        let sizes: Vec<usize> = lists.map(|text| text.matches("Ada").count()).collect();
        assert_eq!(sizes, [1, 2, 1, 2, 1]);
    }

    #[test]
    fn rooms_spread_over_engines_and_the_oldest_empty_one_gives_way() {
        let (lobby, _commands) = lobby(SMALL);
        let (a, _) = enter(&lobby, Door::New).expect("a");
        let (b, _) = enter(&lobby, Door::New).expect("b");
        let engines: HashSet<usize> = lobby.state().rooms.values().map(|room| room.engine).collect();
        assert_eq!(engines.len(), 2);
        assert_eq!(enter(&lobby, Door::New).err(), Some(Refused));
        let gone = a.code;
        drop(a);
        let (c, _) = enter(&lobby, Door::New).expect("the empty room gives way");
        assert_eq!(enter(&lobby, Door::Existing(gone)).err(), Some(Refused));
        drop((b, c));
        let (again, _) = enter(&lobby, Door::Resumed(gone)).expect("made again");
        assert_eq!(again.code, gone);
    }

    #[test]
    fn a_room_made_ahead_is_kept_from_others_made_ahead_for_a_minute() {
        let (lobby, _commands) = lobby(SMALL);
        let codes = [lobby.create().expect("first"), lobby.create().expect("second")];
        assert_eq!(lobby.create(), Err(Refused));
        assert!(codes.iter().all(|code| lobby.has_place_in(*code)));
        let minute_ago = Instant::now().checked_sub(AHEAD).expect("a clock that is older");
        lobby.state().rooms.get_mut(&codes[1]).expect("room").empty_since = Some(minute_ago);
        assert!(lobby.create().is_ok());
        assert_eq!(codes.map(|code| lobby.has_place_in(code)), [true, false]);
        // Somebody who comes is worth more than a room that nobody has come to.
        assert!(enter(&lobby, Door::New).is_ok());
        assert!(!lobby.has_place_in(codes[0]));
    }

    #[test]
    fn the_house_has_a_limit() {
        let (lobby, _commands) = lobby(Limits { participants: 1, ..SMALL });
        let first = enter(&lobby, Door::New).expect("first");
        assert_eq!(enter(&lobby, Door::New).err(), Some(Refused));
        drop(first);
        assert!(enter(&lobby, Door::New).is_ok());
    }
}
