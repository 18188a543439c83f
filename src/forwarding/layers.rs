//! Which layers of a source a subscription gets, packet by packet.
//!
//! A source is a ladder of [`Layer`]s: the encodings of simulcast, and in each the spatial and temporal
//! layers of scalable video; a single stream is a ladder of one. A [`Selector`] follows the layer that is
//! wanted as fast as the stream allows: down with the next picture, up where a receiver may begin with more,
//! to another encoding at its key frame (RFC 7667, section 3.7; RFC 9628, section 3; AV1 RTP specification,
//! section A.4). Between two pictures it never changes its mind, so a frame is sent whole or not at all.
//!
//! All it knows of a packet are [`PacketFacts`], which come from header extensions and payload descriptors:
//! a payload that is encrypted end to end is selected like any other.

/// A step of a source's ladder. What is sent with it are all spatial and temporal layers of its encoding up
/// to its own. Ordered by encoding, then spatial, then temporal layer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer {
    /// The encoding of simulcast, 0 for the first that was negotiated; 0 without simulcast.
    pub encoding: u8,
    /// The spatial layer in the encoding, 0 for the base.
    pub spatial: u8,
    /// The temporal layer, 0 for the base.
    pub temporal: u8,
}

impl Layer {
    /// The whole of an encoding, however many layers it has.
    pub const fn whole(encoding: u8) -> Layer {
        Layer { encoding, spatial: u8::MAX, temporal: u8::MAX }
    }

    /// Whether who gets this layer gets `other`.
    #[inline]
    pub const fn includes(self, other: Layer) -> bool {
        self.encoding == other.encoding && self.spatial >= other.spatial && self.temporal >= other.temporal
    }

    fn with(self, step: Step) -> Layer {
        Layer { spatial: step.spatial, temporal: step.temporal, ..self }
    }
}

/// A spatial and temporal layer, of whatever encoding.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// The spatial layer.
    pub spatial: u8,
    /// The temporal layer.
    pub temporal: u8,
}

/// A set of steps: spatial layers 0 to 3, temporal layers 0 to 7.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Steps(u32);

impl Steps {
    /// Every step.
    pub const ALL: Steps = Steps(u32::MAX);
    /// None.
    pub const NONE: Steps = Steps(0);

    const fn bit(spatial: u8, temporal: u8) -> u32 {
        if spatial > 3 || temporal > 7 { 0 } else { 1 << (spatial * 8 + temporal) }
    }

    /// Also this one; those beyond the range are not kept.
    #[must_use]
    pub const fn and(self, step: Step) -> Steps {
        Steps(self.0 | Steps::bit(step.spatial, step.temporal))
    }

    /// Whether it is among them.
    pub const fn has(self, step: Step) -> bool {
        self.0 & Steps::bit(step.spatial, step.temporal) != 0
    }

    /// The best of them between two steps: as high as possible in space, then in time.
    fn best(self, from: Layer, to: Layer) -> Option<Step> {
        let spatial = (from.spatial.min(3)..=to.spatial.min(3)).rev();
        let mut steps = spatial.flat_map(|spatial| {
            (from.temporal.min(7)..=to.temporal.min(7)).rev().map(move |temporal| Step { spatial, temporal })
        });
        steps.find(|step| self.has(*step))
    }
}

/// What a selector has to know of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PacketFacts {
    /// Where its frame stands on the ladder.
    pub layer: Layer,
    /// A receiver without anything may begin here. `None` if the format does not tell.
    pub begins_key_frame: Option<bool>,
    /// The first packet of a later picture than all before: layers of one picture have one timestamp.
    pub begins_picture: bool,
    /// The first packet of a frame, which is one spatial layer of a picture.
    pub begins_frame: bool,
    /// The last packet of a frame.
    pub ends_frame: bool,
    /// The last packet of a picture, all layers included: the marker bit.
    pub ends_picture: bool,
    /// What a receiver has to have for beginning with this frame's layer here; `None` if nothing lower
    /// is enough.
    pub access: Option<Step>,
    /// What a receiver of this frame may go on with.
    pub opens: Steps,
}

impl Default for PacketFacts {
    /// Of a stream without layers, in the midst of a frame.
    fn default() -> Self {
        PacketFacts {
            layer: Layer::default(),
            begins_key_frame: Some(false),
            begins_picture: false,
            begins_frame: false,
            ends_frame: false,
            ends_picture: false,
            access: None,
            opens: Steps::NONE,
        }
    }
}

/// What becomes of a packet for one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is sent.
    Forward,
    /// It is sent, and is the first of another encoding, or the first at all.
    Switch,
    /// It is left out: above what is wanted, of another encoding, or nothing is wanted.
    Skip,
    /// It is left out because a key frame is waited for.
    AwaitKeyFrame,
}

