//! One packet in, N packets out, through the public API: beside the floor and beside str0m, in one run.
//!
//! The floor is one open and N header writes and seals with the same ciphers and key sizes, a key for
//! each listener, timed right after each batch of the engine's. Clients connect by real handshakes in
//! memory; those that offer AES-CM alone are of another lineage, since ours leaves the choice to the
//! engine, which takes AEAD_AES_256_GCM. str0m has that profile too and is compared under it.
//!
//! Of the batches of a case the quickest tenth counts: what a busy machine adds is not ours.
//!
//! `cargo bench --bench forward` prints tables. `-- --once N SIZE [cm]` forwards 1,000 packets once, for
//! instruction counts: `valgrind --tool=callgrind --toggle-collect='*exchange*' BINARY --once 10
//! 1200`. `-- --idle` prints what silent participants cost alone.

#[path = "support/floor.rs"]
mod floor;
#[path = "support/lineage.rs"]
mod lineage;
#[path = "support/rival.rs"]
mod rival;
#[path = "support/mod.rs"]
mod support;

use estafette::srtp::Profile;
use estafette::{RoomConfig, SubscribeRule};
use floor::Floor;
use lineage::Lineage;
use rival::Rival;
use std::time::{Duration, Instant};
use str0m::config::DtlsVersion;
use str0m::media::MediaKind;
use support::World;
use support::handshake::{Dialect, Ours};
use support::offer::Direction;
use support::peer::Media;

/// Bytes of a forwarded header: fixed part, abs-send-time and transport-wide number; audio has a level.
const VIDEO_HEADER: usize = 24;
const AUDIO_HEADER: usize = 28;

/// How long each case is measured, and how many batches at least.
const SPAN: Duration = Duration::from_millis(2_500);
const ROUNDS: usize = 20;

const PROFILES: [Profile; 2] = [Profile::AeadAes256Gcm, Profile::Aes128CmHmacSha1_80];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = args.iter().position(|arg| arg == "--once") {
        let number = |at: usize| args.get(at).and_then(|arg| arg.parse().ok()).expect("--once N SIZE [cm]");
        let profile = PROFILES[usize::from(args.iter().any(|arg| arg == "cm"))];
        return once(profile, number(at + 1), number(at + 2));
    }
    if args.iter().any(|arg| arg == "--idle") {
        return idle();
    }
    // `cargo test --bench forward` comes without this flag: a glance must do.
    let full = args.iter().any(|arg| arg == "--bench");
    let (sizes, span): (&[usize], _) =
        if full { (&[1, 10, 100, 1_000], SPAN) } else { (&[1, 10], Duration::ZERO) };
    println!(
        "Nanoseconds per outgoing packet, in + out. Bursts: eight packets come in before any is fetched.\n"
    );
    println!(
        "| profile | payload | N | forward | floor | over the floor | in bursts | must / aim | str0m | over ours | must / aim |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut costs = Vec::new();
    for profile in PROFILES {
        for &listeners in sizes {
            let mut world = World::connected(dialect(profile), listeners);
            assert_eq!(world.profile(), profile);
            for payload_len in [1_200, 160] {
                let case = Case { profile, listeners, payload_len };
                let measured = case.measure(&mut world, span);
                println!("{}", case.row(&measured));
                costs.push((case, measured.forward));
            }
        }
    }
    flatness(&costs);
    layers(sizes, span);
    fitted(sizes, span);
    scale(full, span);
    if full {
        idle();
    }
}

/// Video in three temporal layers, of which every other listener gets two, rewritten.
fn layers(sizes: &[usize], span: Duration) {
    println!(
        "\nWith layers: of three temporal ones every other listener gets two, its numbers rewritten. Nanoseconds per outgoing packet.\n"
    );
    println!("| payload | N | forward | over the floor | in bursts | over the listeners before (must 1.2) |");
    println!("|--:|--:|--:|--:|--:|--:|");
    let mut before = None;
    for &listeners in sizes {
        let mut world = World::layered(Box::new(Ours::new()), listeners);
        let case = Case { profile: PROFILES[0], listeners, payload_len: 1_200 };
        let (batch, expected) = (case.batch().next_multiple_of(8), |world: &World, n| world.layered_count(n));
        let mut floor = Floor::new(case.profile, listeners, batch, VIDEO_HEADER, case.payload_len);
        let [mut forward, mut bursts, mut least] = [const { Vec::new() }; 3];
        let end = clock() + span;
        while clock() < end || forward.len() < ROUNDS {
            for (burst, costs) in [(1, &mut forward), (8, &mut bursts)] {
                let packets = world.packets(Media::Video, case.payload_len, batch);
                let count = expected(&world, batch);
                costs.push(nanos_each(count, || world.forward_bursts(&packets, burst)));
                world.settle();
            }
            least.push(nanos_each(batch * listeners, || floor.forward()));
        }
        let [forward, bursts, least] = [forward, bursts, least].map(|mut costs| quickest(&mut costs));
        let growth = before.map_or(String::new(), |before: f64| format!("{:.2}x", forward / before));
        before = Some(forward);
        let (over, bursts) = (forward / least, bursts / least);
        println!("| 1200 | {listeners} | {forward:.0} | **{over:.2}x** | {bursts:.2}x | {growth} |");
    }
}

