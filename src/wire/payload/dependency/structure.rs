//! The template dependency structure (AV1 RTP specification, sections A.8.2 and A.8.3).

use super::super::bits::BitReader;
use super::super::{Fault, ParseError, Resolution};
use crate::base::limits::{CHAINS, DECODE_TARGETS, FRAME_REFERENCES, FRAME_TEMPLATES};
use crate::wire::malformed::Malformed;
use crate::wire::rtp::NoSpace;

/// MAX_SPATIAL_ID and MAX_TEMPORAL_ID of the specification.
const MAX_SPATIAL_ID: u8 = 3;
const MAX_TEMPORAL_ID: u8 = 7;

/// How a frame relates to a decode target (section A.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Indication {
    /// The target does not have the frame.
    NotPresent,
    /// No later frame of the target depends on it.
    Discardable,
    /// If the frame can be decoded, so can all later ones of the target.
    Switch,
    /// It belongs to the target, and nothing better can be said.
    Required,
}

impl Indication {
    #[inline]
    pub(super) fn from_bits(bits: u64) -> Indication {
        match bits & 3 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }
}

/// One [`Indication`] for each of up to 32 decode targets; beyond those set they are not present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Indications(u64);

impl Indications {
    /// In the order of the decode targets; more than 32 are not kept.
    pub fn new(indications: impl IntoIterator<Item = Indication>) -> Indications {
        let places = (0..DECODE_TARGETS).zip(indications);
        Indications(places.fold(0, |bits, (target, indication)| bits | (indication as u64) << (2 * target)))
    }

    /// Those of the first so many targets alone.
    fn of_first(self, targets: u8) -> Indications {
        Indications(self.0 & u64::MAX.checked_shr(64 - 2 * u32::from(targets)).unwrap_or(0))
    }

    /// Of one decode target.
    #[inline]
    pub fn of(self, target: u8) -> Indication {
        Indication::from_bits(self.0.checked_shr(2 * u32::from(target)).unwrap_or(0))
    }

    pub(super) fn read(bits: &mut BitReader<'_>, targets: u8) -> Option<Indications> {
        let mut all = 0;
        for target in 0..targets {
            all |= u64::from(bits.read(2)?) << (2 * target);
        }
        Some(Indications(all))
    }

    /// Whether any target has one of the two that mean others depend on the frame.
    #[inline]
    pub(super) fn any_depends(self) -> bool {
        // Switch and Required have the upper bit.
        self.0 & 0xaaaa_aaaa_aaaa_aaaa != 0
    }
}

/// Distances of a template to the frames it depends on, 1 to 16 each, at most
/// [`FRAME_REFERENCES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TemplateDifferences {
    /// Four bits each, less one.
    nibbles: u32,
    len: u8,
}

impl TemplateDifferences {
    /// Of a list.
    ///
    /// # Errors
    /// [`NoSpace`] for too many, or one that is not 1 to 16.
    pub fn new(differences: &[u8]) -> Result<TemplateDifferences, NoSpace> {
        let mut all = TemplateDifferences::default();
        differences.iter().try_for_each(|difference| all.push(*difference))?;
        Ok(all)
    }

    fn push(&mut self, difference: u8) -> Result<(), NoSpace> {
        let value = difference.checked_sub(1).ok_or(NoSpace)?;
        if value > 15 || usize::from(self.len) == FRAME_REFERENCES {
            return Err(NoSpace);
        }
        self.nibbles |= u32::from(value) << (4 * self.len);
        self.len += 1;
        Ok(())
    }

    /// The distances, in the order of the packet.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = u16> {
        (0..self.len).map(move |index| (self.nibbles >> (4 * index) & 15) as u16 + 1)
    }

    #[inline]
    pub(super) fn len(self) -> u8 {
        self.len
    }
}

/// What frames of one kind have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Template {
    /// The spatial layer, 0 to 3.
    pub spatial_id: u8,
    /// The temporal layer, 0 to 7.
    pub temporal_id: u8,
    /// How the frame relates to each decode target.
    pub indications: Indications,
    /// The frames it depends on.
    pub differences: TemplateDifferences,
    /// Distance to the last frame of each chain, four bits each.
    pub(super) chains: u128,
}

impl Template {
    /// Distance to the last frame of a chain, 0 to 15; 0 if the frame begins it.
    #[inline]
    pub fn chain(&self, chain: u8) -> u8 {
        (self.chains.checked_shr(4 * u32::from(chain)).unwrap_or(0) & 15) as u8
    }

    /// The same template with distances of chains, cut to four bits.
    #[must_use]
    pub fn with_chains(self, distances: impl IntoIterator<Item = u8>) -> Template {
        let places = (0..CHAINS).zip(distances);
        let chains =
            places.fold(0, |bits, (chain, distance)| bits | u128::from(distance & 15) << (4 * chain));
        Template { chains, ..self }
    }
}

