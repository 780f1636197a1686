//! A layer of files on disk, without a copy of it: its bytes are computed when they are needed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Crc;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::image::assemble::NewLayer;
use crate::image::digest::Digest;
use crate::image::layer_files::{Entry, LayerSource, TargetFolder};
use crate::image::layer_tar::{Layout, TarPart};
use crate::image::stored_gzip::{Run, Stored};

/// Number of bytes read at once.
const CHUNK: usize = 256 << 10;

/// A file to add to an image.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) path: PathBuf,
    pub(crate) source: LayerSource,
}

fn choose(path: &Path, name: String, place: TargetFolder) -> Result<Chosen> {
    let unreadable = |e| Error::unreadable_file(path, e);
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::usage(format!("{} is not a file", path.display())));
    }
    #[cfg(unix)]
    let executable = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0;
    #[cfg(not(unix))]
    let executable = false;
    let source = LayerSource {
        name,
        place,
        size: metadata.len(),
        executable,
    };
    Ok(Chosen {
        path: path.to_owned(),
        source,
    })
}

/// Selects a plugin: a directory with all its contents, or a single jar.
fn choose_plugin(path: &Path) -> Result<Vec<Chosen>> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let wrong = || Error::usage(format!("--plugin {}: it has no name", path.display()));
    if !path.is_dir() {
        let stem = path.file_stem().ok_or_else(wrong)?.to_string_lossy().into_owned();
        return Ok(vec![choose(
            path,
            name(path).ok_or_else(wrong)?,
            TargetFolder::Plugin(stem),
        )?]);
    }
    // Also for `plugins/.` and `..`.
    let plugin = match name(path) {
        Some(name) => name,
        None => path
            .canonicalize()
            .ok()
            .and_then(|path| name(&path))
            .ok_or_else(wrong)?,
    };
    let mut chosen = Vec::new();
    walk(path, "", &plugin, &mut chosen)?;
    if chosen.is_empty() {
        return Err(Error::usage(format!(
            "--plugin {}: there is no file in it",
            path.display()
        )));
    }
    Ok(chosen)
}

fn walk(folder: &Path, below: &str, plugin: &str, chosen: &mut Vec<Chosen>) -> Result<()> {
    let unreadable = |e| Error::unreadable_file(folder, e);
    // A link to a parent directory would never end.
    if below.matches('/').count() > 16 {
        return Err(Error::usage(format!("{} is too deep for a plugin", folder.display())));
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            walk(&path, &format!("{below}{name}/"), plugin, chosen)?;
        } else {
            chosen.push(choose(
                &path,
                format!("{below}{name}"),
                TargetFolder::Plugin(plugin.to_owned()),
            )?);
        }
    }
    Ok(())
}

pub(crate) struct LayerFile {
    layout: Layout,
    stored: Stored,
    files: Vec<PathBuf>,
    checksum: u32,
    pub(crate) layer: NewLayer,
}

/// The file that was read last: most reads continue in it.
#[derive(Default)]
struct Open(Option<(usize, File, u64)>);

impl LayerFile {
    /// Reads all files once, for the digests.
    pub(crate) fn new(entries: &[Entry], files: Vec<PathBuf>) -> Result<Self> {
        let layout = Layout::new(entries)?;
        let stored = Stored::new(layout.size);
        let unreadable = |e: io::Error| Error::failure("cannot read what goes into the image").because(e);
        let (mut crc, mut plain, mut packed) = (Crc::new(), Sha256::new(), Sha256::new());
        let (mut open, mut buffer, mut offset) = (Open::default(), vec![0; CHUNK], 0);
        // The checksum comes after all data, when it is known.
        while let Some(run) = stored.run(offset, crc.sum()) {
            let count = match run {
                Run::Bytes(bytes) => {
                    packed.update(&bytes);
                    bytes.len()
                }
                Run::Data { offset, length } => {
                    let count = open
                        .read(&layout, &files, offset, length, &mut buffer)
                        .map_err(unreadable)?;
                    crc.update(&buffer[..count]);
                    plain.update(&buffer[..count]);
                    packed.update(&buffer[..count]);
                    count
                }
            };
            offset += count as u64;
        }
        let layer = NewLayer {
            digest: Digest::from_hasher(packed),
            size: stored.size(),
            diff_id: Digest::from_hasher(plain),
        };
        Ok(Self {
            layout,
            stored,
            files,
            checksum: crc.sum(),
            layer,
        })
    }

    /// The compressed layer from `offset` on.
    pub(crate) fn reader(self: &Arc<Self>, offset: u64) -> Packed {
        Packed {
            layer: Arc::clone(self),
            offset,
            open: Open::default(),
        }
    }
}

impl Open {
    /// Reads from the tar, at most `length` bytes from `offset` on.
    fn read(
        &mut self,
        layout: &Layout,
        files: &[PathBuf],
        offset: u64,
        length: u64,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let (part, within) = layout.at(offset).ok_or(io::ErrorKind::UnexpectedEof)?;
        let most = length.min(part.size() - within).min(buffer.len() as u64);
        let buffer = &mut buffer[..usize::try_from(most).unwrap_or_default()];
        match part {
            TarPart::Bytes(bytes) => {
                let start = usize::try_from(within).unwrap_or(usize::MAX);
                let bytes = bytes
                    .get(start..start + buffer.len())
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(bytes);
                Ok(buffer.len())
            }
            TarPart::File(number, _) => {
                let path = &files[*number];
                let with_path = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
                let mut file = match self.0.take() {
                    Some((open, file, at)) if open == *number && at == within => file,
                    _ => {
                        let mut file = File::open(path).map_err(with_path)?;
                        file.seek(SeekFrom::Start(within)).map_err(with_path)?;
                        file
                    }
                };
                let count = file.read(buffer).map_err(with_path)?;
                if count == 0 {
                    return Err(io::Error::other(format!(
                        "{} became shorter while it was read",
                        path.display()
                    )));
                }
                self.0 = Some((*number, file, within + count as u64));
                Ok(count)
            }
        }
    }
}

