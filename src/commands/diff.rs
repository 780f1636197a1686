//! `diff`: shows what a change would do to the three resources.

use crate::cli::args::files::{self, FileArgs};
use crate::cli::args::output::as_diff;
use crate::cli::args::spec::SpecArgs;
use crate::cli::context::Context;
use crate::cli::description::in_namespace_of_file;
use crate::error::{Error, Result};
use crate::kubernetes::connect::check_namespace;
use crate::model::config::Config;
use crate::operations::diff::{ComparedVersion, compare_objects};
use crate::output::{self, terminal};

/// Show what would change in the Service, the Job and the Deployment
///
/// Prints a unified diff of the existing objects and of the result of server-side dry runs: both have the defaults of
/// the server and the changes of admission webhooks. Values whose keys look secret are hidden. Without flags it
/// compares with the last revision in the history, and shows the changes that were made by hand since. The diff does
/// not show the state from which a change would start.
///
/// Exit codes are those of diff: 0 nothing differs, 1 something differs, more than 1 an error; an error that has exit
/// code 1 in other commands has 9 here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink diff demo\n  \
    kubectl flink diff demo --image registry/my-job:1.1 -p 8\n  \
    kubectl flink diff -f flinkdeployment.yaml\n  \
    kubectl flink diff demo --revision 3")]
pub(crate) struct DiffArgs {
    /// Name of the cluster [default: those in the files]
    #[arg(value_name = "NAME", required_unless_present = "files")]
    name: Option<String>,
    #[command(flatten)]
    files: FileArgs,
    /// Revision of the history to compare with
    #[arg(long, value_name = "N", conflicts_with = "files")]
    revision: Option<u64>,
    #[command(flatten)]
    spec: SpecArgs,
}

pub(crate) async fn run(context: &Context, args: DiffArgs) -> Result<()> {
    as_diff(compare(context, args).await)
}

/// Whether there are differences.
async fn compare(context: &Context, args: DiffArgs) -> Result<bool> {
    let flags = args.spec.layer()?;
    let own = args.spec.templates()?;
    let mut files = args.files.read_each()?;
    if args.name.is_some() && files.len() > 1 {
        files.retain(|(file, _)| file.name == args.name);
        if files.len() != 1 {
            return Err(Error::usage("the files have no cluster of this name"));
        }
    }
    for (file, source) in &files {
        let flags = Config {
            name: args.name.clone(),
            ..flags.clone()
        };
        files::check(file, source, &flags)?;
    }
    let cluster = context.connect()?;
    let mut differs = false;
    let versions = if files.is_empty() {
        vec![None]
    } else {
        files.into_iter().map(|(file, _)| Some(file)).collect()
    };
    for file in versions {
        let name = files::name_of(args.name.as_deref(), file.as_ref())?;
        let namespace = file.as_ref().and_then(|file| file.namespace.as_deref());
        let namespace = namespace.filter(|_| context.connection.namespace.is_none());
        let cluster = in_namespace_of_file(&cluster, namespace);
        check_namespace(cluster.namespace())?;
        let wanted = ComparedVersion {
            flags: Config {
                name: Some(name.to_string()),
                ..flags.clone()
            },
            file,
            revision: args.revision,
            own: own.clone(),
        };
        let mut text = String::new();
        for object in compare_objects(&cluster, &name, wanted).await? {
            text.push_str(&output::diff(
                &object.title,
                object.before.as_ref(),
                Some(&object.after),
            )?);
        }
        differs |= !text.is_empty();
        terminal::data(&text)?;
    }
    Ok(differs)
}
