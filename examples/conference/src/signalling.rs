//! One page's WebSocket, from its first message to its last.

#[cfg(test)]
mod tests;

use crate::code::Code;
use crate::lobby::{Door, Keys, Label, Lobby, REFUSAL, Seat};
use crate::media::{Command, Part};
use crate::message::{Act, Inbox, Outbox, Post, Reply, Request, WISHES, text, tidy_name};
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

/// How long a page may take to say which room it wants.
const HELLO: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// Between two pings.
const PING: Duration = Duration::from_secs(15);

/// Silence after which a page is taken for gone: two pings unanswered.
const SILENCE: Duration = Duration::from_secs(40);

/// How long one message may take to be taken by the network.
const SEND: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// How long a page may take to agree that the connection ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// Between two words about a connection that is watched.
const WATCH: Duration = Duration::from_secs(1);

/// Messages a page may send: one per `PACE` in the long run, `BURST` worth of them at once.
const PACE: Duration = Duration::from_millis(100);
const BURST: Duration = Duration::from_secs(3);

/// Why a page's connection ends.
enum End {
    /// It went, or the network did.
    Gone,
    /// It said something it should not have.
    Protocol(&'static str),
    /// All was said.
    Done,
    /// The server stops; the page will look for it again.
    Stopping,
}

impl End {
    /// Its name in the log.
    fn name(&self) -> &'static str {
        match self {
            End::Gone => "gone",
            End::Protocol(_) => "protocol",
            End::Done => "done",
            End::Stopping => "stopping",
        }
    }
}

/// Serves one page until it leaves, fails or the server stops.
pub async fn serve(socket: WebSocket, source: IpAddr, lobby: Arc<Lobby>, stopping: watch::Receiver<bool>) {
    let now = Instant::now();
    let mut page = Page { socket, source, heard: now, paced: now, place: None };
    let end = page.run(&lobby, stopping).await.err().unwrap_or(End::Done);
    if let Some((room, label)) = page.place {
        tracing::info!(room, label, reason = end.name(), "page left");
    }
    let (code, reason) = match end {
        End::Gone => return,
        End::Protocol(reason) => (close_code::POLICY, reason),
        End::Done => (close_code::NORMAL, ""),
        End::Stopping => (close_code::AWAY, "the server is stopping"),
    };
    let frame = CloseFrame { code, reason: reason.into() };
    let goodbye = async {
        let _ = page.socket.send(Message::Close(Some(frame))).await;
        // Left before the page's own goodbye, the connection would look broken to it.
        while let Some(Ok(_)) = page.socket.recv().await {}
    };
    let _ = timeout(GOODBYE, goodbye).await;
}

struct Page {
    socket: WebSocket,
    /// Where it comes from.
    source: IpAddr,
    heard: Instant,
    /// The moment up to which its messages are paid for.
    paced: Instant,
    /// The numbers of its room and of itself, once it has them.
    place: Option<(u64, Label)>,
}

