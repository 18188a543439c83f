//! Loss that no queue causes: at random, or in bursts.

use serde::Deserialize;

use super::draws::Draws;
use super::reading;

/// Loss in bursts: two states, and in the bad one every packet is lost (Gilbert).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BurstLoss {
    /// The share of all packets that is lost, in the long run.
    #[serde(deserialize_with = "reading::share")]
    pub share: f64,
    /// The mean length of a burst in packets, at least 1.
    pub packets: f64,
}

/// One lane's losses.
#[derive(Debug, Clone)]
pub(super) struct Losses {
    random: f64,
    /// Probabilities of a burst's beginning and end at each packet.
    burst: Option<(f64, f64)>,
    in_burst: bool,
    draws: Draws,
}

impl Losses {
    pub(super) fn new(random: f64, burst: Option<BurstLoss>, draws: Draws) -> Self {
        // In balance, share x end = (1 - share) x begin.
        let burst = burst.map(|burst| {
            let end = 1.0 / burst.packets.max(1.0);
            (burst.share / (1.0 - burst.share) * end, end)
        });
        Losses { random, burst, in_burst: false, draws }
    }

    /// Whether the next packet is lost.
    pub(super) fn next(&mut self) -> bool {
        if let Some((begin, end)) = self.burst {
            let turns = self.draws.chance(if self.in_burst { end } else { begin });
            self.in_burst ^= turns;
        }
        self.in_burst || self.draws.chance(self.random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    fn run(random: f64, burst: Option<BurstLoss>) -> Vec<bool> {
        let mut losses = Losses::new(random, burst, Draws::new(Random::new([9; 32])));
        (0..100_000).map(|_| losses.next()).collect()
    }

    /// Share lost and mean length of a burst.
    fn figures(lost: &[bool]) -> (f64, f64) {
        let count = lost.iter().filter(|&&lost| lost).count() as f64;
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        (count / lost.len() as f64, count / bursts)
    }

    #[test]
    fn random_loss_has_its_share_and_no_memory() {
        let (share, length) = figures(&run(0.1, None));
        assert!((share - 0.1).abs() < 0.005 && (length - 1.11).abs() < 0.03, "{share} {length}");
    }

    #[test]
    fn bursts_have_their_share_and_length() {
        let (share, length) = figures(&run(0.0, Some(BurstLoss { share: 0.05, packets: 8.0 })));
        assert!((share - 0.05).abs() < 0.01 && (length - 8.0).abs() < 0.8, "{share} {length}");
    }

    #[test]
    fn a_path_without_loss_loses_nothing() {
        assert!(!run(0.0, None).contains(&true));
    }
}
