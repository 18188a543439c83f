//! A connected association as sealed bytes, which goes on in another engine: so a server is drained without a
//! handshake anew.
//!
//! Nothing of it may be used twice: numbers of records would be. So whoever gives it away has it no more, and the
//! bytes are adopted once; that they are is their owner's to see to.

use super::{Association, Channel, Stage, Timers, spread_by};
use crate::base::time::Instant;
use crate::crypto::exchange::Draws;
use crate::crypto::keying::Hash;
use crate::crypto::record::{Cipher, RecordKey, TAG};
use crate::crypto::secret::Secret;
use crate::session::dtls::codec::{Reader, Write as _};
use crate::session::dtls::common::{Exporting, Traffic};
use crate::session::dtls::config::{Context, Role};
use crate::session::dtls::outcome::AdoptError;
use crate::session::dtls::protection::{Opener, Sealer, TrafficKeys, Window};
use crate::session::dtls::schedule::{Exporter, Labels, Sides};
use crate::session::dtls::schedule12::Master;
use crate::session::dtls::talk::Talk;
use crate::session::dtls::{v12, v13};
use zeroize::Zeroizing;

/// The form of what is sealed: another one is refused.
const FORM: u8 = 1;
const NONCE: usize = 12;

impl Association {
    /// Gives the association away, sealed with AES-256-GCM by `key`: it ends here without a word to the peer. `None`, and
    /// nothing changes, before [`Event::Connected`](super::Event::Connected), after the end, while something waits to be
    /// polled or to be acknowledged, and for the moment in which keys are renewed, of either side.
    pub fn release(&mut self, key: &[u8; 32]) -> Option<Vec<u8>> {
        let Stage::Established(channel) = &self.stage else { return None };
        let waits = !self.talk.outgoing.datagrams().is_empty() || !self.events.is_empty();
        // What was said last is not said again elsewhere, and a key before the peer's newest is not known there.
        let waits = waits || self.talk.flight.poll_timeout().is_some();
        // The peer has renewed its key, and nothing that it sealed with the new one has come yet.
        let renews = self.talk.hears_older(v13::APPLICATION);
        if channel.updating || waits || renews {
            return None;
        }
        let mut nonce = [0; NONCE];
        Draws::System.fill(&mut nonce)?;
        let state = Zeroizing::new(self.write(channel)?);
        let mut sealed = Vec::with_capacity(1 + NONCE + state.len() + TAG);
        sealed.push(FORM);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&state);
        let text = sealed.get_mut(1 + NONCE..)?;
        let tag = RecordKey::new(Cipher::Aes256Gcm, key)?.seal(nonce, &[FORM], text)?;
        sealed.extend_from_slice(&tag);
        self.end();
        Some(sealed)
    }

    /// Takes over what [`release`](Self::release) gave away. `context` need not be the one that it had: its certificate
    /// has done its work. `seed` as in [`new`](Self::new).
    ///
    /// # Errors
    /// [`AdoptError`].
    pub fn adopt(
        context: &Context,
        sealed: &[u8],
        key: &[u8; 32],
        seed: u64,
        now: Instant,
    ) -> Result<Self, AdoptError> {
        let state = open(sealed, key)?;
        let mut reader = Reader(&state);
        let role = match reader.u8() {
            Some(0) => Role::Server,
            Some(1) => Role::Client,
            _ => return Err(AdoptError::Malformed),
        };
        let config = context.config();
        let mut talk = Talk::new(config.mtu, config.first_retransmission);
        let channel = read(role, &mut reader, &mut talk).ok_or(AdoptError::Malformed)?;
        reader.end().ok_or(AdoptError::Malformed)?;
        Ok(Association {
            role,
            context: context.clone(),
            talk,
            stage: Stage::Established(Box::new(channel)),
            events: std::collections::VecDeque::new(),
            early: Vec::new(),
            timers: Timers::default(),
            repeated: None,
            random: spread_by(seed),
            now,
            lost: 0,
        })
    }

    /// The state in clear.
    fn write(&self, channel: &Channel) -> Option<Vec<u8>> {
        let (sealer, opener) = (self.talk.outgoing.sealer()?, self.talk.opener()?);
        let (ours, theirs) = self.talk.places();
        // Room from the start, so that no half of it is left behind where it grew.
        let mut out = Vec::with_capacity(512);
        out.u8(u8::from(self.role == Role::Client));
        out.u8(channel.cipher.key_len() as u8
            | if channel.cipher == Cipher::ChaCha20Poly1305 { 0x80 } else { 0 });
        out.u16(ours);
        out.u16(theirs);
        let window = opener.window();
        for (epoch, number, seen) in
            [(sealer.epoch(), sealer.sealed(), 0), (opener.epoch(), window.next, window.seen)]
        {
            out.u16(epoch);
            out.u64(number);
            out.u64(seen);
        }
        match (&channel.exporting, &channel.traffic) {
            (Exporting::V12(master), None) => {
                out.u8(12);
                out.u8(u8::from(master.hash() == Hash::Sha384));
                out.raw(&master.randoms().client);
                out.raw(&master.randoms().server);
                out.vec8(|out| out.raw(master.secret().expose()));
            }
            (Exporting::V13(exporter), Some(traffic)) => {
                out.u8(13);
                out.u8(u8::from(traffic.labels.hash() == Hash::Sha384));
                for secret in [exporter.secret(), &traffic.ours, &traffic.theirs] {
                    out.vec8(|out| out.raw(secret.expose()));
                }
            }
            _ => return None,
        }
        Some(out)
    }
}

