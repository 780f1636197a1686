//! From kubectl's connection flags and the kubeconfig to a client.
//!
//! The client is built here, and not by kube's default, because that leaves TCP_NODELAY off: Nagle's algorithm then
//! waits for the peer's delayed acknowledgement right after the TLS handshake, over 40 ms of a command that takes 10.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use http::Request;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{Context, KubeConfigOptions, Kubeconfig, NamedCluster, NamedContext};
use kube::{Client, Config};
use serde_json::{Value, json};
use tower::{BoxError, ServiceBuilder};

use super::api::Cluster;
use super::fault::Whereabouts;
use crate::error::{Error, Kind, Result};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Limit of one request where the user sets none. kubectl has none at all; a plugin that hangs helps nobody at night.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// kubectl's connection flags. They mean what they mean there.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// Path of the kubeconfig file to use
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Name of the kubeconfig context to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Name of the kubeconfig cluster to use
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Name of the kubeconfig user to use
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Namespace to work in
    #[arg(long, short, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// Group to impersonate, repeatable
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub impersonate_group: Vec<String>,
    /// UID to impersonate
    #[arg(long = "as-uid", global = true, value_name = "UID")]
    pub impersonate_uid: Option<String>,
    /// Address of the API server
    #[arg(long, short, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Bearer token for the API server
    #[arg(long, global = true, value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// File with the certificate authority of the API server
    #[arg(long, global = true, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// File with the client certificate
    #[arg(long, global = true, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// File with the client certificate's key
    #[arg(long, global = true, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Name that the API server's certificate must have, where it is not that of the address
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Do not verify the API server's certificate: anyone can listen
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Limit of one request, such as 10s or 1m; 0: none [default: 30s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = crate::cli::duration)]
    pub request_timeout: Option<Duration>,
}

/// Reads the kubeconfig, applies the flags and builds the client. No request is made.
///
/// # Errors
/// Usage errors for a kubeconfig that cannot be read, contexts that do not exist and no configuration at all.
pub fn connect(args: &ConnectionArgs) -> Result<Cluster> {
    let (config, context) = configuration(args)?;
    let at = Whereabouts {
        server: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
        context,
    };
    let namespace = args
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    let client = build(config).map_err(|e| Error::usage(format!("cannot use the connection to {at}: {e}")))?;
    let timeout = match args.request_timeout {
        Some(Duration::ZERO) => None,
        given => Some(given.unwrap_or(REQUEST_TIMEOUT)),
    };
    Ok(Cluster::new(client, namespace, at, timeout))
}

/// The namespace to work in, for a command that makes no request: `default` where there is no kubeconfig either.
///
/// # Errors
/// Usage errors for a kubeconfig that cannot be read.
pub fn namespace(args: &ConnectionArgs) -> Result<String> {
    if let Some(namespace) = &args.namespace {
        return Ok(namespace.clone());
    }
    let Some(kubeconfig) = read_kubeconfig(args.kubeconfig.as_deref())? else {
        return Ok("default".to_owned());
    };
    let name = args.context.clone().or_else(|| kubeconfig.current_context.clone());
    if let Some(name) = &args.context {
        check_context(&kubeconfig, name)?;
    }
    let context = kubeconfig
        .contexts
        .into_iter()
        .find(|context| Some(&context.name) == name.as_ref());
    Ok(context
        .and_then(|named| named.context?.namespace)
        .unwrap_or_else(|| "default".to_owned()))
}

