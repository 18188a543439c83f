//! Encrypted headers (RFC 9335): what they hide, what they refuse, what they leave alone.

use super::*;
use crate::wire::rtp::Packet;

fn cryptex_pair(profile: Profile) -> (Sealer, Opener) {
    let (mut sealer, mut opener) = pair(profile);
    sealer.use_cryptex(true);
    opener.accept_cryptex(true);
    (sealer, opener)
}

/// A plain packet with contributing sources and, if `form` is given, an extension of that profile.
fn packet(seq: u64, csrcs: u8, form: Option<u16>, elements: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut packet = header(7, seq).to_vec();
    packet[0] |= csrcs;
    packet.extend((0..csrcs).flat_map(|csrc| [0xc0, 0, 0, csrc]));
    if let Some(form) = form {
        packet[0] |= 0x10;
        packet.extend(form.to_be_bytes());
        packet.extend(((elements.len() / 4) as u16).to_be_bytes());
        packet.extend(elements);
    }
    packet.extend(payload);
    packet
}

fn seal_whole(sealer: &Sealer, seq: u64, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let header_len = Packet::parse(plain).unwrap().header_len();
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + 20, 0);
    let len =
        sealer.seal_rtp_in_place(SeqNo(seq), Ssrc(7), header_len, &mut buf, plain.len() - header_len)?;
    buf.truncate(len);
    Ok(buf)
}

fn open_whole(opener: &mut Opener, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut out = vec![0; sealed.len()];
    let len = opener.open_packet(sealed, &mut out)?.len;
    out.truncate(len);
    Ok(out)
}

const ELEMENTS: [u8; 8] = [0x10, 0xaa, 0x22, 1, 2, 3, 0, 0];

#[test]
fn nothing_but_the_fixed_header_and_the_extensions_length_is_readable() {
    for profile in Profile::ALL {
        let (sealer, mut opener) = cryptex_pair(profile);
        let plain = packet(1, 2, Some(0xbede), &ELEMENTS, b"payload");
        let sealed = seal_whole(&sealer, 1, &plain).unwrap();
        assert_eq!(sealed[..12], plain[..12]);
        assert_eq!(sealed[20..24], [0xc0, 0xde, 0, 2]);
        assert!(sealed[12..20] != plain[12..20] && sealed[24..32] != plain[24..32]);
        assert!(Packet::parse(&sealed).unwrap().extensions().next().is_none());
        assert_eq!(open_whole(&mut opener, &sealed), Ok(plain));
    }
}

#[test]
fn rfc_9335_5_1_contributing_sources_alone_get_an_empty_extension() {
    for profile in Profile::ALL {
        let (sealer, mut opener) = cryptex_pair(profile);
        let plain = packet(1, 3, None, &[], b"payload");
        let sealed = seal_whole(&sealer, 1, &plain).unwrap();
        assert_eq!(sealed.len(), plain.len() + 4 + profile.rtp_overhead());
        assert_eq!((sealed[0], &sealed[24..28]), (0x93, &[0xc0, 0xde, 0, 0][..]));
        // It can be left as it is (RFC 9335, section 5.2).
        let expected = packet(1, 3, Some(0xbede), &[], b"payload");
        assert_eq!(open_whole(&mut opener, &sealed), Ok(expected));
        // One byte less than that takes.
        let mut buf = plain.clone();
        buf.resize(sealed.len() - 1, 0);
        let short = sealer.seal_rtp_in_place(SeqNo(2), Ssrc(7), 24, &mut buf, 7);
        assert_eq!(short, Err(SealError::NoSpace));
    }
}

#[test]
fn rfc_9335_5_1_packets_with_nothing_to_hide_are_sealed_as_without() {
    for profile in Profile::ALL {
        let (sealer, mut opener) = cryptex_pair(profile);
        let sealed = seal_whole(&sealer, 1, &packet(1, 0, None, &[], b"payload")).unwrap();
        assert_eq!(sealed, seal(&Sealer::new(&master(profile, 0x50)), 7, 1, b"payload"));
        assert_eq!(open(&mut opener, &sealed).unwrap().1, b"payload");
    }
}

#[test]
fn rfc_9335_5_1_extensions_of_other_forms_are_refused() {
    for form in [0, 0x1001, 0x100f, 0xbedf, 0xc0de, 0xc2de, 0xffff] {
        let (sealer, _) = cryptex_pair(Profile::AeadAes128Gcm);
        for csrcs in [0, 2] {
            let plain = packet(1, csrcs, Some(form), &ELEMENTS, b"payload");
            assert_eq!(seal_whole(&sealer, 1, &plain), Err(SealError::Extension), "{form:#x}");
        }
    }
    // A header that is told to be shorter than it says.
    let (sealer, _) = cryptex_pair(Profile::AeadAes128Gcm);
    let mut buf = packet(1, 2, Some(0xbede), &ELEMENTS, b"payload");
    buf.resize(buf.len() + 16, 0);
    for header_len in 0..22 {
        let sealed = sealer.seal_rtp_in_place(SeqNo(1), Ssrc(7), header_len, &mut buf, 10);
        assert_eq!(sealed, Err(SealError::Extension), "{header_len}");
    }
}

