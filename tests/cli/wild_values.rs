//! Values as people write them in files and flags: what they mean for Flink and its operator, and which contradict others.

use serde_json::{Value, json};

use crate::sandbox::{Outcome, Sandbox};

/// The spec of a FlinkDeployment, at the indentation of its fields.
fn deployment(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {metadata}\nspec:\n  image: flink:1.20\n  {spec}\n"
    )
}

const JOB: &str = "job: {jarURI: local:///opt/flink/usrlib/a.jar}";

fn create(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    sandbox.run(&[&["create", "--dry-run=client", "-o", "json"], arguments].concat())
}

/// The objects that `create` makes in `sandbox`, and what it says.
#[track_caller]
fn made_in(sandbox: &Sandbox, arguments: &[&str]) -> (Value, String) {
    let outcome = create(sandbox, arguments);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    (list["items"].clone(), outcome.stderr)
}

#[track_caller]
fn made(arguments: &[&str]) -> (Value, String) {
    made_in(&Sandbox::bare(), arguments)
}

/// The same of a file, with more arguments.
#[track_caller]
fn of_file(text: &str, arguments: &[&str]) -> (Value, String) {
    let sandbox = Sandbox::bare();
    sandbox.file("a.yaml", text);
    made_in(&sandbox, &[&["-f", "a.yaml"], arguments].concat())
}

/// The message for a file and arguments that are refused.
#[track_caller]
fn refused(text: &str, arguments: &[&str]) -> String {
    let sandbox = Sandbox::bare();
    sandbox.file("a.yaml", text);
    let outcome = create(&sandbox, &[&["-f", "a.yaml"], arguments].concat());
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
    outcome.stderr
}

/// The main container of the JobManager (1) or of the TaskManagers (2).
fn container(made: &Value, object: usize) -> &Value {
    &made[object]["spec"]["template"]["spec"]["containers"][0]
}

#[track_caller]
fn has(made: &Value, object: usize, argument: &str) {
    let arguments = &container(made, object)["args"];
    assert!(
        arguments.as_array().unwrap().iter().any(|one| one == argument),
        "{argument} is not in {arguments:#}"
    );
}

#[test]
fn an_image_of_a_flag_tells_its_flink_in_spite_of_the_file() {
    let version = |file: &str, image: &str| {
        let text = deployment("{name: x}", &format!("flinkVersion: {file}\n  {JOB}"));
        let (objects, _) = of_file(&text, &["--image", image]);
        objects[1]["metadata"]["annotations"]["kubectl-flink/flink-version"].clone()
    };
    assert_eq!(version("v1_15", "flink:1.20.1-java17"), "1.20");
    assert_eq!(version("v2_0", "flink:1.18"), "1.18");
    // Tags of one's own images count something else.
    assert_eq!(version("v1_15", "acme/orders:1.20"), "1.15");
}

/// Argo CD would prune the objects: its application does not have them.
#[test]
fn marks_of_the_tools_that_applied_a_file_do_not_get_onto_the_objects() {
    let metadata = "{name: x, labels: {argocd.argoproj.io/instance: x, kustomize.toolkit.fluxcd.io/name: apps, team: a}, \
        annotations: {meta.helm.sh/release-name: x, argocd.argoproj.io/tracking-id: 'x:y', argocd.argoproj.io/sync-wave: '3'}}";
    let (objects, said) = of_file(&deployment(metadata, JOB), &[]);
    let text = objects.to_string();
    for mark in ["argoproj.io/instance", "tracking-id", "fluxcd", "meta.helm.sh"] {
        assert!(!text.contains(mark) && said.contains(mark), "{mark}: {said}");
    }
    assert_eq!(objects[1]["metadata"]["labels"]["team"], "a");
    assert_eq!(
        objects[1]["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"],
        "3"
    );
}

#[test]
fn the_memory_follows_from_the_old_size_of_a_heap() {
    let (objects, _) = made(&["demo", "--image", "flink:1.17", "-D", "taskmanager.heap.size=2g"]);
    has(&objects, 2, "-Dtaskmanager.memory.process.size=2560m");
    let limit = &container(&objects, 2)["resources"]["limits"]["memory"];
    assert_eq!(limit, "2560Mi");
    // Flink 2.0 does not read it.
    let (objects, said) = made(&["demo", "--image", "flink:2.0", "-D", "taskmanager.heap.size=2g"]);
    has(&objects, 2, "-Dtaskmanager.memory.process.size=1728m");
    assert!(said.contains("does not read taskmanager.heap.size"), "{said}");
}

