//! The command line, and what follows from it.

use crate::limits::{CEILING, HEIGHT, MediaLimits, SENDERS};
use axum::http::{HeaderMap, header};
use clap::{Parser, ValueEnum};
use estafette::{HostCandidate, dtls};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

/// Video conferences in the browser, forwarded by the estafette engine.
///
/// Without any option it serves this machine alone: start it and open the printed address. To let
/// others in, listen on all addresses and serve HTTPS, because browsers give camera and microphone
/// to pages from localhost or over HTTPS only:
///
///   conference --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem
///
/// Behind a NAT, forward the ports of media (UDP and TCP) and announce the address others see:
///
///   conference --udp 0.0.0.0:40000 --public-address 203.0.113.7 ...
#[derive(Debug, Clone, Parser)]
#[command(version, about, verbatim_doc_comment)]
pub struct Config {
    /// Where the page and its signalling are served (TCP)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Where media is received (UDP). Engine number n, from 0, takes PORT + n; port 0 lets the
    /// system choose. `[::]` means all addresses of IPv6 and of IPv4. By default the address of
    /// --listen, or all addresses when that is localhost: some browsers refuse media from 127.0.0.1
    #[arg(long, value_name = "IP:PORT")]
    pub udp: Option<SocketAddr>,

    /// Where media is received over TCP, by browsers whose network lets no UDP through. Engine
    /// number n takes PORT + n. By default each engine's address for UDP, on another port if that
    /// one is taken
    #[arg(long, value_name = "IP:PORT")]
    pub tcp: Option<SocketAddr>,

    /// What browsers are offered to send media over
    #[arg(long, value_enum, default_value_t = Carriers::Both)]
    pub carriers: Carriers,

    /// DTLS versions spoken; auto is the higher one that the browser speaks
    #[arg(long, value_enum, default_value_t = DtlsVersions::Auto)]
    pub dtls: DtlsVersions,

    /// The address that browsers are told to send media to, instead of this machine's own; may be
    /// given several times
    #[arg(long, value_name = "IP")]
    pub public_address: Vec<IpAddr>,

    /// Where browsers are told to send media to over UDP, for a relay that stands before the engines;
    /// engine number n is announced with PORT + n
    #[arg(long, value_name = "IP:PORT", conflicts_with = "public_address")]
    pub announce: Option<SocketAddr>,

    /// Engines, each with a thread and a UDP port of its own [default: one per core]
    #[arg(long, value_name = "N")]
    pub engines: Option<NonZeroU16>,

    /// Certificate chain for HTTPS (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Private key for HTTPS (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// The page is served through a proxy: tries of codes are limited by the last address of its
    /// X-Forwarded-For, in place of the address of the connection
    #[arg(long)]
    pub behind_proxy: bool,

    /// Participants in one room
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=50))]
    pub room_size: u16,

    /// Participants in all rooms together
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub max_participants: u16,

    /// What WHIP and WHEP clients, and scripts that make rooms, have to send as a bearer token; without
    /// it the room's code is enough. Better set in the environment: other users of this machine can
    /// read a command line
    #[arg(long, value_name = "TOKEN", env = "WHIP_TOKEN", hide_env_values = true)]
    pub whip_token: Option<Token>,

    /// A STUN server that WHIP and WHEP clients are told of; may be given several times
    #[arg(long, value_name = "URI", value_parser = ice_server)]
    pub ice_server: Vec<String>,

    /// Writes what the engines decide of what each participant is sent, and why, to this file: estimates,
    /// probes, layers, key frames, one object of JSON a line, at most 1,000 lines a second for each
    /// engine. `cargo run --example explain -- FILE` tells it as a story
    #[arg(long, value_name = "FILE")]
    pub decision_log: Option<PathBuf>,

    /// What has to be sent as a bearer token for /metrics, and typed in at /admin; without it there is neither.
    /// Better set in the environment: other users of this machine can read a command line
    #[arg(long, value_name = "TOKEN", env = "ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<Token>,

    /// The height of pictures in lines at most, in all meetings; /admin changes this and the three that follow while they
    /// run
    #[arg(long, value_name = "LINES", value_parser = within(HEIGHT))]
    pub max_height: Option<u32>,

    /// Participants whose cameras are forwarded in a meeting at once: those who spoke last, then those who came first.
    /// Screens do not count
    #[arg(long, value_name = "N", value_parser = within(SENDERS))]
    pub max_senders: Option<u32>,

    /// Sound alone, in all meetings
    #[arg(long)]
    pub audio_only: bool,

    /// What is sent to everybody together in kbit/s; sound is sent in any case
    #[arg(long, value_name = "KBPS", value_parser = within(CEILING))]
    pub ceiling: Option<u32>,

    /// How the log on stderr is written; RUST_LOG says what is in it
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Rooms; when all are there, the one that has been empty longest gives way
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub max_rooms: u16,
}

