use super::*;
use crate::wire::payload::dependency::{
    self as dd, Custom, Head, Indications, Template, TemplateDifferences,
};
use crate::wire::payload::{Opaque, PictureId, vp8, vp9};

fn unread(timestamp: u32, format: Format, payload: &[u8]) -> Unread<'_> {
    let body = Body::Clear(payload);
    Unread { timestamp, marker: false, format: Some(format), body, dependency: None }
}

fn vp8(picture: u16, temporal_id: u8, sync: bool, frame: &[u8]) -> Vec<u8> {
    let descriptor = vp8::Descriptor {
        begins_partition: true,
        picture_id: Some(PictureId::Long(picture)),
        tl0_pic_idx: Some(picture as u8),
        layer: Some(vp8::Layer { temporal_id, sync }),
        ..vp8::Descriptor::default()
    };
    let mut buf = [0; 6];
    let len = descriptor.write(&mut buf).expect("it fits");
    [&buf[..len], frame].concat()
}

/// The first ten bytes of a key frame of 320 by 180.
const KEY: [u8; 10] = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00];

#[test]
fn vp8_tells_key_frames_layers_numbers_and_sizes() {
    let mut reader = Reader::default();
    let key = reader.read(2, &unread(10, Format::Vp8, &vp8(7, 0, false, &KEY))).expect("whole");
    assert_eq!(key.facts.layer, Layer { encoding: 2, ..Layer::default() });
    assert_eq!(key.facts.begins_key_frame, Some(true));
    assert_eq!((key.facts.begins_picture, key.facts.begins_frame), (true, true));
    assert_eq!(key.facts.opens, Steps::ALL);
    assert_eq!(key.inner, Inner { picture: 7, base_picture: 7, frame: 0, consecutive: true });
    assert_eq!(key.resolution, Some(Resolution { width: 320, height: 180 }));
    let read = |reader: &mut Reader, timestamp, temporal, sync| {
        reader.read(0, &unread(timestamp, Format::Vp8, &vp8(8, temporal, sync, &[1]))).expect("whole").facts
    };
    let sync = read(&mut reader, 20, 2, true);
    assert_eq!(sync.access, Some(Step { spatial: 0, temporal: 1 }));
    assert!(sync.begins_picture && sync.begins_key_frame == Some(false));
    let late = read(&mut reader, 15, 1, false);
    assert_eq!((late.begins_picture, late.access), (false, None));
}

#[test]
fn an_empty_payload_is_no_vp8() {
    assert!(Reader::default().read(0, &unread(0, Format::Vp8, &[])).is_err());
}

#[test]
fn rfc_9628_4_2_vp9_opens_layers_of_time() {
    let mut reader = Reader::default();
    let mut read = |spatial_id, temporal_id, inter_predicted, switching_up| {
        let descriptor = vp9::Descriptor {
            picture_id: Some(PictureId::Long(9)),
            inter_predicted,
            begins_frame: true,
            layers: Some(vp9::Layers { temporal_id, switching_up, spatial_id, inter_layer: spatial_id > 0 }),
            tl0_pic_idx: Some(3),
            ..vp9::Descriptor::default()
        };
        let mut buf = [0; 16];
        let len = descriptor.write(&mut buf).expect("it fits");
        reader.read(0, &unread(0, Format::Vp9, &buf[..len])).expect("whole")
    };
    assert_eq!(read(0, 0, false, false).facts.begins_key_frame, Some(true));
    let base = read(0, 0, true, true);
    assert!((1..8).all(|temporal| base.facts.opens.has(Step { spatial: 0, temporal })));
    assert!(!base.facts.opens.has(Step { spatial: 1, temporal: 1 }));
    assert_eq!(base.inner, Inner { picture: 9, base_picture: 3, ..Inner::default() });
    assert_eq!(read(1, 0, true, false).facts.access, None);
    assert_eq!(read(1, 0, false, false).facts.access, None);
}

