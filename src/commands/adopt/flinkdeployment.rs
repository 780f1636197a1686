//! `adopt --from-flinkdeployment`: creates a cluster from a FlinkDeployment of Flink's operator.

use serde_json::Value;

use super::AdoptArgs;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::history::command::Command;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::LiveObjects;
use crate::kubernetes::resource::{CONFIG_MAPS, DEPLOYMENTS, FLINK_DEPLOYMENTS, Target};
use crate::model::config::Config;
use crate::model::flink_deployment::operator;
use crate::model::names::APP_LABEL;
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::create::create;
use crate::output::terminal;

pub(crate) async fn run(context: &Context, args: AdoptArgs, source: &str) -> Result<()> {
    args.deploy
        .refuse_client_dry_run("the FlinkDeployment is read from the API server")?;
    let flags = args.spec.layer()?;
    let own = args.spec.templates()?;
    let cluster = context.connect()?;
    let namespace = cluster.namespace();
    let target = Target::object("get", FLINK_DEPLOYMENTS, namespace, source);
    let native = Target::object("get", DEPLOYMENTS, namespace, source);
    let (object, deployed) = futures::try_join!(cluster.get::<Value>(&target), cluster.get::<Value>(&native))?;
    let Some(object) = object else {
        return Err(
            Error::not_found(format!("there is no FlinkDeployment {source} in namespace {namespace}"))
                .hint("`kubectl get flinkdeployments -A` lists all FlinkDeployments"),
        );
    };
    operator::check_stopped(&object, deployed.is_some())?;
    let mut found = operator::spec(&object)?;
    found.warnings.iter().for_each(|warning| terminal::warn(warning));
    let file = found
        .layers
        .pop()
        .ok_or_else(|| Error::failure(format!("FlinkDeployment {source} cannot be parsed")))?;
    let from_savepoint = flags
        .from_savepoint
        .clone()
        .or_else(|| operator::last_state(&object).map(ToOwned::to_owned));
    match &from_savepoint {
        Some(path) => terminal::note(&format!("{source} resumes from {path}")),
        None if operator::is_stateless(&object) => {
            terminal::note(&format!(
                "{source} is stateless, as its upgradeMode says: it begins empty"
            ));
        }
        None => return Err(no_state(source)),
    }
    let spec = Spec::resolve(
        Config {
            from_savepoint: None,
            ..file
        }
        .changed_by(Config {
            name: args.name.clone(),
            from_savepoint,
            ..flags
        }),
    )?;
    if spec.layer.ha.is_some() && spec.name.as_str() == source {
        check_no_leftovers(&cluster, source).await?;
    }
    let (templates, kept) = match own {
        Some(own) => (own, true),
        None => (Templates::built_in()?, false),
    };
    let how = args.deploy.create_options(Command::Adopt, &args.spec)?;
    let mut live = LiveObjects::default();
    let created = Box::pin(create(&cluster, spec, &templates, kept, &how, &mut live)).await?;
    args.deploy.report(&cluster, created).await?;
    terminal::note(&format!(
        "FlinkDeployment {source} stays suspended: delete it when the new cluster runs as expected, and keep its savepoints"
    ));
    Ok(())
}

fn no_state(source: &str) -> Error {
    Error::conflict(format!(
        "the status of FlinkDeployment {source} has no path of the job's last state"
    ))
    .hint("--from-savepoint PATH names one")
    .hint("the operator writes one when it stops a running job whose upgradeMode is savepoint: start the job again, then suspend it with this upgradeMode")
}

/// Checks that the operator's high availability has left no ConfigMaps: they have the same names, and their data of the
/// old job would prevent the new one from starting.
async fn check_no_leftovers(cluster: &Cluster, source: &str) -> Result<()> {
    let target = Target::collection("list", CONFIG_MAPS, Some(cluster.namespace()));
    let query = format!("labelSelector={APP_LABEL}%3D{source}%2Ctype%3Dflink-native-kubernetes&limit=1");
    let found: Option<Value> = cluster.get_with(&target, &query).await?;
    if found.is_none_or(|list| list["items"].as_array().is_none_or(Vec::is_empty)) {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "high availability of FlinkDeployment {source} has left ConfigMaps, which hold its last state"
    ))
    .hint("give another NAME on the command line to keep them")
    .hint(format!(
        "`kubectl delete configmap -l app={source},type=flink-native-kubernetes` deletes them, once the savepoint is known to be good"
    )))
}
