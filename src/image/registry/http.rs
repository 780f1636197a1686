//! Connections to registries: TLS with the same stack as the Kubernetes client's, proxies from the environment.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{LOCATION, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tower::{BoxError, Service};

use super::trust::{origin, same_origin, with_tls_of};
use crate::error::{Error, Result};
use crate::image::registry::blob_source::Chunks;
use crate::kubernetes::connect::{connector, socks, tunnel};
use crate::kubernetes::errors::{NO_TLS, TlsFault, innermost};
use crate::kubernetes::named_authority;
use crate::kubernetes::no_proxy::{first, is_direct};

/// Longest wait for a registry's answer. Some check a whole blob before they answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Time limit for the body of a manifest, a configuration, a token or an error.
const SMALL_ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum number of redirects: registries redirect once, to their blob storage.
const REDIRECTS: usize = 5;

pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is read while it is sent.
pub(crate) fn streamed(chunks: Chunks) -> Body {
    use futures::TryStreamExt;
    BodyExt::boxed_unsync(StreamBody::new(chunks.map_ok(Frame::data)))
}

/// Sends requests, and follows redirects of those without a body.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpsConnector<Reach>, Body>,
}

impl Http {
    /// With the CA certificates of a file in addition to the system's.
    pub(crate) fn new(authority: Option<&Path>) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let failed = |e: &dyn std::fmt::Display| Error::failure(format!("cannot set up TLS: {e}"));
        let extra = authority.map(read_authorities).transpose()?.unwrap_or_default();
        let roots = extra.iter().cloned();
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(roots, provider.clone())
            .map_err(|e| failed(&e))?;
        let verifier = named_authority::beside(Arc::new(verifier), extra, provider.clone());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(&e))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let reach = Reach {
            direct: connector(),
            proxies: Arc::new(proxies()),
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(reach);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
        })
    }

    /// Sends a request. Errors of the connection are [`Kind::Unreachable`].
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>> {
        let host = host(&request);
        match tokio::time::timeout(ANSWER_TIMEOUT, self.upload(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(unreachable(
                &host,
                &format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
            )),
        }
    }

    /// Sends a request without a time limit for its body; the creator of the body monitors it.
    pub(crate) async fn upload(&self, mut request: Request<Body>) -> Result<Response<Incoming>> {
        let version = HeaderValue::from_static(concat!("kubectl-flink/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, version);
        // The query of a storage's address is a signature, with which anyone may read.
        let (to, path) = (origin(request.uri()), request.uri().path());
        tracing::debug!(method = %request.method(), %to, %path, "request");
        let host = host(&request);
        self.client
            .request(request)
            .await
            .map_err(|error| connection_error(&host, &innermost(&error).to_string()))
    }

    /// Sends a request without a body, and follows redirects. Returns the answer and the URL that answered. Credentials
    /// are only sent to the first origin.
    pub(crate) async fn follow(&self, request: Request<()>) -> Result<(Response<Incoming>, Uri)> {
        let (mut parts, ()) = request.into_parts();
        for _ in 0..REDIRECTS {
            let response = self.send(Request::from_parts(parts.clone(), empty())).await?;
            let moved = matches!(
                response.status(),
                StatusCode::MOVED_PERMANENTLY
                    | StatusCode::FOUND
                    | StatusCode::SEE_OTHER
                    | StatusCode::TEMPORARY_REDIRECT
                    | StatusCode::PERMANENT_REDIRECT
            );
            let Some(location) = response.headers().get(LOCATION).filter(|_| moved) else {
                return Ok((response, parts.uri));
            };
            let next = resolve(&parts.uri, location)?;
            if !same_origin(&next, &parts.uri) {
                parts.headers.remove(http::header::AUTHORIZATION);
            }
            parts.uri = next;
        }
        Err(Error::failure(format!("{} redirects too often", origin(&parts.uri))))
    }
}

fn host<B>(request: &Request<B>) -> String {
    request.uri().authority().map_or_else(String::new, ToString::to_string)
}

fn unreachable(host: &str, why: &str) -> Error {
    Error::unreachable(format!("registry {host} cannot be reached: {why}"))
}

/// The error of a connection: what is wrong with TLS has a flag.
fn connection_error(host: &str, why: &str) -> Error {
    match TlsFault::of(why) {
        Some(TlsFault::NoTls) => {
            unreachable(host, NO_TLS).hint(format!("--insecure-registry {host} accesses it without TLS"))
        }
        Some(TlsFault::Authority) => {
            unreachable(host, why).hint("--registry-ca FILE has the authority that signed its certificate")
        }
        // No authority makes a certificate valid for another name or time.
        Some(TlsFault::Name | TlsFault::Time) | None => unreachable(host, why),
    }
}

/// The target of a `Location` in an answer to `base`, as [`with_tls_of`] allows it.
pub(crate) fn resolve(base: &Uri, location: &HeaderValue) -> Result<Uri> {
    let wrong = || Error::failure(format!("{} redirects to an invalid address", origin(base)));
    let uri: Uri = location
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(wrong)?;
    if uri.authority().is_some() {
        return with_tls_of(base, uri);
    }
    let mut parts = uri.into_parts();
    parts.scheme = base.scheme().cloned();
    parts.authority = base.authority().cloned();
    Uri::from_parts(parts).map_err(|_| wrong())
}

/// Reads a whole small answer.
///
/// # Errors
/// Errors of the connection are [`Kind::Unreachable`]; other errors: an answer beyond the limit of size or time.
pub(crate) async fn collect(body: Incoming, most: usize) -> Result<Bytes> {
    let collecting = Limited::new(body, most).collect();
    match tokio::time::timeout(SMALL_ANSWER_TIMEOUT, collecting).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(Error::failure(format!(
            "the registry's answer is longer than {most} bytes, the limit for an answer of this kind"
        ))),
        Ok(Err(e)) => Err(Error::unreachable("the registry broke off its answer").because(e)),
        Err(_) => Err(Error::failure(format!(
            "the registry's answer has no end after {} s",
            SMALL_ANSWER_TIMEOUT.as_secs()
        ))),
    }
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |why: String| Error::usage(format!("--registry-ca {}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(format!("it is not a certificate: {e}")))?;
    if certificates.is_empty() {
        return Err(wrong("there is no certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// Connects directly, or through the proxy in the environment.
#[derive(Clone)]
struct Reach {
    direct: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Service<Uri> for Reach {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let mut direct = self.direct.clone();
        let proxy = self.proxies.intercept(&target);
        let proxy = proxy.filter(|_| !is_direct(&target, |name| std::env::var(name).ok()));
        Box::pin(async move {
            match proxy {
                None => direct.call(target).await.map_err(BoxError::from),
                Some(proxy) => through(&proxy, direct, target).await,
            }
        })
    }
}

/// The proxies in the environment. The matcher gets no NO_PROXY: it would also take `.example.com` for `example.com`, and kubectl
/// and Docker do not. [`is_direct`] reads that list.
fn proxies() -> Matcher {
    let of = |names| first(names, |name| std::env::var(name).ok()).map_or_else(String::new, |(_, address)| address);
    Matcher::builder()
        .all(of(["ALL_PROXY", "all_proxy"]))
        .http(of(["HTTP_PROXY", "http_proxy"]))
        .https(of(["HTTPS_PROXY", "https_proxy"]))
        .build()
}

/// The same with an explicit port: a proxy needs one, and hyper-util uses 443 if it is missing.
fn with_port(target: Uri) -> Uri {
    let Some(host) = target.host().filter(|_| target.port().is_none()) else {
        return target;
    };
    let port = if target.scheme_str() == Some("http") { 80 } else { 443 };
    let authority = format!("{host}:{port}").parse().ok();
    let mut parts = target.clone().into_parts();
    parts.authority = authority;
    Uri::from_parts(parts).unwrap_or(target)
}

async fn through(proxy: &Intercept, direct: HttpConnector, target: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
    tracing::debug!(proxy = %proxy.uri(), "by a proxy");
    let target = with_port(target);
    match proxy.uri().scheme_str() {
        Some("socks5" | "socks5h") => socks(proxy, direct).call(target).await.map_err(BoxError::from),
        Some("http") => tunnel(proxy, direct).call(target).await.map_err(BoxError::from),
        other => Err(format!("proxies of kind {} are not supported", other.unwrap_or("unknown")).into()),
    }
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;
    use rustls::pki_types::UnixTime;

    use super::*;

    #[test]
    fn another_authority_is_a_hint_only_where_it_helps() {
        let hints = |fault: CertificateError| {
            let why = rustls::Error::InvalidCertificate(fault).to_string();
            connection_error("registry.example", &why).hints
        };
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let (time, not_after) = (time(2), time(1));
        assert!(hints(CertificateError::ExpiredContext { time, not_after }).is_empty());
        assert!(hints(CertificateError::UnknownIssuer)[0].contains("--registry-ca"));
    }
}
