//! Packet status chunks of transport-wide feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01, sections 3.1.1 to 3.1.4).

/// What is told of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    /// It did not arrive (yet).
    Lost = 0,
    /// It arrived; the delta has one byte.
    Small = 1,
    /// It arrived; the delta has two bytes and a sign.
    Large = 2,
}

impl Symbol {
    /// The symbol of the two lowest bits; 3 is reserved.
    fn from_bits(bits: u16) -> Option<Symbol> {
        match bits & 3 {
            0 => Some(Symbol::Lost),
            1 => Some(Symbol::Small),
            2 => Some(Symbol::Large),
            _ => None,
        }
    }

    /// Bytes of its delta.
    pub(super) const fn delta_len(self) -> usize {
        self as usize
    }
}

/// A chunk that is being read: the symbols left in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    content: Content,
    left: u16,
}

#[derive(Debug, Clone, Copy)]
enum Content {
    Run(Symbol),
    /// Symbols of `width` bits, the next one at the top.
    Vector {
        bits: u16,
        width: u32,
    },
}

impl Chunk {
    pub(super) const EMPTY: Chunk = Chunk { content: Content::Run(Symbol::Lost), left: 0 };

    /// `None` for a run of the reserved symbol.
    pub(super) fn parse(bytes: [u8; 2]) -> Option<Chunk> {
        let word = u16::from_be_bytes(bytes);
        Some(if word >> 15 == 0 {
            Chunk { content: Content::Run(Symbol::from_bits(word >> 13)?), left: word & 0x1fff }
        } else if word >> 14 == 0b10 {
            Chunk { content: Content::Vector { bits: word << 2, width: 1 }, left: 14 }
        } else {
            Chunk { content: Content::Vector { bits: word << 2, width: 2 }, left: 7 }
        })
    }

    /// How many of the next `most` statuses it tells of, and the bytes of their deltas. `None` if it is
    /// a run longer than that, or if one of them is reserved; a vector may be longer, for the last one
    /// is filled up.
    pub(super) fn measure(&self, most: u16) -> Option<(u16, usize)> {
        let (bits, width) = match self.content {
            Content::Run(symbol) => {
                let deltas = usize::from(self.left) * symbol.delta_len();
                return (self.left <= most).then_some((self.left, deltas));
            }
            Content::Vector { bits, width } => (bits, width),
        };
        let count = self.left.min(most);
        // At most fourteen bits count.
        let bits = bits & !(0xffff >> (u32::from(count) * width));
        if width == 1 {
            return Some((count, bits.count_ones() as usize));
        }
        let (low, high) = (bits & 0x5555, bits >> 1 & 0x5555);
        (low & high == 0).then_some((count, (low.count_ones() + 2 * high.count_ones()) as usize))
    }

    /// How many packets in a row it tells to be lost, if it is such a run.
    #[inline]
    pub(super) fn lost_run(&self) -> Option<u16> {
        match self.content {
            Content::Run(Symbol::Lost) => Some(self.left),
            _ => None,
        }
    }

    /// Whether no symbol is left.
    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The next symbol: `None` at the end, `Some(None)` for the reserved one.
    #[inline]
    pub(super) fn next_symbol(&mut self) -> Option<Option<Symbol>> {
        self.left = self.left.checked_sub(1)?;
        Some(match &mut self.content {
            Content::Run(symbol) => Some(*symbol),
            Content::Vector { bits, width } => {
                let symbol = Symbol::from_bits(*bits >> (16 - *width));
                *bits <<= *width;
                symbol
            }
        })
    }
}

/// The longest run: 13 bits.
const RUN: u16 = 0x1fff;

/// Packs symbols into chunks, one ahead: a chunk is given out when a symbol comes that it cannot hold.
///
/// What is held can always be written as one chunk: a run of equal symbols, up to seven of any kind,
/// or up to fourteen without large deltas. Neither choice looks further ahead; browsers pack so too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packer {
    /// The first fourteen symbols of two bits, the first at the top of 28.
    symbols: u32,
    len: u16,
    first: Symbol,
    uniform: bool,
    large: bool,
}

impl Packer {
    pub(super) const EMPTY: Packer =
        Packer { symbols: 0, len: 0, first: Symbol::Lost, uniform: true, large: false };

    /// Adds a symbol; gives out the chunk that had to be closed for it.
    #[inline]
    pub(super) fn push(&mut self, symbol: Symbol) -> Option<[u8; 2]> {
        let chunk = if self.fits(symbol) { None } else { Some(self.close()) };
        // Closing leaves at most six symbols, and anything fits behind six.
        self.append(symbol);
        chunk
    }

    /// The chunk of what is held at the end; `None` if nothing is.
    pub(super) fn finish(self) -> Option<[u8; 2]> {
        if self.len == 0 {
            None
        } else if self.uniform {
            Some(self.run())
        } else if self.len <= 7 {
            Some(self.two_bit())
        } else {
            Some(self.one_bit())
        }
    }

