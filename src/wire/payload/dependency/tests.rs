use super::super::{Fault, Resolution};
use super::*;
use crate::base::limits::{CHAINS, DECODE_TARGETS, FRAME_REFERENCES, FRAME_TEMPLATES};
use crate::captures::bytes;
use crate::wire::malformed::Malformed;
use proptest::prelude::*;

/// The first packet of Chromium's AV1 in three spatial and three temporal layers.
const L3T3: &str = "c10001c0081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d954926e08\
                    2b04a0941b820ac1282503157f974000ca864330e222222eca8655304224230eca87753013f00b3027f016704ff02cf\
                    1f80";

fn error(bytes: &[u8]) -> Option<(u16, Fault)> {
    let descriptor = match Descriptor::parse(bytes) {
        Ok(descriptor) => descriptor,
        Err(error) => return Some((error.offset, error.fault)),
    };
    descriptor.structure().err().map(|error| (error.offset, error.fault))
}

#[test]
fn av1_rtp_a_8_2_a_key_frame_brings_the_structure() {
    let value = bytes(L3T3);
    let descriptor = Descriptor::parse(&value).expect("mandatory fields");
    let structure = descriptor.structure().expect("whole").expect("there is one");
    assert_eq!((structure.spatial_layers(), structure.targets().len(), structure.chains()), (3, 9, 3));
    let sizes = [(320, 180), (640, 360), (1_280, 720)].map(|(width, height)| Resolution { width, height });
    assert!(structure.resolutions().eq(sizes));
    // The targets are all combinations, the chain that of the spatial layer.
    let mut targets: Vec<_> =
        structure.targets().iter().map(|t| (t.spatial_id, t.temporal_id, t.chain)).collect();
    targets.sort_unstable();
    let all = (0..3).flat_map(|spatial| (0..3).map(move |temporal| (spatial, temporal, spatial)));
    assert!(targets.into_iter().eq(all));
    let frame = descriptor.frame(&structure).expect("of this structure");
    assert!(frame.is_independent() && frame.has_structure() && !frame.is_discardable());
    assert_eq!((frame.spatial_id(), frame.temporal_id()), (0, 0));
    assert_eq!(frame.resolution(), Some(Resolution { width: 320, height: 180 }));
    assert_eq!(frame.active_targets(), Some(0x3f), "the highest spatial layer is not sent as yet");
    assert!((0..9).all(|target| frame.indication(target) == Indication::Switch));
    assert!(frame.is_layer_access() && frame.is_switching_up());
    assert_eq!(frame.chain_difference(0), Some(0), "the chain begins here");
    assert_eq!(frame.chain_difference(3), None);
}

#[test]
fn a_later_packet_differs_from_its_template_by_what_it_tells() {
    let value = bytes(L3T3);
    let structure = Descriptor::parse(&value).expect("whole").structure().expect("whole").expect("there");
    // Template 6, with nothing of its own: the second spatial layer of the key picture.
    let value = bytes("c60002");
    let frame = Descriptor::parse(&value).expect("whole").frame(&structure).expect("known");
    assert_eq!((frame.spatial_id(), frame.differences().collect::<Vec<_>>()), (1, vec![1]));
    assert_eq!(frame.active_targets(), None, "nothing changes");
    // Template 3 with references and chains of its own.
    let value = bytes("c300031a20100800");
    let frame = Descriptor::parse(&value).expect("whole").frame(&structure).expect("known");
    assert_eq!((frame.spatial_id(), frame.temporal_id()), (0, 2));
    assert_eq!(frame.differences().collect::<Vec<_>>(), [2]);
    assert_eq!(
        (0..3).map(|chain| frame.chain_difference(chain)).collect::<Vec<_>>(),
        [Some(2), Some(1), Some(0)]
    );
}

#[test]
fn s_desc_01_a_descriptor_cut_anywhere_names_the_field() {
    let value = bytes(L3T3);
    for len in 0..value.len() {
        let fault = match len {
            0..3 => Some(Fault::DependencyHeader),
            // Three bytes are a whole descriptor, and the last two are of the decode target mask.
            3 | 95 | 96 => None,
            _ => Some(Fault::DependencyStructure),
        };
        assert_eq!(error(&value[..len]).map(|(_, fault)| fault), fault, "{len}");
        assert!(error(&value[..len]).is_none_or(|(offset, _)| usize::from(offset) <= len));
    }
    let structure = Descriptor::parse(&value).expect("whole").structure().expect("whole").expect("there");
    let cut = Descriptor::parse(&value[..95]).and_then(|descriptor| descriptor.frame(&structure));
    assert_eq!(cut.err().map(|error| error.fault), Some(Fault::DependencyFlags));
    let later = bytes("c300037a0003204020180820");
    for len in 4..later.len() {
        let cut = Descriptor::parse(&later[..len]).expect("mandatory fields");
        if let Err(error) = cut.frame(&structure) {
            let faults = [Fault::DependencyFlags, Fault::DependencyFrame, Fault::DependencyReferences];
            assert!(faults.contains(&error.fault) && usize::from(error.offset) <= len, "{len}: {error}");
        }
    }
}

