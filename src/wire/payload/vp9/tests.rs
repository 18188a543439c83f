use super::super::Resolution;
use super::*;
use crate::wire::malformed::Malformed;
use proptest::prelude::*;

/// Not flexible, every field: 15-bit picture id, layers, TL0PICIDX, two sizes, two pictures.
const FULL: [u8; 18] = [
    0xaf, 0x92, 0x34, 0x35, 0x77, // I L B E V Z; id; T 1 U S 2 D; TL0PICIDX
    0x38, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, // N_S 1, Y, G; 320x180, 640x360
    0x02, 0x00, 0x54, 0x09, // two pictures: T 0; T 2, U, one reference 9 back
];

#[test]
fn rfc_9628_4_2_fields_are_read_where_the_rfc_puts_them() {
    let (descriptor, rest) = Descriptor::parse(&FULL).expect("whole");
    assert!(rest.is_empty());
    assert_eq!(descriptor.picture_id, Some(PictureId::Long(0x1234)));
    let layers = Layers { temporal_id: 1, switching_up: true, spatial_id: 2, inter_layer: true };
    assert_eq!((descriptor.layers, descriptor.tl0_pic_idx), (Some(layers), Some(0x77)));
    assert!(descriptor.begins_frame && descriptor.ends_frame && descriptor.not_for_upper_layers);
    assert!(!descriptor.is_key_frame(), "it depends on a lower layer");
    let structure = descriptor.structure.expect("V is set");
    assert_eq!(structure.spatial_layers(), 2);
    let sizes = [(320, 180), (640, 360)].map(|(width, height)| Resolution { width, height });
    assert!(structure.resolutions().eq(sizes));
    let second =
        GroupPicture { temporal_id: 2, switching_up: true, references: References::new(&[9]).expect("one") };
    assert!(structure.pictures().eq([GroupPicture::default(), second]));
}

#[test]
fn rfc_9628_4_2_flexible_mode_has_references_and_no_index() {
    let (descriptor, rest) = Descriptor::parse(&[0xf0, 0x05, 0x00, 0x03, 0x05, 0x06, 0xee]).expect("whole");
    assert_eq!(descriptor.picture_id, Some(PictureId::Short(5)));
    assert_eq!((descriptor.references.as_slice(), descriptor.tl0_pic_idx), (&[1, 2, 3][..], None));
    assert_eq!(rest, [0xee]);
    let fourth = Descriptor::parse(&[0xf0, 0x05, 0x00, 0x03, 0x05, 0x07, 0x02, 0xee]);
    assert_eq!(fourth.err(), Some(Malformed::at(6, Fault::Vp9References)));
    let not_predicted = Descriptor::parse(&[0xb0, 0x05, 0x00, 0x03]).expect("whole");
    assert_eq!((not_predicted.0.references.as_slice(), not_predicted.1), (&[][..], &[0x03][..]));
}

#[test]
fn s_desc_01_vp9_a_descriptor_cut_anywhere_names_the_field() {
    for len in 0..FULL.len() {
        let (offset, fault) = match len {
            0 => (0, Fault::Empty),
            1 | 2 => (1, Fault::Vp9PictureId),
            3 => (3, Fault::Vp9Layers),
            4 => (4, Fault::Vp9Tl0PicIdx),
            5 => (5, Fault::Vp9Structure),
            6..14 => (6, Fault::Vp9Structure),
            14 => (14, Fault::Vp9Structure),
            15 => (15, Fault::Vp9Structure),
            16 => (16, Fault::Vp9Structure),
            _ => (17, Fault::Vp9Structure),
        };
        assert_eq!(Descriptor::parse(&FULL[..len]).err(), Some(Malformed::at(offset, fault)), "{len}");
    }
    let cut_reference = Descriptor::parse(&[0xf0, 0x05, 0x00, 0x03]);
    assert_eq!(cut_reference.err(), Some(Malformed::at(4, Fault::Vp9References)));
}

#[test]
fn s_desc_01_vp9_every_flag_combination_takes_the_bytes_it_announces() {
    for first in 0..=255u8 {
        // Whichever field these become: a short picture id, one reference, a structure of one byte.
        let payload = [first, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02];
        let (descriptor, rest) = Descriptor::parse(&payload).expect("long enough");
        let has = |bits: u8| first & bits == bits;
        let expected = 1
            + usize::from(has(0x80))
            + usize::from(has(0x20))
            + usize::from(has(0x20) && !has(0x10))
            + usize::from(has(0x50))
            + usize::from(has(0x02));
        assert_eq!(payload.len() - rest.len(), expected, "{first:#x}");
        assert_eq!(descriptor.tl0_pic_idx.is_some(), has(0x20) && !has(0x10));
        assert_eq!(descriptor.references.as_slice().is_empty(), !has(0x50));
        assert_eq!(descriptor.structure.is_some(), has(0x02));
    }
}

