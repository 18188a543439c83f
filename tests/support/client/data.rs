//! A client's data channels, on libwebrtc's SCTP: what a browser does with them.

use bytes::Bytes;
use dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, SocketState, SocketTime, StreamId,
};
use estafette::Instant;
use estafette::dcep::{self, Delivery, Open, Reliability, ppid};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub label: String,
    pub text: bool,
    pub data: Vec<u8>,
}

pub struct Data {
    socket: Box<dyn DcSctpSocket>,
    outgoing: VecDeque<Vec<u8>>,
    /// Labels of the channels, by their streams.
    pub channels: BTreeMap<u16, (String, Delivery)>,
    pub received: Vec<Received>,
    /// Labels of channels that were closed.
    pub closed: Vec<String>,
    pub errors: Vec<String>,
    /// Whether messages are taken from the socket.
    pub listens: bool,
    /// To be opened once there is a connection.
    waiting: Vec<(String, Delivery)>,
    begun: bool,
    at: Instant,
}

impl Data {
    pub fn new() -> Data {
        // A receiver that does not listen fills a window of a megabyte.
        let options = Options { mtu: 1_100, max_receiver_window_buffer_size: 1 << 20, ..Options::default() };
        Data {
            socket: dcsctp::new_socket("client", &options),
            outgoing: VecDeque::new(),
            channels: BTreeMap::new(),
            received: Vec::new(),
            closed: Vec::new(),
            errors: Vec::new(),
            listens: true,
            waiting: Vec::new(),
            begun: false,
            at: Instant::ZERO,
        }
    }

    /// DTLS is there: the client is its client.
    pub fn connect(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.begun, true) {
            self.advance(now);
            self.socket.connect();
            self.fetch();
        }
    }

    pub fn open(&mut self, label: &str, delivery: Delivery) {
        self.waiting.push((label.to_owned(), delivery));
        self.fetch();
    }

    fn begin(&mut self, label: String, delivery: Delivery) {
        // The DTLS client has the even ones.
        let stream = (0..).step_by(2).find(|stream| !self.channels.contains_key(stream)).expect("a free one");
        let open = Open { delivery, priority: 256, label: &label, protocol: "" };
        let mut payload = Vec::new();
        dcep::Message::Open(open).write(&mut payload).expect("short");
        self.raw(stream, ppid::DCEP, payload, &SendOptions::default());
        self.channels.insert(stream, (label, delivery));
    }

    /// Any message on any stream.
    pub fn raw(&mut self, stream: u16, ppid: u32, payload: Vec<u8>, options: &SendOptions) {
        let message = Message::new(StreamId(stream), PpId(ppid), payload);
        self.socket.send(message, options).expect("room");
        self.fetch();
    }

    fn stream(&self, label: &str) -> (u16, Delivery) {
        let mut named = self.channels.iter().filter(|(_, (known, _))| known == label);
        named.next().map(|(stream, (_, delivery))| (*stream, *delivery)).expect("an open channel")
    }

    pub fn send(&mut self, label: &str, text: bool, data: &[u8]) {
        let (stream, delivery) = self.stream(label);
        let mut options = SendOptions { unordered: !delivery.ordered, ..SendOptions::default() };
        match delivery.reliability {
            Reliability::Reliable => {}
            Reliability::Retransmissions(most) => options.max_retransmissions = Some(most as u16),
            Reliability::Lifetime(millis) => options.lifetime = Some(Duration::from_millis(millis.into())),
        }
        let kind = match (text, data.is_empty()) {
            (true, false) => ppid::STRING,
            (true, true) => ppid::STRING_EMPTY,
            (false, false) => ppid::BINARY,
            (false, true) => ppid::BINARY_EMPTY,
        };
        let payload = if data.is_empty() { vec![0] } else { data.to_vec() };
        self.raw(stream, kind, payload, &options);
    }

    pub fn close(&mut self, label: &str) {
        let (stream, _) = self.stream(label);
        self.channels.remove(&stream);
        self.socket.reset_streams(&[StreamId(stream)]).expect("connected");
        self.fetch();
    }

    /// Bytes that wait to be sent.
    pub fn buffered(&self, label: &str) -> usize {
        self.socket.buffered_amount(StreamId(self.stream(label).0))
    }

    /// The contents of what came on channels of a name.
    pub fn messages(&self, label: &str) -> Vec<Bytes> {
        let named = self.received.iter().filter(|received| received.label == label);
        named.map(|received| received.data.clone().into()).collect()
    }

    pub fn handle(&mut self, now: Instant, data: &[u8]) {
        self.advance(now);
        self.socket.handle_input(data);
        self.fetch();
    }

    pub fn advance(&mut self, now: Instant) {
        self.at = now;
        self.socket.advance_time(SocketTime::zero() + Duration::from_micros(now.as_micros()));
        self.fetch();
    }

    pub fn fetch(&mut self) {
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.outgoing.push_back(packet),
                SocketEvent::OnIncomingStreamReset(streams) => self.on_reset(&streams),
                SocketEvent::OnError(_, text) | SocketEvent::OnAborted(_, text) => self.errors.push(text),
                _ => {}
            }
        }
        while self.listens
            && let Some(message) = self.socket.get_next_message()
        {
            self.on_message(message);
        }
        if self.socket.state() == SocketState::Connected {
            for (label, delivery) in std::mem::take(&mut self.waiting) {
                self.begin(label, delivery);
            }
        }
    }

    fn on_reset(&mut self, streams: &[StreamId]) {
        let ours: Vec<_> =
            streams.iter().filter(|stream| self.channels.contains_key(&stream.0)).copied().collect();
        self.closed
            .extend(ours.iter().filter_map(|stream| self.channels.remove(&stream.0)).map(|(label, _)| label));
        if !ours.is_empty() {
            // The other half (RFC 8831, section 6.7).
            let _ = self.socket.reset_streams(&ours);
        }
    }

    fn on_message(&mut self, message: Message) {
        let (stream, kind) = (message.stream_id.0, message.ppid.0);
        if kind == ppid::DCEP {
            if let Ok(dcep::Message::Open(open)) = dcep::Message::parse(&message.payload) {
                assert!(stream % 2 == 1, "the server's are odd");
                self.channels.insert(stream, (open.label.to_owned(), open.delivery));
                self.raw(stream, ppid::DCEP, vec![2], &SendOptions::default());
            }
            return;
        }
        let Some((label, _)) = self.channels.get(&stream) else { return };
        let empty = matches!(kind, ppid::STRING_EMPTY | ppid::BINARY_EMPTY);
        let data = if empty { Vec::new() } else { message.payload };
        let text = matches!(kind, ppid::STRING | ppid::STRING_EMPTY);
        self.received.push(Received { label: label.clone(), text, data });
    }

    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.fetch();
        self.outgoing.pop_front()
    }

    pub fn due(&self) -> Option<Instant> {
        let at = self.socket.poll_timeout();
        let due = (at != SocketTime::infinite_future() && self.begun)
            .then(|| Instant::ZERO + (at - SocketTime::zero()) + Duration::from_micros(1));
        due.map(|due| due.max(self.at + Duration::from_micros(1)))
    }
}
