//! Packed records, read from the front: numbers are big-endian, texts stand behind their length.

use crate::domain::timestamp::Timestamp;

/// Reads packed bytes from the front; `None` once there are too few.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    /// A number of `width` bytes.
    pub(crate) fn number(&mut self, width: usize) -> Option<u64> {
        Some(self.bytes(width)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// A number of one byte.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        Some(self.bytes(1)?[0])
    }

    /// An instant, 6 bytes of ms.
    pub(crate) fn instant(&mut self) -> Option<Timestamp> {
        Some(Timestamp(self.number(6)?.cast_signed()))
    }

    /// A text behind its length of `width` bytes.
    pub(crate) fn text(&mut self, width: usize) -> Option<String> {
        let count = usize::try_from(self.number(width)?).ok()?;
        Some(String::from_utf8_lossy(self.bytes(count)?).into_owned())
    }
}
