//! Against libwebrtc's SCTP.

use super::*;
use dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, SocketState, SocketTime, StreamId,
};

struct Theirs {
    socket: Box<dyn DcSctpSocket>,
    outgoing: VecDeque<Vec<u8>>,
    resets: Vec<u16>,
    errors: Vec<String>,
    received: Vec<(u16, u32, Vec<u8>)>,
}

impl Theirs {
    fn new(connects: bool) -> Theirs {
        let options = Options { mtu: Config::default().packet, ..Options::default() };
        let mut socket = dcsctp::new_socket("referee", &options);
        if connects {
            socket.connect();
        }
        let mut theirs =
            Theirs { socket, outgoing: VecDeque::new(), resets: vec![], errors: vec![], received: vec![] };
        theirs.fetch();
        theirs
    }

    fn fetch(&mut self) {
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.outgoing.push_back(packet),
                SocketEvent::OnIncomingStreamReset(streams) => {
                    // What a browser does (RFC 8831, section 6.7).
                    self.resets.extend(streams.iter().map(|stream| stream.0));
                    let _ = self.socket.reset_streams(&streams);
                }
                SocketEvent::OnError(_, text) | SocketEvent::OnAborted(_, text) => self.errors.push(text),
                _ => {}
            }
        }
        while let Some(message) = self.socket.get_next_message() {
            self.received.push((message.stream_id.0, message.ppid.0, message.payload));
        }
    }

    fn send(&mut self, stream: u16, payload: Vec<u8>, options: &SendOptions) {
        self.socket.send(Message::new(StreamId(stream), PpId(ppid::BINARY), payload), options).expect("room");
        self.fetch();
    }

    fn messages(&self, of: u16) -> Vec<&[u8]> {
        let found = self.received.iter().filter(|(stream, ..)| *stream == of);
        found.map(|(.., payload)| &payload[..]).collect()
    }
}

impl End for Theirs {
    fn handle_packet(&mut self, now: Instant, data: &[u8]) {
        self.handle_timeout(now);
        self.socket.handle_input(data);
        self.fetch();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.socket.advance_time(SocketTime::zero() + Duration::from_micros(now.as_micros()));
        self.fetch();
    }

    fn transmit(&mut self, _: Instant) -> Option<Vec<u8>> {
        self.fetch();
        self.outgoing.pop_front()
    }

    fn due(&self) -> Option<Instant> {
        let at = self.socket.poll_timeout();
        (at != SocketTime::infinite_future())
            .then(|| Instant::ZERO + (at - SocketTime::zero()) + Duration::from_micros(1))
    }
}

fn connected_to(role: Role, connects: bool, loss: u64) -> (Link, Ours, Theirs) {
    let (mut link, mut ours, mut theirs) = (Link::new(loss), Ours::new(role, 1), Theirs::new(connects));
    link.run(if loss == 0 { SECOND } else { 30 * SECOND }, &mut ours, &mut theirs);
    assert!(ours.association.is_connected(), "{role:?} {:?}", ours.refusals);
    assert!(theirs.socket.state() == SocketState::Connected);
    (link, ours, theirs)
}

#[test]
fn it_connects_whoever_begins() {
    for (role, connects) in [(Role::Active, false), (Role::Passive, true), (Role::Active, true)] {
        let (_, ours, theirs) = connected_to(role, connects, 0);
        assert_eq!(theirs.errors, [""; 0]);
        let metrics = theirs.socket.get_metrics().expect("connected");
        assert!(!metrics.uses_message_interleaving && !metrics.uses_zero_checksum);
        assert_eq!(ours.events, [Event::Connected]);
    }
}

