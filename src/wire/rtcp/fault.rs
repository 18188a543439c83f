//! What can be wrong with RTCP, one fault for each field.

use crate::wire::malformed::Malformed;

/// Why bytes are not RTCP, and where in the datagram.
pub type ParseError = Malformed<Fault>;

/// The field that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The datagram ends inside a packet's header of four bytes.
    #[error("the datagram ends inside an RTCP header")]
    Header,
    /// The version is not 2.
    #[error("the RTCP version is not 2")]
    Version,
    /// The packet's length runs past the end of the datagram.
    #[error("an RTCP packet ends after the datagram")]
    Length,
    /// Padding in another packet than the last, or a count of it that does not fit.
    #[error("RTCP padding is misplaced or does not fit")]
    Padding,
    /// More packets than [`limits::RTCP_PER_DATAGRAM`](crate::limits::RTCP_PER_DATAGRAM).
    #[error("too many RTCP packets in a datagram")]
    TooMany,
    /// The first packet is no report where reduced size was not negotiated.
    #[error("the compound does not begin with a report")]
    NoReport,
    /// The packet ends before the SSRC of its sender or of the stream it is about.
    #[error("an RTCP packet ends before its SSRC")]
    Ssrc,
    /// A sender report ends inside what it tells of its own stream.
    #[error("a sender report ends inside its sender information")]
    SenderInfo,
    /// A report has fewer blocks than it counts.
    #[error("a report ends inside a report block")]
    ReportBlock,
    /// A source description has fewer chunks than it counts.
    #[error("a source description ends before its last source")]
    DescriptionSource,
    /// An item runs past the end of its source description, or no zero ends its chunk.
    #[error("a source description ends inside an item or a chunk")]
    DescriptionItem,
    /// A source description that is not UTF-8.
    #[error("a source description is not UTF-8")]
    DescriptionText,
    /// A goodbye has fewer sources than it counts.
    #[error("a goodbye ends before its last source")]
    ByeSource,
    /// A goodbye's reason runs past its end.
    #[error("a goodbye ends inside its reason")]
    ByeReason,
    /// An application's packet ends before its name.
    #[error("an application's packet ends before its name")]
    ApplicationName,
    /// An application's data is not a multiple of 32 bits.
    #[error("an application's data is not a multiple of 32 bits")]
    ApplicationData,
    /// A block of an extended report runs past its end.
    #[error("an extended report ends inside a block")]
    ExtendedBlock,
    /// A receiver reference time of another length than eight bytes.
    #[error("a receiver reference time is not 64 bits long")]
    ReferenceTime,
    /// Delays since receiver reports that are no multiple of twelve bytes.
    #[error("a delay since the last receiver report is cut")]
    ReportDelay,
    /// A NACK without a whole pair of number and mask.
    #[error("a NACK is missing or cut")]
    Nack,
    /// A picture loss indication with content, which RFC 4585, section 6.3.1.2, forbids.
    #[error("a picture loss indication with content")]
    PictureLoss,
    /// A slice loss indication without a whole entry.
    #[error("a slice loss is missing or cut")]
    SliceLoss,
    /// A full intra request without a whole entry.
    #[error("a full intra request is missing or cut")]
    IntraRequest,
    /// A limit of a stream's bit rate (TMMBR, TMMBN) that is cut, or a request without one.
    #[error("a bit rate limit is missing or cut")]
    BitrateLimit,
    /// An estimate of a receiver's bit rate that ends before its rate.
    #[error("a bit rate estimate ends before its rate")]
    EstimateRate,
    /// An estimate of a receiver's bit rate that has fewer streams than it counts.
    #[error("a bit rate estimate ends before its last stream")]
    EstimateStream,
    /// Transport-wide feedback that ends before its numbers and times.
    #[error("transport-wide feedback ends inside its header")]
    TransportHeader,
    /// Transport-wide feedback about no packet.
    #[error("transport-wide feedback is about no packet")]
    TransportCount,
    /// A status chunk that is missing, longer than the count, or has a reserved symbol.
    #[error("a status chunk of transport-wide feedback is missing or contradicts the count")]
    TransportChunk,
    /// Fewer deltas than packets that arrived.
    #[error("transport-wide feedback ends before its last delta")]
    TransportDelta,
    /// Congestion control feedback that ends inside the header of a stream's block.
    #[error("congestion control feedback ends inside a stream's header")]
    CongestionStream,
    /// More packets of a stream than a quarter of the sequence numbers.
    #[error("congestion control feedback is about too many packets of a stream")]
    CongestionCount,
    /// Fewer metrics than a stream's block counts.
    #[error("congestion control feedback ends inside a stream's metrics")]
    CongestionMetric,
    /// Congestion control feedback without its time.
    #[error("congestion control feedback ends before its time")]
    CongestionTime,
}

