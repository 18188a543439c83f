//! How a publisher's packets are read: tables that its session gives, and what they make of a header.

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::drops::DropReason;
use crate::conference::negotiation::{CodecId, CodecSet, Payload};
use crate::conference::receiving::{ArrivedPacket, departure};
use crate::congestion::receiver::Departure;
use crate::forwarding::history::{Committed, Place};
use crate::session::srtp;
use crate::wire::mux::Ecn;
use crate::wire::payload::Resolution;
use crate::wire::payload::allocation::Allocation;
use crate::wire::payload::dependency;
use crate::wire::rtp::{self, AbsSendTime, ExtensionKind, PayloadType, SeqNo, Ssrc};
use smallvec::SmallVec;

/// Bytes of a packet's extensions that are passed on: what the ten kinds take, a colour space of 28 bytes and a
/// dependency descriptor with its structure included.
const PASSED_ON: usize = 255;

/// No payload type, no extension.
const NONE: u8 = 0xff;
/// Set in a payload type's entry that stands for retransmissions.
const RTX: u8 = 0x80;

/// What an encoding goes by.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct EncodingName {
    pub(super) rid: Option<Box<str>>,
    /// Signalled SSRCs, of its media and of its retransmissions.
    pub(super) ssrc: Option<Ssrc>,
    pub(super) rtx: Option<Ssrc>,
}

impl EncodingName {
    /// Whether streams are told by it: simulcast by rid.
    pub(super) fn is_distinct(&self) -> bool {
        self.rid.is_some()
    }
}

/// How a publisher's packets are read: small tables derived from its session once.
#[derive(Debug, Clone)]
pub(super) struct Ingress {
    payloads: Box<[u8; 128]>,
    /// Extension kinds by id; ids above 14 are not negotiated.
    kinds: [u8; 15],
    ids: [u8; ExtensionKind::COUNT],
    /// The payload types of media by codec.
    types: [u8; limits::CODECS],
    clock_rates: [u32; limits::CODECS],
    /// The encodings, in the order that was negotiated; one without simulcast.
    pub(super) names: SmallVec<[EncodingName; 1]>,
    pub(super) nack: bool,
    pub(super) pli: bool,
    pub(super) fir: bool,
}

impl Ingress {
    /// A table without any payload type.
    pub(super) fn new(clock_rates: [u32; limits::CODECS], names: SmallVec<[EncodingName; 1]>) -> Self {
        Ingress {
            payloads: Box::new([NONE; 128]),
            kinds: [NONE; 15],
            ids: [0; ExtensionKind::COUNT],
            types: [NONE; limits::CODECS],
            clock_rates,
            names,
            nack: false,
            pli: false,
            fir: false,
        }
    }

    pub(super) fn set_payload(&mut self, payload_type: u8, payload: Payload) {
        let entry = match payload {
            Payload::Media(codec) => {
                if let Some(slot) = self.types.get_mut(usize::from(codec.0)) {
                    *slot = payload_type;
                }
                codec.0
            }
            Payload::Rtx(codec) => codec.0 | RTX,
        };
        if let Some(slot) = self.payloads.get_mut(usize::from(payload_type)) {
            *slot = entry;
        }
    }

    pub(super) fn set_extension(&mut self, id: u8, kind: ExtensionKind) {
        if let Some(slot) = self.kinds.get_mut(usize::from(id)) {
            // There are far fewer than 255 kinds.
            *slot = kind.index() as u8;
            if let Some(slot) = self.ids.get_mut(kind.index()) {
                *slot = id;
            }
        }
    }

    fn entry(&self, payload_type: PayloadType) -> u8 {
        self.payloads.get(usize::from(payload_type.get())).copied().unwrap_or(NONE)
    }

    pub(super) fn payload(&self, payload_type: PayloadType) -> Option<Payload> {
        match self.entry(payload_type) {
            NONE => None,
            entry if entry & RTX != 0 => Some(Payload::Rtx(CodecId(entry & !RTX))),
            entry => Some(Payload::Media(CodecId(entry))),
        }
    }

