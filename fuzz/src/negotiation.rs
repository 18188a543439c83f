//! Offers and answers: descriptions of real endpoints with lines changed, and our own offers between.

use super::Script;
use estafette::negotiation::{
    Config, Credentials, DtlsRole, LocalTransport, MediaKind, Negotiation, SendSlot,
};
use estafette::sdp::{Description, Fingerprint, Msid, Password};
use estafette::{HostCandidate, limits};
use std::sync::Arc;

const OFFERS: [&str; 4] = [
    include_str!("../../tests/data/sdp/chromium-chromium-av-data.offer.sdp"),
    include_str!("../../tests/data/sdp/firefox-chromium-av1.offer.sdp"),
    include_str!("../../tests/data/sdp/gstreamer-chromium-av-data.offer.sdp"),
    include_str!("../../tests/data/sdp/chromium-simulcast-vp8.offer.sdp"),
];

/// A negotiation driven by a script: an error changes nothing, an answer has the offer's sections and
/// parses, and what is agreed on stays within its limits.
pub fn negotiation(data: &[u8]) {
    let mut script = Script(data);
    let mut negotiation = Negotiation::new(Arc::new(Config::default()), 7);
    let mut ours = String::new();
    // Slots that are there, by their ids.
    let mut slots = [false; 32];
    while let Some(operation) = script.byte() {
        let before = format!("{negotiation:?}");
        let failed = match operation & 7 {
            0..=2 => {
                let which = if operation & 0x20 == 0 { operation & 7 } else { 3 };
                let offer = changed(OFFERS[usize::from(which)], operation >> 3, &mut script);
                match negotiation.accept_offer(&offer, &local(operation & 0x80 != 0)) {
                    Ok(answer) => {
                        let offer = Description::parse(&offer).expect("it was accepted");
                        let answer = Description::parse(&answer.sdp).expect("what is written can be read");
                        assert_eq!(offer.media.len(), answer.media.len());
                        for (theirs, ours) in offer.media.iter().zip(&answer.media) {
                            assert!(ours.rejected() || theirs.mid == ours.mid);
                            let offered = |id: &String| theirs.rids.iter().any(|rid| rid.id == *id);
                            assert!(ours.rids.iter().all(|rid| !rid.sends && offered(&rid.id)));
                        }
                        false
                    }
                    Err(_) => true,
                }
            }
            3 => match negotiation.create_offer(&local(false)) {
                Ok(offer) => {
                    Description::parse(&offer).expect("what is written can be read");
                    ours = offer;
                    false
                }
                Err(_) => true,
            },
            4 => {
                let answer = changed(&answer_to(&ours), operation >> 3, &mut script);
                negotiation.accept_answer(&answer).is_err()
            }
            5 => {
                let id = u64::from(operation >> 3);
                let kind = if id & 1 == 0 { MediaKind::Audio } else { MediaKind::Video };
                let name = String::from_utf8_lossy(script.chunk()).into_owned();
                let slot = SendSlot {
                    codecs: estafette::negotiation::CodecSet::ALL,
                    id,
                    kind,
                    ssrc: 1_000 + id as u32,
                    rtx: (id & 1 == 1).then_some(2_000 + id as u32),
                    msid: Msid { stream: name.clone(), track: name.clone() },
                    cname: name,
                };
                let failed = negotiation.assign_send(slot).is_err();
                slots[id as usize] |= !failed;
                failed
            }
            6 => {
                let id = operation >> 3;
                let there = std::mem::take(&mut slots[usize::from(id)]);
                assert_eq!(negotiation.remove_send(u64::from(id)), there);
                false
            }
            _ => match operation >> 3 & 3 {
                0 => {
                    negotiation.rollback();
                    false
                }
                // Credentials that come again, half of them, or ones of their own.
                at => {
                    let other = script.byte().unwrap_or(0) & 3;
                    let (ufrag, pwd) = (format!("{at}{}their", other >> 1), format!("{at}{}", other & 1));
                    let pwd = Password::new(format!("{pwd}passwordpassword000000"));
                    negotiation.restart_ice(Credentials { ufrag, pwd }).is_err()
                }
            },
        };
        assert!(!failed || format!("{negotiation:?}") == before, "an error changes nothing");
        let session = negotiation.session();
        assert!(session.lines.len() <= limits::SDP_MEDIA);
        for line in &session.lines {
            assert!(line.payloads.iter().count() <= limits::CODECS && !line.payloads.is_empty());
            let encodings = line.publishes.as_ref().map(|publication| publication.encodings.len());
            assert!(encodings.is_none_or(|count| (1..=limits::SDP_ENCODINGS).contains(&count)));
        }
        if let Some(remote) = &session.remote {
            assert!(remote.credentials.pwd.as_str().len() >= 22 && !remote.fingerprints.is_empty());
            assert!(matches!(remote.role, DtlsRole::Server | DtlsRole::Client));
            assert!(remote.candidates.len() <= limits::SDP_CANDIDATES);
        }
    }
}

