//! The invariants of the threat model that have no other home, each by its number.

mod support;

use estafette::mux::{Kind, kind_of};
use estafette::{Event, stun};
use std::net::SocketAddr;
use support::client::publish::Plan;
use support::harness::{Options, home, live, millis, seconds};
use support::stream::framed;
use support::{Client, Conference, Link, Packet, Stage, captures};

fn stranger(port: u16) -> SocketAddr {
    ([198, 51, 100, 7], port).into()
}

/// What the engine sent to `address`, and what it has to say now.
fn sent_to(conference: &mut Conference, address: SocketAddr) -> Vec<Packet> {
    conference.drain();
    conference.outgoing.iter().filter(|packet| packet.to == address).cloned().collect()
}

#[test]
fn i_04_what_is_not_authentic_gets_no_reply() {
    let mut conference = live(2, Options::default());
    conference.tap = true;
    conference.drive(millis(100));
    let mut datagrams: Vec<Vec<u8>> = conference.outgoing.drain(..).map(|packet| packet.data).collect();
    let recorded = captures::recorded();
    datagrams.extend(recorded.iter().filter(|data| kind_of(data) == Some(Kind::Dtls)).take(20).cloned());
    datagrams.extend(recorded.into_iter().step_by(40));
    let mut wrong = conference.endpoint(0).ice.check(true);
    *wrong.last_mut().unwrap() ^= 1;
    datagrams.push(wrong);
    let mut kinds = [0; 4];
    for data in &datagrams {
        if let Some(kind) = kind_of(data) {
            kinds[kind as usize] += 1;
        }
        conference.inject(stranger(9), data);
        conference.inject_stream(stranger(10), &framed(data)[..]);
        conference.drain();
    }
    assert!(kinds.iter().all(|count| *count > 0), "every kind was sent: {kinds:?}");
    conference.drive(seconds(1));
    assert!(sent_to(&mut conference, stranger(9)).is_empty());
    assert!(sent_to(&mut conference, stranger(10)).is_empty());
}

#[test]
fn i_04_an_authentic_check_gets_one_reply_no_longer_than_itself() {
    let mut conference = live(2, Options::default());
    conference.tap = true;
    for port in 1..40 {
        let check = conference.endpoint(0).ice.check(false);
        conference.inject(stranger(port), &check);
        let sent = sent_to(&mut conference, stranger(port));
        let replies: Vec<_> = sent
            .iter()
            .filter(|packet| stun::Message::parse(&packet.data).unwrap().class() != stun::Class::Request)
            .collect();
        assert!(replies.len() <= 1);
        assert!(replies.iter().all(|reply| reply.data.len() <= check.len()));
        let bytes: usize = sent.iter().map(|packet| packet.data.len()).sum();
        assert!(bytes <= 3 * check.len(), "{bytes} bytes for {}", check.len());
    }
    // Nor later: checks of ours are repeated within the same budget.
    conference.drive(seconds(20));
    for port in 1..40 {
        let bytes: usize = sent_to(&mut conference, stranger(port)).iter().map(|sent| sent.data.len()).sum();
        let check = conference.endpoint(0).ice.check(false).len();
        assert!(bytes <= 3 * check, "{bytes} bytes for {check}");
    }
}

#[test]
fn i_04_a_handshake_with_an_unproven_address_keeps_to_its_budget() {
    // The client takes our checks and answers none: nothing proves its address.
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    conference.add_with(room, 0, Plan::default());
    conference.endpoint(0).ice.answers = false;
    conference.tap = true;
    // The harness's watch asserts the budget with each datagram.
    conference.drive(seconds(8));
    let kinds = |kind| conference.outgoing.iter().filter(|sent| kind_of(&sent.data) == Some(kind)).count();
    assert!(kinds(Kind::Stun) > 0 && kinds(Kind::Dtls) > 0, "there was a handshake to bound");
    assert_eq!(kinds(Kind::Rtp) + kinds(Kind::Rtcp), 0, "and no media");
}

#[test]
fn i_06_every_datagram_is_accounted_for_under_loss_over_udp_and_tcp() {
    let link = Link::lossy(0.05).with(Stage::Duplicate(0.05)).with(Stage::Flip(0.01));
    let mut conference = Conference::<Client>::new(Options { link, ..Options::default() });
    let room = conference.room();
    conference.add(room, 0);
    conference.add(room, 1);
    conference.add_over_tcp(room, 2);
    // The harness compares the counters with what it carried, after each step.
    conference.connect();
    conference.drive(seconds(3));
    let stats = conference.engine.stats();
    assert!(stats.datagrams_dropped > 0 && stats.media_received > 500, "{stats:?}");
    conference.hang_up(home(2));
    conference.leave(0);
    conference.drive(seconds(1));
    let stats = conference.engine.stats();
    let received = stats.datagrams_consumed + stats.media_received + stats.datagrams_dropped;
    assert_eq!(stats.datagrams_received, received);
}

/// Datagrams with where they went, events, and a count.
type Outputs = (Vec<(SocketAddr, Vec<u8>)>, Vec<String>, u64);

