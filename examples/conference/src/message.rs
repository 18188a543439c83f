//! What the page and the server say to each other: JSON over the WebSocket.
//!
//! `create` or `join` comes first. The server answers `joined`, or `waits` and after admission `joined`,
//! or `refused`. The page then makes the first offer; both sides may offer later.
//! When offers cross, the page ignores the server's and the server takes the page's back-up: it
//! rolls back and offers again.

use crate::limits::{Imposed, MediaLimits};
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

/// What a moderator decides for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Options {
    /// Who comes by the room's code waits until a moderator admits it.
    pub lobby: bool,
    /// Nobody new comes in.
    pub locked: bool,
}

/// An invitation to be made.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Invite {
    /// How long it opens the room, 30 days at most.
    pub minutes: u32,
    /// How many it lets in; any number without.
    pub uses: Option<u32>,
    /// Whether it leads past the lobby.
    #[serde(default)]
    pub direct: bool,
}

/// An invitation as moderators see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Ticket {
    /// What stands in its link in place of the room's code. Follows from the secret.
    #[serde(default)]
    pub code: String,
    /// Proves to a server that has forgotten the room that this is an invitation, and not another room's code.
    pub secret: String,
    /// How long it still opens the room.
    pub seconds: u32,
    /// How many more it lets in; any number without.
    pub uses: Option<u32>,
    /// Whether it leads past the lobby.
    pub direct: bool,
}

/// What a moderator's page knew of its meeting. It counts only when the server has forgotten the room.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Whether there is a lobby.
    pub lobby: bool,
    /// Whether it is locked.
    pub locked: bool,
    /// Whether it is encrypted end to end: a room made again is so from the first on.
    pub encrypted: bool,
    /// The invitations; more than a room may have are left out.
    pub invitations: Vec<Ticket>,
    /// What its moderators allow of media.
    pub limits: MediaLimits,
}

/// Who knows nothing of the meeting lets nobody in unseen.
impl Default for Plan {
    fn default() -> Plan {
        let (invitations, limits) = Default::default();
        Plan { lobby: true, locked: false, encrypted: false, invitations, limits }
    }
}

/// The page's messages.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Request {
    /// Make a room and enter it.
    Create {
        name: String,
        #[serde(flatten)]
        options: Options,
        /// Whether pages encrypt end to end what they send. That does not change as long as the room is there.
        #[serde(default)]
        encrypted: bool,
    },
    /// Enter a room.
    Join {
        /// The room's code, or an invitation's.
        code: String,
        name: String,
        /// The moderator's, as `secret` told it to who made the room. With the right one a room that is gone
        /// is made again, as `plan` says; a wrong one counts as none.
        secret: Option<String>,
        /// As the last `joined` told it: back to that place, without the lobby. One that is not known
        /// is no mistake.
        seat: Option<String>,
        /// The page was in the room before the connection was lost. A room that is gone is made again,
        /// but without the secret nobody gets further than its lobby.
        #[serde(default)]
        resume: bool,
        #[serde(default)]
        plan: Plan,
    },
    /// Something in the room other than media.
    Act(Act),
    /// A session description of type offer.
    Offer { sdp: String },
    /// The answer to the server's last offer.
    Answer { sdp: String },
    /// What the participant has switched on.
    State(Shown),
    /// What is wanted of tracks that are received, from now on. Of those that are not named nothing
    /// changes, and of those that are not there nothing is wanted.
    Wishes { list: Vec<TrackWish> },
    /// What the participant has chosen to receive at most.
    Choose { choice: Choice },
    /// Be told of the connection, once a second, or not any more.
    Watch { on: bool },
}

/// What a participant chooses to receive at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// What its path carries.
    #[default]
    All,
    /// Small pictures, and little in all.
    Low,
    /// Sound alone.
    Audio,
}

/// What a participant has switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Shown {
    /// The microphone.
    pub audio: bool,
    /// The camera.
    pub video: bool,
    /// A screen.
    pub screen: bool,
}

/// What somebody does in a room. All but the first two are for moderators; `denied` is the answer to others.
/// What is meant for somebody who has gone meanwhile does nothing.
#[derive(Debug, Deserialize)]
#[serde(tag = "act", rename_all = "lowercase")]
pub enum Act {
    /// Take another name.
    Rename { name: String },
    /// Raise one's hand, or lower it.
    Hand { up: bool },
    /// Lobby and lock. Without a lobby, those in it come in.
    Options(Options),
    /// What moderators allow of media, on top of what an administrator does.
    Limits(MediaLimits),
    /// Make an invitation.
    Invite(Invite),
    /// Take an invitation back; who waits by it is turned away.
    Revoke { code: String },
    /// Let somebody in who waits, or all.
    Admit { id: Option<Id> },
    /// Turn somebody away who waits, or all.
    Decline { id: Option<Id> },
    /// Ask somebody to mute, or everybody else.
    Mute { id: Option<Id> },
    /// Lower somebody's hand.
    Lower { id: Id },
    /// Take somebody out. The lobby is on from then on, the invitation it came by is no more, and no other leads
    /// past the lobby, so that it comes back only if it is admitted. Who has the moderator's secret is not taken out.
    Remove { id: Id },
    /// Make somebody a moderator, as long as it is in the room and after a lost connection.
    Promote { id: Id },
    /// End the meeting for all.
    End,
}

