//! Hellos and their extensions, and what follows from two of them (RFC 8446, section 4; RFC 5246, section 7.4.1).

use super::codec::{Reader, Write as _, u16s};
use super::config::{Config, Version, Versions};
use super::outcome::FailReason;
use crate::base::limits;
use crate::crypto::exchange::Group;
use crate::crypto::keying::Hash;
use crate::crypto::record::Cipher;
use crate::crypto::signing::{KeyKind, Scheme};
use smallvec::SmallVec;

/// What versions are called on the wire.
pub(super) const V12: u16 = 0xfefd;
pub(super) const V13: u16 = 0xfefc;

/// A ServerHello with this instead of a random number is a HelloRetryRequest: SHA-256 of that name (RFC 8446, section
/// 4.1.3).
pub(super) const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];
/// The end of a random number by which a server that speaks 1.3 says that it was not asked for it (RFC 8446, section
/// 4.1.3).
pub(super) const DOWNGRADE: [u8; 8] = *b"DOWNGRD\x01";

pub(super) mod extension {
    pub(crate) const SUPPORTED_GROUPS: u16 = 10;
    pub(crate) const EC_POINT_FORMATS: u16 = 11;
    pub(crate) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(crate) const USE_SRTP: u16 = 14;
    pub(crate) const EXTENDED_MASTER_SECRET: u16 = 23;
    pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
    pub(crate) const COOKIE: u16 = 44;
    pub(crate) const KEY_SHARE: u16 = 51;
    pub(crate) const RENEGOTIATION_INFO: u16 = 0xff01;
}
use extension as ext;

/// A cipher suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suite {
    pub(super) number: u16,
    pub(super) cipher: Cipher,
    pub(super) hash: Hash,
    /// Under 1.2 whether the server's key is RSA.
    rsa: bool,
}

impl Suite {
    /// Under 1.2 whether the server's key is RSA.
    pub(super) fn is_rsa(self) -> bool {
        self.rsa
    }
}

const fn suite(number: u16, cipher: Cipher, rsa: bool) -> Suite {
    let hash = match cipher {
        Cipher::Aes256Gcm => Hash::Sha384,
        Cipher::Aes128Gcm | Cipher::ChaCha20Poly1305 => Hash::Sha256,
    };
    Suite { number, cipher, hash, rsa }
}

/// By our preference (RFC 8446, appendix B.4).
pub(super) const SUITES_13: [Suite; 3] = [
    suite(0x1301, Cipher::Aes128Gcm, false),
    suite(0x1302, Cipher::Aes256Gcm, false),
    suite(0x1303, Cipher::ChaCha20Poly1305, false),
];
/// By our preference (RFC 5289, RFC 7905).
pub(super) const SUITES_12: [Suite; 6] = [
    suite(0xc02b, Cipher::Aes128Gcm, false),
    suite(0xc02f, Cipher::Aes128Gcm, true),
    suite(0xc02c, Cipher::Aes256Gcm, false),
    suite(0xc030, Cipher::Aes256Gcm, true),
    suite(0xcca9, Cipher::ChaCha20Poly1305, false),
    suite(0xcca8, Cipher::ChaCha20Poly1305, true),
];

/// Not a suite: the client knows RFC 5746.
const RENEGOTIATION_SCSV: u16 = 0x00ff;

/// Extensions that are well formed, none of them twice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    /// Reads the rest of a message, which may have none.
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        if reader.0.is_empty() {
            return Some(Extensions(&[]));
        }
        let list = reader.vec16()?;
        let mut seen: SmallVec<[u16; 24]> = SmallVec::new();
        let mut rest = Reader(list);
        while !rest.0.is_empty() {
            let kind = rest.u16()?;
            rest.vec16()?;
            if seen.contains(&kind) || seen.len() >= limits::DTLS_EXTENSIONS {
                return None;
            }
            seen.push(kind);
        }
        Some(Extensions(list))
    }

    pub(super) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = Reader(self.0);
        std::iter::from_fn(move || Some((rest.u16()?, rest.vec16()?)))
    }

    pub(super) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(known, _)| *known == kind).map(|(_, body)| body)
    }

    /// An extension that is one list of numbers of 16 bits: none if it is not there.
    fn u16s(self, kind: u16) -> Option<SmallVec<[u16; 16]>> {
        let Some(body) = self.get(kind) else { return Some(SmallVec::new()) };
        let mut reader = Reader(body);
        let list = reader.vec16()?;
        reader.end()?;
        Some(u16s(list)?.collect())
    }
}

