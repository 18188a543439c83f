//! SRTP against another implementation: the same bytes both ways, the same refusals.
//!
//! Neither lineage has Cryptex; its published vectors stand beside the sessions.

use estafette::rtp::{Packet, SeqNo, Ssrc};
use estafette::srtp::{MasterKey, Opener, Profile, Sealer};
use proptest::prelude::*;
use srtp::context::Context;
use srtp::protection_profile::ProtectionProfile;

fn material(profile: Profile) -> (Vec<u8>, Vec<u8>) {
    let bytes = |len: usize, factor: u8| (0..len as u8).map(|at| at.wrapping_mul(factor) ^ 0x5a).collect();
    (bytes(profile.key_len(), 7), bytes(profile.salt_len(), 11))
}

fn ours(profile: Profile) -> (Sealer, Opener) {
    let (key, salt) = material(profile);
    let master = MasterKey::new(profile, &key, &salt).unwrap();
    (Sealer::new(&master), Opener::new(&master))
}

fn theirs(profile: Profile) -> Context {
    let of_theirs = match profile {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Profile::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Profile::Aes128CmHmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    let provider = srtp::crypto::default_provider().unwrap();
    let (key, salt) = material(profile);
    Context::new(&key, &salt, of_theirs, None, None, provider.crypto()).unwrap()
}

/// A plain packet: `words` of header extension, `csrcs` contributing sources.
fn packet(ssrc: u32, seq: u64, csrcs: u8, words: u8, payload: usize) -> Vec<u8> {
    let mut packet = vec![0x80 | csrcs, 96];
    packet.extend((seq as u16).to_be_bytes());
    packet.extend([0, 0, 0, 9]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..csrcs).flat_map(|csrc| [0, 0, 1, csrc]));
    if words > 0 {
        packet[0] |= 0x10;
        packet.extend([0xbe, 0xde, 0, words]);
        packet.extend(std::iter::repeat_n([0x10, 0x2a, 0, 0], words.into()).flatten());
    }
    packet.extend((0..payload).map(|at| (at as u64 ^ seq) as u8));
    packet
}

fn report(ssrc: u32, words: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 201];
    packet.extend(words.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.resize(4 + usize::from(words) * 4, 0xab);
    packet
}

fn seal(sealer: &Sealer, seq: u64, plain: &[u8]) -> Vec<u8> {
    let packet = Packet::parse(plain).unwrap();
    let (header, payload) = plain.split_at(packet.header_len());
    let (head, rest) = payload.split_at(payload.len() / 7);
    let mut out = vec![0; plain.len() + sealer.rtp_overhead()];
    let len = sealer.seal_rtp(header, head, rest, SeqNo(seq), packet.ssrc(), &mut out).unwrap();
    assert_eq!(len, out.len());
    out
}

fn open(opener: &mut Opener, sealed: &[u8]) -> Option<(SeqNo, Vec<u8>)> {
    let mut out = vec![0; sealed.len()];
    let opened = opener.open_packet(sealed, &mut out).ok()?;
    out.truncate(opened.len);
    Some((opened.seq, out))
}

fn seal_rtcp(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + 20, 0);
    let len = sealer.seal_rtcp(&mut buf, plain.len()).unwrap();
    buf.truncate(len);
    buf
}

fn open_rtcp(opener: &mut Opener, sealed: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; sealed.len()];
    let len = opener.open_rtcp(sealed, &mut out).ok()?;
    out.truncate(len);
    Some(out)
}

/// The flag before a control packet's index, which stands before the tag or behind it.
fn says_encrypted(profile: Profile, packet: &[u8]) -> bool {
    let behind = if profile.salt_len() == 14 { 14 } else { 4 };
    packet.len().checked_sub(behind).and_then(|at| packet.get(at)).is_none_or(|byte| byte >> 7 == 1)
}

