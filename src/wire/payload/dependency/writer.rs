//! Writes a dependency descriptor, each field in its shortest form.

use super::super::bits::BitWriter;
use super::descriptor::{Custom, Head};
use super::structure::{Indications, Structure, step};
use crate::wire::rtp::NoSpace;

/// Writes a descriptor to the start of a buffer and returns its bytes: three, unless there is more to
/// tell.
///
/// `structure` is the one in effect; with `attach` it is written too, as a key frame's first packet
/// needs it.
///
/// # Errors
/// [`NoSpace`] if it does not fit; a header extension has 255 bytes at most, in the one-byte form 16.
pub fn write(
    buf: &mut [u8],
    head: Head,
    structure: &Structure,
    attach: bool,
    custom: &Custom,
) -> Result<usize, NoSpace> {
    let mut bits = BitWriter::new(buf);
    bits.flag(head.begins_frame)?;
    bits.flag(head.ends_frame)?;
    bits.write(6, u16::from(head.template_id))?;
    bits.write(16, head.frame_number)?;
    let flags = [
        attach,
        custom.active_targets.is_some(),
        custom.indications.is_some(),
        custom.differences.is_some(),
        custom.chains.is_some(),
    ];
    if flags == [false; 5] {
        return Ok(bits.len());
    }
    flags.into_iter().try_for_each(|flag| bits.flag(flag))?;
    if attach {
        write_structure(&mut bits, structure)?;
    }
    if let Some(mask) = custom.active_targets {
        for target in (0..structure.targets_len).rev() {
            bits.flag(mask >> target & 1 != 0)?;
        }
    }
    if let Some(indications) = custom.indications {
        write_indications(&mut bits, structure, indications)?;
    }
    if let Some(differences) = &custom.differences {
        for difference in differences.as_slice() {
            let value = difference - 1;
            let nibbles = if value < 1 << 4 {
                1
            } else if value < 1 << 8 {
                2
            } else {
                3
            };
            bits.write(2, u16::from(nibbles))?;
            bits.write(4 * nibbles, value)?;
        }
        bits.write(2, 0)?;
    }
    if let Some(chains) = &custom.chains {
        (0..structure.chains).try_for_each(|chain| bits.write(8, u16::from(chains.of(chain))))?;
    }
    Ok(bits.len())
}

fn write_structure(bits: &mut BitWriter<'_>, structure: &Structure) -> Result<(), NoSpace> {
    bits.write(6, u16::from(structure.id_offset))?;
    bits.write(5, u16::from(structure.targets_len.saturating_sub(1)))?;
    let templates = structure.templates();
    for pair in templates.windows(2) {
        if let [below, template] = pair {
            bits.write(2, step(Some(*below), template).ok_or(NoSpace)?)?;
        }
    }
    bits.write(2, 3)?;
    for template in templates {
        write_indications(bits, structure, template.indications)?;
    }
    for template in templates {
        for difference in template.differences.iter() {
            bits.flag(true)?;
            bits.write(4, difference - 1)?;
        }
        bits.flag(false)?;
    }
    bits.write_below(u16::from(structure.targets_len) + 1, u16::from(structure.chains))?;
    if structure.chains > 0 {
        for target in structure.targets() {
            bits.write_below(u16::from(structure.chains), u16::from(target.chain))?;
        }
        for template in templates {
            (0..structure.chains).try_for_each(|chain| bits.write(4, u16::from(template.chain(chain))))?;
        }
    }
    bits.flag(!structure.raw_resolutions().is_empty())?;
    structure.raw_resolutions().iter().flatten().try_for_each(|pixels| bits.write(16, *pixels))
}

fn write_indications(
    bits: &mut BitWriter<'_>,
    structure: &Structure,
    all: Indications,
) -> Result<(), NoSpace> {
    (0..structure.targets_len).try_for_each(|target| bits.write(2, all.of(target) as u16))
}

/// Changes the frame number of a descriptor where it stands.
///
/// # Errors
/// [`NoSpace`] if it is shorter than three bytes.
#[inline]
pub fn set_frame_number(descriptor: &mut [u8], frame_number: u16) -> Result<(), NoSpace> {
    let [_, number @ ..] = descriptor.first_chunk_mut::<3>().ok_or(NoSpace)?;
    *number = frame_number.to_be_bytes();
    Ok(())
}
