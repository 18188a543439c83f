//! A thread with many participants: it waits on all their sockets at once, and does for each what is due.

use crate::client::Scratch;
use crate::client::{Client, Times};
use crate::clock::Clock;
use crate::figures::Traffic;
use crate::hello::{Reply, Request};
use crate::link::Batch;
use crate::plan::Member;
use estafette::random::Random;
use estafette::{Instant, dtls};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Nothing wakes later than this, so that each second is told of.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
const WAKER: Token = Token(usize::MAX);

/// What is asked of a worker.
pub enum Command {
    /// A participant says hello.
    Join { member: Member, hello: Instant, outbox: UnboundedSender<String> },
    /// The server said something to one.
    Said { index: usize, reply: Reply },
    /// The connection for signalling ended, or never came about.
    Lost { index: usize, why: String },
    /// Nobody sends media any more.
    Mute,
    /// Everybody tells what became of them and leaves.
    Finish,
}

/// What a worker tells.
pub enum Note {
    /// A participant is connected, or will never be.
    Settled { connected: bool },
    /// What went on in one second.
    Second { second: u64, traffic: Box<Traffic> },
    /// The end.
    Finished(Vec<Outcome>),
}

/// What became of a participant.
pub struct Outcome {
    pub member: Member,
    pub id: String,
    pub times: Times,
    pub failure: Option<String>,
    pub tracks: Vec<TrackOutcome>,
}

/// What it received of one microphone or camera.
pub struct TrackOutcome {
    pub publisher: String,
    pub video: bool,
    pub received: u64,
    pub repaired: u64,
    pub lost: u64,
    pub duplicates: u64,
}

/// The way to a worker.
#[derive(Clone)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Handle {
    pub fn send(&self, command: Command) {
        // A worker that is gone has told of its end.
        let _ = self.commands.send(command);
        let _ = self.waker.wake();
    }
}

/// What all workers have in common.
#[derive(Clone)]
pub struct Setting {
    pub clock: Clock,
    pub context: dtls::Context,
    pub random: Random,
    /// How many workers there are, and participants in all.
    pub workers: usize,
    pub participants: usize,
    /// How high the pictures are that participants wish for.
    pub max_height: u16,
}

/// Starts a worker; participant `index` belongs to worker `index % workers`.
pub fn start(number: usize, setting: Setting, notes: Sender<Note>) -> io::Result<Handle> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (sender, commands) = channel();
    let places = setting.participants.div_ceil(setting.workers);
    let worker = Worker {
        poll,
        commands,
        notes,
        seats: (0..places).map(|_| None).collect(),
        deadlines: vec![Instant::from_micros(u64::MAX); places],
        scratch: Scratch::new(),
        batch: Batch::new(),
        second: 0,
        setting,
    };
    std::thread::Builder::new().name(format!("load-{number}")).spawn(move || worker.run())?;
    Ok(Handle { commands: sender, waker })
}

struct Seat {
    client: Client,
    outbox: UnboundedSender<String>,
    settled: bool,
}

struct Worker {
    poll: Poll,
    commands: Receiver<Command>,
    notes: Sender<Note>,
    seats: Vec<Option<Seat>>,
    /// When each seat is to be looked at: one dense array, searched whole at each turn, costs less than a queue.
    deadlines: Vec<Instant>,
    scratch: Scratch,
    batch: Batch,
    second: u64,
    setting: Setting,
}

impl Worker {
    fn run(mut self) {
        let mut events = Events::with_capacity(1_024);
        loop {
            let next = self.deadlines.iter().min().copied().unwrap_or_default();
            let wait = (next - self.setting.clock.now()).min(LONGEST_WAIT);
            if self.poll.poll(&mut events, Some(wait)).is_err() {
                continue; // A signal came.
            }
            for event in &events {
                match event.token() {
                    WAKER => {
                        while let Ok(command) = self.commands.try_recv() {
                            if matches!(command, Command::Finish) {
                                return self.finish();
                            }
                            self.command(command);
                        }
                    }
                    Token(place) => self.receive(place),
                }
            }
            self.do_what_is_due();
            self.tell_of_second();
        }
    }

    fn receive(&mut self, place: usize) {
        let Some(Some(Seat { client, .. })) = self.seats.get_mut(place) else { return };
        let mut more = true;
        while more {
            // A call that fails meanwhile has none any more.
            let Some(link) = &client.link else { break };
            more = link.receive(&mut self.batch);
            let now = self.setting.clock.now();
            for datagram in self.batch.datagrams() {
                client.handle_datagram(now, datagram, &mut self.scratch);
            }
        }
        self.touch(place);
    }

