//! The body of a PATCH, `application/trickle-ice-sdpfrag` (RFC 8840, section 9): ICE credentials and
//! candidates without the rest of a description.

use estafette::sdp::Candidate;
use estafette::{ice, limits};
use std::fmt::Write as _;

/// What a client's fragment says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The credentials it speaks of; those of all sections are the same, as there is one transport.
    pub credentials: Option<ice::Credentials>,
    /// Its candidates with an address and a known transport, at most [`limits::CANDIDATES`]. Others are
    /// silently discarded (RFC 9725, section 4.3.2).
    pub candidates: Vec<Candidate>,
}

/// The text is no fragment.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl Fragment {
    /// Reads a fragment. Attributes that say nothing of ICE are left out.
    pub fn parse(text: &str) -> Result<Fragment, Malformed> {
        let mut fragment = Fragment::default();
        let (mut ufrag, mut pwd) = (None, None);
        let mut lines = text.lines().filter(|line| !line.is_empty()).peekable();
        lines.peek().ok_or(Malformed)?;
        for line in lines {
            match line.split_once('=') {
                Some(("a", attribute)) => {
                    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
                    match name {
                        "ice-ufrag" => once(&mut ufrag, value)?,
                        "ice-pwd" => once(&mut pwd, value)?,
                        "candidate" if fragment.candidates.len() < limits::CANDIDATES => {
                            fragment.candidates.extend(Candidate::parse(value));
                        }
                        _ => {}
                    }
                }
                // Names the section; its media is not negotiated here.
                Some(("m", _)) => {}
                _ => return Err(Malformed),
            }
        }
        fragment.credentials = match (ufrag, pwd) {
            (None, None) => None,
            (Some(ufrag), Some(pwd)) => Some(ice::Credentials::new(ufrag, pwd).map_err(|_| Malformed)?),
            _ => return Err(Malformed),
        };
        Ok(fragment)
    }
}

/// Keeps a value; each later one has to be the same.
fn once<'t>(slot: &mut Option<&'t str>, value: &'t str) -> Result<(), Malformed> {
    if slot.is_some_and(|known| known != value) {
        return Err(Malformed);
    }
    *slot = Some(value);
    Ok(())
}

/// Our side of a restart: the new credentials, and the candidates, which stay. `section` is what kind of
/// agent we are, and the `m=` line with its mid.
pub fn write(credentials: &ice::Credentials, section: &str, candidates: &[Candidate]) -> String {
    let mut text = String::from(section);
    let (ufrag, pwd) = (credentials.ufrag(), credentials.pwd());
    // Writing to a string cannot fail.
    let _ = write!(text, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n");
    for candidate in candidates {
        let _ = write!(text, "a=candidate:{candidate}\r\n");
    }
    text.push_str("a=end-of-candidates\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRICKLE: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        m=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw\r\n\
        a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0\r\n\
        a=candidate:1 1 udp 2122260223 8f6e.local 61764 typ host\r\n\
        a=end-of-candidates\r\n";

    #[test]
    fn rfc_9725_4_3_2_the_example_is_read() {
        let fragment = Fragment::parse(TRICKLE).expect("fragment");
        assert_eq!(fragment.credentials.map(|c| c.ufrag().to_owned()), Some("EsAw".to_owned()));
        assert_eq!(fragment.candidates.len(), 2, "names are not resolved");
        assert_eq!(fragment.candidates[0].address, "192.0.2.1:61764".parse().unwrap());
        let bare_newlines = Fragment::parse(&TRICKLE.replace('\r', "")).expect("fragment");
        assert_eq!(bare_newlines.candidates.len(), 2);
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        for text in [
            "",
            "\r\n",
            "hello",
            "v=0\r\n",
            "a=ice-ufrag:EsAw\r\n",
            "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
            "a=ice-ufrag:EsAw\r\na=ice-pwd:short\r\n",
            "a=ice-ufrag:E:Aw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
            "a=ice-ufrag:EsAw\r\na=ice-ufrag:Other\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
        ] {
            assert_eq!(Fragment::parse(text), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn candidates_are_bounded() {
        let line = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
        let fragment = Fragment::parse(&line.repeat(limits::CANDIDATES + 9)).expect("fragment");
        assert_eq!(fragment.candidates.len(), limits::CANDIDATES);
    }

    #[test]
    fn what_is_written_is_read() {
        let credentials = ice::Credentials::new("0001abcd", "abcdefghijklmnopqrstuvwx").unwrap();
        let candidate = Candidate::parse("1 1 udp 2130706431 192.0.2.1 4000 typ host").unwrap();
        let section = "a=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
        let text = write(&credentials, section, std::slice::from_ref(&candidate));
        let fragment = Fragment { credentials: Some(credentials), candidates: vec![candidate] };
        assert_eq!(Fragment::parse(&text), Ok(fragment));
    }
}