#[test]
fn numbers_that_mean_something_else_are_refused_with_what_they_must_be() {
    let said = refused(&deployment("{name: x}", &format!("flinkVersion: 1.20\n  {JOB}")), &[]);
    assert!(
        said.contains("spec.flinkVersion: a number is not possible, it must be like v1_20"),
        "{said}"
    );
    let small = format!("jobManager: {{resource: {{memory: 2048, cpu: 1}}}}\n  {JOB}");
    let said = refused(&deployment("{name: x}", &small), &[]);
    assert!(said.contains("an amount without a unit counts bytes"), "{said}");
}

#[test]
fn the_tag_of_ones_own_image_is_no_release_of_flink() {
    let (objects, said) = made(&["demo", "--image", "acme/orders:1.4.2", "--jar", "s3://b/a.jar"]);
    assert_eq!(container(&objects, 1)["args"][0], "standalone-job");
    assert_eq!(container(&objects, 2)["args"][0], "taskmanager");
    assert!(!said.contains("1.4"), "{said}");
    // Releases before 1.20 do not read the new name.
    let (objects, _) = made(&["demo", "--image", "acme/orders:2.5.0", "--checkpoint-dir", "s3://b/c"]);
    has(&objects, 1, "-Dstate.checkpoints.dir=s3://b/c");
    let (objects, _) = made(&[
        "demo",
        "--image",
        "acme/orders:2.3-java17",
        "--checkpoint-dir",
        "s3://b/c",
    ]);
    has(&objects, 1, "-Dexecution.checkpointing.dir=s3://b/c");
}

#[test]
fn the_size_of_a_process_follows_from_its_parts() {
    let parts = "flinkConfiguration: {taskmanager.memory.flink.size: 4g, jobmanager.memory.heap.size: 2g}";
    let (objects, _) = of_file(&deployment("{name: x}", &format!("{JOB}\n  {parts}")), &[]);
    has(&objects, 1, "-Djobmanager.memory.process.size=2703m");
    has(&objects, 2, "-Dtaskmanager.memory.process.size=4836m");
    assert_eq!(container(&objects, 2)["resources"]["limits"]["memory"], "4836Mi");
    // The template's size fits as it is.
    let (objects, _) = made(&[
        "demo",
        "--image",
        "flink:2.3",
        "-D",
        "taskmanager.memory.managed.size=64m",
    ]);
    has(&objects, 2, "-Dtaskmanager.memory.process.size=1728m");
}

#[test]
fn sizes_of_memory_that_contradict_each_other_are_refused_where_they_are_written() {
    for (arguments, part) in [
        (
            &["-D", "taskmanager.memory.managed.size=4g"][..],
            "taskmanager.memory.managed.size 4096m",
        ),
        (
            &["--jobmanager-memory", "4g", "-D", "jobmanager.memory.heap.size=2g"],
            "--jobmanager-memory 4g: with jobmanager.memory.heap.size 2048m the process takes 2624m to 3456m",
        ),
    ] {
        let outcome = create(
            &Sandbox::bare(),
            &[&["demo", "--image", "flink:2.3"], arguments].concat(),
        );
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains(part), "{outcome}");
    }
    let both = "taskManager: {resource: {memory: 2048m}}\n  flinkConfiguration: {taskmanager.memory.flink.size: 4g}";
    let said = refused(&deployment("{name: x}", &format!("{JOB}\n  {both}")), &[]);
    assert!(
        said.contains("spec.taskManager.resource.memory") && said.contains("4544m to 5376m"),
        "{said}"
    );
}

#[test]
fn high_availability_that_a_file_turns_off_stays_off() {
    let sandbox = Sandbox::bare();
    assert_eq!(sandbox.run(&["config", "set", "ha", "s3://b/ha"]).code, Some(0));
    let text = |kind: &str| deployment("{name: x}", &format!("{JOB}\n  flinkConfiguration: {{{kind}}}"));
    sandbox.file("off.yaml", &text("high-availability.type: NONE"));
    sandbox.file("silent.yaml", &text("a: b"));
    let (off, _) = made_in(&sandbox, &["-f", "off.yaml"]);
    assert!(!off.to_string().contains("high-availability"), "{off:#}");
    let (silent, _) = made_in(&sandbox, &["-f", "silent.yaml"]);
    has(&silent, 1, "-Dhigh-availability.storageDir=s3://b/ha");
}

