//! The choice is the best there is.

use super::*;

/// The best sum of worths within a budget, by trying everything.
fn brute_force(given: &[Given], budget: u64) -> u64 {
    let Some((first, others)) = given.split_first() else { return 0 };
    let choices = std::iter::once(None).chain((0..first.layers.len()).map(Some));
    let fitting = choices.filter(|layer| first.rate(*layer) <= budget);
    let worths = fitting.map(|layer| first.worth(layer) + brute_force(others, budget - first.rate(layer)));
    worths.max().unwrap_or(0)
}

/// The same by dynamic programming over all sums of which none is dearer and worth no more than another.
fn dynamic_programming(given: &[Given], budget: u64) -> u64 {
    let mut sums = vec![(0, 0)];
    for one in given {
        let choices: Vec<_> = std::iter::once(None).chain((0..one.layers.len()).map(Some)).collect();
        let mut all: Vec<(u64, u64)> = Vec::new();
        for (rate, worth) in sums {
            let more = choices.iter().map(|layer| (rate + one.rate(*layer), worth + one.worth(*layer)));
            all.extend(more.filter(|(rate, _)| *rate <= budget));
        }
        all.sort_unstable_by_key(|(rate, worth)| (*rate, u64::MAX - worth));
        let mut best = None;
        all.retain(|(_, worth)| {
            best.is_none_or(|best| *worth > best) && best.replace(*worth) != Some(*worth)
        });
        sums = all;
    }
    sums.last().map_or(0, |(_, worth)| *worth)
}

/// The worth found for a random budget, and what it is compared with.
fn compared(given: &[Given], random: &mut Random, best: impl Fn(&[Given], u64) -> u64) -> (u64, u64) {
    let budget = random.below(top(given) + 1);
    let (rate, worth) = sums(&decided(given, Bitrate::from_bps(budget)), given);
    assert!(rate <= budget, "{rate} of {budget}");
    (worth, best(given, budget))
}

#[test]
fn up_to_eight_streams_it_equals_brute_force() {
    let mut random = Random::new([1; 32]);
    for round in 0..600 {
        // All ways to choose are few enough to be tried.
        let (streams, layers) =
            [(1, 16), (2, 16), (3, 16), (4, 9), (5, 6), (6, 5), (7, 4), (8, 3)][round % 8];
        let given = wild(&mut random, streams, layers);
        let (found, best) = compared(&given, &mut random, brute_force);
        assert_eq!(found, best, "round {round}: {given:?}");
    }
}

#[test]
fn up_to_eight_streams_of_all_layers_it_equals_dynamic_programming() {
    let mut random = Random::new([2; 32]);
    for round in 0..1_500 {
        let streams = 1 + random.below(8);
        let given = match round % 3 {
            0 => wild(&mut random, streams, 16),
            1 => room(&mut random, streams, 40),
            _ => room(&mut random, streams, 3),
        };
        let (found, best) = compared(&given, &mut random, dynamic_programming);
        assert_eq!(found, best, "round {round}: {given:?}");
    }
}

#[test]
fn dynamic_programming_is_brute_force() {
    let mut random = Random::new([3; 32]);
    for _ in 0..300 {
        let given = wild(&mut random, 5, 4);
        let (budget, best) = (random.below(top(&given) + 1), brute_force as fn(&[Given], u64) -> u64);
        assert_eq!(dynamic_programming(&given, budget), best(&given, budget));
    }
}

#[test]
fn of_many_streams_the_gap_to_the_optimum_is_small() {
    let mut random = Random::new([4; 32]);
    for (streams, rounds) in [(12, 48), (25, 40), (50, 24), (100, 8)] {
        let (mut sum, mut worst, mut missed) = (0.0, 0.0f64, 0);
        for round in 0..rounds {
            let mut given = match round % 4 {
                0 => room(&mut random, streams, 40),
                1 => room(&mut random, streams, 5),
                2 => wild(&mut random, streams, 9),
                _ => mixed(&mut random, streams),
            };
            if round / 4 % 2 == 0 {
                // Of one class: no gap is lost in large numbers.
                given.iter_mut().for_each(|one| one.class = 3);
            }
            let (found, best) = compared(&given, &mut random, dynamic_programming);
            let gap = (best - found) as f64 / best.max(1) as f64;
            (sum, worst, missed) = (sum + gap, worst.max(gap), missed + usize::from(gap > 0.0));
        }
        let mean = sum / f64::from(rounds);
        println!("{streams} streams: {missed} of {rounds} missed, mean gap {mean:.6}, worst {worst:.6}");
        assert!(mean <= 0.0002 && worst <= 0.002, "{streams} streams: {mean}, {worst}");
    }
}
