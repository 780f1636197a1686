//! Container images, as far as they can be reasoned about without a registry: names, manifests, configurations, the
//! layer that a job's jar goes into, and what jars and images tell of themselves.

pub mod additions;
pub mod assemble;
pub mod challenge;
pub mod contents;
pub mod digest;
pub mod facts;
pub mod fit;
pub mod jar;
pub mod java;
pub mod layout;
pub mod manifest;
pub mod platform;
pub mod reference;
pub mod stored;
