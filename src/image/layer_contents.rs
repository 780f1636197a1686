//! The contents of an image's layers that matter to Flink.

use std::collections::BTreeMap;

/// Maximum bytes stored of a jar in a layer, to read its manifest.
const START_OF_JAR: usize = 64 << 10;
/// Maximum bytes of a runtime's file `release`.
const RELEASE: u64 = 16 << 10;

/// A file of a layer that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) size: u64,
    /// Its start, as far as it is needed.
    pub(crate) start: Vec<u8>,
}

/// The changes of one layer: files that it adds, `None` for those that it deletes.
pub(crate) type Changes = BTreeMap<String, Option<Found>>;

/// Which part of a layer's entry is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Name,
    /// Its start too.
    Start(usize),
    Nothing,
}

/// Which part of an entry is needed for Flink, whose home is `home` (without its first slash).
pub(crate) fn wanted(path: &str, size: u64, home: &str) -> Interest {
    let Some(rest) = path.strip_prefix(home).and_then(|rest| rest.strip_prefix('/')) else {
        // The runtime of every JDK and JRE has this file.
        let runtime =
            path.ends_with("/release") && (path.contains("jvm/") || path.contains("java/") || path.contains("openjdk"));
        return if runtime && size <= RELEASE {
            Interest::Start(START_OF_JAR)
        } else {
            Interest::Nothing
        };
    };
    let jar = is_jar(rest);
    match rest.split('/').next() {
        Some("usrlib") if jar => Interest::Start(START_OF_JAR),
        Some("usrlib" | "plugins" | "lib") => Interest::Name,
        _ => Interest::Nothing,
    }
}

/// Whether Flink treats a path as a jar.
pub(crate) fn is_jar(path: &str) -> bool {
    std::path::Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "jar")
}

/// Records an entry of a layer. Names that start with `.wh.` delete a lower file (OCI image specification,
/// "Whiteouts").
pub(crate) fn note(changes: &mut Changes, path: &str, found: Found) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name == ".wh..wh..opq" {
        changes.insert(format!("{folder}/"), None);
    } else if let Some(deleted) = name.strip_prefix(".wh.") {
        changes.insert(format!("{folder}/{deleted}"), None);
    } else {
        changes.insert(path.to_owned(), Some(found));
    }
}

pub(crate) fn is_deletion(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(".wh."))
}

/// The visible files in an image of these layers, from the bottom up.
pub(crate) fn merged(layers: Vec<Changes>) -> BTreeMap<String, Found> {
    let mut seen: BTreeMap<String, Found> = BTreeMap::new();
    for layer in layers {
        // A layer deletes files of lower layers, never its own.
        for (path, _) in layer.iter().filter(|(_, change)| change.is_none()) {
            let folder = format!("{}/", path.trim_end_matches('/'));
            seen.retain(|other, _| other != path && !other.starts_with(&folder));
        }
        seen.extend(layer.into_iter().filter_map(|(path, found)| Some((path, found?))));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(paths: &[&str]) -> Changes {
        let mut changes = Changes::new();
        for path in paths {
            note(
                &mut changes,
                path,
                Found {
                    size: 1,
                    start: Vec::new(),
                },
            );
        }
        changes
    }

    #[test]
    fn upper_layers_delete_and_add() {
        let layers = vec![
            layer(&[
                "opt/flink/usrlib/a.jar",
                "opt/flink/usrlib/b.jar",
                "opt/flink/lib/c.jar",
            ]),
            layer(&["opt/flink/usrlib/.wh.a.jar", "opt/flink/usrlib/d.jar"]),
        ];
        let names: Vec<String> = merged(layers).into_keys().collect();
        assert_eq!(
            names,
            [
                "opt/flink/lib/c.jar",
                "opt/flink/usrlib/b.jar",
                "opt/flink/usrlib/d.jar"
            ]
        );
        let layers = vec![
            layer(&["opt/flink/usrlib/a.jar"]),
            layer(&["opt/flink/usrlib/.wh..wh..opq", "opt/flink/usrlib/e.jar"]),
        ];
        let names: Vec<String> = merged(layers).into_keys().collect();
        assert_eq!(names, ["opt/flink/usrlib/e.jar"]);
        let layers = vec![layer(&["opt/flink/usrlib/a.jar"]), layer(&["opt/flink/.wh.usrlib"])];
        assert!(merged(layers).is_empty());
    }

    #[test]
    fn only_what_concerns_flink_is_wanted() {
        let home = "opt/flink";
        assert_eq!(wanted("opt/flink/usrlib/a.jar", 1, home), Interest::Start(START_OF_JAR));
        assert_eq!(wanted("opt/flink/lib/flink-dist-2.3.0.jar", 1, home), Interest::Name);
        assert_eq!(wanted("opt/flink/plugins/s3/x.jar", 1, home), Interest::Name);
        let expected = Interest::Start(START_OF_JAR);
        assert_eq!(wanted("opt/java/openjdk/release", 1000, home), expected);
        assert_eq!(wanted("opt/java/openjdk/release", 1 << 20, home), Interest::Nothing);
        assert_eq!(wanted("opt/flinkish/usrlib/a.jar", 1, home), Interest::Nothing);
        assert_eq!(wanted("usr/bin/java", 1, home), Interest::Nothing);
    }
}
