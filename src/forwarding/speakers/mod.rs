//! Whose sound is forwarded in one room, and who leads the talk, from what packets say of their
//! loudness (RFC 6464).
//!
//! ```
//! use estafette::speakers::{Config, SpeakerEvent, Speakers};
//! use estafette::{Instant, rtp::AudioLevel};
//!
//! let mut speakers = Speakers::new(Config { top_n: 1, ..Config::default() });
//! let (voice, silence) = (AudioLevel { voice: true, level: 25 }, AudioLevel { voice: false, level: 90 });
//! let now = Instant::from_millis(1);
//! assert!(speakers.handle_level(now, "ann", voice), "forwarded: a slot was free");
//! assert!(!speakers.handle_level(now, "bob", voice), "not louder than the one who holds the slot");
//! assert!(!speakers.handle_level(now, "eve", silence), "silence costs nothing");
//! assert_eq!(speakers.poll_event(), Some(SpeakerEvent::Heard("ann")));
//! assert!(speakers.heard().eq(["ann"]));
//! ```
//!
//! **Slots.** At most [`Config::top_n`] sources are heard at a time. A voice takes a free slot with its
//! first packet. If none is free it takes the one of whoever has been silent for a moment or is clearly
//! quieter, once it insisted for some 60 ms; an equal voice takes none, so nobody is cut to and fro. A
//! source that is heard has *every* packet forwarded, comfort noise and the sparse packets of Opus DTX
//! included, so the copies that in-band FEC carries stay next to what they repair; after
//! [`Config::hold`] of silence its slot is free. Nothing is forwarded of silent and muted sources.
//!
//! **The dominant speaker** is found as by I. Volfin and I. Cohen, "Dominant speaker identification for
//! multipoint videoconferencing", Computer Speech and Language 27, 2013: the activity of each source is
//! scored on three scales of time, and who leads is replaced only by somebody who outdoes it on all of
//! them. There is one until it is muted or removed; silence does not end a lead.
//!
//! **Claims.** A level is what a sender says (S-RTP-12). All that a lie can win is one slot, for no key
//! ever has two; where a participant's sources shall have one slot together, make the participant the
//! key, and the louder of them counts. A constant level, however loud, never leads, for activity is what
//! stands out from a source's own quietest; time counts here, not packets. The voice bit is not used: it
//! is a claim like the level, and where `vad=off` was agreed not even that (RFC 6464, section 4). A mute
//! by the owner ends all of it.
//!
//! **Sources without levels** compete as the quietest of voices while they send at a steady pace, are
//! silent when they send as DTX does, and never lead; see
//! [`handle_packet_without_level`](Speakers::handle_packet_without_level).
//!
//! Numbers are integers and ties go to the older slot, so equal inputs have equal outputs on every
//! machine. A key has 150 bytes or so, of which there are at most [`limits::SPEAKERS`].

mod activity;
mod config;
mod source;

#[cfg(test)]
mod tests;

pub use config::Config;

use crate::base::limits;
use crate::base::slots::{Slots, slot_key};
use crate::base::time::Instant;
use crate::wire::rtp::AudioLevel;
use activity::{SILENCE, Scores, Sound};
use source::Source;
use std::cmp::Reverse;
use std::collections::VecDeque;

slot_key! {
    /// Where a source's state stands.
    struct Seat
}

/// What changed. Changes that cancel each other before they are polled are not told, so no more wait
/// than there are keys; a removed key is never named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpeakerEvent<K> {
    /// This source got a slot: its packets are forwarded.
    Heard(K),
    /// This source has none any more. For one key the two alternate, and this one never comes first.
    Unheard(K),
    /// Who leads the talk from now on; `None` when that one was muted or removed and nobody has
    /// followed yet.
    Dominant(Option<K>),
}

/// Who speaks in one room. `K` names whoever may hold one slot.
#[derive(Debug)]
pub struct Speakers<K> {
    config: Config,
    /// Where each key's state stands, in the order of keys.
    index: Vec<(K, Seat)>,
    sources: Slots<Seat, Source<K>>,
    /// Who is heard, in the order in which they got their slots.
    holders: Vec<Seat>,
    /// Who may have been told wrongly whether it is heard, each at most once.
    changed: VecDeque<Seat>,
    dominant: Option<Seat>,
    /// What the owner was told last; `None` if it must be told whatever is the case.
    told: Option<Option<K>>,
    /// Who led so far, the latest first.
    recent: Vec<K>,
    deadline: Option<Instant>,
}

impl<K: Copy + Ord> Speakers<K> {
    /// An empty room.
    pub fn new(config: Config) -> Self {
        Speakers {
            config,
            index: Vec::new(),
            sources: Slots::new(),
            holders: Vec::new(),
            changed: VecDeque::new(),
            dominant: None,
            told: Some(None),
            recent: Vec::new(),
            deadline: None,
        }
    }

