//! Data channels in a conference: who gets what, how much, and what becomes of those who are slow or hostile.

mod support;

use dcsctp::api::SendOptions;
use estafette::dcep::{Delivery, Reliability, ppid};
use estafette::{
    ChannelConfig, ChannelId, CloseReason, DropReason, Event, Message, OpenError, ParticipantId, RoomConfig,
    Route, SendError, UnknownChannel, limits,
};
use support::client::publish::Plan;
use support::harness::{Endpoint as _, Options, home, millis, seconds};
use support::{Conference, Link};

/// A conference of so many with a channel `chat` each, in a room of this configuration.
fn chatting(count: u32, room: RoomConfig) -> Conference {
    chatting_in(&[count], Options { room, ..Options::default() })
}

/// The same in several rooms, of so many each.
fn chatting_in(rooms: &[u32], options: Options) -> Conference {
    let mut conference = Conference::new(options);
    let mut index = 0;
    for (number, count) in rooms.iter().enumerate() {
        let room = conference.room();
        for _ in 0..*count {
            let mut client = conference.client(index, Plan::default(), number as u32);
            client.offer_data();
            client.data.as_mut().unwrap().open("chat", Delivery::default());
            conference.join(room, client);
            index += 1;
        }
    }
    conference.connect();
    conference.drive(seconds(2));
    conference
}

fn to_all() -> RoomConfig {
    RoomConfig { route: Route::Room { copied: false }, ..RoomConfig::default() }
}

fn data(conference: &mut Conference, seat: usize) -> &mut support::client::data::Data {
    conference.endpoint(seat).data.as_mut().expect("data channels")
}

/// The channel of a seat by its label.
fn channel(conference: &mut Conference, seat: usize, label: &str) -> ChannelId {
    let id = conference.participant(seat);
    let participant = conference.engine.participant(id).expect("here");
    let found = participant.channels().find(|(_, config)| config.label == label).map(|(id, _)| id);
    found.expect("open")
}

/// What was told the embedder by a participant's messages.
fn told(conference: &Conference, from: ParticipantId) -> Vec<Message> {
    let of = |event: &Event| match event {
        Event::Message { participant, message, .. } if *participant == from => Some(message.clone()),
        _ => None,
    };
    conference.events.iter().filter_map(|(_, event)| of(event)).collect()
}

fn closed(conference: &Conference) -> Vec<(ParticipantId, CloseReason)> {
    let of = |event: &Event| match event {
        Event::ChannelClosed { participant, reason, .. } => Some((*participant, *reason)),
        _ => None,
    };
    conference.events.iter().filter_map(|(_, event)| of(event)).collect()
}

#[test]
fn a_message_goes_to_the_room_and_not_back() {
    let mut conference = chatting(4, to_all());
    data(&mut conference, 0).send("chat", true, "grüß Gott".as_bytes());
    data(&mut conference, 1).send("chat", false, &[0, 255]);
    data(&mut conference, 2).send("chat", true, b"");
    conference.drive(seconds(1));
    let all = ["grüß Gott".as_bytes(), &[0, 255], b""];
    for seat in 0..4 {
        let mut expected: Vec<&[u8]> = all.to_vec();
        if seat < 3 {
            expected.remove(seat);
        }
        let got = data(&mut conference, seat).received.clone();
        assert_eq!(got.iter().map(|one| &one.data[..]).collect::<Vec<_>>(), expected, "{seat}");
        assert!(got.iter().all(|one| one.text == (one.data != [0, 255])));
    }
    let stats = conference.engine.stats();
    assert_eq!(
        (stats.messages_received, stats.messages_sent, stats.dropped_in_all()),
        (3, 9, 0),
        "{stats:?}"
    );
    assert!(conference.events.iter().all(|(_, event)| !matches!(event, Event::Message { .. })));
}

