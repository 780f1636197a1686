//! Templates of the three resources, with the four variables of Flink's templates.
//!
//! A template is parsed as YAML first, and variables are replaced inside scalars of the tree afterwards: no value can
//! change the structure. The built-in Job's `[…, ${FLINK_JOB_ARGUMENTS}]` is not valid YAML before it is substituted. So
//! that it can be parsed too, each variable is first replaced by a marker of private-use characters.

use serde_json::{Value, json};

use super::{file_text, main_container};
use crate::error::{Error, Result};
use crate::model::config::Config;

/// Names of the variables, as in the README of Flink's templates.
pub(crate) const VARIABLES: [&str; 4] = [
    "FLINK_APPLICATION_NAME",
    "FLINK_IMAGE_NAME",
    "FLINK_JOB_PARALLELISM",
    "FLINK_JOB_ARGUMENTS",
];
const NAME: usize = 0;
const IMAGE: usize = 1;
const PARALLELISM: usize = 2;
const ARGUMENTS: usize = 3;

/// Starts of the variables in the style of Flink's templates. Others are those of the Pod, such as `${FLINK_HOME}` in a
/// script.
const MISSPELLED: [&str; 3] = ["${FLINK_APPLICATION", "${FLINK_IMAGE", "${FLINK_JOB"];

/// Marks the position of a variable; the variable's index and whether it was in quotes follow.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

/// The files in `manifests/`, with their contents: Service, Job, Deployment. Their names are those of Flink's templates.
pub(crate) const BUILT_IN: [(&str, &str); 3] = [
    (
        "job-cluster-service.yaml.template",
        include_str!("../../manifests/job-cluster-service.yaml.template"),
    ),
    (
        "job-cluster-job.yaml.template",
        include_str!("../../manifests/job-cluster-job.yaml.template"),
    ),
    (
        "task-manager-deployment.yaml.template",
        include_str!("../../manifests/task-manager-deployment.yaml.template"),
    ),
];

#[derive(Clone, Debug)]
pub(crate) struct Variables<'a> {
    /// `${FLINK_APPLICATION_NAME}`.
    pub(crate) name: &'a str,
    /// `${FLINK_IMAGE_NAME}`.
    pub(crate) image: &'a str,
    /// `${FLINK_JOB_PARALLELISM}`.
    pub(crate) parallelism: u32,
    /// `${FLINK_JOB_ARGUMENTS}`, inserted into the surrounding list.
    pub(crate) arguments: &'a [String],
}

/// The three templates: trees in which variables are markers.
#[derive(Clone, Debug, PartialEq)]
pub struct Templates {
    pub(crate) service: Value,
    pub(crate) job: Value,
    pub(crate) deployment: Value,
}

impl Templates {
    /// The three, as the history keeps them: Service, Job, Deployment.
    #[must_use]
    pub(crate) fn to_array(&self) -> [Value; 3] {
        [self.service.clone(), self.job.clone(), self.deployment.clone()]
    }

    /// The built-in templates.
    pub fn built_in() -> Result<Self> {
        Self::from_files(BUILT_IN)
    }

