//! The files of the layer, and their paths: jars, plugins, libraries and other files.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};

/// Flink's home if an image does not set another.
pub(crate) const FLINK_HOME: &str = "/opt/flink";
const FILE: u32 = 0o644;
const PROGRAM: u32 = 0o755;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetFolder {
    /// A jar of the job: `usrlib/`.
    Usrlib,
    /// A library of Flink's own class path: `lib/`.
    Lib,
    /// A file of a plugin, by the plugin's name: `plugins/NAME/`.
    Plugin(String),
    Path(String),
}

/// A file on disk to add to the layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerSource {
    /// The path below the target; not used for [`TargetFolder::Path`].
    pub(crate) name: String,
    pub(crate) place: TargetFolder,
    pub(crate) size: u64,
    pub(crate) executable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Path without the first slash; a directory's ends with one.
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Folder,
    File { source: usize, size: u64 },
}

/// Creates the entries of the sources below Flink's home, sorted by path. The layer has no entries for directories that
/// every Flink image has: an entry would change their owner and permissions.
///
/// # Errors
/// Usage errors for paths outside of the image's tree, and for two files of the same path.
pub(crate) fn lay_out(sources: &[LayerSource], home: &str) -> Result<Vec<Entry>> {
    let home = inside(home)?;
    let mut folders = BTreeSet::new();
    let mut files = BTreeMap::new();
    for (number, source) in sources.iter().enumerate() {
        let below = |folder: &str| inside(&format!("/{home}/{folder}/{}", source.name));
        let path = match &source.place {
            TargetFolder::Usrlib => {
                folders.insert(format!("{home}/usrlib/"));
                below("usrlib")?
            }
            TargetFolder::Lib => below("lib")?,
            TargetFolder::Plugin(plugin) => {
                let path = below(&format!("plugins/{plugin}"))?;
                let start = format!("{home}/plugins/");
                // Each parent directory, since a plugin may have its own.
                for (at, _) in path.match_indices('/').filter(|(at, _)| *at >= start.len()) {
                    folders.insert(path[..=at].to_owned());
                }
                path
            }
            TargetFolder::Path(path) if path.ends_with('/') => inside(&format!("{path}{}", source.name))?,
            TargetFolder::Path(path) => inside(path)?,
        };
        let entry = Entry {
            path: path.clone(),
            mode: if source.executable && matches!(source.place, TargetFolder::Path(_)) {
                PROGRAM
            } else {
                FILE
            },
            content: Content::File {
                source: number,
                size: source.size,
            },
        };
        if files.insert(path.clone(), entry).is_some() {
            return Err(Error::usage(format!("two files would be /{path} in the image")));
        }
    }
    for path in files.keys() {
        if let Some(other) = files.keys().find(|other| path.starts_with(&format!("{other}/"))) {
            return Err(Error::usage(format!(
                "/{other} cannot be a file and a folder of the image"
            )));
        }
    }
    let folders = folders.into_iter().map(|path| Entry {
        path,
        mode: 0o755,
        content: Content::Folder,
    });
    let mut entries: Vec<Entry> = folders.chain(files.into_values()).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// The path without its first slash, if it is a valid path in the image.
fn inside(path: &str) -> Result<String> {
    let wrong = |why: &str| Error::usage(format!("{path:?} is not a valid path in the image: {why}"));
    let Some(rest) = path.strip_prefix('/') else {
        return Err(wrong("it must begin with /"));
    };
    for part in rest.split('/') {
        match part {
            "" | "." => return Err(wrong("it must be without empty parts and '.'")),
            ".." => return Err(wrong("it must be without '..'")),
            _ if part.starts_with(".wh.") => {
                return Err(wrong("names that begin with .wh. delete what is below a layer"));
            }
            _ if part.chars().any(char::is_control) => return Err(wrong("it has control characters")),
            _ => {}
        }
    }
    Ok(rest.to_owned())
}

/// Parses `SRC:DST`. Only the last colon before a slash counts, so that drive letters work.
pub(crate) fn source_and_destination(text: &str) -> Result<(String, String)> {
    let wrong = || Error::usage(format!("{text:?} must be SOURCE:/DESTINATION"));
    let at = text.rfind(":/").ok_or_else(wrong)?;
    let (source, destination) = (&text[..at], &text[at + 1..]);
    if source.is_empty() || destination == "/" {
        return Err(wrong());
    }
    inside(destination.trim_end_matches('/'))?;
    Ok((source.to_owned(), destination.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, place: TargetFolder) -> LayerSource {
        LayerSource {
            name: name.to_owned(),
            place,
            size: 1,
            executable: true,
        }
    }

    #[test]
    fn everything_has_its_place_and_the_order_is_that_of_the_paths() {
        let sources = [
            source("z.jar", TargetFolder::Usrlib),
            source("a.jar", TargetFolder::Usrlib),
            source("x.jar", TargetFolder::Lib),
            source("sub/s3.jar", TargetFolder::Plugin("s3".to_owned())),
            source("ignored", TargetFolder::Path("/etc/app/settings".to_owned())),
            source("named", TargetFolder::Path("/usr/bin/".to_owned())),
        ];
        let entries = lay_out(&sources, FLINK_HOME).unwrap();
        let shown: Vec<String> = entries
            .iter()
            .map(|entry| format!("{:o} {}", entry.mode, entry.path))
            .collect();
        assert_eq!(
            shown,
            [
                "755 etc/app/settings",
                "644 opt/flink/lib/x.jar",
                "755 opt/flink/plugins/s3/",
                "755 opt/flink/plugins/s3/sub/",
                "644 opt/flink/plugins/s3/sub/s3.jar",
                "755 opt/flink/usrlib/",
                "644 opt/flink/usrlib/a.jar",
                "644 opt/flink/usrlib/z.jar",
                "755 usr/bin/named",
            ]
        );
        let mut other = sources;
        other.reverse();
        let paths = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.path).collect::<Vec<_>>();
        assert_eq!(
            paths(lay_out(&other, FLINK_HOME).unwrap()),
            paths(entries),
            "the order of the flags is nothing"
        );
    }

    #[test]
    fn nothing_leaves_the_images_tree() {
        for bad in [
            "a:../etc/passwd",
            "a:/../etc/passwd",
            "a:/etc/../../x",
            "a:relative",
            ":/x",
            "a:/",
            "a",
            "a:/x//y",
            "a:/etc/.wh.passwd",
            "a:/x/./y",
            "a:/x\u{1}",
        ] {
            assert!(source_and_destination(bad).is_err(), "{bad}");
        }
        let expected = ("C:\\x\\a".to_owned(), "/b/c".to_owned());
        assert_eq!(source_and_destination("C:\\x\\a:/b/c").unwrap(), expected);
        assert_eq!(source_and_destination("a:/b/").unwrap().1, "/b/");
        assert!(lay_out(&[source("../x", TargetFolder::Usrlib)], FLINK_HOME).is_err());
        assert!(lay_out(&[source("x", TargetFolder::Plugin("..".to_owned()))], FLINK_HOME).is_err());
    }

    #[test]
    fn two_files_of_one_path_are_refused() {
        let twice = [
            source("a.jar", TargetFolder::Usrlib),
            source("a.jar", TargetFolder::Usrlib),
        ];
        let error = lay_out(&twice, FLINK_HOME).unwrap_err();
        assert!(error.message.contains("/opt/flink/usrlib/a.jar"));
        let nested = [
            source("a", TargetFolder::Path("/x".to_owned())),
            source("b", TargetFolder::Path("/x/y".to_owned())),
        ];
        assert!(lay_out(&nested, FLINK_HOME).is_err());
    }
}