#[test]
fn rfc_9335_4_a_sender_decides_for_each_packet() {
    for profile in Profile::ALL {
        let (mut sealer, mut opener) = cryptex_pair(profile);
        for seq in 65_530..65_545 {
            sealer.use_cryptex(seq % 3 == 0);
            let plain = packet(seq, (seq % 4) as u8, Some(0xbede), &ELEMENTS, &seq.to_be_bytes());
            let sealed = seal_whole(&sealer, seq, &plain).unwrap();
            assert_eq!(open_whole(&mut opener, &sealed).as_ref(), Ok(&plain));
            assert_eq!(open_whole(&mut opener, &sealed), Err(OpenError::Replayed));
        }
    }
}

#[test]
fn s_srtp_13_cryptex_that_was_not_negotiated_is_dropped() {
    for profile in Profile::ALL {
        let (sealer, mut opener) = cryptex_pair(profile);
        opener.accept_cryptex(false);
        let before = format!("{opener:?}");
        let plain = packet(1, 1, Some(0x1000), &ELEMENTS, b"payload");
        let sealed = seal_whole(&sealer, 1, &plain).unwrap();
        assert_eq!(open_whole(&mut opener, &sealed), Err(OpenError::Cryptex));
        // Nor does the call that gives no header back take it, negotiated or not.
        for accepted in [false, true] {
            opener.accept_cryptex(accepted);
            let header_len = Packet::parse(&sealed).unwrap().header_len();
            let opened = opener.open_rtp(&sealed, header_len, Ssrc(7), WireSeq(1), &mut [0; 64]);
            assert_eq!(opened, Err(OpenError::Cryptex));
        }
        assert_eq!(format!("{opener:?}"), before);
        assert_eq!(open_whole(&mut opener, &sealed), Ok(plain));
    }
}

#[test]
fn s_srtp_02_a_changed_bit_of_an_encrypted_header_changes_nothing() {
    for profile in Profile::ALL {
        let (sealer, mut opener) = cryptex_pair(profile);
        let old = packet(65_530, 1, Some(0xbede), &ELEMENTS, b"old");
        open_whole(&mut opener, &seal_whole(&sealer, 65_530, &old).unwrap()).unwrap();
        let before = format!("{opener:?}");
        let plain = packet(65_540, 2, Some(0xbede), &ELEMENTS, b"new");
        let sealed = seal_whole(&sealer, 65_540, &plain).unwrap();
        for at in 0..sealed.len() * 8 {
            let mut packet = sealed.clone();
            packet[at / 8] ^= 1 << (at % 8);
            assert!(open_whole(&mut opener, &packet).is_err(), "bit {at}");
        }
        assert_eq!(format!("{opener:?}"), before);
        assert_eq!(open_whole(&mut opener, &sealed), Ok(plain));
    }
}

#[test]
fn s_srtp_01_an_encrypted_header_that_reaches_into_the_tag_is_dropped_before_decryption() {
    for profile in Profile::ALL {
        let (sealer, mut opener) = cryptex_pair(profile);
        let sealed = seal_whole(&sealer, 1, &packet(1, 2, Some(0xbede), &ELEMENTS, b"")).unwrap();
        let mut out = [0xee; 64];
        for len in 0..sealed.len() {
            let opened = opener.open_packet(&sealed[..len], &mut out);
            assert_eq!(opened, Err(OpenError::TooShort), "{len}");
            assert_eq!(out, [0xee; 64]);
        }
        let opened = opener.open_packet(&sealed, &mut out[..sealed.len() - profile.rtp_overhead() - 1]);
        assert_eq!(opened, Err(OpenError::NoSpace));
        assert!(opener.open_packet(&sealed, &mut out).is_ok());
    }
}

proptest! {
    #[test]
    fn what_is_sealed_whole_opens_whole(
        profile in profiles(),
        cryptex: bool,
        seq in 0..0x1_0000u64,
        csrcs in 0..16u8,
        form in proptest::option::of(prop_oneof![Just(0xbede), Just(0x1000)]),
        words in 0..6usize,
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        noise: u8,
    ) {
        let (mut sealer, mut opener) = cryptex_pair(profile);
        sealer.use_cryptex(cryptex);
        let elements: Vec<u8> = (0..words * 4).map(|at| noise.wrapping_mul(at as u8)).collect();
        let plain = packet(seq, csrcs, form, &elements, &payload);
        let sealed = seal_whole(&sealer, seq, &plain).unwrap();
        let told = cryptex && form.is_none() && csrcs > 0;
        let form = form.or(told.then_some(0xbede));
        let elements = if form.is_some() && !told { &elements[..] } else { &[] };
        let expected = packet(seq, csrcs, form, elements, &payload);
        prop_assert_eq!(sealed.len(), expected.len() + profile.rtp_overhead());
        prop_assert_eq!(open_whole(&mut opener, &sealed), Ok(expected));
    }

    #[test]
    fn s_srtp_01_no_bytes_with_an_encrypted_header_open_or_panic(
        profile in profiles(),
        mut datagram in proptest::collection::vec(any::<u8>(), 0..200),
        csrcs in 0..16usize,
        words in 0..40u8,
        space in 0..200usize,
    ) {
        let (_, mut opener) = cryptex_pair(profile);
        if let Some(first) = datagram.first_mut() {
            *first = 0x90 | csrcs as u8;
        }
        if let Some(extension) = datagram.get_mut(12 + csrcs * 4..16 + csrcs * 4) {
            extension.copy_from_slice(&[0xc0, 0xde, 0, words]);
        }
        prop_assert!(opener.open_packet(&datagram, &mut vec![0; space]).is_err());
    }
}
