//! What WHIP and WHEP sessions ask of an engine: one offer, candidates, ICE restarts. Unlike a page
//! a session gets each answer back over a channel of its own, and never an offer.

use super::Thread;
use crate::lobby::Label;
use estafette::negotiation::NegotiationError;
use estafette::{ice, sdp};
use std::fmt;
use tokio::sync::oneshot;

/// What a participant is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A page: sends and receives, and takes offers.
    Page,
    /// A WHIP session: sends.
    Publisher,
    /// A WHEP session: receives what there is, and what comes for lines that are left.
    Viewer,
}

impl Part {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Part::Page => "page",
            Part::Publisher => "publisher",
            Part::Viewer => "viewer",
        }
    }
}

/// One question of a session.
pub enum Call {
    /// Its only offer, to be answered. A participant whose offer cannot be used leaves.
    Offer { sdp: String, answer: oneshot::Sender<Result<String, Refusal>> },
    /// Candidates that came after the offer.
    Candidates(Vec<sdp::Candidate>),
    /// New ICE credentials and candidates, to be answered with ours.
    Restart {
        remote: ice::Credentials,
        candidates: Vec<sdp::Candidate>,
        answer: oneshot::Sender<Result<ice::Credentials, Refusal>>,
    },
}

/// An offer bears an ICE password, so it stays out of logs.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Offer { .. } => f.write_str("Offer(..)"),
            Call::Candidates(candidates) => f.debug_tuple("Candidates").field(candidates).finish(),
            Call::Restart { remote, candidates, .. } => f
                .debug_struct("Restart")
                .field("remote", remote)
                .field("candidates", candidates)
                .finish_non_exhaustive(),
        }
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The participant has no place, or has left.
    Gone,
    /// What it said cannot be used, for people to read.
    Unusable(String),
}

impl From<NegotiationError> for Refusal {
    fn from(error: NegotiationError) -> Refusal {
        Refusal::Unusable(error.to_string())
    }
}

impl Thread {
    pub(super) fn call(&mut self, label: Label, call: Call) {
        let id = self.ids.get(&label).copied();
        let participant = id.and_then(|id| self.engine.participant(id));
        // Nobody waits for an answer any more if it cannot be sent.
        match (call, participant) {
            (Call::Offer { sdp, answer }, Some(mut participant)) => {
                let answered = participant.accept_offer(&sdp);
                if let (Err(error), Some(id)) = (&answered, id) {
                    tracing::info!(label, error = ?error, "negotiation failed");
                    participant.leave();
                    self.forget(id);
                }
                let _ = answer.send(answered.map_err(Refusal::from));
            }
            (Call::Restart { remote, candidates, answer }, Some(mut participant)) => {
                let restarted = participant.restart_ice(&remote);
                if restarted.is_ok() {
                    add(&mut participant, &candidates);
                }
                let _ = answer.send(restarted.map_err(Refusal::from));
            }
            (Call::Candidates(candidates), Some(mut participant)) => add(&mut participant, &candidates),
            (Call::Offer { answer, .. }, None) => {
                let _ = answer.send(Err(Refusal::Gone));
            }
            (Call::Restart { answer, .. }, None) => {
                let _ = answer.send(Err(Refusal::Gone));
            }
            (Call::Candidates(_), None) => {}
        }
    }
}

fn add(participant: &mut estafette::Participant<'_>, candidates: &[sdp::Candidate]) {
    for candidate in candidates {
        // What is too many is ignored: the engine learns addresses from checks.
        let _ = participant.add_remote_candidate(candidate);
    }
}
