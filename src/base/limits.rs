//! Every limit of the engine, each with its reason. A limit is the largest value still allowed.

use super::units::Bitrate;
use std::time::Duration;

// --- datagrams ---------------------------------------------------------------------------------

/// Bytes of a received datagram. WebRTC stays below 1,500; twice the common jumbo-free MTU leaves
/// room for tunnels and refuses the rest before any parser runs.
pub const DATAGRAM: usize = 2_048;

/// Bytes of a datagram we send: safe through common tunnels and PPPoE with IPv6, and large enough
/// for what browsers packetise (at most 1,200 bytes of payload and header before our extensions).
pub const MTU: usize = 1_400;

/// Least MTU that an engine can be configured with: IPv6's minimum less its headers, enough for every
/// datagram of a handshake.
pub const MIN_MTU: usize = 1_200;

// --- one stream --------------------------------------------------------------------------------

/// Bytes of one page of a history. An audio stream fills one in about two seconds, a video stream of
/// 1 Mbit/s eight in one; the last packet that does not fit wastes at most a datagram.
pub const HISTORY_PAGE: usize = 16 * 1_024;

/// Pages of one stream's history: 512 KiB hold a second of 4 Mbit/s.
pub const HISTORY_PAGES_PER_STREAM: usize = 32;

/// How long a packet waits in the history: a retransmission later than that is of no use to a decoder.
pub const HISTORY_AGE: Duration = Duration::from_millis(1_000);

/// Packets that one stream's history can name at once; a power of two.
pub const HISTORY_PACKETS: usize = 2_048;

/// How long a stream has to be silent before an SSRC that it replaced may take its place back: longer
/// than any reordering.
pub const STREAM_SILENCE: Duration = Duration::from_secs(2);

/// Missing packets of one stream that are asked for at once; more is a gap that only a key frame mends
/// (S-RTP-07).
pub const MISSING_PACKETS: usize = 256;

/// How often one missing packet is asked for (S-RTP-07).
pub const NACK_TRIES: u8 = 10;

/// How long a gap may be mere reordering before it is asked for.
pub const NACK_REORDERING: Duration = Duration::from_millis(10);

/// Between two requests for one packet, at least: on a near path a publisher that does not answer is busy, and
/// requests at the pace of the round trip would make it busier. With it all tries take half a second or more.
pub const NACK_SPACING: Duration = Duration::from_millis(20);

/// The round trip assumed until one was measured.
pub const DEFAULT_RTT: Duration = Duration::from_millis(100);

/// Bounds of a measured round trip: below is the clock's grain, above is a lie (S-RTCP-07).
pub const MIN_RTT: Duration = Duration::from_millis(5);

/// See [`MIN_RTT`].
pub const MAX_RTT: Duration = Duration::from_secs(60);

/// Between two key frame requests to one source, whatever its subscribers ask (S-RTCP-04).
pub const KEYFRAME_INTERVAL: Duration = Duration::from_millis(500);

/// Edges of what was left out that a subscription remembers, for late packets and NACKs: with two thirds of
/// 30 frames a second left out, two seconds.
pub const SPANS: usize = 64;

/// How often a source's layers are measured, and the choice among them made again.
pub const LADDER_INTERVAL: Duration = Duration::from_millis(250);

/// Key frames in a row that are not switched to because they seem older than what was shown.
pub const KEYFRAMES_REFUSED: u8 = 4;

/// How many times the wait for a layer that comes back doubles, each time that it fell silent: up to 16 s.
pub const LAYER_LAPSES: u8 = 5;

/// A layer that was heard for so long without a silence is as good as one that never fell silent.
pub const LAYER_FORGIVEN: Duration = Duration::from_secs(30);

/// The least between two such measurements: one is made out of turn where a stream ends.
pub const LADDER_SPACING: Duration = Duration::from_millis(50);

