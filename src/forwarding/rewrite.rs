//! How the numbers of a source become those of one subscription: one SSRC whose sequence numbers have
//! gaps only where the source has gaps, whatever is left out, whichever encoding is sent, whatever
//! happens upstream.
//!
//! The mapping is a translation that changes at the edges of what is left out. Between two edges lies a
//! [`Span`]; the present one stands with its selection in the listener, some that went before in
//! [`Spans`], for what comes late and for NACKs. Every number that leaves is used for one packet only
//! (I-10): a number of the source has a place in one span at most, and nothing but what was left out has
//! none.

use crate::base::limits;
use crate::forwarding::layers::{Layer, PacketFacts, Selector, Verdict};
use crate::wire::rtp::SeqNo;
use std::collections::VecDeque;

/// What is added to the numbers inside a packet, each in the width that its field has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Shift {
    /// To the picture id of VP8 and VP9.
    pub(crate) picture: u16,
    /// To the frame number of the dependency descriptor.
    pub(crate) frame: u16,
    /// To the index of base layer pictures.
    pub(crate) base_picture: u8,
}

/// The numbers inside a packet that a forwarder rewrites; 0 where the format has none.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Inner {
    pub(crate) picture: u16,
    pub(crate) frame: u16,
    pub(crate) base_picture: u8,
    /// Whether receivers take a gap in picture ids for a loss, as those of VP8 do. Those of VP9 find by them what a
    /// picture refers to: gaps stay.
    pub(crate) consecutive: bool,
}

/// A stretch of one encoding's numbers that are all moved by the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    /// The source's number it begins at.
    first: u64,
    /// What is added to the source's numbers, modulo 2^64.
    delta: u64,
    /// What is added to timestamps.
    pub(crate) timestamp: u32,
    pub(crate) shift: Shift,
    /// What was sent then: what comes late is judged by it.
    pub(crate) layer: Layer,
}

impl Span {
    /// The subscription's number for one of the source.
    fn map(&self, seq: SeqNo) -> SeqNo {
        SeqNo(seq.0.wrapping_add(self.delta))
    }
}

/// A span of the past.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) struct Past {
    pub(crate) span: Span,
    /// The number it ends before.
    end: u64,
    /// The source's timestamp of the picture that was sent last, if sending ended with it: later ones that lie in
    /// a gap before the end are not begun any more.
    last: Option<u32>,
}

impl Past {
    fn has(&self, encoding: u8, seq: SeqNo) -> bool {
        self.span.layer.encoding == encoding && (self.span.first..self.end).contains(&seq.0)
    }

    /// Whether a packet that comes late, or is asked for again, is one of what was sent then.
    pub(crate) fn includes(&self, layer: Layer, timestamp: u32) -> bool {
        let later = self.last.is_some_and(|last| timestamp.wrapping_sub(last).cast_signed() > 0);
        !later && self.span.layer.includes(layer)
    }
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mapped {
    /// It leaves under this number, moved as its span says; whether without its payload, because its
    /// successors left already and its number has to be filled.
    Sent { out: SeqNo, span: Span, emptied: bool },
    /// It does not leave, and no gap shows that.
    LeftOut,
    /// It is the first of another encoding, or the first at all: [`Rewriter::begin`] is to be called.
    Begins,
    /// It does not leave itself; but what was waited for is over, and the key frame that was
    /// [put off](Rewriter::put_off) is to be taken.
    Resumes,
}

/// No key frame waits.
const NOTHING: u64 = u64::MAX;

/// Spans of the past, the oldest first.
#[derive(Debug, Default, Clone, Hash)]
pub(crate) struct Spans(VecDeque<Past>);

impl Spans {
    fn push(&mut self, past: Past) {
        if self.0.len() >= limits::SPANS {
            self.0.pop_front();
        }
        if self.0.capacity() == 0 {
            // Once in a subscription's life: nothing is allocated per packet.
            self.0.reserve_exact(limits::SPANS);
        }
        self.0.push_back(past);
    }

    /// The numbers of an encoding's stream mean nothing any more: another stream took its place.
    pub(crate) fn forget(&mut self, encoding: u8) {
        self.0.retain(|past| past.span.layer.encoding != encoding);
    }
}

/// What became of the stream that a span is about.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
enum Standing {
    #[default]
    There,
    /// Another one took its place in its encoding.
    Ended,
    /// It was one of another source.
    Elsewhere,
}

/// Selection and mapping of one subscription, small enough to stand in the fan-out list itself.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) struct Rewriter {
    span: Span,
    /// The number behind the last one of the span's encoding that was looked at.
    next: u64,
    /// The latest timestamp that left.
    timestamp: u32,
    /// The numbers inside the latest packet that left, before they were moved.
    inner: Inner,
    /// Whether anything ever left.
    begun: bool,
    /// What became of the stream that the span is about.
    standing: Standing,
    /// Whether the latest picture lacks its end.
    open: bool,
    /// How many key frames were refused in a row because they seemed older than what was shown.
    refused: u8,
    /// The number of a key frame's first packet that came in the midst of another encoding's picture: it waits
    /// for its end, so that no picture is cut.
    put_off: u64,
    pub(crate) selector: Selector,
}