#[test]
fn a_message_goes_to_the_server_or_to_one_by_its_route() {
    let mut conference = chatting(3, RoomConfig::default());
    let ids: Vec<_> = (0..3).map(|seat| conference.participant(seat)).collect();
    data(&mut conference, 0).send("chat", true, b"to the server");
    conference.drive(seconds(1));
    assert_eq!(told(&conference, ids[0]), [Message::from("to the server")]);
    let chat = channel(&mut conference, 0, "chat");
    let mut routed = |route| conference.engine.participant(ids[0]).unwrap().route(chat, route);
    assert_eq!(routed(Route::One(ids[0])), Err(UnknownChannel));
    assert_eq!(routed(Route::One(ids[2])), Ok(()));
    data(&mut conference, 0).send("chat", true, b"to one");
    conference.drive(seconds(1));
    conference.engine.participant(ids[0]).unwrap().route(chat, Route::Room { copied: true }).unwrap();
    data(&mut conference, 0).send("chat", true, b"to all");
    conference.drive(seconds(1));
    assert_eq!(data(&mut conference, 1).messages("chat"), [&b"to all"[..]]);
    assert_eq!(data(&mut conference, 2).messages("chat"), [&b"to one"[..], b"to all"]);
    assert_eq!(told(&conference, ids[0]), ["to the server", "to all"].map(Message::from));
}

#[test]
fn a_message_goes_by_its_channels_name_from_the_first_on() {
    let routes = vec![("minutes".to_owned(), Route::Server)];
    let mut conference = chatting(2, RoomConfig { routes, ..to_all() });
    // In one datagram with what opens the channel.
    data(&mut conference, 1).open("minutes", Delivery::default());
    data(&mut conference, 0).open("minutes", Delivery::default());
    data(&mut conference, 0).send("minutes", true, b"for the record");
    data(&mut conference, 0).send("chat", true, b"for all");
    conference.drive(seconds(1));
    let from = conference.participant(0);
    assert_eq!(told(&conference, from), [Message::from("for the record")]);
    assert_eq!(data(&mut conference, 1).messages("minutes"), [&b""[..]; 0]);
    assert_eq!(data(&mut conference, 1).messages("chat"), [&b"for all"[..]]);
    // The channel's own goes before its name's.
    let minutes = channel(&mut conference, 0, "minutes");
    let route = Route::Room { copied: false };
    conference.engine.participant(from).unwrap().route(minutes, route).unwrap();
    data(&mut conference, 0).send("minutes", true, b"for all as well");
    conference.drive(seconds(1));
    assert_eq!(data(&mut conference, 1).messages("minutes"), [&b"for all as well"[..]]);
}

#[test]
fn a_stamp_says_who_sent_it() {
    let mut conference = chatting(2, RoomConfig { stamps: true, ..to_all() });
    data(&mut conference, 0).send("chat", true, b"hello");
    conference.drive(seconds(1));
    let label = conference.endpoint(0).index.to_string();
    let expected = [&[label.len() as u8], label.as_bytes(), b"hello"].concat();
    let got = data(&mut conference, 1).received.clone();
    assert_eq!((&got[0].data, got[0].text), (&expected, true));
}

#[test]
fn the_embedder_opens_channels_and_speaks_on_them() {
    let mut conference = Conference::of(2, Options::default());
    // Data channels are asked for by an offer of ours, where the participant's had none.
    conference.endpoint(0).data = Some(support::client::data::Data::new());
    conference.connect();
    let id = conference.participant(0);
    let config = ChannelConfig {
        delivery: Delivery { ordered: false, reliability: Reliability::Lifetime(500) },
        ..ChannelConfig::new("captions")
    };
    let captions = conference.engine.participant(id).unwrap().open_channel(config.clone()).unwrap();
    let mut participant = conference.engine.participant(id).unwrap();
    assert_eq!(participant.send(captions, "too soon"), Err(SendError::NotOpen));
    conference.drive(seconds(3));
    let opened =
        Event::ChannelOpened { participant: id, channel: captions, config: config.clone(), ours: true };
    assert!(conference.events.iter().any(|(_, event)| *event == opened), "{:?}", conference.events);
    conference.engine.participant(id).unwrap().send(captions, "bonjour").unwrap();
    let room = conference.seats[0].room;
    assert_eq!(conference.engine.room(room).unwrap().send("captions", &"tous".into()), 1);
    conference.drive(seconds(1));
    assert_eq!(data(&mut conference, 0).messages("captions"), [&b"bonjour"[..], b"tous"]);
    let (_, delivery) = data(&mut conference, 0).channels.values().next().cloned().unwrap();
    assert_eq!(delivery, config.delivery);
    conference.engine.participant(id).unwrap().close_channel(captions);
    conference.drive(seconds(1));
    assert_eq!(data(&mut conference, 0).closed, ["captions"]);
    assert_eq!(closed(&conference), [(id, CloseReason::Removed)]);
    let mut participant = conference.engine.participant(id).unwrap();
    assert_eq!(participant.send(captions, "too late"), Err(SendError::UnknownChannel));
    assert_eq!(participant.channels().count(), 0);
}

