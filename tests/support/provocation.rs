//! A participant that sends what it likes, and what may come of it.

use super::client::Client;
use super::harness::{Conference, Options, live, millis, seconds};
use estafette::DropReason;
use estafette::rtp::{HeaderWriter, PayloadType, RtpTime, SeqNo, Ssrc, WireSeq};

/// A header with elements of our choice.
pub fn header(payload_type: u8, seq: u64, ssrc: Ssrc, elements: &[(u8, &[u8])]) -> Vec<u8> {
    let mut buf = vec![0; 256];
    let payload_type = PayloadType::new(payload_type).expect("below 128");
    let (seq, timestamp) = (WireSeq(seq as u16), RtpTime(1_000));
    let mut writer = HeaderWriter::mixed(&mut buf, false, payload_type, seq, timestamp, ssrc).unwrap();
    elements.iter().for_each(|(id, value)| writer.extension(*id, value).unwrap());
    let len = writer.finish().unwrap();
    buf.truncate(len);
    buf
}

/// Sends packets of seat 0 and says how often each reason was counted for them.
pub fn dropped(
    conference: &mut Conference<Client>,
    reason: DropReason,
    packets: &[(Ssrc, u64, Vec<u8>, Vec<u8>)],
) -> u64 {
    let before = conference.engine.stats().dropped(reason);
    for (ssrc, seq, header, payload) in packets {
        conference.endpoint(0).send_rtp(*ssrc, SeqNo(*seq), header, payload);
    }
    conference.drive(millis(50));
    conference.engine.stats().dropped(reason) - before
}

/// A conference whose first participant provokes: what is asked of its made-up streams is its affair.
pub fn provoked(count: u32) -> Conference<Client> {
    let mut conference = live(count, Options::default());
    conference.endpoint(0).lawless = true;
    for seat in 1..conference.seats.len() {
        conference.endpoint(seat).receiver.distrusted.push("0".into());
    }
    conference
}

/// The second and the third participant go on receiving each other whole.
pub fn others_are_undisturbed(conference: &mut Conference<Client>) {
    let before: Vec<_> = [(1, 2), (2, 1)].map(|(to, from)| conference.seen(to, from).video).into();
    conference.drive(seconds(1));
    for ((to, from), before) in [(1, 2), (2, 1)].into_iter().zip(before) {
        let seen = conference.seen(to, from);
        assert!(seen.video > before + 15 && seen.broken.is_empty(), "{from} to {to}: {seen:?}");
    }
}
