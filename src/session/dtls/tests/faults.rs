//! The matrix of faults: each record of a handshake, of either end, and each thing that a path does to it or somebody
//! on it. What no path can be blamed for must always end in keys; what was changed in clear may end in a refusal that
//! has a name, in time, and never in anything else.

use super::*;
use crate::base::limits;

/// Which handshakes there are: groups and versions of the client, of the server, and the size of datagrams.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    client: (Versions, &'static [Group]),
    server: (Versions, &'static [Group]),
    mtu: usize,
}

const HYBRID: &[Group] = &[Group::X25519MlKem768, Group::X25519, Group::P256];
const PLAIN: &[Group] = &[Group::X25519];
/// Its first group is one that the server has not: a HelloRetryRequest follows.
const OTHER_FIRST: &[Group] = &[Group::P384, Group::X25519MlKem768, Group::X25519];
const OTHER_PLAIN: &[Group] = &[Group::P384, Group::X25519];

const KINDS: [Kind; 6] = [
    Kind { name: "1.2", client: (Versions::V12, HYBRID), server: (Versions::V12, HYBRID), mtu: 1_200 },
    Kind { name: "1.3", client: (Versions::V13, PLAIN), server: (Versions::V13, PLAIN), mtu: 1_200 },
    Kind {
        name: "1.3 hybrid",
        client: (Versions::Auto, HYBRID),
        server: (Versions::Auto, HYBRID),
        mtu: 1_200,
    },
    Kind {
        name: "both to 1.2",
        client: (Versions::Auto, HYBRID),
        server: (Versions::V12, HYBRID),
        mtu: 1_200,
    },
    Kind { name: "retry", client: (Versions::V13, OTHER_PLAIN), server: (Versions::V13, HYBRID), mtu: 1_200 },
    Kind {
        name: "retry hybrid",
        client: (Versions::Auto, OTHER_FIRST),
        server: (Versions::Auto, HYBRID),
        mtu: 1_200,
    },
];

/// The same in small datagrams: every larger message is in pieces.
fn small(kind: Kind) -> Kind {
    Kind { mtu: 256, ..kind }
}

/// How a message is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// All lengths say the shorter one.
    Consistent,
    /// The message's length stays: a piece of it, which is no fault.
    Piece,
    /// The fragment's length stays, and runs past the record.
    PastRecord,
    /// All lengths stay, and the record runs past the datagram.
    PastDatagram,
}

/// What happens to a record; places are sixteenths of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Lost,
    Doubled,
    Late(Duration),
    Replayed,
    Cut(Cut, usize),
    Flipped(usize),
    /// A changed copy goes in front.
    FlippedBeside(usize),
    /// The same record of another association's handshake stands in its place.
    Foreign,
    ForeignBeside,
}

impl Fault {
    fn all() -> Vec<Fault> {
        let mut all =
            vec![Fault::Lost, Fault::Doubled, Fault::Replayed, Fault::Foreign, Fault::ForeignBeside];
        all.extend([25, 90, 500, 3_000].map(|millis| Fault::Late(Duration::from_millis(millis))));
        for cut in [Cut::Consistent, Cut::Piece, Cut::PastRecord, Cut::PastDatagram] {
            all.extend([0, 1, 4, 8, 12, 15].map(|place| Fault::Cut(cut, place)));
        }
        all.extend((0..16).map(Fault::Flipped));
        all.extend([1, 5, 9, 13].map(Fault::FlippedBeside));
        all
    }

    /// Whether both must have keys in the end, whatever the record is.
    fn is_harmless(self) -> bool {
        match self {
            Fault::Lost | Fault::Doubled | Fault::Late(_) | Fault::Replayed => true,
            Fault::Cut(cut, _) => cut != Cut::Consistent,
            Fault::Flipped(_) | Fault::FlippedBeside(_) | Fault::Foreign | Fault::ForeignBeside => false,
        }
    }
}

