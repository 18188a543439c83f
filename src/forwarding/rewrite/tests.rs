use super::*;
use crate::forwarding::layers::Steps;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

/// A subscription alone.
struct One {
    rewriter: Rewriter,
    spans: Spans,
}

impl One {
    fn new(first: u64, timestamp: u32) -> Self {
        One { rewriter: Rewriter::new(SeqNo(first), timestamp), spans: Spans::default() }
    }

    fn take(&mut self, seq: u64, facts: &PacketFacts, numbers: (u32, Inner)) -> Option<(SeqNo, Span, bool)> {
        self.take_or_empty(seq, facts, numbers, false)
    }

    fn take_or_empty(
        &mut self,
        seq: u64,
        facts: &PacketFacts,
        (timestamp, inner): (u32, Inner),
        empty: bool,
    ) -> Option<(SeqNo, Span, bool)> {
        let spans = &mut self.spans;
        match self.rewriter.take(|| Some(spans), SeqNo(seq), facts, (timestamp, inner), empty) {
            Mapped::Sent { out, span, emptied } => Some((out, span, emptied)),
            Mapped::LeftOut | Mapped::Resumes => None,
            Mapped::Begins => {
                let at = timestamp.wrapping_add(self.rewriter.timestamp_delta());
                let begun = self.rewriter.begin(Some(&mut self.spans), SeqNo(seq), (timestamp, at), inner);
                Some((begun.0, begun.1, false))
            }
        }
    }

    /// The number that a packet of a stream without layers gets.
    fn plain(&mut self, seq: u64) -> Option<u64> {
        self.take(seq, &key(), (0, Inner::default())).map(|(out, ..)| out.0)
    }

    fn unmap(&self, out: u64) -> Option<u64> {
        self.rewriter.unmap(&self.spans, SeqNo(out)).map(|(seq, _)| seq.0)
    }
}

fn key() -> PacketFacts {
    PacketFacts {
        begins_key_frame: Some(true),
        begins_picture: true,
        begins_frame: true,
        ends_frame: true,
        ends_picture: true,
        opens: Steps::ALL,
        ..PacketFacts::default()
    }
}

fn of(encoding: u8, temporal: u8) -> PacketFacts {
    let layer = Layer { encoding, spatial: 0, temporal };
    PacketFacts { layer, begins_key_frame: Some(false), opens: Steps::NONE, ..key() }
}

#[test]
fn gaps_and_reordering_of_the_source_show_unchanged() {
    let mut one = One::new(100, 0);
    let out = [50, 51, 54, 53].map(|seq| one.plain(seq));
    assert_eq!(out, [Some(100), Some(101), Some(104), Some(103)]);
    assert_eq!(one.plain(49), None, "before the subscription began");
    assert_eq!(one.unmap(103), Some(53));
    assert_eq!((one.unmap(99), one.unmap(105)), (None, None));
}

#[test]
fn padding_leaves_no_gap_and_late_packets_keep_their_place() {
    let mut one = One::new(100, 0);
    let empty = |one: &mut One, seq| one.take_or_empty(seq, &key(), (0, Inner::default()), true);
    assert_eq!((one.plain(50), one.plain(52)), (Some(100), Some(102)));
    assert_eq!(empty(&mut one, 53), None);
    assert_eq!(one.plain(54), Some(103));
    // What passed by has its place filled.
    assert_eq!(empty(&mut one, 51).map(|(out, _, emptied)| (out.0, emptied)), Some((101, true)));
    assert_eq!((one.unmap(101), one.unmap(102), one.unmap(103)), (Some(51), Some(52), Some(54)));
}

#[test]
fn what_is_left_out_leaves_no_gap_in_numbers_or_pictures() {
    let mut one = One::new(100, 0);
    let inner = |picture| Inner { picture, consecutive: true, ..Inner::default() };
    let mut sent = Vec::new();
    one.rewriter.selector.set_target(Some(Layer { encoding: 0, spatial: 0, temporal: 0 }));
    for picture in 0..6u16 {
        let facts = if picture == 0 { key() } else { of(0, u8::from(picture % 2 == 1)) };
        for part in 0..2 {
            let facts = PacketFacts { begins_picture: part == 0, begins_frame: part == 0, ..facts };
            let seq = 50 + u64::from(picture) * 2 + part;
            let taken = one.take(seq, &facts, (u32::from(picture) * 3_000, inner(9 + picture)));
            sent.extend(
                taken.map(|(out, span, _)| (seq, out.0, 9 + picture.wrapping_add(span.shift.picture))),
            );
        }
    }
    assert_eq!(
        sent,
        [(50, 100, 9), (51, 101, 9), (54, 102, 10), (55, 103, 10), (58, 104, 11), (59, 105, 11)]
    );
    for (seq, out, _) in sent {
        assert_eq!(one.unmap(out), Some(seq));
    }
}

