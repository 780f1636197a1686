//! Turns errors between the plugin and the API server into messages for users.
//!
//! This happens only here, at the boundary: kube's own messages repeat themselves and do not name the object.

use http::StatusCode;
use hyper_util::client::legacy;
use serde::Deserialize;

use super::resource::Target;
use crate::error::{Error, Kind};
use crate::model::names::ClusterName;

/// The part of a Kubernetes `Status` that is reported. Source: meta/v1 Status; all fields can be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    /// The status code of its answer.
    #[serde(skip)]
    pub(crate) code: StatusCode,
    pub(crate) message: String,
    /// Machine-readable reason, such as `NotFound`.
    pub(crate) reason: String,
}

/// Facts about the connection, for error messages.
#[derive(Clone, Debug)]
pub(crate) struct ServerInfo {
    pub(crate) server: String,
    /// Context in use; `None`: in-cluster, or built from flags.
    pub(crate) context: Option<String>,
}

impl std::fmt::Display for ServerInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.context {
            Some(context) => write!(f, "{} (context {context:?})", self.server),
            None => f.write_str(&self.server),
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl std::error::Error for Status {}

impl Status {
    /// The API server's message, if an answer of it is what the error reports.
    pub(crate) fn message_of(error: &Error) -> &str {
        error.cause::<Self>().map_or("", |status| &status.message)
    }

    /// Whether a body reports that the object does not exist. Any other 404 comes from a server in between, such as a
    /// proxy, and says nothing about the object.
    pub(crate) fn is_not_found(body: &[u8]) -> bool {
        serde_json::from_slice::<Self>(body).is_ok_and(|status| status.reason == "NotFound")
    }
}

/// Hint for answers that are not from Kubernetes.
pub(crate) const NO_SERVER: &str = "check that the address is that of a Kubernetes API server";

/// An unsuccessful answer of the API server.
pub(crate) fn of_status(target: &Target, at: &ServerInfo, code: StatusCode, body: &[u8]) -> Error {
    let status: Status = serde_json::from_slice(body).unwrap_or_else(|_| Status {
        message: String::from_utf8_lossy(&body[..body.len().min(500)]).trim().to_owned(),
        ..Status::default()
    });
    described(target, at, code, &status).caused_by(Status { code, ..status })
}

fn described(target: &Target, at: &ServerInfo, code: StatusCode, status: &Status) -> Error {
    let not_found = status.reason == "NotFound";
    let said = if status.message.is_empty() {
        code.to_string()
    } else {
        without_template(&status.message)
    };
    // A new object is one of those in its collection.
    let one = match target.name {
        Some(_) => target.to_string(),
        None if matches!(target.verb, "list" | "watch") => format!("the {} of {}", target.verb, target.resource.plural),
        None => format!("a {}", target.resource.kind),
    };
    match code {
        StatusCode::UNAUTHORIZED => Error::new(
            Kind::Unauthorized,
            format!("{at} does not accept the credentials: {said}"),
        )
        .hint(
            "they may have expired: log in again as you do for kubectl, then `kubectl auth whoami` shows who you are",
        ),
        StatusCode::FORBIDDEN if status.reason == "Forbidden" && is_about_rights(&said) => forbidden(target, &said),
        // Quota, Pod Security, webhooks: they reject the object, not the user.
        StatusCode::FORBIDDEN => Error::failure(format!("{one} was refused: {said}")),
        // For a list, or from a server that is not Kubernetes: the object may exist.
        StatusCode::NOT_FOUND if target.name.is_none() || !not_found => Error::failure(format!(
            "{at} does not know {target} ({}): {said}",
            target.resource.api_version()
        ))
        .hint(NO_SERVER),
        StatusCode::NOT_FOUND => Error::not_found(said),
        StatusCode::CONFLICT => Error::conflict(format!("{one} could not be written: {said}")),
        StatusCode::BAD_REQUEST if target.name.is_none() => {
            Error::failure(format!("{at} refused to {} {target}: {said}", target.verb))
        }
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
            Error::failure(format!("{one} is not valid for the API server: {said}"))
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            Error::unreachable(format!("{at} cannot {} {target} now: {said}", target.verb))
                .hint("try again in a while: every command can be repeated")
        }
        // The API server's own requests to etcd got no answer, so the result of ours is unknown.
        StatusCode::INTERNAL_SERVER_ERROR if of_etcd(&said) => {
            Error::unreachable(format!("{at} could not {} {target}: {said}", target.verb))
                .hint("try again in a while: every command can be repeated")
        }
        _ => Error::failure(format!("{at} could not {} {target}: {said} ({code})", target.verb)),
    }
}

