//! The handshake of 1.2, from the hellos on, of both roles (RFC 5246, section 7.4; RFC 6347, section 4.2; RFC 8422),
//! with an extended master secret and no other (RFC 7627).

use super::codec::{Reader, Write as _, u16s};
use super::common::{Env, Established, Exporting, Progress, entropy, failed, first_certificate, read_verify};
use super::config::{Role, Version, Versions};
use super::hello::{self, ClientHello, ServerHello, Suite};
use super::message::{self, Message};
use super::outcome::FailReason;
use super::protection::{Opener, Sealer, TrafficKeys};
use super::schedule::Sides;
use super::schedule12::{Master, WriteKeys};
use super::talk::Talk;
use crate::crypto::exchange::{Group, KeyPair};
use crate::crypto::keying::Digest;
use crate::crypto::secret::{self, Secret};
use crate::crypto::signing::{KeyKind, PublicKey, Scheme};

/// The epoch of all that is protected.
pub(super) const PROTECTED: u16 = 1;

/// ECCurveType named_curve (RFC 8422, section 5.4).
const NAMED_CURVE: u8 = 3;
/// ClientCertificateTypes (RFC 5246, section 7.4.4; RFC 8422, section 5.5).
const RSA_SIGN: u8 = 1;
const ECDSA_SIGN: u8 = 64;

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Certificate,
    /// ServerKeyExchange or ClientKeyExchange, of whoever speaks.
    KeyExchange,
    /// A client's: CertificateRequest, or ServerHelloDone at once.
    Request,
    Done,
    Verify,
    Finished,
}

/// A handshake whose hellos have been exchanged.
pub(super) struct V12 {
    role: Role,
    suite: Suite,
    step: Step,
    randoms: Sides<[u8; 32]>,
    profile: u16,
    /// Our half of the exchange: a server's from the start.
    pair: Option<KeyPair>,
    /// A client's: the server's half.
    theirs: Option<(Group, Vec<u8>)>,
    /// A client's, once the server has asked for a certificate: what it verifies.
    asked: Option<Vec<u16>>,
    peer: Option<PublicKey>,
    master: Option<Master>,
}

/// A server's answer to a ClientHello.
pub(super) fn answer(
    hello: &ClientHello<'_>,
    message: &Message,
    talk: &mut Talk,
    env: &mut Env<'_>,
) -> Result<V12, FailReason> {
    let kind = env.certificate.kind();
    let suite = hello.choose_suite(Version::V12, kind)?;
    let scheme = hello.choose_scheme(Version::V12, kind)?;
    let profile = hello.choose_profile(&env.config.profiles)?;
    let renegotiation = hello.knows_renegotiation()?;
    if !hello.has_extended_master_secret() {
        return Err(FailReason::NoCommonParameters);
    }
    let groups: Vec<_> = env.config.groups.iter().copied().filter(|group| !group.is_for_13()).collect();
    let group = hello.choose_group(&groups)?;
    let pair = KeyPair::generate(group, env.draws).ok_or(FailReason::Provider)?;
    let mut random = entropy(env)?;
    if env.config.versions != Versions::V12
        && let Some(tail) = random.last_chunk_mut()
    {
        *tail = hello::DOWNGRADE;
    }
    talk.script.settle(Version::V12, suite.hash);
    talk.script.add(message);
    talk.begin_flight();
    let body = hello::write_server_hello(&random, &[], suite, |out| {
        hello::write_choice_12(out, hello, profile, renegotiation);
    });
    talk.say(message::SERVER_HELLO, body);
    talk.say(message::CERTIFICATE, certificate(env));
    let randoms = Sides { client: *hello.random, server: random };
    let mut body = Vec::with_capacity(256);
    body.u8(NAMED_CURVE);
    body.u16(group.number());
    body.vec8(|out| out.raw(pair.share()));
    let signature =
        env.certificate.key().sign(scheme, &exchanged(&randoms, &body)).ok_or(FailReason::Provider)?;
    body.u16(scheme.number());
    body.vec16(|out| out.raw(&signature));
    talk.say(message::SERVER_KEY_EXCHANGE, body);
    let mut body = Vec::with_capacity(32);
    body.vec8(|out| out.raw(&[ECDSA_SIGN, RSA_SIGN]));
    body.vec16(|out| hello::write_scheme_numbers(out, Version::V12));
    body.vec16(|_| {});
    talk.say(message::CERTIFICATE_REQUEST, body);
    talk.say(message::SERVER_HELLO_DONE, Vec::new());
    let step = Step::Certificate;
    let (pair, role) = (Some(pair), Role::Server);
    Ok(V12 { role, suite, step, randoms, profile, pair, theirs: None, asked: None, peer: None, master: None })
}

