//! What a room has said in writing, as far as it is remembered.

use bytes::Bytes;
use serde::Serialize;
use std::collections::VecDeque;

/// Bytes of one message: four pages of text.
pub const MESSAGE: usize = 16 * 1_024;

/// Messages that whoever comes later is told, the last ones.
pub const REMEMBERED: usize = 500;

/// Bytes of those as they are sent, names included: less than what waits on one data channel at a time.
pub const REMEMBERED_BYTES: usize = 256 * 1_024;

/// One message as pages get it.
#[derive(Serialize)]
#[serde(tag = "type", rename = "said")]
struct Said<'a> {
    /// The sender's id in `participants`, and its name when it said so.
    from: &'a str,
    name: &'a str,
    /// Milliseconds since 1970. No two messages of a room have the same, so it names them.
    time: u64,
    text: &'a str,
}

/// Nothing, or too much, is said.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfit;

/// The last messages of a room.
#[derive(Debug, Default)]
pub struct Chat {
    messages: VecDeque<Bytes>,
    bytes: usize,
    last: u64,
}

impl Chat {
    /// Takes a message; returns it as all are to get it.
    pub fn say(&mut self, now: u64, from: &str, name: &str, text: &str) -> Result<Bytes, Unfit> {
        if text.len() > MESSAGE {
            return Err(Unfit);
        }
        // Control characters show nothing, and each would take six bytes in JSON.
        let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        let text = text.trim_end();
        if text.is_empty() {
            return Err(Unfit);
        }
        self.last = now.max(self.last + 1);
        let said = Said { from, name, time: self.last, text };
        let message = Bytes::from(serde_json::to_vec(&said).map_err(|_| Unfit)?);
        self.bytes += message.len();
        self.messages.push_back(message.clone());
        while self.messages.len() > REMEMBERED || self.bytes > REMEMBERED_BYTES {
            self.bytes -= self.messages.pop_front().map_or(0, |message| message.len());
        }
        Ok(message)
    }

    /// What is remembered, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Bytes> {
        self.messages.iter()
    }
}
