//! Sessions recorded between browsers and others, with the keys they told: every packet opens, reads
//! well, and sealed again is what was sent.

#[path = "support/captures.rs"]
mod captures;

use std::collections::HashMap;

use captures::hex;
use estafette::rtcp::Compound;
use estafette::rtp::{Packet, SeqNo};
use estafette::srtp::{MasterKey, Opener, Profile, Sealer};
use serde_json::Value;

/// The key of the DTLS client or server.
fn master(description: &Value, role: &str) -> MasterKey {
    let keys = description["srtpKeys"].as_array().unwrap();
    let keys = keys.iter().find(|keys| keys["of"] == role).unwrap();
    let profile = match keys["profile"].as_str().unwrap() {
        "SRTP_AEAD_AES_128_GCM" => Profile::AeadAes128Gcm,
        "SRTP_AES128_CM_SHA1_80" | "SRTP_AES128_CM_HMAC_SHA1_80" => Profile::Aes128CmHmacSha1_80,
        other => panic!("{other}"),
    };
    MasterKey::new(profile, &hex(&keys["key"]), &hex(&keys["salt"])).unwrap()
}

/// Opens everything; returns the plain RTP packets by SSRC and extended number.
fn every_packet_opens(name: &str) -> HashMap<(u32, u64), Vec<u8>> {
    let path = format!("{}/tests/data/captures/{name}", env!("CARGO_MANIFEST_DIR"));
    let pcap = std::fs::read(format!("{path}.pcap")).unwrap();
    let description = std::fs::read(format!("{path}.json")).unwrap();
    let description: Value = serde_json::from_slice(&description).unwrap();
    let datagrams = captures::datagrams(&pcap);
    let ends = ["client", "server"].map(|role| master(&description, role));
    let mut ends = ends.map(|master| (Opener::new(&master), Sealer::new(&master)));
    let (mut plain_packets, mut control) = (HashMap::new(), 0);
    let mut out = [0; 2_048];
    let mut owners = HashMap::new();
    for (source, data) in datagrams.iter().filter(|(_, data)| matches!(data, [128..=191, ..])) {
        // Paths change in a call: whose key opens an address's first packet, its packets are.
        let owner = *owners.entry(source).or_insert_with(|| {
            let mut fresh = Opener::new(&master(&description, "client"));
            let mut opens = |data: &[u8]| match data {
                [_, 192..=223, ..] => fresh.open_rtcp(data, &mut out).is_ok(),
                _ => fresh.open_packet(data, &mut out).is_ok(),
            };
            usize::from(!opens(data))
        });
        let (opener, sealer) = &mut ends[owner];
        match data {
            [_, 192..=223, ..] => {
                let len = opener.open_rtcp(data, &mut out).unwrap();
                let compound = Compound::parse(&out[..len]).unwrap();
                assert_eq!(compound.dropped(), None, "well formed to its end");
                assert!(compound.packets().count() > 0);
                control += 1;
            }
            _ => {
                let opened = opener.open_packet(data, &mut out).unwrap();
                let plain = &out[..opened.len];
                let packet = Packet::parse(plain).unwrap();
                assert_eq!(opened.seq.wire(), packet.sequence_number());
                assert_eq!(resealed(sealer, opened.seq, plain), *data);
                plain_packets.insert((packet.ssrc().0, opened.seq.0), plain.to_vec());
            }
        }
    }
    // No number came twice, or the second would be a replay.
    assert_eq!(description["packets"]["srtp"], plain_packets.len());
    assert_eq!(description["packets"]["srtcp"], control);
    plain_packets
}

fn resealed(sealer: &Sealer, seq: SeqNo, plain: &[u8]) -> Vec<u8> {
    let packet = Packet::parse(plain).unwrap();
    let header_len = packet.header_len();
    let (ssrc, payload_len) = (packet.ssrc(), plain.len() - header_len);
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + sealer.rtp_overhead(), 0);
    let len = sealer.seal_rtp_in_place(seq, ssrc, header_len, &mut buf, payload_len).unwrap();
    assert_eq!(len, buf.len());
    buf
}

#[test]
fn firefox_and_chromium_with_aes_gcm() {
    let opened = every_packet_opens("firefox-chromium-av1");
    // Chromium's own log of what it sent and opened: the header and at least the payload's first bytes.
    let log = include_str!("data/captures/firefox-chromium-av1.plain.txt");
    let mut found = 0;
    for logged in captures::packets(log) {
        if !(192..=223).contains(&logged[1]) {
            let packet = Packet::parse(&logged).unwrap();
            let (ssrc, seq) = (packet.ssrc().0, packet.sequence_number());
            let (_, plain) =
                opened.iter().find(|((of, at), _)| *of == ssrc && SeqNo(*at).wire() == seq).unwrap();
            assert_eq!(plain[..logged.len()], logged);
            found += 1;
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn chromium_and_aiortc_with_aes_cm() {
    every_packet_opens("chromium-aiortc-av-data-cm");
}

#[test]
fn chromium_and_firefox_with_aes_cm() {
    every_packet_opens("chromium-firefox-av-data");
}