/// A bearer token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Compares in a time that tells nothing of where the two differ.
    pub fn is(&self, given: &str) -> bool {
        let pairs = self.0.bytes().zip(given.bytes());
        self.0.len() == given.len() && pairs.fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }

    /// Whether a request brings it (RFC 6750, section 2.1).
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' '));
        given.is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case("bearer") && self.is(given.trim()))
    }
}

impl FromStr for Token {
    type Err = &'static str;

    /// Takes the form that a token has in a request (RFC 6750, section 2.1).
    fn from_str(text: &str) -> Result<Token, &'static str> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let fits = !text.is_empty() && text.bytes().all(known);
        fits.then(|| Token(text.to_owned())).ok_or("letters, digits and -._~+/= only")
    }
}

/// A token opens sessions and makes rooms, so it stays out of logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// An object of JSON a line
    Json,
}

/// What media is carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Carriers {
    /// UDP, or else TCP
    Both,
    /// UDP alone
    Udp,
    /// TCP alone, to try it out
    Tcp,
}

/// A choice of DTLS versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtlsVersions {
    /// 1.2 alone
    #[value(name = "1.2")]
    V12,
    /// 1.3 alone
    #[value(name = "1.3")]
    V13,
    /// Whichever is higher
    Auto,
}

impl From<DtlsVersions> for dtls::Versions {
    fn from(versions: DtlsVersions) -> dtls::Versions {
        match versions {
            DtlsVersions::V12 => dtls::Versions::V12,
            DtlsVersions::V13 => dtls::Versions::V13,
            DtlsVersions::Auto => dtls::Versions::Auto,
        }
    }
}

/// A parser of numbers in a range.
fn within(range: RangeInclusive<u32>) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(i64::from(*range.start())..=i64::from(*range.end()))
}

impl Config {
    /// What is allowed of media in all meetings, to begin with.
    pub fn media_limits(&self) -> MediaLimits {
        let Config { max_height, max_senders, audio_only, ceiling, .. } = *self;
        MediaLimits { max_height, max_senders, audio_only, ceiling }
    }

    /// How many engines to run.
    pub fn engine_count(&self) -> u16 {
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get().min(64) as u16);
        self.engines.map_or_else(cores, NonZeroU16::get)
    }

    /// The address engine number `engine` binds; `None` if its port would be past the last.
    pub fn udp_address(&self, engine: u16) -> Option<SocketAddr> {
        let base = self.udp.unwrap_or_else(|| {
            let ip = self.listen.ip();
            SocketAddr::new(if ip.is_loopback() { every_address(ip) } else { ip }, 0)
        });
        numbered(base, engine)
    }

    /// Listens for engine number `engine`, whose UDP socket is bound to `udp`. `None` if TCP is not
    /// offered.
    pub fn listen_for_media(&self, engine: u16, udp: SocketAddr) -> Result<Option<TcpListener>, String> {
        if self.carriers == Carriers::Udp {
            return Ok(None);
        }
        if let Some(base) = self.tcp {
            let address = numbered(base, engine).ok_or("--tcp leaves no port for the last engine")?;
            return TcpListener::bind(address).map(Some).map_err(|error| {
                format!("cannot listen on {address} (TCP): {error}; choose another with --tcp")
            });
        }
        // The port in the description is the one that counts.
        let bound = TcpListener::bind(udp).or_else(|_| TcpListener::bind((udp.ip(), 0)));
        bound.map(Some).map_err(|error| format!("cannot listen on {} (TCP): {error}", udp.ip()))
    }

    /// What is announced of the sockets of engine number `engine`: over UDP and over TCP.
    pub fn announced(&self, engine: u16, udp: SocketAddr, tcp: Option<SocketAddr>) -> Vec<HostCandidate> {
        let relayed = self.announce.and_then(|base| numbered(base, engine)).map(|address| vec![address]);
        let udp = || relayed.unwrap_or_else(|| self.candidates(udp));
        let udp = (self.carriers != Carriers::Tcp).then(udp).into_iter().flatten();
        let tcp = tcp.map(|bound| self.candidates(bound)).into_iter().flatten();
        udp.map(HostCandidate::udp).chain(tcp.map(HostCandidate::tcp)).collect()
    }

    /// The addresses announced for a socket bound to `bound`, most useful first.
    pub fn candidates(&self, bound: SocketAddr) -> Vec<SocketAddr> {
        let mut ips = self.public_address.clone();
        if ips.is_empty() && !bound.ip().is_unspecified() {
            ips.push(bound.ip());
        }
        if ips.is_empty() {
            // A page from this machine reaches the loopback; any other needs a real address.
            if self.listen.ip().is_loopback() {
                let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                let reached = |ip: &IpAddr| {
                    if ip.is_ipv6() { bound.is_ipv6() && exists(*ip) } else { takes_ipv4(bound) }
                };
                ips.extend(both.into_iter().filter(reached));
            }
            ips.extend(own_addresses(takes_ipv4(bound), bound.is_ipv6()));
        }
        if ips.is_empty() {
            ips.push(if bound.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() });
        }
        let mut found = Vec::new();
        for ip in ips {
            let address = SocketAddr::new(ip, bound.port());
            if !found.contains(&address) {
                found.push(address);
            }
        }
        found
    }

    /// The address to print: where a browser on this machine opens the page.
    pub fn page_address(&self, bound: SocketAddr) -> String {
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        let ip = bound.ip();
        if ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST {
            format!("{scheme}://localhost:{}/", bound.port())
        } else {
            format!("{scheme}://{bound}/")
        }
    }
}

