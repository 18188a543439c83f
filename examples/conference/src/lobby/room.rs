//! One meeting: who is in it, who waits at its door, and what its moderators may do.
//!
//! A room that the server has forgotten, after a restart for instance, is made again by whoever comes back
//! to it. Whoever knew its code may do that: a guest, one that was removed, one that never got past the
//! lobby. So in a room made again everybody waits, and nothing is known of invitations, until somebody comes
//! with the moderator's secret; the code proves the secret right ([`Code::code`]). Then the meeting is as
//! that page knew it. What an attacker gains is a place in a lobby.

mod telling;

use super::invitation::{INVITATIONS, Invitations};
use super::{Label, Refused};
use crate::code::Code;
use crate::limits::Imposed;
use crate::message::{Act, Denied, Options, Outbox, Plan, Reply, Shown, Why, stream_id, text, tidy_name};
use std::collections::VecDeque;
use std::time::Instant;

/// Pages that wait at one door; a room whose lobby is full refuses.
pub const WAITING: usize = 32;

/// Places kept for who may come back. The one that left longest ago is forgotten.
const ABSENT: usize = 64;

/// Whoever comes to a room's door.
#[derive(Debug)]
pub struct Visitor {
    /// Its number if it gets in.
    pub label: Label,
    /// Tidied.
    pub name: String,
    /// Where it hears.
    pub outbox: Outbox,
}

/// What a visitor brings.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// The room's code, or an invitation's.
    pub code: Code,
    /// The moderator's secret.
    pub secret: Option<Code>,
    /// The key of a place it had.
    pub seat: Option<Code>,
    /// Whether it may be let wait.
    pub waits: bool,
}

impl Keys {
    /// A code alone, for whoever cannot wait.
    pub fn at_once(code: Code) -> Keys {
        Keys { code, secret: None, seat: None, waits: false }
    }
}

/// A place in a room, which outlives a lost connection.
#[derive(Debug, Clone, Copy)]
struct Place {
    key: Code,
    moderator: bool,
    /// The invitation it came by, if not by the room's code.
    invitation: Option<Code>,
}

#[derive(Debug)]
struct Member {
    visitor: Visitor,
    place: Place,
    /// It has the moderator's secret.
    owner: bool,
    shown: Shown,
    /// When it raised its hand, in the order of all hands.
    hand: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    visitor: Visitor,
    /// What it came with.
    code: Code,
}

/// A meeting.
#[derive(Debug)]
pub struct Room {
    /// The room's name towards its engine and in logs; the code is a secret.
    pub number: u64,
    /// The engine that has it.
    pub engine: usize,
    /// Since when nobody is there; `None` while somebody is.
    pub empty_since: Option<Instant>,
    /// When it was made.
    pub since: Instant,
    /// Whether its pages encrypt end to end: who is no page has nothing to do in it.
    pub encrypted: bool,
    code: Code,
    /// The moderator's; not known of a room made again.
    secret: Option<Code>,
    options: Options,
    limits: Imposed,
    invitations: Invitations,
    members: Vec<Member>,
    waiting: Vec<Waiting>,
    absent: VecDeque<Place>,
    /// Members at most.
    size: usize,
    hands_raised: u64,
}

/// What comes of an act.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Who is to leave the engine.
    pub gone: Vec<Label>,
    /// The meeting has ended: the room is no more.
    pub over: bool,
}

impl Room {
    /// An empty room for `size`, whose moderator's secret is `secret`.
    pub fn new(
        number: u64,
        engine: usize,
        secret: Code,
        options: Options,
        encrypted: bool,
        size: usize,
        now: Instant,
    ) -> Room {
        let room = Room::again(number, engine, secret.code(), encrypted, size, now);
        Room { secret: Some(secret), options, ..room }
    }

    /// A room made again by somebody who knows its code.
    pub fn again(number: u64, engine: usize, code: Code, encrypted: bool, size: usize, now: Instant) -> Room {
        let options = Options { lobby: true, locked: false };
        let (limits, invitations, members, waiting, absent) = Default::default();
        let (empty_since, secret, hands_raised) = (Some(now), None, 0);
        Room {
            number,
            engine,
            empty_since,
            since: now,
            encrypted,
            code,
            secret,
            options,
            limits,
            invitations,
            members,
            waiting,
            absent,
            size,
            hands_raised,
        }
    }

    /// Participants, those who wait not counted.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// Everybody who is there or waits.
    pub fn people(&self) -> usize {
        self.members.len() + self.waiting.len()
    }

