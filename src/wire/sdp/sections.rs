//! The attributes of a description's sections, taken one at a time.

use super::fields::{is_token, sanitized};
use super::media::{
    Alternative, CCFB, Codec, Extmap, Feedback, Rid, SLIDES, Simulcast, Stream, StreamGroup, decimal, is_rid,
};
use super::{
    Candidate, Direction, Fingerprint, Kind, Media, Mid, Msid, ParseError, Password, Reason, Setup, Transport,
};
use crate::base::{base64, limits};
use std::net::IpAddr;
use std::str::FromStr;

/// Digits of an INIT chunk at most.
const SCTP_INIT: usize = 512;

/// What stands before the first media section.
#[derive(Default)]
pub(super) struct SessionSection {
    pub(super) bundle: Option<Vec<Mid>>,
    pub(super) ice_lite: bool,
    pub(super) extmap_allow_mixed: bool,
    pub(super) cryptex: bool,
    direction: Option<Direction>,
    transport: Transport,
    connection: Option<IpAddr>,
}

impl SessionSection {
    pub(super) fn open(session: &sdp_types::Session) -> SessionSection {
        SessionSection {
            connection: session.connection.as_ref().and_then(address),
            ..SessionSection::default()
        }
    }

    pub(super) fn attribute(&mut self, name: &str, value: &str) -> Result<(), Reason> {
        match name {
            "group" => self.group(value)?,
            "ice-lite" => self.ice_lite = true,
            "extmap-allow-mixed" => self.extmap_allow_mixed = true,
            "cryptex" => self.cryptex = true,
            _ => match Direction::parse(name) {
                Some(direction) => self.direction = Some(direction),
                None => transport_attribute(&mut self.transport, name, value)?,
            },
        }
        Ok(())
    }

    fn group(&mut self, value: &str) -> Result<(), Reason> {
        let mut words = value.split_ascii_whitespace();
        if words.next() != Some("BUNDLE") || self.bundle.is_some() {
            return Ok(());
        }
        let mids: Vec<Mid> =
            words.take(limits::SDP_MEDIA + 1).map(Mid::new).collect::<Option<_>>().ok_or(Reason::Value)?;
        if mids.len() > limits::SDP_MEDIA {
            return Err(Reason::TooManyMedia);
        }
        self.bundle = Some(mids);
        Ok(())
    }
}

/// The attributes that stand at either level.
fn transport_attribute(to: &mut Transport, name: &str, value: &str) -> Result<(), Reason> {
    match name {
        "ice-ufrag" => to.ufrag = Some(credential(value)?),
        "ice-pwd" => to.pwd = Some(Password::new(credential(value)?)),
        "ice-options" => {
            let tokens = value.split_ascii_whitespace().filter(|o| is_token(o));
            to.ice_options = tokens.take(8).map(sanitized).collect();
        }
        "setup" => to.setup = Some(Setup::parse(value).ok_or(Reason::Value)?),
        "fingerprint" => {
            let fingerprint = Fingerprint::parse(value).ok_or(Reason::Value)?;
            if to.fingerprints.len() < limits::SDP_FINGERPRINTS {
                to.fingerprints.push(fingerprint);
            }
        }
        "candidate" if to.candidates.len() < limits::SDP_CANDIDATES => {
            to.candidates.extend(Candidate::parse(value));
        }
        "end-of-candidates" => to.end_of_candidates = true,
        _ => {}
    }
    Ok(())
}

/// A user fragment or password. Beyond the characters of RFC 8839, section 5.4, those of URL-safe
/// base64 are taken: they are seen in the field and safe in a STUN username.
fn credential(value: &str) -> Result<String, Reason> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b);
    let fits = (4..=limits::SDP_CREDENTIAL).contains(&value.len());
    if fits && value.bytes().all(known) { Ok(value.to_owned()) } else { Err(Reason::Value) }
}

/// A media section under construction.
pub(super) struct Section {
    media: Media,
    direction: Option<Direction>,
    /// For each payload type of the `m=` line its place in `media.codecs`.
    place: [Option<u8>; 128],
    /// The payload types that have been named.
    named: u128,
    extmap_ids: [bool; 256],
    /// The feedback for all payload types.
    feedback: Feedback,
}

