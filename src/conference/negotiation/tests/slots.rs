//! What we send: slots on offered lines, on lines of our own, freed, used again, refused.

use super::*;

fn mids_of_slots(negotiation: &Negotiation, ids: impl IntoIterator<Item = u64>) -> Vec<String> {
    let mid = |id| negotiation.session().line_of_slot(id).map(|line| line.mid.to_string());
    ids.into_iter().map(|id| mid(id).unwrap_or_default()).collect()
}

#[test]
fn a_slot_rides_on_the_participants_own_line_when_it_takes_media() {
    let mut negotiation = negotiation();
    negotiation.assign_send(slot(1, MediaKind::Video)).unwrap();
    assert!(negotiation.needed());
    let answer = negotiation.accept_offer(&capture(CHROMIUM), &local()).unwrap();
    assert!(!negotiation.needed());
    let video = &sections(&answer.sdp)[1];
    assert_eq!(video.direction, Direction::SendRecv);
    assert_eq!(video.msid.as_ref().unwrap().to_string(), "p1 t1");
    assert_eq!(video.stream_groups[0].ssrcs, [1_001, 2_001]);
    assert_eq!(video.streams[1].cname.as_deref(), Some("estafette"));
    assert_eq!(mids_of_slots(&negotiation, [1]), ["1"]);
    assert!(negotiation.session().lines[0].sends.is_none());
}

#[test]
fn a_line_without_a_codec_that_another_line_has_is_not_for_a_source_in_it() {
    let mut offer = Description::parse(&capture(CHROMIUM)).unwrap();
    let mut other = offer.media[1].clone();
    other.mid = Mid::new("other");
    (other.streams, other.stream_groups, other.msid) = (Vec::new(), Vec::new(), None);
    other.direction = Direction::RecvOnly;
    // The page wants its own camera's line to be VP9 alone.
    offer.media[1].codecs.retain(|codec| codec.is("VP9"));
    offer.media.push(other);
    offer.bundle = offer.media.iter().filter_map(|media| media.mid.clone()).collect();
    let mut negotiation = negotiation();
    let config = Config::default();
    let named = |name: &str| {
        let of = config.codecs().filter(|(_, codec)| codec.name() == name);
        of.fold(CodecSet::NONE, |codecs, (id, _)| codecs.with(id))
    };
    for (id, name) in [(1, "VP8"), (2, "VP9"), (3, "VP8")] {
        let slot = SendSlot { codecs: named(name), ..slot(id, MediaKind::Video) };
        negotiation.assign_send(slot).unwrap();
    }
    negotiation.accept_offer(&offer.write(), &local()).unwrap();
    assert_eq!(mids_of_slots(&negotiation, [1, 2, 3]), ["other", "1", ""]);
    assert!(negotiation.needed(), "the third gets a line of ours");
}

#[test]
fn a_sendonly_line_carries_no_slot() {
    let mut negotiation = negotiation();
    negotiation.assign_send(slot(1, MediaKind::Video)).unwrap();
    negotiation.accept_offer(&capture("chromium-vp8-L1T3.offer.sdp"), &local()).unwrap();
    assert!(negotiation.session().line_of_slot(1).is_none() && negotiation.needed());
}

#[test]
fn a_restart_by_credentials_alone_changes_them_and_voids_our_offer() {
    let fresh = |ufrag: &str| Credentials { ufrag: ufrag.into(), pwd: Password::new("n".repeat(24)) };
    let mut early = negotiation();
    assert!(matches!(early.restart_ice(fresh("new1")), Err(NegotiationError::State { .. })));
    let (mut negotiation, _) = answered("chromium-vp8-L1T3.offer.sdp");
    negotiation.assign_send(slot(7, MediaKind::Video)).unwrap();
    negotiation.create_offer(&local()).unwrap();
    let before = negotiation.session().clone();
    negotiation.restart_ice(fresh("new1")).unwrap();
    assert!(!negotiation.has_local_offer() && negotiation.needed());
    let session = negotiation.session();
    assert_eq!(session.lines, before.lines);
    let (then, now) = (before.remote.unwrap(), session.remote.clone().unwrap());
    assert_eq!(now.credentials, fresh("new1"));
    assert_eq!((&now.fingerprints, now.role), (&then.fingerprints, then.role));
    assert!(
        matches!(negotiation.restart_ice(fresh("new2")), Err(NegotiationError::State { .. })),
        "same pwd"
    );
    assert!(negotiation.create_offer(&local()).is_ok());
}

