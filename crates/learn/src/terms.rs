//! A table from terms to consecutive numbers: one block of text, one open-addressing index, no allocation per term.

use std::hash::Hasher;

use rustc_hash::FxHasher;

const EMPTY: u32 = u32::MAX;

/// Numbers terms in the order in which they were first seen.
#[derive(Debug, Clone)]
pub struct TermTable {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Pairs of a hash tag and a term number; the length is a power of two.
    slots: Vec<(u32, u32)>,
}

impl Default for TermTable {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            slots: vec![(0, EMPTY); 64],
        }
    }
}

impl TermTable {
    /// Number of terms.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The term with this number.
    pub fn term(&self, number: usize) -> &[u8] {
        let start = if number == 0 {
            0
        } else {
            self.ends[number - 1] as usize
        };
        &self.bytes[start..self.ends[number] as usize]
    }

    /// The number of a term, if it is known.
    pub fn find(&self, term: &[u8]) -> Option<u32> {
        match self.slots[self.slot_of(term)].1 {
            EMPTY => None,
            number => Some(number),
        }
    }

    /// The number of a term, which is added when it is new.
    pub fn intern(&mut self, term: &[u8]) -> u32 {
        let slot = self.slot_of(term);
        if self.slots[slot].1 != EMPTY {
            return self.slots[slot].1;
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(term);
        self.ends.push(self.bytes.len() as u32);
        self.slots[slot] = (hash(term).1, number);
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    /// The slot that holds the term, or the empty one where it belongs.
    #[inline]
    fn slot_of(&self, term: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let (start, tag) = hash(term);
        let mut slot = start & mask;
        loop {
            let (slot_tag, number) = self.slots[slot];
            if number == EMPTY || (slot_tag == tag && self.term(number as usize) == term) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.slots = vec![(0, EMPTY); size];
        for number in 0..self.ends.len() {
            let (start, tag) = hash(self.term(number));
            let mut slot = start & (size - 1);
            while self.slots[slot].1 != EMPTY {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = (tag, number as u32);
        }
    }
}

#[inline]
fn hash(term: &[u8]) -> (usize, u32) {
    let mut hasher = FxHasher::default();
    hasher.write(term);
    let value = hasher.finish();
    (value as usize, (value >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_numbered_once_and_found_again() {
        let mut table = TermTable::default();
        let terms: Vec<String> = (0..5_000).map(|number| format!("term {number}")).collect();
        for (number, term) in terms.iter().enumerate() {
            assert_eq!(table.intern(term.as_bytes()) as usize, number);
        }
        for (number, term) in terms.iter().enumerate() {
            assert_eq!(table.intern(term.as_bytes()) as usize, number);
            assert_eq!(table.term(number), term.as_bytes());
        }
        assert_eq!(table.find(b"absent"), None);
    }
}