impl Rewriter {
    /// A mapping whose first packet gets the number `first` and a timestamp behind `timestamp`.
    pub(crate) fn new(first: SeqNo, timestamp: u32) -> Self {
        let layer = Layer::default();
        let shift = Shift::default();
        let span = Span { first: 0, delta: first.0, timestamp: 0, shift, layer };
        let (inner, selector) = (Inner::default(), Selector::new());
        Rewriter {
            span,
            next: 0,
            timestamp,
            inner,
            begun: false,
            standing: Standing::There,
            open: false,
            refused: 0,
            put_off: NOTHING,
            selector,
        }
    }

    /// The usual packet, the next of a layer that is sent while nothing else is wanted: its number, moved as the
    /// present [span](Self::span) says. `None` leaves it to [`take`](Self::take).
    #[inline]
    pub(crate) fn pass(
        &mut self,
        seq: SeqNo,
        facts: &PacketFacts,
        (timestamp, inner): (u32, Inner),
        empty: bool,
    ) -> Option<SeqNo> {
        let usual = !empty && self.put_off == NOTHING && seq.0 >= self.next;
        if !usual || !self.selector.is_settled_above(facts.layer) {
            return None;
        }
        self.note_passed(seq, facts, (timestamp, inner));
        Some(self.span.map(seq))
    }

    /// Whether nothing is sent or wanted, and the packet is none of what was sent before.
    #[inline]
    pub(crate) fn is_idle(&self, seq: SeqNo) -> bool {
        self.selector.target().is_none() && self.selector.layer().is_none() && seq.0 >= self.next
    }

