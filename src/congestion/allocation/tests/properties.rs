//! What holds of any streams and any budget.

use super::*;
use proptest::prelude::*;

fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let layer = (1_000u64..3_000_000, 0u8..=255)
        .prop_map(|(bps, utility)| Layer { rate: Bitrate::from_bps(bps), utility });
    prop::collection::vec(layer, 0..=16)
}

/// Ladders of a room: much the same, and so the hardest to choose among.
fn alike() -> impl Strategy<Value = Vec<Layer>> {
    any::<[u8; 32]>().prop_map(|seed| simulcast(&mut Random::new(seed), 15))
}

fn streams(most: usize) -> impl Strategy<Value = Vec<Given>> {
    let large = (500_000u64..5_000_000, 1u8..=255)
        .prop_map(|(bps, utility)| vec![Layer { rate: Bitrate::from_bps(bps), utility }]);
    let stream = (0u8..5, 1u8..=16, prop_oneof![2 => layers(), 2 => alike(), 1 => large])
        .prop_map(|(class, weight, layers)| Given { key: 0, class, weight, layers });
    prop::collection::vec(stream, 1..=most).prop_map(|mut given| {
        (0..).zip(&mut given).for_each(|(key, one)| one.key = key);
        given
    })
}

/// Few streams of any kind: the choice among them is always exact.
fn few() -> impl Strategy<Value = Vec<Given>> {
    streams(8)
}

/// A meeting: one speaks, one shares a screen, some are pinned; most send simulcast, some one large layer.
fn meeting() -> impl Strategy<Value = Vec<Given>> {
    (any::<[u8; 32]>(), 9u64..=50, any::<bool>()).prop_map(|(seed, streams, large)| {
        let mut random = Random::new(seed);
        if large { mixed(&mut random, streams) } else { room(&mut random, streams, 15) }
    })
}

fn layers_of(allocator: &Allocator<u64>) -> Vec<(u64, Option<usize>)> {
    allocator.grants().map(|(key, grant)| (key, grant.layer)).collect()
}

/// A part of what all layers together take.
fn part(given: &[Given], of_a_million: u64) -> Bitrate {
    Bitrate::from_bps(top(given) / 1_000_000 * of_a_million + top(given) % 1_000_000)
}

#[derive(Debug, Clone)]
enum Operation {
    Budget(u64),
    Reserve(u64),
    Ceiling(Option<u64>),
    Stream(u64, u8, u8, Vec<Layer>, Option<usize>),
    Remove(u64),
    Wait(u64),
    Timeout,
}

