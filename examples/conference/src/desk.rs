//! The desk of each room: its chat and the text that is written together, on data channels that pages open.
//!
//! | Channel | Carried | From a page | To a page |
//! |---|---|---|---|
//! | `chat` | reliably, in order | a text message: what it says | JSON: `said`, `now`, `refused` |
//! | `text` | reliably, in order | binary: a kind and what it names | likewise |
//! | `cursors` | at once or never | binary: a place in the text | its sender's label behind its length, then the place |
//!
//! **chat.** Once open, what is remembered comes as `{"type":"said","from":"p3","name":"Ada","time":…,"text":…}`, then
//! `{"type":"now"}`, then whatever is said, to its sender too. It goes through the server and not past it by the
//! engine's own route, so that all see one order, and whoever comes later sees the same. What is longer than
//! [`chat::MESSAGE`] or too often ([`Pace`]) is answered `{"type":"refused","why":"long"}` or `"often"`.
//!
//! **text.** The first byte is the kind, the rest as in Yjs' format 1:
//!
//! | Kind | Is followed by | Means |
//! |---|---|---|
//! | 0 | a state vector | this is what I know: tell me what I lack |
//! | 1 | a part of an update | more of it follows |
//! | 2 | the last or only part | make this change |
//! | 3 | `full` or `bad` | your change was not made; nothing of yours is heard before your next state vector |
//! | 3 | `often` | you have asked too often ([`Pace`]) and are not answered: ask again later |
//!
//! A page begins with its state vector, and the server answers with what the page lacks and its own state vector,
//! which the page answers likewise: so a server that has started again gets the text back from whoever was there.
//! A part is at most [`PART`], all of an update at most [`text::DOCUMENT`].
//!
//! **cursors**, as channels of any other name, go from page to page by the engine alone: they are many, and none matters
//! for long. A place is a
//! position relative to the text around it as Yjs writes it; an empty one is none.
//!
//! A room that is encrypted end to end has no desk: its pages relay to each other what they have sealed (`talk.js`).
//!
//! All of it is gone with the room. It is worked at on a thread of its own, because Yjs may take its time for a
//! change that was made to take time, and media cannot wait.

mod chat;
#[cfg(test)]
mod tests;
mod text;
mod update;

use crate::lobby::Label;
use crate::message::stream_id;
use bytes::Bytes;
use chat::Chat;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use text::Text;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes of one part of an update; a message of the engine is at most 64 KiB.
const PART: usize = 60 * 1_024;

/// Messages that wait for the desks.
const MESSAGES: usize = 1_024;

/// What the desks have to say and nobody has passed on yet.
const SAYS: usize = 64;

const VECTOR: u8 = 0;
const MORE: u8 = 1;
const LAST: u8 = 2;
const REFUSED: u8 = 3;

/// A channel that ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    Chat,
    Text,
}

impl Channel {
    pub const ALL: [Channel; 2] = [Channel::Chat, Channel::Text];

    /// Its label on the wire.
    pub fn label(self) -> &'static str {
        match self {
            Channel::Chat => "chat",
            Channel::Text => "text",
        }
    }

    /// The channel of this label.
    pub fn named(label: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.label() == label)
    }
}

/// What a desk is told.
#[derive(Debug)]
pub enum Word {
    /// A participant's channel is open, for the first time or again.
    Opened { room: u64, label: Label, channel: Channel },
    /// A participant sent a message.
    Heard { room: u64, label: Label, name: String, channel: Channel, data: Bytes },
    /// A participant is gone.
    Left { room: u64, label: Label },
    /// The room is gone.
    Closed { room: u64 },
}

/// Messages to be sent on a channel, in this order: text on `chat`, binary on `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    pub to: To,
    pub channel: Channel,
    pub messages: Vec<Bytes>,
}

/// Whom they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    One(Label),
    /// All in this room.
    Room(u64),
    /// All in this room but one.
    Others(u64, Label),
}

/// The desks of one engine's rooms. Without clock and thread.
#[derive(Default)]
pub struct Desks {
    rooms: HashMap<u64, Desk>,
    /// Changes of texts that were not made, since the start.
    refusals: HashMap<text::Refusal, u64>,
}

#[derive(Default)]
struct Desk {
    chat: Chat,
    text: Text,
    /// Those who have opened a channel.
    pages: HashMap<Label, Page>,
}

