//! Congestion control feedback: what arrived of each stream, when, and how marked (RFC 8888).

use super::{Fault, ParseError, Writer, format, packet_type, ssrcs};
use crate::base::time::Duration;
use crate::wire::mux::Ecn;
use crate::wire::rtp::{NoSpace, Ssrc, WireSeq};

/// Packets that one block may tell of: a quarter of the sequence numbers (RFC 8888, section 3.1).
const METRICS: usize = 16_384;

/// Metrics of streams' packets, all seen by one receiver (RFC 8888, section 3.1).
#[derive(Debug, Clone, Copy)]
pub struct CongestionFeedback<'a> {
    /// Who received them.
    pub sender: Ssrc,
    /// When the report was made: the [middle](super::NtpTime::middle) of the receiver's clock, in units
    /// of 1/65,536 s.
    pub timestamp: u32,
    streams: &'a [u8],
}

/// What arrived of one stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamMetrics<'a> {
    /// The stream.
    pub ssrc: Ssrc,
    /// The first number that is told of.
    pub begin_seq: WireSeq,
    metrics: &'a [[u8; 2]],
}

/// How a packet arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The mark that it carried on arrival.
    pub ecn: Ecn,
    /// When it arrived.
    pub arrival: Arrival,
}

/// When a packet arrived, as told before the report's [timestamp](CongestionFeedback::timestamp).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// That many units of 1/1,024 s before it, at most 8,189.
    Before(u16),
    /// Earlier than 8 s before it.
    OverRange,
    /// Not known, or behind it.
    Unavailable,
}

/// A stream's metrics to be written.
#[derive(Debug, Clone, Copy)]
pub struct StreamReport<'m> {
    /// The stream.
    pub ssrc: Ssrc,
    /// The number of the first metric.
    pub begin_seq: WireSeq,
    /// One for each number; `None` for a packet that did not arrive.
    pub metrics: &'m [Option<Metric>],
}

impl<'a> CongestionFeedback<'a> {
    /// Accepts it as a whole or not at all. Work is bounded by the bytes, not by the counts they
    /// announce.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let ([sender], rest) = ssrcs(body)?;
        let (streams, timestamp) = rest.split_last_chunk().ok_or(ParseError::at(4, Fault::CongestionTime))?;
        let mut left = streams;
        while !left.is_empty() {
            // Behind the sender, and a suffix of the streams.
            let at = 4 + streams.len() - left.len();
            left = StreamMetrics::split_first(left).map_err(|error| error.within(at))?.1;
        }
        Ok(CongestionFeedback { sender, timestamp: u32::from_be_bytes(*timestamp), streams })
    }

    /// The streams in order.
    pub fn streams(&self) -> impl Iterator<Item = StreamMetrics<'a>> + use<'a> {
        let mut rest = self.streams;
        std::iter::from_fn(move || {
            // Walked without an error when it was parsed; an error is the end.
            let (stream, behind) = StreamMetrics::split_first(rest).ok()?;
            rest = behind;
            Some(stream)
        })
    }
}

impl<'a> StreamMetrics<'a> {
    fn split_first(streams: &'a [u8]) -> Result<(StreamMetrics<'a>, &'a [u8]), ParseError> {
        let (&[s0, s1, s2, s3, b0, b1, c0, c1], rest) =
            streams.split_first_chunk::<8>().ok_or(ParseError::at(0, Fault::CongestionStream))?;
        let count = usize::from(u16::from_be_bytes([c0, c1]));
        if count > METRICS {
            return Err(ParseError::at(6, Fault::CongestionCount));
        }
        // An odd one is followed by two bytes of padding.
        let (metrics, rest) = rest
            .split_at_checked(count.next_multiple_of(2) * 2)
            .ok_or(ParseError::at(8, Fault::CongestionMetric))?;
        let stream = StreamMetrics {
            ssrc: Ssrc(u32::from_be_bytes([s0, s1, s2, s3])),
            begin_seq: WireSeq(u16::from_be_bytes([b0, b1])),
            metrics: metrics.as_chunks().0.get(..count).unwrap_or_default(),
        };
        Ok((stream, rest))
    }

    /// How the packet of a number arrived, `Some(None)` if it did not; `None` if the number is not told of.
    pub fn get(&self, seq: WireSeq) -> Option<Option<Metric>> {
        let at = seq.0.wrapping_sub(self.begin_seq.0);
        self.metrics.get(usize::from(at)).map(|bytes| Metric::from_word(u16::from_be_bytes(*bytes)))
    }

    /// Each number with how it arrived; `None` if it did not. At most 16,384.
    pub fn metrics(&self) -> impl ExactSizeIterator<Item = (WireSeq, Option<Metric>)> + use<'a> {
        let mut next = self.begin_seq;
        self.metrics.iter().map(move |bytes| {
            let seq = next;
            next = seq.next();
            (seq, Metric::from_word(u16::from_be_bytes(*bytes)))
        })
    }
}

