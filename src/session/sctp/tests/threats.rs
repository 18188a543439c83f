//! S-DATA-01 to 05 and 07: what a peer with the right keys may try.

use super::*;
use crate::wire::sctp::{Fault, Packet, PacketWriter, Ports, kind};

const PORTS: Ports = Ports { source: 5_000, destination: 5_000 };

/// A connected end of ours, and what its peer needs to write packets by hand.
struct Attack {
    ours: Ours,
    now: Instant,
    tag: u32,
    tsn: u32,
}

impl Attack {
    fn new() -> Attack {
        let (link, mut ours, b) = connected();
        ours.events.clear();
        let init = |from: &[u8]| {
            let packet = Packet::parse(from).expect("ours");
            let chunk = packet.chunks().next().expect("one");
            (chunk.kind, crate::wire::sctp::Init::parse(chunk.value))
        };
        let inits: Vec<_> = link.sent.iter().map(|packet| init(packet)).collect();
        let of = |wanted| {
            let found = inits.iter().find(|(kind, _)| *kind == wanted).map(|(_, init)| init.clone());
            found.expect("sent").expect("well formed")
        };
        let attack = Attack { ours, now: link.now, tag: of(kind::INIT).tag, tsn: of(kind::INIT_ACK).tsn };
        drop(b);
        attack
    }

    fn packet(&self, chunks: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut writer = PacketWriter::new(PORTS, self.tag);
        chunks.iter().for_each(|(kind, flags, value)| writer.chunk(*kind, *flags, value));
        writer.finish()
    }

    fn data(tsn: u32, stream: u16, ssn: u16, payload: &[u8]) -> Vec<u8> {
        let mut value = tsn.to_be_bytes().to_vec();
        value.extend(stream.to_be_bytes());
        value.extend(ssn.to_be_bytes());
        value.extend(ppid::BINARY.to_be_bytes());
        value.extend(payload);
        value
    }

    fn give(&mut self, chunks: &[(u8, u8, &[u8])]) -> Result<(), Refusal> {
        let packet = self.packet(chunks);
        let result = self.ours.association.handle_packet(self.now, &packet);
        if self.ours.listens {
            self.ours.fetch();
        }
        result
    }

    /// The next piece of data, with these flags.
    fn piece(&mut self, flags: u8, stream: u16, ssn: u16, payload: &[u8]) -> Result<(), Refusal> {
        let value = Self::data(self.tsn, stream, ssn, payload);
        self.tsn = self.tsn.wrapping_add(1);
        self.give(&[(kind::DATA, flags, &value)])
    }

    /// Lets ours answer; what it says.
    fn answers(&mut self) -> Vec<Vec<u8>> {
        self.now += Duration::from_millis(250);
        self.ours.handle_timeout(self.now);
        std::iter::from_fn(|| self.ours.transmit(self.now)).collect()
    }

    fn ended(&self) -> Option<EndReason> {
        self.ours.events.iter().find_map(|event| match event {
            Event::Ended(reason) => Some(*reason),
            _ => None,
        })
    }
}

const WHOLE: u8 = 3;
const FIRST: u8 = 2;
const MIDDLE: u8 = 0;

fn dropped(reason: Drop) -> Result<(), Refusal> {
    Err(Refusal::Dropped(reason))
}

#[test]
fn s_data_01_a_wrong_tag_port_or_checksum_changes_nothing() {
    let mut attack = Attack::new();
    let value = Attack::data(attack.tsn, 0, 0, b"x");
    let good = attack.packet(&[(kind::DATA, WHOLE, &value)]);
    let mut other = PacketWriter::new(PORTS, attack.tag.wrapping_add(1));
    other.chunk(kind::DATA, WHOLE, &value);
    let mut ports = PacketWriter::new(Ports { source: 5_001, ..PORTS }, attack.tag);
    ports.chunk(kind::DATA, WHOLE, &value);
    let mut sum = good.clone();
    sum[8] ^= 1;
    // An ABORT with the tag of the other direction, as who knows no association would send it.
    let mut abort = PacketWriter::new(PORTS, attack.tag ^ 1);
    abort.chunk(kind::ABORT, 1, &[]);
    let now = attack.now;
    for (packet, refusal) in [
        (other.finish(), Refusal::Dropped(Drop::Tag)),
        (ports.finish(), Refusal::Dropped(Drop::Ports)),
        (sum, Refusal::Malformed(Fault::Checksum)),
        (abort.finish(), Refusal::Dropped(Drop::Tag)),
    ] {
        assert_eq!(attack.ours.association.handle_packet(now, &packet), Err(refusal));
        assert_eq!((attack.ours.association.poll_event(), attack.answers()), (None, vec![]));
    }
    assert_eq!(attack.ours.association.handle_packet(now, &good), Ok(()));
    assert!(matches!(attack.ours.association.poll_event(), Some(Event::Message { .. })));
}

