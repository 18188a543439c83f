//! Sessions from their answer to their end.

use super::{Refused, refused};
use crate::config::Token;
use crate::lobby::{Label, Seat};
use crate::media::{Call, Command, Engine};
use crate::message::Inbox;
use crate::web::House;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use estafette::ice::Credentials;
use estafette::sdp::{Candidate, Description, Direction, Kind, Media};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Bodies read at once. All together they take 16 MiB at most.
pub(super) const BODIES: usize = 64;

/// The name of a session, 128 random bits: whoever knows it may end the session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(u128);

/// A name ends its session, so it stays out of logs.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id(..)")
    }
}

impl Id {
    fn random() -> Option<Id> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Some(Id(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Id {
    type Err = ();

    /// Reads what is shown, and nothing else: one name for each session.
    fn from_str(text: &str) -> Result<Id, ()> {
        let id = Id(u128::from_str_radix(text, 16).map_err(|_| ())?);
        if id.to_string() == text { Ok(id) } else { Err(()) }
    }
}

/// All sessions of this server: as many as there are permits for pages and sessions together.
#[derive(Debug)]
pub struct Sessions {
    token: Option<Token>,
    links: Vec<HeaderValue>,
    /// A permit per request whose body is read or waits for its session.
    pub(super) bodies: Arc<Semaphore>,
    table: Mutex<HashMap<Id, Arc<Session>>>,
}

impl Sessions {
    /// None yet. Who opens or changes one has to know `token`; all are told of `ice_servers`.
    pub fn new(token: Option<Token>, ice_servers: &[String]) -> Arc<Sessions> {
        let link = |uri: &String| HeaderValue::from_str(&format!("<{uri}>; rel=\"ice-server\"")).ok();
        let links = ice_servers.iter().filter_map(link).collect();
        let bodies = Arc::new(Semaphore::new(BODIES));
        Arc::new(Sessions { token, links, bodies, table: Mutex::default() })
    }

    /// The `Link` headers of RFC 9725, section 4.6.
    pub(super) fn links(&self) -> &[HeaderValue] {
        &self.links
    }

    /// Refuses a request without the right bearer token, if there is to be one.
    pub(super) fn authorise(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(token) = &self.token else { return Ok(()) };
        if token.is_in(headers) {
            return Ok(());
        }
        let challenge = (header::WWW_AUTHENTICATE, "Bearer");
        Err(refused(StatusCode::UNAUTHORIZED, "a bearer token is needed").with(challenge))
    }

    /// A session by its name, while it lives.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Session>> {
        let id = id.parse().ok()?;
        self.table().get(&id).cloned()
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Id, Arc<Session>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The participant of a session, while it lives.
#[derive(Debug)]
pub(super) struct Session {
    id: Id,
    engine: Engine,
    label: Label,
    /// What is agreed on now; locked while the engine changes it.
    pub(super) ice: tokio::sync::Mutex<Ice>,
    /// What a fragment of ours begins with: what kind of agent we are, and the `m=` line and mid that
    /// our candidates belong to.
    pub(super) section: String,
    /// Ours, which no restart changes.
    pub(super) candidates: Vec<Candidate>,
    ended: Notify,
}

/// The ICE session.
#[derive(Debug)]
pub(super) struct Ice {
    /// Our user fragment, unique for each ICE session, so it is the entity tag too.
    pub(super) etag: String,
    /// The client's.
    pub(super) remote: Credentials,
}

impl Session {
    /// Puts a session into the table and sees to it until it ends: on DELETE, with its media, or with
    /// the server. Then it leaves its seat and gives the permit back.
    pub(super) fn begin(
        house: &House,
        agreed: Agreed,
        seat: Seat,
        mut inbox: Inbox,
        permit: OwnedSemaphorePermit,
    ) -> Option<Id> {
        let id = Id::random()?;
        let session = Arc::new(Session {
            id,
            engine: seat.engine().clone(),
            label: seat.label(),
            ice: tokio::sync::Mutex::new(Ice { etag: agreed.etag, remote: agreed.remote }),
            section: agreed.section,
            candidates: agreed.candidates,
            ended: Notify::new(),
        });
        house.whip.table().insert(id, session.clone());
        let (sessions, mut stopping) = (house.whip.clone(), house.stopping.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    // What pages are told of each other; nobody reads it here.
                    Some(_) = inbox.queue.recv() => {}
                    () = inbox.closed.notified() => break,
                    () = session.ended.notified() => break,
                    // An error means that the server is gone already.
                    _ = stopping.wait_for(|stop| *stop) => break,
                }
            }
            sessions.table().remove(&id);
            drop((seat, permit));
        });
        Some(id)
    }

    /// Ends it: nobody finds it any more, and its participant leaves.
    pub(super) fn end(&self, house: &House) {
        house.whip.table().remove(&self.id);
        self.ended.notify_one();
    }

    pub(super) async fn call(&self, call: Call) {
        self.engine.send(Command::Call { label: self.label, call }).await;
    }
}

/// What offer and answer agree on, as far as later requests need it.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) etag: String,
    remote: Credentials,
    section: String,
    candidates: Vec<Candidate>,
    /// Whether the client sends sound and picture.
    pub(super) audio: bool,
    pub(super) video: bool,
    sends: bool,
}

