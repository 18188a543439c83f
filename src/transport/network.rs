//! A participant's way over the network: ICE proves the address, DTLS runs over what ICE proved, and
//! its keys open and seal SRTP.
//!
//! Nothing but STUN is taken from an address that no authenticated check came from (S-MUX-04), and
//! nothing is sent to an address beyond three times what came from it until it answered a check of
//! ours (I-04, S-STUN-14). Media goes to the selected path alone, before there is one to a valid one. Where both sides know
//! it, the handshake rides on ICE's messages ([`crate::session::sped`]).

use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::Instant;
use crate::crypto::secret::Secret;
use crate::session::sped::Embedding;
use crate::session::{dtls, ice, sctp, srtp};
use crate::transport::channels::{
    self, ChannelConfig, ChannelId, Channels, CloseReason, OpenError, SendError,
};
use crate::wire::mux::Path;
use crate::wire::sctp::Init;
use crate::wire::stun;
use bytes::Bytes;
use std::hash::{Hash as _, Hasher};

/// Why a datagram of this participant was dropped before it meant anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Ice(ice::Drop),
    Dtls(dtls::Drop),
    /// No authenticated check came from this address, or none of ours was answered from there though
    /// one was from another.
    AddressUnproven,
    /// No offer was accepted yet.
    NotNegotiated,
}

/// Facts for the engine.
#[derive(Debug)]
pub(crate) enum Event {
    /// Datagrams from this path are this participant's.
    AddressKnown(Path),
    AddressForgotten(Path),
    /// Datagrams go this way from now on.
    Selected(Path),
    /// Keys are there.
    Secured,
    /// It is over.
    Closed,
    Failed(dtls::FailReason),
    ConsentExpired,
    /// Application data came, and data channels were not agreed on.
    Unasked,
    /// A packet of the data channels, or a part of it, was dropped.
    Dropped(channels::Refusal),
}

/// What an offer or an answer tells of the peer's transport.
pub(crate) struct Remote {
    pub(crate) credentials: ice::Credentials,
    pub(crate) ice_lite: bool,
    /// Ours and the peer's, unless we are lite.
    pub(crate) locals: Vec<ice::LocalCandidate>,
    pub(crate) candidates: Vec<ice::Candidate>,
    pub(crate) fingerprints: Vec<dtls::Fingerprint>,
    pub(crate) role: dtls::Role,
    /// Whether both sides know DTLS in STUN, and how long a message may be then.
    pub(crate) embeds: Option<usize>,
}

/// What the peer's description says of its data channels.
pub(crate) struct Agreed {
    /// Its SCTP port.
    pub(crate) port: u16,
    /// Bytes of a message that it takes, 0 for any.
    pub(crate) largest: u64,
    /// How its SCTP begins, where it says so and ours has been said to it.
    pub(crate) init: Option<Init>,
}

/// Our role and the peer's certificate, as its description tells.
#[derive(PartialEq)]
struct Expected {
    role: dtls::Role,
    fingerprints: Vec<dtls::Fingerprint>,
}

/// One participant's transport.
#[repr(C)]
pub(crate) struct Network {
    // First what each packet needs.
    keys: Option<Box<Keys>>,
    ice: ice::Agent,
    expected: Option<Box<Expected>>,
    association: Option<Box<dtls::Association>>,
    /// While the handshake rides on checks.
    embedding: Option<Box<Embedding>>,
    /// Where things go until a path is selected: a valid one, or where DTLS of use came from last.
    early: Option<Path>,
    /// Whether that is a valid one, and everything goes there.
    valid: bool,
    /// Whether both sides take encrypted RTP headers.
    cryptex: bool,
    /// Whether data channels are agreed on.
    data: bool,
    /// How our SCTP begins where descriptions say so, and how the peer's does.
    sctp_seed: u64,
    peer_init: Option<Box<Init>>,
    dtls: dtls::Context,
    random: Random,
    /// There once they are agreed on or asked for.
    channels: Option<Box<Channels>>,
}

/// Both directions of SRTP.
pub(crate) struct Keys {
    pub(crate) profile: srtp::Profile,
    pub(crate) opener: srtp::Opener,
    pub(crate) sealer: srtp::Sealer,
}

impl Network {
    pub(crate) fn new(
        local: ice::Credentials,
        ice: ice::Config,
        dtls: dtls::Context,
        mut random: Random,
    ) -> Self {
        Network {
            ice: ice::Agent::new(ice, local, random.fork(0)),
            expected: None,
            association: None,
            embedding: None,
            early: None,
            valid: false,
            keys: None,
            cryptex: false,
            dtls,
            sctp_seed: random.next_u64(),
            random,
            channels: None,
            data: false,
            peer_init: None,
        }
    }