/// The records of a datagram, by our own headers alone.
fn records(datagram: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut all) = (datagram, Vec::new());
    while let [first, ..] = *rest {
        let head = if first >> 5 == 1 { 5 } else { 13 };
        let len = head + usize::from(u16::from_be_bytes([rest[head - 2], rest[head - 1]]));
        let (record, after) = rest.split_at(len);
        all.push(record);
        rest = after;
    }
    all
}

/// In clear: anybody can change it.
fn is_clear(record: &[u8]) -> bool {
    record[0] >> 5 == 0 && record[3..5] == [0, 0]
}

fn is_handshake_in_clear(record: &[u8]) -> bool {
    record[0] == 22 && is_clear(record)
}

fn flip(record: &[u8], place: usize) -> Vec<u8> {
    let mut changed = record.to_vec();
    let at = record.len() * place / 16;
    // Every sixteenth has a byte and a bit of its own.
    changed[at] ^= 1 << (place % 8);
    changed
}

fn cut(record: &[u8], cut: Cut, place: usize) -> Vec<u8> {
    if !is_handshake_in_clear(record) || cut == Cut::PastDatagram {
        let mut short = record[..(record.len() * place / 16).max(1)].to_vec();
        let head = if record[0] >> 5 == 1 { 5 } else { 13 };
        if cut != Cut::PastDatagram && short.len() >= head {
            let len = (short.len() - head) as u16;
            short[head - 2..head].copy_from_slice(&len.to_be_bytes());
        }
        return short;
    }
    let body = &record[25..];
    let body = &body[..body.len() * place / 16];
    let mut short = record[..25].to_vec();
    short.extend_from_slice(body);
    let len = (body.len() as u32).to_be_bytes();
    if cut == Cut::Consistent {
        short[14..17].copy_from_slice(&len[1..]);
        short[19..22].fill(0);
    }
    if cut != Cut::PastRecord {
        short[22..25].copy_from_slice(&len[1..]);
    }
    short[11..13].copy_from_slice(&(12 + body.len() as u16).to_be_bytes());
    short
}

/// Two ends and a path with one fault.
struct Line {
    ends: [Association; 2],
    now: Instant,
    flying: Vec<(Instant, usize, usize, Vec<u8>)>,
    events: [Vec<Event>; 2],
    /// Records sent so far by each end, in order.
    sent: [Vec<Vec<u8>>; 2],
    /// Which record of which sender, and what becomes of it.
    fault: Option<(usize, usize, Fault)>,
    /// Two neighbours change places, from this datagram of this sender on.
    swapped: Option<(usize, usize)>,
    /// Of the same kind of handshake between two others.
    foreign: [Vec<Vec<u8>>; 2],
    datagrams: [usize; 2],
    number: usize,
    mtu: usize,
    /// Bytes received by each end, and sent at once because of them.
    received: [usize; 2],
    answered: [usize; 2],
    what: String,
}

/// One flight of ours: what is said in answer to one datagram, whatever that is.
const FLIGHT: usize = 3_500;

impl Line {
    fn new(kind: Kind, contexts: &[Context; 2]) -> Self {
        let now = Instant::from_millis(1_000);
        let [client, server] = contexts;
        let ends = [
            Association::new(Role::Client, client, &[server.fingerprint()], 1, now),
            Association::new(Role::Server, server, &[client.fingerprint()], 2, now),
        ];
        Line {
            ends,
            now,
            flying: Vec::new(),
            events: Default::default(),
            sent: Default::default(),
            fault: None,
            swapped: None,
            foreign: Default::default(),
            datagrams: [0; 2],
            number: 0,
            mtu: kind.mtu,
            received: [0; 2],
            answered: [0; 2],
            what: format!("{} with datagrams of {}", kind.name, kind.mtu),
        }
    }

