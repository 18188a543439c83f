//! Congestion control feedback: one kind for all sections, told by both sides.

use super::*;
use crate::wire::sdp::Extmap;

const NUMBERS: &str = ExtensionKind::TransportSequenceNumber.uri();

/// Chromium's offer, changed.
fn offer(change: impl Fn(usize, &mut Media)) -> String {
    let mut offer = Description::parse(&capture(CHROMIUM)).unwrap();
    (0..).zip(&mut offer.media).for_each(|(at, media)| change(at, media));
    offer.write()
}

/// Sections without transport-wide feedback, as Chromium was before it.
fn without_transport_cc(media: &mut Media) {
    media.codecs.iter_mut().for_each(|codec| codec.feedback.transport_cc = false);
}

/// What a description names of each kind in its sections with media, and whether packets are numbered.
fn named(sdp: &str) -> Vec<[bool; 4]> {
    let media = sections(sdp).into_iter().filter(|media| matches!(media.kind, Kind::Audio | Kind::Video));
    let told = media.map(|media| {
        let any = |has: fn(Feedback) -> bool| media.codecs.iter().any(|codec| has(codec.feedback));
        let numbers = media.extmaps.iter().any(|extmap| extmap.uri == NUMBERS);
        [media.ccfb, any(|feedback| feedback.transport_cc), any(|feedback| feedback.remb), numbers]
    });
    told.collect()
}

fn answer_to(negotiation: &mut Negotiation, offer: &str) -> (Option<FeedbackKind>, Vec<[bool; 4]>) {
    let answer = negotiation.accept_offer(offer, &local()).unwrap();
    (negotiation.session().feedback, named(&answer.sdp))
}

#[test]
fn an_answer_names_the_first_kind_that_both_know() {
    let offers = [
        (offer(|_, media| media.ccfb = true), Some(FeedbackKind::Ccfb), [[true, false, false, false]; 2]),
        (offer(|_, _| ()), Some(FeedbackKind::TransportWide), [[false, true, false, true]; 2]),
        (
            offer(|_, media| without_transport_cc(media)),
            Some(FeedbackKind::Remb),
            [[false, false, false, true], [false, false, true, true]],
        ),
        (
            offer(|_, media| media.codecs.iter_mut().for_each(|codec| codec.feedback = Feedback::default())),
            None,
            [[false, false, false, true]; 2],
        ),
    ];
    for (offer, kind, expected) in offers {
        let mut negotiation = negotiation();
        assert_eq!(answer_to(&mut negotiation, &offer), (kind, expected.to_vec()));
        let told: Vec<_> = negotiation.session().lines.iter().map(|line| line.feedback).collect();
        assert!(
            told.iter()
                .zip(expected)
                .all(|(told, [_, wide, remb, _])| { (told.transport_cc, told.remb) == (wide, remb) })
        );
    }
}

#[test]
fn rfc_8888_6_congestion_control_feedback_is_taken_from_all_sections_or_none() {
    let mut negotiation = negotiation();
    let (kind, named) = answer_to(&mut negotiation, &offer(|at, media| media.ccfb = at == 1));
    assert_eq!((kind, named), (Some(FeedbackKind::TransportWide), vec![[false, true, false, true]; 2]));
    // Of what is rejected nothing is asked.
    let audio_rejected = offer(|at, media| {
        media.ccfb = at == 1;
        if at == 0 {
            media.port = 0;
        }
    });
    assert_eq!(answer_to(&mut negotiation, &audio_rejected).0, Some(FeedbackKind::Ccfb));
}

#[test]
fn pictures_decide_between_numbers_and_the_receivers_estimate() {
    let video_without = offer(|at, media| {
        if at == 1 {
            without_transport_cc(media);
        }
    });
    let (kind, named) = answer_to(&mut negotiation(), &video_without);
    assert_eq!(kind, Some(FeedbackKind::Remb));
    assert_eq!(named, [[false, false, false, true], [false, false, true, true]]);
}

#[test]
fn what_is_not_configured_is_neither_taken_nor_offered() {
    let config = Config { feedback: vec![FeedbackKind::Remb], ..Config::default() };
    let mut negotiation = Negotiation::new(Arc::new(config), 42);
    negotiation.assign_send(slot(1, MediaKind::Video)).unwrap();
    let ours = negotiation.create_offer(&local()).unwrap();
    assert_eq!(named(&ours), [[false, false, true, false]]);
    let theirs = offer(|_, media| media.ccfb = true);
    assert_eq!(answer_to(&mut negotiation, &theirs).0, Some(FeedbackKind::Remb));
}