#[test]
fn s_desc_01_every_flag_combination_is_read_or_refused() {
    let structure = small(0);
    for flags in 0..=255u8 {
        for rest in [&[][..], &[0xff; 12], &[0; 12], &[0x5a; 12]] {
            let value = [&[0xc0, 0, 1, flags][..], rest].concat();
            let descriptor = Descriptor::parse(&value).expect("mandatory fields");
            assert_eq!(descriptor.has_structure(), flags & 0x80 != 0);
            let Ok(frame) = descriptor.frame(&structure) else { continue };
            assert_eq!(frame.custom().active_targets.is_some(), flags & 0x40 != 0);
            assert_eq!(frame.custom().indications.is_some(), flags & 0x20 != 0);
            assert_eq!(frame.custom().differences.is_some(), flags & 0x10 != 0);
            assert_eq!(frame.custom().chains.is_some(), flags & 0x08 != 0);
        }
    }
}

/// Two decode targets, one chain and three templates, the first of which has that id.
fn small(id_offset: u8) -> Structure {
    use Indication::{Discardable, NotPresent, Switch};
    let template = |temporal_id, indications: [Indication; 2], differences: &[u8]| Template {
        temporal_id,
        indications: Indications::new(indications),
        differences: TemplateDifferences::new(differences).expect("few and small"),
        ..Template::default()
    };
    let templates = [
        template(0, [Switch, Switch], &[]),
        template(0, [Switch, Switch], &[2]).with_chains([2]),
        template(1, [Discardable, NotPresent], &[1]).with_chains([1]),
    ];
    Structure::new(id_offset, &[0, 0], 1, &templates, &[]).expect("consistent")
}

#[test]
fn s_desc_02_a_template_before_its_structure_is_refused() {
    let structure = small(62);
    for id in 0..64 {
        let value = [0xc0 | id, 0, 1];
        let frame = Descriptor::parse(&value).expect("mandatory fields").frame(&structure);
        // The ids wrap: 62, 63, 0.
        let known = matches!(id, 62 | 63 | 0);
        let expected = (!known).then_some(Malformed::at(0, Fault::DependencyTemplate));
        assert_eq!(frame.err(), expected, "{id}");
    }
}

#[test]
fn s_desc_02_a_structure_that_changes_takes_effect_only_where_it_is_given() {
    let (old, new) = (small(0), small(10));
    let mut value = [0; 64];
    let head = Head { template_id: 10, ..Head::default() };
    let len = write(&mut value, head, &new, true, &Custom::default()).expect("room");
    let descriptor = Descriptor::parse(&value[..len]).expect("mandatory fields");
    assert_eq!(descriptor.structure().expect("whole"), Some(new.clone()));
    assert!(descriptor.frame(&new).is_ok());
    // Its ids are not those of the old one.
    assert_eq!(descriptor.frame(&old).err(), Some(Malformed::at(0, Fault::DependencyTemplate)));
    // Even where the ids agree the frame is not read by another structure than its own.
    let one_target = Structure::new(10, &[0], 0, new.templates(), &[]).expect("consistent");
    assert_eq!(descriptor.frame(&one_target).err(), Some(Malformed::at(3, Fault::DependencyStructure)));
}

#[test]
fn s_desc_02_counts_at_their_maximum_with_few_bytes_are_refused() {
    // 32 targets and templates that never end, all of one layer: 11 bits, then zeros.
    let mut value = vec![0xc0, 0, 1, 0x80, 0x1f, 0x00];
    assert_eq!(error(&value), Some((6, Fault::DependencyStructure)));
    value.extend([0; 300]);
    // Sixty-four are read, each announced by two bits behind the 40 in front.
    assert_eq!(error(&value), Some((21, Fault::DependencyTemplates)));
    // Temporal and spatial layers that climb too high: 01 and 10 repeated.
    value[5..].fill(0x55);
    assert_eq!(error(&value).map(|(_, fault)| fault), Some(Fault::DependencyTemplates));
    value[5..].fill(0xaa);
    assert_eq!(error(&value).map(|(_, fault)| fault), Some(Fault::DependencyTemplates));
    // One target and template, with references without end.
    let mut value = vec![0xc0, 0, 1, 0x80, 0x00];
    value.extend([0xff; 40]);
    assert_eq!(error(&value).map(|(_, fault)| fault), Some(Fault::DependencyReferences));
    // A frame with more references than any codec has.
    let structure = small(0);
    let value = [&[0xc0, 0, 1, 0x17][..], &[0xff; 20]].concat();
    let frame = Descriptor::parse(&value).expect("mandatory fields").frame(&structure);
    assert_eq!(frame.err().map(|error| error.fault), Some(Fault::DependencyReferences));
}

