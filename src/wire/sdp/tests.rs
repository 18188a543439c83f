use super::*;
use crate::base::limits;
use crate::wire::mux::Protocol;
use proptest::prelude::*;

/// The descriptions of real endpoints in `tests/data/sdp`, by file name, in the order of names.
pub(crate) fn captured() -> &'static [(String, String)] {
    static FILES: std::sync::OnceLock<Vec<(String, String)>> = std::sync::OnceLock::new();
    FILES.get_or_init(|| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sdp");
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<(String, String)> = paths
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        assert!(files.len() >= 27, "captures are missing");
        files
    })
}

pub(crate) fn capture(name: &str) -> String {
    let found = captured().iter().find(|(file, _)| file == name);
    found.unwrap_or_else(|| panic!("no {name}")).1.clone()
}

/// A session part and one audio section with the given lines after it.
fn audio(lines: &str) -> String {
    format!(
        "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\n{lines}"
    )
}

fn section(lines: &str) -> Media {
    Description::parse(&audio(lines)).unwrap().media.remove(0)
}

fn refusal(lines: &str) -> ParseError {
    Description::parse(&audio(lines)).unwrap_err()
}

fn without_lines(mut description: Description) -> Description {
    for media in &mut description.media {
        media.line = 0;
    }
    description
}

#[test]
fn captured_descriptions_survive_writing_and_parsing() {
    for (name, text) in captured() {
        let parsed = Description::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let again = Description::parse(&parsed.write()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(without_lines(again), without_lines(parsed), "{name}");
    }
}

#[test]
fn rfc_9335_4_cryptex_is_read_and_written_at_both_levels() {
    let text = capture("chromium-chromium-av-data.offer.sdp");
    let plain = Description::parse(&text).unwrap();
    assert!(!plain.cryptex && plain.media.iter().all(|media| !media.cryptex));
    let mut told = plain.clone();
    told.cryptex = true;
    told.media[1].cryptex = true;
    let text = told.write();
    assert_eq!(text.lines().filter(|line| *line == "a=cryptex").count(), 2);
    let again = Description::parse(&text).unwrap();
    assert_eq!((again.cryptex, again.media[0].cryptex, again.media[1].cryptex), (true, false, true));
}

#[test]
fn a_chromium_offer_is_understood_whole() {
    let offer = Description::parse(&capture("chromium-chromium-av-data.offer.sdp")).unwrap();
    assert_eq!((offer.session_id, offer.version), (7355192200869349356, 2));
    assert!(offer.extmap_allow_mixed && !offer.ice_lite);
    let mids: Vec<&str> = offer.bundle.iter().map(Mid::as_str).collect();
    assert_eq!(mids, ["0", "1", "2"]);
    let [audio, video, data] = offer.media.as_slice() else { panic!("three sections") };
    assert_eq!((audio.line, video.line), (8, 43));
    assert_eq!(audio.transport.ufrag.as_deref(), Some("+a4t"));
    assert_eq!(audio.transport.setup, Some(Setup::ActPass));
    assert_eq!(audio.transport.candidates.len(), 4);
    let active = &audio.transport.candidates[2];
    assert_eq!(active.tcp_type, Some(TcpType::Active));
    assert_eq!(active.kind, CandidateKind::Host);
    assert_eq!(audio.transport.fingerprints[0].bytes.len(), 32);
    let types: Vec<u8> = audio.codecs.iter().map(|c| c.payload_type).collect();
    assert_eq!(types, [111, 63, 9, 0, 8, 13, 110, 126]);
    let opus = &audio.codecs[0];
    assert!(opus.is("OPUS") && opus.channels == Some(2) && opus.clock_rate == 48_000);
    assert_eq!(opus.parameter("useinbandfec"), Some("1"));
    assert!(opus.feedback.transport_cc && !opus.feedback.nack);
    let vp8 = video.codecs[0].feedback;
    assert!(vp8.nack && vp8.pli && vp8.fir && vp8.remb && vp8.transport_cc && !video.ccfb);
    assert_eq!(video.codecs[1].repairs(), Some(96));
    assert_eq!(video.stream_groups[0].ssrcs, [2204040700, 510980936]);
    assert_eq!(video.streams.len(), 2);
    assert_eq!(video.streams[0].cname.as_deref(), Some("zlB6wHHBq2ZRppya"));
    let msid = video.msid.as_ref().unwrap();
    assert_eq!(msid.track, "e6423080-fc4e-4655-b33f-c219df074b06");
    assert_eq!((data.sctp_port, data.max_message_size), (Some(5000), Some(262144)));
}

#[test]
fn firefox_states_things_at_the_session_level_and_for_absent_payload_types() {
    let offer = Description::parse(&capture("firefox-chromium-av1.offer.sdp")).unwrap();
    let [audio, video] = offer.media.as_slice() else { panic!("two sections") };
    assert_eq!(audio.transport.fingerprints, video.transport.fingerprints);
    assert_eq!(audio.transport.fingerprints[0].algorithm, "sha-256");
    let names: Vec<&str> = video.codecs.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["AV1", "rtx"]);
    let components = audio.transport.candidates.iter().filter(|c| c.component == 2);
    assert_eq!(components.count(), 4);
    assert_eq!(audio.extmaps[1].direction, Some(Direction::RecvOnly));
    assert_eq!(audio.msid.as_ref().unwrap().stream, "{25265eb5-c950-4bfb-bf01-1cd02e064983}");
}

