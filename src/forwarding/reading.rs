//! What each packet of a stream means: where its frame stands on the ladder of layers, whether a receiver may
//! begin there, which numbers it carries.
//!
//! The only parse of a descriptor in a packet's life. Header extensions come first; a payload that is
//! encrypted end to end is a [`Body::Opaque`], of which there is nothing to be had but its clear descriptor.

use crate::base::limits;
use crate::forwarding::layers::{Layer, PacketFacts, Step, Steps};
use crate::forwarding::rewrite::Inner;
use crate::wire::payload::dependency::{Descriptor, Frame, Indication, Structure};
use crate::wire::payload::{Body, Facts, Format, ParseError, Resolution, dependency};

/// What a packet means.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    pub(crate) facts: PacketFacts,
    pub(crate) inner: Inner,
    /// The size of the pictures of its layer, where the packet tells it.
    pub(crate) resolution: Option<Resolution>,
}

impl Reading {
    /// Of a packet of an encoding of which nothing more is known.
    pub(crate) fn of(encoding: u8) -> Self {
        let layer = Layer { encoding, ..Layer::default() };
        Reading { facts: PacketFacts { layer, ..PacketFacts::default() }, ..Reading::default() }
    }

    /// Of audio: each packet stands alone.
    pub(crate) fn of_audio() -> Self {
        let facts = PacketFacts {
            begins_key_frame: Some(true),
            begins_picture: true,
            begins_frame: true,
            ends_frame: true,
            ends_picture: true,
            ..PacketFacts::default()
        };
        Reading { facts, ..Reading::default() }
    }
}

/// A packet as it is read.
pub(crate) struct Unread<'p> {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Of a format that is known here, if it is one.
    pub(crate) format: Option<Format>,
    pub(crate) body: Body<'p>,
    /// The value of the dependency descriptor's header extension.
    pub(crate) dependency: Option<&'p [u8]>,
}

/// Reads the packets of one stream, each once.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The newest timestamp.
    newest: Option<u32>,
    /// Of the dependency descriptor: fixed memory, and none without one (S-DESC-02).
    described: Option<Box<Described>>,
}

/// Bytes of what descriptors refer to.
pub(crate) const DESCRIBED: usize = size_of::<Described>();

/// What descriptors refer to.
#[derive(Debug)]
struct Described {
    /// The structure in effect.
    structure: Structure,
    frames: Frames,
}

impl Reader {
    /// What the packet of an encoding means.
    ///
    /// # Errors
    /// The payload is not of its format (S-DESC-01). A dependency descriptor that contradicts what came
    /// before is not an error: nothing is known of its packet but what its payload tells.
    pub(crate) fn read(&mut self, encoding: u8, packet: &Unread<'_>) -> Result<Reading, ParseError> {
        let begins_picture =
            self.newest.is_none_or(|newest| packet.timestamp.wrapping_sub(newest).cast_signed() > 0);
        if begins_picture {
            self.newest = Some(packet.timestamp);
        }
        let Some(format) = packet.format else {
            let begins = Some(true);
            let facts = PacketFacts { begins_key_frame: begins, begins_picture, ..PacketFacts::default() };
            return Ok(Reading { facts, ..Reading::default() });
        };
        let described = packet.dependency.and_then(|value| self.describe(value));
        let (frame, access, opens) = match (described, &mut self.described) {
            (Some(descriptor), Some(described)) => match descriptor.frame(&described.structure) {
                Ok(frame) => {
                    let (access, opens) = described.frames.take(&frame);
                    (Some(frame), access, opens)
                }
                Err(_) => (None, None, Steps::NONE),
            },
            _ => (None, None, Steps::NONE),
        };
        let read = packet.body.facts(format, frame.as_ref())?;
        let layer = Layer { encoding, spatial: read.spatial_id, temporal: read.temporal_id };
        let (access, opens) =
            if frame.is_some() { (access, opens) } else { (access_of(format, &read), opens_of(&read)) };
        let key = read.begins_key_frame;
        let facts = PacketFacts {
            layer,
            begins_key_frame: key,
            begins_picture,
            begins_frame: read.begins_frame.unwrap_or(begins_picture),
            ends_frame: read.ends_frame.unwrap_or(packet.marker),
            ends_picture: packet.marker,
            access,
            opens: if key == Some(true) { Steps::ALL } else { opens },
        };
        let inner = Inner {
            picture: read.picture_id.map_or(0, |id| id.value()),
            base_picture: read.tl0_pic_idx.unwrap_or(0),
            frame: read.frame_number.unwrap_or(0),
            consecutive: format == Format::Vp8,
        };
        let described_size = frame.as_ref().and_then(Frame::resolution);
        let resolution = (key == Some(true))
            .then(|| described_size.or_else(|| packet.body.resolution(format, layer.spatial)))
            .flatten();
        Ok(Reading { facts, inner, resolution })
    }

