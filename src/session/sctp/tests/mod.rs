mod pair;
mod referee;
mod threats;

use super::*;
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::{Duration, Instant};
use crate::wire::dcep::{Delivery, Reliability, ppid};
use bytes::Bytes;
use std::collections::VecDeque;

/// An end of a link: ours, or the referee's.
pub(super) trait End {
    fn handle_packet(&mut self, now: Instant, data: &[u8]);
    fn handle_timeout(&mut self, now: Instant);
    fn transmit(&mut self, now: Instant) -> Option<Vec<u8>>;
    fn due(&self) -> Option<Instant>;
}

/// Ours, with all it had to say.
pub(super) struct Ours {
    pub(super) association: Association,
    pub(super) events: Vec<Event>,
    pub(super) refusals: Vec<Refusal>,
    /// Whether events are fetched.
    pub(super) listens: bool,
}

impl Ours {
    pub(super) fn new(role: Role, seed: u8) -> Ours {
        let random = Random::new([seed; 32]);
        let association = Association::new(Config::default(), role, random, Instant::ZERO);
        Ours { association, events: Vec::new(), refusals: Vec::new(), listens: true }
    }

    pub(super) fn fetch(&mut self) {
        self.events.extend(std::iter::from_fn(|| self.association.poll_event()));
    }

    pub(super) fn send(&mut self, stream: u16, data: impl Into<Bytes>, delivery: Delivery) {
        self.association.send(stream, ppid::BINARY, &data.into(), delivery).expect("room");
    }

    /// The messages of a stream, in the order in which they came.
    pub(super) fn messages(&self, of: u16) -> Vec<Bytes> {
        let found = self.events.iter().filter_map(|event| match event {
            Event::Message { stream, data, .. } if *stream == of => Some(data.clone()),
            _ => None,
        });
        found.collect()
    }
}

impl End for Ours {
    fn handle_packet(&mut self, now: Instant, data: &[u8]) {
        self.refusals.extend(self.association.handle_packet(now, data).err());
        if self.listens {
            self.fetch();
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.association.handle_timeout(now);
        if self.listens {
            self.fetch();
        }
    }

    fn transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut buf = vec![0; 2_048];
        let len = self.association.poll_transmit(now, &mut buf)?;
        buf.truncate(len);
        Some(buf)
    }

    fn due(&self) -> Option<Instant> {
        self.association.poll_timeout()
    }
}

/// Two ends, 20 ms apart, and what is lost between them.
pub(super) struct Link {
    pub(super) now: Instant,
    /// Percent of packets that are lost.
    pub(super) loss: u64,
    pub(super) random: Random,
    /// All that was sent, by either.
    pub(super) sent: Vec<Vec<u8>>,
    under_way: VecDeque<(Instant, bool, Vec<u8>)>,
}

impl Link {
    pub(super) fn new(loss: u64) -> Link {
        let random = Random::new([9; 32]);
        Link { now: Instant::ZERO, loss, random, sent: Vec::new(), under_way: VecDeque::new() }
    }

    fn collect(&mut self, from_a: bool, end: &mut dyn End) {
        while let Some(packet) = end.transmit(self.now) {
            self.sent.push(packet.clone());
            if self.random.below(100) >= self.loss {
                self.under_way.push_back((self.now + Duration::from_millis(20), from_a, packet));
            }
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration, a: &mut dyn End, b: &mut dyn End) {
        let end = self.now + time;
        loop {
            self.collect(true, a);
            self.collect(false, b);
            let arrival = self.under_way.front().map(|(at, ..)| *at);
            let next = [a.due(), b.due(), arrival].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while self.under_way.front().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, from_a, packet) = self.under_way.pop_front().expect("there");
                let to: &mut dyn End = if from_a { &mut *b } else { &mut *a };
                to.handle_packet(self.now, &packet);
            }
            a.handle_timeout(self.now);
            b.handle_timeout(self.now);
        }
        self.now = end;
    }
}

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Two of ours, connected.
pub(super) fn connected() -> (Link, Ours, Ours) {
    let (mut link, mut a, mut b) = (Link::new(0), Ours::new(Role::Active, 1), Ours::new(Role::Passive, 2));
    link.run(SECOND, &mut a, &mut b);
    assert_eq!((&a.events[..], &b.events[..]), (&[Event::Connected][..], &[Event::Connected][..]));
    (link, a, b)
}

pub(super) const UNRELIABLE: Delivery =
    Delivery { ordered: false, reliability: Reliability::Retransmissions(0) };

pub(super) fn limits_window() -> usize {
    limits::SCTP_WINDOW as usize
}