#[test]
fn a_late_packet_of_what_is_left_out_fills_its_place() {
    let mut one = One::new(100, 0);
    one.rewriter.selector.set_target(Some(Layer::default()));
    let mut take = |seq, facts: PacketFacts| {
        one.take(seq, &facts, (0, Inner::default())).map(|(out, _, empty)| (out.0, empty))
    };
    assert_eq!(take(50, key()), Some((100, false)));
    // 51 and 52 are on their way.
    assert_eq!(take(53, of(0, 1)), None);
    assert_eq!(take(54, of(0, 0)), Some((103, false)));
    assert_eq!(take(51, of(0, 1)), Some((101, true)));
    assert_eq!(take(52, of(0, 0)), Some((102, false)));
}

#[test]
fn another_encoding_goes_on_in_numbers_timestamps_and_pictures() {
    let mut one = One::new(100, 7);
    let inner = |n: u16| Inner { picture: n, frame: n + 1, base_picture: n as u8, consecutive: true };
    one.take(50, &key(), (1_000, inner(5)));
    let (_, span, _) = one.take(51, &of(0, 0), (4_000, inner(6))).expect("it is sent");
    let latest = 4_000u32.wrapping_add(span.timestamp);
    assert_eq!(one.rewriter.latest_timestamp(), latest);
    one.rewriter.selector.set_target(Some(Layer::whole(1)));
    let first = PacketFacts { layer: Layer { encoding: 1, ..Layer::default() }, ..key() };
    // A clock that goes back is moved on.
    let verdict = {
        let spans = &mut one.spans;
        one.rewriter.take(|| Some(spans), SeqNo(9_000), &first, (77, inner(200)), false)
    };
    assert_eq!(verdict, Mapped::Begins);
    let (out, span) = one.rewriter.begin(Some(&mut one.spans), SeqNo(9_000), (77, latest - 5), inner(200));
    assert_eq!(out, SeqNo(102));
    assert_eq!(77u32.wrapping_add(span.timestamp), latest + limits::TIMESTAMP_STEP);
    assert_eq!(200u16.wrapping_add(span.shift.picture), 7);
    assert_eq!(201u16.wrapping_add(span.shift.frame), 8);
    assert_eq!(200u8.wrapping_add(span.shift.base_picture), 7);
    // Both can be asked for again.
    assert_eq!((one.unmap(101), one.unmap(102), one.unmap(103)), (Some(51), Some(9_000), None));
    assert_eq!(one.rewriter.unmap(&one.spans, SeqNo(101)).map(|(_, past)| past.span.layer.encoding), Some(0));
}

#[test]
fn a_new_stream_continues_where_the_old_one_ended() {
    let mut one = One::new(100, 5);
    assert_eq!(one.plain(7_000), Some(100));
    one.rewriter.restart(&mut one.spans, 0);
    assert_eq!(one.take(4, &of(0, 0), (0, Inner::default())), None, "it begins with a key frame");
    assert_eq!((one.plain(5), one.plain(4)), (Some(101), None));
    assert_eq!((one.unmap(100), one.unmap(101)), (None, Some(5)), "the stream before is gone");
}

#[test]
fn nothing_of_a_pause_shows() {
    let mut one = One::new(100, 0);
    assert_eq!(one.plain(50), Some(100));
    one.rewriter.selector.set_target(None);
    assert_eq!([51, 55, 53].map(|seq| one.plain(seq)), [None; 3]);
    one.rewriter.selector.set_target(Some(Layer::whole(0)));
    assert_eq!(one.plain(60), Some(101));
    assert_eq!(one.plain(54), None, "it was not missed");
    assert_eq!((one.unmap(100), one.unmap(101)), (Some(50), Some(60)));
}

#[test]
fn s_rtp_10_spans_are_bounded_and_the_latest_are_kept() {
    let mut one = One::new(0, 0);
    one.rewriter.selector.set_target(Some(Layer::default()));
    one.take(0, &key(), (0, Inner::default()));
    for seq in 1..1_000u64 {
        one.take(seq, &of(0, (seq % 2) as u8), (0, Inner::default()));
    }
    assert_eq!((one.spans.0.len(), one.spans.0.capacity()), (limits::SPANS, limits::SPANS));
    assert_eq!(one.unmap(499), Some(998));
    assert_eq!(one.unmap(499 - limits::SPANS as u64 + 1), Some(998 - 2 * (limits::SPANS as u64 - 1)));
    assert_eq!(one.unmap(1), None);
}

