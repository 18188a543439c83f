//! A handshake from its first message to its end: the hellos, and then one of two versions.

use super::common::{Env, Progress, entropy, failed};
use super::config::{Version, Versions};
use super::hello::{self, ClientHello, Opening, ServerHello, Suite};
use super::message::{self, Message};
use super::outcome::FailReason;
use super::talk::Talk;
use super::v12::{self, V12};
use super::v13::{self, V13};
use crate::crypto::exchange::{Group, KeyPair};

/// Where a handshake stands.
pub(super) enum Handshake {
    /// A server that waits for a ClientHello; it may have asked for another one, with a suite.
    Waiting {
        retried: Option<Suite>,
    },
    /// A client that has sent one.
    Greeted(Box<Greeted>),
    V12(Box<V12>),
    V13(Box<V13>),
}

/// What a client keeps of its ClientHello.
pub(super) struct Greeted {
    random: [u8; 32],
    /// One for each share.
    pairs: Vec<KeyPair>,
    cookie_12: Vec<u8>,
    /// The suite of a HelloRetryRequest that it was answered with.
    retried: Option<Suite>,
    /// It was answered with a HelloVerifyRequest.
    verified: bool,
}

impl Handshake {
    /// A server's.
    pub(super) fn server() -> Self {
        Handshake::Waiting { retried: None }
    }

    /// A client's, which speaks first.
    pub(super) fn client(talk: &mut Talk, env: &mut Env<'_>) -> Result<Self, FailReason> {
        let mut greeted = Greeted {
            random: entropy(env)?,
            pairs: Vec::new(),
            cookie_12: Vec::new(),
            retried: None,
            verified: false,
        };
        if env.config.versions != Versions::V12 {
            // The best group, and one that everybody has if that is not.
            let best = env.config.groups.first().copied();
            let usual = env.config.groups.iter().copied().find(|group| *group != Group::X25519MlKem768);
            let usual = usual.filter(|_| best == Some(Group::X25519MlKem768));
            for group in best.into_iter().chain(usual) {
                greeted.pairs.push(KeyPair::generate(group, env.draws).ok_or(FailReason::Provider)?);
            }
        }
        greeted.say(&[], talk, env);
        Ok(Handshake::Greeted(Box::new(greeted)))
    }

    /// The version, once it is settled.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Handshake::Waiting { .. } | Handshake::Greeted(_) => None,
            Handshake::V12(_) => Some(Version::V12),
            Handshake::V13(_) => Some(Version::V13),
        }
    }

    /// Takes the next message of the peer, which came in `epoch`.
    pub(super) fn on_message(
        &mut self,
        epoch: u16,
        message: &Message,
        talk: &mut Talk,
        env: &mut Env<'_>,
    ) -> Result<Progress, FailReason> {
        match self {
            Handshake::V12(handshake) => handshake.on_message(epoch, message, talk, env),
            Handshake::V13(handshake) => handshake.on_message(epoch, message, talk, env),
            _ if epoch != 0 => Err(FailReason::Protocol),
            Handshake::Waiting { retried } => {
                let next = on_client_hello(*retried, message, talk, env)?;
                *self = next;
                Ok(Progress::More)
            }
            Handshake::Greeted(greeted) => {
                if let Some(next) = greeted.on_message(message, talk, env)? {
                    *self = next;
                }
                Ok(Progress::More)
            }
        }
    }
}

fn on_client_hello(
    retried: Option<Suite>,
    message: &Message,
    talk: &mut Talk,
    env: &mut Env<'_>,
) -> Result<Handshake, FailReason> {
    if message.kind != message::CLIENT_HELLO {
        return Err(FailReason::Protocol);
    }
    let hello = ClientHello::read(&message.body).ok_or(FailReason::Protocol)?;
    match hello.choose_version(env.config.versions)? {
        Version::V12 if retried.is_some() => Err(FailReason::Protocol),
        Version::V12 => Ok(Handshake::V12(Box::new(v12::answer(&hello, message, talk, env)?))),
        Version::V13 => match v13::answer(&hello, message, retried, talk, env)? {
            v13::Answer::Handshake(handshake) => Ok(Handshake::V13(handshake)),
            v13::Answer::Retry(suite) => Ok(Handshake::Waiting { retried: Some(suite) }),
        },
    }
}

