//! `diff`: shows what a change would do to the three resources.

use serde_json::Value;

use crate::cli::args::files::{self, FileArgs};
use crate::cli::args::spec::SpecArgs;
use crate::error::{Error, Kind, Result};
use crate::history::revision_spec;
use crate::kubernetes::connect::{self, ConnectionOptions, connect};
use crate::kubernetes::objects;
use crate::model::config::Config;
use crate::model::manifests::{self, REVISION};
use crate::model::names::ClusterName;
use crate::model::secrets;
use crate::model::server_fields::strip_server_fields;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::output::{self, terminal};

/// Show what would change in the Service, the Job and the Deployment
///
/// As a unified diff of what is there and what the API server would make of it, by dry runs: defaults of the server and
/// the work of admission webhooks are in both. Secrets are hidden, by their names. Without flags it is against the last
/// revision in the history: what was changed by hand since. The state that a change would start from is not part of it.
///
/// Exit codes are those of diff: 0 nothing differs, 1 something does, and more than 1 for everything else; a failure that
/// is 1 elsewhere is 9 here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink diff demo\n  \
    kubectl flink diff demo --image registry/my-job:1.1 -p 8\n  \
    kubectl flink diff -f flinkdeployment.yaml\n  \
    kubectl flink diff demo --revision 3")]
pub struct DiffArgs {
    /// Name of the cluster; those in the files where none is named
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

/// Runs the command.
pub async fn run(connection: &ConnectionOptions, args: DiffArgs) -> Result<()> {
    match compare(connection, args).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::new(Kind::Differs, "")),
        Err(error) if error.kind == Kind::Failure => Err(Error {
            kind: Kind::NotCompared,
            ..error
        }),
        Err(error) => Err(error),
    }
}

/// Whether there are differences.
async fn compare(connection: &ConnectionOptions, args: DiffArgs) -> Result<bool> {
    let flags = args.spec.layer()?;
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
    let cluster = connect(connection)?;
    let mut differs = false;
    let wishes = if files.is_empty() {
        vec![None]
    } else {
        files.into_iter().map(|(file, _)| Some(file)).collect()
    };
    for file in wishes {
        let named = args.name.as_deref().or_else(|| file.as_ref()?.name.as_deref());
        let name = ClusterName::new(named.ok_or_else(|| Error::usage("the cluster has no name"))?)?;
        let cluster = match file.as_ref().and_then(|file| file.namespace.as_deref()) {
            Some(namespace) if connection.namespace.is_none() => cluster.in_namespace(namespace),
            _ => cluster.clone(),
        };
        connect::check_namespace(cluster.namespace())?;
        let handle = ClusterHandle::read(&cluster, &name).await?;
        let flags = Config {
            name: Some(name.to_string()),
            ..flags.clone()
        };
        let wanted = Wish {
            flags,
            file,
            revision: args.revision,
        };
        let made = wanted.build(&handle, &args.spec, cluster.namespace())?;
        let applied = objects::dry_run(&cluster, &made, &handle.live).await?;
        let live = [&handle.live.service, &handle.live.job, &handle.live.deployment];
        let mut text = String::new();
        for (live, applied) in live.into_iter().zip(applied) {
            let mut after = strip_server_fields(&applied.object);
            let mut before = live.as_ref().map_or(Value::Null, strip_server_fields);
            let kind = made
                .in_order()
                .into_iter()
                .find(|object| object["kind"] == after["kind"]);
            if let Some(object) = kind {
                // The dry run used another name for the Job.
                after["metadata"]["name"] = object["metadata"]["name"].clone();
            }
            for object in [&mut before, &mut after] {
                without_number(object);
            }
            secrets::hide(&mut before, &mut after);
            let title = format!(
                "{} {}",
                after["kind"].as_str().unwrap_or_default(),
                after["metadata"]["name"].as_str().unwrap_or_default()
            );
            text.push_str(&output::diff(&title, live.as_ref().map(|_| &before), Some(&after))?);
        }
        differs |= !text.is_empty();
        terminal::data(&text)?;
    }
    Ok(differs)
}

/// Removes the revision number, which every change increments.
fn without_number(object: &mut Value) {
    for place in ["/metadata", "/spec/template/metadata"] {
        let Some(metadata) = object.pointer_mut(place).and_then(Value::as_object_mut) else {
            continue;
        };
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(REVISION);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
}

/// The version to compare with the existing objects.
struct Wish {
    flags: Config,
    file: Option<Config>,
    revision: Option<u64>,
}

impl Wish {
    fn build(self, handle: &ClusterHandle, args: &SpecArgs, namespace: &str) -> Result<manifests::Manifests> {
        let own = args.templates()?;
        let running = handle.live_revision();
        let history = handle.store.history();
        let (templates, base) = if let Some(number) = self.revision {
            let revision = revision_spec::find(history, &handle.name, number)?;
            (revision_spec::templates(revision)?.0, revision_spec::layer(revision)?)
        } else if let Some(file) = self.file {
            let templates = match own {
                Some(own) => own,
                None => handle.kept_templates()?.0,
            };
            (templates, file)
        } else {
            let (templates, layer, _) = handle.base(&self.flags, own)?;
            (templates, layer)
        };
        // The start of the running job is no difference: a change resumes from its state.
        let begun = running
            .and_then(|number| history.revision(number))
            .map(revision_spec::layer)
            .transpose()?;
        let rescaled = self.flags.parallelism.is_some() || self.flags.slots.is_some();
        let layer = self.flags.merged_over(Config {
            from_savepoint: begun
                .as_ref()
                .map_or(base.from_savepoint.clone(), |layer| layer.from_savepoint.clone()),
            allow_non_restored_state: begun
                .as_ref()
                .map_or(base.allow_non_restored_state, |layer| layer.allow_non_restored_state),
            task_managers: base.task_managers.filter(|_| !rescaled),
            nonce: begun.as_ref().and_then(|layer| layer.nonce.clone()),
            ..base
        });
        manifests::build(&Spec::resolve(layer)?, &templates, namespace, running.unwrap_or(1))
    }
}