#[test]
fn rfc_9628_4_2_gaps_in_picture_ids_of_vp9_stay_because_references_count_by_them() {
    let mut one = One::new(100, 0);
    one.rewriter.selector.set_target(Some(Layer::default()));
    let inner = |picture| Inner { picture, ..Inner::default() };
    one.take(50, &key(), (0, inner(9)));
    assert_eq!(one.take(51, &of(0, 1), (3_000, inner(10))), None);
    let (out, span, _) = one.take(52, &of(0, 0), (6_000, inner(11))).expect("it is sent");
    assert_eq!((out, span.shift), (SeqNo(101), Shift::default()));
}

#[test]
fn a_switch_waits_for_the_end_of_the_picture_that_is_being_sent() {
    let mut one = One::new(100, 0);
    let numbers = (0, Inner::default());
    let part = |facts: PacketFacts, first: bool, last: bool| PacketFacts {
        begins_picture: first,
        begins_frame: first,
        ends_frame: last,
        ends_picture: last,
        ..facts
    };
    one.take(50, &key(), numbers);
    one.rewriter.set_target(Some(Layer::whole(1)));
    assert!(one.take(51, &part(of(0, 0), true, false), numbers).is_some());
    let first = part(PacketFacts { layer: Layer { encoding: 1, ..Layer::default() }, ..key() }, true, false);
    assert_eq!(one.take(900, &first, numbers), None, "it waits");
    assert!(one.rewriter.has_put_off() && !one.rewriter.due());
    assert_eq!(one.take(901, &part(of(1, 0), false, true), numbers), None);
    assert_eq!(one.take(52, &part(of(0, 0), false, true), numbers).map(|(out, ..)| out.0), Some(102));
    assert!(one.rewriter.due());
    assert_eq!(one.rewriter.take_put_off(), Some((1, SeqNo(900))));
    assert_eq!(one.take(900, &first, numbers).map(|(out, ..)| out.0), Some(103));
    // A picture without its end is waited for until the next one begins; its numbers are kept for it.
    one.rewriter.set_target(Some(Layer::whole(0)));
    assert_eq!(one.take(60, &key(), numbers), None);
    let mapped = {
        let (spans, next) = (&mut one.spans, part(of(1, 0), true, true));
        one.rewriter.take(|| Some(spans), SeqNo(903), &next, numbers, false)
    };
    assert_eq!((mapped, one.rewriter.take_put_off()), (Mapped::Resumes, Some((0, SeqNo(60)))));
    assert_eq!(one.take(60, &key(), numbers).map(|(out, ..)| out.0), Some(106));
    assert_eq!((one.unmap(104), one.unmap(105)), (Some(901), Some(902)));
    // Nothing waits for what is not wanted any more.
    one.rewriter.set_target(Some(Layer::whole(1)));
    assert!(!one.rewriter.has_put_off());
}

proptest! {
    /// I-10 and the inverse: over loss, reordering, duplicates that were told apart before, padding, layers
    /// that come and go, pauses, encodings and new streams no number is given twice, none is skipped but
    /// where the source has a gap, and what was given lately names its source packet.
    #[test]
    fn i_10_no_number_is_given_to_two_packets(
        steps in proptest::collection::vec((0u64..12, 0u8..30, 0u8..3, 0u8..2), 1..400),
    ) {
        let mut one = One::new(30_000, 0);
        let mut base = [1_000u64, 5_000_000];
        let (mut seen, mut given, mut last) = (HashSet::new(), HashSet::new(), HashMap::new());
        for (jump, action, temporal, encoding) in steps {
            let seq = base[usize::from(encoding)] + jump;
            match action {
                0 => {
                    one.rewriter.restart(&mut one.spans, encoding);
                    base[usize::from(encoding)] += 100_000;
                    last.retain(|_, (of, _)| *of != encoding);
                    continue;
                }
                1 => {
                    one.rewriter.selector.set_target(None);
                    continue;
                }
                2..5 => {
                    let target = Layer { encoding, spatial: 0, temporal };
                    one.rewriter.selector.set_target(Some(target));
                    continue;
                }
                _ => {}
            }
            if !seen.insert((encoding, seq)) {
                continue;
            }
            let facts = if action < 10 {
                PacketFacts { layer: Layer { encoding, ..Layer::default() }, ..key() }
            } else {
                of(encoding, temporal)
            };
            let highest = one.rewriter.highest();
            let taken = one.take_or_empty(seq, &facts, (0, Inner::default()), action == 29);
            if let Some((out, _, emptied)) = taken {
                prop_assert!(given.insert(out), "{out:?} was given before");
                prop_assert!(out.0 <= highest.0.wrapping_add(13) && one.rewriter.highest() >= highest);
                if !emptied {
                    last.insert(out, (encoding, seq));
                }
                base[usize::from(encoding)] += jump / 4;
            }
            for (out, (encoding, seq)) in &last {
                if let Some((found, past)) = one.rewriter.unmap(&one.spans, *out) {
                    prop_assert_eq!((past.span.layer.encoding, found.0), (*encoding, *seq));
                }
            }
        }
    }
}
