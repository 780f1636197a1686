//! The archive of a report: a tar with gzip, with an index as its last file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

use crate::error::{Error, Kind, Result};
use crate::partial_file;

/// Largest file but logs, in bytes. Longer ones are cut.
const LARGEST: usize = 8 << 20;

pub(crate) enum Output {
    /// A file that gets its name only when it is complete, and is deleted after an interruption.
    File(NamedTempFile, PathBuf),
    /// A stream, such as the standard output.
    Stream(Box<dyn Write>),
}

impl Output {
    /// A new file that only its owner can read.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        Ok(Self::File(partial_file::beside(path)?, path.to_owned()))
    }

    fn done(self) -> Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::File(file, path) => match file.persist_noclobber(&path) {
                Ok(_) => Ok(()),
                Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&path)),
                Err(failed) => Err(unwritable(&failed.error)),
            },
        }
    }
}

fn exists(path: &Path) -> Error {
    Error::usage(format!("{} exists already", path.display())).hint("-o names another file")
}

fn unwritable(e: &io::Error) -> Error {
    if e.kind() == io::ErrorKind::BrokenPipe {
        return Error::new(Kind::Interrupted, "");
    }
    Error::failure(format!("cannot write the report: {e}"))
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file, _) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file, _) => file.flush(),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

pub(crate) struct Archive {
    tar: Builder<GzEncoder<BufWriter<Output>>>,
    folder: String,
    /// Seconds since 1970, the time of all files.
    at: u64,
    files: Vec<(String, u64)>,
    missing: Vec<String>,
    cut: Vec<String>,
}

impl Archive {
    /// An archive whose files are in `folder`, made `at` this many seconds after 1970.
    pub(crate) fn new(output: Output, folder: &str, at: u64) -> Self {
        let gzip = GzEncoder::new(BufWriter::new(output), Compression::default());
        Self {
            tar: Builder::new(gzip),
            folder: folder.to_owned(),
            at,
            files: Vec::new(),
            missing: Vec::new(),
            cut: Vec::new(),
        }
    }

    fn append(&mut self, path: &str, size: u64, content: impl io::Read) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(self.at);
        header.set_size(size);
        let name = format!("{}/{path}", self.folder);
        self.tar
            .append_data(&mut header, name, content)
            .map_err(|e| unwritable(&e))?;
        self.files.push((path.to_owned(), size));
        Ok(())
    }

    /// Adds a text, which is cut when it is too long.
    pub(crate) fn text(&mut self, path: &str, text: &str) -> Result<()> {
        let mut end = text.len().min(LARGEST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if end < text.len() {
            self.cut(format!("{path}: the first {end} of {} bytes", text.len()));
        }
        self.append(path, end as u64, &text.as_bytes()[..end])
    }

    pub(crate) fn file(&mut self, path: &str, mut file: File) -> Result<()> {
        let size = file
            .stream_position()
            .and_then(|size| file.rewind().map(|()| size))
            .map_err(|e| unwritable(&e))?;
        self.append(path, size, file)
    }

    pub(crate) fn missing(&mut self, what: &str, why: &str) {
        self.missing.push(format!("{what}: {why}"));
    }

    /// Notes what is not in it as a whole.
    pub(crate) fn cut(&mut self, what: String) {
        self.cut.push(what);
    }

    /// Number of files, and of what could not be read.
    pub(crate) fn numbers(&self) -> (usize, usize) {
        (self.files.len(), self.missing.len())
    }

    /// Writes the index, after `head`, and ends the archive.
    ///
    /// # Errors
    /// When it cannot be written, or a file of its name was made meanwhile.
    pub(crate) fn finish(mut self, head: &str, clean: impl Fn(&str) -> String) -> Result<()> {
        let mut index = format!("{head}\n## Files\n\n");
        for (path, size) in &self.files {
            let _ = writeln!(index, "{size:>10}  {path}");
        }
        for (title, lines) in [("Could not be read", &self.missing), ("Cut", &self.cut)] {
            let _ = writeln!(index, "\n## {title}\n");
            for line in lines {
                let _ = writeln!(index, "- {}", clean(&line.replace('\n', " ")));
            }
            if lines.is_empty() {
                index.push_str("Nothing.\n");
            }
        }
        self.text("INDEX.md", &index)?;
        let written = self.tar.into_inner().and_then(GzEncoder::finish);
        let mut output = written.map_err(|e| unwritable(&e))?;
        output.flush().map_err(|e| unwritable(&e))?;
        let output = output.into_inner().map_err(|e| unwritable(e.error()))?;
        output.done()
    }
}