#[test]
fn s_desc_02_the_largest_structure_fits_its_fixed_memory() {
    let layers = (0..4u8).flat_map(|spatial| (0..8u8).flat_map(move |temporal| [(spatial, temporal); 2]));
    let templates: Vec<_> = layers
        .map(|(spatial_id, temporal_id)| Template {
            spatial_id,
            temporal_id,
            indications: Indications::new([Indication::Required; DECODE_TARGETS]),
            differences: TemplateDifferences::new(&[16; FRAME_REFERENCES]).expect("the most there are"),
            ..Template::default().with_chains([15; CHAINS])
        })
        .collect();
    assert_eq!(templates.len(), FRAME_TEMPLATES);
    let chains: Vec<u8> = (0..32).collect();
    let sizes = [Resolution { width: u16::MAX, height: 1 }; 4];
    let largest = Structure::new(63, &chains, 32, &templates, &sizes).expect("consistent");
    let mut value = [0; 4_096];
    let head = Head { template_id: 63, ..Head::default() };
    let len = write(&mut value, head, &largest, true, &Custom::default()).expect("room");
    let descriptor = Descriptor::parse(&value[..len]).expect("whole");
    assert_eq!(descriptor.structure().expect("whole"), Some(largest));
    assert!(size_of::<Structure>() < 3_400, "{} bytes", size_of::<Structure>());
    let too_many = [&templates[..], &templates[63..]].concat();
    assert!(Structure::new(63, &chains, 32, &too_many, &[]).is_err());
}

#[test]
fn inconsistent_structures_are_not_made() {
    let templates = small(0).templates().to_vec();
    let refused = |targets: &[u8], chains, templates: &[Template], sizes: &[Resolution]| {
        Structure::new(0, targets, chains, templates, sizes).is_err()
    };
    assert!(!refused(&[0, 0], 1, &templates, &[]));
    assert!(refused(&[], 0, &templates, &[]), "no target");
    assert!(refused(&[0; 33], 1, &templates, &[]), "too many targets");
    assert!(refused(&[0, 1], 1, &templates, &[]), "an unknown chain");
    assert!(refused(&[0, 0], 3, &templates, &[]), "more chains than targets");
    assert!(refused(&[0, 0], 1, &[], &[]), "no template");
    assert!(refused(&[0, 0], 1, &templates[2..], &[]), "not from the lowest layer");
    assert!(refused(&[0, 0], 1, &templates, &[Resolution::default(); 2]), "another number of layers");
}

#[test]
fn what_templates_say_beyond_targets_and_chains_is_left_out() {
    let whole = small(0);
    let excess = whole.templates().iter().map(|template| Template {
        indications: Indications::new((0..32).map(|target| match target {
            0 | 1 => template.indications.of(target),
            _ => Indication::Required,
        })),
        ..template.with_chains([template.chain(0), 9, 9])
    });
    let excess: Vec<_> = excess.collect();
    assert_eq!(Structure::new(0, &[0, 0], 1, &excess, &[]), Ok(whole));
}

fn structure() -> impl Strategy<Value = Structure> {
    let indication = (0u64..4).prop_map(Indication::from_bits);
    let template = (
        0u8..3,
        proptest::collection::vec(indication, DECODE_TARGETS),
        proptest::collection::vec(1u8..=16, 0..=FRAME_REFERENCES),
        proptest::collection::vec(any::<u8>(), CHAINS),
    );
    let templates = proptest::collection::vec(template, 1..=FRAME_TEMPLATES);
    (0u8..64, 1u8..=32, any::<u8>(), any::<bool>(), templates).prop_map(
        |(id_offset, targets, chains, sized, parts)| {
            let chains = chains % (targets + 1);
            let target_chains: Vec<u8> = (0..targets).map(|target| target % chains.max(1)).collect();
            let (mut spatial_id, mut temporal_id) = (0, 0);
            let mut templates = Vec::new();
            for (index, (step, indications, differences, distances)) in parts.into_iter().enumerate() {
                if index > 0 && step == 1 && temporal_id < 7 {
                    temporal_id += 1;
                } else if index > 0 && step == 2 && spatial_id < 3 {
                    (spatial_id, temporal_id) = (spatial_id + 1, 0);
                }
                templates.push(
                    Template {
                        spatial_id,
                        temporal_id,
                        indications: Indications::new(indications.into_iter().take(usize::from(targets))),
                        differences: TemplateDifferences::new(&differences).expect("few and small"),
                        ..Template::default()
                    }
                    .with_chains(distances.into_iter().take(usize::from(chains))),
                );
            }
            let sizes = [Resolution { width: 640, height: 360 }; 4];
            let sizes = &sizes[..if sized { usize::from(spatial_id) + 1 } else { 0 }];
            Structure::new(id_offset, &target_chains, chains, &templates, sizes).expect("consistent")
        },
    )
}

