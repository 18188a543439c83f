//! What a participant receives: one track for each of the others' microphones and cameras, what is missing of it,
//! and what is asked for again.

use crate::stamp::Stamp;
use estafette::Instant;
use estafette::rtcp::ReportBlock;
use estafette::rtp::{Packet, SeqNo, Ssrc, WireSeq, padding_len};
use std::collections::BTreeMap;
use std::time::Duration;

/// A gap may be mere reordering for so long.
const PATIENCE: Duration = Duration::from_millis(10);
/// Between two requests for the same packet.
const RETRY: Duration = Duration::from_millis(70);
const TRIES: u32 = 12;
/// Packets asked for in one go.
const ASKED: usize = 100;
/// A longer gap is not repaired.
const GAP: u64 = 2_000;

/// A stream as the server's description announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    pub ssrc: Ssrc,
    pub rtx_ssrc: Option<Ssrc>,
    /// The participant that it is of, and which of that one's it is (RFC 8830).
    pub publisher: String,
    pub track: String,
    pub video: bool,
}

#[derive(Debug, Clone, Copy)]
struct Ask {
    at: Instant,
    tries: u32,
}

/// One received stream.
#[derive(Debug)]
pub struct Track {
    pub announced: Announced,
    first: u64,
    highest: Option<u64>,
    missing: BTreeMap<u64, Ask>,
    /// Numbers that came, once each.
    pub received: u64,
    /// Of them those that came after they were missed.
    pub repaired: u64,
    /// Numbers that came again, sent for repair or as a probe, or too late.
    pub duplicates: u64,
    /// Given up.
    abandoned: u64,
    /// What was expected and lost when the last report was made.
    reported: (u64, u64),
    sender_report: Option<(u32, Instant)>,
}

impl Track {
    fn new(announced: Announced) -> Track {
        Track {
            announced,
            first: 0,
            highest: None,
            missing: BTreeMap::new(),
            received: 0,
            repaired: 0,
            duplicates: 0,
            abandoned: 0,
            reported: (0, 0),
            sender_report: None,
        }
    }

    /// Numbers that did not come.
    pub fn lost(&self) -> u64 {
        self.missing.len() as u64 + self.abandoned
    }

    /// A number came; false if it had come before.
    fn on_number(&mut self, now: Instant, seq: u64) -> bool {
        let Some(highest) = self.highest else {
            (self.first, self.highest, self.received) = (seq, Some(seq), 1);
            return true;
        };
        if seq > highest {
            let gap = (highest + 1).max(seq.saturating_sub(GAP))..seq;
            self.abandoned += gap.start - (highest + 1);
            self.missing.extend(gap.map(|lost| (lost, Ask { at: now + PATIENCE, tries: 0 })));
            self.highest = Some(seq);
        } else if self.missing.remove(&seq).is_some() {
            self.repaired += 1;
        } else {
            self.duplicates += 1;
            return false;
        }
        self.received += 1;
        true
    }

    fn block(&mut self, now: Instant) -> Option<ReportBlock> {
        let highest = self.highest?;
        let (expected, lost) = (highest - self.first + 1, self.lost());
        let (expected_before, lost_before) = std::mem::replace(&mut self.reported, (expected, lost));
        let (expected, lost_now) = (expected - expected_before, lost.saturating_sub(lost_before));
        let (last_sr, since) = self.sender_report.map_or((0, now), |report| report);
        Some(ReportBlock {
            ssrc: self.announced.ssrc,
            fraction_lost: (lost_now * 256).checked_div(expected).unwrap_or(0).min(255) as u8,
            cumulative_lost: lost as i32,
            highest_seq: highest as u32,
            jitter: 0,
            last_sr,
            delay_since_last_sr: if last_sr == 0 { 0 } else { ReportBlock::delay(now - since) },
        })
    }
}

/// What a packet brought.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    pub video: bool,
    pub stamp: Stamp,
}

/// Requests that are due, for one stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub media: Ssrc,
    pub lost: Vec<WireSeq>,
    /// What was asked for in vain leaves a picture that only a key frame mends.
    pub key_frame: bool,
}

