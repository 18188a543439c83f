use super::*;
use proptest::prelude::*;

const STEP: Step = Step { spatial: 0, temporal: 0 };

fn layer(encoding: u8, spatial: u8, temporal: u8) -> Layer {
    Layer { encoding, spatial, temporal }
}

/// A frame in one packet.
fn frame(layer: Layer) -> PacketFacts {
    PacketFacts {
        layer,
        begins_picture: layer.spatial == 0,
        begins_frame: true,
        ends_frame: true,
        ..PacketFacts::default()
    }
}

fn key(layer: Layer) -> PacketFacts {
    PacketFacts { begins_key_frame: Some(true), opens: Steps::ALL, ..frame(layer) }
}

/// A selector that gets this layer.
fn at(layer: Layer) -> Selector {
    let mut selector = Selector::new();
    selector.set_target(Some(layer));
    assert_eq!(selector.select(&key(self::layer(layer.encoding, 0, 0))), Verdict::Switch);
    assert_eq!(selector.layer(), Some(layer));
    selector
}

#[test]
fn nothing_is_sent_before_a_key_frame() {
    let mut selector = Selector::new();
    assert_eq!(selector.select(&frame(layer(0, 0, 0))), Verdict::AwaitKeyFrame);
    assert_eq!(selector.awaits(|target| target), Some(0));
    assert_eq!(selector.select(&key(layer(0, 1, 0))), Verdict::AwaitKeyFrame, "not of its base");
    assert_eq!(selector.select(&key(layer(0, 0, 0))), Verdict::Switch);
    assert_eq!(selector.select(&frame(layer(0, 2, 5))), Verdict::Forward);
    assert_eq!(selector.awaits(|target| target), None);
}

#[test]
fn where_key_frames_cannot_be_told_a_picture_is_begun_with() {
    let mut selector = Selector::new();
    let unknown =
        |begins_picture| PacketFacts { begins_key_frame: None, begins_picture, ..frame(layer(0, 0, 0)) };
    assert_eq!(selector.select(&unknown(false)), Verdict::AwaitKeyFrame);
    assert_eq!(selector.select(&unknown(true)), Verdict::Switch);
}

#[test]
fn another_encoding_is_entered_at_its_key_frame_and_the_one_before_goes_on_until_then() {
    let mut selector = at(Layer::whole(0));
    selector.set_target(Some(Layer::whole(1)));
    assert_eq!(selector.select(&frame(layer(1, 0, 0))), Verdict::AwaitKeyFrame);
    assert_eq!(selector.select(&frame(layer(0, 0, 1))), Verdict::Forward);
    assert_eq!(selector.awaits(|target| target), Some(1));
    assert_eq!(selector.select(&key(layer(2, 0, 0))), Verdict::Skip, "nobody asked for that one");
    assert_eq!(selector.select(&key(layer(1, 0, 0))), Verdict::Switch);
    assert_eq!(selector.select(&frame(layer(0, 0, 0))), Verdict::Skip);
    assert_eq!(selector.select(&frame(layer(1, 0, 2))), Verdict::Forward);
}

#[test]
fn down_with_the_next_picture_and_not_within_one() {
    let mut selector = at(layer(0, 2, 2));
    selector.set_target(Some(layer(0, 1, 1)));
    assert_eq!(selector.select(&frame(layer(0, 1, 2))), Verdict::Forward, "of the picture that has begun");
    assert_eq!(selector.select(&frame(layer(0, 2, 2))), Verdict::Forward);
    assert_eq!(selector.select(&frame(layer(0, 0, 0))), Verdict::Forward);
    assert_eq!(selector.select(&frame(layer(0, 1, 0))), Verdict::Forward);
    assert_eq!(selector.select(&frame(layer(0, 2, 0))), Verdict::Skip);
    assert_eq!(selector.select(&frame(layer(0, 0, 2))), Verdict::Skip);
    assert_eq!(selector.layer(), Some(layer(0, 1, 1)));
}

#[test]
fn up_in_time_where_a_frame_gives_access() {
    let mut selector = at(layer(0, 0, 0));
    selector.set_target(Some(layer(0, 0, 2)));
    let access = |temporal, needed| PacketFacts {
        access: Some(Step { temporal: needed, ..STEP }),
        ..frame(layer(0, 0, temporal))
    };
    assert_eq!(selector.select(&access(2, 1)), Verdict::Skip, "the layer between is not there");
    assert_eq!(selector.select(&frame(layer(0, 0, 1))), Verdict::Skip, "it depends on its like");
    assert_eq!(selector.select(&access(1, 0)), Verdict::Forward);
    assert_eq!(selector.select(&frame(layer(0, 0, 1))), Verdict::Forward);
    assert_eq!(selector.select(&access(2, 1)), Verdict::Forward);
    assert_eq!(selector.layer(), Some(layer(0, 0, 2)));
}

