use super::*;
use crate::base::units::Bitrate;
use crate::sim::{Aqm, PolicerConfig};

fn limited(kbps: u64, queue_ms: u64) -> Direction {
    Direction {
        capacity: Some(Capacity::constant(Bitrate::from_kbps(kbps))),
        queue: Some(Duration::from_millis(queue_ms)),
        ..Direction::default()
    }
}

fn link(direction: &Direction) -> Link {
    let mut link = Link::new(direction, Random::new([3; 32]));
    link.add_lane(None);
    link
}

fn packet(id: u64) -> Packet {
    Packet { id, lane: 0, size: 1_200, ect: false }
}

/// Sends a packet every `spacing` µs and drives the link until it is empty.
fn drive(link: &mut Link, count: u64, spacing: u64) -> Vec<Outcome> {
    let mut found = Vec::new();
    let mut sent = 0;
    loop {
        let send = (sent < count).then(|| Instant::from_micros(sent * spacing));
        let due = link.poll_timeout();
        match (send, due) {
            (None, None) => return found,
            (Some(at), due) if due.is_none_or(|due| at <= due) => {
                link.handle_packet(at, packet(sent));
                sent += 1;
            }
            (_, due) => link.handle_timeout(due.expect("due")),
        }
        found.extend(std::iter::from_fn(|| link.poll_outcome()));
    }
}

fn millis(outcome: &Outcome) -> (u64, f64, f64) {
    let waited = outcome.waited.expect("transmitted").as_secs_f64() * 1e3;
    (outcome.packet.id, outcome.at.as_micros() as f64 / 1e3, waited)
}

#[test]
fn a_packet_waits_for_those_before_it() {
    // 9.6 ms of service each at 1 Mbit/s, then 20 ms of way.
    let direction = Direction { delay: Duration::from_millis(20), ..limited(1_000, 300) };
    let found: Vec<_> = drive(&mut link(&direction), 3, 1_000).iter().map(millis).collect();
    assert_eq!(found, [(0, 29.6, 0.0), (1, 39.2, 8.6), (2, 48.8, 17.2)]);
}

#[test]
fn a_full_queue_drops_and_delays_by_its_length() {
    // 300 ms at 1 Mbit/s are 37,500 bytes: one packet is in service, 30 wait.
    let mut link = link(&limited(1_000, 300));
    let found = drive(&mut link, 40, 0);
    let drops: Vec<_> = found.iter().filter(|o| o.fate == Fate::QueueFull).map(|o| o.packet.id).collect();
    assert_eq!(drops, (31..40).collect::<Vec<_>>());
    let longest = found.iter().filter_map(|outcome| outcome.waited).max();
    assert_eq!(longest, Some(Duration::from_micros(30 * 9_600)));
}

#[test]
fn the_same_queue_holds_a_longer_time_when_the_capacity_falls() {
    let capacity = Capacity::steps(vec![
        (Instant::ZERO, Bitrate::from_kbps(1_000)),
        (Instant::from_micros(9_600), Bitrate::from_kbps(500)),
    ]);
    let direction = Direction { capacity, ..limited(1_000, 300) };
    let found = drive(&mut link(&direction), 40, 0);
    let longest = found.iter().filter_map(|outcome| outcome.waited).max();
    assert_eq!(longest, Some(Duration::from_micros(9_600 + 29 * 19_200)));
}

#[test]
fn service_times_add_up_without_rounding() {
    // 1,200 bytes at 7 Mbit/s are 1,371.43 µs; 7,000 of them are 9.6 s to the microsecond.
    let found = drive(&mut link(&limited(7_000, 20_000)), 7_000, 0);
    let last = found.last().expect("an outcome").at.as_micros();
    assert!((9_600_000..=9_600_004).contains(&last), "{last}");
}

#[test]
fn codel_drops_at_dequeue_and_takes_no_service() {
    // 1.25 Mbit/s into 1 Mbit/s: at 86.4 ms the delay is above 5 ms and more than one packet is left behind, and the
    // first turn 100 ms later is at 192 ms.
    let direction = Direction { aqm: Aqm::Codel, ..limited(1_000, 3_000) };
    let found = drive(&mut link(&direction), 200, 7_680);
    let first = found.iter().find(|outcome| outcome.fate == Fate::Managed).expect("a drop").at;
    assert_eq!(first, Instant::from_millis(192));
    // The server never pauses: as many arrive as 9.6 ms each make of the time.
    let arrived = found.iter().filter(|o| matches!(o.fate, Fate::Arrived { .. })).count() as u64;
    let last = found.iter().map(|outcome| outcome.at).max().expect("outcomes");
    assert_eq!(last.as_micros(), arrived * 9_600);
}

