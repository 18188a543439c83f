//! How things end: dropped datagrams, failed handshakes, refused calls.

/// Why a datagram was dropped. Nothing changed because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Drop {
    /// No bytes at all.
    Empty,
    /// Longer than [`limits::DATAGRAM`](crate::limits::DATAGRAM).
    TooLong,
    /// A record's header or body runs past the datagram.
    Truncated,
    /// A record type that neither version has, or that this version has not.
    ContentType,
    /// A record version other than DTLS 1.0 (in first flights) and 1.2.
    Version,
    /// A connection id, which was not negotiated.
    ConnectionId,
    /// An epoch that does not exist or a record type that its epoch forbids.
    Epoch,
    /// A clear record without contents.
    EmptyRecord,
    /// An alert in clear: anybody can forge one.
    ClearAlert,
    /// Application data in clear.
    ClearData,
    /// A handshake message in clear that came too late to matter.
    ClearHandshake,
    /// A handshake fragment past its message's end, without contents, too large or numbered too high.
    Fragment,
    /// A protected record of the handshake failed authentication.
    Authentication,
    /// Out of order beyond what is kept, or not expected before the peer's first answer.
    OutOfOrder,
    /// It was received before, or is older than what is remembered of what was.
    Replayed,
    /// A record of the handshake whose keys are not there yet, beyond what is kept of such.
    Early,
    /// Of no use: it repeats what was read, or acknowledges nothing.
    Ignored,
    /// The data it carried found the event queue full.
    QueueFull,
    /// The association has ended.
    Closed,
}

impl Drop {
    /// Every reason, in the order of the counters.
    pub const ALL: [Drop; 19] = [
        Drop::Empty,
        Drop::TooLong,
        Drop::Truncated,
        Drop::ContentType,
        Drop::Version,
        Drop::ConnectionId,
        Drop::Epoch,
        Drop::EmptyRecord,
        Drop::ClearAlert,
        Drop::ClearData,
        Drop::ClearHandshake,
        Drop::Fragment,
        Drop::Authentication,
        Drop::OutOfOrder,
        Drop::Replayed,
        Drop::Early,
        Drop::Ignored,
        Drop::QueueFull,
        Drop::Closed,
    ];

    /// A stable name for statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Drop::Empty => "dtls.empty",
            Drop::TooLong => "dtls.too_long",
            Drop::Truncated => "dtls.truncated",
            Drop::ContentType => "dtls.content_type",
            Drop::Version => "dtls.version",
            Drop::ConnectionId => "dtls.connection_id",
            Drop::Epoch => "dtls.epoch",
            Drop::EmptyRecord => "dtls.empty_record",
            Drop::ClearAlert => "dtls.clear_alert",
            Drop::ClearData => "dtls.clear_data",
            Drop::ClearHandshake => "dtls.clear_handshake",
            Drop::Fragment => "dtls.fragment",
            Drop::Authentication => "dtls.authentication",
            Drop::OutOfOrder => "dtls.out_of_order",
            Drop::Replayed => "dtls.replayed",
            Drop::Early => "dtls.early",
            Drop::Ignored => "dtls.ignored",
            Drop::QueueFull => "dtls.queue_full",
            Drop::Closed => "dtls.closed",
        }
    }
}

/// Why an association failed. It says and hears nothing afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FailReason {
    /// The peer's certificate is not the one announced.
    #[error("the peer's certificate does not match its fingerprint")]
    Fingerprint,
    /// The peer showed no certificate and had announced none.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// The certificate has a key of an unsupported kind or size, is malformed or too large; or
    /// the peer announced one and showed none, which is what a client does whose certificate is not of
    /// the kind it was asked for (RFC 5246, section 7.4.6; RFC 8446, section 4.4.2).
    #[error("the peer's certificate is not supported")]
    UnsupportedCertificate,
    /// No SRTP profile in common, or no `use_srtp` at all.
    #[error("no SRTP profile was negotiated")]
    NoSrtp,
    /// No version in common.
    #[error("no DTLS version in common")]
    Version,
    /// No cipher suite, group or signature in common, or no extended master secret.
    #[error("no cipher suite or key exchange in common")]
    NoCommonParameters,
    /// A signature or a Finished message was wrong: the peer does not own its key, or somebody
    /// changed the handshake.
    #[error("the handshake's proof was wrong")]
    Proof,
    /// The peer wanted to negotiate again.
    #[error("the peer asked for a renegotiation")]
    Renegotiation,
    /// A server that speaks 1.3 answered with 1.2: somebody changed our ClientHello (RFC 8446, section 4.1.3).
    #[error("the version was lowered by somebody on the way")]
    Downgrade,
    /// The system has no randomness, or the cryptographic provider failed.
    #[error("the cryptographic provider failed")]
    Provider,
    /// A message that its place in the protocol forbids.
    #[error("the peer broke the protocol")]
    Protocol,
    /// No end within [`limits::DTLS_HANDSHAKE`](crate::limits::DTLS_HANDSHAKE).
    #[error("the handshake took too long")]
    Timeout,
    /// A key came to the end of its use: too many records were sent under it
    /// ([`limits::DTLS_RECORDS`](crate::limits::DTLS_RECORDS)), or too many came that it did not open
    /// ([`limits::DTLS_FORGERIES`](crate::limits::DTLS_FORGERIES); RFC 9147, section 4.5.3).
    #[error("a key came to the end of its use")]
    KeyExhausted,
    /// The peer ended it with this alert description (RFC 8446, section 6). 40 in answer to our
    /// ClientHello is what a server says that has an RSA certificate alone.
    #[error("the peer reported alert {0}")]
    Alert(u8),
}