#[test]
fn s_data_02_unknown_chunks_are_passed_over_or_end_the_packet() {
    let mut attack = Attack::new();
    let value = Attack::data(attack.tsn, 0, 0, b"x");
    let message = (kind::DATA, WHOLE, &value[..]);
    for stops in [0x3f, 0x7f] {
        assert_eq!(attack.give(&[(stops, 0, b"?"), message]), dropped(Drop::Chunk));
        assert_eq!(attack.ours.events, []);
    }
    for skipped in [0x9f, 0xff, kind::ERROR, kind::HEARTBEAT_ACK, kind::COOKIE_ACK] {
        let mut attack = Attack::new();
        let value = Attack::data(attack.tsn, 0, 0, b"x");
        assert_eq!(attack.give(&[(skipped, 0, &[]), (kind::DATA, WHOLE, &value)]), dropped(Drop::Chunk));
        assert_eq!(attack.ours.messages(0), [&b"x"[..]], "{skipped}");
    }
    // A second INIT does not begin anew, and a broken one is none.
    let mut attack = Attack::new();
    let mut init = PacketWriter::new(PORTS, 0);
    init.chunk(kind::INIT, 0, &[1; 16]);
    let init = init.finish();
    assert_eq!(attack.ours.association.handle_packet(attack.now, &init), dropped(Drop::Restart));
    assert!(attack.answers().is_empty() && attack.ours.association.is_connected());
}

#[test]
fn s_data_03_pieces_of_messages_that_never_end_are_bounded() {
    // By their number: first pieces of one byte, on many streams.
    let mut attack = Attack::new();
    let mut given = 0;
    while attack.ended().is_none() {
        let stream = (given % 100) as u16;
        let _ = attack.piece(FIRST, stream, (given / 100) as u16, b"x");
        given += 1;
        if given % 50 == 0 {
            attack.answers();
        }
        assert!(given <= limits::SCTP_PIECES + 1);
    }
    assert_eq!((given, attack.ended()), (limits::SCTP_PIECES + 1, Some(EndReason::Resources)));

    // By their bytes: one message that goes on.
    let mut attack = Attack::new();
    let mut flags = FIRST;
    let mut bytes = 0;
    while attack.ended().is_none() {
        let _ = attack.piece(flags, 0, 0, &[0; 1_000]);
        (flags, bytes) = (MIDDLE, bytes + 1_000);
        attack.answers();
    }
    assert!(bytes <= limits::CHANNEL_MESSAGE + 1_000, "{bytes}");
    assert_eq!(attack.ended(), Some(EndReason::Protocol));
}

#[test]
fn s_data_03_data_far_ahead_is_not_kept() {
    let mut attack = Attack::new();
    let last = attack.tsn.wrapping_sub(1);
    for (ahead, expected) in [
        (limits::SCTP_AHEAD, Ok(())),
        (limits::SCTP_AHEAD + 1, dropped(Drop::Ahead)),
        (1 << 30, dropped(Drop::Ahead)),
    ] {
        let value = Attack::data(last.wrapping_add(ahead), 0, 0, b"x");
        assert_eq!(attack.give(&[(kind::DATA, WHOLE, &value)]), expected, "{ahead}");
    }
}

#[test]
fn s_data_03_who_is_behind_is_not_sent_more_pieces_than_are_kept() {
    let mut attack = Attack::new();
    attack.ours.listens = false;
    let mut taken = 0;
    for at in 0..limits::SCTP_PIECES + 100 {
        taken += usize::from(attack.piece(WHOLE, 0, at as u16, b"x").is_ok());
        if at % 50 == 0 {
            attack.answers();
        }
    }
    assert_eq!(taken, limits::SCTP_PIECES);
    attack.ours.fetch();
    assert_eq!(attack.ours.messages(0).len(), limits::SCTP_PIECES);
    assert!(attack.ours.association.is_connected());
}

