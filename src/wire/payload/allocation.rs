//! Video layers allocation: which layers a sender produces, at what rates and sizes
//! (`http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00`).
//!
//! An [`Allocation`] stands in a header extension of any video packet and speaks of all the streams of
//! a source. What it says is a claim: measured rates decide.

use super::cursor::{Cursor, write_leb128};
use super::{Fault, ParseError, Resolution};
use crate::base::units::Bitrate;
use crate::wire::malformed::Malformed;
use crate::wire::rtp::NoSpace;

/// RTP streams of a source, spatial layers of a stream and temporal layers of those.
const STREAMS: usize = 4;
const SPATIAL: u8 = 4;
const TEMPORAL: usize = 4;

/// An allocation whose lengths were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation<'a> {
    stream: u8,
    streams: u8,
    /// Spatial layers of each stream, one bit each.
    masks: [u8; STREAMS],
    /// Two bits for each layer.
    temporal: &'a [u8],
    bitrates: &'a [u8],
    /// Width and height, less one, and frame rate; one for each layer or none.
    sizes: &'a [[u8; 5]],
}

/// One spatial layer of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// The stream, 0 to 3.
    pub stream: u8,
    /// The spatial layer, 0 to 3.
    pub spatial_id: u8,
    /// What each temporal layer needs.
    pub bitrates: Bitrates,
    /// Resolution and frames per second, if they are told; of all layers or of none.
    pub size: Option<(Resolution, u8)>,
}

/// The rate of each temporal layer, lower layers included: one to four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bitrates {
    /// In kbit/s.
    kilobits: [u32; TEMPORAL],
    len: u8,
}

impl Bitrates {
    /// Of temporal layers from the lowest up, cut to kbit/s.
    ///
    /// # Errors
    /// [`NoSpace`] for none, more than four, or one above 32 bits of kbit/s.
    pub fn new(rates: &[Bitrate]) -> Result<Bitrates, NoSpace> {
        let mut all = Bitrates { kilobits: [0; TEMPORAL], len: rates.len() as u8 };
        let places = all.kilobits.get_mut(..rates.len()).ok_or(NoSpace)?;
        for (place, rate) in places.iter_mut().zip(rates) {
            *place = u32::try_from(rate.as_bps() / 1_000).map_err(|_| NoSpace)?;
        }
        if rates.is_empty() { Err(NoSpace) } else { Ok(all) }
    }

