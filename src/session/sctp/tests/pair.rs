//! Two of ours.

use super::*;

#[test]
fn whoever_begins_they_connect() {
    for (one, other) in
        [(Role::Active, Role::Passive), (Role::Active, Role::Active), (Role::Passive, Role::Passive)]
    {
        let (mut link, mut a, mut b) = (Link::new(0), Ours::new(one, 1), Ours::new(other, 2));
        link.run(SECOND, &mut a, &mut b);
        assert!(a.association.is_connected() && b.association.is_connected(), "{one:?} {other:?}");
        assert_eq!(a.events, [Event::Connected]);
    }
}

#[test]
fn a_handshake_survives_loss_and_gives_up_without_a_peer() {
    for seed in 0..20 {
        let (mut link, mut a, mut b) =
            (Link::new(30), Ours::new(Role::Active, 1), Ours::new(Role::Active, 2));
        link.random = Random::new([seed; 32]);
        link.run(40 * SECOND, &mut a, &mut b);
        assert!(a.association.is_connected() && b.association.is_connected(), "{seed}");
    }
    let (mut link, mut a, mut b) = (Link::new(100), Ours::new(Role::Active, 1), Ours::new(Role::Passive, 2));
    link.run(120 * SECOND, &mut a, &mut b);
    assert_eq!(a.events, [Event::Ended(EndReason::Timeout)]);
    assert_eq!((a.due(), b.due()), (None, None));
    assert_eq!(link.sent.len(), 2 * usize::from(limits::SCTP_TRIES));
}

#[test]
fn messages_of_all_sizes_arrive_in_order_through_loss() {
    let (mut link, mut a, mut b) = connected();
    link.loss = 20;
    let sizes = [1, 63, 1_000, 1_100, 5_000, limits::CHANNEL_MESSAGE];
    for (index, size) in sizes.into_iter().enumerate() {
        a.send(4, vec![index as u8; size], Delivery::default());
        b.send(7, vec![index as u8; size], Delivery::default());
    }
    link.run(60 * SECOND, &mut a, &mut b);
    for (end, stream) in [(&a, 7), (&b, 4)] {
        let messages = end.messages(stream);
        let got: Vec<_> = messages.iter().map(|message| (message[0], message.len())).collect();
        assert_eq!(got, sizes.iter().enumerate().map(|(at, size)| (at as u8, *size)).collect::<Vec<_>>());
    }
    assert_eq!((a.association.buffered(), b.association.buffered()), (0, 0));
}

#[test]
fn what_is_unreliable_is_lost_and_does_not_hold_back_the_rest() {
    let (mut link, mut a, mut b) = connected();
    link.loss = 30;
    for index in 0..200u8 {
        a.send(2, vec![index], UNRELIABLE);
        a.send(4, vec![index], Delivery::default());
        link.run(Duration::from_millis(20), &mut a, &mut b);
    }
    link.loss = 0;
    link.run(20 * SECOND, &mut a, &mut b);
    assert_eq!(b.messages(4).len(), 200);
    let lossy = b.messages(2).len();
    assert!((100..=180).contains(&lossy), "{lossy}");
    assert_eq!(a.association.buffered(), 0);
}

#[test]
fn a_closed_stream_closes_on_both_sides_and_its_number_is_free_again() {
    let (mut link, mut a, mut b) = connected();
    a.send(2, &b"last words"[..], Delivery::default());
    a.association.close(2);
    link.run(SECOND, &mut a, &mut b);
    assert_eq!(b.messages(2), [&b"last words"[..]]);
    let [.., closed, released] = &b.events[..] else { panic!("{:?}", b.events) };
    assert_eq!((closed, released), (&Event::Closed { stream: 2 }, &Event::Released { stream: 2 }));
    assert!(a.events.contains(&Event::Released { stream: 2 }), "{:?}", a.events);
    b.send(2, &b"again"[..], Delivery::default());
    link.run(SECOND, &mut a, &mut b);
    assert_eq!(a.messages(2), [&b"again"[..]]);
}

#[test]
fn who_does_not_read_is_sent_a_window_and_then_all() {
    let (mut link, mut a, mut b) = connected();
    b.listens = false;
    let message = Bytes::from(vec![5; 16_384]);
    for _ in 0..30 {
        a.send(2, message.clone(), Delivery::default());
    }
    link.run(30 * SECOND, &mut a, &mut b);
    let waiting = a.association.buffered();
    assert!(waiting >= 30 * 16_384 - limits_window() - 1_200, "{waiting}");
    b.listens = true;
    b.fetch();
    link.run(30 * SECOND, &mut a, &mut b);
    assert_eq!((b.messages(2).len(), a.association.buffered()), (30, 0));
}