impl FailReason {
    /// A stable name for statistics and logs: `dtls.unsupported_certificate`.
    pub const fn name(self) -> &'static str {
        match self {
            FailReason::Fingerprint => "dtls.fingerprint",
            FailReason::NoCertificate => "dtls.no_certificate",
            FailReason::UnsupportedCertificate => "dtls.unsupported_certificate",
            FailReason::NoSrtp => "dtls.no_srtp",
            FailReason::Version => "dtls.no_common_version",
            FailReason::NoCommonParameters => "dtls.no_common_parameters",
            FailReason::Proof => "dtls.proof",
            FailReason::Renegotiation => "dtls.renegotiation",
            FailReason::Downgrade => "dtls.downgrade",
            FailReason::Provider => "dtls.provider",
            FailReason::Protocol => "dtls.protocol",
            FailReason::Timeout => "dtls.timeout",
            FailReason::KeyExhausted => "dtls.key_exhausted",
            FailReason::Alert(_) => "dtls.alert",
        }
    }

    /// The alert that tells the peer (RFC 5246, section 7.2.2), if one does.
    pub(super) const fn alert(self) -> Option<u8> {
        match self {
            FailReason::Fingerprint => Some(42),
            FailReason::UnsupportedCertificate => Some(43),
            FailReason::NoCertificate | FailReason::NoCommonParameters | FailReason::NoSrtp => Some(40),
            FailReason::Version => Some(70),
            FailReason::Proof => Some(51),
            FailReason::Downgrade => Some(47),
            FailReason::Provider => Some(80),
            FailReason::Protocol => Some(10),
            FailReason::Renegotiation
            | FailReason::Timeout
            | FailReason::KeyExhausted
            | FailReason::Alert(_) => None,
        }
    }
}

/// Why application data was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Before [`Event::Connected`](super::Event::Connected), or after the end.
    #[error("the association is not connected")]
    NotConnected,
    /// Longer than [`Association::max_data`](super::Association::max_data).
    #[error("the data does not fit into one datagram")]
    TooLong,
    /// [`limits::DTLS_OUTGOING`](crate::limits::DTLS_OUTGOING) datagrams wait to be polled.
    #[error("too many datagrams wait to be sent")]
    QueueFull,
}

/// Why an association cannot be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// Of another release of the crate, or nothing of the kind.
    #[error("the sealed association has a form that is not known")]
    Form,
    /// Sealed with another key, or changed.
    #[error("the sealed association is not authentic")]
    Authentication,
    /// Authentic, and not what it should be.
    #[error("the sealed association is malformed")]
    Malformed,
}

/// A configuration that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Below 256 bytes or above [`limits::DATAGRAM`](crate::limits::DATAGRAM).
    #[error("the MTU must be between 256 and 2048 bytes")]
    Mtu,
    /// Not between 10 ms and 10 s.
    #[error("the first retransmission must come after 10 milliseconds to 10 seconds")]
    Retransmission,
    /// No SRTP profile, or one that is not ours.
    #[error("the SRTP profiles must be some of 1, 7 and 8")]
    Profiles,
    /// No group, or for 1.2 none but X25519MLKEM768, which it does not have.
    #[error("there must be groups for each version")]
    Groups,
}

/// Why there is no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The system gave no key.
    #[error("no certificate could be generated")]
    Generation,
    /// Malformed, above 16 KiB, or not of an elliptic curve.
    #[error("the certificate is malformed or has an unsupported key")]
    Certificate,
    /// Not an ECDSA P-256 or P-384 key in PKCS #8 DER.
    #[error("the private key is malformed or unsupported")]
    Key,
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}