#[test]
fn a_new_source_is_offered_and_a_chromium_answer_accepted() {
    let (mut negotiation, _) = answered("chromium-vp8-L1T3.offer.sdp");
    negotiation.assign_send(slot(7, MediaKind::Video)).unwrap();
    negotiation.assign_send(slot(8, MediaKind::Audio)).unwrap();
    let offer = negotiation.create_offer(&local()).unwrap();
    assert!(negotiation.session().line_of_slot(7).is_none());
    let [camera, video, audio] = sections(&offer).try_into().unwrap();
    assert_eq!(camera.direction, Direction::RecvOnly);
    assert_eq!((video.direction, audio.direction), (Direction::SendOnly, Direction::SendOnly));
    // VP8 as the participant numbers it, the rest on numbers it has not used.
    assert_eq!(video.codecs[0].payload_type, 96);
    assert!(video.codecs.iter().skip(2).all(|c| ![96, 97].contains(&c.payload_type)));
    let mid = |media: &Media| media.extmaps.iter().find(|e| e.uri.ends_with("sdes:mid")).map(|e| e.id);
    assert_eq!((mid(&camera), mid(&audio)), (mid(&video), mid(&video)));
    assert_eq!(video.transport.setup, Some(Setup::ActPass));

    let fingerprint = camera_fingerprint("chromium-vp8-L1T3.offer.sdp");
    let (ufrag, pwd) = camera_credentials("chromium-vp8-L1T3.offer.sdp");
    let opus = audio.codecs[0].payload_type;
    let section = |kind: &str, types: &str, mid: &str, lines: &str| {
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF {types}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=ice-options:trickle\r\n\
             a=fingerprint:{fingerprint}\r\na=setup:active\r\na=mid:{mid}\r\na=rtcp-mux\r\n\
             a=rtcp-rsize\r\n{lines}"
        )
    };
    let answer = [
        "v=0\r\no=- 4345821635391946583 3 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
         a=group:BUNDLE 0 s0 s1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS x\r\n"
            .to_owned(),
        section(
            "video",
            "96 97",
            "0",
            "a=sendonly\r\na=msid:x y\r\na=rtpmap:96 VP8/90000\r\n\
             a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n",
        ),
        section(
            "video",
            "96 97",
            "s0",
            "a=recvonly\r\na=rtpmap:96 VP8/90000\r\n\
             a=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n",
        ),
        section(
            "audio",
            &opus.to_string(),
            "s1",
            &format!(
                "a=recvonly\r\na=rtpmap:{opus} opus/48000/2\r\na=fmtp:{opus} minptime=10;useinbandfec=1\r\n"
            ),
        ),
    ]
    .concat();
    assert_eq!(negotiation.accept_answer(&answer), Ok(Outcome::default()));
    assert_eq!(mids_of_slots(&negotiation, [7, 8]), ["s0", "s1"]);
    let line = negotiation.session().line_of_slot(7).unwrap();
    assert!(line.feedback.pli && !line.feedback.nack && line.payloads.iter().count() == 1);
    assert_eq!(negotiation.session().lines[0].publishes.as_ref().unwrap().msid.as_ref().unwrap().track, "y");
    assert!(!negotiation.needed() && !negotiation.has_local_offer());
}

fn camera_fingerprint(name: &str) -> String {
    sections(&capture(name))[0].transport.fingerprints[0].to_string()
}

