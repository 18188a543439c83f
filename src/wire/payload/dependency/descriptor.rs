//! One packet's descriptor (AV1 RTP specification, section A.8.2).

use super::super::bits::BitReader;
use super::super::{Fault, ParseError, Resolution};
use super::structure::{Indication, Indications, Structure, Template};
use crate::base::limits::{CHAINS, DECODE_TARGETS, FRAME_REFERENCES};
use crate::wire::malformed::Malformed;
use crate::wire::rtp::NoSpace;

/// The mandatory fields: the first three bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Head {
    /// The packet is the first of its frame.
    pub begins_frame: bool,
    /// The packet is the last of its frame.
    pub ends_frame: bool,
    /// The template, 0 to 63.
    pub template_id: u8,
    /// Grows by one from frame to frame in decoding order; wraps.
    pub frame_number: u16,
}

/// A descriptor of which the mandatory fields and the flags were read: all that can be read without
/// a structure.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor<'a> {
    head: Head,
    flags: Flags,
    bytes: &'a [u8],
}

/// Bits of the extended fields.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    structure: bool,
    active_targets: bool,
    indications: bool,
    differences: bool,
    chains: bool,
}

/// Bits in front of what the flags announce: the mandatory fields and the flags themselves.
const HEAD_BITS: u32 = 24 + 5;

impl<'a> Descriptor<'a> {
    /// Reads the mandatory fields and the flags.
    ///
    /// # Errors
    /// [`Fault::DependencyHeader`] for less than three bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Descriptor<'a>, ParseError> {
        let (&[first, n0, n1], rest) =
            bytes.split_first_chunk().ok_or(Malformed::at(0, Fault::DependencyHeader))?;
        let head = Head {
            begins_frame: first & 0x80 != 0,
            ends_frame: first & 0x40 != 0,
            template_id: first & 0x3f,
            frame_number: u16::from_be_bytes([n0, n1]),
        };
        let flags = rest.first().map_or(Flags::default(), |byte| Flags {
            structure: byte & 0x80 != 0,
            active_targets: byte & 0x40 != 0,
            indications: byte & 0x20 != 0,
            differences: byte & 0x10 != 0,
            chains: byte & 0x08 != 0,
        });
        Ok(Descriptor { head, flags, bytes })
    }

    /// The mandatory fields.
    #[inline]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Whether a structure comes with the packet.
    #[inline]
    pub fn has_structure(&self) -> bool {
        self.flags.structure
    }

    /// The structure that comes with the packet, if any. From this packet on it is in effect.
    ///
    /// # Errors
    /// [`Fault::DependencyStructure`] if it is cut, [`Fault::DependencyTemplates`] and
    /// [`Fault::DependencyReferences`] if there is too much of something.
    pub fn structure(&self) -> Result<Option<Structure>, ParseError> {
        let mut bits = self.behind_flags();
        self.flags.structure.then(|| Structure::read(&mut bits)).transpose()
    }

    /// The packet's frame in terms of the structure in effect: the one that [came
    /// with](Descriptor::structure) this packet or else the last before it.
    ///
    /// # Errors
    /// [`Fault::DependencyTemplate`] if the structure has no such template,
    /// [`Fault::DependencyStructure`] if another structure comes with the packet,
    /// [`Fault::DependencyFlags`], [`Fault::DependencyFrame`] and [`Fault::DependencyReferences`] if what
    /// the flags announce is cut or too much.
    #[inline]
    pub fn frame<'s>(&self, structure: &'s Structure) -> Result<Frame<'s>, ParseError> {
        let template = structure.template(self.head.template_id);
        let template = template.ok_or(Malformed::at(0, Fault::DependencyTemplate))?;
        let custom = if self.bytes.len() == 3 { Custom::default() } else { self.custom(structure)? };
        Ok(Frame { head: self.head, has_structure: self.flags.structure, structure, template, custom })
    }

    /// What the packet tells beside its template.
    fn custom(&self, structure: &Structure) -> Result<Custom, ParseError> {
        let mut bits = self.behind_flags();
        if self.flags.structure && Structure::read(&mut bits)? != *structure {
            return Err(Malformed::at(3, Fault::DependencyStructure));
        }
        let targets = structure.targets_len;
        let mut custom = Custom::default();
        if self.flags.active_targets {
            custom.active_targets =
                Some(read_mask(&mut bits, targets).ok_or(at(&bits, Fault::DependencyFlags))?);
        }
        let cut = Fault::DependencyFrame;
        if self.flags.indications {
            custom.indications = Some(Indications::read(&mut bits, targets).ok_or(at(&bits, cut))?);
        }
        if self.flags.differences {
            custom.differences = Some(FrameDifferences::read(&mut bits)?);
        }
        if self.flags.chains {
            custom.chains = Some(ChainDifferences::read(&mut bits, structure.chains).ok_or(at(&bits, cut))?);
        }
        Ok(custom)
    }

    /// Behind the flags, of which there is a byte if anything follows the mandatory fields.
    fn behind_flags(&self) -> BitReader<'a> {
        let mut bits = BitReader::new(self.bytes);
        // Of three bytes nothing is read behind the mandatory fields.
        let _ = bits.skip(HEAD_BITS);
        bits
    }
}

