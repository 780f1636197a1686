//! Creates a client from kubectl's connection flags and the kubeconfig.
//!
//! The client is built here, not by kube's default, which leaves TCP_NODELAY off: then Nagle's algorithm waits for the
//! peer's delayed acknowledgement right after the TLS handshake, over 40 ms of a command that takes 10.

use std::time::Duration;

use futures::TryFutureExt;
use http::{Request, Response};
use http_body_util::{Either, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioExecutor;
use kube::client::middleware::AuthLayer;
use kube::client::{AuthError, Body, ClientBuilder, ConfigExt, DynBody};
use kube::{Client, Config};
use rustls::pki_types::ServerName;
use tower::util::MapResponseLayer;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use super::api::{Cluster, MAX_ANSWER};
use super::clock;
use super::in_pod::default_namespace;
pub use super::kubeconfig::{ConnectionOptions, configure};
use super::kubeconfig::{check_context, configuration};
use super::kubeconfig_files::read_kubeconfig;
use super::lines::ShortLines;
use super::named_authority;
use super::no_proxy::is_loopback;
use crate::error::{Error, Kind, Result};
use crate::kubernetes::errors::ServerInfo;
use crate::progress;

/// Time limit to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Silence on a connection after which TCP checks that the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Time limit of one request if the user sets none. kubectl has none, but a plugin that hangs is of no use.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the kubeconfig, applies the flags and builds the client. It sends no request.
///
/// # Errors
/// Usage errors for a kubeconfig that cannot be read, contexts that do not exist and no configuration at all.
pub(crate) fn connect(args: &ConnectionOptions) -> Result<Cluster> {
    let (config, context) = configuration(args)?;
    let at = ServerInfo {
        server: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
        context,
    };
    let namespace = args
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    check_namespace(&namespace)?;
    if config.auth_info.impersonate.is_none() && (args.impersonate_uid.is_some() || !args.impersonate_group.is_empty())
    {
        return Err(Error::usage("--as-group and --as-uid need --as USER"));
    }
    let hint = config
        .auth_info
        .exec
        .as_ref()
        .and_then(|exec| exec.install_hint.clone());
    warn_of_plain_text(&config.cluster_url);
    if let Some(provider) = &config.auth_info.auth_provider {
        refuse_removed(&provider.name).map_err(|error| error.context(format!("no credentials for {at}")))?;
    }
    let program = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    let client = build(config).map_err(|error| no_client(&at, &error, program.as_deref(), hint.as_deref()))?;
    let timeout = match args.request_timeout {
        Some(Duration::ZERO) => None,
        given => Some(given.unwrap_or(REQUEST_TIMEOUT)),
    };
    Ok(Cluster::new(client, namespace, at, timeout).with_access(args.access))
}

/// Warns of plain http, which exposes credentials on the network. It is fine for `kubectl proxy`, which listens on
/// loopback.
fn warn_of_plain_text(server: &http::Uri) {
    if server.scheme_str() == Some("http") && !is_loopback(server.host().unwrap_or_default()) {
        progress::warn(&format!(
            "{server} uses plain HTTP: anyone on the network can read and change the requests, including credentials"
        ));
    }
}

/// The namespace for a command that sends no request: the Pod's or `default` if there is no kubeconfig either.
pub(crate) fn namespace(args: &ConnectionOptions) -> Result<String> {
    if let Some(namespace) = &args.namespace {
        return check_namespace(namespace).map(|()| namespace.clone());
    }
    scope(args).map(|(_, namespace)| namespace)
}

/// The context, if there is one, and the namespace. It sends no request.
///
/// # Errors
/// Usage errors for a kubeconfig that cannot be read, and a context that it does not have.
pub(crate) fn scope(args: &ConnectionOptions) -> Result<(Option<String>, String)> {
    let given = args.namespace.clone();
    let Some(kubeconfig) = read_kubeconfig(args.kubeconfig.as_deref())? else {
        return Ok((None, given.unwrap_or_else(default_namespace)));
    };
    let name = args.context.clone().or_else(|| kubeconfig.current_context.clone());
    if let Some(name) = &args.context {
        check_context(&kubeconfig, name)?;
    }
    let context = kubeconfig
        .contexts
        .into_iter()
        .find(|context| Some(&context.name) == name.as_ref());
    let namespace = given
        .or_else(|| context.and_then(|named| named.context?.namespace.filter(|namespace| !namespace.is_empty())))
        .unwrap_or_else(default_namespace);
    Ok((name.filter(|name| !name.is_empty()), namespace))
}

/// Creates connections without Nagle's algorithm: see the top of this file.
pub(crate) fn connector() -> HttpConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    // A watch, a followed log or a registry can be silent for long. Without keepalive, the loss of the peer would never be noticed.
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE / 3));
    http.set_keepalive_retries(Some(3));
    http
}

