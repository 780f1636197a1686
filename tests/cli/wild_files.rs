//! Files as people have them: in other encodings, one after the other, not filled in, with faults that show late.

use crate::sandbox::{Outcome, Sandbox};

fn deployment(name: &str, more: &str) -> String {
    format!(
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata:\n  name: {name}\nspec:\n  image: flink:1.20\n  \
         flinkVersion: v1_20\n  job:\n    jarURI: local:///opt/flink/usrlib/a.jar\n{more}"
    )
}

fn create(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    sandbox.run(&[&["create", "--dry-run=client"], arguments].concat())
}

/// The names of the objects that a file would make.
#[track_caller]
fn names(bytes: &[u8]) -> String {
    let sandbox = Sandbox::bare();
    std::fs::write(sandbox.home().join("a.yaml"), bytes).unwrap();
    let outcome = create(&sandbox, &["-f", "a.yaml", "-o", "name"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    outcome.stdout
}

/// The message for a file that is refused.
#[track_caller]
fn refused(text: &str) -> String {
    let sandbox = Sandbox::bare();
    sandbox.file("a.yaml", text);
    let outcome = create(&sandbox, &["-f", "a.yaml"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
    outcome.stderr
}

#[test]
fn files_in_utf_16_and_with_byte_order_marks_are_read() {
    let text = deployment("x", "");
    let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let plain = names(text.as_bytes());
    assert!(plain.contains("x-master"), "{plain}");
    for (mark, bytes) in [
        (&b"\xef\xbb\xbf"[..], text.as_bytes()),
        (b"\xff\xfe", &le),
        (b"\xfe\xff", &be),
        (b"", &le),
    ] {
        assert_eq!(names(&[mark, bytes].concat()), plain);
    }
    let two = format!("\u{feff}{text}---\n\u{feff}{}", deployment("y", ""));
    let both = names(two.as_bytes());
    assert!(both.contains("x-master") && both.contains("y-master"), "{both}");
}

#[test]
fn json_one_after_the_other_is_read() {
    let one = |name: &str| {
        format!(
            "{{\"apiVersion\":\"flink.apache.org/v1beta1\",\"kind\":\"FlinkDeployment\",\"metadata\":{{\"name\":\"{name}\"}},\
             \"spec\":{{\"image\":\"flink:1.20\",\"job\":{{\"jarURI\":\"local:///opt/flink/usrlib/a.jar\"}}}}}}"
        )
    };
    for between in ["\n", "", "\n\n  "] {
        let found = names(format!("{}{between}{}", one("x"), one("y")).as_bytes());
        assert!(found.contains("x-master") && found.contains("y-master"), "{found}");
    }
    let twice = one("y").replace("\"image\":\"flink:1.20\"", "\"image\":\"a\",\"image\":\"b\"");
    let said = refused(&format!("{}\n{twice}", one("x")));
    assert!(
        said.contains("a.yaml: document 2: ") && said.contains("the key image occurs twice"),
        "{said}"
    );
}

#[test]
fn what_is_no_flink_deployment_is_reported_as_what_it_is() {
    for (text, expected) in [
        (
            "kind: Kustomization\nresources: [a.yaml]\n",
            "`kubectl kustomize FOLDER | kubectl flink create -f -`",
        ),
        (
            "resources: [a.yaml]\n",
            "it is a kustomization: `kubectl kustomize FOLDER",
        ),
        (
            "state.backend: rocksdb\n",
            "below spec.flinkConfiguration of a FlinkDeployment",
        ),
        (
            "jobmanager: {rpc: {address: a}}\n",
            "below spec.flinkConfiguration of a FlinkDeployment",
        ),
        ("image: {tag: a}\nreplicaCount: 1\n", "`helm template RELEASE CHART"),
        ("- a\n", "it is not an object of Kubernetes"),
        (
            "kind: Pod\nspec: {containers: [{name: flink-main-container}]}\n",
            "below spec.podTemplate of a FlinkDeployment",
        ),
    ] {
        let said = refused(text);
        assert!(
            said.contains(expected) && said.trim_end().lines().count() == 1,
            "{said}"
        );
    }
    // The job beside it would be created without the changes of the kustomization.
    let both = format!("{}---\nkind: Kustomization\nresources: [a.yaml]\n", deployment("x", ""));
    assert!(refused(&both).contains("a.yaml: document 2: kind: Kustomization is not supported"));
    let flux = "kind: Kustomization\napiVersion: kustomize.toolkit.fluxcd.io/v1\nmetadata: {name: a}\n";
    assert!(names(format!("{}---\n{flux}", deployment("x", "")).as_bytes()).contains("x-master"));
    let others = "kind: Secret\nmetadata: {name: a}\n---\n".repeat(7);
    let said = refused(&others);
    assert!(said.contains("document 5: Secret a and 2 more"), "{said}");
    assert!(!said.contains("document 6"), "{said}");
    let flink = |args: &str| {
        let containers = format!("[{{name: jobmanager, args: [{args}]}}]");
        refused(&format!(
            "kind: Job\nmetadata: {{name: a}}\nspec: {{template: {{spec: {{containers: {containers}}}}}}}\n"
        ))
    };
    for args in [
        "standalone-job, --job-classname, a.B",
        "-c, \"exec /docker-entrypoint.sh standalone-job\"",
    ] {
        assert!(flink(args).contains("--manifests FOLDER"), "{args}");
    }
    assert!(!flink("serve").contains("--manifests"));
}

#[test]
fn a_duplicate_key_is_reported_without_the_options_of_the_library() {
    let said = refused(&deployment("x", "    parallelism: 2\n    parallelism: 4\n"));
    assert!(
        said.contains("a.yaml:11:") && said.contains("the key parallelism occurs twice"),
        "{said}"
    );
    assert!(!said.contains("Options") && !said.contains("Policy"), "{said}");
}

#[test]
fn a_field_in_the_wrong_place_is_reported_with_the_right_one() {
    let more = "    className: a.B\n    flinkConfiguration: {}\n  env: []\n  labels: {a: b}\n  nodeSelector: {a: b}\n  parallelism: 2\n  \
                taskManager: {slots: 2, memory: 2g, resource: {limits: {cpu: 1}}}\n  upgradeMode: savepoint\n  rest.profiling.enabled: true\nimage: a\nname: x\n";
    let said = refused(&deployment("x", more));
    for expected in [
        "spec.job.className: unknown field; spec.job.entryClass has it",
        "spec.env: unknown field; it belongs to the container flink-main-container",
        "spec.nodeSelector: unknown field; it belongs below spec.podTemplate.spec",
        "spec.parallelism: unknown field; it belongs below spec.job",
        "spec.taskManager.slots: unknown field; taskmanager.numberOfTaskSlots below spec.flinkConfiguration",
        "spec.job.flinkConfiguration: unknown field; it belongs below spec",
        "spec.labels: unknown field; it belongs below metadata",
        "spec.taskManager.memory: unknown field; it belongs below resource of spec.jobManager or spec.taskManager",
        "spec.taskManager.resource.limits: unknown field; it belongs below resources of",
        "spec.upgradeMode: unknown field; it belongs below spec.job",
        "spec.rest.profiling.enabled: unknown field; it belongs below spec.flinkConfiguration",
        "a.yaml: image: unknown field; it belongs below spec",
        "a.yaml: name: unknown field; it belongs below metadata",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
}

/// Without an API server nothing else finds it; one that is newer may have the field.
#[test]
fn a_misspelled_field_of_a_pod_template_is_warned_of() {
    let sandbox = Sandbox::bare();
    let more = "  podTemplate: {spec: {nodeselector: {disk: ssd}}}\n  taskManager:\n    podTemplate: {spec: {containers: \
                [{name: flink-main-container, volumMounts: [{name: v, mountPath: /v}]}]}}\n";
    sandbox.file("a.yaml", &deployment("x", more));
    let outcome = create(&sandbox, &["-f", "a.yaml", "-o", "name"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for expected in [
        "warning: a.yaml: spec.podTemplate.spec.nodeselector: unknown field; did you mean nodeSelector?",
        "spec.taskManager.podTemplate.spec.containers[0].volumMounts: unknown field; did you mean volumeMounts?",
    ] {
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
    }
    // Fields of Kubernetes 1.34 and of 1.37.
    let more = "  podTemplate: {spec: {hostnameOverride: a, volumes: [{name: v, emptyDir: {mode: 448}}]}}\n";
    sandbox.file("a.yaml", &deployment("x", more));
    let outcome = create(&sandbox, &["-f", "a.yaml", "-o", "name"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome}");
}

#[test]
fn aliases_without_end_are_refused_in_words() {
    let ten = |from: char, to: char| format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(", "));
    let levels: String = ('a'..='f').zip('b'..='g').map(|(from, to)| ten(from, to)).collect();
    let said = refused(&format!("a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]\n{levels}"));
    assert!(
        said.contains("it is too large when its aliases are filled in"),
        "{said}"
    );
    assert!(!said.contains("events"), "{said}");
    let said = refused("kind: FlinkDeployment\nspec: *common\n");
    assert!(
        said.contains("a.yaml:2:") && said.contains("has no anchor (&NAME)"),
        "{said}"
    );
}

#[test]
fn an_address_is_refused_with_the_command_that_reads_it() {
    let sandbox = Sandbox::bare();
    for address in ["https://example.com/a.yaml", "http://127.0.0.1:1/a.yaml"] {
        let outcome = create(&sandbox, &["-f", address]);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        let hint = format!("curl -fsSL {address} | kubectl flink create -f -");
        assert!(outcome.stderr.contains(&hint), "{outcome}");
    }
    let outcome = create(&sandbox, &["-f", "s3://bucket/a.yaml"]);
    assert!(
        outcome.code == Some(2) && outcome.stderr.contains("only files are read"),
        "{outcome}"
    );
}

#[test]
fn a_template_that_is_not_filled_in_is_reported_as_one() {
    let text = deployment("x", "").replace("image: flink:1.20", "image: {{ .Values.image }}");
    let said = refused(&text);
    assert!(
        said.contains("a.yaml:6: ") && said.contains("template of Helm") && said.contains("helm template"),
        "{said}"
    );
    let text = deployment("x", "{{- if .Values.ha }}\n    parallelism: 2\n{{- end }}\n");
    assert!(refused(&text).contains("template of Helm"));
    // What Vault's agent and the operator fill in is no fault of the file.
    let more = "    parallelism: 2\n    parallelism: 4\n  ingress: {template: \"{{name}}.{{namespace}}.a\"}\n  podTemplate:\n    metadata:\n      \
                annotations:\n        vault: |\n          {{- with secret \"a\" }}{{ end }}\n";
    let said = refused(&deployment("x", more));
    assert!(
        said.contains("a.yaml:11:") && said.contains("the key parallelism occurs twice"),
        "{said}"
    );
    let text = deployment("x", "").replace("image: flink:1.20", "image: \"{{ .Values.image }}\"");
    assert!(refused(&text).contains("a.yaml: spec.image: {{ .Values.image }} has not been filled in"));
    let text = deployment("x", "").replace("flink:1.20", "flink:${TAG}");
    let said = refused(&text);
    assert!(
        said.contains("a.yaml: spec.image: ${TAG} has not been filled in") && said.contains("envsubst"),
        "{said}"
    );
    let said = refused(&deployment("${NAME}", ""));
    assert!(said.contains("a.yaml: metadata.name: ${NAME}"), "{said}");
    // Arguments are the program's own, which may mean them.
    let sandbox = Sandbox::bare();
    sandbox.file("a.yaml", &deployment("x", "    args: [\"--topic\", \"${TOPIC}\"]\n"));
    let outcome = create(&sandbox, &["-f", "a.yaml", "-o", "name"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(
        outcome.stderr.contains("spec.job.args[1]: nothing fills in ${TOPIC}"),
        "{outcome}"
    );
    // A Pod would wait for a ConfigMap of this name.
    let more = "  podTemplate: {spec: {volumes: [{name: v, configMap: {name: \"${SETTINGS}\"}}]}}\n";
    sandbox.file("a.yaml", &deployment("x", more));
    let outcome = create(&sandbox, &["-f", "a.yaml", "-o", "name"]);
    let expected = "spec.podTemplate.spec.volumes[0].configMap.name: nothing fills in ${SETTINGS}";
    assert!(
        outcome.code == Some(0) && outcome.stderr.contains(expected),
        "{outcome}"
    );
}

#[test]
fn a_fault_that_shows_late_names_file_document_and_path() {
    let small = format!(
        "{}---\n{}",
        deployment("x", ""),
        deployment("y", "  jobManager:\n    resource: {memory: 1m, cpu: 1}\n")
    );
    let said = refused(&small);
    assert!(
        said.contains("a.yaml: document 2: ") && said.contains("spec.jobManager.resource.memory"),
        "{said}"
    );
    assert!(!said.contains("--jobmanager-memory"), "{said}");
    let said = refused(&deployment("X_y", ""));
    assert!(said.contains("a.yaml: metadata.name: "), "{said}");
    let twice = format!("{}---\n{}", deployment("x", ""), deployment("x", ""));
    let said = refused(&twice);
    assert!(said.contains("a.yaml: document 1 and a.yaml: document 2"), "{said}");
    // What the command line says is not the file's fault.
    let sandbox = Sandbox::bare();
    sandbox.file("a.yaml", &deployment("x", ""));
    let outcome = create(&sandbox, &["-f", "a.yaml", "--jobmanager-memory", "1m"]);
    assert!(
        outcome.stderr.contains("--jobmanager-memory") && !outcome.stderr.contains("a.yaml"),
        "{outcome}"
    );
}

#[test]
fn scalars_are_what_yaml_1_2_makes_of_them() {
    let sandbox = Sandbox::bare();
    let more = "  flinkConfiguration:\n    a.exp: 1e3\n    a.octal: 0755\n    a.yes: yes\n";
    sandbox.file("a.yaml", &deployment("x", more));
    let outcome = create(&sandbox, &["-f", "a.yaml", "-o", "yaml"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for word in ["a.exp=1000\n", "a.octal=0755\n", "a.yes=yes\n"] {
        assert!(outcome.stdout.contains(word), "{word}: {outcome}");
    }
}

#[test]
fn a_value_behind_a_flag_with_an_optional_one_is_not_taken_as_a_name() {
    let sandbox = Sandbox::bare();
    sandbox.file("a.yaml", &deployment("x", ""));
    for (arguments, meant) in [
        (
            &["create", "-f", "a.yaml", "--dry-run", "client", "-o", "name"][..],
            "--dry-run=client",
        ),
        (&["create", "-f", "a.yaml", "--dry-run", "none"], "--dry-run=none"),
        (&["run", "--dry-run", "server", "--image", "flink"], "--dry-run=server"),
        (&["delete", "demo", "--dry-run", "client"], "--dry-run=client"),
        (&["upgrade", "--dry-run", "client"], "--dry-run=client"),
        (&["set", "image", "--dry-run", "server", "flink:2"], "--dry-run=server"),
        (
            &["create", "--image", "flink", "--node-port", "30082"],
            "--node-port=30082",
        ),
        (
            &["list", "--insecure-skip-tls-verify", "false"],
            "--insecure-skip-tls-verify=false",
        ),
        // Also where the command expects no more arguments.
        (&["upgrade", "demo", "--dry-run", "server"], "--dry-run=server"),
        (&["scale", "demo", "-p", "2", "--wait", "false"], "--wait=false"),
        (
            &["create", "demo", "--image", "flink", "--node-port", "30082"],
            "--node-port=30082",
        ),
    ] {
        let outcome = sandbox.run(arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
        assert!(outcome.stderr.contains(meant), "{outcome}");
    }
    // A name is before the flag, or is none of its values.
    for arguments in [
        &["create", "demo", "--image", "flink", "--dry-run", "-o", "name"][..],
        &["create", "--dry-run", "demo", "--image", "flink", "-o", "name"],
        &["create", "client", "--image", "flink", "--dry-run=client", "-o", "name"],
    ] {
        let outcome = sandbox.run(arguments);
        assert_eq!(outcome.code, Some(0), "{outcome}");
    }
}
