//! The UDP payloads of recorded sessions.

use std::path::PathBuf;

/// Datagrams of the sessions under `tests/data/captures`, in the order of the files' names.
pub fn datagrams() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the captures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .collect();
    files.sort();
    let read = |path: PathBuf| frames(&std::fs::read(path).expect("a capture"));
    let datagrams: Vec<_> = files.into_iter().flat_map(read).collect();
    assert!(datagrams.len() > 500, "the captures are there");
    datagrams
}

/// The UDP payloads of a pcap file of Ethernet frames, little-endian as tcpdump writes it here.
fn frames(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    file = &file[24..];
    while let Some((head, rest)) = file.split_first_chunk::<16>() {
        let len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let (frame, rest) = rest.split_at(len);
        datagrams.extend(udp(frame).map(<[u8]>::to_vec));
        file = rest;
    }
    datagrams
}

fn udp(frame: &[u8]) -> Option<&[u8]> {
    let packet = frame.get(14..)?;
    let datagram = match frame.get(12..14)? {
        [0x08, 0x00] if *packet.get(9)? == 17 => packet.get(usize::from(packet[0] & 15) * 4..)?,
        [0x86, 0xdd] if *packet.get(6)? == 17 => packet.get(40..)?,
        _ => return None,
    };
    let len = usize::from(u16::from_be_bytes([*datagram.get(4)?, *datagram.get(5)?]));
    datagram.get(8..len)
}
