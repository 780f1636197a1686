//! Starts without helper JVMs: the parameters of memory are those of each release's own scripts, as `tests/direct` has
//! recorded them. What the container's command does is in `direct_start_image.rs`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::sandbox::{Outcome, Sandbox};

/// The containers of JobManager and TaskManagers.
pub fn containers(flags: &[&str]) -> [Value; 2] {
    let run = ["create", "demo", "--dry-run=client", "-ojson", "--direct-start"];
    let outcome = Sandbox::bare().run(&[&run[..], flags].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    [1, 2].map(|at| list["items"][at]["spec"]["template"]["spec"]["containers"][0].clone())
}

pub fn words(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect()
}

#[test]
fn the_command_line_is_that_of_the_scripts_of_each_release() {
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/direct_start/recorded.json");
    let releases: Value = serde_json::from_str(&fs::read_to_string(recorded).unwrap()).unwrap();
    let releases = releases.as_object().unwrap();
    assert_eq!(releases.len(), 12);
    for (release, records) in releases {
        let records = records.as_array().unwrap();
        assert!(records.len() >= 2, "{release}");
        for record in records {
            let image = format!("--image=flink:{release}");
            let flags = [&[image.as_str()][..], &words(&record["flags"])].concat();
            for (container, role) in containers(&flags).iter().zip(["JM", "TM"]) {
                let recorded_role = &record[role];
                let command = words(&container["command"]);
                let memory: Vec<&str> = command[4].split(' ').collect();
                assert!(
                    words(&recorded_role["memory"]).ends_with(&memory),
                    "{release} {role} {flags:?}"
                );
                let own = words(&container["args"]);
                let dynamic: Vec<&str> = command[5].split(' ').collect();
                let all = [&["--configDir", "/opt/flink/conf"], &dynamic[..], &own[1..]].concat();
                assert_eq!(all, words(&recorded_role["arguments"]), "{release} {role} {flags:?}");
            }
        }
    }
}

fn refused(sandbox: &Sandbox, flags: &[&str]) -> Outcome {
    let run = ["create", "demo", "--dry-run=client", "--direct-start"];
    let outcome = sandbox.run(&[&run[..], flags].concat());
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("hint: --direct-start=false"), "{outcome}");
    outcome
}

#[test]
fn a_command_or_an_entrypoint_that_is_not_flinks_is_refused() {
    let sandbox = Sandbox::bare();
    let outcome = refused(&sandbox, &["--image=a:1", "--entrypoint=legacy"]);
    assert!(
        outcome.stderr.contains("the entrypoint of the flink-container scripts"),
        "{outcome}"
    );
    let folder = sandbox.home().join("templates");
    assert_eq!(sandbox.run(&["manifests", folder.to_str().unwrap()]).code, Some(0));
    let job = folder.join("job-cluster-job.yaml.template");
    let text = fs::read_to_string(&job).unwrap();
    let change = |new: &str| {
        fs::write(Path::new(&job), text.replace("        args: [\"standalone-job\",", new)).unwrap();
        refused(&sandbox, &["--image=a:1", "--manifests", folder.to_str().unwrap()])
    };
    let outcome = change("        command: [/start]\n        args: [\"standalone-job\",");
    let path = "the Job's template has a command of its own: spec.template.spec.containers[flink-master].command";
    assert!(outcome.stderr.contains(path), "{outcome}");
    let outcome = change("        args: [\"jobmanager\",");
    assert!(outcome.stderr.contains("is not standalone-job"), "{outcome}");
}

#[test]
fn the_configuration_file_can_say_it_and_a_flag_takes_it_back() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["config", "set", "direct-start", "true"]).code, Some(0));
    let create = ["create", "demo", "--image=flink:2.3.0", "--dry-run=client", "-ojson"];
    let command = |flags: &[&str]| {
        let outcome = sandbox.run(&[&create[..], flags].concat());
        let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
        list["items"][1]["spec"]["template"]["spec"]["containers"][0]["command"][3].clone()
    };
    assert_eq!(command(&[]), json!("kubectl-flink"));
    assert_eq!(command(&["--direct-start=false"]), Value::Null);
}
