//! I-08 for DTLS: with keys that follow from the seed a whole handshake and what follows repeats byte for byte.

mod support;

use estafette::Instant;
use estafette::dtls::{Association, Context, Event, Role, Versions};
use support::seeded_dtls;

/// Everything both ends said, to each other and to their owners.
fn transcript(versions: Versions, seed: u8) -> Vec<(u64, String)> {
    let config = seeded_dtls::config(versions);
    let context = Context::new(config, seeded_dtls::certificate()).unwrap();
    let expected = [context.fingerprint()];
    let mut now = Instant::from_millis(10);
    let (a, b) = (u64::from(seed), u64::from(seed) + 1_000);
    let mut ends = [
        Association::new(Role::Client, &context, &expected, a, now),
        Association::new(Role::Server, &context, &expected, b, now),
    ];
    let mut said = Vec::new();
    let mut number = 0;
    for round in 0..400 {
        let mut buf = [0; 2_048];
        for from in [0, 1] {
            while let Some(len) = ends[from].poll_transmit(now, &mut buf) {
                said.push((now.as_micros(), format!("{from} {:02x?}", &buf[..len])));
                number += 1;
                // The second datagram is lost, so that a repetition with its jitter is compared too.
                if number != 2 {
                    let _ = ends[1 - from].handle_datagram(now, &buf[..len]);
                }
            }
            while let Some(event) = ends[from].poll_event() {
                if let Event::Connected { keying, .. } = &event {
                    said.push((now.as_micros(), format!("{from} {:x?}", keying.local_key.expose())));
                    ends[from].send(b"hello").unwrap();
                }
                said.push((now.as_micros(), format!("{from} {event:?}")));
            }
        }
        if round == 300 {
            ends[0].close();
        }
        now += std::time::Duration::from_millis(10);
        ends.iter_mut().for_each(|end| end.handle_timeout(now));
    }
    said
}

#[test]
fn i_08_the_same_seed_gives_the_same_bytes_keys_and_times() {
    for versions in [Versions::V12, Versions::V13, Versions::Auto] {
        let first = transcript(versions, 7);
        let connected = first.iter().filter(|(_, line)| line.contains("Connected")).count();
        assert_eq!(connected, 2, "{versions:?}");
        assert!(first.iter().any(|(_, line)| line.ends_with("Closed")), "{versions:?}");
        let second = transcript(versions, 7);
        for (a, b) in first.iter().zip(&second) {
            assert_eq!(a, b, "{versions:?}");
        }
        assert_eq!(first.len(), second.len());
    }
}

#[test]
fn another_seed_gives_other_bytes_from_the_first_hello_on() {
    for versions in [Versions::V12, Versions::V13, Versions::Auto] {
        assert_ne!(transcript(versions, 7)[0], transcript(versions, 8)[0]);
    }
}
