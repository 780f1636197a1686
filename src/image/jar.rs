//! Reads jars: their manifest, their classes, and the Java that they are built for.

use std::io::{Read, Seek};

use zip::ZipArchive;

use super::java;

/// The path of a jar's manifest.
pub(crate) const MANIFEST: &str = "META-INF/MANIFEST.MF";
/// Maximum bytes of a manifest to read.
const LARGEST_MANIFEST: u64 = 4 << 20;
/// Number of similar names to show if one was not found.
const NEAREST: usize = 3;
/// Minimum similarity of a name to show, of 1.
const LIKE: f64 = 0.6;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jar {
    /// The entry class in its manifest: `program-class`, Flink's own attribute, takes precedence over `Main-Class`.
    ///
    /// Source: Flink's `JarManifestParser.findEntryClass`.
    pub(crate) entry_class: Option<String>,
    /// Its class names in Java's notation, sorted.
    pub(crate) classes: Vec<String>,
    /// The Java that the entry class needs, or any class if there is no entry class.
    pub(crate) java: Option<u16>,
}

/// Reads a jar.
///
/// # Errors
/// Why it is not a jar.
pub(crate) fn read(jar: impl Read + Seek) -> Result<Jar, String> {
    let mut archive = ZipArchive::new(jar).map_err(|e| format!("it is not a jar: {e}"))?;
    let entry_class = match archive.by_name(MANIFEST) {
        Ok(file) => {
            let mut text = Vec::new();
            file.take(LARGEST_MANIFEST)
                .read_to_end(&mut text)
                .map_err(|e| format!("its manifest cannot be read: {e}"))?;
            entry_class(&String::from_utf8_lossy(&text))
        }
        Err(_) => None,
    };
    let mut classes: Vec<String> = archive
        .file_names()
        .filter_map(|name| class_of_path(&name.ok()?))
        .collect();
    classes.sort_unstable();
    classes.dedup();
    let looked_at = entry_class
        .as_ref()
        .filter(|class| classes.binary_search(class).is_ok())
        .or(classes.first());
    let java = looked_at.and_then(|class| java_of(&mut archive, class));
    Ok(Jar {
        entry_class,
        classes,
        java,
    })
}

/// The class of an entry: `a.B$C` for `a/B$C.class`. `None` for an entry that is not a named class.
fn class_of_path(path: &str) -> Option<String> {
    let name = path.strip_suffix(".class")?;
    // Class versions for newer Javas are below META-INF/versions; each has a plain one beside it.
    let special = name.starts_with("META-INF/") || name.ends_with("module-info") || name.ends_with("package-info");
    let anonymous = name
        .rsplit('$')
        .next()
        .is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    let named = !anonymous || !name.contains('$');
    (!special && named).then(|| name.replace('/', "."))
}

fn java_of(archive: &mut ZipArchive<impl Read + Seek>, class: &str) -> Option<u16> {
    let mut start = [0; 8];
    let path = format!("{}.class", class.replace('.', "/"));
    archive.by_name(&path).ok()?.read_exact(&mut start).ok()?;
    java::of_class_file(&start)
}

/// The entry class in a manifest's main section.
///
/// Source: JAR File Specification. A line that starts with a space continues the previous one.
pub(crate) fn entry_class(manifest: &str) -> Option<String> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    for line in manifest.split(['\n', '\r']).filter(|line| !line.is_empty()) {
        match (line.strip_prefix(' '), attributes.last_mut(), line.split_once(':')) {
            (Some(more), Some((_, value)), _) => value.push_str(more),
            (None, _, Some((name, value))) => {
                // Sections of single files come after the main one and start with their names.
                if name.eq_ignore_ascii_case("Name") {
                    break;
                }
                attributes.push((name.to_ascii_lowercase(), value.trim_start().to_owned()));
            }
            _ => {}
        }
    }
    let value = |wanted: &str| {
        let found = attributes.iter().find(|(name, _)| name == wanted)?;
        Some(found.1.trim().to_owned()).filter(|value| !value.is_empty())
    };
    value("program-class").or_else(|| value("main-class"))
}

/// The entry class of a jar of which only the start is known, such as one in a layer. The manifest is the first file of
/// a jar, or the first after its directory: `JarInputStream` finds it nowhere else.
pub(crate) fn entry_class_of_start(start: &[u8]) -> Option<String> {
    let mut entries = Entries(start).take(2);
    let (_, content) = entries.find(|(path, _)| path == MANIFEST.as_bytes())?;
    // The missing rest of a longer manifest matters no more than the rest of the jar.
    entry_class(&String::from_utf8_lossy(&content))
}

/// The Java that a jar is built for, of which only the start is known: from its entry class if that is included,
/// otherwise from the first class. Build tools put libraries after the program's own classes.
pub(crate) fn java_of_start(start: &[u8], entry_class: Option<&str>) -> Option<u16> {
    let mut first = None;
    for (path, content) in Entries(start) {
        let Some(class) = std::str::from_utf8(&path).ok().and_then(class_of_path) else {
            continue;
        };
        let java = java::of_class_file(&content);
        if entry_class == Some(class.as_str()) {
            return java;
        }
        first = first.or(java);
    }
    first
}

/// The files of an archive of which only the start is known, from the header before each: as many as there are, and the
/// start of a truncated one. Source: PKWARE's APPNOTE, 4.3.7 and 4.3.9.
struct Entries<'a>(&'a [u8]);

