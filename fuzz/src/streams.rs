//! Streams: frames of any bytes in any pieces, alone and at an engine in a call.

use super::Script;
use super::support::handshake::Ours;
use super::support::{ENGINE, World};
use estafette::framing::{self, Deframer};
use estafette::mux::{Path, Protocol};
use estafette::{Event, Instant, limits};
use std::net::SocketAddr;
use std::time::Duration;

/// A stream read in the script's pieces, and the same in one: the same frames, the same end.
pub fn framing(data: &[u8]) {
    let mut script = Script(data);
    let shape = script.bytes(8);
    let stream = script.0;
    let now = Instant::from_millis(1);
    let read = |sizes: &[usize]| {
        let (mut deframer, mut frames, mut rest) = (Deframer::default(), Vec::new(), stream);
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let (mut piece, behind) = rest.split_at(sizes.next().map_or(1, |size| *size).min(rest.len()));
            rest = behind;
            loop {
                match deframer.next(now, &mut piece) {
                    Ok(Some(frame)) => frames.push(frame.to_vec()),
                    Ok(None) => break,
                    Err(fault) => return (frames, Err(fault)),
                }
            }
            assert!(piece.is_empty(), "all of a piece is taken");
        }
        let late = now + limits::STREAM_FRAME_TIMEOUT;
        assert_eq!(deframer.poll_timeout().is_some(), deframer.handle_timeout(late).is_err());
        (frames, Ok(()))
    };
    let sizes: Vec<usize> = shape.iter().map(|size| 1 + usize::from(*size)).collect();
    let (frames, end) = read(&[usize::MAX]);
    assert_eq!(read(&sizes), (frames.clone(), end), "whatever the pieces");
    // What was read can be written, and is what stood there.
    let mut written = Vec::new();
    for frame in &frames {
        assert!((1..=limits::DATAGRAM).contains(&frame.len()));
        let mut out = vec![0; framing::PREFIX + frame.len()];
        assert_eq!(framing::write(frame, &mut out), Some(out.len()));
        written.extend(out);
    }
    assert!(stream.starts_with(&written));
    assert!(frames.first().is_none_or(|first| first[0] < 4), "STUN comes first");
}

/// An engine with a call over TCP, and streams of strangers and participants that say anything.
pub fn engine_streams(data: &[u8]) {
    let mut script = Script(data);
    let mut world = World::connected_over(Protocol::Tcp, Box::new(Ours::new()), 1);
    let addresses = [world.peers[0].address, world.peers[1].address];
    while let Some(operation) = script.byte() {
        let stranger = SocketAddr::from(([203, 0, 113, operation >> 4], 7));
        let remote = match operation & 0x18 {
            0x18 => addresses[usize::from(operation >> 7)],
            _ => stranger,
        };
        let path = Path { protocol: Protocol::Tcp, local: ENGINE, remote };
        match operation & 7 {
            0 => drop(world.engine.open_stream(path)),
            1 => world.engine.close_stream(path),
            2..=4 => drop(world.engine.handle_stream(world.now, path, script.chunk())),
            5 => {
                let mut frame = [0; limits::DATAGRAM];
                if let Some(len) = framing::write(script.chunk(), &mut frame) {
                    let _ = world.engine.handle_stream(world.now, path, &frame[..len]);
                }
            }
            6 => world.run(Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 40)),
            _ => world.settle(),
        }
        let stats = world.engine.stats();
        assert!(stats.streams_unproven <= stats.streams && stats.streams <= 18);
        assert_eq!(
            stats.datagrams_received,
            stats.datagrams_consumed + stats.media_received + stats.datagrams_dropped,
            "every frame was consumed, kept or dropped"
        );
    }
    // In the end nobody is left, and no stream.
    world.run(limits::STREAM_PROOF_TIMEOUT + limits::CONSENT_TIMEOUT);
    world.reopen();
    assert_eq!(world.engine.stats().streams, 0, "{:?}", world.events.last());
    let ended =
        |event: &Event| matches!(event, Event::StreamClosed { path, .. } if path.protocol == Protocol::Tcp);
    assert!(world.events.iter().filter(|event| matches!(event, Event::StreamClosed { .. })).all(ended));
}
