//! str0m as the participant: what another lineage offers, and makes of our texts.

use super::*;
use str0m::Rtc;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::{Direction as Dir, MediaKind as Of};

#[test]
#[allow(clippy::disallowed_methods)]
fn str0m_negotiates_both_ways_with_us() {
    let mut rtc = Rtc::new(std::time::Instant::now());
    let mut api = rtc.sdp_api();
    api.add_media(Of::Audio, Dir::SendRecv, None, None, None);
    api.add_media(Of::Video, Dir::SendOnly, None, None, None);
    let (offer, pending) = api.apply().unwrap();

    let mut negotiation = negotiation();
    negotiation.assign_send(slot(1, MediaKind::Audio)).unwrap();
    negotiation.assign_send(slot(2, MediaKind::Video)).unwrap();
    let answer = negotiation.accept_offer(&offer.to_sdp_string(), &local()).unwrap();
    let answer = SdpAnswer::from_sdp_string(&answer.sdp).unwrap();
    rtc.sdp_api().accept_answer(pending, answer).unwrap();
    assert!(negotiation.session().line_of_slot(1).is_some() && negotiation.needed());

    for id in [3, 4] {
        let offer = negotiation.create_offer(&local()).unwrap();
        let offer = SdpOffer::from_sdp_string(&offer).unwrap();
        let answer = rtc.sdp_api().accept_offer(offer).unwrap();
        negotiation.accept_answer(&answer.to_sdp_string()).unwrap();
        assert!(!negotiation.needed());
        let line = negotiation.session().line_of_slot(id - 1).unwrap();
        let media = rtc.media(line.mid.as_str().into()).unwrap();
        assert_eq!(media.direction(), Dir::RecvOnly);
        for negotiated in line.payloads.iter() {
            let known = rtc.codec_config().iter().find(|p| *p.pt() == negotiated.payload_type);
            assert_eq!(known.unwrap().resend().map(|rtx| *rtx), negotiated.rtx);
        }
        negotiation.assign_send(slot(id, MediaKind::Video)).unwrap();
    }
    let received = rtc.direct_api().stream_rx(&1_003.into()).is_some();
    assert!(received, "our SSRC is not known to the participant");
}
