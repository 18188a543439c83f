//! From descriptions to tables: what a session says becomes sources, subscriptions and transport once,
//! and the packet plane never sees SDP.

use crate::conference::engine::Engine;
use crate::conference::event::Event;
use crate::conference::negotiation::session::{Line, Session, Setup};
use crate::conference::negotiation::{LocalTransport, NegotiationError};
use crate::conference::participant::{ParticipantId, Role};
use crate::conference::source::{Ingress, Source, SourceId, SourceInfo};
use crate::conference::stats::ParticipantStats;
use crate::conference::subscription::{EgressExtensions, SubscriptionId, UNNEGOTIATED};
use crate::base::limits;
use crate::forwarding::keyframes::Keyframes;
use crate::session::{dtls, ice};
use crate::transport::network::Remote;
use crate::wire::rtp::{ExtensionKind, Ssrc};

impl Engine {
    pub(super) fn accept_offer(&mut self, id: ParticipantId, sdp: &str) -> Result<String, NegotiationError> {
        todo!()
    }
}
