//! Both ends of a media flow, as a network sees them.

use std::collections::VecDeque;

use super::link::{Fate, Outcome};
use super::receiver::{Feedback, Receiver};
use super::record::FlowRecord;
use super::sender::Sender;
use crate::base::time::Instant;

/// Which way a packet of a flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the sender to the receiver.
    Media,
    /// Feedback, back to the sender.
    Back,
}

/// Both ends of a media flow: whoever has more than a [`Controller`](super::Controller) is judged by it.
pub trait Ends {
    /// Does what is due at either end.
    fn handle_timeout(&mut self, now: Instant);

    /// The next packet that leaves now: its way, its number on it, its bytes on the wire.
    fn poll_transmit(&mut self, now: Instant) -> Option<(Way, u64, usize)>;

    /// What became of a packet, at the moment of it.
    fn handle_outcome(&mut self, way: Way, outcome: &Outcome);

    /// When to call `handle_timeout` next.
    fn poll_timeout(&self) -> Option<Instant>;

    /// What the run leaves of it.
    fn into_record(self: Box<Self>) -> FlowRecord;
}

/// A sender with its controller, and its receiver.
pub(super) struct Pair {
    sender: Sender,
    receiver: Receiver,
    /// Feedback on its way, by number.
    feedback: VecDeque<(u64, Feedback)>,
    feedbacks: u64,
}

impl Pair {
    pub(super) fn new(sender: Sender, receiver: Receiver) -> Self {
        Pair { sender, receiver, feedback: VecDeque::new(), feedbacks: 0 }
    }

    fn on_media(&mut self, outcome: &Outcome) {
        let id = outcome.packet.id;
        let mut unique = false;
        if let (Fate::Arrived { ce }, Some(content)) = (outcome.fate, self.sender.content(id)) {
            unique = self.receiver.on_packet(outcome.at, id, ce, content);
        }
        self.sender.note_outcome(outcome, unique);
    }

    fn on_feedback(&mut self, outcome: &Outcome) {
        let id = outcome.packet.id;
        let Some(index) = self.feedback.iter().position(|feedback| feedback.0 == id) else {
            return;
        };
        let arrived = matches!(outcome.fate, Fate::Arrived { .. });
        if let Some((_, feedback)) = self.feedback.remove(index).filter(|_| arrived) {
            self.sender.handle_feedback(outcome.at, &feedback);
        }
    }
}

impl Ends for Pair {
    fn handle_timeout(&mut self, now: Instant) {
        self.sender.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<(Way, u64, usize)> {
        if let Some((id, size)) = self.sender.poll_transmit(now) {
            return Some((Way::Media, id, size));
        }
        let feedback = self.receiver.poll_feedback(now)?;
        let (id, size) = (self.feedbacks, feedback.size);
        self.feedback.push_back((id, feedback));
        self.feedbacks += 1;
        Some((Way::Back, id, size))
    }

    fn handle_outcome(&mut self, way: Way, outcome: &Outcome) {
        match way {
            Way::Media => self.on_media(outcome),
            Way::Back => self.on_feedback(outcome),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.sender.poll_timeout().min(self.receiver.poll_timeout()))
    }

    fn into_record(self: Box<Self>) -> FlowRecord {
        self.sender.into_record()
    }
}