#[test]
fn our_first_offer_names_every_kind_and_the_answer_chooses() {
    let every = [[true, true, false, true], [true, true, true, true]];
    type Answer = fn(&mut Media);
    let answers: [(Answer, Option<FeedbackKind>); 4] = [
        (|_| (), Some(FeedbackKind::Ccfb)),
        (|media| media.ccfb = false, Some(FeedbackKind::TransportWide)),
        (
            |media| {
                media.ccfb = false;
                without_transport_cc(media);
            },
            Some(FeedbackKind::Remb),
        ),
        (|media| media.ccfb &= media.kind == Kind::Video, Some(FeedbackKind::TransportWide)),
    ];
    for (change, kind) in answers {
        let mut negotiation = negotiation();
        negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
        negotiation.assign_send(slot(2, MediaKind::Video)).unwrap();
        let ours = negotiation.create_offer(&local()).unwrap();
        assert_eq!(named(&ours), every);
        negotiation.accept_answer(&peer::answer(&ours, change)).unwrap();
        assert_eq!(negotiation.session().feedback, kind);
        let numbered = |line: &Line| line.extensions.id_of(ExtensionKind::TransportSequenceNumber).is_some();
        let without = kind == Some(FeedbackKind::Ccfb);
        assert!(negotiation.session().lines.iter().all(|line| numbered(line) != without));
    }
}

#[test]
fn later_offers_keep_to_the_kind_in_use_on_all_their_sections() {
    let offers = [
        (offer(|_, media| media.ccfb = true), [true, false, false, false]),
        (offer(|_, _| ()), [false, true, false, true]),
    ];
    for (theirs, expected) in offers {
        let mut negotiation = negotiation();
        negotiation.accept_offer(&theirs, &local()).unwrap();
        let kind = negotiation.session().feedback;
        for id in 1..=4 {
            let media = if id % 2 == 0 { MediaKind::Audio } else { MediaKind::Video };
            negotiation.assign_send(slot(id, media)).unwrap();
        }
        let ours = negotiation.create_offer(&local()).unwrap();
        assert_eq!(named(&ours), [expected; 4]);
        // One is rejected for good; what Chromium reads of the next offer is the same in all.
        let answer = peer::answer(&ours, |media| {
            if media.mid.as_ref().is_some_and(|mid| mid.as_str() == "s0") {
                media.port = 0;
            }
        });
        negotiation.accept_answer(&answer).unwrap();
        assert_eq!(negotiation.session().feedback, kind);
        negotiation.remove_send(1);
        let again = negotiation.create_offer(&local()).unwrap();
        assert!(named(&again).iter().all(|named| named[0] == expected[0]), "{again}");
    }
}

#[test]
fn the_kind_follows_what_the_participant_offers_next() {
    let mut negotiation = negotiation();
    let first = offer(|_, media| media.ccfb = true);
    assert_eq!(answer_to(&mut negotiation, &first).0, Some(FeedbackKind::Ccfb));
    let second = offer(|_, media| media.ccfb = false);
    let (kind, named) = answer_to(&mut negotiation, &second);
    assert_eq!((kind, named), (Some(FeedbackKind::TransportWide), vec![[false, true, false, true]; 2]));
}

#[test]
fn numbers_that_an_answer_brings_back_are_not_used_beside_congestion_control_feedback() {
    let mut negotiation = negotiation();
    negotiation.assign_send(slot(1, MediaKind::Video)).unwrap();
    let ours = negotiation.create_offer(&local()).unwrap();
    let id = sections(&ours)[0].extmaps.iter().find(|extmap| extmap.uri == NUMBERS).unwrap().id;
    let answer = peer::answer(&ours, |media| {
        media.extmaps.retain(|extmap| extmap.uri != NUMBERS);
        media.extmaps.push(Extmap { id, direction: None, uri: NUMBERS.to_owned() });
    });
    negotiation.accept_answer(&answer).unwrap();
    assert_eq!(negotiation.session().feedback, Some(FeedbackKind::Ccfb));
    assert_eq!(negotiation.session().lines[0].extensions.any(ExtensionKind::TransportSequenceNumber), None);
}
