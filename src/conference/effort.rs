//! The work that a datagram of a stranger makes (I-05), counted in HMACs and openings.

#[path = "../../benches/support/mod.rs"]
pub(super) mod support;

use crate::conference::drops::DropReason;
use crate::conference::engine::Datagram;
use crate::crypto::work;
use crate::wire::mux::{Ecn, Path, Protocol};
use support::World;
use support::handshake::Ours;
use support::peer::Media;

/// What it costs to take `data` from `path`, which has to be dropped.
fn cost(world: &mut World, path: Path, data: &[u8]) -> u64 {
    let (before, dropped) = (work::paid(), world.engine.stats().datagrams_dropped);
    world.engine.handle_datagram(world.now, Datagram { path, ecn: Ecn::NotEct, data });
    assert_eq!(world.engine.stats().datagrams_dropped, dropped + 1, "{data:02x?}");
    work::paid() - before
}

/// Datagrams of all kinds that authenticate nobody, and what each may cost at most.
fn forgeries(world: &mut World) -> Vec<(Vec<u8>, u64)> {
    let mut check = world.checks().remove(0).1;
    *check.last_mut().unwrap() ^= 1;
    let mut forgeries = vec![
        // The checksum is wrong: no HMAC is computed.
        (check.clone(), 0),
        (vec![0; 20], 0),
        (vec![0x40; 100], 0),
        (vec![0xff; 1_200], 0),
    ];
    for media in [Media::Audio, Media::Video] {
        let mut packet = world.packets(media, 1_000, 1).remove(0);
        *packet.last_mut().unwrap() ^= 1;
        forgeries.push((packet.clone(), 1));
        // Another SSRC: there is no context, and two roll-over counts to try.
        packet[9] ^= 0x55;
        forgeries.push((packet.clone(), 2));
        // The same bytes as RTCP, which say that they are encrypted (RFC 7714, section 9.2).
        packet[1] = 200;
        let index = packet.len() - 4;
        packet[index] |= 0x80;
        forgeries.push((packet, 1));
    }
    forgeries
}

#[test]
fn i_05_what_authenticates_nobody_costs_one_opening_for_each_index_it_may_have() {
    let costs = |listeners| {
        let mut world = World::connected(Box::new(Ours::new()), listeners);
        let own = support::path(world.peers[0].address);
        let stranger = Path { remote: ([203, 0, 113, 9], 9).into(), ..own };
        let mut costs = Vec::new();
        for (data, most) in forgeries(&mut world) {
            let from_own = cost(&mut world, own, &data);
            assert!(from_own <= most, "{from_own} for {:02x?}", &data[..12]);
            // Of strangers nothing but STUN is even tried.
            let from_stranger = cost(&mut world, stranger, &data);
            assert_eq!(from_stranger, 0, "{data:02x?}");
            costs.push(from_own);
        }
        // A packet that came before is known without opening it.
        let packet = world.packets(Media::Audio, 100, 1).remove(0);
        world.forward(std::slice::from_ref(&packet));
        costs.push(cost(&mut world, own, &packet));
        costs
    };
    let few = costs(1);
    assert!(few.iter().any(|cost| *cost > 0), "tags are counted");
    assert_eq!(few, costs(40), "whoever else is there");
}

#[test]
fn i_05_a_check_with_a_wrong_password_costs_one_hmac() {
    use crate::wire::stun::{BINDING, Class, TransactionId, Writer, attribute};
    let mut world = World::connected(Box::new(Ours::new()), 40);
    let good = world.checks().remove(0).1;
    let username = crate::wire::stun::Message::parse(&good).unwrap().username().unwrap().to_owned();
    let mut costs = Vec::new();
    for username in [&*username, "0000nobody:peer", "", "nobody"] {
        let mut buf = [0; 200];
        let mut writer = Writer::new(&mut buf, Class::Request, BINDING, TransactionId([5; 12])).unwrap();
        writer.attribute(attribute::USERNAME, username.as_bytes()).unwrap();
        let len = writer.finish_with_integrity(|_| [7; 20]).unwrap();
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let path = Path {
                protocol,
                remote: ([203, 0, 113, 9], 9).into(),
                ..support::path(world.peers[0].address)
            };
            costs.push(cost(&mut world, path, &buf[..len]));
        }
    }
    // Who is not here is found out for nothing.
    assert_eq!(costs, [1, 1, 0, 0, 0, 0, 0, 0]);
    let stats = world.engine.stats();
    assert!(stats.dropped(DropReason::UnknownUsername) >= 2, "{stats:?}");
}
