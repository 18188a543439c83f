//! What waits to be sent, as it weighs: the library counts bytes, and keeps more than a hundred beside each message.

use crate::base::limits;
use std::collections::VecDeque;

/// The messages of all streams that wait, or were sent and are not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Backlogs {
    streams: Vec<Backlog>,
    /// What the library still holds of streams that the peer has reset, by their numbers.
    orphans: Vec<(u16, usize)>,
}

#[derive(Debug)]
struct Backlog {
    stream: u16,
    lens: VecDeque<usize>,
    sum: usize,
}

impl Backlogs {
    /// A message was handed to the library.
    pub(super) fn push(&mut self, stream: u16, len: usize) {
        let at = self.streams.iter().position(|one| one.stream == stream).unwrap_or_else(|| {
            self.streams.push(Backlog { stream, lens: VecDeque::new(), sum: 0 });
            self.streams.len() - 1
        });
        if let Some(backlog) = self.streams.get_mut(at) {
            backlog.lens.push_back(len);
            backlog.sum += len;
        }
    }

    /// What a stream weighs, of which the library says that so many bytes wait.
    pub(super) fn weight(&mut self, stream: u16, buffered: usize) -> usize {
        let Some(at) = self.streams.iter().position(|one| one.stream == stream) else { return buffered };
        let Some(backlog) = self.streams.get_mut(at) else { return buffered };
        // The first have arrived first, or were given up.
        while let Some(first) = backlog.lens.front().filter(|first| backlog.sum - **first >= buffered) {
            backlog.sum -= first;
            backlog.lens.pop_front();
        }
        let weight = buffered + backlog.lens.len() * limits::SCTP_MESSAGE_COST;
        if backlog.lens.is_empty() {
            self.streams.swap_remove(at);
        }
        weight
    }

    /// The peer resets a stream that weighs so much: the library will not count it any longer, but keep it until it is
    /// acknowledged.
    pub(super) fn orphan(&mut self, stream: u16, weight: usize) {
        if weight > 0 {
            self.orphans.push((stream, weight));
        }
        self.streams.retain(|one| one.stream != stream);
    }

    /// A reset has come to its end, and before it all that was sent.
    pub(super) fn release(&mut self, stream: u16) {
        if let Some(at) = self.orphans.iter().position(|(id, _)| *id == stream) {
            self.orphans.remove(at);
        }
    }

    /// All that was sent has been acknowledged.
    pub(super) fn release_all(&mut self) {
        self.orphans.clear();
    }

    pub(super) fn orphaned(&self) -> usize {
        self.orphans.iter().map(|(_, weight)| weight).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: usize = limits::SCTP_MESSAGE_COST;

    #[test]
    fn messages_weigh_until_they_have_arrived() {
        let mut backlogs = Backlogs::default();
        [10, 1, 1].into_iter().for_each(|len| backlogs.push(4, len));
        assert_eq!(backlogs.weight(4, 12), 12 + 3 * COST);
        assert_eq!(backlogs.weight(4, 5), 5 + 3 * COST, "a part of the first is still there");
        assert_eq!(backlogs.weight(4, 2), 2 + 2 * COST);
        assert_eq!(backlogs.weight(4, 0), 0);
        assert_eq!(backlogs.weight(5, 7), 7);
        backlogs.push(4, 9);
        let weight = backlogs.weight(4, 9);
        backlogs.orphan(4, weight);
        assert_eq!((backlogs.weight(4, 0), backlogs.orphaned()), (0, 9 + COST));
        backlogs.release(4);
        assert_eq!(backlogs.orphaned(), 0);
    }
}
