//! Creates a client's configuration from kubeconfig files and kubectl's connection flags.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use kube::config::{Cluster, Context, ExecAuthCluster, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::api::access::Access;
use super::in_pod::default_namespace;
use super::kubeconfig_files::{overridden, read_kubeconfig, trim_token_file};
use super::no_proxy;
use crate::error::{Error, Result};
use crate::model::nearest::nearest;

/// kubectl's connection flags, with the same meaning.
#[derive(Clone, Debug, Default)]
pub struct ConnectionOptions {
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) impersonate: Option<String>,
    pub(crate) impersonate_group: Vec<String>,
    pub(crate) impersonate_uid: Option<String>,
    /// The address of the API server.
    pub server: Option<String>,
    /// A bearer token.
    pub token: Option<String>,
    /// User and password.
    pub(crate) basic: Option<(String, String)>,
    pub(crate) certificate_authority: Option<PathBuf>,
    pub(crate) client_certificate: Option<PathBuf>,
    pub(crate) client_key: Option<PathBuf>,
    pub(crate) tls_server_name: Option<String>,
    pub(crate) insecure_skip_tls_verify: Option<bool>,
    pub(crate) disable_compression: Option<bool>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) access: Access,
}

/// The configuration from the kubeconfig files and kubectl's connection flags, and the context in use.
pub(crate) fn configuration(args: &ConnectionOptions) -> Result<(Config, Option<String>)> {
    configure(read_kubeconfig(args.kubeconfig.as_deref())?, args)
}

/// Like [`configuration`], from a kubeconfig that was read.
pub fn configure(kubeconfig: Option<Kubeconfig>, args: &ConnectionOptions) -> Result<(Config, Option<String>)> {
    if args.certificate_authority.is_some() && args.insecure_skip_tls_verify == Some(true) {
        // As in kubectl: with both, the authority would not be asked.
        return Err(Error::usage(
            "--certificate-authority and --insecure-skip-tls-verify exclude each other",
        ));
    }
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
    apply_flags(&mut kubeconfig, &context_name, args)?;
    let config = config_of(&kubeconfig, &context_name, args)
        .map_err(|error| error.context(format!("cannot use the kubeconfig's context {context_name:?}")))?;
    Ok((config, context))
}

/// The configuration of a context. kube's own `Config::from_custom_kubeconfig` does the same, except for the proxy: see
/// [`no_proxy`].
fn config_of(kubeconfig: &Kubeconfig, context: &str, args: &ConnectionOptions) -> Result<Config> {
    let found = kubeconfig.contexts.iter().find(|named| named.name == context);
    let context = found.and_then(|named| named.context.clone()).unwrap_or_default();
    let name = args.cluster.as_ref().unwrap_or(&context.cluster);
    let found = kubeconfig.clusters.iter().find(|named| named.name == *name);
    let cluster = found.and_then(|named| named.cluster.clone()).unwrap_or_default();
    let server = cluster.server.clone().unwrap_or_default();
    let server: http::Uri = server
        .parse()
        .map_err(|e| Error::usage("failed to parse cluster url").because(e))?;
    let user = args.user.as_ref().or(context.user.as_ref());
    let found = kubeconfig.auth_infos.iter().find(|named| Some(&named.name) == user);
    let mut user = found.and_then(|named| named.auth_info.clone()).unwrap_or_default();
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        let about = ExecAuthCluster::try_from(&cluster);
        exec.cluster = Some(about.map_err(|e| Error::usage(e.to_string()))?);
    }
    let mut config = Config::new(server);
    config.proxy_url = match cluster.proxy_url.as_deref().filter(|proxy| !proxy.is_empty()) {
        Some(proxy) => {
            let shown = no_proxy::without_login(proxy);
            let wrong = |e| Error::usage(format!("its proxy-url {shown:?} is not an address: {e}"));
            Some(proxy.parse().map_err(wrong)?)
        }
        None => no_proxy::proxy(&config.cluster_url, |name| std::env::var(name).ok())?,
    };
    config.root_cert = authorities(&cluster)?;
    // As in kubectl, an empty one is none.
    let namespace = context.namespace.filter(|namespace| !namespace.is_empty());
    config.default_namespace = namespace.unwrap_or_else(default_namespace);
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name;
    config.auth_info = user;
    Ok(config)
}

