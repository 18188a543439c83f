//! Sources that come in several encodings, by rid and by SSRC, and the extensions that go with them.

use super::threats::{mutate, mutation};
use super::*;
use crate::wire::sdp::Transport;
use proptest::prelude::*;

const VP8: &str = "chromium-simulcast-vp8.offer.sdp";
const RIDS: &str = "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n";
const RID: &str = "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n";
const REPAIRED: &str = "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n";
const MID: &str = "a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
const DESCRIPTOR: &str =
    "a=extmap:13 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension\r\n";

/// The captured offer with other lines in the place of these.
fn changed(from: &str, to: &str) -> String {
    let offer = capture(VP8);
    assert!(offer.contains(from), "{from}");
    offer.replace(from, to)
}

/// The captured offer with these rids instead of its own.
fn with_rids(lines: &str) -> String {
    changed(RIDS, lines)
}

fn accepted(offer: &str) -> (Negotiation, String) {
    let mut negotiation = negotiation();
    let answer = negotiation.accept_offer(offer, &local()).unwrap();
    (negotiation, answer.sdp)
}

/// What the captured endpoint answers to our offer.
fn their_answer(ours: &str, change: impl Fn(&mut Media)) -> String {
    let transport = sections(&capture(VP8)).remove(0).transport;
    peer::answer(ours, |media| {
        media.transport = Transport { setup: Some(Setup::Active), ..transport.clone() };
        change(media);
    })
}

/// The lines of a text about encodings.
fn about_encodings(sdp: &str) -> Vec<&str> {
    sdp.lines().filter(|line| line.starts_with("a=rid:") || line.starts_with("a=simulcast:")).collect()
}

fn answered_with(offer: &str) -> Vec<String> {
    about_encodings(&accepted(offer).1).into_iter().map(str::to_owned).collect()
}

fn encodings(negotiation: &Negotiation) -> Vec<PublishedEncoding> {
    negotiation.session().lines[0].publishes.as_ref().unwrap().encodings.clone()
}

fn rids(negotiation: &Negotiation) -> Vec<String> {
    encodings(negotiation).into_iter().map(|encoding| encoding.rid.unwrap_or_default()).collect()
}

fn by_rid(rid: &str) -> PublishedEncoding {
    PublishedEncoding { rid: Some(rid.into()), ..PublishedEncoding::default() }
}

fn by_ssrc(ssrc: u32, rtx: Option<u32>) -> PublishedEncoding {
    PublishedEncoding { ssrc: Some(ssrc), rtx, ..PublishedEncoding::default() }
}

/// The line of an extension in a text, by the end of its URI.
fn extmap<'t>(sdp: &'t str, uri: &str) -> Option<&'t str> {
    sdp.lines().find(|line| line.starts_with("a=extmap:") && line.ends_with(uri))
}

#[test]
fn a_chromium_offer_of_three_rids_is_taken_whole() {
    for name in [
        "chromium-simulcast-vp8.offer.sdp",
        "chromium-simulcast-vp8-L1T3.offer.sdp",
        "chromium-simulcast-h264.offer.sdp",
        "chromium-chromium-simulcast-vp8.offer.sdp",
    ] {
        let (negotiation, answer) = answered(name);
        let expected = ["a=rid:q recv", "a=rid:h recv", "a=rid:f recv", "a=simulcast:recv q;h;f"];
        assert_eq!(about_encodings(&answer.sdp), expected, "{name}");
        assert_eq!(encodings(&negotiation), ["q", "h", "f"].map(by_rid), "{name}");
    }
}

#[test]
fn rfc_8853_5_3_2_the_answer_keeps_the_order_of_the_list() {
    let offer = with_rids("a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send f;q;h\r\n");
    let (negotiation, answer) = accepted(&offer);
    assert_eq!(rids(&negotiation), ["f", "q", "h"]);
    let expected = ["a=rid:f recv", "a=rid:q recv", "a=rid:h recv", "a=simulcast:recv f;q;h"];
    assert_eq!(about_encodings(&answer), expected);
}