#[test]
fn a_number_of_task_managers_gives_way_to_flags_and_not_to_the_environment() {
    let text = deployment(
        "{name: x}",
        &format!("{JOB}\n  taskManager: {{replicas: 3}}\n  flinkConfiguration: {{taskmanager.numberOfTaskSlots: 2}}"),
    );
    let numbers = |arguments: &[&str]| {
        let sandbox = Sandbox::bare().variable("FLINK_JOB_PARALLELISM", "4");
        sandbox.file("a.yaml", &text);
        let (objects, _) = made_in(&sandbox, &[&["-f", "a.yaml"], arguments].concat());
        let arguments = container(&objects, 1)["args"].to_string();
        let (_, parallelism) = arguments.split_once("parallelism.default=").unwrap();
        let parallelism = parallelism.split('"').next().unwrap().to_owned();
        (parallelism, objects[2]["spec"]["replicas"].clone())
    };
    assert_eq!(numbers(&[]), ("6".to_owned(), json!(3)));
    assert_eq!(numbers(&["-p", "8"]), ("8".to_owned(), json!(4)));
    assert_eq!(numbers(&["--slots", "6"]), ("6".to_owned(), json!(1)));
}

#[test]
fn memory_of_a_file_is_read_as_the_operator_reads_it() {
    let text = |amount: &str| {
        let role = format!("taskManager: {{resource: {{memory: {amount}, ephemeralStorage: 2G}}}}");
        deployment("{name: x}", &format!("{JOB}\n  {role}"))
    };
    for (amount, bytes) in [
        ("2GiB", "2Gi"),
        ("2048MiB", "2Gi"),
        ("'2e9'", "1953125Ki"),
        ("2048m", "2Gi"),
    ] {
        let (objects, _) = of_file(&text(amount), &[]);
        let limits = &container(&objects, 2)["resources"]["limits"];
        assert_eq!(*limits, json!({"memory": bytes, "ephemeral-storage": "2G"}), "{amount}");
    }
    for amount in ["1.5g", "1.5gb"] {
        let said = refused(&text(amount), &[]);
        assert!(
            said.contains("spec.taskManager.resource.memory") && said.contains("1536m"),
            "{said}"
        );
    }
}

#[test]
fn sizes_that_flink_does_not_read_are_refused_in_its_units() {
    for (pair, size) in [
        ("taskmanager.memory.managed.size: 512Mi", "512m"),
        ("taskmanager.memory.task.off-heap.size: 1.5GiB", "1536m"),
        ("jobmanager.memory.off-heap.size: 1.5g", "1536m"),
        ("state.backend.rocksdb.memory.fixed-per-slot: 256Mi", "256m"),
    ] {
        let text = deployment("{name: x}", &format!("{JOB}\n  flinkConfiguration: {{{pair}}}"));
        let (key, value) = pair.split_once(": ").unwrap();
        let expected =
            format!("a.yaml: spec.flinkConfiguration.{key}: Flink does not read \"{value}\": it is {size} in");
        let said = refused(&text, &[]);
        assert!(said.contains(&expected), "{expected}\n{said}");
        let said = refused(&deployment("{name: x}", JOB), &["-D", &format!("{key}={value}")]);
        let expected = format!("-D {key}: Flink does not read \"{value}\": it is {size} in its units");
        assert!(said.contains(&expected), "{expected}\n{said}");
    }
    let text = deployment(
        "{name: x}",
        &format!("{JOB}\n  flinkConfiguration: {{taskmanager.memory.network.fraction: 0.2}}"),
    );
    assert_eq!(of_file(&text, &[]).1, "");
}

/// Without high availability Flink chooses no ID for the job, and then it does not run the program with this setting.
#[test]
fn a_setting_that_needs_the_id_of_the_job_is_warned_of() {
    let pair = "execution.submit-failed-job-on-application-error=true";
    let expected = "without high availability it takes this setting only with --job-id";
    for (more, is_warned) in [
        (&["--job-id", "0123456789abcdef0123456789abcdef"][..], false),
        (&["--ha", "s3://b/ha", "--service-account", "flink"], false),
        (&[], true),
    ] {
        let (_, said) = made(&[&["demo", "--image", "flink:1.20", "-D", pair], more].concat());
        assert_eq!(said.contains(expected), is_warned, "{more:?}: {said}");
    }
}