    fn do_what_is_due(&mut self) {
        // The clock is read for those alone who have something to do: their packets say when they left.
        let mut now = self.setting.clock.now();
        for place in 0..self.deadlines.len() {
            if self.deadlines[place] > now {
                continue;
            }
            now = self.setting.clock.now();
            if let Some(seat) = &mut self.seats[place] {
                seat.client.handle_timeout(now, &mut self.scratch);
            }
            self.touch(place);
        }
    }

    /// Notes when a seat is next to be looked at, and whether its call has come about.
    fn touch(&mut self, place: usize) {
        let Some(Some(seat)) = self.seats.get_mut(place) else { return };
        self.deadlines[place] = seat.client.poll_timeout().unwrap_or(Instant::from_micros(u64::MAX));
        let connected = seat.client.times.connected.is_some();
        if !seat.settled && (connected || seat.client.failure.is_some()) {
            seat.settled = true;
            let _ = self.notes.send(Note::Settled { connected });
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Join { member, hello, outbox } => {
                let Setting { context, random, workers, .. } = &self.setting;
                let client = Client::new(member, hello, context.clone(), random.fork(member.index as u64));
                self.seats[member.index / workers] = Some(Seat { client, outbox, settled: false });
            }
            Command::Said { index, reply } => self.on_reply(index / self.setting.workers, reply),
            Command::Lost { index, why } => {
                let place = index / self.setting.workers;
                if let Some(seat) = &mut self.seats[place] {
                    seat.client.fail(&why);
                }
                self.touch(place);
            }
            Command::Mute => self.seats.iter_mut().flatten().for_each(|seat| seat.client.mute()),
            Command::Finish => {}
        }
    }

    fn on_reply(&mut self, place: usize, reply: Reply) {
        let Some(Some(seat)) = self.seats.get_mut(place) else { return };
        let client = &mut seat.client;
        let done = match reply {
            Reply::Joined { id } => {
                client.id = id;
                let _ = seat.outbox.send(Request::Offer { sdp: &client.offer() }.text());
                Ok(())
            }
            Reply::Answer { sdp } => client.accept_answer(&sdp).and_then(|()| {
                let Some(link) = &mut client.link else { return Ok(()) };
                let registered =
                    self.poll.registry().register(&mut link.io, Token(place), Interest::READABLE);
                registered.map_err(|error| error.to_string())
            }),
            Reply::Offer { sdp } => client.accept_offer(&sdp).map_err(|error| error.to_string()).map(|sdp| {
                let _ = seat.outbox.send(Request::Answer { sdp: &sdp }.text());
            }),
            Reply::Refused => Err("the server has no place".to_owned()),
            Reply::Ended { reason } => Err(format!("the server ended the call: {reason}")),
            Reply::Other => Ok(()),
        };
        if let Err(why) = done {
            client.fail(&why);
        }
        let list = client.wishes(self.setting.max_height);
        if !list.is_empty() {
            let _ = seat.outbox.send(Request::Wishes { list }.text());
        }
        self.touch(place);
    }

    fn tell_of_second(&mut self) {
        let second = self.setting.clock.now().as_micros() / 1_000_000;
        if second != self.second {
            self.tell_of_traffic();
            self.second = second;
        }
    }

    fn tell_of_traffic(&mut self) {
        let traffic = Box::new(std::mem::take(&mut self.scratch.traffic));
        let _ = self.notes.send(Note::Second { second: self.second, traffic });
    }

    fn finish(mut self) {
        self.tell_of_traffic();
        let outcome = |Seat { client, .. }: Seat| {
            let tracks = client.tracks().iter().map(|track| TrackOutcome {
                publisher: track.announced.publisher.clone(),
                video: track.announced.video,
                received: track.received,
                repaired: track.repaired,
                lost: track.lost(),
                duplicates: track.duplicates,
            });
            let tracks = tracks.collect();
            Outcome {
                member: client.member,
                id: client.id,
                times: client.times,
                failure: client.failure,
                tracks,
            }
        };
        let outcomes = self.seats.into_iter().flatten().map(outcome).collect();
        let _ = self.notes.send(Note::Finished(outcomes));
    }
}