    /// Whether its moderator's secret is known: it is one that was made, or that its moderator has come back to.
    pub fn is_claimed(&self) -> bool {
        self.secret.is_some()
    }

    /// Those who wait at its door.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether this participant is a moderator.
    pub fn is_moderator(&self, label: Label) -> bool {
        self.find(label).is_some_and(|at| self.members[at].place.moderator)
    }

    /// Whether this is the key of a place in this room.
    pub fn knows(&self, seat: Code) -> bool {
        self.seated(seat).is_some() || self.absent.iter().any(|place| place.key == seat)
    }

    /// Whether this is the code of an invitation to this room.
    pub fn invites(&self, code: Code, now: Instant) -> bool {
        self.invitations.find(code, now).is_some()
    }

    /// Whether somebody is in this place now.
    pub fn is_taken(&self, seat: Code) -> bool {
        self.seated(seat).is_some()
    }

    fn seated(&self, seat: Code) -> Option<usize> {
        self.members.iter().position(|member| member.place.key == seat)
    }

    /// Whether who has only this code gets in without waiting.
    pub fn is_open_to(&self, code: Code, now: Instant) -> bool {
        let invitation = self.invitations.find(code, now);
        let known = code == self.code || invitation.is_some();
        let direct = invitation.is_some_and(|invitation| invitation.direct);
        known && !self.options.locked && self.members.len() < self.size && (direct || !self.options.lobby)
    }

    /// The secret of a room made again, and what its moderator's page knew of it; of no effect if the secret is
    /// known.
    pub fn claim(&mut self, secret: Code, plan: &Plan, now: Instant) {
        if self.secret.is_some() || secret.code() != self.code {
            return;
        }
        self.secret = Some(secret);
        self.options = Options { lobby: plan.lobby, locked: plan.locked };
        if plan.limits.check().is_ok() {
            self.limit(|limits| limits.moderators = plan.limits);
        }
        for ticket in plan.invitations.iter().take(INVITATIONS) {
            // What is too much, or no invitation, is the loss of the page that says it.
            let _ = self.invitations.restore(ticket, now);
        }
        self.open_lobby(now);
    }

    /// Lets a visitor in, or has it wait. The one that was in its place before it, if any, is to leave the engine.
    pub fn enter(&mut self, visitor: Visitor, keys: &Keys, now: Instant) -> Result<Option<Label>, Refused> {
        let owner = keys.secret.is_some() && keys.secret == self.secret;
        if let Some(at) = keys.seat.and_then(|seat| self.seated(seat)) {
            // Its connection was lost, and the server has not noticed yet.
            let before = self.members.remove(at);
            before.visitor.outbox.finish(&Reply::Closed { why: Why::Elsewhere });
            self.seat(visitor, before.place, owner, keys.code, now);
            return Ok(Some(before.visitor.label));
        }
        if self.members.len() >= self.size || (self.encrypted && !keys.waits) {
            return Err(Refused);
        }
        let returns = keys.seat.and_then(|seat| self.absent.iter().position(|place| place.key == seat));
        if let Some(place) = returns.and_then(|at| self.absent.remove(at)) {
            self.seat(visitor, place, owner, keys.code, now);
        } else if owner || self.is_open_to(keys.code, now) {
            let place = self.place_for(keys.code, now)?;
            self.seat(visitor, place, owner, keys.code, now);
        } else if !self.options.locked
            && keys.waits
            && (keys.code == self.code || self.invites(keys.code, now))
            && self.waiting.len() < WAITING
        {
            visitor.outbox.push(&Reply::Waits { moderator: self.is_moderated() });
            self.waiting.push(Waiting { visitor, code: keys.code });
            self.empty_since = None;
            self.tell_waiting();
        } else {
            return Err(Refused);
        }
        Ok(None)
    }

    /// A place for somebody new, who came with this code.
    fn place_for(&mut self, code: Code, now: Instant) -> Result<Place, Refused> {
        let invitation = (code != self.code).then_some(code);
        let place = Place { key: Code::random().map_err(|_| Refused)?, moderator: false, invitation };
        if let Some(code) = invitation {
            self.invitations.used(code);
            self.tell_invitations(now);
        }
        Ok(place)
    }

