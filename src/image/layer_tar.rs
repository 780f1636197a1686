//! The tar of a layer as a list of its parts: headers in memory, and files that are read when they are needed.

use std::io;

use tar::{Builder, EntryType, Header};

use crate::error::{Error, Result};
use crate::image::layer_files::{Content, Entry};

/// Flink's user in the official images.
const OWNER: u64 = 9999;
/// Size of a tar's blocks.
const BLOCK: u64 = 512;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TarPart {
    Bytes(Vec<u8>),
    /// A file: its index in the given files, and its size.
    File(usize, u64),
}

impl TarPart {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    parts: Vec<(u64, TarPart)>,
    pub(crate) size: u64,
}

impl Layout {
    /// The tar of `entries` in their order. All times are zero and Flink's user owns everything, so that the same files
    /// result in the same bytes on every machine and at any time.
    pub(crate) fn new(entries: &[Entry]) -> Result<Self> {
        let mut layout = Self {
            parts: Vec::new(),
            size: 0,
        };
        for entry in entries {
            let (kind, size) = match entry.content {
                Content::Folder => (EntryType::Directory, 0),
                Content::File { size, .. } => (EntryType::Regular, size),
            };
            layout.add(TarPart::Bytes(header(&entry.path, kind, size, entry.mode)?));
            if let Content::File { source, size } = entry.content {
                layout.add(TarPart::File(source, size));
                let padding = (BLOCK - size % BLOCK) % BLOCK;
                layout.add(TarPart::Bytes(vec![0; usize::try_from(padding).unwrap_or_default()]));
            }
        }
        layout.add(TarPart::Bytes(vec![0; 1024]));
        Ok(layout)
    }

    fn add(&mut self, part: TarPart) {
        if part.size() > 0 {
            let end = self.size + part.size();
            self.parts.push((self.size, part));
            self.size = end;
        }
    }

    /// The part at `offset`, and the offset in it; `None` at the end.
    pub(crate) fn at(&self, offset: u64) -> Option<(&TarPart, u64)> {
        if offset >= self.size {
            return None;
        }
        let index = self
            .parts
            .partition_point(|(start, _)| *start <= offset)
            .checked_sub(1)?;
        let (start, part) = &self.parts[index];
        Some((part, offset - start))
    }
}

/// The header of an entry, after a long name if the entry needs one.
fn header(path: &str, kind: EntryType, size: u64, mode: u32) -> Result<Vec<u8>> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(OWNER);
    header.set_gid(OWNER);
    header.set_mtime(0);
    // The builder closes an archive when it returns its writer; here that is only one header.
    let mut bytes = Vec::new();
    Builder::new(&mut bytes)
        .append_data(&mut header, path, io::empty())
        .map_err(|e| Error::usage(format!("{path:?} cannot be the path of a file in an image")).because(e))?;
    Ok(without_end(bytes))
}

/// Removes the end of an archive, which the builder writes when it is dropped.
fn without_end(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = vec![0; 1024];
    if bytes.ends_with(&end) && bytes.len() > 1024 {
        bytes.truncate(bytes.len() - 1024);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn file(path: &str, source: usize, size: u64) -> Entry {
        Entry {
            path: path.to_owned(),
            mode: 0o644,
            content: Content::File { source, size },
        }
    }

    fn bytes_of(layout: &Layout, files: &[&[u8]], from: u64) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some((part, within)) = layout.at(from + all.len() as u64) {
            let within = usize::try_from(within).unwrap();
            match part {
                TarPart::Bytes(bytes) => all.extend(&bytes[within..]),
                TarPart::File(source, _) => all.extend(&files[*source][within..]),
            }
        }
        all
    }

    #[test]
    fn tar_reads_it_back() {
        let long = format!("opt/flink/plugins/{}/x.jar", "p".repeat(200));
        let entries = [
            Entry {
                path: "opt/flink/usrlib/".to_owned(),
                mode: 0o755,
                content: Content::Folder,
            },
            file("opt/flink/usrlib/a.jar", 0, 3),
            file(&long, 1, 512),
            file("opt/flink/usrlib/empty", 2, 0),
        ];
        let files: [&[u8]; 3] = [b"abc", &[7; 512], b""];
        let layout = Layout::new(&entries).unwrap();
        let whole = bytes_of(&layout, &files, 0);
        assert_eq!(whole.len() as u64, layout.size);
        assert_eq!(layout.size % 512, 0);
        for from in [1, 511, 512, 515, 1024, 3000] {
            assert!(bytes_of(&layout, &files, from) == whole[usize::try_from(from).unwrap()..]);
        }
        let mut archive = tar::Archive::new(whole.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let header = entry.header();
            assert_eq!(
                (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
                (9999, 9999, 0)
            );
            seen.push((
                entry.path().unwrap().display().to_string(),
                header.mode().unwrap(),
                content,
            ));
        }
        assert_eq!(
            seen,
            [
                ("opt/flink/usrlib/".to_owned(), 0o755, Vec::new()),
                ("opt/flink/usrlib/a.jar".to_owned(), 0o644, b"abc".to_vec()),
                (long, 0o644, vec![7; 512]),
                ("opt/flink/usrlib/empty".to_owned(), 0o644, Vec::new()),
            ]
        );
    }
}
