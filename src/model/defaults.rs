//! The configuration file: what holds where neither flags, files nor the environment say something.
//!
//! ```yaml
//! defaults:                    # everywhere
//!   output: wide
//! contexts:
//!   production:                # in this context of the kubeconfig
//!     savepoint-dir: s3://flink/savepoints
//!     namespaces:
//!       billing:               # and in this namespace of it
//!         service-account: flink
//! ```
//!
//! The nearer one wins, key by key. Keys are named like the flags that they stand for.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

use super::dotted::below;
use super::file_text;
use super::nearest::nearest;
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::flink::folder;

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    /// A folder that all Pods reach, as the flag of this name takes it.
    Folder,
    Bool,
    Words(&'static [&'static str]),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    form: Form,
    /// Its meaning, for documentation.
    pub(crate) meaning: &'static str,
}

impl Key {
    /// The values that it can have; empty: any.
    pub(crate) const fn words(&self) -> &'static [&'static str] {
        match self.form {
            Form::Text | Form::Folder => &[],
            Form::Bool => &["true", "false"],
            Form::Words(words) => words,
        }
    }
}

/// Values of `--access`: how to reach Flink's REST.
pub(crate) const ACCESS: &[&str] = &["auto", "proxy", "port-forward"];
/// Values of `--output` for lists.
pub(crate) const OUTPUT: &[&str] = &["table", "wide", "json", "yaml", "name"];

/// Values of `--surge`: whether TaskManagers of a new version start beside the running ones.
pub(crate) const SURGE: &[&str] = &["auto", "always", "never"];

const fn key(name: &'static str, form: Form, meaning: &'static str) -> Key {
    Key { name, form, meaning }
}

pub(crate) const KEYS: &[Key] = &[
    key("image", Form::Text, "image of clusters that are created"),
    key(
        "savepoint-dir",
        Form::Folder,
        "folder in which their savepoints are written",
    ),
    key(
        "checkpoint-dir",
        Form::Folder,
        "folder in which their checkpoints are written",
    ),
    key(
        "ha",
        Form::Folder,
        "storage folder of high availability, which they then have",
    ),
    key("service-account", Form::Text, "ServiceAccount of their Pods"),
    key(
        "direct-start",
        Form::Bool,
        "whether their Pods start Flink without the helper JVMs of the image's scripts, as --direct-start",
    ),
    key("access", Form::Words(ACCESS), "way to Flink's REST"),
    key(
        "output",
        Form::Words(OUTPUT),
        "format of the output, in commands that have it",
    ),
    key(
        "prompts",
        Form::Bool,
        "whether to ask before something is deleted; false stands for --yes",
    ),
    key(
        "image-check",
        Form::Bool,
        "whether to check an image in its registry before a cluster is created; false stands for --no-image-check",
    ),
    key(
        "rehearse",
        Form::Bool,
        "whether a new version is rehearsed before the running job is stopped, as --rehearse",
    ),
    key(
        "surge",
        Form::Words(SURGE),
        "whether TaskManagers of a new version start beside the running ones, as --surge",
    ),
    key(
        "plain",
        Form::Bool,
        "output without color, spinners or redraws, as --plain",
    ),
];

type Values = BTreeMap<&'static str, String>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct InContext {
    values: Values,
    namespaces: BTreeMap<String, Values>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Defaults {
    everywhere: Values,
    contexts: BTreeMap<String, InContext>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConfigPath {
    Everywhere,
    Context(String),
    Namespace(String, String),
}

impl fmt::Display for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => f.write_str("defaults"),
            Self::Context(context) => write!(f, "context {context}"),
            Self::Namespace(context, namespace) => write!(f, "namespace {namespace} of context {context}"),
        }
    }
}

/// The effective values in one context and namespace, each with its position in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effective(BTreeMap<&'static str, (String, ConfigPath)>);

impl Effective {
    pub(crate) fn get(&self, key: &str) -> Option<(&str, &ConfigPath)> {
        self.0.get(key).map(|(value, place)| (value.as_str(), place))
    }

    pub(crate) fn layer(&self) -> Config {
        let value = |key: &str| self.get(key).map(|(value, _)| value.to_owned());
        Config {
            image: value("image"),
            savepoint_dir: value("savepoint-dir"),
            checkpoint_dir: value("checkpoint-dir"),
            ha: value("ha"),
            service_account: value("service-account"),
            direct_start: value("direct-start").map(|wanted| wanted == "true"),
            ..Config::default()
        }
    }
}

impl Defaults {
    /// Reads the file; `source` is its name for messages.
    pub(crate) fn read(text: &str, source: &str) -> Result<Self> {
        if text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        {
            return Ok(Self::default());
        }
        // An unquoted `no` is a string, as in YAML 1.2: the plugin does not guess that it means false.
        let options = serde_yaml::options! { strict_booleans: true };
        let tree: Value = serde_yaml::from_str_with_options(text, options)
            .map_err(|error| file_text::yaml_error(source, "invalid YAML: ", &error))?;
        Self::of_tree(tree).map_err(|error| error.context(source))
    }