/// A client goes on after a ServerHello of 1.2; `random` is its own.
pub(super) fn take_server_hello(
    hello: &ServerHello<'_>,
    message: &Message,
    random: [u8; 32],
    talk: &mut Talk,
    env: &Env<'_>,
) -> Result<V12, FailReason> {
    // A server that speaks 1.3 was not asked for it, though we did ask (S-DTLS-14; RFC 8446, section 4.1.3).
    if env.config.versions != Versions::V12 && hello.random.ends_with(&hello::DOWNGRADE) {
        return Err(FailReason::Downgrade);
    }
    let suite = hello.suite()?;
    let profile = hello::read_chosen_profile(hello.extensions, &env.config.profiles)?;
    if !hello.has_extended_master_secret() {
        return Err(FailReason::NoCommonParameters);
    }
    match hello.extensions.get(hello::extension::RENEGOTIATION_INFO) {
        None | Some([0]) => {}
        Some(_) => return Err(FailReason::Renegotiation),
    }
    talk.script.settle(Version::V12, suite.hash);
    talk.script.add(message);
    let randoms = Sides { client: random, server: *hello.random };
    let (role, step) = (Role::Client, Step::Certificate);
    Ok(V12 {
        role,
        suite,
        step,
        randoms,
        profile,
        pair: None,
        theirs: None,
        asked: None,
        peer: None,
        master: None,
    })
}

impl V12 {
    /// Takes the next message of the peer.
    pub(super) fn on_message(
        &mut self,
        epoch: u16,
        message: &Message,
        talk: &mut Talk,
        env: &mut Env<'_>,
    ) -> Result<Progress, FailReason> {
        let is_last = message.kind == message::FINISHED;
        if epoch != if is_last { PROTECTED } else { 0 } {
            return Err(FailReason::Protocol);
        }
        match (self.step, self.role, message.kind) {
            (Step::Certificate, _, message::CERTIFICATE) => self.on_certificate(message, env)?,
            (Step::KeyExchange, Role::Client, message::SERVER_KEY_EXCHANGE) => {
                self.on_server_exchange(message, env)?
            }
            (Step::Request, Role::Client, message::CERTIFICATE_REQUEST) => self.on_request(message)?,
            (Step::Request | Step::Done, Role::Client, message::SERVER_HELLO_DONE) => {
                message.body.is_empty().then_some(()).ok_or(FailReason::Protocol)?;
                talk.script.add(message);
                self.say_client_flight(talk, env)?;
                return Ok(Progress::More);
            }
            (Step::KeyExchange, Role::Server, message::CLIENT_KEY_EXCHANGE) => {
                talk.script.add(message);
                self.on_client_exchange(message, talk)?;
                return Ok(Progress::More);
            }
            (Step::Verify, Role::Server, message::CERTIFICATE_VERIFY) => self.on_verify(message, talk)?,
            (Step::Finished, _, message::FINISHED) => return self.on_finished(message, talk),
            _ => return Err(FailReason::Protocol),
        }
        talk.script.add(message);
        Ok(Progress::More)
    }

    fn on_certificate(&mut self, message: &Message, env: &mut Env<'_>) -> Result<(), FailReason> {
        let mut reader = Reader(&message.body);
        let list = failed(|| {
            let list = reader.vec24()?;
            reader.end()?;
            Some(list)
        })?;
        let first = first_certificate(list)?;
        let peer = env.judge(first)?;
        // A server's key must be of the kind that the suite says.
        if self.role == Role::Client && self.suite.is_rsa() != (peer.kind() == KeyKind::Rsa) {
            return Err(FailReason::Protocol);
        }
        self.peer = Some(peer);
        self.step = Step::KeyExchange;
        Ok(())
    }

