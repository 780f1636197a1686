//! What the names of causes must be. `tests/cli/reference.rs` holds docs/causes.md against them.

use super::CauseKind;

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