    pub(crate) fn local_credentials(&self) -> &ice::Credentials {
        self.ice.local_credentials()
    }

    /// The fingerprint of the certificate that this participant is shown, now and later.
    pub(crate) fn local_fingerprint(&self) -> dtls::Fingerprint {
        self.dtls.fingerprint()
    }

    /// Whether checks to this user fragment of ours are answered.
    pub(crate) fn answers_to(&self, ufrag: &str) -> bool {
        self.ice.answers_to(ufrag)
    }

    /// Which side nominates, until a conflict shows otherwise; of no effect on a lite agent.
    pub(crate) fn set_ice_role(&mut self, role: ice::Role) {
        self.ice.set_role(role);
    }

    /// Whether checks go to addresses that nothing came from, so that their answers name nobody.
    pub(crate) fn is_full(&self) -> bool {
        self.ice.mode() == ice::Mode::Full
    }

    /// Begins anew with other credentials of ours; the old pair serves until a new one is selected.
    pub(crate) fn restart_ice(&mut self, local: ice::Credentials) {
        if let Some(path) = self.early.filter(|_| self.valid) {
            self.ice.settle(&path);
        }
        self.ice.restart(local);
    }

    /// Whether RTP headers are encrypted towards the peer and may be by it (Cryptex, RFC 9335).
    pub(crate) fn set_cryptex(&mut self, negotiated: bool) {
        self.cryptex = negotiated;
        if let Some(keys) = &mut self.keys {
            keys.opener.accept_cryptex(negotiated);
            keys.sealer.use_cryptex(negotiated);
        }
    }

    /// The peer's credentials of this generation, without anything else of a description.
    pub(crate) fn set_remote_credentials(&mut self, remote: ice::Credentials) {
        self.ice.set_remote_credentials(remote);
    }

    /// A candidate of the peer's, besides those of its description.
    pub(crate) fn add_remote_candidate(
        &mut self,
        candidate: ice::Candidate,
    ) -> Result<(), ice::LimitReached> {
        self.ice.add_remote_candidate(candidate)
    }

    /// Takes what the peer's description says. The association in use stays unless the fingerprints or
    /// our role changed.
    pub(crate) fn set_remote(&mut self, now: Instant, remote: Remote) {
        self.ice.set_remote_credentials(remote.credentials);
        if remote.ice_lite {
            self.ice.set_remote_lite();
        } else {
            self.ice.set_remote_full();
        }
        // What is beyond the agent's limits is left out: it has the best, which come first.
        for local in remote.locals {
            let _ = self.ice.add_local_candidate(local);
        }
        for candidate in remote.candidates {
            let _ = self.ice.add_remote_candidate(candidate);
        }
        let expected = Box::new(Expected { role: remote.role, fingerprints: remote.fingerprints });
        if self.expected.as_ref() == Some(&expected) {
            return;
        }
        self.expected = Some(expected);
        self.association = None;
        self.embedding = remote.embeds.map(|mtu| Box::new(Embedding::new(mtu)));
        self.keys = None;
        if let Some(channels) = &mut self.channels {
            channels.end(CloseReason::Restarted);
        }
        // A server listens at once; a client speaks when there is a way to send.
        if remote.role == dtls::Role::Server || self.valid || self.ice.selected().is_some() {
            self.start_dtls(now);
        }
    }

    fn start_dtls(&mut self, now: Instant) {
        let Some(expected) = self.expected.as_ref().filter(|_| self.association.is_none()) else {
            return;
        };
        let seed = self.random.next_u64();
        let association =
            dtls::Association::new(expected.role, &self.dtls, &expected.fingerprints, seed, now);
        self.association = Some(Box::new(association));
    }

    pub(crate) fn handle_stun(
        &mut self,
        now: Instant,
        path: Path,
        message: &stun::Message<'_>,
    ) -> Result<(), Refusal> {
        // The agent accounts for its own datagrams, both ways.
        let outcome = self.ice.handle_datagram(now, path, message).map_err(Refusal::Ice)?;
        if outcome == ice::Outcome::Request && self.embedding.is_some() {
            // A client of ours speaks once there is somebody who hears it.
            self.start_dtls(now);
        }
        // Errors carry nothing, whoever they come from.
        if matches!(message.class(), stun::Class::Request | stun::Class::Success) {
            self.handle_embedded(now, path, message);
        }
        Ok(())
    }