fn configuration(args: &ConnectionArgs) -> Result<(Config, Option<String>)> {
    let kubeconfig = read_kubeconfig(args.kubeconfig.as_deref())?;
    let named = args.context.is_some() || args.cluster.is_some() || args.user.is_some();
    let (mut kubeconfig, context) = match kubeconfig {
        Some(kubeconfig) if named || args.server.is_none() || kubeconfig.current_context.is_some() => {
            let context = args.context.clone().or_else(|| kubeconfig.current_context.clone());
            (kubeconfig, context.filter(|context| !context.is_empty()))
        }
        None if named => {
            return Err(
                Error::usage("there is no kubeconfig to take a context, cluster or user from")
                    .hint("--kubeconfig FILE or the variable KUBECONFIG names one"),
            );
        }
        None if args.server.is_none() => {
            return match Config::incluster() {
                Ok(config) => Ok((with_flags_in_cluster(config, args)?, None)),
                Err(_) => Err(Error::usage(
                    "no kubeconfig: neither ~/.kube/config nor the variable KUBECONFIG gives one",
                )
                .hint("--kubeconfig FILE names one; `kubectl config view` shows what kubectl uses")),
            };
        }
        _ => (Kubeconfig::default(), None),
    };
    let context_name = match &context {
        Some(name) => {
            check_context(&kubeconfig, name)?;
            name.clone()
        }
        None if args.server.is_some() || args.cluster.is_some() => {
            from_flags_alone(&mut kubeconfig, args);
            FLAGS.to_owned()
        }
        None => {
            return Err(Error::usage("the kubeconfig has no current context")
                .hint("--context NAME chooses one, `kubectl config use-context NAME` sets it"));
        }
    };
    let options = KubeConfigOptions {
        context: Some(context_name.clone()),
        cluster: args.cluster.clone(),
        user: args.user.clone(),
    };
    apply_flags(&mut kubeconfig, &context_name, args)?;
    // The future waits for nothing: kube made it async for callers' convenience.
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .now_or_never()
        .ok_or_else(|| Error::failure("the kubeconfig could not be read at once"))?
        .map_err(|e| Error::usage(format!("cannot use the kubeconfig's context {context_name:?}: {e}")))?;
    Ok((config, context))
}

/// Name of the context, cluster and user that stand for flags where the kubeconfig has none.
const FLAGS: &str = "kubectl-flink-flags";

fn from_flags_alone(kubeconfig: &mut Kubeconfig, args: &ConnectionArgs) {
    if args.cluster.is_none() {
        kubeconfig.clusters.push(NamedCluster {
            name: FLAGS.to_owned(),
            cluster: Some(kube::config::Cluster::default()),
            ..NamedCluster::default()
        });
    }
    kubeconfig.contexts.push(NamedContext {
        name: FLAGS.to_owned(),
        context: Some(Context {
            cluster: FLAGS.to_owned(),
            user: Some(FLAGS.to_owned()),
            ..Context::default()
        }),
        ..NamedContext::default()
    });
}

fn check_context(kubeconfig: &Kubeconfig, name: &str) -> Result<()> {
    if kubeconfig.contexts.iter().any(|context| context.name == name) {
        return Ok(());
    }
    let known: Vec<_> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.as_str())
        .collect();
    let error = Error::usage(format!("there is no context {name:?} in the kubeconfig"));
    Err(if known.is_empty() {
        error.hint("it has no contexts at all")
    } else {
        error.hint(format!("it has {}", known.join(", ")))
    })
}

/// Reads the file that was named, or those of the variable KUBECONFIG merged, or `~/.kube/config`.
/// `None`: there is none. Files of the variable that do not exist are passed over, as kubectl does.
fn read_kubeconfig(named: Option<&Path>) -> Result<Option<Kubeconfig>> {
    if let Some(path) = named {
        return read_file(path).map(Some);
    }
    let paths: Vec<PathBuf> = match std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
        Some(value) => std::env::split_paths(&value)
            .filter(|path| !path.as_os_str().is_empty())
            .collect(),
        None => dirs::home_dir()
            .map(|home| home.join(".kube").join("config"))
            .into_iter()
            .collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in paths.iter().filter(|path| path.exists()) {
        let next = read_file(path)?;
        merged = Some(match merged {
            None => next,
            Some(first) => first
                .merge(next)
                .map_err(|e| Error::usage(format!("cannot merge the kubeconfig {}: {e}", path.display())))?,
        });
    }
    // kubectl takes an empty file for no configuration.
    Ok(merged.filter(|config| !(config.contexts.is_empty() && config.clusters.is_empty())))
}

fn read_file(path: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(path).map_err(|e| {
        let mut cause: &dyn std::error::Error = &e;
        while let Some(next) = cause.source() {
            cause = next;
        }
        Error::usage(format!("cannot read the kubeconfig {}: {cause}", path.display()))
    })
}