/// A layer that is silent for so long, or for eight of its frames up to [`STREAM_SILENCE`], is not there.
pub const LAYER_SILENCE: Duration = Duration::from_millis(500);

/// Layers of a source that are told apart: four encodings with three temporal layers and what is above, or
/// four spatial ones.
pub const RUNGS: usize = 16;

/// Encodings of one source (S-SIM-02).
pub const ENCODINGS: usize = 4;

/// Frames in a second from which on larger pictures are worth more than further frames.
pub const SMOOTH_FRAME_RATE: u16 = 15;

/// Packets that arrived before the key frame's first, which they follow by number, and are sent behind it.
pub const OVERTAKEN: u64 = 64;

/// Frames whose layers are remembered for each stream that has dependency descriptors, to tell what a frame
/// depends on: differences of up to so many.
pub const FRAMES_REMEMBERED: usize = 128;

/// Milliseconds between what the sender reports of two encodings say of a moment and what their arrival says,
/// beyond which arrival is believed (S-SIM-04).
pub const CLOCK_DISAGREEMENT: u32 = 500;

/// What a timestamp goes on by at least where another encoding begins: a millisecond of video.
pub const TIMESTAMP_STEP: u32 = 90;

/// Share of a subscription's sent bytes that may be spent on answers to its NACKs, in percent
/// (S-RTCP-03).
pub const RETRANSMISSION_PERCENT: u64 = 25;

/// Bytes that may be retransmitted before that share is reached: a key frame's worth.
pub const RETRANSMISSION_BURST: u64 = 128 * 1_024;

/// Retransmissions of one subscription remembered so that each is answered once per round trip.
pub const RETRANSMISSIONS_REMEMBERED: usize = 64;

// --- one participant ---------------------------------------------------------------------------

/// Packets waiting to be sent to one participant; further ones are dropped and counted. Half a second
/// of a large room's media.
pub const SEND_QUEUE: usize = 4_096;

/// Packets of sound waiting to be sent to one participant; further ones are dropped and counted. Two seconds of five
/// voices: sound that is older is of no use.
pub const AUDIO_QUEUE: usize = 512;

/// Datagrams of media in one transmit: more would let one participant hold up the others.
pub const TRANSMIT_BURST: usize = 32;

/// Sources that one participant may publish.
pub const SOURCES_PER_PARTICIPANT: usize = 16;

/// Packets that one participant may publish in a second (S-RTP-11): of 625 bytes they make
/// [`PUBLISH_BITRATE`].
pub const PUBLISH_PACKETS: u32 = 20_000;

/// What one participant may publish, headers included (S-RTP-11): 6 Mbit/s for each of its sources.
pub const PUBLISH_BITRATE: Bitrate = Bitrate::from_kbps(100_000);

/// Between two changes of m-line of a participant's SSRCs (S-RTP-06): a change is rare, a stream that
/// alternates would have its receivers start anew each time.
pub const REBINDING_INTERVAL: Duration = Duration::from_millis(1_000);

/// Subscriptions of one participant: one m-line each, so less than the m-lines of a session.
pub const SUBSCRIPTIONS_PER_PARTICIPANT: usize = 112;

/// Lines of each kind in the answer to a participant that takes no offers of ours: a player asks for one or
/// two, a wall of pictures for a screenful.
pub const SPARE_LINES: usize = 16;

/// The least between two reviews of a room's views: who is seen changes at once, and then no more often.
pub const REVIEW_INTERVAL: Duration = Duration::from_millis(100);

/// Lines of one kind that a participant may share among sources: as many of each as it may have subscriptions.
pub const SHARED_LINES: usize = SUBSCRIPTIONS_PER_PARTICIPANT / 2;

/// Packet arrivals remembered for transport-wide feedback; a power of two, two seconds of 4 Mbit/s.
pub const ARRIVALS: usize = 1_024;

/// Departures remembered of one participant's transport at first, and at most where their answers take long: four
/// seconds of 10 Mbit/s. Powers of two.
pub const DEPARTURES_AT_FIRST: usize = 256;

