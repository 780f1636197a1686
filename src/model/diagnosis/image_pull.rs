//! Why an image cannot be pulled, in the words of the registry and the kubelet.

use k8s_openapi::api::core::v1::{Event, Pod};

use super::observed::{Observed, times_seen, words};
use super::pods::{Finding, without_quoted};
use super::trace::one_line;
use super::{Cause, CauseKind, Grace};

/// The words of a registry's answer, in lower case, without names: those of `image`, and all words with a slash.
fn answer_words(said: &str, image: &str) -> String {
    let path = image.split('@').next().unwrap_or_default();
    let (name, tag) = match path.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (path, ""),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    let names = [image, path, name, last, tag];
    let text = without_quoted(said);
    let words = text.split_whitespace().filter(|word| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        !(bare.contains('/')
            || names.contains(&bare)
            || (!last.is_empty() && bare.strip_prefix(last).is_some_and(|rest| rest.starts_with(':'))))
    });
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Registry answers that another pull does not change.
const PERMANENT_PULL_FAULTS: [&str; 18] = [
    "not found",
    "manifest unknown",
    "name unknown",
    "does not exist",
    "denied",
    "unauthorized",
    "authentication required",
    "authorization failed",
    "no basic auth credentials",
    "403 forbidden",
    "no match for platform",
    "no matching manifest",
    "invalid reference format",
    "gave http response to https client",
    "short-name",
    "short name mode is enforcing",
    REJECTED,
    OLD_FORMAT,
];

/// Words of containers/image, with which CRI-O pulls, of an image without the signature that the node's policy asks for.
const REJECTED: &str = "source image rejected";
/// Words of containerd from 2.1 on.
const OLD_FORMAT: &str = "is no longer supported since containerd";

/// What registries and container runtimes say of an image that is not there.
const MISSING: [&str; 7] = [
    "not found",
    "manifest unknown",
    "manifest_unknown",
    "name unknown",
    "name_unknown",
    "does not exist",
    "invalid reference",
];

const NOT_REACHED: &str = "check that the nodes reach the image's registry";

/// Failures of the node, not of the registry. Source: containerd's `unpacker` and the kubelet's `throttledImagePuller`;
/// containerd adds the kind of its error, mostly `: unknown`.
const OF_NODE: [&str; 5] = [
    "no space left",
    "disk quota exceeded",
    "qps exceeded",
    "failed to extract layer",
    "failed to register layer",
];

pub(super) fn image_pull(
    observed: &Observed,
    pod: &Pod,
    who: &str,
    image: &str,
    reason: &str,
    said: &str,
    grace: &Grace,
) -> Finding {
    let pulls: Vec<&Event> = observed
        .events_of_pod(pod)
        .filter(|event| words(event).0 == "Failed" && words(event).1.starts_with("Failed to pull image"))
        .collect();
    let mut why = pull_words(said);
    // Before Kubernetes 1.32 ImagePullBackOff names only the image; the event of the failed pull has the reason.
    if why.is_empty() {
        why = pulls.last().map(|event| pull_words(words(event).1)).unwrap_or_default();
    }
    let lower = answer_words(&why, image);
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let of_node = has(&OF_NODE);
    let permanent = !of_node && (has(&PERMANENT_PULL_FAULTS) || has(&["x509"]));
    let failed: u32 = pulls.iter().map(|event| times_seen(event)).sum();
    let often = if pulls.is_empty() {
        reason == "ImagePullBackOff"
    } else {
        failed >= grace.image_pulls
    };
    // Ports and digests have the same digits.
    let status = |codes: &[&str]| {
        let words = lower.split_whitespace();
        words
            .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
            .any(|word| codes.contains(&word))
    };
    let hint = if has(&["no space left", "disk quota exceeded"]) {
        "the node's disk is full: free space on it, or cordon the node"
    } else if has(&["qps exceeded"]) {
        "the kubelet pulls no more images in a second than its registryPullQPS says, and tries again"
    } else if of_node {
        "the node cannot unpack the image: see the log of its container runtime, or cordon the node"
    } else if has(&[REJECTED]) {
        "the nodes' policy accepts only images with a signature that it knows: sign the image, or change the policy (/etc/containers/policy.json)"
    } else if has(&[OLD_FORMAT]) {
        "the image has a format that container runtimes do not read any more: build it again, and push it"
    } else if has(&["toomanyrequests", "too many requests"]) || status(&["429"]) {
        "the registry limits anonymous pulls: log in with --image-pull-secret, or use a mirror"
    } else if has(&["x509", "http response"]) {
        "the nodes' container runtime must be configured to trust this registry"
    } else if has(&["short-name", "short name"]) {
        // Source: `pkg/shortnames` of containers/image, with which CRI-O pulls.
        "write the whole name, with its registry: --image docker.io/library/flink:2.3"
    } else if has(&["dial tcp", "i/o timeout", "tls handshake timeout", "no such host"]) {
        // Also of the server that gives tokens: "failed to authorize: failed to fetch anonymous token: …: dial tcp …".
        NOT_REACHED
    } else if has(&["denied", "unauthorized", "authoriz", "authentic", "basic auth"]) || status(&["401", "403"]) {
        "check the name given to --image; for a private registry name its Secret with --image-pull-secret"
    } else if has(&["platform", "matching manifest"]) {
        "the image is not built for the nodes' architecture"
    } else if has(&MISSING) || status(&["404"]) {
        "check the name and tag given to --image, and that the image was pushed"
    } else {
        NOT_REACHED
    };
    let why = if why.is_empty() { reason.to_owned() } else { why };
    let mut cause = Cause::new(
        CauseKind::ImagePull,
        format!("image {image} of {who} cannot be pulled: {why}"),
    );
    // Source: the kubelet's `getPullSecretsForPod`. It pulls without them.
    let mut events = observed.events_of_pod(pod).rev();
    if let Some(event) = events.find(|event| words(event).0 == "FailedToRetrieveImagePullSecret") {
        cause = cause
            .evidence(one_line(words(event).1))
            .hint("create the Secret in the namespace, or correct its name given to --image-pull-secret");
    }
    let cause = cause.hint(hint);
    Finding::of(cause, permanent || often)
}

/// The registry's message, without the prefixes of the kubelet and gRPC.
fn pull_words(said: &str) -> String {
    let mut rest = said.trim();
    loop {
        let shorter = rest
            .strip_prefix("ErrImagePull: ")
            .or_else(|| after_quoted(rest, "Back-off pulling image "))
            .or_else(|| after_quoted(rest, "Failed to pull image "))
            .or_else(|| after_quoted(rest, "failed to pull and unpack image "))
            .or_else(|| after_quoted(rest, "failed to resolve reference "))
            .or_else(|| {
                rest.strip_prefix("rpc error: code = ")
                    .and_then(|r| r.split_once(" desc = "))
                    .map(|(_, desc)| desc)
            });
        match shorter {
            Some(shorter) => rest = shorter.trim_start(),
            None => return one_line(rest),
        }
    }
}

/// The text after `prefix`, a quoted word and a colon; empty if there is none.
fn after_quoted<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let quoted = text.strip_prefix(prefix)?.strip_prefix('"')?;
    let (_, rest) = quoted.split_once('"')?;
    Some(rest.strip_prefix(':').unwrap_or(rest))
}
