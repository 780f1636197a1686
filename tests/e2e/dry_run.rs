//! What `--dry-run=client -o yaml` prints goes through kubectl, unchanged.

use serde_json::{Value, json};

use crate::place::Place;

/// Texts that YAML reads as something else where they stand plain.
const WORDS: [&str; 16] = [
    "yes",
    "no",
    "on",
    "y",
    "~",
    "null",
    "true",
    "1_000",
    "1:30",
    "0x1f",
    "0o17",
    "1e3",
    ".inf",
    "2001-01-01",
    "=",
    "<<",
];

/// The objects that the plugin prints for a cluster full of such words.
fn printed(place: &Place, name: &str) -> String {
    let mut arguments = vec!["create".to_owned(), name.to_owned()];
    arguments.extend(["--image", "absent:on", "--dry-run=client", "-o", "yaml"].map(str::to_owned));
    for (number, word) in WORDS.iter().enumerate() {
        arguments.extend(["-D".to_owned(), format!("e2e.key-{number}={word}")]);
        arguments.extend(["--env".to_owned(), format!("KEY_{number}={word}")]);
        arguments.extend(["--annotation".to_owned(), format!("example.com/key-{number}={word}")]);
        // Labels take no other characters.
        if word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            arguments.extend(["--label".to_owned(), format!("example.com/key-{number}={word}")]);
        }
    }
    arguments.push("--".to_owned());
    arguments.extend(WORDS.map(str::to_owned));
    place
        .flink(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        .ok()
        .stdout
}

/// Checks that the objects contain the words as they were typed.
fn check(objects: &[Value], name: &str) {
    let [service, job, deployment] = objects else {
        panic!("not three objects: {objects:?}")
    };
    assert_eq!(service["metadata"]["name"], format!("{name}-master"));
    assert_eq!(job["metadata"]["name"], format!("{name}-master"));
    assert_eq!(deployment["metadata"]["name"], format!("{name}-task-manager"));
    for object in objects {
        assert_eq!(object["metadata"]["labels"]["app"], json!(name));
        for (number, word) in WORDS.iter().enumerate() {
            let key = format!("example.com/key-{number}");
            assert_eq!(object["metadata"]["annotations"][&key], json!(word));
            if let Some(label) = object["metadata"]["labels"].get(&key) {
                assert_eq!(label, word);
            }
        }
    }
    for object in [job, deployment] {
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().unwrap();
        let env = container["env"].as_array().unwrap();
        for (number, word) in WORDS.iter().enumerate() {
            let setting = json!(format!("-De2e.key-{number}={word}"));
            assert!(arguments.contains(&setting), "{setting} is not in {arguments:?}");
            let variable = json!({ "name": format!("KEY_{number}"), "value": word });
            assert!(env.contains(&variable), "{variable} is not in {env:?}");
        }
    }
    let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
        .as_array()
        .unwrap();
    assert_eq!(arguments[arguments.len() - WORDS.len()..], WORDS.map(Value::from));
}

#[test]
fn a_client_dry_run_goes_through_kubectl_apply_byte_for_byte() {
    let place = Place::new("dry-run");
    for name in ["demo", "y", "n", "no", "on", "off", "yes", "true", "null"] {
        let yaml = printed(&place, name);
        let sent = place.kubectl_with(&["apply", "--dry-run=server", "-o", "json", "-f", "-"], &yaml);
        let list: Value = serde_json::from_str(&sent.ok().stdout).unwrap();
        check(list["items"].as_array().unwrap(), name);
    }
    assert_eq!(place.objects(), Vec::<String>::new());

    // Once for real: no image, so nothing starts.
    place.kubectl_with(&["apply", "-f", "-"], &printed(&place, "on")).ok();
    let objects = ["service/on-master", "job/on-master", "deployment/on-task-manager"];
    check(&objects.map(|object| place.object(object)), "on");
    // It is the plugin's cluster now: nothing differs from what it would make itself.
    assert!(place.flink(&["list"]).ok().stdout.contains("on "));
    place.flink(&["delete", "on", "--yes"]).ok();
    place.left_with(&[]);
}