    /// Takes what rides on an authenticated message. What the association has no use for is a repetition: the message
    /// itself was of use.
    fn handle_embedded(&mut self, now: Instant, path: Path, message: &stun::Message<'_>) {
        let Some(embedding) = &mut self.embedding else { return };
        if let Some((datagram, association)) = embedding.handle(message).zip(self.association.as_mut()) {
            let taken = association.handle_datagram(now, datagram);
            if matches!(taken, Ok(()) | Err(dtls::Drop::Ignored)) {
                embedding.note(datagram);
            }
            if taken.is_ok() && !self.valid && self.ice.selected().is_none() {
                self.early = Some(path);
            }
        }
        self.embedding.take_if(|embedding| embedding.is_over());
    }

    /// Takes over what the association has to say, while the handshake rides on checks.
    fn embed(&mut self, now: Instant) {
        self.embedding.take_if(|embedding| embedding.is_over());
        let Some((embedding, association)) = self.embedding.as_mut().zip(self.association.as_mut()) else {
            return;
        };
        if self.keys.is_some() {
            return;
        }
        let mut buf = [0; limits::DATAGRAM];
        let mut more = association.poll_transmit(now, &mut buf);
        if more.is_some() {
            embedding.begin();
        }
        while let Some(len) = more {
            embedding.push(buf.get(..len).unwrap_or_default());
            more = association.poll_transmit(now, &mut buf);
        }
    }

