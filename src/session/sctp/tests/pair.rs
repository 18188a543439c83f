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
    for _ in 0..60 {
        a.send(2, message.clone(), Delivery::default());
    }
    link.run(30 * SECOND, &mut a, &mut b);
    let waiting = a.association.buffered();
    assert!(waiting >= 60 * 16_384 - limits_window() - 1_200, "{waiting}");
    b.listens = true;
    b.fetch();
    link.run(30 * SECOND, &mut a, &mut b);
    assert_eq!((b.messages(2).len(), a.association.buffered()), (60, 0));
    assert!(a.events.contains(&Event::Drained { stream: 2 }));
}

#[test]
fn a_message_is_shared_and_a_full_buffer_refuses() {
    let (_, mut a, _) = connected();
    let message = Bytes::from(vec![5; limits::CHANNEL_MESSAGE]);
    let mut sent = 0;
    let full = loop {
        match a.association.send(2, ppid::BINARY, &message, Delivery::default()) {
            Ok(()) => sent += message.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(full, SendError::BufferFull);
    assert!(
        sent <= limits::SCTP_SEND_BUFFER && sent + 2 * message.len() > limits::SCTP_SEND_BUFFER,
        "{sent}"
    );
    assert!(!message.is_unique(), "the queue has the same bytes");
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
    assert_eq!(sent, limits::SCTP_SEND_BUFFER / (limits::SCTP_MESSAGE_COST + 1));
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
    // The other end does not know yet, and sends three windows full.
    (0..12).for_each(|_| b.send(2, vec![2; limits::CHANNEL_MESSAGE], Delivery::default()));
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
    (0..60).for_each(|_| a.send(2, vec![1; 16_384], Delivery::default()));
    // Sooner than anything is sent again.
    for _ in 0..8 {
        link.run(Duration::from_millis(300), &mut a, &mut b);
        b.fetch();
    }
    assert_eq!(b.messages(2).len(), 61);
}