impl Section {
    pub(super) fn open(line: &sdp_types::Media, number: usize) -> Result<Section, ParseError> {
        let mut section = Section {
            media: Media::new(Kind::Audio, ""),
            direction: None,
            place: [None; 128],
            named: 0,
            extmap_ids: [false; 256],
            feedback: Feedback::default(),
        };
        section.media.line = number;
        match section.media_line(line) {
            Ok(()) => Ok(section),
            Err(reason) => Err(ParseError { line: number, reason }),
        }
    }

    fn media_line(&mut self, line: &sdp_types::Media) -> Result<(), Reason> {
        let short = line.media.len().max(line.proto.len()) <= limits::SDP_TOKEN;
        if !short || !is_token(&line.media) || !line.proto.split('/').all(is_token) {
            return Err(Reason::Value);
        }
        self.media.kind = match line.media.as_str() {
            "audio" => Kind::Audio,
            "video" => Kind::Video,
            "application" => Kind::Application,
            other => Kind::Other(other.to_owned()),
        };
        self.media.port = line.port;
        self.media.protocol.clone_from(&line.proto);
        let mut formats = line.fmt.split_ascii_whitespace();
        let first = formats.clone().next().unwrap_or("");
        if !is_token(first) || first.len() > limits::SDP_TOKEN {
            return Err(Reason::Value);
        }
        self.media.format = first.to_owned();
        let rtp = line.proto.split('/').any(|part| part == "RTP");
        if rtp { formats.try_for_each(|format| self.payload_type(format)) } else { Ok(()) }
    }

    fn payload_type(&mut self, format: &str) -> Result<(), Reason> {
        let payload_type: u8 = number(Some(format))?;
        // At most 128 codecs: a payload type stands once.
        let next = self.media.codecs.len() as u8;
        let place = self.place.get_mut(usize::from(payload_type)).ok_or(Reason::Value)?;
        if place.replace(next).is_some() {
            return Err(Reason::Duplicate);
        }
        // RFC 3551, section 6: the static types still met without an `a=rtpmap`.
        let (name, clock_rate) = match payload_type {
            0 => ("PCMU", 8_000),
            8 => ("PCMA", 8_000),
            9 => ("G722", 8_000),
            _ => ("", 0),
        };
        self.media.codecs.push(Codec {
            payload_type,
            name: name.to_owned(),
            clock_rate,
            channels: None,
            fmtp: String::new(),
            feedback: Feedback::default(),
        });
        Ok(())
    }

    pub(super) fn attribute(&mut self, name: &str, value: &str) -> Result<(), Reason> {
        let media = &mut self.media;
        match name {
            "mid" => {
                let mid = Mid::new(value).ok_or(Reason::Value)?;
                return if media.mid.replace(mid).is_some() { Err(Reason::Duplicate) } else { Ok(()) };
            }
            "rtpmap" => return self.rtpmap(value),
            "fmtp" => return self.fmtp(value),
            "rtcp-fb" => return self.rtcp_fb(value),
            "extmap" => return self.extmap(value),
            "ssrc" => return self.ssrc(value),
            "ssrc-group" => return self.ssrc_group(value),
            "rid" => return self.rid(value),
            "simulcast" => media.simulcast = simulcast(value)?,
            "msid" => media.msid = media.msid.take().or_else(|| Msid::parse(value)),
            "rtcp-mux" => media.rtcp_mux = true,
            "rtcp-rsize" => media.rtcp_rsize = true,
            "content" => media.slides |= value.split(',').any(|content| content.trim() == SLIDES),
            "bundle-only" => media.bundle_only = true,
            "extmap-allow-mixed" => media.extmap_allow_mixed = true,
            "cryptex" => media.cryptex = true,
            "crypto" => media.crypto = true,
            "sctp-init" if value.len() <= SCTP_INIT => media.sctp_init = base64::decode(value),
            "sctp-init" => {}
            "sctp-port" => media.sctp_port = Some(number(Some(value))?),
            "max-message-size" => media.max_message_size = Some(number(Some(value))?),
            _ => match Direction::parse(name) {
                Some(direction) => self.direction = Some(direction),
                None => transport_attribute(&mut media.transport, name, value)?,
            },
        }
        Ok(())
    }