fn operation() -> impl Strategy<Value = Operation> {
    let number = || prop_oneof![0u64..20_000_000, Just(0), Just(u64::MAX)];
    let layer = (prop_oneof![0u64..3_000_000, Just(u64::MAX)], any::<u8>())
        .prop_map(|(bps, utility)| Layer { rate: Bitrate::from_bps(bps), utility });
    let layers = prop::collection::vec(layer, 0..20);
    prop_oneof![
        4 => number().prop_map(Operation::Budget),
        1 => prop_oneof![0u64..500_000, Just(u64::MAX)].prop_map(Operation::Reserve),
        1 => prop::option::of(number()).prop_map(Operation::Ceiling),
        6 => (0u64..20, any::<u8>(), any::<u8>(), layers, prop::option::of(0usize..20))
            .prop_map(|(key, class, weight, layers, held)| Operation::Stream(key, class, weight, layers, held)),
        1 => (0u64..20).prop_map(Operation::Remove),
        4 => (0u64..30_000).prop_map(Operation::Wait),
        2 => Just(Operation::Timeout),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_together_never_exceeds_the_budget(
        given in streams(60), of_a_million in 0u64..1_000_000, reserve in 0u64..2_000_000,
        ceiling in prop::option::of(0u64..20_000_000),
    ) {
        let mut allocator = allocator(Config::default(), &given);
        let budget = part(&given, of_a_million);
        allocator.set_reserve(Bitrate::from_bps(reserve));
        allocator.set_ceiling(ceiling.map(Bitrate::from_bps));
        allocator.set_budget(at(0), budget);
        allocator.allocate(at(0));
        let (video, _) = sums(&allocator, &given);
        prop_assert_eq!(video, allocator.video().as_bps());
        let limit = budget.as_bps().min(ceiling.unwrap_or(u64::MAX));
        // Sound goes out whatever there is; video only with what is left.
        prop_assert!(video == 0 || video + reserve <= limit);
    }

    #[test]
    fn more_budget_never_lowers_the_sum(
        given in prop_oneof![few(), meeting()], of_a_million in 0u64..1_000_000, more in prop_oneof![0u64..5_000, 0u64..1_000_000],
    ) {
        let budget = part(&given, of_a_million);
        let (_, less) = sums(&decided(&given, budget), &given);
        let (_, more) = sums(&decided(&given, Bitrate::from_bps(budget.as_bps() + more)), &given);
        prop_assert!(more >= less, "{more} < {less}");
    }

    #[test]
    fn the_order_of_input_does_not_matter(
        given in streams(60).prop_flat_map(|given| (Just(given.clone()), Just(given).prop_shuffle())),
        of_a_million in 0u64..1_000_000,
    ) {
        let (given, shuffled) = given;
        let budget = part(&given, of_a_million);
        prop_assert_eq!(layers_of(&decided(&given, budget)), layers_of(&decided(&shuffled, budget)));
    }

    #[test]
    fn more_priority_never_means_a_lower_layer(
        mut given in prop_oneof![few(), meeting()], of_a_million in 0u64..1_000_000, who in any::<prop::sample::Index>(),
        class in 0u8..4, weight in 1u8..=16,
    ) {
        let budget = part(&given, of_a_million);
        let who = who.index(given.len());
        let utility = |given: &[Given]| {
            let layer = layer_of(&decided(given, budget), given[who].key);
            layer.map(|at| given[who].layers[at].utility)
        };
        let before = utility(&given);
        given[who].class = given[who].class.min(class);
        given[who].weight = given[who].weight.max(weight);
        prop_assert!(utility(&given) >= before);
    }

    #[test]
    fn any_calls_in_any_order_leave_what_is_promised(operations in prop::collection::vec(operation(), 0..60)) {
        let (mut allocator, mut now) = (Allocator::<u64>::new(Config::default()), at(1_000));
        let (mut budget, mut ceiling, mut reserve) = (0, None, 0);
        let mut told = std::collections::BTreeMap::new();
        for operation in operations {
            match operation {
                Operation::Budget(bps) => {
                    budget = bps;
                    allocator.set_budget(now, Bitrate::from_bps(bps));
                }
                Operation::Reserve(bps) => {
                    reserve = bps;
                    allocator.set_reserve(Bitrate::from_bps(bps));
                }
                Operation::Ceiling(bps) => {
                    ceiling = bps;
                    allocator.set_ceiling(bps.map(Bitrate::from_bps));
                }
                Operation::Stream(key, class, weight, layers, forwarded) => {
                    let stream = Stream { class, weight, layers: &layers, forwarded, most: Reason::All };
                    prop_assert!(allocator.set_stream(key, stream));
                    told.insert(key, forwarded.filter(|place| *place < layers.len()));
                }
                Operation::Remove(key) => {
                    prop_assert_eq!(allocator.remove_stream(key), told.remove(&key).is_some());
                }
                Operation::Wait(millis) => now += Duration::from_millis(millis),
                Operation::Timeout => now = now.max(allocator.poll_timeout().unwrap_or(now)),
            }
            allocator.allocate(now);
            let limit = budget.min(ceiling.unwrap_or(u64::MAX));
            let video = allocator.video().as_bps();
            prop_assert!(video == 0 || video.saturating_add(reserve) <= limit);
            prop_assert!(allocator.poll_timeout().is_none_or(|at| at > now));
            let demand = allocator.demand();
            prop_assert!(demand.next <= demand.most);
            prop_assert!(ceiling.is_none_or(|ceiling| demand.most.as_bps() <= ceiling));
            for change in allocator.changes() {
                prop_assert_eq!(told.insert(change.key, change.grant.layer), Some(change.before));
            }
            let granted: Vec<_> = told.iter().map(|(key, layer)| (*key, *layer)).collect();
            prop_assert_eq!(granted, layers_of(&allocator));
        }
    }

    #[test]
    fn a_ceiling_is_divided_fairly(
        claims in prop::collection::vec((0u32..20, 0u64..5_000_000), 0..40), ceiling in 0u64..30_000_000,
    ) {
        let mut claims: Vec<_> = claims
            .into_iter()
            .map(|(weight, most)| Claim { weight, most: Bitrate::from_bps(most), share: Bitrate::ZERO })
            .collect();
        share(Bitrate::from_bps(ceiling), &mut claims);
        let given: u64 = claims.iter().map(|claim| claim.share.as_bps()).sum();
        let wanted: u64 = claims.iter().map(|claim| claim.most.as_bps()).sum();
        let weights: u64 = claims.iter().map(|claim| u64::from(claim.weight.max(1))).sum();
        prop_assert!(given <= ceiling && given + weights >= ceiling.min(wanted));
        // Who is left wanting has as much for its weight as anybody.
        let level = |claim: &Claim| claim.share.as_bps() / u64::from(claim.weight.max(1));
        for wanting in claims.iter().filter(|claim| claim.share < claim.most) {
            prop_assert!(claims.iter().all(|other| level(other) <= level(wanting)));
        }
    }
}