fn profiles() -> impl Strategy<Value = Profile> {
    proptest::sample::select(Profile::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Steps of up to half the space, so that several roll-overs pass.
    #[test]
    fn rtp_is_the_same_both_ways_over_roll_overs(
        profile in profiles(),
        start in 0..0x1_0000u64,
        packets in proptest::collection::vec((1..0x7fffu64, 0..1_300usize, 0..4u8, 0..4u8), 1..40),
    ) {
        let (sealer, mut opener) = ours(profile);
        let (mut sending, mut receiving) = (theirs(profile), theirs(profile));
        let mut seq = start;
        for (step, len, csrcs, words) in packets {
            let plain = packet(0xcafe_babe, seq, csrcs, words, len);
            let sealed = seal(&sealer, seq, &plain);
            prop_assert_eq!(&receiving.decrypt_rtp(&sealed).unwrap()[..], &plain);
            let foreign = sending.encrypt_rtp(&plain).unwrap();
            prop_assert_eq!(&foreign[..], &sealed);
            prop_assert_eq!(open(&mut opener, &foreign), Some((SeqNo(seq), plain)));
            seq += step;
        }
    }

    #[test]
    fn rtcp_is_the_same_both_ways(
        profile in profiles(),
        packets in proptest::collection::vec((0..3u32, 1..300u16), 1..20),
    ) {
        let (mut sealer, mut opener) = ours(profile);
        let (mut sending, mut receiving) = (theirs(profile), theirs(profile));
        for (ssrc, words) in packets {
            let plain = report(ssrc, words);
            let sealed = seal_rtcp(&mut sealer, &plain);
            prop_assert_eq!(&receiving.decrypt_rtcp(&sealed).unwrap()[..], &plain);
            let foreign = sending.encrypt_rtcp(&plain).unwrap();
            prop_assert_eq!(open_rtcp(&mut opener, &foreign), Some(plain));
        }
    }

    /// Whatever is changed, cut off or added: both refuse, and both take the packet itself afterwards.
    #[test]
    fn both_refuse_what_was_changed_and_remember_nothing_of_it(
        profile in profiles(),
        seq in 0..0x1_0000u64,
        len in 0..200usize,
        words in 0..3u8,
        changes in proptest::collection::vec((any::<u16>(), 1..=255u8, 0..3u8), 1..20),
    ) {
        let (mut sealer, mut opener) = ours(profile);
        let mut receiving = theirs(profile);
        let (plain, control) = (packet(7, seq, 0, words, len), report(7, u16::from(words) + 1));
        let (sealed, sealed_control) = (seal(&sealer, seq, &plain), seal_rtcp(&mut sealer, &control));
        let change = |whole: &[u8], (at, by, how): (u16, u8, u8)| {
            let mut changed = whole.to_vec();
            let at = usize::from(at) % changed.len();
            match how {
                0 => changed[at] ^= by,
                1 => changed.truncate(at),
                _ => changed.push(by),
            }
            changed
        };
        for one in changes {
            let changed = change(&sealed, one);
            prop_assert!(open(&mut opener, &changed).is_none());
            prop_assert!(receiving.decrypt_rtp(&changed).is_err());
            let changed = change(&sealed_control, one);
            prop_assert!(open_rtcp(&mut opener, &changed).is_none());
            // What calls itself unencrypted the other one takes without a look at its tag. Every
            // control packet has to have a tag that fits (RFC 3711, section 3.4).
            if says_encrypted(profile, &changed) {
                prop_assert!(receiving.decrypt_rtcp(&changed).is_err());
            }
        }
        prop_assert_eq!(open(&mut opener, &sealed), Some((SeqNo(seq), plain.clone())));
        prop_assert_eq!(&receiving.decrypt_rtp(&sealed).unwrap()[..], &plain);
        prop_assert_eq!(open_rtcp(&mut opener, &sealed_control), Some(control.clone()));
        prop_assert_eq!(&receiving.decrypt_rtcp(&sealed_control).unwrap()[..], &control);
    }
}

#[test]
fn late_packets_of_the_cycle_before_open_on_both_sides_of_a_roll_over() {
    for profile in Profile::ALL {
        let (sealer, mut opener) = ours(profile);
        let mut receiving = theirs(profile);
        for seq in [65_530, 65_534, 65_537, 65_533, 65_536, 65_535, 65_538] {
            let plain = packet(7, seq, 0, 0, 20);
            let sealed = seal(&sealer, seq, &plain);
            assert_eq!(open(&mut opener, &sealed), Some((SeqNo(seq), plain.clone())), "{seq}");
            assert_eq!(receiving.decrypt_rtp(&sealed).unwrap()[..], plain, "{seq}");
        }
        assert_eq!(opener.find(Ssrc(8)), None);
    }
}
