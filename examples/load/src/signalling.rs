//! How participants come: each asks for its room over a WebSocket, as a page does, at the rate that was asked for.

use crate::clock::Clock;
use crate::hello::{Reply, Request, Room};
use crate::plan::Member;
use crate::worker::{Command, Handle};
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

/// The server's side of signalling.
#[derive(Clone)]
pub struct Door {
    /// Host and port.
    pub authority: String,
    /// What it wants of those who make rooms.
    pub token: Option<String>,
}

/// A room is made when its first participant comes: one made ahead is not kept for long.
type Rooms = Vec<OnceCell<String>>;

/// Lets participants come, on a thread of its own, `rate` of them a second.
pub fn start(
    door: Door,
    members: Vec<Member>,
    rate: f64,
    clock: Clock,
    workers: Vec<Handle>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signalling".into()).spawn(move || {
        runtime.block_on(async {
            let rooms: Rooms =
                members.iter().filter(|member| member.first).map(|_| OnceCell::new()).collect();
            let shared = Arc::new((door, rooms));
            let begun = tokio::time::Instant::now();
            let mut calls = Vec::new();
            for member in members {
                tokio::time::sleep_until(begun + Duration::from_secs_f64(member.index as f64 / rate)).await;
                let worker = workers[member.index % workers.len()].clone();
                calls.push(tokio::spawn(participate(shared.clone(), member, clock, worker)));
            }
            for call in calls {
                let _ = call.await;
            }
        });
    })?;
    Ok(())
}

async fn participate(shared: Arc<(Door, Rooms)>, member: Member, clock: Clock, worker: Handle) {
    let (outbox, inbox) = unbounded_channel();
    worker.send(Command::Join { member, hello: clock.now(), outbox });
    let (door, rooms) = &*shared;
    let room = rooms[member.room].get_or_try_init(|| create_room(door));
    let talk = async { talk(door, room.await?, member, inbox, &worker).await };
    if let Err(why) = talk.await {
        worker.send(Command::Lost { index: member.index, why });
    }
}

/// Carries messages between the server and a participant until one of them leaves.
async fn talk(
    door: &Door,
    code: &str,
    member: Member,
    mut inbox: UnboundedReceiver<String>,
    worker: &Handle,
) -> Result<(), String> {
    let index = member.index;
    let stream = connect(door).await?;
    let url = format!("ws://{}/ws", door.authority);
    let (mut socket, _) =
        client_async(url, stream).await.map_err(|error| format!("no WebSocket: {error}"))?;
    let name = format!("Load {index}");
    let hello = Request::Join { code, name: &name }.text();
    let lost = |error| format!("signalling: {error}");
    socket.send(Message::text(hello)).await.map_err(lost)?;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let reply: Reply = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
                    worker.send(Command::Said { index, reply });
                }
                Some(Ok(Message::Close(_))) | None => return Err("the server ended the connection".into()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(lost(error)),
            },
            text = inbox.recv() => match text {
                Some(text) => socket.send(Message::text(text)).await.map_err(lost)?,
                None => {
                    let _ = socket.close(None).await;
                    return Ok(());
                }
            },
        }
    }
}

async fn connect(door: &Door) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(&door.authority).await;
    let stream = stream.map_err(|error| format!("cannot reach {}: {error}", door.authority))?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// `POST /rooms`.
async fn create_room(door: &Door) -> Result<String, String> {
    let mut stream = connect(door).await?;
    let bearer = door.token.iter().map(|token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!(
        "POST /rooms HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n{}\r\n",
        door.authority,
        bearer.collect::<String>()
    );
    let mut response = String::new();
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_string(&mut response).await
    };
    exchange.await.map_err(|error| format!("POST /rooms: {error}"))?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    let room: Result<Room, _> = serde_json::from_str(body);
    room.map(|room| room.code).map_err(|_| format!("no room: {}", head.lines().next().unwrap_or_default()))
}
