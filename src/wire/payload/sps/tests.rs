use super::super::{Body, Format, h264 as nals, h265 as units};
use super::*;
use crate::captures::hex;
use proptest::prelude::*;

fn size(width: u16, height: u16) -> Option<Resolution> {
    Some(Resolution { width, height })
}

/// Sets that x264 wrote, and the size of the pictures it was given.
const X264: [(&str, u16, u16); 9] = [
    ("6742c016da0280bfe5c044000003000400000300783c58ba80", 640, 360),
    ("6742c01fda014016ec0440000003004000000783c60ca8", 1_280, 720),
    ("6742c028da01e0089ea6c044000003000400000300783c60ca80", 1_918, 1_078),
    // Interlaced: a height in fields.
    ("674d4028f403c0227ef0110000030001000003001e1f162ea0", 1_920, 1_080),
    // 4:2:2 and 4:4:4, cropped by what one sample of colour covers.
    ("677a000cbcb40a8cf111780880000003008000000f078a1550", 322, 182),
    ("67f4000c919681519e108cc044000003000400000300783c50aa80", 321, 181),
    ("6764000aacb4162760220000030002000003003c1e244d40", 176, 144),
    // No colour.
    ("6764000af2d059bc7cf80b64000003000400000300783c489a80", 162, 90),
    ("6742c00ada7b0110000003001000000301e0f1226a", 16, 16),
];

/// The same of x265.
const X265: [(&str, u16, u16); 6] = [
    ("42010101600000030090000003000003003fa005020171f2e595952930bc05a020000003002000000301e1", 640, 360),
    (
        "420101016000000300900000030000030078a003c0801107536595952930bc05a020000003002000000301e1",
        1_918,
        1_078,
    ),
    ("4201010408000003009e0800000300003c9001510183842332caca94985e02d010000003001000000300f080", 321, 181),
    ("4201010408000003009d0800000300003cb00a880c1c4466595952930bc05a020000030002000003001e10", 322, 181),
    ("4201010408000003009fc800000300001ec0588187084d965654a4c2f016c080000003008000000784", 161, 91),
    ("42010102200000030090000003000003003fa005020171f2b6595952930bc05a020000030002000003001e10", 640, 360),
];

#[test]
fn the_sets_of_real_encoders_tell_their_sizes() {
    for (set, width, height) in X264 {
        assert_eq!(h264(&hex(&set.into())), size(width, height), "{set}");
    }
    for (set, width, height) in X265 {
        assert_eq!(h265(&hex(&set.into())), size(width, height), "{set}");
    }
}

#[test]
fn s_desc_01_a_set_that_is_cut_tells_the_right_size_or_none() {
    let sets = X264.map(|set| (set, h264 as fn(&[u8]) -> _)).into_iter();
    for ((set, width, height), read) in sets.chain(X265.map(|set| (set, h265 as fn(&[u8]) -> _))) {
        let set = hex(&set.into());
        let mut told = 0;
        for len in 0..set.len() {
            let read: Option<Resolution> = read(&set[..len]);
            assert!(read.is_none() || read == size(width, height), "{len}");
            told += usize::from(read.is_some());
        }
        // Behind the size are the frame rate and the like.
        assert!((1..set.len() - 5).contains(&told), "{told}");
    }
}

/// Writes the fields of a set.
#[derive(Default, Clone)]
struct Set {
    bits: Vec<bool>,
}

impl Set {
    fn u(mut self, count: u32, value: u32) -> Set {
        self.bits.extend((0..count).rev().map(|bit| value >> bit & 1 != 0));
        self
    }

    fn ue(self, value: u32) -> Set {
        let width = (value + 1).ilog2();
        self.u(width, 0).u(width + 1, value + 1)
    }

    fn all(self, values: &[u32]) -> Set {
        values.iter().fold(self, |set, value| set.ue(*value))
    }

    /// The unit behind these header bytes, with bytes that keep start codes out of it.
    fn unit(self, header: &[u8]) -> Vec<u8> {
        let (mut unit, mut zeros) = (header.to_vec(), 0);
        for bits in self.u(1, 1).bits.chunks(8) {
            let byte = bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at));
            if zeros == 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }
}

/// From the profile to the number of the set, which is 0.
fn h264_head(profile: u32) -> Set {
    Set::default().u(8, profile).u(8, 0).u(8, 31).ue(0)
}

