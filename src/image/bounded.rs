//! Limits untrusted archives: the data before each file, and the unpacked size.
//!
//! A tar may have a name, or extended attributes, of any length before each file, and `tar` holds them in memory as a
//! whole.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use tar::{Archive, Entry};

/// Maximum bytes of a file's header with its name and its attributes. Paths of Linux have 4 KiB, attributes 64 KiB.
const LARGEST_HEADER: u64 = 1 << 20;

/// Calls `each` for every entry of an archive of at most `most` bytes, with the entry's offset.
///
/// # Errors
/// An invalid archive, and errors of `each`.
pub(crate) fn entries<R: Read>(
    reader: R,
    most: u64,
    mut each: impl FnMut(Entry<'_, Bounded<R>>) -> io::Result<()>,
) -> io::Result<()> {
    let header = Rc::new(Cell::new(None));
    let mut archive = Archive::new(Bounded {
        inner: reader,
        at: 0,
        most,
        header: Rc::clone(&header),
    });
    // Seeking skips the rest of an entry, and only headers are read between two entries.
    let mut entries = archive.entries_with_seek()?;
    loop {
        header.set(Some(LARGEST_HEADER));
        let Some(entry) = entries.next() else { return Ok(()) };
        header.set(None);
        each(entry?)?;
    }
}

/// A reader that ends with an error at its limits. It only seeks forward.
pub(crate) struct Bounded<R> {
    inner: R,
    at: u64,
    most: u64,
    /// Remaining bytes for a header while one is read.
    header: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.header.get().unwrap_or(u64::MAX);
        if left == 0 {
            return Err(io::Error::other("the name of a file in it is too long"));
        }
        if self.at >= self.most {
            return Err(io::Error::other(format!("it unpacks to more than {} bytes", self.most)));
        }
        let wanted = (buffer.len() as u64).min(left).min(self.most - self.at);
        let read = self
            .inner
            .read(&mut buffer[..usize::try_from(wanted).unwrap_or(usize::MAX)])?;
        self.at += read as u64;
        if let Some(left) = self.header.get() {
            self.header.set(Some(left - read as u64));
        }
        Ok(read)
    }
}

impl<R: Read> Seek for Bounded<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Current(distance) = to else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let distance = u64::try_from(distance).map_err(|_| io::ErrorKind::Unsupported)?;
        let header = self.header.take();
        let passed = io::copy(&mut self.by_ref().take(distance), &mut io::sink());
        self.header.set(header);
        if passed? < distance {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{EntryType, Header};

    fn header(kind: EntryType, name: &str, size: u64) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_path(name).unwrap();
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn file(name: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes = header(EntryType::Regular, name, content.len() as u64);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn names(reader: impl Read, most: u64) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        entries(reader, most, |entry| {
            names.push(entry.path()?.to_string_lossy().into_owned());
            Ok(())
        })?;
        Ok(names)
    }

    #[test]
    fn entries_are_read_without_their_contents_and_long_names_with_them() {
        let mut builder = tar::Builder::new(Vec::new());
        let long = format!("{}/a.jar", "x".repeat(3000));
        for (name, size) in [("first", 3_000_000), (long.as_str(), 5), ("last", 0)] {
            let mut header = Header::new_gnu();
            header.set_size(size);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, name, io::repeat(1).take(size))
                .unwrap();
        }
        let archive = builder.into_inner().unwrap();
        let expected = ["first", long.as_str(), "last"];
        assert_eq!(names(archive.as_slice(), u64::MAX).unwrap(), expected);
        let cut = names(&archive[..2_000_000], u64::MAX).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_name_without_an_end_is_an_error_and_takes_no_memory() {
        for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
            let start = [file("a", b"b"), header(kind, "././@LongLink", 1 << 40)].concat();
            let error = names(start.chain(io::repeat(b'x')), u64::MAX).unwrap_err();
            assert!(error.to_string().contains("too long"), "{kind:?}: {error}");
        }
    }

    #[test]
    fn an_archive_without_an_end_is_an_error() {
        struct Endless(Vec<u8>, usize);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = buffer.len().min(self.0.len() - self.1);
                buffer[..count].copy_from_slice(&self.0[self.1..self.1 + count]);
                self.1 = (self.1 + count) % self.0.len();
                Ok(count)
            }
        }
        let error = names(Endless(file("a", b"b"), 0), 1 << 20).unwrap_err();
        assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
        // A file whose header names an enormous size.
        let start = header(EntryType::Regular, "a", 1 << 60);
        let error = names(start.chain(io::repeat(0)), 1 << 20).unwrap_err();
        assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
    }
}
