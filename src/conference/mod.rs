//! Floor 6: composition only. Who is where, who gets what; the sole place where sessions, streams and
//! feedback meet.
//!
//! The engine is a handful of slot maps side by side: rooms, participants, sources, streams,
//! subscriptions, and the pool of history pages. They name each other by key, so that a publisher's
//! history and a subscriber's transport are borrowed at once and each thing has one owner. The files
//! follow a packet: `engine` (the five verbs), `ingress` with `binding` and `budget`, `fanout`, `egress`;
//! `redundancy` is what audio has of it; `data` is data channels; `view` with `lines` is whom each sees; `streams` is TCP, `candidate` where
//! the sockets are; `feedback` and `reports` are RTCP in and out, with `round_trip`; `congestion` is what is
//! believed of each path and the pace by it, `decisions` is what followed; `stats` and `stream_stats` are
//! what is told of it all; `participant`, `room`, `source` and
//! `subscription` are who and what.

mod binding;
mod bounds;
mod budget;
mod candidate;
mod config;
mod congestion;
mod data;
mod decisions;
mod digest;
mod drops;
#[cfg(test)]
mod effort;
mod egress;
mod engine;
mod event;
mod fanout;
mod feedback;
mod handles;
mod ids;
mod ingress;
mod lines;
mod membership;
mod memory;
pub mod negotiation;
mod participant;
mod reading;
mod receiving;
mod redundancy;
mod reports;
mod room;
mod round_trip;
mod selection;
mod sharing;
mod signalling;
mod source;
mod speaking;
mod stats;
mod stream_stats;
mod streams;
mod subscription;
#[cfg(test)]
mod tests;
mod view;

pub use bounds::VideoLimits;
pub use candidate::HostCandidate;
pub use config::{ConfigError, EngineConfig, ParticipantConfig, RoomConfig, SharedLines};
pub use data::{Message, Route, UnknownChannel};
#[cfg(feature = "json")]
pub use decisions::Json;
pub use decisions::{Choice, Decision, KeyFrameReason, Probe, Proof};
pub use drops::DropReason;
pub use engine::{Datagram, Engine, Transmit, TransmitId};
pub use event::{Event, LeaveReason};
pub use handles::{JoinError, LimitReached, Participant, Room, SubscribeError};
pub use ids::{ParticipantId, RoomId, SourceId};
pub use memory::participant_memory_bound;
pub use sharing::{Allocation, Class};
pub use source::SourceInfo;
pub use stats::{EngineStats, ParticipantStats, RemoteInboundStats};
pub use stream_stats::{DtlsState, InboundStreamStats, OutboundStreamStats, TransportStats};
pub use streams::StreamEnd;
pub use view::{SubscribeRule, View};
