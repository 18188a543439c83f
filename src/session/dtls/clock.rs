//! The engine's clock.

use std::sync::OnceLock;

use crate::base::time::StdBase;

/// One base for the life of the process: the engine writes the seconds of its clock into a 1.2
/// hello, and two runs with the same times must write the same.
pub(super) fn clock() -> StdBase {
    static BASE: OnceLock<StdBase> = OnceLock::new();
    *BASE.get_or_init(StdBase::new)
}
