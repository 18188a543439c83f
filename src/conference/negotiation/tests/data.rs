//! The section of data channels (RFC 8841).

use super::*;

/// Chromium's offer with what `change` makes of its section for data channels.
fn offered(change: impl Fn(&mut Media)) -> String {
    let mut offer = Description::parse(&capture(CHROMIUM)).unwrap();
    let data = offer.media.iter_mut().find(|media| media.kind == Kind::Application);
    change(data.expect("it has one"));
    offer.write()
}

fn answer_to(negotiation: &mut Negotiation, offer: &str) -> Description {
    Description::parse(&negotiation.accept_offer(offer, &local()).unwrap().sdp).unwrap()
}

fn application(description: &Description) -> Vec<&Media> {
    description.media.iter().filter(|media| media.kind == Kind::Application).collect()
}

#[test]
fn a_section_is_taken_with_its_port_and_size() {
    let mut negotiation = negotiation();
    let offer = offered(|data| {
        data.sctp_port = Some(5_001);
        data.max_message_size = Some(0);
    });
    let answer = answer_to(&mut negotiation, &offer);
    let [ours] = application(&answer)[..] else { panic!("one section") };
    assert_eq!((ours.sctp_port, ours.max_message_size), (Some(5_000), Some(65_536)));
    assert_eq!((ours.format.as_str(), ours.protocol.as_str()), ("webrtc-datachannel", "UDP/DTLS/SCTP"));
    assert!(answer.bundle.contains(ours.mid.as_ref().unwrap()) && !ours.rtcp_mux);
    let data = negotiation.session().data.clone().unwrap();
    assert_eq!((data.sctp_port, data.max_message_size), (5_001, 0));
    // What is left out has its default (RFC 8841, section 6.1).
    let bare = offered(|data| (data.sctp_port, data.max_message_size) = (None, None));
    answer_to(&mut negotiation, &bare);
    let data = negotiation.session().data.clone().unwrap();
    assert_eq!((data.sctp_port, data.max_message_size), (5_000, 65_536));
}

#[test]
fn what_cannot_be_carried_is_rejected_alone() {
    let refused: [fn(&mut Media); 3] = [
        |data| data.protocol = "DTLS/SCTP".into(),
        |data| data.protocol = "UDP/SCTP".into(),
        |data| data.port = 0,
    ];
    for change in refused {
        let mut negotiation = negotiation();
        let answer = answer_to(&mut negotiation, &offered(change));
        assert!(application(&answer)[0].rejected() && negotiation.session().data.is_none());
        assert!(!negotiation.session().lines.is_empty());
    }
    let mut without = Negotiation::new(Arc::new(Config { data: false, ..Config::default() }), 42);
    assert!(application(&answer_to(&mut without, &capture(CHROMIUM)))[0].rejected());
    without.want_data();
    assert!(!without.needed());
}

#[test]
fn a_second_section_is_rejected_and_one_alone_is_a_session() {
    let mut offer = Description::parse(&capture(CHROMIUM)).unwrap();
    let data = application(&offer)[0].clone();
    let mut second = data.clone();
    second.mid = Mid::new("second");
    offer.bundle.extend(second.mid.clone());
    offer.media.push(second);
    let mut negotiation = negotiation();
    let answer = answer_to(&mut negotiation, &offer.write());
    let rejected: Vec<bool> = application(&answer).iter().map(|media| media.rejected()).collect();
    assert_eq!(rejected, [false, true]);

    let mut alone = Description::parse(&capture(CHROMIUM)).unwrap();
    let transport = alone.media[0].transport.clone();
    alone.media = vec![Media { transport, ..data }];
    alone.bundle = alone.media[0].mid.clone().into_iter().collect();
    let mut negotiation = super::negotiation();
    answer_to(&mut negotiation, &alone.write());
    let session = negotiation.session();
    assert!(session.lines.is_empty() && session.data.is_some() && session.remote.is_some());
}

#[test]
fn one_is_offered_where_it_is_wanted_and_not_again_where_it_was_rejected() {
    for rejects in [false, true] {
        let mut negotiation = negotiation();
        answer_to(&mut negotiation, &offered(|data| data.port = 0));
        assert!(!negotiation.needed());
        negotiation.want_data();
        assert!(negotiation.needed());
        let offer = negotiation.create_offer(&local()).unwrap();
        let described = Description::parse(&offer).unwrap();
        let [.., ours] = application(&described)[..] else { panic!("none") };
        assert!(!ours.rejected() && ours.sctp_port == Some(5_000));
        let answer = peer::answer(&offer, |media| {
            if rejects && media.kind == Kind::Application {
                media.port = 0;
            }
        });
        negotiation.accept_answer(&answer).unwrap();
        assert_eq!(negotiation.session().data.is_some(), !rejects);
        assert!(!negotiation.needed());
    }
}
