//! What must not be accepted, and must not change anything.

use super::*;
use crate::wire::sdp::ParseError;
use proptest::prelude::*;

/// The negotiation refuses the offer, and is the same as before.
#[track_caller]
fn refuses_offer(negotiation: &mut Negotiation, offer: &str) -> NegotiationError {
    let before = format!("{negotiation:?}");
    let error = negotiation.accept_offer(offer, &local()).unwrap_err();
    assert_eq!(format!("{negotiation:?}"), before);
    error
}

#[track_caller]
fn refuses_answer(negotiation: &mut Negotiation, answer: &str) -> NegotiationError {
    let before = format!("{negotiation:?}");
    let error = negotiation.accept_answer(answer).unwrap_err();
    assert_eq!(format!("{negotiation:?}"), before);
    error
}

/// The captured offer without the lines that begin like this.
fn without(name: &str, start: &str) -> String {
    let offer = capture(name);
    let kept = offer.lines().filter(|line| !line.starts_with(start));
    kept.map(|line| format!("{line}\r\n")).collect()
}

#[test]
fn s_sdp_01_a_text_over_the_limit_changes_nothing() {
    let (mut negotiation, _) = answered(CHROMIUM);
    let long = capture(CHROMIUM) + &"a=x\r\n".repeat(limits::SDP_TEXT / 5);
    let error = refuses_offer(&mut negotiation, &long);
    assert!(matches!(error, NegotiationError::Syntax(ParseError { line: 684, .. })), "{error}");
}

#[test]
fn s_sdp_02_nothing_of_an_offer_is_echoed_unescaped() {
    let offer = capture(CHROMIUM)
        .replace("minptime=10", "minptime=<script>")
        .replace("42e01f", "zz\u{2028}zz")
        .replace("cname:zlB6wHHBq2ZRppya", "cname:\"><b>");
    let mut negotiation = negotiation();
    let answer = negotiation.accept_offer(&offer, &local()).unwrap();
    assert!(!answer.sdp.contains(['<', '>', '"', '\u{2028}']), "{}", answer.sdp);
    let cname = negotiation.session().lines[0].publishes.as_ref().unwrap().cname.clone();
    assert_eq!(cname.as_deref(), Some("___b_"));
}

#[test]
fn s_sdp_02_one_number_means_one_thing_in_the_bundle() {
    let conflict = |from: &str, to: &str| {
        let error = refuses_offer(&mut negotiation(), &capture(CHROMIUM).replace(from, to));
        match error {
            NegotiationError::Conflict { what, line: 43 } => what,
            other => panic!("{other}"),
        }
    };
    assert_eq!(conflict("a=extmap:13 ", "a=extmap:1 "), "header extension id");
    assert_eq!(conflict("a=ssrc:2204040700 ", "a=ssrc:1249227313 "), "SSRC");
    let types = conflict("SAVPF 96 97", "SAVPF 111\r\na=rtpmap:111 VP8/90000\r\na=x:");
    assert_eq!(types, "payload type");
}

#[test]
fn s_sdp_03_a_transport_without_secrets_is_refused() {
    for (start, lacks) in [
        ("a=ice-ufrag", "ICE user fragment"),
        ("a=ice-pwd", "ICE password"),
        ("a=fingerprint", "certificate fingerprint"),
        ("a=setup", "DTLS setup role"),
    ] {
        let error = refuses_offer(&mut negotiation(), &without(CHROMIUM, start));
        assert_eq!(error, NegotiationError::Missing { line: 8, what: lacks });
    }
    let short = capture(CHROMIUM).replace("fgbc3fXMmHZYc8d9iKrAPZ3V", "fgbc3fXMmHZYc8d9iKrAP");
    let error = refuses_offer(&mut negotiation(), &short);
    assert_eq!(error, NegotiationError::Weak { line: 8, what: "ICE password" });
    for (from, to) in [("sha-256", "sha-1"), ("sha-256 E6:", "sha-256 "), ("sha-256", "sha-512")] {
        let error = refuses_offer(&mut negotiation(), &capture(CHROMIUM).replace(from, to));
        let what = "certificate fingerprint";
        assert_eq!(error, NegotiationError::Weak { line: 8, what });
    }
    let hold = capture(CHROMIUM).replace("a=setup:actpass", "a=setup:holdconn");
    let error = refuses_offer(&mut negotiation(), &hold);
    assert_eq!(error.to_string(), "the media section at line 8 has no usable DTLS setup role");
}

