//! What a full agent has on top: both sides' candidates, the pairs they make, and the end of hope.

use super::agent::Agent;
use super::candidate::{self, Candidate, LocalCandidate, Rank, canonical};
use super::{LimitReached, Role};
use crate::base::limits;
use crate::base::time::Instant;
use crate::wire::mux::{Path, Protocol};
use std::net::SocketAddr;

/// The candidates of a full agent; a lite one keeps the priorities of its own.
#[derive(Debug, Default)]
pub(super) struct Full {
    pub(super) locals: Vec<LocalCandidate>,
    /// Remote candidates of this generation.
    remotes: Vec<Remote>,
    /// The peer has no more of them.
    ended: bool,
    /// Pairs of two candidates that there was no room for.
    pub(super) refused: u64,
    /// What has switched our role in this generation already (S-STUN-09).
    pub(super) switched_by_error: bool,
    pub(super) switched_by_request: bool,
    /// The peer is lite, so it never is.
    pub(super) peer_is_lite: bool,
    /// When the best pair that is valid by then is nominated.
    pub(super) nominate_at: Option<Instant>,
    hope: Hope,
}

/// A remote candidate, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Remote {
    address: SocketAddr,
    priority: u32,
    foundation: u32,
}

/// Whether a generation may still come to a path: for a while even without any pair, since the peer's
/// checks may show addresses that nobody named (RFC 8863).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Hope {
    /// Nobody has asked what time it is yet.
    #[default]
    New,
    Until(Instant),
    Pairs,
    Lost,
}

impl Full {
    /// For a new generation: our candidates stay.
    pub(super) fn restart(&mut self) {
        self.remotes.clear();
        self.ended = false;
        self.switched_by_error = false;
        self.switched_by_request = false;
        self.nominate_at = None;
        self.hope = Hope::New;
    }

    pub(super) fn end_of_candidates(&mut self) {
        self.ended = true;
    }

    /// The priority of the candidate of ours that a check turned out to come from: one of those we
    /// know, or a peer-reflexive one (RFC 8445, section 7.2.5.3.1).
    pub(super) fn seen_as(&self, path: Path, mapped: SocketAddr, base_priority: u32) -> u32 {
        let known = self.locals.iter().filter(|local| local.base == path.local);
        let mut known = known.filter(|local| local.candidate.protocol == path.protocol);
        match known.find(|local| local.candidate.address == canonical(mapped)) {
            Some(local) => local.candidate.priority,
            None => candidate::reflexive_priority(base_priority),
        }
    }

    /// When to look at [`Agent::judge_at`].
    pub(super) fn hope_ends(&self) -> Option<Instant> {
        match self.hope {
            Hope::New if self.ended => Some(Instant::ZERO),
            Hope::Until(at) => Some(at),
            _ => None,
        }
    }
}

impl Agent {
    /// A candidate of our own; of a generation before as well, a restart keeps them. Pairs are made
    /// with all that the peer has named. The candidate is not announced: that is its owner's part.
    ///
    /// A lite agent makes no pairs and remembers the priority only: of two paths that a peer nominates
    /// for good, both sides have to take the same (RFC 8445, section 8.1.1).
    ///
    /// # Errors
    /// [`LimitReached`] past [`limits::CANDIDATES`]; the candidate is ignored.
    pub fn add_local_candidate(&mut self, local: LocalCandidate) -> Result<(), LimitReached> {
        let Some(full) = &mut self.full else { return self.rank(&local) };
        if full.locals.contains(&local) {
            return Ok(());
        }
        if full.locals.len() >= limits::CANDIDATES {
            return Err(LimitReached);
        }
        full.locals.push(local.clone());
        let remotes = full.remotes.clone();
        remotes.into_iter().for_each(|remote| self.pair(&local, remote));
        Ok(())
    }

    fn rank(&mut self, local: &LocalCandidate) -> Result<(), LimitReached> {
        let (base, protocol, priority) = (local.base, local.candidate.protocol, local.candidate.priority);
        let rank = Rank { base, protocol, priority };
        if self.ranks.contains(&rank) {
            return Ok(());
        }
        if self.ranks.len() >= limits::CANDIDATES {
            return Err(LimitReached);
        }
        // A server has few, and they are kept once for each participant.
        self.ranks.reserve_exact(1);
        self.ranks.push(rank);
        Ok(())
    }

    /// The priority of the candidate of ours that a request came to, the best if there are several.
    pub(super) fn priority_of(&self, path: Path) -> u32 {
        let here = |base, protocol| base == path.local && protocol == path.protocol;
        let locals = self.full.iter().flat_map(|full| &full.locals);
        let locals = locals.filter(|local| here(local.base, local.candidate.protocol));
        let ranks = self.ranks.iter().filter(|rank| here(rank.base, rank.protocol));
        let priorities = locals.map(|local| local.candidate.priority).chain(ranks.map(|rank| rank.priority));
        priorities.max().unwrap_or(candidate::our_priority(path.protocol))
    }

