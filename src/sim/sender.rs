//! The sending side of a flow: sound, picture, repair and padding below what its controller allows.

use std::collections::VecDeque;
use std::time::Duration;

use super::controller::{Controller, Demand, Sent};
use super::link::Outcome;
use super::receiver::Feedback;
use super::record::{Content, FlowRecord, FrameRecord, PacketRecord};
use super::scenario::FlowConfig;
use super::source::{FRAME_RATE, Source};
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// The largest packet on the wire.
const PACKET: usize = 1_200;
/// Sound in a packet.
const AUDIO: Duration = Duration::from_millis(20);
/// Lost media is sent again no more often.
const REPAIRS: u8 = 3;
/// Nor later than this after its capture.
const FRAME_LIFE: Duration = Duration::from_secs(1);
const SECOND: Duration = Duration::from_secs(1);

/// A packet's worth of a frame.
#[derive(Debug, Clone, Copy)]
struct Part {
    frame: usize,
    size: usize,
    /// The number under which it was last sent.
    id: u64,
    repairs: u8,
    /// Whether it waits to be sent again.
    waits: bool,
}

/// One flow's sender.
pub(super) struct Sender {
    config: FlowConfig,
    controller: Box<dyn Controller>,
    source: Source,
    parts: Vec<Part>,
    /// Of each frame, the parts that have not arrived.
    open: Vec<u32>,
    /// Parts not yet sent.
    queue: VecDeque<u32>,
    /// Parts to be sent again.
    repairs: VecDeque<u32>,
    /// Retransmissions of the last second.
    resent: VecDeque<(Instant, usize)>,
    resent_bytes: usize,
    audio_waits: bool,
    audio_ticks: u64,
    frame_ticks: u64,
    /// Pacing allows nothing before.
    pace: Instant,
    demand: Option<Demand>,
    now: Instant,
    record: FlowRecord,
}

impl Sender {
    pub(super) fn new(
        config: &FlowConfig,
        controller: Box<dyn Controller>,
        source: Source,
        record: FlowRecord,
    ) -> Self {
        Sender {
            config: config.clone(),
            controller,
            source,
            parts: Vec::new(),
            open: Vec::new(),
            queue: VecDeque::new(),
            repairs: VecDeque::new(),
            resent: VecDeque::new(),
            resent_bytes: 0,
            audio_waits: false,
            audio_ticks: 0,
            frame_ticks: 0,
            pace: config.start,
            demand: None,
            now: Instant::ZERO,
            record,
        }
    }

