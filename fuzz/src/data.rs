//! Data channels: their protocol, and an association with a peer that knows the tag and says anything.

use estafette::dcep::{Delivery, Message, Reliability, ppid};
use estafette::random::Random;
use estafette::sctp::{Association, Config, Event, Role};
use estafette::sctp_packet::{Init, Packet, PacketWriter, Ports, kind};
use estafette::{Instant, limits};
use std::time::Duration;

/// Messages of the protocol of channels: what is read is written the same.
pub fn dcep(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        let mut out = Vec::new();
        message.write(&mut out).expect("names as long as those that were read");
        assert_eq!(Message::parse(&out), Ok(message));
    }
}

const PORTS: Ports = Ports { source: 5_000, destination: 5_000 };

/// Chunks of a peer, one after the other: type, flags, length, value; between them time and polls, and what the owner
/// does.
pub fn sctp(data: &[u8]) {
    let (mut association, tag, tsn) = connected();
    let mut now = Instant::from_millis(1_000);
    let mut rest = data;
    while let [kind, flags, len, tail @ ..] = rest {
        let (value, tail) = tail.split_at(tail.len().min((*len).into()));
        rest = tail;
        let stream = u16::from(*flags % 8);
        match *kind {
            255 => {
                now += Duration::from_millis((*flags).into());
                association.handle_timeout(now);
                drain(&mut association, now);
                continue;
            }
            254 => {
                let reliability = match *flags / 64 {
                    0 => Reliability::Reliable,
                    1 => Reliability::Lifetime(1),
                    most => Reliability::Retransmissions(u32::from(most) - 2),
                };
                let message = vec![0; 1 + usize::from(*len) * 256].into();
                let delivery = Delivery { ordered: *flags & 32 == 0, reliability };
                let _ = association.send(stream, ppid::BINARY, &message, delivery);
                continue;
            }
            253 => {
                association.close(stream);
                continue;
            }
            252 => {
                association.open(stream);
                continue;
            }
            _ => {}
        }
        let mut value = value.to_vec();
        // Numbers near those that are expected.
        if matches!(*kind, kind::DATA | kind::FORWARD_TSN)
            && let Some(number) = value.first_chunk_mut::<4>()
        {
            *number = tsn.wrapping_add(u32::from_be_bytes(*number) % 2_048).to_be_bytes();
        }
        let mut writer = PacketWriter::new(PORTS, if *kind == kind::INIT { 0 } else { tag });
        writer.chunk(*kind, *flags, &value);
        let _ = association.handle_packet(now, &writer.finish());
    }
    // As they are, too.
    let _ = association.handle_packet(now, data);
    assert!(association.weight() <= limits::SCTP_SEND_BUFFER);
    drain(&mut association, now);
}

fn drain(association: &mut Association, now: Instant) {
    let mut buf = [0; 2_048];
    while let Some(len) = association.poll_transmit(now, &mut buf) {
        assert!(len <= Config::default().packet);
        Packet::parse(&buf[..len]).expect("ours are well formed");
    }
    while let Some(event) = association.poll_event() {
        if let Event::Message { data, .. } = event {
            assert!(!data.is_empty() && data.len() <= limits::CHANNEL_MESSAGE);
        }
    }
    assert!(association.poll_timeout().is_none_or(|at| at > now));
}

/// An association that is established, its tag, and the number it expects first.
fn connected() -> (Association, u32, u32) {
    let new = |role, seed| Association::new(Config::default(), role, Random::new([seed; 32]), Instant::ZERO);
    let (mut a, mut b) = (new(Role::Active, 1), new(Role::Passive, 2));
    let (mut tag, mut tsn) = (0, 0);
    let mut buf = [0; 2_048];
    for _ in 0..4 {
        for from_a in [true, false] {
            let (from, to) = if from_a { (&mut a, &mut b) } else { (&mut b, &mut a) };
            from.handle_timeout(Instant::ZERO);
            while let Some(len) = from.poll_transmit(Instant::ZERO, &mut buf) {
                let packet = Packet::parse(&buf[..len]).expect("ours are well formed");
                for chunk in packet.chunks() {
                    match (chunk.kind, Init::parse(chunk.value)) {
                        (kind::INIT, Ok(init)) => tag = init.tag,
                        (kind::INIT_ACK, Ok(init)) => tsn = init.tsn,
                        _ => {}
                    }
                }
                to.handle_packet(Instant::ZERO, &buf[..len]).expect("what it waits for");
            }
        }
    }
    assert!(a.is_connected() && b.is_connected());
    (a, tag, tsn)
}
