//! Container images: names, manifests, configurations, the layer with a job's jar, the facts of jars and images, images
//! in files, and the registries (`registry/`).

pub mod archive;
pub mod archive_writer;
pub mod assemble;
pub mod base;
mod bounded;
pub mod build;
pub mod compatibility;
pub mod digest;
pub mod facts;
pub mod inspect;
pub mod jar;
pub(crate) mod jar_files;
pub mod java;
pub mod layer;
pub mod layer_contents;
pub mod layer_files;
pub mod layer_tar;
pub mod manifest;
pub mod platform;
pub mod push;
pub mod reference;
pub mod registry;
pub mod stored_gzip;
mod zstandard;