#[derive(Debug, Default)]
pub struct Receiver {
    pub tracks: Vec<Track>,
    /// The place of each SSRC's track, and whether it carries repetitions.
    routes: BTreeMap<u32, (usize, bool)>,
    /// When something missing is next to be asked for; early rather than late.
    ask_at: Option<Instant>,
}

impl Receiver {
    /// Takes what a description announces, and returns what is new of it. Tracks that it leaves out stay with what
    /// they received.
    pub fn announce(&mut self, mut announced: Vec<Announced>) -> Vec<Announced> {
        announced.retain(|one| !self.routes.contains_key(&one.ssrc.0));
        for one in announced.iter().cloned() {
            let place = self.tracks.len();
            self.routes.insert(one.ssrc.0, (place, false));
            self.routes.extend(one.rtx_ssrc.map(|ssrc| (ssrc.0, (place, true))));
            self.tracks.push(Track::new(one));
        }
        announced
    }

    /// Takes an opened packet; tells what it brought that had not come before.
    pub fn on_packet(&mut self, now: Instant, packet: &Packet<'_>, seq: SeqNo) -> Option<Heard> {
        let (place, repeats) = *self.routes.get(&packet.ssrc().0)?;
        let track = self.tracks.get_mut(place)?;
        let padding = if packet.has_padding() { padding_len(packet.payload()).ok()? } else { 0 };
        let payload = &packet.payload()[..packet.payload().len() - padding];
        let (seq, payload) = match (repeats, payload) {
            (false, payload) => (seq.0, payload),
            (true, [high, low, original @ ..]) => {
                let wire = WireSeq(u16::from_be_bytes([*high, *low]));
                (SeqNo::extend(SeqNo(track.highest?), wire).0, original)
            }
            // Padding on the stream of repetitions probes the path.
            (true, _) => return None,
        };
        let new = track.on_number(now, seq);
        if let Some(first) = track.missing.values().next().filter(|_| track.announced.video) {
            self.ask_at = Some(self.ask_at.map_or(first.at, |at| at.min(first.at)));
        }
        // A payload that is empty stands for a number alone.
        let stamp = Stamp::read(payload).filter(|_| new)?;
        Some(Heard { video: track.announced.video, stamp })
    }

