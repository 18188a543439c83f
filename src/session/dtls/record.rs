//! Records and their clear headers, before the engine sees them (RFC 6347, section 4.1; RFC 9147,
//! section 4).
//!
//! The engine drops what it cannot use without a word, and a few things it takes too seriously.
//! Here a datagram is cut into runs of records that may pass and fragments that must be put
//! together first; everything else has a reason.

use super::config::Version;
use super::outcome::Drop;
use crate::base::limits;

/// The engine refuses a datagram of more records than this; longer ones reach it in parts.
const RECORDS_PER_RUN: usize = 8;

/// What the association knows when a datagram comes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    /// The version spoken, once settled.
    pub(super) version: Option<Version>,
    /// The handshake has finished.
    pub(super) established: bool,
}

/// A record that may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: Drop,
    /// A fatal alert in clear, during the handshake: its description.
    pub(super) alert: Option<u8>,
}

impl From<Drop> for Refused {
    fn from(reason: Drop) -> Self {
        Refused { reason, alert: None }
    }
}

/// A part of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run<'a> {
    /// Records that may pass as they are.
    Records(&'a [u8]),
    /// One clear handshake record in which a message is not whole.
    Fragments(&'a [u8]),
    /// One record that may not pass.
    Refused(Refused),
}

/// The parts of a datagram in order.
pub(super) struct Runs<'a> {
    rest: &'a [u8],
    stage: Stage,
}

impl<'a> Runs<'a> {
    pub(super) fn new(datagram: &'a [u8], stage: Stage) -> Self {
        Runs { rest: datagram, stage }
    }
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let whole = self.rest;
        for records in 0..RECORDS_PER_RUN {
            if self.rest.is_empty() {
                break;
            }
            let (verdict, after) = match Record::split(self.rest) {
                Ok((record, after)) => (record.admit(self.stage), after),
                // Where the next record starts is unknown too.
                Err(reason) => (Err(reason.into()), &[][..]),
            };
            if verdict != Ok(Passage::Free) && records > 0 {
                // Ends the run before it; the next call meets it again, as its first.
                break;
            }
            self.rest = after;
            match verdict {
                Ok(Passage::Free) => {}
                Ok(Passage::InParts) => return Some(Run::Fragments(taken(whole, after))),
                Err(refused) => return Some(Run::Refused(refused)),
            }
        }
        let records = taken(whole, self.rest);
        (!records.is_empty()).then_some(Run::Records(records))
    }
}

/// What of `whole` comes before its tail `rest`.
fn taken<'a>(whole: &'a [u8], rest: &[u8]) -> &'a [u8] {
    whole.get(..whole.len().saturating_sub(rest.len())).unwrap_or(whole)
}

/// How an admitted record goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    Free,
    /// Handshake messages must be put together first.
    InParts,
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const ACK: u8 = 26;

enum Record<'a> {
    /// The header of 1.2, and of 1.3 before keys exist.
    Long { kind: u8, version: [u8; 2], epoch: u16, body: &'a [u8] },
    /// The unified header of 1.3; all of it is protected.
    Short,
}

impl<'a> Record<'a> {
    /// The record at the start of `bytes` and what follows it.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Drop> {
        match *bytes {
            [kind @ 20..=31, major, minor, high, low, _, _, _, _, _, _, len0, len1, ref rest @ ..] => {
                let len = usize::from(u16::from_be_bytes([len0, len1]));
                let (body, after) = rest.split_at_checked(len).ok_or(Drop::Truncated)?;
                let epoch = u16::from_be_bytes([high, low]);
                Ok((Record::Long { kind, version: [major, minor], epoch, body }, after))
            }
            [20..=31, ..] => Err(Drop::Truncated),
            [flags @ 32..=63, ref rest @ ..] => Record::split_short(flags, rest),
            _ => Err(Drop::ContentType),
        }
    }

    /// RFC 9147, section 4, figure 3: `001CSLEE`.
    fn split_short(flags: u8, rest: &'a [u8]) -> Result<(Self, &'a [u8]), Drop> {
        const CONNECTION_ID: u8 = 0x10;
        const LONG_NUMBER: u8 = 0x08;
        const LENGTH: u8 = 0x04;
        if flags & CONNECTION_ID != 0 {
            return Err(Drop::ConnectionId);
        }
        let number_len = if flags & LONG_NUMBER != 0 { 2 } else { 1 };
        let (_, rest) = rest.split_at_checked(number_len).ok_or(Drop::Truncated)?;
        if flags & LENGTH == 0 {
            return Ok((Record::Short, &[]));
        }
        let (len, rest) = rest.split_first_chunk().ok_or(Drop::Truncated)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (_, after) = rest.split_at_checked(len).ok_or(Drop::Truncated)?;
        Ok((Record::Short, after))
    }

    fn admit(&self, stage: Stage) -> Result<Passage, Refused> {
        let Record::Long { kind, version, epoch, body } = *self else {
            return match stage.version {
                Some(Version::V12) => Err(Drop::ContentType.into()),
                _ => Ok(Passage::Free),
            };
        };
        if !matches!(version, [0xfe, 0xff | 0xfd]) {
            return Err(Drop::Version.into());
        }
        let known = match kind {
            CHANGE_CIPHER_SPEC..=APPLICATION_DATA => true,
            ACK => stage.version != Some(Version::V12),
            _ => false,
        };
        if !known {
            return Err(Drop::ContentType.into());
        }
        match epoch {
            0 => admit_clear(kind, body, stage),
            1 if kind != CHANGE_CIPHER_SPEC && stage.version != Some(Version::V13) => Ok(Passage::Free),
            _ => Err(Drop::Epoch.into()),
        }
    }
}