/// What a receiver can choose to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct DecodeTarget {
    /// Its highest spatial layer.
    pub spatial_id: u8,
    /// Its highest temporal layer.
    pub temporal_id: u8,
    /// The chain that protects it: while no frame of the chain is lost the target can be decoded.
    /// Without meaning if the structure has no chains.
    pub chain: u8,
}

/// The template dependency structure: everything a packet's descriptor refers to.
///
/// Of fixed size, whatever a sender writes: 64 templates, 32 decode targets, 32 chains, 4 resolutions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    pub(super) id_offset: u8,
    pub(super) targets_len: u8,
    pub(super) chains: u8,
    templates_len: u8,
    resolutions_len: u8,
    targets: [DecodeTarget; DECODE_TARGETS],
    templates: [Template; FRAME_TEMPLATES],
    /// Width and height of each spatial layer, less one.
    resolutions: [[u16; 2]; MAX_SPATIAL_ID as usize + 1],
}

impl Structure {
    /// Of its parts: the id of the first template, the chain of each decode target (which also says
    /// how many there are), the number of chains, the templates, and the resolution of each spatial
    /// layer or none.
    ///
    /// # Errors
    /// [`NoSpace`] unless there are 1 to 32 targets, 1 to 64 templates and no more chains than targets,
    /// each target's chain exists, the templates climb the layers one temporal or spatial step at a
    /// time, and there is no resolution or one per spatial layer. What templates say of further targets
    /// and chains is left out.
    pub fn new(
        id_offset: u8,
        target_chains: &[u8],
        chains: u8,
        templates: &[Template],
        resolutions: &[Resolution],
    ) -> Result<Structure, NoSpace> {
        let mut structure = Structure::empty();
        structure.id_offset = id_offset & 63;
        structure.targets_len = target_chains.len() as u8;
        structure.chains = chains;
        let targets = structure.targets.get_mut(..target_chains.len()).ok_or(NoSpace)?;
        for (target, chain) in targets.iter_mut().zip(target_chains) {
            target.chain = *chain;
        }
        let chained = target_chains.iter().all(|chain| *chain < chains.max(1));
        if target_chains.is_empty() || usize::from(chains) > target_chains.len() || !chained {
            return Err(NoSpace);
        }
        structure.templates_len = templates.len() as u8;
        structure.templates.get_mut(..templates.len()).ok_or(NoSpace)?.copy_from_slice(templates);
        for template in structure.templates_mut() {
            template.indications = template.indications.of_first(target_chains.len() as u8);
            template.chains &= u128::MAX.checked_shr(128 - 4 * u32::from(chains)).unwrap_or(0);
        }
        let mut below = None;
        if templates.is_empty()
            || !templates.iter().all(|template| step(below.replace(*template), template).is_some())
        {
            return Err(NoSpace);
        }
        if !resolutions.is_empty() && resolutions.len() != usize::from(structure.spatial_layers()) {
            return Err(NoSpace);
        }
        structure.resolutions_len = resolutions.len() as u8;
        for (place, resolution) in structure.resolutions.iter_mut().zip(resolutions) {
            *place = [resolution.width, resolution.height].map(|pixels| pixels.saturating_sub(1));
        }
        structure.find_targets();
        Ok(structure)
    }

    fn empty() -> Structure {
        Structure {
            id_offset: 0,
            targets_len: 0,
            chains: 0,
            templates_len: 0,
            resolutions_len: 0,
            targets: Default::default(),
            templates: [Template::default(); FRAME_TEMPLATES],
            resolutions: Default::default(),
        }
    }

