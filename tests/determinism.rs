//! The same inputs, times, calls and seeds give the same datagrams, byte for byte (I-08).

mod support;

use estafette::dtls::Versions;
use std::time::Duration;
use support::harness::{Options, Transcript};
use support::{Conference, Link, Stage};

/// A call of five with loss, jitter and duplicates: one leaves, one returns, one moves.
fn call(seed: u64, versions: Versions) -> Transcript {
    let link = Link::lossy(0.03).with(Stage::Jitter(Duration::from_millis(8))).with(Stage::Duplicate(0.02));
    let options = Options { seed, link, versions, record: true, ..Options::default() };
    let mut conference = Conference::of(5, options);
    conference.connect();
    conference.drive(Duration::from_millis(1_500));
    conference.leave(4);
    let now = conference.now;
    let elsewhere = ([10, 0, 0, 77], 50_077).into();
    conference.endpoint(1).move_to(now, elsewhere, true);
    conference.readdress(1);
    conference.drive(Duration::from_millis(700));
    let room = conference.seats[0].room;
    conference.add(room, 4);
    conference.drive(Duration::from_millis(1_500));
    conference.assert_all_seen(8);
    conference.transcript.take().expect("it was recorded")
}

/// The first place where two transcripts part, for the message.
fn first_difference(a: &Transcript, b: &Transcript) -> Option<String> {
    let at = a.entries.iter().zip(&b.entries).position(|(a, b)| a != b);
    let at = at.or((a.entries.len() != b.entries.len()).then(|| a.entries.len().min(b.entries.len())))?;
    Some(format!("datagram {at}: {:?} against {:?}", a.entries.get(at), b.entries.get(at)))
}

#[test]
fn i_08_the_same_seeds_give_the_same_datagrams() {
    for versions in [Versions::V12, Versions::V13] {
        let (a, b) = (call(17, versions), call(17, versions));
        assert!(a.entries.len() > 10_000, "{} datagrams", a.entries.len());
        assert_eq!(first_difference(&a, &b), None);
        assert_eq!(a.digest(), b.digest());
    }
}

#[test]
fn i_08_another_seed_gives_other_datagrams() {
    let (one, other) = (call(17, Versions::V13), call(18, Versions::V13));
    assert_ne!(one.digest(), other.digest());
    assert!(first_difference(&one, &other).is_some());
}