    fn of_tree(tree: Value) -> Result<Self> {
        let mut file = Self::default();
        for (key, value) in map(tree, "the file")? {
            match key.as_str() {
                "defaults" => file.everywhere = values(map(value, "defaults")?, "defaults", &[])?.0,
                "contexts" => {
                    for (context, value) in map(value, "contexts")? {
                        let path = format!("contexts.{context}");
                        let (values, mut rest) = values(map(value, &path)?, &path, &["namespaces"])?;
                        let mut namespaces = BTreeMap::new();
                        if let Some(inner) = rest.remove("namespaces") {
                            for (namespace, value) in map(inner, &format!("{path}.namespaces"))? {
                                let path = format!("{path}.namespaces.{namespace}");
                                let (values, _) = self::values(map(value, &path)?, &path, &[])?;
                                namespaces.insert(namespace, values);
                            }
                        }
                        file.contexts.insert(context, InContext { values, namespaces });
                    }
                }
                other => return Err(unknown(other, "", &["defaults", "contexts"])),
            }
        }
        Ok(file)
    }

    /// The file's tree, for writing.
    pub(crate) fn tree(&self) -> Value {
        let tree_of = |values: &Values| -> Map<String, Value> {
            let pairs = values.iter().map(|(key, value)| {
                let bool = key_of(key).is_some_and(|key| key.form == Form::Bool);
                let value = if bool { json!(value == "true") } else { json!(value) };
                ((*key).to_owned(), value)
            });
            pairs.collect()
        };
        let mut tree = Map::new();
        if !self.everywhere.is_empty() {
            tree.insert("defaults".to_owned(), tree_of(&self.everywhere).into());
        }
        let mut contexts = Map::new();
        for (name, context) in &self.contexts {
            let mut inner = tree_of(&context.values);
            let namespaces: Map<String, Value> = context
                .namespaces
                .iter()
                .map(|(namespace, values)| (namespace.clone(), tree_of(values).into()))
                .collect();
            if !namespaces.is_empty() {
                inner.insert("namespaces".to_owned(), namespaces.into());
            }
            contexts.insert(name.clone(), inner.into());
        }
        if !contexts.is_empty() {
            tree.insert("contexts".to_owned(), contexts.into());
        }
        tree.into()
    }

    /// The effective values in a namespace of a context; the context is `None` if there is no kubeconfig.
    pub(crate) fn effective(&self, context: Option<&str>, namespace: &str) -> Effective {
        let mut effective = Effective::default();
        let mut lay = |values: &Values, place: &ConfigPath| {
            for (key, value) in values {
                effective.0.insert(key, (value.clone(), place.clone()));
            }
        };
        lay(&self.everywhere, &ConfigPath::Everywhere);
        if let Some((name, context)) = context.and_then(|name| self.contexts.get_key_value(name)) {
            lay(&context.values, &ConfigPath::Context(name.clone()));
            if let Some(values) = context.namespaces.get(namespace) {
                lay(values, &ConfigPath::Namespace(name.clone(), namespace.to_owned()));
            }
        }
        effective
    }

    /// Sets a key, or removes it.
    pub(crate) fn set(&mut self, place: &ConfigPath, key: &str, value: Option<&str>) -> Result<()> {
        let key = known(key, "", &[])?;
        let value = value.map(|value| check(key, value, key.name)).transpose()?;
        let values = match place {
            ConfigPath::Everywhere => &mut self.everywhere,
            ConfigPath::Context(context) => &mut self.contexts.entry(context.clone()).or_default().values,
            ConfigPath::Namespace(context, namespace) => {
                let context = self.contexts.entry(context.clone()).or_default();
                context.namespaces.entry(namespace.clone()).or_default()
            }
        };
        match value {
            Some(value) => values.insert(key.name, value),
            None => values.remove(key.name),
        };
        for context in self.contexts.values_mut() {
            context.namespaces.retain(|_, values| !values.is_empty());
        }
        self.contexts
            .retain(|_, context| !(context.values.is_empty() && context.namespaces.is_empty()));
        Ok(())
    }
}

fn key_of(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

fn known(name: &str, path: &str, others: &[&str]) -> Result<&'static Key> {
    let names = KEYS.iter().map(|key| key.name).chain(others.iter().copied());
    key_of(name).ok_or_else(|| unknown(name, path, &names.collect::<Vec<_>>()))
}

fn unknown(name: &str, path: &str, known: &[&str]) -> Error {
    let error = Error::usage(format!("there is no key {}", below(path, name)));
    match nearest(name, known.iter().copied()) {
        Some(meant) => error.hint(format!("did you mean {meant}?")),
        None => error.hint(format!("known keys: {}", known.join(", "))),
    }
}