    fn on_server_exchange(&mut self, message: &Message, env: &Env<'_>) -> Result<(), FailReason> {
        let mut reader = Reader(&message.body);
        let (group, point, scheme, signature) = failed(|| {
            let (kind, group, point) = (reader.u8()?, reader.u16()?, reader.vec8()?);
            let (scheme, signature) = (reader.u16()?, reader.vec16()?);
            reader.end()?;
            (kind == NAMED_CURVE).then_some((group, point, scheme, signature))
        })?;
        let group =
            Group::from_number(group).filter(|group| !group.is_for_13() && env.config.groups.contains(group));
        let group = group.ok_or(FailReason::NoCommonParameters)?;
        let peer = self.peer.as_ref().ok_or(FailReason::Protocol)?;
        let scheme = Scheme::from_number(scheme).ok_or(FailReason::NoCommonParameters)?;
        let params = message.body.get(..4 + point.len()).ok_or(FailReason::Protocol)?;
        if !peer.verify_12(scheme, &exchanged(&self.randoms, params), signature) {
            return Err(FailReason::Proof);
        }
        self.theirs = Some((group, point.to_vec()));
        self.step = Step::Request;
        Ok(())
    }

    fn on_request(&mut self, message: &Message) -> Result<(), FailReason> {
        let mut reader = Reader(&message.body);
        self.asked = Some(failed(|| {
            reader.vec8()?;
            let schemes = u16s(reader.vec16()?)?.collect();
            reader.vec16()?;
            reader.end()?;
            Some(schemes)
        })?);
        self.step = Step::Done;
        Ok(())
    }

    /// From Certificate to Finished.
    fn say_client_flight(&mut self, talk: &mut Talk, env: &mut Env<'_>) -> Result<(), FailReason> {
        let (group, point) = self.theirs.take().ok_or(FailReason::Protocol)?;
        let pair = KeyPair::generate(group, env.draws).ok_or(FailReason::Provider)?;
        let shared = pair.agree(&point).ok_or(FailReason::Protocol)?;
        let scheme = match &self.asked {
            Some(schemes) => Some(hello::choose_scheme(schemes, Version::V12, env.certificate.kind())?),
            None => None,
        };
        talk.begin_flight();
        if scheme.is_some() {
            talk.say(message::CERTIFICATE, certificate(env));
        }
        let mut body = Vec::with_capacity(128);
        body.vec8(|out| out.raw(pair.share()));
        talk.say(message::CLIENT_KEY_EXCHANGE, body);
        let keys = self.agree(&shared, talk)?;
        if let Some(scheme) = scheme {
            let signature =
                env.certificate.key().sign(scheme, talk.script.whole()).ok_or(FailReason::Provider)?;
            let mut body = Vec::with_capacity(signature.len() + 4);
            body.u16(scheme.number());
            body.vec16(|out| out.raw(&signature));
            talk.say(message::CERTIFICATE_VERIFY, body);
        }
        talk.flight.add_change_cipher_spec();
        self.protect(talk, &keys.client)?;
        self.listen(talk, &keys.server)?;
        let finished = self.verify_data(Role::Client, talk)?;
        talk.say(message::FINISHED, finished);
        talk.inbox.require(PROTECTED);
        self.step = Step::Finished;
        Ok(())
    }

    fn on_client_exchange(&mut self, message: &Message, talk: &mut Talk) -> Result<(), FailReason> {
        let mut reader = Reader(&message.body);
        let point = failed(|| {
            let point = reader.vec8()?;
            reader.end()?;
            Some(point)
        })?;
        let pair = self.pair.take().ok_or(FailReason::Protocol)?;
        let shared = pair.agree(point).ok_or(FailReason::Protocol)?;
        let keys = self.agree(&shared, talk)?;
        self.listen(talk, &keys.client)?;
        self.step = Step::Verify;
        Ok(())
    }

