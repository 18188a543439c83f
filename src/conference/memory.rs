//! How much one participant can make the engine hold, as the sum of its caps.

use crate::base::limits;
use crate::conference::ids::{ParticipantId, SourceId};
use crate::conference::lines::SharedLine;
use crate::conference::participant::{ParticipantState, Role, Seldom, SendEntry};
use crate::conference::receiving;
use crate::conference::source::{Encoding, Listener, Source, Stream};
use crate::conference::streams;
use crate::conference::subscription::Subscription;
use crate::conference::view::Viewing;
use crate::conference::{congestion, drops};
use crate::forwarding::ladder::{Meter, Rung};
use crate::forwarding::rewrite::Past;
use crate::forwarding::{history, reading};
use crate::session::ice;
use crate::session::sped::Embedding;
use crate::transport::network;
use crate::wire::rtp::Ssrc;
use crate::wire::sctp::Init;

/// Bytes that one participant can make an engine hold at most, whatever it sends and whatever is
/// forwarded to it. Histories are shared: all of an engine's together hold no more than
/// [`EngineConfig::max_history_pages`](crate::EngineConfig::max_history_pages) allow.
///
/// An idle participant holds less than a hundredth of it. What the C side of the handshake's primitives
/// holds is not in it.
pub const fn participant_memory_bound() -> usize {
    itself()
        + handshake()
        + description()
        + channels()
        + limits::SOURCES_PER_PARTICIPANT * source()
        + received()
}

/// The participant (a quarter more for slots to come), what leads to it in the engine's directory,
/// its SRTP keys and sources, its ICE addresses.
const fn itself() -> usize {
    let tables = size_of::<ParticipantState>() * 5 / 4 + ice::Directory::<ParticipantId>::BOUND;
    let keys = size_of::<network::Keys>();
    let contexts = limits::SSRCS_PER_SESSION * (192 + size_of::<Role>()) + 2 * 16 * limits::SSRCS_PER_KEY;
    // A full agent has pairs of candidates as well.
    let addresses = limits::PAIRS * 320 + 2 * limits::CANDIDATES * 192 + limits::STUN_REPLIES * 128;
    let addresses = addresses + limits::ADDRESSES_PER_PARTICIPANT * streams::BOUND;
    tables + keys + contexts + addresses + receiving::BOUND
}

/// A DTLS association at its worst: messages and fragments that wait, as they are and put together, datagrams that came
/// before their keys, those that are to be sent with the flight that they are made of, once more where they ride on
/// checks, and data.
const fn handshake() -> usize {
    let waiting = (limits::DTLS_AHEAD + limits::DTLS_EARLY) * limits::DATAGRAM
        + limits::DTLS_FRAGMENT_BYTES
        + limits::DTLS_ASSEMBLED;
    let outgoing =
        limits::DTLS_OUTGOING * (2 * limits::DATAGRAM + 64) + size_of::<Embedding>() + size_of::<Init>();
    let events = limits::DTLS_EVENTS * limits::DATAGRAM;
    2 * waiting + outgoing + events
}

/// Its data channels: what waits both ways, pieces with what its library keeps of each, names, and what it is told.
const fn channels() -> usize {
    let received = limits::SCTP_WINDOW as usize
        + limits::CHANNEL_MESSAGE
        + limits::SCTP_PIECES * (2 * 192 + limits::DATAGRAM);
    // Pieces of a message are some hundred bytes each, more than SCTP_MESSAGE_COST for the longest.
    let sent = limits::SCTP_SEND_BUFFER + limits::SCTP_SEND_BUFFER / 500 * 192;
    // Pieces that were given up, and packets that were made of what waits and are not fetched.
    let given_up = limits::SCTP_UNDER_WAY as usize * (limits::DATAGRAM + 192);
    let made = limits::SCTP_SEND_BUFFER;
    let names = limits::SCTP_STREAMS * (2 * limits::CHANNEL_LABEL + 1_024);
    let answers = limits::SCTP_UNPOLLED * 2 * limits::DATAGRAM;
    received + sent + given_up + made + names + answers + (limits::SCTP_EVENTS + limits::SCTP_PIECES) * 64
}

/// What a negotiation keeps of a description, beside its unanswered offer: no more than the text in each
/// of sections, session and offer, and the tables of each section.
const fn description() -> usize {
    3 * (limits::SDP_TEXT + limits::SDP_MEDIA * 2_048)
}

/// A source with its encodings, each with a stream and a history. Pages are the larger part.
const fn source() -> usize {
    let pages = (limits::HISTORY_PAGES_PER_STREAM + 1) * limits::HISTORY_PAGE;
    let index = limits::HISTORY_PACKETS * (history::INDEX_ENTRY + 1);
    let missing = limits::MISSING_PACKETS * 32;
    let stream = (size_of::<Stream>() + 1_024) * 5 / 4 + size_of::<Meter>() + reading::DESCRIBED;
    let encoding = stream + size_of::<Encoding>() + pages + index + missing;
    size_of::<Source>() * 5 / 4 + limits::ENCODINGS * encoding + 2 * limits::RUNGS * size_of::<Rung>()
}

/// What is forwarded to it: its subscriptions, their seats, its send queue.
const fn received() -> usize {
    let subscription = size_of::<Subscription>() * 5 / 4 + 2 * size_of::<Listener>();
    let repair = limits::RETRANSMISSIONS_REMEMBERED * 16 + limits::SPANS * size_of::<Past>();
    let lines = 2 * limits::SHARED_LINES * size_of::<SharedLine>();
    let declined = limits::SUBSCRIPTIONS_PER_PARTICIPANT * size_of::<SourceId>();
    let view = size_of::<Viewing>() + 3 * limits::PARTICIPANTS_PER_ROOM * size_of::<ParticipantId>();
    let view = view + 2 * drops::COUNT * size_of::<(u16, u32)>();
    let seldom = size_of::<Seldom>() + 2 * limits::BYES * size_of::<Ssrc>();
    lines
        + declined
        + view
        + seldom
        + limits::SUBSCRIPTIONS_PER_PARTICIPANT * (subscription + repair)
        + (limits::SEND_QUEUE + limits::AUDIO_QUEUE) * size_of::<SendEntry>()
        + congestion::BOUND
}