#[test]
fn gstreamer_bundles_with_port_zero_and_names_streams_by_ssrc() {
    let offer = Description::parse(&capture("gstreamer-chromium-av-data.offer.sdp")).unwrap();
    let audio = &offer.media[1];
    assert!(audio.port == 0 && audio.bundle_only && !audio.rejected());
    assert!(audio.codecs[0].is("opus"));
    let msid = audio.streams[0].msid.as_ref().unwrap();
    assert_eq!(msid.to_string(), "user200900771_host-20d91e87 webrtctransceiver1");
}

#[test]
fn feedback_for_all_payload_types_reaches_each() {
    let media = section("a=rtcp-fb:* transport-cc\r\na=rtpmap:111 opus/48000/2\r\n");
    assert_eq!(media.codecs.len(), 2);
    assert!(media.codecs.iter().all(|codec| codec.feedback.transport_cc));
}

#[test]
fn rfc_8888_6_congestion_control_feedback_is_for_all_payload_types() {
    for line in ["a=rtcp-fb:* ack ccfb", "a=rtcp-fb:111 ack ccfb "] {
        let told = section(&format!("{line}\r\na=rtpmap:111 opus/48000/2\r\n"));
        assert!(told.ccfb, "{line}");
    }
    for line in ["a=rtcp-fb:* ack", "a=rtcp-fb:* nack ccfb", "a=rtcp-fb:* ack ccfb2"] {
        assert!(!section(&format!("{line}\r\n")).ccfb, "{line}");
    }
    let mut offer = Description::parse(&capture("chromium-chromium-av-data.offer.sdp")).unwrap();
    offer.media[1].ccfb = true;
    let text = offer.write();
    let written: Vec<_> = text.lines().filter(|line| line.contains("ccfb")).collect();
    assert_eq!(written, ["a=rtcp-fb:* ack ccfb"]);
    assert!(Description::parse(&text).unwrap().media.iter().map(|media| media.ccfb).eq([false, true, false]));
}

/// The rids of a list, `~` before those that begin paused.
fn listed(encodings: &[Vec<Alternative>]) -> Vec<Vec<String>> {
    let name = |form: &Alternative| format!("{}{}", if form.paused { "~" } else { "" }, form.rid);
    encodings.iter().map(|forms| forms.iter().map(name).collect()).collect()
}

