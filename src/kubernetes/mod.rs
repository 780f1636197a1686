//! Kubernetes: the client, kubeconfig, requests, the objects of a cluster, lists, watches, logs and events.
//!
//! This layer does not interpret the data that it reads: [`crate::model`] does.

pub mod access_reviews;
pub mod api;
pub mod clock;
pub mod cluster_watch;
pub mod connect;
pub mod errors;
pub mod events;
pub mod field_ownership;
pub(crate) mod kubeconfig;
mod lines;
pub mod logs;
pub(crate) mod no_proxy;
pub mod objects;
pub mod resource;
pub mod retry;
pub mod tables;
pub mod usage;
pub mod watch;
