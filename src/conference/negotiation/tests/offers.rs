//! Answers to what real endpoints offer.

use super::*;

#[test]
fn every_captured_offer_is_answered_section_by_section() {
    let offers = captured().iter().filter(|(name, _)| name.ends_with(".offer.sdp"));
    for (name, text) in offers {
        let mut negotiation = negotiation();
        let answer = negotiation.accept_offer(text, &local()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let offer = Description::parse(text).unwrap();
        let answer = Description::parse(&answer.sdp).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(answer.ice_lite && !offer.ice_lite);
        assert_eq!(offer.media.len(), answer.media.len(), "{name}");
        for (theirs, ours) in offer.media.iter().zip(&answer.media) {
            assert_eq!(
                (&theirs.mid, &theirs.kind, &theirs.protocol),
                (&ours.mid, &ours.kind, &ours.protocol)
            );
            if theirs.kind == Kind::Application {
                assert!(!ours.rejected(), "{name}");
                assert_eq!((ours.sctp_port, ours.max_message_size), (Some(5_000), Some(65_536)), "{name}");
                continue;
            }
            assert!(!ours.rejected() && ours.rtcp_mux, "{name} {:?}", ours.mid);
            assert_eq!(ours.transport.setup, Some(Setup::Passive));
            // Nothing is to be sent yet.
            assert_eq!(ours.direction, Direction::RecvOnly, "{name}");
            for codec in &ours.codecs {
                let same = |c: &&crate::wire::sdp::Codec| c.payload_type == codec.payload_type;
                let offered = theirs.codecs.iter().find(same).unwrap();
                assert!(offered.is(&codec.name), "{name}: {}", codec.name);
                assert_eq!(offered.repairs(), codec.repairs());
                assert_eq!(codec.feedback.intersection(offered.feedback), codec.feedback);
            }
            for ours in &ours.extmaps {
                assert!(theirs.extmaps.iter().any(|e| (e.id, &e.uri) == (ours.id, &ours.uri)));
            }
            let offered: Vec<_> = theirs.rids.iter().map(|rid| &rid.id).collect();
            assert!(ours.rids.iter().map(|rid| &rid.id).eq(offered) && ours.streams.is_empty(), "{name}");
        }
        let lines = &negotiation.session().lines;
        assert!(lines.iter().all(|line| line.publishes.is_some()), "{name}");
        assert!(!negotiation.needed(), "{name}");
    }
}

#[test]
fn a_chromium_offer_gets_the_engines_codecs_in_the_engines_order() {
    let config = Config { codecs: vec![Codec::Opus, Codec::defaults()[3], Codec::Vp8], ..Config::default() };
    let mut negotiation = Negotiation::new(Arc::new(config), 42);
    let answer = negotiation.accept_offer(&capture(CHROMIUM), &local()).unwrap();
    let video = &sections(&answer.sdp)[1];
    let codecs: Vec<(u8, &str)> = video.codecs.iter().map(|c| (c.payload_type, c.name.as_str())).collect();
    assert_eq!(codecs, [(108, "H264"), (109, "rtx"), (96, "VP8"), (97, "rtx")]);
    assert_eq!(
        video.codecs[0].fmtp,
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
    );
    let line = negotiation.session().line("1").unwrap();
    assert_eq!((line.index, line.kind, line.receives), (1, MediaKind::Video, true));
    assert_eq!(line.payloads.lookup(108), Some(Payload::Media(CodecId(1))));
    assert_eq!(line.payloads.lookup(97), Some(Payload::Rtx(CodecId(2))));
    assert_eq!(line.payloads.lookup(98), None);
    assert_eq!(line.payloads.rtx_payload_type(CodecId(1)), Some(109));
    assert_eq!(line.extensions.id_of(ExtensionKind::Mid), Some(4));
    assert_eq!(line.extensions.kind_of(13), Some(ExtensionKind::VideoOrientation));
    assert_eq!(line.extensions.id_of(ExtensionKind::Rid), None);
    assert!(line.feedback.nack && line.feedback.transport_cc && !line.feedback.remb);
    let publication = line.publishes.as_ref().unwrap();
    let only =
        PublishedEncoding { ssrc: Some(2204040700), rtx: Some(510980936), ..PublishedEncoding::default() };
    assert_eq!(publication.encodings, [only]);
    assert_eq!(publication.cname.as_deref(), Some("zlB6wHHBq2ZRppya"));
    let data = negotiation.session().data.as_ref().unwrap();
    assert_eq!((data.sctp_port, data.max_message_size), (5_000, 262_144));
}

#[test]
fn the_answers_text_is_what_rfc_8829_asks_for() {
    let (_, answer) = answered("chromium-vp8-L1T3.offer.sdp");
    for line in [
        "o=- 21 1 IN IP4 127.0.0.1",
        "a=group:BUNDLE 0",
        "a=ice-lite",
        "m=video 3478 UDP/TLS/RTP/SAVPF 96 97",
        "c=IN IP4 203.0.113.1",
        "a=ice-ufrag:0001ours",
        "a=setup:passive",
        "a=candidate:1 1 udp 2130706431 203.0.113.1 3478 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 3478 typ host",
        "a=end-of-candidates",
        "a=recvonly",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtcp-fb:96 ccm fir",
        "a=fmtp:97 apt=96",
    ] {
        assert_eq!(answer.sdp.lines().filter(|l| *l == line).count(), 1, "{line}\n{}", answer.sdp);
    }
}

#[test]
fn firefox_extension_directions_are_mirrored() {
    let (negotiation, answer) = answered("firefox-av-data.offer.sdp");
    assert!(answer.sdp.contains("a=extmap:6/sendonly http"), "{}", answer.sdp);
    let extensions = &negotiation.session().line("1").unwrap().extensions;
    assert_eq!(extensions.id_of(ExtensionKind::PlayoutDelay), Some(6));
    assert_eq!(extensions.kind_of(6), None);
    assert_eq!(extensions.kind_of(3), Some(ExtensionKind::Mid));
    let remote = negotiation.session().remote.as_ref().unwrap();
    assert_eq!((remote.candidates.len(), remote.fingerprints.len()), (2, 1));
    assert!(negotiation.session().extmap_allow_mixed);
}

#[test]
fn aiortc_gets_the_bandwidth_feedback_it_knows() {
    let (negotiation, _) = answered("aiortc-av-data.offer.sdp");
    let video = negotiation.session().line("1").unwrap();
    assert!(video.feedback.remb && !video.feedback.transport_cc);
    // 99 is Baseline; 101 is what the engine forwards.
    assert_eq!(video.payloads.payload_type(CodecId(3)), Some(101));
    let remote = negotiation.session().remote.as_ref().unwrap();
    assert_eq!((remote.role, remote.fingerprints.len()), (DtlsRole::Server, 3));
    assert!(!video.rtcp_rsize);
}

#[test]
fn gstreamer_is_answered_on_its_bundled_sections() {
    let (negotiation, answer) = answered("gstreamer-chromium-av-data.offer.sdp");
    assert!(answer.sdp.contains("a=group:BUNDLE video0 audio1 application2\r\n"), "{}", answer.sdp);
    let audio = negotiation.session().line("audio1").unwrap();
    let publication = audio.publishes.as_ref().unwrap();
    let only = PublishedEncoding { ssrc: Some(4009025535), ..PublishedEncoding::default() };
    assert_eq!(publication.encodings, [only]);
    assert_eq!(publication.msid.as_ref().unwrap().track, "webrtctransceiver1");
    // It announced the feedback, but not the numbers it is about.
    assert!(!audio.feedback.transport_cc);
}

#[test]
fn a_participant_that_may_not_publish_is_told_so() {
    let config = Config { publish: false, ..Config::default() };
    let mut negotiation = Negotiation::new(Arc::new(config), 42);
    let answer = negotiation.accept_offer(&capture(CHROMIUM), &local()).unwrap();
    assert_eq!(sections(&answer.sdp)[0].direction, Direction::Inactive);
    assert!(negotiation.session().lines.iter().all(|l| l.publishes.is_none() && l.receives));
}

#[test]
fn an_offer_without_sections_is_answered_with_none() {
    let mut negotiation = negotiation();
    let empty = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
    let answer = negotiation.accept_offer(empty, &local()).unwrap();
    assert!(sections(&answer.sdp).is_empty() && negotiation.session().remote.is_none());
}

#[test]
fn payload_types_that_look_like_rtcp_are_passed_over() {
    let offer = capture("chromium-vp8-L1T3.offer.sdp").replace(" 96 97", " 72 97 96");
    let offer = offer.replace("a=rtpmap:96", "a=rtpmap:72 VP8/90000\r\na=rtpmap:96");
    let mut negotiation = negotiation();
    negotiation.accept_offer(&offer, &local()).unwrap();
    let payloads = &negotiation.session().lines[0].payloads;
    assert_eq!((payloads.lookup(72), payloads.lookup(96)), (None, Some(Payload::Media(CodecId(1)))));
    let only = capture("chromium-vp8-L1T3.offer.sdp").replace("96", "72");
    let answer = self::negotiation().accept_offer(&only, &local()).unwrap();
    assert!(sections(&answer.sdp)[0].rejected());
}

#[test]
fn an_ice_restart_is_answered_with_fresh_credentials() {
    let (mut negotiation, _) = answered(CHROMIUM);
    let before = negotiation.session().clone();
    let again = negotiation.accept_offer(&capture(CHROMIUM), &local()).unwrap();
    assert_eq!(again.outcome, Outcome::default());
    assert_eq!(negotiation.session(), &before);

    let restart = Credentials { ufrag: "0001new".into(), pwd: Password::new("n".repeat(24)) };
    let local = LocalTransport { restart: Some(restart), ..local() };
    let offer = capture(CHROMIUM).replace("+a4t", "else").replace("fgbc3f", "XXXXXX");
    let answer = negotiation.accept_offer(&offer, &local).unwrap();
    assert!(answer.outcome.ice_restarted && !answer.outcome.dtls_restarted);
    assert!(answer.sdp.contains("a=ice-ufrag:0001new") && !answer.sdp.contains("0001ours"));
    let remote = negotiation.session().remote.as_ref().unwrap();
    assert_eq!(remote.credentials.ufrag, "else");
}

#[test]
fn versions_count_up_and_the_same_calls_give_the_same_text() {
    let texts = || {
        let (mut negotiation, first) = answered(CHROMIUM);
        let second = negotiation.accept_offer(&capture(CHROMIUM), &local()).unwrap();
        (first.sdp, second.sdp)
    };
    let (first, second) = texts();
    assert_eq!((first.clone(), second.clone()), texts());
    let versions = [first, second].map(|sdp| Description::parse(&sdp).unwrap().version);
    assert_eq!(versions, [1, 2]);
}

#[test]
fn rfc_6544_4_2_tcp_candidates_are_passive_and_below_all_of_udp() {
    let mut local = local();
    local.candidates.splice(0..0, ["[2001:db8::1]:443", "203.0.113.1:443"].map(tcp));
    let mut negotiation = negotiation();
    let answer = negotiation.accept_offer(&capture("chromium-vp8-L1T3.offer.sdp"), &local).unwrap();
    let expected = [
        "a=candidate:1 1 udp 2130706431 203.0.113.1 3478 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 3478 typ host",
        "a=candidate:3 1 tcp 1520435199 2001:db8::1 443 typ host tcptype passive",
        "a=candidate:4 1 tcp 1520434943 203.0.113.1 443 typ host tcptype passive",
    ];
    let written = |sdp: &str| -> Vec<String> {
        sdp.lines().filter(|line| line.starts_with("a=candidate:")).map(str::to_owned).collect()
    };
    assert_eq!(written(&answer.sdp), expected, "most preferred first");
    negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
    assert_eq!(written(&negotiation.create_offer(&local).unwrap()), expected, "in our offers, too");
    for media in sections(&answer.sdp) {
        for candidate in &media.transport.candidates {
            let line = format!("a=candidate:{candidate}");
            assert!(expected.contains(&line.as_str()), "read as it was written: {line}");
        }
    }
}

#[test]
fn with_tcp_alone_no_udp_port_is_named() {
    let local = LocalTransport { candidates: vec![tcp("203.0.113.1:443")], ..local() };
    let answer = negotiation().accept_offer(&capture("chromium-vp8-L1T3.offer.sdp"), &local).unwrap();
    // Port 9 and no address: the candidates count (RFC 8829, section 5.3.1).
    assert!(answer.sdp.contains("m=video 9 UDP/TLS/RTP/SAVPF"), "{}", answer.sdp);
    assert!(answer.sdp.contains("c=IN IP4 0.0.0.0"), "{}", answer.sdp);
    assert_eq!(answer.sdp.matches(" tcptype passive").count(), 1, "{}", answer.sdp);
}

#[test]
fn rfc_6544_4_5_a_participants_tcp_and_mdns_candidates_are_left_out() {
    let offer = capture("chromium-vp8-L1T3.offer.sdp");
    let candidates = [
        "a=candidate:1 1 udp 2122260223 192.0.2.7 50000 typ host",
        "a=candidate:2 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active",
        "a=candidate:3 1 tcp 1518214911 2001:db8::7 9 typ host tcptype active generation 0",
        "a=candidate:4 1 tcp 1518149375 192.0.2.7 50001 typ host tcptype passive",
        "a=candidate:5 1 udp 2122194687 1d3a4a4b-9c0e-4f1a-8a36-2f1f0f2c6f10.local 50002 typ host",
        "a=candidate:6 1 udp 2122129151 2001:db8::7 50003 typ host",
        "a=candidate:7 2 udp 2122063615 192.0.2.7 50004 typ host",
    ]
    .join("\r\n");
    let kept = offer.lines().filter(|line| !line.starts_with("a=candidate:"));
    let mut offer: String = kept.flat_map(|line| [line, "\r\n"]).collect();
    offer.push_str(&candidates);
    offer.push_str("\r\n");
    let mut negotiation = negotiation();
    negotiation.accept_offer(&offer, &local()).unwrap();
    let remote = negotiation.session().remote.as_ref().unwrap();
    let ports: Vec<u16> = remote.candidates.iter().map(|candidate| candidate.address.port()).collect();
    assert_eq!(ports, [50_000, 50_003], "UDP of both families, for RTP, with an address");
}

#[test]
fn rfc_8445_9_only_a_restart_changes_how_much_of_ice_the_participant_does() {
    let full = capture("chromium-vp8-L1T3.offer.sdp");
    let lite = full.replacen("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n", 1);
    let restarted = |sdp: &str, new: &str| {
        let renewed = sdp.lines().map(|line| match line.split_once(':') {
            Some(("a=ice-ufrag", _)) => format!("a=ice-ufrag:{new}\r\n"),
            Some(("a=ice-pwd", _)) => format!("a=ice-pwd:{}\r\n", new.repeat(6)),
            _ => format!("{line}\r\n"),
        });
        renewed.collect::<String>()
    };
    let mut negotiation = negotiation();
    negotiation.accept_offer(&full, &local()).unwrap();
    let refused = negotiation.accept_offer(&lite, &local()).err();
    assert!(
        matches!(refused, Some(NegotiationError::Restart { what: "ICE implementation", .. })),
        "{refused:?}"
    );
    let lite_of = |negotiation: &Negotiation| negotiation.session().remote.as_ref().unwrap().ice_lite;
    assert!(!lite_of(&negotiation), "nothing has changed");
    for (sdp, new, expected) in [(&lite, "aaaa", true), (&full, "bbbb", false)] {
        let local = LocalTransport { restart: Some(local().credentials), ..local() };
        let answer = negotiation.accept_offer(&restarted(sdp, new), &local).unwrap();
        assert!(answer.outcome.ice_restarted);
        assert_eq!(lite_of(&negotiation), expected);
    }
}

#[test]
fn rfc_8445_6_1_1_we_are_not_lite_if_the_participant_is() {
    let offer = capture("chromium-vp8-L1T3.offer.sdp");
    let lite = offer.replacen("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n", 1);
    assert_ne!(offer, lite);
    let full = LocalTransport { ice_lite: false, ..local() };
    for (offer, local, said) in [(&offer, local(), true), (&lite, local(), false), (&offer, full, false)] {
        let mut negotiation = negotiation();
        let answer = negotiation.accept_offer(offer, &local).unwrap();
        let remote = negotiation.session().remote.as_ref().unwrap();
        assert_eq!(remote.ice_lite, offer == &lite);
        negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
        let ours = negotiation.create_offer(&local).unwrap();
        for sdp in [&answer.sdp, &ours] {
            assert_eq!(Description::parse(sdp).unwrap().ice_lite, said);
        }
    }
}
