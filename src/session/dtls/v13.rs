//! The handshake of 1.3, from ServerHello on, of both roles (RFC 8446, section 4; RFC 9147, section 5).

use super::codec::{Reader, Write as _};
use super::common::{
    Env, Established, Exporting, Progress, Traffic, entropy, failed, first_certificate, read_verify,
};
use super::config::{Role, Version};
use super::hello::{self, ClientHello, Extensions, ServerHello, Suite, extension};
use super::message::{self, Message};
use super::outcome::FailReason;
use super::protection::{Opener, Sealer, TrafficKeys};
use super::schedule::{Exporter, HandshakeSecret, Labels, MasterSecret, Sides};
use super::talk::{Script, Talk};
use crate::crypto::exchange::{self, Group, KeyPair};
use crate::crypto::keying::{Digest, Transcript};
use crate::crypto::record::Cipher;
use crate::crypto::secret::Secret;
use crate::crypto::signing::{PublicKey, Scheme};

/// Epochs (RFC 9147, section 6.1).
pub(super) const HANDSHAKE: u16 = 2;
pub(super) const APPLICATION: u16 = 3;

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A client's, of the server: EncryptedExtensions.
    Extensions,
    /// CertificateRequest, or a server's Certificate at once.
    Request,
    Certificate,
    Verify,
    Finished,
}

/// A handshake whose hellos have been exchanged.
pub(super) struct V13 {
    role: Role,
    cipher: Cipher,
    labels: Labels,
    step: Step,
    /// The traffic secrets of the handshake.
    traffic: Sides<Secret>,
    /// Taken when the server's Finished is there.
    secret: Option<HandshakeSecret>,
    /// What follows from it.
    after: Option<(Sides<Secret>, Exporter)>,
    /// A client's, once the server has asked for a certificate: what it verifies.
    asked: Option<Vec<u16>>,
    peer: Option<PublicKey>,
    profile: u16,
}

/// What a server makes of a ClientHello of 1.3.
pub(super) enum Answer {
    /// It went on.
    Handshake(Box<V13>),
    /// It asked for another share, with this suite.
    Retry(Suite),
}

/// A server's answer to a ClientHello. `retried` is the suite with which it has asked for another share before.
pub(super) fn answer(
    hello: &ClientHello<'_>,
    message: &Message,
    retried: Option<Suite>,
    talk: &mut Talk,
    env: &mut Env<'_>,
) -> Result<Answer, FailReason> {
    if !hello.is_plain() {
        return Err(FailReason::Protocol);
    }
    let kind = env.certificate.kind();
    let suite = hello.choose_suite(Version::V13, kind)?;
    let scheme = hello.choose_scheme(Version::V13, kind)?;
    let profile = hello.choose_profile(&env.config.profiles)?;
    if retried.is_some_and(|asked| asked != suite) {
        return Err(FailReason::Protocol); // it offers something else than before (RFC 8446, section 4.1.2)
    }
    talk.script.settle(Version::V13, suite.hash);
    let (group, share) = match choose_share(hello, env)? {
        (group, Some(share)) => (group, share),
        (_, None) if retried.is_some() => return Err(FailReason::Protocol),
        (group, None) => {
            restart_after(talk, suite, message);
            talk.begin_flight();
            let retry = hello::write_server_hello(&hello::RETRY, &[], suite, |out| {
                hello::write_choice_13(out, group, None);
            });
            talk.say(message::SERVER_HELLO, retry);
            return Ok(Answer::Retry(suite));
        }
    };
    talk.script.add(message);
    let (share, shared) = exchange::answer(group, share, env.draws).ok_or(FailReason::Protocol)?;
    let random = entropy(env)?;
    talk.begin_flight();
    talk.say(
        message::SERVER_HELLO,
        hello::write_server_hello(&random, &[], suite, |out| {
            hello::write_choice_13(out, group, Some(&share))
        }),
    );
    let mut handshake = V13::begin(Role::Server, suite, &shared, profile, talk)?;
    handshake.say_server_flight(scheme, talk, env)?;
    Ok(Answer::Handshake(Box::new(handshake)))
}

