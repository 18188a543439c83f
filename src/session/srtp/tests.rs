//! Threats by their names; published vectors and Cryptex in files of their own.

mod cryptex;
mod vectors;

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::base::limits;
use crate::wire::rtp::{SeqNo, Ssrc, WireSeq};

fn master(profile: Profile, fill: u8) -> MasterKey {
    let key: Vec<u8> = (0..profile.key_len()).map(|i| fill ^ i as u8).collect();
    MasterKey::new(profile, &key, &key[..profile.salt_len().min(key.len())]).unwrap()
}

/// The two ends of one direction.
fn pair(profile: Profile) -> (Sealer, Opener) {
    (Sealer::new(&master(profile, 0x50)), Opener::new(&master(profile, 0x50)))
}

fn header(ssrc: u32, seq: u64) -> [u8; 12] {
    let mut header = [0; 12];
    header[0] = 0x80;
    header[1] = 96;
    header[2..4].copy_from_slice(&(seq as u16).to_be_bytes());
    header[8..].copy_from_slice(&ssrc.to_be_bytes());
    header
}

fn seal(sealer: &Sealer, ssrc: u32, seq: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 12 + payload.len() + 16];
    let (head, rest) = payload.split_at(payload.len() / 3);
    let header = header(ssrc, seq);
    let len = sealer.seal_rtp(&header, head, rest, SeqNo(seq), Ssrc(ssrc), &mut out).unwrap();
    out.truncate(len);
    out
}

fn open(opener: &mut Opener, packet: &[u8]) -> Result<(Opened, Vec<u8>), OpenError> {
    let ssrc = Ssrc(u32::from_be_bytes(packet[8..12].try_into().unwrap()));
    let seq = WireSeq(u16::from_be_bytes(packet[2..4].try_into().unwrap()));
    let mut out = vec![0; packet.len()];
    let opened = opener.open_rtp(packet, 12, ssrc, seq, &mut out)?;
    out.truncate(opened.len);
    Ok((opened, out))
}

fn report(ssrc: u32, words: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 201];
    packet.extend(words.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.resize(4 + usize::from(words) * 4, 0xab);
    packet
}

fn seal_rtcp(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + 20, 0);
    let len = sealer.seal_rtcp(&mut buf, plain.len()).unwrap();
    buf.truncate(len);
    buf
}

fn open_rtcp(opener: &mut Opener, packet: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut out = vec![0; packet.len()];
    let len = opener.open_rtcp(packet, &mut out)?;
    out.truncate(len);
    Ok(out)
}

#[test]
fn s_srtp_01_what_is_too_short_is_dropped_before_decryption() {
    for profile in Profile::ALL {
        let (mut sealer, mut opener) = pair(profile);
        let packet = seal(&sealer, 7, 1, b"payload");
        let least = 12 + profile.rtp_overhead();
        let mut out = [0xee; 64];
        for len in 0..packet.len() {
            let opened = opener.open_rtp(&packet[..len], 12, Ssrc(7), WireSeq(1), &mut out);
            let short = opened == Err(OpenError::TooShort);
            assert_eq!(short, len < least, "{len} bytes: {opened:?}");
            assert!(!short || out == [0xee; 64]);
        }
        // An extension that reaches into the tag or beyond.
        for header_len in packet.len() - profile.rtp_overhead() + 1..packet.len() + 9 {
            let opened = opener.open_rtp(&packet, header_len, Ssrc(7), WireSeq(1), &mut out);
            assert_eq!(opened, Err(OpenError::TooShort));
        }
        let opened = opener.open_rtp(&packet, usize::MAX, Ssrc(7), WireSeq(1), &mut out);
        assert_eq!(opened, Err(OpenError::TooShort));
        let control = seal_rtcp(&mut sealer, &report(7, 1));
        for len in 0..control.len() {
            assert!(open_rtcp(&mut opener, &control[..len]).is_err());
        }
        assert_eq!(open_rtcp(&mut opener, &control).unwrap(), report(7, 1));
        assert_eq!(opener.find(Ssrc(7)), None);
        assert_eq!(open(&mut opener, &packet).unwrap().1, b"payload");
    }
}

