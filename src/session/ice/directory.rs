//! Many agents behind one socket: whose a datagram is, by one look-up.

use super::{Credentials, Event};
use crate::base::digest::unordered;
use crate::base::limits;
use crate::base::random::Random;
use crate::base::table::{Table, table};
use crate::wire::mux::Path;
use crate::wire::stun::{self, Class, Message, TransactionId};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

/// Finds the agent that a datagram is for, each under a key of its owner's choice.
///
/// A request names its agent by user fragment, a response by the transaction of a check, everything
/// else by the path it came on. None of this is authentic: the agent, or the DTLS and SRTP behind it,
/// decides. Feed it with each agent's fragments, events and datagrams; what an agent owns here is
/// bounded as the agent is. The [`Engine`](crate::Engine) finds its participants by it.
#[derive(Debug)]
pub struct Directory<K> {
    by_ufrag: Table<Box<str>, K>,
    by_path: Table<Path, K>,
    checks: Checks<K>,
    owned: Table<K, Owned>,
}

/// What leads to one agent: the same entries as in the tables.
#[derive(Debug, Default, Hash)]
struct Owned {
    /// Two after a restart.
    ufrags: SmallVec<[Box<str>; 1]>,
    paths: SmallVec<[Path; 1]>,
}

impl<K: Copy + Eq + Hash> Directory<K> {
    /// Bytes that one agent takes at most: its entries in the tables and its list of them, all with room
    /// to grow. The checks are not in it, of which all agents share a fixed number.
    pub(crate) const BOUND: usize = {
        let ufrag = size_of::<(Box<str>, K)>() + size_of::<Box<str>>() + 2 * Credentials::UFRAG_MAX;
        let path = size_of::<(Path, K)>() + size_of::<Path>();
        2 * (size_of::<(K, Owned)>() + 2 * ufrag + limits::PAIRS * path)
    };

    /// An empty directory; `random` keys its hashes.
    pub fn new(random: &mut Random) -> Self {
        let checks = Checks::new(random);
        Directory { by_ufrag: table(random), by_path: table(random), checks, owned: table(random) }
    }

    /// Whether requests for this local fragment are somebody's.
    pub fn has_ufrag(&self, ufrag: &str) -> bool {
        self.by_ufrag.contains_key(ufrag)
    }

    /// Requests for this local fragment are `key`'s. False, and nothing changed, if it is another's:
    /// fragments are unique on a socket.
    pub fn add_ufrag(&mut self, ufrag: &str, key: K) -> bool {
        if let Some(owner) = self.by_ufrag.get(ufrag) {
            return *owner == key;
        }
        self.by_ufrag.insert(ufrag.into(), key);
        self.owned.entry(key).or_default().ufrags.push(ufrag.into());
        true
    }

    /// After a restart: forgets the fragments that `answers` does not hold for, which is
    /// [`Agent::answers_to`](super::Agent::answers_to).
    pub fn retain_ufrags(&mut self, key: K, answers: impl Fn(&str) -> bool) {
        let Some(owned) = self.owned.get_mut(&key) else { return };
        let by_ufrag = &mut self.by_ufrag;
        owned.ufrags.retain(|ufrag| {
            let alive = answers(ufrag);
            if !alive {
                by_ufrag.remove(&**ufrag);
            }
            alive
        });
    }

    /// Follows the paths that an agent's events name.
    pub fn on_event(&mut self, key: K, event: Event) {
        match event {
            Event::AddressKnown(path) => self.add_path(key, path),
            Event::AddressForgotten(path) => {
                self.remove_path(key, &path);
            }
            _ => {}
        }
    }

    /// Datagrams of this path are `key`'s from now on, whosever they were.
    pub fn add_path(&mut self, key: K, path: Path) {
        let before = self.by_path.insert(path, key);
        if before == Some(key) {
            return;
        }
        if let Some(owned) = before.and_then(|before| self.owned.get_mut(&before)) {
            owned.paths.retain(|known| *known != path);
        }
        self.owned.entry(key).or_default().paths.push(path);
    }

    /// Datagrams of this path are nobody's. False, and nothing changed, if they are not `key`'s by now.
    pub fn remove_path(&mut self, key: K, path: &Path) -> bool {
        if self.find(path) != Some(key) {
            return false;
        }
        self.by_path.remove(path);
        if let Some(owned) = self.owned.get_mut(&key) {
            owned.paths.retain(|known| *known != *path);
        }
        true
    }

