//! Published packets both ways, each test named after its section.

use serde_json::Value;

use super::*;
use crate::captures::{hex, vectors};

fn master_of(keys: &Value, profile: &Value) -> MasterKey {
    let profile = match profile.as_str().unwrap() {
        "AEAD_AES_128_GCM" => Profile::AeadAes128Gcm,
        "AEAD_AES_256_GCM" => Profile::AeadAes256Gcm,
        "AES_CM_128_HMAC_SHA1_80" => Profile::Aes128CmHmacSha1_80,
        "AES_CM_128_HMAC_SHA1_32" => Profile::Aes128CmHmacSha1_32,
        other => panic!("{other}"),
    };
    MasterKey::new(profile, &hex(&keys["master_key"]), &hex(&keys["master_salt"])).unwrap()
}

/// Seals and opens an RTP packet and compares with what was published.
fn rtp_both_ways(master: &MasterKey, case: &Value, cryptex: bool) {
    let (plain, sealed) = (hex(&case["rtp"]), hex(&case["srtp"]));
    let packet = crate::wire::rtp::Packet::parse(&plain).unwrap();
    let seq = SeqNo(case["roc"].as_u64().unwrap_or(0) << 16 | u64::from(packet.sequence_number().0));
    let (ssrc, header_len) = (packet.ssrc(), packet.header_len());
    let mut sealer = Sealer::new(master);
    sealer.use_cryptex(cryptex);
    let mut buf = plain.clone();
    buf.resize(sealed.len(), 0);
    let len = sealer.seal_rtp_in_place(seq, ssrc, header_len, &mut buf, plain.len() - header_len);
    assert_eq!((len, &buf), (Ok(sealed.len()), &sealed));
    let mut opener = Opener::new(master);
    opener.accept_cryptex(cryptex);
    let mut out = vec![0; sealed.len() - master.profile().rtp_overhead()];
    let opened = opener.open_packet(&sealed, &mut out).unwrap();
    assert_eq!((opened.seq, opened.len, &out), (seq, plain.len(), &plain));
}

fn rtcp_both_ways(master: &MasterKey, case: &Value) {
    let (plain, sealed) = (hex(&case["rtcp"]), hex(&case["srtcp"]));
    let mut sealer = Sealer::new(master);
    for _ in 1..case["srtcp_index"].as_u64().unwrap() {
        seal_rtcp(&mut sealer, &plain);
    }
    assert_eq!(seal_rtcp(&mut sealer, &plain), sealed);
    assert_eq!(open_rtcp(&mut Opener::new(master), &sealed), Ok(plain));
}

fn rfc_3711_packets(profile: &str, expected: usize) {
    let vectors = vectors("rfc3711");
    let packets = &vectors["packets"];
    let list = packets["list"].as_array().unwrap().iter().filter(|one| one["profile"] == profile);
    let mut count = 0;
    for case in list {
        let master = master_of(packets, &case["profile"]);
        match case["rtp"].is_string() {
            true => rtp_both_ways(&master, case, false),
            false => rtcp_both_ways(&master, case),
        }
        count += 1;
    }
    assert_eq!(count, expected);
}

#[test]
fn rfc_3711_packets_with_tags_of_80_bits_over_a_roll_over() {
    rfc_3711_packets("AES_CM_128_HMAC_SHA1_80", 6);
}

#[test]
fn rfc_3711_packets_with_tags_of_32_bits_over_a_roll_over() {
    rfc_3711_packets("AES_CM_128_HMAC_SHA1_32", 6);
}

#[test]
fn rfc_7714_sessions_from_master_keys() {
    let vectors = vectors("rfc7714");
    let sessions = vectors["sessions"].as_array().unwrap();
    for case in sessions {
        let master = master_of(case, &case["profile"]);
        rtp_both_ways(&master, case, false);
        rtcp_both_ways(&master, case);
    }
    assert_eq!(sessions.len(), 2);
}

fn rfc_9335(section: &str) {
    let vectors = vectors("rfc9335");
    let cases = vectors["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["section"] == format!("RFC 9335 {section}"));
    let case = case.expect("the section");
    rtp_both_ways(&master_of(case, &case["profile"]), case, true);
}

macro_rules! rfc_9335 {
    ($($name:ident $section:literal)*) => {
        $(
            #[test]
            fn $name() {
                rfc_9335($section);
            }
        )*

        #[test]
        fn rfc_9335_every_case_has_its_test() {
            let vectors = vectors("rfc9335");
            let cases = vectors["cases"].as_array().unwrap().iter();
            let tested = [$(concat!("RFC 9335 ", $section)),*];
            assert!(cases.map(|case| case["section"].as_str().unwrap()).eq(tested));
        }
    };
}

rfc_9335! {
    rfc_9335_a_1_1_cm_one_byte_extensions "A.1.1"
    rfc_9335_a_1_2_cm_two_byte_extensions "A.1.2"
    rfc_9335_a_1_3_cm_one_byte_extensions_and_csrcs "A.1.3"
    rfc_9335_a_1_4_cm_two_byte_extensions_and_csrcs "A.1.4"
    rfc_9335_a_1_5_cm_empty_one_byte_extension_and_csrcs "A.1.5"
    rfc_9335_a_1_6_cm_empty_two_byte_extension_and_csrcs "A.1.6"
    rfc_9335_a_2_1_gcm_one_byte_extensions "A.2.1"
    rfc_9335_a_2_2_gcm_two_byte_extensions "A.2.2"
    rfc_9335_a_2_3_gcm_one_byte_extensions_and_csrcs "A.2.3"
    rfc_9335_a_2_4_gcm_two_byte_extensions_and_csrcs "A.2.4"
    rfc_9335_a_2_5_gcm_empty_one_byte_extension_and_csrcs "A.2.5"
    rfc_9335_a_2_6_gcm_empty_two_byte_extension_and_csrcs "A.2.6"
}
