//! Finds how a job ended, in the JobManager's log.

use crate::model::flink::overview::JobState;

/// The final state of a job: the last one in the log. `None`: the log has none.
///
/// Source: Flink's `Dispatcher` ("Job … reached terminal state FINISHED.", all releases from 1.13 on) and
/// `ClusterEntrypoint` ("… down with application status SUCCEEDED.").
#[must_use]
pub fn of_log(log: &str) -> Option<JobState> {
    log.lines().rev().find_map(|line| {
        let word = |text: &str| {
            let word: String = text.chars().take_while(char::is_ascii_uppercase).collect();
            (!word.is_empty()).then_some(word)
        };
        if let Some((_, state)) = line.split_once(" reached terminal state ") {
            return word(state).map(|state| JobState::of(&state));
        }
        let (_, status) = line.split_once(" down with application status ")?;
        match word(status)?.as_str() {
            "SUCCEEDED" => Some(JobState::Finished),
            "CANCELED" => Some(JobState::Canceled),
            "FAILED" => Some(JobState::Failed),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_state_counts() {
        let log =
            "INFO  … - Job 0 reached terminal state FINISHED.\nINFO - Job 1 reached terminal state CANCELED.\nother\n";
        assert_eq!(of_log(log), Some(JobState::Canceled));
        for (text, want) in [
            (
                "Shutting StandaloneApplicationClusterEntryPoint down with application status SUCCEEDED. Diagnostics null.",
                Some(JobState::Finished),
            ),
            (
                "Shutting X down with application status FAILED. Diagnostics …",
                Some(JobState::Failed),
            ),
            ("Shutting X down with application status UNKNOWN.", None),
            ("", None),
        ] {
            assert_eq!(of_log(text), want, "{text}");
        }
    }
}