    /// Both ends say and tell what they have; bytes said by each.
    fn collect(&mut self) -> [usize; 2] {
        let mut said = [0; 2];
        for from in [0, 1] {
            let mut datagrams = transmits(&mut self.ends[from]);
            let first = self.datagrams[from];
            if let Some((sender, at)) = self.swapped
                && sender == from
                && (first..first + datagrams.len().saturating_sub(1)).contains(&at)
            {
                datagrams.swap(at - first, at - first + 1);
            }
            for datagram in datagrams {
                assert!(datagram.len() <= self.mtu, "{}: {} bytes", self.what, datagram.len());
                self.datagrams[from] += 1;
                said[from] += datagram.len();
                self.carry(from, &datagram);
            }
            while let Some(event) = self.ends[from].poll_event() {
                self.events[from].push(event);
            }
        }
        said
    }

    fn carry(&mut self, from: usize, datagram: &[u8]) {
        let usual = Duration::from_millis(20);
        let mut intact = Vec::new();
        for record in records(datagram) {
            let at = self.sent[from].len();
            self.sent[from].push(record.to_vec());
            let Some((_, _, fault)) = self.fault.filter(|(sender, place, _)| (*sender, *place) == (from, at))
            else {
                intact.extend_from_slice(record);
                continue;
            };
            self.fly(1 - from, usual, std::mem::take(&mut intact));
            let foreign = self.foreign[from].get(at).cloned().unwrap_or_default();
            let all = match fault {
                Fault::Lost => vec![],
                Fault::Doubled => vec![(usual, record.to_vec()), (usual, record.to_vec())],
                Fault::Late(late) => vec![(usual + late, record.to_vec())],
                Fault::Replayed => vec![
                    (usual, record.to_vec()),
                    (Duration::from_secs(29), record.to_vec()),
                    (Duration::from_secs(239), record.to_vec()),
                    (Duration::from_secs(260), record.to_vec()),
                ],
                Fault::Cut(how, place) => vec![(usual, cut(record, how, place))],
                Fault::Flipped(place) => vec![(usual, flip(record, place))],
                Fault::FlippedBeside(place) => vec![(usual, flip(record, place)), (usual, record.to_vec())],
                Fault::Foreign => vec![(usual, foreign)],
                Fault::ForeignBeside => vec![(usual, foreign), (usual, record.to_vec())],
            };
            for (after, bytes) in all {
                self.fly(1 - from, after, bytes);
            }
        }
        self.fly(1 - from, usual, intact);
    }