/// A message without the Pod template of a Job, which cannot be changed: the API server writes all of it into the message, and with
/// it the values of environment variables. Source: `ValidateImmutableField` of apimachinery.
fn without_template(said: &str) -> String {
    let (start, end) = (said.find("core.PodTemplateSpec{"), said.rfind("}: field is immutable"));
    match start.zip(end) {
        Some((start, end)) if start < end => format!("{}…{}", &said[..start], &said[end + 1..]),
        _ => said.to_owned(),
    }
}

/// Whether the message is about the API server's connection to etcd. Source: etcd's `api/v3/v3rpc/rpctypes` and gRPC's
/// codes.
pub(crate) fn of_etcd(said: &str) -> bool {
    [
        "etcdserver: ",
        "rpc error: code = Unavailable",
        "context deadline exceeded",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// Whether the message is that of an authorizer: `User "jane" cannot create resource …`. Admission webhooks and policies
/// refuse objects with the same code and reason, and may say "cannot" too. Source: `ForbiddenMessage` of the API server's
/// `pkg/endpoints/handlers/responsewriters`.
fn is_about_rights(said: &str) -> bool {
    let before = said.split_once(" cannot ").map(|(before, _)| before);
    before.is_some_and(|before| before.contains("User \""))
}

fn forbidden(target: &Target, said: &str) -> Error {
    let (place, scope) = match &target.namespace {
        Some(namespace) => (format!("in namespace {namespace}"), "Role"),
        None => ("in all namespaces".to_owned(), "ClusterRole"),
    };
    Error::forbidden(format!(
        "you may not {} {} {place}: {said}",
        target.verb,
        target.rbac_resource()
    ))
    .hint(format!(
        "ask for a {scope} with the rule {{apiGroups: [{:?}], resources: [{:?}], verbs: [{:?}]}}",
        target.resource.group,
        target.rbac_resource(),
        target.verb
    ))
}

/// What is wrong with the TLS of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsFault {
    /// It answers without TLS.
    NoTls,
    /// Its certificate is for other names.
    Name,
    /// Its certificate has expired, or is not valid yet.
    Time,
    /// No known authority has signed its certificate.
    Authority,
}

/// What messages say of [`TlsFault::NoTls`].
pub(crate) const NO_TLS: &str = "it does not speak TLS";

impl TlsFault {
    /// Reads the words of rustls: its error has no type any more inside of hyper's.
    pub(crate) fn of(words: &str) -> Option<Self> {
        let says = |part: &str| words.contains(part);
        if says("InvalidContentType") {
            return Some(Self::NoTls);
        }
        says("certificate").then(|| {
            if says("not valid for name") {
                Self::Name
            } else if says("expired") || says("not valid yet") {
                Self::Time
            } else {
                Self::Authority
            }
        })
    }
}

/// An error and its causes, the deepest last.
pub(crate) fn chain<'a>(error: &'a (dyn std::error::Error + 'static)) -> Vec<&'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source()).collect()
}

/// The innermost cause, which the others only wrap.
pub(crate) fn innermost<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    chain(error).pop().unwrap_or(error)
}