/// What is kept of a participant: at most [`text::DOCUMENT`] bytes.
struct Page {
    pace: Pace,
    /// The parts of an update that have come.
    update: Vec<u8>,
    /// Whether its changes are heard.
    heard: bool,
}

/// How often somebody may say something, and be told all that was: ten times at once, then once a second. People do
/// not write faster, and who does would drive from memory what others have said.
struct Pace {
    /// The moment up to which all is paid for.
    paid: Instant,
}

impl Pace {
    const EACH: Duration = Duration::from_secs(1);
    const AT_ONCE: u32 = 10;

    fn allows(&mut self, now: Instant) -> bool {
        let paid = self.paid.max(now) + Pace::EACH;
        let allowed = paid <= now + Pace::EACH * Pace::AT_ONCE;
        if allowed {
            self.paid = paid;
        }
        allowed
    }
}

impl Desks {
    /// As [`Desks::take`], and goes on if that fails. Yjs is large and its input hostile: should something get past
    /// [`update::check`] that it fails on, the room's text alone is lost, and pages give it back.
    pub fn take_surely(&mut self, now: Instant, wall: SystemTime, word: Word, say: &mut dyn FnMut(Say)) {
        let change = match word {
            Word::Heard { room, label, channel: Channel::Text, .. } => Some((room, label)),
            _ => None,
        };
        let taken = catch_unwind(AssertUnwindSafe(|| self.take(now, wall, word, say)));
        if let (Err(_), Some((room, label))) = (taken, change) {
            let refusal = text::Refusal::Broken;
            if let Some(desk) = self.rooms.get_mut(&room) {
                desk.text = Text::default();
                desk.refuse(room, label, refusal, say);
            }
            self.note(room, label, refusal);
        }
    }

    /// Logs the first, second, fourth and so on of each kind.
    fn note(&mut self, room: u64, label: Label, refusal: text::Refusal) {
        let count = self.refusals.entry(refusal).or_default();
        *count += 1;
        if count.is_power_of_two() {
            tracing::info!(room, label, ?refusal, count, "a change of the text is refused");
        }
    }