fn open(sealed: &[u8], key: &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, AdoptError> {
    let mut reader = Reader(sealed);
    if reader.u8() != Some(FORM) {
        return Err(AdoptError::Form);
    }
    let nonce = reader.array::<NONCE>().ok_or(AdoptError::Malformed)?;
    let (text, tag) = reader.0.split_last_chunk::<TAG>().ok_or(AdoptError::Malformed)?;
    let mut state = Zeroizing::new(text.to_vec());
    let key = RecordKey::new(Cipher::Aes256Gcm, key).ok_or(AdoptError::Authentication)?;
    if key.open(*nonce, &[FORM], &mut state, tag) { Ok(state) } else { Err(AdoptError::Authentication) }
}

fn read(role: Role, reader: &mut Reader<'_>, talk: &mut Talk) -> Option<Channel> {
    let cipher = match reader.u8()? {
        16 => Cipher::Aes128Gcm,
        32 => Cipher::Aes256Gcm,
        0xa0 => Cipher::ChaCha20Poly1305,
        _ => return None,
    };
    talk.resume((reader.u16()?, reader.u16()?));
    let (sealer, sealed, _) = (reader.u16()?, reader.u64()?, reader.u64()?);
    let (opener, window) = (reader.u16()?, Window { next: reader.u64()?, seen: reader.u64()? });
    let version = reader.u8()?;
    let hash = if reader.u8()? == 1 { Hash::Sha384 } else { Hash::Sha256 };
    let (exporting, traffic, (ours, theirs)) = match version {
        12 => {
            let randoms = Sides { client: *reader.array()?, server: *reader.array()? };
            let master = Master::from_parts(hash, Secret::new(reader.vec8()?), randoms);
            let Sides { client, server } = master.write_keys(cipher)?;
            let keys = |keys: &super::super::schedule12::WriteKeys| TrafficKeys {
                cipher,
                key: keys.key.clone(),
                iv: keys.iv.clone(),
                number: None,
            };
            let (client, server) = (keys(&client), keys(&server));
            let keys = if role == Role::Client { (client, server) } else { (server, client) };
            (Exporting::V12(master), None, keys)
        }
        13 => {
            let labels = Labels::dtls(hash);
            let exporter = Exporter::from_parts(labels, Secret::new(reader.vec8()?));
            let (ours, theirs) = (Secret::new(reader.vec8()?), Secret::new(reader.vec8()?));
            let keys = (v13::keys(labels, &ours, cipher)?, v13::keys(labels, &theirs, cipher)?);
            (Exporting::V13(exporter), Some(Traffic { labels, cipher, ours, theirs }), keys)
        }
        _ => return None,
    };
    let least = if version == 12 { v12::PROTECTED } else { v13::APPLICATION };
    if sealer < least || opener < least {
        return None;
    }
    talk.outgoing.protect(Sealer::new(sealer, &ours)?.resume(sealed));
    talk.listen(Opener::new(opener, &theirs)?.resume(window));
    talk.inbox.require(opener);
    Some(Channel { cipher, exporting, traffic, updating: false, due: false })
}