#[test]
fn two_names_of_one_key_must_say_the_same() {
    let configuration = |pairs: &str| deployment("{name: x}", &format!("{JOB}\n  flinkConfiguration: {{{pairs}}}"));
    for (old, new) in [
        ("state.backend: hashmap", "state.backend.type: rocksdb"),
        (
            "state.checkpoints.num-retained: 1",
            "execution.checkpointing.num-retained: 3",
        ),
        ("restart-strategy: none", "restart-strategy.type: fixed-delay"),
    ] {
        let said = refused(&configuration(&format!("{old}, {new}")), &[]);
        for pair in [old, new] {
            assert!(said.contains(pair.split(':').next().unwrap()), "{pair}: {said}");
        }
        let flags: Vec<String> = [old, new].map(|pair| format!("-D{}", pair.replace(": ", "="))).into();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let outcome = create(
            &Sandbox::bare(),
            &[&["demo", "--image", "flink:1.20"], &flags[..]].concat(),
        );
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains("another name of this key"), "{outcome}");
    }
    for same in [
        "state.backend: rocksdb, state.backend.type: rocksdb",
        "state.backend.incremental: true, execution.checkpointing.incremental: 'True'",
        "taskmanager.network.memory.fraction: 0.2, taskmanager.memory.network.fraction: '0.20'",
        "taskmanager.network.memory.min: 64mb, taskmanager.memory.network.min: 64 m",
    ] {
        of_file(&configuration(same), &[]);
    }
}

#[test]
fn options_of_the_jvm_that_flinks_scripts_lose_are_warned_of() {
    let options = |value: &str| {
        let configuration = format!("flinkConfiguration: {{env.java.opts.all: '{value}'}}");
        let (made, said) = of_file(&deployment("{name: x}", &format!("{JOB}\n  {configuration}")), &[]);
        (container(&made, 1)["env"][0]["value"].clone(), said)
    };
    let (value, said) = options("-Dhttp.nonProxyHosts=localhost|a");
    assert_eq!(value, "-Dhttp.nonProxyHosts=localhost|a");
    assert!(
        said.contains("warning: env.java.opts.all: Flink's scripts read it like a shell"),
        "{said}"
    );
    for whole in ["-Dhttp.nonProxyHosts=\"localhost|a\"", "\"-Da=b|c\" \"-Dd=e\""] {
        assert_eq!(options(whole), (json!(whole), String::new()));
    }
    assert_eq!(options("-Da=$(hostname)").1, "");
}

#[test]
fn a_flag_refuses_the_uris_of_jars_that_a_file_refuses() {
    for (jar, expected) in [
        (
            "local:///opt/x/my job.jar",
            "--jar \"local:///opt/x/my job.jar\" is not a URI, in which ' ' is not allowed",
        ),
        ("local:///opt/x/a[1].jar", "in which '[' is not allowed"),
        ("local://opt/x/a.jar", "write local:///opt/x/a.jar"),
    ] {
        let outcome = create(&Sandbox::bare(), &["demo", "--image", "flink:1.20", "--jar", jar]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
        assert!(outcome.stderr.contains(expected), "{expected:?} is not in {outcome}");
        let text = deployment("{name: x}", &format!("job: {{jarURI: '{jar}'}}"));
        refused(&text, &[]);
    }
    let (objects, said) = made(&["demo", "--image", "flink:1.20", "--jar", "local:///opt/x/my%20job.jar"]);
    has(&objects, 1, "local:///opt/x/my%20job.jar");
    assert_eq!(said, "");
}

#[test]
fn an_empty_namespace_says_nothing() {
    let (made, _) = of_file(&deployment("{name: x, namespace: ''}", JOB), &["-n", "jobs"]);
    assert_eq!(made[0]["metadata"]["namespace"], "jobs");
}

#[test]
fn names_of_images_that_no_kubelet_takes_are_refused() {
    for image in ["https://reg/x:1", "Acme/Job:1", "a:b:c", "flink@sha256:00"] {
        let outcome = create(&Sandbox::bare(), &["demo", "--image", image]);
        assert_eq!(outcome.code, Some(2), "{image}: {outcome}");
        assert!(
            outcome.stderr.contains(&format!("invalid image {image:?}")),
            "{outcome}"
        );
    }
}

#[test]
fn the_selector_of_an_object_beside_the_file_is_checked_whatever_its_form() {
    let beside = |kind: &str, spec: &str| {
        let object = format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: b}}\nspec: {spec}\n");
        of_file(&format!("{}---\n{object}", deployment("{name: x}", JOB)), &[]).1
    };
    let said = beside("Service", "{selector: {app: x, component: jobmanager}}");
    assert!(
        said.contains("Service: spec.selector: no Pod here has the label component: jobmanager"),
        "{said}"
    );
    let said = beside(
        "NetworkPolicy",
        "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {component: taskmanager}}}]}]}",
    );
    assert!(
        said.contains("spec.ingress[0].from[0].podSelector: no Pod here"),
        "{said}"
    );
    let said = beside("Service", "{selector: {app: x, component: master}}");
    assert!(!said.contains("no Pod here"), "{said}");
}