#[test]
fn s_srtp_02_a_bad_tag_changes_nothing() {
    for profile in Profile::ALL {
        let (mut sealer, mut opener) = pair(profile);
        for seq in [65_000, 65_530] {
            open(&mut opener, &seal(&sealer, 7, seq, b"old")).unwrap();
        }
        open_rtcp(&mut opener, &seal_rtcp(&mut sealer, &report(7, 4))).unwrap();
        let before = format!("{opener:?}");
        // The wrap is between: the roll-over count must not move either.
        let media = seal(&sealer, 7, 65_540, b"new payload");
        let stranger = seal(&sealer, 8, 3, b"new stream");
        let control = seal_rtcp(&mut sealer, &report(8, 4));
        for at in 0..media.len() * 8 {
            let mut packet = media.clone();
            packet[at / 8] ^= 1 << (at % 8);
            assert!(open(&mut opener, &packet).is_err(), "bit {at}");
            let mut packet = stranger.clone();
            let at = at % (packet.len() * 8);
            packet[at / 8] ^= 1 << (at % 8);
            assert_eq!(open(&mut opener, &packet), Err(OpenError::Authentication));
        }
        for at in 0..control.len() * 8 {
            let mut packet = control.clone();
            packet[at / 8] ^= 1 << (at % 8);
            assert!(open_rtcp(&mut opener, &packet).is_err(), "bit {at}");
        }
        assert_eq!(format!("{opener:?}"), before);
        assert_eq!(open(&mut opener, &media).unwrap().0.seq, SeqNo(65_540));
        assert!(open(&mut opener, &stranger).unwrap().0.new);
        assert_eq!(open_rtcp(&mut opener, &control), Ok(report(8, 4)));
    }
}

#[test]
fn s_srtp_03_replays_are_dropped_inside_and_behind_the_window() {
    let span = limits::SRTP_REPLAY_WINDOW as u64;
    for profile in Profile::ALL {
        let (sealer, mut opener) = pair(profile);
        let newest = 70_000;
        let packet = |seq| seal(&sealer, 7, seq, &[seq as u8]);
        assert!(open(&mut opener, &packet(newest - 65_000)).is_ok());
        for seq in [newest - 30_000, newest] {
            assert!(open(&mut opener, &packet(seq)).is_ok());
            assert_eq!(open(&mut opener, &packet(seq)), Err(OpenError::Replayed));
        }
        assert_eq!(open(&mut opener, &packet(newest - span)), Err(OpenError::Replayed));
        for seq in newest - span + 1..newest {
            let (opened, payload) = open(&mut opener, &packet(seq)).unwrap();
            assert_eq!((opened.seq, &payload[..]), (SeqNo(seq), &[seq as u8][..]));
            assert_eq!(open(&mut opener, &packet(seq)), Err(OpenError::Replayed));
        }
    }
}

#[test]
fn s_srtp_04_a_start_next_to_the_wrap_and_a_gap_of_half_the_space() {
    for profile in Profile::ALL {
        // All of the first cycle was lost, but late ones still come.
        let (sealer, mut opener) = pair(profile);
        for seq in [65_537, 65_535, 65_536, 65_534, 65_538] {
            let (opened, _) = open(&mut opener, &seal(&sealer, 7, seq, b"x")).unwrap();
            assert_eq!(opened.seq, SeqNo(seq));
        }
        // Appendix A reaches 0x7fff ahead from the upper half of a cycle, one more from the lower.
        let (sealer, mut opener) = pair(profile);
        let mut seq = 65_535;
        for gap in [0, 0x7fff, 0x8000, 0x7fff] {
            seq += gap;
            let (opened, _) = open(&mut opener, &seal(&sealer, 7, seq, b"x")).unwrap();
            assert_eq!(opened.seq, SeqNo(seq));
        }
        // Beyond, it cannot be told from the past.
        assert!(open(&mut opener, &seal(&sealer, 7, seq + 0x8001, b"x")).is_err());
    }
}

#[test]
fn s_srtp_05_contexts_are_bounded_and_forgetting_never_reopens_replay() {
    let (sealer, mut opener) = pair(Profile::AeadAes128Gcm);
    let most = limits::SSRCS_PER_SESSION as u32;
    for ssrc in 0..most {
        assert!(open(&mut opener, &seal(&sealer, ssrc, 65_535, b"x")).unwrap().0.new);
        assert!(!open(&mut opener, &seal(&sealer, ssrc, 65_536, b"y")).unwrap().0.new);
    }
    let more = seal(&sealer, most, 1, b"x");
    assert_eq!(open(&mut opener, &more), Err(OpenError::TooManySources));
    let context = opener.find(Ssrc(5)).unwrap();
    opener.forget(context);
    assert_eq!(opener.find(Ssrc(5)), None);
    assert_eq!(open(&mut opener, &more).unwrap().0.context, context);
    opener.forget(opener.find(Ssrc(9)).unwrap());
    for seq in [65_534, 65_535, 65_536] {
        assert_eq!(open(&mut opener, &seal(&sealer, 5, seq, b"x")), Err(OpenError::Replayed));
    }
    // The source goes on where it was, roll-over count included.
    let (opened, _) = open(&mut opener, &seal(&sealer, 5, 65_539, b"z")).unwrap();
    assert_eq!((opened.seq, opened.new), (SeqNo(65_539), true));
    assert_eq!(open(&mut opener, &seal(&sealer, 5, 65_538, b"x")), Err(OpenError::Replayed));
    assert!(!open(&mut opener, &seal(&sealer, 5, 65_540, b"z")).unwrap().0.new);
}

