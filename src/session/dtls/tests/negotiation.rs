//! What is refused of a peer's hello, and why; and somebody on the way who makes two ends agree on less.

use super::*;
use crate::session::dtls::codec::{Reader, Write as _, u16s};
use crate::session::dtls::hello::{DOWNGRADE, RETRY, extension as ext};

/// A hello of either side, in parts.
#[derive(Debug, Clone)]
struct Hello {
    version: u16,
    random: Vec<u8>,
    session: Vec<u8>,
    /// A client's.
    cookie: Vec<u8>,
    suites: Vec<u16>,
    compressions: Vec<u8>,
    extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    fn read(kind: u8, body: &[u8]) -> Self {
        let mut reader = Reader(body);
        let (version, random) = (reader.u16().unwrap(), reader.bytes(32).unwrap().to_vec());
        let session = reader.vec8().unwrap().to_vec();
        let (mut cookie, suites, compressions);
        if kind == 1 {
            cookie = reader.vec8().unwrap().to_vec();
            suites = u16s(reader.vec16().unwrap()).unwrap().collect();
            compressions = reader.vec8().unwrap().to_vec();
        } else {
            cookie = Vec::new();
            suites = vec![reader.u16().unwrap()];
            compressions = vec![reader.u8().unwrap()];
        }
        cookie.shrink_to_fit();
        let (mut list, mut extensions) = (Reader(reader.vec16().unwrap()), Vec::new());
        while !list.0.is_empty() {
            extensions.push((list.u16().unwrap(), list.vec16().unwrap().to_vec()));
        }
        Hello { version, random, session, cookie, suites, compressions, extensions }
    }

    /// As one record in clear.
    fn record(&self, kind: u8, number: u16) -> Vec<u8> {
        let mut body = Vec::new();
        body.u16(self.version);
        body.raw(&self.random);
        body.vec8(|out| out.raw(&self.session));
        if kind == 1 {
            body.vec8(|out| out.raw(&self.cookie));
            body.vec16(|out| self.suites.iter().for_each(|suite| out.u16(*suite)));
            body.vec8(|out| out.raw(&self.compressions));
        } else {
            body.u16(self.suites[0]);
            body.raw(&self.compressions);
        }
        body.vec16(|out| {
            for (kind, body) in &self.extensions {
                out.u16(*kind);
                out.vec16(|out| out.raw(body));
            }
        });
        clear(kind, number, &body)
    }

    fn without(mut self, kind: u16) -> Self {
        self.extensions.retain(|(known, _)| *known != kind);
        self
    }

    fn with(self, kind: u16, body: &[u8]) -> Self {
        let mut changed = self.without(kind);
        changed.extensions.push((kind, body.to_vec()));
        changed
    }
}

/// A whole message in a record in clear.
fn clear(kind: u8, number: u16, body: &[u8]) -> Vec<u8> {
    let mut record = vec![22, 0xfe, 0xfd];
    record.u64(u64::from(number) + 100);
    record.vec16(|out| {
        out.u8(kind);
        out.u24(body.len());
        out.u16(number);
        out.u24(0);
        out.vec24(|out| out.raw(body));
    });
    record
}

/// The first message of a flight, put together, and its type.
fn first_message(association: &Association) -> (u8, Vec<u8>) {
    let (_, message) = association.talk.flight.messages().next().unwrap();
    (message.kind, message.body.to_vec())
}

const NOW: Instant = Instant::ZERO;

fn client_hello(versions: Versions) -> Hello {
    let client = Association::new(Role::Client, &context(versions), &[], 1, NOW);
    let (kind, body) = first_message(&client);
    Hello::read(kind, &body)
}