#[test]
fn rfc_8853_5_1_of_alternatives_the_first_that_is_known_is_taken() {
    let offer =
        with_rids("a=rid:b send\r\na=rid:c send\r\na=rid:d recv\r\na=simulcast:send a,b;d,b,c;b recv d\r\n");
    let expected = ["a=rid:b recv", "a=rid:c recv", "a=simulcast:recv b;c"];
    assert_eq!(answered_with(&offer), expected);
}

#[test]
fn rfc_8853_5_1_what_begins_paused_stays_so() {
    let offer = with_rids(&RIDS.replace("q;h;f", "q;~h;f"));
    let (negotiation, answer) = accepted(&offer);
    assert_eq!(about_encodings(&answer)[3], "a=simulcast:recv q;~h;f");
    let paused: Vec<bool> = encodings(&negotiation).iter().map(|encoding| encoding.paused).collect();
    assert_eq!(paused, [false, true, false]);
}

#[test]
fn rfc_8851_6_3_payload_types_of_a_rid_are_narrowed_to_ours() {
    // 97 is RTX, 100 is not in the line, 98 is a codec that the engine does not forward.
    let more = "a=rtpmap:98 H263/90000\r\na=rtpmap:99 VP9/90000\r\na=rtpmap:96 VP8";
    let restricted = "a=rid:a send pt=98\r\na=rid:b send pt=99,98,96,100;max-width=640\r\n\
                      a=rid:c send pt=97\r\na=rid:d send pt=100\r\na=rid:e send max-height=720;max-fps=30\r\n\
                      a=simulcast:send a;b;c;d;e\r\n";
    let offer =
        with_rids(restricted).replace(" 96 97\r\n", " 96 97 98 99\r\n").replace("a=rtpmap:96 VP8", more);
    let (negotiation, answer) = accepted(&offer);
    // Who receives imposes nothing.
    let expected = ["a=rid:b recv pt=99,96", "a=rid:e recv", "a=simulcast:recv b;e"];
    assert_eq!(about_encodings(&answer), expected);
    assert_eq!(encodings(&negotiation)[0].payload_types, [99, 96]);
    let nothing = with_rids("a=rid:a send pt=97\r\na=simulcast:send a\r\n");
    assert_eq!(answered_with(&nothing), [""; 0]);
}

#[test]
fn s_sim_01_rids_that_are_malformed_or_not_described_are_left_out() {
    let offer = with_rids(
        "a=rid: send\r\na=rid:a-b send\r\na=rid:a send\r\na=rid:12345678901234567 send\r\na=rid:t send\r\n\
         a=rid:t send\r\na=rid:r recv\r\na=rid:z send\r\n\
         a=simulcast:send ;a-b;a;\u{fc};12345678901234567;nowhere;t;r;a;~\r\n",
    );
    let (negotiation, answer) = accepted(&offer);
    assert_eq!(about_encodings(&answer), ["a=rid:a recv", "a=simulcast:recv a"]);
    assert_eq!(encodings(&negotiation), [by_rid("a")]);
    for nothing in [
        "a=rid:a send\r\n",
        "a=simulcast:send a;b\r\n",
        "a=rid:a send\r\na=simulcast:recv a\r\n",
        "a=rid:a recv\r\na=simulcast:send a\r\n",
        "a=rid:a-b send\r\na=simulcast:send a-b\r\n",
    ] {
        let (negotiation, answer) = accepted(&with_rids(nothing));
        assert_eq!(about_encodings(&answer), [""; 0], "{nothing}");
        assert_eq!(encodings(&negotiation), [PublishedEncoding::default()], "{nothing}");
    }
}

#[test]
fn s_sim_02_four_encodings_are_taken_and_the_rest_is_left_out() {
    let names: Vec<String> = (0..limits::SDP_RIDS).map(|n| format!("r{n}")).collect();
    let lines: String = names.iter().map(|name| format!("a=rid:{name} send\r\n")).collect();
    let offer = with_rids(&format!("{lines}a=simulcast:send {}\r\n", names.join(";")));
    let (negotiation, answer) = accepted(&offer);
    assert_eq!(about_encodings(&answer).last(), Some(&"a=simulcast:recv r0;r1;r2;r3"));
    assert_eq!(about_encodings(&answer).len(), limits::SDP_ENCODINGS + 1);
    assert_eq!(encodings(&negotiation).len(), limits::SDP_ENCODINGS);
}