#[test]
fn s_srtp_05_a_peer_that_changes_its_ssrcs_for_ever_is_stopped() {
    let (mut sealer, mut opener) = pair(Profile::AeadAes128Gcm);
    for ssrc in 0..limits::SSRCS_PER_KEY as u32 {
        let (opened, _) = open(&mut opener, &seal(&sealer, ssrc, 1, b"x")).unwrap();
        opener.forget(opened.context);
        open_rtcp(&mut opener, &seal_rtcp(&mut sealer, &report(ssrc, 1))).unwrap();
    }
    assert_eq!(open(&mut opener, &seal(&sealer, 999, 1, b"x")), Err(OpenError::TooManySources));
    let control = seal_rtcp(&mut sealer, &report(999, 1));
    assert_eq!(open_rtcp(&mut opener, &control), Err(OpenError::TooManySources));
    assert!(open(&mut opener, &seal(&sealer, 17, 2, b"x")).is_ok());
}

#[test]
fn s_srtp_06_control_packets_replayed_or_unencrypted_are_dropped() {
    for profile in Profile::ALL {
        let (mut sealer, mut opener) = pair(profile);
        let packets: Vec<_> = (0..70).map(|_| seal_rtcp(&mut sealer, &report(7, 9))).collect();
        for late in [1, 69, 6, 69, 6] {
            let fresh = opener.open_rtcp(&packets[late], &mut [0; 256]);
            let seen = opener.open_rtcp(&packets[late], &mut [0; 256]);
            assert!(fresh.is_ok() || fresh == seen);
            assert_eq!(seen, Err(OpenError::Replayed));
        }
        // 64 behind the newest.
        assert_eq!(open_rtcp(&mut opener, &packets[5]), Err(OpenError::Replayed));
        let mut plain = packets[30].clone();
        let flag = plain.len() - if profile.salt_len() == 14 { 14 } else { 4 };
        plain[flag] &= 0x7f;
        assert_eq!(open_rtcp(&mut opener, &plain), Err(OpenError::Unencrypted));
        // The flag is under the tag as well, and each source has indices of its own.
        plain[flag] |= 0x80;
        assert_eq!(open_rtcp(&mut opener, &plain), Ok(report(7, 9)));
        assert!(open_rtcp(&mut opener, &seal_rtcp(&mut sealer, &report(8, 9))).is_ok());
    }
}

#[test]
fn s_srtp_08_a_million_bad_tags() {
    let (sealer, mut opener) = pair(Profile::AeadAes128Gcm);
    let (known, _) = open(&mut opener, &seal(&sealer, 0, 40_000, b"x")).unwrap();
    let before = format!("{opener:?}");
    let mut packet = seal(&sealer, 0, 40_001, b"y");
    let good = packet.clone();
    *packet.last_mut().unwrap() ^= 1;
    let mut out = [0; 64];
    for i in 0..1_000_000u32 {
        let (ssrc, seq) = (Ssrc(i % 1_000), WireSeq(40_001 + (i % 20_000) as u16));
        let opened = opener.open_rtp(&packet, 12, ssrc, seq, &mut out);
        assert_eq!(opened, Err(OpenError::Authentication));
    }
    assert_eq!(format!("{opener:?}"), before);
    let (opened, _) = open(&mut opener, &good).unwrap();
    assert_eq!((opened.context, opened.seq, opened.new), (known.context, SeqNo(40_001), false));
}

#[test]
fn s_srtp_12_short_tags_are_on_rtp_alone() {
    let (mut long, mut short) = (
        Sealer::new(&master(Profile::Aes128CmHmacSha1_80, 0x50)),
        Sealer::new(&master(Profile::Aes128CmHmacSha1_32, 0x50)),
    );
    // The same keys: only the tags of RTP differ, in their length.
    let (packet, shorter) = (seal(&long, 7, 1, b"payload"), seal(&short, 7, 1, b"payload"));
    assert_eq!((shorter.len(), &shorter[..]), (12 + 7 + 4, &packet[..12 + 7 + 4]));
    assert_eq!(seal_rtcp(&mut long, &report(7, 5)), seal_rtcp(&mut short, &report(7, 5)));
    let mut opener = Opener::new(&master(Profile::Aes128CmHmacSha1_32, 0x50));
    assert_eq!(open(&mut opener, &packet), Err(OpenError::Authentication));
    let control = seal_rtcp(&mut short, &report(7, 5));
    assert_eq!(open_rtcp(&mut opener, &control[..control.len() - 6]), Err(OpenError::Unencrypted));
    assert_eq!(open_rtcp(&mut opener, &control), Ok(report(7, 5)));
    assert_eq!(open(&mut opener, &shorter).unwrap().1, b"payload");
}

