//! Appends RTCP packets to the caller's buffer.

use super::{FirEntry, ReportBlock, SenderInfo, feedback, format, packet_type, remb, transport_feedback};
use crate::base::time::Instant;
use crate::base::units::Bitrate;
use crate::wire::rtp::{NoSpace, Ssrc, WireSeq};

/// Writes a compound packet, one packet behind the other.
///
/// Each method writes a packet or, with [`NoSpace`], nothing: the buffer is too short, or the entries
/// are more than their count can say. The order is the caller's: a report first, unless reduced size
/// was negotiated (RFC 3550, section 6.1; RFC 5506).
#[derive(Debug)]
pub struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
    /// Where the last packet begins, if it has padding.
    padded: Option<usize>,
}

impl<'b> Writer<'b> {
    /// Begins at the start of `buf`.
    pub fn new(buf: &'b mut [u8]) -> Writer<'b> {
        Writer { buf, len: 0, padded: None }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes left.
    pub fn room(&self) -> usize {
        self.buf.len() - self.len
    }

    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tells of our stream and of up to 31 streams that we receive (RFC 3550, section 6.4.1).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends, or for more than 31 blocks.
    pub fn sender_report(&mut self, info: &SenderInfo, blocks: &[ReportBlock]) -> Result<(), NoSpace> {
        let ntp = info.ntp.0;
        // The halves of 64 bits.
        let [high, low] = [(ntp >> 32) as u32, ntp as u32];
        let SenderInfo { ssrc, rtp_time, packet_count, octet_count, .. } = *info;
        let head = [ssrc.0, high, low, rtp_time.0, packet_count, octet_count];
        self.report(packet_type::SENDER_REPORT, &head, blocks)
    }

    /// Tells of up to 31 streams that we receive (RFC 3550, section 6.4.2).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends, or for more than 31 blocks.
    pub fn receiver_report(&mut self, ssrc: Ssrc, blocks: &[ReportBlock]) -> Result<(), NoSpace> {
        self.report(packet_type::RECEIVER_REPORT, &[ssrc.0], blocks)
    }

    fn report(&mut self, kind: u8, head: &[u32], blocks: &[ReportBlock]) -> Result<(), NoSpace> {
        let count = count_of(blocks.len())?;
        let words = head.iter().copied().chain(blocks.iter().flat_map(|block| block.to_words()));
        self.words(count, kind, head.len() + blocks.len() * ReportBlock::LEN / 4, words)
    }

    /// Asks for missing packets (RFC 4585, section 6.2.1), best in ascending order: then numbers that
    /// are at most 16 apart share four bytes. Nothing is written if there are none.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends.
    pub fn nack(
        &mut self,
        sender: Ssrc,
        media: Ssrc,
        missing: impl IntoIterator<Item = WireSeq>,
    ) -> Result<(), NoSpace> {
        // Header and the two sources stand in front of the pairs.
        let room = self.buf.get_mut(self.len + 12..).ok_or(NoSpace)?;
        let pairs_len = feedback::write_nack(room, missing).ok_or(NoSpace)?;
        if pairs_len == 0 {
            return Ok(());
        }
        let body = self.packet(format::NACK, packet_type::TRANSPORT_FEEDBACK, 8 + pairs_len)?;
        fill(body, [sender.0, media.0]);
        Ok(())
    }

    /// Tells that a picture cannot be decoded (RFC 4585, section 6.3.1).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends.
    pub fn pli(&mut self, sender: Ssrc, media: Ssrc) -> Result<(), NoSpace> {
        self.words(format::PLI, packet_type::PAYLOAD_FEEDBACK, 2, [sender.0, media.0])
    }

    /// Asks for key frames (RFC 5104, section 4.3.1). Nothing is written if there are no entries.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends.
    pub fn fir(&mut self, sender: Ssrc, entries: &[FirEntry]) -> Result<(), NoSpace> {
        if entries.is_empty() {
            return Ok(());
        }
        let entry = |entry: &FirEntry| [entry.ssrc.0, u32::from(entry.sequence_number) << 24];
        let words = [sender.0, 0].into_iter().chain(entries.iter().flat_map(entry));
        self.words(format::FIR, packet_type::PAYLOAD_FEEDBACK, 2 + 2 * entries.len(), words)
    }

    /// Tells the rate that up to 255 streams may have together, rounded down to 18 significant bits
    /// (draft-alvestrand-rmcat-remb-03, section 2.2).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends, or for more than 255 streams.
    pub fn remb(&mut self, sender: Ssrc, bitrate: Bitrate, ssrcs: &[Ssrc]) -> Result<(), NoSpace> {
        let count = u8::try_from(ssrcs.len()).map_err(|_| NoSpace)?;
        let [name, rate] = remb::to_words(bitrate, count);
        let words = [sender.0, 0, name, rate].into_iter().chain(ssrcs.iter().map(|ssrc| ssrc.0));
        self.words(format::APPLICATION, packet_type::PAYLOAD_FEEDBACK, 4 + ssrcs.len(), words)
    }

    /// Tells when the packets `base_seq`, `base_seq + 1`, ... arrived, `None` for one that did not
    /// (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1).
    ///
    /// Returns how many of them were told: all, or fewer where the space ends, where a packet came
    /// more than 8 s before or after the one in front of it, and at 65,535. The caller goes on from
    /// there with another feedback. If none of `arrivals` arrived it is zero and nothing is written.
    ///
    /// # Errors
    /// [`NoSpace`] if not even the first arrival, with what is missing in front of it, fits.
    pub fn transport_feedback<I>(
        &mut self,
        sender: Ssrc,
        media: Ssrc,
        feedback_count: u8,
        base_seq: WireSeq,
        arrivals: I,
    ) -> Result<usize, NoSpace>
    where
        I: IntoIterator<Item = Option<Instant>>,
        I::IntoIter: Clone,
    {
        let room = self.buf.get_mut(self.len + 4..).ok_or(NoSpace)?;
        // The header's length counts words in 16 bits.
        let most = room.len().min(usize::from(u16::MAX) * 4);
        let room = room.get_mut(..most).ok_or(NoSpace)?;
        let arrivals = arrivals.into_iter();
        let written = transport_feedback::write(room, [sender, media], feedback_count, base_seq, arrivals)?;
        if written.statuses == 0 {
            return Ok(0);
        }
        let start = self.len;
        let body_len = written.len.next_multiple_of(4);
        let kind = packet_type::TRANSPORT_FEEDBACK;
        let body = self.packet(format::TRANSPORT_WIDE, kind, body_len)?;
        if let Some(padding @ [.., _]) = body.get_mut(written.len..) {
            pad(padding);
            self.set_padded(start);
        }
        Ok(usize::from(written.statuses))
    }

    /// Marks the packet at `start` as padded, which only the last of a compound may be (RFC 3550,
    /// section 6.4.1).
    fn set_padded(&mut self, start: usize) {
        if let Some(first) = self.buf.get_mut(start) {
            *first |= 0x20;
            self.padded = Some(start);
        }
    }

    /// Turns the padding of what is no longer the last packet into the zeros that the draft of
    /// transport-wide feedback has in its place: one to three bytes, the last of them the count.
    fn clear_padded(&mut self) {
        let Some(start) = self.padded.take() else {
            return;
        };
        if let Some([first, .., count]) = self.buf.get_mut(start..self.len) {
            *first &= !0x20;
            *count = 0;
        }
    }

    /// Appends a packet of that many words behind its header.
    pub(super) fn words(
        &mut self,
        count: u8,
        kind: u8,
        len: usize,
        words: impl IntoIterator<Item = u32>,
    ) -> Result<(), NoSpace> {
        fill(self.packet(count, kind, len * 4)?, words);
        Ok(())
    }

    /// Writes a header for a body of `body_len` bytes, a multiple of four, and returns the body: as it
    /// is, so it may have been filled before.
    pub(super) fn packet(&mut self, count: u8, kind: u8, body_len: usize) -> Result<&mut [u8], NoSpace> {
        let [w0, w1] = u16::try_from(body_len / 4).map_err(|_| NoSpace)?.to_be_bytes();
        let end = self.len + 4 + body_len;
        if end > self.buf.len() {
            return Err(NoSpace);
        }
        self.clear_padded();
        let start = std::mem::replace(&mut self.len, end);
        let packet = self.buf.get_mut(start..end).ok_or(NoSpace)?;
        let (header, body) = packet.split_first_chunk_mut().ok_or(NoSpace)?;
        *header = [0x80 | count, kind, w0, w1];
        Ok(body)
    }
}

/// The five bits that count entries.
pub(super) fn count_of(entries: usize) -> Result<u8, NoSpace> {
    u8::try_from(entries).ok().filter(|count| *count < 32).ok_or(NoSpace)
}

pub(super) fn fill(body: &mut [u8], words: impl IntoIterator<Item = u32>) {
    for (place, word) in body.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *place = word.to_be_bytes();
    }
}

/// Zeros and, in the last byte, how many bytes of padding there are: one to three.
fn pad(padding: &mut [u8]) {
    // Below four.
    let count = padding.len() as u8;
    if let [zeros @ .., last] = padding {
        zeros.fill(0);
        *last = count;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        Application, Arrival, Compound, Metric, NtpTime, Packet, ReportDelay, SourceItem, StreamReport,
    };
    use super::*;
    use crate::wire::mux::Ecn;

    const A: Ssrc = Ssrc(0x0102_0304);
    const B: Ssrc = Ssrc(0x0506_0708);

    fn arrivals(count: u64) -> impl Iterator<Item = Option<Instant>> + Clone {
        (0..count).map(|at| Some(Instant::from_millis(at)))
    }

    #[test]
    fn padding_moves_out_of_the_way_of_another_packet() {
        let mut buf = [0xee; 64];
        let mut writer = Writer::new(&mut buf);
        assert_eq!(writer.transport_feedback(A, B, 0, WireSeq(1), arrivals(3)), Ok(3));
        assert_eq!(writer.len(), 28);
        writer.pli(A, B).expect("room");
        let len = writer.len();
        assert_eq!((buf[0], &buf[22..28]), (0x8f, &[0, 4, 4, 0, 0, 0][..]));
        let packets: Vec<_> = Compound::parse(&buf[..len]).expect("ours").packets().collect();
        assert!(matches!(packets[..], [Packet::TransportFeedback(feedback), Packet::Pli(_)]
            if feedback.received().count() == 3));

        let mut writer = Writer::new(&mut buf);
        writer.pli(A, B).expect("room");
        assert_eq!(writer.transport_feedback(A, B, 0, WireSeq(1), arrivals(3)), Ok(3));
        let len = writer.len();
        assert_eq!((buf[12], &buf[34..len]), (0xaf, &[0, 4, 4, 0, 0, 3][..]));
        assert!(Compound::parse(&buf[..len]).expect("ours").dropped().is_none());
    }

    #[test]
    fn a_packet_that_does_not_fit_changes_nothing() {
        let info = SenderInfo::default();
        let blocks = [ReportBlock::default(); 32];
        let application = Application { ssrc: A, subtype: 31, name: *b"name", data: &[[1; 4]] };
        let delay = ReportDelay { ssrc: B, last_rr: 1, delay_since_last_rr: 2 };
        let arrived = Metric { ecn: Ecn::Ce, arrival: Arrival::Before(5) };
        let stream = StreamReport { ssrc: B, begin_seq: WireSeq(1), metrics: &[Some(arrived), None, None] };
        let entry = FirEntry { ssrc: B, sequence_number: 1 };
        type Write<'w> = &'w dyn Fn(&mut Writer<'_>) -> Result<(), NoSpace>;
        let writes: [(Write<'_>, usize); 14] = [
            (&|writer| writer.sender_report(&info, &blocks[..1]), 52),
            (&|writer| writer.receiver_report(A, &blocks[..31]), 752),
            (&|writer| writer.sdes_cname(A, "12345"), 16),
            (&|writer| writer.bye(&[A, B], ""), 12),
            (&|writer| writer.bye(&[A], "gone"), 16),
            (&|writer| writer.application(&application), 16),
            (&|writer| writer.extended_report(A, Some(NtpTime(1)), &[delay; 2]), 48),
            (&|writer| writer.congestion_feedback(A, 1, &[stream; 2]), 44),
            (&|writer| writer.sdes_private(A, "p", "v"), 16),
            (&|writer| writer.nack(A, B, [1, 2, 30].map(WireSeq)), 20),
            (&|writer| writer.pli(A, B), 12),
            (&|writer| writer.fir(A, &[entry; 2]), 28),
            (&|writer| writer.remb(A, Bitrate::from_kbps(300), &[B]), 24),
            (&|writer| writer.transport_feedback(A, B, 0, WireSeq(1), arrivals(1)).map(|_| ()), 24),
        ];
        for (at, (write, len)) in writes.into_iter().enumerate() {
            let mut buf = vec![0; len];
            let mut writer = Writer::new(&mut buf);
            assert_eq!(write(&mut writer), Ok(()), "packet {at}");
            assert_eq!(writer.len(), len, "packet {at}");
            assert_eq!(Compound::parse(&buf).expect("ours").packets().count(), 1);
            for shorter in 0..len {
                let mut writer = Writer::new(&mut buf[..shorter]);
                assert_eq!(write(&mut writer), Err(NoSpace), "packet {at} in {shorter}");
                assert!(writer.is_empty());
            }
        }
    }

    #[test]
    fn what_the_counts_cannot_say_is_refused() {
        let mut buf = vec![0; 4_096];
        let mut writer = Writer::new(&mut buf);
        assert_eq!(writer.receiver_report(A, &[ReportBlock::default(); 32]), Err(NoSpace));
        assert_eq!(writer.bye(&[A; 32], ""), Err(NoSpace));
        assert_eq!(writer.remb(A, Bitrate::ZERO, &[B; 256]), Err(NoSpace));
        assert_eq!(writer.bye(&[A], &"x".repeat(256)), Err(NoSpace));
        assert_eq!(writer.sdes_cname(A, &"x".repeat(256)), Err(NoSpace));
        let sources: Vec<_> = (0..32).map(|at| SourceItem { ssrc: Ssrc(at), kind: 1, value: b"" }).collect();
        assert_eq!(writer.source_description(&sources), Err(NoSpace));
        let zero = SourceItem { ssrc: A, kind: 0, value: b"" };
        assert_eq!(writer.source_description(&[zero]), Err(NoSpace));
        let application = Application { ssrc: A, subtype: 32, name: *b"name", data: &[] };
        assert_eq!(writer.application(&application), Err(NoSpace));
        let delay = ReportDelay::default();
        assert_eq!(writer.extended_report(A, None, &[delay; 21_846]), Err(NoSpace));
        assert!(writer.is_empty());
    }

    #[test]
    fn empty_feedback_is_not_written() {
        let mut buf = [0; 64];
        let mut writer = Writer::new(&mut buf);
        assert_eq!(writer.nack(A, B, []), Ok(()));
        assert_eq!(writer.fir(A, &[]), Ok(()));
        assert_eq!(writer.extended_report(A, None, &[]), Ok(()));
        assert_eq!(writer.transport_feedback(A, B, 0, WireSeq(1), [None; 9]), Ok(0));
        assert!(writer.is_empty());
    }
}