#[test]
fn rfc_8853_5_1_simulcast_lists_the_encodings_and_their_alternatives() {
    let offer = Description::parse(&capture("chromium-simulcast-h264.offer.sdp")).unwrap();
    let simulcast = offer.media[0].simulcast.as_ref().unwrap();
    assert_eq!(listed(&simulcast.send), [["q"], ["h"], ["f"]]);
    assert!(offer.media[0].rids.iter().all(|rid| rid.sends));
    let media = section("a=rid:a send\r\na=simulcast:recv ~a,b;c send x\r\n");
    let simulcast = media.simulcast.as_ref().unwrap();
    assert_eq!(listed(&simulcast.send), [["x"]]);
    assert_eq!(listed(&simulcast.receive), [vec!["~a", "b"], vec!["c"]]);
    let mut description = Description::parse(&audio("")).unwrap();
    description.media[0] = media;
    assert!(description.write().contains("a=simulcast:send x recv ~a,b;c\r\n"));
}

#[test]
fn rfc_8851_5_restrictions_are_read_as_far_as_they_are_known() {
    let media = section(
        "a=rtpmap:111 opus/48000/2\r\n\
         a=rid:a send pt=0,111,8,0;max-width=1280;max-fps=29.97;max-br=x;max-height=720;odd=1\r\n\
         a=rid:b recv max-fs=3600; max-pps=+1;max-fps\r\n",
    );
    let [a, b] = media.rids.as_slice() else { panic!("two rids") };
    assert_eq!((a.payload_types.as_slice(), a.sends), (&[0, 111][..], true));
    let expected = Restrictions { max_width: Some(1280), max_height: Some(720), ..Restrictions::default() };
    assert_eq!(a.restrictions, expected);
    assert_eq!((b.payload_types.as_slice(), b.sends), (&[][..], false));
    assert_eq!(b.restrictions, Restrictions { max_fs: Some(3600), ..Restrictions::default() });
    let mut description = Description::parse(&audio("")).unwrap();
    description.media[0] = media;
    let written = description.write();
    assert!(written.contains("a=rid:a send pt=0,111;max-width=1280;max-height=720\r\n"), "{written}");
    assert!(written.contains("a=rid:b recv max-fs=3600\r\n"), "{written}");
}

#[test]
fn s_sim_01_rids_that_are_malformed_or_named_twice_are_left_out() {
    let media = section(
        "a=rid: send\r\na=rid:a-b send\r\na=rid:a_b send\r\na=rid:\u{e9} send\r\na=rid:a/b send\r\n\
         a=rid:12345678901234567 send\r\na=rid:x\r\na=rid:x both\r\na=rid:t send pt=\r\n\
         a=rid:t send pt=x\r\na=rid:t send pt=96,97\r\na=rid:t send pt=+0\r\na=rid:t send depend=good\r\n\
         a=rid:twice send\r\na=rid:good send\r\na=rid:twice recv\r\na=rid:1234567890123456 send\r\n",
    );
    let ids: Vec<&str> = media.rids.iter().map(|rid| rid.id.as_str()).collect();
    assert_eq!(ids, ["good", "1234567890123456"]);
    let media = section("a=simulcast:send a-b;,;~;a,\u{e9};~~b;12345678901234567,~c recv -\r\n");
    let simulcast = media.simulcast.unwrap();
    assert_eq!(
        (listed(&simulcast.send), simulcast.receive),
        (vec![vec!["a".into()], vec!["~c".into()]], vec![])
    );
    assert_eq!(section("a=simulcast:send ;;\r\n").simulcast, None);
}

