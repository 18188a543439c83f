//! DTLS peers of another make: an RSA certificate at the engine, SCTP of str0m in an association.

#[path = "../benches/support/lineage.rs"]
mod lineage;
#[path = "../benches/support/mod.rs"]
mod support;

use estafette::dtls::{self, Association};
use estafette::mux::{Kind, Path, Protocol, kind_of};
use estafette::random::Random;
use estafette::{Event, Instant, ice, stun};
use lineage::Lineage;
use std::net::SocketAddr;
use std::time::Duration;
use str0m::channel::ChannelConfig;
use str0m::config::{DtlsVersion, Fingerprint};
use str0m::net::{Protocol as TheirProtocol, Receive};
use str0m::{Candidate, IceCreds, Input, Output, Rtc};
use support::World;
use support::offer::Direction;

#[test]
fn a_participant_with_an_rsa_certificate_connects() {
    let rsa = include_str!("data/dtls/rsa.pem");
    let mut world = World::new(Box::new(Lineage::with_certificate(rsa)));
    let joined = world.join(Direction::Send, 1);
    world.run(Duration::from_secs(5));
    let connected = |event: &Event| matches!(event, Event::Connected { .. });
    assert!(world.events.iter().any(connected), "{joined:?} {:?}", world.events);
}

const US: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1)), 3_478);
const THEM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 5_000);

/// str0m on one side; an ICE agent and a DTLS association of ours on the other.
struct Call {
    rtc: Rtc,
    started: std::time::Instant,
    now: Instant,
    ice: ice::Agent,
    association: Association,
    events: Vec<dtls::Event>,
    connected: bool,
}

impl Call {
    fn new(version: DtlsVersion, ours: dtls::Role) -> Call {
        #[allow(clippy::disallowed_methods)]
        let started = std::time::Instant::now();
        let mut random = Random::new([5; 32]);
        let credentials = ice::Credentials::random(&mut random, "0001");
        let mut agent = ice::Agent::new(ice::Config::default(), credentials.clone(), random.fork(1));
        let versions =
            if version == DtlsVersion::Dtls13 { dtls::Versions::V13 } else { dtls::Versions::Auto };
        let config = dtls::Config { versions, ..dtls::Config::default() };
        let context = dtls::Context::new(config, dtls::Certificate::generate().unwrap()).unwrap();

        let mut rtc = Rtc::builder().set_dtls_version(version).build(started);
        rtc.add_local_candidate(Candidate::host(THEM, "udp").unwrap());
        rtc.add_remote_candidate(Candidate::host(US, "udp").unwrap());
        let mut api = rtc.direct_api();
        let theirs = api.local_ice_credentials();
        let theirs = ice::Credentials::new(&theirs.ufrag, &theirs.pass).unwrap();
        agent.set_remote_credentials(theirs);
        let (ufrag, pass) = (credentials.ufrag().to_owned(), credentials.pwd().to_owned());
        api.set_remote_ice_credentials(IceCreds { ufrag, pass });
        api.set_ice_controlling(true);
        let bytes = context.fingerprint().bytes().to_vec();
        api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".into(), bytes });
        let expected = dtls::Fingerprint::parse(&api.local_dtls_fingerprint().to_string()).unwrap();
        api.start_dtls(ours == dtls::Role::Server).unwrap();
        api.start_sctp(true);
        api.create_data_channel(ChannelConfig { label: "talk".into(), ..ChannelConfig::default() });
        let now = Instant::from_millis(1);
        let association = Association::new(ours, &context, &[expected], 0, now);
        Call { rtc, started, now, ice: agent, association, events: Vec::new(), connected: false }
    }

    fn std_now(&self) -> std::time::Instant {
        self.started + Duration::from_micros(self.now.as_micros())
    }

    fn path() -> Path {
        Path { protocol: Protocol::Udp, local: US, remote: THEM }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now += Duration::from_millis(5);
            self.rtc.handle_input(Input::Timeout(self.std_now())).expect("str0m goes on");
            self.pump();
            self.ice.handle_timeout(self.now);
            self.association.handle_timeout(self.now);
            self.answer();
        }
    }

    /// What str0m says.
    fn pump(&mut self) {
        loop {
            match self.rtc.poll_output().expect("str0m goes on") {
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => {
                    let data = transmit.contents.to_vec();
                    match kind_of(&data) {
                        Some(Kind::Stun) => {
                            let message = stun::Message::parse(&data).unwrap();
                            let _ = self.ice.handle_datagram(self.now, Call::path(), &message);
                        }
                        _ => {
                            let _ = self.association.handle_datagram(self.now, &data);
                        }
                    }
                }
                Output::Event(str0m::Event::Connected) => {
                    self.connected = true;
                }
                Output::Event(_) => {}
            }
        }
    }

    /// What we say.
    fn answer(&mut self) {
        let mut buf = [0; 2_048];
        let mut datagrams = Vec::new();
        while let Some((_, len)) = self.ice.poll_transmit(self.now, &mut buf) {
            datagrams.push(buf[..len].to_vec());
        }
        while self.ice.selected().is_some()
            && let Some(len) = self.association.poll_transmit(self.now, &mut buf)
        {
            datagrams.push(buf[..len].to_vec());
        }
        for data in datagrams {
            let received = Receive::new(TheirProtocol::Udp, US, THEM, &data).expect("a known protocol");
            let input = Input::Receive(self.std_now(), received);
            self.rtc.handle_input(input).expect("str0m goes on");
            self.pump();
        }
        while self.ice.poll_event().is_some() {}
        self.events.extend(std::iter::from_fn(|| self.association.poll_event()));
    }
}

/// An INIT of SCTP (RFC 9260, section 3.3.2) from and to port 5000 (RFC 8831).
fn is_init(packet: &[u8]) -> bool {
    packet.len() >= 32 && packet[..4] == [0x13, 0x88, 0x13, 0x88] && packet[12] == 1
}

#[test]
fn sctp_of_str0m_comes_out_of_the_association_as_data() {
    for (version, spoken) in
        [(DtlsVersion::Dtls12, dtls::Version::V12), (DtlsVersion::Dtls13, dtls::Version::V13)]
    {
        for ours in [dtls::Role::Server, dtls::Role::Client] {
            let mut call = Call::new(version, ours);
            call.run(Duration::from_secs(8));
            assert_eq!(call.association.version(), Some(spoken), "{ours:?}: {:?}", call.events);
            assert!(call.connected, "str0m is connected");
            let [dtls::Event::Connected { .. }, data @ ..] = &call.events[..] else {
                panic!("{version:?} {ours:?}: {:?}", call.events)
            };
            // Nobody answers, so it says it again.
            let inits = data.iter().filter(|event| matches!(event, dtls::Event::Data(data) if is_init(data)));
            assert!(inits.count() >= 2, "{version:?} {ours:?}: {data:?}");
            // What is not SCTP is of no interest to str0m, and does not disturb it.
            call.association.send(b"no packet of SCTP").unwrap();
            call.run(Duration::from_secs(1));
            assert!(call.rtc.is_alive());
        }
    }
}