/// Everything behind the chroma format: order by type 0, one reference, the size in macroblocks, less one.
fn h264_tail(set: Set, size: [u32; 2], frames_only: bool, crop: [u32; 4]) -> Vec<u8> {
    let set = set.all(&[0, 0, 0, 1]).u(1, 0).all(&size);
    let set = if frames_only { set.u(1, 1) } else { set.u(2, 0) };
    set.u(1, 1).u(1, 1).all(&crop).unit(&[0x67])
}

#[test]
fn h264_7_3_2_1_1_the_size_is_found_behind_whatever_precedes_it() {
    // 40 by 23 macroblocks are 640 by 368.
    let [width, height] = [39, 22];
    let expected = size(640, 360);
    let baseline = h264_tail(h264_head(66), [width, height], true, [0, 0, 0, 4]);
    assert_eq!(h264(&baseline), expected);
    // 4:4:4 with all twelve scaling lists: one as it is by default, flat ones, and one that ends in the middle.
    let mut set = h264_head(244).ue(3).u(1, 0).ue(0).ue(0).u(1, 0).u(1, 1);
    for list in 0..12 {
        let entries = if list < 6 { 16 } else { 64 };
        set = match list {
            // Not there.
            0 => set.u(1, 0),
            // The first difference, -8, leads to 0.
            1 => set.u(1, 1).ue(16),
            // 8, then 9, then -9: to 0.
            2 => set.u(1, 1).all(&[0, 1, 18]),
            _ => set.u(1, 1).all(&vec![0; entries]),
        };
    }
    assert_eq!(h264(&h264_tail(set, [width, height], true, [0, 0, 0, 8])), expected);
    // Colours apart are cropped by single samples, though they are 4:4:4.
    let set = h264_head(244).ue(3).u(1, 1).ue(0).ue(0).u(2, 0);
    assert_eq!(h264(&h264_tail(set, [width, height], true, [1, 2, 3, 5])), expected.and(size(637, 360)));
    // Order by a cycle of three, in the place of type 0 and its bits.
    let set = h264_head(66).ue(0).ue(1).u(1, 0).all(&[5, 6, 3, 1, 2, 3]).ue(1).u(1, 0);
    let set = set.all(&[width, height]).u(3, 0b110).u(1, 0);
    assert_eq!(h264(&set.unit(&[0x67])), size(640, 368));
    // Fields of twelve macroblocks are twice that; one step of cropping is four lines.
    assert_eq!(h264(&h264_tail(h264_head(77), [width, 11], false, [0, 0, 0, 6])), size(640, 360));
}