#[test]
fn up_behind_a_frame_that_opens_more() {
    let mut selector = at(layer(0, 1, 0));
    selector.set_target(Some(layer(0, 2, 1)));
    let opens = |own, steps| PacketFacts { opens: steps, ..frame(own) };
    let step = |spatial, temporal| Steps::NONE.and(Step { spatial, temporal });
    assert_eq!(selector.select(&opens(layer(0, 2, 0), Steps::ALL)), Verdict::Skip, "it is not received");
    assert_eq!(selector.select(&opens(layer(0, 1, 0), step(1, 1))), Verdict::Forward);
    assert_eq!(selector.layer(), Some(layer(0, 1, 1)));
    assert_eq!(selector.awaits(|target| target), Some(0), "a key frame would help");
    assert_eq!(selector.select(&opens(layer(0, 0, 0), step(2, 1))), Verdict::Forward);
    assert_eq!(selector.layer(), Some(layer(0, 2, 1)));
}

#[test]
fn a_spatial_layer_is_not_entered_behind_the_one_below() {
    let mut selector = at(layer(0, 0, 0));
    selector.set_target(Some(Layer::whole(0)));
    let access = PacketFacts { access: Some(STEP), ..frame(layer(0, 1, 0)) };
    assert_eq!(selector.select(&frame(layer(0, 1, 0))), Verdict::Skip);
    assert_eq!(selector.select(&access), Verdict::Skip, "the picture has ended");
    assert_eq!(selector.select(&key(layer(0, 0, 0))), Verdict::Forward);
    assert_eq!(selector.layer(), Some(Layer::whole(0)), "all of it with a key frame");
}

#[test]
fn a_pause_ends_with_a_key_frame() {
    let mut selector = at(Layer::whole(0));
    selector.set_target(None);
    assert_eq!(selector.select(&key(layer(0, 0, 0))), Verdict::Skip);
    assert_eq!((selector.layer(), selector.awaits(|target| target)), (None, None));
    selector.set_target(Some(Layer::whole(0)));
    assert_eq!(selector.select(&frame(layer(0, 0, 0))), Verdict::AwaitKeyFrame);
    assert_eq!(selector.select(&key(layer(0, 0, 0))), Verdict::Switch);
}

proptest! {
    /// A frame is sent whole or not at all, nothing above the target is sent once it was reached, and
    /// another encoding begins with a key frame, whatever is wished and whatever the facts claim.
    #[test]
    fn s_desc_03_frames_are_whole_and_encodings_begin_with_key_frames(
        frames in proptest::collection::vec((0u8..3, 0u8..4, 0u8..4, any::<[bool; 3]>(), any::<u32>(), 1u8..4), 1..60),
        targets in proptest::collection::vec((0usize..180, 0u8..3, 0u8..4, 0u8..4, any::<bool>()), 0..20),
    ) {
        let mut selector = Selector::new();
        let mut packets = 0;
        for (encoding, spatial, temporal, [is_key, begins_picture, access], opens, parts) in frames {
            let mut whole = None;
            let mut sent_before = selector.layer();
            for part in 0..parts {
                for (_, encoding, spatial, temporal, off) in targets.iter().filter(|(at, ..)| *at == packets) {
                    let target = layer(*encoding, *spatial, *temporal);
                    selector.set_target((!off).then_some(target));
                }
                packets += 1;
                let facts = PacketFacts {
                    layer: layer(encoding, spatial, temporal),
                    begins_key_frame: Some(is_key && part == 0),
                    begins_picture: begins_picture && part == 0,
                    begins_frame: part == 0,
                    ends_frame: part + 1 == parts,
                    ends_picture: part + 1 == parts,
                    access: access.then_some(STEP),
                    opens: Steps(opens),
                };
                let verdict = selector.select(&facts);
                let sent = matches!(verdict, Verdict::Forward | Verdict::Switch);
                prop_assert_eq!(sent, whole.unwrap_or(sent), "{:?}", facts);
                whole = Some(sent);
                if sent && sent_before.is_none_or(|before| before.encoding != encoding) {
                    prop_assert_eq!(verdict, Verdict::Switch);
                    prop_assert!(is_key && part == 0 && spatial == 0);
                    sent_before = selector.layer();
                }
                if sent {
                    prop_assert!(selector.layer().is_some_and(|now| now.includes(facts.layer)));
                }
            }
        }
    }
}
