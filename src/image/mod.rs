//! Container images: names, manifests, configurations, the layer with a job's jar, the facts of jars and images, images
//! in files, and the registries (`registry/`).

pub(crate) mod archive;
pub(crate) mod archive_writer;
pub(crate) mod assemble;
pub(crate) mod base;
mod bounded;
pub(crate) mod build;
pub(crate) mod compatibility;
pub(crate) mod digest;
pub(crate) mod facts;
pub(crate) mod inspect;
pub(crate) mod jar;
pub(crate) mod jar_files;
pub(crate) mod java;
pub(crate) mod layer;
pub(crate) mod layer_contents;
pub(crate) mod layer_files;
pub(crate) mod layer_tar;
pub(crate) mod manifest;
pub(crate) mod platform;
pub(crate) mod push;
pub(crate) mod reference;
pub(crate) mod registry;
pub(crate) mod stored_gzip;
mod zstandard;