    /// The codec of a payload type that the `m=` line has. Attributes of others are ignored:
    /// Firefox keeps those of types it took out of the line.
    fn codec(&mut self, payload_type: u8) -> Option<&mut Codec> {
        let place = (*self.place.get(usize::from(payload_type))?)?;
        self.media.codecs.get_mut(usize::from(place))
    }

    fn rtpmap(&mut self, value: &str) -> Result<(), Reason> {
        let mut words = value.split_ascii_whitespace();
        let payload_type: u8 = number(words.next())?;
        let mut parts = words.next().ok_or(Reason::Value)?.split('/');
        let name = parts.next().filter(|name| is_token(name)).ok_or(Reason::Value)?;
        let clock_rate = number(parts.next())?;
        let channels = parts.next().map(|n| number(Some(n))).transpose()?;
        let bit = 1u128.checked_shl(payload_type.into()).ok_or(Reason::Value)?;
        let Some(codec) = self.codec(payload_type) else {
            return Ok(());
        };
        codec.name = name.to_owned();
        codec.clock_rate = clock_rate;
        codec.channels = channels;
        let again = self.named & bit != 0;
        self.named |= bit;
        if again { Err(Reason::Duplicate) } else { Ok(()) }
    }

    fn fmtp(&mut self, value: &str) -> Result<(), Reason> {
        let (payload_type, parameters) = value.split_once(' ').unwrap_or((value, ""));
        let payload_type = number(Some(payload_type))?;
        if let Some(codec) = self.codec(payload_type) {
            codec.fmtp = parameters.trim().to_owned();
        }
        Ok(())
    }

    fn rtcp_fb(&mut self, value: &str) -> Result<(), Reason> {
        let (payload_type, feedback) = value.split_once(' ').ok_or(Reason::Value)?;
        // Some writers name payload types, though it is for all of them.
        self.media.ccfb |= feedback.trim_end() == CCFB;
        if payload_type == "*" {
            self.feedback.insert(feedback);
        } else if let Some(codec) = self.codec(number(Some(payload_type))?) {
            codec.feedback.insert(feedback);
        }
        Ok(())
    }