#[test]
fn a_message_is_shared_and_a_full_buffer_refuses() {
    let (_, mut a, _) = connected();
    let message = Bytes::from(vec![5; limits::CHANNEL_MESSAGE]);
    let mut all = 0;
    for (stream, most) in [
        (2, limits::CHANNEL_BUFFER),
        (4, limits::CHANNEL_BUFFER),
        (6, limits::SCTP_SEND_BUFFER - 2 * limits::CHANNEL_BUFFER + 2 * message.len()),
    ] {
        let mut sent = 0;
        let full = loop {
            match a.association.send(stream, ppid::BINARY, &message, Delivery::default()) {
                Ok(()) => sent += message.len(),
                Err(error) => break error,
            }
        };
        assert_eq!(full, SendError::BufferFull);
        assert!(sent <= most, "{stream}: {sent}");
        all += sent;
    }
    assert!(all <= limits::SCTP_SEND_BUFFER && all + 2 * message.len() > limits::SCTP_SEND_BUFFER, "{all}");
    assert!(!message.is_unique(), "the queue has the same bytes");
}

#[test]
fn who_had_no_room_is_told_when_there_is_some() {
    // By one stream's share, of large messages and of small ones, and by what waits on all.
    for (size, streams) in [(16_384, &[2][..]), (1, &[2]), (16_384, &[2, 4, 6])] {
        let (mut link, mut a, mut b) = connected();
        let message = Bytes::from(vec![5; size]);
        for stream in streams {
            while a.association.send(*stream, ppid::BINARY, &message, Delivery::default()).is_ok() {}
        }
        link.run(60 * SECOND, &mut a, &mut b);
        let drained = a.events.iter().filter_map(|event| match event {
            Event::Drained { stream } => Some(*stream),
            _ => None,
        });
        let mut drained: Vec<_> = drained.collect();
        drained.sort_unstable();
        assert_eq!(drained, streams, "{size}, once each");
        assert_eq!(
            a.association.send(
                2,
                ppid::BINARY,
                &vec![1; limits::CHANNEL_MESSAGE].into(),
                Delivery::default()
            ),
            Ok(())
        );
    }
}

#[test]
fn a_message_of_no_known_kind_is_not_sent() {
    let (_, mut a, _) = connected();
    for unknown in [0, 1, 52, 54, u32::MAX] {
        let sent = a.association.send(2, unknown, &Bytes::from_static(b"x"), Delivery::default());
        assert_eq!(sent, Err(SendError::UnknownProtocol), "{unknown}");
    }
}

#[test]
fn streams_are_read_in_turn() {
    let (mut link, mut a, mut b) = connected();
    b.listens = false;
    for stream in [2, 4, 6] {
        (0..3).for_each(|_| a.send(stream, &b"x"[..], Delivery::default()));
    }
    link.run(SECOND, &mut a, &mut b);
    b.fetch();
    let streams = b.events.iter().filter_map(|event| match event {
        Event::Message { stream, .. } => Some(*stream),
        _ => None,
    });
    let order: Vec<_> = streams.collect();
    assert_eq!(order, [2, 4, 6, 2, 4, 6, 2, 4, 6]);
}

#[test]
fn what_was_skipped_before_a_known_streams_first_message_is_not_waited_for() {
    let (mut link, mut a, mut b) = connected();
    b.association.open(6);
    let ordered = Delivery { ordered: true, ..UNRELIABLE };
    link.loss = 100;
    a.send(6, &b"lost"[..], ordered);
    link.run(Duration::from_millis(50), &mut a, &mut b);
    link.loss = 0;
    link.run(5 * SECOND, &mut a, &mut b);
    a.send(6, &b"there"[..], ordered);
    link.run(5 * SECOND, &mut a, &mut b);
    assert_eq!(b.messages(6), [&b"there"[..]]);
}

#[test]
fn a_stream_that_is_closed_unread_takes_nothing_of_the_window() {
    let (mut link, mut a, mut b) = connected();
    a.listens = false;
    (0..3).for_each(|_| b.send(2, vec![2; limits::CHANNEL_MESSAGE], Delivery::default()));
    link.run(SECOND, &mut a, &mut b);
    // The other end does not know yet, and has more under way.
    (0..4).for_each(|_| b.send(2, vec![2; limits::CHANNEL_MESSAGE], Delivery::default()));
    b.send(4, &b"another"[..], Delivery::default());
    a.association.close(2);
    link.run(30 * SECOND, &mut a, &mut b);
    a.listens = true;
    a.fetch();
    assert!(a.association.is_connected() && b.association.is_connected());
    assert_eq!((a.messages(2).len(), a.messages(4).len()), (0, 1));
    link.run(10 * SECOND, &mut a, &mut b);
    let unread = a.events.iter().filter(|event| **event == Event::Dropped(Drop::Closed)).count();
    assert_eq!(unread, 3);
    assert!(a.events.contains(&Event::Released { stream: 2 }), "{:?}", a.events);
}

