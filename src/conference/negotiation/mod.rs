//! Offers and answers (RFC 3264, RFC 8829): one participant's [`Negotiation`] and the [`Session`]
//! it results in.
//!
//! The participant may offer at any time and is answered at once; each audio or video section it
//! sends on becomes a [`Publication`]. What we want to send is told as [`SendSlot`]s: they ride on
//! sections whose participant takes media, and where there is none left on sections that
//! we add in an offer of our own. We are the polite side: an offer that arrives while ours is
//! unanswered replaces it, and what ours was about is [`needed`](Negotiation::needed) again.
//!
//! A participant may send a video source in several encodings at once: by rid (`a=simulcast`, RFC 8853),
//! where the header extensions that name mid and rid are agreed on, or by SSRC (`a=ssrc-group:SIM`). The
//! first [`limits::SDP_ENCODINGS`](crate::limits::SDP_ENCODINGS) usable ones are taken in the offered
//! order; the answer leaves the others out. Our own offers ask for those that were taken, or Chromium
//! would end all but one; it also switches those on that its page has switched off since its last
//! description, until the page says so again. What we send has one encoding.
//!
//! Of congestion control feedback a session has one kind, for both directions: the first of
//! [`Config::feedback`] that the participant knows. RFC 8888 takes all its sections (section 6), as
//! Chromium sees it too; then nobody needs transport-wide numbers, and they are left out.
//!
//! Redundant audio (`red/48000/2`, RFC 2198) is taken where it carries the line's Opus and nothing else. What
//! bears its name on video lines is there for FEC (RFC 5109), which no answer takes.
//!
//! One transport carries everything: sections outside the first bundle, plain RTP, keys in SDP and
//! RTP without multiplexed RTCP are rejected. So is FEC. Data channels (RFC 8841) have one section, the first that
//! is offered, or one that we add ([`Negotiation::want_data`]). A call that returns an error
//! has changed nothing.

mod check;
mod codec;
mod describe;
mod error;
mod feedback;
mod publication;
mod section;
mod session;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::Arc;

use crate::base::limits;
use crate::wire::rtp::ExtensionKind;
use crate::wire::sdp::{Description, Mid, Setup, sanitized};
pub use codec::{Codec, CodecId, CodecSet, H264Profile};
use describe::Describe;
pub use error::NegotiationError;
pub use feedback::FeedbackKind;
use section::{Section, Taken};
pub use session::{
    Credentials, DataSection, DtlsRole, ExtensionMap, Line, LocalTransport, MediaKind, Negotiated, Payload,
    Payloads, Publication, PublishedEncoding, RemoteTransport, SendSlot, Session,
};
use transport::Change;

/// What an engine negotiates, the same for all its participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The codecs that are forwarded, most preferred first. Those past
    /// [`limits::CODECS`](crate::limits::CODECS) are ignored.
    pub codecs: Vec<Codec>,
    /// The header extensions that are taken when offered, and offered, those first that come first while
    /// there are numbers for them. What is said of simulcast encodings (rids, layers allocation) is taken
    /// of publishers and never offered; the dependency descriptor only where one- and two-byte forms may
    /// alternate.
    pub extensions: Vec<ExtensionKind>,
    /// The kinds of congestion control feedback that are taken and offered, most preferred first.
    pub feedback: Vec<FeedbackKind>,
    /// Whether participants may send.
    pub publish: bool,
    /// Whether encrypted headers are taken and used (Cryptex, RFC 9335).
    pub cryptex: bool,
    /// Whether data channels are taken (RFC 8831).
    pub data: bool,
    /// Whether DTLS may ride on checks of ICE (SPED, [`sped`](crate::sped)), with who offers it.
    pub sped: bool,
    /// Whether SCTP begins without a handshake (SNAP, draft-hancke-tsvwg-snap-00), with who offers it.
    pub snap: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            codecs: Codec::defaults(),
            extensions: vec![
                ExtensionKind::AudioLevel,
                ExtensionKind::AbsSendTime,
                ExtensionKind::TransportSequenceNumber,
                ExtensionKind::Mid,
                ExtensionKind::VideoOrientation,
                ExtensionKind::PlayoutDelay,
                ExtensionKind::VideoContentType,
                ExtensionKind::VideoTiming,
                ExtensionKind::ColorSpace,
                ExtensionKind::AbsCaptureTime,
                ExtensionKind::Rid,
                ExtensionKind::RepairedRid,
                ExtensionKind::DependencyDescriptor,
                ExtensionKind::VideoLayersAllocation,
                ExtensionKind::FrameMarking,
            ],
            feedback: FeedbackKind::ALL.to_vec(),
            publish: true,
            cryptex: true,
            data: true,
            sped: true,
            snap: true,
        }
    }
}