#[test]
fn s_data_03_forward_tsn_without_end_keeps_nothing() {
    let mut attack = Attack::new();
    for step in 1..2_000u32 {
        let mut value = attack.tsn.wrapping_add(step << 12).to_be_bytes().to_vec();
        // Streams that are not there.
        (0..250u16).for_each(|stream| value.extend([stream.to_be_bytes(), [0, 1]].concat()));
        let given = attack.give(&[(kind::FORWARD_TSN, 0, &value)]);
        assert_eq!(given, Ok(()));
        if step % 100 == 0 {
            attack.answers();
        }
    }
    // None of them is there: as many as there may be are begun.
    attack.tsn = attack.tsn.wrapping_add((1_999 << 12) + 1);
    for stream in 0..limits::SCTP_STREAMS as u16 {
        assert_eq!(attack.piece(WHOLE, stream, 0, b"x"), Ok(()));
    }
    assert_eq!(attack.ours.events.len(), limits::SCTP_STREAMS);
    assert_eq!(attack.give(&[(kind::FORWARD_TSN, 0, &[0; 3])]), Err(Refusal::Malformed(Fault::ForwardTsn)));
}

#[test]
fn s_data_03_resets_without_end_are_bounded() {
    let mut attack = Attack::new();
    let mut number = attack.tsn;
    let mut rounds = 0;
    while attack.ended().is_none() && rounds < 10_000 {
        // A stream with something unfinished is begun and reset, and nothing of ours is ever agreed to.
        let _ = attack.piece(FIRST, (rounds % 60) as u16, 0, b"x");
        let mut request = vec![0, 13, 0, 18];
        request.extend(number.to_be_bytes());
        request.extend(0u32.to_be_bytes());
        request.extend(attack.tsn.wrapping_sub(1).to_be_bytes());
        request.extend(((rounds % 60) as u16).to_be_bytes());
        let _ = attack.give(&[(kind::RE_CONFIG, 0, &request)]);
        number = number.wrapping_add(1);
        rounds += 1;
        attack.answers();
    }
    assert!(rounds <= limits::SCTP_EVENTS + limits::SCTP_STREAMS, "{rounds}");
    assert_eq!(attack.ended(), Some(EndReason::Resources));
}

/// A SACK's value.
fn sack(cumulative: u32, blocks: &[(u16, u16)]) -> Vec<u8> {
    let mut value = cumulative.to_be_bytes().to_vec();
    value.extend((1u32 << 16).to_be_bytes());
    value.extend((blocks.len() as u16).to_be_bytes());
    value.extend([0, 0]);
    blocks.iter().for_each(|(start, end)| value.extend([start.to_be_bytes(), end.to_be_bytes()].concat()));
    value
}

/// The numbers of the data in packets of ours.
fn numbers(packets: &[Vec<u8>]) -> Vec<u32> {
    let packets = packets.iter().map(|packet| Packet::parse(packet).expect("ours"));
    let chunks = packets.flat_map(|packet| packet.chunks().collect::<Vec<_>>());
    let data = chunks.filter(|chunk| chunk.kind == kind::DATA);
    data.map(|chunk| crate::wire::sctp::Data::parse(&chunk).expect("ours").tsn).collect()
}

/// The values of the chunks of one kind in packets of ours.
fn values(packets: &[Vec<u8>], kind: u8) -> Vec<Vec<u8>> {
    let packets = packets.iter().map(|packet| Packet::parse(packet).expect("ours"));
    let chunks = packets.flat_map(|packet| packet.chunks().collect::<Vec<_>>());
    chunks.filter(|chunk| chunk.kind == kind).map(|chunk| chunk.value.to_vec()).collect()
}