    /// Does what is due: sound, a frame, the controller's affairs.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if now < self.config.start {
            return;
        }
        self.controller.handle_timeout(now);
        if self.audio_due().is_some_and(|due| due <= now) {
            self.audio_ticks += 1;
            self.audio_waits = true;
        }
        if self.frame_due() <= now {
            self.frame_ticks += 1;
            self.on_frame_tick(now);
        }
        self.note_estimate(now);
    }

    /// Feedback came back.
    pub(super) fn handle_feedback(&mut self, now: Instant, feedback: &Feedback) {
        self.controller.on_feedback(now, &feedback.reports);
        self.note_estimate(now);
        for &part in &feedback.missing {
            self.repair(now, part, feedback.end);
        }
    }

    /// The next packet that leaves now: its number, its bytes.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<(u64, usize)> {
        let (content, size) = self.next(now)?;
        let id = self.record.packets.len() as u64;
        let packet = PacketRecord { sent: now, size, content, waited: None, fate: None, unique: false };
        self.record.packets.push(packet);
        if let Some(part) = content.part() {
            self.parts[part as usize].id = id;
        }
        self.controller.on_sent(Sent { at: now, id, size, content });
        self.note_estimate(now);
        Some((id, size))
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        let waits = !self.queue.is_empty() || !self.repairs.is_empty();
        let paced = waits.then_some(self.pace);
        let soon = self.now + Duration::from_micros(1);
        // One that is due now still waits for pacing to let its padding go.
        let controller = self.controller.poll_timeout();
        let controller = controller.map(|due| if due > self.now { due } else { self.pace });
        let due =
            [self.audio_due(), paced, controller].into_iter().flatten().fold(self.frame_due(), Instant::min);
        due.max(soon).max(self.config.start)
    }

    /// What carried packet `id`.
    pub(super) fn content(&self, id: u64) -> Option<Content> {
        self.record.packets.get(usize::try_from(id).ok()?).map(|packet| packet.content)
    }

    /// What became of a packet, and whether it brought media that had not come.
    pub(super) fn note_outcome(&mut self, outcome: &Outcome, unique: bool) {
        let Some(packet) = self.record.packets.get_mut(outcome.packet.id as usize) else {
            return;
        };
        packet.waited = outcome.waited;
        packet.fate = Some((outcome.at, outcome.fate));
        packet.unique = unique;
        if let Some(part) = packet.content.part().filter(|_| unique) {
            let frame = self.parts[part as usize].frame;
            self.open[frame] -= 1;
            if self.open[frame] == 0 {
                self.record.frames[frame].complete = Some(outcome.at);
            }
        }
    }

    pub(super) fn into_record(self) -> FlowRecord {
        self.record
    }

    fn audio_due(&self) -> Option<Instant> {
        let sounds = self.config.audio > Bitrate::ZERO;
        sounds.then(|| self.config.start + AUDIO * u32::try_from(self.audio_ticks).unwrap_or(u32::MAX))
    }

    fn frame_due(&self) -> Instant {
        self.config.start + Duration::from_micros(self.frame_ticks * 1_000_000 / FRAME_RATE)
    }

    fn on_frame_tick(&mut self, now: Instant) {
        if self.config.is_paused(now) {
            self.source.pause();
            self.note_layer(now);
            let audio = self.config.audio;
            self.set_demand(now, Demand { next: audio, most: audio });
            return;
        }
        let room = self.room(now);
        if let Some(size) = self.source.frame(room) {
            self.capture(now, size);
        }
        self.note_layer(now);
        let (next, most) = self.source.demand();
        let with_audio = |rate: Bitrate| Bitrate::from_bps(rate.as_bps() + self.config.audio.as_bps());
        self.set_demand(now, Demand { next: with_audio(next), most: with_audio(most) });
    }

    /// What sound and the retransmissions of the last second leave of the estimate.
    fn room(&mut self, now: Instant) -> Bitrate {
        while let Some(&(_, size)) = self.resent.front().filter(|(at, _)| *at + SECOND <= now) {
            self.resent.pop_front();
            self.resent_bytes -= size;
        }
        let taken = self.config.audio.as_bps() + self.resent_bytes as u64 * 8;
        Bitrate::from_bps(self.controller.target().as_bps().saturating_sub(taken))
    }

    /// Cuts a frame of `size` bytes into packets of like size.
    fn capture(&mut self, now: Instant, size: usize) {
        let count = size.div_ceil(PACKET).max(1);
        let frame = self.record.frames.len();
        self.record.frames.push(FrameRecord { captured: now, complete: None });
        self.open.push(count as u32);
        for index in 0..count {
            let size = (size * (index + 1) / count - size * index / count).max(1);
            self.queue.push_back(self.parts.len() as u32);
            self.parts.push(Part { frame, size, id: 0, repairs: 0, waits: false });
        }
    }

    /// Sends a part again, unless what was sent last may still come: all below `end` was reported.
    fn repair(&mut self, now: Instant, index: u32, end: u64) {
        let Some(part) = self.parts.get_mut(index as usize) else {
            return;
        };
        let young = now < self.record.frames[part.frame].captured + FRAME_LIFE;
        if young && !part.waits && part.repairs < REPAIRS && part.id < end {
            part.waits = true;
            part.repairs += 1;
            self.repairs.push_back(index);
        }
    }

    /// What leaves now: sound at once, the rest at the controller's pace, repair first and padding last.
    fn next(&mut self, now: Instant) -> Option<(Content, usize)> {
        if now < self.config.start {
            return None;
        }
        if std::mem::take(&mut self.audio_waits) {
            let bits = self.config.audio.as_bps() * AUDIO.as_millis() as u64 / 1_000;
            return Some((Content::Audio, (bits / 8) as usize));
        }
        if now < self.pace {
            return None;
        }
        let (content, size) = if let Some(index) = self.repairs.pop_front() {
            let part = &mut self.parts[index as usize];
            part.waits = false;
            self.resent.push_back((now, part.size));
            self.resent_bytes += part.size;
            (Content::Retransmission(index), part.size)
        } else if let Some(index) = self.queue.pop_front() {
            (Content::Video(index), self.parts[index as usize].size)
        } else {
            (Content::Padding, self.controller.poll_padding(now)?.clamp(1, PACKET))
        };
        let rate = self.controller.pacing_rate().as_bps().max(1_000);
        self.pace = now.max(self.pace) + Duration::from_micros((size as u64 * 8 * 1_000_000).div_ceil(rate));
        Some((content, size))
    }

    fn set_demand(&mut self, now: Instant, demand: Demand) {
        if self.demand != Some(demand) {
            self.demand = Some(demand);
            self.controller.on_demand(now, demand);
        }
    }

    fn note_estimate(&mut self, now: Instant) {
        let estimate = self.controller.target();
        if self.record.estimates.last().is_none_or(|last| last.1 != estimate) {
            self.record.estimates.push((now, estimate));
        }
    }

    /// Encoders have no layers, so nothing is noted of them.
    fn note_layer(&mut self, now: Instant) {
        let layer = self.source.layer();
        let last = self.record.layers.last().copied();
        if self.source.is_ladder() && last.is_none_or(|last| last.1 != layer) {
            self.record.layers.push((now, layer));
        }
    }
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