/// What it costs to fit what is sent to each listener's path: departures noted and paced, and a feedback of each
/// listener behind every batch, which is timed apart. Both worlds are timed in turn.
fn fitted(sizes: &[usize], span: Duration) {
    println!(
        "\nFitted to paths that carry everything: departures noted and paced, feedback read. Nanoseconds per outgoing packet; a feedback tells of a batch.\n"
    );
    println!(
        "| payload | N | not fitted | fitted | more | in bursts, not fitted | fitted | more | feedback, for each packet |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for &listeners in sizes {
        let mut worlds = [
            World::connected(Box::new(Ours::new()), listeners),
            World::fitted(Box::new(Ours::new()), listeners),
        ];
        let case = Case { profile: PROFILES[0], listeners, payload_len: 1_200 };
        let batch = case.batch().next_multiple_of(8);
        let mut costs = [const { [const { Vec::new() }; 2] }; 2];
        let (mut told, end) = (Vec::new(), clock() + span);
        while clock() < end || told.len() < ROUNDS {
            for (world, costs) in worlds.iter_mut().zip(&mut costs) {
                for (burst, costs) in [1, 8].into_iter().zip(costs) {
                    let packets = world.packets(Media::Video, case.payload_len, batch);
                    costs.push(nanos_each(batch * listeners, || world.forward_bursts(&packets, burst)));
                    world.settle();
                    let feedback = world.tell();
                    let begun = clock();
                    world.receive(&feedback);
                    if !feedback.is_empty() {
                        told.push(begun.elapsed().as_nanos() as f64 / (batch * listeners) as f64);
                    }
                    world.settle();
                }
            }
        }
        let [[single, bursts], [fitted, fitted_bursts]] =
            costs.map(|both| both.map(|mut one| quickest(&mut one)));
        let told = quickest(&mut told);
        println!(
            "| 1200 | {listeners} | {single:.0} | {fitted:.0} | **{:.0}** | {bursts:.0} | {fitted_bursts:.0} | **{:.0}** | {told:.0} |",
            fitted - single,
            fitted_bursts - bursts
        );
    }
}

/// The same audience of ten in more and more rooms, and more and more streams to one audience of ten: packets one
/// by one, and in frames of eight.
fn scale(full: bool, span: Duration) {
    println!(
        "\nTen listeners each, video of 1,200 bytes, publishers in turn. Nanoseconds per outgoing packet, and over the row before (must 1.2).\n"
    );
    println!("| rooms | streams in each | one by one | | frames of eight | |\n|--:|--:|--:|--:|--:|--:|");
    let (rooms, streams): (&[usize], &[usize]) =
        if full { (&[1, 10, 100], &[1, 5, 50]) } else { (&[1], &[2]) };
    let of_rooms: Vec<(usize, usize)> = rooms.iter().map(|rooms| (*rooms, 1)).collect();
    let of_streams: Vec<(usize, usize)> = streams.iter().map(|streams| (1, *streams)).collect();
    for cases in [of_rooms, of_streams] {
        let mut before = [None; 2];
        for (rooms, streams) in cases {
            let (mut world, publishers) = populated(rooms, streams);
            let (mut costs, end) = ([const { Vec::new() }; 2], clock() + 2 * span);
            while clock() < end || costs[0].len() < ROUNDS {
                for (frame, costs) in [1, 8].into_iter().zip(&mut costs) {
                    let frames = world.frames_of(&publishers, 1_200, frame, publishers.len().max(20));
                    let count = frames.len() * frame * 10;
                    costs.push(nanos_each(count, || world.forward_of(&frames)));
                    world.settle();
                }
            }
            let costs = costs.map(|mut costs| quickest(&mut costs));
            let growth = |at: usize| {
                before[at].map_or(String::new(), |before: f64| format!("**{:.2}x**", costs[at] / before))
            };
            let [one, eight] = [growth(0), growth(1)];
            println!("| {rooms} | {streams} | {:.0} | {one} | {:.0} | {eight} |", costs[0], costs[1]);
            before = costs.map(Some);
        }
    }
}

