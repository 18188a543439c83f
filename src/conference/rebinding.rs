//! SSRCs that move from one m-line of their participant to another (RFC 9143, section 9.2).

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::drops::DropReason;
use crate::conference::engine::Engine;
use crate::conference::ids::ParticipantId;
use crate::conference::ingress::Taken;
use crate::conference::participant::Role;
use crate::session::srtp;
use crate::wire::rtp;

impl Engine {
    /// An authentic packet names another m-line than the one its SSRC belongs to: the SSRC follows it,
    /// within its participant's lines and at a bounded rate (S-RTP-06).
    pub(super) fn rebind(
        &mut self,
        now: Instant,
        id: ParticipantId,
        packet: &rtp::Packet<'_>,
        payload: &[u8],
        opened: &srtp::Opened,
    ) -> Result<Taken, DropReason> {
        let place = self.place_of(now, id, packet).ok_or(DropReason::Unnegotiated)?;
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        if participant.rebound.is_some_and(|at| now - at < limits::REBINDING_INTERVAL) {
            return Err(DropReason::Rebinding);
        }
        participant.rebound = Some(now);
        self.unbind(id, opened);
        self.bind(now, id, place, packet, payload, opened)
    }

    /// Ends the stream that an SSRC had; what its source receives next goes on where it ended.
    fn unbind(&mut self, id: ParticipantId, opened: &srtp::Opened) {
        let Some(participant) = self.participants.get(id) else { return };
        let role = participant.contexts.get(opened.context.index()).copied();
        if let Some(Role::Media(key)) = role
            && let Some(mut stream) = self.streams.remove(key)
        {
            stream.history.clear(&mut self.pages);
            if let Some(source) = self.sources.get_mut(stream.source) {
                (source.stream, source.left) = (None, stream.newest);
            }
        }
        self.set_role(id, opened.context, Role::Open);
    }
}