    /// Reads it where it stands in a descriptor. Work is bounded by the bits that are there.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Structure, ParseError> {
        let mut structure = Structure::empty();
        structure.read_head(bits)?;
        let targets = structure.targets_len;
        for template in structure.templates_mut() {
            template.indications = Indications::read(bits, targets).ok_or(cut(bits))?;
        }
        for template in structure.templates_mut() {
            while bits.flag().ok_or(cut(bits))? {
                let difference = bits.read(4).ok_or(cut(bits))? as u8 + 1;
                let fault = Malformed::at(bits.byte(), Fault::DependencyReferences);
                template.differences.push(difference).map_err(|NoSpace| fault)?;
            }
        }
        structure.read_chains(bits).ok_or(cut(bits))?;
        structure.find_targets();
        structure.read_resolutions(bits).ok_or(cut(bits))?;
        Ok(structure)
    }

    /// Id offset, targets, and the layers of the templates.
    fn read_head(&mut self, bits: &mut BitReader<'_>) -> Result<(), ParseError> {
        self.id_offset = bits.read(6).ok_or(cut(bits))? as u8;
        self.targets_len = bits.read(5).ok_or(cut(bits))? as u8 + 1;
        let (mut spatial_id, mut temporal_id) = (0, 0);
        loop {
            let fault = Malformed::at(bits.byte(), Fault::DependencyTemplates);
            let template = self.templates.get_mut(usize::from(self.templates_len)).ok_or(fault)?;
            (template.spatial_id, template.temporal_id) = (spatial_id, temporal_id);
            self.templates_len += 1;
            match bits.read(2).ok_or(cut(bits))? {
                0 => {}
                1 => temporal_id += 1,
                2 => (spatial_id, temporal_id) = (spatial_id + 1, 0),
                _ => return Ok(()),
            }
            if spatial_id > MAX_SPATIAL_ID || temporal_id > MAX_TEMPORAL_ID {
                return Err(fault);
            }
        }
    }

    fn read_chains(&mut self, bits: &mut BitReader<'_>) -> Option<()> {
        self.chains = bits.read_below(u16::from(self.targets_len) + 1)? as u8;
        if self.chains == 0 {
            return Some(());
        }
        let (chains, targets) = (self.chains, usize::from(self.targets_len));
        for target in self.targets.iter_mut().take(targets) {
            target.chain = bits.read_below(u16::from(chains))? as u8;
        }
        for template in self.templates_mut() {
            for chain in 0..chains {
                template.chains |= u128::from(bits.read(4)?) << (4 * chain);
            }
        }
        Some(())
    }

    fn read_resolutions(&mut self, bits: &mut BitReader<'_>) -> Option<()> {
        if bits.flag()? {
            self.resolutions_len = self.spatial_layers();
            let layers = usize::from(self.resolutions_len);
            for resolution in self.resolutions.iter_mut().take(layers) {
                *resolution = [bits.read(16)?, bits.read(16)?];
            }
        }
        Some(())
    }

    /// The layers of a target are the highest among the templates it has (section A.8.2).
    fn find_targets(&mut self) {
        for (number, target) in self.targets.iter_mut().enumerate().take(usize::from(self.targets_len)) {
            for template in self.templates.iter().take(usize::from(self.templates_len)) {
                if template.indications.of(number as u8) != Indication::NotPresent {
                    target.spatial_id = target.spatial_id.max(template.spatial_id);
                    target.temporal_id = target.temporal_id.max(template.temporal_id);
                }
            }
        }
    }

    fn templates_mut(&mut self) -> impl Iterator<Item = &mut Template> {
        self.templates.iter_mut().take(usize::from(self.templates_len))
    }

    /// The templates, from the lowest layer up.
    #[inline]
    pub fn templates(&self) -> &[Template] {
        self.templates.get(..usize::from(self.templates_len)).unwrap_or_default()
    }

    /// The template that an id of a descriptor names.
    #[inline]
    pub fn template(&self, id: u8) -> Option<&Template> {
        self.templates().get(usize::from(id.wrapping_sub(self.id_offset) & 63))
    }

    /// The decode targets, in the order of their numbers.
    #[inline]
    pub fn targets(&self) -> &[DecodeTarget] {
        self.targets.get(..usize::from(self.targets_len)).unwrap_or_default()
    }

    /// How many chains there are, 0 to 32.
    #[inline]
    pub fn chains(&self) -> u8 {
        self.chains
    }

    /// Spatial layers, 1 to 4.
    #[inline]
    pub fn spatial_layers(&self) -> u8 {
        self.templates().last().map_or(1, |template| template.spatial_id + 1)
    }

    /// The resolution of each spatial layer from the lowest up; none if they are not told.
    #[inline]
    pub fn resolutions(&self) -> impl ExactSizeIterator<Item = Resolution> {
        // 65,536 is one more than can be said here; no codec has it.
        self.raw_resolutions().iter().map(|pixels| {
            let [width, height] = pixels.map(|less_one| less_one.saturating_add(1));
            Resolution { width, height }
        })
    }

    /// The same as they are written: less one.
    pub(super) fn raw_resolutions(&self) -> &[[u16; 2]] {
        self.resolutions.get(..usize::from(self.resolutions_len)).unwrap_or_default()
    }

    /// The id of the first template.
    #[inline]
    pub fn id_offset(&self) -> u8 {
        self.id_offset
    }
}

/// How the layers climb from one template to the next: the two bits of next_layer_idc. `None` if they
/// do not.
pub(super) fn step(below: Option<Template>, template: &Template) -> Option<u16> {
    let layer = (template.spatial_id, template.temporal_id);
    let Some(below) = below else {
        return (layer == (0, 0)).then_some(0);
    };
    if layer == (below.spatial_id, below.temporal_id) {
        Some(0)
    } else if layer == (below.spatial_id, below.temporal_id + 1) && layer.1 <= MAX_TEMPORAL_ID {
        Some(1)
    } else if layer == (below.spatial_id + 1, 0) && layer.0 <= MAX_SPATIAL_ID {
        Some(2)
    } else {
        None
    }
}

fn cut(bits: &BitReader<'_>) -> ParseError {
    Malformed::at(bits.byte(), Fault::DependencyStructure)
}