/// See [`DEPARTURES_AT_FIRST`].
pub const DEPARTURES: usize = 4_096;

/// Streams that departures are remembered by: all that one participant can be sent, with their retransmissions.
pub const STREAMS_NUMBERED: usize = 2 * SUBSCRIPTIONS_PER_PARTICIPANT;

/// A transport-wide number is left out after so many packets at least (S-BWE-03), and up to twice as many.
pub const SKIP_DISTANCE: u64 = 400;

/// Numbers told of in one participant's congestion feedback that are looked up in a second: those of 50 Mbit/s, each
/// ten times. A few bytes can tell of 65,535.
pub const TOLD_PER_SECOND: u32 = 65_536;

/// After a probe that could not be sent the next is asked for.
pub const PROBE_RETRY: Duration = Duration::from_millis(5);

/// Silence of RTCP after which no probe is sent (S-BWE-05): five of the slowest transport-wide feedbacks.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// No more waits to be sent again than leaves within this time: the rest is asked for again.
pub const REPAIR_QUEUE: Duration = Duration::from_millis(250);

/// Packets below the newest that probes repeat: what a receiver may still lack.
pub const PROBE_DEPTH: u64 = 64;

/// Transmits whose departure can be told by its name: a thousand system calls.
pub const TRANSMITS: usize = 1_024;

/// What is believed of a path before its feedback tells more: a voice and a small picture.
pub const INITIAL_BITRATE: Bitrate = Bitrate::from_kbps(300);

/// The least that is believed of a path: less than one voice.
pub const MIN_BITRATE: Bitrate = Bitrate::from_kbps(30);

/// The most that is believed of a path.
pub const MAX_BITRATE: Bitrate = Bitrate::from_kbps(100_000);

/// Silence of RTCP after which no media is sent to a participant (RFC 8083, section 4.3): three intervals of the
/// slowest reports, as libwebrtc sends them on sound.
pub const MEDIA_TIMEOUT: Duration = Duration::from_secs(15);

/// The same of each stream for feedback by stream (RFC 8888); a power of two, a quarter of a second of a stream
/// of 20 Mbit/s.
pub const STREAM_ARRIVALS: usize = 512;

/// Packets on which there is feedback at once, before anything of them is forgotten.
pub const FEEDBACK_PACKETS: u16 = 256;

/// Datagrams of one feedback; the rest waits for the next one (S-RTCP-09). Of packets that came one has room for
/// five hundred; it is numbers left out that make it long.
pub const FEEDBACK_DATAGRAMS: u8 = 4;

/// Between two feedbacks on a stream of video: libwebrtc's default for transport-wide feedback.
pub const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);

/// The same on little media, of which feedback must not be too large a share: of one voice it is 4 %
/// then (S-RTCP-09).
pub const FEEDBACK_INTERVAL_MAX: Duration = Duration::from_millis(400);

/// Share of what a participant sends that feedback on it may have, in percent, between those two
/// intervals: less than the 5 % for all RTCP (RFC 3550, section 6.2), for reports take the rest.
pub const FEEDBACK_PERCENT: u64 = 3;

/// Datagrams of reports in a round to one participant, also the first one (RFC 8108, section 5.2):
/// some eighty streams of a large room; the next round goes on where this one ends.
pub const REPORT_DATAGRAMS: u8 = 4;

/// Between two reports of one participant (RFC 3550, section 6.2, for sessions above 72 kbit/s).
pub const REPORT_INTERVAL: Duration = Duration::from_millis(1_000);

/// Receiver reference times (RFC 3611, section 4.4) that are remembered: of ours the last ones, four seconds
/// or more, so that an answer may take as long; of a participant's one for each of its SSRCs that sent one.
pub const REFERENCE_TIMES: usize = 4;