    /// Notes a datagram that an agent wrote, so that an answer from an address it was never heard
    /// from finds it; only full agents need this.
    pub fn on_transmit(&mut self, key: K, datagram: &[u8]) {
        self.checks.note(key, datagram);
    }

    /// Whose datagrams of this path are.
    #[inline]
    pub fn find(&self, path: &Path) -> Option<K> {
        self.by_path.get(path).copied()
    }

    /// Whom a STUN message is for. What names nobody, be it a request, is its path's: the agent there
    /// knows what is wrong with it.
    pub fn find_stun(&self, path: &Path, message: &Message<'_>) -> Option<K> {
        let named = match (message.class(), message.username()) {
            // A wrong name is nobody's, wherever it comes from: found out without any HMAC (S-STUN-05).
            (Class::Request, Some(username)) => {
                let ufrag = username.split_once(':').map_or(username, |(ours, _)| ours);
                return self.by_ufrag.get(ufrag).copied();
            }
            // Most come from where our checks went, an address in the table. But those of a full agent
            // go to candidates, where somebody else may have been before.
            (Class::Success | Class::Error, _) => self.checks.find(message.transaction_id()),
            _ => None,
        };
        named.filter(|key| self.owned.contains_key(key)).or_else(|| self.find(path))
    }

    /// Forgets an agent, and tells which paths led to it.
    pub fn remove(&mut self, key: K) -> Vec<Path> {
        let owned = self.owned.remove(&key).unwrap_or_default();
        for ufrag in &owned.ufrags {
            self.by_ufrag.remove(ufrag);
        }
        for path in &owned.paths {
            self.by_path.remove(path);
        }
        if self.owned.is_empty() {
            // What grew with a crowd goes back (I-02).
            self.by_ufrag.shrink_to_fit();
            self.by_path.shrink_to_fit();
            self.owned.shrink_to_fit();
            self.checks.clear();
        }
        owned.paths.into_vec()
    }

    /// Folds all of it into the digest of its owner's state (I-03).
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        (unordered(self.by_ufrag.iter()), unordered(self.by_path.iter())).hash(state);
        (unordered(self.checks.by_id.iter()), &self.checks.order, unordered(self.owned.iter())).hash(state);
    }
}

/// The latest checks that were sent to addresses which nobody was heard from.
#[derive(Debug)]
struct Checks<K> {
    by_id: Table<TransactionId, K>,
    order: VecDeque<TransactionId>,
}

impl<K: Copy> Checks<K> {
    fn new(random: &mut Random) -> Self {
        Checks { by_id: table(random), order: VecDeque::new() }
    }

    /// Notes a datagram if it is a Binding request: the first two bytes say so, the twelve behind the
    /// cookie are the transaction.
    fn note(&mut self, key: K, datagram: &[u8]) {
        let Some(([kind @ .., _, _, _, _, _, _], rest)) = datagram.split_first_chunk::<8>() else { return };
        let (Some(id), true) = (rest.first_chunk::<12>(), u16::from_be_bytes(*kind) == stun::BINDING) else {
            return;
        };
        let id = TransactionId(*id);
        if self.by_id.insert(id, key).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > limits::CHECKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }

    fn find(&self, id: TransactionId) -> Option<K> {
        self.by_id.get(&id).copied()
    }