impl Agreed {
    /// `None` if audio or video that was offered is rejected: there are no partial sessions (RFC 9725,
    /// section 4.4.3). Data channels are rejected, and nothing is said of it.
    pub(super) fn of(offer: &Description, answer: &str) -> Option<Agreed> {
        let answer = Description::parse(answer).ok()?;
        let is_media = |media: &Media| matches!(media.kind, Kind::Audio | Kind::Video);
        let mut pairs = offer.media.iter().zip(&answer.media);
        if pairs.any(|(theirs, ours)| is_media(theirs) && !theirs.rejected() && ours.rejected()) {
            return None;
        }
        let receives = |kind| {
            let receives =
                |media: &&Media| matches!(media.direction, Direction::RecvOnly | Direction::SendRecv);
            answer
                .media
                .iter()
                .filter(|media| media.kind == kind && !media.rejected())
                .any(|media| receives(&media))
        };
        let sends = |media: &Media| matches!(media.direction, Direction::SendOnly | Direction::SendRecv);
        let index = answer.media.iter().position(|media| !media.rejected())?;
        let tagged = answer.media.get(index)?;
        let lite = if answer.ice_lite { "a=ice-lite\r\n" } else { "" };
        let options = match tagged.transport.ice_options.as_slice() {
            [] => String::new(),
            options => format!("a=ice-options:{}\r\n", options.join(" ")),
        };
        let section = format!(
            "{lite}{options}m={} 9 {} {}\r\na=mid:{}\r\n",
            tagged.kind.as_str(),
            tagged.protocol,
            tagged.codecs.first().map_or(0, |codec| codec.payload_type),
            tagged.mid.as_ref().map_or("0", |mid| mid.as_str()),
        );
        Some(Agreed {
            etag: tagged.transport.ufrag.clone()?,
            remote: credentials(offer, index)?,
            section,
            candidates: tagged.transport.candidates.clone(),
            audio: receives(Kind::Audio),
            video: receives(Kind::Video),
            sends: answer.media.iter().any(|media| !media.rejected() && sends(media)),
        })
    }

    /// Whether anything comes from the client.
    pub(super) fn receives(&self) -> bool {
        self.audio || self.video
    }

    /// Whether anything goes to it.
    pub(super) fn sends(&self) -> bool {
        self.sends
    }
}