#[test]
fn a_negotiated_channel_needs_no_word() {
    let mut conference = chatting(1, RoomConfig::default());
    let id = conference.participant(0);
    let config = ChannelConfig { negotiated: Some(100), ..ChannelConfig::new("known") };
    let mut participant = conference.engine.participant(id).unwrap();
    let known = participant.open_channel(config.clone()).unwrap();
    assert_eq!(participant.open_channel(config), Err(OpenError::StreamInUse));
    participant.send(known, "hello").unwrap();
    data(&mut conference, 0).channels.insert(100, ("known".into(), Delivery::default()));
    data(&mut conference, 0).send("known", true, b"hello yourself");
    conference.drive(seconds(1));
    assert_eq!(data(&mut conference, 0).messages("known"), [&b"hello"[..]]);
    assert_eq!(told(&conference, id), [Message::from("hello yourself")]);
    // It ends as any other, also if nothing was ever said on it, and its stream is free then.
    let quiet = ChannelConfig { negotiated: Some(102), ..ChannelConfig::new("quiet") };
    data(&mut conference, 0).channels.insert(102, ("quiet".into(), Delivery::default()));
    let mut participant = conference.engine.participant(id).unwrap();
    let channel = participant.open_channel(quiet.clone()).unwrap();
    participant.close_channel(channel);
    participant.close_channel(known);
    conference.drive(seconds(2));
    assert_eq!(data(&mut conference, 0).closed, ["quiet", "known"]);
    assert!(conference.engine.participant(id).unwrap().open_channel(quiet).is_ok());
}

#[test]
fn s_data_07_a_message_above_the_size_ends_what_carries_it_and_the_call_goes_on() {
    let mut conference = chatting(2, to_all());
    let id = conference.participant(0);
    data(&mut conference, 0).send("chat", false, &vec![1; limits::CHANNEL_MESSAGE + 1]);
    conference.drive(seconds(2));
    let lost = CloseReason::Lost(estafette::sctp::EndReason::Protocol);
    assert_eq!(closed(&conference), [(id, lost)]);
    let told = &data(&mut conference, 0).errors;
    assert!(told.iter().any(|error| error.contains("Protocol Violation")), "{told:?}");
    let mut participant = conference.engine.participant(id).unwrap();
    assert_eq!(participant.open_channel(ChannelConfig::new("more")), Err(OpenError::Unavailable));
    conference.assert_all_seen(60);
}

#[test]
fn a_message_that_is_too_long_with_its_stamp_is_its_senders_loss() {
    let mut conference = chatting(2, RoomConfig { stamps: true, ..to_all() });
    data(&mut conference, 0).send("chat", false, &vec![1; limits::CHANNEL_MESSAGE]);
    data(&mut conference, 0).send("chat", true, b"short");
    conference.drive(seconds(2));
    assert_eq!(data(&mut conference, 1).received.len(), 1);
    assert_eq!(conference.engine.stats().dropped(DropReason::ChannelTooLong), 1);
}

#[test]
fn who_may_have_no_channels_has_none() {
    let mut conference = Conference::new(Options::default());
    let room = conference.room();
    let mut client = conference.client(0, Plan::default(), 0);
    client.offer_data();
    let config = estafette::ParticipantConfig { data: false, ..estafette::ParticipantConfig::default() };
    conference.join_as(room, client, config);
    conference.connect();
    let id = conference.participant(0);
    let mut participant = conference.engine.participant(id).unwrap();
    assert_eq!(participant.open_channel(ChannelConfig::new("chat")), Err(OpenError::Unavailable));
    assert!(!participant.needs_negotiation());
    conference.drive(seconds(1));
    // The client speaks SCTP all the same.
    assert!(conference.engine.stats().dropped(DropReason::NotNegotiated) > 0);
}

#[test]
fn s_room_03_nothing_is_sent_to_who_was_removed_and_what_waited_is_gone() {
    let mut conference = chatting(3, to_all());
    (0..20).for_each(|_| data(&mut conference, 0).send("chat", false, &[1; 16_384]));
    conference.drive(millis(100));
    conference.leave(1);
    let before = data(&mut conference, 1).received.len();
    conference.drive(seconds(5));
    assert_eq!(data(&mut conference, 1).received.len(), before);
    assert_eq!(data(&mut conference, 2).received.len(), 20);
}