    pub(crate) fn handle_dtls(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Result<(), Refusal> {
        // Once a pair is valid, DTLS is taken from valid ones alone (RFC 8827, section 4.3): a check that
        // somebody replayed makes an address known and no more (S-DTLS-01).
        let selected = self.valid || self.ice.selected().is_some();
        if !self.ice.knows(&path) || (selected && self.ice.allowance(&path).is_some()) {
            return Err(Refusal::AddressUnproven);
        }
        let association = self.association.as_mut().ok_or(Refusal::NotNegotiated)?;
        self.ice.on_received(&path, datagram.len());
        association.handle_datagram(now, datagram).map_err(Refusal::Dtls)?;
        if let Some(embedding) = self.embedding.as_mut().filter(|_| self.keys.is_none()) {
            embedding.note(datagram);
        }
        if !selected {
            self.early = Some(path);
        }
        Ok(())
    }

    /// Forgets a way that is no more: a connection that has ended.
    pub(crate) fn forget_path(&mut self, now: Instant, path: &Path) {
        self.ice.forget_path(now, path);
        self.early = self.early.filter(|known| known != path);
        self.valid &= self.early.is_some();
    }

    /// Where everything goes.
    pub(crate) fn selected(&self) -> Option<Path> {
        self.ice.selected()
    }

    /// Whether media may come from this address.
    #[inline]
    pub(crate) fn knows(&self, path: &Path) -> bool {
        self.ice.selected() == Some(*path) || self.ice.knows(path)
    }

    /// Whether the handshake is done.
    pub(crate) fn is_secured(&self) -> bool {
        self.keys.is_some()
    }

    /// The association, once it has begun.
    pub(crate) fn association(&self) -> Option<&dtls::Association> {
        self.association.as_deref()
    }

    /// What the keys are for, once the handshake is done.
    pub(crate) fn profile(&self) -> Option<srtp::Profile> {
        self.keys.as_ref().map(|keys| keys.profile)
    }

    /// The keys, once the handshake is done.
    #[inline]
    pub(crate) fn keys(&mut self) -> Option<&mut Keys> {
        self.keys.as_deref_mut()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.ice.handle_timeout(now);
        if let Some(association) = &mut self.association {
            association.handle_timeout(now);
        }
        if let Some(channels) = &mut self.channels {
            channels.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let dtls = self.association.as_deref().and_then(dtls::Association::poll_timeout);
        let channels = self.channels.as_ref().and_then(|channels| channels.poll_timeout());
        [self.ice.poll_timeout(), dtls, channels].into_iter().flatten().min()
    }

    /// Folds all but the secrets into the digest of the engine's state (I-03).
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        self.ice.digest(state);
        (self.expected.is_some(), self.association.is_some(), self.early, self.valid).hash(state);
        if let Some(association) = &self.association {
            association.digest(state);
        }
        if let Some(embedding) = &self.embedding {
            embedding.digest(state);
        }
        if let Some(keys) = &self.keys {
            keys.opener.digest(state);
            keys.sealer.digest(state);
        }
        self.data.hash(state);
        if let Some(channels) = &self.channels {
            channels.digest(state);
        }
        self.random.clone().next_u64().hash(state);
    }

    /// The next datagram of ICE or DTLS, written at the start of `buf`.
    pub(crate) fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<(Path, usize)> {
        self.embed(now);
        let embedding = &mut self.embedding;
        let written = self.ice.poll_transmit_with(now, buf, &mut |writer, room| {
            if let Some(embedding) = embedding {
                embedding.attach(writer, room);
            }
        });
        if written.is_some() {
            return written;
        }
        let path = self.ice.selected().or(self.early)?;
        let association = self.association.as_mut()?;
        loop {
            let embedded = self.embedding.as_mut().and_then(|embedding| embedding.poll(buf));
            let len = embedded.or_else(|| association.poll_transmit(now, buf))?;
            // What may not go to an unproven address is lost like any datagram; the flight repeats.
            if self.ice.allowance(&path).is_none_or(|left| len <= left) {
                self.ice.on_sent(&path, len);
                return Some((path, len));
            }
        }
    }

    pub(crate) fn poll_event(&mut self, now: Instant) -> Option<Event> {
        while let Some(event) = self.ice.poll_event() {
            if let Some(event) = self.on_ice(now, event) {
                return Some(event);
            }
        }
        if let Some(event) = self.use_valid(now) {
            return Some(event);
        }
        loop {
            return Some(match self.association.as_mut()?.poll_event()? {
                dtls::Event::Connected { profile, keying } => {
                    self.embed(now);
                    self.end_embedding();
                    let event = self.on_connected(profile, &keying);
                    self.connect_channels(now);
                    event
                }
                dtls::Event::Failed(reason) => Event::Failed(reason),
                dtls::Event::Closed => Event::Closed,
                dtls::Event::Data(data) => match self.channels.as_mut().filter(|_| self.data) {
                    Some(channels) => match channels.handle_packet(now, &data) {
                        Ok(()) => continue,
                        Err(refusal) => Event::Dropped(refusal),
                    },
                    None => Event::Unasked,
                },
            });
        }
    }

    /// A browser nominates a second after its first check; what is valid may be used before (RFC 8445, section 12.1).
    fn use_valid(&mut self, now: Instant) -> Option<Event> {
        if self.ice.selected().is_some() {
            (self.early, self.valid) = (None, false);
            return None;
        }
        // It stays as long as it may; who never nominates has given its consent for half a minute.
        let before = self.early.filter(|_| self.valid);
        let valid = before.filter(|path| self.ice.is_valid(now, path)).or_else(|| self.ice.valid(now));
        match (before, valid) {
            (before, Some(path)) if before != Some(path) => {
                (self.early, self.valid) = (Some(path), true);
                self.start_dtls(now);
                Some(Event::Selected(path))
            }
            (Some(_), None) => {
                (self.early, self.valid) = (None, false);
                Some(Event::ConsentExpired)
            }
            _ => None,
        }
    }

    fn on_ice(&mut self, now: Instant, event: ice::Event) -> Option<Event> {
        Some(match event {
            ice::Event::AddressKnown(path) => Event::AddressKnown(path),
            ice::Event::AddressForgotten(path) => Event::AddressForgotten(path),
            ice::Event::Selected(path) => {
                self.start_dtls(now);
                Event::Selected(path)
            }
            ice::Event::Disconnected => Event::ConsentExpired,
            // The peer's checks may still show a way; the engine's own patience ends it otherwise.
            ice::Event::Failed => return None,
        })
    }

    /// The handshake is done: the peer has what a server says last under 1.3, and a client under 1.2.
    fn end_embedding(&mut self) {
        let Some((embedding, association)) = self.embedding.as_mut().zip(self.association.as_ref()) else {
            return;
        };
        let is_13 = association.version() == Some(dtls::Version::V13);
        embedding.connected(is_13 == (association.role() == dtls::Role::Client));
    }

    fn on_connected(&mut self, profile: u16, keying: &dtls::Keying) -> Event {
        let keys = srtp::Profile::from_dtls_id(profile).and_then(|profile| {
            let master =
                |key: &Secret, salt: &Secret| srtp::MasterKey::new(profile, key.expose(), salt.expose()).ok();
            let remote = master(&keying.remote_key, &keying.remote_salt)?;
            let local = master(&keying.local_key, &keying.local_salt)?;
            let (opener, sealer) = (srtp::Opener::new(&remote), srtp::Sealer::new(&local));
            let mut keys = Keys { profile, opener, sealer };
            keys.opener.accept_cryptex(self.cryptex);
            keys.sealer.use_cryptex(self.cryptex);
            Some(keys)
        });
        match keys {
            Some(keys) => {
                self.keys = Some(Box::new(keys));
                Event::Secured
            }
            None => Event::Failed(dtls::FailReason::NoSrtp),
        }
    }
}

/// Data channels.
impl Network {
    /// How our SCTP begins, for a description: the same for the whole session.
    pub(crate) fn sctp_init(&self) -> Init {
        sctp::Association::init((self.sctp_seed >> 32) as u32, self.sctp_seed as u32)
    }

