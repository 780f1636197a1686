//! Finds the word that the user probably meant.

/// The known word that is most similar to `word`; `None` if none is similar enough: of short words too many differ in one letter
/// or two.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            let shorter = candidate.len().min(word.len());
            *distance <= if shorter < 5 { shorter / 3 } else { 1 + shorter / 4 }
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_distinguished_from_another_word() {
        let known = ["image", "savepoint-dir", "ha"];
        assert_eq!(nearest("imgae", known), Some("image"));
        assert_eq!(nearest("savepointDir", known), Some("savepoint-dir"));
        assert_eq!(nearest("Image", known), Some("image"));
        assert_eq!(nearest("parallelism", known), None);
        assert_eq!(nearest("image", []), None);
        let names = ["jobs", "b", "shop"];
        for other in ["a", "logs", "c2", "soap"] {
            assert_eq!(nearest(other, names), None, "{other}");
        }
        assert_eq!(nearest("shpo", names), Some("shop"));
    }
}
