//! Where the files of savepoints are that `savepoint inspect` and `savepoint diff` read.

use std::time::Duration;

use crate::cli::args::values;
use crate::cli::context::Context;
use crate::error::Result;
use crate::model::flink::savepoint_metadata::Metadata;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::savepoint_file;

/// Where the files are.
#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Read absolute paths and file: URIs in volumes of this cluster
    #[arg(long, value_name = "NAME")]
    of: Option<String>,
    /// How long the reading in a cluster may take; 0: as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = values::duration)]
    timeout: Duration,
}

impl PlaceArgs {
    /// Reads the savepoints that `paths` selects in the history of the cluster, if there is one.
    pub(crate) async fn read(
        &self,
        context: &Context,
        paths: impl FnOnce(Option<&ClusterHandle>) -> Result<Vec<String>>,
    ) -> Result<Vec<Metadata>> {
        let Some(name) = &self.of else {
            return paths(None)?.iter().map(|path| savepoint_file::local(path)).collect();
        };
        let handle = context.load_for_display(name).await?;
        let limit = values::limit(self.timeout);
        savepoint_file::of_cluster(&handle, &paths(Some(&handle))?, limit).await
    }
}
