//! Clusters as flags, files, environment and configuration file describe them together: the former win over the latter.

use crate::cli::args::clusters::FirstFailure;
use crate::cli::args::deploy::{DeployArgs, with_way_on};
use crate::cli::args::environment::environment;
use crate::cli::args::files::FileArgs;
use crate::cli::args::spec::SpecArgs;
use crate::cli::config_file;
use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::objects::LiveObjects;
use crate::model::config::Config;
use crate::model::flink_deployment::{self, SpecSource};
use crate::model::names::{APPLY_SET, ClusterName};
use crate::model::spec::Spec;
use crate::model::template::Templates;
use crate::operations::config_keys::warn_of_release_and_keys;
use crate::operations::create::{CreateOptions, Created, create};
use crate::operations::report::Outcome;
use crate::output::place::set_namespace_of_file;

pub(crate) struct Description<'a> {
    /// The name in the command line.
    pub(crate) name: Option<&'a str>,
    pub(crate) files: &'a FileArgs,
    pub(crate) spec: &'a SpecArgs,
    pub(crate) apply_set: Option<&'a str>,
}

pub(crate) struct Described {
    pub(crate) specs: Vec<Spec>,
    pub(crate) templates: Templates,
    own_templates: bool,
}

impl Description<'_> {
    /// Reads the descriptions of at most `most` clusters, and sends nothing.
    pub(crate) fn read(&self, context: &Context, most: usize) -> Result<Described> {
        let own = self.spec.templates()?;
        let mut specs = self.resolve(context)?;
        if specs.len() > most {
            return Err(Error::usage(format!(
                "there are {} clusters in the files, and this command takes {most}",
                specs.len()
            )));
        }
        for spec in &mut specs {
            if let (Some(wanted), Some(given)) = (&spec.layer.namespace, &context.connection.namespace)
                && wanted != given
            {
                return Err(Error::usage(format!(
                    "cluster {} is of namespace {wanted}, but --namespace says {given}",
                    spec.name
                )));
            }
            if let Some(set) = self.apply_set {
                spec.layer.labels.insert(APPLY_SET.to_owned(), set.to_owned());
            }
        }
        specs.iter().for_each(warn_of_release_and_keys);
        Ok(Described {
            specs,
            own_templates: own.is_some(),
            templates: match own {
                Some(templates) => templates,
                None => Templates::built_in()?,
            },
        })
    }

    /// The clusters that flags, files, environment and configuration file describe together.
    fn resolve(&self, context: &Context) -> Result<Vec<Spec>> {
        let flags = Config {
            name: self.name.map(ToOwned::to_owned),
            ..self.spec.layer()?
        };
        let mut files = self.files.read_each()?;
        if files.is_empty() {
            files.push((Config::default(), SpecSource::default()));
        }
        if files.len() > 1 && self.name.is_some() {
            return Err(Error::usage(format!(
                "there are {} clusters in the files, but only one NAME is given",
                files.len()
            )));
        }
        let environment = environment()?;
        let mut specs: Vec<Spec> = Vec::new();
        for (file, source) in &files {
            let defaults = config_file::layer(&context.connection, file.namespace.as_deref())?;
            let attempt = |file: Config| {
                let below = defaults.clone().changed_by(environment.clone()).changed_by(file);
                Spec::resolve(below.changed_by(flags.clone()))
            };
            let spec =
                attempt(file.clone()).map_err(|error| flink_deployment::located(error, file, source, attempt))?;
            let same = |other: &Spec| other.name == spec.name && other.layer.namespace == spec.layer.namespace;
            if let Some(first) = specs.iter().position(same) {
                return Err(Error::usage(format!(
                    "cluster {} is described twice: {} and {source}",
                    spec.name, files[first].1
                )));
            }
            specs.push(spec);
        }
        Ok(specs)
    }
}

/// The Kubernetes cluster, in the namespace of a described cluster. Commands in messages work there from now on.
pub(crate) fn place(cluster: &Cluster, spec: &Spec) -> Cluster {
    in_namespace_of_file(cluster, spec.layer.namespace.as_deref())
}

/// The same for the namespace that a file names.
pub(crate) fn in_namespace_of_file(cluster: &Cluster, namespace: Option<&str>) -> Cluster {
    let other = namespace.filter(|namespace| *namespace != cluster.namespace());
    set_namespace_of_file(other);
    other.map_or_else(|| cluster.clone(), |namespace| cluster.in_namespace(namespace))
}

impl Described {
    /// Creates the clusters, and adds each to `begun`, also one that failed. The failure of one does not keep the command from
    /// the others.
    pub(crate) async fn create_each(
        &mut self,
        cluster: &Cluster,
        deploy: &DeployArgs,
        how: &CreateOptions<'_>,
        begun: &mut Vec<Begun>,
    ) -> Result<()> {
        let specs = std::mem::take(&mut self.specs);
        let are_several = specs.len() > 1;
        let mut failure = FirstFailure::default();
        for spec in specs {
            let mut one = Begun::new(place(cluster, &spec), spec.name.clone());
            let created = Box::pin(self.create(&one.cluster, spec, how, &mut one.live)).await;
            let (cluster, name) = (one.cluster.clone(), one.name.clone());
            begun.push(one);
            let outcome = match created {
                Ok(created) => deploy.report(&cluster, created).await,
                Err(error) => Err(error),
            };
            if !are_several {
                return outcome;
            }
            failure.add(&name, outcome);
        }
        failure.end()
    }

    /// Creates one of the clusters, or changes it. `live` has the objects afterwards.
    pub(crate) async fn create(
        &self,
        cluster: &Cluster,
        spec: Spec,
        how: &CreateOptions<'_>,
        live: &mut LiveObjects,
    ) -> Result<Created> {
        let name = spec.name.clone();
        let created = Box::pin(create(cluster, spec, &self.templates, self.own_templates, how, live)).await;
        created.map_err(|error| with_way_on(error, &name, Outcome::Created))
    }
}

/// A cluster whose creation has started.
pub(crate) struct Begun {
    pub(crate) cluster: Cluster,
    pub(crate) name: ClusterName,
    /// Its existing objects, including those that this command created.
    pub(crate) live: LiveObjects,
}

impl Begun {
    /// A cluster without any value yet.
    pub(crate) fn new(cluster: Cluster, name: ClusterName) -> Self {
        Self {
            cluster,
            name,
            live: LiveObjects::default(),
        }
    }
}