/// Rejects the authentication methods that kubectl has removed, with kubectl's message. Source: client-go's
/// `plugin/pkg/client/auth`.
fn refuse_removed(provider: &str) -> Result<()> {
    let (instead, about) = match provider {
        "gcp" => (
            "\"gke-gcloud-auth-plugin\"",
            "https://cloud.google.com/blog/products/containers-kubernetes/kubectl-auth-changes-in-gke",
        ),
        "azure" => (
            "https://github.com/Azure/kubelogin",
            "https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins",
        ),
        _ => return Ok(()),
    };
    Err(Error::new(
        Kind::Unauthorized,
        format!("The {provider} auth plugin has been removed."),
    )
    .hint(format!(
        "Please use the {instead} kubectl/client-go credential plugin instead."
    ))
    .hint(format!("See {about} for further details")))
}

/// The error when no client can be created: usually a credential plugin has failed.
fn no_client(at: &ServerInfo, error: &kube::Error, program: Option<&str>, install_hint: Option<&str>) -> Error {
    let credentials = |why: &str| Error::new(Kind::Unauthorized, format!("no credentials for {at}: {why}"));
    match error {
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = if said.trim().is_empty() {
                "it said nothing"
            } else {
                said.trim()
            };
            credentials(&format!(
                "the kubeconfig's login program failed ({}): {said}",
                out.status
            ))
            .hint("log in again as you do for kubectl, then `kubectl auth whoami` shows who you are")
        }
        kube::Error::Auth(AuthError::AuthExecStart(e)) => {
            let program = program.unwrap_or_default();
            let missing = e.kind() == std::io::ErrorKind::NotFound;
            // kubectl's message.
            let error = if missing {
                credentials(&format!("exec: executable {program} not found")).hint(
                    "it looks like a client-go credential plugin that is not installed; see \
                     https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins",
                )
            } else {
                credentials(&format!(
                    "the kubeconfig's login program {program} cannot be started: {e}"
                ))
            };
            error.hint_if(install_hint.map(str::trim))
        }
        kube::Error::Auth(other) => credentials(&other.to_string()),
        // kube's own message has the login to the proxy.
        kube::Error::ProxyProtocolUnsupported { proxy_url } => Error::usage(format!(
            "cannot use the connection to {at}: proxies of kind {} are not supported",
            proxy_url.scheme_str().unwrap_or("unknown")
        )),
        other => Error::usage(format!("cannot use the connection to {at}: {other}")),
    }
}

/// An answer through a proxy, whose time was read. The first answer of a command, which counts, is the API server's own.
fn observed(answer: Response<Box<DynBody>>) -> Response<Box<DynBody>> {
    clock::observe(answer.headers());
    answer
}

/// The HTTP or SOCKS proxy of a configuration, and the login to it; `None`: there is none, or one of another kind.
fn known_proxy(config: &Config) -> Option<Intercept> {
    let proxy = config.proxy_url.as_ref()?.to_string();
    let proxy = Matcher::builder().all(proxy).build().intercept(&config.cluster_url)?;
    matches!(proxy.uri().scheme_str(), Some("http" | "socks5" | "socks5h")).then_some(proxy)
}

/// TLS over a connector, as kube makes it, and [`named_authority`].
fn secured<H>(config: &Config, connector: H) -> kube::Result<HttpsConnector<H>> {
    let mut tls = config.rustls_client_config()?;
    // kube reads the file of a Pod again when it changes.
    let authorities = config.root_cert.as_ref().filter(|_| config.root_cert_file.is_none());
    if let (Some(authorities), false) = (authorities, config.accept_invalid_certs) {
        named_authority::trust(&mut tls, authorities);
    }
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let builder = match config.tls_server_name.clone() {
        Some(name) => builder.with_server_name_resolver(move |_: &http::Uri| ServerName::try_from(name.clone())),
        None => builder,
    };
    Ok(builder.enable_http1().wrap_connector(connector))
}

