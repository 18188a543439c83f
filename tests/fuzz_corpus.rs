//! The fuzz targets' bodies over the kept corpus, so that they are run without a fuzzer.

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::path::PathBuf;

/// Runs a target over its kept files and over simple changes of each.
fn replay(target: &str, body: fn(&[u8]), changes: usize) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus-kept").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let bytes = std::fs::read(&file).expect("a file");
        println!("{}", file.display());
        body(&bytes);
        // Cut off anywhere, and a byte changed anywhere.
        let step = (bytes.len() / changes.max(1)).max(1);
        for at in (0..bytes.len()).step_by(step).take(changes) {
            body(&bytes[..at]);
            let mut changed = bytes.clone();
            changed[at] = changed[at].wrapping_mul(31).wrapping_add(at as u8 | 1);
            body(&changed);
        }
    }
}

#[test]
fn stun() {
    replay("stun", fuzz::stun, usize::MAX);
}

#[test]
fn rtp() {
    replay("rtp", fuzz::rtp, usize::MAX);
}

#[test]
fn rtcp() {
    replay("rtcp", fuzz::rtcp, usize::MAX);
}

#[test]
fn sdp() {
    replay("sdp", fuzz::sdp, 200);
}

#[test]
fn ice() {
    replay("ice", fuzz::ice, 200);
}

#[test]
fn srtp() {
    replay("srtp", fuzz::srtp, 100);
}

#[test]
fn engine() {
    replay("engine", fuzz::engine, 30);
}

#[test]
fn framing() {
    replay("framing", fuzz::framing, 200);
}

#[test]
fn engine_streams() {
    replay("engine_streams", fuzz::engine_streams, 20);
}
