//! SRTP against libsrtp and webrtc-srtp: the same bytes both ways, over roll-overs, and the same
//! refusals.

use estafette::random::Random;
use estafette::rtp::{Packet, SeqNo};
use estafette::srtp::{MasterKey, Opener, Profile, Sealer};
use estafette_peers::{LibSrtp, Way, webrtc};

const KEY: [u8; 32] = *b"thirty-two octets, and no more..";
const SALT: [u8; 14] = *b"fourteen of it";

fn material(profile: Profile) -> (&'static [u8], &'static [u8]) {
    (&KEY[..profile.key_len()], &SALT[..profile.salt_len()])
}

fn ours(profile: Profile) -> (Sealer, Opener) {
    let (key, salt) = material(profile);
    let master = MasterKey::new(profile, key, salt).unwrap();
    (Sealer::new(&master), Opener::new(&master))
}

fn libsrtp(profile: Profile, way: Way) -> LibSrtp {
    let (key, salt) = material(profile);
    LibSrtp::new(profile, key, salt, way)
}

/// Any shape: contributing sources, extensions of both forms, up to an MTU of payload.
fn packet(random: &mut Random, ssrc: u32, seq: u64) -> Vec<u8> {
    let csrcs = if random.below(4) == 0 { random.below(16) as u8 } else { 0 };
    let mut packet = vec![0x80 | csrcs, 96];
    packet.extend((seq as u16).to_be_bytes());
    packet.extend(random.next_u32().to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..csrcs).flat_map(|csrc| [1, 2, 3, csrc]));
    if random.below(2) == 0 {
        let words = random.below(5) as u8;
        packet[0] |= 0x10;
        packet.extend(if random.below(2) == 0 { [0xbe, 0xde, 0, words] } else { [0x10, 0, 0, words] });
        packet.extend((0..words).flat_map(|word| [0x10, word, 0, 0]));
    }
    packet.extend((0..random.below(1_200)).map(|at| at as u8 ^ seq as u8));
    packet
}

fn report(random: &mut Random, ssrc: u32) -> Vec<u8> {
    let words = 1 + random.below(100) as u16;
    let mut packet = vec![0x80, 201];
    packet.extend(words.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.resize(4 + usize::from(words) * 4, 0xab);
    packet
}

fn seal(sealer: &Sealer, seq: u64, plain: &[u8]) -> Vec<u8> {
    let packet = Packet::parse(plain).unwrap();
    let mut out = vec![0; plain.len() + sealer.rtp_overhead()];
    let header = &plain[..packet.header_len()];
    sealer.seal_rtp(header, &[], packet.payload(), SeqNo(seq), packet.ssrc(), &mut out).unwrap();
    out
}

fn open(opener: &mut Opener, sealed: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; sealed.len()];
    let len = opener.open_packet(sealed, &mut out).ok()?.len;
    out.truncate(len);
    Some(out)
}

fn roomy(plain: &[u8]) -> Vec<u8> {
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + 20, 0);
    buf
}

#[test]
fn rtp_is_the_same_as_libsrtp_and_webrtc_make_it_and_each_opens_the_others() {
    for profile in Profile::ALL {
        let mut random = Random::new([profile as u8; 32]);
        let (sealer, mut opener) = ours(profile);
        let (mut out, mut into) = (libsrtp(profile, Way::Out), libsrtp(profile, Way::In));
        let (key, salt) = material(profile);
        let (mut sending, mut receiving) = (webrtc(profile, key, salt), webrtc(profile, key, salt));
        // Three roll-overs in steps that lose much.
        let mut seq = random.below(30_000);
        let mut count = 0;
        while seq < 3 * 65_536 {
            let plain = packet(&mut random, 0xcafe_babe, seq);
            let sealed = seal(&sealer, seq, &plain);
            let mut buf = roomy(&plain);
            let len = out.protect(&mut buf, plain.len()).unwrap();
            assert_eq!(buf[..len], sealed, "{profile:?} {seq}");
            // "The Encrypted Portion of an SRTP packet consists of the encryption of the RTP payload" (RFC 3711,
            // section 3.1): webrtc-srtp takes padding at the end of a header extension for payload.
            let extended = plain[0] & 0x10 != 0;
            if !extended {
                assert_eq!(sending.encrypt_rtp(&plain).unwrap()[..], sealed, "{profile:?} {seq}");
            }
            assert_eq!(open(&mut opener, &buf[..len]).as_ref(), Some(&plain));
            let len = into.unprotect(&mut buf[..len]).unwrap();
            assert_eq!(buf[..len], plain);
            if !extended {
                assert_eq!(receiving.decrypt_rtp(&sealed).unwrap()[..], plain);
            }
            // What libsrtp takes for a replay is one here.
            assert!(into.unprotect(&mut sealed.clone()).is_err() && open(&mut opener, &sealed).is_none());
            seq += 1 + random.below(700);
            count += 1;
        }
        assert!(count > 400, "{count}");
    }
}