    /// Takes the level of an audio packet of `key` and tells whether the packet is forwarded now.
    ///
    /// A key that was unknown is from now on known, until [`remove`](Self::remove); one above
    /// [`limits::SPEAKERS`] is not forwarded. Costs a search among the keys and constant time; at most
    /// once in 20 ms for each voice without a slot, while all are taken, a look at their holders.
    /// Allocates only for a new key.
    pub fn handle_level(&mut self, now: Instant, key: K, level: AudioLevel) -> bool {
        let level = level.level.min(SILENCE);
        let sound =
            Sound { loudness: SILENCE - level, voiced: level < SILENCE && level <= self.config.silence };
        self.handle(now, key, |_| sound)
    }

    /// The same for a packet that names no level, because its sender did not agree to do so or left it
    /// out.
    ///
    /// It counts as a voice at the threshold ([`Config::silence`]) if it follows another of its source
    /// within 120 ms, the longest packet of Opus; else as silence, as the packets of DTX are, 400 ms
    /// apart. So such a source is heard while a slot is free, from its second packet on, and gives way
    /// to whoever is known to be louder; it cannot be told whether it has anything to say.
    pub fn handle_packet_without_level(&mut self, now: Instant, key: K) -> bool {
        let loudness = SILENCE.saturating_sub(self.config.silence);
        self.handle(now, key, |source| Sound { loudness, voiced: source.keeps_pace(now) })
    }

    /// Mutes `key` for everybody, or ends that: nothing of it is forwarded at once, whatever its level,
    /// and its lead ends. May precede its first packet.
    pub fn set_muted(&mut self, key: K, muted: bool) {
        let seat = if muted { self.seat_or_new(key) } else { self.seat(key) };
        let Some(seat) = seat else { return };
        if let Some(source) = self.sources.get_mut(seat) {
            source.set_muted(muted);
        }
        if muted {
            self.release(seat);
            self.dominant = self.dominant.filter(|dominant| *dominant != seat);
        }
    }

    /// Forgets `key`, its mute included. What comes of it later would make it known anew.
    pub fn remove(&mut self, key: K) {
        let Ok(at) = self.index.binary_search_by_key(&key, |(key, _)| *key) else { return };
        let (_, seat) = self.index.remove(at);
        self.sources.remove(seat);
        self.holders.retain(|holder| *holder != seat);
        self.changed.retain(|changed| *changed != seat);
        self.recent.retain(|recent| *recent != key);
        self.dominant = self.dominant.filter(|dominant| *dominant != seat);
        if self.told == Some(Some(key)) {
            self.told = None;
        }
    }