#[test]
fn s_room_02_rooms_do_not_hear_each_other() {
    let mut conference = chatting_in(&[2, 2], Options { room: to_all(), ..Options::default() });
    data(&mut conference, 0).send("chat", true, b"secret");
    let (here, there) = (conference.participant(0), conference.participant(2));
    let chat = channel(&mut conference, 0, "chat");
    let stranger = conference.engine.participant(here).unwrap().route(chat, Route::One(there));
    assert_eq!(stranger, Err(UnknownChannel), "S-ROOM-02");
    conference.drive(seconds(1));
    let got: Vec<usize> = (0..4).map(|seat| data(&mut conference, seat).received.len()).collect();
    assert_eq!(got, [0, 1, 0, 0]);
}

#[test]
fn s_data_08_who_sends_too_much_is_held_back_and_loses_nothing() {
    let mut conference = chatting(2, to_all());
    let message = vec![7; 16_384];
    let seconds_worth = 4;
    let total = seconds_worth * limits::CHANNEL_BYTES_PER_SECOND as usize / message.len();
    (0..total).for_each(|_| data(&mut conference, 0).send("chat", false, &message));
    // And many small ones.
    conference.drive(seconds(1));
    let first = data(&mut conference, 1).messages("chat").len();
    assert!(first * message.len() <= 2 * limits::CHANNEL_BYTES_PER_SECOND as usize + 65_536, "{first}");
    conference.drive(seconds(20));
    assert_eq!(data(&mut conference, 1).messages("chat").len(), total);
    (0..1_000u32).for_each(|at| data(&mut conference, 0).send("chat", false, &at.to_be_bytes()));
    conference.drive(seconds(1));
    let soon = data(&mut conference, 1).messages("chat").len() - total;
    assert!(soon <= 2 * limits::CHANNEL_MESSAGES_PER_SECOND as usize, "{soon}");
    conference.drive(seconds(30));
    assert_eq!(data(&mut conference, 1).messages("chat").len() - total, 1_000);
    assert_eq!(conference.engine.stats().dropped_in_all(), 0);
}

#[test]
fn s_data_08_a_slow_reader_loses_its_channel_and_nobody_waits() {
    let mut conference = chatting(3, to_all());
    let slow = conference.participant(1);
    data(&mut conference, 1).listens = false;
    let message = vec![7; 32_768];
    let rounds = (1 << 20) / message.len() + 2 * limits::CHANNEL_BUFFER / message.len();
    for _ in 0..rounds {
        data(&mut conference, 0).send("chat", false, &message);
        conference.drive(millis(200));
    }
    assert_eq!(data(&mut conference, 2).messages("chat").len(), rounds);
    assert_eq!(closed(&conference), [(slow, CloseReason::SlowReader)]);
    let stats = conference.engine.stats();
    assert_eq!(stats.dropped(DropReason::ChannelFull), 1);
    assert!(stats.dropped(DropReason::ChannelMissing) > 0);
    // It opens another one and is there again.
    data(&mut conference, 1).listens = true;
    data(&mut conference, 1).fetch();
    conference.drive(seconds(5));
    data(&mut conference, 1).open("chat", Delivery::default());
    conference.drive(seconds(1));
    let before = data(&mut conference, 1).messages("chat").len();
    data(&mut conference, 0).send("chat", true, b"welcome back");
    conference.drive(seconds(1));
    assert_eq!(data(&mut conference, 1).messages("chat").len(), before + 1);
}

#[test]
fn s_data_08_what_is_unreliable_is_left_out_for_a_slow_reader() {
    let mut conference = chatting(2, to_all());
    let unreliable = Delivery { ordered: false, reliability: Reliability::Retransmissions(0) };
    (0..2).for_each(|seat| data(&mut conference, seat).open("cursors", unreliable));
    conference.drive(seconds(1));
    data(&mut conference, 1).listens = false;
    let message = vec![7; 32_768];
    let rounds = ((1 << 20) + limits::CHANNEL_BUFFER) / message.len() + 10;
    for _ in 0..rounds {
        data(&mut conference, 0).send("cursors", false, &message);
        conference.drive(millis(200));
    }
    let stats = conference.engine.stats();
    assert!(stats.dropped(DropReason::ChannelFull) > 0);
    assert_eq!(closed(&conference), []);
    // It is the same channel that goes on.
    data(&mut conference, 1).listens = true;
    conference.drive(seconds(20));
    data(&mut conference, 0).send("cursors", true, b"here");
    conference.drive(seconds(1));
    assert_eq!(data(&mut conference, 1).messages("cursors").last().unwrap(), &b"here"[..]);
}

