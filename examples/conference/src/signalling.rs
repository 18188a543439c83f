//! One page's WebSocket, from its first message to its last.

use crate::lobby::{Door, Lobby, Seat};
use crate::media::{Command, Part};
use crate::message::{Inbox, Outbox, Reply, Request, WISHES, text, tidy_name};
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

/// How long a page may take to say which room it wants.
const HELLO: Duration = Duration::from_secs(10);

/// Between two pings.
const PING: Duration = Duration::from_secs(15);

/// Silence after which a page is taken for gone: two pings unanswered.
const SILENCE: Duration = Duration::from_secs(40);

/// How long one message may take to be taken by the network.
const SEND: Duration = Duration::from_secs(10);

/// How long a page may take to agree that the connection ends.
const GOODBYE: Duration = Duration::from_secs(1);

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

/// Serves one page until it leaves, fails or the server stops.
pub async fn serve(socket: WebSocket, lobby: Arc<Lobby>, stopping: watch::Receiver<bool>) {
    let now = Instant::now();
    let mut page = Page { socket, heard: now, paced: now };
    let end = page.run(&lobby, stopping).await.err().unwrap_or(End::Done);
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
    heard: Instant,
    /// The moment up to which its messages are paid for.
    paced: Instant,
}

impl Page {
    async fn run(&mut self, lobby: &Arc<Lobby>, mut stopping: watch::Receiver<bool>) -> Result<(), End> {
        let hello = timeout(HELLO, self.request());
        let hello = tokio::select! {
            hello = hello => hello.map_err(|_| End::Protocol("no room was asked for"))??,
            () = stopped(&mut stopping) => return Err(End::Stopping),
        };
        let (outbox, mut inbox) = Outbox::new();
        let Some(seat) = self.enter(lobby, hello, outbox).await? else {
            return Ok(());
        };
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // What is queued goes out before the page is let go.
                biased;
                Some(text) = inbox.queue.recv() => self.send(Message::Text(text)).await?,
                () = inbox.closed.notified() => return self.flush(&mut inbox).await,
                () = stopped(&mut stopping) => return Err(End::Stopping),
                _ = pings.tick() => {
                    if self.heard.elapsed() > SILENCE {
                        return Err(End::Gone);
                    }
                    self.send(Message::Ping(Vec::new().into())).await?;
                }
                request = self.request() => handle(&seat, request?).await?,
            }
        }
    }

    /// Finds the page's place, or tells it that there is none.
    async fn enter(
        &mut self,
        lobby: &Arc<Lobby>,
        hello: Request,
        outbox: Outbox,
    ) -> Result<Option<Seat>, End> {
        let (door, name) = match hello {
            Request::Create { name } => (Some(Door::New), name),
            Request::Join { code, name, resume } => {
                let door = if resume { Door::Resumed } else { Door::Existing };
                (code.parse().ok().map(door), name)
            }
            _ => return Err(End::Protocol("create or join comes first")),
        };
        let Some(seat) = door.and_then(|door| lobby.enter(door, tidy_name(&name), &outbox).ok()) else {
            self.send(Message::Text(text(&Reply::Refused))).await?;
            return Ok(None);
        };
        let (room, label) = (seat.room(), seat.label());
        seat.engine().send(Command::Join { room, label, part: Part::Page, outbox }).await;
        Ok(Some(seat))
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
        while let Ok(text) = inbox.queue.try_recv() {
            self.send(Message::Text(text)).await?;
        }
        Ok(())
    }
}

/// Waits until the server stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone already.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Passes a message on to where it belongs.
async fn handle(seat: &Seat, request: Request) -> Result<(), End> {
    let label = seat.label();
    match request {
        Request::Offer { sdp } => seat.engine().send(Command::Offer { label, sdp }).await,
        Request::Answer { sdp } => seat.engine().send(Command::Answer { label, sdp }).await,
        Request::State { audio, video } => seat.set_state(audio, video),
        Request::Wishes { list } if list.len() > WISHES => return Err(End::Protocol("too many wishes")),
        Request::Wishes { list } => seat.engine().send(Command::Wishes { label, list }).await,
        Request::Create { .. } | Request::Join { .. } => {
            return Err(End::Protocol("already in a room"));
        }
    }
    Ok(())
}