    /// The rates, from the lowest temporal layer up.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Bitrate> {
        self.kilobits().iter().map(|rate| Bitrate::from_kbps(u64::from(*rate)))
    }

    fn kilobits(&self) -> &[u32] {
        self.kilobits.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<'a> Allocation<'a> {
    /// Reads an extension's value. A single zero byte is an allocation of no layers: nothing is sent.
    ///
    /// # Errors
    /// [`Fault::Empty`], [`Fault::AllocationLayers`], [`Fault::AllocationBitrate`] and
    /// [`Fault::AllocationResolution`].
    pub fn parse(value: &'a [u8]) -> Result<Allocation<'a>, ParseError> {
        let mut cursor = Cursor::new(value);
        let head = cursor.byte(Fault::Empty)?;
        let mut all = Allocation {
            stream: head >> 6,
            streams: (head >> 4 & 3) + 1,
            masks: [0; STREAMS],
            temporal: &[],
            bitrates: &[],
            sizes: &[],
        };
        if all.stream >= all.streams {
            return Err(Malformed::at(0, Fault::AllocationLayers));
        }
        if value == [0] {
            return Ok(all);
        }
        all.masks =
            if head & 0x0f == 0 { own_masks(&mut cursor, all.streams)? } else { [head & 0x0f; STREAMS] };
        let streams = usize::from(all.streams);
        all.masks.iter_mut().skip(streams).for_each(|mask| *mask = 0);
        all.temporal = cursor.take(all.layer_count().div_ceil(4), Fault::AllocationLayers)?;
        let begin = cursor;
        for index in 0..all.layer_count() {
            for _ in 0..temporal_layers(all.temporal, index) {
                cursor.leb128(Fault::AllocationBitrate)?;
            }
        }
        all.bitrates = begin.rest.get(..cursor.at() - begin.at()).unwrap_or_default();
        let (sizes, behind) = cursor.rest.as_chunks();
        if !behind.is_empty() || !(sizes.is_empty() || sizes.len() == all.layer_count()) {
            return Err(cursor.fault(Fault::AllocationResolution));
        }
        all.sizes = sizes;
        Ok(all)
    }

    /// The stream that this came with, 0 to 3.
    #[inline]
    pub fn stream(&self) -> u8 {
        self.stream
    }

    /// How many streams the source has, 1 to 4.
    #[inline]
    pub fn streams(&self) -> u8 {
        self.streams
    }

    /// Spatial layers of all streams together, at most 16.
    #[inline]
    pub fn layer_count(&self) -> usize {
        self.masks.iter().map(|mask| mask.count_ones() as usize).sum()
    }

    /// The layers that are sent, by stream and then from the lowest spatial layer up.
    pub fn layers(&self) -> impl Iterator<Item = Layer> + use<'a> {
        let Allocation { masks, temporal, bitrates, sizes, .. } = *self;
        let places = (0..STREAMS as u8).flat_map(|stream| (0..SPATIAL).map(move |spatial| (stream, spatial)));
        let sent = places.filter(move |(stream, spatial)| {
            masks.get(usize::from(*stream)).is_some_and(|mask| mask >> spatial & 1 != 0)
        });
        let mut rates = Cursor::new(bitrates);
        sent.enumerate().map(move |(index, (stream, spatial_id))| {
            let mut kilobits = [0; TEMPORAL];
            let len = temporal_layers(temporal, index);
            for place in kilobits.iter_mut().take(usize::from(len)) {
                // Read without an error when it was parsed.
                *place = rates.leb128(Fault::AllocationBitrate).unwrap_or(0);
            }
            let size = sizes.get(index).map(|&[w0, w1, h0, h1, rate]| {
                // 65,536 is one more than can be said here; no codec has it.
                let pixels = |less_one: [u8; 2]| u16::from_be_bytes(less_one).saturating_add(1);
                (Resolution { width: pixels([w0, w1]), height: pixels([h0, h1]) }, rate)
            });
            Layer { stream, spatial_id, bitrates: Bitrates { kilobits, len }, size }
        })
    }
}

/// A mask for each stream, four bits each.
fn own_masks(cursor: &mut Cursor<'_>, streams: u8) -> Result<[u8; STREAMS], ParseError> {
    let first = cursor.byte(Fault::AllocationLayers)?;
    let second = if streams > 2 { cursor.byte(Fault::AllocationLayers)? } else { 0 };
    Ok([first >> 4, first & 15, second >> 4, second & 15])
}

/// Temporal layers of the layer with that index: two bits, less one.
fn temporal_layers(counts: &[u8], index: usize) -> u8 {
    let byte = counts.get(index / 4).copied().unwrap_or(0);
    (byte >> (6 - 2 * (index % 4)) & 3) + 1
}

/// Writes an allocation to the start of a buffer and returns its bytes.
///
/// `stream` is the one it goes with, of `streams`; `layers` are those of all streams, in the order of
/// stream and spatial layer.
///
/// # Errors
/// [`NoSpace`] if it does not fit, the streams are not 1 to 4, the layers are out of order, or some
/// have a size and others not.
pub fn write(buf: &mut [u8], stream: u8, streams: u8, layers: &[Layer]) -> Result<usize, NoSpace> {
    let sized = layers.first().is_some_and(|layer| layer.size.is_some());
    let place = |layer: &Layer| (layer.stream, layer.spatial_id);
    let fits =
        |layer: &Layer| layer.stream < streams && layer.spatial_id < SPATIAL && layer.size.is_some() == sized;
    let climb = layers.windows(2).all(|pair| matches!(pair, [a, b] if place(a) < place(b)));
    if !matches!(streams, 1..=4) || stream >= streams || !climb || !layers.iter().all(fits) {
        return Err(NoSpace);
    }
    let mut out = Output { buf, len: 0 };
    if layers.is_empty() && streams == 1 {
        out.put(&[0])?;
        return Ok(out.len);
    }
    let mut masks = [0u8; STREAMS];
    for layer in layers {
        *masks.get_mut(usize::from(layer.stream)).ok_or(NoSpace)? |= 1 << layer.spatial_id;
    }
    let [first, second, third, fourth] = masks;
    let shared = masks.iter().take(usize::from(streams)).all(|mask| *mask == first);
    out.put(&[stream << 6 | (streams - 1) << 4 | if shared { first } else { 0 }])?;
    if !shared || first == 0 {
        out.put(&[first << 4 | second])?;
        if streams > 2 {
            out.put(&[third << 4 | fourth])?;
        }
    }
    for four in layers.chunks(4) {
        let bits = four.iter().enumerate().map(|(at, layer)| (layer.bitrates.len - 1) << (6 - 2 * at));
        out.put(&[bits.sum()])?;
    }
    for rate in layers.iter().flat_map(|layer| layer.bitrates.kilobits()) {
        let mut bytes = [0; 5];
        let len = write_leb128(&mut bytes, *rate).ok_or(NoSpace)?;
        out.put(bytes.get(..len).unwrap_or_default())?;
    }
    for (resolution, frame_rate) in layers.iter().filter_map(|layer| layer.size) {
        out.put(&resolution.width.saturating_sub(1).to_be_bytes())?;
        out.put(&resolution.height.saturating_sub(1).to_be_bytes())?;
        out.put(&[frame_rate])?;
    }
    Ok(out.len)
}

struct Output<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), NoSpace> {
        let place = self.buf.get_mut(self.len..).and_then(|rest| rest.get_mut(..bytes.len()));
        place.ok_or(NoSpace)?.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(bytes: &[u8]) -> Option<(u16, Fault)> {
        Allocation::parse(bytes).err().map(|error| (error.offset, error.fault))
    }