/// A ClientHello.
#[derive(Debug, Clone)]
pub(super) struct ClientHello<'a> {
    pub(super) random: &'a [u8; 32],
    /// Without a cookie of 1.2, and without compression even as a choice.
    plain: bool,
    version: u16,
    suites: SmallVec<[u16; 32]>,
    extensions: Extensions<'a>,
    versions: SmallVec<[u16; 4]>,
    groups: SmallVec<[u16; 16]>,
    pub(super) schemes: SmallVec<[u16; 16]>,
    profiles: SmallVec<[u16; 16]>,
}

impl<'a> ClientHello<'a> {
    /// `None` if it is malformed.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let (version, random) = (reader.u16()?, reader.array()?);
        let (session, cookie) = (reader.vec8()?, reader.vec8()?);
        let suites = u16s(reader.vec16()?)?.collect();
        let compressions = reader.vec8()?;
        let extensions = Extensions::read(&mut reader)?;
        reader.end()?;
        if session.len() > 32 || !compressions.contains(&0) {
            return None;
        }
        let plain = cookie.is_empty() && compressions == [0];
        let versions = match extensions.get(ext::SUPPORTED_VERSIONS) {
            Some(body) => {
                let mut reader = Reader(body);
                let list = reader.vec8()?;
                reader.end()?;
                u16s(list)?.collect()
            }
            None => SmallVec::new(),
        };
        let groups = extensions.u16s(ext::SUPPORTED_GROUPS)?;
        let schemes = extensions.u16s(ext::SIGNATURE_ALGORITHMS)?;
        let profiles = match extensions.get(ext::USE_SRTP) {
            Some(body) => read_use_srtp(body)?,
            None => SmallVec::new(),
        };
        Some(ClientHello { random, plain, version, suites, extensions, versions, groups, schemes, profiles })
    }

    /// The highest version that both speak.
    pub(super) fn choose_version(&self, ours: Versions) -> Result<Version, FailReason> {
        let offers_13 = self.versions.contains(&V13);
        // Versions of DTLS count down; a list of versions counts before the old field (RFC 8446, section 4.2.1).
        let offers_12 = if self.versions.is_empty() {
            self.version <= V12 && self.version >> 8 == 0xfe
        } else {
            self.versions.contains(&V12)
        };
        match ours {
            Versions::V13 | Versions::Auto if offers_13 => Ok(Version::V13),
            Versions::V12 | Versions::Auto if offers_12 => Ok(Version::V12),
            _ => Err(FailReason::Version),
        }
    }

    /// The first suite of ours that is offered and that our key can be used with.
    pub(super) fn choose_suite(&self, version: Version, key: KeyKind) -> Result<Suite, FailReason> {
        let ours: &[Suite] = match version {
            Version::V13 => &SUITES_13,
            Version::V12 => &SUITES_12,
        };
        let rsa = key == KeyKind::Rsa;
        let fits = |suite: &&Suite| version == Version::V13 || suite.rsa == rsa;
        let chosen = ours.iter().filter(fits).find(|suite| self.suites.contains(&suite.number));
        chosen.copied().ok_or(FailReason::NoCommonParameters)
    }

    /// The first group of ours that is offered.
    pub(super) fn choose_group(&self, ours: &[Group]) -> Result<Group, FailReason> {
        // A client that names none takes P-256 at least (RFC 8422, section 4).
        if self.groups.is_empty() && ours.contains(&Group::P256) {
            return Ok(Group::P256);
        }
        let chosen = ours.iter().find(|group| self.groups.contains(&group.number()));
        chosen.copied().ok_or(FailReason::NoCommonParameters)
    }

    /// The client's share of a group (RFC 8446, section 4.2.8).
    pub(super) fn share(&self, group: Group) -> Result<Option<&'a [u8]>, FailReason> {
        let list = self.extensions.get(ext::KEY_SHARE).ok_or(FailReason::NoCommonParameters)?;
        let find = || {
            let mut reader = Reader(list);
            let mut shares = Reader(reader.vec16()?);
            reader.end()?;
            let mut found = None;
            while !shares.0.is_empty() {
                let (number, share) = (shares.u16()?, shares.vec16()?);
                if number == group.number() && found.is_none() {
                    found = Some(share);
                }
            }
            Some(found)
        };
        find().ok_or(FailReason::Protocol)
    }

    /// A scheme that the client verifies and that our key can sign with.
    pub(super) fn choose_scheme(&self, version: Version, key: KeyKind) -> Result<Scheme, FailReason> {
        choose_scheme(&self.schemes, version, key)
    }

    /// The first profile of ours that is offered (RFC 5764, section 4.1.1).
    pub(super) fn choose_profile(&self, ours: &[u16]) -> Result<u16, FailReason> {
        let chosen = ours.iter().find(|profile| self.profiles.contains(profile));
        chosen.copied().ok_or(FailReason::NoSrtp)
    }

    pub(super) fn has_extended_master_secret(&self) -> bool {
        self.extensions.get(ext::EXTENDED_MASTER_SECRET).is_some_and(<[u8]>::is_empty)
    }

    /// Whether it knows RFC 5746, and begins no renegotiation.
    pub(super) fn knows_renegotiation(&self) -> Result<bool, FailReason> {
        match self.extensions.get(ext::RENEGOTIATION_INFO) {
            Some([0]) => Ok(true),
            Some(_) => Err(FailReason::Renegotiation),
            None => Ok(self.suites.contains(&RENEGOTIATION_SCSV)),
        }
    }

    pub(super) fn has_point_formats(&self) -> bool {
        self.extensions.get(ext::EC_POINT_FORMATS).is_some()
    }

    /// Whether what 1.3 has no use for is as 1.3 wants it (RFC 8446, section 4.1.2; RFC 9147, section 5.3).
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }
}

