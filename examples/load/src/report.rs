//! What a run was like: one value, as a table for people and as JSON for programs.

use crate::camera::ENCODINGS;
use crate::figures::{Delays, Traffic};
use crate::options::Options;
use crate::process::Usage;
use crate::watch::{Cores, Taken, Watch};
use crate::worker::{Outcome, TrackOutcome};
use estafette::speakers;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

const MIB: f64 = 1024.0 * 1024.0;

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl From<&Delays> for Percentiles {
    fn from(delays: &Delays) -> Percentiles {
        let [p50, p99, max] = [50.0, 99.0, 100.0].map(|percent| delays.percentile(percent));
        Percentiles { count: delays.count(), p50, p99, max }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms", self.p50, self.p99, self.max)
    }
}

/// What a process took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Process {
    /// Processor time over time, 1 is one core; and how much more its threads could have used at once.
    pub cores: f64,
    pub waited: f64,
    pub memory_first_mib: f64,
    pub memory_last_mib: f64,
}

/// One second of the run.
#[derive(Debug, Clone, Serialize)]
pub struct Second {
    pub second: u64,
    pub to_server: u64,
    pub from_server: u64,
    pub audio: Percentiles,
    pub video: Percentiles,
    pub server_cores: Option<f64>,
    pub own_cores: Option<f64>,
    pub server_memory_mib: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub rooms: usize,
    pub participants: usize,
    pub cameras: usize,
    pub max_height: u16,
    pub seed: u64,
    /// Seconds that were measured.
    pub measured: Range<u64>,
    /// Calls that did not come about or ended too early, by the reason.
    pub failures: BTreeMap<String, usize>,
    /// Microphones and cameras that somebody should have received and received nothing of.
    pub unheard: usize,
    pub joins_per_second: f64,
    /// From hello until SRTP has its keys.
    pub connecting: Percentiles,
    /// From hello until the first media, of those who did not come first.
    pub first_media: Percentiles,
    /// Datagrams a second, and megabits.
    pub to_server: f64,
    pub to_server_mbit: f64,
    pub from_server: f64,
    pub from_server_mbit: f64,
    pub audio: Percentiles,
    pub video: Percentiles,
    /// Received video by the height of its pictures, packets a second.
    pub video_by_height: BTreeMap<u16, f64>,
    /// Numbers of received streams over the whole run: how many came, how many of them only when they were
    /// asked for, how many never, and how often one came again (for repair or as a probe).
    pub received: u64,
    pub repaired: u64,
    pub lost: u64,
    pub duplicates: u64,
    /// How often the server asked for a packet again, and how often it got it.
    pub asked: u64,
    pub repeated: u64,
    pub key_frames: u64,
    /// Datagrams that the system refused to send; that could not be read; that came twice; that found a full
    /// buffer, anywhere on the machine.
    pub unsent: u64,
    pub unread: u64,
    pub replayed: u64,
    pub full_buffers: Option<u64>,
    pub server: Option<Process>,
    pub own: Option<Process>,
    /// By how much packets left too late: what the generator itself adds to what it measures.
    pub late: Percentiles,
    /// Before and after the run.
    pub load_average: [Option<f64>; 2],
    pub seconds: Vec<Second>,
}

impl Report {
    /// Whether all calls came about and everybody was heard.
    pub fn is_whole(&self) -> bool {
        self.failures.is_empty() && self.unheard == 0
    }

    pub fn new(options: &Options, watch: &Watch, measured: Range<u64>) -> Report {
        let traffic = watch.traffic_of(measured.clone());
        let whole = watch.traffic_of(0..u64::MAX);
        let span = (measured.end - measured.start) as f64;
        let per_second = |count: u64| count as f64 / span;
        let megabits = |bytes: u64| bytes as f64 * 8.0 / 1e6 / span;
        let outcomes = &watch.outcomes;
        let tracks = || outcomes.iter().flat_map(|outcome| &outcome.tracks);
        let (connecting, first_media) = times(outcomes);
        Report {
            rooms: options.rooms,
            participants: options.participants,
            cameras: options.cameras,
            max_height: options.max_height,
            seed: options.seed,
            failures: failures(options.participants, outcomes),
            unheard: unheard(outcomes),
            joins_per_second: joins_per_second(outcomes),
            connecting,
            first_media,
            to_server: per_second(traffic.sent),
            to_server_mbit: megabits(traffic.sent_bytes),
            from_server: per_second(traffic.received),
            from_server_mbit: megabits(traffic.received_bytes),
            audio: (&traffic.audio).into(),
            video: (&traffic.video).into(),
            video_by_height: heights(&traffic, span),
            received: tracks().map(|track| track.received).sum(),
            repaired: tracks().map(|track| track.repaired).sum(),
            lost: tracks().map(|track| track.lost).sum(),
            duplicates: tracks().map(|track| track.duplicates).sum(),
            asked: whole.asked,
            repeated: whole.repeated,
            key_frames: whole.key_frames,
            unsent: whole.unsent,
            unread: whole.unread,
            replayed: whole.replayed,
            full_buffers: None,
            server: process(watch, &measured, |taken| taken.server),
            own: process(watch, &measured, |taken| taken.own),
            late: (&traffic.late).into(),
            load_average: [None, None],
            seconds: watch.traffic.iter().map(|(at, traffic)| second(watch, *at, traffic)).collect(),
            measured,
        }
    }
}

