//! One packet in, N packets out, through the public API: beside the floor and beside str0m, in one run.
//!
//! The floor is one open and N header writes and seals with the same ciphers and key sizes, timed right
//! after each batch of the engine's; the ratio of a case is the median of its batches' ratios. Clients
//! connect by real handshakes in memory. The profile follows from the DTLS version: under 1.2 the engine
//! takes AEAD_AES_256_GCM, under 1.3 the client's first, AES128_CM_HMAC_SHA1_80.
//!
//! `cargo bench --bench forward` prints a table. `-- --once N SIZE [cm]` forwards 1,000 packets once, for
//! instruction counts: `valgrind --tool=callgrind --toggle-collect='*support::forward*' BINARY --once 10
//! 1200`.

#[path = "support/floor.rs"]
mod floor;
#[path = "support/rival.rs"]
mod rival;
#[path = "support/mod.rs"]
mod support;

use estafette::dtls::Versions;
use estafette::srtp::Profile;
use floor::Floor;
use rival::Rival;
use std::time::{Duration, Instant};
use str0m::config::DtlsVersion;
use str0m::media::MediaKind;
use support::World;
use support::peer::Media;

/// Bytes of a forwarded header: fixed part, abs-send-time and transport-wide number; audio has a level.
const VIDEO_HEADER: usize = 24;
const AUDIO_HEADER: usize = 28;

/// How long each case is measured, and how much at least.
const SPAN: Duration = Duration::from_millis(1_500);
const ROUNDS: usize = 15;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = args.iter().position(|arg| arg == "--once") {
        let number = |at: usize| args.get(at).and_then(|arg| arg.parse().ok()).expect("--once N SIZE [cm]");
        let versions = if args.iter().any(|arg| arg == "cm") { Versions::V13 } else { Versions::V12 };
        return once(versions, number(at + 1), number(at + 2));
    }
    // `cargo test` runs benches too, without this flag: a glance must do.
    let full = args.iter().any(|arg| arg == "--bench");
    let (sizes, span): (&[usize], _) =
        if full { (&[1, 10, 100, 1_000], SPAN) } else { (&[1, 10], Duration::ZERO) };
    println!(
        "| profile | payload | N | ns a packet in + out | ns per outgoing | floor | over the floor | bursts of 8 | must / aim | str0m per outgoing | str0m over ours | must / aim |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut flat = Vec::new();
    for versions in [Versions::V12, Versions::V13] {
        for &listeners in sizes {
            let mut world = World::connected(versions, listeners);
            for payload_len in [1_200, 160] {
                let case = Case { versions, listeners, payload_len };
                let measured = case.measure(&mut world, span);
                println!("{}", case.row(world.profile(), &measured));
                flat.push((case, measured.forward / listeners as f64));
            }
        }
    }
    flatness(&flat);
}

#[derive(Clone, Copy)]
struct Case {
    versions: Versions,
    listeners: usize,
    payload_len: usize,
}

/// Medians over the rounds: nanoseconds per incoming packet, and ratios within a round.
struct Measured {
    forward: f64,
    floor: f64,
    over_floor: f64,
    bursts_over_floor: f64,
    rival: Option<(f64, f64)>,
}

impl Case {
    fn media(&self) -> Media {
        if self.payload_len < 1_000 { Media::Audio } else { Media::Video }
    }

    fn header_len(&self) -> usize {
        if self.media() == Media::Audio { AUDIO_HEADER } else { VIDEO_HEADER }
    }

    /// Incoming packets of one round.
    fn batch(&self) -> usize {
        (8_000 / self.listeners).clamp(8, 256)
    }