    /// Takes note of something; `say` is called with what is to be said then, in order.
    pub fn take(&mut self, now: Instant, wall: SystemTime, word: Word, say: &mut dyn FnMut(Say)) {
        match word {
            Word::Opened { room, label, channel } => {
                let desk = self.rooms.entry(room).or_default();
                let page = desk.pages.entry(label).or_insert_with(|| Page::new(now));
                // A text is told who asks with a state vector.
                if channel == Channel::Chat && page.pace.allows(now) {
                    let mut messages: Vec<_> = desk.chat.messages().cloned().collect();
                    messages.push(Bytes::from_static(br#"{"type":"now"}"#));
                    say(Say { to: To::One(label), channel, messages });
                }
            }
            Word::Heard { room, label, name, channel, data } => {
                let Some(desk) = self.rooms.get_mut(&room).filter(|desk| desk.pages.contains_key(&label))
                else {
                    return;
                };
                match channel {
                    Channel::Chat => say(desk.chat(room, label, &name, &data, now, wall)),
                    Channel::Text => {
                        if let Err(refusal) = desk.text(room, label, &data, now, say) {
                            desk.refuse(room, label, refusal, say);
                            self.note(room, label, refusal);
                        }
                    }
                }
            }
            Word::Left { room, label } => {
                if let Some(desk) = self.rooms.get_mut(&room) {
                    desk.pages.remove(&label);
                }
            }
            Word::Closed { room } => drop(self.rooms.remove(&room)),
        }
    }
}

impl Page {
    fn new(now: Instant) -> Page {
        Page { pace: Pace { paid: now }, update: Vec::new(), heard: false }
    }
}

impl Desk {
    fn chat(
        &mut self,
        room: u64,
        label: Label,
        name: &str,
        data: &[u8],
        now: Instant,
        wall: SystemTime,
    ) -> Say {
        let channel = Channel::Chat;
        let refused =
            |why: &'static [u8]| Say { to: To::One(label), channel, messages: vec![Bytes::from_static(why)] };
        if !self.pages.get_mut(&label).is_some_and(|page| page.pace.allows(now)) {
            return refused(br#"{"type":"refused","why":"often"}"#);
        }
        let time = wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let said = std::str::from_utf8(data)
            .map_err(|_| chat::Unfit)
            .and_then(|text| self.chat.say(time, &stream_id(label), name, text));
        match said {
            Ok(message) => Say { to: To::Room(room), channel, messages: vec![message] },
            Err(chat::Unfit) => refused(br#"{"type":"refused","why":"long"}"#),
        }
    }

    fn text(
        &mut self,
        room: u64,
        label: Label,
        data: &[u8],
        now: Instant,
        say: &mut dyn FnMut(Say),
    ) -> Result<(), text::Refusal> {
        let channel = Channel::Text;
        let (Some(page), Some((kind, rest))) = (self.pages.get_mut(&label), data.split_first()) else {
            return Ok(());
        };
        let outcome = match *kind {
            VECTOR if !page.pace.allows(now) => {
                let messages = vec![message(REFUSED, b"often")];
                Ok(Some(Say { to: To::One(label), channel, messages }))
            }
            VECTOR => self.text.missing_in(rest).map(|missing| {
                (page.heard, page.update) = (true, Vec::new());
                let mut messages = parts(&missing);
                messages.push(message(VECTOR, &self.text.vector()));
                Some(Say { to: To::One(label), channel, messages })
            }),
            _ if !page.heard => Ok(None),
            MORE | LAST if page.update.len() + rest.len() > text::DOCUMENT => Err(text::Refusal::Full),
            MORE => {
                page.update.extend(rest);
                Ok(None)
            }
            LAST => {
                let mut update = std::mem::take(&mut page.update);
                update.extend(rest);
                let (changed, outcome) = self.text.apply(&update);
                if let Some(change) = changed {
                    say(Say { to: To::Others(room, label), channel, messages: parts(&change) });
                }
                outcome.map(|()| None)
            }
            _ => Err(text::Refusal::Malformed),
        };
        outcome.map(|answer| answer.into_iter().for_each(say))
    }

    /// Tells a page that its change was not made, and the others if it is their turn to give the text back.
    fn refuse(&mut self, room: u64, label: Label, refusal: text::Refusal, say: &mut dyn FnMut(Say)) {
        let channel = Channel::Text;
        if let Some(page) = self.pages.get_mut(&label) {
            (page.heard, page.update) = (false, Vec::new());
        }
        let why: &[u8] = if refusal == text::Refusal::Full { b"full" } else { b"bad" };
        say(Say { to: To::One(label), channel, messages: vec![message(REFUSED, why)] });
        if refusal == text::Refusal::Broken {
            let messages = vec![message(VECTOR, &self.text.vector())];
            say(Say { to: To::Others(room, label), channel, messages });
        }
    }
}

fn message(kind: u8, rest: &[u8]) -> Bytes {
    [&[kind], rest].concat().into()
}

/// An update as messages.
fn parts(update: &[u8]) -> Vec<Bytes> {
    let count = update.len().div_ceil(PART);
    let kind = |at| if at + 1 == count { LAST } else { MORE };
    update.chunks(PART).enumerate().map(|(at, part)| message(kind(at), part)).collect()
}

/// The way to the desks, which work on a thread of their own for as long as there is this.
#[derive(Debug)]
pub struct Way {
    words: mpsc::UnboundedSender<(Word, Option<OwnedSemaphorePermit>)>,
    /// A permit for each message that waits. All else must not be lost, and is as rare as what it tells of.
    messages: Arc<Semaphore>,
}

/// The desks have more to do than they get done.
#[derive(Debug)]
pub struct Behind;

impl Way {
    /// Starts the thread; what it has to say comes from the other end.
    pub fn start() -> std::io::Result<(Way, mpsc::Receiver<Say>)> {
        let (words, mut told) = mpsc::unbounded_channel();
        let (says, said) = mpsc::channel(SAYS);
        std::thread::Builder::new().name("desks".to_owned()).spawn(move || {
            let mut desks = Desks::default();
            while let Some((word, _permit)) = told.blocking_recv() {
                // Nobody listens any more only when the engine has ended.
                let mut say = |one| drop(says.blocking_send(one));
                desks.take_surely(Instant::now(), SystemTime::now(), word, &mut say);
            }
        })?;
        Ok((Way { words, messages: Arc::new(Semaphore::new(MESSAGES)) }, said))
    }

    /// Passes something on; a message only if not too many wait.
    pub fn tell(&self, word: Word) -> Result<(), Behind> {
        let permit = match word {
            Word::Heard { .. } => Some(self.messages.clone().try_acquire_owned().map_err(|_| Behind)?),
            _ => None,
        };
        self.words.send((word, permit)).map_err(|_| Behind)
    }
}
