//! Images and containers that do not start.

#![allow(clippy::too_many_lines, clippy::wildcard_imports)]

use serde_json::json;

use super::fixtures::*;
use super::*;
use crate::model::rows::columns;

#[test]
fn images_and_containers() {
    case("image not found")
        .waits(JM, "ErrImagePull", "rpc error: code = NotFound desc = failed to pull and unpack image \"registry.example.com/team/app:1.0\": failed to resolve reference \"registry.example.com/team/app:1.0\": registry.example.com/team/app:1.0: not found")
        .finds(CauseKind::ImagePull, &["image registry.example.com/team/app:1.0 of JobManager Pod demo-master-x7k2p cannot be pulled: registry.example.com/team/app:1.0: not found", "--image"]);
    case("image denied, as newer kubelets say it")
        .waits(JM, "ImagePullBackOff", "Back-off pulling image \"app:1\": ErrImagePull: rpc error: code = Unknown desc = pull access denied for app, repository does not exist or may require authorization")
        .finds(CauseKind::ImagePull, &["cannot be pulled: pull access denied", "--image-pull-secret"]);
    case("image back-off, without events")
        .waits(JM, "ImagePullBackOff", "Back-off pulling image \"app:1\"")
        .finds(CauseKind::ImagePull, &["cannot be pulled: ImagePullBackOff"]);
    case("image back-off, with the event that says why")
        .waits(JM, "ImagePullBackOff", "Back-off pulling image \"app:1\"")
        .event(("Pod", JM), "Failed", "Failed to pull image \"app:1\": rpc error: code = Unknown desc = Head \"https://r/v2\": unauthorized: authentication required", -20, 1)
        .finds(CauseKind::ImagePull, &["unauthorized", "--image-pull-secret"]);
    case("image denied, for lack of a Secret")
        .waits(
            JM,
            "ImagePullBackOff",
            "Back-off pulling image \"app:1\": ErrImagePull: pull access denied",
        )
        .event_of_jobmanager(
            "FailedToRetrieveImagePullSecret",
            "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed.",
            -20,
        )
        .finds(CauseKind::ImagePull, &["secrets (regcred)", "create the Secret"]);
    case("registry away three times")
        .waits(JM, "ImagePullBackOff", "Back-off pulling image \"app:1\"")
        .event(
            ("Pod", JM),
            "Failed",
            "Failed to pull image \"app:1\": dial tcp 10.0.0.1:443: i/o timeout",
            -60,
            3,
        )
        .finds(CauseKind::ImagePull, &["i/o timeout", "nodes reach"]);
    for row in [
        "the node's disk is full | failed to pull and unpack image \"app:1\": failed to extract layer sha256:401a4: mount callback failed on /x: write /x/libc.so: no space left on device: unknown",
        "cannot unpack the image | failed to extract layer sha256:5da: lchown /x: permission denied: unknown",
        "check that the nodes reach | Head \"https://r/v2\": read tcp 10.237.0.4:42970->10.1.1.1:40170: read: connection reset by peer",
        "limits anonymous pulls | unexpected status from HEAD request: 429",
        "--image-pull-secret | unexpected status from HEAD request: 403.",
        "registryPullQPS | pull QPS exceeded",
        "a signature that it knows | Source image rejected: A signature was required, but no signature exists",
        "build it again | not implemented: media type \"application/vnd.docker.distribution.manifest.v1+prettyjws\" is no longer supported since containerd v2.1, please rebuild the image",
    ] {
        let [words, why] = columns(row);
        let message = format!("Back-off pulling image \"app:1\": ErrImagePull: {why}");
        case(row)
            .waits(JM, "ImagePullBackOff", &message)
            .finds(CauseKind::ImagePull, &[words]);
    }
    case("image without the signature that is asked for")
        .waits(JM, "SignatureValidationFailed", "image pull failed for app:1.0 because the signature validation failed: Source image rejected: A signature was required, but no signature exists")
        .finds(CauseKind::ImagePull, &["a signature that it knows"]);
    case("image of a TaskManager")
        .waits(TM, "ErrImagePull", "manifest unknown")
        .finds(CauseKind::ImagePull, &["TaskManager Pod"]);
    case("image name")
        .waits(
            JM,
            "InvalidImageName",
            "Failed to apply default image tag \"App:1\": couldn't parse image name",
        )
        .finds(CauseKind::ImageName, &["invalid image name", "--image"]);
    case("image never pulled")
        .waits(
            JM,
            "ErrImageNeverPull",
            "Container image \"app:1\" is not present with pull policy of Never",
        )
        .finds(CauseKind::ImageNeverPull, &["--image-pull-policy IfNotPresent"]);
    case("secret missing")
        .waits(JM, "CreateContainerConfigError", "secret \"s3\" not found")
        .finds(
            CauseKind::ContainerConfig,
            &["cannot be configured: secret \"s3\" not found"],
        );
    case("runs as root")
        .waits(
            JM,
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root (pod: \"x\")",
        )
        .finds(CauseKind::ContainerConfig, &["9999"]);
    case("cannot be created")
        .waits(TM, "CreateContainerError", "Error: no command specified")
        .finds(CauseKind::ContainerCreate, &["no command specified"]);
    case("entry point missing")
        .waits(
            TM,
            "RunContainerError",
            "exec: \"/docker-entrypoint.sh\": stat: no such file or directory",
        )
        .finds(CauseKind::ContainerCreate, &["taskmanager"]);
    case("file on a directory")
        .waits(JM, "RunContainerError", "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: error mounting \"/var/lib/kubelet/pods/1/volume-subpaths/conf/flink-master/0\" to rootfs at \"/opt/flink/conf\": not a directory: Are you trying to mount a directory onto a file (or vice-versa)?: unknown")
        .finds(CauseKind::ContainerCreate, &["mountPath and subPath"]);
    case("too little memory for a process")
        .waits(TM, "RunContainerError", "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: container init was OOM-killed (memory limit too low?): unknown")
        .finds(CauseKind::ContainerCreate, &["--taskmanager-memory"]);
    case("file on a directory of a Pod that is not restarted")
        .with(|o| {
            let message = "error mounting \"/x\" to rootfs at \"/opt/flink/conf\": not a directory: unknown";
            let state = json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": message}});
            pod_with(o, JM, "Failed", state, json!({}), 0);
            job(o, json!({"failed": 2}));
        })
        .finds(
            CauseKind::ContainerCreate,
            &["mountPath and subPath", "/opt/flink/conf"],
        );
    case("start error, again and again")
        .pod_with(
            TM,
            "Running",
            waiting("CrashLoopBackOff", "back-off 10s"),
            json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "exec: \"x\": not found"}}),
            1,
        )
        .finds(CauseKind::ContainerCreate, &["exec: \"x\""]);
    case("init container")
        .pod(JM, json!({"status": {"phase": "Failed", "initContainerStatuses": [{"name": "fetch", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": terminated(7, "Error")}]}}))
        .finds(CauseKind::InitContainer, &["init container fetch", "exit code 7"]);
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
    for row in [
        "data-platform/job:1 | the name and tag | docker.io/data-platform/job:1: not found",
        "acme/auth-job:1 | the name and tag | docker.io/acme/auth-job:1: not found",
        "acme/job:403 | the name and tag | docker.io/acme/job:403: not found",
        "acme/job:429 | the name and tag | docker.io/acme/job:429: not found",
        "job:429 | limits anonymous pulls | 429 Too Many Requests: toomanyrequests: unauthenticated pull rate limit",
        "acme/job:1 | --image-pull-secret | unexpected status from HEAD request to https://r/v2/acme/job/manifests/1: 403 Forbidden",
        "r/acme/job:1 | trust this registry | Head \"https://r/v2/\": x509: certificate signed by unknown authority",
        "flink:2.3 | docker.io/library/flink | Failed to inspect image \"\": rpc error: code = Unknown desc = short name mode is enforcing, but image name flink:2.3 returns ambiguous list",
        "flink:2.3 | docker.io/library/flink | short-name \"flink:2.3\" did not resolve to an alias and no unqualified-search registries are defined in \"/etc/containers/registries.conf\"",
        "flink:2.3 | nodes reach | failed to authorize: failed to fetch anonymous token: Get \"https://auth.docker.io/token\": dial tcp: lookup auth.docker.io: no such host",
        "acme/job:1 | nodes' architecture | no match for platform in manifest: not found",
        "denied:1 | --image-pull-secret | pull access denied for denied, repository does not exist or may require authorization",
    ] {
        let [image, expected_hint, message] = columns(row);
        let hints = hint(image, message);
        assert!(hints.contains(expected_hint), "{message}: {hints}");
    }
    let mut observed = cluster();
    let reason = "CreateContainerConfigError";
    waits(&mut observed, JM, reason, "secret \"non-root-creds\" not found");
    assert!(cause(&observed, "a name").hints[0].contains("create the missing object"));
    let said = "container's runAsUser breaks non-root policy (pod: \"x_ns(1)\", container: jobmanager)";
    waits(&mut observed, JM, reason, said);
    let refused = cause(&observed, "root");
    assert!(
        refused.hints[0].contains("container jobmanager has runAsUser: 0"),
        "{refused:?}"
    );
}
