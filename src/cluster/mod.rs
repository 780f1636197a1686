//! The room that talks to clusters: to the Kubernetes API server, and through it to Flink's REST.
//!
//! Nothing here interprets what it fetches; that is [`crate::core`]'s.

pub mod api;
pub mod basis;
pub mod changes;
pub mod checkup;
pub mod clock;
pub mod connect;
pub mod deleted;
pub mod deploy;
pub mod events;
pub mod fault;
mod fence;
pub mod flink;
pub mod flink_metrics;
pub mod holder;
mod kubeconfig;
pub mod ledger;
mod lines;
pub mod live;
pub mod lock;
pub mod logs;
mod no_proxy;
pub mod operation;
pub mod operations;
pub mod rescale;
pub mod resource;
pub mod retry;
pub mod savepoint;
pub mod suggest;
pub mod survey;
pub mod tables;
pub mod takeover;
pub mod usage;
pub mod wait;
pub mod watch;
