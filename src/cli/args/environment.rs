//! The environment variables that describe a cluster.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::flink::arguments::{JobManagerArguments, split_arguments};
use crate::model::{flink_deployment, template};

/// The configuration in the four variables of Flink's templates.
pub(crate) fn environment() -> Result<Config> {
    let variable = |index: usize| {
        std::env::var(template::VARIABLES[index])
            .ok()
            .filter(|value| !value.is_empty())
    };
    let from_arguments = match variable(3) {
        Some(text) => JobManagerArguments::parse(&split_arguments(&text)?)?.into_layer(),
        None => Config::default(),
    };
    let configuration = flink_deployment::read_options(from_arguments.configuration.clone(), template::VARIABLES[3])?;
    let parallelism = variable(2).map(|text| {
        text.trim()
            .parse()
            .map_err(|_| Error::usage(format!("invalid FLINK_JOB_PARALLELISM {text:?}: it must be a number")))
    });
    Ok(Config {
        name: variable(0),
        image: variable(1),
        parallelism: parallelism.transpose()?.or(configuration.parallelism),
        ..Config {
            configuration: BTreeMap::new(),
            ..from_arguments
        }
        .merged_over(configuration)
    })
}
