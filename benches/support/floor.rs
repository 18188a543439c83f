//! The least that forwarding can cost: one open and N header writes and seals with the same ciphers,
//! and nothing else. No parsing, no look-up, no replay window, no numbers, no queue, no history.

use aes::Aes128Enc;
use aes::cipher::{InnerIvInit as _, KeyInit as _, StreamCipherCore as _};
use ctr::{CtrCore, flavors::Ctr32BE};
use estafette::srtp::Profile;
use hmac::{Hmac, Mac as _};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;

/// Room for header, payload and tag.
const PACKET: usize = 2_048;

// One key in the whole bench: its size costs nothing.
#[allow(clippy::large_enum_variant)]
enum Key {
    Gcm(LessSafeKey),
    Cm { aes: Aes128Enc, mac: Hmac<Sha1> },
}

impl Key {
    fn new(profile: Profile, seed: u8) -> Key {
        let gcm = |algorithm, key: &[u8]| {
            Key::Gcm(LessSafeKey::new(UnboundKey::new(algorithm, key).expect("its length")))
        };
        match profile {
            Profile::AeadAes128Gcm => gcm(&AES_128_GCM, &[seed; 16]),
            Profile::AeadAes256Gcm => gcm(&AES_256_GCM, &[seed; 32]),
            _ => Key::Cm {
                aes: Aes128Enc::new(&[seed; 16].into()),
                mac: Hmac::new_from_slice(&[seed; 20]).expect("any length"),
            },
        }
    }

    /// Seals the packet of `len` bytes at the start of `buf` where it lies; returns its sealed length.
    #[inline]
    fn seal(&self, buf: &mut [u8], header_len: usize, len: usize, n: u32) -> usize {
        let (packet, tail) = buf.split_at_mut(len);
        match self {
            Key::Gcm(key) => {
                let (header, text) = packet.split_at_mut(header_len);
                let tag = key
                    .seal_in_place_separate_tag(nonce(n), Aad::from(&*header), text)
                    .expect("short enough");
                tail[..16].copy_from_slice(tag.as_ref());
                len + 16
            }
            Key::Cm { aes, mac } => {
                keystream(aes, n, &mut packet[header_len..]);
                tail[..10].copy_from_slice(&tag_of(mac, packet));
                len + 10
            }
        }
    }

    /// Opens `sealed` into `out`; returns the payload's length.
    #[inline]
    fn open(&self, sealed: &[u8], header_len: usize, out: &mut [u8], n: u32) -> usize {
        match self {
            Key::Gcm(key) => {
                let (header, text) = sealed.split_at(header_len);
                let out = &mut out[..text.len()];
                out.copy_from_slice(text);
                key.open_in_place(nonce(n), Aad::from(header), out).expect("authentic").len()
            }
            Key::Cm { aes, mac } => {
                let (packet, tag) = sealed.split_at(sealed.len() - 10);
                assert!(tag_of(mac, packet) == tag, "authentic");
                let text = &packet[header_len..];
                out[..text.len()].copy_from_slice(text);
                keystream(aes, n, &mut out[..text.len()]);
                text.len()
            }
        }
    }
}

fn nonce(n: u32) -> Nonce {
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&n.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn keystream(aes: &Aes128Enc, n: u32, text: &mut [u8]) {
    let mut counter = [0; 16];
    counter[8..12].copy_from_slice(&n.to_be_bytes());
    CtrCore::<_, Ctr32BE>::inner_iv_init(aes, &counter.into()).apply_keystream_partial(text.into());
}

fn tag_of(mac: &Hmac<Sha1>, packet: &[u8]) -> [u8; 10] {
    let mut mac = mac.clone();
    mac.update(packet);
    mac.update(&[0; 4]);
    *mac.finalize().into_bytes().first_chunk().expect("twenty bytes")
}

/// One publisher's key, a key for each listener, and packets to open.
pub(crate) struct Floor {
    open: Key,
    seal: Vec<Key>,
    header: Vec<u8>,
    sealed: Vec<Vec<u8>>,
    plain: Vec<u8>,
    out: Vec<u8>,
    n: u32,
}

impl Floor {
    /// `packets` packets of `payload_len` bytes in, `listeners` of `header_len` more out for each.
    pub(crate) fn new(
        profile: Profile,
        listeners: usize,
        packets: usize,
        header_len: usize,
        payload_len: usize,
    ) -> Floor {
        let open = Key::new(profile, 0);
        let header: Vec<u8> = (0..header_len as u8).collect();
        let sealed = |n: usize| {
            let mut packet = header.clone();
            packet.resize(PACKET, 0x5a);
            let len = open.seal(&mut packet, header_len, header_len + payload_len, n as u32);
            packet.truncate(len);
            packet
        };
        Floor {
            sealed: (0..packets).map(sealed).collect(),
            seal: (0..listeners).map(|seed| Key::new(profile, seed as u8)).collect(),
            open,
            header,
            plain: vec![0; PACKET],
            out: vec![0; PACKET],
            n: 0,
        }
    }

    /// The work that is timed.
    #[inline(never)]
    pub(crate) fn forward(&mut self) -> usize {
        let (header_len, mut sent) = (self.header.len(), 0);
        for (n, sealed) in self.sealed.iter().enumerate() {
            let len = self.open.open(sealed, header_len, &mut self.plain, n as u32);
            for key in &self.seal {
                self.n = self.n.wrapping_add(1);
                self.out[..header_len].copy_from_slice(&self.header);
                self.out[2..4].copy_from_slice(&(self.n as u16).to_be_bytes());
                self.out[4..12].copy_from_slice(&u64::from(self.n).to_be_bytes());
                self.out[header_len..header_len + len].copy_from_slice(&self.plain[..len]);
                sent += usize::from(key.seal(&mut self.out, header_len, header_len + len, self.n) > 0);
            }
        }
        std::hint::black_box(&self.out);
        sent
    }
}