#[test]
fn s_data_04_an_acknowledgement_of_what_was_not_sent_ends_the_association() {
    let first = |attack: &mut Attack| {
        attack.ours.send(0, &b"x"[..], Delivery::default());
        let sent = attack.answers();
        numbers(&sent)[0]
    };
    let mut attack = Attack::new();
    let tsn = first(&mut attack);
    assert_eq!(attack.give(&[(kind::SACK, 0, &sack(tsn, &[]))]), Ok(()));
    assert!(attack.ended().is_none() && attack.ours.association.buffered() == 0);
    for (cumulative, blocks) in [(1, &[][..]), (0, &[(5, 6)])] {
        let mut attack = Attack::new();
        let tsn = first(&mut attack);
        let value = sack(tsn.wrapping_add(cumulative), blocks);
        let _ = attack.give(&[(kind::SACK, 0, &value)]);
        assert_eq!(attack.ended(), Some(EndReason::Protocol), "{cumulative} {blocks:?}");
        let abort = attack.answers();
        assert_eq!(Packet::parse(&abort[0]).expect("ours").chunks().next().expect("one").kind, kind::ABORT);
        assert_eq!(attack.give(&[(kind::SACK, 0, &value)]), dropped(Drop::Ended));
    }
    // Blocks without measure.
    let mut attack = Attack::new();
    let tsn = first(&mut attack);
    let value = sack(tsn.wrapping_sub(1), &[(2, limits::SCTP_GAPS as u16 + 2)]);
    assert_eq!(attack.give(&[(kind::SACK, 0, &value)]), dropped(Drop::Gaps));
    assert!(attack.ours.association.is_connected());
}

#[test]
fn s_data_05_memory_goes_by_the_streams_that_are_used() {
    let mut attack = Attack::new();
    for stream in 0..limits::SCTP_STREAMS as u16 {
        assert_eq!(attack.piece(WHOLE, 400 * stream, 0, b"x"), Ok(()));
        attack.answers();
    }
    assert_eq!(attack.piece(WHOLE, 7, 0, b"x"), dropped(Drop::Streams));
    // The others go on.
    attack.tsn = attack.tsn.wrapping_sub(1);
    assert_eq!(attack.piece(WHOLE, 400, 1, b"y"), Ok(()));
    assert_eq!(attack.ours.messages(400), [&b"x"[..], &b"y"[..]]);
}

#[test]
fn s_data_07_the_largest_message_passes_and_no_larger_one_is_sent() {
    let (mut link, mut a, mut b) = connected();
    let just = Bytes::from(vec![1; limits::CHANNEL_MESSAGE]);
    let above = Bytes::from(vec![1; limits::CHANNEL_MESSAGE + 1]);
    assert_eq!(a.association.send(0, ppid::BINARY, &above, Delivery::default()), Err(SendError::TooLong));
    a.send(0, just.clone(), Delivery::default());
    link.run(10 * SECOND, &mut a, &mut b);
    assert_eq!(b.messages(0), [just]);
}

#[test]
fn answers_that_nobody_fetches_are_bounded() {
    let mut attack = Attack::new();
    for at in 0..2 * limits::SCTP_UNPOLLED {
        let expected = if at < limits::SCTP_UNPOLLED { Ok(()) } else { dropped(Drop::Unpolled) };
        assert_eq!(attack.give(&[(kind::HEARTBEAT, 0, &[0, 1, 0, 8, 1, 2, 3, 4])]), expected, "{at}");
    }
    assert_eq!(attack.answers().len(), limits::SCTP_UNPOLLED);
    assert_eq!(attack.give(&[(kind::HEARTBEAT, 0, &[0, 1, 0, 8, 1, 2, 3, 4])]), Ok(()));
    let answer = attack.answers();
    let chunk = Packet::parse(&answer[0]).expect("ours").chunks().next().expect("one");
    assert_eq!((chunk.kind, chunk.value), (kind::HEARTBEAT_ACK, &[0, 1, 0, 8, 1, 2, 3, 4][..]));
}