/// The first scheme of ours that a peer with `theirs` verifies and a key signs.
pub(super) fn choose_scheme(theirs: &[u16], version: Version, key: KeyKind) -> Result<Scheme, FailReason> {
    let serves = |scheme: &Scheme| scheme.fits(key) && (version == Version::V12 || scheme.is_for_13());
    let chosen =
        Scheme::ALL.iter().filter(|scheme| serves(scheme)).find(|scheme| theirs.contains(&scheme.number()));
    chosen.copied().ok_or(FailReason::NoCommonParameters)
}

/// The profiles of a use_srtp; `None` if it is malformed. With an MKI none counts (RFC 8827, section 6.5).
fn read_use_srtp(body: &[u8]) -> Option<SmallVec<[u16; 16]>> {
    let mut reader = Reader(body);
    let profiles = u16s(reader.vec16()?)?.collect();
    let identifier = reader.vec8()?;
    reader.end()?;
    Some(if identifier.is_empty() { profiles } else { SmallVec::new() })
}

/// The profile that a server's use_srtp has chosen, if we have offered it.
pub(super) fn read_chosen_profile(extensions: Extensions<'_>, ours: &[u16]) -> Result<u16, FailReason> {
    let body = extensions.get(ext::USE_SRTP).ok_or(FailReason::NoSrtp)?;
    let profiles = read_use_srtp(body).ok_or(FailReason::Protocol)?;
    match profiles[..] {
        [profile] if ours.contains(&profile) => Ok(profile),
        _ => Err(FailReason::NoSrtp),
    }
}

