//! A participant's way over the network: ICE proves the address, DTLS runs over what ICE proved, and
//! its keys open and seal SRTP.
//!
//! Nothing but STUN is taken from an address that no authenticated check came from (S-MUX-04), and
//! nothing is sent to an address beyond three times what came from it until it answered a check of
//! ours (I-04, S-STUN-14). Media goes to the selected path alone.

use crate::base::random::Random;
use crate::base::time::Instant;
use crate::crypto::secret::Secret;
use crate::session::{dtls, ice, srtp};
use crate::transport::channels::{
    self, ChannelConfig, ChannelId, Channels, CloseReason, OpenError, SendError,
};
use crate::wire::mux::Path;
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
    /// Where the last DTLS datagram of use came from: where answers go until a path is selected.
    dtls_path: Option<Path>,
    /// Whether both sides take encrypted RTP headers.
    cryptex: bool,
    /// Whether data channels are agreed on.
    data: bool,
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
        random: Random,
    ) -> Self {
        Network {
            ice: ice::Agent::new(ice, local, random.fork(0)),
            expected: None,
            association: None,
            dtls_path: None,
            keys: None,
            cryptex: false,
            dtls,
            random,
            channels: None,
            data: false,
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
        self.keys = None;
        if let Some(channels) = &mut self.channels {
            channels.end(CloseReason::Restarted);
        }
        // A server listens at once; a client speaks when there is a way to send.
        if remote.role == dtls::Role::Server || self.ice.selected().is_some() {
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
        self.ice.handle_datagram(now, path, message).map_err(Refusal::Ice)?;
        Ok(())
    }

    pub(crate) fn handle_dtls(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Result<(), Refusal> {
        // Once a pair is valid, DTLS is taken from valid ones alone (RFC 8827, section 4.3): a check that
        // somebody replayed makes an address known and no more (S-DTLS-01).
        let selected = self.ice.selected().is_some();
        if !self.ice.knows(&path) || (selected && self.ice.allowance(&path).is_some()) {
            return Err(Refusal::AddressUnproven);
        }
        let association = self.association.as_mut().ok_or(Refusal::NotNegotiated)?;
        self.ice.on_received(&path, datagram.len());
        association.handle_datagram(now, datagram).map_err(Refusal::Dtls)?;
        if !selected {
            self.dtls_path = Some(path);
        }
        Ok(())
    }

    /// Forgets a way that is no more: a connection that has ended.
    pub(crate) fn forget_path(&mut self, now: Instant, path: &Path) {
        self.ice.forget_path(now, path);
        self.dtls_path = self.dtls_path.filter(|known| known != path);
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
        (self.expected.is_some(), self.association.is_some(), self.dtls_path).hash(state);
        if let Some(association) = &self.association {
            association.digest(state);
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
        if let Some(written) = self.ice.poll_transmit(now, buf) {
            return Some(written);
        }
        let path = self.ice.selected().or(self.dtls_path)?;
        let association = self.association.as_mut()?;
        loop {
            let len = association.poll_transmit(now, buf)?;
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
        loop {
            return Some(match self.association.as_mut()?.poll_event()? {
                dtls::Event::Connected { profile, keying } => {
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
    /// Takes what was agreed on: the peer's SCTP port, and bytes of a message that it takes, 0 for any.
    pub(crate) fn set_data(&mut self, now: Instant, agreed: Option<(u16, u64)>) {
        self.data = agreed.is_some();
        match agreed {
            Some((port, most)) => {
                let channels = self.channels.get_or_insert_with(|| Box::new(Channels::new()));
                channels.agree(port, most);
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
        let Some((channels, association)) = self.channels.as_mut().zip(self.association.as_ref()) else {
            return;
        };
        if self.data && self.keys.is_some() && !channels.is_begun() {
            let label = self.random.next_u64();
            channels.connect(association.role(), association.max_data(), self.random.fork(label), now);
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
