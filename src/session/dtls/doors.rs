//! Doors for the fuzz targets: what only a peer can say that has keys, and the parsers alone. They say nothing unless
//! the bytes are reproducible, which is for tests.

use super::Association;
use crate::session::dtls::codec::Reader;
use crate::session::dtls::hello::{ClientHello, Extensions, ServerHello};
use crate::session::dtls::message::{self, Fragment};
use crate::session::dtls::record::Records;
use crate::session::dtls::x509;

impl Association {
    /// Queues a record of any type, sealed, or in clear in epoch 0; whether there are keys of the epoch.
    #[doc(hidden)]
    pub fn say_record(&mut self, epoch: u16, kind: u8, text: &[u8]) -> bool {
        let is_said = self.context.config().reproducible
            && text.len() <= self.max_data()
            && self.talk.outgoing.record(epoch, kind, text).is_some();
        self.talk.outgoing.flush();
        is_said
    }

    /// The same of a whole handshake message of any type, with the number of our next one.
    #[doc(hidden)]
    pub fn say_message(&mut self, epoch: u16, kind: u8, body: &[u8]) -> bool {
        let (number, _) = self.talk.places();
        let mut text = Vec::with_capacity(message::HEADER + body.len());
        Fragment { kind, number, total: body.len(), offset: 0, body }.write(&mut text);
        self.talk.count_message();
        self.say_record(epoch, super::HANDSHAKE, &text)
    }
}

/// Every parser of ours over the same bytes: how many took them.
#[doc(hidden)]
pub fn parse_all(bytes: &[u8]) -> usize {
    let records = Records(bytes).filter(|record| record.is_ok()).count();
    let pieces = message::fragments(bytes).map_or(0, |pieces| pieces.map(|piece| piece.body.len()).sum());
    let client = ClientHello::read(bytes).is_some();
    let server = ServerHello::read(bytes).is_ok_and(|hello| {
        let asked = (hello.share(), hello.asked_group(), hello.cookie(), hello.suite());
        hello.has_extended_master_secret() || asked.0.is_some() || asked.3.is_ok()
    });
    let extensions = Extensions::read(&mut Reader(bytes)).map_or(0, |extensions| extensions.iter().count());
    let certificate = x509::public_key(bytes).is_ok();
    records
        + pieces.min(1)
        + usize::from(client)
        + usize::from(server)
        + extensions
        + usize::from(certificate)
}
