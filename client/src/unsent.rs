//! Encoded bytes that the transport has not taken yet.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Encoded bytes in their order. A transport takes as many chunks at once as it can.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    chunks: VecDeque<Bytes>,
    remaining: usize,
    taken: u64,
}

impl Unsent {
    pub(crate) fn push(&mut self, chunks: impl IntoIterator<Item = Bytes>) {
        for chunk in chunks.into_iter().filter(|chunk| !chunk.is_empty()) {
            self.remaining += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// How many bytes the transport has taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many bytes the transport will have taken when nothing is left.
    pub(crate) fn end(&self) -> u64 {
        self.taken + self.remaining as u64
    }
}

impl Buf for Unsent {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| chunk)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.chunks);
        pairs.map(|(slice, chunk)| *slice = IoSlice::new(chunk)).count()
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining -= count;
        self.taken += count as u64;
        while let Some(chunk) = self.chunks.front_mut() {
            if count < chunk.len() {
                chunk.advance(count);
                return;
            }
            count -= chunk.len();
            self.chunks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_their_order_whatever_the_cut() {
        for cut in 1..=6 {
            let mut unsent = Unsent::default();
            unsent.push([Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cde")]);
            unsent.push([Bytes::from_static(b"f")]);
            assert_eq!(unsent.end(), 6);
            let mut left = Vec::new();
            while unsent.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let filled = unsent.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                let count = cut.min(seen.len());
                left.extend_from_slice(&seen[..count]);
                unsent.advance(count);
            }
            assert_eq!(left, b"abcdef", "cut {cut}");
            assert_eq!((unsent.taken(), unsent.end()), (6, 6));
        }
    }
}