/// Sets what the flags say in the cluster and the user that will be used.
fn apply_flags(kubeconfig: &mut Kubeconfig, context: &str, args: &ConnectionArgs) -> Result<()> {
    let used = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context)
        .and_then(|named| named.context.clone())
        .unwrap_or_default();
    let cluster_name = args.cluster.clone().unwrap_or(used.cluster);
    let user_name = args.user.clone().or(used.user).unwrap_or_default();
    let Some(named) = kubeconfig.clusters.iter_mut().find(|named| named.name == cluster_name) else {
        return Err(Error::usage(format!(
            "there is no cluster {cluster_name:?} in the kubeconfig"
        )));
    };
    let cluster = named.cluster.get_or_insert_default();
    if let Some(server) = &args.server {
        cluster.server = Some(server.clone());
    }
    if cluster.server.as_deref().is_none_or(str::is_empty) {
        return Err(Error::usage(format!(
            "the kubeconfig's cluster {cluster_name:?} has no server address"
        ))
        .hint("--server URL gives one"));
    }
    if let Some(file) = &args.certificate_authority {
        cluster.certificate_authority = Some(file.to_string_lossy().into_owned());
        cluster.certificate_authority_data = None;
    }
    if let Some(name) = &args.tls_server_name {
        cluster.tls_server_name = Some(name.clone());
    }
    if let Some(insecure) = args.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(insecure);
    }
    if args.user.is_some() && !kubeconfig.auth_infos.iter().any(|named| named.name == user_name) {
        return Err(Error::usage(format!(
            "there is no user {user_name:?} in the kubeconfig"
        )));
    }
    let overrides = user_flags(args);
    if overrides.is_empty() {
        return Ok(());
    }
    let known = kubeconfig.auth_infos.iter().position(|named| named.name == user_name);
    let index = known.unwrap_or(kubeconfig.auth_infos.len());
    if known.is_none() {
        kubeconfig.auth_infos.push(kube::config::NamedAuthInfo {
            name: user_name,
            ..kube::config::NamedAuthInfo::default()
        });
    }
    let slot = &mut kubeconfig.auth_infos[index].auth_info;
    *slot = Some(overridden(slot.take().unwrap_or_default(), overrides)?);
    Ok(())
}

/// The user's fields that flags set, under their kubeconfig names; null removes what the flag displaces.
fn user_flags(args: &ConnectionArgs) -> Vec<(&'static str, Value)> {
    let mut fields = Vec::new();
    if let Some(token) = &args.token {
        fields.push(("token", json!(token)));
        // As in kubectl, a token on the command line displaces every other way to log in.
        fields.extend(["tokenFile", "exec", "auth-provider", "username", "password"].map(|name| (name, Value::Null)));
    }
    if let Some(file) = &args.client_certificate {
        fields.extend([
            ("client-certificate", json!(file)),
            ("client-certificate-data", Value::Null),
        ]);
    }
    if let Some(file) = &args.client_key {
        fields.extend([("client-key", json!(file)), ("client-key-data", Value::Null)]);
    }
    if let Some(user) = &args.impersonate {
        fields.push(("as", json!(user)));
    }
    if !args.impersonate_group.is_empty() {
        fields.push(("as-groups", json!(args.impersonate_group)));
    }
    if let Some(uid) = &args.impersonate_uid {
        fields.push(("as-uid", json!(uid)));
    }
    fields
}

/// Through JSON, because kube's secret strings can be made by deserialization without a further dependency.
fn overridden(info: kube::config::AuthInfo, fields: Vec<(&'static str, Value)>) -> Result<kube::config::AuthInfo> {
    let failed = |e| Error::usage(format!("cannot apply the connection flags: {e}"));
    let mut tree = serde_json::to_value(info).map_err(failed)?;
    for (name, value) in fields {
        tree[name] = value;
    }
    if let Value::Object(map) = &mut tree {
        map.retain(|_, value| !value.is_null());
    }
    serde_json::from_value(tree).map_err(failed)
}

fn with_flags_in_cluster(mut config: Config, args: &ConnectionArgs) -> Result<Config> {
    let fields = user_flags(args);
    if !fields.is_empty() {
        config.auth_info = overridden(config.auth_info, fields)?;
    }
    Ok(config)
}

fn build(mut config: Config) -> kube::Result<Client> {
    if config.proxy_url.is_some() {
        // kube's own stack knows every kind of proxy; one delayed acknowledgement matters little behind one.
        config.default_retry = false;
        return Ok(ClientBuilder::try_from(config)?.build());
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let https = config.rustls_https_connector_with_connector(http)?;
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_request(|request: Request<Body>| {
            tracing::debug!(method = %request.method(), uri = %request.uri(), "request");
            request
        })
        .map_err(BoxError::from)
        .service(hyper);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// An error for a command that needs a connection and was given a namespace that cannot exist.
///
/// # Errors
/// Usage error when `namespace` is no DNS label.
pub fn check_namespace(namespace: &str) -> Result<()> {
    let valid = !namespace.is_empty()
        && namespace.len() <= 63
        && !namespace.starts_with('-')
        && !namespace.ends_with('-')
        && namespace
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if valid {
        Ok(())
    } else {
        Err(Error::new(Kind::Usage, format!("invalid namespace {namespace:?}")))
    }
}