/// What a server fails with that hears this ClientHello.
fn server_fails(versions: Versions, hello: &Hello) -> Option<FailReason> {
    let mut server = Association::new(Role::Server, &context(versions), &[], 2, NOW);
    let _ = server.handle_datagram(NOW, &hello.record(1, 0));
    let said = transmits(&mut server);
    let Some(Event::Failed(reason)) = server.poll_event() else {
        assert!(!said.is_empty(), "it goes on");
        return None;
    };
    let alerts = usize::from(reason.alert().is_some());
    assert_eq!(said.len(), alerts, "{reason}: an alert and nothing else");
    assert!(said.iter().all(|datagram| datagram[0] == 21 && datagram.len() == 15));
    assert_eq!((server.held(), server.poll_timeout()), ([0; 5], None));
    Some(reason)
}

type Change = fn(Hello) -> Hello;

#[test]
fn s_dtls_13_14_what_a_server_refuses_of_a_client_hello() {
    use FailReason::{NoCommonParameters, NoSrtp, Protocol, Renegotiation};
    let both = [Versions::V12, Versions::V13];
    let cases: [(&str, &[Versions], FailReason, Change); 31] = [
        ("no use_srtp", &both, NoSrtp, |hello| hello.without(ext::USE_SRTP)),
        ("the NULL profiles", &both, NoSrtp, |hello| hello.with(ext::USE_SRTP, &[0, 4, 0, 5, 0, 6, 0])),
        ("the short tag", &both, NoSrtp, |hello| hello.with(ext::USE_SRTP, &[0, 2, 0, 2, 0])),
        ("no profile", &both, NoSrtp, |hello| hello.with(ext::USE_SRTP, &[0, 0, 0])),
        ("an MKI", &both, NoSrtp, |hello| hello.with(ext::USE_SRTP, &[0, 2, 0, 7, 1, 9])),
        ("an MKI of zero", &both, NoSrtp, |hello| hello.with(ext::USE_SRTP, &[0, 2, 0, 7, 1, 0])),
        ("half a profile", &both, Protocol, |hello| hello.with(ext::USE_SRTP, &[0, 3, 0, 7, 0, 0])),
        ("use_srtp without an MKI's length", &both, Protocol, |hello| {
            hello.with(ext::USE_SRTP, &[0, 2, 0, 7])
        }),
        ("a renegotiation", &[Versions::V12], Renegotiation, |hello| {
            hello.with(ext::RENEGOTIATION_INFO, &[12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
        }),
        ("an empty renegotiation_info", &[Versions::V12], Renegotiation, |hello| {
            hello.with(ext::RENEGOTIATION_INFO, &[])
        }),
        ("no extended master secret", &[Versions::V12], NoCommonParameters, |hello| {
            hello.without(ext::EXTENDED_MASTER_SECRET)
        }),
        ("one with something in it", &[Versions::V12], NoCommonParameters, |hello| {
            hello.with(ext::EXTENDED_MASTER_SECRET, &[0])
        }),
        // ECDHE with CBC, RSA and DH key exchange, PSK, RC4, NULL.
        ("old suites", &both, NoCommonParameters, |mut hello| {
            hello.suites =
                vec![0xc009, 0xc00a, 0x009c, 0x009d, 0x002f, 0x0033, 0x00a8, 0xc007, 0xc006, 0x0001];
            hello
        }),
        ("no suite", &both, NoCommonParameters, |mut hello| {
            hello.suites.clear();
            hello
        }),
        ("suites of RSA for a key that is none", &[Versions::V12], NoCommonParameters, |mut hello| {
            hello.suites = vec![0xc02f, 0xc030, 0xcca8];
            hello
        }),
        ("suites of 1.2 in 1.3", &[Versions::V13], NoCommonParameters, |mut hello| {
            hello.suites = vec![0xc02b, 0xc02c];
            hello
        }),
        ("compression", &both, Protocol, |mut hello| {
            hello.compressions = vec![1];
            hello
        }),
        ("no compression method", &both, Protocol, |mut hello| {
            hello.compressions.clear();
            hello
        }),
        ("a choice of compression", &[Versions::V13], Protocol, |mut hello| {
            hello.compressions = vec![1, 0];
            hello
        }),
        ("a cookie of 1.2", &[Versions::V13], Protocol, |mut hello| {
            hello.cookie = vec![1, 2, 3];
            hello
        }),
        ("a session of 33 bytes", &both, Protocol, |mut hello| {
            hello.session = vec![0; 33];
            hello
        }),
        ("no version", &[Versions::V13], FailReason::Version, |hello| hello.without(ext::SUPPORTED_VERSIONS)),
        ("1.0 in the list", &[Versions::V13], FailReason::Version, |hello| {
            hello.with(ext::SUPPORTED_VERSIONS, &[2, 0xfe, 0xff])
        }),
        ("1.0", &[Versions::V12], FailReason::Version, |mut hello| {
            hello.version = 0xfeff;
            hello
        }),
        ("a version of TLS", &[Versions::V12], FailReason::Version, |mut hello| {
            hello.version = 0x0303;
            hello
        }),
        ("no share", &[Versions::V13], NoCommonParameters, |hello| hello.without(ext::KEY_SHARE)),
        ("a share that is short", &[Versions::V13], Protocol, |hello| {
            hello.with(ext::SUPPORTED_GROUPS, &[0, 2, 0, 29]).with(ext::KEY_SHARE, &[0, 5, 0, 29, 0, 1, 7])
        }),
        ("a point at zero", &[Versions::V13], Protocol, |hello| {
            let share = [&[0, 36, 0, 29, 0, 32][..], &[0; 32]].concat();
            hello.with(ext::SUPPORTED_GROUPS, &[0, 2, 0, 29]).with(ext::KEY_SHARE, &share)
        }),
        ("no group of ours", &both, NoCommonParameters, |hello| {
            hello.with(ext::SUPPORTED_GROUPS, &[0, 4, 0, 25, 0, 30])
        }),
        ("SHA-1 alone", &both, NoCommonParameters, |hello| {
            hello.with(ext::SIGNATURE_ALGORITHMS, &[0, 4, 2, 3, 2, 1])
        }),
        ("an extension twice", &both, Protocol, |mut hello| {
            hello.extensions.push(hello.extensions[0].clone());
            hello
        }),
    ];
    for (what, versions, expected, change) in cases {
        for versions in versions {
            let hello = change(client_hello(*versions));
            assert_eq!(server_fails(*versions, &hello), Some(expected), "{versions:?}: {what}");
        }
    }
    // And what is no fault.
    for versions in both {
        assert_eq!(server_fails(versions, &client_hello(versions)), None);
        let unknown = client_hello(versions).with(0x5a5a, b"grease").with(0xfafa, &[]);
        assert_eq!(server_fails(versions, &unknown), None);
    }
    let mut choice = client_hello(Versions::V12);
    choice.compressions = vec![1, 0];
    assert_eq!(server_fails(Versions::V12, &choice), None);
    let known = client_hello(Versions::V12).without(ext::RENEGOTIATION_INFO);
    assert_eq!(server_fails(Versions::V12, &known), None);
}

/// A client of `client` and what a server of `server` answers it with.
fn greeted(client: Versions, server: Versions) -> (Association, Hello) {
    let (of_client, of_server) = (context(client), context(server));
    let mut client = Association::new(Role::Client, &of_client, &[of_server.fingerprint()], 1, NOW);
    let mut server = Association::new(Role::Server, &of_server, &[of_client.fingerprint()], 2, NOW);
    for datagram in transmits(&mut client) {
        server.handle_datagram(NOW, &datagram).unwrap();
    }
    let (kind, body) = first_message(&server);
    assert_eq!(kind, 2);
    (client, Hello::read(kind, &body))
}

/// What a client fails with that hears these ServerHellos.
fn client_fails(client: &mut Association, hellos: &[Hello]) -> Option<FailReason> {
    for (number, hello) in hellos.iter().enumerate() {
        let _ = client.handle_datagram(NOW, &hello.record(2, number as u16));
    }
    match client.poll_event() {
        Some(Event::Failed(reason)) => {
            assert_eq!((client.held(), client.poll_timeout()), ([0; 5], None));
            Some(reason)
        }
        _ => None,
    }
}

#[test]
fn s_dtls_13_14_what_a_client_refuses_of_a_server_hello() {
    use FailReason::{Downgrade, NoCommonParameters, NoSrtp, Protocol, Renegotiation, Version};
    const V12: (Versions, Versions) = (Versions::V12, Versions::V12);
    const V13: (Versions, Versions) = (Versions::V13, Versions::V13);
    const LOW: (Versions, Versions) = (Versions::Auto, Versions::V12);
    type Case = (&'static str, &'static [(Versions, Versions)], FailReason, Change);
    let cases: [Case; 25] = [
        ("no use_srtp", &[V12, LOW], NoSrtp, |hello| hello.without(ext::USE_SRTP)),
        ("the NULL profile", &[V12], NoSrtp, |hello| hello.with(ext::USE_SRTP, &[0, 2, 0, 5, 0])),
        ("two profiles", &[V12], NoSrtp, |hello| hello.with(ext::USE_SRTP, &[0, 4, 0, 7, 0, 8, 0])),
        ("no profile", &[V12], NoSrtp, |hello| hello.with(ext::USE_SRTP, &[0, 0, 0])),
        ("an MKI", &[V12, LOW], NoSrtp, |hello| hello.with(ext::USE_SRTP, &[0, 2, 0, 7, 1, 1])),
        ("an MKI of zero", &[V12, LOW], NoSrtp, |hello| hello.with(ext::USE_SRTP, &[0, 2, 0, 7, 1, 0])),
        ("use_srtp cut", &[V12], Protocol, |hello| hello.with(ext::USE_SRTP, &[0, 2, 0, 7])),
        ("a renegotiation", &[V12, LOW], Renegotiation, |hello| hello.with(ext::RENEGOTIATION_INFO, &[1, 7])),
        ("no extended master secret", &[V12, LOW], NoCommonParameters, |hello| {
            hello.without(ext::EXTENDED_MASTER_SECRET)
        }),
        ("a suite without forward secrecy", &[V12, V13, LOW], Protocol, |mut hello| {
            hello.suites = vec![0x009c];
            hello
        }),
        ("a suite of the other version", &[V12], Protocol, |mut hello| {
            hello.suites = vec![0x1301];
            hello
        }),
        ("a suite of the other version", &[V13], Protocol, |mut hello| {
            hello.suites = vec![0xc02b];
            hello
        }),
        ("compression", &[V12, V13, LOW], Protocol, |mut hello| {
            hello.compressions = vec![1];
            hello
        }),
        ("1.0", &[V12, LOW], Version, |mut hello| {
            hello.version = 0xfeff;
            hello
        }),
        ("1.3, which was not offered", &[V12], Version, |hello| {
            hello.with(ext::SUPPORTED_VERSIONS, &[0xfe, 0xfc])
        }),
        ("1.2, which was not offered", &[V13], Version, |hello| hello.without(ext::SUPPORTED_VERSIONS)),
        ("1.0 by the extension", &[V13, LOW], Version, |hello| {
            hello.with(ext::SUPPORTED_VERSIONS, &[0xfe, 0xff])
        }),
        ("two versions", &[V13], Version, |hello| {
            hello.with(ext::SUPPORTED_VERSIONS, &[0xfe, 0xfc, 0xfe, 0xfd])
        }),
        ("the sign of a server of 1.3", &[LOW], Downgrade, |mut hello| {
            hello.random[24..].copy_from_slice(&DOWNGRADE);
            hello
        }),
        ("a session", &[V13], Protocol, |mut hello| {
            hello.session = vec![1];
            hello
        }),
        ("no share", &[V13], Protocol, |hello| hello.without(ext::KEY_SHARE)),
        ("a share of another group", &[V13], Protocol, |hello| {
            hello.with(ext::KEY_SHARE, &[&[0, 24, 0, 97][..], &[4; 97]].concat())
        }),
        ("a share that is short", &[V13], Protocol, |hello| hello.with(ext::KEY_SHARE, &[0, 29, 0, 1, 7])),
        ("a point at zero", &[V13], Protocol, |hello| {
            hello.with(ext::KEY_SHARE, &[&[0, 29, 0, 32][..], &[0; 32]].concat())
        }),
        ("an extension twice", &[V12, V13], Protocol, |mut hello| {
            hello.extensions.push(hello.extensions[0].clone());
            hello
        }),
    ];
    for (what, versions, expected, change) in cases {
        for (ours, theirs) in versions {
            let (mut client, hello) = greeted(*ours, *theirs);
            let refused = client_fails(&mut client, &[change(hello)]);
            assert_eq!(refused, Some(expected), "{ours:?} {theirs:?}: {what}");
        }
    }
    for (ours, theirs) in [V12, V13, LOW] {
        let (mut client, hello) = greeted(ours, theirs);
        assert_eq!(client_fails(&mut client, &[hello]), None);
    }
}

#[test]
fn s_dtls_14_what_a_client_refuses_of_a_hello_retry_request() {
    use FailReason::Protocol;
    let share = |group: u16| group.to_be_bytes();
    let retry = |hello: Hello| Hello { random: RETRY.to_vec(), ..hello };
    let (p384, hybrid) = (share(24), share(0x11ec));
    let start = || greeted(Versions::V13, Versions::V13);
    let refused = |make: &dyn Fn(Hello) -> Vec<Hello>| {
        let (mut client, hello) = start();
        let hellos = make(hello);
        client_fails(&mut client, &hellos)
    };
    assert_eq!(refused(&|hello| vec![retry(hello).with(ext::KEY_SHARE, &p384)]), None);
    assert_eq!(
        refused(&|hello| vec![retry(hello).with(ext::KEY_SHARE, &hybrid)]),
        Some(Protocol),
        "it is there"
    );
    assert_eq!(
        refused(&|hello| vec![retry(hello).with(ext::KEY_SHARE, &[0, 25])]),
        Some(Protocol),
        "unknown"
    );
    assert_eq!(refused(&|hello| vec![retry(hello).without(ext::KEY_SHARE)]), Some(Protocol), "for nothing");
    let cookie = |hello: Hello, cookie: &[u8]| retry(hello).without(ext::KEY_SHARE).with(ext::COOKIE, cookie);
    assert_eq!(refused(&|hello| vec![cookie(hello, &[0, 2, 7, 7])]), None);
    assert_eq!(refused(&|hello| vec![cookie(hello, &[0, 0])]), Some(Protocol), "an empty cookie");
    let twice = |hello: Hello| {
        let first = retry(hello).with(ext::KEY_SHARE, &p384);
        let second = first.clone().with(ext::KEY_SHARE, &share(23));
        vec![first, second]
    };
    assert_eq!(refused(&twice), Some(Protocol), "twice");
    let other_suite = |hello: Hello| {
        let second = Hello { suites: vec![0x1302], ..hello.clone() };
        vec![cookie(hello, &[0, 2, 7, 7]), second]
    };
    assert_eq!(refused(&other_suite), Some(Protocol), "another suite");
    let same = |hello: Hello| vec![cookie(hello.clone(), &[0, 2, 7, 7]), hello];
    assert_eq!(refused(&same), None);
    let other_version = |hello: Hello| {
        let second = hello.clone().without(ext::SUPPORTED_VERSIONS);
        vec![cookie(hello, &[0, 2, 7, 7]), second]
    };
    assert_eq!(refused(&other_version), Some(FailReason::Version), "1.2 after all");
}

#[test]
fn s_dtls_09_the_first_piece_of_a_second_client_hello_has_the_cookie() {
    let (mut client, hello) = greeted(Versions::V13, Versions::V13);
    let cookie = [&[0, 32][..], &[7; 32]].concat();
    let retry = Hello { random: RETRY.to_vec(), ..hello }.without(ext::KEY_SHARE).with(ext::COOKIE, &cookie);
    transmits(&mut client);
    client.handle_datagram(NOW, &retry.record(2, 0)).unwrap();
    let pieces = transmits(&mut client);
    assert_eq!(pieces.len(), 2);
    assert!(pieces[0].windows(cookie.len()).any(|bytes| bytes == cookie));
}

#[test]
fn s_dtls_14_a_second_client_hello_keeps_to_what_the_first_was_answered_with() {
    let hello = client_hello(Versions::Auto).with(ext::KEY_SHARE, &[0, 0]);
    let second = |change: Change| {
        let mut server = Association::new(Role::Server, &context(Versions::Auto), &[], 2, NOW);
        server.handle_datagram(NOW, &hello.record(1, 0)).unwrap();
        let (kind, body) = first_message(&server);
        assert_eq!((kind, &body[2..34]), (2, &RETRY[..]));
        transmits(&mut server);
        let _ = server.handle_datagram(NOW, &change(client_hello(Versions::Auto)).record(1, 1));
        match server.poll_event() {
            Some(Event::Failed(reason)) => Some(reason),
            _ => None,
        }
    };
    let protocol = Some(FailReason::Protocol);
    assert_eq!(second(|hello| hello), None);
    assert_eq!(second(|hello| hello.with(ext::KEY_SHARE, &[0, 0])), protocol, "no share again");
    assert_eq!(
        second(|hello| hello.with(ext::SUPPORTED_VERSIONS, &[2, 0xfe, 0xfd])),
        protocol,
        "1.2 after all"
    );
    let other_suite = |mut hello: Hello| {
        hello.suites = vec![0x1302];
        hello
    };
    assert_eq!(second(other_suite), protocol, "another suite");
}

/// Somebody on the way changes the ClientHello, and perhaps the ServerHello; the client's end and whether anybody has
/// keys.
fn between(client: Change, server: Change) -> (Option<FailReason>, Option<FailReason>) {
    let mut pair = Pair::new(&context(Versions::Auto), &context(Versions::Auto), 0, Network::default());
    let (kind, body) = first_message(&pair.client);
    transmits(&mut pair.client);
    let hello = client(Hello::read(kind, &body));
    pair.server.handle_datagram(pair.now, &hello.record(1, 0)).unwrap();
    let (kind, body) = first_message(&pair.server);
    assert_eq!(kind, 2);
    let hello = server(Hello::read(kind, &body));
    pair.client.handle_datagram(pair.now, &hello.record(2, 0)).unwrap();
    pair.run();
    pair.failures()
}

#[test]
fn s_dtls_14_who_strips_1_3_of_a_client_hello_is_found_out() {
    let strip: Change = |hello| hello.without(ext::SUPPORTED_VERSIONS).without(ext::KEY_SHARE);
    let (client, server) = between(strip, |hello| hello);
    assert_eq!(client, Some(FailReason::Downgrade));
    assert!(server.is_some(), "and nobody has keys");
    // Who hides the server's sign as well has changed what the server signs.
    let hide: Change = |mut hello| {
        hello.random[31] = 7;
        hello
    };
    let (client, server) = between(strip, hide);
    assert_eq!(client, Some(FailReason::Proof));
    assert!(server.is_some());
}

#[test]
fn s_dtls_14_who_strips_the_hybrid_group_or_a_profile_is_found_out() {
    let no_hybrid: Change = |hello| hello.with(ext::SUPPORTED_GROUPS, &[0, 4, 0, 29, 0, 23]);
    let weaker: Change = |hello| hello.with(ext::USE_SRTP, &[0, 2, 0, 1, 0]);
    let one_suite: Change = |mut hello| {
        hello.suites.retain(|suite| *suite == 0x1303);
        hello
    };
    for change in [no_hybrid, weaker, one_suite] {
        let (client, server) = between(change, |hello| hello);
        // The keys of the handshake have its hellos in them: not a record of the server's can be opened.
        assert!(client.is_some() && server.is_some(), "{client:?} {server:?}");
    }
}
