//! The pure core: no client, no runtime, no clock, no environment.
//!
//! Everything here is a function of its arguments, so that it can be tested without a cluster.

pub mod adopt;
pub mod age;
pub mod arguments;
pub mod bytes;
pub mod defaults;
pub mod diagnosis;
pub mod difference;
pub mod doctor;
pub mod effective;
pub mod events;
pub mod flink;
pub mod flink_deployment;
pub mod flink_keys;
pub mod flink_rest;
pub mod history;
pub mod image;
pub mod job_id;
pub mod layer;
pub mod listing;
pub mod live;
pub mod logs;
pub mod manifests;
pub mod names;
pub mod nearest;
pub mod outcome;
pub mod pod_template;
pub mod prune;
pub mod quantity;
pub mod savepoint_list;
pub mod scale;
pub mod settings;
pub mod spec;
pub mod status;
pub mod template;
pub mod transaction;
pub mod usage;
