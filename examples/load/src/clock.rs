//! The one clock of all threads.

use estafette::Instant;

/// Microseconds since the generator began; never goes back.
#[derive(Debug, Clone, Copy)]
pub struct Clock(std::time::Instant);

impl Clock {
    pub fn start() -> Clock {
        Clock(std::time::Instant::now())
    }

    pub fn now(self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }
}