#[test]
fn s_desc_02_vp9_counts_at_their_maximum_with_few_bytes_are_refused() {
    // Eight layers with sizes and a group of 255 pictures, none of which is there.
    let mut payload = vec![0x02, 0xf8];
    assert_eq!(Descriptor::parse(&payload).err(), Some(Malformed::at(2, Fault::Vp9Structure)));
    payload.extend([0; 32]);
    assert_eq!(Descriptor::parse(&payload).err(), Some(Malformed::at(34, Fault::Vp9Structure)));
    payload.push(255);
    assert_eq!(Descriptor::parse(&payload).err(), Some(Malformed::at(35, Fault::Vp9Structure)));
    // All of them, three references each.
    for _ in 0..255 {
        assert!(Descriptor::parse(&payload).is_err());
        payload.extend([0x0c, 1, 2, 3]);
    }
    let (descriptor, rest) = Descriptor::parse(&payload).expect("whole");
    let structure = descriptor.structure.expect("V is set");
    assert_eq!((structure.spatial_layers(), structure.resolutions().len()), (8, 8));
    assert_eq!((structure.pictures().count(), rest.len()), (255, 0));
}

fn references() -> impl Strategy<Value = References> {
    proptest::collection::vec(0u8..128, 1..=3)
        .prop_map(|distances| References::new(&distances).expect("at most three"))
}

fn layers() -> impl Strategy<Value = Layers> {
    (0u8..8, any::<bool>(), 0u8..8, any::<bool>()).prop_map(
        |(temporal_id, switching_up, spatial_id, inter_layer)| Layers {
            temporal_id,
            switching_up,
            spatial_id,
            inter_layer,
        },
    )
}

fn descriptor() -> impl Strategy<Value = Descriptor<'static>> {
    let picture_id =
        prop_oneof![(0u8..128).prop_map(PictureId::Short), (0u16..0x8000).prop_map(PictureId::Long)];
    (
        any::<[bool; 5]>(),
        proptest::option::of(picture_id),
        proptest::option::of(layers()),
        any::<u8>(),
        references(),
    )
        .prop_map(|([p, f, b, e, z], picture_id, layers, index, references)| Descriptor {
            picture_id,
            inter_predicted: p,
            flexible: f,
            begins_frame: b,
            ends_frame: e,
            not_for_upper_layers: z,
            layers,
            tl0_pic_idx: (layers.is_some() && !f).then_some(index),
            references: if f && p { references } else { References::default() },
            structure: None,
        })
}

type StructureParts = (u8, Vec<Resolution>, Option<Vec<GroupPicture>>);

fn structure() -> impl Strategy<Value = StructureParts> {
    let picture = (0u8..8, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..=3)).prop_map(
        |(temporal_id, switching_up, distances)| GroupPicture {
            temporal_id,
            switching_up,
            references: References::new(&distances).expect("at most three"),
        },
    );
    let pictures = proptest::option::of(proptest::collection::vec(picture, 0..=20));
    (1u8..=8, any::<bool>(), any::<[(u16, u16); 8]>(), pictures).prop_map(
        |(layers, sized, sizes, pictures)| {
            let count = if sized { usize::from(layers) } else { 0 };
            let sizes = sizes[..count].iter().map(|&(width, height)| Resolution { width, height }).collect();
            (layers, sizes, pictures)
        },
    )
}

proptest! {
    #[test]
    fn a_descriptor_is_read_as_written(
        plain in descriptor(), parts in proptest::option::of(structure()), room in 0usize..20,
    ) {
        let mut place = [0; 256];
        let structure = parts.as_ref().map(|(layers, sizes, pictures)| {
            Structure::write(&mut place, *layers, sizes, pictures.as_deref()).expect("room")
        });
        let descriptor = Descriptor { structure, ..plain };
        let mut buf = [0xff; 300];
        let len = descriptor.write(&mut buf).expect("room");
        let (again, rest) = Descriptor::parse(&buf).expect("ours");
        prop_assert_eq!(again, descriptor);
        prop_assert_eq!(rest.len(), buf.len() - len);
        if let (Some(structure), Some((layers, sizes, pictures))) = (again.structure, parts) {
            prop_assert_eq!(structure.spatial_layers(), layers);
            prop_assert!(structure.resolutions().eq(sizes));
            prop_assert!(structure.pictures().eq(pictures.unwrap_or_default()));
        }
        prop_assert_eq!(descriptor.write(&mut buf[..room]).is_ok(), room >= len);
    }

    #[test]
    fn patching_is_writing_the_changed_descriptor(
        old in descriptor(), picture_id: Option<u16>, tl0_pic_idx: Option<u8>,
    ) {
        let (mut patched, mut written) = ([7; 12], [7; 12]);
        old.write(&mut patched).expect("room");
        // Without a structure nothing behind the descriptor is read.
        patch(&mut patched, picture_id, tl0_pic_idx).expect("whole");
        let new = Descriptor {
            picture_id: old.picture_id.map(|id| picture_id.map_or(id, |value| id.with_value(value))),
            tl0_pic_idx: old.tl0_pic_idx.map(|index| tl0_pic_idx.unwrap_or(index)),
            ..old
        };
        new.write(&mut written).expect("room");
        prop_assert_eq!(patched, written);
    }
}