    fn fly(&mut self, to: usize, after: Duration, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.number += 1;
            self.flying.push((self.now + after, self.number, to, bytes));
        }
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        self.collect();
        loop {
            let timeouts = self.ends.each_ref().map(Association::poll_timeout);
            for timeout in timeouts.into_iter().flatten() {
                assert!(
                    timeout > self.now,
                    "{}: a deadline that is due after all is drained spins",
                    self.what
                );
            }
            let next = self.flying.iter().map(|flying| flying.0).chain(timeouts.into_iter().flatten()).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = at.max(self.now);
            let now = self.now;
            let mut due: Vec<_> = self.flying.extract_if(.., |flying| flying.0 <= now).collect();
            due.sort_by_key(|flying| (flying.0, flying.1));
            for (_, _, to, bytes) in due {
                self.hand_over(to, &bytes);
            }
            self.ends.iter_mut().for_each(|end| end.handle_timeout(now));
            self.collect();
        }
        self.now = end;
    }

    /// One datagram arrives. What it is answered with, at once, has a bound, and so has what is kept of it.
    fn hand_over(&mut self, to: usize, bytes: &[u8]) {
        // What was due anyway is no answer.
        self.ends[to].handle_timeout(self.now);
        self.collect();
        let _ = self.ends[to].handle_datagram(self.now, bytes);
        let said = self.collect()[to];
        self.received[to] += bytes.len();
        self.answered[to] += said;
        assert!(said <= FLIGHT, "{}: {said} bytes for {}", self.what, bytes.len());
        let [early, inbox, flight, received, _] = self.ends[to].held();
        let within = early <= limits::DTLS_EARLY
            && inbox <= limits::DTLS_FRAGMENT_BYTES
            && flight <= limits::DTLS_AHEAD
            && received <= limits::DTLS_ACKNOWLEDGED;
        assert!(within, "{}: {:?}", self.what, self.ends[to].held());
    }

    /// What each end has come to, once the time of a handshake is over.
    fn end(&mut self) -> [Option<FailReason>; 2] {
        // A server counts from what it hears first, which is later.
        self.run_for(2 * limits::DTLS_HANDSHAKE);
        let ends = [0, 1].map(|at| match &self.events[at][..] {
            [Event::Connected { .. }] => None,
            [Event::Failed(reason)] | [Event::Connected { .. }, Event::Failed(reason)] => Some(*reason),
            // A server that took nothing for the beginning of a handshake waits for its owner.
            [] if at == 1 && self.ends[1].poll_timeout().is_none() => Some(FailReason::Timeout),
            other => panic!("{}: {at} came to {other:?}", self.what),
        });
        for reason in ends.iter().flatten() {
            let named = !matches!(reason, FailReason::Provider | FailReason::KeyExhausted);
            assert!(named, "{}: {reason}", self.what);
        }
        for at in [0, 1] {
            let (got, gave) = (self.received[at], self.answered[at]);
            assert!(gave <= 3 * got + FLIGHT, "{}: {at} said {gave} for {got}", self.what);
        }
        if ends == [None, None] {
            self.check_keys();
        }
        // Who believes to be connected is told otherwise.
        assert!(ends[0].is_none() == ends[1].is_none(), "{}: {ends:?}", self.what);
        ends
    }

    fn check_keys(&self) {
        let keys = [0, 1].map(|at| match &self.events[at][..] {
            [Event::Connected { profile, keying }, ..] => (*profile, keying.clone()),
            other => panic!("{}: {other:?}", self.what),
        });
        let [(one, client), (two, server)] = keys;
        assert_eq!(one, two, "{}", self.what);
        assert_eq!(
            (&client.local_key, &client.remote_key),
            (&server.remote_key, &server.local_key),
            "{}",
            self.what
        );
        assert_eq!((&client.local_salt, &client.remote_salt), (&server.remote_salt, &server.local_salt));
    }

    /// Everything is given back, and nothing is said any more, when nobody can ask for it any longer.
    fn check_rest(&mut self) {
        self.run_for(limits::DTLS_LINGER);
        self.run_for(Duration::from_secs(60));
        for end in &self.ends {
            assert_eq!(end.held(), [0; 5], "{}", self.what);
            assert_eq!(end.poll_timeout(), None, "{}", self.what);
        }
        assert!(self.flying.is_empty(), "{}", self.what);
    }
}

fn contexts(kind: Kind) -> [Context; 2] {
    [kind.client, kind.server].map(|(versions, groups)| {
        let config = Config { versions, groups: groups.to_vec(), mtu: kind.mtu, ..Config::default() };
        Context::new(config, Certificate::generate().unwrap()).unwrap()
    })
}

/// The records of each end in a handshake without a fault.
fn faultless(kind: Kind, contexts: &[Context; 2]) -> Line {
    let mut line = Line::new(kind, contexts);
    assert_eq!(line.end(), [None, None], "{}", line.what);
    line
}

/// Runs every fault of `faults` on every record; how many cases there were, and which of them went wrong.
fn matrix(kind: Kind, faults: &[Fault]) -> (usize, Vec<String>) {
    let contexts = contexts(kind);
    let foreign = faultless(kind, &contexts).sent;
    let places = [0, 1].into_iter().flat_map(|from| (0..foreign[from].len()).map(move |at| (from, at)));
    let cases = places.flat_map(|(from, at)| faults.iter().map(move |fault| (from, at, *fault)));
    let (mut count, mut wrong) = (0, Vec::new());
    for (from, at, fault) in cases {
        let what = format!("{}, datagrams of {}: record {at} of {from}, {fault:?}", kind.name, kind.mtu);
        let case = || {
            let mut line = Line::new(kind, &contexts);
            line.foreign = foreign.clone();
            line.fault = Some((from, at, fault));
            line.what = what.clone();
            let ends = line.end();
            let clear = line.sent[from].get(at).is_none_or(|record| is_clear(record));
            if fault.is_harmless() || !clear {
                assert_eq!(ends, [None, None], "{what}");
            }
            line.check_rest();
        };
        count += 1;
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(case)).is_err() {
            wrong.push(what);
        }
    }
    (count, wrong)
}