    /// The codec of a media packet, as an index into the engine's list.
    #[inline]
    pub(super) fn codec(&self, payload_type: PayloadType) -> Option<u8> {
        Some(self.entry(payload_type)).filter(|entry| entry & RTX == 0)
    }

    /// The payload type of a codec's media.
    pub(super) fn payload_type(&self, codec: u8) -> Option<PayloadType> {
        self.types.get(usize::from(codec)).and_then(|number| PayloadType::new(*number))
    }

    /// The codec that a retransmission's payload type repairs.
    pub(super) fn repaired_codec(&self, payload_type: PayloadType) -> Option<u8> {
        Some(self.entry(payload_type))
            .filter(|entry| *entry != NONE && entry & RTX != 0)
            .map(|entry| entry & !RTX)
    }

    /// The codecs that media may come in.
    pub(super) fn codecs(&self) -> CodecSet {
        let media = self.payloads.iter().filter(|entry| **entry != NONE && **entry & RTX == 0);
        media.fold(CodecSet::NONE, |codecs, entry| codecs.with(CodecId(*entry)))
    }

    #[inline]
    pub(super) fn kind_of(&self, id: u8) -> Option<ExtensionKind> {
        let kind = self.kinds.get(usize::from(id)).copied().filter(|kind| *kind != NONE)?;
        ExtensionKind::ALL.get(usize::from(kind)).copied()
    }

    pub(super) fn id_of(&self, kind: ExtensionKind) -> Option<u8> {
        self.ids.get(kind.index()).copied().filter(|id| *id != 0)
    }

    pub(super) fn clock_rate(&self, payload_type: PayloadType) -> Option<u32> {
        let codec = usize::from(self.codec(payload_type)?);
        self.clock_rates.get(codec).copied().filter(|rate| *rate > 0)
    }

    /// The encoding that an SSRC was signalled for, as its media or its retransmissions.
    pub(super) fn signalled(&self, ssrc: Ssrc) -> Option<u8> {
        let named = (0..).zip(&self.names).find(|(_, name)| [name.ssrc, name.rtx].contains(&Some(ssrc)));
        named.map(|(encoding, _)| encoding)
    }

