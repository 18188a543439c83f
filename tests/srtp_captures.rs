//! Sessions recorded between browsers and others, with the keys they told: every packet opens.

use std::net::IpAddr;

use estafette::rtp::{Ssrc, WireSeq};
use estafette::srtp::{MasterKey, Opener, Profile};
use serde_json::Value;

/// The UDP payloads of a capture with their senders: little-endian pcap, Ethernet, IPv4 or IPv6
/// without options.
fn datagrams(pcap: &[u8]) -> Vec<((IpAddr, u16), &[u8])> {
    assert_eq!(pcap[..4], [0xd4, 0xc3, 0xb2, 0xa1], "magic of little-endian microseconds");
    assert_eq!(pcap[20..24], [1, 0, 0, 0], "Ethernet");
    let mut datagrams = Vec::new();
    let mut rest = &pcap[24..];
    while let Some((record, behind)) = rest.split_at_checked(16) {
        let len = u32::from_le_bytes(record[8..12].try_into().unwrap()) as usize;
        let (frame, behind) = behind.split_at(len);
        rest = behind;
        let (source, udp): (IpAddr, _) = match frame[12..14] {
            [0x08, 0x00] if frame[23] == 17 => {
                assert_eq!(frame[14], 0x45);
                (<[u8; 4]>::try_from(&frame[26..30]).unwrap().into(), &frame[34..])
            }
            [0x86, 0xdd] if frame[20] == 17 => {
                (<[u8; 16]>::try_from(&frame[22..38]).unwrap().into(), &frame[54..])
            }
            _ => continue,
        };
        let number = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
        datagrams.push(((source, number(0)), &udp[8..usize::from(number(4))]));
    }
    datagrams
}

fn unhex(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn opener(description: &Value, role: &str) -> Opener {
    let keys = description["srtpKeys"].as_array().unwrap();
    let keys = keys.iter().find(|keys| keys["of"] == role).unwrap();
    let profile = match keys["profile"].as_str().unwrap() {
        "SRTP_AEAD_AES_128_GCM" => Profile::AeadAes128Gcm,
        "SRTP_AES128_CM_SHA1_80" => Profile::Aes128CmHmacSha1_80,
        other => panic!("{other}"),
    };
    let master = MasterKey::new(profile, &unhex(&keys["key"]), &unhex(&keys["salt"]));
    Opener::new(&master.unwrap())
}

/// RFC 3550, section 5.1 and 5.3.1.
fn header_len(packet: &[u8]) -> usize {
    let mut len = 12 + usize::from(packet[0] & 0x0f) * 4;
    if packet[0] & 0x10 != 0 {
        len += 4 + usize::from(u16::from_be_bytes([packet[len + 2], packet[len + 3]])) * 4;
    }
    len
}

fn every_packet_opens(name: &str) {
    let path = format!("{}/tests/data/captures/{name}", env!("CARGO_MANIFEST_DIR"));
    let pcap = std::fs::read(format!("{path}.pcap")).unwrap();
    let description = std::fs::read(format!("{path}.json")).unwrap();
    let description: Value = serde_json::from_slice(&description).unwrap();
    let datagrams = datagrams(&pcap);
    // The DTLS client is who sends a ClientHello: a handshake record whose message is of type one.
    let hello = |data: &&[u8]| data.len() > 13 && data[0] == 22 && data[13] == 1;
    let (client, _) = datagrams.iter().find(|(_, data)| hello(data)).unwrap();
    let (mut of_client, mut of_server) = (opener(&description, "client"), opener(&description, "server"));
    let (mut media, mut control) = (0, 0);
    let mut out = [0; 2_048];
    for (source, data) in &datagrams {
        let opener = if source == client { &mut of_client } else { &mut of_server };
        match data {
            [128..=191, 192..=223, ..] => {
                let len = opener.open_rtcp(data, &mut out).unwrap();
                assert_eq!((out[0] >> 6, len % 4), (2, 0));
                // The compound packet adds up to its length.
                let mut at = 0;
                while at < len {
                    at += 4 + usize::from(u16::from_be_bytes([out[at + 2], out[at + 3]])) * 4;
                }
                assert_eq!(at, len);
                control += 1;
            }
            [128..=191, ..] => {
                let seq = WireSeq(u16::from_be_bytes([data[2], data[3]]));
                let ssrc = Ssrc(u32::from_be_bytes(data[8..12].try_into().unwrap()));
                let opened = opener.open_rtp(data, header_len(data), ssrc, seq, &mut out).unwrap();
                assert_eq!(opened.seq.0 as u16, seq.0);
                media += 1;
            }
            _ => {}
        }
    }
    assert_eq!(description["packets"]["srtp"], media);
    assert_eq!(description["packets"]["srtcp"], control);
}

#[test]
fn firefox_and_chromium_with_aes_gcm() {
    every_packet_opens("firefox-chromium-av1");
}

#[test]
fn chromium_and_aiortc_with_aes_cm() {
    every_packet_opens("chromium-aiortc-av-data-cm");
}