#[test]
fn rfc_6544_4_5_tcp_candidates_tell_who_opens_the_connection() {
    for (text, tcp_type) in [
        ("1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active", TcpType::Active),
        ("2 1 tcp 1518149375 2001:db8::7 443 typ host tcptype passive", TcpType::Passive),
        ("3 1 tcp 1518083839 192.0.2.7 3478 typ srflx tcptype so", TcpType::SimultaneousOpen),
    ] {
        let candidate = Candidate::parse(text).unwrap();
        assert_eq!((candidate.protocol, candidate.tcp_type), (Protocol::Tcp, Some(tcp_type)));
        assert_eq!(candidate.to_string(), text);
        let loud = text.replacen(" tcp ", " TCP ", 1) + " generation 0 network-cost 999";
        assert_eq!(Candidate::parse(&loud), Some(candidate));
    }
    assert_eq!(Candidate::parse("4 1 tcp 1 192.0.2.7 9 typ host tcptype sideways"), None);
}

#[test]
fn rfc_8839_candidates_are_read_and_written() {
    let text = "842163049 1 udp 1677729535 198.51.100.7 46154 typ srflx raddr 0.0.0.0 rport 0 \
                generation 0 network-cost 999";
    for prefix in ["", "candidate:", "a=candidate:"] {
        let candidate = Candidate::parse(&format!("{prefix}{text}")).unwrap();
        assert_eq!(candidate.address, "198.51.100.7:46154".parse::<std::net::SocketAddr>().unwrap());
        assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
        assert_eq!(candidate.to_string(), "842163049 1 udp 1677729535 198.51.100.7 46154 typ srflx");
    }
    for unusable in [
        "1 1 udp 1 5a0d8f4c.local 9 typ host",
        "1 1 sctp 1 192.0.2.1 9 typ host",
        "1 1 udp 4294967296 192.0.2.1 9 typ host",
        "1 1 udp 1 192.0.2.1 65536 typ host",
        "1 1 udp 1 192.0.2.1 9 typ moon",
        "1 0 udp 1 192.0.2.1 9 typ host",
        "",
    ] {
        assert_eq!(Candidate::parse(unusable), None, "{unusable}");
    }
}

#[test]
fn passwords_stay_out_of_debug_output() {
    let offer = Description::parse(&capture("chromium-vp8-L1T3.offer.sdp")).unwrap();
    let secret = offer.media[0].transport.pwd.as_ref().unwrap().as_str();
    assert!(secret.len() >= 22 && !format!("{offer:?}").contains(secret));
}

#[test]
fn s_sdp_01_each_limit_names_its_line() {
    let attributes = |n| "a=x\r\n".repeat(n);
    let error = |line, reason| Err(ParseError { line, reason });
    let parse = |text: &str| Description::parse(text).map(|_| ());
    assert_eq!(parse(&audio(&attributes(limits::SDP_ATTRIBUTES))), Ok(()));
    assert_eq!(
        parse(&audio(&attributes(limits::SDP_ATTRIBUTES + 1))),
        error(5 + limits::SDP_ATTRIBUTES + 1, Reason::TooManyAttributes)
    );
    // One section is there already.
    let sections = |n| "m=audio 9 RTP/AVP 0\r\n".repeat(n - 1);
    assert_eq!(parse(&audio(&sections(limits::SDP_MEDIA))), Ok(()));
    assert_eq!(
        parse(&audio(&sections(limits::SDP_MEDIA + 1))),
        error(5 + limits::SDP_MEDIA, Reason::TooManyMedia)
    );
    let lines = |n| "x=\r\n".repeat(n - 5);
    assert_eq!(parse(&audio(&lines(limits::SDP_LINES))), Ok(()));
    assert_eq!(
        parse(&audio(&lines(limits::SDP_LINES + 1))),
        error(limits::SDP_LINES + 1, Reason::TooManyLines)
    );
    let long = |n: usize| {
        let start = audio("i=");
        format!("{start}{}", "x".repeat(n - start.len()))
    };
    assert_eq!(parse(&long(limits::SDP_TEXT)), Ok(()));
    assert_eq!(parse(&long(limits::SDP_TEXT + 1)), error(6, Reason::TooLong));
}

