//! A SQL script as the job of a cluster.

use std::fs;

use crate::place::{Place, SMALL, STORAGE, flink_version, soon};

/// Numbers go into files, each once, as soon as a checkpoint is completed.
fn script(more: &str) -> String {
    format!(
        "CREATE TEMPORARY TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '50',\n  \
         'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '1000000');\n\
         CREATE TEMPORARY TABLE sink (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'file:///storage/out',\n  \
         'format' = 'csv', 'sink.rolling-policy.rollover-interval' = '1s', 'sink.rolling-policy.check-interval' = '1s');\n\
         INSERT INTO sink SELECT n FROM numbers{more};\n"
    )
}

/// The rows in the sink's files, sorted.
fn rows(place: &Place) -> Vec<u64> {
    let storage = std::env::var("BED_STORAGE").expect("the rows are read on the test cluster");
    let folder = std::path::Path::new(&storage).join(&place.namespace).join("out");
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let parts = files.filter(|file| file.file_name().to_string_lossy().starts_with("part-"));
    let texts: Vec<String> = parts.filter_map(|part| fs::read_to_string(part.path()).ok()).collect();
    let mut rows: Vec<u64> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|row| row.parse().ok())
        .collect();
    rows.sort_unstable();
    rows
}

#[test]
fn a_script_runs_as_an_application_and_resumes_from_its_state() {
    let place = Place::with_storage("sql");
    let file = place.folder().join("job.sql");
    let path = file.to_str().unwrap().to_owned();
    fs::write(&file, script("")).unwrap();
    let image = format!("--image=sql:{}", flink_version());
    let sql = [
        "create",
        "demo",
        image.as_str(),
        "--sql",
        &path,
        "-D",
        "execution.checkpointing.interval=2s",
    ];
    place.flink(&[&sql[..], &SMALL, &STORAGE].concat()).ok();
    let before = soon("rows are written", || {
        Some(rows(&place)).filter(|rows| rows.len() > 100)
    });

    // Another script, with the state of the first: the source continues where it was.
    fs::write(&file, script(" WHERE n > 0")).unwrap();
    let differs = place.flink(&["diff", "demo", "--sql", &path]).exits(1);
    assert!(differs.stdout.contains("WHERE n > 0"), "{differs}");
    fs::write(&file, script("")).unwrap();
    place.flink(&["upgrade", "demo", "--sql", &path, "--env", "A=1"]).ok();
    place.flink(&["suspend", "demo"]).ok();
    place.flink(&["resume", "demo"]).ok();
    let after = soon("more rows are written", || {
        Some(rows(&place)).filter(|rows| rows.len() > before.len() + 200)
    });
    let wanted: Vec<u64> = (1..).take(after.len()).collect();
    assert_eq!(after, wanted, "each row is there once");
}

#[test]
fn releases_before_2_0_are_refused() {
    let place = Place::new("oldsql");
    let file = place.folder().join("job.sql");
    fs::write(&file, "SELECT 1;").unwrap();
    let sql = [
        "create",
        "demo",
        "--image",
        "flink:1.20.5",
        "--sql",
        file.to_str().unwrap(),
    ];
    place
        .flink(&sql)
        .exits(2)
        .reports(&["Flink 1.20 cannot run a SQL script", "came with 2.0"]);
}