    /// The rid that a packet names, of its own encoding or of the one it repairs (RFC 8852).
    pub(super) fn rid_of<'p>(&self, packet: &rtp::Packet<'p>) -> Option<&'p [u8]> {
        let value = |kind| packet.extension(self.id_of(kind)?);
        value(ExtensionKind::Rid).or_else(|| value(ExtensionKind::RepairedRid))
    }

    /// Whether an encoding goes by this rid; one without a rid goes by any.
    pub(super) fn is_rid(&self, encoding: u8, rid: &[u8]) -> bool {
        let name = self.names.get(usize::from(encoding)).and_then(|name| name.rid.as_ref());
        name.is_none_or(|name| name.as_bytes() == rid)
    }

    /// The encoding that a packet belongs to: by its rid, by an SSRC that was signalled, or because there is
    /// no other (RFC 8853, section 5.3).
    pub(super) fn encoding_of(&self, packet: &rtp::Packet<'_>) -> Option<u8> {
        let by_rid = |rid: &[u8]| {
            (0..)
                .zip(&self.names)
                .find(|(_, name)| name.rid.as_ref().is_some_and(|name| name.as_bytes() == rid))
        };
        let simulcast = self.names.len() > 1;
        match self.rid_of(packet).filter(|_| simulcast) {
            // A rid that was not negotiated is nobody's (S-SIM-01).
            Some(rid) if self.names.iter().any(|name| name.rid.is_some()) => by_rid(rid).map(|(at, _)| at),
            _ => self.signalled(packet.ssrc()).or((!simulcast).then_some(0)),
        }
    }

    /// Reads the extensions once: what is passed on is written to `place` as (kind, length, bytes), the
    /// rest that matters is returned. Extensions that were not negotiated are invisible (S-RTP-03).
    ///
    /// Of a kind that comes again only the first value that can be is passed on. So there are at most ten, which take
    /// a byte more here than in the packet each: `place` needs no more room than the header has.
    pub(super) fn note(&self, packet: &rtp::Packet<'_>, mid: &str, encoding: u8, place: &mut [u8]) -> Noted {
        let (mut noted, mut written) = (Noted::default(), 0u32);
        for (id, value) in packet.extensions() {
            match self.kind_of(id) {
                Some(ExtensionKind::TransportSequenceNumber) => {
                    noted.transport_seq = rtp::transport_sequence_number(value).map(|seq| seq.0);
                }
                Some(ExtensionKind::AbsSendTime) => noted.send_time = AbsSendTime::parse(value),
                Some(ExtensionKind::Mid) => noted.moved |= value != mid.as_bytes(),
                Some(ExtensionKind::Rid) => noted.moved |= !self.is_rid(encoding, value),
                Some(ExtensionKind::VideoLayersAllocation) => noted.sizes = sizes_of(value),
                // What no receiver could make sense of is not passed on (S-DESC-04).
                Some(kind) if kind.forwarded() && is_credible(kind, value) => {
                    // There are fewer than 32 kinds.
                    let bit = 1u32 << kind.index();
                    if written & bit != 0 {
                        continue;
                    }
                    let at = noted.extensions_len;
                    let end = at + 2 + value.len();
                    let Some(element) = place.get_mut(at..end).filter(|_| end <= PASSED_ON) else {
                        continue;
                    };
                    element[0] = kind.index() as u8;
                    element[1] = value.len() as u8;
                    element[2..].copy_from_slice(value);
                    written |= bit;
                    noted.extensions_len = end;
                }
                _ => {}
            }
        }
        noted
    }

    /// Makes of the whole plain packet in `place` what a history keeps: the extensions that are passed
    /// on end where the payload begins.
    pub(super) fn settle(
        &self,
        now: Instant,
        opened: srtp::Opened,
        codec: u8,
        (mid, encoding): (&str, u8),
        place: &mut [u8],
    ) -> Result<(Committed, Noted), Unsettled> {
        let packet = rtp::Packet::parse(place.get(..opened.len).unwrap_or_default())
            .map_err(|error| DropReason::Rtp(error.fault))?;
        let (mut passed, header_len) = ([0; PASSED_ON], packet.header_len());
        let noted = self.note(
            &packet,
            mid,
            encoding,
            passed.get_mut(..header_len.min(PASSED_ON)).unwrap_or_default(),
        );
        if noted.moved {
            return Err(Unsettled::Moved);
        }
        let mut kept =
            noted.committed(now, &packet, opened.seq, codec, payload_len(&packet, packet.payload())?);
        let start = header_len - noted.extensions_len;
        if let Some(extensions) = place.get_mut(start..header_len) {
            extensions.copy_from_slice(passed.get(..noted.extensions_len).unwrap_or_default());
        }
        // A datagram is far below 65,536 bytes.
        kept.skipped = start as u16;
        Ok((kept, noted))
    }
}

/// What was read of an RTP header before its packet was authenticated; used only afterwards.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Noted {
    /// Bytes of extensions that are passed on, written in front of the payload.
    pub(super) extensions_len: usize,
    pub(super) transport_seq: Option<u16>,
    pub(super) send_time: Option<AbsSendTime>,
    /// The packet names another m-line than that of its stream, or another encoding.
    pub(super) moved: bool,
    /// The sizes of its stream's spatial layers, if it tells them.
    pub(super) sizes: [Option<Resolution>; 4],
}

