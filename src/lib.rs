//! `kubectl flink`: runs Apache Flink application clusters on plain Kubernetes.
//!
//! The library exists so that tests can call it; the interface that is kept stable is the command line.

pub mod cli;
pub mod commands;
pub mod error;
pub mod flink;
pub mod history;
pub mod image;
pub mod kubernetes;
pub mod model;
pub mod operations;
pub mod output;
pub mod partial_file;
pub mod progress;