fn write_extension(out: &mut Vec<u8>, kind: u16, write: impl FnOnce(&mut Vec<u8>)) {
    out.u16(kind);
    out.vec16(write);
}

/// A server's use_srtp.
pub(super) fn write_profile(out: &mut Vec<u8>, profile: u16) {
    write_use_srtp(out, &[profile]);
}

fn write_use_srtp(out: &mut Vec<u8>, profiles: &[u16]) {
    write_extension(out, ext::USE_SRTP, |out| {
        out.vec16(|out| profiles.iter().for_each(|profile| out.u16(*profile)));
        out.u8(0);
    });
}

/// The schemes that we verify, as an extension.
pub(super) fn write_schemes(out: &mut Vec<u8>) {
    write_extension(out, ext::SIGNATURE_ALGORITHMS, |out| {
        out.vec16(|out| write_scheme_numbers(out, Version::V12))
    });
}

/// The schemes that we verify under a version.
pub(super) fn write_scheme_numbers(out: &mut Vec<u8>, version: Version) {
    let ours = Scheme::ALL.iter().filter(|scheme| version == Version::V12 || scheme.is_for_13());
    ours.for_each(|scheme| out.u16(scheme.number()));
}

/// What our ClientHello says that is not the configuration's.
pub(super) struct Opening<'a> {
    pub(super) random: &'a [u8; 32],
    /// Of a HelloVerifyRequest.
    pub(super) cookie_12: &'a [u8],
    /// Of a HelloRetryRequest.
    pub(super) cookie_13: &'a [u8],
    /// Shares and their groups' numbers.
    pub(super) shares: &'a [(Group, &'a [u8])],
}

/// The body of our ClientHello.
pub(super) fn write_client_hello(config: &Config, opening: &Opening<'_>) -> Vec<u8> {
    let (with_13, with_12) = (config.versions != Versions::V12, config.versions != Versions::V13);
    let mut out = Vec::with_capacity(1_600);
    out.u16(V12);
    out.raw(opening.random);
    out.vec8(|_| {});
    out.vec8(|out| out.raw(opening.cookie_12));
    out.vec16(|out| {
        let suites = SUITES_13.iter().filter(|_| with_13).chain(SUITES_12.iter().filter(|_| with_12));
        suites.for_each(|suite| out.u16(suite.number));
    });
    out.vec8(|out| out.u8(0));
    out.vec16(|out| {
        if with_13 {
            write_extension(out, ext::SUPPORTED_VERSIONS, |out| {
                out.vec8(|out| {
                    out.u16(V13);
                    if with_12 {
                        out.u16(V12);
                    }
                });
            });
            // Before the large share, so that the first piece has it: a server may keep nothing until it has seen it.
            if !opening.cookie_13.is_empty() {
                write_extension(out, ext::COOKIE, |out| out.vec16(|out| out.raw(opening.cookie_13)));
            }
            write_extension(out, ext::KEY_SHARE, |out| {
                out.vec16(|out| {
                    for (group, share) in opening.shares {
                        out.u16(group.number());
                        out.vec16(|out| out.raw(share));
                    }
                });
            });
        }
        if with_12 {
            write_extension(out, ext::EXTENDED_MASTER_SECRET, |_| {});
            write_extension(out, ext::RENEGOTIATION_INFO, |out| out.u8(0));
            write_extension(out, ext::EC_POINT_FORMATS, |out| out.vec8(|out| out.u8(0)));
        }
        write_extension(out, ext::SUPPORTED_GROUPS, |out| {
            let groups = config.groups.iter().filter(|group| with_13 || !group.is_for_13());
            out.vec16(|out| groups.for_each(|group| out.u16(group.number())));
        });
        write_schemes(out);
        write_use_srtp(out, &config.profiles);
    });
    out
}

/// A ServerHello, or a HelloRetryRequest.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerHello<'a> {
    pub(super) random: &'a [u8; 32],
    pub(super) version: Version,
    suite: u16,
    pub(super) extensions: Extensions<'a>,
}