/// The same for many; every case that goes wrong is named.
fn all_are_right(kinds: impl Iterator<Item = Kind>, faults: &[Fault]) -> usize {
    let (counts, wrong): (Vec<_>, Vec<_>) = kinds.map(|kind| matrix(kind, faults)).unzip();
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{} cases went wrong:\n{}", wrong.len(), wrong.join("\n"));
    counts.iter().sum()
}

#[test]
fn s_dtls_10_every_fault_of_every_record_ends_in_keys_or_in_a_refusal_with_a_name() {
    let cases = all_are_right(KINDS.into_iter(), &Fault::all());
    assert!(cases > 2_000, "{cases} cases");
}

#[test]
fn s_dtls_03_faults_of_every_piece_of_a_handshake_in_small_datagrams_end_in_keys() {
    let late = Fault::Late(Duration::from_millis(90));
    let harmless = [Fault::Lost, Fault::Doubled, late, Fault::Cut(Cut::Piece, 8), Fault::Replayed];
    let cases = all_are_right(KINDS.into_iter().map(small), &harmless);
    assert!(cases > 400, "{cases} cases");
}

#[test]
fn s_dtls_15_neighbouring_datagrams_that_change_places_end_in_keys() {
    let mut cases = 0;
    for kind in KINDS.into_iter().flat_map(|kind| [kind, small(kind)]) {
        let contexts = contexts(kind);
        let datagrams = faultless(kind, &contexts).datagrams;
        for from in [0, 1] {
            for at in 0..datagrams[from] {
                let mut line = Line::new(kind, &contexts);
                line.swapped = Some((from, at));
                line.what = format!("{}: datagrams {at} and {} of {from}", line.what, at + 1);
                assert_eq!(line.end(), [None, None], "{}", line.what);
                line.check_rest();
                cases += 1;
            }
        }
    }
    assert!(cases > 60, "{cases} cases");
}

/// A piece of the peer's first message, in clear, that anybody can make.
fn old_piece(record: u8) -> Vec<u8> {
    let mut piece = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, record, 0, 13];
    piece.extend([1, 0, 0, 90, 0, 0, 0, 0, 7, 0, 0, 1, 0xaa]);
    piece
}

#[test]
fn s_dtls_09_what_repeats_a_message_is_answered_with_one_flight_in_a_while() {
    for kind in KINDS {
        let contexts = contexts(kind);
        for steps in 1..5 {
            let mut line = Line::new(kind, &contexts);
            // Until so many flights have arrived; then the true peer is silent.
            line.run_for(Duration::from_millis(20 * steps + 1));
            line.flying.clear();
            line.run_for(Duration::from_millis(100));
            line.flying.clear();
            for to in [0, 1] {
                let flood = |line: &mut Line| {
                    for record in 0..200 {
                        let _ = line.ends[to].handle_datagram(line.now, &old_piece(record));
                    }
                    transmits(&mut line.ends[to]).iter().map(Vec::len).sum::<usize>()
                };
                let said = flood(&mut line);
                assert!(said <= FLIGHT, "{}: {said} bytes at once", line.what);
                let mut all = said;
                for _ in 0..100 {
                    line.now += Duration::from_millis(10);
                    all += flood(&mut line);
                }
                // Once in 75 ms, and the clock's own repetitions.
                assert!(all <= 16 * FLIGHT, "{}: {all} bytes in a second", line.what);
            }
        }
    }
}

/// A record in clear with one whole handshake message.
fn clear_message(kind: u8, number: u8, body: &[u8]) -> Vec<u8> {
    let len = &(body.len() as u32).to_be_bytes()[1..];
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, number];
    record.extend((12 + body.len() as u16).to_be_bytes());
    record.push(kind);
    record.extend(len);
    record.extend([0, number, 0, 0, 0]);
    record.extend(len);
    record.extend(body);
    record
}

