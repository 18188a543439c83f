//! Invitations: codes of their own that open a room for a while.

use super::Refused;
use crate::code::Code;
use crate::message::{Invite, Ticket};
use std::time::{Duration, Instant};

/// Invitations of one room at a time.
pub const INVITATIONS: usize = 32;

/// An invitation lasts so long at most: 30 days.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// One invitation.
#[derive(Debug)]
pub struct Invitation {
    secret: Code,
    code: Code,
    until: Instant,
    /// How many may still be let in by it; any number without.
    uses: Option<u32>,
    /// Past the lobby.
    pub direct: bool,
}

/// The invitations of one room, [`INVITATIONS`] at most.
#[derive(Debug, Default)]
pub struct Invitations {
    list: Vec<Invitation>,
}

impl Invitations {
    /// Makes one as asked. Those that have expired give way; fails when there are [`INVITATIONS`] others.
    pub fn add(&mut self, invite: &Invite, now: Instant) -> Result<(), Refused> {
        let secret = Code::random().map_err(|_| Refused)?;
        let after = Duration::from_secs(60 * u64::from(invite.minutes));
        self.keep(Invitation::new(secret, after, invite.uses, invite.direct, now), now)
    }

    /// Takes one over from a moderator's page that knew it from before the server was started again. Its code is the
    /// secret's: a room cannot be given another's code for an invitation.
    pub fn restore(&mut self, ticket: &Ticket, now: Instant) -> Result<(), Refused> {
        let secret = ticket.secret.parse().map_err(|_| Refused)?;
        let after = Duration::from_secs(ticket.seconds.into());
        self.keep(Invitation::new(secret, after, ticket.uses, ticket.direct, now), now)
    }

    fn keep(&mut self, invitation: Invitation, now: Instant) -> Result<(), Refused> {
        self.list.retain(|invitation| invitation.lasts(now));
        if self.list.len() >= INVITATIONS {
            return Err(Refused);
        }
        self.list.push(invitation);
        Ok(())
    }

    /// The invitation with this code, if it is still good for anybody.
    pub fn find(&self, code: Code, now: Instant) -> Option<&Invitation> {
        self.list.iter().find(|invitation| invitation.code == code && invitation.lasts(now))
    }

    /// Somebody was let in by it.
    pub fn used(&mut self, code: Code) {
        if let Some(invitation) = self.list.iter_mut().find(|invitation| invitation.code == code) {
            invitation.uses = invitation.uses.map(|uses| uses.saturating_sub(1));
        }
    }

    /// Nobody comes in by it any more. False if there is none with this code.
    pub fn revoke(&mut self, code: Code) -> bool {
        let before = self.list.len();
        self.list.retain(|invitation| invitation.code != code);
        self.list.len() < before
    }

    /// None leads past the lobby any more.
    pub fn lead_to_the_lobby(&mut self) {
        self.list.iter_mut().for_each(|invitation| invitation.direct = false);
    }

    /// Those that are good, for moderators.
    pub fn tickets(&self, now: Instant) -> Vec<Ticket> {
        let good = self.list.iter().filter(|invitation| invitation.lasts(now));
        good.map(|invitation| Ticket {
            code: invitation.code.to_string(),
            secret: invitation.secret.to_string(),
            seconds: (invitation.until - now).as_secs() as u32,
            uses: invitation.uses,
            direct: invitation.direct,
        })
        .collect()
    }
}

impl Invitation {
    fn new(secret: Code, after: Duration, uses: Option<u32>, direct: bool, now: Instant) -> Invitation {
        Invitation { secret, code: secret.code(), until: now + after.min(LONGEST), uses, direct }
    }

    fn lasts(&self, now: Instant) -> bool {
        now < self.until && self.uses != Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(minutes: u32, uses: Option<u32>) -> Invite {
        Invite { minutes, uses, direct: false }
    }

    fn only(invitations: &Invitations, now: Instant) -> Code {
        invitations.tickets(now)[0].code.parse().expect("a code")
    }

    #[test]
    fn s_room_01_an_invitation_expires() {
        let (mut invitations, now) = (Invitations::default(), Instant::now());
        invitations.add(&invite(10, None), now).expect("room for one");
        let code = only(&invitations, now);
        let end = now + Duration::from_secs(600);
        assert!(invitations.find(code, end - Duration::from_secs(1)).is_some());
        assert!(invitations.find(code, end).is_none());
        assert!(invitations.tickets(end).is_empty());
    }

    #[test]
    fn an_invitation_is_used_up_or_revoked() {
        let (mut invitations, now) = (Invitations::default(), Instant::now());
        invitations.add(&invite(10, Some(2)), now).expect("room for one");
        let code = only(&invitations, now);
        invitations.used(code);
        assert!(invitations.find(code, now).is_some());
        invitations.used(code);
        assert!(invitations.find(code, now).is_none());
        invitations.add(&invite(10, None), now).expect("room for one");
        let code = only(&invitations, now);
        assert!(invitations.revoke(code) && !invitations.revoke(code));
        assert!(invitations.find(code, now).is_none());
    }

    #[test]
    fn invitations_are_bounded_in_number_and_time() {
        let (mut invitations, now) = (Invitations::default(), Instant::now());
        for _ in 0..INVITATIONS {
            invitations.add(&invite(u32::MAX, None), now).expect("room for it");
        }
        assert_eq!(invitations.add(&invite(1, None), now), Err(Refused));
        assert_eq!(invitations.tickets(now)[0].seconds, LONGEST.as_secs() as u32);
        assert_eq!(invitations.add(&invite(1, None), now + LONGEST), Ok(()), "the expired give way");
    }

    #[test]
    fn an_invitation_is_the_same_after_a_restart() {
        let (mut before, now) = (Invitations::default(), Instant::now());
        before.add(&Invite { minutes: 5, uses: Some(3), direct: true }, now).expect("room for one");
        let mut after = Invitations::default();
        after.restore(&before.tickets(now)[0], now).expect("room for one");
        assert_eq!(after.tickets(now), before.tickets(now));
        // Whatever code a ticket claims to have.
        let forged =
            Ticket { code: Code::random().expect("generator").to_string(), ..before.tickets(now)[0].clone() };
        let mut other = Invitations::default();
        other.restore(&forged, now).expect("room for one");
        assert_eq!(other.tickets(now), before.tickets(now));
    }
}