#[test]
fn who_found_no_room_is_told_when_there_is_some() {
    let mut conference = chatting(1, RoomConfig::default());
    let id = conference.participant(0);
    let chat = channel(&mut conference, 0, "chat");
    data(&mut conference, 0).listens = false;
    let message = Message::from("x".repeat(16_384));
    let full = |conference: &mut Conference| {
        while conference.engine.participant(id).unwrap().send(chat, message.clone()).is_ok() {}
        conference.drive(seconds(10));
        conference.engine.participant(id).unwrap().send(chat, message.clone()).is_err()
    };
    while !full(&mut conference) {}
    let drained = |conference: &Conference| {
        let told = Event::ChannelDrained { participant: id, channel: chat };
        conference.events.iter().filter(|(_, event)| *event == told).count()
    };
    let before = drained(&conference);
    data(&mut conference, 0).listens = true;
    conference.drive(seconds(20));
    assert_eq!(drained(&conference), before + 1);
    assert!(conference.engine.participant(id).unwrap().send(chat, message).is_ok());
}

#[test]
fn messages_leave_behind_sound_and_in_front_of_video() {
    let mut conference = chatting(2, to_all());
    let chat = channel(&mut conference, 1, "chat");
    let receiver = conference.participant(1);
    let mut orders = std::collections::BTreeSet::new();
    for _ in 0..50 {
        // A message, and all that the other one sends in 100 ms, before the receiver's turn.
        conference.engine.participant(receiver).unwrap().send(chat, "x").unwrap();
        conference.now += millis(100);
        let now = conference.now;
        conference.endpoint(0).handle_timeout(now);
        let sent: Vec<_> = std::iter::from_fn(|| conference.endpoint(0).poll_transmit(now)).collect();
        sent.iter().for_each(|packet| conference.inject(packet.from, &packet.data));
        conference.tap = true;
        conference.drain();
        conference.tap = false;
        let mut order: Vec<_> = conference
            .outgoing
            .drain(..)
            .filter(|packet| packet.to == home(1))
            .filter_map(|packet| match (packet.data[0], packet.data[1] & 0x7f) {
                (20..64, _) => Some("message"),
                (128..192, 64..96) => None,
                (128..192, 111) => Some("sound"),
                (128..192, _) => Some("video"),
                _ => None,
            })
            .collect();
        order.dedup();
        orders.insert(order);
        conference.drive(millis(100));
    }
    let whole = vec!["sound", "message", "video"];
    assert!(orders.contains(&whole), "{orders:?}");
    assert!(orders.iter().all(|order| order.is_sorted_by_key(|kind| whole.iter().position(|of| of == kind))));
}

#[test]
fn a_channel_that_the_other_end_does_not_want_is_closed() {
    let mut conference = Conference::of(1, Options::default());
    conference.endpoint(0).describe.data = false;
    conference.connect();
    let id = conference.participant(0);
    let asked = conference.engine.participant(id).unwrap().open_channel(ChannelConfig::new("chat"));
    assert!(asked.is_ok());
    conference.drive(seconds(2));
    assert_eq!(closed(&conference), [(id, CloseReason::Peer)]);
    assert_eq!(conference.engine.participant(id).unwrap().channels().count(), 0);
}

#[test]
fn an_agreement_behind_a_message_is_no_mistake() {
    let mut conference = chatting(1, RoomConfig::default());
    let id = conference.participant(0);
    let config = ChannelConfig {
        delivery: Delivery { ordered: false, reliability: Reliability::Reliable },
        ..ChannelConfig::new("captions")
    };
    conference.engine.participant(id).unwrap().open_channel(config).unwrap();
    conference.drive(seconds(1));
    let of = |(stream, (label, _)): (&u16, &(String, Delivery))| (label == "captions").then_some(*stream);
    let stream = data(&mut conference, 0).channels.iter().find_map(of).expect("open");
    data(&mut conference, 0).raw(stream, ppid::DCEP, vec![2], &SendOptions::default());
    conference.drive(seconds(1));
    assert_eq!((closed(&conference), conference.engine.stats().dropped_in_all()), (vec![], 0));
    // Of a channel that the client has opened itself there is nothing to agree to.
    data(&mut conference, 0).raw(0, ppid::DCEP, vec![2], &SendOptions::default());
    conference.drive(seconds(1));
    assert_eq!(closed(&conference), [(id, CloseReason::Protocol)]);
}

