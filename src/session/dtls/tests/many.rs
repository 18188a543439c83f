//! Many handshakes at once, and datagrams in any order.

use super::*;
use crate::base::limits;
use proptest::prelude::*;

#[test]
fn s_dtls_10_a_thousand_handshakes_at_once_over_paths_that_lose_one_of_twenty_finish_in_time() {
    let contexts = [Versions::V12, Versions::V13, Versions::Auto].map(context);
    let network = Network { loss: 50, double: 0, jitter: Duration::from_millis(10) };
    let mut pairs: Vec<_> = (0..1_000_usize)
        .map(|at| {
            let context = &contexts[at % 3];
            let mut pair = Pair::new(context, context, 0, network);
            pair.random = Random::new([(at % 251) as u8, (at / 251) as u8].repeat(16).try_into().unwrap());
            pair
        })
        .collect();
    let mut waiting: Vec<_> = (0..pairs.len()).collect();
    let mut passed = Duration::ZERO;
    while !waiting.is_empty() && passed < limits::DTLS_HANDSHAKE {
        let step = Duration::from_millis(50);
        passed += step;
        waiting.iter().for_each(|at| pairs[*at].run_for(step));
        waiting.retain(|at| pairs[*at].client_events.is_empty() || pairs[*at].server_events.is_empty());
    }
    assert!(waiting.is_empty(), "{waiting:?} have not finished after {passed:?}");
    pairs.iter().for_each(|pair| drop(pair.keys()));
}

/// What a path does next.
#[derive(Debug, Clone)]
enum Step {
    /// One of those under way arrives.
    Deliver(usize),
    /// And stays under way.
    Repeat(usize),
    Lose(usize),
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || 0..64_usize;
    let step = prop_oneof![
        6 => at().prop_map(Step::Deliver),
        2 => at().prop_map(Step::Repeat),
        2 => at().prop_map(Step::Lose),
        1 => (0..400_u16).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s_dtls_15_datagrams_in_any_order_lost_and_doubled_never_fail_a_handshake(
        steps in steps(),
        versions in prop_oneof![Just(Versions::V12), Just(Versions::V13), Just(Versions::Auto)],
        small in any::<bool>(),
    ) {
        let config = Config { versions, mtu: if small { 256 } else { 1_200 }, ..Config::default() };
        let context = Context::new(config, Certificate::generate().unwrap()).unwrap();
        let mut pair = Pair::new(&context, &context, 0, Network::default());
        let mut waited = Duration::ZERO;
        for step in steps {
            pair.collect();
            let flying = pair.flying.len();
            match step {
                Step::Deliver(at) | Step::Repeat(at) if flying > 0 => {
                    let (to, bytes) = (pair.flying[at % flying].to, pair.flying[at % flying].bytes.clone());
                    if matches!(step, Step::Deliver(_)) {
                        pair.flying.swap_remove(at % flying);
                    }
                    let now = pair.now;
                    let _ = pair.end(to).handle_datagram(now, &bytes);
                }
                Step::Lose(at) if flying > 0 => drop(pair.flying.swap_remove(at % flying)),
                // A handshake has its time: the rest of it is for what follows.
                Step::Wait(millis) if waited < Duration::from_secs(10) => {
                    let span = Duration::from_millis(millis.into());
                    waited += span;
                    pair.now += span;
                    let now = pair.now;
                    BOTH.into_iter().for_each(|role| pair.end(role).handle_timeout(now));
                }
                _ => {}
            }
            pair.collect();
            for events in [&pair.client_events, &pair.server_events] {
                prop_assert!(!events.iter().any(|event| matches!(event, Event::Failed(_) | Event::Closed)));
            }
        }
        // Once the path is sound it takes the next repetition.
        pair.flying.clear();
        pair.run_for(Duration::from_secs(21));
        pair.keys();
    }
}

const BOTH: [Role; 2] = [Role::Client, Role::Server];