#[test]
fn step_marking_tells_congestion_without_loss() {
    let direction = Direction { aqm: Aqm::Step, ..limited(1_000, 300) };
    let mut link = link(&direction);
    for id in 0..3 {
        link.handle_packet(Instant::ZERO, Packet { ect: id != 1, ..packet(id) });
    }
    link.handle_timeout(Instant::from_millis(100));
    let fates: Vec<_> = std::iter::from_fn(|| link.poll_outcome()).map(|outcome| outcome.fate).collect();
    assert_eq!(fates, [false, false, true].map(|ce| Fate::Arrived { ce }));
}

#[test]
fn jitter_is_between_zero_and_six_sigma_and_keeps_order() {
    let sigma = Duration::from_millis(5);
    let direction =
        Direction { delay: Duration::from_millis(50), jitter_sigma: sigma, ..Direction::default() };
    let found = drive(&mut link(&direction), 5_000, 1_000);
    assert!(found.iter().map(|outcome| outcome.packet.id).eq(0..5_000));
    let ways: Vec<u64> = found.iter().map(|o| o.at.as_micros() - o.packet.id * 1_000).collect();
    assert!(ways.iter().all(|way| (50_000..=80_000).contains(way)));
    // At wide spacing order holds nothing back, and the mean is three sigma.
    let wide = drive(&mut link(&direction), 5_000, 100_000);
    let mean = wide.iter().map(|o| o.at.as_micros() - o.packet.id * 100_000).sum::<u64>() / 5_000;
    assert!((64_700..65_300).contains(&mean), "{mean}");
}

#[test]
fn reordered_packets_are_late_by_what_is_said() {
    let reorder = Some(Reorder { share: 0.1, by: Duration::from_millis(20) });
    let direction = Direction { delay: Duration::from_millis(10), reorder, ..Direction::default() };
    let found = drive(&mut link(&direction), 1_000, 1_000);
    let way = |outcome: &Outcome| outcome.at.as_micros() - outcome.packet.id * 1_000;
    let late = found.iter().filter(|outcome| way(outcome) == 30_000).count();
    assert!((70..130).contains(&late), "{late}");
    assert_eq!(found.iter().filter(|outcome| way(outcome) == 10_000).count(), 1_000 - late);
}

#[test]
fn policed_packets_never_see_the_queue() {
    let policer = Some(PolicerConfig { rate: Bitrate::from_kbps(500), burst: 1_200 });
    let direction = Direction { policer, ..limited(1_000, 300) };
    // One packet each 9.6 ms is 1 Mbit/s: every other one passes.
    let found = drive(&mut link(&direction), 100, 9_600);
    assert_eq!(found.iter().filter(|outcome| outcome.fate == Fate::Policed).count(), 50);
    assert!(found.iter().all(|outcome| outcome.waited.is_none_or(|waited| waited.is_zero())));
}

#[test]
fn a_lane_has_its_own_delay_and_draws() {
    let direction = Direction { loss: 0.5, delay: Duration::from_millis(10), ..Direction::default() };
    let fates = |others: u64| {
        let mut link = link(&direction);
        let far = link.add_lane(Some(Duration::from_millis(70)));
        let mut found = Vec::new();
        for id in 0..200 {
            (0..others).for_each(|_| link.handle_packet(Instant::ZERO, packet(id)));
            link.handle_packet(Instant::ZERO, Packet { lane: far, ..packet(id) });
        }
        link.handle_timeout(Instant::from_millis(70));
        found.extend(std::iter::from_fn(|| link.poll_outcome()).filter(|outcome| outcome.packet.lane == far));
        found
    };
    // What one lane sends does not move another's losses.
    assert_eq!(fates(0), fates(3));
    let arrived: Vec<_> = fates(0).into_iter().filter(|o| o.fate != Fate::Lost).collect();
    assert!((70..130).contains(&arrived.len()));
    assert!(arrived.iter().all(|outcome| outcome.at == Instant::from_millis(70)));
}

