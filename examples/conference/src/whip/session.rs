//! Sessions from their answer to their end.

use super::{Refused, refused};
use crate::lobby::{Label, Seat};
use crate::media::{Call, Command, Engine};
use crate::message::Inbox;
use crate::web::House;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use estafette::sdp::{Candidate, Description, Direction, Kind, Media};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// The name of a session, 128 random bits: whoever knows it may end the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(u128);

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
    token: Option<String>,
    links: Vec<HeaderValue>,
    table: Mutex<HashMap<Id, Arc<Session>>>,
}

impl Sessions {
    /// None yet. Who opens or changes one has to know `token`; all are told of `ice_servers`.
    pub fn new(token: Option<String>, ice_servers: &[String]) -> Arc<Sessions> {
        let link = |uri: &String| HeaderValue::from_str(&format!("<{uri}>; rel=\"ice-server\"")).ok();
        let links = ice_servers.iter().filter_map(link).collect();
        Arc::new(Sessions { token, links, table: Mutex::default() })
    }

    /// The `Link` headers of RFC 9725, section 4.6.
    pub(super) fn links(&self) -> &[HeaderValue] {
        &self.links
    }

    /// Refuses a request without the right bearer token, if there is to be one.
    pub(super) fn authorise(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(token) = &self.token else { return Ok(()) };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' '));
        match given {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") && same(token, given.trim()) => {
                Ok(())
            }
            _ => {
                let challenge = (header::WWW_AUTHENTICATE, "Bearer");
                Err(refused(StatusCode::UNAUTHORIZED, "a bearer token is needed").with(challenge))
            }
        }
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

/// Compares in a time that tells nothing of where the two differ.
fn same(ours: &str, theirs: &str) -> bool {
    let pairs = ours.bytes().zip(theirs.bytes());
    ours.len() == theirs.len() && pairs.fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// The participant of a session, while it lives.
#[derive(Debug)]
pub(super) struct Session {
    id: Id,
    engine: Engine,
    label: Label,
    /// What is agreed on now; locked while the engine changes it.
    pub(super) ice: tokio::sync::Mutex<Ice>,
    /// The `m=` line and mid that our candidates belong to, as lines.
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
    /// The client's user fragment.
    pub(super) remote: String,
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
    remote: String,
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
        let tagged = answer.media.iter().find(|media| !media.rejected())?;
        let section = format!(
            "m={} 9 {} {}\r\na=mid:{}\r\n",
            tagged.kind.as_str(),
            tagged.protocol,
            tagged.codecs.first().map_or(0, |codec| codec.payload_type),
            tagged.mid.as_ref().map_or("0", |mid| mid.as_str()),
        );
        Some(Agreed {
            etag: tagged.transport.ufrag.clone()?,
            remote: offer.media.iter().find_map(|media| media.transport.ufrag.clone())?,
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same("s3cret", "s3cret"));
        for other in ["", "s3cre", "s3cret1", "S3cret"] {
            assert!(!same("s3cret", other), "{other}");
        }
    }
}
