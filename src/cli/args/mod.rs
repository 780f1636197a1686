//! Groups of flags that several commands share, the file of `-f`, and the environment.
//!
//! Commands consist of them, so this module is below `commands`, and the rest of `cli` above it.

pub(crate) mod change;
pub(crate) mod clusters;
pub(crate) mod connection;
pub(crate) mod deploy;
pub(crate) mod environment;
pub(crate) mod files;
pub(crate) mod output;
pub(crate) mod registry;
pub(crate) mod savepoint_files;
pub(crate) mod spec;
pub(crate) mod stop;
pub(crate) mod templates;
pub(crate) mod values;
pub(crate) mod wait;
