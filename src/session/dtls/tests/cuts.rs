//! Every message of ours, cut at every length and changed in every byte, before the end that it is for. What is
//! protected is changed before it is sealed, as only a peer could.
//!
//! Both ends draw from seeds and sign with Ed25519, so that an end can be made again and told the same.

use super::*;
use crate::session::dtls::message::{FINISHED, Message};
use crate::session::dtls::record::{HANDSHAKE, long_header};

/// An end that says the same each time as long as it hears the same.
fn fresh(role: Role, versions: Versions) -> Association {
    let groups = vec![Group::X25519];
    let config = Config { versions, groups, reproducible: true, ..Config::default() };
    let certificate = Certificate::from_seed(&[role as u8; 32]).unwrap();
    let theirs = Certificate::from_seed(&[1 - role as u8; 32]).unwrap().fingerprint();
    let context = Context::new(config, certificate).unwrap();
    Association::new(role, &context, &[theirs], role as u64, Instant::from_millis(1_000))
}

type Said = (u16, Message);

/// What an end says now, message by message.
fn said(association: &Association) -> Vec<Said> {
    association.talk.flight.messages().map(|(epoch, message)| (epoch, message.clone())).collect()
}

/// A message as a datagram of `from`, in clear or sealed.
fn datagram(from: &mut Association, (epoch, message): &Said, number: &mut u64) -> Vec<u8> {
    let mut body = Vec::new();
    message.whole().write(&mut body);
    *number += 1;
    if *epoch == 0 {
        return [&long_header(HANDSHAKE, 0, *number, body.len())[..], &body].concat();
    }
    transmits(from);
    from.talk.outgoing.record(*epoch, HANDSHAKE, &body).expect("it has the keys");
    from.talk.outgoing.flush();
    transmits(from).concat()
}

/// Cut at every length, and with a bit, and all bits, of every byte changed.
fn variants(message: &Message) -> impl Iterator<Item = Message> + '_ {
    let len = message.body.len();
    let cuts = (0..len).map(|len| message.body[..len].to_vec());
    let flips = (0..len).flat_map(move |at| {
        [1 << (at % 8), 0xff].map(|bits| {
            let mut body = message.body.to_vec();
            body[at] ^= bits;
            body
        })
    });
    let longer = [message.body.to_vec(), vec![0]].concat();
    cuts.chain(flips).chain([longer]).map(|body| Message { body: body.into(), ..message.clone() })
}

/// Runs a handshake flight by flight; `hearer` gets every variant of every message. How many there were.
fn cut_all(versions: Versions) -> usize {
    let mut ends = [fresh(Role::Server, versions), fresh(Role::Client, versions)];
    let mut heard: [Vec<Said>; 2] = Default::default();
    let (mut cases, mut number) = (0, 0);
    for at in [0, 1, 0, 1] {
        let role = if at == 0 { Role::Server } else { Role::Client };
        let flight = said(&ends[1 - at]);
        for next in flight {
            for variant in variants(&next.1) {
                let mut end = fresh(role, versions);
                for before in &heard[at] {
                    let datagram = datagram(&mut ends[1 - at], before, &mut number);
                    end.handle_datagram(Instant::from_millis(1_000), &datagram).expect("it is genuine");
                }
                let changed = datagram(&mut ends[1 - at], &(next.0, variant), &mut number);
                let _ = end.handle_datagram(Instant::from_millis(1_000), &changed);
                let event = end.poll_event();
                let refused = match event {
                    Some(Event::Failed(reason)) => reason != FailReason::Provider,
                    None => next.1.kind != FINISHED,
                    _ => false,
                };
                assert!(refused, "{versions:?}, message {} of {}: {event:?}", next.1.kind, 1 - at);
                cases += 1;
            }
            let genuine = datagram(&mut ends[1 - at], &next, &mut number);
            let now = Instant::from_millis(1_000);
            // The keys of later flights are there only while the end lives that has them.
            ends[at].handle_datagram(now, &genuine).expect("it is genuine");
            heard[at].push(next);
        }
        if ends.iter_mut().all(|end| matches!(end.poll_event(), Some(Event::Connected { .. }))) {
            break;
        }
    }
    cases
}

#[test]
fn i_01_every_message_cut_or_changed_anywhere_is_refused_by_name() {
    let cases = [Versions::V12, Versions::V13].map(cut_all);
    assert!(cases.iter().all(|cases| *cases > 2_500), "{cases:?}");
}
