//! `image inspect`: shows an image's content for Flink.

use crate::cli::args::output::ObjectFormat;
use crate::cli::args::registry::RegistryArgs;
use crate::error::{Error, Result};
use crate::image::base::{Base, Pick, is_file};
use crate::image::inspect::{Depth, inspect};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::registry::registries::Registries;
use crate::model::bytes::human;
use crate::output::image::ImageReport;
use crate::output::{document, image, terminal};

/// Show Flink, Java, jars and plugins of an image
///
/// Shows the versions of Flink and Java, the entrypoint, jars with their entry classes, plugins and platforms. The
/// command reads the registry and does not pull the image: it reads layers above 32 MiB only if the image's history
/// mentions files for Flink.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink image inspect registry/team/app:1.0\n  \
    kubectl flink image inspect app.tar --all-layers -o json")]
pub(crate) struct InspectArgs {
    /// Image, or a file with one
    #[arg(value_name = "IMAGE|FILE.tar")]
    image: String,
    /// Platform to inspect [default: linux/amd64, or the first one]
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// Read all layers of any size
    #[arg(long)]
    all_layers: bool,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ObjectFormat,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: InspectArgs) -> Result<()> {
    let registries = Registries::new(&args.registry.options())?;
    let report = report(&registries, &args.image, args.platform.as_ref(), args.all_layers).await?;
    match args.output.document() {
        Some(format) => terminal::data(&document(format, &report)?),
        None => terminal::data(&image::image(&report)),
    }?;
    if report.unread > 0 {
        terminal::note(&format!(
            "{} of layers were not read; --all-layers reads all of them",
            human(report.unread)
        ));
    }
    Ok(())
}

pub(crate) async fn report(
    registries: &Registries,
    name: &str,
    platform: Option<&Platform>,
    all: bool,
) -> Result<ImageReport> {
    let (common, wanted) = (Platform::common(), platform.cloned());
    let pick = wanted
        .as_ref()
        .map_or(Pick::One(&common), |wanted| Pick::Each(std::slice::from_ref(wanted)));
    let base = Base::read(registries, name, pick).await?;
    let chosen = base.images.first();
    let chosen = chosen.ok_or_else(|| Error::failure(format!("{name} has no image")))?;
    let tag = if is_file(name) {
        None
    } else {
        name.parse::<Reference>()?.tag
    };
    let depth = if all { Depth::All } else { Depth::Telling };
    let found = inspect(&base, chosen, tag.as_deref(), depth).await?;
    Ok(ImageReport {
        api_version: crate::model::API_VERSION,
        kind: "ImageReport",
        image: name.to_owned(),
        digest: base.digest.clone(),
        platforms: base.platforms.iter().map(ToString::to_string).collect(),
        platform: chosen.platform.to_string(),
        size: chosen.manifest.layers.iter().map(|layer| layer.size).sum(),
        layers: chosen.manifest.layers.len(),
        unread: found.unread,
        facts: found.facts,
    })
}