impl Page {
    async fn run(&mut self, lobby: &Arc<Lobby>, mut stopping: watch::Receiver<bool>) -> Result<(), End> {
        let hello = timeout(HELLO, self.request());
        let hello = tokio::select! {
            hello = hello => hello.map_err(|_| End::Protocol("no room was asked for"))??,
            () = stopped(&mut stopping) => return Err(End::Stopping),
        };
        let (outbox, mut inbox) = Outbox::new();
        let Some(seat) = self.enter(lobby, hello, &outbox).await? else {
            return Ok(());
        };
        let (room, label) = (seat.room(), seat.label());
        self.place = Some((room, label));
        // Until then the engine does not know of it: nothing goes to it or comes from it.
        let mut admitted = false;
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched = false;
        let mut looks = interval(WATCH);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // What is queued goes out before the page is let go.
                biased;
                Some(post) = inbox.queue.recv() => match post {
                    Post::Text(text) => self.send(Message::Text(text)).await?,
                    Post::Admitted => {
                        admitted = true;
                        let (name, outbox, opaque) = (seat.name(), outbox.clone(), seat.encrypted());
                        let join = Command::Join { room, opaque, label, name, part: Part::Page, outbox };
                        seat.engine().send(join).await;
                    }
                },
                () = inbox.closed.notified() => return self.flush(&mut inbox).await,
                () = stopped(&mut stopping) => return Err(End::Stopping),
                _ = pings.tick() => {
                    if self.heard.elapsed() > SILENCE {
                        return Err(End::Gone);
                    }
                    self.send(Message::Ping(Vec::new().into())).await?;
                }
                _ = looks.tick(), if watched && admitted => {
                    seat.engine().send(Command::Watch { label, moderator: seat.moderates() }).await;
                }
                request = self.request() => match request? {
                    Request::Watch { on } => watched = on,
                    request => handle(&seat, admitted, &outbox, request).await?,
                },
            }
        }
    }

    /// Finds the page's place, or tells it that there is none. That takes as long whatever the reason, and nothing
    /// is held meanwhile.
    async fn enter(
        &mut self,
        lobby: &Arc<Lobby>,
        hello: Request,
        outbox: &Outbox,
    ) -> Result<Option<Seat>, End> {
        let asked = Instant::now();
        let (door, name) = match hello {
            Request::Create { name, options, encrypted } => (Some(Door::New { options, encrypted }), name),
            Request::Join { code, name, secret, seat, resume, plan } => {
                let door = if resume { Door::Resumed } else { Door::Existing };
                let keys = keys(&code, secret.as_deref(), seat.as_deref());
                (keys.map(|keys| door(keys, plan)), name)
            }
            _ => return Err(End::Protocol("create or join comes first")),
        };
        let seat = match door {
            Some(door) => lobby.enter(door, self.source, tidy_name(&name), outbox).ok(),
            None => {
                lobby.note_nonsense(self.source);
                None
            }
        };
        if seat.is_none() {
            sleep_until(asked + REFUSAL).await;
            self.send(Message::Text(text(&Reply::Refused))).await?;
        }
        Ok(seat)
    }

    /// The page's next message.
    async fn request(&mut self) -> Result<Request, End> {
        loop {
            sleep_until(self.paced).await;
            let message = match self.socket.recv().await {
                Some(Ok(message)) => message,
                Some(Err(_)) | None => return Err(End::Gone),
            };
            let now = Instant::now();
            self.heard = now;
            // A debt is slept off before the next message is read, so a flood stays in the network.
            let credit = now.checked_sub(BURST).unwrap_or(now);
            self.paced = self.paced.max(credit) + PACE;
            match message {
                Message::Text(text) => {
                    return serde_json::from_str(&text).map_err(|_| End::Protocol("not understood"));
                }
                Message::Binary(_) => return Err(End::Protocol("not understood")),
                Message::Close(_) => return Err(End::Gone),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Gone),
        }
    }

    async fn flush(&mut self, inbox: &mut Inbox) -> Result<(), End> {
        while let Ok(post) = inbox.queue.try_recv() {
            if let Post::Text(text) = post {
                self.send(Message::Text(text)).await?;
            }
        }
        Ok(())
    }
}

/// Waits until the server stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone already.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// What a page brings. A secret or a seat that is none is no mistake of the code's.
fn keys(code: &str, secret: Option<&str>, seat: Option<&str>) -> Option<Keys> {
    let well_written = |key: Option<&str>| key.and_then(|key| key.parse::<Code>().ok());
    let (secret, seat) = (well_written(secret), well_written(seat));
    Some(Keys { code: code.parse().ok()?, secret, seat, waits: true })
}

/// Passes a message on to where it belongs.
async fn handle(seat: &Seat, admitted: bool, outbox: &Outbox, request: Request) -> Result<(), End> {
    let label = seat.label();
    if !admitted {
        return Err(End::Protocol("not admitted yet"));
    }
    match request {
        Request::Offer { sdp } => seat.engine().send(Command::Offer { label, sdp }).await,
        Request::Answer { sdp } => seat.engine().send(Command::Answer { label, sdp }).await,
        Request::State(shown) => seat.show(shown),
        Request::Choose { choice } => seat.engine().send(Command::Choose { label, choice }).await,
        Request::Wishes { list } if list.len() > WISHES => return Err(End::Protocol("too many wishes")),
        Request::Wishes { list } => seat.engine().send(Command::Wishes { label, list }).await,
        Request::Act(act) => {
            let name = act.name();
            let renames = matches!(act, Act::Rename { .. });
            if let Err(why) = seat.act(act) {
                outbox.push(&Reply::Denied { act: name, why });
            } else if renames {
                seat.engine().send(Command::Name { label, name: seat.name() }).await;
            }
        }
        // What is watched is the affair of the page's loop.
        Request::Watch { .. } => {}
        Request::Create { .. } | Request::Join { .. } => {
            return Err(End::Protocol("already in a room"));
        }
    }
    Ok(())
}
