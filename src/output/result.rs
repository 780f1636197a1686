//! What a command did with a cluster.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Format, document};
use crate::error::Result;
use crate::operations::report::OperationResult;

/// Whether a result was printed: one after another is a document of its own, as kubectl prints several objects.
static PRINTED: AtomicBool = AtomicBool::new(false);

pub(crate) fn result(format: Format, result: &OperationResult) -> Result<String> {
    let follows = PRINTED.swap(true, Ordering::Relaxed);
    match format {
        Format::Name => Ok(format!("cluster/{}\n", result.cluster)),
        Format::Yaml if follows => Ok(format!("---\n{}", document(format, result)?)),
        _ => document(format, result),
    }
}