#[test]
fn s_sdp_04_unprotected_media_is_rejected_section_by_section() {
    let rejected = |offer: &str| {
        let mut negotiation = negotiation();
        let answer = negotiation.accept_offer(offer, &local()).unwrap();
        assert_eq!(negotiation.session().lines.len(), 1);
        let ours = sections(&answer.sdp);
        assert!(ours[0].rejected() && !ours[1].rejected());
        assert!(answer.sdp.contains("a=group:BUNDLE 1 2\r\n"));
        ours
    };
    let audio = |from: &str, to: &str| capture(CHROMIUM).replacen(from, to, 1);
    let ours = rejected(&audio("UDP/TLS/RTP/SAVPF 111", "RTP/AVP 111"));
    assert_eq!((ours[0].protocol.as_str(), ours[0].format.as_str()), ("RTP/AVP", "111"));
    rejected(&audio("a=rtcp-mux\r\n", ""));
    rejected(&audio("a=sendrecv", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\na=sendrecv"));
    rejected(&audio("BUNDLE 0 1 2", "BUNDLE 1 2"));
    rejected(&audio("m=audio", "m=text"));
    rejected(&audio("a=mid:0\r\n", "").replacen("BUNDLE 0 1 2", "BUNDLE 1 2", 1));
}

#[test]
fn s_sdp_04_without_a_bundle_there_is_one_section() {
    let offer = without(CHROMIUM, "a=group");
    let mut negotiation = negotiation();
    let answer = negotiation.accept_offer(&offer, &local()).unwrap();
    let rejected: Vec<bool> = sections(&answer.sdp).iter().map(Media::rejected).collect();
    assert_eq!(rejected, [false, true, true]);
}

#[test]
fn s_sdp_05_a_session_changes_only_by_the_right_restart() {
    let (mut negotiation, _) = answered(CHROMIUM);
    let offer = capture(CHROMIUM);
    let restart = |what| NegotiationError::Restart { line: 8, what };
    let other = offer.replace("E6:6B:55", "00:00:00");
    assert_eq!(refuses_offer(&mut negotiation, &other), restart("certificate fingerprint"));
    let half = offer.replace("+a4t", "else");
    assert_eq!(refuses_offer(&mut negotiation, &half), restart("ICE credentials"));
    let half = offer.replace("fgbc3f", "XXXXXX");
    assert_eq!(refuses_offer(&mut negotiation, &half), restart("ICE credentials"));
    let role = offer.replace("setup:actpass", "setup:passive");
    assert_eq!(refuses_offer(&mut negotiation, &role), restart("DTLS setup role"));
    negotiation.accept_offer(&offer.replace("setup:actpass", "setup:active"), &local()).unwrap();

    let whole = other.replace("+a4t", "else").replace("fgbc3f", "XXXXXX");
    let outcome = negotiation.accept_offer(&whole, &local()).unwrap().outcome;
    assert!(outcome.ice_restarted && outcome.dtls_restarted);
}

#[test]
fn s_sdp_05_sections_are_neither_removed_nor_reordered() {
    let (mut negotiation, _) = answered(CHROMIUM);
    let offer = Description::parse(&capture(CHROMIUM)).unwrap();
    let mut shorter = offer.clone();
    shorter.media.truncate(1);
    let error = refuses_offer(&mut negotiation, &shorter.write());
    assert!(matches!(error, NegotiationError::Mismatch { .. }), "{error}");
    let mut swapped = offer.clone();
    swapped.media.swap(0, 1);
    let error = refuses_offer(&mut negotiation, &swapped.write());
    assert!(matches!(error, NegotiationError::Mismatch { line: 8, .. }), "{error}");
    let renamed = capture(CHROMIUM).replace("BUNDLE 0", "BUNDLE 9").replace("a=mid:0", "a=mid:9");
    let error = refuses_offer(&mut negotiation, &renamed);
    assert!(matches!(error, NegotiationError::Mismatch { line: 8, .. }), "{error}");
}

#[test]
fn s_sdp_05_answers_fit_the_offer_or_are_refused() {
    let (mut negotiation, answer) = answered(CHROMIUM);
    let early = peer::answer(&answer.sdp, |_| {});
    let error = refuses_answer(&mut negotiation, &early);
    assert_eq!(error.to_string(), "an answer came without an offer");
    negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
    negotiation.assign_send(slot(2, MediaKind::Audio)).unwrap();
    let offer = negotiation.create_offer(&local()).unwrap();
    let good = peer::answer(&offer, |_| {});

    let mut refuse = |change: &dyn Fn(&mut Description)| {
        let mut answer = Description::parse(&good).unwrap();
        change(&mut answer);
        refuses_answer(&mut negotiation, &answer.write())
    };
    let is_mismatch = |e| matches!(e, NegotiationError::Mismatch { .. });
    assert!(is_mismatch(refuse(&|a| drop(a.media.pop()))));
    assert!(is_mismatch(refuse(&|a| {
        let mut more = a.media[0].clone();
        more.mid = Mid::new("more");
        a.media.push(more);
    })));
    assert!(is_mismatch(refuse(&|a| a.media[3].mid = Mid::new("x"))));
    assert!(is_mismatch(refuse(&|a| a.media.swap(0, 1))));
    assert!(is_mismatch(refuse(&|a| a.media[3].codecs.clear())));
    assert!(is_mismatch(refuse(&|a| a.media[3].rtcp_mux = false)));
    assert!(is_mismatch(refuse(&|a| drop(a.bundle.pop()))));
    let each = |a: &mut Description, change: &dyn Fn(&mut Media)| a.media.iter_mut().for_each(change);
    let is_restart = |e| matches!(e, NegotiationError::Restart { .. });
    assert!(is_restart(refuse(&|a| each(a, &|m| m.transport.ufrag = Some("else".into())))));
    assert!(is_restart(refuse(&|a| each(a, &|m| {
        m.transport.ufrag = Some("else".into());
        m.transport.pwd = Some(Password::new("e".repeat(24)));
    }))));
    assert!(is_restart(refuse(&|a| each(a, &|m| m.transport.setup = Some(Setup::Passive)))));
    assert!(is_restart(refuse(&|a| each(a, &|m| {
        m.transport.fingerprints.iter_mut().for_each(|f| f.bytes[0] ^= 1);
    }))));
    let error = refuse(&|a| each(a, &|m| m.transport.setup = Some(Setup::ActPass)));
    assert!(matches!(error, NegotiationError::Missing { .. }));
    // A bad offer does not void ours.
    refuses_offer(&mut negotiation, &without(CHROMIUM, "a=setup"));
    negotiation.accept_answer(&good).unwrap();
}

#[test]
fn s_sdp_06_a_bomb_in_an_offer_leaves_a_bounded_session_or_none() {
    let bomb = |line: &dyn Fn(usize) -> String| -> String {
        let lines: String = (0..300).map(line).collect();
        capture(CHROMIUM).replacen("a=mid:1\r\n", &format!("a=mid:1\r\n{lines}"), 1)
    };
    let candidates = bomb(&|i| format!("a=candidate:{i} 1 udp 1 192.0.2.1 {i} typ host\r\n"));
    let candidates = candidates.replacen("BUNDLE 0 1 2", "BUNDLE 1", 1);
    let mut accepted = negotiation();
    accepted.accept_offer(&candidates, &local()).unwrap();
    let remote = accepted.session().remote.as_ref().unwrap();
    assert!((20..=limits::SDP_CANDIDATES).contains(&remote.candidates.len()));
    for line in [
        &(|i| format!("a=ssrc:{i} cname:x\r\n")) as &dyn Fn(usize) -> String,
        &|i| format!("a=rid:{i} send\r\n"),
        &|i| format!("a=ssrc-group:FID {i} 1\r\n"),
        &|_| format!("a=simulcast:send {}\r\n", ["x"; 50].join(";")),
    ] {
        let error = refuses_offer(&mut negotiation(), &bomb(line));
        assert!(matches!(error, NegotiationError::Syntax(_)), "{error}");
    }
}

/// A mutation of a text, by lines: drop, double, swap, cut, or another byte.
#[derive(Debug, Clone)]
pub(super) enum Mutation {
    Drop(usize),
    Double(usize),
    Swap(usize, usize),
    Cut(usize, usize),
    Digit(usize, usize, char),
}

pub(super) fn mutation() -> impl Strategy<Value = Mutation> {
    let line = 0..400usize;
    prop_oneof![
        line.clone().prop_map(Mutation::Drop),
        line.clone().prop_map(Mutation::Double),
        (line.clone(), line.clone()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        (line.clone(), 0..80usize).prop_map(|(a, b)| Mutation::Cut(a, b)),
        (line, 0..80usize, "[0-9a-z:/ ;=-]")
            .prop_map(|(a, b, c)| { Mutation::Digit(a, b, c.chars().next().unwrap_or('0')) }),
    ]
}

pub(super) fn mutate(text: &str, mutations: &[Mutation]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for mutation in mutations {
        let n = lines.len().max(1);
        match *mutation {
            Mutation::Drop(i) => drop(lines.remove(i % n)),
            Mutation::Double(i) => lines.insert(i % n, lines[i % n].clone()),
            Mutation::Swap(a, b) => lines.swap(a % n, b % n),
            Mutation::Cut(i, at) => {
                let line = &mut lines[i % n];
                *line = line.chars().take(at).collect();
            }
            Mutation::Digit(i, at, c) => {
                let line = &mut lines[i % n];
                let put = |(k, old)| if k == at { c } else { old };
                *line = line.chars().enumerate().map(put).collect();
            }
        }
    }
    lines.join("\r\n") + "\r\n"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s_sdp_05_an_error_never_changes_the_session(
        which in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(mutation(), 1..6),
        fresh in any::<bool>(),
    ) {
        let files = captured();
        let (name, text) = which.get(files);
        let mutated = mutate(text, &mutations);
        let mut negotiation = negotiation();
        negotiation.assign_send(slot(1, MediaKind::Video)).unwrap();
        if !fresh && name.ends_with(".offer.sdp") {
            negotiation.accept_offer(text, &local()).unwrap();
        }
        let before = format!("{negotiation:?}");
        match negotiation.accept_offer(&mutated, &local()) {
            Ok(answer) => {
                let ours = sections(&answer.sdp);
                prop_assert_eq!(ours.len(), sections(&mutated).len());
            }
            Err(_) => prop_assert_eq!(format!("{negotiation:?}"), before),
        }
        negotiation.assign_send(slot(2, MediaKind::Audio)).unwrap();
        let offer = negotiation.create_offer(&local()).unwrap();
        let before = format!("{negotiation:?}");
        if negotiation.accept_answer(&mutate(&peer::answer(&offer, |_| {}), &mutations)).is_err() {
            prop_assert_eq!(format!("{negotiation:?}"), before);
        }
    }

    #[test]
    fn slots_find_their_lines_whatever_happens_in_between(
        script in prop::collection::vec((0..6u8, 0..6u64), 1..40)
    ) {
        let (mut negotiation, answer) = answered(CHROMIUM);
        let mut last = answer.sdp;
        let mut pending = None;
        for (step, id) in script {
            let kind = if id % 2 == 0 { MediaKind::Audio } else { MediaKind::Video };
            match step {
                0 => drop(negotiation.assign_send(slot(id, kind))),
                1 => drop(negotiation.remove_send(id)),
                2 => pending = negotiation.create_offer(&local()).ok().or(pending),
                3 => if let Some(offer) = pending.take() {
                    let answer = peer::answer(&offer, |_| {});
                    negotiation.accept_answer(&answer).unwrap();
                    last = offer;
                },
                4 => {
                    let offer = peer::offer(&last, |_| {});
                    last = negotiation.accept_offer(&offer, &local()).unwrap().sdp;
                    pending = None;
                }
                _ => if negotiation.rollback() { pending = None },
            }
            let slots = negotiation.session().lines.iter().filter_map(|line| line.sends.as_ref());
            let mut ssrcs: Vec<u32> = slots.map(|slot| slot.ssrc).collect();
            let count = ssrcs.len();
            ssrcs.sort_unstable();
            ssrcs.dedup();
            prop_assert_eq!(ssrcs.len(), count);
        }
        if let Some(offer) = pending {
            negotiation.accept_answer(&peer::answer(&offer, |_| {})).unwrap();
        }
        if negotiation.needed() {
            let offer = negotiation.create_offer(&local()).unwrap();
            negotiation.accept_answer(&peer::answer(&offer, |_| {})).unwrap();
        }
        prop_assert!(!negotiation.needed());
        let placed = negotiation.slots.iter().filter(|s| {
            negotiation.session().line_of_slot(s.send.id).is_some()
        });
        prop_assert_eq!(placed.count(), negotiation.slots.len());
        // Lines are used again: never more than slots of a kind at once, and the participant's own.
        prop_assert!(negotiation.sections.len() <= 3 + 6);
    }
}
