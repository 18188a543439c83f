//! A media flow between two `Rtc`s: what the page of goals asks of an application, and the record of what came of it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use estafette::sim::{
    Content, Ends, FRAME_RATE, Fate, FlowConfig, FlowRecord, FrameRecord, Outcome, PacketRecord, Source, Way,
};
use estafette::{Bitrate, Instant};

use crate::call::{AUDIO, Call, REPAIR, Told, VIDEO};

/// IP and UDP.
const LOWER: usize = 28;
/// What a packet has on the wire besides its payload: IP, UDP, RTP, its extensions and the tag.
const OVERHEAD: usize = LOWER + 12 + 24 + 16;
/// The largest packet, so that its retransmission, two bytes longer, is no larger than may be.
const PACKET: usize = 1_198;
const AUDIO_TICK: Duration = Duration::from_millis(20);
const SECOND: Duration = Duration::from_secs(1);
/// The number of the first packet of video.
const FIRST: u64 = 1_000;

/// A packet's worth of a frame.
struct Part {
    frame: usize,
    come: bool,
    /// Whether all that was sent of it so far is lost.
    lost: bool,
}

pub struct Flow {
    config: FlowConfig,
    source: Source,
    record: FlowRecord,
    /// From the flow's start on.
    call: Option<Call>,
    /// The origin of virtual time.
    origin: std::time::Instant,
    estimate: u64,
    audio_ticks: u64,
    frame_ticks: u64,
    demand: (u64, u64),
    parts: Vec<Part>,
    /// Of each frame, the parts that have not arrived.
    open: Vec<usize>,
    /// Retransmissions of the last second.
    resent: VecDeque<(Instant, usize)>,
    /// What each number of the repair stream carries, and the record of it, whichever is known first.
    again: HashMap<u16, u32>,
    repairs: HashMap<u16, usize>,
    /// What leaves: its way, its datagram, its place in the record.
    leaving: VecDeque<(Way, Vec<u8>, Option<usize>)>,
    under_way: HashMap<(bool, u64), (Vec<u8>, Option<usize>)>,
    numbers: [u64; 2],
    /// Between the times at which the timers of the two are served, and the next of these.
    grain: Duration,
    served: Instant,
    now: Instant,
}

impl Flow {
    pub fn new(config: &FlowConfig, source: Source, record: FlowRecord, grain: Duration) -> Flow {
        Flow {
            config: config.clone(),
            source,
            record,
            call: None,
            // Room for what happens before the origin.
            origin: std::time::Instant::now() + Duration::from_secs(10),
            estimate: config.initial.as_bps(),
            audio_ticks: 0,
            frame_ticks: 0,
            demand: (0, 0),
            parts: Vec::new(),
            open: Vec::new(),
            resent: VecDeque::new(),
            again: HashMap::new(),
            repairs: HashMap::new(),
            leaving: VecDeque::new(),
            under_way: HashMap::new(),
            numbers: [0; 2],
            grain,
            served: Instant::ZERO,
            now: Instant::ZERO,
        }
    }

    fn real(&self, at: Instant) -> std::time::Instant {
        self.origin + Duration::from_micros(at.as_micros())
    }

    /// The first microsecond that is not before.
    fn moment(&self, at: std::time::Instant) -> Instant {
        let nanos = at.saturating_duration_since(self.origin).as_nanos() as u64;
        Instant::from_micros(nanos.div_ceil(1_000))
    }

    /// Gives the sender what the closure makes of it and takes what it then has to say.
    fn with(&mut self, act: impl FnOnce(&mut Call, std::time::Instant, &mut Vec<Told>)) -> bool {
        let now = self.real(self.now);
        let mut told = Vec::new();
        let Some(call) = &mut self.call else {
            return false;
        };
        act(call, now, &mut told);
        let mut received = false;
        for told in told {
            received |= self.take(told);
        }
        received
    }