#[test]
fn messages_pass_both_ways_through_loss() {
    for seed in 0..6 {
        let (mut link, mut ours, mut theirs) = connected_to(Role::Passive, true, 0);
        // Its waits double up to a minute.
        (link.loss, link.random) = (10, Random::new([seed; 32]));
        let sizes = [1, 900, 1_100, 20_000, limits::CHANNEL_MESSAGE, 17];
        for (at, size) in sizes.into_iter().enumerate() {
            ours.send(3, vec![at as u8; size], Delivery::default());
            theirs.send(2, vec![at as u8; size], &SendOptions::default());
        }
        link.run(300 * SECOND, &mut ours, &mut theirs);
        let ours_got: Vec<usize> = ours.messages(2).iter().map(|message| message.len()).collect();
        let theirs_got: Vec<usize> = theirs.messages(3).iter().map(|message| message.len()).collect();
        assert_eq!((&ours_got[..], &theirs_got[..]), (&sizes[..], &sizes[..]), "{seed}");
        assert_eq!(theirs.errors, [""; 0], "{seed}");
    }
}

#[test]
fn partial_reliability_is_understood_both_ways() {
    let (mut link, mut ours, mut theirs) = connected_to(Role::Passive, true, 0);
    link.loss = 30;
    let options = SendOptions { unordered: true, max_retransmissions: Some(0), ..SendOptions::default() };
    let reliable = SendOptions::default();
    for at in 0..100u8 {
        ours.send(1, vec![at; 1_500], UNRELIABLE);
        ours.send(3, vec![at], Delivery::default());
        theirs.send(2, vec![at; 1_500], &options);
        theirs.send(4, vec![at], &reliable);
        link.run(Duration::from_millis(50), &mut ours, &mut theirs);
    }
    link.loss = 0;
    link.run(60 * SECOND, &mut ours, &mut theirs);
    assert_eq!((ours.messages(4).len(), theirs.messages(3).len()), (100, 100));
    let partial = [ours.messages(2).len(), theirs.messages(1).len()];
    assert!(partial.iter().all(|got| (20..90).contains(got)), "{partial:?}");
    assert!(ours.association.is_connected() && theirs.errors.is_empty(), "{:?}", theirs.errors);
}

#[test]
fn streams_are_reset_from_both_sides_and_used_again() {
    let (mut link, mut ours, mut theirs) = connected_to(Role::Active, false, 0);
    for round in 0..5u8 {
        ours.send(2, vec![round], Delivery::default());
        theirs.send(2, vec![round], &SendOptions::default());
        link.run(SECOND, &mut ours, &mut theirs);
        if round % 2 == 0 {
            ours.association.close(2);
        } else {
            theirs.socket.reset_streams(&[StreamId(2)]).expect("connected");
        }
        link.run(3 * SECOND, &mut ours, &mut theirs);
        let released = ours.events.iter().filter(|event| **event == Event::Released { stream: 2 });
        assert_eq!(released.count(), usize::from(round) + 1, "{:?}", ours.events);
    }
    assert_eq!(ours.messages(2).concat(), [0, 1, 2, 3, 4]);
    assert_eq!(theirs.messages(2).concat(), [0, 1, 2, 3, 4]);
}

#[test]
fn its_heartbeats_are_answered_and_its_end_is_told() {
    let (mut link, mut ours, mut theirs) = connected_to(Role::Passive, true, 0);
    link.run(300 * SECOND, &mut ours, &mut theirs);
    assert!(theirs.socket.state() == SocketState::Connected && ours.association.is_connected());
    theirs.socket.shutdown();
    link.run(10 * SECOND, &mut ours, &mut theirs);
    assert_eq!(ours.events.last(), Some(&Event::Ended(EndReason::Shutdown)), "{:?}", ours.events);
    assert!(theirs.socket.state() == SocketState::Closed);

    let (mut link, mut ours, mut theirs) = connected_to(Role::Passive, true, 0);
    theirs.socket.close();
    link.run(SECOND, &mut ours, &mut theirs);
    assert_eq!(ours.events.last(), Some(&Event::Ended(EndReason::Aborted)));
}