#[test]
#[allow(clippy::disallowed_methods)]
fn s_sdp_01_the_largest_texts_take_linear_time() {
    let payload_types: Vec<String> = (0..128).map(|pt| pt.to_string()).collect();
    let types = payload_types.join(" ");
    let bombs = [
        "a=rtcp-fb:* nack\r\n".to_owned(),
        "a=fmtp:0 apt=1;apt=1;apt=1\r\n".to_owned(),
        "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".to_owned(),
        format!("a=fingerprint:sha-256 AA{}\r\n", ":AA".repeat(31)),
        "a=ssrc:1 cname:x\r\n".to_owned(),
        format!("a=group:BUNDLE {}\r\n", "x ".repeat(128)),
    ];
    for bomb in bombs {
        let mut text = audio("");
        while text.len() + 512 * bomb.len() + 600 < limits::SDP_TEXT
            && text.lines().count() + 513 < limits::SDP_LINES
        {
            text += &format!("m=video 9 UDP/TLS/RTP/SAVPF {types}\r\n");
            text += &bomb.repeat(512);
        }
        let start = std::time::Instant::now();
        let parsed = Description::parse(&text);
        let took = start.elapsed();
        assert!(parsed.is_ok(), "{bomb}: {parsed:?}");
        assert!(took.as_millis() < 500, "{bomb} took {took:?}");
    }
}

#[test]
fn s_sdp_02_numbers_out_of_range_are_refused_with_their_line() {
    for lines in [
        "a=rtpmap:128 VP8/90000\r\n",
        "a=rtpmap:111 opus/48000000000/2\r\n",
        "a=rtpmap:111 opus\r\n",
        "a=rtpmap:+11 opus/48000/2\r\n",
        "a=rtpmap:111 op(us/48000/2\r\n",
        "a=ssrc:4294967296 cname:x\r\n",
        "a=ssrc-group:FID 1 -2\r\n",
        "a=extmap:x uri\r\n",
        "a=extmap:1/sideways uri\r\n",
        "a=mid:\r\n",
        "a=mid:a b\r\n",
        "a=mid:12345678901234567\r\n",
        "a=setup:perhaps\r\n",
        "a=ice-ufrag:abc\r\n",
        "a=ice-pwd:has:colons:and spaces in it\r\n",
        "a=fingerprint:sha-256 AB:C\r\n",
        "a=fingerprint:sha-256 +1:AB\r\n",
        "a=simulcast:send\r\n",
        "a=sctp-port:65536\r\n",
        "a=max-message-size:-1\r\n",
    ] {
        assert_eq!(refusal(lines), ParseError { line: 6, reason: Reason::Value }, "{lines}");
    }
    for m in ["128", "0 128", "x", "-1"] {
        let text = format!("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF {m}\r\n");
        let error = ParseError { line: 2, reason: Reason::Value };
        assert_eq!(Description::parse(&text), Err(error), "{m}");
    }
}

#[test]
fn s_sdp_02_identifiers_used_twice_are_refused() {
    let duplicate = |line| ParseError { line, reason: Reason::Duplicate };
    for lines in [
        "a=mid:0\r\na=mid:1\r\n",
        "a=extmap:1 urn:a\r\na=extmap:1 urn:b\r\n",
        "a=rtpmap:0 PCMU/8000\r\na=rtpmap:0 PCMA/8000\r\n",
    ] {
        assert_eq!(refusal(lines), duplicate(7), "{lines}");
    }
    assert_eq!(refusal("a=mid:0\r\nm=video 9 RTP/AVP 1\r\na=mid:0\r\n"), duplicate(7));
    let twice = "v=0\r\nm=audio 9 RTP/AVP 0 1 0\r\n";
    assert_eq!(Description::parse(twice), Err(duplicate(2)));
}

