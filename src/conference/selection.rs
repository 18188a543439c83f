//! Which layer of a source each subscription is to get: what there is, by measure, and what its subscriber
//! wishes. What a packet then does of it is decided at fan-out.

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::engine::Engine;
use crate::conference::handles::SubscribeError;
use crate::conference::ids::{ParticipantId, SourceId, SubscriptionId};
use crate::conference::participant::Timer;
use crate::forwarding::ladder::{Rungs, Wish};
use crate::forwarding::layers::Layer;

impl Engine {
    /// Measures the layers of what a participant publishes, and chooses again for its subscribers.
    pub(super) fn measure_ladders(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get(id) else { return };
        let (mut alive, mut changed, room) = (false, false, participant.room);
        for key in participant.sources.clone() {
            let Some(source) = self.sources.get_mut(key) else { continue };
            let mut rungs = Rungs::new();
            for place in &source.encodings {
                let stream = place.stream.and_then(|stream| self.streams.get_mut(stream));
                if let Some(meter) = stream.and_then(|stream| stream.meter.as_mut()) {
                    meter.measure(now);
                }
            }
            // Where nothing is steady, what comes is better than nothing.
            let mut steadily = false;
            for steady in [true, false] {
                let missing = rungs.is_empty();
                for (encoding, place) in (0u8..).zip(&source.encodings).filter(|_| missing) {
                    let stream = place.stream.and_then(|stream| self.streams.get(stream));
                    if let Some(meter) = stream.and_then(|stream| stream.meter.as_ref()) {
                        meter.rungs(now, encoding, steady, &mut rungs);
                    }
                }
                steadily |= steady && !rungs.is_empty();
            }
            alive |= !rungs.is_empty();
            let live = if source.live { !rungs.is_empty() } else { steadily };
            source.lapsed |= source.live && !live;
            changed |= std::mem::replace(&mut source.live, live) != live;
            let layered = rungs.len() > 1;
            if source.ladder.set(rungs) || layered {
                self.retarget_audience(now, key);
            }
        }
        if changed {
            self.review_room(room);
        }
        self.divide_ceilings(now, room);
        if alive {
            self.arm(id, Timer::Ladder, now + limits::LADDER_INTERVAL);
        }
    }

    /// A stream has ended: its participant's layers are measured again at once, or soon after the last time,
    /// so that streams that end and begin all the time cost little.
    pub(super) fn hurry_ladder(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get(id) else { return };
        let regular = participant.timers.at(Timer::Ladder);
        let spaced = regular.map(|at| at - (limits::LADDER_INTERVAL - limits::LADDER_SPACING));
        self.arm(id, Timer::Ladder, spaced.map_or(now, |at| at.max(now)));
    }

    /// Says what a participant wants of a source from now on.
    pub(super) fn set_wish(
        &mut self,
        id: ParticipantId,
        source: SourceId,
        wish: Wish,
    ) -> Result<(), SubscribeError> {
        let key = self.subscription_to(id, source).ok_or(SubscribeError::UnknownSource)?;
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            subscription.wish = wish;
        }
        self.retarget(self.now, key);
        Ok(())
    }

    /// The layer of a source that is sent to a participant now.
    pub(super) fn layer_of(&self, id: ParticipantId, source: SourceId) -> Option<Layer> {
        let subscription = self.subscriptions.get(self.subscription_to(id, source)?)?;
        let source = self.sources.get(source)?;
        let listener = source.audience.get(subscription.seat?)?;
        listener.rewriter.selector.layer().map(|layer| source.ladder.clip(layer))
    }

    /// The subscription of a participant to a source.
    pub(super) fn subscription_to(&self, id: ParticipantId, source: SourceId) -> Option<SubscriptionId> {
        let mut keys = self.participants.get(id)?.subscriptions.iter().copied();
        keys.find(|key| self.subscriptions.get(*key).is_some_and(|one| one.source == source))
    }

    fn retarget_audience(&mut self, now: Instant, id: SourceId) {
        let len = self.sources.get(id).map_or(0, |source| source.audience.len());
        for seat in 0..len {
            let listener = self.sources.get(id).and_then(|source| source.audience.get(seat));
            if let Some(key) = listener.map(|listener| listener.subscription) {
                self.retarget(now, key);
            }
        }
    }
}