    /// Forgets all, and gives back what the tables hold (I-02).
    fn clear(&mut self) {
        self.by_id.clear();
        self.by_id.shrink_to_fit();
        self.order = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mux::Protocol;
    use crate::wire::stun::Writer;

    fn path(port: u16) -> Path {
        let address = |host: u8, port| ([192, 0, 2, host], port).into();
        Path { protocol: Protocol::Udp, local: address(1, 1), remote: address(2, port) }
    }

    fn message(class: Class, id: u32, username: Option<&str>) -> Vec<u8> {
        let mut buf = [0; 200];
        let mut whole = [0; 12];
        whole[..4].copy_from_slice(&id.to_be_bytes());
        let mut writer = Writer::new(&mut buf, class, stun::BINDING, TransactionId(whole)).unwrap();
        if let Some(username) = username {
            writer.attribute(stun::attribute::USERNAME, username.as_bytes()).unwrap();
        }
        let len = writer.finish().unwrap();
        buf[..len].to_vec()
    }

    #[test]
    fn each_kind_of_message_finds_its_agent() {
        let mut directory = Directory::new(&mut Random::new([1; 32]));
        assert!(directory.add_ufrag("ours", 7) && directory.add_ufrag("other", 8));
        assert!(!directory.add_ufrag("ours", 8) && directory.add_ufrag("ours", 7));
        let find = |directory: &Directory<u32>, datagram: &[u8]| {
            directory.find_stun(&path(5), &Message::parse(datagram).unwrap())
        };
        let request = message(Class::Request, 1, Some("ours:peer"));
        assert_eq!(find(&directory, &request), Some(7));
        assert_eq!(find(&directory, &message(Class::Request, 1, Some("nobody:peer"))), None);
        assert_eq!(find(&directory, &message(Class::Request, 1, None)), None);

        let answer = message(Class::Success, 2, None);
        assert_eq!(find(&directory, &answer), None);
        directory.on_transmit(8, &message(Class::Request, 2, None));
        assert_eq!(find(&directory, &answer), Some(8));

        let keep_alive = message(Class::Indication, 3, None);
        directory.on_event(7, Event::AddressKnown(path(5)));
        assert_eq!((find(&directory, &keep_alive), directory.find(&path(5))), (Some(7), Some(7)));
        // It changes hands; the first owner's farewell does not matter any more.
        directory.on_event(8, Event::AddressKnown(path(5)));
        directory.on_event(7, Event::AddressForgotten(path(5)));
        assert_eq!(directory.find(&path(5)), Some(8));
        // A request is its fragment's, wherever it comes from; without one the path's agent refuses it.
        assert_eq!(find(&directory, &request), Some(7));
        assert_eq!(find(&directory, &message(Class::Request, 1, Some("nobody:peer"))), None);
        assert_eq!(find(&directory, &message(Class::Request, 1, None)), Some(8));

        directory.retain_ufrags(7, |ufrag| ufrag != "ours");
        assert_eq!((find(&directory, &request), directory.has_ufrag("ours")), (None, false));
        assert_eq!(directory.remove(8), [path(5)]);
        assert_eq!((directory.find(&path(5)), directory.owned.len()), (None, 1));
        assert_eq!(directory.remove(7), []);
        assert!(directory.by_ufrag.is_empty() && directory.by_path.is_empty() && directory.owned.is_empty());
    }

    #[test]
    fn i_02_a_path_that_goes_to_and_fro_is_owned_once() {
        let mut directory = Directory::new(&mut Random::new([1; 32]));
        for round in 0..100u32 {
            directory.add_path(round % 2, path(5));
            directory.add_path(round % 2, path(5));
        }
        assert_eq!((directory.remove(0), directory.remove(1)), (vec![], vec![path(5)]));
    }

    #[test]
    fn answers_to_who_is_removed_are_nobodys_and_the_last_leaves_nothing() {
        let mut directory = Directory::new(&mut Random::new([1; 32]));
        for key in 0..2 {
            directory.add_ufrag(&format!("ours{key}"), key);
        }
        for id in 0..1_000 {
            directory.on_transmit(id % 2, &message(Class::Request, id, None));
        }
        let find = |directory: &Directory<u32>, id: u32| {
            directory.find_stun(&path(5), &Message::parse(&message(Class::Success, id, None)).unwrap())
        };
        assert_eq!((find(&directory, 10), find(&directory, 11)), (Some(0), Some(1)));
        directory.remove(0);
        assert_eq!((find(&directory, 10), find(&directory, 11)), (None, Some(1)));
        directory.remove(1);
        assert_eq!((directory.checks.by_id.capacity(), directory.checks.order.capacity()), (0, 0));
    }

    #[test]
    fn checks_are_bounded_and_the_latest_are_kept() {
        let mut checks = Checks::new(&mut Random::new([1; 32]));
        let last = u32::try_from(limits::CHECKS).unwrap();
        for id in 0..=last {
            checks.note(id, &message(Class::Request, id, None));
            // Sent again, and what is no check.
            checks.note(id, &message(Class::Request, id, None));
            checks.note(id, &message(Class::Success, !id, None));
            checks.note(id, &[0, 1, 0]);
        }
        assert_eq!((checks.by_id.len(), checks.order.len()), (limits::CHECKS, limits::CHECKS));
        let id = |id: u32| {
            let mut whole = [0; 12];
            whole[..4].copy_from_slice(&id.to_be_bytes());
            TransactionId(whole)
        };
        assert_eq!(
            (checks.find(id(0)), checks.find(id(1)), checks.find(id(last))),
            (None, Some(1), Some(last))
        );
    }
}