    /// Finds the three kinds in files, each (name, content). A file may have several documents.
    ///
    /// # Errors
    /// Usage error for malformed YAML (with line and column), an unknown kind, or a missing or duplicate kind.
    pub fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut found: [(&str, Option<Value>); 3] = [("Service", None), ("Job", None), ("Deployment", None)];
        for (source, text) in files {
            for tree in parse(text, source)? {
                let kind = tree["kind"].as_str().unwrap_or("an object without a kind");
                let Some((_, slot)) = found.iter_mut().find(|(known, _)| *known == kind) else {
                    return Err(Error::usage(format!(
                        "{source}: it has {kind}, but a cluster is a Service, a Job and a Deployment"
                    ))
                    .hint("move other objects to a folder of their own; `kubectl apply -f` creates them"));
                };
                if slot.is_some() {
                    return Err(Error::usage(format!(
                        "{source}: there is a second {kind}, but a cluster has one Service, one Job (of the JobManager) and one Deployment (of the TaskManagers)"
                    )));
                }
                *slot = Some(tree);
            }
        }
        let mut take = |index: usize| {
            let (kind, slot): &mut (&str, Option<Value>) = &mut found[index];
            slot.take().ok_or_else(|| {
                Error::usage(format!("the templates have no {kind}"))
                    .hint("`kubectl flink manifests DIR` writes a complete set")
            })
        };
        Ok(Self {
            service: take(0)?,
            job: take(1)?,
            deployment: take(2)?,
        })
    }

    /// Gives Flink the parallelism of `config`, if it has one or the number of TaskManagers: templates after Flink's documentation
    /// would leave it out.
    #[must_use]
    pub(crate) fn with_parallelism_of(mut self, config: &Config) -> Self {
        if config.parallelism.or(config.all_slots()).is_some() {
            self.job = with_parallelism(self.job);
        }
        self
    }
}

fn parse(text: &str, source: &str) -> Result<Vec<Value>> {
    if text.contains([OPEN, CLOSE]) {
        return Err(Error::usage(format!(
            "{source}: the characters U+E000 and U+E001 are not allowed in a template"
        )));
    }
    // As kubectl reads it, YAML 1.1: `defaultMode: 0400` is octal.
    let options = serde_yaml::options! { legacy_octal_numbers: true };
    let documents: Vec<Value> = serde_yaml::from_multiple_with_options(&mark(text), options)
        .map_err(|error| file_text::yaml_error(source, "", &error))?;
    Ok(documents.into_iter().filter(|tree| !tree.is_null()).collect())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

/// Replaces `${NAME}` and `$NAME` of the four variables by markers.
fn mark(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        marked.push_str(before);
        let found = VARIABLES.iter().enumerate().find_map(|(index, name)| {
            let braced = from[1..]
                .strip_prefix('{')
                .and_then(|s| s.strip_prefix(name))
                .and_then(|s| s.strip_prefix('}'));
            let bare = from[1..]
                .strip_prefix(name)
                .filter(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
            braced.or(bare).map(|after| (index, after))
        });
        if let Some((index, after)) = found {
            let quote = before.chars().next_back().filter(|c| matches!(c, '"' | '\''));
            let quoted = quote.is_some_and(|quote| after.starts_with(quote));
            marked.push(OPEN);
            marked.push_str(&index.to_string());
            marked.push(if quoted { 'q' } else { 'p' });
            marked.push(CLOSE);
            rest = after;
        } else {
            marked.push('$');
            rest = &from[1..];
        }
    }
    marked.push_str(rest);
    marked
}

/// Replaces the variables of `tree`.
///
/// A whole plain scalar `${FLINK_JOB_PARALLELISM}` becomes a number, as after `envsubst`.
///
/// # Errors
/// Usage error when the arguments are not in a list, or a variable in the style of Flink's templates is misspelled.
pub(crate) fn substitute(tree: &Value, variables: &Variables) -> Result<Value> {
    Ok(match tree {
        Value::String(text) => scalar(text, variables)?,
        Value::Array(items) => {
            let mut list = Vec::with_capacity(items.len());
            for item in items {
                if item.as_str().is_some_and(|text| whole(text, ARGUMENTS)) {
                    list.extend(variables.arguments.iter().map(|argument| json!(argument)));
                } else {
                    list.push(substitute(item, variables)?);
                }
            }
            Value::Array(list)
        }
        Value::Object(map) => {
            let mut replaced = serde_json::Map::with_capacity(map.len());
            for (key, value) in map {
                let key = match scalar(key, variables)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                replaced.insert(key, substitute(value, variables)?);
            }
            Value::Object(replaced)
        }
        other => other.clone(),
    })
}

fn any_text(tree: &Value, is: fn(&str) -> bool) -> bool {
    match tree {
        Value::String(text) => is(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is)),
        Value::Object(map) => map.values().any(|value| any_text(value, is)),
        _ => false,
    }
}

