//! Sizes of pictures where nothing but the payload tells them: H.264 as browsers send it that have no dependency
//! descriptor and no layers allocation.

mod support;

use estafette::layers::Layer;
use estafette::negotiation::MediaKind;
use estafette::payload::{Body, Format, Resolution};
use estafette::{Event, RoomConfig, SourceId, Wish};
use support::client::publish::Plan;
use support::harness::{Options, millis};
use support::recording::Recording;
use support::replay::Choice;
use support::{Client, Conference};

const SIZES: [Resolution; 3] = [
    Resolution { width: 160, height: 90 },
    Resolution { width: 320, height: 180 },
    Resolution { width: 640, height: 360 },
];

#[test]
fn recorded_parameter_sets_tell_the_recorded_sizes() {
    let recording = Recording::load("h264-simulcast");
    for (encoding, expected) in recording.encodings.iter().zip(SIZES) {
        let told = encoding
            .packets
            .iter()
            .filter_map(|packet| Body::Clear(&packet.payload).resolution(Format::H264, 0));
        let told: Vec<_> = told.collect();
        assert!(told.len() >= 5 && told.iter().all(|size| *size == expected), "{told:?}");
    }
}

/// A call in which seat 0 plays H.264 simulcast without any extension that describes it.
fn call(opaque: bool) -> (Conference<Client>, SourceId) {
    let recording = Recording::load("h264-simulcast");
    let room = RoomConfig { opaque, ..Options::default().room };
    let mut conference = Conference::<Client>::new(Options { room, ..Options::default() });
    let room = conference.room();
    let mut publisher = conference.client(0, Plan { audio: false, ..Plan::default() }, 0);
    publisher.play_with(recording, Choice::All, |_| false);
    let mut viewer = conference.client(1, Plan { audio: false, video: false, ..Plan::default() }, 0);
    viewer.tape(recording);
    conference.join(room, publisher);
    conference.join(room, viewer);
    conference.connect();
    conference.drive(millis(500));
    let added = |(_, event): &(_, Event)| match event {
        Event::SourceAdded(source) if source.kind == MediaKind::Video => Some(source.id),
        _ => None,
    };
    let source = conference.events.iter().find_map(added).expect("it is published");
    let start = conference.now;
    conference.endpoint(0).replay().start(start);
    conference.drive(millis(2_000));
    (conference, source)
}

/// The layers that the viewer was sent, one after the other.
fn sent(conference: &Conference) -> Vec<Option<Layer>> {
    let of = |(_, event): &(_, Event)| match event {
        Event::LayerChanged { layer, .. } => Some(*layer),
        _ => None,
    };
    conference.events.iter().filter_map(of).collect()
}

#[test]
fn a_height_bounds_h264_simulcast_that_tells_its_sizes_in_parameter_sets_alone() {
    let (mut conference, source) = call(false);
    let told: Vec<_> = conference.engine.layers(source).iter().map(|rung| rung.resolution).collect();
    assert_eq!(told, SIZES.map(Some));
    let encodings = |conference: &Conference| -> Vec<u8> {
        sent(conference).into_iter().flatten().map(|layer| layer.encoding).collect()
    };
    let before = encodings(&conference).len();
    assert_eq!(encodings(&conference).last(), Some(&2), "the largest, unless something is wished");
    let viewer = conference.participant(1);
    for (height, encoding) in [(180, 1), (100, 0)] {
        let wish = Wish { max_height: Some(height), ..Wish::default() };
        conference.engine.participant(viewer).unwrap().set_wish(source, wish).unwrap();
        conference.drive(millis(1_500));
        assert_eq!(encodings(&conference).last(), Some(&encoding), "{height} lines at most");
    }
    assert_eq!(encodings(&conference).len(), before + 2);
}

#[test]
fn s_desc_05_of_an_opaque_payload_no_size_is_read() {
    let (conference, source) = call(true);
    let layers = conference.engine.layers(source);
    assert!(!layers.is_empty() && layers.iter().all(|rung| rung.resolution.is_none()), "{layers:?}");
}