    /// Stream 1 of 2, each with its own layers: two and one, temporal layers 2, 1 and 3.
    const FULL: [u8; 25] = [
        0x50, 0x31, 0x48, // masks 0011 and 0001; 01 00 10 00
        100, 0x96, 0x01, 30, 1, 2, 3, // 100, 150; 30; 1, 2, 3
        0x01, 0x3f, 0x00, 0xb3, 15, 0x02, 0x7f, 0x01, 0x67, 30, 0x00, 0x9f, 0x00, 0x59, 7,
    ];

    #[test]
    fn layers_are_told_by_stream_and_spatial_layer() {
        let allocation = Allocation::parse(&FULL).expect("whole");
        assert_eq!((allocation.stream(), allocation.streams(), allocation.layer_count()), (1, 2, 3));
        let layers: Vec<_> = allocation
            .layers()
            .map(|layer| {
                let rates: Vec<u64> = layer.bitrates.iter().map(|rate| rate.as_bps() / 1_000).collect();
                (layer.stream, layer.spatial_id, rates, layer.size)
            })
            .collect();
        let size = |width, height, rate| Some((Resolution { width, height }, rate));
        assert_eq!(
            layers,
            [
                (0, 0, vec![100, 150], size(320, 180, 15)),
                (0, 1, vec![30], size(640, 360, 30)),
                (1, 0, vec![1, 2, 3], size(160, 90, 7)),
            ]
        );
        let without = Allocation::parse(&FULL[..10]).expect("sizes are optional");
        assert!(without.layers().all(|layer| layer.size.is_none()));
    }

    #[test]
    fn a_single_zero_is_nothing_sent() {
        let allocation = Allocation::parse(&[0]).expect("a special case");
        assert_eq!((allocation.streams(), allocation.layers().count()), (1, 0));
        let mut buf = [9; 1];
        assert_eq!((write(&mut buf, 0, 1, &[]), buf), (Ok(1), [0]));
    }

    #[test]
    fn s_desc_04_cut_or_absurd_allocations_are_refused_where_they_go_wrong() {
        for len in (0..FULL.len()).filter(|len| *len != 10) {
            let expected = match len {
                0 => (0, Fault::Empty),
                1 => (1, Fault::AllocationLayers),
                2 => (2, Fault::AllocationLayers),
                3 => (3, Fault::AllocationBitrate),
                4 | 5 => (4, Fault::AllocationBitrate),
                6..10 => (len as u16, Fault::AllocationBitrate),
                _ => (10, Fault::AllocationResolution),
            };
            assert_eq!(error(&FULL[..len]), Some(expected), "{len}");
        }
        assert_eq!(
            error(&[&FULL[..], &[0]].concat()),
            Some((10, Fault::AllocationResolution)),
            "one byte more"
        );
        assert_eq!(error(&[0xc1, 0, 1]), Some((0, Fault::AllocationLayers)), "stream 3 of 1");
        assert_eq!(error(&[0x01, 0, 0xff, 0xff, 0xff, 0xff, 0x1f]), Some((2, Fault::AllocationBitrate)));
        assert_eq!(error(&[0x3f, 0xff, 0xff]), Some((1, Fault::AllocationLayers)), "16 layers in few bytes");
        let largest = Allocation::parse(&[0x01, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]).expect("32 bits");
        let rate = largest.layers().next().and_then(|layer| layer.bitrates.iter().next());
        assert_eq!(rate.map(Bitrate::as_bps), Some(u64::from(u32::MAX) * 1_000));
    }

    fn layers() -> impl Strategy<Value = Vec<Layer>> {
        let one =
            (any::<bool>(), proptest::collection::vec(any::<u32>(), 1..=4), (1u16.., 1u16.., any::<u8>()));
        (proptest::collection::vec(one, STREAMS * usize::from(SPATIAL)), any::<bool>()).prop_map(
            |(all, sized)| {
                let mut layers = Vec::new();
                for (place, (sent, rates, (width, height, rate))) in all.into_iter().enumerate() {
                    if sent {
                        let rates: Vec<_> =
                            rates.into_iter().map(|rate| Bitrate::from_kbps(u64::from(rate))).collect();
                        layers.push(Layer {
                            stream: place as u8 / 4,
                            spatial_id: place as u8 % 4,
                            bitrates: Bitrates::new(&rates).expect("one to four"),
                            size: sized.then_some((Resolution { width, height }, rate)),
                        });
                    }
                }
                layers
            },
        )
    }

    proptest! {
        #[test]
        fn an_allocation_is_read_as_written(all in layers(), streams in 1u8..=4, stream in 0u8..4, room in 0usize..60) {
            let all: Vec<_> = all.into_iter().filter(|layer| layer.stream < streams).collect();
            let mut buf = [0xff; 500];
            let written = write(&mut buf, stream, streams, &all);
            prop_assert_eq!(written.is_err(), stream >= streams);
            if let Ok(len) = written {
                let allocation = Allocation::parse(&buf[..len]).expect("ours");
                prop_assert_eq!((allocation.stream(), allocation.streams()), (stream, streams));
                prop_assert!(allocation.layers().eq(all.iter().copied()));
                prop_assert_eq!(write(&mut buf[..room], stream, streams, &all).is_ok(), room >= len);
            }
        }
    }
}
