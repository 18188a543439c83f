//! Tries of codes that were wrong, by where they came from: who has had many is not listened to for a while.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong tries of one source in the long run: one in each of these.
const PACE: Duration = Duration::from_secs(3);

/// Wrong tries of one source at once: an office behind one address has people who mistype.
const BURST: u32 = 20;

/// Sources that are remembered. The one that has been quiet longest is forgotten for a new one.
const SOURCES: usize = 4_096;

/// A bucket of tries for each source.
#[derive(Debug, Default)]
pub struct Guesses {
    /// The moment up to which the tries of a source are paid for.
    paid: HashMap<IpAddr, Instant>,
}

impl Guesses {
    /// Whether a try of this source is looked at.
    pub fn allows(&self, source: IpAddr, now: Instant) -> bool {
        let paid = self.paid.get(&network(source));
        paid.is_none_or(|paid| paid.saturating_duration_since(now) + PACE <= PACE * BURST)
    }

    /// Takes note of a wrong try. One that was not looked at makes the wait no longer.
    pub fn wrong(&mut self, source: IpAddr, now: Instant) {
        if !self.allows(source, now) {
            return;
        }
        let source = network(source);
        if self.paid.len() >= SOURCES && !self.paid.contains_key(&source) {
            let quietest = self.paid.iter().min_by_key(|(_, paid)| **paid).map(|(source, _)| *source);
            quietest.map(|source| self.paid.remove(&source));
        }
        let paid = self.paid.entry(source).or_insert(now);
        *paid = (*paid).max(now) + PACE;
    }
}

/// What one subscriber is given: an address of IPv4, 64 bits of IPv6.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn s_room_01_tries_of_a_source_are_limited_and_come_back_with_time() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let (office, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..BURST {
            assert!(guesses.allows(office, now));
            guesses.wrong(office, now);
        }
        assert!(!guesses.allows(office, now));
        assert!(guesses.allows(other, now), "of no concern to another");
        // Whoever goes on trying makes the wait no longer for those behind the same address.
        (0..PACE.as_millis() as u64).for_each(|at| guesses.wrong(office, now + Duration::from_millis(at)));
        assert!(!guesses.allows(office, now + PACE - Duration::from_millis(1)));
        assert!(guesses.allows(office, now + PACE));
        guesses.wrong(office, now + PACE);
        assert!(!guesses.allows(office, now + PACE));
    }

    #[test]
    fn s_room_01_addresses_of_one_subscriber_are_one_source() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        for host in 0..BURST {
            guesses.wrong(address(&format!("2001:db8:0:1::{host:x}")), now);
        }
        assert!(!guesses.allows(address("2001:db8:0:1:ffff::1"), now));
        assert!(guesses.allows(address("2001:db8:0:2::1"), now));
        (0..BURST).for_each(|_| guesses.wrong(address("::ffff:192.0.2.1"), now));
        assert!(!guesses.allows(address("192.0.2.1"), now), "the same address, mapped");
    }

    #[test]
    fn s_room_01_the_table_of_sources_is_bounded_and_the_quietest_is_forgotten() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let first = address("198.51.100.1");
        (0..BURST).for_each(|_| guesses.wrong(first, now));
        for number in 0..SOURCES as u32 + 100 {
            guesses.wrong(IpAddr::V4((0x0a00_0000 + number).into()), now);
        }
        assert_eq!(guesses.paid.len(), SOURCES);
        assert!(!guesses.allows(first, now), "who guesses most is remembered");
    }
}
