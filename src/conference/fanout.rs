//! From one received packet to an entry in each receiver's queue. No bytes move here.

use crate::base::limits;
use crate::conference::drops::DropReason;
use crate::conference::engine::Engine;
use crate::conference::ids::{SourceId, StreamId};
use crate::conference::participant::SendEntry;
use crate::wire::rtp::SeqNo;

impl Engine {
    /// Queues a packet of `source` for everybody in its audience.
    pub(super) fn fan_out(
        &mut self,
        source: SourceId,
        stream: StreamId,
        seq: SeqNo,
        timestamp: u32,
        padding_only: bool,
    ) {
        let Some(source) = self.sources.get_mut(source) else {
            return;
        };
        for listener in &mut source.audience {
            if padding_only && listener.rewriter.absorb(seq) {
                continue;
            }
            let Some(out) = listener.rewriter.map(seq) else {
                continue;
            };
            let Some(subscriber) = self.participants.get_mut(listener.subscriber) else {
                continue;
            };
            self.traffic.queued += 1;
            if subscriber.egress.queue.len() >= limits::SEND_QUEUE {
                self.traffic.queued_dropped += 1;
                self.drops.add(DropReason::QueueFull.index());
                subscriber.drops.add(DropReason::QueueFull.index());
                continue;
            }
            subscriber.egress.queue.push_back(SendEntry {
                subscription: listener.subscription,
                stream,
                seq,
                out,
                timestamp: listener.rewriter.timestamp(timestamp),
                retransmission: false,
            });
            if !subscriber.egress.ready {
                subscriber.egress.ready = true;
                self.ready.push_back(listener.subscriber);
            }
        }
    }
}
