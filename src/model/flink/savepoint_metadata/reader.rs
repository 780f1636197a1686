//! Reads values in the format of Java's `DataOutputStream`.

use crate::error::{Error, Result};

/// Reads from the front of some bytes.
pub(super) struct Reader<'a> {
    left: &'a [u8],
    size: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            left: bytes,
            size: bytes.len(),
        }
    }

    pub(super) fn broken(&self, why: &str) -> Error {
        Error::usage(format!(
            "the metadata file is broken at byte {}: {why}",
            self.size - self.left.len()
        ))
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8]> {
        let (front, left) = self
            .left
            .split_at_checked(length)
            .ok_or_else(|| self.broken("the file ends too early"))?;
        self.left = left;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (front, left) = self
            .left
            .split_first_chunk()
            .ok_or_else(|| self.broken("the file ends too early"))?;
        self.left = left;
        Ok(*front)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn int(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn long(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A size in bytes. Flink writes -1 if it is unknown.
    pub(super) fn size(&mut self) -> Result<u64> {
        Ok(self.long()?.try_into().unwrap_or(0))
    }

    /// Text of `writeUTF`. Its variant of UTF-8 differs for U+0000 and for characters beyond the first plane, which
    /// become U+FFFD.
    pub(super) fn text(&mut self) -> Result<String> {
        let length = u16::from_be_bytes(self.array()?);
        Ok(String::from_utf8_lossy(self.bytes(length.into())?).into_owned())
    }

    /// The number of the following items, each of at least `least` bytes.
    pub(super) fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.int()?;
        self.checked(count, least)
    }

    /// Checks a number that was read: a number of items that does not fit into the rest is rejected before memory is
    /// allocated.
    pub(super) fn checked(&self, count: i32, least: usize) -> Result<usize> {
        usize::try_from(count)
            .ok()
            .filter(|count| count.saturating_mul(least) <= self.left.len())
            .ok_or_else(|| self.broken(&format!("{count} entries do not fit into the rest of the file")))
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.left
    }

    pub(super) fn end(&self) -> Result<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        Err(self.broken("there are bytes after its end"))
    }
}
