//! docs/causes.md has a row for every cause, and no other.

use super::CauseKind;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/causes.md");

fn table() -> String {
    let mut kinds: Vec<_> = CauseKind::ALL.iter().collect();
    // Stable: within one severity in the order of the code.
    kinds.sort_by_key(|kind| kind.severity());
    let rows = kinds
        .into_iter()
        .map(|kind| format!("| `{kind}` | {} | {} |\n", kind.severity(), kind.meaning()));
    format!(
        "| cause | severity | meaning |\n|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

#[test]
fn the_documented_causes_are_those_of_the_code() {
    let text = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = text.split_once("<!-- causes -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{before}<!-- causes -->\n{}<!-- end -->{after}", table());
        std::fs::write(DOCUMENT, text).unwrap();
    } else {
        assert_eq!(found, table());
    }
}

#[test]
fn ids_are_unique_and_kebab_case() {
    let mut seen = std::collections::BTreeSet::new();
    for kind in CauseKind::ALL {
        assert!(seen.insert(kind.id()), "{kind}");
        assert!(kind.id().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{kind}");
        assert!(kind.meaning().ends_with('.'), "{kind}");
    }
    assert!(seen.len() >= 20);
}
