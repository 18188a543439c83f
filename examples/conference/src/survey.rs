//! The whole server at one moment, for whoever looks after it: rooms by number, engines, the process. Made at most
//! once a second, however many ask.

use crate::limits::MediaLimits;
use crate::lobby::{Lobby, RoomLine};
use crate::media::{Census, Engine};
use crate::process::{self, Usage};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

/// How old a survey may be.
const FRESH: Duration = Duration::from_secs(1);

/// How long an engine may take to answer; one that is late is left out.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Debug)]
pub struct Survey {
    /// When, since the server started.
    pub at: Duration,
    /// The engines that answered.
    pub engines: Vec<Census>,
    /// Engines in all.
    pub engine_count: usize,
    /// What is allowed of media in all rooms.
    pub limits: MediaLimits,
    /// The rooms, in the order of their numbers.
    pub rooms: Vec<RoomLine>,
    /// Tries of codes that were refused since the start.
    pub refusals: u64,
    /// Pages that are open, and sessions of other clients.
    pub pages: usize,
    /// What the process takes, if the system tells it.
    pub usage: Option<Usage>,
}

/// Makes surveys.
#[derive(Debug)]
pub struct Surveyor {
    started: Instant,
    lobby: Arc<Lobby>,
    pages: Arc<Semaphore>,
    page_count: usize,
    last: Mutex<Option<(Instant, Arc<Survey>)>>,
}

impl Surveyor {
    /// Of a server with this lobby and at most so many pages, whose permits are these.
    pub fn new(lobby: Arc<Lobby>, pages: Arc<Semaphore>) -> Surveyor {
        let page_count = pages.available_permits();
        Surveyor { started: Instant::now(), lobby, pages, page_count, last: Mutex::default() }
    }

    /// A survey not older than a second. Whoever asks while one is made waits for it.
    pub async fn survey(&self) -> Arc<Survey> {
        let mut last = self.last.lock().await;
        if let Some((at, survey)) = &*last
            && at.elapsed() < FRESH
        {
            return survey.clone();
        }
        let survey = Arc::new(self.make().await);
        *last = Some((Instant::now(), survey.clone()));
        survey
    }

    async fn make(&self) -> Survey {
        let engines = self.lobby.engines();
        let asked: Vec<_> = engines.iter().cloned().map(|engine| tokio::spawn(census(engine))).collect();
        let mut answers = Vec::new();
        for answer in asked {
            answers.extend(answer.await.ok().flatten());
        }
        Survey {
            at: self.started.elapsed(),
            engines: answers,
            engine_count: engines.len(),
            limits: self.lobby.limits(),
            rooms: self.lobby.rooms(),
            refusals: self.lobby.refusals(),
            pages: self.page_count.saturating_sub(self.pages.available_permits()),
            usage: process::usage(),
        }
    }
}

async fn census(engine: Engine) -> Option<Census> {
    timeout(PATIENCE, engine.census()).await.ok().flatten()
}
