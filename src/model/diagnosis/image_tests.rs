//! Images and containers that do not start.

#![allow(
    clippy::too_many_lines,
    clippy::semicolon_if_nothing_returned,
    clippy::wildcard_imports
)]

use serde_json::json;

use super::fixtures::*;
use super::*;

#[test]
fn images_and_containers() {
    table(&[
        (
            "image not found",
            |o| {
                waits(
                    o,
                    JM,
                    "ErrImagePull",
                    "rpc error: code = NotFound desc = failed to pull and unpack image \"registry.example.com/team/app:1.0\": failed to resolve reference \"registry.example.com/team/app:1.0\": registry.example.com/team/app:1.0: not found",
                )
            },
            CauseKind::ImagePull,
            &[
                "image registry.example.com/team/app:1.0 of JobManager Pod demo-master-x7k2p cannot be pulled: registry.example.com/team/app:1.0: not found",
                "--image",
            ],
        ),
        (
            "image denied, as newer kubelets say it",
            |o| {
                waits(
                    o,
                    JM,
                    "ImagePullBackOff",
                    "Back-off pulling image \"app:1\": ErrImagePull: rpc error: code = Unknown desc = pull access denied for app, repository does not exist or may require authorization",
                )
            },
            CauseKind::ImagePull,
            &["cannot be pulled: pull access denied", "--image-pull-secret"],
        ),
        (
            "image back-off, without events",
            |o| waits(o, JM, "ImagePullBackOff", "Back-off pulling image \"app:1\""),
            CauseKind::ImagePull,
            &["cannot be pulled: ImagePullBackOff"],
        ),
        (
            "image back-off, with the event that says why",
            |o| {
                waits(o, JM, "ImagePullBackOff", "Back-off pulling image \"app:1\"");
                event(
                    o,
                    ("Pod", JM),
                    "Failed",
                    "Failed to pull image \"app:1\": rpc error: code = Unknown desc = Head \"https://r/v2\": unauthorized: authentication required",
                    -20,
                    1,
                );
            },
            CauseKind::ImagePull,
            &["unauthorized", "--image-pull-secret"],
        ),
        (
            "registry away three times",
            |o| {
                waits(o, JM, "ImagePullBackOff", "Back-off pulling image \"app:1\"");
                event(
                    o,
                    ("Pod", JM),
                    "Failed",
                    "Failed to pull image \"app:1\": dial tcp 10.0.0.1:443: i/o timeout",
                    -60,
                    3,
                );
            },
            CauseKind::ImagePull,
            &["i/o timeout", "nodes reach"],
        ),
        (
            "image of a TaskManager",
            |o| waits(o, TM, "ErrImagePull", "manifest unknown"),
            CauseKind::ImagePull,
            &["TaskManager Pod"],
        ),
        (
            "image name",
            |o| {
                waits(
                    o,
                    JM,
                    "InvalidImageName",
                    "Failed to apply default image tag \"App:1\": couldn't parse image name",
                )
            },
            CauseKind::ImageName,
            &["invalid image name", "--image"],
        ),
        (
            "image never pulled",
            |o| {
                waits(
                    o,
                    JM,
                    "ErrImageNeverPull",
                    "Container image \"app:1\" is not present with pull policy of Never",
                )
            },
            CauseKind::ImageNeverPull,
            &["--image-pull-policy IfNotPresent"],
        ),
        (
            "secret missing",
            |o| waits(o, JM, "CreateContainerConfigError", "secret \"s3\" not found"),
            CauseKind::ContainerConfig,
            &["cannot be configured: secret \"s3\" not found"],
        ),
        (
            "runs as root",
            |o| {
                waits(
                    o,
                    JM,
                    "CreateContainerConfigError",
                    "container has runAsNonRoot and image will run as root (pod: \"x\")",
                )
            },
            CauseKind::ContainerConfig,
            &["9999"],
        ),
        (
            "cannot be created",
            |o| waits(o, TM, "CreateContainerError", "Error: no command specified"),
            CauseKind::ContainerCreate,
            &["no command specified"],
        ),
        (
            "entry point missing",
            |o| {
                waits(
                    o,
                    TM,
                    "RunContainerError",
                    "exec: \"/docker-entrypoint.sh\": stat: no such file or directory",
                )
            },
            CauseKind::ContainerCreate,
            &["taskmanager"],
        ),
        (
            "start error, again and again",
            |o| {
                pod_with(
                    o,
                    TM,
                    "Running",
                    waiting("CrashLoopBackOff", "back-off 10s"),
                    json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "exec: \"x\": not found"}}),
                    1,
                )
            },
            CauseKind::ContainerCreate,
            &["exec: \"x\""],
        ),
        (
            "init container",
            |o| {
                pod(
                    o,
                    JM,
                    json!({"status": {"phase": "Failed", "initContainerStatuses": [
            {"name": "fetch", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": terminated(7, "Error")}]}}),
                )
            },
            CauseKind::InitContainer,
            &["init container fetch", "exit code 7"],
        ),
    ]);
}

#[test]
fn a_cause_is_read_from_the_answer_and_not_from_the_names_in_it() {
    let hint = |image: &str, message: &str| {
        let mut observed = cluster();
        waits(&mut observed, JM, "ErrImagePull", message);
        let pod = observed.pods.get_mut(JM).unwrap();
        for container in &mut pod.spec.as_mut().unwrap().containers {
            container.image = Some(image.to_owned());
        }
        match judge(&observed) {
            Verdict::Failed(cause) => cause.hints.join("; "),
            // A registry that limits pulls lets the next one through.
            Verdict::Going { note: Some(note), .. } => note.hints.join("; "),
            other => panic!("{message}: {other:?}"),
        }
    };
    for (image, message, expected_hint) in [
        (
            "data-platform/job:1",
            "docker.io/data-platform/job:1: not found",
            "the name and tag",
        ),
        (
            "acme/auth-job:1",
            "docker.io/acme/auth-job:1: not found",
            "the name and tag",
        ),
        ("acme/job:403", "docker.io/acme/job:403: not found", "the name and tag"),
        ("acme/job:429", "docker.io/acme/job:429: not found", "the name and tag"),
        (
            "job:429",
            "429 Too Many Requests: toomanyrequests: unauthenticated pull rate limit",
            "limits anonymous pulls",
        ),
        (
            "acme/job:1",
            "unexpected status from HEAD request to https://r/v2/acme/job/manifests/1: 403 Forbidden",
            "--image-pull-secret",
        ),
        (
            "r/acme/job:1",
            "Head \"https://r/v2/\": x509: certificate signed by unknown authority",
            "trust this registry",
        ),
        (
            "acme/job:1",
            "no match for platform in manifest: not found",
            "nodes' architecture",
        ),
        (
            "denied:1",
            "pull access denied for denied, repository does not exist or may require authorization",
            "--image-pull-secret",
        ),
    ] {
        let hints = hint(image, message);
        assert!(hints.contains(expected_hint), "{message}: {hints}");
    }
    let mut observed = cluster();
    waits(
        &mut observed,
        JM,
        "CreateContainerConfigError",
        "secret \"non-root-creds\" not found",
    );
    assert!(cause(&observed, "a name").hints[0].contains("create the missing object"));
    waits(
        &mut observed,
        JM,
        "CreateContainerConfigError",
        "container's runAsUser breaks non-root policy (pod: \"x_ns(1)\", container: jobmanager)",
    );
    let refused = cause(&observed, "root");
    assert!(
        refused.hints[0].contains("container jobmanager has runAsUser: 0"),
        "{refused:?}"
    );
}
