//! One source: how loud it was lately, and what is known of its slot.

use super::activity::{Activity, PACKET_MAX, Sound};
use crate::base::time::{Duration, Instant};

/// The loudest voice of a source lately, and when there was one at all.
#[derive(Debug, Clone, Copy)]
struct Voice {
    peak: u32,
    peak_at: Instant,
    last: Instant,
}

/// Packets with which a source without a slot asks for one, none much later than the one before.
#[derive(Debug, Clone, Copy)]
struct Run {
    began: Instant,
    last: Instant,
}

#[derive(Debug)]
pub(super) struct Source<K> {
    pub(super) key: K,
    pub(super) muted: bool,
    pub(super) heard: bool,
    /// Whether the owner knows it as heard.
    told: bool,
    /// Whether it waits in the list of changes.
    changed: bool,
    packet_at: Option<Instant>,
    voice: Option<Voice>,
    run: Option<Run>,
    pub(super) activity: Activity,
}

impl<K> Source<K> {
    pub(super) fn new(key: K) -> Self {
        Source {
            key,
            muted: false,
            heard: false,
            told: false,
            changed: false,
            packet_at: None,
            voice: None,
            run: None,
            activity: Activity::default(),
        }
    }

    /// Whether a packet now would follow the last one as one of a steady stream.
    pub(super) fn keeps_pace(&self, now: Instant) -> bool {
        self.packet_at.is_some_and(|at| now - at <= PACKET_MAX)
    }

    /// Notes a packet; true for the first of its 20 ms.
    pub(super) fn hear(&mut self, now: Instant, sound: Sound) -> bool {
        self.packet_at = Some(now);
        if sound.voiced {
            let louder = sound.millis() >= self.loudness(now);
            let before = self.voice.filter(|_| !louder);
            let (peak, peak_at) = before.map_or((sound.millis(), now), |voice| (voice.peak, voice.peak_at));
            self.voice = Some(Voice { peak, peak_at, last: now });
        }
        self.activity.hear(now, sound)
    }

    /// How long there was no voice.
    pub(super) fn quiet(&self, now: Instant) -> Duration {
        self.voice.map_or(Duration::MAX, |voice| now - voice.last)
    }

    /// The loudest voice of late, less 10 dB for each second since, in thousandths of a dB above
    /// silence: so slow that a pause does not make a voice quieter than its equals before it makes it
    /// silent.
    pub(super) fn loudness(&self, now: Instant) -> u32 {
        let Some(voice) = self.voice else { return 0 };
        let faded = (now - voice.peak_at).as_micros() / 100;
        voice.peak.saturating_sub(u32::try_from(faded).unwrap_or(u32::MAX))
    }

    /// Asks for a slot; true once that went on for `challenge`.
    pub(super) fn insists(&mut self, now: Instant, challenge: Duration) -> bool {
        let began = self.run.filter(|run| now - run.last <= PACKET_MAX).map_or(now, |run| run.began);
        self.run = Some(Run { began, last: now });
        now - began >= challenge
    }

    /// After a mute a source begins anew, but for what is its background.
    pub(super) fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
        if muted {
            (self.voice, self.run, self.packet_at) = (None, None, None);
            self.activity.forget();
        }
    }

    /// Notes whether it is heard; true if it is to be put into the list of changes for that.
    pub(super) fn set_heard(&mut self, heard: bool) -> bool {
        let enters = self.heard != heard && !self.changed;
        self.heard = heard;
        self.run = None;
        self.changed |= enters;
        enters
    }

    /// Leaves the list of changes; whether it is heard, if the owner does not know.
    pub(super) fn tell(&mut self) -> Option<bool> {
        self.changed = false;
        let news = self.told != self.heard;
        self.told = self.heard;
        news.then_some(self.heard)
    }
}
