//! Our side of a description: sections to fields.

use super::section::extension_direction;
use super::session::{Credentials, DataSection, LocalTransport};
use super::{Config, Line, Section};
use crate::base::limits;
use crate::conference::candidate::{HostCandidate, ranked};
use crate::session::ice::LocalCandidate;
use crate::wire::mux::Protocol;
use crate::wire::rtp::ExtensionKind;
use crate::wire::sdp::{
    Alternative, Candidate, CandidateKind, Codec, Description, Direction, Extmap, Feedback, Kind, Media, Rid,
    Setup, Simulcast, Stream, StreamGroup, TcpType, Transport,
};

/// What all sections of one description share.
pub(super) struct Describe<'a> {
    pub(super) config: &'a Config,
    pub(super) local: &'a LocalTransport,
    pub(super) credentials: &'a Credentials,
    pub(super) setup: Setup,
    pub(super) extmap_allow_mixed: bool,
    pub(super) cryptex: bool,
    /// Whether congestion control feedback is named (RFC 8888).
    pub(super) ccfb: bool,
    /// Of us; two lite agents would never connect (RFC 8445, section 6.1.1).
    pub(super) ice_lite: bool,
    /// The ICE options that the participant knows DTLS in STUN by.
    pub(super) sped: &'a [&'static str],
}

impl Describe<'_> {
    pub(super) fn description(&self, session_id: u64, version: u64, sections: &[Section]) -> Description {
        let mut media: Vec<Media> = sections.iter().map(|section| self.section(section)).collect();
        let accepted = sections.iter().filter(|section| section.is_accepted());
        let bundle = accepted.filter_map(|section| section.mid.clone()).collect();
        // The first accepted section speaks for the transport of all (RFC 9143, section 7.3.1).
        if let Some(tagged) = media.iter_mut().find(|media| media.port != 0) {
            tagged.transport.candidates = candidates(self.local);
            tagged.transport.end_of_candidates = true;
        }
        Description {
            session_id,
            version,
            bundle,
            ice_lite: self.ice_lite,
            extmap_allow_mixed: self.extmap_allow_mixed,
            // Its sections say so: a bundle of theirs is whole or not at all.
            cryptex: false,
            media,
        }
    }

    fn section(&self, section: &Section) -> Media {
        let mut media = Media::new(section.kind.clone(), &section.protocol);
        media.mid.clone_from(&section.mid);
        media.format.clone_from(&section.format);
        // Also where it is rejected: Chromium takes it from all sections or from none.
        media.ccfb = self.ccfb && is_media(&section.kind);
        if !section.is_accepted() {
            media.port = 0;
            media.direction = Direction::Inactive;
            return media;
        }
        // Port 0 would reject the section.
        let usable = |host: &&HostCandidate| host.protocol == Protocol::Udp && host.announced.port() != 0;
        if let Some(default) = self.local.candidates.iter().find(usable) {
            media.port = default.announced.port();
            media.connection = default.announced.ip();
        }
        media.transport = Transport {
            ufrag: Some(self.credentials.ufrag.clone()),
            pwd: Some(self.credentials.pwd.clone()),
            // RFC 8445, section 10: we follow it, not its predecessor.
            ice_options: ["ice2"].iter().chain(self.sped).map(|option| (*option).to_owned()).collect(),
            fingerprints: vec![self.local.fingerprint.clone()],
            setup: Some(self.setup),
            ..Transport::default()
        };
        if let Some(data) = &section.data {
            media.sctp_init = data.init.as_ref().map(|_| self.local.sctp_init.to_chunk());
            media.sctp_port = Some(DataSection::PORT);
            media.max_message_size = Some(limits::CHANNEL_MESSAGE as u64);
        }
        let Some(line) = &section.line else { return media };
        media.direction = Direction::new(line.sends.is_some(), line.publishes.is_some());
        media.cryptex = self.cryptex;
        media.rtcp_mux = true;
        media.rtcp_rsize = line.rtcp_rsize;
        media.codecs = codecs(self.config, line);
        media.extmaps = extmaps(line);
        sending(line, &mut media);
        receiving(line, &mut media);
        media
    }
}