fn local(restart: bool) -> LocalTransport {
    let credentials =
        |ufrag: &str| Credentials { ufrag: ufrag.into(), pwd: Password::new("ourpasswordourpassword00") };
    LocalTransport {
        credentials: credentials("0001ours"),
        restart: restart.then(|| credentials("0002ours")),
        fingerprint: Fingerprint { algorithm: "sha-256".into(), bytes: vec![0xab; 32] },
        candidates: vec![
            HostCandidate::udp(([203, 0, 113, 1], 3_478).into()),
            HostCandidate::tcp(([203, 0, 113, 1], 443).into()),
        ],
        ice_lite: true,
        sctp_init: estafette::sctp::Association::init(7, 9),
    }
}

/// The text with up to three lines taken out, doubled, moved or replaced.
fn changed(text: &str, changes: u8, script: &mut Script<'_>) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..changes & 3 {
        let (what, at) = (script.byte().unwrap_or(0), usize::from(script.byte().unwrap_or(0)));
        if lines.is_empty() {
            break;
        }
        let at = at % lines.len();
        match what & 7 {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = usize::from(what >> 3) % lines.len();
                lines.swap(at, other);
            }
            3 => lines[at] = String::from_utf8_lossy(script.chunk()).into_owned(),
            4 => lines[at].push_str(&String::from_utf8_lossy(script.chunk())),
            5 => {
                // Another number or letter in its place: ids, ports, types.
                let replacement = char::from(b'0' + (what >> 3) % 10);
                if let Some(digit) = lines[at].rfind(|c: char| c.is_ascii_digit()) {
                    lines[at].replace_range(digit..=digit, replacement.encode_utf8(&mut [0; 4]));
                }
            }
            6 => lines[at] = lines[at].replacen("actpass", "passive", 1),
            _ => lines.truncate(at),
        }
    }
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// What a browser would say to an offer of ours, as far as its lines can be turned around.
fn answer_to(offer: &str) -> String {
    let turned = |line: &str| match line {
        "a=sendonly" => "a=recvonly".to_owned(),
        "a=recvonly" => "a=sendonly".to_owned(),
        "a=setup:actpass" => "a=setup:active".to_owned(),
        "a=ice-lite" => "a=x-lite".to_owned(),
        other if other.starts_with("a=ice-ufrag:") => "a=ice-ufrag:+a4t".to_owned(),
        other if other.starts_with("a=ice-pwd:") => "a=ice-pwd:fgbc3fXMmHZYc8d9iKrAPZ3V".to_owned(),
        other if other.starts_with("a=ssrc") || other.starts_with("a=msid:") => "a=x-ssrc".to_owned(),
        other if other.starts_with("a=rid:") => other.replacen(" recv", " send", 1),
        other if other.starts_with("a=simulcast:") => other.replacen(":recv", ":send", 1),
        other if other.starts_with("a=fingerprint:") => {
            let theirs = OFFERS[0].lines().find(|line| line.starts_with("a=fingerprint:"));
            theirs.unwrap_or_default().to_owned()
        }
        other => other.to_owned(),
    };
    offer.lines().map(|line| format!("{}\r\n", turned(line))).collect()
}