/// A URI of RFC 7064, fit to stand in a header. Not one of TURN: it would take credentials.
fn ice_server(text: &str) -> Result<String, &'static str> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]?=%".contains(&byte);
    let schemes = ["stun:", "stuns:"];
    let fits = schemes.iter().any(|scheme| text.starts_with(scheme)) && text.bytes().all(known);
    fits.then(|| text.to_owned()).ok_or("a URI that begins with stun: or stuns:")
}

/// The address of engine number `engine`; `None` if its port would be past the last.
fn numbered(base: SocketAddr, engine: u16) -> Option<SocketAddr> {
    let port = if base.port() == 0 { 0 } else { base.port().checked_add(engine)? };
    Some(SocketAddr::new(base.ip(), port))
}

/// All addresses, of both families where one socket can have both.
fn every_address(like: IpAddr) -> IpAddr {
    let all = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
    if like.is_ipv6() || takes_ipv4(all) { all.ip() } else { Ipv4Addr::UNSPECIFIED.into() }
}

/// Whether a socket bound to this address is reached over IPv4: some systems give one that is bound to
/// all of IPv6 no part in it.
fn takes_ipv4(bound: SocketAddr) -> bool {
    let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), 9);
    let dual = || UdpSocket::bind((bound.ip(), 0)).and_then(|socket| socket.connect(mapped)).is_ok();
    bound.is_ipv4() || (bound.ip().is_unspecified() && dual())
}