/// SSRCs of ours that have ended and of which their receiver is still to be told: all that it can have, with
/// those of their retransmissions. Of what ends on top it is not told.
pub const BYES: usize = 2 * SUBSCRIPTIONS_PER_PARTICIPANT;

/// RTCP datagrams taken from one participant per second (S-RTCP-02).
pub const RTCP_PER_SECOND: u32 = 200;

/// Numbers in one participant's NACKs that are looked up in a second (S-RTCP-03): a tenth of twenty streams of
/// 4 Mbit/s, each asked for again every 100 ms until it comes, are half of it. A datagram can name 8,000.
pub const NACKED_PER_SECOND: u32 = 16_384;

/// From joining (or the last offer) to the end of the handshake, else the participant has failed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a participant's label: it is written into SDP and kept per source.
pub const LABEL: usize = 64;

// --- one room, one engine ----------------------------------------------------------------------

/// Rooms of one engine.
pub const ROOMS: usize = 4_096;

/// Participants of one engine.
pub const PARTICIPANTS: usize = 16_384;

/// Participants of one room.
pub const PARTICIPANTS_PER_ROOM: usize = 1_024;

/// Keys of which one room's choice of speakers knows something: the microphone and the screen's sound of
/// each participant. Packets of further keys are not forwarded.
pub const SPEAKERS: usize = 2 * PARTICIPANTS_PER_ROOM;

/// Between two decisions about a room's dominant speaker, as in the deployed form of the method: a third
/// of the second that it looks at.
pub const SPEAKER_DECISION: Duration = Duration::from_millis(300);

/// Events waiting for the embedder; when it does not fetch them the oldest are lost and counted.
pub const EVENTS: usize = 16_384;

/// Pages of all histories of one engine: 1 GiB.
pub const HISTORY_PAGES: usize = 65_536;

// --- streams -----------------------------------------------------------------------------------

/// From a frame's first byte to its last (S-MUX-06): TCP repeats what was lost within a few seconds, or
/// the connection is dead.
pub const STREAM_FRAME_TIMEOUT: Duration = Duration::from_secs(5);

/// From a stream's beginning to its first authenticated check: a browser sends one at once, and again
/// within seconds.
pub const STREAM_PROOF_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams of one engine at once that nobody has authenticated on (S-MUX-07); those that somebody has
/// are bounded by each participant's addresses. A whole room of the largest size may come back at once.
pub const STREAMS_UNPROVEN: usize = 1_024;

/// Buffers for frames in pieces that are kept for the next one: enough for the streams of a large room
/// that are cut at the same moment.
pub const STREAM_BUFFERS: usize = 64;

// --- STUN and ICE ------------------------------------------------------------------------------

/// Bytes of a STUN USERNAME: two fragments of 256 characters and the colon between them (RFC 8839,
/// section 5.4). RFC 8489, section 14.3, stops a few bytes earlier than ICE's own grammar.
pub const STUN_USERNAME: usize = 513;

/// Bytes of a STUN REALM, NONCE, SOFTWARE or reason: 127 characters as encoders of RFC 8489, section
/// 14.8, may have written them.
pub const STUN_TEXT: usize = 763;

/// Remote candidates of one ICE generation (S-STUN-10): browsers name about ten.
pub const CANDIDATES: usize = 32;

/// Pairs of a full agent (S-STUN-10), as RFC 8445, section 6.1.2.5, recommends; those of
/// [`ADDRESSES_PER_PARTICIPANT`] are among them.
pub const PAIRS: usize = 100;

/// Checks of all full agents on one socket whose answers find their way by transaction; a power of
/// two, three seconds of a thousand agents at full pace.
pub const CHECKS: usize = 65_536;

/// Addresses known of one participant at once (S-MUX-05): a few interfaces of two families each,
/// and twice that during a restart.
pub const ADDRESSES_PER_PARTICIPANT: usize = 8;