impl Greeted {
    /// Says ClientHello, or says it again with what was asked for.
    fn say(&mut self, cookie_13: &[u8], talk: &mut Talk, env: &Env<'_>) {
        let shares: Vec<_> = self.pairs.iter().map(|pair| (pair.group(), pair.share())).collect();
        let opening =
            Opening { random: &self.random, cookie_12: &self.cookie_12, cookie_13, shares: &shares };
        let body = hello::write_client_hello(env.config, &opening);
        talk.begin_flight();
        talk.say(message::CLIENT_HELLO, body);
    }

    fn on_message(
        &mut self,
        message: &Message,
        talk: &mut Talk,
        env: &mut Env<'_>,
    ) -> Result<Option<Handshake>, FailReason> {
        match message.kind {
            // Of 1.3 it is no part, and there is no place for its cookie (RFC 9147, section 5.3).
            message::HELLO_VERIFY_REQUEST
                if !self.verified && self.retried.is_none() && env.config.versions != Versions::V13 =>
            {
                self.on_verify_request(message, talk, env)?;
                Ok(None)
            }
            message::SERVER_HELLO => self.on_server_hello(message, talk, env),
            _ => Err(FailReason::Protocol),
        }
    }

    /// The same once more with a cookie; neither is part of the transcript (RFC 6347, section 4.2.1).
    fn on_verify_request(
        &mut self,
        message: &Message,
        talk: &mut Talk,
        env: &Env<'_>,
    ) -> Result<(), FailReason> {
        let mut reader = super::codec::Reader(&message.body);
        let cookie = failed(|| {
            reader.u16()?;
            let cookie = reader.vec8()?;
            reader.end()?;
            Some(cookie)
        })?;
        self.cookie_12 = cookie.to_vec();
        self.verified = true;
        talk.script.restart();
        self.say(&[], talk, env);
        Ok(())
    }

    fn on_server_hello(
        &mut self,
        message: &Message,
        talk: &mut Talk,
        env: &mut Env<'_>,
    ) -> Result<Option<Handshake>, FailReason> {
        let hello = ServerHello::read(&message.body)?;
        match (hello.version, env.config.versions) {
            (Version::V12, Versions::V12 | Versions::Auto) if self.retried.is_none() => {
                let handshake = v12::take_server_hello(&hello, message, self.random, talk, env)?;
                Ok(Some(Handshake::V12(Box::new(handshake))))
            }
            (Version::V13, Versions::V13 | Versions::Auto) if hello.is_retry() => {
                self.on_retry(&hello, message, talk, env)?;
                Ok(None)
            }
            (Version::V13, Versions::V13 | Versions::Auto) => {
                let suite = hello.suite()?;
                if self.retried.is_some_and(|asked| asked != suite) {
                    return Err(FailReason::Protocol); // RFC 8446, section 4.1.4
                }
                let handshake = v13::take_server_hello(&hello, message, &self.pairs, talk)?;
                Ok(Some(Handshake::V13(Box::new(handshake))))
            }
            _ => Err(FailReason::Version),
        }
    }

    fn on_retry(
        &mut self,
        hello: &ServerHello<'_>,
        message: &Message,
        talk: &mut Talk,
        env: &mut Env<'_>,
    ) -> Result<(), FailReason> {
        let first = talk.script.hellos().first().cloned().filter(|_| self.retried.is_none());
        let first = first.ok_or(FailReason::Protocol)?;
        let (group, cookie) = v13::take_retry(hello, &first, message, talk)?;
        if let Some(group) = group {
            let is_new = self.pairs.iter().all(|pair| pair.group() != group);
            if !is_new || !env.config.groups.contains(&group) {
                return Err(FailReason::Protocol);
            }
            self.pairs = vec![KeyPair::generate(group, env.draws).ok_or(FailReason::Provider)?];
        }
        self.retried = Some(hello.suite()?);
        self.say(&cookie, talk, env);
        Ok(())
    }
}