    fn extmap(&mut self, value: &str) -> Result<(), Reason> {
        let mut words = value.split_ascii_whitespace();
        let id = words.next().ok_or(Reason::Value)?;
        let uri = words.next().ok_or(Reason::Value)?;
        let (id, direction) = match id.split_once('/') {
            Some((id, word)) => (id, Some(Direction::parse(word).ok_or(Reason::Value)?)),
            None => (id, None),
        };
        // Ids beyond a byte ask for another one (RFC 8285, section 6); we have none to give.
        let id = match u8::try_from(number::<u16>(Some(id))?) {
            Ok(id) if id > 0 => id,
            _ => return Ok(()),
        };
        if !uri.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Reason::Value);
        }
        // A byte indexes 256 entries.
        if std::mem::replace(&mut self.extmap_ids[usize::from(id)], true) {
            return Err(Reason::Duplicate);
        }
        self.media.extmaps.push(Extmap { id, direction, uri: uri.to_owned() });
        Ok(())
    }

    fn ssrc(&mut self, value: &str) -> Result<(), Reason> {
        let (ssrc, attribute) = value.split_once(' ').unwrap_or((value, ""));
        let ssrc = number(Some(ssrc))?;
        let streams = &mut self.media.streams;
        if streams.iter().all(|stream| stream.ssrc != ssrc) {
            if streams.len() >= limits::SDP_SSRCS {
                return Err(Reason::TooManyStreams);
            }
            streams.push(Stream { ssrc, cname: None, msid: None });
        }
        let Some(stream) = streams.iter_mut().find(|stream| stream.ssrc == ssrc) else {
            return Ok(());
        };
        match attribute.split_once(':') {
            Some(("cname", name)) => stream.cname = Some(sanitized(name)),
            Some(("msid", msid)) => stream.msid = Msid::parse(msid),
            _ => {}
        }
        Ok(())
    }

    fn ssrc_group(&mut self, value: &str) -> Result<(), Reason> {
        let mut words = value.split_ascii_whitespace();
        let semantics = words.next().filter(|word| is_token(word)).ok_or(Reason::Value)?;
        let ssrcs: Vec<u32> =
            words.take(limits::SDP_SSRCS + 1).map(|word| number(Some(word))).collect::<Result<_, _>>()?;
        let groups = &mut self.media.stream_groups;
        if ssrcs.len() > limits::SDP_SSRCS || groups.len() >= limits::SDP_SSRCS {
            return Err(Reason::TooManyStreams);
        }
        groups.push(StreamGroup { semantics: semantics.to_owned(), ssrcs });
        Ok(())
    }

    /// A line that is malformed counts as if it were not there (RFC 8851, section 6.2.2).
    fn rid(&mut self, value: &str) -> Result<(), Reason> {
        let Some(rid) = Rid::parse(value) else {
            return Ok(());
        };
        if self.media.rids.len() >= limits::SDP_RIDS {
            return Err(Reason::TooManyStreams);
        }
        self.media.rids.push(rid);
        Ok(())
    }

    /// Folds the session's values in and drops what has no name.
    pub(super) fn close(self, session: &SessionSection, line: &sdp_types::Media) -> Media {
        let mut media = self.media;
        media.codecs.retain(|codec| !codec.name.is_empty());
        media.rids = unique(&media.rids);
        media.rids.retain_mut(|rid| rid.fit(&media.codecs));
        for codec in &mut media.codecs {
            codec.feedback = codec.feedback.union(self.feedback);
        }
        if let Some(first) = media.codecs.first() {
            media.format = first.payload_type.to_string();
        }
        let connection = line.connections.first().and_then(address);
        media.connection = connection.or(session.connection).unwrap_or(media.connection);
        media.direction = self.direction.or(session.direction).unwrap_or_default();
        let (own, outer) = (&mut media.transport, &session.transport);
        own.ufrag = own.ufrag.take().or_else(|| outer.ufrag.clone());
        own.pwd = own.pwd.take().or_else(|| outer.pwd.clone());
        own.setup = own.setup.or(outer.setup);
        own.end_of_candidates |= outer.end_of_candidates;
        if own.fingerprints.is_empty() {
            own.fingerprints.clone_from(&outer.fingerprints);
        }
        if own.ice_options.is_empty() {
            own.ice_options.clone_from(&outer.ice_options);
        }
        media
    }
}

/// The rids that are named once: of a rid that is named again all lines are void (RFC 8851,
/// section 6.2.2).
fn unique(rids: &[Rid]) -> Vec<Rid> {
    let again = |rid: &&Rid| rids.iter().filter(|other| other.id == rid.id).count() > 1;
    rids.iter().filter(|rid| !again(rid)).cloned().collect()
}

fn simulcast(value: &str) -> Result<Option<Simulcast>, Reason> {
    let mut words = value.split_ascii_whitespace();
    let mut simulcast = Simulcast::default();
    while let Some(direction) = words.next() {
        let list = simulcast_list(words.next().ok_or(Reason::Value)?)?;
        match direction {
            "send" => simulcast.send = list,
            "recv" => simulcast.receive = list,
            _ => return Err(Reason::Value),
        }
    }
    Ok(Some(simulcast).filter(|simulcast| *simulcast != Simulcast::default()))
}

fn simulcast_list(text: &str) -> Result<Vec<Vec<Alternative>>, Reason> {
    if text.split([';', ',']).nth(limits::SDP_RIDS).is_some() {
        return Err(Reason::TooManyStreams);
    }
    let alternative = |text: &str| {
        let (paused, rid) = text.strip_prefix('~').map_or((false, text), |rid| (true, rid));
        is_rid(rid).then(|| Alternative { rid: rid.to_owned(), paused })
    };
    let encodings = text.split(';').map(|list| list.split(',').filter_map(alternative).collect());
    Ok(encodings.filter(|alternatives: &Vec<_>| !alternatives.is_empty()).collect())
}

/// A decimal number: digits alone, no sign.
fn number<T: FromStr>(text: Option<&str>) -> Result<T, Reason> {
    text.and_then(decimal).ok_or(Reason::Value)
}

fn address(connection: &sdp_types::Connection) -> Option<IpAddr> {
    connection.connection_address.parse().ok()
}