#[test]
fn s_srtp_11_what_is_not_protected_is_dropped() {
    for profile in Profile::ALL {
        let (mut sealer, mut opener) = pair(profile);
        open(&mut opener, &seal(&sealer, 7, 1, b"x")).unwrap();
        open_rtcp(&mut opener, &seal_rtcp(&mut sealer, &report(7, 5))).unwrap();
        let before = format!("{opener:?}");
        for (ssrc, len) in [(7, 0), (7, 3), (7, 30), (8, 30), (7, 1_200)] {
            let mut plain = header(ssrc, 2).to_vec();
            plain.resize(12 + len, 0x5a);
            assert!(open(&mut opener, &plain).is_err());
            assert!(open_rtcp(&mut opener, &report(ssrc, (len / 4 + 1) as u16)).is_err());
        }
        // An empty control packet whose last word says "encrypted" as well.
        let mut plain = report(7, 9);
        plain.iter_mut().for_each(|byte| *byte |= 0x80);
        assert_eq!(open_rtcp(&mut opener, &plain), Err(OpenError::Authentication));
        assert_eq!(format!("{opener:?}"), before);
    }
}

#[test]
fn s_srtp_10_reflected_packets_fail_and_keys_reach_their_own_sources_alone() {
    for profile in Profile::ALL {
        let (client, server) = (master(profile, 0x11), master(profile, 0x77));
        // We are the server: what we seal must not open when it comes back.
        let mut ours = Sealer::new(&server);
        let mut a = Opener::new(&client);
        assert_eq!(open(&mut a, &seal(&ours, 7, 1, b"x")), Err(OpenError::Authentication));
        let control = seal_rtcp(&mut ours, &report(7, 3));
        assert_eq!(open_rtcp(&mut a, &control), Err(OpenError::Authentication));
        // Two participants with the same SSRC are two sources.
        let mut b = Opener::new(&master(profile, 0x12));
        open(&mut b, &seal(&Sealer::new(&master(profile, 0x12)), 7, 9, b"b")).unwrap();
        let before = format!("{b:?}");
        let from_a = seal(&Sealer::new(&client), 7, 10, b"a");
        assert!(open(&mut a, &from_a).unwrap().0.new);
        assert_eq!(open(&mut b, &from_a), Err(OpenError::Authentication));
        assert_eq!(format!("{b:?}"), before);
    }
}

fn profiles() -> impl Strategy<Value = Profile> {
    proptest::sample::select(Profile::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Loss, reordering and doubles around several wraps, against a set that forgets nothing.
    #[test]
    fn s_srtp_04_lost_reordered_and_doubled_packets_over_wraps(
        profile in profiles(),
        start in prop_oneof![65_400..65_536u64, 0..0x1_0000u64],
        steps in proptest::collection::vec((0..3u64, 0..40u64, 0..1_500u64), 1..200),
    ) {
        let (sealer, mut opener) = pair(profile);
        let (mut newest, mut seen) = (start, HashSet::new());
        for (stride, forward, back) in steps {
            let next = newest + [0, forward, forward * 700][stride as usize];
            let Some(seq) = next.checked_sub(if forward % 2 == 0 { back } else { 0 }) else { continue };
            if seen.is_empty() && seq >= 0x1_0000 { continue }
            let opened = open(&mut opener, &seal(&sealer, 7, seq, &seq.to_be_bytes()));
            let replay = seen.contains(&seq) || !seen.is_empty() && seq + 1_024 <= newest;
            match opened {
                Ok((opened, payload)) => {
                    prop_assert!(!replay);
                    prop_assert_eq!((opened.seq, payload), (SeqNo(seq), seq.to_be_bytes().to_vec()));
                    newest = if seen.is_empty() { seq } else { newest.max(seq) };
                    seen.insert(seq);
                }
                Err(error) => prop_assert!(replay && error == OpenError::Replayed, "{error:?}"),
            }
        }
    }

    #[test]
    fn s_srtp_01_no_bytes_open_or_panic(
        profile in profiles(),
        datagram in proptest::collection::vec(any::<u8>(), 0..200),
        header_len in 0..220usize,
        space in 0..200usize,
    ) {
        let (_, mut opener) = pair(profile);
        let mut out = vec![0; space];
        prop_assert!(opener.open_rtp(&datagram, header_len, Ssrc(1), WireSeq(2), &mut out).is_err());
        prop_assert!(opener.open_rtcp(&datagram, &mut out).is_err());
    }
}
