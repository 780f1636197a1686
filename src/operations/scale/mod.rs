//! A running job with another parallelism.

pub(crate) mod in_place;
pub(crate) mod method;
pub mod rescale;