    /// Takes what the sender or the receiver says; whether it is media that had not come.
    fn take(&mut self, told: Told) -> bool {
        match told {
            Told::Datagram { back, datagram } => {
                let at = if back { None } else { self.note(&datagram) };
                self.leaving.push_back((if back { Way::Back } else { Way::Media }, datagram, at));
            }
            Told::Estimate(estimate) => {
                self.estimate = estimate;
                self.record.estimates.push((self.now, Bitrate::from_bps(estimate)));
            }
            Told::Again(number, within) => {
                let part = self.part(within);
                match self.repairs.remove(&number) {
                    Some(index) => self.note_repair(index, part),
                    None => drop(self.again.insert(number, part)),
                }
            }
            Told::Received { ssrc, number } => return ssrc == AUDIO || self.note_part(number),
        }
        false
    }

    /// The part that a packet's 16 bits number, of those sent of late.
    fn part(&self, within: u16) -> u32 {
        let last = FIRST + self.parts.len() as u64 - 1;
        let behind = (last as u16).wrapping_sub(within);
        (last - u64::from(behind) - FIRST) as u32
    }

    /// Records what leaves the sender, if it is RTP.
    fn note(&mut self, datagram: &[u8]) -> Option<usize> {
        if !(128..192).contains(&datagram[0]) || (192..=223).contains(&datagram[1]) {
            return None;
        }
        let number = u16::from_be_bytes([datagram[2], datagram[3]]);
        let ssrc = u32::from_be_bytes([datagram[8], datagram[9], datagram[10], datagram[11]]);
        let content = match ssrc {
            AUDIO => Content::Audio,
            VIDEO => Content::Video(self.part(number)),
            _ => Content::Padding,
        };
        let size = datagram.len() + LOWER;
        assert!(size <= 1_200, "{size} bytes");
        let index = self.record.packets.len();
        let sent = self.now;
        self.record.packets.push(PacketRecord {
            sent,
            size,
            content,
            waited: None,
            fate: None,
            unique: false,
        });
        if ssrc == REPAIR {
            match self.again.remove(&number) {
                Some(part) => self.note_repair(index, part),
                None => drop(self.repairs.insert(number, index)),
            }
        }
        Some(index)
    }

    /// What was lost is sent again; what was not is a probe.
    fn note_repair(&mut self, index: usize, part: u32) {
        let packet = &mut self.record.packets[index];
        let known = &mut self.parts[part as usize];
        if known.lost {
            packet.content = Content::Retransmission(part);
            self.resent.push_back((packet.sent, packet.size));
        }
    }

    fn note_part(&mut self, number: u64) -> bool {
        let part = &mut self.parts[(number - FIRST) as usize];
        if std::mem::replace(&mut part.come, true) {
            return false;
        }
        self.open[part.frame] -= 1;
        if self.open[part.frame] == 0 {
            self.record.frames[part.frame].complete = Some(self.now);
        }
        true
    }

    fn audio_due(&self) -> Option<Instant> {
        let sounds = self.config.audio > Bitrate::ZERO;
        sounds.then(|| self.config.start + AUDIO_TICK * self.audio_ticks as u32)
    }

    fn frame_due(&self) -> Instant {
        self.config.start + Duration::from_micros(self.frame_ticks * 1_000_000 / FRAME_RATE)
    }

    fn on_frame_tick(&mut self) {
        let audio = self.config.audio.as_bps();
        if self.config.is_paused(self.now) {
            self.source.pause();
            self.set_demand(0, audio);
        } else {
            while self.resent.front().is_some_and(|(at, _)| *at + SECOND <= self.now) {
                self.resent.pop_front();
            }
            let resent: usize = self.resent.iter().map(|(_, size)| size * 8).sum();
            let room = self.estimate.saturating_sub(audio + resent as u64);
            if let Some(size) = self.source.frame(Bitrate::from_bps(room)) {
                self.capture(size);
            }
            let (next, most) = self.source.demand();
            // An encoder fills its estimate itself; layers need the next one to be worth sustaining.
            let least = if self.source.is_ladder() { next.as_bps() + audio } else { 0 };
            self.set_demand(least, most.as_bps() + audio);
        }
        let layer = self.source.layer();
        if self.source.is_ladder() && self.record.layers.last().is_none_or(|last| last.1 != layer) {
            self.record.layers.push((self.now, layer));
        }
    }