fn custom(targets: usize, chains: usize) -> impl Strategy<Value = Custom> {
    let indication = (0u64..4).prop_map(Indication::from_bits);
    (
        any::<Option<u32>>(),
        proptest::option::of(proptest::collection::vec(indication, targets)),
        proptest::option::of(proptest::collection::vec(1u16..=4_096, 0..=FRAME_REFERENCES)),
        proptest::option::of(proptest::collection::vec(any::<u8>(), chains)),
    )
        .prop_map(move |(mask, indications, differences, distances)| Custom {
            active_targets: mask.map(|mask| mask & (u32::MAX >> (32 - targets))),
            indications: indications.map(Indications::new),
            differences: differences.map(|all| FrameDifferences::new(&all).expect("few and small")),
            chains: distances.map(ChainDifferences::new),
        })
}

proptest! {
    #[test]
    fn a_descriptor_is_read_as_written(
        (structure, custom) in structure().prop_flat_map(|structure| {
            let custom = custom(structure.targets().len(), usize::from(structure.chains()));
            (Just(structure), custom)
        }),
        (begins_frame, ends_frame, attach) in any::<(bool, bool, bool)>(),
        (index, frame_number, room) in (any::<u8>(), any::<u16>(), 0usize..300),
    ) {
        let template_id = (structure.id_offset() + index % structure.templates().len() as u8) % 64;
        let head = Head { begins_frame, ends_frame, template_id, frame_number };
        let mut buf = [0xff; 4_096];
        let len = write(&mut buf, head, &structure, attach, &custom).expect("room");
        let descriptor = Descriptor::parse(&buf[..len]).expect("ours");
        prop_assert_eq!(descriptor.head(), head);
        let attached = descriptor.structure().expect("ours");
        prop_assert_eq!(attached.as_ref(), attach.then_some(&structure));
        let frame = descriptor.frame(&structure).expect("ours");
        prop_assert_eq!(frame.custom(), &custom);
        let template = structure.template(template_id).expect("it is one of them");
        prop_assert_eq!((frame.spatial_id(), frame.temporal_id()), (template.spatial_id, template.temporal_id));
        prop_assert_eq!(frame.differences().count() == 0, frame.is_independent());
        prop_assert_eq!(write(&mut buf[..room], head, &structure, attach, &custom).is_ok(), room >= len);
    }

    #[test]
    fn a_frame_number_is_changed_where_it_stands(old in any::<[u8; 6]>(), number: u16) {
        let mut new = old;
        set_frame_number(&mut new, number).expect("three bytes");
        let (old, new) = (Descriptor::parse(&old).expect("3").head(), Descriptor::parse(&new).expect("3").head());
        prop_assert_eq!(new, Head { frame_number: number, ..old });
        prop_assert!(set_frame_number(&mut [0; 2], number).is_err());
    }

    #[test]
    fn s_desc_02_any_bytes_are_read_within_bounds(value in proptest::collection::vec(any::<u8>(), 0..256)) {
        let Ok(descriptor) = Descriptor::parse(&value) else { return Ok(()) };
        let Ok(Some(structure)) = descriptor.structure() else { return Ok(()) };
        prop_assert!(structure.templates().len() <= FRAME_TEMPLATES);
        prop_assert!(structure.targets().len() <= DECODE_TARGETS);
        prop_assert!(usize::from(structure.chains()) <= structure.targets().len());
        prop_assert!(structure.spatial_layers() <= 4);
        // What was read is written as it was read.
        let mut buf = [0; 256];
        let head = descriptor.head();
        let len = write(&mut buf, head, &structure, true, &Custom::default()).expect("no longer than it was");
        let again = Descriptor::parse(&buf[..len]).expect("ours").structure().expect("ours");
        prop_assert_eq!(again, Some(structure));
    }
}