/// Answers to Binding requests that wait for a poll; a request beyond them is dropped and its
/// sender asks again.
pub const STUN_REPLIES: usize = 8;

/// Transmissions of one connectivity check (Rc of RFC 8489, section 6.2.1).
pub const CHECK_TRANSMISSIONS: u8 = 7;

/// The same of a full agent, whose waits stop growing at two seconds: as long as a lite one's in all.
pub const FULL_CHECK_TRANSMISSIONS: u8 = 21;

/// Transmissions of a nomination, half a second apart, before the next pair gets it: to give up while
/// only the answers are lost would leave both sides with different pairs.
pub const NOMINATION_TRANSMISSIONS: u8 = 8;

/// What better pairs get when one works already, before that one is nominated: a long round trip.
pub const NOMINATION_DELAY: Duration = Duration::from_millis(200);

/// Silence of a selected pair after which a peer that nominates every pair may mean a lesser one:
/// more than browsers, two and a half seconds, and str0m, three, wait between two checks of a path.
pub const NOMINATION_HOLD: Duration = Duration::from_secs(4);

/// Time given to a full agent's generation before it can fail, even without pairs (RFC 8863, section
/// 4: the time of one check that is never answered).
pub const ICE_PATIENCE: Duration = Duration::from_millis(39_500);

/// Wait before a check is sent a second time; doubles each time (RFC 8445, section 14.3).
pub const CHECK_RTO: Duration = Duration::from_millis(500);

/// Distance of an agent's checks, consent aside (Ta of RFC 8445, section 14.2).
pub const CHECK_PACING: Duration = Duration::from_millis(50);

/// Mean distance of consent checks; each is 0.8 to 1.2 times it (RFC 7675, section 5.1).
pub const CONSENT_INTERVAL: Duration = Duration::from_secs(5);