fn camera_credentials(name: &str) -> (String, String) {
    let transport = sections(&capture(name)).remove(0).transport;
    (transport.ufrag.unwrap(), transport.pwd.unwrap().as_str().to_owned())
}

/// A session with video slots 1 to `n`: the first on the camera's line, the others on ours.
fn with_slots(n: u64) -> (Negotiation, String) {
    let mut negotiation = negotiation();
    for id in 1..=n {
        negotiation.assign_send(slot(id, MediaKind::Video)).unwrap();
    }
    negotiation.accept_offer(&capture(CHROMIUM), &local()).unwrap();
    let offer = negotiation.create_offer(&local()).unwrap();
    let answer = peer::answer(&offer, |_| {});
    assert_eq!(negotiation.accept_answer(&answer), Ok(Outcome::default()));
    assert!(!negotiation.needed());
    (negotiation, offer)
}

#[test]
fn a_freed_line_goes_inactive_and_is_used_again() {
    let (mut negotiation, _) = with_slots(3);
    assert_eq!(mids_of_slots(&negotiation, [1, 2, 3]), ["1", "s0", "s1"]);
    assert!(negotiation.remove_send(2) && negotiation.remove_send(1) && !negotiation.remove_send(1));
    assert!(negotiation.session().line_of_slot(2).is_none() && negotiation.needed());
    let offer = negotiation.create_offer(&local()).unwrap();
    let ours = sections(&offer);
    assert_eq!((ours.len(), ours[1].direction), (5, Direction::RecvOnly));
    assert_eq!((ours[3].direction, &ours[3].msid), (Direction::Inactive, &None));
    negotiation.accept_answer(&peer::answer(&offer, |_| {})).unwrap();
    assert!(!negotiation.needed());

    negotiation.assign_send(slot(4, MediaKind::Video)).unwrap();
    negotiation.assign_send(slot(5, MediaKind::Video)).unwrap();
    let offer = negotiation.create_offer(&local()).unwrap();
    let ours = sections(&offer);
    assert_eq!(ours.len(), 5);
    assert_eq!(ours[3].streams[0].ssrc, 1_005);
    assert_eq!(ours[3].msid.as_ref().unwrap().stream, "p5");
    negotiation.accept_answer(&peer::answer(&offer, |_| {})).unwrap();
    assert_eq!(mids_of_slots(&negotiation, [4, 5, 3]), ["1", "s0", "s1"]);
}

#[test]
fn one_offer_swaps_the_slot_of_a_line() {
    let (mut negotiation, _) = with_slots(2);
    negotiation.remove_send(2);
    negotiation.assign_send(slot(3, MediaKind::Video)).unwrap();
    let offer = negotiation.create_offer(&local()).unwrap();
    assert_eq!(sections(&offer)[3].streams[0].ssrc, 1_003);
    negotiation.accept_answer(&peer::answer(&offer, |_| {})).unwrap();
    assert!(!negotiation.needed());
}

#[test]
fn a_slot_removed_while_it_is_offered_is_taken_back_afterwards() {
    let (mut negotiation, _) = with_slots(1);
    negotiation.assign_send(slot(2, MediaKind::Video)).unwrap();
    let offer = negotiation.create_offer(&local()).unwrap();
    negotiation.remove_send(2);
    assert!(!negotiation.needed());
    let outcome = negotiation.accept_answer(&peer::answer(&offer, |_| {})).unwrap();
    assert!(outcome.refused.is_empty());
    assert!(negotiation.session().line("s0").unwrap().sends.is_none() && negotiation.needed());
    let offer = negotiation.create_offer(&local()).unwrap();
    assert_eq!(sections(&offer)[3].direction, Direction::Inactive);
}

