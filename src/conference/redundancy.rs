//! Redundant audio (RED, RFC 2198): passed on to who takes it, unpacked for who does not.

use crate::conference::drops::DropReason;
use crate::conference::negotiation::Codec;
use crate::conference::reading::Ingress;
use crate::conference::source::Stream;
use crate::conference::subscription::{Subscription, UNNEGOTIATED};
use crate::forwarding::history::{Committed, Pages};
use crate::forwarding::reading::Reading;
use crate::wire::rtp::{PayloadType, red};

/// Where RED and the Opus that it carries stand in the engine's list of codecs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Redundancy {
    red: u8,
    opus: u8,
}

/// What a subscriber gets of a payload.
pub(super) struct Share<'p> {
    pub(super) payload: &'p [u8],
    /// The payload type that its blocks are to have, if it is another one than they came with.
    pub(super) renumbered: Option<PayloadType>,
}

impl<'p> Share<'p> {
    /// All of it, as it is.
    pub(super) fn whole(payload: &'p [u8]) -> Self {
        Share { payload, renumbered: None }
    }
}

impl Redundancy {
    /// `None` if the list lacks either.
    pub(super) fn of(codecs: &[Codec]) -> Option<Redundancy> {
        // There are fewer than 256.
        let place = |codec| codecs.iter().position(|known| *known == codec).map(|at| at as u8);
        Some(Redundancy { red: place(Codec::Red)?, opus: place(Codec::Opus)? })
    }

    /// Whether packets of a codec are RED.
    #[inline]
    pub(super) fn is_red(self, codec: u8) -> bool {
        self.red == codec
    }

    /// Whether a payload is RED of its line's Opus and nothing else. Without a primary it would say nothing
    /// to who gets the primary alone.
    pub(super) fn is_sound(self, from: &Ingress, payload: &[u8]) -> bool {
        let Some(own) = from.payload_type(self.red) else { return false };
        red::Payload::parse(own, payload).is_ok_and(|red| {
            let mut types = red.payload_types();
            types.all(|carried| from.codec(carried) == Some(self.opus)) && !red.primary().is_empty()
        })
    }

    /// On a line without RED its Opus stands for it.
    pub(super) fn complete(self, to: &mut Subscription) {
        let at = usize::from(self.red);
        if to.payload_types.get(at).is_some_and(|red| *red != UNNEGOTIATED) {
            return;
        }
        for table in [&mut to.payload_types, &mut to.rtx_payload_types] {
            let opus = table.get(usize::from(self.opus)).copied();
            if let (Some(red), Some(opus)) = (table.get_mut(at), opus) {
                *red = opus;
            }
        }
    }

    /// The part of a payload that goes to a subscriber: all of it to who takes RED, the primary to others.
    /// One that is encrypted end to end goes as it is, to who numbers its blocks alike.
    #[cold]
    pub(super) fn share<'p>(
        self,
        payload: &'p [u8],
        (from, opaque): (&Ingress, bool),
        to: &Subscription,
    ) -> Result<Share<'p>, DropReason> {
        let [red, opus] = [self.red, self.opus].map(|codec| to.payload_types.get(usize::from(codec)));
        // By `complete`.
        let unpacked = red == opus;
        let opus = opus.and_then(|opus| PayloadType::new(*opus)).ok_or(DropReason::Unnegotiated)?;
        let renumbered = Some(opus).filter(|opus| from.payload_type(self.opus) != Some(*opus));
        if opaque && (unpacked || renumbered.is_some()) {
            return Err(DropReason::Unnegotiated);
        }
        // Padding alone has nothing to be read.
        if opaque || payload.is_empty() {
            return Ok(Share::whole(payload));
        }
        if !unpacked {
            return Ok(Share { payload, renumbered });
        }
        let own = from.payload_type(self.red).ok_or(DropReason::Unnegotiated)?;
        let red = red::Payload::parse(own, payload).map_err(|_| DropReason::Payload)?;
        Ok(Share::whole(red.primary()))
    }
}

impl Stream {
    /// Reads redundant audio in the reserved place; of what cannot be read nothing is kept but its number.
    #[cold]
    pub(super) fn read_redundant(
        &self,
        pages: &Pages,
        packet: &mut Committed,
        redundancy: Redundancy,
        from: Option<&Ingress>,
    ) -> Option<Reading> {
        let (_, payload) = self.history.reserved(pages, packet).unwrap_or_default();
        let sound = |from| redundancy.is_sound(from, payload);
        if self.opaque || payload.is_empty() || from.is_some_and(sound) {
            return Some(Reading::of_audio());
        }
        packet.payload_len = 0;
        None
    }
}