impl Fault {
    /// Each of them, in the order of their discriminants.
    pub const ALL: [Fault; 34] = [
        Self::Header,
        Self::Version,
        Self::Length,
        Self::Padding,
        Self::TooMany,
        Self::NoReport,
        Self::Ssrc,
        Self::SenderInfo,
        Self::ReportBlock,
        Self::DescriptionSource,
        Self::DescriptionItem,
        Self::DescriptionText,
        Self::ByeSource,
        Self::ByeReason,
        Self::ApplicationName,
        Self::ApplicationData,
        Self::ExtendedBlock,
        Self::ReferenceTime,
        Self::ReportDelay,
        Self::Nack,
        Self::PictureLoss,
        Self::SliceLoss,
        Self::IntraRequest,
        Self::BitrateLimit,
        Self::EstimateRate,
        Self::EstimateStream,
        Self::TransportHeader,
        Self::TransportCount,
        Self::TransportChunk,
        Self::TransportDelta,
        Self::CongestionStream,
        Self::CongestionCount,
        Self::CongestionMetric,
        Self::CongestionTime,
    ];

    /// The fault as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "rtcp.header",
            Self::Version => "rtcp.version",
            Self::Length => "rtcp.length",
            Self::Padding => "rtcp.padding",
            Self::TooMany => "rtcp.too_many",
            Self::NoReport => "rtcp.no_report",
            Self::Ssrc => "rtcp.ssrc",
            Self::SenderInfo => "rtcp.sender_info",
            Self::ReportBlock => "rtcp.report_block",
            Self::DescriptionSource => "rtcp.sdes_source",
            Self::DescriptionItem => "rtcp.sdes_item",
            Self::DescriptionText => "rtcp.sdes_text",
            Self::ByeSource => "rtcp.bye_source",
            Self::ByeReason => "rtcp.bye_reason",
            Self::ApplicationName => "rtcp.app_name",
            Self::ApplicationData => "rtcp.app_data",
            Self::ExtendedBlock => "rtcp.xr_block",
            Self::ReferenceTime => "rtcp.xr_rrtr",
            Self::ReportDelay => "rtcp.xr_dlrr",
            Self::Nack => "rtcp.nack",
            Self::PictureLoss => "rtcp.pli",
            Self::SliceLoss => "rtcp.sli",
            Self::IntraRequest => "rtcp.fir",
            Self::BitrateLimit => "rtcp.tmmbr",
            Self::EstimateRate => "rtcp.remb_rate",
            Self::EstimateStream => "rtcp.remb_stream",
            Self::TransportHeader => "rtcp.twcc_header",
            Self::TransportCount => "rtcp.twcc_count",
            Self::TransportChunk => "rtcp.twcc_chunk",
            Self::TransportDelta => "rtcp.twcc_delta",
            Self::CongestionStream => "rtcp.ccfb_stream",
            Self::CongestionCount => "rtcp.ccfb_count",
            Self::CongestionMetric => "rtcp.ccfb_metric",
            Self::CongestionTime => "rtcp.ccfb_time",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_own_name_and_place() {
        for (at, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at);
            assert_eq!(Fault::ALL.iter().filter(|other| other.name() == fault.name()).count(), 1);
        }
    }
}
