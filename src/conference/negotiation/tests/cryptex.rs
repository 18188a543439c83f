//! Who takes encrypted headers (RFC 9335, section 4).

use super::*;

/// The captured offer with `a=cryptex` in front of the media sections or in those of these mids.
fn offer(session_level: bool, mids: &[&str]) -> String {
    let mut offer = capture(CHROMIUM);
    if session_level {
        offer = offer.replacen("t=0 0\r\n", "t=0 0\r\na=cryptex\r\n", 1);
    }
    for mid in mids {
        let line = format!("a=mid:{mid}\r\n");
        offer = offer.replacen(&line, &format!("{line}a=cryptex\r\n"), 1);
    }
    offer
}

fn told(sdp: &str) -> usize {
    sdp.lines().filter(|line| *line == "a=cryptex").count()
}

#[test]
fn rfc_9335_4_it_is_agreed_on_for_the_whole_session_or_in_each_of_its_media_sections() {
    let cases = [
        (true, &[][..], true),
        (false, &["0", "1"][..], true),
        // What is bundled speaks with one voice: a mid can stand in what is encrypted.
        (false, &["0"][..], false),
        (false, &["1", "2"][..], false),
        (false, &[][..], false),
    ];
    for (session_level, mids, expected) in cases {
        let mut negotiation = negotiation();
        let answer = negotiation.accept_offer(&offer(session_level, mids), &local()).unwrap();
        assert_eq!(negotiation.session().cryptex, expected, "{session_level} {mids:?}");
        // Each accepted media section says so, and no other.
        assert_eq!(told(&answer.sdp), if expected { 2 } else { 0 }, "{}", answer.sdp);
    }
}

#[test]
fn rfc_9335_4_it_is_not_agreed_on_where_the_engine_does_not_want_it() {
    let config = Config { cryptex: false, ..Config::default() };
    let mut negotiation = Negotiation::new(Arc::new(config), 42);
    let answer = negotiation.accept_offer(&offer(true, &[]), &local()).unwrap();
    assert!(!negotiation.session().cryptex && told(&answer.sdp) == 0);
    negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
    negotiation.assign_send(slot(2, MediaKind::Audio)).unwrap();
    let ours = negotiation.create_offer(&local()).unwrap();
    negotiation.accept_answer(&peer::answer(&ours, |media| media.cryptex = true)).unwrap();
    assert!(!negotiation.session().cryptex && told(&ours) == 0);
}

#[test]
fn rfc_9335_4_a_later_description_may_change_it() {
    let mut negotiation = negotiation();
    for cryptex in [true, false, true] {
        let answer = negotiation.accept_offer(&offer(cryptex, &[]), &local()).unwrap();
        assert_eq!(negotiation.session().cryptex, cryptex);
        assert_eq!(told(&answer.sdp) > 0, cryptex);
    }
}

#[test]
fn rfc_9335_4_our_first_offer_says_so_and_the_answer_decides() {
    for taken in [true, false] {
        let mut negotiation = negotiation();
        negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
        negotiation.assign_send(slot(2, MediaKind::Video)).unwrap();
        let ours = negotiation.create_offer(&local()).unwrap();
        assert_eq!(told(&ours), 2);
        negotiation.accept_answer(&peer::answer(&ours, |media| media.cryptex = taken)).unwrap();
        assert_eq!(negotiation.session().cryptex, taken);
        // A later offer asks for nothing that was not agreed on.
        negotiation.assign_send(slot(3, MediaKind::Audio)).unwrap();
        let ours = negotiation.create_offer(&local()).unwrap();
        assert_eq!(told(&ours), if taken { 3 } else { 0 });
        negotiation.accept_answer(&peer::answer(&ours, |media| media.cryptex = true)).unwrap();
        assert_eq!(negotiation.session().cryptex, taken);
    }
}

#[test]
fn s_srtp_13_extensions_encrypted_one_by_one_are_not_agreed_to() {
    // RFC 6904, section 4: an extension of its own, named with the one that it encrypts.
    let uri = "urn:ietf:params:rtp-hdrext:encrypt urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    let offer = capture(CHROMIUM).replacen("a=extmap:1 ", &format!("a=extmap:9 {uri}\r\na=extmap:1 "), 1);
    let mut negotiation = negotiation();
    let answer = negotiation.accept_offer(&offer, &local()).unwrap();
    assert!(!answer.sdp.contains("hdrext:encrypt"), "{}", answer.sdp);
    assert_eq!(negotiation.session().line("0").unwrap().extensions.kind_of(9), None);
}