/// Whether `tree` has a place for the program's arguments.
pub(crate) fn takes_arguments(tree: &Value) -> bool {
    any_text(tree, |text| whole(text, ARGUMENTS))
}

/// Whether the arguments of a container start a JobManager or a TaskManager, by the first word that Flink's images take.
pub(crate) fn starts_flink(arguments: &[Value]) -> bool {
    let first = arguments.first().and_then(Value::as_str);
    first.is_some_and(|first| matches!(first, "job-cluster" | "standalone-job" | "task-manager" | "taskmanager"))
}

pub(crate) const PARALLELISM_OPTION: &str = "-Dparallelism.default=${FLINK_JOB_PARALLELISM}";

/// The template of a Job that gives the parallelism to Flink: without the option another one would have no effect.
fn with_parallelism(mut job: Value) -> Value {
    let is_taken = any_text(&job, |text| text.contains(&format!("{OPEN}{PARALLELISM}")));
    let arguments = main_container::of_mut(&mut job).and_then(|container| container.get_mut("args")?.as_array_mut());
    if let Some(arguments) = arguments.filter(|_| !is_taken)
        && let Some(at) = arguments
            .iter()
            .position(takes_arguments)
            .or_else(|| starts_flink(arguments).then_some(1))
    {
        arguments.insert(at, json!(mark(PARALLELISM_OPTION)));
    }
    job
}

/// Converts the variables in the texts of a tree to markers, for templates that are made from objects.
pub(crate) fn mark_tree(tree: &Value) -> Value {
    match tree {
        Value::String(text) => json!(mark(text)),
        Value::Array(items) => items.iter().map(mark_tree).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), mark_tree(value))).collect(),
        other => other.clone(),
    }
}

fn whole(text: &str, index: usize) -> bool {
    let inner = text.strip_prefix(OPEN).and_then(|s| s.strip_suffix(CLOSE));
    inner.is_some_and(|inner| inner.trim_end_matches(['q', 'p']) == index.to_string())
}

