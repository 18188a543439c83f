//! What authentication costs: HMACs and openings, counted in unit tests alone (I-05).

#[cfg(test)]
std::thread_local! {
    static PAID: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// One HMAC, or one opening of a sealed text.
#[inline]
pub(crate) fn pay() {
    #[cfg(test)]
    PAID.set(PAID.get() + 1);
}

/// How many there were on this thread.
#[cfg(test)]
pub(crate) fn paid() -> u64 {
    PAID.get()
}
