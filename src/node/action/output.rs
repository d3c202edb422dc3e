//! The end of what an attempt writes: the last 64 KiB, whatever its length.

use super::secret::Mask;
use crate::domain::policy::OUTPUT_MAX_BYTES;

/// Keeps the last bytes of a stream.
pub(super) struct Tail {
    kept: Vec<u8>,
    /// Kept after the front is dropped; the buffer grows to twice of it in between, so that dropping is rare.
    keep_bytes: usize,
}

impl Tail {
    /// A tail in which `mask` will still find a secret that crosses its front.
    pub(super) fn new(mask: &Mask) -> Self {
        Self { kept: Vec::new(), keep_bytes: OUTPUT_MAX_BYTES + mask.margin() }
    }

    /// Appends what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        if self.kept.len() > 2 * self.keep_bytes {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        let surplus = self.kept.len().saturating_sub(self.keep_bytes);
        self.kept.drain(..surplus);
    }

    /// At most [`OUTPUT_MAX_BYTES`], without secrets.
    pub(super) fn finish(mut self, mask: &Mask) -> Vec<u8> {
        self.drop_front();
        let from = self.kept.len().saturating_sub(OUTPUT_MAX_BYTES);
        mask.hide(&self.kept, from..self.kept.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_stay_whatever_the_pieces() {
        for piece in [1, 1000, 65_536, 300_000] {
            let mask = Mask::default();
            let mut tail = Tail::new(&mask);
            let all: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).expect("small")).collect();
            all.chunks(piece).for_each(|bytes| tail.push(bytes));
            assert_eq!(tail.finish(&mask), all[all.len() - OUTPUT_MAX_BYTES..]);
        }
    }

    #[test]
    fn a_secret_that_crosses_the_front_or_two_reads_is_cut() {
        let mut mask = Mask::default();
        mask.add(b"hunter22");
        let mut tail = Tail::new(&mask);
        tail.push(&[b'x'; 200_000]);
        tail.push(b"hunt");
        tail.push(b"er22");
        tail.push(&vec![b'y'; OUTPUT_MAX_BYTES - 14]);
        tail.push(b"hunter");
        tail.push(b"22...");
        let shown = tail.finish(&mask);
        assert!(shown.starts_with(b"***y"), "{:?}", String::from_utf8_lossy(&shown[..8]));
        assert!(shown.ends_with(b"y***..."));
    }
}