/// The credentials of a section; what it leaves out stands in the section that the bundle begins with
/// (RFC 9143, section 7).
fn credentials(offer: &Description, index: usize) -> Option<Credentials> {
    let own = &offer.media.get(index)?.transport;
    let first = offer.bundle.first();
    let tagged = offer.media.iter().find(|media| first.is_some() && media.mid.as_ref() == first);
    let fallback = tagged.map_or(own, |media| &media.transport);
    let ufrag = own.ufrag.as_ref().or(fallback.ufrag.as_ref())?;
    let pwd = own.pwd.as_ref().or(fallback.pwd.as_ref())?;
    Credentials::new(ufrag, pwd.as_str()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use estafette::sdp::Password;

    #[test]
    fn session_names_carry_128_random_bits_and_have_one_form() {
        let ids: Vec<Id> = (0..64).map(|_| Id::random().expect("generator")).collect();
        // Each bit is seen both set and clear: 2^-56 is the chance of a false alarm.
        let (or, and) = ids.iter().fold((0, u128::MAX), |(or, and), id| (or | id.0, and & id.0));
        assert_eq!((or, and), (u128::MAX, 0));
        let id = Id(0xabc);
        let text = id.to_string();
        assert_eq!(text, format!("{}abc", "0".repeat(29)));
        assert_eq!(text.parse(), Ok(id));
        for other in
            ["", "abc", "+0000000000000000000000000000abc", &text.to_uppercase(), &format!("0{text}")]
        {
            assert_eq!(other.parse::<Id>(), Err(()), "{other}");
        }
    }

    const CHROMIUM: &str = include_str!("../../../../tests/data/sdp/chromium-av-data.offer.sdp");

    #[test]
    fn a_session_is_named_by_nothing_that_is_logged() {
        assert_eq!(format!("{:?}", Id(0xabc)), "Id(..)");
    }

    /// The description with another user fragment and password in its first section.
    fn with_another_first(text: &str) -> Description {
        let mut description = Description::parse(text).expect("description");
        let first = &mut description.media[0].transport;
        first.ufrag = Some("first".to_owned());
        first.pwd = Some(Password::new("f".repeat(22)));
        description
    }

    #[test]
    fn the_credentials_are_those_of_the_section_that_is_answered() {
        let plain = Description::parse(CHROMIUM).expect("offer");
        let second = plain.media[1].transport.ufrag.as_deref().expect("fragment");
        let mut offer = with_another_first(CHROMIUM);
        assert_eq!(Agreed::of(&offer, CHROMIUM).expect("agreed").remote.ufrag(), "first");
        // Whatever a section says that is not offered counts for nothing.
        offer.media[0].port = 0;
        let mut answer = plain.clone();
        answer.media[0].port = 0;
        assert!(offer.media[0].rejected() && answer.media[0].rejected());
        assert_eq!(Agreed::of(&offer, &answer.write()).expect("agreed").remote.ufrag(), second);
        // What a section of a bundle leaves out stands in the one that the bundle begins with.
        let mut bundled = plain.clone();
        bundled.bundle.swap(0, 1);
        (bundled.media[0].transport.ufrag, bundled.media[0].transport.pwd) = (None, None);
        bundled.media[1].transport.ufrag = Some("begins".to_owned());
        assert_eq!(Agreed::of(&bundled, CHROMIUM).expect("agreed").remote.ufrag(), "begins");
    }

    #[test]
    fn a_fragment_says_of_us_what_the_answer_says() {
        let offer = Description::parse(CHROMIUM).expect("offer");
        let mut answer = offer.clone();
        let agreed = |answer: &Description| Agreed::of(&offer, &answer.write()).expect("agreed").section;
        answer.media[0].transport.ice_options = vec!["ice2".to_owned(), "trickle".to_owned()];
        let full = agreed(&answer);
        assert!(full.starts_with("a=ice-options:ice2 trickle\r\nm="), "{full}");
        answer.ice_lite = true;
        answer.media[0].transport.ice_options.clear();
        let lite = agreed(&answer);
        assert!(lite.starts_with("a=ice-lite\r\nm="), "{lite}");
    }
}