impl Act {
    /// Its name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Act::Rename { .. } => "rename",
            Act::Hand { .. } => "hand",
            Act::Options(_) => "options",
            Act::Limits(_) => "limits",
            Act::Invite(_) => "invite",
            Act::Revoke { .. } => "revoke",
            Act::Admit { .. } => "admit",
            Act::Decline { .. } => "decline",
            Act::Mute { .. } => "mute",
            Act::Lower { .. } => "lower",
            Act::Remove { .. } => "remove",
            Act::Promote { .. } => "promote",
            Act::End => "end",
        }
    }
}

/// A participant, or somebody who waits, by its id: `p3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Id(pub Label);

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Id, &'static str> {
        name.strip_prefix('p').and_then(|label| label.parse().ok()).map(Id).ok_or("nobody's id")
    }
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
    /// You are in.
    Joined {
        /// What you came with, as its link shows it; the room's code if you made it.
        code: String,
        /// Yours in `participants`; it names your streams to others.
        id: String,
        /// What brings you back to this place.
        seat: String,
        /// Whether `code` is an invitation's.
        invited: bool,
        /// Whether the meeting is encrypted end to end.
        encrypted: bool,
    },
    /// To who made the room, before `joined`: the moderator's secret, for nobody else.
    Secret { secret: String },
    /// You wait for a moderator to admit you, and whether there is one.
    Waits { moderator: bool },
    /// You cannot come in: there is no such room or invitation any more, it is locked or full, or
    /// you have tried too often. These are not told apart, so that codes cannot be probed.
    Refused,
    /// It is over, and coming back by yourself is of no use.
    Closed { why: Why },
    /// What you asked for is not done.
    Denied { act: &'static str, why: Denied },
    /// A moderator asks you to mute your microphone.
    Mute { by: &'a str },
    /// Lobby and lock, when you come in and whenever they change.
    Meeting(Options),
    /// What is allowed of media, and by whom, when you come in and whenever that changes.
    Limits(Imposed),
    /// The pictures that you do not get though they are there and you want them, and whether your own camera is held back
    /// because others have the places; looked at once a second, told when it changes.
    Withheld { pictures: &'a [Withheld], own: bool },
    /// To moderators: who waits, whenever that changes.
    Waiting { list: Vec<Waiter<'a>> },
    /// To moderators: the invitations, whenever they change.
    Invitations { list: Vec<Ticket> },
    /// Everybody in the room, whenever that changes.
    Participants { list: Vec<Entry<'a>> },
    /// A session description of type offer; ignore it if you have offered meanwhile. `screens` are
    /// those of its tracks that show a screen or are its sound, named as in wishes.
    Offer { sdp: &'a str, screens: Vec<String> },
    /// The answer to your offer.
    Answer { sdp: &'a str, screens: Vec<String> },
    /// The connection, once a second while it is watched. `at` is the server's clock in milliseconds: counters grow, and
    /// what is between two messages makes a rate. `others` are for moderators.
    Connection { at: u64, own: Link, videos: Vec<Video>, others: Vec<Link> },
    /// Your media has ended (`reason` is for people); the connection closes, come back if you like.
    Ended { reason: &'a str },
}

/// Why it is over for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// A moderator turned it away.
    Declined,
    /// A moderator took it out.
    Removed,
    /// The meeting has ended.
    Ended,
    /// Another page came to its place.
    Elsewhere,
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Denied {
    /// It is for moderators.
    Moderators,
    /// There is no place, or there are too many invitations.
    Full,
    /// A limit is not one that can be.
    Range,
    /// This participant has the moderator's secret.
    Owner,
}

/// Somebody who waits.
#[derive(Debug, Serialize)]
pub struct Waiter<'a> {
    /// Names it in `admit` and `decline`.
    pub id: String,
    /// As given, tidied by [`tidy_name`].
    pub name: &'a str,
}

/// One line of `participants`. Streams of this participant have `id` as their stream id.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    /// The participant's label.
    pub id: String,
    /// As given by the participant, tidied by [`tidy_name`].
    pub name: &'a str,
    /// What is switched on.
    #[serde(flatten)]
    pub shown: Shown,
    /// Whether it is a moderator.
    pub moderator: bool,
    /// Its place among the raised hands, from 1; none if it has not raised its hand.
    pub hand: Option<usize>,
}

/// A participant's connection, as the engine sees it. Times are in milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The participant's label.
    pub id: String,
    /// What its media is carried by: `udp` or `tcp`; none before it is connected.
    pub carrier: Option<&'static str>,
    /// What its path is believed to carry to it, in bit/s.
    pub estimate: Option<u64>,
    /// Bytes to it so far.
    pub bytes_sent: u64,
    /// Bytes from it so far.
    pub bytes_received: u64,
    /// The round trip.
    pub round_trip: Option<f64>,
    /// Packets of its sound and pictures that came.
    pub packets_received: u64,
    /// Those that never came.
    pub packets_lost: i64,
    /// The share of packets lost on the way to it, from 0 to 1: the worst of its last reports.
    pub loss: Option<f64>,
}

/// A picture that a page receives, or could.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Video {
    /// Named as in wishes.
    pub track: String,
    /// Whether it shows a screen.
    pub screen: bool,
    /// Whether any of it is sent.
    pub sent: bool,
    /// The lines of the layer that is sent, if they are known.
    pub height: Option<u16>,
    /// Its frames in a second.
    pub frame_rate: Option<u16>,
    /// The lines of the best layer there is.
    pub best: Option<u16>,
    /// Bytes of it so far.
    pub bytes_sent: u64,
    /// The page wants nothing of it.
    pub paused: bool,
    /// Another layer is to be sent, and its next key frame waited for.
    pub switching: bool,
    /// Why it is not more: `all`, `wish`, `limit`, `senders`, `budget`, `ceiling`, `threshold` or `waiting`, the
    /// engine's reasons.
    pub why: &'static str,
    /// What the path lacks for the next layer, in bit/s.
    pub missing: Option<u64>,
}

/// A picture that a page does not get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Withheld {
    /// Named as in wishes.
    pub track: String,
    /// Whether it shows a screen.
    pub screen: bool,
    /// As [`Video::why`].
    pub why: &'static str,
}

/// The id of a participant's streams, as the engine writes it into descriptions.
pub fn stream_id(label: u32) -> String {
    format!("p{label}")
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

/// What is queued for a page.
#[derive(Debug, PartialEq, Eq)]
pub enum Post {
    /// A message.
    Text(Utf8Bytes),
    /// It is let in: the engine is to hear of it before the page hears what follows.
    Admitted,
}

/// The way to one page: a bounded queue that never blocks the writer.
#[derive(Debug, Clone)]
pub struct Outbox {
    queue: mpsc::Sender<Post>,
    closed: Arc<Notify>,
}

/// The other end of an [`Outbox`].
#[derive(Debug)]
pub struct Inbox {
    /// What to send, in order.
    pub queue: mpsc::Receiver<Post>,
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
        self.queue(Post::Text(text));
    }

    /// Lets the page in.
    pub fn admit(&self) {
        self.queue(Post::Admitted);
    }

    /// The last message to a page.
    pub fn finish(&self, reply: &Reply<'_>) {
        self.push(reply);
        self.close();
    }

    fn queue(&self, post: Post) {
        if self.queue.try_send(post).is_err() {
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
        assert!(matches!(serde_json::from_str(join), Ok(Request::Join { resume: false, seat: None, .. })));
        let create = r#"{"type":"create","name":"n","lobby":true}"#;
        let Ok(Request::Create { options, .. }) = serde_json::from_str(create) else {
            panic!("not understood")
        };
        assert_eq!(options, Options { lobby: true, locked: false });
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
        let offer = Reply::Offer { sdp: "v=0\r\n", screens: vec!["p3/s2".to_owned()] };
        assert_eq!(text(&offer).as_str(), r#"{"type":"offer","sdp":"v=0\r\n","screens":["p3/s2"]}"#);
        let meeting = Reply::Meeting(Options { lobby: true, locked: false });
        assert_eq!(text(&meeting).as_str(), r#"{"type":"meeting","lobby":true,"locked":false}"#);
        let denied = Reply::Denied { act: "end", why: Denied::Moderators };
        assert_eq!(text(&denied).as_str(), r#"{"type":"denied","act":"end","why":"moderators"}"#);
    }

    #[test]
    fn acts_bear_their_names() {
        let of = |more: &str| format!(r#"{{"type":"act","act":{more}}}"#);
        for text in [
            r#""rename","name":"n""#,
            r#""hand","up":true"#,
            r#""options","lobby":true,"locked":true"#,
            r#""limits","maxHeight":360,"maxSenders":null,"audioOnly":true"#,
            r#""invite","minutes":60,"uses":null,"direct":true"#,
            r#""revoke","code":"c""#,
            r#""admit","id":"p3""#,
            r#""decline""#,
            r#""mute","id":null"#,
            r#""lower","id":"p3""#,
            r#""remove","id":"p3""#,
            r#""promote","id":"p3""#,
            r#""end""#,
        ] {
            let Ok(Request::Act(act)) = serde_json::from_str(&of(text)) else { panic!("{text}") };
            assert!(text.starts_with(&format!("\"{}\"", act.name())), "{text}");
        }
        for text in [
            r#""remove""#,
            r#""remove","id":"3""#,
            r#""remove","id":"p-1""#,
            r#""limits","maxheight":1"#,
            r#""shout""#,
        ] {
            assert!(serde_json::from_str::<Request>(&of(text)).is_err(), "{text}");
        }
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