impl Metric {
    /// Without the bit of arrival the others mean nothing.
    fn from_word(word: u16) -> Option<Metric> {
        // Its two bits alone are looked at.
        let ecn = Ecn::from_bits((word >> 13) as u8);
        let arrival = match word & 0x1fff {
            0x1fff => Arrival::Unavailable,
            0x1ffe => Arrival::OverRange,
            units => Arrival::Before(units),
        };
        (word >> 15 != 0).then_some(Metric { ecn, arrival })
    }

    fn to_word(self) -> u16 {
        let ecn = u16::from(self.ecn.bits());
        let arrival = match self.arrival {
            Arrival::Unavailable => 0x1fff,
            Arrival::Before(units @ ..0x1ffe) => units,
            Arrival::OverRange | Arrival::Before(_) => 0x1ffe,
        };
        1 << 15 | ecn << 13 | arrival
    }
}

impl Arrival {
    /// The arrival that long before the report, rounded down to 1/1,024 s.
    pub fn before(report: Duration) -> Arrival {
        match u16::try_from((report.as_micros() << 10) / 1_000_000) {
            Ok(units @ ..0x1ffe) => Arrival::Before(units),
            _ => Arrival::OverRange,
        }
    }

    /// How long before the report it was, in steps of 977 µs; `None` where that is not told.
    pub fn age(self) -> Option<Duration> {
        match self {
            Arrival::Before(units) => Some(Duration::from_micros((u64::from(units) * 1_000_000) >> 10)),
            Arrival::OverRange | Arrival::Unavailable => None,
        }
    }
}

impl Writer<'_> {
    /// Tells how packets of streams arrived (RFC 8888, section 3.1), `timestamp` being the middle of
    /// our clock in units of 1/65,536 s. Nothing is written if there are no streams.
    ///
    /// # Errors
    /// [`NoSpace`] also for more than 16,384 metrics of one stream.
    pub fn congestion_feedback(
        &mut self,
        sender: Ssrc,
        timestamp: u32,
        streams: &[StreamReport<'_>],
    ) -> Result<(), NoSpace> {
        if streams.is_empty() {
            return Ok(());
        }
        let mut len = 8;
        for stream in streams {
            if stream.metrics.len() > METRICS {
                return Err(NoSpace);
            }
            len += 8 + stream.metrics.len().next_multiple_of(2) * 2;
        }
        let body = self.packet(format::CONGESTION, packet_type::TRANSPORT_FEEDBACK, len)?;
        let words = std::iter::once(sender.0)
            .chain(streams.iter().flat_map(StreamReport::words))
            .chain(std::iter::once(timestamp));
        super::writer::fill(body, words);
        Ok(())
    }
}