/// The CA certificates of the API server.
fn authorities(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>> {
    let wrong = |why: &dyn std::fmt::Display| Error::usage(format!("failed to load certificate authority: {why}"));
    let pem = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) => STANDARD.decode(data).map_err(|e| wrong(&e))?,
        (None, Some(file)) => std::fs::read(file).map_err(|e| wrong(&format!("{file}: {e}")))?,
        (None, None) => return Ok(None),
    };
    let read = CertificateDer::pem_slice_iter(&pem).map(|one| one.map(|one| one.as_ref().to_vec()));
    read.collect::<std::result::Result<_, _>>()
        .map(Some)
        .map_err(|e| wrong(&e))
}

/// Name of the context, cluster and user that hold the flags if the kubeconfig has none.
const FLAGS: &str = "kubectl-flink-flags";

fn from_flags_alone(kubeconfig: &mut Kubeconfig, args: &ConnectionOptions) {
    if args.cluster.is_none() {
        kubeconfig.clusters.push(NamedCluster {
            name: FLAGS.to_owned(),
            cluster: Some(Cluster::default()),
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

pub(crate) fn check_context(kubeconfig: &Kubeconfig, name: &str) -> Result<()> {
    check_known("context", name, kubeconfig.contexts.iter().map(|context| &context.name))
}

/// Checks that the kubeconfig has an entry of this sort and name; the error lists the existing ones.
fn check_known<'a>(sort: &str, name: &str, known: impl Iterator<Item = &'a String>) -> Result<()> {
    let known: Vec<_> = known.map(String::as_str).collect();
    if known.contains(&name) {
        return Ok(());
    }
    let meant = nearest(name, known.iter().copied());
    let error = Error::not_found(format!("there is no {sort} {name:?} in the kubeconfig"))
        .hint_if(meant.map(|meant| format!("did you mean {meant}?")));
    Err(if known.is_empty() {
        error.hint(format!("it has no {sort}s at all"))
    } else {
        error.hint(format!("known {sort}s: {}", known.join(", ")))
    })
}

fn apply_flags(kubeconfig: &mut Kubeconfig, context: &str, args: &ConnectionOptions) -> Result<()> {
    let used = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context)
        .and_then(|named| named.context.clone())
        .unwrap_or_default();
    let cluster_name = args.cluster.clone().unwrap_or(used.cluster);
    let user_name = args.user.clone().or(used.user).unwrap_or_default();
    check_known(
        "cluster",
        &cluster_name,
        kubeconfig.clusters.iter().map(|named| &named.name),
    )?;
    if ![FLAGS, ""].contains(&user_name.as_str()) {
        check_known(
            "user",
            &user_name,
            kubeconfig.auth_infos.iter().map(|named| &named.name),
        )?;
    }
    let mut users = kubeconfig
        .auth_infos
        .iter()
        .filter(|named| named.name == user_name)
        .filter_map(|named| named.auth_info.as_ref());
    let has_certificate = args.client_certificate.is_some()
        || users.any(|user| user.client_certificate.is_some() || user.client_certificate_data.is_some());
    let mut clusters = kubeconfig.clusters.iter_mut();
    let Some(named) = clusters.find(|named| named.name == cluster_name) else {
        return Ok(());
    };
    let cluster = named.cluster.get_or_insert_default();
    if let Some(server) = &args.server {
        cluster.server = Some(server.clone());
        // As in kubectl: it is the name of the other server.
        cluster.tls_server_name = None;
    }
    if cluster.server.as_deref().is_none_or(str::is_empty) {
        return Err(Error::usage(format!(
            "the kubeconfig's cluster {cluster_name:?} has no server address"
        ))
        .hint("--server URL gives one"));
    }
    if let Some(file) = &args.certificate_authority {
        readable("--certificate-authority", file)?;
        cluster.certificate_authority = Some(file.to_string_lossy().into_owned());
        cluster.certificate_authority_data = None;
        // As in kubectl: who names an authority wants the check.
        cluster.insecure_skip_tls_verify = None;
    }
    if let Some(name) = &args.tls_server_name {
        cluster.tls_server_name = Some(name.clone());
    }
    if let Some(insecure) = args.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(insecure);
    }
    if let Some(disable) = args.disable_compression {
        cluster.disable_compression = Some(disable);
    }
    if let Some(server) = cluster.server.take() {
        cluster.server = Some(with_scheme(server, cluster, has_certificate));
    }
    check_client_files(args)?;
    let overrides = user_flags(args);
    let known = kubeconfig.auth_infos.iter().position(|named| named.name == user_name);
    let index = known.unwrap_or(kubeconfig.auth_infos.len());
    if known.is_none() {
        if overrides.is_empty() {
            return Ok(());
        }
        kubeconfig.auth_infos.push(NamedAuthInfo {
            name: user_name,
            ..NamedAuthInfo::default()
        });
    }
    let slot = &mut kubeconfig.auth_infos[index].auth_info;
    let mut user = overridden(slot.take().unwrap_or_default(), overrides)?;
    trim_token_file(&mut user)?;
    *slot = Some(user);
    Ok(())
}

/// Adds a scheme like kubectl: `http` unless the address or another setting implies TLS, such as a client's certificate. Source:
/// `DefaultServerUrlFor` of client-go.
fn with_scheme(server: String, cluster: &Cluster, has_certificate: bool) -> String {
    let tls = has_certificate
        || cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || cluster.insecure_skip_tls_verify == Some(true);
    match server.contains("://") {
        true => server,
        false if tls => format!("https://{server}"),
        false => format!("http://{server}"),
    }
}

/// Checks that a file is readable: an error of kube does not name the flag.
fn readable(flag: &str, file: &Path) -> Result<()> {
    std::fs::File::open(file)
        .map(drop)
        .map_err(|e| Error::usage(format!("cannot read the file of {flag}, {}: {e}", file.display())))
}

fn check_client_files(args: &ConnectionOptions) -> Result<()> {
    for (flag, file) in [
        ("--client-certificate", &args.client_certificate),
        ("--client-key", &args.client_key),
    ] {
        if let Some(file) = file {
            readable(flag, file)?;
        }
    }
    Ok(())
}

/// The user's fields that flags set, under their kubeconfig names; null removes a field that the flag replaces.
fn user_flags(args: &ConnectionOptions) -> Vec<(&'static str, Value)> {
    let mut fields = Vec::new();
    if let Some(token) = &args.token {
        fields.push(("token", json!(token)));
        // As in kubectl, a token on the command line replaces every other way to log in.
        fields.extend(["tokenFile", "exec", "auth-provider", "username", "password"].map(|name| (name, Value::Null)));
    }
    if let Some((user, password)) = &args.basic {
        fields.extend([("username", json!(user)), ("password", json!(password))]);
        fields.extend(["token", "tokenFile", "exec", "auth-provider"].map(|name| (name, Value::Null)));
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

/// The configuration of a Pod with the flags. kubectl takes only some of them there; none is ignored here.
fn with_flags_in_cluster(mut config: Config, args: &ConnectionOptions) -> Result<Config> {
    config.default_namespace = default_namespace();
    if let Some(file) = &args.certificate_authority {
        readable("--certificate-authority", file)?;
        config.root_cert = authorities(&Cluster {
            certificate_authority: Some(file.to_string_lossy().into_owned()),
            ..Cluster::default()
        })?;
        // kube reads that of the service account again when it changes.
        config.root_cert_file = None;
    }
    config.tls_server_name = args.tls_server_name.clone().or(config.tls_server_name);
    config.accept_invalid_certs = args.insecure_skip_tls_verify.unwrap_or(config.accept_invalid_certs);
    config.disable_compression = args.disable_compression.unwrap_or(config.disable_compression);
    check_client_files(args)?;
    let fields = user_flags(args);
    if !fields.is_empty() {
        config.auth_info = overridden(config.auth_info, fields)?;
    }
    Ok(config)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_plain_unless_it_has_a_certificate() {
        let mut cluster = Cluster::default();
        assert_eq!(with_scheme("a:1".to_owned(), &cluster, false), "http://a:1");
        assert_eq!(with_scheme("https://a".to_owned(), &cluster, false), "https://a");
        cluster.certificate_authority = Some("ca.crt".to_owned());
        assert_eq!(with_scheme("a:1".to_owned(), &cluster, false), "https://a:1");
    }

    #[test]
    fn an_address_without_a_scheme_has_tls_for_a_user_with_a_certificate() {
        for (user, expected) in [
            ("{client-certificate-data: QQ==, token: t}", "https"),
            ("{client-certificate-data: '', token: t}", "http"),
        ] {
            let text = format!(
                "clusters: [{{name: c, cluster: {{server: 'a:1'}}}}]\nusers: [{{name: u, user: {user}}}]\n\
                 contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
            );
            assert_eq!(configured(&text).cluster_url.scheme_str(), Some(expected), "{user}");
        }
    }

    /// The flags that name a kubeconfig file with this text, and its folder.
    pub(in crate::kubernetes) fn options(text: &str) -> (tempfile::TempDir, ConnectionOptions) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, text).unwrap();
        let args = ConnectionOptions {
            kubeconfig: Some(file),
            ..ConnectionOptions::default()
        };
        (folder, args)
    }

    /// The configuration of a kubeconfig file with this text.
    fn configured(text: &str) -> Config {
        let (_folder, args) = options(text);
        configuration(&args).unwrap().0
    }

    #[test]
    fn an_empty_path_is_none() {
        let config = configured(
            "clusters: [{name: c, cluster: {server: 'https://a:1', certificate-authority: ''}}]\n\
             users: [{name: u, user: {client-certificate: '', client-key: '', tokenFile: ''}}]\n\
             contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n",
        );
        assert!(config.root_cert.is_none());
        let user = config.auth_info;
        assert_eq!(
            (user.client_certificate, user.client_key, user.token_file),
            (None, None, None)
        );
    }

    #[test]
    fn values_are_read_as_kubectl_reads_them() {
        let encoded = STANDARD.encode("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let (first, second) = encoded.split_at(40);
        let text = format!(
            "clusters:\n- name: c\n  cluster:\n    server: https://a:1\n    tls-server-name: b\n    \
             insecure-skip-tls-verify: true\n    certificate-authority-data: |\n      {first}\n      {second}\n\
             users:\n- name: u\n  user:\n    token: ''\n    username: ''\n    password: ''\n    \
             client-certificate-data: |\n      {first}\n      {second}\n    client-key-data: ''\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
        );
        let (folder, mut args) = options(&text);
        let authority = folder.path().join("ca.crt");
        std::fs::write(&authority, STANDARD.decode(&encoded).unwrap()).unwrap();
        let (config, _) = configuration(&args).unwrap();
        assert_eq!(config.root_cert.map(|all| all.len()), Some(1));
        assert_eq!(config.tls_server_name.as_deref(), Some("b"));
        assert!(config.accept_invalid_certs);
        let user = config.auth_info;
        assert_eq!(user.client_certificate_data, Some(encoded));
        assert!(user.token.is_none() && user.username.is_none() && user.password.is_none());
        assert!(user.client_key_data.is_none());
        // The name is that of the other server, and the authority is named to be asked.
        args.server = Some("https://d:1".to_owned());
        args.certificate_authority = Some(authority);
        let (config, _) = configuration(&args).unwrap();
        assert_eq!(config.tls_server_name, None);
        assert!(!config.accept_invalid_certs);
    }

    #[test]
    fn no_flag_is_ignored_in_a_pod() {
        let mut config = Config::new("https://10.0.0.1".parse().unwrap());
        config.root_cert_file = Some("/ca.crt".into());
        config.auth_info.token_file = Some("/token".to_owned());
        let mut args = ConnectionOptions {
            token: Some("t".to_owned()),
            impersonate: Some("ci".to_owned()),
            tls_server_name: Some("kubernetes".to_owned()),
            insecure_skip_tls_verify: Some(true),
            disable_compression: Some(true),
            ..ConnectionOptions::default()
        };
        let with = with_flags_in_cluster(config.clone(), &args).unwrap();
        assert_eq!(
            (with.auth_info.token.is_some(), with.auth_info.token_file),
            (true, None)
        );
        assert_eq!(with.auth_info.impersonate.as_deref(), Some("ci"));
        assert_eq!(with.tls_server_name.as_deref(), Some("kubernetes"));
        assert!(with.accept_invalid_certs && with.disable_compression);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        args.certificate_authority = Some(file.clone());
        let error = with_flags_in_cluster(config.clone(), &args).unwrap_err();
        assert!(error.message.contains("--certificate-authority"), "{error}");
        std::fs::write(file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let with = with_flags_in_cluster(config, &args).unwrap();
        assert_eq!(
            (with.root_cert.map(|all| all.len()), with.root_cert_file),
            (Some(1), None)
        );
    }
}