/// Silence after which nothing may be sent any more (RFC 7675, section 5.1).
pub const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes sent to an unproven address for each byte received from there (I-04; RFC 9147, section
/// 5.1).
pub const AMPLIFICATION: usize = 3;

// --- RTP ---------------------------------------------------------------------------------------

/// Blocks of one redundant payload (RFC 2198), the primary included: browsers send two, and ten repeat
/// 200 ms of speech.
pub const RED_BLOCKS: usize = 32;

/// Protection levels of one FEC packet (RFC 5109): browsers use one, the RFC's examples two.
pub const FEC_LEVELS: usize = 8;

/// Streams that one FlexFEC packet protects: as many as RFC 8627 can name, whose names are contributing
/// sources.
pub const FEC_STREAMS: usize = 15;

// --- RTCP --------------------------------------------------------------------------------------

/// RTCP packets read of one datagram; the rest is dropped. A report, a description and feedback for
/// each stream of a large call are well below.
pub const RTCP_PER_DATAGRAM: usize = 64;

// --- payloads ----------------------------------------------------------------------------------

/// Templates of a dependency structure: an id has six bits (AV1 RTP specification, section A.8.2).
pub const FRAME_TEMPLATES: usize = 64;

/// Decode targets of a dependency structure: their count has five bits.
pub const DECODE_TARGETS: usize = 32;

/// Chains of a dependency structure, of which each decode target is protected by one.
pub const CHAINS: usize = DECODE_TARGETS;

/// Frames that one frame may depend on (S-DESC-02): AV1 refers to seven at most, and the syntax of a
/// descriptor itself has no bound.
pub const FRAME_REFERENCES: usize = 8;

// --- srtp --------------------------------------------------------------------------------------

/// Streams, each an SSRC, that one participant may send at a time. A camera and a screen of three
/// encodings each, their retransmissions and a microphone make thirteen; a context costs 150 bytes.
pub const SSRCS_PER_SESSION: usize = 64;

/// SSRCs that one participant may use under one key, the forgotten ones included, for RTP and for
/// RTCP each. What was forgotten keeps sixteen bytes, or else its old packets could be replayed.
pub const SSRCS_PER_KEY: usize = 256;

/// Packets behind the newest one of a stream that are still told from replays (at least 64 by
/// RFC 3711, section 3.3.2): half a second of the fastest video, more than a NACK takes.
pub const SRTP_REPLAY_WINDOW: usize = 1_024;

/// The same for RTCP, of which a source sends tens a second: the least that RFC 3711 allows.
pub const SRTCP_REPLAY_WINDOW: usize = 64;

// --- DTLS --------------------------------------------------------------------------------------

/// A handshake from its first datagram to its end; who needs longer has gone (browsers give up at
/// about the same age).
pub const DTLS_HANDSHAKE: Duration = Duration::from_secs(30);

/// What is left to a handshake once the peer reported a fatal alert in clear: anybody can forge
/// one, so it only shortens the wait, and a handshake that is alive finishes within this.
pub const DTLS_ALERT_GRACE: Duration = Duration::from_secs(2);

/// Messages of a handshake kept because an earlier one is missing: no flight has more (S-DTLS-05).
pub const DTLS_AHEAD: usize = 8;

/// Datagrams kept because the keys of a record in them are not there yet.
pub const DTLS_EARLY: usize = 4;

/// From one repetition of a flight to the next at most: RFC 9147, section 5.8.2, has 60 s, which is longer than a
/// handshake of ours; three of ten datagrams may be lost and it ends in time.
pub const DTLS_RETRANSMISSION: Duration = Duration::from_secs(3);

/// How often a flight is said in datagrams of the configured size, and what they have at most after that: a
/// path of IPv4 carries that (RFC 9147, section 4.4).
pub const DTLS_LARGE_FLIGHTS: u32 = 4;
/// See above: 576 bytes without the headers of IP and UDP.
pub const DTLS_SMALL_MTU: usize = 548;

/// How long a last flight is said again if the peer asks for it: twice the two minutes of a segment's lifetime (RFC 9147,
/// section 5.8.1).
pub const DTLS_LINGER: Duration = Duration::from_secs(240);

/// Records of a flight, all its repetitions together, that an acknowledgement can name.
pub const DTLS_SENT: usize = 256;

/// Records of the peer's flight that one acknowledgement of ours names.
pub const DTLS_ACKNOWLEDGED: usize = 32;

/// Extensions of one message; browsers send some fifteen.
pub const DTLS_EXTENSIONS: usize = 64;

/// Bytes of fragments of clear handshake messages kept: two messages of the largest size.
pub const DTLS_FRAGMENT_BYTES: usize = 32 * 1_024;

/// Fragments kept: the largest message in the pieces that a datagram of 256 bytes has room for.
pub const DTLS_FRAGMENTS: usize = 96;

/// Bytes of fragmented messages put together in one handshake: a post-quantum ClientHello is
/// repeated some eight times at most, 16 kB.
pub const DTLS_ASSEMBLED: usize = 64 * 1_024;

/// Bytes of one handshake message, and of a peer's certificate; browsers' have 300 to 1,500.
pub const DTLS_MESSAGE: usize = 16 * 1_024;

/// Fingerprints expected of one peer: a description rarely has more than one per section.
pub const DTLS_FINGERPRINTS: usize = 16;

/// Datagrams waiting to be sent; a full flight has at most four. What comes on top is dropped and
/// counted: the handshake repeats it, data channels do too.
pub const DTLS_OUTGOING: usize = 32;

/// Events waiting to be polled, application data included; data on top is dropped and counted.
pub const DTLS_EVENTS: usize = 32;

/// Records sealed with one key: half of what RFC 9147, section 4.5.3, allows of AES-GCM, 2^24.5, and 20 GB of full
/// datagrams. An association of 1.2, which cannot renew its keys, ends then; one of 1.3 renews them at half of it.
pub const DTLS_RECORDS: u64 = 1 << 24;

/// The same with a few more, so that goodbye can be said.
pub const DTLS_SEALED: u64 = DTLS_RECORDS + 16;

/// Records that an association's keys do not open before it is given up: 2^36 (RFC 9147, section 4.5.3, for AES-GCM and
/// ChaCha20-Poly1305).
pub const DTLS_FORGERIES: u64 = 1 << 36;

// --- session descriptions ----------------------------------------------------------------------

/// Bytes of a session description: thirty times what a browser offers for one camera, enough for
/// a hundred media sections.
pub const SDP_TEXT: usize = 256 * 1024;

/// Lines of a session description.
pub const SDP_LINES: usize = 10_000;

/// Attributes of one section of a description; browsers write about 150 in their longest.
pub const SDP_ATTRIBUTES: usize = 512;

/// Media sections of a description, rejected ones included: they are never removed (RFC 3264,
/// section 8), so this also ends a session that only ever adds.
pub const SDP_MEDIA: usize = 128;

/// Candidates kept of one section, as many as an ICE agent takes; the rest is ignored.
pub const SDP_CANDIDATES: usize = 32;

/// Fingerprints kept of one section: one for each hash function in use, and room.
pub const SDP_FINGERPRINTS: usize = 8;

/// SSRCs one section may announce: four encodings with repair and FEC streams, and room.
pub const SDP_SSRCS: usize = 16;

/// Encodings that one section may name (`a=rid` lines, alternatives in a list of `a=simulcast`): four
/// times what is taken, and one line too many is refused.
pub const SDP_RIDS: usize = 16;

/// Encodings taken of one source, by rid or by SSRC; those named after them are left out (S-SIM-02).
/// Browsers send three.
pub const SDP_ENCODINGS: usize = 4;

/// Bytes of a mid: what a one-byte RTP header extension can carry (RFC 8285, section 4.2).
pub const SDP_MID: usize = 16;

/// Bytes of a name taken over from a description (stream, track, CNAME); longer ones are cut.
pub const SDP_TOKEN: usize = 64;

/// Bytes of an ICE user fragment or password (RFC 8839, section 5.4).
pub const SDP_CREDENTIAL: usize = 256;

/// Codecs of an engine: the packet plane keeps tables of this size for each media section.
pub const CODECS: usize = 16;

/// Between two measurements of what sound and repair take to a participant.
pub const SPENT_INTERVAL: Duration = Duration::from_millis(500);

/// Percent of what a path carries that are kept back for what is sent again, at most.
pub const REPAIR_SHARE: u64 = 20;

/// The same for messages on data channels.
pub const DATA_SHARE: u64 = 50;

/// Between two divisions of a ceiling among participants.
pub const CEILING_INTERVAL: Duration = Duration::from_millis(500);

/// What a datagram of media has besides its payload, about: IP and UDP, RTP with extensions, the tag.
pub const DATAGRAM_OVERHEAD: usize = 28 + 12 + 20 + 16;

/// Decisions that are kept for the embedder.
pub const DECISIONS: usize = 65_536;

/// How long more is sent than is guessed of a path that has not shown anything yet: until its first probe has.
pub const TRUST: Duration = Duration::from_secs(1);

/// How long a total of layers that was lost is not granted again, at first.
pub const CAUTION: Duration = Duration::from_secs(2);

/// The same at most, after it was lost again and again.
pub const CAUTION_MAX: Duration = Duration::from_secs(32);

/// What is lost within this time did not last.
pub const CAUTION_SOON: Duration = Duration::from_secs(10);

// --- data channels -----------------------------------------------------------------------------

/// Bytes of a message, either way; what is told the peer as `a=max-message-size` (S-DATA-07), and what every browser
/// takes (RFC 8841, section 6.1).
pub const CHANNEL_MESSAGE: usize = 65_536;

/// Channels of one participant at a time (S-DATA-05): a page has a few, one for each of its features, and each costs
/// its names and two streams of the association's tables.
pub const CHANNELS: usize = 64;

/// Bytes of a data channel's label or of its protocol (RFC 8832, section 5.1, allows 65,535): names are for people.
pub const CHANNEL_LABEL: usize = 256;

/// The part of [`SCTP_SEND_BUFFER`] that one channel may take: half, so that it does not stop the others.
pub const CHANNEL_BUFFER: usize = SCTP_SEND_BUFFER / 2;

/// Messages read from one participant in a second (S-DATA-08); who sends more is held back by its window. A pointer
/// or a caret that follows each frame of the screen takes 60, and in a room each is sent as often as there are others.
pub const CHANNEL_MESSAGES_PER_SECOND: u64 = 200;

/// Their bytes, likewise: four of the largest.
pub const CHANNEL_BYTES_PER_SECOND: u64 = 256 * 1_024;

/// Bytes of messages in an engine's events; those above are lost and counted. What 64 participants may send in a
/// second: an embedder that comes later than that has stopped.
pub const MESSAGE_EVENTS: usize = 16 << 20;

/// Streams of one SCTP association at a time: those of the channels, and those being closed.
pub const SCTP_STREAMS: usize = 2 * CHANNELS;

/// Bytes of messages that wait to be fetched, whole or not (S-DATA-03): four of the largest, and the product of 20
/// Mbit/s and 100 ms.
pub const SCTP_WINDOW: u32 = 4 * CHANNEL_MESSAGE as u32;

/// Pieces that those bytes come in, each of which takes some hundred bytes more; the window in full packets has 230.
pub const SCTP_PIECES: usize = 2_048;

/// How far data may be ahead of what is acknowledged, in pieces (S-DATA-03): four times the window in full packets,
/// for messages are shorter than those; what the window has no room for is not under way.
pub const SCTP_AHEAD: u32 = 1_024;

/// How far numbers may be skipped at once: as many as a sender of 20 Mbit/s gives up while nothing arrives, until
/// consent ends. The library looks at each of them.
pub const SCTP_FORWARD: u32 = 65_536;

/// What a message that waits to be sent counts beside its bytes: about what is kept of it.
pub const SCTP_MESSAGE_COST: usize = 256;

/// Pieces under way beyond which no more messages are taken: a peer that acknowledges none keeps even those that were
/// given up. What waits already may still go, so that there are a few more.
pub const SCTP_UNDER_WAY: u32 = 2_048;

/// Numbers that the blocks of one acknowledgement may name (S-DATA-04): more than ever are under way.
pub const SCTP_GAPS: u32 = 8_192;

/// Heartbeats and resets of streams taken between two times that packets are fetched: their answers wait meanwhile.
pub const SCTP_UNPOLLED: usize = 64;

/// Resets of streams that wait to be fetched, and that are under way (S-DATA-03): each of the association's streams
/// twice over, closed and opened again before the owner looks.
pub const SCTP_EVENTS: usize = 256;

/// Bytes of messages that wait to be sent to one participant, until acknowledged, with [`SCTP_MESSAGE_COST`] for each
/// (S-DATA-08).
pub const SCTP_SEND_BUFFER: usize = 1 << 20;

/// Bytes that wait on a stream below which its owner is told that it goes on.
pub const SCTP_LOW: usize = 64 * 1_024;

/// What an SCTP peer gets to begin before this end does: both may (RFC 8841, section 9.3), but few do it well at once.
pub const SCTP_PATIENCE: Duration = Duration::from_millis(500);

/// Transmissions of INIT or COOKIE ECHO, within 33 s: consent does not last longer.
pub const SCTP_TRIES: u8 = 12;

/// Milliseconds before data is sent again, at least: more than a peer waits with its acknowledgement, 200.
pub const SCTP_RTO_MIN_MS: u64 = 400;

/// The same at most: a path that comes back is found within them.
pub const SCTP_RTO_MAX_MS: u64 = 4_000;
