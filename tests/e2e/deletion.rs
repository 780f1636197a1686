//! Several clusters at once. None of them has an image, so no JVM is started.

use crate::place::Place;

fn clusters(place: &Place) -> Vec<String> {
    let jobs = place.kubectl(&["get", "jobs", "-o", "name"]);
    let mut jobs: Vec<String> = jobs
        .lines()
        .map(|job| {
            job.trim_start_matches("job.batch/")
                .trim_end_matches("-master")
                .to_owned()
        })
        .collect();
    jobs.sort();
    jobs
}

#[test]
fn several_clusters_are_deleted_by_name_by_label_and_all() {
    let place = Place::new("several");
    for (name, team) in [("a", "red"), ("b", "red"), ("c", "blue"), ("d", "blue"), ("e", "blue")] {
        let label = format!("team={team}");
        place
            .create(name, &["--image=absent-job:2.3.0", "--no-wait", "--label", &label])
            .ok();
    }
    assert_eq!(clusters(&place), ["a", "b", "c", "d", "e"]);

    // Nothing is deleted unasked, and there is no terminal to ask on.
    place.flink(&["delete", "a"]).exits(2).reports(&["--yes"]);
    place.flink(&["delete", "a", "--dry-run"]).ok();
    assert_eq!(clusters(&place), ["a", "b", "c", "d", "e"]);

    let run = place.flink(&["delete", "a", "absent", "c", "--yes"]).exits(3);
    assert_eq!(run.stdout, "cluster/a deleted\ncluster/c deleted\n");
    run.reports(&["no cluster \"absent\""]);
    assert_eq!(clusters(&place), ["b", "d", "e"]);

    place.flink(&["delete", "-l", "team=red", "--yes"]).ok();
    assert_eq!(clusters(&place), ["d", "e"]);

    place.flink(&["delete", "--all", "--yes", "--purge"]).ok();
    place.left_with(&["configmap/a-history", "configmap/b-history", "configmap/c-history"]);
    for name in ["a", "b", "c"] {
        place.flink(&["delete", name, "--yes", "--purge"]).ok();
    }
    place.left_with(&[]);
}