    fn set_demand(&mut self, least: u64, most: u64) {
        if self.demand != (least, most) {
            self.demand = (least, most);
            self.with(|call, _, _| call.set_demand(least, most));
        }
    }

    /// Cuts a frame of `size` bytes on the wire into packets of like size.
    fn capture(&mut self, size: usize) {
        let count = size.div_ceil(PACKET).max(1);
        let frame = self.record.frames.len();
        self.record.frames.push(FrameRecord { captured: self.now, complete: None });
        self.open.push(count);
        let time = (self.now.as_micros() * 9 / 100) as u32;
        for index in 0..count {
            let size = size * (index + 1) / count - size * index / count;
            let number = FIRST + self.parts.len() as u64;
            self.parts.push(Part { frame, come: false, lost: false });
            let payload = size.saturating_sub(OVERHEAD).max(1);
            self.with(|call, now, told| call.write(now, true, number, time, payload, told));
        }
    }
}

impl Ends for Flow {
    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if now < self.config.start {
            return;
        }
        if self.call.is_none() {
            let start = self.real(now);
            self.call = Some(Call::new(&self.config, start));
            self.record.estimates.push((now, self.config.initial));
        }
        if self.served <= now {
            self.served = now + self.grain;
            self.with(|call, now, told| call.handle_timeout(now, told));
        }
        if self.audio_due().is_some_and(|due| due <= now) {
            let number = self.audio_ticks + 1;
            self.audio_ticks += 1;
            let bytes = (self.config.audio.as_bps() * 20 / 8_000) as usize;
            let time = (number * 960) as u32;
            let payload = bytes.saturating_sub(OVERHEAD).max(1);
            self.with(|call, now, told| call.write(now, false, number, time, payload, told));
        }
        if self.frame_due() <= now {
            self.frame_ticks += 1;
            self.on_frame_tick();
        }
    }

    fn poll_transmit(&mut self, _: Instant) -> Option<(Way, u64, usize)> {
        let (way, datagram, index) = self.leaving.pop_front()?;
        let id = self.numbers[usize::from(way == Way::Back)];
        self.numbers[usize::from(way == Way::Back)] += 1;
        let size = datagram.len() + LOWER;
        self.under_way.insert((way == Way::Back, id), (datagram, index));
        Some((way, id, size))
    }

    fn handle_outcome(&mut self, way: Way, outcome: &Outcome) {
        let Some((datagram, index)) = self.under_way.remove(&(way == Way::Back, outcome.packet.id)) else {
            return;
        };
        self.now = outcome.at;
        let arrived = matches!(outcome.fate, Fate::Arrived { .. });
        let unique = arrived
            && self.with(|call, now, told| match way {
                Way::Media => call.receive(now, &datagram, told),
                Way::Back => call.feed_back(now, &datagram, told),
            });
        if let Some(packet) = index.map(|index| &mut self.record.packets[index]) {
            packet.waited = outcome.waited;
            packet.fate = Some((outcome.at, outcome.fate));
            packet.unique = unique;
            if let Some(part) = packet.content.part() {
                self.parts[part as usize].lost = !arrived;
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if !self.leaving.is_empty() {
            return Some(self.now);
        }
        let rtc = self.call.as_ref().map(|call| self.moment(call.due()).max(self.served));
        let due = [self.audio_due(), rtc].into_iter().flatten().fold(self.frame_due(), Instant::min);
        Some(due.max(self.now + Duration::from_micros(1)).max(self.config.start))
    }

    fn into_record(self: Box<Self>) -> FlowRecord {
        self.record
    }
}
