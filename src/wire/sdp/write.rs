//! Fields to text, in the order of RFC 8829, section 5.2.1.

use super::media::{CCFB, SLIDES};
use super::{Alternative, Description, Media, Transport};
use crate::base::base64;
use sdp_types::{Attribute, Connection, Origin, Session};
use std::net::Ipv4Addr;

pub(super) fn description(from: &Description) -> String {
    // Browsers write the loopback address too: nothing reads it.
    let mut origin = Origin::with_ip_addr(from.session_id, from.version, Ipv4Addr::LOCALHOST);
    origin.username = None;
    let mut session = Session::new(origin, "-");
    let to = &mut session.attributes;
    if !from.bundle.is_empty() {
        let mids = from.bundle.iter().map(|mid| mid.as_str());
        push(to, "group", format!("BUNDLE {}", join(mids)));
    }
    flag(to, "ice-lite", from.ice_lite);
    flag(to, "extmap-allow-mixed", from.extmap_allow_mixed);
    flag(to, "cryptex", from.cryptex);
    push(to, "msid-semantic", "WMS *");
    session.medias = from.media.iter().map(media).collect();
    session.to_string()
}

fn media(from: &Media) -> sdp_types::Media {
    let payload_types: Vec<String> = from.codecs.iter().map(|codec| codec.payload_type.to_string()).collect();
    let mut media = sdp_types::Media {
        media: from.kind.as_str().to_owned(),
        port: from.port,
        num_ports: None,
        proto: from.protocol.clone(),
        fmt: payload_types.join(" "),
        media_title: None,
        connections: vec![Connection::from_ip_addr(from.connection)],
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    };
    if from.codecs.is_empty() {
        media.fmt.clone_from(&from.format);
    }
    let to = &mut media.attributes;
    transport(to, &from.transport);
    if let Some(mid) = &from.mid {
        push(to, "mid", mid);
    }
    extensions(to, from);
    flag(to, from.direction.as_str(), true);
    if let Some(msid) = &from.msid {
        push(to, "msid", msid);
    }
    if from.slides {
        push(to, "content", SLIDES);
    }
    flag(to, "rtcp-mux", from.rtcp_mux);
    flag(to, "rtcp-rsize", from.rtcp_rsize);
    flag(to, "bundle-only", from.bundle_only);
    codecs(to, from);
    streams(to, from);
    encodings(to, from);
    if let Some(port) = from.sctp_port {
        push(to, "sctp-port", port);
    }
    if let Some(init) = &from.sctp_init {
        push(to, "sctp-init", base64::encode(init));
    }
    if let Some(size) = from.max_message_size {
        push(to, "max-message-size", size);
    }
    media
}

fn transport(to: &mut Vec<Attribute>, from: &Transport) {
    if let Some(ufrag) = &from.ufrag {
        push(to, "ice-ufrag", ufrag);
    }
    if let Some(pwd) = &from.pwd {
        push(to, "ice-pwd", pwd.as_str());
    }
    if !from.ice_options.is_empty() {
        push(to, "ice-options", join(from.ice_options.iter().map(String::as_str)));
    }
    for fingerprint in &from.fingerprints {
        push(to, "fingerprint", fingerprint);
    }
    if let Some(setup) = from.setup {
        push(to, "setup", setup.as_str());
    }
    for candidate in &from.candidates {
        push(to, "candidate", candidate);
    }
    flag(to, "end-of-candidates", from.end_of_candidates);
}

fn extensions(to: &mut Vec<Attribute>, from: &Media) {
    flag(to, "extmap-allow-mixed", from.extmap_allow_mixed);
    flag(to, "cryptex", from.cryptex);
    for extmap in &from.extmaps {
        let (slash, direction) = extmap.direction.map_or(("", ""), |d| ("/", d.as_str()));
        push(to, "extmap", format!("{}{slash}{direction} {}", extmap.id, extmap.uri));
    }
}

fn codecs(to: &mut Vec<Attribute>, from: &Media) {
    if from.ccfb {
        push(to, "rtcp-fb", format!("* {CCFB}"));
    }
    for codec in &from.codecs {
        let (payload_type, clock_rate) = (codec.payload_type, codec.clock_rate);
        let channels = codec.channels.map(|n| format!("/{n}")).unwrap_or_default();
        let name = &codec.name;
        push(to, "rtpmap", format!("{payload_type} {name}/{clock_rate}{channels}"));
        for feedback in codec.feedback.names() {
            push(to, "rtcp-fb", format!("{payload_type} {feedback}"));
        }
        if !codec.fmtp.is_empty() {
            push(to, "fmtp", format!("{payload_type} {}", codec.fmtp));
        }
    }
}

fn streams(to: &mut Vec<Attribute>, from: &Media) {
    for group in &from.stream_groups {
        let ssrcs: Vec<String> = group.ssrcs.iter().map(u32::to_string).collect();
        push(to, "ssrc-group", format!("{} {}", group.semantics, ssrcs.join(" ")));
    }
    for stream in &from.streams {
        let ssrc = stream.ssrc;
        if let Some(cname) = &stream.cname {
            push(to, "ssrc", format!("{ssrc} cname:{cname}"));
        }
        if let Some(msid) = &stream.msid {
            push(to, "ssrc", format!("{ssrc} msid:{msid}"));
        }
        if stream.cname.is_none() && stream.msid.is_none() {
            push(to, "ssrc", ssrc);
        }
    }
}

fn encodings(to: &mut Vec<Attribute>, from: &Media) {
    for rid in &from.rids {
        let mut parameters: Vec<String> =
            rid.restrictions.parameters().map(|(name, value)| format!("{name}={value}")).collect();
        if !rid.payload_types.is_empty() {
            let types: Vec<String> = rid.payload_types.iter().map(u8::to_string).collect();
            parameters.insert(0, format!("pt={}", types.join(",")));
        }
        let gap = if parameters.is_empty() { "" } else { " " };
        let direction = if rid.sends { "send" } else { "recv" };
        push(to, "rid", format!("{} {direction}{gap}{}", rid.id, parameters.join(";")));
    }
    if let Some(simulcast) = &from.simulcast {
        let lists = [("send", &simulcast.send), ("recv", &simulcast.receive)];
        let lists = lists.iter().filter(|(_, encodings)| !encodings.is_empty());
        let parts: Vec<String> =
            lists.map(|(word, encodings)| format!("{word} {}", simulcast_list(encodings))).collect();
        if !parts.is_empty() {
            push(to, "simulcast", parts.join(" "));
        }
    }
}

fn simulcast_list(encodings: &[Vec<Alternative>]) -> String {
    let alternative = |form: &Alternative| format!("{}{}", if form.paused { "~" } else { "" }, form.rid);
    let encoding = |forms: &Vec<Alternative>| forms.iter().map(alternative).collect::<Vec<_>>().join(",");
    encodings.iter().map(encoding).collect::<Vec<_>>().join(";")
}

fn push(to: &mut Vec<Attribute>, name: &str, value: impl ToString) {
    to.push(Attribute::with_value(name, value));
}

fn flag(to: &mut Vec<Attribute>, name: &str, set: bool) {
    if set {
        to.push(Attribute::new(name));
    }
}

fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}