#[test]
fn s_sdp_02_control_characters_never_pass() {
    for text in ["a=msid:a\0b c\r\n", "a=msid:a\rb c\r\n", "a=msid:a\r\r\n", "nonsense\r\n"] {
        assert_eq!(refusal(text), ParseError { line: 6, reason: Reason::Syntax }, "{text:?}");
    }
    let media = section("a=msid:a\u{e9}\u{2028};b <script>\r\na=ssrc:1 cname:a@b \"c\r\n");
    assert_eq!(media.msid.unwrap().to_string(), "a___b _script_");
    assert_eq!(media.streams[0].cname.as_deref(), Some("a_b__c"));
    assert_eq!(Description::parse("").unwrap_err().line, 1);
}

#[test]
fn s_sdp_06_what_there_may_be_many_of_is_bounded() {
    let many = |n: usize, line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<String>();
    let candidate = |i: usize| format!("a=candidate:{i} 1 udp 1 192.0.2.1 {i} typ host\r\n");
    let media = section(&many(400, &candidate));
    assert_eq!(media.transport.candidates.len(), limits::SDP_CANDIDATES);
    let fingerprint = |i: usize| format!("a=fingerprint:sha-256 {i:02X}\r\n");
    let media = section(&many(99, &fingerprint));
    assert_eq!(media.transport.fingerprints.len(), limits::SDP_FINGERPRINTS);

    let ssrc = |i: usize| format!("a=ssrc:{i} cname:x\r\n");
    assert_eq!(section(&many(limits::SDP_SSRCS, &ssrc)).streams.len(), limits::SDP_SSRCS);
    let over = |line| ParseError { line, reason: Reason::TooManyStreams };
    assert_eq!(refusal(&many(99, &ssrc)), over(6 + limits::SDP_SSRCS));
    let group = |_| "a=ssrc-group:FID 1 2\r\n".to_owned();
    assert_eq!(refusal(&many(99, &group)), over(6 + limits::SDP_SSRCS));
    let members = "1 ".repeat(limits::SDP_SSRCS + 1);
    assert_eq!(refusal(&format!("a=ssrc-group:SIM {members}\r\n")), over(6));
    let rid = |i: usize| format!("a=rid:{i} send\r\n");
    assert_eq!(refusal(&many(99, &rid)), over(6 + limits::SDP_RIDS));
    let list = |separator: &str, n| format!("a=simulcast:send {}\r\n", vec!["x"; n].join(separator));
    assert_eq!(section(&list(";", limits::SDP_RIDS)).simulcast.unwrap().send.len(), limits::SDP_RIDS);
    assert_eq!(refusal(&list(";", limits::SDP_RIDS + 1)), over(6));
    assert_eq!(refusal(&list(",", limits::SDP_RIDS + 1)), over(6));
}

#[test]
fn errors_read_as_one_sentence() {
    assert_eq!(
        refusal("a=mid:a b\r\n").to_string(),
        "line 6 of the session description has a value that is malformed or out of range"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s_sdp_02_any_text_is_parsed_or_refused(text in any::<String>()) {
        let _ = Description::parse(&text);
        let _ = Description::parse(&audio(&text));
    }

    #[test]
    fn s_sdp_02_whatever_is_parsed_is_written_so_that_it_parses_to_the_same(
        lines in prop::collection::vec(
            "(a=(mid|rtpmap|fmtp|rtcp-fb|extmap|ssrc|ssrc-group|msid|rid|simulcast|setup|fingerprint\
             |candidate|ice-options|sctp-port|sendonly)(:[0-9a-zA-Z/:;=. -]{0,24})?\
             |a=rid:[a-c] (send|recv)( pt=[01]{1,3}(,[01]{1,3})?)?(;max-(width|fps|br)=[0-9]{0,3})?\
             |a=simulcast:(send|recv) ~?[a-c](;~?[a-c])?(,[a-c])?( recv ~?[ab])?)\r\n",
            0..8,
        )
    ) {
        if let Ok(parsed) = Description::parse(&audio(&lines.concat())) {
            let again = Description::parse(&parsed.write());
            prop_assert_eq!(again.map(without_lines), Ok(without_lines(parsed)));
        }
    }
}