/// A reader of a compressed layer.
pub(crate) struct Packed {
    layer: Arc<LayerFile>,
    offset: u64,
    open: Open,
}

impl Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let layer = &self.layer;
        let count = match layer.stored.run(self.offset, layer.checksum) {
            None => 0,
            Some(Run::Bytes(bytes)) => {
                let count = bytes.len().min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                count
            }
            Some(Run::Data { offset, length }) => {
                self.open.read(&layer.layout, &layer.files, offset, length, buffer)?
            }
        };
        self.offset += count as u64;
        Ok(count)
    }
}

/// Selects a jar of a job, and checks that it is one.
pub(crate) fn chosen_jar(path: &Path) -> Result<Chosen> {
    super::jar_files::read(path)?;
    choose(path, file_name(path)?, TargetFolder::Usrlib)
}

/// Selects jars of a job, plugins, libraries of Flink, and other files with their paths in the image.
pub(crate) fn chosen_files(
    jars: &[PathBuf],
    plugins: &[PathBuf],
    libraries: &[PathBuf],
    others: &[(String, String)],
) -> Result<Vec<Chosen>> {
    let mut files = Vec::new();
    for jar in jars {
        files.push(chosen_jar(jar)?);
    }
    for plugin in plugins {
        files.extend(choose_plugin(plugin)?);
    }
    for library in libraries {
        files.push(choose(library, file_name(library)?, TargetFolder::Lib)?);
    }
    for (source, destination) in others {
        let path = Path::new(source);
        files.push(choose(path, file_name(path)?, TargetFolder::Path(destination.clone()))?);
    }
    Ok(files)
}

fn file_name(path: &Path) -> Result<String> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::usage(format!("{} has no name", path.display())))?;
    Ok(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::layer_files::{FLINK_HOME, lay_out};

    fn layer(folder: &Path, files: &[(&str, Vec<u8>)]) -> Arc<LayerFile> {
        let mut chosen = Vec::new();
        for (name, content) in files {
            let path = folder.join(name);
            std::fs::write(&path, content).unwrap();
            chosen.push(choose(&path, (*name).to_owned(), TargetFolder::Usrlib).unwrap());
        }
        let sources: Vec<LayerSource> = chosen.iter().map(|chosen| chosen.source.clone()).collect();
        let entries = lay_out(&sources, FLINK_HOME).unwrap();
        Arc::new(LayerFile::new(&entries, chosen.into_iter().map(|chosen| chosen.path).collect()).unwrap())
    }

    #[test]
    fn the_digests_are_those_of_what_is_read_and_do_not_depend_on_the_folder() {
        let content: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let files = [("b.jar", content.clone()), ("a.jar", b"abc".to_vec())];
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) = (layer(one.path(), &files), layer(other.path(), &files));
        assert_eq!(first.layer, second.layer);
        let mut packed = Vec::new();
        first.reader(0).read_to_end(&mut packed).unwrap();
        assert_eq!(packed.len() as u64, first.layer.size);
        assert_eq!(Digest::of(&packed), first.layer.digest);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(Digest::of(&plain), first.layer.diff_id);
        for offset in [5, 20, 1500, 70_000, 200_001, first.layer.size - 3, first.layer.size] {
            let mut rest = Vec::new();
            first.reader(offset).read_to_end(&mut rest).unwrap();
            assert!(rest == packed[usize::try_from(offset).unwrap()..], "{offset}");
        }
        let other = layer(other.path(), &[("b.jar", content), ("a.jar", b"abd".to_vec())]);
        assert_ne!(first.layer.digest, other.layer.digest);
    }

    #[test]
    fn a_file_that_becomes_shorter_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let layer = layer(folder.path(), &[("a.jar", vec![1; 100_000])]);
        std::fs::write(folder.path().join("a.jar"), b"x").unwrap();
        let error = layer.reader(0).read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("a.jar became shorter"), "{error}");
    }

    #[test]
    fn a_plugin_is_a_folder_or_a_jar() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = folder.path().join("s3");
        std::fs::create_dir_all(plugin.join("more")).unwrap();
        std::fs::write(plugin.join("a.jar"), b"a").unwrap();
        std::fs::write(plugin.join("more/b.jar"), b"b").unwrap();
        let mut chosen = choose_plugin(&plugin).unwrap();
        chosen.sort_by(|a, b| a.source.name.cmp(&b.source.name));
        let names: Vec<_> = chosen
            .iter()
            .map(|chosen| (chosen.source.name.as_str(), &chosen.source.place))
            .collect();
        let place = TargetFolder::Plugin("s3".to_owned());
        assert_eq!(names, [("a.jar", &place), ("more/b.jar", &place)]);
        let single = choose_plugin(&plugin.join("a.jar")).unwrap();
        assert_eq!(single[0].source.place, TargetFolder::Plugin("a".to_owned()));
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(choose_plugin(&folder.path().join("empty")).is_err());
        assert!(
            choose(folder.path(), "x".to_owned(), TargetFolder::Usrlib).is_err(),
            "a folder is no jar"
        );
    }
}
