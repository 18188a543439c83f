//! Offers as text, the parts that matter of what a browser writes.

use std::fmt::Write as _;

/// What a peer does with one m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Send,
    Receive,
}

/// What a peer offers: how it is reached and its m-lines.
pub(crate) struct Offer<'a> {
    pub(crate) ufrag: &'a str,
    pub(crate) pwd: &'a str,
    pub(crate) fingerprint: &'a str,
    pub(crate) direction: Direction,
    /// The SSRCs of audio, video and the retransmissions of video.
    pub(crate) ssrcs: [u32; 3],
    /// The payload types of Opus and, where it is taken, of redundant audio (RFC 2198).
    pub(crate) audio: (u8, Option<u8>),
    /// Pairs of an audio and a video line.
    pub(crate) pairs: usize,
}

/// Header extensions by their identifiers in every offer.
pub(crate) const AUDIO_LEVEL: u8 = 1;
pub(crate) const ABS_SEND_TIME: u8 = 2;
pub(crate) const TRANSPORT_SEQUENCE_NUMBER: u8 = 3;
pub(crate) const MID: u8 = 4;
/// Payload types of every offer.
pub(crate) const OPUS: u8 = 111;
pub(crate) const RED: u8 = 63;
pub(crate) const VP8: u8 = 96;

impl Offer<'_> {
    pub(crate) fn text(&self) -> String {
        let mids: Vec<String> = (0..2 * self.pairs).map(|mid| mid.to_string()).collect();
        let mut text = format!(
            "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
             a=group:BUNDLE {}\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n",
            mids.join(" ")
        );
        for mid in &mids {
            let audio = mid.parse::<usize>().is_ok_and(|mid| mid % 2 == 0);
            self.line(&mut text, mid, audio);
        }
        text
    }

    fn line(&self, text: &mut String, mid: &str, audio: bool) {
        let (opus_type, red) = self.audio;
        let types = red.map_or_else(|| opus_type.to_string(), |red| format!("{opus_type} {red}"));
        let types = if audio { types } else { "96 97".to_owned() };
        let kind = if audio { "audio" } else { "video" };
        let direction = if self.direction == Direction::Send { "sendonly" } else { "recvonly" };
        let Offer { ufrag, pwd, fingerprint, .. } = self;
        let _ = write!(
            text,
            "m={kind} 9 UDP/TLS/RTP/SAVPF {types}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=ice-options:trickle\r\n\
             a=fingerprint:{fingerprint}\r\na=setup:actpass\r\na=mid:{mid}\r\n\
             a=extmap:{AUDIO_LEVEL} urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
             a=extmap:{ABS_SEND_TIME} http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
             a=extmap:{TRANSPORT_SEQUENCE_NUMBER} \
             http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
             a=extmap:{MID} urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
             a={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"
        );
        let [opus, vp8, rtx] = self.ssrcs;
        if audio {
            let _ = write!(
                text,
                "a=rtpmap:{opus_type} opus/48000/2\r\na=rtcp-fb:{opus_type} transport-cc\r\n\
                 a=fmtp:{opus_type} minptime=10;useinbandfec=1\r\n"
            );
            if let Some(red) = red {
                let _ =
                    write!(text, "a=rtpmap:{red} red/48000/2\r\na=fmtp:{red} {opus_type}/{opus_type}\r\n");
            }
        } else {
            text.push_str(
                "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 transport-cc\r\n\
                 a=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
                 a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n",
            );
        }
        if self.direction == Direction::Receive {
            return;
        }
        let _ = write!(text, "a=msid:- track{mid}\r\n");
        if audio {
            let _ = write!(text, "a=ssrc:{opus} cname:c\r\n");
        } else {
            let _ = write!(
                text,
                "a=ssrc-group:FID {vp8} {rtx}\r\na=ssrc:{vp8} cname:c\r\na=ssrc:{rtx} cname:c\r\n"
            );
        }
    }
}

/// The value of the first line `a=name:value` of a description.
pub(crate) fn attribute<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
}
