//! Finds idle TaskManagers, whose job has ended.

use k8s_openapi::jiff::Timestamp;

use super::{Parts, Status};

impl Parts {
    /// TaskManagers of a job that has ended.
    pub(crate) fn idle(&self, now: Timestamp) -> u32 {
        match self.status(now) {
            Status::Finished | Status::Failed => self.deployment.as_ref().map_or(0, |part| part.desired),
            _ => 0,
        }
    }
}

/// The first few of many names.
pub(crate) fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    match names.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_cut_short() {
        assert_eq!(some_of(&["a", "b"]), "a, b");
        let expected = "a, b, c, d, e and 2 more";
        assert_eq!(some_of(&["a", "b", "c", "d", "e", "f", "g"]), expected);
    }
}