    /// How what is sent now is moved.
    #[inline]
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Takes a packet of the source: `seq` and `facts` as it came, `inner` as it stands in it, `timestamp`
    /// likewise. A packet of padding alone (`empty`) is left out, if it can be.
    #[inline]
    pub(crate) fn take<'s>(
        &mut self,
        spans: impl FnOnce() -> Option<&'s mut Spans>,
        seq: SeqNo,
        facts: &PacketFacts,
        (timestamp, inner): (u32, Inner),
        empty: bool,
    ) -> Mapped {
        let before = self.selector.layer();
        let sent_now = before.is_some_and(|layer| layer.encoding == facts.layer.encoding);
        // Also when it was the last of what was sent: a picture that was begun is to be whole.
        if seq.0 < self.next && self.span.layer.encoding == facts.layer.encoding && self.is_valid() {
            return self.take_late(spans, seq, facts, timestamp, empty);
        }
        if self.put_off != NOTHING && self.resumes(seq, facts, sent_now) {
            return Mapped::Resumes;
        }
        let selector = self.selector;
        let verdict = if empty { Verdict::Skip } else { self.selector.select(facts) };
        match verdict {
            Verdict::Switch if before.is_some() && self.open => {
                self.selector = selector;
                self.put_off = self.put_off.min(seq.0);
                return Mapped::LeftOut;
            }
            Verdict::Switch => return Mapped::Begins,
            // While nothing of its encoding is sent there is nothing to be continuous with.
            Verdict::Skip | Verdict::AwaitKeyFrame if !sent_now => return Mapped::LeftOut,
            Verdict::Skip | Verdict::AwaitKeyFrame => {
                // A picture is left out as a whole, or its base layer is sent.
                let above = self.selector.layer().is_none_or(|now| facts.layer.temporal > now.temporal);
                let whole = facts.begins_picture && above && !empty;
                self.leave_out(spans, seq, whole && inner.consecutive);
                return Mapped::LeftOut;
            }
            Verdict::Forward if self.selector.layer() != before => self.note_layer(spans, seq),
            Verdict::Forward => {}
        }
        self.note_passed(seq, facts, (timestamp, inner));
        Mapped::Sent { out: self.span.map(seq), span: self.span, emptied: false }
    }

    #[inline]
    fn note_passed(&mut self, seq: SeqNo, facts: &PacketFacts, (timestamp, inner): (u32, Inner)) {
        self.next = seq.0.wrapping_add(1);
        let top_ends = facts.ends_frame && facts.layer.spatial == self.span.layer.spatial;
        self.open = !(facts.ends_picture || top_ends);
        self.note_sent(timestamp, inner);
    }

    /// Whether the picture that a key frame waits for is over with this packet: another one begins, here or
    /// behind the key frame.
    #[cold]
    fn resumes(&mut self, seq: SeqNo, facts: &PacketFacts, sent_now: bool) -> bool {
        let target = self.selector.target().map(|target| target.encoding);
        let behind = target == Some(facts.layer.encoding) && seq.0 > self.put_off;
        if sent_now && facts.begins_picture {
            // What is missing of the picture keeps its numbers.
            self.next = self.next.max(seq.0);
        }
        facts.begins_picture && (sent_now || behind)
    }

    /// Whether a key frame waits for a picture that is over.
    pub(crate) fn due(&self) -> bool {
        self.put_off != NOTHING && !self.open
    }

    /// Takes the key frame that was put off: the number of its first packet, and the encoding that is wanted.
    pub(crate) fn take_put_off(&mut self) -> Option<(u8, SeqNo)> {
        let seq = std::mem::replace(&mut self.put_off, NOTHING);
        self.open = false;
        Some((self.selector.target()?.encoding, SeqNo(seq))).filter(|_| seq != NOTHING)
    }

    /// What is sent changed within the encoding: what comes late is judged by what was sent before.
    #[cold]
    fn note_layer<'s>(&mut self, spans: impl FnOnce() -> Option<&'s mut Spans>, seq: SeqNo) {
        let Some(layer) = self.selector.layer() else { return };
        self.close(spans(), seq.0, None);
        (self.span.first, self.span.layer) = (seq.0, layer);
    }

    /// The packet leaves no gap: what follows moves up.
    fn leave_out<'s>(&mut self, spans: impl FnOnce() -> Option<&'s mut Spans>, seq: SeqNo, picture: bool) {
        if self.span.first != seq.0 {
            let last = self.latest().filter(|_| self.selector.layer().is_none());
            self.close(spans(), seq.0, last);
        }
        let layer = self.selector.layer().unwrap_or(self.span.layer);
        let mut shift = self.span.shift;
        shift.picture = shift.picture.wrapping_sub(u16::from(picture));
        // The latest that left stays what it was.
        self.inner.picture = self.inner.picture.wrapping_add(u16::from(picture));
        let (first, delta) = (seq.0.wrapping_add(1), self.span.delta.wrapping_sub(1));
        self.span = Span { first, delta, shift, layer, ..self.span };
        self.next = first;
    }

    /// The source's timestamp of the picture that was sent last.
    fn latest(&self) -> Option<u32> {
        self.begun.then(|| self.timestamp.wrapping_sub(self.span.timestamp))
    }

    /// The span ends before a number, and sending, perhaps, with a picture.
    fn close(&mut self, spans: Option<&mut Spans>, end: u64, last: Option<u32>) {
        if self.is_valid()
            && self.span.first < end
            && let Some(spans) = spans
        {
            spans.push(Past { span: self.span, end, last });
        }
    }

    /// A packet whose number was passed by already has the place that was kept for it.
    #[cold]
    fn take_late<'s>(
        &mut self,
        spans: impl FnOnce() -> Option<&'s mut Spans>,
        seq: SeqNo,
        facts: &PacketFacts,
        timestamp: u32,
        empty: bool,
    ) -> Mapped {
        let present = Some(self.present()).filter(|present| present.has(facts.layer.encoding, seq));
        let of_its_own = |past: &&Past| past.has(facts.layer.encoding, seq);
        let past =
            present.or_else(|| spans().and_then(|spans| spans.0.iter().rev().find(of_its_own).copied()));
        // Without one it is from before there was anything to be sent.
        let Some(past) = past else { return Mapped::LeftOut };
        let emptied = empty || !past.includes(facts.layer, timestamp);
        Mapped::Sent { out: past.span.map(seq), span: past.span, emptied }
    }

    /// The present span, up to now.
    fn present(&self) -> Past {
        Past { span: self.span, end: self.next, last: None }
    }

    /// The first packet of another encoding, or of the first, or after a pause: it gets the next number,
    /// and its timestamp `at`, which is moved on if it would go back; the numbers inside go on by one.
    pub(crate) fn begin(
        &mut self,
        spans: Option<&mut Spans>,
        seq: SeqNo,
        (timestamp, at): (u32, u32),
        inner: Inner,
    ) -> (SeqNo, Span) {
        let out = self.next.wrapping_add(self.span.delta);
        let layer = self.selector.layer().unwrap_or_default();
        self.close(spans, self.next, self.latest());
        let behind = at.wrapping_sub(self.timestamp).cast_signed() > 0;
        let at = if behind { at } else { self.timestamp.wrapping_add(limits::TIMESTAMP_STEP) };
        let (last, moved) = (self.inner, self.span.shift);
        let shift = Shift {
            picture: (last.picture.wrapping_add(moved.picture).wrapping_add(1)).wrapping_sub(inner.picture),
            frame: (last.frame.wrapping_add(moved.frame).wrapping_add(1)).wrapping_sub(inner.frame),
            base_picture: (last.base_picture.wrapping_add(moved.base_picture).wrapping_add(1))
                .wrapping_sub(inner.base_picture),
        };
        self.span = Span {
            first: seq.0,
            delta: out.wrapping_sub(seq.0),
            timestamp: at.wrapping_sub(timestamp),
            // Where nothing was sent before there is nothing to go on from.
            shift: if self.begun { shift } else { Shift::default() },
            layer,
        };
        self.next = seq.0.wrapping_add(1);
        (self.begun, self.standing, self.open, self.put_off) = (true, Standing::There, true, NOTHING);
        self.refused = 0;
        self.note_sent(timestamp, inner);
        (SeqNo(out), self.span)
    }

    fn note_sent(&mut self, timestamp: u32, inner: Inner) {
        self.timestamp = timestamp.wrapping_add(self.span.timestamp);
        self.inner = inner;
    }

    /// What is wanted from now on.
    pub(crate) fn set_target(&mut self, target: Option<Layer>) {
        // A key frame that waits is one of what was wanted before.
        self.put_off = NOTHING;
        self.selector.set_target(target);
    }

    /// Whether a key frame waits for the end of a picture.
    pub(crate) fn has_put_off(&self) -> bool {
        self.put_off != NOTHING
    }

    /// The stream of an encoding is another one now: its numbers begin anew, with a key frame, and those
    /// before mean nothing any more.
    pub(crate) fn restart(&mut self, spans: &mut Spans, encoding: u8) {
        self.selector.restart(encoding);
        self.put_off = NOTHING;
        spans.forget(encoding);
        if self.span.layer.encoding == encoding && self.standing == Standing::There {
            self.standing = Standing::Ended;
        }
    }

    /// What follows is of another source: the numbers alone go on, from the first of those that are `unsent`.
    pub(crate) fn hand_over(&mut self, unsent: u64) {
        self.next = self.next.wrapping_sub(unsent);
        (self.standing, self.open, self.put_off) = (Standing::Elsewhere, false, NOTHING);
        self.selector = Selector::new();
    }

    /// Nothing is sent for a while; what follows begins with a key frame.
    pub(crate) fn pause(&mut self) {
        self.put_off = NOTHING;
        if let Some(layer) = self.selector.layer() {
            self.selector.restart(layer.encoding);
        }
    }

    /// The source's number behind a number of this subscription and the span it lies in, for its NACKs.
    pub(crate) fn unmap(&self, spans: &Spans, out: SeqNo) -> Option<(SeqNo, Past)> {
        let present = Some(self.present()).filter(|_| self.is_valid());
        let mut all = present.into_iter().chain(spans.0.iter().rev().copied());
        all.find_map(|past| {
            let seq = out.0.wrapping_sub(past.span.delta);
            (past.span.first..past.end).contains(&seq).then_some((SeqNo(seq), past))
        })
    }

    /// The encoding that was sent last, if any of this source was, and whether its stream is still the same.
    pub(crate) fn encoding(&self) -> Option<(u8, bool)> {
        let any = self.begun && self.standing != Standing::Elsewhere;
        any.then_some((self.span.layer.encoding, self.standing == Standing::There))
    }

    /// What is added to the timestamps of what was sent last.
    pub(crate) fn timestamp_delta(&self) -> u32 {
        self.span.timestamp
    }

    /// Whether a key frame of another encoding came so late that something later than its timestamp has left,
    /// by more than clocks are told apart: the next one is to be waited for. A publisher whose encodings
    /// disagree for good about the time is waited for a few times only (S-SIM-04).
    pub(crate) fn refuses(&mut self, timestamp: u32) -> bool {
        let behind = self.timestamp.wrapping_sub(timestamp).cast_signed();
        let late = self.begun && behind > limits::TIMESTAMP_STEP.cast_signed();
        let refused = late && self.refused < limits::KEYFRAMES_REFUSED;
        self.refused += u8::from(refused);
        refused
    }

    /// The latest timestamp that left.
    pub(crate) fn latest_timestamp(&self) -> u32 {
        self.timestamp
    }

    fn is_valid(&self) -> bool {
        self.begun && self.standing == Standing::There
    }

    /// The highest number given out so far.
    pub(crate) fn highest(&self) -> SeqNo {
        SeqNo(self.next.wrapping_add(self.span.delta).wrapping_sub(1))
    }
}

#[cfg(test)]
mod tests;
