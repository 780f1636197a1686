//! The schema of the documents that the program prints. That each of them fits it is seen by the [`crate::sandbox`].

use serde_json::{Value, json};

use crate::documents::fits;
use crate::sandbox::Sandbox;

const SCHEMA: &str = include_str!("../../docs/schema/kubectl-flink-v2.json");
const DOCUMENT: &str = include_str!("../../docs/output.md");

#[test]
fn every_kind_is_described_in_words_as_well() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for kind in schema["oneOf"].as_array().unwrap() {
        let kind = kind["$ref"].as_str().unwrap().trim_start_matches("#/$defs/");
        assert!(schema["$defs"][kind]["properties"]["kind"]["const"] == kind, "{kind}");
        let heading = DOCUMENT
            .lines()
            .find(|line| line.starts_with("## ") && line.contains(kind));
        assert!(heading.is_some(), "docs/output.md does not have {kind}");
    }
}

#[test]
fn a_document_that_does_not_fit_is_rejected() {
    let outcome = Sandbox::bare().run(&["version", "--client", "-o", "json"]);
    let good: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(fits("Version", &good), Ok(()));
    let mut missing = good.clone();
    missing["client"].as_object_mut().unwrap().remove("commit");
    let mut more = good.clone();
    more["client"]["new"] = json!(1);
    let mut other = good;
    other["flink"] = json!("2.3");
    for bad in [missing, more, other] {
        assert!(fits("Version", &bad).is_err(), "{bad}");
    }
    assert!(fits("Nothing", &json!({})).is_err());
}

/// The names of fields stay after a release: they are words of Kubernetes and Flink, and one word for one thing.
#[test]
fn no_field_has_a_name_of_our_own() {
    fn names(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                map.values().for_each(|value| names(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| names(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    names(&serde_json::from_str(SCHEMA).unwrap(), &mut found);
    assert!(found.iter().any(|name| name == "hint"), "{found:?}");
    for word in ["stand", "mend", "why", "failedInARow", "others"] {
        assert!(!found.iter().any(|name| name == word), "{word} is a field");
    }
}