    fn measure(&self, world: &mut World, span: Duration) -> Measured {
        let mut floor =
            Floor::new(world.profile(), self.listeners, self.batch(), self.header_len(), self.payload_len);
        // A thousand rivals are not compared: their goal is set at 10 and 100.
        let mut rival = (self.listeners <= 100).then(|| self.rival());
        let [mut forward, mut least, mut over, mut bursts, mut theirs, mut theirs_over] =
            [const { Vec::new() }; 6];
        let end = clock() + span;
        while clock() < end || forward.len() < ROUNDS {
            let packets = world.packets(self.media(), self.payload_len, self.batch());
            let (ours, sent) = timed(|| world.forward(&packets));
            assert_eq!(sent, packets.len() * self.listeners, "every packet reaches everybody");
            let (floor_ns, _) = timed(|| floor.forward());
            world.settle();
            let packets = world.packets(self.media(), self.payload_len, self.batch());
            let (burst, sent) = timed(|| world.forward_bursts(&packets, 8));
            assert_eq!(sent, packets.len() * self.listeners, "every packet reaches everybody");
            world.settle();
            let count = packets.len() as f64;
            forward.push(ours / count);
            least.push(floor_ns / count);
            over.push(ours / floor_ns);
            bursts.push(burst / floor_ns);
            if let Some(rival) = &mut rival {
                let packets = rival.packets(packets.len(), self.payload_len);
                let (rivals, sent) = timed(|| rival.forward(&packets));
                assert_eq!(sent, packets.len() * self.listeners, "every packet reaches everybody");
                rival.settle();
                theirs.push(rivals / count);
                theirs_over.push(rivals / ours);
            }
        }
        Measured {
            forward: median(&mut forward),
            floor: median(&mut least),
            over_floor: median(&mut over),
            bursts_over_floor: median(&mut bursts),
            rival: rival.map(|_| (median(&mut theirs), median(&mut theirs_over))),
        }
    }

    fn rival(&self) -> Rival {
        let versions = if self.versions == Versions::V12 { DtlsVersion::Dtls12 } else { DtlsVersion::Dtls13 };
        let kind = if self.media() == Media::Audio { MediaKind::Audio } else { MediaKind::Video };
        Rival::connected(versions, kind, self.listeners, clock())
    }

    /// The goals over the floor, must and aim.
    fn goal(&self) -> (f64, f64) {
        match (self.versions, self.payload_len, self.listeners) {
            (Versions::V13, 160, _) => (1.5, 1.3),
            (Versions::V13, ..) => (1.15, 1.08),
            (_, 160, 1) => (2.8, 2.2),
            (_, 160, _) => (2.0, 1.6),
            (_, _, 1) => (2.0, 1.6),
            _ => (1.5, 1.3),
        }
    }

    fn row(&self, profile: Profile, measured: &Measured) -> String {
        let Measured { forward, floor, over_floor, bursts_over_floor, rival } = measured;
        let n = self.listeners as f64;
        let (must, aim) = self.goal();
        let (theirs, ratio) = rival
            .map_or(("".into(), "".into()), |(ns, over)| (format!("{:.0}", ns / n), format!("{over:.1}x")));
        let rivals_goal = match self.listeners {
            10 => "4x / 6x",
            100 => "5x / 8x",
            _ => "",
        };
        format!(
            "| {profile:?} | {} | {} | {forward:.0} | {:.0} | {:.0} | **{over_floor:.2}x** | {bursts_over_floor:.2}x | {must}x / {aim}x | {theirs} | {ratio} | {rivals_goal} |",
            self.payload_len,
            self.listeners,
            forward / n,
            floor / n,
        )
    }
}

/// How the cost per outgoing packet grows with the audience.
fn flatness(measured: &[(Case, f64)]) {
    println!(
        "\n| profile | payload | 100 over 10 (must 1.1x) | 1,000 over 10 (must 1.2x) |\n|---|--:|--:|--:|"
    );
    for versions in [Versions::V12, Versions::V13] {
        for payload_len in [1_200, 160] {
            let cost = |listeners| {
                let mut cases = measured.iter();
                let found = cases.find(|(case, _)| {
                    (case.versions, case.listeners, case.payload_len) == (versions, listeners, payload_len)
                });
                found.map(|(_, ns)| *ns)
            };
            if let (Some(ten), Some(hundred), Some(thousand)) = (cost(10), cost(100), cost(1_000)) {
                println!("| {versions:?} | {payload_len} | {:.2}x | {:.2}x |", hundred / ten, thousand / ten);
            }
        }
    }
}

/// A thousand packets, once; what is collected of it is `support::forward` alone.
fn once(versions: Versions, listeners: usize, payload_len: usize) {
    let case = Case { versions, listeners, payload_len };
    let mut world = World::connected(versions, listeners);
    let packets = world.packets(case.media(), payload_len, 1_000);
    let sent = world.forward(&packets);
    println!("{} in, {sent} out, {:?}", packets.len(), world.profile());
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = clock();
    let done = std::hint::black_box(work());
    (begun.elapsed().as_nanos() as f64, done)
}

/// The one clock: benches measure what the core may not.
#[allow(clippy::disallowed_methods)]
fn clock() -> Instant {
    Instant::now()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
