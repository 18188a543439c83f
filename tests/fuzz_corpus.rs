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
fn extensions() {
    replay("extensions", fuzz::extensions, usize::MAX);
}

#[test]
fn red() {
    replay("red", fuzz::red, usize::MAX);
}

#[test]
fn fec() {
    replay("fec", fuzz::fec, usize::MAX);
}

#[test]
fn rtx() {
    replay("rtx", fuzz::rtx, usize::MAX);
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
fn dtls() {
    replay("dtls", fuzz::dtls, 60);
}

#[test]
fn dtls_inner() {
    replay("dtls_inner", fuzz::dtls_inner, 40);
}

#[test]
fn dtls_messages() {
    replay("dtls_messages", fuzz::dtls_messages, usize::MAX);
}

#[test]
fn negotiation() {
    replay("negotiation", fuzz::negotiation, 60);
}

#[test]
fn engine_wire() {
    replay("engine_wire", fuzz::engine_wire, 20);
}

#[test]
fn engine_inner() {
    replay("engine_inner", fuzz::engine_inner, 30);
}

#[test]
fn engine_room() {
    replay("engine_room", fuzz::engine_room, 15);
}

#[test]
fn vp8() {
    replay("vp8", fuzz::vp8, usize::MAX);
}

#[test]
fn vp9() {
    replay("vp9", fuzz::vp9, usize::MAX);
}

#[test]
fn av1() {
    replay("av1", fuzz::av1, usize::MAX);
}

#[test]
fn h264() {
    replay("h264", fuzz::h264, usize::MAX);
}

#[test]
fn h265() {
    replay("h265", fuzz::h265, usize::MAX);
}

#[test]
fn opus() {
    replay("opus", fuzz::opus, usize::MAX);
}

#[test]
fn dependency_descriptor() {
    replay("dependency_descriptor", fuzz::dependency_descriptor, usize::MAX);
}

#[test]
fn layers_allocation() {
    replay("layers_allocation", fuzz::layers_allocation, usize::MAX);
}

#[test]
fn rtcp_reports() {
    replay("rtcp_reports", fuzz::rtcp_reports, usize::MAX);
}

#[test]
fn rtcp_sdes() {
    replay("rtcp_sdes", fuzz::rtcp_sdes, usize::MAX);
}

#[test]
fn rtcp_feedback() {
    replay("rtcp_feedback", fuzz::rtcp_feedback, usize::MAX);
}

#[test]
fn rtcp_twcc() {
    replay("rtcp_twcc", fuzz::rtcp_twcc, usize::MAX);
}

#[test]
fn rtcp_ccfb() {
    replay("rtcp_ccfb", fuzz::rtcp_ccfb, usize::MAX);
}

#[test]
fn framing() {
    replay("framing", fuzz::framing, 200);
}

#[test]
fn engine_streams() {
    replay("engine_streams", fuzz::engine_streams, 20);
}

#[test]
fn dcep() {
    replay("dcep", fuzz::dcep, usize::MAX);
}

#[test]
fn sctp() {
    replay("sctp", fuzz::sctp, 64);
}