/// Two temporal layers; the second one has a frame that depends on the base alone, and one that depends on
/// its like, both of which may be switched to where they can be decoded.
fn structure() -> Structure {
    let template = |temporal_id, indications: [Indication; 2], differences: &[u8]| {
        let mut template = Template::default();
        template.temporal_id = temporal_id;
        template.indications = Indications::new(indications);
        template.differences = TemplateDifferences::new(differences).expect("few");
        template
    };
    use Indication::{NotPresent, Required, Switch};
    let templates = [
        template(0, [Switch, Switch], &[]),
        template(0, [Switch, Required], &[2]),
        template(1, [NotPresent, Switch], &[1]),
        template(1, [NotPresent, Switch], &[2]),
    ];
    Structure::new(0, &[0, 0], 0, &templates, &[]).expect("sound")
}

fn described(structure: &Structure, template_id: u8, frame_number: u16, whole: bool) -> Vec<u8> {
    let head = Head { begins_frame: true, ends_frame: true, template_id, frame_number };
    let mut buf = [0; 255];
    let own = whole.then_some(structure);
    let len = dd::write(&mut buf, head, structure, own.is_some(), &Custom::default()).expect("it fits");
    buf[..len].to_vec()
}

#[test]
fn a_dependency_descriptor_gives_access_to_what_depends_on_lower_layers_alone() {
    let (structure, mut reader) = (structure(), Reader::default());
    let mut read = |template, number, whole| {
        let value = described(&structure, template, number, whole);
        let sealed = [0xaa; 9];
        let body = Body::Opaque(Opaque::new(&sealed));
        let unread = Unread { body, dependency: Some(&value), ..unread(u32::from(number), Format::Av1, &[]) };
        reader.read(0, &unread).expect("nothing is read of it").facts
    };
    let key = read(0, 100, true);
    assert_eq!((key.begins_key_frame, key.opens), (Some(true), Steps::ALL));
    let alone = read(2, 101, false);
    assert_eq!((alone.layer.temporal, alone.access), (1, Some(Step::default())));
    let base = read(1, 102, false);
    assert_eq!((base.layer.temporal, base.begins_key_frame), (0, Some(false)));
    assert!(!base.opens.has(Step { spatial: 0, temporal: 1 }), "it is required, no more");
    // It depends on 101, which is of its own layer; and number 105 on 103, which never came.
    assert_eq!(read(3, 103, false).access, Some(Step { spatial: 0, temporal: 1 }));
    assert_eq!(read(3, 107, false).access, None);
}

#[test]
fn s_desc_02_a_template_before_its_structure_is_not_understood() {
    let (structure, mut reader) = (structure(), Reader::default());
    let value = described(&structure, 2, 9, false);
    let sealed = [0xaa; 9];
    let body = Body::Opaque(Opaque::new(&sealed));
    let unread = Unread { body, dependency: Some(&value), ..unread(0, Format::H264, &[]) };
    let facts = reader.read(0, &unread).expect("nothing is read of it").facts;
    assert_eq!((facts.begins_key_frame, facts.layer.temporal), (None, 0));
    assert!(reader.described.is_none());
    for cut in 0..3 {
        let unread = Unread { dependency: value.get(..cut), ..unread };
        assert_eq!(reader.read(0, &unread).expect("the same").facts.begins_key_frame, None);
    }
}

#[test]
fn s_desc_03_frame_numbers_that_jump_make_nobody_enter() {
    let mut frames = Frames::default();
    let step = |temporal| Step { spatial: 0, temporal };
    for (number, temporal) in [(65_530, 0), (65_531, 1), (2, 0), (40_000, 1), (3, 1)] {
        frames.note(number, step(temporal));
    }
    assert_eq!(frames.of(40_000), None, "it lies behind, by half the circle");
    assert_eq!((frames.of(2), frames.of(65_531), frames.of(0)), (Some(step(0)), Some(step(1)), None));
    frames.note(1_000, step(2));
    assert_eq!((frames.of(2), frames.of(1_000)), (None, Some(step(2))));
}
