//! A slot map with generation-checked keys: a stale key never names a new object.

/// A key made of a slot's index and the generation that was current when it was handed out.
pub(crate) trait Key: Copy + Eq {
    fn from_parts(index: u32, generation: u32) -> Self;
    fn index(self) -> u32;
    fn generation(self) -> u32;
}

/// Declares a key type: `slot_key! { /// Docs. pub struct RoomId }`.
macro_rules! slot_key {
    ($(#[$doc:meta])* $vis:vis struct $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $name { index: u32, generation: u32 }

        impl $crate::base::slots::Key for $name {
            fn from_parts(index: u32, generation: u32) -> Self { Self { index, generation } }
            fn index(self) -> u32 { self.index }
            fn generation(self) -> u32 { self.generation }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}.{}", self.index, self.generation)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({}.{})", stringify!($name), self.index, self.generation)
            }
        }
    };
}
pub(crate) use slot_key;

/// A place of a table. What tells whose it is stands in one cache line with the value's first fields.
#[derive(Debug)]
#[repr(u32, align(64))]
enum Slot<T> {
    Free { generation: u32 },
    Taken { generation: u32, value: T },
}

impl<T> Slot<T> {
    fn generation(&self) -> u32 {
        match self {
            Slot::Free { generation } | Slot::Taken { generation, .. } => *generation,
        }
    }
}

/// Values under generational keys, in a dense array. Insertion reuses the slot freed last; memory goes
/// back when the last value leaves.
#[derive(Debug)]
pub(crate) struct Slots<K, T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    /// The generation of new slots: above that of all that were given back.
    first_generation: u32,
    key: std::marker::PhantomData<K>,
}

impl<K: Key, T> Slots<K, T> {
    pub(crate) fn new() -> Self {
        Slots { slots: Vec::new(), free: Vec::new(), first_generation: 0, key: std::marker::PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    /// Stores the value that `make` builds knowing its own key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(K) -> T) -> K {
        let index = self.free.pop().unwrap_or_else(|| self.grow());
        let slot = &mut self.slots[index as usize];
        let generation = slot.generation();
        let key = K::from_parts(index, generation);
        *slot = Slot::Taken { generation, value: make(key) };
        key
    }

    /// Adds a slot. Values are large: an eighth more room at a time wastes less than doubling.
    fn grow(&mut self) -> u32 {
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact((self.slots.len() / 8).max(4));
        }
        self.slots.push(Slot::Free { generation: self.first_generation });
        // Every table has a limit far below 2^32 entries.
        (self.slots.len() - 1) as u32
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        let slot = self.slots.get_mut(key.index() as usize)?;
        if !matches!(slot, Slot::Taken { generation, .. } if *generation == key.generation()) {
            return None;
        }
        let free = Slot::Free { generation: key.generation().wrapping_add(1) };
        let Slot::Taken { value, .. } = std::mem::replace(slot, free) else { return None };
        self.free.push(key.index());
        if self.free.len() == self.slots.len() {
            self.give_back();
        }
        Some(value)
    }

    /// Frees an empty table; keys from before stay stale.
    fn give_back(&mut self) {
        let newest = self.slots.iter().map(Slot::generation).max();
        self.first_generation = newest.unwrap_or(self.first_generation);
        (self.slots, self.free) = (Vec::new(), Vec::new());
    }

    #[inline]
    pub(crate) fn get(&self, key: K) -> Option<&T> {
        match self.slots.get(key.index() as usize)? {
            Slot::Taken { generation, value } if *generation == key.generation() => Some(value),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        match self.slots.get_mut(key.index() as usize)? {
            Slot::Taken { generation, value } if *generation == key.generation() => Some(value),
            _ => None,
        }
    }

    /// Everything there is, in the order of the slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| match slot {
            Slot::Taken { generation, value } => Some((K::from_parts(index, *generation), value)),
            Slot::Free { .. } => None,
        })
    }

    pub(crate) fn contains(&self, key: K) -> bool {
        self.get(key).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    slot_key! { struct TestKey }

    #[test]
    fn a_stale_key_names_nothing() {
        let mut slots: Slots<TestKey, &str> = Slots::new();
        let old = slots.insert_with(|_| "old");
        assert_eq!(slots.remove(old), Some("old"));
        let new = slots.insert_with(|_| "new");
        assert_eq!(new.index(), old.index());
        assert_eq!((slots.get(old).copied(), slots.remove(old)), (None, None));
        assert_eq!((slots.get(new).copied(), slots.len()), (Some("new"), 1));
    }

    #[test]
    fn an_empty_table_holds_no_memory_and_its_old_keys_stay_stale() {
        let mut slots: Slots<TestKey, u32> = Slots::new();
        let old: Vec<TestKey> = (0..100).map(|n| slots.insert_with(|_| n)).collect();
        assert!(slots.slots.capacity() < 120);
        old.iter().for_each(|key| assert!(slots.remove(*key).is_some()));
        assert_eq!((slots.slots.capacity(), slots.len()), (0, 0));
        let new: Vec<TestKey> = (0..100).map(|n| slots.insert_with(|_| n)).collect();
        assert!(old.iter().all(|key| slots.get(*key).is_none() && !new.contains(key)));
    }
}
