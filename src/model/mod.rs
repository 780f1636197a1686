//! The pure part: no client, no runtime, no clock, no environment.
//!
//! All functions depend only on their arguments, so that they can be tested without a cluster.

pub(crate) mod adopt;
mod adopted_command;
pub(crate) mod age;
pub(crate) mod bytes;
pub(crate) mod clone;
pub(crate) mod config;
pub(crate) mod counted;
pub(crate) mod defaults;
pub(crate) mod diagnosis;
pub(crate) mod diff;
pub(crate) mod dotted;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod field_ownership;
pub(crate) mod file_text;
pub(crate) mod flame_graph;
pub(crate) mod flink;
pub(crate) mod flink_deployment;
pub(crate) mod flink_pod;
pub(crate) mod ha_config_maps;
pub(crate) mod image_name;
pub(crate) mod jar_uri;
pub(crate) mod job_phase;
pub(crate) mod keyword;
pub(crate) mod listing;
pub(crate) mod log_lines;
pub(crate) mod main_container;
pub(crate) mod manifests;
pub(crate) mod names;
pub(crate) mod nearest;
pub(crate) mod ownership;
pub(crate) mod pod_state;
pub(crate) mod pod_template;
pub(crate) mod quantity;
pub(crate) mod rights;
#[cfg(test)]
mod rows;
pub(crate) mod scale;
pub(crate) mod secrets;
pub(crate) mod server_fields;
pub(crate) mod server_version;
pub(crate) mod shortened;
pub(crate) mod spec;
pub(crate) mod template;
pub(crate) mod usage;

/// `apiVersion` of every JSON and YAML document. docs/output.md describes the fields; a change that users can notice
/// gets a new version.
pub(crate) const API_VERSION: &str = "kubectl-flink/v2";