#[test]
fn glare_voids_our_offer_and_its_slots_are_needed_again() {
    let (mut negotiation, answer) = answered(CHROMIUM);
    for (id, kind) in [(1, MediaKind::Video), (2, MediaKind::Video), (3, MediaKind::Audio)] {
        negotiation.assign_send(slot(id, kind)).unwrap();
    }
    let void = negotiation.create_offer(&local()).unwrap();
    assert!(!negotiation.needed() && negotiation.create_offer(&local()).is_err());
    // The participant adds a microphone that takes no media, where our line would have stood.
    let theirs = peer::offer(&answer.sdp, |offer| {
        let mut microphone = offer.media[0].clone();
        microphone.mid = Mid::new("3");
        microphone.direction = Direction::SendOnly;
        offer.media.push(microphone);
    });
    let answer = negotiation.accept_offer(&theirs, &local()).unwrap();
    assert_eq!(sections(&answer.sdp).len(), 4);
    // Two ride on the participant's lines now, the third waits.
    assert_eq!(mids_of_slots(&negotiation, [1, 2, 3]), ["1", "", "0"]);
    assert!(negotiation.needed() && !negotiation.has_local_offer());
    let late = negotiation.accept_answer(&peer::answer(&void, |_| {}));
    assert!(matches!(late, Err(NegotiationError::State { .. })));
    let offer = negotiation.create_offer(&local()).unwrap();
    negotiation.accept_answer(&peer::answer(&offer, |_| {})).unwrap();
    assert_eq!(negotiation.session().line_of_slot(2).unwrap().index, 4);
    assert!(!negotiation.needed());
}

#[test]
fn rolling_back_makes_a_slot_needed_again_and_wastes_no_numbers() {
    let (mut negotiation, _) = answered("chromium-vp8-L1T3.offer.sdp");
    negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
    let types = |offer: &str| sections(offer)[1].codecs.iter().map(|c| c.payload_type).collect();
    let first: Vec<u8> = types(&negotiation.create_offer(&local()).unwrap());
    for _ in 0..200 {
        assert!(negotiation.rollback() && negotiation.needed() && !negotiation.rollback());
        let again: Vec<u8> = types(&negotiation.create_offer(&local()).unwrap());
        assert_eq!(again, first);
    }
}

#[test]
fn a_rejected_line_refuses_its_slot_and_its_place_is_used_again() {
    let (mut negotiation, _) = with_slots(1);
    negotiation.assign_send(slot(2, MediaKind::Video)).unwrap();
    negotiation.assign_send(slot(3, MediaKind::Audio)).unwrap();
    negotiation.assign_send(slot(4, MediaKind::Audio)).unwrap();
    let offer = negotiation.create_offer(&local()).unwrap();
    assert_eq!(sections(&offer)[3].mid, Mid::new("s0"));
    let answer = peer::answer(&offer, |media| match media.mid.as_ref().unwrap().as_str() {
        "s0" => media.port = 0,
        "s1" => media.direction = Direction::Inactive,
        _ => {}
    });
    let outcome = negotiation.accept_answer(&answer).unwrap();
    assert_eq!(outcome.refused, [2, 4]);
    assert!(negotiation.session().line_of_slot(3).is_some());
    assert!(negotiation.session().line("s0").is_none() && !negotiation.needed());
    assert!(!negotiation.session().line("s1").unwrap().receives);

    // Nothing is offered on the line that was turned down; the rejected place is free.
    negotiation.assign_send(slot(5, MediaKind::Audio)).unwrap();
    let offer = negotiation.create_offer(&local()).unwrap();
    let ours = sections(&offer);
    assert_eq!((ours.len(), ours[3].mid.as_ref().unwrap().as_str()), (5, "s2"));
    assert_eq!((&ours[3].kind, ours[3].streams[0].ssrc), (&Kind::Audio, 1_005));
    assert_eq!(ours[4].direction, Direction::Inactive);
    negotiation.accept_answer(&peer::answer(&offer, |_| {})).unwrap();
    assert_eq!(mids_of_slots(&negotiation, [2, 4, 5]), ["", "", "s2"]);
}

