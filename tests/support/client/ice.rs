//! The controlling side of ICE against an ICE-lite server: one pair, nominated at once.

use estafette::stun::{self, Class, TransactionId, Writer};
use estafette::{Instant, random::Random};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use std::net::SocketAddr;
use std::time::Duration;

const RETRY: Duration = Duration::from_millis(100);
/// Between checks of a pair that works, at first and later, as libwebrtc has it.
const STABILIZING: Duration = Duration::from_millis(480);
const STABLE: Duration = Duration::from_millis(2_500);
/// So many checks make a pair stable.
const ENOUGH: u32 = 6;

/// HMAC-SHA1 as STUN uses it.
pub fn mac(password: &str) -> impl Fn(&[&[u8]]) -> [u8; 20] + '_ {
    |pieces| {
        let mut mac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).expect("any key will do");
        pieces.iter().for_each(|piece| mac.update(piece));
        mac.finalize().into_bytes().into()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub pwd: String,
}

/// What a datagram of STUN meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The pair works.
    Proven,
    Reply(Vec<u8>),
    Nothing,
}

pub struct Ice {
    pub local: Credentials,
    pub remote: Option<Credentials>,
    /// Whether checks of the server are answered: consent.
    pub answers: bool,
    /// Whether checks are sent at all.
    pub checks: bool,
    /// Whether a check nominates its pair, as browsers do after a while.
    pub nominates: bool,
    /// Checks of the server that were authentic.
    pub checked: u64,
    pub proven: bool,
    /// Checks sent since it is.
    since: u32,
    /// The transactions under way: a late answer counts too.
    pending: Vec<TransactionId>,
    next: Option<Instant>,
    random: Random,
}

impl Ice {
    pub fn new(mut random: Random) -> Self {
        let local = fresh(&mut random);
        Ice {
            local,
            remote: None,
            answers: true,
            checks: true,
            nominates: true,
            checked: 0,
            proven: false,
            since: 0,
            pending: Vec::new(),
            next: None,
            random,
        }
    }

    /// Takes the server's credentials; new ones begin the checks anew.
    pub fn set_remote(&mut self, now: Instant, remote: Credentials) {
        if self.remote.as_ref() != Some(&remote) {
            self.remote = Some(remote);
            self.begin(now);
        }
    }

    /// Credentials of our own for an ICE restart.
    pub fn restart(&mut self) {
        self.local = fresh(&mut self.random);
    }

    /// Checks from the start: a new address or a new generation.
    pub fn begin(&mut self, now: Instant) {
        (self.proven, self.next, self.since) = (false, Some(now), 0);
        self.pending.clear();
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next.filter(|_| self.checks)
    }

    /// The check that is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Vec<u8>> {
        if !self.checks || self.next.is_none_or(|at| at > now) {
            return None;
        }
        self.next = Some(now + self.interval());
        self.since += u32::from(self.proven);
        Some(self.check(self.nominates))
    }

    fn interval(&self) -> Duration {
        match self.proven {
            false => RETRY,
            true if self.since < ENOUGH => STABILIZING,
            true => STABLE,
        }
    }

    /// A Binding request.
    pub fn check(&mut self, nominate: bool) -> Vec<u8> {
        let remote = self.remote.clone().expect("the server's description was taken");
        let mut id = TransactionId([0; 12]);
        self.random.fill(&mut id.0);
        if self.pending.len() > 8 {
            self.pending.remove(0);
        }
        self.pending.push(id);
        let mut buf = vec![0; 512];
        let mut writer = Writer::new(&mut buf, Class::Request, stun::BINDING, id).unwrap();
        writer.username(&remote.ufrag, &self.local.ufrag).unwrap();
        writer.ice_controlling(0x1122_3344_5566_7788).unwrap();
        writer.priority(0x7e00_00ff).unwrap();
        if nominate {
            writer.use_candidate().unwrap();
        }
        let len = writer.finish_with_integrity(mac(&remote.pwd)).unwrap();
        buf.truncate(len);
        buf
    }

    pub fn handle(&mut self, now: Instant, from: SocketAddr, data: &[u8]) -> Result<Outcome, &'static str> {
        // A bit flipped on the way: the harness looks at what was sent.
        let Ok(message) = stun::Message::parse(data) else { return Ok(Outcome::Nothing) };
        match message.class() {
            Class::Request => {
                let expected = format!("{}:", self.local.ufrag);
                if !message.username().is_some_and(|name| name.starts_with(&expected)) {
                    // A check under credentials from before a restart.
                    return Ok(Outcome::Nothing);
                }
                if !message.verify_integrity(mac(&self.local.pwd)) {
                    return Err("the server's check is not authentic");
                }
                if message.use_candidate() || message.ice_controlled().is_none() {
                    return Err("a lite server is controlled and nominates nothing");
                }
                self.checked += 1;
                if !self.answers {
                    return Ok(Outcome::Nothing);
                }
                let mut buf = vec![0; 256];
                let id = message.transaction_id();
                let mut writer = Writer::new(&mut buf, Class::Success, stun::BINDING, id).unwrap();
                writer.xor_mapped_address(from).unwrap();
                let len = writer.finish_with_integrity(mac(&self.local.pwd)).unwrap();
                buf.truncate(len);
                Ok(Outcome::Reply(buf))
            }
            Class::Success => {
                let ours = self.pending.contains(&message.transaction_id());
                let password = self.remote.as_ref().map(|remote| remote.pwd.clone()).unwrap_or_default();
                if !ours {
                    return Ok(Outcome::Nothing);
                }
                if !message.verify_integrity(mac(&password)) {
                    return Err("the server's answer is not authentic");
                }
                self.pending.retain(|id| *id != message.transaction_id());
                let before = std::mem::replace(&mut self.proven, true);
                if !before {
                    self.next = Some(now + self.interval());
                }
                Ok(if before { Outcome::Nothing } else { Outcome::Proven })
            }
            _ => Ok(Outcome::Nothing),
        }
    }
}

fn fresh(random: &mut Random) -> Credentials {
    Credentials {
        ufrag: format!("{:08x}", random.next_u32()),
        pwd: format!("{:016x}{:016x}", random.next_u64(), random.next_u64()),
    }
}