impl Iterator for Entries<'_> {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.0;
        let header = start.get(..30).filter(|header| header.starts_with(b"PK\x03\x04"))?;
        let number = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let (flags, method, name, extra) = (number(6), number(8), number(26), number(28));
        let size = number(18) | number(20) << 16;
        let path = start.get(30..30 + name)?.to_vec();
        let data = start.get(30 + name + extra..)?;
        let mut content = Vec::new();
        let read = if method == 8 {
            let mut decoder = flate2::bufread::DeflateDecoder::new(data);
            let whole = decoder
                .by_ref()
                .take(LARGEST_MANIFEST)
                .read_to_end(&mut content)
                .is_ok();
            let read = usize::try_from(decoder.total_in()).unwrap_or(usize::MAX);
            if whole { read } else { data.len() }
        } else {
            content.extend(data.get(..size).unwrap_or(data));
            size
        };
        let mut rest = data.get(read..).unwrap_or_default();
        if flags & 8 != 0 {
            // Sizes that were unknown in advance come after the file, usually behind a signature.
            let signed = rest.starts_with(b"PK\x07\x08");
            rest = rest.get(if signed { 16 } else { 12 }..).unwrap_or_default();
        }
        self.0 = rest;
        Some((path, content))
    }
}

/// Names that are similar to `class`, the most similar first: a class of the same simple name in another package comes
/// first.
pub(crate) fn nearest<'a>(class: &str, classes: &'a [String]) -> Vec<&'a str> {
    let simple = |name: &str| name.rsplit(['.', '$']).next().unwrap_or_default().to_lowercase();
    let wanted = simple(class);
    let mut likely: Vec<(f64, &str)> = classes
        .iter()
        .map(|name| {
            let likeness = strsim::normalized_damerau_levenshtein(&wanted, &simple(name));
            (
                likeness + strsim::normalized_damerau_levenshtein(class, name) / 10.0,
                name.as_str(),
            )
        })
        .filter(|(likeness, _)| *likeness >= LIKE)
        .collect();
    likely.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    likely.into_iter().take(NEAREST).map(|(_, name)| name).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::write::SimpleFileOptions;

    pub(crate) fn jar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            let method = zip::CompressionMethod::Deflated;
            writer
                .start_file(*name, SimpleFileOptions::default().compression_method(method))
                .unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    const CLASS: &[u8] = &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61, 0, 0];
    const MAIN: &[u8] = b"Manifest-Version: 1.0\r\nMain-Class: com.example.Job\r\n\r\nName: x\r\nMain-Class: no\r\n";

    #[test]
    fn a_jar_has_its_entry_class_classes_and_java() {
        let jar = jar(&[
            (MANIFEST, MAIN),
            ("com/example/Job.class", CLASS),
            ("com/example/Job$Step.class", CLASS),
            ("com/example/Job$1.class", CLASS),
            ("com/example/package-info.class", CLASS),
            ("META-INF/versions/21/com/example/Job.class", CLASS),
            ("readme.txt", b""),
        ]);
        let read = read(Cursor::new(&jar)).unwrap();
        assert_eq!(read.entry_class.as_deref(), Some("com.example.Job"));
        assert_eq!(read.classes, ["com.example.Job", "com.example.Job$Step"]);
        assert_eq!(read.java, Some(17));
        assert_eq!(entry_class_of_start(&jar).as_deref(), Some("com.example.Job"));
        assert_eq!(entry_class_of_start(&jar[..20]), None);
    }

    #[test]
    fn what_is_no_jar_is_said_to_be_none() {
        assert!(read(Cursor::new(b"#!/bin/sh\n")).unwrap_err().contains("not a jar"));
        assert!(read(Cursor::new(b"")).is_err());
        assert_eq!(entry_class_of_start(b"#!/bin/sh\n"), None);
        let cut = jar(&[(MANIFEST, MAIN)]);
        assert!(read(Cursor::new(&cut[..cut.len() - 10])).is_err());
    }

    #[test]
    fn manifests_are_read_as_java_reads_them() {
        let long = "Manifest-Version: 1.0\nMain-Class: com.example.a.very.long.package.name.that.does.not\n .fit.Job\n";
        let expected = Some("com.example.a.very.long.package.name.that.does.not.fit.Job");
        assert_eq!(entry_class(long).as_deref(), expected);
        let both = "Manifest-Version: 1.0\nMain-Class: a.Main\nprogram-class: a.Program\n";
        assert_eq!(entry_class(both).as_deref(), Some("a.Program"));
        assert_eq!(entry_class("main-class: a.B"), Some("a.B".to_owned()));
        assert_eq!(entry_class("Main-Class: \n"), None);
        assert_eq!(entry_class("Name: x\nMain-Class: a.B\n"), None);
        assert_eq!(entry_class(" \n:\n"), None);
    }

    #[test]
    fn the_nearest_names_are_suggested() {
        let classes: Vec<String> = [
            "com.example.WordCount",
            "com.example.WordCounter",
            "org.other.Job",
            "z.Unrelated",
        ]
        .map(ToOwned::to_owned)
        .to_vec();
        assert_eq!(nearest("com.example.Wordcount", &classes)[0], "com.example.WordCount");
        assert_eq!(nearest("com.exampl.WordCount", &classes)[0], "com.example.WordCount");
        assert_eq!(nearest("Job", &classes), ["org.other.Job"]);
        assert!(nearest("Something", &classes).is_empty());
    }
}
