//! What an attempt writes, without its secrets: the last 64 KiB whatever its length, readable while it is written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::secret::Mask;
use crate::domain::policy::OUTPUT_MAX_BYTES;

/// The end of what an attempt has written so far, without secrets. Clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Output(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    /// Grows to twice of what is kept before its front is dropped, so that dropping is rare.
    kept: Vec<u8>,
    total: u64,
}

impl Output {
    /// Bytes that were written in all.
    pub fn written(&self) -> u64 {
        self.written_now().total
    }

    /// Bytes that were written in all, and the last of them, at most [`OUTPUT_MAX_BYTES`].
    pub fn tail(&self) -> (u64, Vec<u8>) {
        let written = self.written_now();
        let from = written.kept.len().saturating_sub(OUTPUT_MAX_BYTES);
        (written.total, written.kept[from..].to_vec())
    }

    fn push(&self, bytes: &[u8]) {
        let mut written = self.written_now();
        written.total += bytes.len() as u64;
        written.kept.extend_from_slice(bytes);
        if written.kept.len() > 2 * OUTPUT_MAX_BYTES {
            let surplus = written.kept.len() - OUTPUT_MAX_BYTES;
            written.kept.drain(..surplus);
        }
    }

    fn written_now(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what an attempt writes, piece by piece, and passes it on without secrets. What could be the front of one waits for
/// the next piece.
pub(super) struct Tail<'m> {
    output: Output,
    mask: &'m Mask,
    /// What waits, behind as much as a secret may reach back.
    raw: Vec<u8>,
    /// Where in it begins what waits.
    from: usize,
    /// Whether the byte before was a secret's.
    was_secret: bool,
}

impl<'m> Tail<'m> {
    /// Writes to `output` what `mask` does not hide.
    pub(super) fn new(mask: &'m Mask, output: &Output) -> Self {
        Self { output: output.clone(), mask, raw: Vec::new(), from: 0, was_secret: false }
    }

    /// Appends what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.mask.margin() == 0 {
            return self.output.push(bytes);
        }
        self.raw.extend_from_slice(bytes);
        self.pass_on(self.mask.front_of_one(&self.raw));
    }

    fn pass_on(&mut self, till: usize) {
        self.output.push(&self.mask.hide_next(&self.raw, self.from..till, &mut self.was_secret));
        let passed = till.saturating_sub(self.mask.margin());
        self.raw.drain(..passed);
        self.from = till - passed;
    }

    /// Nothing follows: what waits is no secret.
    pub(super) fn finish(mut self) {
        self.pass_on(self.raw.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(values: &[&str]) -> Mask {
        let mut mask = Mask::default();
        values.iter().for_each(|value| mask.add(value.as_bytes()));
        mask
    }

    #[test]
    fn the_last_bytes_stay_whatever_the_pieces() {
        for piece in [1, 1000, 65_536, 300_000] {
            let (mask, output) = (Mask::default(), Output::default());
            let mut tail = Tail::new(&mask, &output);
            let all: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).expect("small")).collect();
            all.chunks(piece).for_each(|bytes| tail.push(bytes));
            tail.finish();
            assert_eq!(output.tail(), (300_000, all[all.len() - OUTPUT_MAX_BYTES..].to_vec()));
        }
    }

    #[test]
    fn a_secret_in_two_pieces_is_never_seen_and_what_is_none_waits_only_as_long_as_it_could_be_one() {
        let (mask, output) = (mask(&["hunter22"]), Output::default());
        let mut tail = Tail::new(&mask, &output);
        let mut seen = Vec::new();
        for piece in ["a line\n", "hunt", "er22\nhun", "ting\n", "hunter2"] {
            tail.push(piece.as_bytes());
            seen.push(String::from_utf8(output.tail().1).expect("a text"));
        }
        let lines = ["a line\n", "a line\n", "a line\n***\n", "a line\n***\nhunting\n", "a line\n***\nhunting\n"];
        assert_eq!(seen, lines);
        tail.finish();
        assert_eq!(output.tail(), (26, b"a line\n***\nhunting\nhunter2".to_vec()));
    }

    proptest! {
        #[test]
        fn pieces_show_what_the_whole_shows(
            secrets in prop::collection::vec("[ab\n]{4,7}", 0..4),
            text in "[abc\n]{0,120}",
            piece in 1_usize..20,
        ) {
            let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let (mask, output) = (mask(&secrets), Output::default());
            let mut tail = Tail::new(&mask, &output);
            let whole = mask.hide_text(&text);
            for piece in text.as_bytes().chunks(piece) {
                tail.push(piece);
                let (written, seen) = output.tail();
                prop_assert!(whole.as_bytes().starts_with(&seen) && written == seen.len() as u64);
            }
            tail.finish();
            prop_assert_eq!(output.tail().1, whole.into_bytes());
        }
    }
}
