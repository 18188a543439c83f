//! Negotiations with the offers of real endpoints and with a small JSEP peer.

mod cryptex;
mod data;
mod feedback;
mod offers;
mod peer;
mod quirks;
mod redundancy;
mod referee;
mod simulcast;
mod slots;
mod threats;

use super::*;
use crate::conference::candidate::HostCandidate;
use crate::wire::sdp::tests::{capture, captured};
use crate::wire::sdp::{Direction, Feedback, Fingerprint, Kind, Media, Msid, Password};

const CHROMIUM: &str = "chromium-chromium-av-data.offer.sdp";

fn negotiation() -> Negotiation {
    Negotiation::new(Arc::new(Config::default()), 42)
}

fn udp(address: &str) -> HostCandidate {
    HostCandidate::udp(address.parse().unwrap())
}

fn tcp(address: &str) -> HostCandidate {
    HostCandidate::tcp(address.parse().unwrap())
}

fn local() -> LocalTransport {
    LocalTransport {
        credentials: Credentials { ufrag: "0001ours".into(), pwd: Password::new("ourpasswordourpassword00") },
        restart: None,
        fingerprint: Fingerprint { algorithm: "sha-256".into(), bytes: vec![0xAB; 32] },
        candidates: ["203.0.113.1:3478", "[2001:db8::1]:3478"].map(udp).to_vec(),
        ice_lite: true,
        sctp_init: crate::sctp::Association::init(7, 9),
    }
}

fn slot(id: u64, kind: MediaKind) -> SendSlot {
    SendSlot {
        id,
        kind,
        codecs: CodecSet::ALL,
        ssrc: 1_000 + id as u32,
        rtx: (kind == MediaKind::Video).then_some(2_000 + id as u32),
        msid: Msid { stream: format!("p{id}"), track: format!("t{id}") },
        cname: "estafette".into(),
    }
}

/// A negotiation that has answered the captured offer.
fn answered(offer: &str) -> (Negotiation, Answer) {
    let mut negotiation = negotiation();
    let answer = negotiation.accept_offer(&capture(offer), &local()).unwrap();
    (negotiation, answer)
}

/// The sections of our description.
fn sections(sdp: &str) -> Vec<Media> {
    Description::parse(sdp).unwrap().media
}