#[test]
fn a_line_the_participant_closes_refuses_its_slot_until_one_is_offered() {
    let (mut negotiation, ours) = with_slots(2);
    let paused = peer::offer(&ours, |offer| offer.media[3].direction = Direction::Inactive);
    let answer = negotiation.accept_offer(&paused, &local()).unwrap();
    assert_eq!(answer.outcome.refused, [2]);
    assert!(!negotiation.needed());
    let resumed = peer::offer(&ours, |_| {});
    let answer = negotiation.accept_offer(&resumed, &local()).unwrap();
    assert!(answer.outcome.refused.is_empty());
    assert_eq!(mids_of_slots(&negotiation, [2]), ["s0"]);

    let closed = peer::offer(&ours, |offer| offer.media[1].port = 0);
    let answer = negotiation.accept_offer(&closed, &local()).unwrap();
    assert_eq!(answer.outcome.refused, [1]);
    assert!(negotiation.session().line("1").is_none());
    assert!(sections(&answer.sdp)[1].rejected());
}

#[test]
fn we_may_offer_first() {
    let mut negotiation = negotiation();
    negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
    negotiation.assign_send(slot(2, MediaKind::Video)).unwrap();
    let offer = negotiation.create_offer(&local()).unwrap();
    let ours = sections(&offer);
    let mut types: Vec<u8> = ours.iter().flat_map(|m| &m.codecs).map(|codec| codec.payload_type).collect();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types, (96..=105).collect::<Vec<u8>>());
    negotiation.accept_answer(&peer::answer(&offer, |_| {})).unwrap();
    let session = negotiation.session();
    assert_eq!(session.remote.as_ref().unwrap().role, DtlsRole::Server);
    assert_eq!(session.line("s1").unwrap().extensions.id_of(ExtensionKind::AudioLevel), None);
    assert!(session.extmap_allow_mixed);
}

#[test]
fn a_fresh_mid_is_none_of_the_participants() {
    let offer = capture("chromium-vp8-L1T3.offer.sdp");
    let offer = offer.replace("a=mid:0", "a=mid:s0").replace("BUNDLE 0", "BUNDLE s0");
    let mut negotiation = negotiation();
    negotiation.accept_offer(&offer, &local()).unwrap();
    negotiation.assign_send(slot(1, MediaKind::Video)).unwrap();
    let ours = sections(&negotiation.create_offer(&local()).unwrap());
    assert_eq!(ours[1].mid, Mid::new("s1"));
}

#[test]
fn names_of_slots_are_made_tokens() {
    let mut negotiation = negotiation();
    let mut odd = slot(9, MediaKind::Video);
    odd.msid = Msid { stream: "a\r\na=x:y z".into(), track: String::new() };
    odd.cname = "\n".into();
    negotiation.assign_send(odd).unwrap();
    let offer = negotiation.create_offer(&local()).unwrap();
    assert!(offer.contains("a=msid:a__a_x_y_z s9\r\n") && offer.contains(" cname:_\r\n"), "{offer}");
    assert!(matches!(
        negotiation.assign_send(slot(9, MediaKind::Audio)),
        Err(NegotiationError::State { .. })
    ));
}

#[test]
fn slots_are_bounded_and_those_without_room_are_not_offered_forever() {
    let (mut negotiation, _) = answered(CHROMIUM);
    for id in 0..limits::SDP_MEDIA as u64 {
        negotiation.assign_send(slot(id, MediaKind::Audio)).unwrap();
    }
    assert_eq!(negotiation.assign_send(slot(999, MediaKind::Audio)), Err(NegotiationError::Full));
    let offer = negotiation.create_offer(&local()).unwrap();
    assert_eq!(sections(&offer).len(), limits::SDP_MEDIA);
    negotiation.accept_answer(&peer::answer(&offer, |_| {})).unwrap();
    assert!(!negotiation.needed());
}
