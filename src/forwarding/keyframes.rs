//! Key frame requests of one source: merged over its subscribers and spaced (S-RTCP-04).

use crate::base::limits;
use crate::base::time::Instant;

/// Whether a key frame is wanted and when the source was last asked.
#[derive(Debug, Default, Clone, Copy, Hash)]
pub(crate) struct Keyframes {
    wanted: bool,
    /// None came since one was wanted.
    missed: bool,
    asked: Option<Instant>,
}

impl Keyframes {
    /// A subscriber wants a key frame; true if none was wanted since the last one came.
    pub(crate) fn want(&mut self) -> bool {
        self.wanted = true;
        !std::mem::replace(&mut self.missed, true)
    }

    /// When the source was last asked.
    pub(crate) fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// When the request is due: at once, or when the interval since the last one has passed.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.wanted.then(|| self.asked.map_or(Instant::ZERO, |at| at + limits::KEYFRAME_INTERVAL))
    }

    /// True once when a request is due; the caller sends it.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|at| at <= now);
        if due {
            self.wanted = false;
            self.asked = Some(now);
        }
        due
    }

    /// A key frame came: whoever wanted one has it.
    pub(crate) fn arrived(&mut self) {
        (self.wanted, self.missed) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_rtcp_04_a_flood_becomes_one_request_per_interval() {
        let mut keyframes = Keyframes::default();
        let mut asked = 0;
        for millis in 0..2_000 {
            keyframes.want();
            asked += usize::from(keyframes.take_due(Instant::from_millis(millis)));
        }
        assert_eq!(asked, 4);
    }

    #[test]
    fn what_is_asked_for_again_is_no_new_wish_until_one_came() {
        let mut keyframes = Keyframes::default();
        assert!(keyframes.want());
        assert!(keyframes.take_due(Instant::from_millis(1)));
        assert!(!keyframes.want(), "asked for, and not there");
        keyframes.arrived();
        assert!(keyframes.want());
        assert_eq!(keyframes.asked(), Some(Instant::from_millis(1)));
    }
}
