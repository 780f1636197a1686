//! `kubectl flink`: runs Apache Flink application clusters on plain Kubernetes.
//!
//! The interface that is kept stable is the command line. The modules are private, so that the compiler finds dead code.

#![warn(unreachable_pub)]

mod cli;
mod commands;
mod error;
mod flink;
mod history;
mod image;
mod kubernetes;
mod model;
mod operations;
mod output;
mod partial_file;
mod progress;

pub use cli::main;

/// What the tests, the fuzz targets and the manual pages use.
#[doc(hidden)]
pub mod testing {
    pub use crate::cli::Cli;
    pub use crate::cli::completion::words::Typed;
    pub use crate::cli::help::without_shared_flags;
    pub use crate::history::History;
    pub use crate::image::digest::Digest;
    pub use crate::kubernetes::connect::{ConnectionOptions, configure};
    pub use crate::model::diagnosis::job_outcome::of_log as job_outcome_of_log;
    pub use crate::model::diagnosis::{CauseKind, last_line, mentions_job, root_cause};
    pub use crate::model::flink::arguments::split_arguments;
    pub use crate::model::flink::checkpoints::Checkpoints;
    pub use crate::model::flink::config_keys::doubt;
    pub use crate::model::flink::effective_config::of_log as effective_config_of_log;
    pub use crate::model::flink::exceptions::Exceptions;
    pub use crate::model::flink::overview::{JobsOverview, Overview};
    pub use crate::model::flink::rest::Errors;
    pub use crate::model::flink::rest::operation::OperationReply;
    pub use crate::model::flink::savepoint_metadata::{
        Metadata, diff as diff_metadata, format_of as savepoint_format_of,
    };
    pub use crate::model::flink::{owned_key, without_effect};
    pub use crate::model::flink_deployment::{read as read_flink_deployments, write as write_flink_deployment};
    pub use crate::model::log_lines::Stamps;
    pub use crate::model::manifests::build as build_manifests;
    pub use crate::model::names::ClusterName;
    pub use crate::model::quantity::{cpu, memory_flink, memory_kubernetes};
    pub use crate::model::rights::RIGHTS;
    pub use crate::model::spec::Spec;
    pub use crate::model::template::Templates;
    pub use crate::output::terminal::clean;
}
