//! `version`: shows the versions of the plugin, Kubernetes and Flink, and whether they are compatible.

use serde_json::Value;

use crate::cli::args::values;
use crate::cli::context::Context;
use crate::error::Result;
use crate::kubernetes::server_version::server_version;
use crate::model::server_version::misfit;
use crate::output::version::{text, tree};
use crate::output::{self, Format, terminal};

/// Show the version of this program, of the Kubernetes cluster, and of the Flink releases it knows
///
/// The command does not check for updates, and sends no data except to the API server.
#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {
    /// Show the version of this program only
    #[arg(long)]
    client: bool,
    /// Format of the output [default: text]
    #[arg(long, short, value_name = "FORMAT", value_parser = values::one_of(["json", "yaml"]))]
    output: Option<Format>,
}

pub(crate) async fn run(context: &Context, args: &VersionArgs) -> Result<()> {
    let server = if args.client {
        Ok(None)
    } else {
        server(context).await.map(Some)
    };
    let answer = server.as_ref().ok().and_then(Option::as_ref);
    match args.output {
        None => terminal::data(&text(answer, terminal::width()))?,
        Some(format) => terminal::data(&output::document(format, &tree(answer))?)?,
    }
    if let Some(warning) = answer.and_then(misfit) {
        terminal::warn(&warning);
    }
    server.map(drop)
}

async fn server(context: &Context) -> Result<Value> {
    server_version(&context.connect()?).await
}
