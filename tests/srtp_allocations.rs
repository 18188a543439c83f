//! A session of SRTP allocates for the first packet of a source and never again, counted by the
//! allocator.

use std::alloc::System;

use estafette::rtp::{SeqNo, Ssrc, WireSeq};
use estafette::srtp::{MasterKey, Opener, Profile, Sealer};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SSRC: Ssrc = Ssrc(7);

/// A header with one contributing source, or none, and an extension.
fn header(seq: u64, csrcs: u8) -> ([u8; 24], usize) {
    let [high, low] = (seq as u16).to_be_bytes();
    let mut header = [0; 24];
    header[..12].copy_from_slice(&[0x90 | csrcs, 96, high, low, 0, 0, 0, 9, 0, 0, 0, 7]);
    let at = 12 + 4 * usize::from(csrcs);
    header[at..at + 8].copy_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0]);
    (header, at + 8)
}

// One test alone: the allocator counts for the whole process.
#[test]
fn packets_are_sealed_and_opened_without_an_allocation() {
    let (mut sealed, mut plain) = ([0; 1_400], [0; 1_400]);
    for (profile, cryptex) in Profile::ALL.into_iter().flat_map(|one| [(one, false), (one, true)]) {
        let (key, salt) = (vec![1; profile.key_len()], vec![2; profile.salt_len()]);
        let master = MasterKey::new(profile, &key, &salt).unwrap();
        let (mut sealer, mut opener) = (Sealer::new(&master), Opener::new(&master));
        sealer.use_cryptex(cryptex);
        opener.accept_cryptex(cryptex);
        let mut pass = |numbers: std::ops::Range<u64>| {
            for seq in numbers {
                let (header, header_len) = header(seq, (seq % 2) as u8);
                let (header, payload) = (&header[..header_len], &[0x5a; 1_200][..seq as usize % 1_200]);
                let len = sealer.seal_rtp(header, &[], payload, SeqNo(seq), SSRC, &mut sealed).unwrap();
                if cryptex || seq % 3 == 0 {
                    assert!(opener.open_packet(&sealed[..len], &mut plain).is_ok());
                } else {
                    let wire = WireSeq(seq as u16);
                    assert!(opener.open_rtp(&sealed[..len], header_len, SSRC, wire, &mut plain).is_ok());
                }
                sealed[len - 1] ^= 1;
                assert!(opener.open_packet(&sealed[..len], &mut plain).is_err());
                sealed[..12].copy_from_slice(&[0x80, 200, 0, 2, 0, 0, 0, 7, 1, 2, 3, 4]);
                let len = sealer.seal_rtcp(&mut sealed, 12).unwrap();
                assert!(opener.open_rtcp(&sealed[..len], &mut plain).is_ok());
            }
        };
        pass(65_000..65_010);
        // The least of a few passes: the test's own harness allocates while the first one runs.
        let least = [65_010, 66_000, 67_000].map(|start| {
            let region = Region::new(GLOBAL);
            pass(start..start + 990);
            let change = region.change();
            change.allocations + change.reallocations
        });
        assert_eq!(least.into_iter().min(), Some(0), "{profile:?}, Cryptex: {cryptex}");
    }
}