/// Whether this machine has the address.
fn exists(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// The addresses this machine would use towards the world, found by asking the system for a route; that
/// of IPv6 first, as RFC 6724 prefers it. Connecting a UDP socket sends nothing; the targets are
/// addresses reserved for documentation.
fn own_addresses(with_ipv4: bool, with_ipv6: bool) -> Vec<IpAddr> {
    let towards = |from: IpAddr, to: IpAddr| -> Option<IpAddr> {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
    };
    let v4 = || towards(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let v6 = || towards(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    with_ipv6.then(v6).flatten().into_iter().chain(with_ipv4.then(v4).flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> Config {
        Config::try_parse_from([&["conference"], args].concat()).expect("arguments")
    }

    #[test]
    fn engines_take_consecutive_ports() {
        let config = config(&["--udp", "0.0.0.0:65534"]);
        assert_eq!(config.udp_address(1), Some("0.0.0.0:65535".parse().unwrap()));
        assert_eq!(config.udp_address(2), None);
    }

    #[test]
    fn a_bound_or_public_address_is_announced_as_it_is() {
        let bound = "192.0.2.5:4000".parse().unwrap();
        assert_eq!(config(&[]).candidates(bound), [bound]);
        let public = config(&["--public-address", "203.0.113.7"]);
        assert_eq!(public.candidates(bound), ["203.0.113.7:4000".parse().unwrap()]);
    }

    #[test]
    fn localhost_is_announced_first_when_the_page_is_local() {
        let candidates = config(&[]).candidates("0.0.0.0:4000".parse().unwrap());
        assert_eq!(candidates[0], "127.0.0.1:4000".parse().unwrap());
    }

    #[test]
    fn a_page_of_this_machine_is_told_of_both_loopbacks() {
        let all: SocketAddr = "[::]:4000".parse().unwrap();
        let candidates = config(&[]).candidates(all);
        let has = |text: &str| candidates.contains(&text.parse().unwrap());
        assert_eq!(has("127.0.0.1:4000"), takes_ipv4(all), "{candidates:?}");
        assert_eq!(has("[::1]:4000"), exists(Ipv6Addr::LOCALHOST.into()), "{candidates:?}");
        // A socket of IPv4 alone is not reached over IPv6.
        let v4 = config(&[]).candidates("0.0.0.0:4000".parse().unwrap());
        assert!(v4.iter().all(SocketAddr::is_ipv4), "{v4:?}");
        // Nor is a page from elsewhere sent to its own loopback.
        let public = config(&["--listen", "0.0.0.0:443"]).candidates(all);
        assert!(
            public.len() == 1 || public.iter().all(|candidate| !candidate.ip().is_loopback()),
            "{public:?}"
        );
    }

    #[test]
    fn tcp_follows_udp_or_its_own_option() {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("bind").local_addr().expect("an address");
        let first = config(&[]).listen_for_media(0, udp).expect("bound").expect("offered");
        let bound = first.local_addr().expect("an address");
        // The same port is taken now: another one does.
        let second = config(&[]).listen_for_media(0, bound).expect("bound").expect("offered");
        assert_ne!(second.local_addr().expect("an address"), bound);
        // But not if it was asked for.
        let asked = config(&["--tcp", &bound.to_string()]);
        assert!(asked.listen_for_media(0, udp).is_err());
        let none = config(&["--carriers", "udp"]);
        assert!(none.listen_for_media(0, udp).expect("nothing to bind").is_none());
        let only = config(&["--carriers", "tcp"]).announced(0, udp, Some(bound));
        assert_eq!(only, [HostCandidate::tcp(bound)]);
        let both = [HostCandidate::udp(udp), HostCandidate::tcp(bound)];
        assert_eq!(config(&[]).announced(0, udp, Some(bound)), both);
    }

    #[test]
    fn a_relay_is_announced_in_place_of_the_engine() {
        let (bound, relay) = ("192.0.2.5:4000".parse().unwrap(), "192.0.2.9:5001".parse().unwrap());
        let announced = config(&["--announce", "192.0.2.9:5000"]).announced(1, bound, Some(bound));
        assert_eq!(announced, [HostCandidate::udp(relay), HostCandidate::tcp(bound)]);
        let both = ["conference", "--announce", "192.0.2.9:5000", "--public-address", "192.0.2.9"];
        assert!(Config::try_parse_from(both).is_err());
    }

    #[test]
    fn dtls_versions_are_named_by_number() {
        for (name, versions) in
            [("1.2", dtls::Versions::V12), ("1.3", dtls::Versions::V13), ("auto", dtls::Versions::Auto)]
        {
            assert_eq!(dtls::Versions::from(config(&["--dtls", name]).dtls), versions);
        }
        assert!(Config::try_parse_from(["conference", "--dtls", "1.1"]).is_err());
    }

    #[test]
    fn tokens_are_compared_whole() {
        let token = "s3cret".parse::<Token>().expect("token");
        assert!(token.is("s3cret"));
        for other in ["", "s3cre", "s3cret1", "S3cret"] {
            assert!(!token.is(other), "{other}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let config = config(&["--whip-token", "s3cret", "--admin-token", "s3cret"]);
        assert!(config.whip_token.as_ref().is_some_and(|token| token.is("s3cret")));
        let shown = format!("{config:?}");
        assert!(shown.contains("Token(..)") && !shown.contains("s3cret"), "{shown}");
        let command = <Config as clap::CommandFactory>::command();
        for (id, variable) in [("whip_token", "WHIP_TOKEN"), ("admin_token", "ADMIN_TOKEN")] {
            let option = command.get_arguments().find(|option| option.get_id() == id).expect("option");
            assert_eq!(option.get_env(), Some(variable.as_ref()));
            assert!(option.is_hide_env_values_set(), "nor by --help");
        }
    }

    #[test]
    fn ice_servers_need_no_credentials() {
        assert_eq!(config(&["--ice-server", "stun:192.0.2.1:3478"]).ice_server, ["stun:192.0.2.1:3478"]);
        for uri in ["turn:turn.example.net", "turns:turn.example.net", "http://a.test", "stun:a\"b"] {
            assert!(Config::try_parse_from(["conference", "--ice-server", uri]).is_err(), "{uri}");
        }
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        assert!(Config::try_parse_from(["conference", "--tls-cert", "c.pem"]).is_err());
        assert!(Config::try_parse_from(["conference", "--room-size", "1"]).is_err());
    }
}