#[test]
fn s_sim_02_four_ssrcs_are_taken_and_the_rest_is_left_out() {
    let streams: String = (1..=6).map(|ssrc| format!("a=ssrc:{ssrc} cname:x\r\n")).collect();
    let offer = with_rids(&format!("a=ssrc-group:SIM 6 5 5 9 4 3 2 1\r\n{streams}"));
    let (negotiation, _) = accepted(&offer);
    assert_eq!(encodings(&negotiation), [6, 5, 4, 3].map(|ssrc| by_ssrc(ssrc, None)));
}

#[test]
fn s_sdp_06_encodings_of_a_bomb_are_bounded_or_the_text_is_refused() {
    let rids = |n: usize| -> String { (0..n).map(|n| format!("a=rid:r{n} send\r\n")).collect() };
    let refused = [
        rids(limits::SDP_RIDS + 1),
        format!("a=simulcast:send {}\r\n", "x;".repeat(limits::SDP_RIDS)),
        format!("a=simulcast:send {}\r\n", "x,".repeat(1_000)),
        format!("a=ssrc-group:SIM{}\r\n", " 1".repeat(limits::SDP_SSRCS + 1)),
    ];
    for bomb in refused {
        let error = negotiation().accept_offer(&with_rids(&bomb), &local()).unwrap_err();
        assert!(matches!(error, NegotiationError::Syntax(_)), "{error}");
    }
    let types = "96,".repeat(20_000);
    let long = with_rids(&format!("a=rid:q send pt={types}96\r\na=simulcast:send q\r\n"));
    assert_eq!(answered_with(&long), ["a=rid:q recv pt=96", "a=simulcast:recv q"]);
    let streams: String = (1..=limits::SDP_SSRCS).map(|n| format!("a=ssrc:{n} cname:x\r\n")).collect();
    let groups: String = (1..=limits::SDP_SSRCS).map(|n| format!("a=ssrc-group:FID {n} 16\r\n")).collect();
    let (negotiation, _) = accepted(&with_rids(&format!("{streams}{groups}")));
    assert_eq!(encodings(&negotiation), [by_ssrc(1, Some(16))]);
}

#[test]
fn simulcast_takes_the_extensions_that_name_mid_and_rid() {
    let recvonly = |line: &str| line.replacen(' ', "/recvonly ", 1);
    for (line, to) in [(RID, String::new()), (MID, String::new()), (RID, recvonly(RID)), (MID, recvonly(MID))]
    {
        let (negotiation, answer) = accepted(&changed(line, &to));
        assert_eq!(about_encodings(&answer), [""; 0], "{to}");
        assert_eq!(encodings(&negotiation), [PublishedEncoding::default()]);
    }
    let config = Config { extensions: vec![ExtensionKind::Mid], ..Config::default() };
    let mut negotiation = Negotiation::new(Arc::new(config), 42);
    let answer = negotiation.accept_offer(&capture(VP8), &local()).unwrap();
    assert_eq!(about_encodings(&answer.sdp), [""; 0]);
    // Retransmissions can be told apart without their rid.
    assert_eq!(answered_with(&changed(REPAIRED, "")).len(), 4);
}

#[test]
fn only_a_video_that_may_be_published_has_encodings() {
    let config = Config { publish: false, ..Config::default() };
    let mut negotiation = Negotiation::new(Arc::new(config), 42);
    let answer = negotiation.accept_offer(&capture(VP8), &local()).unwrap();
    assert_eq!(about_encodings(&answer.sdp), [""; 0]);
    for uri in ["stream-id", "allocation00"] {
        assert_eq!(extmap(&answer.sdp, uri), None);
    }
    let watching = changed("a=sendonly", "a=recvonly");
    assert_eq!(answered_with(&watching), [""; 0]);
    let audio =
        changed("m=video", "m=audio").replace("VP8/90000", "opus/48000/2").replace("rtx/90000", "x/9");
    let (negotiation, answer) = accepted(&audio);
    assert_eq!(about_encodings(&answer), [""; 0]);
    assert_eq!(encodings(&negotiation), [PublishedEncoding::default()]);
}