    fn seat(&mut self, visitor: Visitor, mut place: Place, owner: bool, code: Code, now: Instant) {
        place.moderator |= owner;
        visitor.outbox.admit();
        visitor.outbox.push(&Reply::Joined {
            code: code.to_string(),
            id: stream_id(visitor.label),
            seat: place.key.to_string(),
            invited: code != self.code,
            encrypted: self.encrypted,
        });
        visitor.outbox.push(&Reply::Meeting(self.options));
        visitor.outbox.push(&Reply::Limits(self.limits));
        self.members.push(Member { visitor, place, owner, shown: Shown::default(), hand: None });
        self.empty_since = None;
        self.announce();
        if place.moderator {
            self.tell_waiting();
            self.tell_invitations(now);
            self.tell_the_lobby();
        }
    }

    /// Lets in who made the room, and tells it the secret.
    pub fn found(&mut self, visitor: Visitor, secret: Code, now: Instant) -> Result<(), Refused> {
        let outbox = visitor.outbox.clone();
        let place = Place { moderator: true, ..self.place_for(self.code, now)? };
        outbox.push(&Reply::Secret { secret: secret.to_string() });
        self.seat(visitor, place, true, self.code, now);
        Ok(())
    }

    /// Somebody's connection has ended. Its place is kept for it.
    pub fn leave(&mut self, label: Label, now: Instant) {
        if let Some(at) = self.find(label) {
            let member = self.members.remove(at);
            if self.absent.len() >= ABSENT {
                self.absent.pop_front();
            }
            self.absent.push_back(member.place);
            self.announce();
            if member.place.moderator {
                self.tell_the_lobby();
            }
        }
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.visitor.label != label);
        if self.waiting.len() < before {
            self.tell_waiting();
        }
        self.note_emptiness(now);
    }

    fn note_emptiness(&mut self, now: Instant) {
        if self.people() == 0 {
            self.empty_since = Some(now);
        }
    }

    /// What a participant is called.
    pub fn name(&self, label: Label) -> Option<&str> {
        Some(&self.members[self.find(label)?].visitor.name)
    }

    /// What a participant has switched on.
    pub fn show(&mut self, label: Label, shown: Shown) {
        if let Some(at) = self.find(label)
            && std::mem::replace(&mut self.members[at].shown, shown) != shown
        {
            self.announce();
        }
    }

    /// What a participant does. Whoever waits does nothing.
    pub fn act(&mut self, label: Label, act: Act, now: Instant) -> Result<Outcome, Denied> {
        let at = self.find(label).ok_or(Denied::Moderators)?;
        match act {
            Act::Rename { name } => {
                self.members[at].visitor.name = tidy_name(&name);
                self.announce();
                return Ok(Outcome::default());
            }
            Act::Hand { up } => {
                self.raise(at, up);
                return Ok(Outcome::default());
            }
            _ if !self.members[at].place.moderator => return Err(Denied::Moderators),
            _ => {}
        }
        self.moderate(at, act, now)
    }

    fn raise(&mut self, at: usize, up: bool) {
        if self.members[at].hand.is_some() != up {
            self.hands_raised += 1;
            self.members[at].hand = up.then_some(self.hands_raised);
            self.announce();
        }
    }

    /// What the moderator at this index does.
    fn moderate(&mut self, at: usize, act: Act, now: Instant) -> Result<Outcome, Denied> {
        match act {
            Act::Rename { .. } | Act::Hand { .. } => {}
            Act::Options(options) => {
                self.set_options(options);
                self.open_lobby(now);
            }
            Act::Limits(limits) => {
                limits.check().map_err(|_| Denied::Range)?;
                self.limit(|imposed| imposed.moderators = limits);
            }
            Act::Invite(invite) => {
                self.invitations.add(&invite, now).map_err(|_| Denied::Full)?;
                self.tell_invitations(now);
            }
            Act::Revoke { code } => {
                if let Ok(code) = code.parse() {
                    self.revoke(code, now);
                }
            }
            Act::Admit { id } => self.admit(id.map(|id| id.0), now)?,
            Act::Decline { id } => {
                self.decline(now, |waiting| id.is_none_or(|id| id.0 == waiting.visitor.label))
            }
            Act::Mute { id } => {
                let by = &self.members[at].visitor;
                let asked = |member: &&Member| {
                    let label = member.visitor.label;
                    id.map_or(label != by.label, |id| id.0 == label)
                };
                for member in self.members.iter().filter(asked) {
                    member.visitor.outbox.push(&Reply::Mute { by: &by.name });
                }
            }
            Act::Lower { id } => {
                if let Some(at) = self.find(id.0) {
                    self.raise(at, false);
                }
            }
            Act::Remove { id } => return self.remove(id.0, now),
            Act::Promote { id } => self.promote(id.0, now),
            Act::End => return Ok(self.end()),
        }
        Ok(Outcome::default())
    }

    fn set_options(&mut self, options: Options) {
        if self.options != options {
            self.options = options;
            self.tell(|member| member.visitor.outbox.push(&Reply::Meeting(options)));
        }
    }

    /// What is allowed of media, by who says so.
    pub fn limits(&self) -> Imposed {
        self.limits
    }

    /// Allows more or less of media.
    pub fn limit(&mut self, change: impl FnOnce(&mut Imposed)) {
        let before = self.limits;
        change(&mut self.limits);
        if self.limits != before {
            let message = text(&Reply::Limits(self.limits));
            self.tell(|member| member.visitor.outbox.push_text(message.clone()));
        }
    }

    /// Where there is no lobby, nobody waits in it. A lock is for those as well who came before it.
    fn open_lobby(&mut self, now: Instant) {
        if !self.options.lobby && !self.options.locked {
            // Who finds no place goes on waiting.
            let _ = self.admit(None, now);
        }
    }

    /// Lets in who waits, or all of them, as far as there are places.
    fn admit(&mut self, label: Option<Label>, now: Instant) -> Result<(), Denied> {
        while let Some(at) =
            self.waiting.iter().position(|waiting| label.is_none_or(|label| label == waiting.visitor.label))
        {
            if self.members.len() >= self.size {
                return Err(Denied::Full);
            }
            let place = self.place_for(self.waiting[at].code, now).map_err(|_| Denied::Full)?;
            let Waiting { visitor, code } = self.waiting.remove(at);
            self.seat(visitor, place, false, code, now);
            self.tell_waiting();
        }
        Ok(())
    }

    /// Turns away who waits and is meant.
    fn decline(&mut self, now: Instant, meant: impl Fn(&Waiting) -> bool) {
        let declined: Vec<Waiting> = self.waiting.extract_if(.., |waiting| meant(waiting)).collect();
        for waiting in &declined {
            waiting.visitor.outbox.finish(&Reply::Closed { why: Why::Declined });
        }
        if !declined.is_empty() {
            self.tell_waiting();
            self.note_emptiness(now);
        }
    }

    fn revoke(&mut self, code: Code, now: Instant) {
        if self.invitations.revoke(code) {
            self.decline(now, |waiting| waiting.code == code);
            self.tell_invitations(now);
        }
    }

    /// Takes somebody out. Its place is gone; so that neither code nor invitation leads back, the lobby is on
    /// from now on, the invitation it came by revoked, and none leads past the lobby: it may know others. It may
    /// have left another place before, so those who are away now have to be admitted again as well.
    fn remove(&mut self, label: Label, now: Instant) -> Result<Outcome, Denied> {
        let Some(at) = self.find(label) else {
            return Ok(Outcome::default());
        };
        if self.members[at].owner {
            return Err(Denied::Owner);
        }
        let Member { visitor, place, .. } = self.members.remove(at);
        visitor.outbox.finish(&Reply::Closed { why: Why::Removed });
        self.set_options(Options { lobby: true, ..self.options });
        self.absent.clear();
        self.invitations.lead_to_the_lobby();
        if let Some(code) = place.invitation {
            self.revoke(code, now);
        }
        self.tell_invitations(now);
        self.announce();
        self.note_emptiness(now);
        Ok(Outcome { gone: vec![label], over: false })
    }

    fn promote(&mut self, label: Label, now: Instant) {
        if let Some(at) = self.find(label).filter(|at| !self.members[*at].place.moderator) {
            self.members[at].place.moderator = true;
            self.announce();
            self.tell_waiting();
            self.tell_invitations(now);
        }
    }

    fn end(&mut self) -> Outcome {
        let members = self.members.drain(..).map(|member| member.visitor);
        let everybody: Vec<Visitor> =
            members.chain(self.waiting.drain(..).map(|waiting| waiting.visitor)).collect();
        for visitor in &everybody {
            visitor.outbox.finish(&Reply::Closed { why: Why::Ended });
        }
        Outcome { gone: everybody.iter().map(|visitor| visitor.label).collect(), over: true }
    }

    fn find(&self, label: Label) -> Option<usize> {
        self.members.iter().position(|member| member.visitor.label == label)
    }
}
