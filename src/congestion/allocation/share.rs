//! A ceiling for many, divided among them.

use crate::base::units::Bitrate;

/// What one of many would use of a common ceiling.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Its part in proportion to the others'; 0 counts as 1.
    pub weight: u32,
    /// The most that is of use to it.
    pub most: Bitrate,
    /// What it gets: set by [`share`].
    pub share: Bitrate,
}

/// Divides a ceiling in proportion to weights, and what is of no use to one among the others (max-min fairness by
/// filling with water). Nobody gets more than it can use; all of the ceiling is given away while anybody can use
/// more, but for less than a bit for each weight. The time is proportional to the number of claims.
///
/// ```
/// use estafette::{Bitrate, allocation::{Claim, share}};
/// let mut claims = [100, 900, 900].map(|kbps| Claim { weight: 1, most: Bitrate::from_kbps(kbps), ..Claim::default() });
/// share(Bitrate::from_kbps(1_000), &mut claims);
/// assert_eq!(claims.map(|claim| claim.share.as_bps() / 1_000), [100, 450, 450]);
/// ```
pub fn share(ceiling: Bitrate, claims: &mut [Claim]) {
    let part = |claim: &Claim, level: u64| {
        Bitrate::from_bps(claim.most.as_bps().min(level.saturating_mul(claim.weight.max(1).into())))
    };
    let fits = |claims: &[Claim], level: u64| {
        let sum: u128 = claims.iter().map(|claim| u128::from(part(claim, level).as_bps())).sum();
        sum <= ceiling.as_bps().into()
    };
    // The highest level that fits, bit by bit.
    let level = (0..u64::BITS).rev().fold(0, |level, bit| {
        let higher = level | 1 << bit;
        if fits(claims, higher) { higher } else { level }
    });
    for claim in claims.iter_mut() {
        claim.share = part(claim, level);
    }
}