#[test]
fn rfc_5576_4_2_a_sim_group_lists_the_encodings_with_their_retransmissions() {
    let streams: String = [11, 12, 13, 21, 22, 23].map(|n| format!("a=ssrc:{n} cname:c\r\n")).concat();
    let groups = "a=ssrc-group:SIM 13 11 12\r\na=ssrc-group:FID 11 21\r\na=ssrc-group:FID 12 22\r\n\
                  a=ssrc-group:FID 13 23\r\n";
    let (mut negotiation, answer) = accepted(&with_rids(&format!("{groups}{streams}")));
    let expected = [(13, 23), (11, 21), (12, 22)].map(|(ssrc, rtx)| by_ssrc(ssrc, Some(rtx)));
    assert_eq!(encodings(&negotiation), expected);
    assert!(!answer.contains("ssrc-group") && about_encodings(&answer).is_empty());

    // An answer repeats what was offered, and adds nothing to it.
    let mut group = |streams: &str| {
        let ours = negotiation.create_offer(&local()).unwrap();
        let answer = their_answer(&ours, |_| {}) + streams;
        negotiation.accept_answer(&answer).unwrap();
        encodings(&negotiation)
    };
    assert_eq!(group(&format!("{groups}{streams}")), expected);
    assert_eq!(group("a=ssrc:11 cname:c\r\n"), [by_ssrc(11, None)]);
    assert_eq!(group(&format!("{groups}{streams}")), [by_ssrc(13, Some(23))]);
}

#[test]
fn retransmissions_of_one_stream_are_not_those_of_another() {
    let (negotiation, _) = accepted(&with_rids(
        "a=ssrc-group:FID 1 3\r\na=ssrc-group:FID 2 3\r\na=ssrc-group:FID 2 2\r\na=ssrc-group:SIM 3 1 2\r\n\
         a=ssrc:1 cname:x\r\na=ssrc:2 cname:x\r\na=ssrc:3 cname:x\r\n",
    ));
    assert_eq!(encodings(&negotiation), [by_ssrc(1, Some(3)), by_ssrc(2, None)]);
}

#[test]
fn rfc_8853_5_3_4_later_offers_add_remove_and_reorder_rids_on_their_line() {
    let (mut negotiation, _) = accepted(&capture(VP8));
    let mid = negotiation.session().lines[0].mid.clone();
    for (list, expected) in [
        ("f;h;q", vec!["f", "h", "q"]),
        ("q;h", vec!["q", "h"]),
        ("q;h;f;x", vec!["q", "h", "f", "x"]),
        ("x", vec!["x"]),
        ("", vec![""]),
        ("q;h;f", vec!["q", "h", "f"]),
    ] {
        let names = list.split(';').filter(|name| !name.is_empty());
        let mut lines: String = names.clone().map(|name| format!("a=rid:{name} send\r\n")).collect();
        if !list.is_empty() {
            lines += &format!("a=simulcast:send {list}\r\n");
        }
        let answer = negotiation.accept_offer(&with_rids(&lines), &local()).unwrap();
        assert_eq!(rids(&negotiation), expected);
        let recv = format!("a=simulcast:recv {list}");
        assert_eq!(about_encodings(&answer.sdp).last().copied(), Some(&*recv).filter(|_| !list.is_empty()));
        assert_eq!(about_encodings(&answer.sdp).len(), names.count() + usize::from(!list.is_empty()));
        let line = &negotiation.session().lines[0];
        assert_eq!((line.index, &line.mid), (0, &mid));
    }
}

