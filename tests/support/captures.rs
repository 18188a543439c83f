//! What was recorded of others, and published vectors: the readers of `tests/data`, for the crate's own
//! tests as well.

#![allow(dead_code)] // each user needs a part

use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Files of a folder of `tests/data` whose names end so: the names without that end, in order, and what
/// is in them.
pub(crate) fn files(of: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder(of)).expect("the captures") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if let Some(name) = name.strip_suffix(ending) {
            files.push((name.to_owned(), std::fs::read(&path).expect("a capture")));
        }
    }
    files.sort();
    files
}

/// The vectors of that name.
pub(crate) fn vectors(name: &str) -> Value {
    let text = std::fs::read(folder("vectors").join(format!("{name}.json"))).expect("vectors");
    serde_json::from_slice(&text).expect("JSON")
}

/// The bytes that a vector's string tells.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    bytes(value.as_str().expect("a string"))
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

/// The packets of a log or an excerpt, one a line: hex, in some behind direction and seconds.
pub(crate) fn packets(log: impl AsRef<[u8]>) -> Vec<Vec<u8>> {
    let lines = std::str::from_utf8(log.as_ref()).expect("ASCII").lines();
    lines.map(|line| bytes(line.rsplit(' ').next().expect("hex"))).collect()
}

/// The UDP payloads of a pcap file with their senders: Ethernet, little-endian as tcpdump writes it here.
pub(crate) fn datagrams(pcap: &[u8]) -> Vec<(SocketAddr, &[u8])> {
    assert_eq!(pcap[..4], [0xd4, 0xc3, 0xb2, 0xa1], "magic of little-endian microseconds");
    assert_eq!(pcap[20..24], [1, 0, 0, 0], "Ethernet");
    let mut datagrams = Vec::new();
    let mut rest = &pcap[24..];
    while let Some((record, behind)) = rest.split_first_chunk::<16>() {
        let len = u32::from_le_bytes([record[8], record[9], record[10], record[11]]) as usize;
        let (frame, behind) = behind.split_at(len);
        datagrams.extend(udp(frame));
        rest = behind;
    }
    datagrams
}

fn udp(frame: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let packet = frame.get(14..)?;
    let (sender, datagram): (IpAddr, _) = match frame.get(12..14)? {
        [0x08, 0x00] if *packet.get(9)? == 17 => {
            let sender = packet.get(12..)?.first_chunk::<4>()?;
            ((*sender).into(), packet.get(usize::from(packet[0] & 15) * 4..)?)
        }
        [0x86, 0xdd] if *packet.get(6)? == 17 => {
            ((*packet.get(8..)?.first_chunk::<16>()?).into(), packet.get(40..)?)
        }
        _ => return None,
    };
    let number = |at: usize| Some(u16::from_be_bytes([*datagram.get(at)?, *datagram.get(at + 1)?]));
    Some((SocketAddr::new(sender, number(0)?), datagram.get(8..usize::from(number(4)?))?))
}

/// All datagrams of the sessions under `tests/data/captures`, in the order of the files' names.
pub(crate) fn recorded() -> Vec<Vec<u8>> {
    let files = files("captures", ".pcap");
    let sessions = files.iter().flat_map(|(_, pcap)| datagrams(pcap));
    let recorded: Vec<_> = sessions.map(|(_, datagram)| datagram.to_vec()).collect();
    assert!(recorded.len() > 500, "the captures are there");
    recorded
}