    /// A candidate of the peer's, at any time ("trickle", RFC 8838). A lite agent only counts them: it
    /// sends nothing to an address that it was not asked from.
    ///
    /// One that is known already, one of another component than the first, and one that may not be sent
    /// to is ignored. So is a TCP candidate: the connection is the peer's to open (RFC 6544, section
    /// 4.5), and its pair comes into being with the first check on it. Host names, those of mDNS among
    /// them, are no candidates at all. A full agent does not count what it ignores.
    ///
    /// # Errors
    /// [`LimitReached`] past [`limits::CANDIDATES`] in one generation; the candidate is ignored.
    pub fn add_remote_candidate(&mut self, candidate: Candidate) -> Result<(), LimitReached> {
        let address = canonical(candidate.address);
        // Components would share our one socket and pass for each other.
        if candidate.component != 1 {
            return Ok(());
        }
        if let Some(full) = self.full.as_deref() {
            let known = full.remotes.iter().any(|remote| remote.address == address);
            let allowed = self.config.private_candidates || !candidate::is_private(address);
            let usable = allowed && candidate::is_sendable(address) && candidate.protocol == Protocol::Udp;
            // Each description names them again, so they do not count.
            if known || !usable {
                return Ok(());
            }
        }
        if self.candidates >= limits::CANDIDATES {
            return Err(LimitReached);
        }
        self.candidates += 1;
        let remote =
            Remote { address, priority: candidate.priority, foundation: candidate.foundation_hash() };
        let Some(full) = &mut self.full else { return Ok(()) };
        full.remotes.push(remote);
        let locals = full.locals.clone();
        locals.iter().for_each(|local| self.pair(local, remote));
        Ok(())
    }

    /// The peer has no more candidates in this generation (RFC 8838, section 14). Without this call
    /// there is no [`Event::Failed`](super::Event::Failed).
    pub fn end_of_candidates(&mut self) {
        if let Some(full) = &mut self.full {
            full.end_of_candidates();
        }
        self.judge();
    }

    /// Pairs of two candidates that were left out because of [`limits::PAIRS`].
    pub fn pairs_refused(&self) -> u64 {
        self.full.as_ref().map_or(0, |full| full.refused)
    }

    /// Makes a pair, or learns more of one that there is (RFC 8445, section 6.1.2). The base stands
    /// for a reflexive candidate, so that of two pairs of one path one is left.
    fn pair(&mut self, local: &LocalCandidate, remote: Remote) {
        let (epoch, role) = (self.generations.current.epoch, self.role);
        let Some(path) = local.path_to(remote.address) else { return };
        if path.protocol != Protocol::Udp || self.has_current_path() {
            return;
        }
        let foundation = foundation(local.candidate.foundation_hash(), remote.foundation);
        let frozen = self.pairs.iter().any(|pair| {
            pair.epoch == epoch
                && pair.foundation == foundation
                && pair.check.is_active()
                && pair.path != path
        });
        let (ours, theirs) = (local.candidate.priority, remote.priority);
        let priority = match role {
            Role::Controlling => candidate::pair_priority(ours, theirs),
            Role::Controlled => candidate::pair_priority(theirs, ours),
        };
        let fresh = self.pairs.find(path, epoch).is_none();
        let Some(pair) = self.pairs.name(path, epoch, priority, role) else {
            if let Some(full) = &mut self.full {
                full.refused += 1;
            }
            return;
        };
        if fresh {
            pair.local_priority = ours;
            pair.check.start(Instant::ZERO);
            pair.check.frozen = frozen;
        } else if pair.proof.is_none() {
            pair.local_priority = pair.local_priority.max(ours);
        }
        // What a request showed goes by what the description says from now on.
        pair.remote_priority = theirs;
        pair.foundation = foundation;
    }

    /// Whether a path of this generation is selected: its candidates are of no use any more.
    pub(super) fn has_current_path(&self) -> bool {
        self.pairs.selected().is_some_and(|pair| pair.epoch == self.generations.current.epoch)
    }

    /// Ends the time in which there may be hope without any pair.
    pub(super) fn judge_at(&mut self, now: Instant) {
        let knows_peer = self.generations.current.remote.is_some();
        let Some(full) = &mut self.full else { return };
        match full.hope {
            Hope::New if knows_peer || full.ended => full.hope = Hope::Until(now + limits::ICE_PATIENCE),
            Hope::Until(at) if at <= now => {
                full.hope = Hope::Pairs;
                self.judge();
            }
            _ => self.judge(),
        }
    }

    /// Gives the generation up when no pair is left that may become valid.
    pub(super) fn judge(&mut self) {
        let epoch = self.generations.current.epoch;
        let alive = |pair: &super::pair::Pair| {
            pair.epoch == epoch && (pair.check.is_active() || pair.proof.is_some())
        };
        let lost = self.generations.current.lost;
        let settled = lost || self.has_current_path() || self.pairs.iter().any(alive);
        let Some(full) = &mut self.full else { return };
        if full.hope == Hope::Pairs && full.ended && !settled {
            full.hope = Hope::Lost;
            self.failed = true;
        }
    }
}

/// Of a pair (RFC 8445, section 6.1.2.6).
fn foundation(local: u32, remote: u32) -> u64 {
    u64::from(local) << 32 | u64::from(remote)
}