/// The error for a request without an answer.
pub(crate) fn of_transport(target: &Target, at: &ServerInfo, error: &(dyn std::error::Error + 'static)) -> Error {
    let chain = chain(error);
    let text = |wanted: &str| chain.iter().map(ToString::to_string).find(|s| s.contains(wanted));
    let deepest = innermost(error).to_string();
    if chain.iter().any(|error| error.is::<http_body_util::LengthLimitError>()) {
        return Error::failure(format!("{at} answered {} {target} with more than is read", target.verb));
    }
    if text("auth exec").is_some() || text("auth error").is_some() {
        return Error::new(Kind::Unauthorized, format!("no credentials for {at}: {deepest}"))
            .hint("the kubeconfig's user asks a program for them; run `kubectl auth whoami` to see it fail");
    }
    let mut texts = chain.iter().map(ToString::to_string);
    let fault = texts.find_map(|words| Some((TlsFault::of(&words)?, words)));
    let untrusted = |words: &str, hint: &str| {
        Error::unreachable(format!("the certificate of {at} is not trusted: {words}")).hint(hint)
    };
    let why = match &fault {
        Some((TlsFault::Name, words)) => {
            let hint = "--server gives the address, --tls-server-name the name that is in the certificate";
            return untrusted(words, hint);
        }
        Some((TlsFault::Time, words)) => {
            let hint = "an administrator of the cluster must renew it, if the clock of this machine is right";
            return untrusted(words, hint);
        }
        Some((TlsFault::Authority, words)) => {
            return untrusted(words, "--certificate-authority FILE names the authority that signed it");
        }
        Some((TlsFault::NoTls, _)) => NO_TLS,
        None => deepest.as_str(),
    };
    let error = Error::unreachable(format!("cannot reach {at} to {} {target}: {why}", target.verb));
    Error {
        unanswered: was_sent(&chain),
        ..error
    }
    .hint("check the address, the network and the context: `kubectl config current-context`, --context")
}

/// Whether there was a connection, so that the request may have reached the server.
fn was_sent(chain: &[&(dyn std::error::Error + 'static)]) -> bool {
    let client = |error: &&&(dyn std::error::Error + 'static)| error.is::<legacy::Error>();
    let failed = chain
        .iter()
        .find(client)
        .and_then(|error| error.downcast_ref::<legacy::Error>());
    failed.is_some_and(|error| !error.is_connect())
}

pub(crate) fn timed_out(target: &Target, at: &ServerInfo, seconds: f64) -> Error {
    Error::timed_out(format!("{at} did not {} {target} within {seconds} s", target.verb))
        .unanswered()
        .hint("--request-timeout sets the limit of one request, 0 removes it")
}

/// The hint for a cluster that does not exist.
pub(crate) const LIST_ALL: &str = "`kubectl flink list -A` shows the clusters of all namespaces";

pub(crate) fn no_cluster(name: &ClusterName, namespace: &str) -> Error {
    no_clusters(&[name.as_str()], namespace)
}

/// Kinds that users of kubectl put before names, or in place of them.
const KINDS: &str = "cluster clusters all pod pods job jobs flinkdeployment flinkdeployments savepoints";

pub(crate) fn no_clusters(names: &[&str], namespace: &str) -> Error {
    let verb = if names.len() == 1 {
        "is no cluster"
    } else {
        "are no clusters"
    };
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let text = format!("there {verb} {} in namespace {namespace:?}", quoted.join(", "));
    let error = names.iter().take(1).fold(Error::not_found(text), Error::absent);
    let kind = names.iter().find(|name| KINDS.split(' ').any(|kind| kind == **name));
    let hint = |kind| format!("{kind} was read as a name: commands take the names of clusters, without a kind");
    error.hint_if(kind.map(hint))
}

#[cfg(test)]
impl ServerInfo {
    pub(crate) fn example() -> Self {
        Self {
            server: "https://api.example".to_owned(),
            context: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::CertificateError;
    use rustls::pki_types::UnixTime;

    use super::*;
    use crate::kubernetes::resource::JOBS;

    #[test]
    fn a_fault_of_tls_is_known_by_the_words_of_rustls() {
        let of = |error: &rustls::Error| TlsFault::of(&error.to_string());
        let corrupt = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert_eq!(of(&corrupt), Some(TlsFault::NoTls));
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(of(&unknown), Some(TlsFault::Authority));
        assert_eq!(of(&rustls::Error::HandshakeNotComplete), None);
    }

    #[test]
    fn a_template_that_cannot_be_changed_is_not_shown() {
        let said = "Job.batch \"demo-master\" is invalid: spec.template: Invalid value: core.PodTemplateSpec{Spec:core.PodSpec{\
            Env:[]core.EnvVar{core.EnvVar{Name:\"DB_PASSWORD\", Value:\"hidden\"}}}}: field is immutable";
        let body = serde_json::json!({"kind": "Status", "message": said, "reason": "Invalid"}).to_string();
        let target = Target::object("patch", JOBS, "default", "demo-master");
        let code = StatusCode::UNPROCESSABLE_ENTITY;
        let error = of_status(&target, &ServerInfo::example(), code, body.as_bytes());
        assert!(!error.message.contains("hidden"), "{error}");
        assert!(
            error
                .message
                .ends_with("spec.template: Invalid value: …: field is immutable"),
            "{error}"
        );
        assert_eq!(Status::message_of(&error), said);
    }

    #[test]
    fn another_authority_is_no_hint_for_a_certificate_that_has_expired() {
        let (at, target) = (ServerInfo::example(), Target::collection("list", JOBS, None));
        let hints = |fault: CertificateError| {
            let error = rustls::Error::InvalidCertificate(fault);
            of_transport(&target, &at, &error).hints.join(" ")
        };
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let (time, not_after) = (time(2), time(1));
        assert!(hints(CertificateError::ExpiredContext { time, not_after }).contains("renew"));
        assert!(hints(CertificateError::UnknownIssuer).contains("--certificate-authority"));
    }
}