fn check(key: &Key, value: &str, path: &str) -> Result<String> {
    if value.is_empty() && key.words().is_empty() {
        return Err(Error::usage(format!("{path}: it is empty")));
    }
    if key.form == Form::Folder {
        return folder(value).map_err(|error| error.context(path));
    }
    let words = key.words();
    if words.is_empty() || words.contains(&value) {
        return Ok(value.to_owned());
    }
    Err(Error::usage(format!(
        "{path}: {value:?} is none of {}",
        words.join(", ")
    )))
}

/// The keys of a map, and those of its fields that are in `others`.
fn values(map: Map<String, Value>, path: &str, others: &[&str]) -> Result<(Values, Map<String, Value>)> {
    let (mut values, mut rest) = (Values::new(), Map::new());
    for (name, value) in map {
        if others.contains(&name.as_str()) {
            rest.insert(name, value);
            continue;
        }
        let key = known(&name, path, others)?;
        let path = format!("{path}.{name}");
        let text = match (value, key.form) {
            (Value::String(text), Form::Text | Form::Folder | Form::Words(_)) => text,
            (Value::Bool(value), Form::Bool) => value.to_string(),
            (_, Form::Bool) => return Err(Error::usage(format!("{path}: it must be true or false"))),
            _ => return Err(Error::usage(format!("{path}: it must be a text"))),
        };
        values.insert(key.name, check(key, &text, &path)?);
    }
    Ok((values, rest))
}

fn map(value: Value, path: &str) -> Result<Map<String, Value>> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(Error::usage(format!("{path}: it must have fields"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rows::columns;

    const FILE: &str = "defaults: {output: wide, image: a, prompts: false}\n\
        contexts:\n  prod:\n    image: b\n    namespaces:\n      billing: {image: c, ha: s3://ha}\n";

    fn image(file: &Defaults, context: Option<&str>, namespace: &str) -> String {
        let effective = file.effective(context, namespace);
        let (value, place) = effective.get("image").unwrap();
        format!("{value} by {place}")
    }

    #[test]
    fn the_nearer_one_wins_key_by_key() {
        let file = Defaults::read(FILE, "f").unwrap();
        assert_eq!(image(&file, None, "billing"), "a by defaults");
        assert_eq!(image(&file, Some("other"), "billing"), "a by defaults");
        assert_eq!(image(&file, Some("prod"), "default"), "b by context prod");
        let expected = "c by namespace billing of context prod";
        assert_eq!(image(&file, Some("prod"), "billing"), expected);
        let effective = file.effective(Some("prod"), "billing");
        assert_eq!(effective.get("output").unwrap().0, "wide");
        assert_eq!(effective.get("prompts").unwrap().0, "false");
        assert_eq!(effective.layer().ha.as_deref(), Some("s3://ha"));
        assert_eq!(effective.get("access"), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let file = Defaults::read(FILE, "f").unwrap();
        assert_eq!(Defaults::of_tree(file.tree()).unwrap(), file);
        let mut changed = file.clone();
        let place = ConfigPath::Namespace("new".into(), "n".into());
        changed.set(&place, "prompts", Some("true")).unwrap();
        let expected = json!({"namespaces": {"n": {"prompts": true}}});
        assert_eq!(changed.tree()["contexts"]["new"], expected);
        changed.set(&place, "prompts", None).unwrap();
        assert_eq!(changed, file);
    }

    #[test]
    fn faults_are_named_by_their_path() {
        for row in [
            "default: {} | f: there is no key default | did you mean defaults?",
            "defaults: {imgae: a} | f: there is no key defaults.imgae | did you mean image?",
            "contexts: {c: {namespace: {}}} | f: there is no key contexts.c.namespace | did you mean namespaces?",
            "defaults: {parallelism: 1} | f: there is no key defaults.parallelism | known keys: image, savepoint-dir, checkpoint-dir, ha, service-account, direct-start, access, output, prompts, image-check, rehearse, surge, plain",
            "defaults: {image: 1} | f: defaults.image: it must be a text | ",
            "contexts: {c: {ha: ha}} | f: contexts.c.ha: \"ha\" must be like s3://bucket/folder or file:///folder | ",
            "defaults: {savepoint-dir: ''} | f: defaults.savepoint-dir: it is empty | ",
            "defaults: {prompts: 'no'} | f: defaults.prompts: it must be true or false | ",
            "contexts: {c: {namespaces: {n: {access: tunnel}}}} | f: contexts.c.namespaces.n.access: \"tunnel\" is none of auto, proxy, port-forward | ",
            "defaults: text | f: defaults: it must have fields | ",
            "- a | f: the file: it must have fields | ",
        ] {
            let [text, fault, hint] = columns(row);
            let error = Defaults::read(text, "f").unwrap_err();
            assert_eq!(error.message, fault, "{text}");
            assert_eq!(error.hints.join(""), hint, "{text}");
            assert_eq!(error.kind.exit_code(), 2);
        }
    }

    #[test]
    fn an_empty_file_says_nothing() {
        for text in ["", "# only a remark\n", "defaults:\n", "{}"] {
            assert_eq!(Defaults::read(text, "f").unwrap(), Defaults::default(), "{text:?}");
        }
    }
}