    /// A descriptor that can be read in the structure in effect, which it may bring itself.
    fn describe<'p>(&mut self, value: &'p [u8]) -> Option<Descriptor<'p>> {
        let descriptor = Descriptor::parse(value).ok()?;
        if let Some(structure) = descriptor.structure().ok()? {
            match &mut self.described {
                // In place: a stream that sends one with each packet allocates nothing.
                Some(described) => described.structure = structure,
                none => *none = Some(Box::new(Described { structure, frames: Frames::default() })),
            }
        }
        Some(descriptor)
    }
}

/// The layers of the latest frames by number: what a frame depends on tells who may begin with it.
#[derive(Debug)]
struct Frames {
    newest: Option<u16>,
    steps: [Option<Step>; limits::FRAMES_REMEMBERED],
}

impl Default for Frames {
    fn default() -> Self {
        Frames { newest: None, steps: [None; limits::FRAMES_REMEMBERED] }
    }
}

impl Frames {
    /// What a receiver has to have for beginning with this frame's layer, and what it may go on with behind
    /// the frame (AV1 RTP specification, section A.4: the switch indication).
    fn take(&mut self, frame: &Frame<'_>) -> (Option<Step>, Steps) {
        let own = Step { spatial: frame.spatial_id(), temporal: frame.temporal_id() };
        let opens = dependency_opens(frame);
        let number = frame.head().frame_number;
        if frame.head().begins_frame {
            self.note(number, own);
        }
        let mut needed = Some(Step::default());
        for difference in frame.differences() {
            let step = self.of(number.wrapping_sub(difference));
            needed = needed.zip(step).map(|(needed, step)| Step {
                spatial: needed.spatial.max(step.spatial),
                temporal: needed.temporal.max(step.temporal),
            });
        }
        (needed.filter(|_| opens.has(own)), opens)
    }

    fn note(&mut self, number: u16, step: Step) {
        let ahead = self.newest.map_or(1, |newest| number.wrapping_sub(newest).cast_signed());
        if usize::from(ahead.unsigned_abs()) >= self.steps.len() && ahead < 0 {
            return;
        }
        // Numbers that were skipped are not known.
        for skipped in 1..ahead.clamp(1, self.steps.len() as i16) {
            self.put(number.wrapping_sub(skipped.cast_unsigned()), None);
        }
        if ahead > 0 {
            self.newest = Some(number);
        }
        self.put(number, Some(step));
    }

    fn put(&mut self, number: u16, step: Option<Step>) {
        let at = usize::from(number) % self.steps.len();
        if let Some(slot) = self.steps.get_mut(at) {
            *slot = step;
        }
    }

    fn of(&self, number: u16) -> Option<Step> {
        let behind = self.newest?.wrapping_sub(number);
        let at = usize::from(number) % self.steps.len();
        self.steps.get(at).copied().flatten().filter(|_| usize::from(behind) < self.steps.len())
    }
}

/// The decode targets that a receiver of the frame may go on with.
fn dependency_opens(frame: &Frame<'_>) -> Steps {
    let targets = (0u8..).zip(frame.structure().targets());
    let switches = targets.filter(|(number, _)| frame.indication(*number) == Indication::Switch);
    switches.fold(Steps::NONE, |steps, (_, target): (u8, &dependency::DecodeTarget)| {
        steps.and(Step { spatial: target.spatial_id, temporal: target.temporal_id })
    })
}

/// What a receiver needs for beginning with a frame's layer, by the payload's own descriptor.
fn access_of(format: Format, read: &Facts) -> Option<Step> {
    if !read.layer_access {
        return None;
    }
    // Of VP9 the bit says that a spatial layer may be entered, which is done with key pictures alone.
    let below = read.temporal_id.checked_sub(1).filter(|_| format != Format::Vp9)?;
    // One step at a time: what the next frames of the layers between depend on is not known.
    Some(Step { spatial: read.spatial_id, temporal: below })
}

/// What a receiver of a frame may go on with, by the payload's own descriptor.
fn opens_of(read: &Facts) -> Steps {
    let higher = read.temporal_id.saturating_add(1)..=7;
    let steps = higher.map(|temporal| Step { spatial: read.spatial_id, temporal });
    steps.filter(|_| read.switching_up).fold(Steps::NONE, Steps::and)
}

#[cfg(test)]
mod tests;