fn scalar(text: &str, variables: &Variables) -> Result<Value> {
    if let Some(at) = MISSPELLED.iter().find_map(|start| text.find(*start)) {
        return Err(
            Error::usage(format!("unknown variable in a template: {}", first_line(&text[at..]))).hint(format!(
                "the variables are {}",
                VARIABLES.map(|name| format!("${{{name}}}")).join(", ")
            )),
        );
    }
    if whole(text, PARALLELISM) && !text.contains('q') {
        return Ok(json!(variables.parallelism));
    }
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        replaced.push_str(before);
        let (marker, after) = after.split_once(CLOSE).unwrap_or((after, ""));
        match marker.trim_end_matches(['q', 'p']).parse() {
            Ok(NAME) => replaced.push_str(variables.name),
            Ok(IMAGE) => replaced.push_str(variables.image),
            Ok(PARALLELISM) => replaced.push_str(&variables.parallelism.to_string()),
            _ => {
                return Err(Error::usage(
                    "${FLINK_JOB_ARGUMENTS} is a list: it must be an item of a list of its own, as in args",
                ));
            }
        }
        rest = after;
    }
    replaced.push_str(rest);
    Ok(Value::String(replaced))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUES: Variables = Variables {
        name: "demo",
        image: "flink:2.3.0",
        parallelism: 3,
        arguments: &[],
    };

    fn render(text: &str, variables: &Variables) -> Result<Value> {
        substitute(&parse(text, "test").unwrap()[0], variables)
    }

    #[test]
    fn variables_are_replaced_inside_scalars() {
        let arguments = ["a: b".to_owned(), "]".to_owned()];
        let tree = render(
            "name: ${FLINK_APPLICATION_NAME}-master\nreplicas: ${FLINK_JOB_PARALLELISM}\nlabel: \"${FLINK_JOB_PARALLELISM}\"\nbare: $FLINK_IMAGE_NAME\nargs: [\"job\", \"-Dp=${FLINK_JOB_PARALLELISM}\", ${FLINK_JOB_ARGUMENTS}] # ${ANY}\nother: ${FLINK_HOME} $(POD_IP)\n",
            &Variables { arguments: &arguments, ..VALUES },
        )
        .unwrap();
        let want = json!({
            "name": "demo-master", "replicas": 3, "label": "3", "bare": "flink:2.3.0",
            "args": ["job", "-Dp=3", "a: b", "]"], "other": "${FLINK_HOME} $(POD_IP)",
        });
        assert_eq!(tree, want);
    }

    #[test]
    fn no_arguments_leave_no_item() {
        for text in [
            "args: [a, ${FLINK_JOB_ARGUMENTS}]",
            "args:\n- a\n- ${FLINK_JOB_ARGUMENTS}\n",
        ] {
            assert_eq!(render(text, &VALUES).unwrap(), json!({"args": ["a"]}));
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_refused() {
        let templates = |text: &str| Templates::from_files([("f", text)]).unwrap_err();
        for (error, reason) in [
            (render("a: \"x ${FLINK_JOB_ARGUMENTS}\"", &VALUES).unwrap_err(), "list"),
            (render("a: '${FLINK_IMAGE}'", &VALUES).unwrap_err(), "${FLINK_IMAGE}"),
            (templates("kind: Pod"), "Pod"),
            (
                templates("kind: Job\n---\nkind: Job"),
                "second Job, but a cluster has one Service, one Job",
            ),
            (templates("kind: Job"), "no Service"),
        ] {
            assert!(error.message.contains(reason), "{reason}: {error}");
        }
        let error = parse("a: [\nb: }", "file.yaml").unwrap_err();
        assert!(error.message.starts_with("file.yaml:1:4: "), "{error}");
    }

    #[test]
    fn the_built_in_templates_take_arguments() {
        let templates = Templates::built_in().unwrap();
        assert!(takes_arguments(&templates.job));
        assert!(!takes_arguments(&templates.service));
    }

    proptest! {
        #[test]
        fn no_argument_can_change_the_structure(argument in any::<String>()) {
            let arguments = [argument.clone()];
            let tree = render("args: [x, ${FLINK_JOB_ARGUMENTS}]\nafter: z", &Variables { arguments: &arguments, ..VALUES }).unwrap();
            prop_assert_eq!(tree, json!({"args": ["x", argument], "after": "z"}));
        }
    }

    #[test]
    fn a_job_without_the_parallelism_gets_it_before_the_arguments_of_its_program() {
        let job = |args: &str| {
            let args: Vec<&str> = args.split(' ').collect();
            let containers = json!([{"name": "jobmanager", "args": args}]);
            mark_tree(&json!({"kind": "Job", "spec": {"template": {"spec": {"containers": containers}}}}))
        };
        let plain = job("standalone-job -Da=b ${FLINK_JOB_ARGUMENTS} --input x");
        let with =
            job("standalone-job -Da=b -Dparallelism.default=${FLINK_JOB_PARALLELISM} ${FLINK_JOB_ARGUMENTS} --input x");
        assert_eq!(with_parallelism(plain), with);
        assert_eq!(with_parallelism(with.clone()), with);
        let fixed = job("standalone-job --input x");
        let with = job("standalone-job -Dparallelism.default=${FLINK_JOB_PARALLELISM} --input x");
        assert_eq!(with_parallelism(fixed), with);
        let script = job("run.sh --input x");
        assert_eq!(with_parallelism(script.clone()), script);
        let built_in = Templates::built_in().unwrap().job;
        assert_eq!(with_parallelism(built_in.clone()), built_in);
    }
}