impl<'a> ServerHello<'a> {
    /// # Errors
    /// [`FailReason::Protocol`] if it is malformed, [`FailReason::Version`] of another version.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, FailReason> {
        let mut reader = Reader(body);
        let mut read = || {
            let (version, random, session) = (reader.u16()?, reader.array()?, reader.vec8()?);
            let (suite, compression) = (reader.u16()?, reader.u8()?);
            let extensions = Extensions::read(&mut reader)?;
            reader.end()?;
            (compression == 0).then_some((version, random, session, suite, extensions))
        };
        let (old, random, session, suite, extensions) = read().ok_or(FailReason::Protocol)?;
        let version = match extensions.get(ext::SUPPORTED_VERSIONS) {
            // The session that it repeats is ours, which has no name (RFC 8446, section 4.1.3).
            Some(version) if *version == V13.to_be_bytes() && !session.is_empty() => {
                return Err(FailReason::Protocol);
            }
            Some(version) if *version == V13.to_be_bytes() => Version::V13,
            Some(_) => return Err(FailReason::Version),
            None if old == V12 => Version::V12,
            None => return Err(FailReason::Version),
        };
        Ok(ServerHello { random, version, suite, extensions })
    }

    pub(super) fn is_retry(&self) -> bool {
        *self.random == RETRY
    }

    /// The suite, which must be one of ours for the version.
    pub(super) fn suite(&self) -> Result<Suite, FailReason> {
        let ours: &[Suite] = if self.version == Version::V13 { &SUITES_13 } else { &SUITES_12 };
        ours.iter().find(|suite| suite.number == self.suite).copied().ok_or(FailReason::Protocol)
    }

    /// The server's share.
    pub(super) fn share(&self) -> Option<(u16, &'a [u8])> {
        let mut reader = Reader(self.extensions.get(ext::KEY_SHARE)?);
        let share = (reader.u16()?, reader.vec16()?);
        reader.end()?;
        Some(share)
    }

    /// The group that a HelloRetryRequest asks for.
    pub(super) fn asked_group(&self) -> Option<Group> {
        let [high, low] = self.extensions.get(ext::KEY_SHARE)? else { return None };
        Group::from_number(u16::from_be_bytes([*high, *low]))
    }

    pub(super) fn cookie(&self) -> Option<&'a [u8]> {
        let mut reader = Reader(self.extensions.get(ext::COOKIE)?);
        reader.vec16()
    }

    pub(super) fn has_extended_master_secret(&self) -> bool {
        self.extensions.get(ext::EXTENDED_MASTER_SECRET).is_some_and(<[u8]>::is_empty)
    }
}

/// The body of a ServerHello around its extensions.
pub(super) fn write_server_hello(
    random: &[u8; 32],
    session: &[u8],
    suite: Suite,
    extensions: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_400);
    out.u16(V12);
    out.raw(random);
    out.vec8(|out| out.raw(session));
    out.u16(suite.number);
    out.u8(0);
    out.vec16(extensions);
    out
}

/// Our version and our share, or the group that is asked for.
pub(super) fn write_choice_13(out: &mut Vec<u8>, group: Group, share: Option<&[u8]>) {
    write_extension(out, ext::SUPPORTED_VERSIONS, |out| out.u16(V13));
    write_extension(out, ext::KEY_SHARE, |out| {
        out.u16(group.number());
        if let Some(share) = share {
            out.vec16(|out| out.raw(share));
        }
    });
}

/// What a server of 1.2 says.
pub(super) fn write_choice_12(out: &mut Vec<u8>, hello: &ClientHello<'_>, profile: u16, renegotiation: bool) {
    write_extension(out, ext::EXTENDED_MASTER_SECRET, |_| {});
    if renegotiation {
        write_extension(out, ext::RENEGOTIATION_INFO, |out| out.u8(0));
    }
    if hello.has_point_formats() {
        write_extension(out, ext::EC_POINT_FORMATS, |out| out.vec8(|out| out.u8(0)));
    }
    write_profile(out, profile);
}