#[test]
fn sizes_that_cannot_be_are_none() {
    let of = |size, crop| h264(&h264_tail(h264_head(66), size, true, crop));
    assert_eq!(of([4_094, 0], [0; 4]), size(65_520, 16));
    assert_eq!(of([4_095, 0], [0; 4]), None, "65,536");
    assert_eq!(of([0, u32::MAX - 1], [0; 4]), None);
    assert_eq!(of([0, 0], [4, 4, 0, 0]), None, "nothing is left");
    assert_eq!(of([0, 0], [5, 4, 0, 0]), None, "less than nothing");
    assert_eq!(of([0, 0], [u32::MAX - 1, u32::MAX - 1, 0, 0]), None);
    // Behind a cycle of four thousand million there is nothing.
    let endless = h264_head(66).ue(0).ue(1).u(1, 0).all(&[0, 0, u32::MAX - 1]).all(&[0; 40]);
    assert_eq!(h264(&endless.unit(&[0x67])), None);
    assert_eq!(h264(&h264_head(66).ue(0).ue(3).all(&[0; 40]).unit(&[0x67])), None, "no such order");
    assert_eq!(h264(&h264_head(100).ue(4).all(&[0; 40]).unit(&[0x67])), None, "no such colours");
    let long = [0x67, 66, 0, 31, 0, 0, 0, 0, 0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(h264(&long), None, "33 zeros");
    assert_eq!((h264(&[]), h265(&[0x42]), h265(&[0x42, 1])), (None, None, None));
}

/// A set of H.265 with temporal layers, of which each tells profile and level or does not.
fn h265_set(layers: &[(bool, bool)], format: &[u32], size: [u32; 2], crop: Option<[u32; 4]>) -> Vec<u8> {
    let above = layers.len() as u32;
    let mut set = Set::default().u(4, 2).u(3, above).u(1, 1).u(24, 0x0160_0000).u(32, 0).u(32, 0).u(8, 93);
    for (profile, level) in layers {
        set = set.u(1, u32::from(*profile)).u(1, u32::from(*level));
    }
    if above > 0 {
        set = set.u(2 * (8 - above), 0);
    }
    for (profile, level) in layers {
        set = if *profile { set.u(24, 0x0160_0000).u(32, u32::MAX).u(32, 5) } else { set };
        set = if *level { set.u(8, 90) } else { set };
    }
    set = set.ue(0);
    set = match format {
        [3, apart] => set.ue(3).u(1, *apart),
        format => set.all(format),
    };
    set = set.all(&size).u(1, u32::from(crop.is_some()));
    set.all(crop.as_ref().map_or(&[], |crop| &crop[..])).unit(&[0x42, 1])
}

#[test]
fn h265_7_3_2_2_the_size_is_found_behind_layers_and_cropped() {
    assert_eq!(h265(&h265_set(&[], &[1], [640, 368], Some([0, 0, 0, 4]))), size(640, 360));
    assert_eq!(h265(&h265_set(&[], &[1], [640, 360], None)), size(640, 360));
    let layers = [(true, true), (false, false), (true, false), (false, true), (true, true), (true, true)];
    for count in 0..=layers.len() {
        let set = h265_set(&layers[..count], &[2], [648, 364], Some([1, 3, 1, 3]));
        assert_eq!(h265(&set), size(640, 360), "{count} layers");
    }
    assert_eq!(h265(&h265_set(&[], &[0], [641, 361], Some([1, 0, 0, 1]))), size(640, 360));
    assert_eq!(h265(&h265_set(&[], &[3, 0], [641, 361], Some([1, 0, 0, 1]))), size(640, 360));
    assert_eq!(h265(&h265_set(&[], &[3, 1], [641, 361], Some([0, 1, 1, 0]))), size(640, 360));
    assert_eq!(h265(&h265_set(&[], &[4], [640, 360], None)), None, "no such colours");
    assert_eq!(h265(&h265_set(&[], &[1], [0, 360], None)), None);
    assert_eq!(h265(&h265_set(&[], &[1], [65_536, 360], None)), None);
}

#[test]
fn sets_are_found_alone_and_in_aggregates_and_in_clear_alone() {
    let set = hex(&X264[0].0.into());
    let read = |payload: &[u8]| Body::Clear(payload).resolution(Format::H264, 0);
    assert_eq!(read(&set), size(640, 360));
    let mut buf = [0; 100];
    let len = nals::Aggregate::write(&mut buf, &[&[0x06, 5], &set, &[0x68, 1]]).expect("room");
    assert_eq!(read(&buf[..len]), size(640, 360));
    assert_eq!(read(&[0x65, 0x88]), None);
    let opaque = Body::Opaque(super::super::Opaque::new(&set));
    assert_eq!(opaque.resolution(Format::H264, 0), None);

    let set = hex(&X265[0].0.into());
    let read = |payload: &[u8]| Body::Clear(payload).resolution(Format::H265, 0);
    assert_eq!(read(&set), size(640, 360));
    let len = units::Aggregate::write(&mut buf, &[&[0x40, 1, 9], &set]).expect("room");
    assert_eq!(read(&buf[..len]), size(640, 360));
    // That of a layer above has another form.
    let above = [&[0x42, 0x09][..], &set[2..]].concat();
    assert_eq!((read(&above), read(&[0x26, 1, 0x80])), (None, None));
}

proptest! {
    #[test]
    fn s_desc_01_arbitrary_bytes_are_a_set_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for read in [h264(&bytes), h265(&bytes)].into_iter().flatten() {
            prop_assert!(read.width > 0 && read.height > 0);
        }
    }

    /// Mostly zeros: long numbers, and bytes that keep start codes out.
    #[test]
    fn s_desc_01_sparse_bytes_are_a_set_or_none(
        bytes in proptest::collection::vec(prop_oneof![6 => Just(0u8), 2 => Just(3), 1 => any::<u8>()], 0..300),
    ) {
        let _ = (h264(&bytes), h265(&bytes));
    }

    #[test]
    fn any_size_is_read_as_written(width in 1u32..4_000, height in 1u32..4_000, extra in 0u32..8) {
        let expected = size(width as u16, height as u16);
        let whole = [width.div_ceil(16), height.div_ceil(16)];
        let [right, bottom] = [whole[0] * 16 - width, whole[1] * 16 - height];
        // 4:4:4 crops to the sample.
        let set = h264_head(244).ue(3).u(1, 0).ue(extra).ue(extra).u(2, 0);
        let set = h264_tail(set, whole.map(|count| count - 1), true, [right, 0, bottom, 0]);
        prop_assert_eq!(h264(&set), expected);
        let set = h265_set(&[], &[0], [width + extra, height + extra], Some([extra, 0, 0, extra]));
        prop_assert_eq!(h265(&set), expected);
    }
}
