//! The clusters of a command that takes several: names, or labels.

use crate::cli::args::values;
use crate::cli::context::Context;
use crate::error::{Error, Kind, Result};
use crate::kubernetes::api::Cluster;
use crate::model::names::ClusterName;
use crate::operations::list::names_of;
use crate::output::terminal;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ClustersArgs {
    /// Names of the clusters
    #[arg(value_name = "NAME", required_unless_present = "selector")]
    names: Vec<String>,
    /// The clusters with these labels, such as team=a
    #[arg(long, short = 'l', value_name = "LABELS", conflicts_with = "names", value_parser = values::selector)]
    selector: Option<String>,
}

impl ClustersArgs {
    /// Clusters that another group of flags names.
    pub(crate) fn of(names: Vec<String>, selector: Option<String>) -> Self {
        Self { names, selector }
    }

    /// Whether there may be several: their output names the cluster.
    pub(crate) fn are_several(&self) -> bool {
        self.names.len() > 1 || self.selector.is_some()
    }

    /// Does `work` with each, one after the other. The error of one does not keep it from the others; the first one decides
    /// the exit code.
    pub(crate) async fn each(&self, context: &Context, work: impl AsyncFn(ClusterName) -> Result<()>) -> Result<()> {
        let mut failure = FirstFailure::default();
        let names = match &self.selector {
            Some(selector) => {
                let cluster = context.connect()?;
                failure
                    .selected(&cluster, Some(selector.clone()), |error, _| error)
                    .await?
            }
            None => all_valid(&self.names)?,
        };
        if !self.are_several() {
            for name in names {
                Box::pin(work(name)).await?;
            }
            return Ok(());
        }
        for name in names {
            let outcome = Box::pin(work(name.clone())).await;
            failure.add(&name, outcome);
        }
        failure.end()
    }

    /// What is printed of a cluster: the text alone, or after its name if there may be several.
    pub(crate) fn line(&self, name: &ClusterName, text: &str) -> String {
        let text = terminal::clean(text);
        if self.are_several() {
            format!("cluster/{name} {text}\n")
        } else {
            format!("{text}\n")
        }
    }
}

/// Refuses a folder behind a name: Flink's own client takes that of a savepoint there.
pub(crate) fn no_folder(names: &[String]) -> Result<()> {
    match names {
        [.., name, folder] if folder.contains("://") => Err(Error::usage(format!(
            "{folder} is not a name of a cluster"
        ))
        .hint(format!(
            "`kubectl flink savepoint {name} --dir {folder}` writes to this folder"
        ))),
        _ => Ok(()),
    }
}

/// The clusters of a command that takes names, labels, or all.
#[derive(Debug, Default, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(false))]
pub(crate) struct SelectedClustersArgs {
    /// Clusters to delete
    #[arg(value_name = "NAME", group = "which")]
    names: Vec<String>,
    /// Delete the clusters with these labels, such as team=a
    #[arg(long, short = 'l', value_name = "LABELS", group = "which", value_parser = values::selector)]
    selector: Option<String>,
    /// Delete all clusters of the namespace
    #[arg(long, group = "which")]
    all: bool,
}

impl SelectedClustersArgs {
    pub(crate) fn of(names: Vec<String>) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    /// The clusters in the namespace of `cluster`. Names that are invalid for our clusters are printed and skipped.
    pub(crate) async fn read(&self, cluster: &Cluster, failure: &mut FirstFailure) -> Result<Vec<ClusterName>> {
        if !self.names.is_empty() {
            return all_valid(&self.names);
        }
        let hint = |error: Error, app: &str| {
            let namespace = cluster.namespace();
            error.hint(format!(
                "`kubectl delete job,deployment,service -l 'app={app},component in (master,task-manager)' -n {namespace}` deletes it"
            ))
        };
        failure.selected(cluster, self.selector.clone(), hint).await
    }
}

fn all_valid(names: &[String]) -> Result<Vec<ClusterName>> {
    names.iter().map(|name| ClusterName::new(name)).collect()
}

/// The failures of a command with several clusters: one does not keep the command from the others.
#[derive(Debug, Default)]
pub(crate) struct FirstFailure(Option<Kind>);

impl FirstFailure {
    pub(crate) fn report(&mut self, error: &Error) {
        terminal::fail(error);
        self.0.get_or_insert(error.kind);
    }

    /// Prints the error of `outcome`, if it has one, with the name of its cluster.
    pub(crate) fn add(&mut self, name: &ClusterName, outcome: Result<()>) {
        match outcome {
            Err(error) if error.message.is_empty() || is_named(name, &error.message) => self.report(&error),
            Err(error) => self.report(&error.context(format!("cluster {name}"))),
            Ok(()) => {}
        }
    }

    /// The clusters with these labels; `None`: all of the namespace. One made by hand, with a name that is invalid for our
    /// clusters, is skipped, and reported with what `hint` adds for its name.
    async fn selected(
        &mut self,
        cluster: &Cluster,
        selector: Option<String>,
        hint: impl Fn(Error, &str) -> Error,
    ) -> Result<Vec<ClusterName>> {
        let mut names = Vec::new();
        for app in names_of(cluster, selector).await? {
            match ClusterName::new(&app) {
                Ok(name) => names.push(name),
                Err(error) => {
                    let error = Error::failure(format!("cluster {app} is skipped: {}", error.message));
                    self.report(&hint(error, &app));
                }
            }
        }
        if names.is_empty() && self.0.is_none() {
            terminal::note(&format!("No resources found in {} namespace.", cluster.namespace()));
        }
        Ok(names)
    }

    /// The result of the command. All errors were already printed; the first one decides the exit code.
    pub(crate) fn end(self) -> Result<()> {
        self.0.map_or(Ok(()), |kind| Err(Error::new(kind, "")))
    }
}

/// Whether the message says that it is about this cluster.
fn is_named(name: &ClusterName, message: &str) -> bool {
    let mut named = message.split("cluster ").skip(1);
    named.any(|after| {
        let rest = after.trim_start_matches('"').strip_prefix(name.as_str());
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
    })
}

/// Asks whether to delete these clusters, unless the answer is `yes` already.
pub(crate) fn confirm_deletion(names: &[&ClusterName], yes: bool) -> Result<()> {
    let question = match names {
        [name] => format!("delete cluster {name}?"),
        names => format!("delete these {} clusters?", names.len()),
    };
    terminal::asks(yes)(&question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_names_the_cluster_does_not_need_its_name_before() {
        let name = ClusterName::new("demo").unwrap();
        for (message, is_there) in [
            ("there is no cluster \"demo\" in namespace default", true),
            ("cluster demo already exists", true),
            ("cluster demo: Flink does not answer", true),
            ("cluster demo-2 already exists", false),
            ("the server is away", false),
        ] {
            assert_eq!(is_named(&name, message), is_there, "{message}");
        }
    }
}