/// The group of the exchange and the client's share of it. A group against quantum computers is worth a round trip more;
/// of the others the first of which a share is there.
fn choose_share<'a>(hello: &ClientHello<'a>, env: &Env<'_>) -> Result<(Group, Option<&'a [u8]>), FailReason> {
    let best = hello.choose_group(&env.config.groups)?;
    if let Some(share) = hello.share(best)? {
        return Ok((best, Some(share)));
    }
    if best != Group::X25519MlKem768 {
        for group in &env.config.groups {
            if let Some(share) = hello.share(*group)? {
                return Ok((*group, Some(share)));
            }
        }
    }
    Ok((best, None))
}

/// A transcript begins with the hash of the first ClientHello after a HelloRetryRequest (RFC 8446, section 4.4.1).
fn restart_after(talk: &mut Talk, suite: Suite, first: &Message) {
    let mut hash = Transcript::new(suite.hash);
    hash.update(&Message::head_13(first.kind, first.body.len()));
    hash.update(&first.body);
    let hash = hash.finish();
    let mut transcript = Transcript::new(suite.hash);
    transcript.update(&Message::head_13(message::MESSAGE_HASH, hash.as_ref().len()));
    transcript.update(hash.as_ref());
    talk.script = Script::Running(transcript);
}

/// A client takes note of a HelloRetryRequest that answers its `first` ClientHello: the group that it asks for.
pub(super) fn take_retry(
    hello: &ServerHello<'_>,
    first: &Message,
    message: &Message,
    talk: &mut Talk,
) -> Result<(Option<Group>, Vec<u8>), FailReason> {
    let suite = hello.suite()?;
    let (group, cookie) = (hello.asked_group(), hello.cookie().unwrap_or_default());
    if group.is_none() && cookie.is_empty() {
        return Err(FailReason::Protocol);
    }
    restart_after(talk, suite, first);
    talk.script.add(message);
    Ok((group, cookie.to_vec()))
}

/// A client goes on after a ServerHello of 1.3; `pairs` are those whose shares it has sent.
pub(super) fn take_server_hello(
    hello: &ServerHello<'_>,
    message: &Message,
    pairs: &[KeyPair],
    talk: &mut Talk,
) -> Result<V13, FailReason> {
    let suite = hello.suite()?;
    let (group, share) = hello.share().ok_or(FailReason::Protocol)?;
    let pair = pairs.iter().find(|pair| pair.group().number() == group).ok_or(FailReason::Protocol)?;
    let shared = pair.agree(share).ok_or(FailReason::Protocol)?;
    talk.script.settle(Version::V13, suite.hash);
    talk.script.add(message);
    talk.flight.end();
    V13::begin(Role::Client, suite, &shared, 0, talk)
}

impl V13 {
    /// Both hellos are in the transcript: what follows is protected.
    fn begin(
        role: Role,
        suite: Suite,
        shared: &Secret,
        profile: u16,
        talk: &mut Talk,
    ) -> Result<Self, FailReason> {
        let labels = Labels::dtls(suite.hash);
        let secret = labels.handshake(shared).ok_or(FailReason::Provider)?;
        let hellos = talk.script.digest(suite.hash).ok_or(FailReason::Provider)?;
        let traffic = secret.traffic(&hellos).ok_or(FailReason::Provider)?;
        let begun = V13 {
            role,
            cipher: suite.cipher,
            labels,
            step: if role == Role::Client { Step::Extensions } else { Step::Certificate },
            traffic,
            secret: Some(secret),
            after: None,
            asked: None,
            peer: None,
            profile,
        };
        let traffic = begun.traffic.clone();
        begun.listen(talk, HANDSHAKE, begun.theirs(&traffic))?;
        begun.protect(talk, HANDSHAKE, begun.ours(&traffic))?;
        talk.inbox.require(HANDSHAKE);
        Ok(begun)
    }