/// A whole DATA chunk, header included.
fn hidden(attack: &Attack) -> Vec<u8> {
    let value = Attack::data(attack.tsn, 9, 0, b"x");
    let mut chunk = vec![kind::DATA, WHOLE];
    chunk.extend(((4 + value.len()) as u16).to_be_bytes());
    chunk.extend(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

#[test]
fn s_data_02_nothing_hides_behind_a_chunk_that_says_it_is_longer() {
    let malformed = |fault| Err(Refusal::Malformed(fault));
    for kind in [kind::SHUTDOWN_ACK, kind::SHUTDOWN_COMPLETE, kind::SHUTDOWN] {
        let mut attack = Attack::new();
        let chunks = hidden(&attack);
        assert_eq!(attack.give(&[(kind, 0, &chunks)]), malformed(Fault::ChunkLength), "{kind}");
        assert!(attack.ours.events.is_empty() && attack.ours.association.is_connected());
    }
    // What a heartbeat holds comes back, and is not read.
    let mut attack = Attack::new();
    let value = [&[0, 1, 0, 4][..], &hidden(&attack)].concat();
    assert_eq!(attack.give(&[(kind::HEARTBEAT, 0, &value)]), Ok(()));
    assert!(attack.ours.events.is_empty());
    // A response that is longer than one, a request that is none, a third parameter.
    let request = [0, 13, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let response = [0, 16, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1];
    for value in [
        [&[0, 16, 0, 8, 0, 0, 0, 1][..]].concat(),
        [&[0, 13, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0][..]].concat(),
        [&request[..], &request].concat(),
        [&response[..], &response, &response].concat(),
        [&[0, 17, 0, 8, 0, 0, 0, 0][..]].concat(),
    ] {
        assert_eq!(attack.give(&[(kind::RE_CONFIG, 0, &value)]), malformed(Fault::Parameter), "{value:?}");
    }
}

#[test]
fn s_data_03_numbers_are_not_skipped_round_the_circle() {
    let mut attack = Attack::new();
    let last = attack.tsn.wrapping_sub(1);
    let forward = |tsn: u32| tsn.to_be_bytes();
    for (ahead, expected) in
        [(limits::SCTP_FORWARD + 1, dropped(Drop::Ahead)), (0x7fff_ffff, dropped(Drop::Ahead))]
    {
        assert_eq!(attack.give(&[(kind::FORWARD_TSN, 0, &forward(last.wrapping_add(ahead)))]), expected);
    }
    // What is taken counts at once, also for data behind it in the same packet.
    let data = Attack::data(last.wrapping_add(limits::SCTP_FORWARD + limits::SCTP_AHEAD + 1), 0, 0, b"x");
    let given = attack.give(&[
        (kind::FORWARD_TSN, 0, &forward(last.wrapping_add(limits::SCTP_FORWARD))),
        (kind::DATA, WHOLE, &data),
    ]);
    assert_eq!(given, dropped(Drop::Ahead));
    let data = Attack::data(last.wrapping_add(limits::SCTP_FORWARD + 1), 0, 0, b"x");
    assert_eq!(attack.give(&[(kind::DATA, WHOLE, &data)]), Ok(()));
    assert_eq!(attack.ours.messages(0), [&b"x"[..]]);
    // A stream is named once.
    let twice =
        [&forward(last.wrapping_add(limits::SCTP_FORWARD + 2))[..], &[0, 0, 0, 1, 0, 0, 0, 2]].concat();
    assert_eq!(attack.give(&[(kind::FORWARD_TSN, 0, &twice)]), Err(Refusal::Malformed(Fault::ForwardTsn)));
}

#[test]
fn s_data_03_a_stream_that_is_reset_in_the_middle_of_a_message_takes_nothing_more() {
    let mut attack = Attack::new();
    assert_eq!(attack.piece(FIRST, 1, 0, b"begun"), Ok(()));
    let last = attack.tsn.wrapping_sub(1);
    let mut request = vec![0, 13, 0, 18];
    request.extend(Attack::new().tsn.to_be_bytes());
    request.extend([0; 4]);
    request.extend(last.to_be_bytes());
    request.extend([0, 1]);
    assert_eq!(attack.give(&[(kind::RE_CONFIG, 0, &request)]), Ok(()));
    assert_eq!(attack.piece(FIRST, 1, 0, b"next life"), dropped(Drop::Resets));
    let forward = [&attack.tsn.to_be_bytes()[..], &[0, 1, 0, 9]].concat();
    assert_eq!(attack.give(&[(kind::FORWARD_TSN, 0, &forward)]), dropped(Drop::Behind));
    // Another stream is none of that.
    attack.tsn = last.wrapping_add(1);
    assert_eq!(attack.piece(WHOLE, 3, 0, b"x"), Ok(()));
    assert_eq!(attack.ours.messages(3), [&b"x"[..]]);
}

#[test]
fn s_data_08_what_waits_on_a_stream_that_its_peer_resets_still_weighs() {
    let mut attack = Attack::new();
    for round in 0..40u32 {
        let stream = 2 * round as u16;
        let message = Bytes::from(vec![1; limits::CHANNEL_MESSAGE]);
        if attack.ours.association.send(stream, ppid::BINARY, &message, Delivery::default()).is_err() {
            assert!(round >= 14);
            break;
        }
        assert!(round < 16, "all of it was forgotten");
        let mut request = vec![0, 13, 0, 18];
        request.extend(attack.tsn.wrapping_add(round).to_be_bytes());
        request.extend([0; 4]);
        request.extend(attack.tsn.wrapping_sub(1).to_be_bytes());
        request.extend(stream.to_be_bytes());
        let _ = attack.give(&[(kind::RE_CONFIG, 0, &request)]);
        attack.answers();
    }
    assert!(attack.ours.association.weight() > limits::SCTP_SEND_BUFFER - 2 * limits::CHANNEL_MESSAGE);
}

#[test]
fn s_data_08_who_does_not_acknowledge_what_was_given_up_is_not_sent_ever_more() {
    let mut attack = Attack::new();
    let message = Bytes::from(vec![1; 1_000]);
    let (mut taken, mut first, mut last) = (0, None, 0);
    for _ in 0..4_000 {
        match attack.ours.association.send(0, ppid::BINARY, &message, UNRELIABLE) {
            Ok(()) => taken += 1,
            Err(error) => assert_eq!(error, SendError::BufferFull),
        }
        let sent = numbers(&attack.answers());
        last = sent.into_iter().max().unwrap_or(last);
        let first = *first.get_or_insert(last);
        // The first is lost, and each later one has come.
        let newest = last.wrapping_sub(first) as u16 + 1;
        let blocks: &[(u16, u16)] = if newest > 1 { &[(newest, newest)] } else { &[] };
        assert_eq!(attack.give(&[(kind::SACK, 0, &sack(first.wrapping_sub(1), blocks))]), Ok(()));
    }
    assert_eq!(taken, limits::SCTP_UNDER_WAY);
    assert!(attack.ours.association.is_connected() && attack.ours.events.is_empty());
    // It goes on when all of that is acknowledged.
    assert_eq!(attack.give(&[(kind::SACK, 0, &sack(last, &[]))]), Ok(()));
    assert_eq!(attack.ours.events, [Event::Drained { stream: 0 }]);
    assert_eq!(attack.ours.association.send(0, ppid::BINARY, &message, UNRELIABLE), Ok(()));
}

#[test]
fn a_request_and_a_response_in_one_chunk_count_in_either_order() {
    for request_first in [true, false] {
        let mut attack = Attack::new();
        attack.ours.send(0, &b"x"[..], Delivery::default());
        let sent = numbers(&attack.answers());
        assert_eq!(attack.give(&[(kind::SACK, 0, &sack(sent[0], &[]))]), Ok(()));
        attack.ours.association.close(0);
        let asked = values(&attack.answers(), kind::RE_CONFIG);
        let number: [u8; 4] = asked[0][4..8].try_into().expect("a number");
        let mut request = vec![0, 13, 0, 18];
        request.extend(attack.tsn.to_be_bytes());
        request.extend(number);
        request.extend(attack.tsn.wrapping_sub(1).to_be_bytes());
        request.extend([0, 0]);
        let response = [&[0, 16, 0, 12][..], &number, &[0, 0, 0, 1]].concat();
        let value = if request_first {
            request.resize(20, 0);
            [request, response].concat()
        } else {
            [response, request].concat()
        };
        assert_eq!(attack.give(&[(kind::RE_CONFIG, 0, &value)]), Ok(()), "{request_first}");
        assert_eq!(attack.ours.events, [Event::Closed { stream: 0 }], "{request_first}");
        // It says for itself as well that its half is closed, and asks the first thing no more.
        let asked = values(&attack.answers(), kind::RE_CONFIG);
        let asked: Vec<_> = asked.iter().filter(|value| value[..2] == [0, 13]).collect();
        assert!(asked.iter().all(|value| value[4..8] != number), "{request_first}");
        let response = [&[0, 16, 0, 12][..], &asked[0][4..8], &[0, 0, 0, 1]].concat();
        assert_eq!(attack.give(&[(kind::RE_CONFIG, 0, &response)]), Ok(()));
        assert_eq!(attack.ours.events.last(), Some(&Event::Released { stream: 0 }), "{request_first}");
    }
}

#[test]
fn s_data_01_a_handshake_counts_what_is_broken_in_it() {
    let mut ours = Ours::new(Role::Passive, 1);
    let mut init = PacketWriter::new(PORTS, 0);
    init.chunk(kind::INIT, 0, &[0; 16]);
    let refused = ours.association.handle_packet(Instant::ZERO, &init.finish());
    assert_eq!(refused, Err(Refusal::Malformed(Fault::Init)));
    assert!(ours.transmit(Instant::ZERO).is_none());
}