#[test]
fn our_offers_ask_for_the_encodings_and_have_none_of_their_own() {
    let (mut negotiation, _) = accepted(&capture(VP8));
    negotiation.assign_send(slot(1, MediaKind::Video)).unwrap();
    let ours = negotiation.create_offer(&local()).unwrap();
    let expected = ["a=rid:q recv", "a=rid:h recv", "a=rid:f recv", "a=simulcast:recv q;h;f"];
    assert_eq!(about_encodings(&ours), expected, "the line of the camera, not ours");
    let [camera, screen] = sections(&ours).try_into().unwrap();
    assert!(camera.rids.len() == 3 && screen.rids.is_empty() && screen.simulcast.is_none());
    let uris: Vec<&str> = screen.extmaps.iter().map(|extmap| extmap.uri.as_str()).collect();
    for received in [ExtensionKind::Rid, ExtensionKind::RepairedRid, ExtensionKind::VideoLayersAllocation] {
        assert!(!uris.contains(&received.uri()));
    }
    assert!(uris.contains(&ExtensionKind::DependencyDescriptor.uri()));
    negotiation.accept_answer(&their_answer(&ours, |_| {})).unwrap();
    assert_eq!(encodings(&negotiation), ["q", "h", "f"].map(by_rid));
    let extensions = negotiation.session().lines[0].extensions;
    assert_eq!(
        extensions.id_of(ExtensionKind::Rid),
        None,
        "an answer gives no direction that was not asked for"
    );
    let again = their_answer(&ours, |media| media.transport.setup = Some(Setup::ActPass));
    negotiation.accept_offer(&again, &local()).unwrap();
    assert_eq!(rids(&negotiation), ["q", "h", "f"]);
}

#[test]
fn rfc_8853_5_3_3_an_answer_drops_encodings_and_adds_none() {
    let (mut negotiation, _) = accepted(&capture(VP8));
    let mut answered_with = |lines: &str| {
        let ours = negotiation.create_offer(&local()).unwrap();
        let answer = their_answer(&ours, |media| (media.rids, media.simulcast) = (vec![], None)) + lines;
        negotiation.accept_answer(&answer).unwrap();
        rids(&negotiation)
    };
    assert_eq!(answered_with(&format!("{RIDS}a=rid:x send\r\n").replace("q;h", "x;~h")), ["h", "f"]);
    assert_eq!(answered_with(RIDS), ["h", "f"]);
    assert_eq!(answered_with(""), [""]);
    assert_eq!(answered_with(RIDS), [""]);
    let groups = "a=ssrc-group:SIM 1 2\r\na=ssrc:1 cname:x\r\na=ssrc:2 cname:x\r\n";
    assert_eq!(answered_with(groups), [""]);
}

#[test]
fn extensions_of_publishers_are_received_and_never_sent() {
    let (negotiation, answer) = accepted(&changed("a=sendonly", "a=sendrecv"));
    for line in [
        "a=extmap:10/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "a=extmap:11/recvonly urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        "a=extmap:14/recvonly http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
        DESCRIPTOR.trim_end(),
    ] {
        assert_eq!(answer.lines().filter(|known| *known == line).count(), 1, "{line}\n{answer}");
    }
    let extensions = negotiation.session().lines[0].extensions;
    assert_eq!(extensions.kind_of(11), Some(ExtensionKind::RepairedRid));
    assert_eq!(extensions.id_of(ExtensionKind::RepairedRid), None);
    assert_eq!(extensions.id_of(ExtensionKind::DependencyDescriptor), Some(13));
    assert_eq!(extensions.kind_of(13), Some(ExtensionKind::DependencyDescriptor));
    let marking = "a=extmap:12 urn:ietf:params:rtp-hdrext:framemarking";
    let (_, answer) = accepted(&changed(RID, &format!("{RID}{marking}\r\n")));
    assert_eq!(extmap(&answer, "framemarking"), Some(marking));
}

#[test]
fn a_firefox_offer_is_taken_by_rid_and_its_extensions_in_the_direction_it_gives_them() {
    let (negotiation, answer) = answered("firefox-simulcast-vp8.offer.sdp");
    let expected = ["a=rid:q recv", "a=rid:h recv", "a=rid:f recv", "a=simulcast:recv q;h;f"];
    assert_eq!(about_encodings(&answer.sdp), expected);
    // Its SSRCs are announced as well, but not which is which rid's.
    assert_eq!(encodings(&negotiation), ["q", "h", "f"].map(by_rid));
    let recvonly = DESCRIPTOR.replacen("13 ", "8/recvonly ", 1);
    assert_eq!(extmap(&answer.sdp, "dependency-descriptor-rtp-header-extension"), Some(recvonly.trim_end()));
    let extensions = negotiation.session().lines[0].extensions;
    assert_eq!(extensions.id_of(ExtensionKind::DependencyDescriptor), None);
    assert!(extensions.receives(ExtensionKind::DependencyDescriptor));
}