#[test]
fn packets_wait_for_the_end_of_a_gap_and_come_together() {
    let millis = |low, high| (Duration::from_millis(low), Duration::from_millis(high));
    let gaps = Some(crate::sim::Gaps { every: millis(40, 40), lasts: millis(15, 15) });
    // 0.48 ms of service each, gaps at 40, 80, ... for 15 ms, a packet every 10 ms.
    let found = drive(&mut link(&Direction { gaps, ..limited(20_000, 300) }), 8, 10_000);
    let found: Vec<_> = found.iter().map(micros).collect();
    let expected = [
        (0, 480, 0),
        (1, 10_480, 0),
        (2, 20_480, 0),
        (3, 30_480, 0),
        (4, 55_480, 15_000),
        (5, 55_960, 5_480),
        (6, 60_480, 0),
        (7, 70_480, 0),
    ];
    assert_eq!(found, expected);
    // One in service when a gap begins goes through.
    let found = drive(&mut link(&Direction { gaps, ..limited(1_000, 300) }), 2, 35_000);
    assert_eq!(micros(&found[1]), (1, 44_600, 0));
}

/// Number, arrival and wait in microseconds.
fn micros(outcome: &Outcome) -> (u64, u64, u64) {
    let waited = outcome.waited.expect("transmitted").as_micros() as u64;
    (outcome.packet.id, outcome.at.as_micros(), waited)
}

#[test]
fn a_changed_route_takes_its_own_time_and_keeps_order() {
    let step = |at, delay| (Instant::from_millis(at), Duration::from_millis(delay));
    let direction = Direction {
        delay: Duration::from_millis(40),
        delay_steps: vec![step(20, 100), step(50, 30)],
        ..Direction::default()
    };
    let found = drive(&mut link(&direction), 15, 10_000);
    let at: Vec<_> = found.iter().map(|outcome| outcome.at.as_micros() / 1_000).collect();
    // What was sent at 40 ms arrives at 140, and nothing before it.
    assert_eq!(at, [40, 50, 120, 130, 140, 140, 140, 140, 140, 140, 140, 140, 150, 160, 170]);
    // A lane with its own delay does not take part.
    let mut link = Link::new(&direction, Random::new([3; 32]));
    link.add_lane(Some(Duration::from_millis(7)));
    assert_eq!(drive(&mut link, 3, 10_000).last().map(|outcome| outcome.at), Some(Instant::from_millis(27)));
}

#[test]
fn after_a_drain_the_next_deadline_lies_ahead() {
    let mut link = link(&Direction { loss: 0.2, ..limited(700, 50) });
    for id in 0..500 {
        let now = Instant::from_micros(id * 9_001);
        link.handle_packet(now, packet(id));
        while link.poll_outcome().is_some() {}
        assert!(link.poll_timeout().is_none_or(|due| due > now));
    }
}

#[test]
fn a_link_that_never_serves_has_no_deadline() {
    let mut link = link(&limited(0, 300));
    link.handle_packet(Instant::ZERO, packet(0));
    assert_eq!((link.poll_outcome(), link.poll_timeout()), (None, None));
    // A queue of no bytes holds no second one.
    link.handle_packet(Instant::ZERO, packet(1));
    assert_eq!(link.poll_outcome().map(|outcome| outcome.fate), Some(Fate::QueueFull));
}

#[test]
fn every_packet_comes_out_exactly_once() {
    let direction = Direction {
        policer: Some(PolicerConfig { rate: Bitrate::from_kbps(950), burst: 20_000 }),
        aqm: Aqm::Codel,
        delay: Duration::from_millis(30),
        jitter_sigma: Duration::from_millis(5),
        loss: 0.02,
        burst_loss: Some(crate::sim::BurstLoss { share: 0.02, packets: 3.0 }),
        reorder: Some(Reorder { share: 0.02, by: Duration::from_millis(15) }),
        ..limited(900, 100)
    };
    let found = drive(&mut link(&direction), 5_000, 8_000);
    let mut ids: Vec<_> = found.iter().map(|outcome| outcome.packet.id).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..5_000));
    for fate in [Fate::Policed, Fate::Managed, Fate::Lost, Fate::Arrived { ce: false }] {
        assert!(found.iter().any(|outcome| outcome.fate == fate), "{fate:?}");
    }
}
