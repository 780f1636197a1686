//! Documents that the program prints, held against docs/schema. The harnesses of the tests call [`check`] with all that
//! the program prints, so that no document escapes it.

use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../../docs/schema/kubectl-flink-v2.json");
const API_VERSION: &str = "kubectl-flink/v2";

/// Asserts that a document of ours, JSON or YAML, is as it is documented. Anything else is left alone.
#[track_caller]
pub fn check(stdout: &str) {
    let json = stdout.trim_start().starts_with('{');
    if !json && !stdout.starts_with("apiVersion: kubectl-flink/") {
        return;
    }
    let tree: Result<Value, String> = if json {
        serde_json::from_str(stdout).map_err(|e| e.to_string())
    } else {
        serde_yaml::from_str(stdout).map_err(|e| e.to_string())
    };
    // A stream of items, or a text that only looks like one.
    let Ok(tree) = tree else { return };
    if tree["apiVersion"] == API_VERSION {
        let kind = tree["kind"].as_str().unwrap_or_default();
        if let Err(why) = fits(kind, &tree) {
            panic!("this {kind} is not as docs/schema says: {why}\n{stdout}");
        }
    }
}

/// Whether a tree is of a kind, in all its parts and with nothing else.
pub fn fits(kind: &str, tree: &Value) -> Result<(), String> {
    static STRICT: OnceLock<Value> = OnceLock::new();
    let strict = STRICT.get_or_init(|| {
        let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
        close(&mut schema);
        schema
    });
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    compiler
        .add_resource("schema.json", strict.clone())
        .map_err(|e| e.to_string())?;
    let at = format!("schema.json#/$defs/{kind}");
    let index: SchemaIndex = compiler.compile(&at, &mut schemas).map_err(|e| e.to_string())?;
    schemas.validate(tree, index).map_err(|e| format!("{e:#}"))
}

/// Readers must bear fields that are added. We must have written down those that there are.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("required") {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}
