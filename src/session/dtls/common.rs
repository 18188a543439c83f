//! What the handshakes of both versions are told and what they give, and the messages that they read alike.

use super::certificate::Certificate;
use super::codec::Reader;
use super::config::{Config, Version};
use super::fingerprint::Fingerprint;
use super::outcome::FailReason;
use super::schedule::{Exporter, Labels};
use super::schedule12::Master;
use super::x509;
use crate::base::limits;
use crate::crypto::exchange::Draws;
use crate::crypto::record::Cipher;
use crate::crypto::secret::Secret;
use crate::crypto::signing::PublicKey;

/// What a handshake is told from outside.
pub(super) struct Env<'a> {
    pub(super) config: &'a Config,
    pub(super) certificate: &'a Certificate,
    /// Of the peer.
    pub(super) expected: &'a [Fingerprint],
    pub(super) draws: &'a mut Draws,
}

impl Env<'_> {
    /// The key of the peer's certificate, if it is one that is expected (RFC 8122, section 6.2).
    pub(super) fn judge(&self, der: Option<&[u8]>) -> Result<PublicKey, FailReason> {
        let der = match der {
            Some(der) if !der.is_empty() => der,
            // It has one, of a kind that it was not asked for.
            _ if !self.expected.is_empty() => return Err(FailReason::UnsupportedCertificate),
            _ => return Err(FailReason::NoCertificate),
        };
        if der.len() > limits::DTLS_MESSAGE {
            return Err(FailReason::UnsupportedCertificate);
        }
        if !Fingerprint::any_matches(self.expected, der) {
            return Err(FailReason::Fingerprint);
        }
        x509::public_key(der).map_err(|_| FailReason::UnsupportedCertificate)
    }
}

/// 32 random bytes.
pub(super) fn entropy(env: &mut Env<'_>) -> Result<[u8; 32], FailReason> {
    let mut random = [0; 32];
    env.draws.fill(&mut random).ok_or(FailReason::Provider)?;
    Ok(random)
}

/// What cannot be read breaks the protocol.
pub(super) fn failed<T>(read: impl FnOnce() -> Option<T>) -> Result<T, FailReason> {
    read().ok_or(FailReason::Protocol)
}

/// What a message led to.
pub(super) enum Progress {
    /// There is more to come.
    More,
    /// Both have proved who they are.
    Done(Box<Established>),
}

/// What is left of a handshake.
pub(super) struct Established {
    /// The SRTP profile's number.
    pub(super) profile: u16,
    pub(super) cipher: Cipher,
    pub(super) exporting: Exporting,
    /// Of 1.3: what keys are renewed from.
    pub(super) traffic: Option<Traffic>,
}

/// What exports keying material.
pub(super) enum Exporting {
    V12(Master),
    V13(Exporter),
}

impl Exporting {
    pub(super) fn export(&self, label: &str, context: Option<&[u8]>, len: usize) -> Option<Secret> {
        match self {
            Exporting::V12(master) => master.export(label, context, len),
            Exporting::V13(exporter) => exporter.export(label, context.unwrap_or_default(), len),
        }
    }

    pub(super) fn version(&self) -> Version {
        match self {
            Exporting::V12(_) => Version::V12,
            Exporting::V13(_) => Version::V13,
        }
    }
}

/// The traffic secrets of the newest epochs.
pub(super) struct Traffic {
    pub(super) labels: Labels,
    pub(super) cipher: Cipher,
    pub(super) ours: Secret,
    pub(super) theirs: Secret,
}

/// A CertificateVerify: the scheme's number and the signature.
pub(super) fn read_verify(body: &[u8]) -> Result<(u16, &[u8]), FailReason> {
    let mut reader = Reader(body);
    failed(|| {
        let read = (reader.u16()?, reader.vec16()?);
        reader.end()?;
        Some(read)
    })
}

/// The first certificate of a list: the peer's own, as no chain is built (RFC 8122, section 6.2).
pub(super) fn first_certificate(list: &[u8]) -> Result<Option<&[u8]>, FailReason> {
    if list.is_empty() { Ok(None) } else { failed(|| Reader(list).vec24()).map(Some) }
}