    fn on_verify(&mut self, message: &Message, talk: &mut Talk) -> Result<(), FailReason> {
        let (scheme, signature) = read_verify(&message.body)?;
        let peer = self.peer.take().ok_or(FailReason::Protocol)?;
        let scheme = Scheme::from_number(scheme).ok_or(FailReason::NoCommonParameters)?;
        if !peer.verify_12(scheme, talk.script.whole(), signature) {
            return Err(FailReason::Proof);
        }
        talk.inbox.require(PROTECTED);
        self.step = Step::Finished;
        Ok(())
    }

    fn on_finished(&mut self, message: &Message, talk: &mut Talk) -> Result<Progress, FailReason> {
        let other = if self.role == Role::Client { Role::Server } else { Role::Client };
        let expected = self.verify_data(other, talk)?;
        if !secret::equal(&expected, &message.body) {
            return Err(FailReason::Proof);
        }
        talk.script.add(message);
        match self.role {
            Role::Client => talk.flight.end(),
            Role::Server => {
                let master = self.master.as_ref().ok_or(FailReason::Protocol)?;
                let keys = master.write_keys(self.suite.cipher).ok_or(FailReason::Provider)?;
                talk.begin_flight();
                talk.flight.add_change_cipher_spec();
                self.protect(talk, &keys.server)?;
                let finished = self.verify_data(Role::Server, talk)?;
                talk.say(message::FINISHED, finished);
            }
        }
        let master = self.master.take().ok_or(FailReason::Protocol)?;
        let exporting = Exporting::V12(master);
        let (profile, cipher) = (self.profile, self.suite.cipher);
        Ok(Progress::Done(Box::new(Established { profile, cipher, exporting, traffic: None })))
    }

    /// ClientKeyExchange is in the transcript: the master secret, and the keys.
    fn agree(&mut self, shared: &Secret, talk: &Talk) -> Result<Sides<WriteKeys>, FailReason> {
        let session = self.digest(talk)?;
        let master = Master::extended(self.suite.hash, shared, &session, self.randoms.clone());
        let master = master.ok_or(FailReason::Provider)?;
        let keys = master.write_keys(self.suite.cipher).ok_or(FailReason::Provider)?;
        self.master = Some(master);
        Ok(keys)
    }

    fn digest(&self, talk: &Talk) -> Result<Digest, FailReason> {
        talk.script.digest(self.suite.hash).ok_or(FailReason::Provider)
    }

    fn verify_data(&self, role: Role, talk: &Talk) -> Result<Vec<u8>, FailReason> {
        let (master, digest) = (self.master.as_ref().ok_or(FailReason::Protocol)?, self.digest(talk)?);
        let data = match role {
            Role::Client => master.client_finished(&digest),
            Role::Server => master.server_finished(&digest),
        };
        Ok(data.ok_or(FailReason::Provider)?.to_vec())
    }

    fn keys(&self, keys: &WriteKeys) -> TrafficKeys {
        TrafficKeys { cipher: self.suite.cipher, key: keys.key.clone(), iv: keys.iv.clone(), number: None }
    }

    fn protect(&self, talk: &mut Talk, keys: &WriteKeys) -> Result<(), FailReason> {
        let sealer = Sealer::new(PROTECTED, &self.keys(keys)).ok_or(FailReason::Provider)?;
        talk.outgoing.protect(sealer);
        Ok(())
    }

    fn listen(&self, talk: &mut Talk, keys: &WriteKeys) -> Result<(), FailReason> {
        let opener = Opener::new(PROTECTED, &self.keys(keys)).ok_or(FailReason::Provider)?;
        talk.listen(opener);
        Ok(())
    }
}

fn certificate(env: &Env<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(env.certificate.der().len() + 8);
    body.vec24(|out| out.vec24(|out| out.raw(env.certificate.der())));
    body
}

/// What a ServerKeyExchange signs (RFC 8422, section 5.4).
fn exchanged(randoms: &Sides<[u8; 32]>, params: &[u8]) -> Vec<u8> {
    [&randoms.client[..], &randoms.server, params].concat()
}
