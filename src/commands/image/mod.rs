//! `image`: builds an image without Docker, and inspects one.

pub(crate) mod build;
pub(crate) mod inspect;

use crate::commands::image::build as image_build;
use crate::commands::image::build::BuildArgs;
use crate::commands::image::inspect as image_inspect;
use crate::commands::image::inspect::InspectArgs;
use crate::error::Result;

/// Build an image with your jar without Docker, or look into an image
///
/// Images are read from registries and files, and written to them, by this program alone: no daemon, no root, no copy of
/// the base on this machine.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:\n  \
    kubectl flink image build --base flink:2.3 --jar app.jar --push registry/app:1\n  \
    kubectl flink image inspect registry/team/app:1.0")]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ImageCommand {
    Build(Box<BuildArgs>),
    Inspect(Box<InspectArgs>),
}

pub(crate) async fn run(args: ImageArgs) -> Result<()> {
    match args.command {
        ImageCommand::Build(args) => Box::pin(image_build::run(*args)).await,
        ImageCommand::Inspect(args) => Box::pin(image_inspect::run(*args)).await,
    }
}