impl StreamReport<'_> {
    fn words(&self) -> impl Iterator<Item = u32> {
        // Counted by the caller: at most 16,384.
        let count = self.metrics.len() as u16;
        let head = u32::from(self.begin_seq.0) << 16 | u32::from(count);
        let word =
            |metric: Option<&Option<Metric>>| u32::from(metric.copied().flatten().map_or(0, Metric::to_word));
        let metrics = self.metrics.chunks(2);
        let metrics = metrics.map(move |pair| word(pair.first()) << 16 | word(pair.get(1)));
        [self.ssrc.0, head].into_iter().chain(metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of one stream with that count and metrics.
    fn body(count: u16, metrics: &[u16]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff];
        bytes.extend(std::iter::once(&count).chain(metrics).flat_map(|word| word.to_be_bytes()));
        bytes.extend_from_slice(&[0, 0, 0, 9]);
        bytes
    }

    fn refused(body: &[u8]) -> Option<ParseError> {
        CongestionFeedback::parse(body).err()
    }

    #[test]
    fn rfc_8888_3_1_arrival_mark_and_time_of_each_packet() {
        let body = body(5, &[0x8001, 0, 0xfffe, 0xbfff, 0x7fff, 0]);
        let feedback = CongestionFeedback::parse(&body).expect("well formed");
        assert_eq!((feedback.sender, feedback.timestamp), (Ssrc(1), 9));
        let streams: Vec<_> = feedback.streams().collect();
        let [stream] = streams[..] else { panic!("{streams:?}") };
        assert_eq!((stream.ssrc, stream.metrics().len()), (Ssrc(2), 5));
        let metric = |ecn, arrival| Some(Metric { ecn, arrival });
        let expected = [
            (0xffff, metric(Ecn::NotEct, Arrival::Before(1))),
            (0, None),
            (1, metric(Ecn::Ce, Arrival::OverRange)),
            (2, metric(Ecn::Ect1, Arrival::Unavailable)),
            // Not received: the other bits are ignored.
            (3, None),
        ];
        assert!(stream.metrics().map(|(seq, metric)| (seq.0, metric)).eq(expected));
    }

    #[test]
    fn s_bwe_01_congestion_counts_beyond_the_metrics_are_refused() {
        let metric = Some(ParseError::at(12, Fault::CongestionMetric));
        assert_eq!(refused(&body(2, &[])), metric);
        assert_eq!(refused(&body(3, &[0x8000, 0x8000])), metric);
        assert_eq!(refused(&body(16_384, &[0x8000; 4])), metric);
        let count = Some(ParseError::at(10, Fault::CongestionCount));
        assert_eq!(refused(&body(16_385, &[0x8000; 4])), count);
        assert_eq!(refused(&body(65_535, &[0x8000; 4])), count);
        assert_eq!(refused(&body(1, &[0x8000])), metric, "no padding behind an odd one");
    }

    #[test]
    fn s_bwe_01_congestion_feedback_is_whole_streams_and_a_time() {
        assert_eq!(refused(&[0; 3]), Some(ParseError::at(0, Fault::Ssrc)));
        assert_eq!(refused(&[0; 7]), Some(ParseError::at(4, Fault::CongestionTime)));
        assert_eq!(refused(&[0; 12]), Some(ParseError::at(4, Fault::CongestionStream)));
        let left_over = body(1, &[0x8000, 0, 0, 0]);
        assert_eq!(refused(&left_over), Some(ParseError::at(16, Fault::CongestionStream)));
        assert_eq!(CongestionFeedback::parse(&[0; 8]).expect("no stream").streams().count(), 0);
    }

    #[test]
    fn s_bwe_01_congestion_feedback_that_is_cut_anywhere_is_refused_whole() {
        let mut body = body(3, &[0x8001, 0x8002, 0x8003, 0]);
        // A second stream in front of the time.
        body.splice(20..20, [0, 0, 0, 3, 0, 0, 0, 1, 0x80, 0, 0, 0]);
        assert_eq!(CongestionFeedback::parse(&body).expect("whole").streams().count(), 2);
        // Two words alone are a report on nothing, and one on the first stream alone is whole again.
        for len in (0..body.len()).filter(|len| ![8, 24].contains(len)) {
            assert!(refused(&body[..len]).is_some(), "{len}");
        }
    }

    #[test]
    fn s_bwe_01_times_wrap_and_numbers_too() {
        let body = body(2, &[0x9ffd, 0xe000]);
        let feedback = CongestionFeedback::parse(&body).expect("well formed");
        let metrics: Vec<_> =
            feedback.streams().flat_map(|stream| stream.metrics().collect::<Vec<_>>()).collect();
        let told = metrics.iter().map(|(seq, metric)| (seq.0, metric.map(|metric| metric.arrival)));
        // The longest age that can be told reaches behind a timestamp of 9/65,536 s.
        assert!(told.eq([(0xffff, Some(Arrival::Before(8_189))), (0, Some(Arrival::Before(0)))]));
        assert_eq!(Arrival::Before(8_189).age(), Some(Duration::from_micros(7_997_070)));
    }

    #[test]
    fn s_bwe_01_as_many_metrics_as_may_be_are_read_and_written() {
        let metrics = vec![Some(Metric { ecn: Ecn::Ect0, arrival: Arrival::Before(3) }); METRICS + 1];
        let report = |len| StreamReport { ssrc: Ssrc(2), begin_seq: WireSeq(7), metrics: &metrics[..len] };
        let mut buf = vec![0; 4 * METRICS];
        let mut writer = Writer::new(&mut buf);
        assert_eq!(writer.congestion_feedback(Ssrc(1), 9, &[report(METRICS + 1)]), Err(NoSpace));
        assert_eq!(writer.congestion_feedback(Ssrc(1), 9, &[]), Ok(()));
        assert!(writer.is_empty());
        writer.congestion_feedback(Ssrc(1), 9, &[report(METRICS)]).expect("room");
        let len = writer.len();
        let feedback = CongestionFeedback::parse(&buf[4..len]).expect("ours");
        let stream = feedback.streams().next().expect("one");
        assert!(stream.metrics().all(|(_, metric)| metric == metrics[0]));
    }

    #[test]
    fn times_are_1024ths_of_a_second_up_to_eight() {
        assert_eq!(Arrival::before(Duration::from_millis(1_500)), Arrival::Before(1_536));
        assert_eq!(
            Arrival::before(Duration::from_micros(8_189 * 1_000_000 / 1_024 + 1)),
            Arrival::Before(8_189)
        );
        assert_eq!(Arrival::before(Duration::from_secs(8)), Arrival::OverRange);
        assert_eq!(Arrival::before(Duration::MAX), Arrival::OverRange);
        assert_eq!(Arrival::Before(1_536).age(), Some(Duration::from_millis(1_500)));
        assert_eq!(Arrival::OverRange.age(), None);
        let clamped = Metric { ecn: Ecn::NotEct, arrival: Arrival::Before(0xffff) };
        assert_eq!(
            Metric::from_word(clamped.to_word()).map(|metric| metric.arrival),
            Some(Arrival::OverRange)
        );
    }
}
