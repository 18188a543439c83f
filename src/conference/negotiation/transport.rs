//! The transport a description speaks of: one for all sections, and what may change about it.

use super::session::{Credentials, DtlsRole, RemoteTransport};
use super::{NegotiationError, Section};
use crate::session::sped::OPTIONS;
use crate::wire::mux::Protocol;
use crate::wire::sdp::{Description, Fingerprint, Media, Setup};

/// A transport as just described, and what is new about it.
pub(super) struct Change {
    pub(super) remote: RemoteTransport,
    /// The participant's credentials differ from before: an ICE restart (RFC 8445, section 2.4).
    pub(super) ice_restarted: bool,
    /// Its certificate differs from before: a new DTLS association (RFC 8842, section 3).
    pub(super) dtls_restarted: bool,
}

/// Reads the transport of the bundle: that of the first accepted section, which the answer's group
/// begins with; what it leaves out stands in the section the participant's group begins with
/// (RFC 9143, section 7). `None` if no section is accepted.
pub(super) fn of_description(
    description: &Description,
    sections: &[Section],
    before: Option<&RemoteTransport>,
    is_offer: bool,
) -> Result<Option<Change>, NegotiationError> {
    let mut pairs = description.media.iter().zip(sections);
    let Some((media, _)) = pairs.find(|(_, section)| section.is_accepted()) else {
        return Ok(None);
    };
    let first = description.bundle.first();
    let tagged = description.media.iter().find(|m| first.is_some() && m.mid.as_ref() == first);
    let (own, fallback) = (&media.transport, &tagged.unwrap_or(media).transport);
    let line = media.line;
    let missing = |what| NegotiationError::Missing { line, what };

    let ufrag = own.ufrag.as_ref().or(fallback.ufrag.as_ref());
    let ufrag = ufrag.ok_or(missing("ICE user fragment"))?.clone();
    let pwd = own.pwd.as_ref().or(fallback.pwd.as_ref());
    let pwd = pwd.ok_or(missing("ICE password"))?.clone();
    if pwd.as_str().len() < 22 {
        return Err(NegotiationError::Weak { line, what: "ICE password" });
    }
    let credentials = Credentials { ufrag, pwd };
    let fingerprints = match own.fingerprints.as_slice() {
        [] => fallback.fingerprints.as_slice(),
        given => given,
    };
    let fingerprints = strong(fingerprints, line)?;
    let setup = own.setup.or(fallback.setup).ok_or(missing("DTLS setup role"))?;

    let ice_restarted = restarted(before, &credentials, line)?;
    let dtls_restarted = before.is_some_and(|b| !same(&b.fingerprints, &fingerprints));
    if dtls_restarted && !ice_restarted {
        return Err(NegotiationError::Restart { line, what: "certificate fingerprint" });
    }
    if before.is_some_and(|b| b.ice_lite != description.ice_lite) && !ice_restarted {
        // Roles and checks of a generation go by it (RFC 8445, section 6.1.1).
        return Err(NegotiationError::Restart { line, what: "ICE implementation" });
    }
    let kept = before.map(|b| b.role).filter(|_| !dtls_restarted);
    let candidates = match own.candidates.as_slice() {
        [] => fallback.candidates.as_slice(),
        given => given,
    };
    let options = match own.ice_options.as_slice() {
        [] => fallback.ice_options.as_slice(),
        given => given,
    };
    let usable = candidates.iter().filter(|c| c.component == 1 && c.protocol == Protocol::Udp);
    Ok(Some(Change {
        remote: RemoteTransport {
            credentials,
            fingerprints,
            role: role(setup, kept, is_offer, line)?,
            candidates: usable.cloned().collect(),
            ice_lite: description.ice_lite,
            sped: OPTIONS.into_iter().filter(|option| options.iter().any(|one| one == option)).collect(),
        },
        ice_restarted,
        dtls_restarted,
    }))
}

/// Whether a section can be part of our one transport: in the bundle, or the only one without any.
pub(super) fn bundled(description: &Description, media: &Media, alone: bool) -> bool {
    if description.bundle.is_empty() {
        return alone;
    }
    media.mid.as_ref().is_some_and(|mid| description.bundle.contains(mid))
}

/// The fingerprints in hash functions that are still safe and known here (RFC 8122, section 5).
fn strong(given: &[Fingerprint], line: usize) -> Result<Vec<Fingerprint>, NegotiationError> {
    let known = |f: &&Fingerprint| {
        matches!((f.algorithm.as_str(), f.bytes.len()), ("sha-256", 32) | ("sha-384", 48) | ("sha-512", 64))
    };
    let mut strong: Vec<Fingerprint> = given.iter().filter(known).cloned().collect();
    strong.shrink_to_fit();
    let what = "certificate fingerprint";
    match (given.is_empty(), strong.is_empty()) {
        (true, _) => Err(NegotiationError::Missing { line, what }),
        (false, true) => Err(NegotiationError::Weak { line, what }),
        (false, false) => Ok(strong),
    }
}

/// A restart changes user fragment and password, both (RFC 8839, section 4.4.1.1.1).
fn restarted(
    before: Option<&RemoteTransport>,
    now: &Credentials,
    line: usize,
) -> Result<bool, NegotiationError> {
    let Some(before) = before.map(|before| &before.credentials) else {
        return Ok(false);
    };
    match (before.ufrag == now.ufrag, before.pwd == now.pwd) {
        (true, true) => Ok(false),
        (false, false) => Ok(true),
        _ => Err(NegotiationError::Restart { line, what: "ICE credentials" }),
    }
}

/// Our role against the participant's word (RFC 8842, section 5). As the server we choose the SRTP
/// profile, so the choice is taken whenever it is left to us.
fn role(
    setup: Setup,
    kept: Option<DtlsRole>,
    is_offer: bool,
    line: usize,
) -> Result<DtlsRole, NegotiationError> {
    let role = match setup {
        Setup::Active => DtlsRole::Server,
        Setup::Passive => DtlsRole::Client,
        Setup::ActPass if is_offer => kept.unwrap_or(DtlsRole::Server),
        Setup::ActPass | Setup::HoldConn => {
            let what = "DTLS setup role";
            return Err(NegotiationError::Missing { line, what });
        }
    };
    if kept.is_some_and(|kept| kept != role) {
        return Err(NegotiationError::Restart { line, what: "DTLS setup role" });
    }
    Ok(role)
}

fn same(a: &[Fingerprint], b: &[Fingerprint]) -> bool {
    a.len() == b.len() && a.iter().all(|fingerprint| b.contains(fingerprint))
}
