//! A report of a job that runs, with secrets in it, and flame graphs of it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use crate::place::{Place, flink_version};

/// The files of an archive by their paths below its folder.
fn unpacked(path: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        files.insert(path.split_once('/').unwrap().1.to_owned(), content);
    }
    files
}

#[test]
fn a_report_has_everything_but_secrets_and_a_profile_the_frames_of_the_job() {
    let place = Place::new("report");
    place.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: shop}, data: {MODE: planted-in-map}}");
    let flags = [
        "--profiling",
        "--env",
        "DB_PASSWORD=planted-password",
        "--env",
        "MODE=planted-variable",
        "-D",
        "s3.secret-key=planted-option",
        "-D",
        "my.own=planted-own-option",
        "--annotation",
        "example.com/contact=planted-annotation",
        "--",
        "--rate",
        "100000",
        "--url",
        "https://user:planted-url@example.com/x",
        "--broker",
        "planted-argument",
        "--print-args",
        "stdout",
    ];
    place.create("demo", &flags).ok();
    let event = format!(
        "{{apiVersion: v1, kind: Event, metadata: {{name: planted, namespace: {0}}}, type: Warning, reason: Test, \
         message: \"password=planted-event\", involvedObject: {{kind: Job, name: demo-master, namespace: {0}}}}}",
        place.namespace
    );
    place.apply(&event);

    let file = place.folder().join("demo.tar.gz");
    let path = file.to_str().unwrap();
    let run = place.flink(&["report", "demo", "-o", path]).ok();
    assert_eq!(run.stdout, format!("{path}\n"), "{run}");
    let files = unpacked(&file);
    for (path, content) in &files {
        let line = content.lines().find(|line| line.contains("planted-"));
        assert!(line.is_none(), "{path}: {line:?}");
    }
    let log = |role: &str| {
        let start = format!("logs/demo-{role}-");
        let found = files.iter().find(|(path, _)| path.starts_with(&start));
        found.unwrap_or_else(|| panic!("no {start} in {:?}", files.keys())).1
    };
    assert!(
        log("master").contains("switched from state CREATED to RUNNING"),
        "{}",
        log("master")
    );
    assert!(log("task-manager").contains("STARTED "), "{}", log("task-manager"));
    let job = place.job_id("demo");
    for (path, words) in [
        ("status.txt", "demo in ".to_owned()),
        ("why.txt", "job".to_owned()),
        ("kubernetes/job-demo-master.yaml", "-Ds3.secret-key=****".to_owned()),
        (
            "kubernetes/configmap-demo-history.yaml",
            "rest.flamegraph.enabled".to_owned(),
        ),
        ("kubernetes/replicasets.yaml", "demo-task-manager-".to_owned()),
        ("kubernetes/events.yaml", "password=****".to_owned()),
        ("flink/overview.json", flink_version()),
        (&format!("flink/jobs/{job}/checkpoints.json"), "counts".to_owned()),
        (&format!("flink/jobs/{job}/config.json"), "execution-config".to_owned()),
        (
            "flink/effective-configuration.yaml",
            "rest.flamegraph.enabled".to_owned(),
        ),
    ] {
        let content = files
            .get(path)
            .unwrap_or_else(|| panic!("no {path}: {}", files["INDEX.md"]));
        assert!(content.contains(&words), "{path}: {content}");
    }
    place
        .flink(&["report", "demo", "-o", path])
        .exits(2)
        .reports(&["exists already"]);

    flame_graphs(&place);
    profiler(&place);

    // A JobManager that does not answer leaves lines in the index.
    place.kubectl(&["delete", "service", "demo-master", "--wait"]);
    place.flink(&["delete", "demo", "--yes"]).ok();
    place
        .flink(&["wait", "demo", "--for", "deleted", "--timeout", "60s"])
        .ok();
    let file = place.folder().join("gone.tar.gz");
    place.flink(&["report", "demo", "-o", file.to_str().unwrap()]).ok();
    let files = unpacked(&file);
    assert!(
        files["INDEX.md"].contains("Job demo-master: there is none"),
        "{}",
        files["INDEX.md"]
    );
    assert!(
        files.contains_key("kubernetes/configmap-demo-history.yaml"),
        "{:?}",
        files.keys()
    );
}

fn flame_graphs(place: &Place) {
    // The frames of the job are in the tree, and in the picture.
    let file = place.folder().join("numbers.svg");
    let run = place
        .flink(&["profile", "demo", "numbers", "-o", file.to_str().unwrap()])
        .ok();
    assert!(
        run.stdout.contains("%  ") && run.stdout.contains("o.k.j.Ticker"),
        "{run}"
    );
    let picture = std::fs::read_to_string(&file).unwrap();
    assert!(
        picture.starts_with("<svg ") && picture.contains("org.kubectlflink.jobs.Ticker"),
        "{picture}"
    );
    let busiest = place.flink(&["profile", "demo", "--type", "full"]).ok();
    assert!(busiest.stdout.contains("demo: "), "{busiest}");
    place
        .flink(&["profile", "demo", "nothing"])
        .exits(3)
        .reports(&["the vertices are", "numbers"]);
}

fn profiler(place: &Place) {
    let file = place.folder().join("jobmanager.html");
    let path = file.to_str().unwrap();
    let run = place
        .flink(&["profile", "demo", "--jobmanager", "--duration", "3s", "-o", path])
        .ok();
    let page = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{e}: {run}"));
    assert!(page.contains("<html"), "{page}");
    let managers = place.rest("demo", "taskmanagers").unwrap();
    let id = managers["taskmanagers"][0]["id"].as_str().unwrap().to_owned();
    let file = place.folder().join("taskmanager.html");
    let arguments = [
        "profile",
        "demo",
        "--taskmanager",
        &id,
        "--mode",
        "wall",
        "--duration",
        "3s",
        "-o",
        file.to_str().unwrap(),
    ];
    place.flink(&arguments).ok();
    assert!(std::fs::read_to_string(&file).unwrap().contains("<html"));
}