fn at(bits: &BitReader<'_>, fault: Fault) -> ParseError {
    Malformed::at(bits.byte(), fault)
}

/// One bit for each decode target, that of target 0 the lowest.
fn read_mask(bits: &mut BitReader<'_>, targets: u8) -> Option<u32> {
    let upper = bits.read(targets.saturating_sub(16))?;
    let lower = bits.read(targets.min(16))?;
    Some(u32::from(upper) << targets.min(16) | u32::from(lower))
}

/// What a packet tells beside its template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Custom {
    /// The decode targets that are produced at present, target 0 the lowest bit. It holds until it is
    /// told again or a structure comes, with which all are.
    pub active_targets: Option<u32>,
    /// In place of the template's.
    pub indications: Option<Indications>,
    /// In place of the template's.
    pub differences: Option<FrameDifferences>,
    /// In place of the template's.
    pub chains: Option<ChainDifferences>,
}

/// Distances of a frame to the frames it depends on, 1 to 4,096 each, at most
/// [`FRAME_REFERENCES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameDifferences {
    values: [u16; FRAME_REFERENCES],
    len: u8,
}

impl FrameDifferences {
    /// Of a list.
    ///
    /// # Errors
    /// [`NoSpace`] for too many, or one that is not 1 to 4,096.
    pub fn new(differences: &[u16]) -> Result<FrameDifferences, NoSpace> {
        let mut all = FrameDifferences::default();
        differences.iter().try_for_each(|difference| all.push(*difference))?;
        Ok(all)
    }

    fn push(&mut self, difference: u16) -> Result<(), NoSpace> {
        if !matches!(difference, 1..=4_096) {
            return Err(NoSpace);
        }
        *self.values.get_mut(usize::from(self.len)).ok_or(NoSpace)? = difference;
        self.len += 1;
        Ok(())
    }

    /// The distances, in the order of the packet.
    #[inline]
    pub fn as_slice(&self) -> &[u16] {
        self.values.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Each with its size in nibbles in front, the last followed by 0.
    fn read(bits: &mut BitReader<'_>) -> Result<FrameDifferences, ParseError> {
        let mut all = FrameDifferences::default();
        loop {
            let fault = at(bits, Fault::DependencyReferences);
            let nibbles = bits.read(2).ok_or(fault)? as u8;
            if nibbles == 0 {
                return Ok(all);
            }
            let difference = bits.read(4 * nibbles).ok_or(fault)? + 1;
            all.push(difference).map_err(|NoSpace| fault)?;
        }
    }
}

/// Distances to the last frame of each chain, 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainDifferences([u8; CHAINS]);

impl ChainDifferences {
    /// In the order of the chains; more than 32 are not kept.
    pub fn new(differences: impl IntoIterator<Item = u8>) -> ChainDifferences {
        let mut all = ChainDifferences::default();
        all.0.iter_mut().zip(differences).for_each(|(place, difference)| *place = difference);
        all
    }

    /// Of one chain.
    #[inline]
    pub fn of(&self, chain: u8) -> u8 {
        self.0.get(usize::from(chain)).copied().unwrap_or(0)
    }