impl Noted {
    /// The packet as its way here shows in it.
    pub(super) fn arrived(
        &self,
        packet: &rtp::Packet<'_>,
        clock_rate: u32,
        (len, ecn): (usize, Ecn),
    ) -> ArrivedPacket {
        let by_timestamp =
            || Departure { clock: packet.ssrc().0, ticks: packet.timestamp().0, rate: clock_rate };
        ArrivedPacket {
            ssrc: packet.ssrc(),
            seq: packet.sequence_number(),
            ecn,
            len,
            number: self.transport_seq,
            departure: Some(self.send_time.map_or_else(by_timestamp, departure)),
        }
    }

    /// What the history is told of the packet behind these extensions.
    pub(super) fn committed(
        &self,
        now: Instant,
        packet: &rtp::Packet<'_>,
        seq: SeqNo,
        codec: u8,
        payload_len: u16,
    ) -> Committed {
        Committed {
            seq,
            arrival: now,
            timestamp: packet.timestamp().0,
            skipped: 0,
            // By `note`.
            extensions_len: self.extensions_len as u8,
            payload_len,
            codec,
            place: Place::default(),
            marker: packet.marker(),
        }
    }
}

/// Why a packet that was opened whole in a history is not kept there.
pub(super) enum Unsettled {
    Dropped(DropReason),
    /// It names another m-line than that of its stream.
    Moved,
}

impl From<DropReason> for Unsettled {
    fn from(reason: DropReason) -> Self {
        Unsettled::Dropped(reason)
    }
}

/// Whether a value is of its form and says what can be: others are not passed on (S-DESC-04).
fn is_credible(kind: ExtensionKind, value: &[u8]) -> bool {
    match kind {
        // Most have no structure, and the rest of one says nothing without it.
        ExtensionKind::DependencyDescriptor => dependency::Descriptor::parse(value)
            .is_ok_and(|descriptor| !descriptor.has_structure() || descriptor.structure().is_ok()),
        kind => kind.is_valid(value),
    }
}

/// The sizes that a layers allocation tells of the stream it comes with. Its bit rates are not believed.
#[cold]
fn sizes_of(value: &[u8]) -> [Option<Resolution>; 4] {
    let mut sizes = [None; 4];
    if let Ok(allocation) = Allocation::parse(value) {
        for layer in allocation.layers().filter(|layer| layer.stream == allocation.stream()) {
            if let Some(slot) = sizes.get_mut(usize::from(layer.spatial_id)) {
                *slot = layer.size.map(|(resolution, _)| resolution);
            }
        }
    }
    sizes
}

/// The value of an extension among those that are passed on.
pub(super) fn passed_on(mut extensions: &[u8], wanted: ExtensionKind) -> Option<&[u8]> {
    while let [kind, len, rest @ ..] = extensions {
        let (value, rest) = rest.split_at_checked(usize::from(*len))?;
        if usize::from(*kind) == wanted.index() {
            return Some(value);
        }
        extensions = rest;
    }
    None
}

/// The length of a plain payload without its padding (RFC 3550, section 5.1; S-RTP-02).
pub(super) fn payload_len(packet: &rtp::Packet<'_>, payload: &[u8]) -> Result<u16, DropReason> {
    let padding =
        if packet.has_padding() { rtp::padding_len(payload).map_err(|_| DropReason::Padding)? } else { 0 };
    // A datagram is far below 65,536 bytes.
    Ok((payload.len() - padding) as u16)
}

/// The payload of a plain packet without its padding.
pub(super) fn without_padding<'p>(packet: &rtp::Packet<'p>) -> Result<&'p [u8], DropReason> {
    let payload = packet.payload();
    let len = payload_len(packet, payload)?;
    Ok(payload.get(..usize::from(len)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_desc_04_a_descriptor_that_is_cut_is_not_passed_on() {
        let credible = |value: &[u8]| is_credible(ExtensionKind::DependencyDescriptor, value);
        assert!(credible(&[0xc0, 0, 1, 0]) && credible(&[0x80, 0, 1]));
        assert!(!credible(&[0xc0, 0, 1, 0x80]) && !credible(&[0x80, 0]), "cut");
    }
}
