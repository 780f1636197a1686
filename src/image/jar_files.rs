//! Reads jars of jobs on disk.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::error::{Error, Result};
use crate::image::jar::{self, Jar, nearest};

/// Flink's program that runs Python, which is in no jar of a job. Source: Flink's `PackagedProgramUtils.isPython`, before
/// which its entrypoint looks for no class in `usrlib`.
const PYTHON: &str = "org.apache.flink.client.python.PythonDriver";

pub(crate) fn read(path: &Path) -> Result<Jar> {
    let wrong = |why: &str| Error::usage(format!("--jar {}: {why}", path.display()));
    let file = File::open(path).map_err(|e| wrong(&format!("it cannot be read: {e}")))?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(wrong("it is not a file"));
    }
    jar::read(BufReader::new(file)).map_err(|why| wrong(&why))
}

/// The entry class of a job with these jars: the requested one, the one in a jar's manifest, or the job's former one.
///
/// # Errors
/// Usage errors when the class is in none of the jars, and when there is no entry class or several.
pub(crate) fn entry_class(jars: &[(String, Jar)], asked: Option<&str>, before: Option<&str>) -> Result<String> {
    let there = |class: &str| {
        class == PYTHON
            || jars
                .iter()
                .any(|(_, jar)| jar.classes.binary_search_by(|other| other.as_str().cmp(class)).is_ok())
    };
    let names: Vec<&str> = jars.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(" and ");
    let missing = |class: &str| {
        let all: Vec<String> = jars.iter().flat_map(|(_, jar)| jar.classes.clone()).collect();
        let error = Error::usage(format!("there is no class {class} in {names}"));
        match nearest(class, &all) {
            near if near.is_empty() => error.hint("--job-class CLASS names another"),
            near => error.hint(format!("in it is {}", near.join(", "))),
        }
    };
    if let Some(class) = asked {
        return there(class).then(|| class.to_owned()).ok_or_else(|| missing(class));
    }
    let mut named: Vec<&str> = jars.iter().filter_map(|(_, jar)| jar.entry_class.as_deref()).collect();
    named.sort_unstable();
    named.dedup();
    match (named.as_slice(), before) {
        ([class], _) if there(class) => Ok((*class).to_owned()),
        ([class], _) => Err(missing(class).hint(format!("the manifest of {names} names it as its entry class"))),
        (_, Some(class)) if there(class) => Ok(class.to_owned()),
        ([], _) => {
            Err(Error::usage(format!("{names} names no entry class in its manifest"))
                .hint("--job-class CLASS names it"))
        }
        (several, _) => Err(
            Error::usage(format!("the jars name different entry classes: {}", several.join(", ")))
                .hint("--job-class CLASS chooses one"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(name: &str, entry: Option<&str>, classes: &[&str]) -> (String, Jar) {
        let classes = classes.iter().map(|class| (*class).to_owned()).collect();
        (
            name.to_owned(),
            Jar {
                entry_class: entry.map(ToOwned::to_owned),
                classes,
                java: None,
            },
        )
    }

    #[test]
    fn what_is_asked_for_wins_over_the_manifest_and_that_over_what_was() {
        let jars = [jar("a.jar", Some("a.Main"), &["a.Main", "a.Old", "a.Other"])];
        assert_eq!(entry_class(&jars, Some("a.Other"), None).unwrap(), "a.Other");
        assert_eq!(entry_class(&jars, None, Some("a.Old")).unwrap(), "a.Main");
        let silent = [jar("a.jar", None, &["a.Old"])];
        assert_eq!(entry_class(&silent, None, Some("a.Old")).unwrap(), "a.Old");
        let library = [
            jar("a.jar", Some("a.Main"), &["a.Main"]),
            jar("b.jar", None, &["b.Other"]),
        ];
        assert_eq!(entry_class(&library, None, None).unwrap(), "a.Main");
    }

    #[test]
    fn a_python_program_may_have_jars_of_connectors() {
        let connector = [jar("kafka.jar", None, &["a.Source"])];
        assert_eq!(entry_class(&connector, Some(PYTHON), None).unwrap(), PYTHON);
        assert_eq!(entry_class(&connector, None, Some(PYTHON)).unwrap(), PYTHON);
    }

    #[test]
    fn a_missing_class_is_reported_with_the_nearest() {
        let jars = [jar("a.jar", Some("a.Main"), &["a.Main", "a.WordCount"])];
        let error = entry_class(&jars, Some("a.Wordcount"), None).unwrap_err();
        assert_eq!(error.message, "there is no class a.Wordcount in a.jar");
        assert_eq!(error.hints, ["in it is a.WordCount"]);
        let lying = [jar("a.jar", Some("b.Main"), &["a.Main"])];
        assert!(entry_class(&lying, None, None).unwrap_err().hints[1].contains("manifest"));
    }

    #[test]
    fn nothing_is_guessed() {
        let silent = [jar("a.jar", None, &["a.Main"])];
        let refusal = |jars: &[(String, Jar)]| entry_class(jars, None, None).unwrap_err().message;
        assert!(refusal(&silent).contains("no entry class"));
        let two = [
            jar("a.jar", Some("a.Main"), &["a.Main"]),
            jar("b.jar", Some("b.Main"), &["b.Main"]),
        ];
        assert!(refusal(&two).contains("a.Main, b.Main"));
    }
}