    fn fits(&self, symbol: Symbol) -> bool {
        self.len < 7
            || self.len < 14 && !self.large && symbol != Symbol::Large
            || self.len < RUN && self.uniform && symbol == self.first
    }

    fn append(&mut self, symbol: Symbol) {
        if self.len == 0 {
            self.first = symbol;
        }
        if self.len < 14 {
            self.symbols |= (symbol as u32) << (26 - 2 * self.len);
        }
        self.uniform &= symbol == self.first;
        self.large |= symbol == Symbol::Large;
        self.len += 1;
    }

    /// Writes the longest chunk of what is held and keeps the rest: up to six symbols when seven with
    /// a width of two bits had to go in front of a large delta.
    fn close(&mut self) -> [u8; 2] {
        let held = std::mem::replace(self, Packer::EMPTY);
        if held.uniform {
            return held.run();
        }
        if held.len == 14 && !held.large {
            return held.one_bit();
        }
        for at in 7..held.len {
            // Two bits of a symbol that was appended: never the reserved one.
            if let Some(symbol) = Symbol::from_bits((held.symbols >> (26 - 2 * at)) as u16) {
                self.append(symbol);
            }
        }
        held.two_bit()
    }

    fn run(&self) -> [u8; 2] {
        ((self.first as u16) << 13 | self.len).to_be_bytes()
    }

    fn one_bit(&self) -> [u8; 2] {
        let bits = (0..14).fold(0, |bits, at| bits << 1 | (self.symbols >> (26 - 2 * at)) & 1);
        // Fourteen bits.
        (0x8000 | bits as u16).to_be_bytes()
    }

    fn two_bit(&self) -> [u8; 2] {
        // The upper half of 28 bits.
        (0xc000 | (self.symbols >> 14) as u16).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Symbol::*;
    use proptest::prelude::*;

    fn pack(symbols: &[Symbol]) -> Vec<u16> {
        let mut packer = Packer::EMPTY;
        let mut chunks: Vec<_> = symbols.iter().filter_map(|symbol| packer.push(*symbol)).collect();
        chunks.extend(packer.finish());
        chunks.into_iter().map(u16::from_be_bytes).collect()
    }

    fn unpack(chunks: &[u16], count: usize) -> Vec<Symbol> {
        let symbols = chunks.iter().flat_map(|word| {
            let mut chunk = Chunk::parse(word.to_be_bytes()).expect("ours");
            std::iter::from_fn(move || chunk.next_symbol()).map(|symbol| symbol.expect("ours"))
        });
        symbols.take(count).collect()
    }

    #[test]
    fn equal_symbols_become_runs_of_at_most_13_bits() {
        assert_eq!(pack(&[Small; 20]), [0x2000 | 20]);
        assert_eq!(pack(&[Lost; 8_192]), [0x1fff, 1]);
    }

    #[test]
    fn the_chunks_of_the_drafts_examples() {
        // Section 3.1.3: a run of 221 lost packets.
        assert_eq!(pack(&[Lost; 221]), [0b0000_0000_1101_1101]);
        // Section 3.1.4: one lost, five received, three lost, three received, two lost.
        let mixed = [vec![Lost], vec![Small; 5], vec![Lost; 3], vec![Small; 3], vec![Lost; 2]];
        assert_eq!(pack(&mixed.concat()), [0b1001_1111_0001_1100]);
    }

    #[test]
    fn a_few_symbols_of_all_kinds_take_two_bits_each() {
        let symbols = [Lost, Large, Small, Small, Small, Lost, Lost];
        assert_eq!(pack(&symbols), [0b1100_1001_0101_0000]);
        assert_eq!(pack(&symbols[..3]), [0b1100_1001_0000_0000]);
    }

    #[test]
    fn a_large_delta_behind_seven_mixed_symbols_splits_them() {
        let symbols = [Lost, Small, Lost, Small, Lost, Small, Lost, Small, Lost, Large];
        assert_eq!(pack(&symbols), [0b1100_0100_0100_0100, 0b1101_0010_0000_0000]);
    }

    #[test]
    fn the_reserved_symbol_is_told() {
        assert!(Chunk::parse(0x6001_u16.to_be_bytes()).is_none());
        let mut vector = Chunk::parse(0xf000_u16.to_be_bytes()).expect("a vector");
        assert_eq!(vector.next_symbol(), Some(None));
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            runs in proptest::collection::vec((0u8..3, prop_oneof![1usize..4, 1usize..40]), 1..60),
        ) {
            let symbols: Vec<_> = runs
                .iter()
                .flat_map(|(kind, len)| std::iter::repeat_n([Lost, Small, Large][usize::from(*kind)], *len))
                .collect();
            let chunks = pack(&symbols);
            prop_assert!(chunks.len() <= symbols.len().div_ceil(7), "no worse than two bits each");
            prop_assert_eq!(unpack(&chunks, symbols.len()), symbols);
        }
    }
}