fn second(watch: &Watch, at: u64, traffic: &Traffic) -> Second {
    let memory = watch.taken.get(&at).and_then(|taken| taken.server).map(|usage| usage.memory);
    Second {
        second: at,
        to_server: traffic.sent,
        from_server: traffic.received,
        audio: (&traffic.audio).into(),
        video: (&traffic.video).into(),
        server_cores: watch.cores(at..at + 1, |taken| taken.server).map(|cores| cores.used),
        own_cores: watch.cores(at..at + 1, |taken| taken.own).map(|cores| cores.used),
        server_memory_mib: memory.map(|bytes| bytes as f64 / MIB),
    }
}

fn process(watch: &Watch, measured: &Range<u64>, of: impl Fn(&Taken) -> Option<Usage>) -> Option<Process> {
    let mut memory = watch
        .taken
        .range(measured.clone())
        .filter_map(|(_, taken)| of(taken))
        .map(|usage| usage.memory as f64 / MIB);
    let memory_first_mib = memory.next()?;
    let memory_last_mib = memory.last().unwrap_or(memory_first_mib);
    let Cores { used: cores, waited } = watch.cores(measured.clone(), of)?;
    Some(Process { cores, waited, memory_first_mib, memory_last_mib })
}

fn heights(traffic: &Traffic, span: f64) -> BTreeMap<u16, f64> {
    let counts = ENCODINGS.iter().zip(traffic.encodings);
    counts.map(|(encoding, count)| (encoding.height, count as f64 / span)).collect()
}

fn times(outcomes: &[Outcome]) -> (Percentiles, Percentiles) {
    let (mut connecting, mut first_media) = (Delays::default(), Delays::default());
    for Outcome { member, times, .. } in outcomes {
        times.connected.iter().for_each(|at| connecting.record(*at - times.hello));
        // Who comes first has nobody to hear.
        let heard = times.first_media.iter().filter(|_| !member.first);
        heard.for_each(|at| first_media.record(*at - times.hello));
    }
    ((&connecting).into(), (&first_media).into())
}

fn joins_per_second(outcomes: &[Outcome]) -> f64 {
    let first = outcomes.iter().map(|outcome| outcome.times.hello).min();
    let connected = || outcomes.iter().filter_map(|outcome| outcome.times.connected);
    let span = first.zip(connected().max()).map_or(Duration::ZERO, |(first, last)| last - first);
    if span.is_zero() { 0.0 } else { connected().count() as f64 / span.as_secs_f64() }
}

/// Calls that went wrong, by the reason.
fn failures(participants: usize, outcomes: &[Outcome]) -> BTreeMap<String, usize> {
    let why = |outcome: &Outcome| {
        let never = || outcome.times.connected.is_none().then(|| "never connected".to_owned());
        outcome.failure.clone().or_else(never)
    };
    let unknown = (outcomes.len()..participants).map(|_| "nothing is known of it".to_owned());
    let mut failures = BTreeMap::new();
    for why in outcomes.iter().filter_map(why).chain(unknown) {
        *failures.entry(why).or_default() += 1;
    }
    failures
}

/// How many microphones and cameras somebody in their room should have received and received nothing of.
fn unheard(outcomes: &[Outcome]) -> usize {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by_key(|outcome| outcome.member.index);
    let rooms = sorted.chunk_by(|a, b| a.member.room == b.member.room);
    rooms.flat_map(|room| room.iter().map(|listener| unheard_by(listener, room))).sum()
}

