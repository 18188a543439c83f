//! The way to one engine, and what is asked of it.

use super::calls::{Call, Part};
use super::census::Census;
use super::rules::Rules;
use crate::decisions::DecisionLog;
use crate::lobby::Label;
use crate::message::{Choice, Outbox, TrackWish};
use estafette::EngineConfig;
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};

/// Commands waiting for an engine; whoever has one more waits.
const COMMANDS: usize = 1_024;

/// What is asked of an engine. Whatever a page is answered goes to the page's outbox, in order with all
/// else, so that a page sees offers and answers in the order the engine made them.
pub enum Command {
    /// A participant enters a room, which is made with its first.
    Join {
        /// The room's number.
        room: u64,
        /// Whether the room is encrypted end to end. Its first participant says it for all.
        opaque: bool,
        /// The participant's number.
        label: Label,
        /// What it is called.
        name: String,
        /// What it is there for.
        part: Part,
        /// Where a page's offers and answers go; closed when the participant is gone.
        outbox: Outbox,
    },
    /// A page's offer.
    Offer { label: Label, sdp: String },
    /// A page's answer to the engine's offer.
    Answer { label: Label, sdp: String },
    /// What a page wants of tracks that it receives.
    Wishes { label: Label, list: Vec<TrackWish> },
    /// What a page has chosen to receive at most.
    Choose { label: Label, choice: Choice },
    /// What a page's participant is called from now on.
    Name { label: Label, name: String },
    /// A question of a WHIP or WHEP session.
    Call { label: Label, call: Call },
    /// A page is to be told of its connection, a moderator's of the others' as well.
    Watch { label: Label, moderator: bool },
    /// What the engine did and holds.
    Census { answer: oneshot::Sender<Census> },
    /// The participant is gone.
    Leave { label: Label },
}

/// Descriptions bear ICE passwords, so they stay out of logs.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, label) = match self {
            Command::Join { label, .. } => ("Join", label),
            Command::Offer { label, .. } => ("Offer", label),
            Command::Answer { label, .. } => ("Answer", label),
            Command::Call { label, call } => {
                return f.debug_struct("Call").field("label", label).field("call", call).finish();
            }
            Command::Wishes { label, .. } => ("Wishes", label),
            Command::Choose { label, .. } => ("Choose", label),
            Command::Name { label, .. } => ("Name", label),
            Command::Watch { label, .. } => ("Watch", label),
            Command::Census { .. } => return f.write_str("Census"),
            Command::Leave { label } => ("Leave", label),
        };
        f.debug_struct(name).field("label", label).finish_non_exhaustive()
    }
}

/// What an engine receives media on.
pub struct Sockets {
    /// Datagrams.
    pub udp: std::net::UdpSocket,
    /// Connections, if they are offered.
    pub tcp: Option<std::net::TcpListener>,
}

/// The way to one engine.
#[derive(Debug, Clone)]
pub struct Engine {
    commands: mpsc::Sender<Command>,
    rules: Arc<watch::Sender<Rules>>,
}

impl Engine {
    /// The two ends of an engine's command queue.
    pub fn channel() -> (Engine, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        (Engine { commands, rules: Arc::default() }, receiver)
    }

    /// Starts an engine on a thread of its own, with its decisions in `log`. It ends when all handles are gone.
    pub fn start(
        config: EngineConfig,
        sockets: Sockets,
        log: Option<DecisionLog>,
    ) -> std::io::Result<(Engine, JoinHandle<()>)> {
        let (engine, commands) = Engine::channel();
        let rules = engine.rules.subscribe();
        let thread = std::thread::Builder::new()
            .name(format!("engine-{}", config.number))
            .spawn(move || super::supervise(&config, &sockets, log.as_ref(), commands, &rules))?;
        Ok((engine, thread))
    }

    /// Queues a command; waits while the queue is full.
    pub async fn send(&self, command: Command) {
        // An engine that is gone has disconnected its participants already.
        let _ = self.commands.send(command).await;
    }

    /// Has the engine keep to these rules from now on.
    pub fn rule(&self, rules: Rules) {
        self.rules.send_if_modified(|known| {
            *known != rules && {
                *known = rules;
                true
            }
        });
    }

    /// What the engine keeps to.
    #[cfg(test)]
    pub fn rules(&self) -> Rules {
        self.rules.borrow().clone()
    }

    /// What the engine did and holds; `None` if it is gone.
    pub async fn census(&self) -> Option<Census> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Census { answer }).await;
        answered.await.ok()
    }

    /// Queues a command from where waiting is impossible.
    pub fn send_surely(&self, command: Command) {
        if let Err(mpsc::error::TrySendError::Full(command)) = self.commands.try_send(command) {
            let queue = self.commands.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { queue.send(command).await });
            }
        }
    }
}
