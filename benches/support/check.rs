//! A connectivity check and its answer, as each implementation does it.

use estafette::stun::{BINDING, Class, Message, TransactionId, Writer};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use std::net::SocketAddr;

/// Passwords of both sides.
const OURS: &str = "VOkJxbRl1RmTxUk/WvJxBtab";
const USERNAME: &str = "00a1bcdefghijklm:h6vY";

/// What one side keeps of a peer: keyed states, each a pair of blocks hashed before.
pub(crate) struct Keys {
    hmac: Hmac<Sha1>,
    theirs: stun_types::message::IntegrityKey,
}

impl Default for Keys {
    fn default() -> Self {
        let credentials = stun_types::message::ShortTermCredentials::new(OURS.into());
        Keys {
            hmac: Hmac::new_from_slice(OURS.as_bytes()).expect("HMAC takes keys of any length"),
            theirs: credentials.make_key(),
        }
    }
}

impl Keys {
    fn tag(&self, pieces: &[&[u8]]) -> [u8; 20] {
        let mut mac = self.hmac.clone();
        for piece in pieces {
            mac.update(piece);
        }
        mac.finalize().into_bytes().into()
    }
}

pub(crate) fn remote() -> SocketAddr {
    ([192, 0, 2, 17], 50_123).into()
}

/// A browser's check: user name, priority, role, a number of its network, nomination.
pub(crate) fn request(keys: &Keys) -> Vec<u8> {
    let mut buf = [0; 256];
    let id = TransactionId(*b"transaction!");
    let mut writer = Writer::new(&mut buf, Class::Request, BINDING, id).expect("room");
    let (receiver, sender) = USERNAME.split_once(':').expect("two");
    writer.username(receiver, sender).expect("room");
    writer.attribute(0xC057, &[0, 1, 0, 10]).expect("room");
    writer.ice_controlling(0x932f_f9b1_5126_3b36).expect("room");
    writer.use_candidate().expect("room");
    writer.priority(0x6e7f_1eff).expect("room");
    let len = writer.finish_with_integrity(|pieces| keys.tag(pieces)).expect("room");
    buf[..len].to_vec()
}

/// The floor: both HMACs over as many bytes as check and answer have in front of theirs.
#[inline(never)]
pub(crate) fn macs_alone(keys: &Keys, request: &[u8], out: &mut [u8]) -> Option<usize> {
    let covered = request.get(..request.len() - 32)?;
    let tag = keys.tag(&[covered]);
    let answer = out.get_mut(..32)?;
    answer.get_mut(..20)?.copy_from_slice(&tag);
    let tag = keys.tag(&[answer]);
    answer.get_mut(..20)?.copy_from_slice(&tag);
    Some(answer.len())
}

/// Reads a check, proves it, looks at all that an agent needs, answers.
#[inline(never)]
pub(crate) fn answer(keys: &Keys, request: &[u8], out: &mut [u8]) -> Option<usize> {
    let message = Message::parse(request).ok()?;
    let known = message.username()? == USERNAME && message.has_fingerprint();
    let role = message.ice_controlling().or(message.ice_controlled())?;
    let (priority, nominated) = (message.priority()?, message.use_candidate());
    if !known || role == 0 || priority == 0 || !nominated || message.unknown_required().next().is_some() {
        return None;
    }
    if !message.verify_integrity(|pieces| keys.tag(pieces)) {
        return None;
    }
    let mut writer = Writer::new(out, Class::Success, BINDING, message.transaction_id()).ok()?;
    writer.xor_mapped_address(remote()).ok()?;
    writer.finish_with_integrity(|pieces| keys.tag(pieces)).ok()
}

/// The same by the implementation that came from Go's pion.
#[inline(never)]
pub(crate) fn answer_by_pion(crypto: &dyn ::stun::crypto::RTCCrypto, request: &[u8]) -> Option<Vec<u8>> {
    use ::stun::message::{BINDING_SUCCESS, Message, Setter as _, TransactionId};
    use ::stun::{
        attributes, fingerprint::FINGERPRINT, integrity::MessageIntegrity, xoraddr::XorMappedAddress,
    };
    let mut message = Message::new();
    message.unmarshal_binary(request).ok()?;
    let known = message.get(attributes::ATTR_USERNAME).ok()? == USERNAME.as_bytes();
    let role = message.get(attributes::ATTR_ICE_CONTROLLING).ok()?;
    let priority = message.get(attributes::ATTR_PRIORITY).ok()?;
    let nominated = message.contains(attributes::ATTR_USE_CANDIDATE);
    if !known || role.len() != 8 || priority.len() != 4 || !nominated {
        return None;
    }
    FINGERPRINT.check(&message).ok()?;
    MessageIntegrity::check(&mut message, OURS.as_bytes(), crypto).ok()?;
    let mut answer = Message::new();
    answer.set_type(BINDING_SUCCESS);
    answer.write_header();
    TransactionId(message.transaction_id.0).add_to(&mut answer).ok()?;
    let remote = remote();
    XorMappedAddress { ip: remote.ip(), port: remote.port() }.add_to(&mut answer).ok()?;
    let key = OURS.as_bytes().to_vec();
    MessageIntegrity::new_raw_integrity_with_provider(key, crypto).add_to(&mut answer).ok()?;
    FINGERPRINT.add_to(&mut answer).ok()?;
    Some(answer.raw)
}

/// The same by the implementation that GStreamer uses.
#[inline(never)]
pub(crate) fn answer_by_ystreet(keys: &Keys, request: &[u8], out: &mut [u8]) -> Option<usize> {
    use stun_types::attribute::{AttributeType, Username, XorMappedAddress};
    use stun_types::message::{
        IntegrityAlgorithm, Message, MessageWrite as _, MessageWriteExt as _, MessageWriteMutSlice,
    };
    let message = Message::from_bytes(request).ok()?;
    let known = message.attribute::<Username>().ok()?.username() == USERNAME;
    let role = message.raw_attribute(AttributeType::new(0x802A))?;
    let priority = message.raw_attribute(AttributeType::new(0x0024))?;
    let nominated = message.has_attribute(AttributeType::new(0x0025));
    if !known || role.value.len() != 8 || priority.value.len() != 4 || !nominated {
        return None;
    }
    message.validate_integrity_with_key(&keys.theirs).ok()?;
    let mut answer = Message::builder_success(&message, MessageWriteMutSlice::new(out));
    answer.add_attribute(&XorMappedAddress::new(remote(), message.transaction_id())).ok()?;
    answer.add_message_integrity_with_key(&keys.theirs, IntegrityAlgorithm::Sha1).ok()?;
    answer.add_fingerprint().ok()?;
    Some(answer.finish())
}