impl Config {
    /// The codecs under their ids.
    pub fn codecs(&self) -> impl Iterator<Item = (CodecId, Codec)> {
        // The limit is below 256.
        let ids = (0..limits::CODECS as u8).map(CodecId);
        ids.zip(self.codecs.iter().copied())
    }

    /// Those of a kind, redundant audio behind what it carries.
    fn codecs_of(&self, kind: MediaKind) -> impl Iterator<Item = (CodecId, Codec)> {
        let of = move |red: bool| {
            self.codecs().filter(move |(_, codec)| codec.kind() == kind && (*codec == Codec::Red) == red)
        };
        of(false).chain(of(true))
    }

    /// The codec of an id.
    pub fn codec(&self, id: CodecId) -> Option<Codec> {
        self.codecs.get(usize::from(id.0)).copied()
    }
}

/// An accepted offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The answer's text.
    pub sdp: String,
    /// What came with it.
    pub outcome: Outcome,
}

/// What a description changed besides the session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The participant's ICE credentials are new ones, and so are ours if
    /// [`LocalTransport::restart`] was given.
    pub ice_restarted: bool,
    /// The participant's certificate is another one: a new DTLS association.
    pub dtls_restarted: bool,
    /// Slots whose section the participant rejected or no longer takes media on. They are not
    /// offered again by themselves; a section that can carry them takes them up when the
    /// participant offers one.
    pub refused: Vec<u64>,
}

/// One participant's offers and answers.
#[derive(Debug, Clone)]
pub struct Negotiation {
    config: Arc<Config>,
    session_id: u64,
    version: u64,
    /// What both sides agreed on, one entry for each `m=` line.
    sections: Vec<Section>,
    slots: Vec<Slot>,
    /// Our unanswered offer: the sections as they are if the participant takes all of it.
    pending: Option<Vec<Section>>,
    taken: Taken,
    next_mid: u32,
    /// Whether a section for data channels is to be offered, if there is none.
    wants_data: bool,
    session: Session,
}

#[derive(Debug, Clone)]
struct Slot {
    send: SendSlot,
    refused: bool,
}

impl Negotiation {
    /// A negotiation with nothing agreed on. `session_id` goes into `o=`; the same id and calls
    /// give the same texts.
    pub fn new(config: Arc<Config>, session_id: u64) -> Negotiation {
        Negotiation {
            config,
            // RFC 8829, section 5.2.1: below 2^63.
            session_id: session_id >> 1,
            version: 0,
            sections: Vec::new(),
            slots: Vec::new(),
            pending: None,
            taken: Taken::default(),
            next_mid: 0,
            wants_data: false,
            session: Session::default(),
        }
    }