/// What the engine sent to the two of room A, and what it told of them, in a second of their call.
fn room_a(neighbours: bool) -> Outputs {
    let mut conference = live(2, Options::default());
    let (room, began) = (conference.seats[0].room, conference.events.len());
    let own = conference.participants();
    conference.tap = true;
    if neighbours {
        let other = conference.room();
        // The same SSRCs and numbers as in room A, over TCP, too; one leaves, one is lawless.
        for index in 2..5 {
            let mut client = conference.client(index, Plan::default(), 1);
            let twin = &conference.seats[0].endpoint.publisher;
            client.publisher.video.ssrc = twin.video.ssrc;
            client.publisher.audio.ssrc = twin.audio.ssrc;
            client.lawless = true;
            if index == 4 {
                conference.connect_stream(home(4));
            }
            conference.join(other, client);
        }
    }
    conference.drive(seconds(2));
    if neighbours {
        assert!(conference.seats[3].endpoint.connected() && conference.seats[4].endpoint.connected());
        conference.endpoint(3).request_keyframes();
        conference.leave(4);
    }
    conference.drive(seconds(1));
    let of_a = |packet: &Packet| packet.to == home(0) || packet.to == home(1);
    let sent = conference.outgoing.iter().filter(|packet| of_a(packet));
    let sent = sent.map(|packet| (packet.to, packet.data.clone())).collect();
    let events = conference.events[began..].iter().filter(|(_, event)| match event {
        Event::NegotiationNeeded(id) => own.contains(id),
        Event::Left { room: at, .. } | Event::SourceRemoved { room: at, .. } => *at == room,
        Event::SourceAdded(info) => info.room == room,
        Event::Connected { participant, .. } | Event::PathChanged { participant, .. } => {
            own.contains(participant)
        }
        _ => false,
    });
    let events = events.map(|event| format!("{event:?}")).collect();
    let stats: u64 =
        own.iter().map(|id| conference.engine.participant(*id).unwrap().stats().packets_forwarded).sum();
    (sent, events, stats)
}

#[test]
fn i_07_a_room_is_the_same_to_the_byte_whatever_its_neighbour_does() {
    let (alone, beside) = (room_a(false), room_a(true));
    assert!(alone.0.len() > 400, "{}", alone.0.len());
    let differs = alone.0.iter().zip(&beside.0).position(|(a, b)| a != b);
    assert_eq!(differs, None, "the first datagram that differs");
    assert_eq!(alone.0.len(), beside.0.len());
    assert_eq!((alone.1, alone.2), (beside.1, beside.2));
}

#[test]
fn i_11_nothing_unauthentic_ends_a_session() {
    let mut conference = live(3, Options::default());
    conference.tap = true;
    conference.drive(millis(200));
    conference.tap = false;
    let sent: Vec<Packet> = conference.outgoing.drain(..).collect();
    // Alerts in clear: close_notify, and a fatal one of each number.
    let alerts: Vec<Vec<u8>> = (0..=255u8)
        .map(|number| {
            let level = if number == 0 { 1 } else { 2 };
            vec![21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, number, 0, 2, level, number]
        })
        .collect();
    // A goodbye in clear, of every stream there is.
    let goodbyes = sent.iter().filter(|packet| kind_of(&packet.data) == Some(Kind::Rtp)).map(|packet| {
        let mut bye = vec![0x81, 203, 0, 1];
        bye.extend(&packet.data[8..12]);
        bye
    });
    // Consent withdrawn by an error that nobody signed, and a check with a wrong password.
    let mut refusal = conference.endpoint(0).ice.check(true);
    (refusal[0], refusal[1]) = (0x01, 0x11);
    let mut hostile: Vec<Vec<u8>> = alerts.into_iter().chain(goodbyes.take(100)).collect();
    hostile.push(refusal);
    hostile.extend(captures::recorded().into_iter().step_by(25));
    for (at, data) in hostile.iter().enumerate() {
        conference.inject(home(at as u32 % 3), data);
        conference.inject(stranger(1), data);
        if at % 50 == 0 {
            conference.drive(millis(5));
        }
    }
    // Longer than any grace for an alert that may be forged.
    conference.drive(seconds(5));
    assert!(conference.seats.iter().all(|seat| seat.participant.is_some()));
    conference.assert_all_seen(100);
}

#[test]
fn i_12_the_library_writes_no_log() {
    let root = env!("CARGO_MANIFEST_DIR");
    let manifest = std::fs::read_to_string(format!("{root}/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for logger in ["log", "tracing", "slog", "defmt"] {
        assert!(!dependencies.lines().any(|line| line.starts_with(&format!("{logger} "))), "{logger}");
    }
    let mut folders = vec![format!("{root}/src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.to_string_lossy().into_owned());
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // Tests may say what they measured.
            let code = text.split("#[cfg(test)]").next().unwrap();
            let test =
                path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
            for word in ["println!", "eprintln!", "print!(", "dbg!"] {
                assert!(test || !code.lines().any(|line| line.trim_start().starts_with(word)), "{path:?}");
            }
            files += 1;
        }
    }
    assert!(files > 60, "{files} files were read");
}
