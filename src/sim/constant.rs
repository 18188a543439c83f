//! Cross traffic that does not yield: a constant rate in packets of 1,200 bytes.

use super::scenario::ConstantConfig;
use crate::base::time::Instant;

/// Bytes of a packet on the wire.
pub(super) const PACKET: usize = 1_200;

/// One such sender.
#[derive(Debug)]
pub(super) struct Constant {
    config: ConstantConfig,
    sent: u64,
}

impl Constant {
    pub(super) fn new(config: &ConstantConfig) -> Self {
        Constant { config: config.clone(), sent: 0 }
    }

    /// The number of the next packet that is due.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<u64> {
        self.poll_timeout().filter(|due| *due <= now)?;
        self.sent += 1;
        Some(self.sent - 1)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let bits = u128::from(self.sent) * PACKET as u128 * 8 * 1_000_000;
        let after = bits.checked_div(self.config.rate.as_bps().into())?;
        let due = Instant::from_micros(self.config.start.as_micros() + u64::try_from(after).ok()?);
        Some(due).filter(|due| self.config.stop.is_none_or(|stop| *due < stop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Bitrate;

    #[test]
    fn its_rate_is_exact_from_start_to_stop() {
        let (start, stop) = (Instant::from_millis(20_000), Some(Instant::from_millis(40_000)));
        let mut constant =
            Constant::new(&ConstantConfig { backward: false, start, stop, rate: Bitrate::from_kbps(2_500) });
        assert_eq!(constant.poll_timeout(), Some(start));
        assert_eq!(constant.poll_transmit(Instant::from_millis(19_999)), None);
        let mut count = 0;
        while let Some(due) = constant.poll_timeout() {
            assert_eq!(constant.poll_transmit(due), Some(count));
            count += 1;
        }
        // 50 Mbit in packets of 9,600 bits.
        assert_eq!(count, 5_209);
    }

    #[test]
    fn no_rate_sends_nothing() {
        let config =
            ConstantConfig { backward: false, start: Instant::ZERO, stop: None, rate: Bitrate::ZERO };
        assert_eq!(Constant::new(&config).poll_timeout(), None);
    }
}