/// A HelloVerifyRequest with this cookie.
fn verify_request(number: u8, cookie: &[u8]) -> Vec<u8> {
    clear_message(3, number, &[&[0xfe, 0xff, cookie.len() as u8], cookie].concat())
}

#[test]
fn s_dtls_09_a_client_shows_the_cookie_that_it_is_asked_for_and_connects() {
    for versions in [Versions::V12, Versions::Auto] {
        for repeated in 1..4 {
            let (client, server) = (context(versions), context(Versions::V12));
            let mut pair = Pair::new(&client, &server, 0, Network::default());
            let hello = transmits(&mut pair.client).concat();
            for _ in 0..repeated {
                let _ = pair.client.handle_datagram(pair.now, &verify_request(0, b"a cookie"));
            }
            let again = transmits(&mut pair.client);
            assert_eq!(again[0][17..19], [0, 1], "its second message");
            let again = again.concat();
            assert!(again.windows(9).any(|w| w == b"\x08a cookie"));
            assert!(again.windows(32).any(|w| *w == hello[27..59]), "the same random number");
            // The server has kept nothing but the numbers.
            pair.server.talk.resume((1, 1));
            pair.run();
            pair.keys();
        }
    }
}

#[test]
fn s_dtls_10_a_second_request_for_a_cookie_and_malformed_ones_are_refused() {
    let ask = |versions, requests: &[Vec<u8>]| {
        let mut pair = Pair::new(&context(versions), &context(versions), 0, Network::default());
        transmits(&mut pair.client);
        for request in requests {
            let _ = pair.client.handle_datagram(pair.now, request);
        }
        pair.client.poll_event()
    };
    let refused = Some(Event::Failed(FailReason::Protocol));
    let whole = verify_request(0, b"a cookie");
    assert_eq!(ask(Versions::Auto, &[whole.clone(), verify_request(1, b"another")]), refused);
    assert_eq!(ask(Versions::V13, std::slice::from_ref(&whole)), refused, "1.3 has none");
    for len in 0..whole.len() {
        assert_eq!(ask(Versions::Auto, &[whole[..len].to_vec()]), None, "{len} bytes: no record");
    }
    for len in 0..whole.len() - 25 {
        let short = clear_message(3, 0, &whole[25..25 + len]);
        assert_eq!(ask(Versions::Auto, &[short]), refused, "{len} bytes");
    }
}

#[test]
fn s_dtls_19_a_last_flight_is_said_again_for_240_seconds_and_no_longer() {
    for kind in KINDS {
        for seconds in [1, 60, 239, 241] {
            let mut line = Line::new(kind, &contexts(kind));
            while line.events[1].is_empty() {
                line.run_for(Duration::from_millis(1));
            }
            // Under 1.2 the server's Finished, under 1.3 its acknowledgement of the client's does not arrive.
            line.collect();
            line.flying.clear();
            let [client, server] = &mut line.ends;
            let last = client.talk.flight.messages().last().map(|(_, message)| message.kind);
            assert_eq!(last, Some(crate::session::dtls::message::FINISHED), "{}", line.what);
            // A client that does not look at its clock asks once more.
            let late = line.now + Duration::from_secs(seconds);
            client.talk.flight.say(&mut client.talk.outgoing);
            for datagram in transmits(client) {
                server.handle_timeout(late);
                let _ = server.handle_datagram(late, &datagram);
            }
            let answers = transmits(server);
            assert_eq!(answers.is_empty(), seconds > 240, "{}: after {seconds} s", line.what);
            for answer in answers {
                let _ = client.handle_datagram(line.now, &answer);
            }
            assert_eq!(client.talk.flight.is_empty(), seconds < 240, "{}", line.what);
            server.handle_timeout(late + limits::DTLS_LINGER);
            assert_eq!(server.held(), [0; 5], "{}", line.what);
        }
    }
}