#[test]
fn rfc_8285_4_1_2_the_dependency_descriptor_takes_mixed_forms() {
    let uri = ExtensionKind::DependencyDescriptor.uri();
    let plain = |offer: &str| offer.replace("a=extmap-allow-mixed\r\n", "");
    let (mut negotiation, answer) = accepted(&plain(&changed(RIDS, "")));
    assert_eq!(extmap(&answer, uri), None);
    assert!(extmap(&answer, "allocation00").is_some(), "others stay");
    negotiation.assign_send(slot(1, MediaKind::Video)).unwrap();
    let ours = negotiation.create_offer(&local()).unwrap();
    assert!(extmap(&ours, uri).is_none() && !ours.contains("a=extmap-allow-mixed"));
    negotiation.rollback();
    // In each accepted section is as good as for the whole.
    let offer = plain(&capture(VP8)).replacen("a=mid:0", "a=extmap-allow-mixed\r\na=mid:0", 1);
    negotiation.accept_offer(&offer, &local()).unwrap();
    assert!(negotiation.session().lines[0].extensions.receives(ExtensionKind::DependencyDescriptor));

    // Our first offer has it; the answer decides.
    for mixed in [true, false] {
        let mut negotiation = super::negotiation();
        negotiation.assign_send(slot(1, MediaKind::Video)).unwrap();
        let ours = negotiation.create_offer(&local()).unwrap();
        assert!(extmap(&ours, uri).is_some() && extmap(&ours, "framemarking").is_some());
        let answer = peer::answer(&ours, |_| {});
        negotiation.accept_answer(&if mixed { answer } else { plain(&answer) }).unwrap();
        let extensions = negotiation.session().lines[0].extensions;
        assert_eq!(extensions.id_of(ExtensionKind::DependencyDescriptor).is_some(), mixed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s_sim_01_an_answer_names_no_rid_that_was_not_offered(
        which in 0..3usize,
        mutations in prop::collection::vec(mutation(), 0..6),
        rids in "(a=rid:[a-d]{0,2} (send|recv)( pt=9[67](,9[67])?)?\r\n){0,6}",
        list in "(send|recv) (~?[a-d]{1,2}[;,]){0,8}[a-d]( (send|recv) [a-d])?",
        twice in any::<bool>(),
    ) {
        let name = ["chromium-simulcast-vp8", "chromium-simulcast-vp8-L1T3", "chromium-simulcast-h264"][which];
        let offer = capture(&format!("{name}.offer.sdp"));
        let offer = mutate(&offer, &mutations) + &rids + &format!("a=simulcast:{list}\r\n");
        let mut negotiation = negotiation();
        if twice {
            let _ = negotiation.accept_offer(&capture(VP8), &local());
        }
        if let Ok(answer) = negotiation.accept_offer(&offer, &local()) {
            let (theirs, ours) = (sections(&offer), sections(&answer.sdp));
            for (theirs, ours) in theirs.iter().zip(&ours) {
                let sent = |id: &str| theirs.rids.iter().any(|rid| rid.sends && rid.id == id);
                prop_assert!(ours.rids.iter().all(|rid| !rid.sends && sent(&rid.id)));
                let named: Vec<&str> = ours.rids.iter().map(|rid| rid.id.as_str()).collect();
                let wanted = ours.simulcast.iter().flat_map(|simulcast| simulcast.receive.iter().flatten());
                let wanted: Vec<&str> = wanted.map(|alternative| alternative.rid.as_str()).collect();
                prop_assert_eq!(named, wanted);
                prop_assert!(ours.rids.len() <= limits::SDP_ENCODINGS);
                for payload_type in ours.rids.iter().flat_map(|rid| &rid.payload_types) {
                    prop_assert!(ours.codecs.iter().any(|codec| codec.payload_type == *payload_type));
                }
            }
            for publication in negotiation.session().lines.iter().filter_map(|line| line.publishes.as_ref()) {
                prop_assert!((1..=limits::SDP_ENCODINGS).contains(&publication.encodings.len()));
            }
        }
    }
}