/// The cameras of all others; of microphones as many as are heard at a time, of which one may be one's own: who
/// those are is the server's affair.
fn unheard_by(listener: &Outcome, room: &[&Outcome]) -> usize {
    let received = |of: &Outcome, video| {
        let wanted = |track: &&TrackOutcome| track.video == video && track.publisher == of.id;
        listener.tracks.iter().find(wanted).is_some_and(|track| track.received > 0)
    };
    let others = || room.iter().filter(|other| other.member.index != listener.member.index);
    let unseen = others().filter(|other| other.member.camera && !received(other, true)).count();
    let voices = others().count().min(speakers::Config::default().top_n - 1);
    unseen + voices.saturating_sub(others().filter(|other| received(other, false)).count())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<22} {value}");
        let seconds = self.measured.end - self.measured.start;
        row(
            "calls",
            format!(
                "{} rooms, {} participants, {} cameras a room wished for at {}p, {seconds} s measured",
                self.rooms, self.participants, self.cameras, self.max_height
            ),
        )?;
        for (why, count) in &self.failures {
            row("failed", format!("{count}: {why}"))?;
        }
        if self.unheard > 0 {
            row("never heard or seen", self.unheard.to_string())?;
        }
        row("joined", format!("{:.1} a second", self.joins_per_second))?;
        row("hello to connected", self.connecting.to_string())?;
        row("hello to first media", self.first_media.to_string())?;
        row("to the server", format!("{:.0} packets/s, {:.1} Mbit/s", self.to_server, self.to_server_mbit))?;
        row(
            "from the server",
            format!("{:.0} packets/s, {:.1} Mbit/s", self.from_server, self.from_server_mbit),
        )?;
        row("delay of sound", self.audio.to_string())?;
        if self.video.count > 0 {
            row("delay of video", self.video.to_string())?;
            let heights = self.video_by_height.iter().map(|(height, rate)| format!("{height}p {rate:.0}"));
            row("video packets/s", heights.collect::<Vec<_>>().join(", "))?;
        }
        let share = self.lost as f64 * 100.0 / (self.received + self.lost).max(1) as f64;
        let expected = self.received + self.lost;
        row("never came", format!("{} of {expected} over the whole run ({share:.4} %)", self.lost))?;
        row("came when asked for", format!("{} from the server", self.repaired))?;
        row("the server asked for", format!("{} packets again and got {}", self.asked, self.repeated))?;
        row("came again", format!("{} packets, by repair or probe", self.duplicates))?;
        row("key frames asked for", self.key_frames.to_string())?;
        if self.unsent + self.unread + self.replayed + self.full_buffers.unwrap_or(0) > 0 {
            let full = self.full_buffers.map_or("?".into(), |count| count.to_string());
            let Report { unsent, unread, replayed, .. } = self;
            let sent = format!("{unsent} not taken by the system");
            row(
                "datagrams",
                format!("{sent}, {unread} unreadable, {replayed} twice, {full} found a full buffer"),
            )?;
        }
        for (name, process) in [("server", self.server), ("generator", self.own)] {
            if let Some(Process { cores, waited, memory_first_mib, memory_last_mib }) = process {
                let memory = format!("{memory_first_mib:.1} MiB at first, {memory_last_mib:.1} MiB at last");
                row(name, format!("{cores:.2} cores, waited for {waited:.2} more, {memory}"))?;
            }
        }
        row("generator was late by", self.late.to_string())?;
        if let [Some(before), Some(after)] = self.load_average {
            row("load average", format!("{before:.2} before, {after:.2} after"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Times;
    use crate::plan;
    use estafette::Instant;

    fn track(of: &str, video: bool, received: u64) -> TrackOutcome {
        TrackOutcome { publisher: of.to_owned(), video, received, repaired: 0, lost: 0, duplicates: 0 }
    }

    /// A room in which everybody receives everybody.
    fn whole(participants: usize) -> Vec<Outcome> {
        let members = plan::members(1, participants, 1);
        let id = |index: usize| format!("p{index}");
        let outcome = |member: &plan::Member| {
            let others = || members.iter().filter(|other| other.index != member.index);
            let voices = others().map(|other| track(&id(other.index), false, 9));
            let pictures =
                others().filter(|other| other.camera).map(|other| track(&id(other.index), true, 9));
            Outcome {
                member: *member,
                id: id(member.index),
                times: Times { connected: Some(Instant::from_millis(5)), ..Times::default() },
                failure: None,
                tracks: voices.chain(pictures).collect(),
            }
        };
        members.iter().map(outcome).collect()
    }

    /// Nothing comes of some microphones.
    fn silence(outcomes: &mut [Outcome], publishers: &[&str]) {
        let tracks = outcomes.iter_mut().flat_map(|outcome| &mut outcome.tracks);
        let silent = tracks.filter(|track| !track.video && publishers.contains(&track.publisher.as_str()));
        silent.for_each(|track| track.received = 0);
    }

    #[test]
    fn a_call_that_never_connected_has_failed() {
        let mut outcomes = whole(4);
        assert!(failures(4, &outcomes).is_empty());
        outcomes[1].times.connected = None;
        outcomes[2].times.connected = None;
        outcomes[2].failure = Some("no place".into());
        let expected = [("never connected", 1), ("no place", 1), ("nothing is known of it", 2)];
        let expected = expected.map(|(why, count)| (why.to_owned(), count));
        assert_eq!(failures(6, &outcomes), expected.into());
    }

    #[test]
    fn in_small_rooms_everybody_is_to_be_heard_and_seen() {
        let mut outcomes = whole(3);
        assert_eq!(unheard(&outcomes), 0);
        silence(&mut outcomes, &["p1"]);
        assert_eq!(unheard(&outcomes), 2);
        outcomes[2].tracks.retain(|track| !track.video);
        assert_eq!(unheard(&outcomes), 3);
    }

    #[test]
    fn in_larger_rooms_as_many_are_to_be_heard_as_are_at_a_time() {
        let mut outcomes = whole(6);
        silence(&mut outcomes, &["p3", "p4", "p5"]);
        assert_eq!(unheard(&outcomes), 0, "the three hear two, the others three");
        silence(&mut outcomes, &["p2"]);
        assert_eq!(unheard(&outcomes), 2, "p0 and p1 hear each other alone");
        outcomes[4].tracks.retain(|track| !track.video);
        assert_eq!(unheard(&outcomes), 3);
    }
}