#[test]
fn rtcp_is_the_same_as_libsrtp_and_webrtc_make_it_and_each_opens_the_others() {
    for profile in Profile::ALL {
        let mut random = Random::new([9; 32]);
        let (mut sealer, mut opener) = ours(profile);
        let (mut out, mut into) = (libsrtp(profile, Way::Out), libsrtp(profile, Way::In));
        let (key, salt) = material(profile);
        let mut receiving = webrtc(profile, key, salt);
        for _ in 0..200 {
            let plain = report(&mut random, 7);
            let (mut ours, mut theirs) = (roomy(&plain), roomy(&plain));
            let len = sealer.seal_rtcp(&mut ours, plain.len()).unwrap();
            assert_eq!(out.protect_rtcp(&mut theirs, plain.len()), Ok(len));
            assert_eq!(ours[..len], theirs[..len], "{profile:?}");
            let mut opened = vec![0; len];
            let plain_len = opener.open_rtcp(&theirs[..len], &mut opened).unwrap();
            assert_eq!(opened[..plain_len], plain);
            assert_eq!(receiving.decrypt_rtcp(&ours[..len]).unwrap()[..], plain);
            assert_eq!(into.unprotect_rtcp(&mut ours[..len]), Ok(plain.len()));
            assert_eq!(ours[..plain.len()], plain);
            assert!(opener.open_rtcp(&theirs[..len], &mut opened).is_err(), "a replay");
        }
    }
}

#[test]
fn what_is_changed_is_refused_by_libsrtp_and_here() {
    for profile in Profile::ALL {
        let mut random = Random::new([3; 32]);
        let (mut sealer, mut opener) = ours(profile);
        let mut into = libsrtp(profile, Way::In);
        for seq in 1_000..1_200 {
            let plain = packet(&mut random, 7, seq);
            let sealed = seal(&sealer, seq, &plain);
            let control = report(&mut random, 7);
            let mut sealed_control = roomy(&control);
            let len = sealer.seal_rtcp(&mut sealed_control, control.len()).unwrap();
            sealed_control.truncate(len);
            for _ in 0..20 {
                let flip = |whole: &[u8], random: &mut Random| {
                    let mut changed = whole.to_vec();
                    let at = random.below(changed.len() as u64) as usize;
                    changed[at] ^= 1 << random.below(8);
                    changed
                };
                let changed = flip(&sealed, &mut random);
                assert_eq!(open(&mut opener, &changed), None);
                assert!(into.unprotect(&mut changed.clone()).is_err());
                let changed = flip(&sealed_control, &mut random);
                assert!(opener.open_rtcp(&changed, &mut vec![0; len]).is_err());
                assert!(into.unprotect_rtcp(&mut changed.clone()).is_err());
            }
            assert_eq!(open(&mut opener, &sealed).as_ref(), Some(&plain));
            assert!(into.unprotect(&mut sealed.clone()).is_ok());
        }
    }
}

/// Late packets of the cycle before, on both sides of the wrap.
#[test]
fn reordering_over_a_roll_over_is_understood_alike() {
    for profile in Profile::ALL {
        let (sealer, mut opener) = ours(profile);
        let mut into = libsrtp(profile, Way::In);
        let mut random = Random::new([1; 32]);
        for seq in [65_500, 65_534, 65_537, 65_533, 65_536, 65_535, 65_538, 65_501, 66_000] {
            let plain = packet(&mut random, 7, seq);
            let mut sealed = seal(&sealer, seq, &plain);
            assert_eq!(open(&mut opener, &sealed).as_ref(), Some(&plain), "{seq}");
            assert_eq!(into.unprotect(&mut sealed), Ok(plain.len()), "{seq}");
        }
    }
}
