//! What real endpoints write beside the RFCs, or beyond what is understood here: it does no harm.

use super::*;

const FIREFOX: &str = "firefox-chromium-av1.offer.sdp";

/// The payload types of the `a=rtcp-fb` lines of a text, section by section.
fn feedback_types(sdp: &str) -> Vec<Vec<u8>> {
    let mut sections: Vec<Vec<u8>> = Vec::new();
    for line in sdp.lines() {
        if line.starts_with("m=") {
            sections.push(Vec::new());
        }
        let value = line.strip_prefix("a=rtcp-fb:").and_then(|rest| rest.split(' ').next()?.parse().ok());
        if let (Some(section), Some(payload_type)) = (sections.last_mut(), value) {
            section.push(payload_type);
        }
    }
    sections
}

#[test]
fn feedback_of_payload_types_that_the_line_dropped_is_passed_over() {
    let offer = capture(FIREFOX);
    let video = &Description::parse(&offer).unwrap().media[1];
    let offered = |payload_type: &u8| video.codecs.iter().any(|codec| codec.payload_type == *payload_type);
    assert!(
        feedback_types(&offer)[1].iter().any(|payload_type| !offered(payload_type)),
        "the quirk is there"
    );
    let (negotiation, answer) = answered(FIREFOX);
    assert_eq!(negotiation.session().lines.len(), 2);
    // What we write fits its own m-line, or Chromium would refuse it.
    for (media, types) in sections(&answer.sdp).iter().zip(feedback_types(&answer.sdp)) {
        let listed = |payload_type: &u8| media.codecs.iter().any(|codec| codec.payload_type == *payload_type);
        assert!(!types.is_empty() && types.iter().all(listed), "{types:?}");
    }
}

#[test]
fn candidates_and_ports_of_a_separate_rtcp_component_are_ignored() {
    let offer = capture(FIREFOX);
    assert!(offer.contains(" 2 UDP ") && offer.contains("a=rtcp:"));
    let (first, answer) = answered(FIREFOX);
    let remote = first.session().remote.as_ref().unwrap();
    assert!(!remote.candidates.is_empty());
    assert!(remote.candidates.iter().all(|candidate| candidate.component == 1));
    assert!(!answer.sdp.contains("a=rtcp:"), "RTP and RTCP share a port (RFC 8834, section 4.5)");
    // Without those lines the same is understood.
    let kept = offer.lines().filter(|line| !line.starts_with("a=rtcp:") && !line.contains(" 2 UDP "));
    let plain: String = kept.map(|line| format!("{line}\r\n")).collect();
    let mut other = super::negotiation();
    assert_eq!(other.accept_offer(&plain, &local()).unwrap().sdp, answer.sdp);
    assert_eq!(other.session().lines, first.session().lines);
}

#[test]
fn unknown_attributes_anywhere_change_nothing() {
    let unknown = [
        "a=x-unknown",
        "a=x-unknown:",
        "a=x-unknown:with a value; and more=\u{fc}",
        "a=rtcp-fb:96 x-unknown more",
        "a=candidate:x-unknown",
        "a=msid-semantic:*X-UNKNOWN *",
        "a=ice-options:x-unknown",
        "a=extmap-x-unknown:1 x",
    ];
    for (name, offer) in captured().iter().filter(|(name, _)| name.ends_with(".offer.sdp")) {
        let mut plain = negotiation();
        let expected = plain.accept_offer(offer, &local()).unwrap().sdp;
        for extra in unknown {
            // In the session's part and in each section.
            let text: String = offer
                .lines()
                .map(|line| match line.starts_with("a=group") || line.starts_with("a=mid:") {
                    true => format!("{line}\r\n{extra}\r\n"),
                    false => format!("{line}\r\n"),
                })
                .collect();
            assert!(text.matches(extra).count() > 1, "{name}");
            let mut again = negotiation();
            let answer = again.accept_offer(&text, &local());
            let answer = answer.unwrap_or_else(|error| panic!("{name}, {extra}: {error}"));
            assert_eq!(answer.sdp, expected, "{name}, {extra}");
        }
    }
}