    /// Takes what was agreed on.
    pub(crate) fn set_data(&mut self, now: Instant, agreed: Option<Agreed>) {
        self.data = agreed.is_some();
        match agreed {
            Some(Agreed { port, largest, init }) => {
                self.peer_init = init.map(Box::new);
                let channels = self.channels.get_or_insert_with(|| Box::new(Channels::new()));
                channels.agree(port, largest);
                self.connect_channels(now);
            }
            None => {
                if let Some(channels) = &mut self.channels {
                    channels.end(CloseReason::Peer);
                }
            }
        }
    }

    /// Data channels were asked for and are not agreed on, or cannot even be asked for.
    pub(crate) fn refuse_channels(&mut self) {
        if let Some(channels) = &mut self.channels {
            channels.refuse_waiting();
        }
    }

    /// Begins the association once DTLS carries it.
    fn connect_channels(&mut self, now: Instant) {
        let inits = self.peer_init.as_deref().map(|peer| (self.sctp_init(), peer.clone()));
        let Some((channels, association)) = self.channels.as_mut().zip(self.association.as_ref()) else {
            return;
        };
        if self.data && self.keys.is_some() && !channels.is_begun() {
            let label = self.random.next_u64();
            let random = self.random.fork(label);
            channels.connect(association.role(), association.max_data(), inits, random, now);
            channels.handle_timeout(now);
        }
    }

    pub(crate) fn has_channels(&self) -> bool {
        self.channels.is_some()
    }

    /// The next fact of the channels; messages wait until they are asked for.
    pub(crate) fn poll_channels(&mut self) -> Option<channels::Event> {
        self.channels.as_mut()?.poll_event()
    }

    /// The next datagram of the channels, written at the start of `buf`.
    pub(crate) fn transmit_channels(&mut self, now: Instant, buf: &mut [u8]) -> Option<usize> {
        let (channels, association) = self.channels.as_mut().zip(self.association.as_mut())?;
        loop {
            // What waits in front of it goes first.
            if let Some(len) = association.poll_transmit(now, buf) {
                return Some(len);
            }
            let len = channels.poll_transmit(now, buf)?;
            // What is not taken is lost, and sent again.
            let _ = association.send(buf.get(..len).unwrap_or_default());
        }
    }

    pub(crate) fn open_channel(&mut self, config: ChannelConfig) -> Result<ChannelId, OpenError> {
        self.channels.get_or_insert_with(|| Box::new(Channels::new())).open(config)
    }

    pub(crate) fn send(&mut self, channel: ChannelId, text: bool, data: &Bytes) -> Result<(), SendError> {
        self.channels.as_mut().ok_or(SendError::UnknownChannel)?.send(channel, text, data)
    }

    pub(crate) fn close_channel(&mut self, channel: ChannelId, reason: CloseReason) {
        if let Some(channels) = &mut self.channels {
            channels.close(channel, reason);
        }
    }

    pub(crate) fn channel(&self, channel: ChannelId) -> Option<&ChannelConfig> {
        self.channels.as_ref()?.config(channel)
    }

    /// The first open channel of a name.
    pub(crate) fn channel_named(&self, label: &str) -> Option<ChannelId> {
        self.channels.as_ref()?.by_label(label)
    }

    pub(crate) fn list_channels(&self) -> impl Iterator<Item = (ChannelId, &ChannelConfig)> {
        self.channels.iter().flat_map(|channels| channels.iter())
    }

    /// Bytes that wait on a channel.
    pub(crate) fn buffered(&mut self, channel: ChannelId) -> usize {
        self.channels.as_mut().map_or(0, |channels| channels.buffered(channel))
    }
}
