//! What the page and the server say to each other: JSON over the WebSocket.
//!
//! `create` or `join` comes first. The page then makes the first offer; both sides may offer later.
//! When offers cross, the page ignores the server's and the server takes the page's back-up: it
//! rolls back and offers again.

use crate::code::Code;
use crate::lobby::Label;
use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// Bytes of one message from a page: a session description of a full room, and room to spare.
pub const MESSAGE: usize = 512 * 1024;

/// Messages waiting for one page. A page that is that far behind has stopped reading.
const OUTBOX: usize = 256;

/// Wishes in one message: more than a page receives tracks.
pub const WISHES: usize = 256;

/// Characters of a name.
const NAME: usize = 40;

/// The page's messages.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Request {
    /// Make a room and enter it.
    Create { name: String },
    /// Enter a room. With `resume` the page was in it before the connection was lost, and the room
    /// is made again if it is gone: whoever knows a code may as well have created the room.
    Join {
        code: String,
        name: String,
        #[serde(default)]
        resume: bool,
    },
    /// A session description of type offer.
    Offer { sdp: String },
    /// The answer to the server's last offer.
    Answer { sdp: String },
    /// What the participant has switched on.
    State { audio: bool, video: bool },
    /// What is wanted of tracks that are received, from now on. Of those that are not named nothing
    /// changes, and of those that are not there nothing is wanted.
    Wishes { list: Vec<TrackWish> },
}

/// What a page wants of a track at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackWish {
    /// Which one.
    pub track: Track,
    /// The height of its pictures in pixels; any without.
    pub max_height: Option<u16>,
    /// Nobody sees it: nothing is sent.
    #[serde(default)]
    pub paused: bool,
}

/// A track that a page receives, by its msid in the engine's descriptions: `p3/s1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Track {
    /// Whose it is.
    pub publisher: Label,
    /// Which of its sources.
    pub number: u32,
}

impl TryFrom<String> for Track {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Track, &'static str> {
        let parts = name.strip_prefix('p').and_then(|rest| rest.split_once("/s"));
        let track = parts.and_then(|(publisher, number)| {
            Some(Track { publisher: publisher.parse().ok()?, number: number.parse().ok()? })
        });
        track.ok_or("no track's name")
    }
}

