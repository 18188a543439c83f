//! Facts for the embedder. Media never passes here.

use crate::base::limits;
use crate::conference::data::Message;
use crate::conference::drops::{DropCounters, DropReason};
use crate::conference::ids::{ParticipantId, RoomId, SourceId};
use crate::conference::source::SourceInfo;
use crate::conference::streams::StreamEnd;
use crate::congestion::allocation::Reason;
use crate::forwarding::layers::Layer;
use crate::session::dtls;
use crate::transport::channels::{ChannelConfig, ChannelId, CloseReason};
use crate::wire::mux::Path;
use std::collections::VecDeque;

/// Something that happened in a conference.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is done: media flows from here on.
    Connected {
        /// Who.
        participant: ParticipantId,
        /// The way its datagrams take.
        path: Path,
    },
    /// The participant's datagrams take another way from now on, proven by a check (RFC 8445).
    PathChanged {
        /// Who.
        participant: ParticipantId,
        /// The new way.
        path: Path,
    },
    /// A stream is at its end: close its connection, if it is still there.
    StreamClosed {
        /// Which.
        path: Path,
        /// Why.
        reason: StreamEnd,
    },
    /// The participant is gone with all that belonged to it.
    Left {
        /// Where it was.
        room: RoomId,
        /// Who. The id names nobody any more.
        participant: ParticipantId,
        /// Why.
        reason: LeaveReason,
    },
    /// A participant publishes a source.
    SourceAdded(SourceInfo),
    /// A source is gone.
    SourceRemoved {
        /// Where it was.
        room: RoomId,
        /// Whose it was.
        participant: ParticipantId,
        /// Which. The id names nothing any more.
        source: SourceId,
    },
    /// A participant's audio is forwarded from now on, or is not any more: it fell silent, others are louder,
    /// or it was muted.
    HeardChanged {
        /// Where.
        room: RoomId,
        /// Whose.
        participant: ParticipantId,
        /// Whether it is forwarded.
        heard: bool,
    },
    /// Somebody else leads the talk from now on.
    DominantSpeakerChanged {
        /// Where.
        room: RoomId,
        /// Who; `None` if the one who did was muted or left, and nobody has followed yet.
        participant: Option<ParticipantId>,
    },
    /// A participant sees a video source from now on, or no longer: it came into its [`View`](crate::View) or left
    /// it, or was asked for by hand. Of a source that is gone [`Event::SourceRemoved`] is all.
    SeenChanged {
        /// Who sees it.
        participant: ParticipantId,
        /// What.
        source: SourceId,
        /// Whether it is in view.
        seen: bool,
    },
    /// A shared line ([`crate::ParticipantConfig::shared_lines`]) carries another source from now on.
    LineChanged {
        /// Whose line.
        participant: ParticipantId,
        /// Which: the mid of its m-line.
        mid: String,
        /// What it carries; `None` if nothing.
        source: Option<SourceId>,
    },
    /// Another layer of a video source is sent to a participant from now on.
    LayerChanged {
        /// To whom.
        participant: ParticipantId,
        /// Of which source.
        source: SourceId,
        /// What is sent; `None` if nothing is.
        layer: Option<Layer>,
        /// Why it is not more.
        reason: Reason,
    },
    /// What is sent to this participant changes: hand it an offer
    /// ([`crate::Participant::create_offer`]) and bring its answer back. Said once until an offer was
    /// made; [`crate::Participant::needs_negotiation`] tells it again to who lost events.
    NegotiationNeeded(ParticipantId),
    /// A data channel can be used.
    ChannelOpened {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        channel: ChannelId,
        /// What it is.
        config: ChannelConfig,
        /// Whether it was asked for with [`crate::Participant::open_channel`]; the participant did otherwise.
        ours: bool,
    },
    /// A data channel is closed. Its id names nothing any more.
    ChannelClosed {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        channel: ChannelId,
        /// Why.
        reason: CloseReason,
    },
    /// A participant sent a message that is for the embedder, by its channel's [`Route`](crate::Route). Those that
    /// are not fetched are kept up to [`crate::limits::MESSAGE_EVENTS`] bytes.
    Message {
        /// Who.
        participant: ParticipantId,
        /// On which channel.
        channel: ChannelId,
        /// What.
        message: Message,
    },
    /// A channel that had no room for a message has it for the largest: no more than [`crate::limits::SCTP_LOW`] waits
    /// on it.
    ChannelDrained {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        channel: ChannelId,
    },
}

impl Event {
    /// Bytes of the message that it carries.
    fn message_bytes(&self) -> usize {
        match self {
            Event::Message { message, .. } => message.data.len(),
            _ => 0,
        }
    }
}

/// Events that wait for the embedder: so many, and of messages so many bytes.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<Event>,
    message_bytes: usize,
}

impl Events {
    /// Adds an event; if nobody fetches them the oldest one is lost, or a message for which there is no room.
    pub(super) fn push(&mut self, drops: &mut DropCounters, event: Event) {
        let bytes = event.message_bytes();
        if self.message_bytes + bytes > limits::MESSAGE_EVENTS {
            return drops.add(DropReason::EventLost.index());
        }
        if self.queue.len() >= limits::EVENTS {
            self.message_bytes -= self.queue.pop_front().map_or(0, |lost| lost.message_bytes());
            drops.add(DropReason::EventLost.index());
        }
        self.message_bytes += bytes;
        self.queue.push_back(event);
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front();
        self.message_bytes -= event.as_ref().map_or(0, Event::message_bytes);
        if self.queue.is_empty() {
            // A burst's room goes back, a few events' stays.
            self.queue.shrink_to(16);
        }
        event
    }
}

/// Why a participant left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The embedder removed it or closed its room.
    Removed,
    /// It ended its DTLS association.
    Closed,
    /// It did not connect within [`crate::limits::CONNECT_TIMEOUT`].
    ConnectTimeout,
    /// Its consent to receive was not renewed for 30 s (RFC 7675, section 5.1), or its connection ended
    /// and none took its place for as long.
    ConsentExpired,
    /// The DTLS association failed, in its handshake or, for [`dtls::FailReason::KeyExhausted`], later.
    Handshake(dtls::FailReason),
    /// A key came to the end of its life (RFC 3711, section 9.2).
    KeyExhausted,
}

impl LeaveReason {
    /// The reason as a metric's label: `dtls.unsupported_certificate`.
    pub const fn name(self) -> &'static str {
        match self {
            LeaveReason::Removed => "removed",
            LeaveReason::Closed => "closed",
            LeaveReason::ConnectTimeout => "connect_timeout",
            LeaveReason::ConsentExpired => "consent_expired",
            LeaveReason::Handshake(reason) => reason.name(),
            LeaveReason::KeyExhausted => "srtp.key_exhausted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_bear_the_names_of_metrics() {
        let reason = LeaveReason::Handshake(dtls::FailReason::UnsupportedCertificate);
        assert_eq!(reason.name(), "dtls.unsupported_certificate");
        assert_eq!(LeaveReason::ConsentExpired.name(), "consent_expired");
    }
}