/// The layers that one subscription gets now, and those it is to get.
///
/// Feed it with each packet of each encoding once, in the order of arrival; a packet that arrives behind
/// its successors is to be judged by the layers of then, which [`Selector::layer`] told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Selector {
    target: Option<Layer>,
    current: Option<Layer>,
}

impl Selector {
    /// One that gets the whole of the first encoding.
    pub const fn new() -> Self {
        Selector { target: Some(Layer::whole(0)), current: None }
    }

    /// What is wanted from now on; `None` is nothing at all, once the picture that is being sent is whole.
    pub fn set_target(&mut self, target: Option<Layer>) {
        self.target = target;
    }

    /// What is wanted.
    pub const fn target(&self) -> Option<Layer> {
        self.target
    }

    /// The layer that is sent now; `None` while nothing is. Beyond what the stream has it is open.
    pub const fn layer(&self) -> Option<Layer> {
        self.current
    }

    /// Whether what is sent is what is wanted, and a packet of `layer` is of it.
    #[inline]
    pub(crate) fn is_settled_above(&self, layer: Layer) -> bool {
        self.current == self.target && self.current.is_some_and(|current| current.includes(layer))
    }

    /// Takes a switch back: what was sent before goes on.
    pub(crate) fn stay(&mut self, before: Option<Layer>) {
        self.current = before;
    }

    /// Whether a key frame is what is missing: which encoding has to send one. `clip` says what is really
    /// there of a layer that reaches further.
    pub fn awaits(&self, clip: impl FnOnce(Layer) -> Layer) -> Option<u8> {
        let target = self.target?;
        let arrived =
            |current: Layer| current.encoding == target.encoding && current.spatial >= clip(target).spatial;
        (!self.current.is_some_and(arrived)).then_some(target.encoding)
    }

    /// The stream of an encoding is another one now, or lost its thread: it begins anew with a key frame.
    pub fn restart(&mut self, encoding: u8) {
        if self.current.is_some_and(|current| current.encoding == encoding) {
            self.current = None;
        }
    }

    /// What becomes of the packet.
    #[inline]
    pub fn select(&mut self, packet: &PacketFacts) -> Verdict {
        let Some(target) = self.target else { return self.leave(packet) };
        let Some(mut current) = self.current.filter(|current| current.encoding == packet.layer.encoding)
        else {
            return self.enter(target, packet);
        };
        if current != target && packet.begins_frame {
            current = adapt(current, target, packet);
            self.current = Some(current);
        }
        if current.includes(packet.layer) { Verdict::Forward } else { Verdict::Skip }
    }

    /// Nothing is wanted any more: what is being sent ends with its picture.
    fn leave(&mut self, packet: &PacketFacts) -> Verdict {
        match self.current {
            Some(current) if !packet.begins_picture || current.encoding != packet.layer.encoding => {
                if current.includes(packet.layer) { Verdict::Forward } else { Verdict::Skip }
            }
            _ => {
                self.current = None;
                Verdict::Skip
            }
        }
    }

    /// A packet of an encoding that is not sent now.
    fn enter(&mut self, target: Layer, packet: &PacketFacts) -> Verdict {
        if packet.layer.encoding != target.encoding {
            return Verdict::Skip;
        }
        // Where key frames cannot be told the decoder finds out with the next one.
        let begins = packet.begins_key_frame.unwrap_or(packet.begins_picture);
        if !begins || packet.layer.spatial != 0 || packet.layer.temporal > target.temporal {
            return Verdict::AwaitKeyFrame;
        }
        self.current = Some(target);
        Verdict::Switch
    }
}

/// What is sent from a frame's first packet on, on the way to the target in the same encoding.
#[cold]
fn adapt(current: Layer, target: Layer, packet: &PacketFacts) -> Layer {
    if target.encoding != current.encoding {
        return current;
    }
    let mut layer = current;
    // Where its base comes behind something above it the picture goes on as it began.
    if packet.begins_picture && packet.layer.spatial == 0 {
        // What is left out above is needed by nothing below.
        layer.spatial = layer.spatial.min(target.spatial);
        layer.temporal = layer.temporal.min(target.temporal);
    }
    if packet.begins_key_frame == Some(true) && packet.layer.spatial == 0 {
        return target;
    }
    let own = packet.layer;
    let enough = |step: Step| layer.includes(layer.with(step));
    // Not in space: the layer below has already ended the picture for who gets no higher one.
    let in_time = own.spatial <= layer.spatial && target.includes(own);
    if !layer.includes(own) && in_time && packet.access.is_some_and(enough) {
        layer.temporal = own.temporal;
    }
    if layer.includes(own)
        && let Some(step) = packet.opens.best(layer, target)
    {
        layer = layer.with(step);
        // A target beyond the last layer that there can be is reached with it.
        if target.spatial > 3 && step.spatial == 3 {
            layer.spatial = target.spatial;
        }
        if target.temporal > 7 && step.temporal == 7 {
            layer.temporal = target.temporal;
        }
    }
    layer
}

#[cfg(test)]
mod tests;