fn codecs(config: &Config, line: &Line) -> Vec<Codec> {
    let mut codecs = Vec::new();
    for negotiated in line.payloads.iter() {
        let Some(codec) = config.codec(negotiated.codec) else {
            continue;
        };
        let (payload_type, clock_rate) = (negotiated.payload_type, codec.clock_rate());
        codecs.push(Codec {
            payload_type,
            name: codec.name().to_owned(),
            clock_rate,
            channels: codec.channels(),
            fmtp: negotiated.fmtp.clone(),
            feedback: negotiated.feedback,
        });
        codecs.extend(negotiated.rtx.map(|rtx| Codec {
            payload_type: rtx,
            name: "rtx".to_owned(),
            clock_rate,
            channels: None,
            fmtp: format!("apt={payload_type}"),
            feedback: Feedback::default(),
        }));
    }
    codecs
}

fn extmaps(line: &Line) -> Vec<Extmap> {
    let of = |kind: ExtensionKind| {
        Some(Extmap {
            id: line.extensions.any(kind)?,
            direction: extension_direction(&line.extensions, kind),
            uri: kind.uri().to_owned(),
        })
    };
    let mut extmaps: Vec<Extmap> = ExtensionKind::ALL.into_iter().filter_map(of).collect();
    extmaps.sort_by_key(|extmap| extmap.id);
    extmaps
}

/// The lines about what we send: names for the page, SSRCs for its receiver.
fn sending(line: &Line, media: &mut Media) {
    let Some(slot) = &line.sends else {
        return;
    };
    media.msid = Some(slot.msid.clone());
    let repaired = line.payloads.iter().any(|negotiated| negotiated.rtx.is_some());
    let rtx = slot.rtx.filter(|_| repaired);
    if let Some(rtx) = rtx {
        media.stream_groups = vec![StreamGroup { semantics: "FID".to_owned(), ssrcs: vec![slot.ssrc, rtx] }];
    }
    let stream = |ssrc| Stream { ssrc, cname: Some(slot.cname.clone()), msid: Some(slot.msid.clone()) };
    media.streams = std::iter::once(slot.ssrc).chain(rtx).map(stream).collect();
}

/// The lines about encodings that we take of a source, those known by rid.
fn receiving(line: &Line, media: &mut Media) {
    let encodings = line.publishes.iter().flat_map(|publication| &publication.encodings);
    let known = encodings.filter_map(|encoding| Some((encoding.rid.as_ref()?, encoding)));
    let mut simulcast = Simulcast::default();
    for (id, encoding) in known {
        media.rids.push(Rid { payload_types: encoding.payload_types.clone(), ..Rid::new(id, false) });
        // Chromium sends what is named here without a tilde, whatever its page has switched off.
        simulcast.receive.push(vec![Alternative { rid: id.clone(), paused: encoding.paused }]);
    }
    media.simulcast = Some(simulcast).filter(|_| !media.rids.is_empty());
}

/// Host candidates, the best first.
fn candidates(local: &LocalTransport) -> Vec<Candidate> {
    let described = |(index, local): (usize, LocalCandidate)| Candidate {
        // Each address is a base of its own.
        foundation: (index + 1).to_string(),
        component: local.candidate.component,
        protocol: local.candidate.protocol,
        priority: local.candidate.priority,
        address: local.candidate.address,
        kind: CandidateKind::Host,
        tcp_type: (local.candidate.protocol == Protocol::Tcp).then_some(TcpType::Passive),
    };
    ranked(&local.candidates).enumerate().map(described).collect()
}

/// Whether `kind` is one that sections of ours may have.
pub(super) fn is_media(kind: &Kind) -> bool {
    matches!(kind, Kind::Audio | Kind::Video)
}
