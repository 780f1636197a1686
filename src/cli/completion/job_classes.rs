//! Candidates for `--job-class`: the classes of the jars in the words before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::image::jar_files;

/// Maximum number of candidates that are listed one by one. Jars that include libraries have tens of thousands of
/// classes.
const MANY: usize = 100;

/// All classes with a name, and a mark for the entry class.
pub(super) fn of(jars: &[String]) -> Vec<(String, String)> {
    let mut found = BTreeMap::new();
    for name in jars.iter().filter(|name| !name.contains("://")) {
        let Ok(jar) = jar_files::read(&path(name)) else {
            continue;
        };
        let outer = jar.classes.into_iter().filter(|class| !class.contains('$'));
        found.extend(outer.map(|class| (class, String::new())));
        if let Some(class) = jar.entry_class {
            found.insert(class, format!("entry class of {name}"));
        }
    }
    found.into_iter().collect()
}

/// Expands a path like the shell: in an unfinished word the home folder is not expanded yet.
fn path(word: &str) -> PathBuf {
    match (word.strip_prefix("~/"), dirs::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(word),
    }
}

/// The same candidates in steps: if there are too many, the packages up to their next dot. `typed` is the length of
/// their common prefix.
pub(super) fn shortened(found: Vec<(String, String)>, typed: usize) -> Vec<(String, String)> {
    if found.len() <= MANY {
        return found;
    }
    let mut typed = typed;
    loop {
        let mut short = BTreeMap::new();
        for (class, help) in &found {
            let dot = class.get(typed..).and_then(|rest| rest.find('.'));
            let (name, help) = match dot {
                Some(dot) => (&class[..=typed + dot], ""),
                None => (class.as_str(), help.as_str()),
            };
            short.insert(name.to_owned(), help.to_owned());
        }
        // A single package leaves no choice.
        match short.first_key_value() {
            Some((only, _)) if short.len() == 1 && only.ends_with('.') => typed = only.len(),
            _ => return short.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_classes_are_chosen_by_their_packages() {
        let class = |name: String| (name, String::new());
        let few: Vec<_> = (0..100).map(|n| class(format!("com.a.C{n}"))).collect();
        assert_eq!(shortened(few.clone(), 0), few);
        let mut many = few.clone();
        many.extend([class("com.b.c.D".to_owned()), class("com.Main".to_owned())]);
        let names = |typed: usize| {
            let short = shortened(many.clone(), typed).into_iter();
            short.map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(0), ["com.Main", "com.a.", "com.b."]);
        assert_eq!(names("com.".len()), ["com.Main", "com.a.", "com.b."]);
        let more: Vec<_> = (100..300).map(|n| class(format!("com.a.C{n}"))).collect();
        assert_eq!(shortened(more.clone(), 0), more, "the one package is passed over");
    }
}
