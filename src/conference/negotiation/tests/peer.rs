//! A JSEP peer of a few lines: it answers as Chromium does.

use super::*;
use crate::wire::sdp::{Extmap, Simulcast};

/// Answers our offer: everything is taken, with the credentials and certificate of the captured
/// Chromium offer; `change` has the last word on each section.
pub(super) fn answer(offer: &str, change: impl Fn(&mut Media)) -> String {
    let mut answer = Description::parse(offer).unwrap();
    let chromium = Description::parse(&capture(CHROMIUM)).unwrap();
    let transport = &chromium.media[0].transport;
    answer.ice_lite = false;
    for media in &mut answer.media {
        if media.rejected() {
            continue;
        }
        media.port = 9;
        media.direction = media.direction.reversed();
        media.transport = transport.clone();
        media.transport.setup = Some(Setup::Active);
        media.msid = None;
        media.streams.clear();
        media.stream_groups.clear();
        for rid in &mut media.rids {
            rid.sends = !rid.sends;
        }
        if let Some(Simulcast { send, receive }) = &mut media.simulcast {
            std::mem::swap(send, receive);
        }
        if media.direction.sends() {
            media.msid = Some(Msid { stream: "c".into(), track: "camera".into() });
        }
        for extmap in &mut media.extmaps {
            *extmap = Extmap { direction: None, ..extmap.clone() };
        }
        change(media);
    }
    let live = answer.media.iter().filter(|media| !media.rejected());
    answer.bundle = live.filter_map(|media| media.mid.clone()).collect();
    answer.write()
}

/// Offers the session again as a browser does that has answered `ours`: the same sections, with
/// its own view of directions; `change` has the last word on the whole.
pub(super) fn offer(ours: &str, change: impl FnOnce(&mut Description)) -> String {
    let mut offer = Description::parse(&answer(ours, |media| {
        media.transport.setup = Some(Setup::ActPass);
        // A transceiver goes on wanting media when we have none.
        media.direction = Direction::new(media.direction.sends(), true);
    }))
    .unwrap();
    change(&mut offer);
    let live = offer.media.iter().filter(|media| !media.rejected());
    offer.bundle = live.filter_map(|media| media.mid.clone()).collect();
    offer.write()
}
