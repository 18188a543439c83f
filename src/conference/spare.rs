//! Lines that wait for a source, of a participant that takes no offers of ours: they are answered as
//! sending, with SSRCs of their own, and the first source of their kind that comes is sent under these.
//!
//! A line serves one source: the next one's packets under the same SSRC would have to go on with the
//! numbers and the clock of the one before.

use crate::base::limits;
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, SubscriptionId};
use crate::conference::negotiation::{MediaKind, SendSlot};
use crate::conference::participant::ParticipantState;
use crate::wire::rtp::Ssrc;
use crate::wire::sdp::Msid;

/// One line that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spare {
    /// Its name among the slots of the negotiation.
    slot: u64,
    kind: MediaKind,
    ssrc: Ssrc,
    rtx_ssrc: Ssrc,
}

impl ParticipantState {
    /// Adds slots for lines that nothing is to be sent on yet; what was subscribed to comes before them.
    pub(super) fn reserve_lines(&mut self) {
        if self.config.renegotiates || !self.config.receive {
            return;
        }
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let there = self.spares.iter().filter(|spare| spare.kind == kind).count();
            for _ in there..limits::SPARE_LINES {
                let (ssrc, rtx_ssrc) = (self.fresh_ssrc(), self.fresh_ssrc());
                // Subscriptions are named by index and generation, and no index is that large.
                let slot = u64::MAX - u64::from(ssrc.0);
                let msid = Msid { stream: "room".to_owned(), track: format!("t{:08x}", ssrc.0) };
                let (rtx, cname) = (Some(rtx_ssrc.0), self.cname.clone());
                let send = SendSlot { id: slot, kind, ssrc: ssrc.0, rtx, msid, cname };
                if self.negotiation.assign_send(send).is_ok() {
                    self.spares.push(Spare { slot, kind, ssrc, rtx_ssrc });
                }
            }
        }
    }

    /// Takes back what found no line in the answer.
    pub(super) fn keep_reserved_lines(&mut self) {
        let negotiation = &mut self.negotiation;
        self.spares.retain(|spare| {
            let placed = negotiation.session().line_of_slot(spare.slot).is_some();
            placed || !negotiation.remove_send(spare.slot)
        });
        self.spares.shrink_to_fit();
    }
}

impl Engine {
    /// A source that came after the answer takes a line that waits for one of its kind.
    pub(super) fn take_reserved_line(&mut self, id: ParticipantId, key: SubscriptionId, kind: MediaKind) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        let Some(at) = participant.spares.iter().position(|spare| spare.kind == kind) else { return };
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        let spare = participant.spares.remove(at);
        participant.negotiation.remove_send(key.token());
        participant.negotiation.rename_send(spare.slot, key.token());
        (subscription.ssrc, subscription.rtx_ssrc) = (spare.ssrc, spare.rtx_ssrc);
        subscription.named_after = id;
        let session = participant.negotiation.session().clone();
        self.apply_subscriptions(self.now, id, &session);
    }
}