    fn read(bits: &mut BitReader<'_>, chains: u8) -> Option<ChainDifferences> {
        let mut all = ChainDifferences::default();
        for place in all.0.iter_mut().take(usize::from(chains)) {
            *place = bits.read(8)? as u8;
        }
        Some(all)
    }
}

/// A packet's frame: its template and what the packet tells beside it.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'s> {
    head: Head,
    has_structure: bool,
    structure: &'s Structure,
    template: &'s Template,
    custom: Custom,
}

impl<'s> Frame<'s> {
    /// The mandatory fields.
    #[inline]
    pub fn head(&self) -> Head {
        self.head
    }

    /// The structure in effect.
    #[inline]
    pub fn structure(&self) -> &'s Structure {
        self.structure
    }

    /// Whether that structure came with the packet.
    #[inline]
    pub fn has_structure(&self) -> bool {
        self.has_structure
    }

    /// What the packet tells beside its template.
    #[inline]
    pub fn custom(&self) -> &Custom {
        &self.custom
    }

    /// The spatial layer, 0 to 3.
    #[inline]
    pub fn spatial_id(&self) -> u8 {
        self.template.spatial_id
    }

    /// The temporal layer, 0 to 7.
    #[inline]
    pub fn temporal_id(&self) -> u8 {
        self.template.temporal_id
    }

    /// How the frame relates to a decode target.
    #[inline]
    pub fn indication(&self, target: u8) -> Indication {
        self.indications().of(target)
    }

    #[inline]
    fn indications(&self) -> Indications {
        self.custom.indications.unwrap_or(self.template.indications)
    }

    /// Distances, in frame numbers, to the frames that this one depends on.
    #[inline]
    pub fn differences(&self) -> impl Iterator<Item = u16> {
        let custom = self.custom.differences;
        let template = if custom.is_none() { self.template.differences } else { Default::default() };
        let (values, len) = custom.map_or(([0; FRAME_REFERENCES], 0), |own| (own.values, own.len));
        values.into_iter().take(usize::from(len)).chain(template.iter())
    }

    /// Whether it depends on no frame at all.
    #[inline]
    pub fn is_independent(&self) -> bool {
        match &self.custom.differences {
            Some(custom) => custom.len == 0,
            None => self.template.differences.len() == 0,
        }
    }

    /// Distance, in frame numbers, to the last frame of a chain; 0 if the chain begins here. `None` if
    /// there is no such chain.
    #[inline]
    pub fn chain_difference(&self, chain: u8) -> Option<u8> {
        if chain >= self.structure.chains {
            return None;
        }
        Some(self.custom.chains.map_or_else(|| self.template.chain(chain), |custom| custom.of(chain)))
    }

    /// The decode targets that are produced from this packet on, target 0 the lowest bit. `None` if
    /// nothing changes.
    #[inline]
    pub fn active_targets(&self) -> Option<u32> {
        let all = u32::MAX >> (DECODE_TARGETS as u32 - u32::from(self.structure.targets_len.clamp(1, 32)));
        self.custom.active_targets.or(self.has_structure.then_some(all))
    }

    /// Whether no other frame depends on this one, whatever a receiver has chosen.
    #[inline]
    pub fn is_discardable(&self) -> bool {
        !self.indications().any_depends()
    }

    /// Whether a receiver may begin here with a decode target of which this frame is the highest layer.
    pub fn is_layer_access(&self) -> bool {
        self.switches(|target| (target.0, target.1) == (self.spatial_id(), self.temporal_id()))
    }

    /// Whether a receiver may go on from here with a higher temporal layer of this spatial layer.
    pub fn is_switching_up(&self) -> bool {
        self.switches(|target| target.0 == self.spatial_id() && target.1 > self.temporal_id())
    }

    /// Whether a decode target of such layers (spatial, temporal) may begin here.
    fn switches(&self, layers: impl Fn((u8, u8)) -> bool) -> bool {
        let mut targets = (0u8..).zip(self.structure.targets());
        targets.any(|(number, target)| {
            self.indication(number) == Indication::Switch && layers((target.spatial_id, target.temporal_id))
        })
    }

    /// The resolution of the frame's spatial layer, if the structure tells it.
    #[inline]
    pub fn resolution(&self) -> Option<Resolution> {
        self.structure.resolutions().nth(usize::from(self.template.spatial_id))
    }
}