fn admit_clear(kind: u8, body: &[u8], stage: Stage) -> Result<Passage, Refused> {
    match (kind, body) {
        (_, []) => Err(Drop::EmptyRecord.into()),
        (APPLICATION_DATA, _) => Err(Drop::ClearData.into()),
        (ALERT, _) => {
            const FATAL: u8 = 2;
            let alert = match *body {
                [FATAL, description, ..] if !stage.established => Some(description),
                _ => None,
            };
            Err(Refused { reason: Drop::ClearAlert, alert })
        }
        (HANDSHAKE, _) => match (admit_fragments(body)?, stage) {
            // All that may still be repeated of a handshake is protected under 1.3, or small.
            (_, Stage { established: true, version: Some(Version::V13) })
            | (Passage::InParts, Stage { established: true, .. }) => Err(Drop::ClearHandshake.into()),
            (passage, _) => Ok(passage),
        },
        _ => Ok(Passage::Free),
    }
}

/// Every handshake fragment of a clear record: inside its message, inside the record, within the
/// limits (RFC 6347, section 4.2.2).
fn admit_fragments(body: &[u8]) -> Result<Passage, Drop> {
    let mut passage = Passage::Free;
    for fragment in fragments(body) {
        let Fragment { number, total, offset, body, .. } = fragment.ok_or(Drop::Fragment)?;
        let inside = offset.saturating_add(body.len()) <= total;
        let progress = !body.is_empty() || total == 0;
        if !inside || !progress || total > limits::DTLS_MESSAGE || number > limits::DTLS_MESSAGE_NUMBER {
            return Err(Drop::Fragment);
        }
        if body.len() < total {
            passage = Passage::InParts;
        }
    }
    Ok(passage)
}

/// A piece of a handshake message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    /// The message's type.
    pub(super) kind: u8,
    /// The message's place in the handshake.
    pub(super) number: u16,
    /// Bytes of the whole message, below 2^24.
    pub(super) total: usize,
    /// Where this piece starts, below 2^24.
    pub(super) offset: usize,
    /// The piece.
    pub(super) body: &'a [u8],
}

/// The fragments in a handshake record's body; a `None` in the end if one runs past it.
pub(super) fn fragments(mut body: &[u8]) -> impl Iterator<Item = Option<Fragment<'_>>> {
    std::iter::from_fn(move || {
        if body.is_empty() {
            return None;
        }
        let fragment = split_fragment(body);
        body = fragment.map_or(&[], |(_, after)| after);
        Some(fragment.map(|(fragment, _)| fragment))
    })
}