/// Rooms of ten listeners and so many publishers, whose streams are settled; and the publishers.
fn populated(rooms: usize, streams: usize) -> (World, Vec<usize>) {
    let mut world = World::new(Box::new(Ours::new()));
    let mut publishers = Vec::new();
    for room in 0..rooms {
        if room > 0 {
            world.open_room();
        }
        for at in 0..streams + 10 {
            let direction = if at < streams { Direction::Send } else { Direction::Receive };
            let peer = world.join(direction, if at < streams { 1 } else { streams });
            world.settle();
            publishers.extend((at < streams).then_some(peer));
        }
    }
    for _ in 0..2 {
        let frames = world.frames_of(&publishers, 100, 1, publishers.len());
        world.forward_of(&frames);
        world.settle();
    }
    (world, publishers)
}

/// Nanoseconds for each of the packets that leave, and none may be missing.
fn nanos_each(packets: usize, work: impl FnOnce() -> usize) -> f64 {
    let begun = clock();
    let sent = std::hint::black_box(work());
    let nanos = begun.elapsed().as_nanos() as f64;
    assert_eq!(sent, packets, "every packet reaches whom it is for");
    nanos / sent as f64
}

fn dialect(profile: Profile) -> Box<dyn Dialect> {
    if profile == Profile::AeadAes256Gcm {
        Box::new(Ours::new())
    } else {
        Box::new(Lineage::offering(profile))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Case {
    profile: Profile,
    listeners: usize,
    payload_len: usize,
}

/// Nanoseconds per outgoing packet.
struct Measured {
    forward: f64,
    bursts: f64,
    floor: f64,
    rival: Option<f64>,
}

impl Case {
    fn media(&self) -> Media {
        if self.payload_len < 1_000 { Media::Audio } else { Media::Video }
    }

    fn header_len(&self) -> usize {
        if self.media() == Media::Audio { AUDIO_HEADER } else { VIDEO_HEADER }
    }

    /// Incoming packets of one batch, few enough that most batches run undisturbed.
    fn batch(&self) -> usize {
        (1_000 / self.listeners).clamp(2, 128)
    }

    fn measure(&self, world: &mut World, span: Duration) -> Measured {
        let mut floor =
            Floor::new(self.profile, self.listeners, self.batch(), self.header_len(), self.payload_len);
        let mut rival = self.rival();
        let [mut forward, mut bursts, mut least, mut theirs] = [const { Vec::new() }; 4];
        let end = clock() + span;
        while clock() < end || forward.len() < ROUNDS {
            let packets = world.packets(self.media(), self.payload_len, self.batch());
            forward.push(self.timed(packets.len(), || world.forward(&packets)));
            least.push(self.timed(packets.len(), || floor.forward()));
            world.settle();
            let packets = world.packets(self.media(), self.payload_len, self.batch().max(8));
            bursts.push(self.timed(packets.len(), || world.forward_bursts(&packets, 8)));
            world.settle();
            if let Some(rival) = &mut rival {
                let packets = rival.packets(self.batch(), self.payload_len);
                theirs.push(self.timed(packets.len(), || rival.forward(&packets)));
                rival.settle();
            }
        }
        let rival = rival.map(|_| quickest(&mut theirs));
        Measured {
            forward: quickest(&mut forward),
            bursts: quickest(&mut bursts),
            floor: quickest(&mut least),
            rival,
        }
    }

    fn timed(&self, packets: usize, work: impl FnOnce() -> usize) -> f64 {
        nanos_each(packets * self.listeners, work)
    }

    /// Its goals are set at 10 and 100, and it has no other profile with itself.
    fn rival(&self) -> Option<Rival> {
        let kind = if self.media() == Media::Audio { MediaKind::Audio } else { MediaKind::Video };
        let comparable = self.listeners <= 100 && self.profile == Profile::AeadAes256Gcm;
        comparable.then(|| Rival::connected(DtlsVersion::Dtls12, kind, self.listeners, clock()))
    }

    /// The goals over the floor, must and aim.
    fn goal(&self) -> &'static str {
        match (self.profile, self.payload_len, self.listeners) {
            (Profile::Aes128CmHmacSha1_80, _, 1) => "",
            (Profile::Aes128CmHmacSha1_80, 160, _) => "1.5 / 1.3",
            (Profile::Aes128CmHmacSha1_80, ..) => "1.15 / 1.08",
            (_, 160, 1) => "2.8 / 2.2",
            (_, 160, _) | (_, _, 1) => "2.0 / 1.6",
            _ => "1.5 / 1.3",
        }
    }

    fn row(&self, measured: &Measured) -> String {
        let Case { profile, listeners, payload_len } = self;
        let Measured { forward, bursts, floor, rival } = measured;
        let (over, bursts_over) = (forward / floor, bursts / floor);
        let (theirs, ratio) =
            rival.map_or_else(Default::default, |ns| (format!("{ns:.0}"), format!("{:.1}x", ns / forward)));
        let goal = match (rival, listeners) {
            (Some(_), 10) => "4 / 6",
            (Some(_), 100) => "5 / 8",
            _ => "",
        };
        format!(
            "| {profile:?} | {payload_len} | {listeners} | {forward:.0} | {floor:.0} | **{over:.2}x** | {bursts_over:.2}x | {} | {theirs} | {ratio} | {goal} |",
            self.goal()
        )
    }
}

/// How the cost per outgoing packet grows with the audience.
fn flatness(costs: &[(Case, f64)]) {
    println!(
        "\n| profile | payload | 100 over 10 (must 1.1, aim 1.0) | 1,000 over 10 (must 1.2, aim 1.1) |\n|---|--:|--:|--:|"
    );
    for profile in PROFILES {
        for payload_len in [1_200, 160] {
            let cost = |listeners| {
                let case = Case { profile, listeners, payload_len };
                costs.iter().find(|(measured, _)| *measured == case).map(|(_, ns)| *ns)
            };
            if let (Some(ten), Some(hundred), Some(thousand)) = (cost(10), cost(100), cost(1_000)) {
                println!("| {profile:?} | {payload_len} | {:.2}x | {:.2}x |", hundred / ten, thousand / ten);
            }
        }
    }
}

/// What participants cost who say nothing: consent both ways, every five seconds, and time passing.
fn idle() {
    println!(
        "\n| participants | declared | ns per participant and second (must, aim) | a tick with nothing due (100, 30) |\n|--:|---|--:|--:|"
    );
    for (participants, direction, goal) in
        [(1_000, Direction::Receive, "1,000, 500"), (1_000, Direction::Send, "5,000, 2,500")]
    {
        let room = RoomConfig { view: SubscribeRule::None.into(), ..RoomConfig::default() };
        let mut world = World::with_room(Box::new(Ours::new()), room);
        for _ in 0..participants {
            world.join(direction, 1);
            world.settle();
        }
        let seconds = 20;
        let spent = idle_nanos(&mut world, Duration::from_secs(seconds));
        let begun = clock();
        let ticks = 100_000;
        for _ in 0..ticks {
            std::hint::black_box(world.tick());
        }
        let tick = begun.elapsed().as_nanos() as f64 / f64::from(ticks);
        let spent = spent / (participants as f64 * seconds as f64);
        println!("| {participants} | {direction:?} | **{spent:.0}** ({goal}) | **{tick:.0}** |");
    }
}

fn idle_nanos(world: &mut World, span: Duration) -> f64 {
    let (mut spent, mut asked) = (0.0, world.now);
    let end = world.now + span;
    while let Some(at) = world.engine.poll_timeout().filter(|at| *at <= end) {
        world.now = at.max(world.now + Duration::from_millis(1));
        let mut said = Vec::new();
        if world.now - asked >= Duration::from_secs(5) {
            asked = world.now;
            said = world.checks();
        }
        let begun = clock();
        world.receive(&said);
        world.tick();
        spent += begun.elapsed().as_nanos() as f64;
        let answers = world.answers();
        let begun = clock();
        world.receive(&answers);
        spent += begun.elapsed().as_nanos() as f64;
    }
    spent
}

/// A thousand packets, once; what is collected of it is `support::exchange` alone.
fn once(profile: Profile, listeners: usize, payload_len: usize) {
    let case = Case { profile, listeners, payload_len };
    let mut world = World::connected(dialect(profile), listeners);
    let packets = world.packets(case.media(), payload_len, 1_000);
    let sent = world.forward(&packets);
    println!("{} in, {sent} out, {profile:?}", packets.len());
}

/// The one clock: benches measure what the core may not.
#[allow(clippy::disallowed_methods)]
fn clock() -> Instant {
    Instant::now()
}

fn quickest(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 10).copied().unwrap_or(f64::NAN)
}
