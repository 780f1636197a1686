//! `kubectl flink`: runs Apache Flink application clusters on plain Kubernetes.
//!
//! The library exists so that tests can call it; the interface that is kept stable is the command line.

pub mod cli;
pub mod cluster;
pub mod commands;
pub mod core;
pub mod error;
pub mod interruption;
pub mod registry;
pub mod render;
pub mod ui;
