//! The pure part: no client, no runtime, no clock, no environment.
//!
//! All functions depend only on their arguments, so that they can be tested without a cluster.

pub mod adopt;
pub mod age;
pub mod bytes;
pub mod clone;
pub mod config;
pub mod defaults;
pub mod diagnosis;
pub mod diff;
pub mod events;
pub mod export;
pub mod field_ownership;
pub mod file_text;
pub mod flame_graph;
pub mod flink;
pub mod flink_deployment;
pub mod flink_pod;
pub mod ha_config_maps;
pub mod job_end_time;
pub mod keyword;
pub mod listing;
pub mod log_lines;
pub mod main_container;
pub mod manifests;
pub mod names;
pub mod nearest;
pub mod ownership;
pub mod pod_state;
pub mod pod_template;
pub mod quantity;
pub mod rights;
pub mod scale;
pub mod secrets;
pub mod server_fields;
pub mod spec;
pub mod template;
pub mod usage;

/// `apiVersion` of every JSON and YAML document. docs/output.md describes the fields; a change that users can notice
/// gets a new version.
pub const API_VERSION: &str = "kubectl-flink/v2";