#[test]
fn a_job_is_named_after_its_cluster_and_not_after_the_file() {
    let text = deployment("{name: a}", JOB);
    has(&of_file(&text, &[]).0, 1, "-Dpipeline.name=a");
    has(&of_file(&text, &["other"]).0, 1, "-Dpipeline.name=other");
    has(
        &of_file(&deployment("{}", JOB), &["other"]).0,
        1,
        "-Dpipeline.name=other",
    );
    let named = format!("{JOB}\n  flinkConfiguration: {{pipeline.name: orders}}");
    has(
        &of_file(&deployment("{name: a}", &named), &["other"]).0,
        1,
        "-Dpipeline.name=orders",
    );
}

#[test]
fn nothing_is_said_of_keys_that_arrive_or_that_the_plugin_adds() {
    let (objects, said) = made(&["demo", "--image", "flink:1.13.6", "-D", "env.java.opts.all=-Da=b"]);
    assert_eq!(said, "");
    assert!(
        container(&objects, 1)["env"].to_string().contains("-Da=b"),
        "{objects:#}"
    );
    let old = deployment("{name: x}", JOB).replace("flink:1.20", "flink:1.13.6");
    let (objects, said) = of_file(&old, &[]);
    assert_eq!(said, "");
    assert!(!objects.to_string().contains("web.cancel.enable"), "{objects:#}");
}

#[test]
fn values_of_the_templates_are_taken_under_any_name_of_their_key() {
    let pairs = "web.port: 8081, jobmanager.web.port: 8081, rest.bind-port: '8081', taskmanager.host: 0.0.0.0, taskmanager.bind-host: 0.0.0.0";
    let text = |pairs: &str| deployment("{name: x}", &format!("{JOB}\n  flinkConfiguration: {{{pairs}}}"));
    let (objects, said) = of_file(&text(pairs), &[]);
    assert_eq!(said, "");
    assert!(!objects.to_string().contains("web.port"), "{objects:#}");
    assert!(refused(&text("web.port: 9000"), &[]).contains("spec.flinkConfiguration.web.port"));
    // So are values of Flink that nothing else has here.
    let defaults = "execution.savepoint-restore-mode: no_claim, kubernetes.hostnetwork.enabled: false, \
                    kubernetes.entry.path: /docker-entrypoint.sh";
    let (objects, said) = of_file(&text(defaults), &[]);
    assert_eq!(said, "");
    assert!(!objects.to_string().contains("restore-mode"), "{objects:#}");
    assert!(refused(&text("execution.savepoint-restore-mode: CLAIM"), &[]).contains("always NO_CLAIM"));
}

#[test]
fn quoted_values_of_maps_are_whole_or_refused() {
    let text = |value: &str| {
        let pair = format!("kubernetes.taskmanager.annotations: {value}");
        deployment("{name: x}", &format!("{JOB}\n  flinkConfiguration: {{{pair}}}"))
    };
    let (objects, _) = of_file(&text("\"'x:''a,b:c''',y:1\""), &[]);
    let annotations = &objects[2]["spec"]["template"]["metadata"]["annotations"];
    assert_eq!((&annotations["x"], &annotations["y"]), (&json!("a,b:c"), &json!("1")));
    for value in [
        "\"role:arn:a:iam::1:role/b,y:'1'\"",
        r#"'{"role": "arn:a:iam::1:role/b", "y": 1}'"#,
    ] {
        let (objects, _) = of_file(&text(value), &[]);
        let annotations = &objects[2]["spec"]["template"]["metadata"]["annotations"];
        let found = (&annotations["role"], &annotations["y"]);
        assert_eq!(found, (&json!("arn:a:iam::1:role/b"), &json!("1")), "{value}");
    }
    let said = refused(&text("\"x:'a,b:c'\""), &[]);
    assert!(
        said.contains("kubernetes.taskmanager.annotations") && said.contains("quotes"),
        "{said}"
    );
}
