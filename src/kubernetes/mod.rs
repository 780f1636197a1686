//! Kubernetes: the client, kubeconfig, requests, the objects of a cluster, lists, watches, logs and events.
//!
//! This layer does not interpret the data that it reads: [`crate::model`] does.

pub(crate) mod access_reviews;
pub(crate) mod api;
pub(crate) mod clock;
pub(crate) mod cluster_watch;
pub(crate) mod connect;
pub(crate) mod errors;
pub(crate) mod events;
pub(crate) mod field_ownership;
mod in_pod;
pub(crate) mod kubeconfig;
pub(crate) mod kubeconfig_files;
mod lines;
pub(crate) mod logs;
pub(crate) mod named_authority;
pub(crate) mod no_proxy;
pub(crate) mod nodes;
pub(crate) mod objects;
pub(crate) mod pods;
pub(crate) mod resource;
pub(crate) mod retry;
pub(crate) mod server_version;
pub(crate) mod tables;
pub(crate) mod usage;
pub(crate) mod watch;