    /// What is agreed on now.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Whether our offer is waiting for its answer.
    pub fn has_local_offer(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether an offer of ours would change anything and can be made now.
    pub fn needed(&self) -> bool {
        let stale = |section: &Section| section.line.is_some() && section.slot_id() != section.announced;
        self.pending.is_none()
            && (self.sections.iter().any(stale)
                || self.lacks_data(&self.sections)
                || self.waiting(&self.sections).next().is_some())
    }

    /// Has the next offer of ours ask for data channels, unless they are agreed on. A participant that rejects them is
    /// not asked again.
    pub fn want_data(&mut self) {
        self.wants_data = self.config.data;
    }

    /// Whether data channels are still to be asked for, or agreed on.
    pub fn wants_data(&self) -> bool {
        self.wants_data
    }

    fn lacks_data(&self, sections: &[Section]) -> bool {
        self.wants_data && sections.iter().all(|section| section.data.is_none())
    }

    /// Adds something to send. It takes effect with the next description of ours, when it stands
    /// on a line of the session. Names are made tokens.
    ///
    /// # Errors
    /// [`NegotiationError::Full`], or [`NegotiationError::State`] if the slot's id is in use.
    pub fn assign_send(&mut self, mut slot: SendSlot) -> Result<(), NegotiationError> {
        if self.slots.len() >= limits::SDP_MEDIA {
            return Err(NegotiationError::Full);
        }
        if self.slots.iter().any(|known| known.send.id == slot.id) {
            return Err(NegotiationError::State { what: "the slot's id is in use" });
        }
        let named = |text: &str, default: String| match sanitized(text) {
            empty if empty.is_empty() => default,
            name => name,
        };
        slot.msid.stream = named(&slot.msid.stream, "-".to_owned());
        slot.msid.track = named(&slot.msid.track, format!("s{}", slot.id));
        slot.cname = named(&slot.cname, "-".to_owned());
        self.slots.push(Slot { send: slot, refused: false });
        Ok(())
    }

    /// Takes a slot back. Its line is without a source at once, and free for another one of the
    /// same kind; the participant hears of it in the next description. Returns whether there was
    /// such a slot.
    pub fn remove_send(&mut self, id: u64) -> bool {
        let before = self.slots.len();
        self.slots.retain(|slot| slot.send.id != id);
        self.drop_removed();
        self.rebuild();
        self.slots.len() < before
    }

    /// Whether the participant rejected the section of a slot, or no longer takes media on it.
    pub fn is_refused(&self, id: u64) -> bool {
        self.slots.iter().any(|slot| slot.send.id == id && slot.refused)
    }

    /// Answers an offer. Slots that wait are put on lines that can carry them. An offer of ours
    /// that is still unanswered is void from now on.
    ///
    /// # Errors
    /// Any but [`NegotiationError::Full`].
    pub fn accept_offer(&mut self, sdp: &str, local: &LocalTransport) -> Result<Answer, NegotiationError> {
        let offer = Description::parse(sdp)?;
        check::continues(&self.sections, &offer)?;
        check::bundle(&offer)?;
        let mut sections = self.offered_sections(&offer);
        let waiting: Vec<SendSlot> = self.unplaced(&sections).map(|s| s.send.clone()).collect();
        for slot in waiting {
            place(&mut sections, &slot);
        }
        let mixed = check::allows_mixed(&offer, &sections);
        if !mixed {
            section::forbid_mixed(&mut sections);
        }
        let kind = feedback::settle(&self.config, &offer, &mut sections, true);
        let before = self.session.remote.as_ref();
        let change = transport::of_description(&offer, &sections, before, true)?;

        // Nothing fails from here on.
        let sped = change.as_ref().map(|change| change.remote.sped.clone()).unwrap_or_default();
        let restarted = change.as_ref().is_some_and(|change| change.ice_restarted);
        let role = change.as_ref().map_or(DtlsRole::Server, |change| change.remote.role);
        let restart = local.restart.as_ref().filter(|_| restarted);
        self.version += 1;
        self.session.extmap_allow_mixed = mixed;
        self.session.cryptex = self.config.cryptex && check::takes_cryptex(&offer, &sections);
        self.session.feedback = kind;
        let answer = Describe {
            config: &self.config,
            local,
            credentials: restart.unwrap_or(&local.credentials),
            setup: match role {
                DtlsRole::Server => Setup::Passive,
                DtlsRole::Client => Setup::Active,
            },
            extmap_allow_mixed: self.session.extmap_allow_mixed,
            cryptex: self.session.cryptex,
            ccfb: kind == Some(FeedbackKind::Ccfb),
            ice_lite: local.ice_lite && !offer.ice_lite,
            sped: if self.config.sped { &sped } else { &[] },
        };
        let sdp = answer.description(self.session_id, self.version, &sections).write();
        self.pending = None;
        let before = std::mem::take(&mut self.sections);
        let outcome = self.commit(&offer, &before, sections, change);
        Ok(Answer { sdp, outcome })
    }

    /// Offers the session as it should be: slots that wait are put on free lines of their kind, or
    /// on new ones.
    ///
    /// # Errors
    /// [`NegotiationError::State`] while another offer of ours is unanswered.
    pub fn create_offer(&mut self, local: &LocalTransport) -> Result<String, NegotiationError> {
        if self.pending.is_some() {
            return Err(NegotiationError::State { what: "an offer is waiting for its answer" });
        }
        let mut sections = self.sections.clone();
        let waiting: Vec<SendSlot> = self.waiting(&sections).cloned().collect();
        // A copy: numbers given out here are taken for good when the answer confirms them.
        let mut taken = self.taken;
        for slot in waiting {
            if !place(&mut sections, &slot) && !self.add(&mut sections, &mut taken, &slot) {
                // As good as refused: offering it again would not find room either.
                self.refuse(slot.id);
            }
        }
        if self.lacks_data(&sections) {
            match self.fresh_mid(&sections).filter(|_| sections.len() < limits::SDP_MEDIA) {
                Some(mid) => sections.push(Section::of_data(mid, sections.len())),
                None => self.wants_data = false,
            }
        }
        self.version += 1;
        let offer = Describe {
            config: &self.config,
            local,
            credentials: &local.credentials,
            setup: Setup::ActPass,
            extmap_allow_mixed: self.may_mix(),
            cryptex: self.config.cryptex && (self.session.remote.is_none() || self.session.cryptex),
            ccfb: self.may_offer(FeedbackKind::Ccfb),
            ice_lite: local.ice_lite && !self.session.remote.as_ref().is_some_and(|remote| remote.ice_lite),
            sped: &[],
        };
        let sdp = offer.description(self.session_id, self.version, &sections).write();
        self.pending = Some(sections);
        Ok(sdp)
    }

    /// Takes the answer to our offer.
    ///
    /// # Errors
    /// Any but [`NegotiationError::Full`]; [`NegotiationError::State`] if there is no offer. The
    /// offer stands until another answer comes, an offer replaces it or [`Negotiation::rollback`].
    pub fn accept_answer(&mut self, sdp: &str) -> Result<Outcome, NegotiationError> {
        let Some(planned) = &self.pending else {
            return Err(NegotiationError::State { what: "an answer came without an offer" });
        };
        let answer = Description::parse(sdp)?;
        check::answers(planned, &answer)?;
        check::bundle(&answer)?;
        let mut sections = Vec::with_capacity(planned.len());
        let mut alone = true;
        for (section, media) in planned.iter().zip(&answer.media) {
            let mut section = section.clone();
            if let Some(line) = section.line.take() {
                section.line = section::of_answer(&self.config, &line, media)?;
            }
            if let Some(data) = section.data.take() {
                section.data = section::data(&self.config, data.index, media);
            }
            if section.is_accepted() && !transport::bundled(&answer, media, alone) {
                let what = "it is outside the bundle";
                return Err(NegotiationError::Mismatch { line: media.line, what });
            }
            alone &= !section.is_accepted();
            sections.push(section);
        }
        let before = self.session.remote.as_ref();
        let change = transport::of_description(&answer, &sections, before, false)?;
        if change.as_ref().is_some_and(|change| change.ice_restarted) {
            // Restarts are the offerer's (RFC 8839, section 4.4.2), and we did not offer one.
            let line = answer.media.first().map_or(1, |media| media.line);
            return Err(NegotiationError::Restart { line, what: "ICE credentials" });
        }
        // Nothing fails from here on.
        self.session.extmap_allow_mixed = check::allows_mixed(&answer, &sections);
        if !self.session.extmap_allow_mixed {
            section::forbid_mixed(&mut sections);
        }
        // An answer takes no more than was offered.
        let offered = self.session.remote.is_none() || self.session.cryptex;
        self.session.cryptex = self.config.cryptex && offered && check::takes_cryptex(&answer, &sections);
        let ccfb = self.may_offer(FeedbackKind::Ccfb);
        self.session.feedback = feedback::settle(&self.config, &answer, &mut sections, ccfb);
        let before = self.pending.take().unwrap_or_default();
        Ok(self.commit(&answer, &before, sections, change))
    }

    /// The participant's ICE credentials are others now, and nothing else: a restart whose
    /// credentials came without a description. An offer of ours that waits is given up.
    ///
    /// # Errors
    /// [`NegotiationError::State`] before a section was accepted, or if either credential stays.
    pub fn restart_ice(&mut self, credentials: Credentials) -> Result<(), NegotiationError> {
        let Some(remote) = self.session.remote.as_mut() else {
            return Err(NegotiationError::State { what: "there is no session to restart" });
        };
        // RFC 8839, section 4.4.1.1.1.
        if remote.credentials.ufrag == credentials.ufrag || remote.credentials.pwd == credentials.pwd {
            return Err(NegotiationError::State { what: "a restart changes user fragment and password" });
        }
        remote.credentials = credentials;
        // Those of the generation before mean nothing any more (RFC 8839, section 4.4.1.1.1).
        remote.candidates = Vec::new();
        self.pending = None;
        Ok(())
    }

    /// Gives our unanswered offer up. Returns whether there was one.
    pub fn rollback(&mut self) -> bool {
        self.pending.take().is_some()
    }

    /// Our side of an offer's sections, slots kept where they were.
    fn offered_sections(&self, offer: &Description) -> Vec<Section> {
        let (mut alone, mut data) = (true, self.config.data);
        let of = |(index, media)| {
            let mut section = Section::rejected(media);
            if transport::bundled(offer, media, alone) {
                section.line = section::of_offer(&self.config, index, media);
                section.data = section::data(&self.config, index, media).filter(|_| data);
            }
            data &= section.data.is_none();
            alone &= !section.is_accepted();
            let before = self.sections.get(index).filter(|b| b.mid == section.mid);
            if let Some(line) = section.line.as_mut().filter(|line| line.receives) {
                line.sends = before.and_then(|before| before.slot().cloned()).map(Box::new);
            }
            section
        };
        offer.media.iter().enumerate().map(of).collect()
    }

    /// The slots that stand on none of the sections.
    fn unplaced(&self, sections: &[Section]) -> impl Iterator<Item = &Slot> {
        let placed = |id| sections.iter().any(|section| section.slot_id() == Some(id));
        self.slots.iter().filter(move |slot| !placed(slot.send.id))
    }

    /// The slots that an offer of ours is to find a line for.
    fn waiting(&self, sections: &[Section]) -> impl Iterator<Item = &SendSlot> {
        self.unplaced(sections).filter(|slot| !slot.refused).map(|slot| &slot.send)
    }

    /// Adds a section for a slot, in the place of a rejected one if there is one (RFC 8829,
    /// section 5.2.2). Returns whether there was room.
    fn add(&mut self, sections: &mut Vec<Section>, taken: &mut Taken, slot: &SendSlot) -> bool {
        let free = |s: &Section| s.line.is_none() && describe::is_media(&s.kind);
        let index = sections.iter().position(free).unwrap_or(sections.len());
        let Some(mid) = self.fresh_mid(sections) else {
            return false;
        };
        if index >= limits::SDP_MEDIA {
            return false;
        }
        let numbered = self.may_offer(FeedbackKind::TransportWide);
        let extensions = taken.extensions(&self.config, sections, slot.kind, (self.may_mix(), numbered));
        let feedback = feedback::offered(&self.config, &self.session, slot.kind);
        let payloads = taken.payloads(&self.config, sections, slot.kind, feedback);
        if payloads.is_empty() {
            return false;
        }
        let section = Section::of_line(Line {
            index,
            mid,
            kind: slot.kind,
            publishes: None,
            receives: true,
            sends: Some(Box::new(slot.clone())),
            feedback: section::feedback(&payloads),
            payloads,
            extensions,
            rtcp_rsize: true,
        });
        match sections.get_mut(index) {
            Some(rejected) => *rejected = section,
            None => sections.push(section),
        }
        true
    }

    /// Whether an offer of ours has one- and two-byte header extensions alternate.
    fn may_mix(&self) -> bool {
        self.session.remote.is_none() || self.session.extmap_allow_mixed
    }

    /// Whether an offer of ours names a kind of congestion control feedback.
    fn may_offer(&self, kind: FeedbackKind) -> bool {
        feedback::offers(&self.config, &self.session, kind)
    }

    /// A mid that none of the sections has.
    fn fresh_mid(&mut self, sections: &[Section]) -> Option<Mid> {
        loop {
            let mid = Mid::new(&format!("s{}", self.next_mid))?;
            self.next_mid = self.next_mid.checked_add(1)?;
            if sections.iter().all(|section| section.mid.as_ref() != Some(&mid)) {
                return Some(mid);
            }
        }
    }

    /// Makes `sections` the agreed ones; `before` is where the slots stood or were to stand.
    fn commit(
        &mut self,
        described: &Description,
        before: &[Section],
        sections: Vec<Section>,
        change: Option<Change>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        self.sections = sections;
        for section in &mut self.sections {
            section.announced = section.slot_id();
        }
        let placed = |in_: &[Section], id| in_.iter().any(|s| s.slot_id() == Some(id));
        for slot in &mut self.slots {
            if placed(&self.sections, slot.send.id) {
                slot.refused = false;
            } else if placed(before, slot.send.id) {
                slot.refused = true;
                outcome.refused.push(slot.send.id);
            }
        }
        self.drop_removed();
        self.taken.learn(&described.media);
        self.session.data = self.sections.iter().find_map(|section| section.data.clone());
        // Whoever rejects them does not hear of it again.
        self.wants_data &= self.session.data.is_some() || before.iter().all(|section| section.data.is_none());
        if let Some(change) = change {
            outcome.ice_restarted = change.ice_restarted;
            outcome.dtls_restarted = change.dtls_restarted;
            self.session.remote = Some(change.remote);
        }
        self.rebuild();
        outcome
    }

    fn refuse(&mut self, id: u64) {
        for slot in self.slots.iter_mut().filter(|slot| slot.send.id == id) {
            slot.refused = true;
        }
    }

    /// Takes removed slots off their lines; the sections remember what was announced.
    fn drop_removed(&mut self) {
        let slots = &self.slots;
        let wanted = |id: u64| slots.iter().any(|slot| slot.send.id == id);
        for line in self.sections.iter_mut().filter_map(|section| section.line.as_mut()) {
            line.sends.take_if(|slot| !wanted(slot.id));
        }
    }

    fn rebuild(&mut self) {
        let lines = self.sections.iter().filter_map(|section| section.line.clone());
        self.session.lines = lines.collect();
        // Kept as long as the participant: no room for more than there is.
        self.session.lines.shrink_to_fit();
    }
}

/// Puts a slot on the first line of its kind that takes media and carries none. A line that lacks a codec of the
/// source's, while another line shows that the participant has it, is not for this slot.
fn place(sections: &mut [Section], slot: &SendSlot) -> bool {
    let lines = sections.iter().filter_map(|section| section.line.as_ref());
    let of_kind = lines.filter(|line| line.kind == slot.kind && line.receives);
    let shown = of_kind.fold(CodecSet::NONE, |shown, line| shown.union(line.payloads.codecs()));
    let needed = slot.codecs.intersection(shown);
    let mut lines = sections.iter_mut().filter_map(|section| section.line.as_mut());
    let free = |line: &&mut Line| {
        let fits = line.payloads.codecs().intersection(needed) == needed;
        line.kind == slot.kind && line.receives && line.sends.is_none() && fits
    };
    let line = lines.find(free);
    line.map(|line| line.sends = Some(Box::new(slot.clone()))).is_some()
}