/// The server's messages.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Reply<'a> {
    /// You are in. `id` is yours in `participants`, and names your streams to others.
    Joined { code: String, id: String },
    /// No such room, or no free place: the two are not told apart, so that codes cannot be probed.
    Refused,
    /// Everybody in the room, whenever that changes.
    Participants { list: Vec<Entry<'a>> },
    /// A session description of type offer; ignore it if you have offered meanwhile.
    Offer { sdp: &'a str },
    /// The answer to your offer.
    Answer { sdp: &'a str },
    /// Your media has ended (`reason` is for people); the connection closes, come back if you like.
    Ended { reason: &'a str },
}

/// One line of `participants`. Streams of this participant have `id` as their stream id.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    /// The participant's label.
    pub id: String,
    /// As given by the participant, tidied by [`tidy_name`].
    pub name: &'a str,
    /// Whether the microphone is on.
    pub audio: bool,
    /// Whether the camera is on.
    pub video: bool,
}

/// The id of a participant's streams, as the engine writes it into descriptions.
pub fn stream_id(label: u32) -> String {
    format!("p{label}")
}

/// A room's code as its address shows it.
pub fn joined(code: Code, label: u32) -> Reply<'static> {
    Reply::Joined { code: code.to_string(), id: stream_id(label) }
}

/// A name fit to be shown to others: no control or direction-changing characters, one space at a
/// time, 40 characters at most, never empty.
pub fn tidy_name(name: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let shown: String = name.chars().map(|c| if unseen(c) { ' ' } else { c }).take(4 * NAME).collect();
    let tidy: String = shown.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(NAME).collect();
    if tidy.is_empty() { "Guest".to_owned() } else { tidy }
}

/// The way to one page: a bounded queue that never blocks the writer.
#[derive(Debug, Clone)]
pub struct Outbox {
    queue: mpsc::Sender<Utf8Bytes>,
    closed: Arc<Notify>,
}

/// The other end of an [`Outbox`].
#[derive(Debug)]
pub struct Inbox {
    /// What to send, in order.
    pub queue: mpsc::Receiver<Utf8Bytes>,
    /// Notified when the page is to be disconnected after what is queued.
    pub closed: Arc<Notify>,
}

impl Outbox {
    /// A queue for one page.
    pub fn new() -> (Outbox, Inbox) {
        let (sender, receiver) = mpsc::channel(OUTBOX);
        let closed = Arc::new(Notify::new());
        (Outbox { queue: sender, closed: closed.clone() }, Inbox { queue: receiver, closed })
    }

    /// Queues a message. A page whose queue is full is disconnected: it would miss a state change.
    pub fn push(&self, reply: &Reply<'_>) {
        self.push_text(text(reply));
    }

    /// As [`Outbox::push`], for a message to many that is written once.
    pub fn push_text(&self, text: Utf8Bytes) {
        if self.queue.try_send(text).is_err() {
            self.close();
        }
    }

    /// Disconnects the page after what is queued.
    pub fn close(&self) {
        self.closed.notify_one();
    }
}

/// The message as it is sent.
pub fn text(reply: &Reply<'_>) -> Utf8Bytes {
    // Strings and flags always serialise; an empty object would be ignored by the page.
    serde_json::to_string(reply).unwrap_or_else(|_| "{}".to_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_disturb_the_page_or_the_log() {
        assert_eq!(tidy_name("  Ada \n\u{202e} Lovelace\u{1b}[2J "), "Ada Lovelace [2J");
        assert_eq!(tidy_name("\u{200b}\t"), "Guest");
        assert_eq!(tidy_name(&"x".repeat(10_000)).chars().count(), NAME);
    }

    #[test]
    fn messages_are_read_and_written_as_documented() {
        let join = r#"{"type":"join","code":"c","name":"n"}"#;
        assert!(matches!(serde_json::from_str(join), Ok(Request::Join { resume: false, .. })));
        assert!(serde_json::from_str::<Request>(r#"{"type":"shout"}"#).is_err());
        let wishes = r#"{"type":"wishes","list":[{"track":"p3/s1","maxHeight":360},{"track":"p4/s0","maxHeight":null,"paused":true}]}"#;
        let Ok(Request::Wishes { list }) = serde_json::from_str(wishes) else { panic!("not understood") };
        let of = |publisher, number| Track { publisher, number };
        let expected = [(of(3, 1), Some(360), false), (of(4, 0), None, true)];
        assert_eq!(list, expected.map(|(track, max_height, paused)| TrackWish { track, max_height, paused }));
        for track in ["", "p", "p3", "3/s1", "p3/1", "p3/s", "p3/s1/s2", "p4294967296/s1", "p-1/s1"] {
            let wish = format!(r#"{{"track":"{track}","maxHeight":360}}"#);
            assert!(serde_json::from_str::<TrackWish>(&wish).is_err(), "{track}");
        }
        assert!(serde_json::from_str::<TrackWish>(r#"{"track":"p3/s1","maxHeight":65536}"#).is_err());
        assert_eq!(text(&Reply::Refused).as_str(), r#"{"type":"refused"}"#);
        assert_eq!(text(&Reply::Offer { sdp: "v=0\r\n" }).as_str(), r#"{"type":"offer","sdp":"v=0\r\n"}"#);
    }

    #[test]
    fn a_page_that_stops_reading_is_disconnected() {
        let (outbox, inbox) = Outbox::new();
        for _ in 0..OUTBOX {
            outbox.push(&Reply::Refused);
        }
        let mut kicked = Box::pin(inbox.closed.notified());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(kicked.as_mut().poll(&mut context).is_pending());
        outbox.push(&Reply::Refused);
        assert!(kicked.as_mut().poll(&mut context).is_ready());
    }
}