fn build(mut config: Config) -> kube::Result<Client> {
    let proxy = known_proxy(&config);
    if config.proxy_url.is_some() && proxy.is_none() {
        // kube's own stack supports an HTTP proxy that is reached with TLS.
        config.default_retry = false;
        let observed = MapResponseLayer::new(observed);
        return Ok(ClientBuilder::try_from(config)?.with_layer(&observed).build());
    }
    // This runs the kubeconfig's credential plugin, if it has one. So would the TLS connector, to look for a client
    // certificate. If the plugin returned a token, it is not run again: some take seconds.
    let auth = config.auth_layer()?;
    if proxy.is_none() && config.cluster_url.scheme_str() == Some("http") {
        // Reading a hundred CA certificates takes longer than the rest of a command.
        return assemble(&config, auth, connector());
    }
    let mut for_tls = config.clone();
    if auth.is_some() {
        for_tls.auth_info.exec = None;
        for_tls.auth_info.auth_provider = None;
    }
    let Some(proxy) = proxy else {
        return assemble(&config, auth, secured(&for_tls, connector())?);
    };
    if proxy.uri().scheme_str() != Some("http") {
        return assemble(&config, auth, secured(&for_tls, socks(&proxy, connector()))?);
    }
    assemble(&config, auth, secured(&for_tls, tunnel(&proxy, connector()))?)
}

/// Connects through a SOCKS proxy.
pub(crate) fn socks(proxy: &Intercept, connector: HttpConnector) -> SocksV5<HttpConnector> {
    let socks = SocksV5::new(proxy.uri().clone(), connector);
    match proxy.raw_auth() {
        Some((user, password)) => socks.with_auth(user.to_owned(), password.to_owned()),
        None => socks,
    }
}

/// Connects through an HTTP proxy.
pub(crate) fn tunnel(proxy: &Intercept, connector: HttpConnector) -> Tunnel<HttpConnector> {
    let tunnel = Tunnel::new(proxy.uri().clone(), connector);
    match proxy.basic_auth() {
        Some(login) => tunnel.with_auth(login.clone()),
        None => tunnel,
    }
}

/// Limits the part of an answer that is in memory: each line of a watch, nothing of a log, and any other answer as a
/// whole.
fn bound<B: hyper::body::Body>(uri: &http::Uri, body: B) -> Either<Either<B, ShortLines<B>>, Limited<B>> {
    if uri.path().ends_with("/log") {
        Either::Left(Either::Left(body))
    } else if uri.query().is_some_and(|query| query.contains("watch=true")) {
        Either::Left(Either::Right(ShortLines::new(body, MAX_ANSWER)))
    } else {
        Either::Right(Limited::new(body, MAX_ANSWER))
    }
}

fn assemble<C>(config: &Config, auth: Option<AuthLayer>, connector: C) -> kube::Result<Client>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .layer(config.extra_headers_layer()?)
        .map_request(|request: Request<Body>| {
            tracing::debug!(method = %request.method(), uri = %request.uri(), "request");
            request
        })
        .map_err(BoxError::from)
        .service(hyper);
    let limited = tower::service_fn(move |request: Request<Body>| {
        let uri = request.uri().clone();
        // Through the proxy the answer is Flink's.
        let its_own = !request.uri().path().contains("/proxy/");
        service.clone().oneshot(request).map_ok(move |answer| {
            if its_own {
                clock::observe(answer.headers());
            }
            answer.map(|body| bound(&uri, body))
        })
    });
    Ok(ClientBuilder::new(limited, config.default_namespace.clone()).build())
}

/// Checks a namespace before it becomes part of a path: with a slash it would change the request.
pub(crate) fn check_namespace(namespace: &str) -> Result<()> {
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
        Err(Error::usage(format!("invalid namespace {namespace:?}"))
            .hint("a namespace has at most 63 characters, only a-z, 0-9 and '-', and no '-' at its beginning or end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::ServiceExt;

    #[test]
    fn an_empty_namespace_of_a_context_is_none() {
        let text = "clusters: [{name: c, cluster: {server: 'https://a:1'}}]\nusers: [{name: u, user: {}}]\n\
            contexts: [{name: x, context: {cluster: c, user: u, namespace: ''}}]\ncurrent-context: x\n";
        let (_folder, args) = crate::kubernetes::kubeconfig::tests::options(text);
        let (config, _) = configuration(&args).unwrap();
        assert_eq!(config.default_namespace, default_namespace());
        assert_eq!(namespace(&args).unwrap(), default_namespace());
    }

    /// Without it each command takes over 40 ms more, and no answer shows it: see the top of this file.
    #[tokio::test]
    async fn connections_are_made_without_delay() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address: http::Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let stream = connector().oneshot(address.clone()).await.unwrap();
        assert!(stream.inner().nodelay().unwrap());
        // The default is the other way: the test sees a difference.
        let stream = HttpConnector::new().oneshot(address).await.unwrap();
        assert!(!stream.inner().nodelay().unwrap());
    }
}
