//! The client's side of a DTLS handshake: ours, or another lineage's where profiles must be chosen.

use estafette::{Instant, dtls, srtp};
use std::collections::VecDeque;

/// What a handshake gives.
pub(crate) struct Keys {
    pub(crate) profile: srtp::Profile,
    pub(crate) sealer: srtp::Sealer,
    pub(crate) opener: srtp::Opener,
}

impl Keys {
    /// Keys and salts in the order in which they are exported: client's and server's.
    pub(crate) fn new(profile: srtp::Profile, keys: [&[u8]; 2], salts: [&[u8]; 2]) -> Keys {
        let master =
            |at: usize| srtp::MasterKey::new(profile, keys[at], salts[at]).expect("the profile's lengths");
        Keys { profile, sealer: srtp::Sealer::new(&master(0)), opener: srtp::Opener::new(&master(1)) }
    }
}

/// One handshake.
pub(crate) trait Handshake {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]);
    fn poll_transmit(&mut self) -> Option<Vec<u8>>;
    fn poll_keys(&mut self) -> Option<Keys>;
}

/// Begins handshakes with one certificate.
pub(crate) trait Dialect {
    fn fingerprint(&self) -> String;
    fn begin(&self, expected: dtls::Fingerprint, now: Instant) -> Box<dyn Handshake>;
}

/// The crate's own client. Under DTLS 1.2 the engine takes AEAD_AES_256_GCM from it.
pub(crate) struct Ours(dtls::Context);

impl Ours {
    pub(crate) fn new() -> Ours {
        let certificate = dtls::Certificate::generate().expect("a certificate");
        Ours(dtls::Context::new(dtls::Config::default(), certificate).expect("a sound configuration"))
    }
}

impl Dialect for Ours {
    fn fingerprint(&self) -> String {
        self.0.fingerprint().to_string()
    }

    fn begin(&self, expected: dtls::Fingerprint, now: Instant) -> Box<dyn Handshake> {
        let association = dtls::Association::new(dtls::Role::Client, &self.0, &[expected], 1, now);
        Box::new(OurHandshake { association, outgoing: VecDeque::new(), keys: None }.driven(now))
    }
}

struct OurHandshake {
    association: dtls::Association,
    outgoing: VecDeque<Vec<u8>>,
    keys: Option<Keys>,
}

impl OurHandshake {
    fn driven(mut self, now: Instant) -> Self {
        self.drive(now);
        self
    }

    fn drive(&mut self, now: Instant) {
        let mut buf = [0; 2_048];
        while let Some(len) = self.association.poll_transmit(now, &mut buf) {
            self.outgoing.push_back(buf[..len].to_vec());
        }
        while let Some(event) = self.association.poll_event() {
            let dtls::Event::Connected { profile, keying } = event else { panic!("{event:?}") };
            let profile = srtp::Profile::from_dtls_id(profile).expect("a profile of ours");
            let keys = [keying.local_key.expose(), keying.remote_key.expose()];
            let salts = [keying.local_salt.expose(), keying.remote_salt.expose()];
            self.keys = Some(Keys::new(profile, keys, salts));
        }
    }
}

impl Handshake for OurHandshake {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        // What it does not need, an acknowledgement for instance, it says it ignored.
        let _ = self.association.handle_datagram(now, datagram);
        self.drive(now);
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    fn poll_keys(&mut self) -> Option<Keys> {
        self.keys.take()
    }
}