#[test]
fn five_thousand_small_messages_arrive_at_who_reads_now_and_then() {
    let (mut link, mut a, mut b) = connected();
    b.listens = false;
    let (mut sent, mut most) = (0u32, 0);
    while b.messages(2).len() < 5_000 {
        let word = |at: u32| Bytes::from(at.to_be_bytes().to_vec());
        while sent < 5_000 && a.association.send(2, ppid::BINARY, &word(sent), Delivery::default()).is_ok() {
            sent += 1;
        }
        link.run(SECOND, &mut a, &mut b);
        let before = b.messages(2).len();
        b.fetch();
        most = most.max(b.messages(2).len() - before);
        assert!(link.now < Instant::ZERO + 300 * SECOND, "{sent} {}", b.messages(2).len());
    }
    assert!(b.messages(2).iter().enumerate().all(|(at, word)| word[..] == (at as u32).to_be_bytes()));
    assert!(most <= limits::SCTP_PIECES, "{most}");
}

#[test]
fn the_same_seed_sends_the_same_bytes() {
    let run = |seed| {
        let (mut link, mut a, mut b) =
            (Link::new(10), Ours::new(Role::Active, seed), Ours::new(Role::Passive, 2));
        link.run(2 * SECOND, &mut a, &mut b);
        for index in 0..50 {
            a.send(2 * (index % 4), vec![7; 700], Delivery::default());
        }
        link.run(20 * SECOND, &mut a, &mut b);
        a.association.close(2);
        link.run(5 * SECOND, &mut a, &mut b);
        link.sent
    };
    assert!(run(1) == run(1));
    assert!(run(1) != run(3));
}

#[test]
fn after_a_drain_nothing_is_due_at_once() {
    let (mut link, mut a, mut b) = connected();
    for index in 0..30u8 {
        a.send(2, vec![index; 3_000], Delivery::default());
        link.run(Duration::from_millis(7), &mut a, &mut b);
        for end in [&mut a, &mut b] {
            end.handle_timeout(link.now);
            while end.transmit(link.now).is_some() {}
            assert!(end.due().is_none_or(|due| due > link.now), "{:?} {:?}", end.due(), link.now);
        }
    }
}

#[test]
fn packets_are_never_longer_than_they_may_be() {
    let (mut link, mut a, mut b) = connected();
    for at in 0..300u32 {
        a.send(2, vec![1; 1 + at as usize % 7], Delivery::default());
        a.send(4, vec![1; 700 + at as usize], Delivery::default());
    }
    link.loss = 10;
    link.run(30 * SECOND, &mut a, &mut b);
    assert_eq!((b.messages(2).len(), b.messages(4).len()), (300, 300));
    let longest = link.sent.iter().map(Vec::len).max();
    assert!(longest <= Some(Config::default().packet), "{longest:?}");
}

#[test]
fn small_messages_weigh_more_than_their_bytes() {
    let (mut link, mut a, mut b) = connected();
    let one = Bytes::from_static(b"x");
    let sent = std::iter::repeat_with(|| a.association.send(2, ppid::BINARY, &one, Delivery::default()))
        .take_while(Result::is_ok)
        .count();
    assert_eq!(sent, limits::CHANNEL_BUFFER / (limits::SCTP_MESSAGE_COST + 1));
    link.run(60 * SECOND, &mut a, &mut b);
    assert_eq!((b.messages(2).len(), a.association.weight()), (sent, 0));
}

#[test]
fn a_stream_that_is_closed_behind_a_backlog_takes_what_still_comes_and_hurts_no_other() {
    let (mut link, mut a, mut b) = connected();
    b.listens = false;
    (0..30).for_each(|_| a.send(2, vec![1; 16_384], Delivery::default()));
    link.run(5 * SECOND, &mut a, &mut b);
    a.association.close(2);
    let refused = a.association.send(2, ppid::BINARY, &Bytes::from_static(b"x"), Delivery::default());
    assert_eq!(refused, Err(SendError::StreamClosed));
    // The other end does not know yet, and sends nearly two windows full.
    (0..7).for_each(|_| b.send(2, vec![2; limits::CHANNEL_MESSAGE], Delivery::default()));
    b.send(4, &b"another"[..], Delivery::default());
    link.run(30 * SECOND, &mut a, &mut b);
    assert_eq!((a.messages(2).len(), a.messages(4).len()), (0, 1));
    b.listens = true;
    b.fetch();
    link.run(30 * SECOND, &mut a, &mut b);
    assert_eq!(b.messages(2).len(), 30);
    assert!(a.events.contains(&Event::Released { stream: 2 }), "{:?}", a.events);
    assert!(a.association.is_connected() && b.association.is_connected());
}

#[test]
fn who_reads_now_and_then_says_that_there_is_room_again() {
    let (mut link, mut a, mut b) = connected();
    // What a window lets through has come before.
    a.send(2, vec![1; limits::CHANNEL_MESSAGE], Delivery::default());
    link.run(2 * SECOND, &mut a, &mut b);
    b.listens = false;
    (0..30).for_each(|_| a.send(2, vec![1; 16_384], Delivery::default()));
    // Sooner than anything is sent again.
    for _ in 0..8 {
        link.run(Duration::from_millis(300), &mut a, &mut b);
        b.fetch();
    }
    assert_eq!(b.messages(2).len(), 31);
}