    pub fn on_sender_report(&mut self, now: Instant, ssrc: Ssrc, middle: u32) {
        if let Some((place, false)) = self.routes.get(&ssrc.0)
            && let Some(track) = self.tracks.get_mut(*place)
        {
            track.sender_report = Some((middle, now));
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ask_at
    }

    /// What is to be asked for now.
    pub fn due(&mut self, now: Instant) -> Vec<Request> {
        if self.ask_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let video = self.tracks.iter_mut().filter(|track| track.announced.video && !track.missing.is_empty());
        let requests: Vec<Request> = video.map(|track| request(track, now)).collect();
        let asks = self.tracks.iter().filter(|track| track.announced.video);
        self.ask_at = asks.flat_map(|track| track.missing.values()).map(|ask| ask.at).min();
        requests
    }

    /// Report blocks on what came.
    pub fn blocks(&mut self, now: Instant) -> Vec<ReportBlock> {
        self.tracks.iter_mut().filter_map(|track| track.block(now)).collect()
    }
}

fn request(track: &mut Track, now: Instant) -> Request {
    let before = track.missing.len();
    track.missing.retain(|_, ask| ask.tries < TRIES || ask.at > now);
    let abandoned = (before - track.missing.len()) as u64;
    track.abandoned += abandoned;
    // The newest first: it is the likeliest to come in time.
    let due = track.missing.iter_mut().rev().filter(|(_, ask)| ask.at <= now).take(ASKED);
    let lost = due.map(|(seq, ask)| {
        (ask.at, ask.tries) = (now + RETRY, ask.tries + 1);
        SeqNo(*seq).wire()
    });
    let mut lost: Vec<WireSeq> = lost.collect();
    // In rising order they take the fewest words (RFC 4585, section 6.2.1).
    lost.reverse();
    Request { media: track.announced.ssrc, lost, key_frame: abandoned > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use estafette::rtp::{HeaderWriter, PayloadType, RtpTime};

    const MEDIA: Ssrc = Ssrc(7);
    const REPAIR: Ssrc = Ssrc(8);
    const START: Instant = Instant::from_millis(1_000);

    fn receiver() -> Receiver {
        let mut receiver = Receiver::default();
        let (publisher, track) = ("p1".to_owned(), "s1".to_owned());
        let one = Announced { ssrc: MEDIA, rtx_ssrc: Some(REPAIR), publisher, track, video: true };
        assert_eq!(receiver.announce(vec![one.clone()]).len(), 1);
        assert!(receiver.announce(vec![one]).is_empty());
        receiver
    }

    fn receive(receiver: &mut Receiver, now: Instant, ssrc: Ssrc, seq: u64, head: &[u8]) -> Option<Heard> {
        let mut buf = [0; 64];
        let (payload_type, wire) = (PayloadType::new(96).expect("below 128"), SeqNo(seq).wire());
        let header = HeaderWriter::new(&mut buf, false, payload_type, wire, RtpTime(0), ssrc).expect("room");
        let start = header.finish().expect("room");
        buf[start..start + head.len()].copy_from_slice(head);
        let end = start + head.len() + crate::stamp::LEN;
        Stamp { sent: START, encoding: 1 }.write(&mut buf[..end]);
        receiver.on_packet(now, &Packet::parse(&buf[..end]).expect("a packet"), SeqNo(seq))
    }

    #[test]
    fn what_is_missing_is_asked_for_and_repaired_once() {
        let mut receiver = receiver();
        for seq in [65_535, 65_536, 65_539] {
            assert!(receive(&mut receiver, START, MEDIA, seq, &[]).is_some());
        }
        assert!(receiver.due(START).is_empty());
        let due = receiver.due(START + PATIENCE);
        let lost = vec![WireSeq(1), WireSeq(2)];
        assert_eq!(due, [Request { media: MEDIA, lost, key_frame: false }]);
        assert_eq!(receiver.poll_timeout(), Some(START + PATIENCE + RETRY));
        let heard = receive(&mut receiver, START, REPAIR, 3, &[0, 1]).expect("a repair");
        assert_eq!(heard, Heard { video: true, stamp: Stamp { sent: START, encoding: 1 } });
        assert_eq!(receive(&mut receiver, START, REPAIR, 4, &[0, 1]), None);
        let track = &receiver.tracks[0];
        assert_eq!((track.received, track.repaired, track.lost(), track.duplicates), (4, 1, 1, 1));
    }

    #[test]
    fn of_many_gaps_the_newest_are_asked_for_first() {
        let (mut receiver, gap) = (receiver(), ASKED as u64 + 50);
        receive(&mut receiver, START, MEDIA, 10, &[]);
        receive(&mut receiver, START, MEDIA, 11 + gap, &[]);
        let asked = |receiver: &mut Receiver| {
            let due = receiver.due(START + PATIENCE);
            due[0].lost.iter().map(|lost| u64::from(lost.0)).collect::<Vec<_>>()
        };
        assert_eq!(asked(&mut receiver), (61..11 + gap).collect::<Vec<_>>());
        assert_eq!(asked(&mut receiver), (11..61).collect::<Vec<_>>());
    }

    #[test]
    fn what_never_comes_is_given_up_and_counted() {
        let mut receiver = receiver();
        receive(&mut receiver, START, MEDIA, 10, &[]);
        receive(&mut receiver, START, MEDIA, 12, &[]);
        let mut asked = 0;
        while let Some(at) = receiver.poll_timeout() {
            let due = receiver.due(at);
            asked += due.iter().map(|request| request.lost.len()).sum::<usize>();
            if receiver.poll_timeout().is_none() {
                assert!(due[0].key_frame);
            }
        }
        assert_eq!((asked, receiver.tracks[0].lost()), (TRIES as usize, 1));
        let block = receiver.blocks(START)[0];
        assert_eq!((block.cumulative_lost, block.fraction_lost, block.highest_seq), (1, 85, 12));
    }
}
