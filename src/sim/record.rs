//! What a run leaves behind, for the metrics to read.

use std::time::Duration;

use super::link::Fate;
use super::share::Span;
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// A recorded run.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Run {
    /// When it ended.
    pub end: Instant,
    /// The media flows, in the scenario's order.
    pub flows: Vec<FlowRecord>,
    /// The TCP transfers.
    pub transfers: Vec<TransferRecord>,
}

/// One media flow.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct FlowRecord {
    /// What was possible, from its start to the end of the run.
    pub spans: Vec<Span>,
    /// What it sends when nothing limits it.
    pub demand: Bitrate,
    /// All that it sent, in order.
    pub packets: Vec<PacketRecord>,
    /// Its estimate, from each moment on.
    pub estimates: Vec<(Instant, Bitrate)>,
    /// Frames captured, in order.
    pub frames: Vec<FrameRecord>,
    /// The layer that is forwarded, from each moment on; `None` if none fits. Ladders alone have it.
    pub layers: Vec<(Instant, Option<usize>)>,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Sound.
    Audio,
    /// A part of a frame, by the number of the part among all of the flow.
    Video(u32),
    /// The same again.
    Retransmission(u32),
    /// Nothing.
    Padding,
}

impl Content {
    /// Whether it is there only for repair or probing.
    pub fn is_filler(self) -> bool {
        matches!(self, Content::Retransmission(_) | Content::Padding)
    }

    /// The part that it carries.
    pub fn part(self) -> Option<u32> {
        match self {
            Content::Video(part) | Content::Retransmission(part) => Some(part),
            Content::Audio | Content::Padding => None,
        }
    }
}

/// One packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketRecord {
    /// When it was sent.
    pub sent: Instant,
    /// Bytes on the wire.
    pub size: usize,
    /// What it carries.
    pub content: Content,
    /// How long it waited for its own transmission; `None` if it was not transmitted.
    pub waited: Option<Duration>,
    /// What became of it and when; `None` while it is on its way.
    pub fate: Option<(Instant, Fate)>,
    /// Whether it brought media that had not come before.
    pub unique: bool,
}

impl PacketRecord {
    /// When it arrived.
    pub fn arrived(&self) -> Option<Instant> {
        self.fate.filter(|(_, fate)| matches!(fate, Fate::Arrived { .. })).map(|(at, _)| at)
    }
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRecord {
    /// When it was captured.
    pub captured: Instant,
    /// When the last of it arrived.
    pub complete: Option<Instant>,
}

/// One TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferRecord {
    /// Whether it has no end of its own.
    pub endless: bool,
    /// When it starts.
    pub start: Instant,
    /// When it stops.
    pub stop: Instant,
    /// Bytes on the wire that arrived until then.
    pub delivered: u64,
}