    fn ours<'a>(&self, sides: &'a Sides<Secret>) -> &'a Secret {
        if self.role == Role::Client { &sides.client } else { &sides.server }
    }

    fn theirs<'a>(&self, sides: &'a Sides<Secret>) -> &'a Secret {
        if self.role == Role::Client { &sides.server } else { &sides.client }
    }

    fn protect(&self, talk: &mut Talk, epoch: u16, secret: &Secret) -> Result<(), FailReason> {
        let keys = keys(self.labels, secret, self.cipher).ok_or(FailReason::Provider)?;
        talk.outgoing.protect(Sealer::new(epoch, &keys).ok_or(FailReason::Provider)?);
        Ok(())
    }

    fn listen(&self, talk: &mut Talk, epoch: u16, secret: &Secret) -> Result<(), FailReason> {
        let keys = keys(self.labels, secret, self.cipher).ok_or(FailReason::Provider)?;
        talk.listen(Opener::new(epoch, &keys).ok_or(FailReason::Provider)?);
        Ok(())
    }

    fn digest(&self, talk: &Talk) -> Result<Digest, FailReason> {
        talk.script.digest(self.labels.hash()).ok_or(FailReason::Provider)
    }

    /// From EncryptedExtensions to Finished.
    fn say_server_flight(
        &mut self,
        scheme: Scheme,
        talk: &mut Talk,
        env: &Env<'_>,
    ) -> Result<(), FailReason> {
        let mut body = Vec::new();
        body.vec16(|out| hello::write_profile(out, self.profile));
        talk.say(message::ENCRYPTED_EXTENSIONS, body);
        let mut body = Vec::new();
        body.vec8(|_| {});
        body.vec16(|out| {
            out.u16(extension::SIGNATURE_ALGORITHMS);
            out.vec16(|out| out.vec16(|out| hello::write_scheme_numbers(out, Version::V13)));
        });
        talk.say(message::CERTIFICATE_REQUEST, body);
        self.say_certificate(scheme, talk, env)?;
        self.say_finished(talk)?;
        self.take_master(talk)
    }

    fn say_certificate(&self, scheme: Scheme, talk: &mut Talk, env: &Env<'_>) -> Result<(), FailReason> {
        let mut body = Vec::with_capacity(env.certificate.der().len() + 16);
        body.vec8(|_| {});
        body.vec24(|out| {
            out.vec24(|out| out.raw(env.certificate.der()));
            out.vec16(|_| {});
        });
        talk.say(message::CERTIFICATE, body);
        let signed = signed(self.role, &self.digest(talk)?);
        let signature = env.certificate.key().sign(scheme, &signed).ok_or(FailReason::Provider)?;
        let mut body = Vec::with_capacity(signature.len() + 4);
        body.u16(scheme.number());
        body.vec16(|out| out.raw(&signature));
        talk.say(message::CERTIFICATE_VERIFY, body);
        Ok(())
    }

    fn say_finished(&self, talk: &mut Talk) -> Result<(), FailReason> {
        let finished = self.labels.finished(self.ours(&self.traffic), &self.digest(talk)?);
        talk.say(message::FINISHED, finished.ok_or(FailReason::Provider)?.expose().to_vec());
        Ok(())
    }

    /// The server's Finished is in the transcript: what comes after the handshake follows.
    fn take_master(&mut self, talk: &Talk) -> Result<(), FailReason> {
        let digest = self.digest(talk)?;
        let made = self
            .secret
            .take()
            .and_then(HandshakeSecret::master)
            .and_then(|master: MasterSecret| Some((master.traffic(&digest)?, master.exporter(&digest)?)));
        self.after = Some(made.ok_or(FailReason::Provider)?);
        Ok(())
    }

    /// Takes the next message of the peer.
    pub(super) fn on_message(
        &mut self,
        epoch: u16,
        message: &Message,
        talk: &mut Talk,
        env: &mut Env<'_>,
    ) -> Result<Progress, FailReason> {
        if epoch != HANDSHAKE {
            return Err(FailReason::Protocol);
        }
        match (self.step, message.kind) {
            (Step::Extensions, message::ENCRYPTED_EXTENSIONS) => self.on_extensions(message, env)?,
            (Step::Request, message::CERTIFICATE_REQUEST) => self.on_request(message)?,
            (Step::Request | Step::Certificate, message::CERTIFICATE) => self.on_certificate(message, env)?,
            (Step::Verify, message::CERTIFICATE_VERIFY) => self.on_verify(message, talk)?,
            (Step::Finished, message::FINISHED) => return self.on_finished(message, talk, env),
            _ => return Err(FailReason::Protocol),
        }
        talk.script.add(message);
        Ok(Progress::More)
    }

    fn on_extensions(&mut self, message: &Message, env: &Env<'_>) -> Result<(), FailReason> {
        let mut reader = Reader(&message.body);
        let extensions = Extensions::read(&mut reader).ok_or(FailReason::Protocol)?;
        reader.end().ok_or(FailReason::Protocol)?;
        self.profile = hello::read_chosen_profile(extensions, &env.config.profiles)?;
        self.step = Step::Request;
        Ok(())
    }

    fn on_request(&mut self, message: &Message) -> Result<(), FailReason> {
        let mut reader = Reader(&message.body);
        let schemes = failed(|| {
            let context = reader.vec8()?;
            let extensions = Extensions::read(&mut reader)?;
            reader.end()?;
            let schemes = extensions.get(extension::SIGNATURE_ALGORITHMS)?;
            let mut list = Reader(schemes);
            let schemes = super::codec::u16s(list.vec16()?)?.collect::<Vec<_>>();
            context.is_empty().then_some(schemes)
        })?;
        self.asked = Some(schemes);
        self.step = Step::Certificate;
        Ok(())
    }

    fn on_certificate(&mut self, message: &Message, env: &mut Env<'_>) -> Result<(), FailReason> {
        let mut reader = Reader(&message.body);
        let list = failed(|| {
            let (context, list) = (reader.vec8()?, reader.vec24()?);
            reader.end()?;
            context.is_empty().then_some(list)
        })?;
        let first = first_certificate(list)?;
        self.peer = Some(env.judge(first)?);
        self.step = Step::Verify;
        Ok(())
    }

    fn on_verify(&mut self, message: &Message, talk: &Talk) -> Result<(), FailReason> {
        let (scheme, signature) = read_verify(&message.body)?;
        let peer = self.peer.take().ok_or(FailReason::Protocol)?;
        let scheme = Scheme::from_number(scheme).filter(|scheme| scheme.is_for_13());
        let scheme = scheme.ok_or(FailReason::NoCommonParameters)?;
        let other = if self.role == Role::Client { Role::Server } else { Role::Client };
        if !peer.verify(scheme, &signed(other, &self.digest(talk)?), signature) {
            return Err(FailReason::Proof);
        }
        self.step = Step::Finished;
        Ok(())
    }

    fn on_finished(
        &mut self,
        message: &Message,
        talk: &mut Talk,
        env: &mut Env<'_>,
    ) -> Result<Progress, FailReason> {
        let expected = self.labels.finished(self.theirs(&self.traffic), &self.digest(talk)?);
        let whole = message.body.len() == self.labels.hash().len();
        if !whole || expected.ok_or(FailReason::Provider)? != Secret::new(&message.body) {
            return Err(FailReason::Proof);
        }
        talk.script.add(message);
        if self.role == Role::Client {
            self.take_master(talk)?;
            talk.begin_flight();
            if let Some(schemes) = self.asked.take() {
                let scheme = hello::choose_scheme(&schemes, Version::V13, env.certificate.kind())?;
                self.say_certificate(scheme, talk, env)?;
            }
            self.say_finished(talk)?;
        }
        let (traffic, exporter) = self.after.take().ok_or(FailReason::Protocol)?;
        self.listen(talk, APPLICATION, self.theirs(&traffic))?;
        self.protect(talk, APPLICATION, self.ours(&traffic))?;
        if self.role == Role::Server {
            talk.flight.end();
            talk.outgoing.forget_before(APPLICATION);
        }
        talk.inbox.require(APPLICATION);
        Ok(Progress::Done(Box::new(Established {
            profile: self.profile,
            cipher: self.cipher,
            exporting: Exporting::V13(exporter),
            traffic: Some(Traffic {
                labels: self.labels,
                cipher: self.cipher,
                ours: self.ours(&traffic).clone(),
                theirs: self.theirs(&traffic).clone(),
            }),
        })))
    }
}

/// What protects an epoch.
pub(super) fn keys(labels: Labels, secret: &Secret, cipher: Cipher) -> Option<TrafficKeys> {
    let keys = labels.traffic_keys(secret, cipher)?;
    Some(TrafficKeys { cipher, key: keys.key, iv: Secret::new(&keys.iv[..]), number: Some(keys.sn) })
}

/// What a CertificateVerify signs (RFC 8446, section 4.4.3).
fn signed(role: Role, digest: &Digest) -> Vec<u8> {
    let name: &[u8] = match role {
        Role::Client => b"TLS 1.3, client CertificateVerify",
        Role::Server => b"TLS 1.3, server CertificateVerify",
    };
    [&[0x20; 64][..], name, &[0], digest.as_ref()].concat()
}