#[test]
fn s_data_05_so_many_channels_and_no_more() {
    let mut conference = chatting(1, RoomConfig::default());
    let id = conference.participant(0);
    (1..limits::CHANNELS + 3)
        .for_each(|at| data(&mut conference, 0).open(&format!("c{at}"), Delivery::default()));
    conference.drive(seconds(3));
    let mut participant = conference.engine.participant(id).unwrap();
    assert_eq!(participant.channels().count(), limits::CHANNELS);
    assert_eq!(participant.open_channel(ChannelConfig::new("more")), Err(OpenError::LimitReached));
    let long = ChannelConfig::new("x".repeat(limits::CHANNEL_LABEL + 1));
    assert_eq!(participant.open_channel(long), Err(OpenError::TooLong));
    assert_eq!(data(&mut conference, 0).closed.len(), 3);
    assert_eq!(conference.engine.stats().dropped(DropReason::ChannelLimit), 3);
}

#[test]
fn s_data_06_misplaced_messages_close_their_channel_alone() {
    let open = |label: &str| {
        let mut out = Vec::new();
        let open = estafette::dcep::Open { delivery: Delivery::default(), priority: 0, label, protocol: "" };
        estafette::dcep::Message::Open(open).write(&mut out).unwrap();
        out
    };
    let cases: [(u16, u32, Vec<u8>, DropReason); 6] = [
        // The server's parity.
        (7, ppid::DCEP, open("odd"), DropReason::ChannelProtocol),
        // In use.
        (0, ppid::DCEP, open("again"), DropReason::ChannelProtocol),
        // An agreement to nothing.
        (6, ppid::DCEP, vec![2], DropReason::ChannelProtocol),
        // An unknown type, and one cut off.
        (6, ppid::DCEP, vec![9], DropReason::Dcep(estafette::dcep::Fault::Type)),
        (6, ppid::DCEP, vec![3, 0, 0], DropReason::Dcep(estafette::dcep::Fault::Length)),
        // A message without a channel.
        (6, ppid::BINARY, vec![1], DropReason::ChannelProtocol),
    ];
    for (stream, kind, payload, reason) in cases {
        let mut conference = chatting(1, RoomConfig::default());
        data(&mut conference, 0).open("other", Delivery::default());
        conference.drive(seconds(1));
        data(&mut conference, 0).raw(stream, kind, payload, &SendOptions::default());
        conference.drive(seconds(2));
        assert_eq!(conference.engine.stats().dropped(reason), 1, "{reason:?}");
        let labels: Vec<_> =
            data(&mut conference, 0).channels.values().map(|(label, _)| label.clone()).collect();
        let expected: &[&str] = if stream == 0 { &["other"] } else { &["chat", "other"] };
        assert_eq!(labels, expected, "{reason:?}");
        data(&mut conference, 0).send("other", true, b"still here");
        conference.drive(seconds(1));
        let id = conference.participant(0);
        assert_eq!(told(&conference, id), [Message::from("still here")]);
    }
}

#[test]
fn s_data_01_packets_count_only_inside_dtls() {
    let mut conference = chatting(2, to_all());
    let mut packet = vec![0x13, 0x88, 0x13, 0x88];
    packet.resize(64, 0);
    conference.endpoint(0).send_raw(packet);
    conference.drive(seconds(1));
    // 0x13 is nobody's first byte (RFC 7983).
    assert_eq!(conference.engine.stats().dropped(DropReason::UnknownProtocol), 1);
    assert_eq!(conference.engine.stats().dropped_in_all(), 1);
}

#[test]
fn messages_survive_loss_and_a_change_of_network() {
    let options = Options { room: to_all(), link: Link::lossy(0.1), ..Options::default() };
    let mut conference = chatting_in(&[2], options);
    conference.drive(seconds(10));
    for at in 0..40u8 {
        data(&mut conference, 0).send("chat", false, &[at; 3_000]);
        conference.drive(millis(100));
        if at == 20 {
            let now = conference.now;
            conference.endpoint(1).move_to(now, home(77), true);
            conference.readdress(1);
        }
    }
    conference.drive(seconds(60));
    let got: Vec<u8> = data(&mut conference, 1).messages("chat").iter().map(|message| message[0]).collect();
    assert_eq!(got, (0..40).collect::<Vec<u8>>());
}