    /// Does what is due: frees the slots of silent sources and decides who leads.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|at| at > now) {
            return;
        }
        self.release_silent(now);
        self.decide(now);
        self.deadline = None;
        let holding = !self.config.everybody() && !self.holders.is_empty();
        if holding || self.sources.iter().any(|(_, source)| source.activity.lately(now)) {
            self.arm(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called: within 300 ms while somebody
    /// spoke lately, else `None`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// The next change since it was last told.
    pub fn poll_event(&mut self) -> Option<SpeakerEvent<K>> {
        while let Some(seat) = self.changed.pop_front() {
            let Some(source) = self.sources.get_mut(seat) else { continue };
            match source.tell() {
                Some(true) => return Some(SpeakerEvent::Heard(source.key)),
                Some(false) => return Some(SpeakerEvent::Unheard(source.key)),
                None => {}
            }
        }
        let dominant = self.dominant();
        let news = self.told != Some(dominant);
        self.told = Some(dominant);
        news.then_some(SpeakerEvent::Dominant(dominant))
    }

    /// Who leads the talk; `None` before anybody spoke, or when that one was muted or removed.
    pub fn dominant(&self) -> Option<K> {
        self.sources.get(self.dominant?).map(|source| source.key)
    }

    /// Everybody who led the talk so far, the latest first.
    pub fn speakers(&self) -> &[K] {
        &self.recent
    }

    /// Whose packets are forwarded, in the order in which they got their slots: at most
    /// [`Config::top_n`].
    pub fn heard(&self) -> impl Iterator<Item = K> + '_ {
        self.holders.iter().filter_map(|seat| self.sources.get(*seat)).map(|source| source.key)
    }

    fn handle(&mut self, now: Instant, key: K, sound: impl FnOnce(&Source<K>) -> Sound) -> bool {
        let Some(seat) = self.seat_or_new(key) else { return false };
        let Some(source) = self.sources.get_mut(seat) else { return false };
        if source.muted {
            return false;
        }
        let sound = sound(source);
        let first_in_frame = source.hear(now, sound);
        let (heard, quiet) = (source.heard, source.quiet(now));
        if sound.voiced && self.deadline.is_none() {
            self.arm(now);
        }
        if heard {
            let keeps = sound.voiced || self.config.everybody() || quiet < self.config.hold;
            if !keeps {
                self.release(seat);
            }
            return keeps;
        }
        if self.config.everybody() || (sound.voiced && self.holders.len() < self.config.top_n) {
            self.take(seat);
            return true;
        }
        sound.voiced && first_in_frame && self.displace(now, seat, sound)
    }

    /// Gives the slot of the weakest holder to `seat` if that one is weak enough.
    fn displace(&mut self, now: Instant, seat: Seat, sound: Sound) -> bool {
        let Config { hold, contested_hold, margin, challenge, .. } = self.config;
        let rank = |source: &Source<K>| {
            let quiet = source.quiet(now);
            (quiet < hold, quiet < contested_hold, source.loudness(now))
        };
        let ranks = self.holders.iter().filter_map(|at| Some((rank(self.sources.get(*at)?), *at)));
        let Some(((holds, speaks, loudness), weakest)) = ranks.min_by_key(|(rank, _)| *rank) else {
            return false;
        };
        let louder = sound.millis() >= loudness.saturating_add(u32::from(margin) * 1_000);
        let Some(challenger) = self.sources.get_mut(seat) else { return false };
        let wins = !holds || ((!speaks || louder) && challenger.insists(now, challenge));
        if wins {
            self.release(weakest);
            self.take(seat);
        }
        wins
    }

    fn take(&mut self, seat: Seat) {
        self.holders.push(seat);
        self.set_heard(seat, true);
    }

    fn release(&mut self, seat: Seat) {
        self.holders.retain(|holder| *holder != seat);
        self.set_heard(seat, false);
    }

    fn release_silent(&mut self, now: Instant) {
        if self.config.everybody() {
            return;
        }
        let mut holders = std::mem::take(&mut self.holders);
        holders.retain(|seat| {
            let silent = self.sources.get(*seat).is_none_or(|source| source.quiet(now) >= self.config.hold);
            if silent {
                self.set_heard(*seat, false);
            }
            !silent
        });
        self.holders = holders;
    }

    fn set_heard(&mut self, seat: Seat, heard: bool) {
        if let Some(source) = self.sources.get_mut(seat)
            && source.set_heard(heard)
        {
            self.changed.push_back(seat);
        }
    }

    /// Replaces the dominant speaker by whoever outdoes it on all three scales; of several by the one
    /// who spoke most of the last tenth of a second, as published, and then of the last second.
    fn decide(&mut self, now: Instant) {
        let scores = |seat| self.sources.get(seat).map(|source: &Source<K>| source.activity.scores(now));
        let leading = self.dominant.and_then(scores).unwrap_or(Scores::SILENT);
        // Nobody outdoes themselves, so the leader is not among them.
        let challengers = self.holders.iter().filter_map(|seat| Some((scores(*seat)?, *seat)));
        let best = challengers
            .filter(|(scores, _)| scores.outdo(&leading, self.config.lead))
            .min_by_key(|(scores, _)| Reverse(scores.order()));
        if let Some((_, seat)) = best {
            self.crown(seat);
        }
    }

    fn crown(&mut self, seat: Seat) {
        self.dominant = Some(seat);
        let Some(key) = self.dominant() else { return };
        self.recent.retain(|recent| *recent != key);
        self.recent.insert(0, key);
    }

    fn arm(&mut self, now: Instant) {
        let at = now + limits::SPEAKER_DECISION;
        // At the end of time there is no later.
        self.deadline = Some(at).filter(|at| *at > now);
    }

    fn seat(&self, key: K) -> Option<Seat> {
        let at = self.index.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.index.get(at).map(|(_, seat)| *seat)
    }

    fn seat_or_new(&mut self, key: K) -> Option<Seat> {
        match self.index.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => self.index.get(at).map(|(_, seat)| *seat),
            Err(_) if self.index.len() >= limits::SPEAKERS => None,
            Err(at) => {
                let seat = self.sources.insert_with(|_| Source::new(key));
                self.index.insert(at, (key, seat));
                self.make_room();
                Some(seat)
            }
        }
    }

    /// Room for every known key in every list, so that no packet has to make it.
    fn make_room(&mut self) {
        let known = self.index.len();
        self.changed.reserve(known - self.changed.len().min(known));
        self.recent.reserve(known - self.recent.len().min(known));
        let slots = if self.config.everybody() { known } else { known.min(self.config.top_n) };
        self.holders.reserve(slots - self.holders.len().min(slots));
    }
}
