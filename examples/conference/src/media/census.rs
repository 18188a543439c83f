//! What an engine did and holds, counted for whoever looks after the server: nobody's name is in it.

use super::Thread;
use super::link::carrier;
use crate::spread::Spread;
use estafette::{DropReason, EngineStats, ParticipantId};
use std::collections::BTreeMap;

/// Seconds from joining to being connected.
pub const JOIN_TIMES: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Bit/s that a path is believed to carry.
pub const ESTIMATES: &[f64] = &[100e3, 300e3, 600e3, 1e6, 2e6, 4e6, 8e6, 16e6];

/// Lines of pictures.
pub const HEIGHTS: &[f64] = &[90.0, 180.0, 360.0, 540.0, 720.0, 1_080.0];

/// One engine's.
#[derive(Debug, Clone)]
pub struct Census {
    /// The engine's number.
    pub number: u16,
    /// What the engine counts itself.
    pub stats: EngineStats,
    /// What paths are believed to carry, one value for each participant of whom that is known.
    pub estimates: Spread,
    /// The heights of the pictures that are sent, one for each that is received, if it is known.
    pub heights: Spread,
    /// Pictures by why they are not larger.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Pictures that are not sent.
    pub dark: u64,
    /// Participants by what carries their media.
    pub carriers: BTreeMap<&'static str, u64>,
    /// Seconds from joining to being connected, of all who ever were.
    pub join_times: Spread,
}

impl Census {
    /// What was dropped so far, by reason; reasons that never were are left out.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counted = DropReason::all().map(|reason| (reason.name(), self.stats.dropped(reason)));
        counted.filter(|(_, count)| *count > 0)
    }
}

impl Thread {
    /// Counts. Once a second at most, for it looks at each participant.
    pub(super) fn census(&mut self) -> Census {
        let mut census = Census {
            number: self.number,
            stats: self.engine.stats(),
            estimates: Spread::new(ESTIMATES),
            heights: Spread::new(HEIGHTS),
            reasons: BTreeMap::new(),
            dark: 0,
            carriers: BTreeMap::new(),
            join_times: self.join_times.clone(),
        };
        let everybody: Vec<ParticipantId> = self.members.keys().copied().collect();
        for id in everybody {
            self.count(id, &mut census);
        }
        census
    }

    fn count(&mut self, id: ParticipantId, census: &mut Census) {
        let Some(participant) = self.engine.participant(id) else { return };
        if let Some(transport) = participant.transport_stats() {
            if let Some(estimate) = transport.available_outgoing_bitrate {
                census.estimates.add(estimate.as_bps() as f64);
            }
            if let Some(path) = transport.selected_path {
                *census.carriers.entry(carrier(path.protocol)).or_default() += 1;
            }
        }
        let shares: Vec<_> = participant.allocation().collect();
        for share in shares {
            *census.reasons.entry(share.reason.name()).or_default() += 1;
            match share.layer {
                Some(layer) => {
                    let rungs = self.engine.layers(share.source).iter().rev();
                    let size =
                        rungs.filter(|rung| layer.includes(rung.layer)).find_map(|rung| rung.resolution);
                    if let Some(size) = size {
                        census.heights.add(size.height.into());
                    }
                }
                None => census.dark += 1,
            }
        }
    }
}