fn split_fragment(bytes: &[u8]) -> Option<(Fragment<'_>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<12>()?;
    let [kind, t0, t1, t2, n0, n1, o0, o1, o2, l0, l1, l2] = *header;
    let number24 = |high, middle, low| u32::from_be_bytes([0, high, middle, low]) as usize;
    let (body, after) = rest.split_at_checked(number24(l0, l1, l2))?;
    let (number, total) = (u16::from_be_bytes([n0, n1]), number24(t0, t1, t2));
    Some((Fragment { kind, number, total, offset: number24(o0, o1, o2), body }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDSHAKING: Stage = Stage { version: Some(Version::V12), established: false };

    fn long(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xfe, 0xfd];
        record.extend(epoch.to_be_bytes());
        record.extend([0; 6]);
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    }

    fn fragment(total: u32, number: u16, offset: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend(&total.to_be_bytes()[1..]);
        bytes.extend(number.to_be_bytes());
        bytes.extend(&offset.to_be_bytes()[1..]);
        bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
        bytes.extend(body);
        long(HANDSHAKE, 0, &bytes)
    }

    fn reason(datagram: &[u8], stage: Stage) -> Option<Drop> {
        Runs::new(datagram, stage).find_map(|run| match run {
            Run::Refused(refused) => Some(refused.reason),
            _ => None,
        })
    }

    /// The admitted part in pieces, whole and fragmented.
    fn passed(datagram: &[u8], stage: Stage) -> Vec<&[u8]> {
        let admitted = |run| match run {
            Run::Records(bytes) | Run::Fragments(bytes) => Some(bytes),
            Run::Refused(_) => None,
        };
        Runs::new(datagram, stage).filter_map(admitted).collect()
    }

    #[test]
    fn s_dtls_06_bad_records_are_refused_by_reason() {
        let v13 = Stage { version: Some(Version::V13), established: true };
        let open = Stage { version: None, established: false };
        let mut old = long(HANDSHAKE, 0, &[0; 12]);
        old[2] = 0xfc;
        let cases: [(Vec<u8>, Stage, Option<Drop>); 17] = [
            (vec![0x80, 0, 0], open, Some(Drop::ContentType)),
            (vec![19; 20], open, Some(Drop::ContentType)),
            (long(24, 0, &[1]), open, Some(Drop::ContentType)),
            (long(ACK, 0, &[0, 0]), HANDSHAKING, Some(Drop::ContentType)),
            (long(ACK, 0, &[0, 0]), v13, None),
            (old, open, Some(Drop::Version)),
            (long(APPLICATION_DATA, 0, b"clear"), open, Some(Drop::ClearData)),
            (long(HANDSHAKE, 0, &[]), open, Some(Drop::EmptyRecord)),
            (long(APPLICATION_DATA, 2, &[0; 40]), open, Some(Drop::Epoch)),
            (long(APPLICATION_DATA, 1, &[0; 40]), v13, Some(Drop::Epoch)),
            (long(CHANGE_CIPHER_SPEC, 1, &[1]), HANDSHAKING, Some(Drop::Epoch)),
            (long(APPLICATION_DATA, 1, &[0; 40]), HANDSHAKING, None),
            (vec![0x2c, 0, 0, 0, 2, 9, 9], HANDSHAKING, Some(Drop::ContentType)),
            (vec![0x2c, 0, 0, 0, 2, 9, 9], v13, None),
            (vec![0x2c, 0, 0, 0, 3, 9, 9], v13, Some(Drop::Truncated)),
            (vec![0x28], v13, Some(Drop::Truncated)),
            (vec![0x30, 0, 0], v13, Some(Drop::ConnectionId)),
        ];
        for (datagram, stage, expected) in cases {
            assert_eq!(reason(&datagram, stage), expected, "{datagram:x?}");
        }
        let good = long(HANDSHAKE, 1, &[0; 40]);
        for len in 1..good.len() {
            assert_eq!(reason(&good[..len], open), Some(Drop::Truncated));
        }
    }

    #[test]
    fn s_dtls_06_the_good_records_around_a_bad_one_pass() {
        let (a, b) = (long(HANDSHAKE, 1, &[1; 30]), long(APPLICATION_DATA, 1, &[2; 30]));
        let bad = long(APPLICATION_DATA, 0, b"clear");
        let datagram = [&a[..], &bad, &bad, &b].concat();
        assert_eq!(passed(&datagram, HANDSHAKING), [&a[..], &b]);
        assert_eq!(Runs::new(&datagram, HANDSHAKING).count(), 4);
        // Behind a length that lies nothing can be read.
        let cut = [&a[..], &b[..b.len() - 1]].concat();
        assert_eq!(passed(&cut, HANDSHAKING), [&a[..]]);
    }

    #[test]
    fn s_dtls_06_many_records_come_in_runs_of_eight() {
        let datagram = long(APPLICATION_DATA, 1, &[2; 30]).repeat(20);
        let runs: Vec<_> = passed(&datagram, HANDSHAKING).iter().map(|run| run.len()).collect();
        assert_eq!(runs, [8 * 43, 8 * 43, 4 * 43]);
        assert_eq!(Runs::new(&[], HANDSHAKING).count(), 0);
    }

    #[test]
    fn s_dtls_03_fragments_stay_inside_their_message_and_the_limits() {
        let huge = limits::DTLS_MESSAGE as u32;
        let high = limits::DTLS_MESSAGE_NUMBER;
        let cases = [
            (fragment(10, 0, 0, &[0; 10]), None),
            (fragment(10, 0, 9, &[0; 1]), None),
            (fragment(0, 0, 0, &[]), None),
            (fragment(huge, 0, 0, &[0; 10]), None),
            (fragment(10, high, 0, &[0; 10]), None),
            (fragment(10, 0, 9, &[0; 2]), Some(Drop::Fragment)),
            (fragment(10, 0, 0xff_ffff, &[0; 10]), Some(Drop::Fragment)),
            (fragment(10, 0, 0, &[]), Some(Drop::Fragment)),
            (fragment(huge + 1, 0, 0, &[0; 10]), Some(Drop::Fragment)),
            (fragment(0xff_ffff, 0, 0, &[0; 10]), Some(Drop::Fragment)),
            (fragment(10, high + 1, 0, &[0; 10]), Some(Drop::Fragment)),
            (long(HANDSHAKE, 0, &[0; 11]), Some(Drop::Fragment)),
        ];
        for (datagram, expected) in cases {
            assert_eq!(reason(&datagram, HANDSHAKING), expected, "{datagram:x?}");
        }
    }

    #[test]
    fn s_dtls_03_messages_in_parts_are_set_apart() {
        let (whole, part) = (fragment(10, 0, 0, &[0; 10]), fragment(20, 1, 5, &[7; 10]));
        let datagram = [&whole[..], &part, &whole].concat();
        let runs: Vec<_> = Runs::new(&datagram, HANDSHAKING).collect();
        assert_eq!(runs, [Run::Records(&whole), Run::Fragments(&part), Run::Records(&whole)]);
        let [Some(piece)] = fragments(&part[13..]).collect::<Vec<_>>()[..] else { panic!("one piece") };
        assert_eq!((piece.kind, piece.number, piece.total, piece.offset), (1, 1, 20, 5));
        assert_eq!(piece.body, [7; 10]);
    }

    #[test]
    fn s_dtls_02_late_clear_handshake_records_pass_only_where_they_can_matter() {
        let (whole, part) = (fragment(10, 0, 0, &[0; 10]), fragment(20, 1, 5, &[7; 10]));
        let late = |version| Stage { version: Some(version), established: true };
        assert_eq!(reason(&whole, late(Version::V12)), None);
        assert_eq!(reason(&part, late(Version::V12)), Some(Drop::ClearHandshake));
        assert_eq!(reason(&whole, late(Version::V13)), Some(Drop::ClearHandshake));
    }

    #[test]
    fn s_dtls_08_only_a_fatal_alert_of_the_handshake_is_noted() {
        let refused = |body: &[u8], established| {
            let stage = Stage { version: None, established };
            let Some(Run::Refused(refused)) = Runs::new(&long(ALERT, 0, body), stage).next() else {
                panic!("an alert passed")
            };
            refused
        };
        let dropped = |alert| Refused { reason: Drop::ClearAlert, alert };
        assert_eq!(refused(&[2, 40], false), dropped(Some(40)));
        assert_eq!(refused(&[1, 0], false), dropped(None));
        assert_eq!(refused(&[2], false), dropped(None));
        assert_eq!(refused(&[2, 40], true), dropped(None));
    }

    proptest::proptest! {
        #[test]
        fn i_01_any_bytes_end_and_only_whole_records_pass(
            datagram in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
            first in 20u8..64,
            v13: bool,
        ) {
            let mut datagram = datagram;
            if let Some(byte) = datagram.first_mut() { *byte = first; }
            let stage = Stage { version: v13.then_some(Version::V13), established: v13 };
            let taken: usize = passed(&datagram, stage).iter().map(|run| run.len()).sum();
            proptest::prop_assert!(taken <= datagram.len());
            proptest::prop_assert!(datagram.is_empty() || Runs::new(&datagram, stage).count() > 0);
        }
    }
}
