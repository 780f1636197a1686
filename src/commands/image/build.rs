//! `image build`: builds an image from a base image and local files, and pushes it to a registry or writes it to a
//! file.

use std::path::{Path, PathBuf};

use crate::cli::args::registry::RegistryArgs;
use crate::error::{Error, Result};
use crate::image::base::{Base, Pick};
use crate::image::build::{BuildRequest, Built, build};
use crate::image::layer::chosen_files;
use crate::image::layer_files::source_and_destination;
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::registry::registries::Registries;
use crate::operations::push_progress;
use crate::output::terminal;

/// Put jars and other files on a base image, and push it
///
/// The files become one layer, whose bytes depend on the files only. If the image goes to the registry of its base,
/// layers of the base stay there; otherwise they are copied. An image for several platforms remains a multi-platform
/// image. The command prints the name with the digest, for `create --image`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink image build --base flink:2.3 --jar app.jar --push registry/app:1\n  \
    kubectl flink image build --base flink:2.3 --plugin s3/ --push registry/app:1\n  \
    kubectl flink image build --base b.tar --jar a.jar --output a.tar --tag app:1")]
pub(crate) struct BuildArgs {
    /// Image to build on, or a file with one: an OCI layout, or the output of `docker save`
    #[arg(long, value_name = "IMAGE|FILE.tar")]
    base: String,
    /// Jar of the job, for /opt/flink/usrlib, repeatable
    #[arg(long, value_name = "FILE")]
    jar: Vec<PathBuf>,
    /// Folder or jar of a Flink plugin, for /opt/flink/plugins/NAME, repeatable
    #[arg(long, value_name = "DIR")]
    plugin: Vec<PathBuf>,
    /// Library for /opt/flink/lib, which all jobs and Flink itself see, repeatable
    #[arg(long, value_name = "FILE")]
    lib: Vec<PathBuf>,
    /// Any other file and its absolute path in the image, repeatable
    #[arg(long, value_name = "SRC:DST", value_parser = source_and_destination)]
    file: Vec<(String, String)>,
    /// Environment variable of the image, repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::cli::args::values::pair)]
    env: Vec<(String, String)>,
    /// Label of the image, repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = crate::cli::args::values::pair)]
    label: Vec<(String, String)>,
    /// Platform to build for, repeatable [default: all that the base has]
    #[arg(long, value_name = "OS/ARCH")]
    platform: Vec<Platform>,
    /// Repository to push to; without a tag the image gets the first digits of its digest as one
    #[arg(
        long,
        value_name = "REPOSITORY[:TAG]",
        required_unless_present = "output",
        conflicts_with = "output"
    )]
    push: Option<Reference>,
    /// File to write instead: an OCI layout that `docker load`, `kind load` and `ctr images import` read as well
    #[arg(long, value_name = "FILE.tar", requires = "tag")]
    output: Option<PathBuf>,
    /// Name of the image in the file
    #[arg(long, value_name = "NAME:TAG", requires = "output")]
    tag: Option<Reference>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: BuildArgs) -> Result<()> {
    let wanted = wanted(&args)?;
    if let Some(target) = args.push.as_ref().filter(|target| target.digest.is_some()) {
        return Err(Error::usage(format!(
            "--push {target}: the digest is computed from the image, and cannot be chosen"
        )));
    }
    let registries = Registries::new(&args.registry.options())?;
    let pick = match args.platform.as_slice() {
        [] => Pick::All,
        platforms => Pick::Each(platforms),
    };
    let base = Base::read(&registries, &args.base, pick).await?;
    let built = build(base, wanted).await?;
    if let Some(target) = &args.push {
        push_progress::push(&registries, &built, target).await?;
        return terminal::data(&format!("{}\n", target.pinned(&built.digest)));
    }
    match (&args.output, &args.tag) {
        (Some(file), Some(name)) => to_file(&built, file, name).await,
        _ => Err(Error::usage(
            "the image needs a target: --push REPOSITORY, or --output FILE.tar with --tag NAME:TAG",
        )),
    }
}

/// The files in the arguments, each read once.
fn wanted(args: &BuildArgs) -> Result<BuildRequest> {
    let files = chosen_files(&args.jar, &args.plugin, &args.lib, &args.file)?;
    if files.is_empty() && args.env.is_empty() && args.label.is_empty() {
        return Err(Error::usage("nothing is put on the base")
            .hint("--jar FILE, --plugin DIR, --lib FILE, --file SRC:DST, --env and --label put something on it"));
    }
    Ok(BuildRequest {
        files,
        env: args.env.clone(),
        labels: args.label.clone(),
        of_job: false,
    })
}

async fn to_file(built: &Built, file: &Path, name: &Reference) -> Result<()> {
    push_progress::write(built, file, name).await?;
    let tag = crate::image::push::tag(built, name);
    terminal::note(&format!("{} holds {}", file.display(), built.digest));
    terminal::data(&format!("{}:{tag}\n", name.name()))
}
