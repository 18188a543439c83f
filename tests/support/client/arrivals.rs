//! What a client tells of arrivals, so that the server learns about the path to it.

use estafette::Instant;
use estafette::mux::Ecn;
use estafette::rtcp::{self, Arrival, Metric, NtpTime, StreamReport};
use estafette::rtp::{self, SeqNo, Ssrc, WireSeq};
use std::collections::BTreeMap;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(50);
/// Numbers told of at once.
const SPAN: u64 = 400;

/// How a client tells.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// By the numbers of the transport.
    #[default]
    Transport,
    /// By those of each stream (RFC 8888).
    Streams,
    /// Not at all.
    Silent,
}

/// What came and was not told of yet.
#[derive(Default)]
pub struct Arrivals {
    pub format: Format,
    /// Everything is said to have come with this mark.
    pub mark: Ecn,
    /// Datagrams of media that came, and those of padding alone.
    pub packets: u64,
    pub padding: u64,
    /// The transport-wide numbers that came, extended.
    pub numbers: BTreeMap<u64, Instant>,
    streams: BTreeMap<u32, BTreeMap<u64, Instant>>,
    /// The first number to be told of: of the transport, of each stream.
    next: Option<u64>,
    next_of: BTreeMap<u32, u64>,
    count: u8,
    at: Option<Instant>,
}

/// Feedback to be written.
pub enum Told {
    Transport { count: u8, base: u16, arrivals: Vec<Option<Instant>> },
    Streams { timestamp: u32, streams: Vec<(u32, u64, Vec<Option<Metric>>)> },
}

impl Arrivals {
    /// A packet came; `id` is that of the transport-wide number.
    pub fn on_packet(&mut self, now: Instant, packet: &rtp::Packet<'_>, seq: SeqNo, id: u8) {
        self.packets += 1;
        let only_padding = packet.has_padding()
            && rtp::padding_len(packet.payload()).is_ok_and(|len| len == packet.payload().len());
        self.padding += u64::from(only_padding);
        self.streams.entry(packet.ssrc().0).or_default().insert(seq.0, now);
        self.next_of.entry(packet.ssrc().0).and_modify(|next| *next = seq.0.min(*next)).or_insert(seq.0);
        if let Some([high, low]) = packet.extension(id) {
            let wire = u16::from_be_bytes([*high, *low]);
            let highest = self.numbers.keys().next_back().copied().unwrap_or(u64::from(wire) + 0x1_0000);
            let number = highest.wrapping_add_signed(i64::from(wire.wrapping_sub(highest as u16) as i16));
            self.numbers.insert(number, now);
            self.next = Some(self.next.map_or(number, |next| next.min(number)));
        }
        self.at = self.at.or(Some(now + INTERVAL));
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.at.filter(|_| self.format != Format::Silent)
    }

    /// What is to be told now.
    pub fn due(&mut self, now: Instant) -> Option<Told> {
        self.poll_timeout().filter(|at| *at <= now)?;
        self.at = None;
        if self.format == Format::Streams { Some(self.streams(now)) } else { self.transport() }
    }

    fn transport(&mut self) -> Option<Told> {
        let end = self.numbers.keys().next_back()? + 1;
        let base = self.next.filter(|next| *next < end)?.max(end.saturating_sub(SPAN));
        let arrivals = (base..end).map(|number| self.numbers.get(&number).copied()).collect();
        self.next = Some(end);
        self.count = self.count.wrapping_add(1);
        Some(Told::Transport { count: self.count, base: base as u16, arrivals })
    }

    fn streams(&mut self, now: Instant) -> Told {
        let timestamp = NtpTime(((u128::from(now.as_micros()) << 32) / 1_000_000) as u64).middle();
        let metric = |at: &Instant| Metric { ecn: self.mark, arrival: Arrival::before(now - *at) };
        let mut told = Vec::new();
        for (ssrc, came) in &self.streams {
            let end = came.keys().next_back().map_or(0, |last| last + 1);
            let base = self.next_of.get(ssrc).copied().unwrap_or(end).max(end.saturating_sub(SPAN));
            if base < end {
                told.push((*ssrc, base, (base..end).map(|seq| came.get(&seq).map(metric)).collect()));
            }
            self.next_of.insert(*ssrc, end);
        }
        Told::Streams { timestamp, streams: told }
    }
}

impl Told {
    pub fn write(&self, sender: Ssrc, writer: &mut rtcp::Writer<'_>) {
        match self {
            Told::Transport { count, base, arrivals } => {
                let arrivals = arrivals.iter().copied();
                let told = writer.transport_feedback(sender, Ssrc(1), *count, WireSeq(*base), arrivals);
                told.expect("it fits a datagram");
            }
            Told::Streams { timestamp, streams } => {
                let reports: Vec<_> = streams
                    .iter()
                    .map(|(ssrc, base, metrics)| {
                        let (ssrc, begin_seq) = (Ssrc(*ssrc), SeqNo(*base).wire());
                        StreamReport { ssrc, begin_seq, metrics }
                    })
                    .collect();
                writer.congestion_feedback(sender, *timestamp, &reports).expect("it fits a datagram");
            }
        }
    }
}
