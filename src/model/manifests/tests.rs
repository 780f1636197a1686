use proptest::prelude::*;

use super::*;
use crate::model::config::{Config, JobId, RoleConfig};
use crate::model::pod_template::MAIN_CONTAINER;
use crate::model::{flink, flink_deployment, quantity};

pub(super) fn layer() -> Config {
    Config {
        name: Some("demo".into()),
        image: Some("registry:5000/team/job:2.3.0".into()),
        ..Config::default()
    }
}

pub(super) fn made(layer: Config) -> Manifests {
    build(&Spec::resolve(layer).unwrap(), &Templates::built_in().unwrap(), "ns", 7).unwrap()
}

pub(super) fn container(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]["containers"][0]
}

pub(super) fn args(object: &Value) -> Vec<&str> {
    let list = container(object)["args"].as_array().unwrap();
    list.iter().map(|one| one.as_str().unwrap()).collect()
}

/// What a process gets of `text` in args: Kubernetes replaces `$$` by `$`, and `$(NAME)` where NAME is known.
fn expanded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else {
            assert!(!rest.starts_with('('), "{text} would be expanded");
        }
    }
    out + rest
}

#[test]
fn objects_have_the_names_labels_and_selectors_of_flinks_templates() {
    let made = made(layer());
    for (object, name, component) in [
        (&made.service, "demo-master", "master"),
        (&made.job, "demo-master", "master"),
        (&made.deployment, "demo-task-manager", "task-manager"),
    ] {
        assert_eq!(object["metadata"]["name"], name);
        assert_eq!(object["metadata"]["namespace"], "ns");
        assert_eq!(object["metadata"]["labels"]["app"], "demo");
        assert_eq!(object["metadata"]["labels"]["component"], component);
    }
    let labels = |component: &str| json!({"app": "demo", "component": component});
    assert_eq!(made.service["spec"]["selector"], labels("master"));
    let selector = json!({"matchLabels": labels("task-manager")});
    assert_eq!(made.deployment["spec"]["selector"], selector);
    for object in [&made.job, &made.deployment["spec"]["template"]] {
        assert_eq!(object["metadata"]["annotations"][REVISION], "7");
    }
}

#[test]
fn flinks_options_come_first_and_the_programs_arguments_last() {
    let made = made(Config {
        job_class: Some("a.B".into()),
        job_id: Some(JobId::Seed("demo".into())),
        from_savepoint: Some("s3://b/sp".into()),
        allow_non_restored_state: Some(true),
        jars: Some(vec!["s3://b/1.jar".into(), "s3://b/2.jar".into()]),
        parallelism: Some(4),
        slots: Some(2),
        configuration: [("blob.server.port".to_owned(), "7000".to_owned())].into(),
        arguments: Some(vec!["--job-id".into(), "--".into(), String::new()]),
        ..layer()
    });
    let flink = "standalone-job -Djobmanager.rpc.address=demo-master -Dparallelism.default=4 \
        -Dqueryable-state.server.ports=6125 -Djobmanager.memory.process.size=1600m -Drest.async.store-duration=1d \
        --job-classname a.B --job-id 2a97516c354b68848cdbd8f54a226a0a --fromSavepoint s3://b/sp \
        --jars s3://b/1.jar,s3://b/2.jar --allowNonRestoredState -Dblob.server.port=7000 -Dtaskmanager.numberOfTaskSlots=2";
    let program = ["--", "--job-id", "--", ""];
    assert_eq!(args(&made.job), flink.split(' ').chain(program).collect::<Vec<_>>());
    assert_eq!(made.deployment["spec"]["replicas"], 2);
    assert!(args(&made.deployment).contains(&"-Dtaskmanager.numberOfTaskSlots=2"));
    assert!(args(&made.deployment).contains(&"-Dblob.server.port=7000"));
}

#[test]
fn releases_get_the_names_that_they_know() {
    let of = |version: &str| {
        let made = made(Config {
            flink_version: Some(version.parse().unwrap()),
            savepoint_dir: Some("/sp".into()),
            checkpoint_dir: Some("/cp".into()),
            ha: Some("/ha".into()),
            ..layer()
        });
        args(&made.job).join(" ")
    };
    assert!(of("1.9").starts_with("job-cluster "));
    assert!(of("1.15").contains(&format!("-Dhigh-availability={} ", flink::KUBERNETES_HA_FACTORY)));
    assert!(of("1.19").contains("-Dstate.savepoints.dir=/sp -Dstate.checkpoints.dir=/cp"));
    assert!(of("2.3").contains("-Dexecution.checkpointing.savepoint-dir=/sp -Dexecution.checkpointing.dir=/cp"));
}

/// Keys that Flink's scripts read: as `-D` they would have no effect.
#[test]
fn keys_of_flinks_scripts_are_variables_of_the_containers() {
    let configuration = [
        (
            "env.java.opts.all",
            "--add-opens java.base/java.util=ALL-UNNAMED -Da=$(x)",
        ),
        ("env.java.opts.jobmanager", "-Djm"),
        ("env.java.home", "/opt/java/21"),
        ("env.log.max", "3"),
        ("state.backend.type", "rocksdb"),
    ];
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let said = layer().with(|it| it.configuration = configuration.map(owned).into());
    // A chart leaves `env:` without a value where it has no variables.
    let empty = json!({"spec": {"containers": [{"name": "flink-main-container", "env": null}]}});
    let made = made(said.clone().with(|it| it.pod_template = Some(empty)));
    let env = |object: &Value| {
        let all = container(object)["env"].as_array().unwrap().clone();
        let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        let pair = |one: &Value| text(one, "name") + "=" + &expanded(&text(one, "value"));
        all.iter().map(pair).collect::<Vec<_>>()
    };
    let both = "--add-opens java.base/java.util=ALL-UNNAMED -Da=$(x)";
    let options = [
        format!("FLINK_ENV_JAVA_OPTS_JM={both} -Djm"),
        format!("FLINK_ENV_JAVA_OPTS_TM={both}"),
    ];
    for (object, options) in [&made.job, &made.deployment].into_iter().zip(options) {
        let env = env(object);
        for want in [options.as_str(), "JAVA_HOME=/opt/java/21", "MAX_LOG_FILE_NUMBER=3"] {
            assert!(env.iter().any(|one| one == want), "{want} in {env:?}");
        }
        assert_eq!(env.len(), 3, "{env:?}");
        let args = args(object);
        assert!(!args.iter().any(|one| one.contains("env.")), "{args:?}");
        assert!(args.contains(&"-Dstate.backend.type=rocksdb"));
    }
    // The same variable with another value: one of the two would have no effect.
    let template = json!({"spec": {"containers": [
        {"name": "flink-main-container", "env": [{"name": "FLINK_ENV_JAVA_OPTS_JM", "value": "-Dmine"}]}]}});
    let (mut by_flag, mut by_template) = (said.clone(), said);
    by_flag.env = [("JAVA_HOME".to_owned(), "/other".to_owned())].into();
    by_template.pod_template = Some(template);
    for other in [by_flag, by_template] {
        let error = Spec::resolve(other).unwrap_err();
        assert!(error.message.contains(" has no effect, because Flink reads"), "{error}");
    }
}

#[test]
fn memory_is_flinks_process_and_the_containers_limit() {
    let made = made(Config {
        job_manager: RoleConfig {
            memory: Some(quantity::memory_flink("2048m").unwrap()),
            cpu: Some(quantity::cpu("0.5").unwrap()),
            pod_template: None,
        },
        ..layer()
    });
    let amounts = json!({"memory": "2Gi", "cpu": "500m"});
    let expected = json!({"requests": amounts, "limits": amounts});
    assert_eq!(container(&made.job)["resources"], expected);
    let mut sizes = args(&made.job);
    sizes.retain(|one| one.contains("process.size"));
    assert_eq!(sizes, ["-Djobmanager.memory.process.size=2g"]);
    assert_eq!(container(&made.deployment)["resources"]["limits"]["memory"], "1728Mi");
}

#[test]
fn a_template_whose_resources_are_no_maps_is_refused() {
    let memory = Some(quantity::memory_flink("2g").unwrap());
    let spec = Spec::resolve(layer().with(|it| it.job_manager.memory = memory)).unwrap();
    for resources in [json!([]), json!({"requests": 1})] {
        let mut templates = Templates::built_in().unwrap();
        let main = main_container(&mut templates.job).unwrap();
        main.insert("resources".to_owned(), resources);
        let error = build(&spec, &templates, "ns", 1).unwrap_err();
        assert!(error.message.contains("in a template is not a map"), "{error}");
    }
}

/// A request below the limit, and no limit, which is that of the request then, as a file's `resources` say them.
#[test]
fn exact_amounts_of_a_file_stay() {
    let made = |resources: &str| {
        let text = format!(
            "{{apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, metadata: {{name: demo}}, spec: {{image: 'flink:2.3.0', job: {{}}, taskManager: {{resources: {resources}}}}}}}"
        );
        let layer = flink_deployment::read(&text, "x").unwrap().remove(0);
        container(&made(layer).deployment)["resources"].clone()
    };
    assert_eq!(
        made("{requests: {memory: 1024m, cpu: 0.5}, limits: {memory: 2048m}}"),
        json!({"requests": {"memory": "1Gi", "cpu": "500m"}, "limits": {"memory": "2Gi", "cpu": "500m"}})
    );
    // A process that is smaller than its limit, as a cluster made by hand may have it.
    let template = json!({"spec": {"containers": [{"name": pod_template::MAIN_CONTAINER,
        "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "3Gi"}}}]}});
    let roomy = self::made(Config {
        task_manager: RoleConfig {
            memory: Some(quantity::memory_flink("2g").unwrap()),
            pod_template: Some(template),
            ..RoleConfig::default()
        },
        ..layer()
    });
    let memory = |request: &str, limit: &str| json!({"requests": {"memory": request}, "limits": {"memory": limit}});
    assert_eq!(container(&roomy.deployment)["resources"], memory("2Gi", "3Gi"));
    assert_eq!(made("{requests: {memory: 2Gi}}"), memory("2Gi", "2Gi"));
}

#[test]
fn a_suspended_cluster_has_no_pods() {
    let made = made(Config {
        suspended: true,
        parallelism: Some(3),
        ..layer()
    });
    assert_eq!(made.job["spec"]["suspend"], true);
    assert_eq!(made.deployment["spec"]["replicas"], 0);
    assert_eq!(made.deployment["metadata"]["annotations"][SUSPENDED_REPLICAS], "3");
    let revision = flink_deployment::write(&layer().with(|it| it.suspended = true));
    assert_eq!(revision, flink_deployment::write(&layer()));
}

#[test]
fn restart_policies_are_the_jobs() {
    let policy = |restart| made(Config { restart, ..layer() }).job["spec"].clone();
    let said = policy(Some(Restart::UntilTerminal));
    assert_eq!(policy(None), said);
    let codes = &said["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"];
    assert_eq!(codes, &json!([1, 163]));
    let on_failure = policy(Some(Restart::OnFailure));
    assert_eq!(on_failure["template"]["spec"]["restartPolicy"], "OnFailure");
    assert_eq!(on_failure.get("podFailurePolicy"), None);
    let never = policy(Some(Restart::Never));
    assert_eq!(never["backoffLimit"], 0);
    assert_eq!(never["template"]["spec"]["restartPolicy"], "Never");
}

#[test]
fn the_oldest_form_of_flinks_templates_works_unchanged() {
    let templates = Templates::from_files([
        ("service", "kind: Service\napiVersion: v1\nmetadata: {name: flink-job-cluster}\nspec: {type: NodePort, ports: [{name: ui, port: 8081, nodePort: 30081}], selector: {app: flink, component: job-cluster}}"),
        ("job", "kind: Job\napiVersion: batch/v1\nmetadata: {name: flink-job-cluster}\nspec:\n  template:\n    metadata: {labels: {app: flink, component: job-cluster}}\n    spec:\n      restartPolicy: OnFailure\n      containers:\n      - name: flink-job-cluster\n        image: ${FLINK_IMAGE_NAME}\n        args: [\"job-cluster\", \"--job-id-seed\", \"${FLINK_APPLICATION_NAME}\", \"-Djobmanager.rpc.address=flink-job-cluster\", \"-Dparallelism.default=${FLINK_JOB_PARALLELISM}\", ${FLINK_JOB_ARGUMENTS}]"),
        ("deployment", "kind: Deployment\napiVersion: extensions/v1beta1\nmetadata: {name: flink-task-manager}\nspec:\n  replicas: ${FLINK_JOB_PARALLELISM}\n  template:\n    metadata: {labels: {app: flink, component: task-manager}}\n    spec: {containers: [{name: flink-task-manager, image: \"${FLINK_IMAGE_NAME}\", args: [\"task-manager\", \"-Djobmanager.rpc.address=flink-job-cluster\"]}]}"),
    ])
    .unwrap();
    let spec = Spec::resolve(Config {
        parallelism: Some(3),
        job_class: Some("a.B".into()),
        ..layer()
    })
    .unwrap();
    let made = build(&spec, &templates, "ns", 1).unwrap();
    assert_eq!(made.deployment["apiVersion"], "apps/v1");
    assert_eq!(made.deployment["spec"]["replicas"], 3);
    let task_manager = "task-manager -Djobmanager.rpc.address=demo-master";
    assert_eq!(args(&made.deployment).join(" "), task_manager);
    let master = "job-cluster --job-id 2a97516c354b68848cdbd8f54a226a0a -Djobmanager.rpc.address=demo-master \
        -Dparallelism.default=3 --job-classname a.B";
    assert_eq!(args(&made.job).join(" "), master);
    let labels = &made.job["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels, &json!({"app": "demo", "component": "master"}));
    assert_eq!(container(&made.job).get("resources"), None);
}

/// Their ConfigMap has the address of the JobManager: the name of a Service that the cluster does not have.
#[test]
fn templates_of_flinks_documentation_get_the_address_of_the_service() {
    let pod = |args: &str| format!("spec: {{template: {{spec: {{containers: [{{name: a, args: [{args}]}}]}}}}}}");
    let texts = |address: &str| {
        [
            "kind: Service\nmetadata: {name: flink-jobmanager}\nspec: {ports: [{name: rpc, port: 6123}]}".to_owned(),
            format!(
                "kind: Job\n{}",
                pod(&format!(
                    "standalone-job, {address}--job-classname, a.B, $FLINK_JOB_ARGUMENTS, --x"
                ))
            ),
            format!("kind: Deployment\n{}", pod("taskmanager")),
        ]
    };
    let spec = Spec::resolve(layer()).unwrap();
    for (address, expected) in [
        (
            "",
            "standalone-job -Djobmanager.rpc.address=demo-master --job-classname a.B --x",
        ),
        (
            "-D, jobmanager.rpc.address=a, ",
            "standalone-job -D jobmanager.rpc.address=a --job-classname a.B --x",
        ),
    ] {
        let texts = texts(address);
        let templates = Templates::from_files(texts.iter().map(|text| ("f", text.as_str()))).unwrap();
        let made = build(&spec, &templates, "ns", 1).unwrap();
        assert_eq!(args(&made.job).join(" "), expected);
        let task_manager = "taskmanager -Djobmanager.rpc.address=demo-master";
        assert_eq!(args(&made.deployment).join(" "), task_manager);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_value_is_refused_or_rendered_byte_for_byte(
        argument in any::<String>(),
        value in any::<String>(),
        env in any::<String>(),
        path in any::<String>(),
        label in any::<String>(),
    ) {
        let given = Config {
            arguments: Some(vec![argument.clone()]),
            configuration: [("key".to_owned(), value.clone())].into(),
            env: [("NAME".to_owned(), env.clone())].into(),
            from_savepoint: Some(path.clone()),
            labels: [("label".to_owned(), label.clone())].into(),
            ..layer()
        };
        match Spec::resolve(given.clone()) {
            Err(error) => {
                let texts = [&argument, &value, &env, &path];
                prop_assert!(texts.iter().any(|t| t.contains('\0')) || path.is_empty(), "{error}");
            }
            Ok(spec) => {
                let made = build(&spec, &Templates::built_in().unwrap(), "ns", 1).unwrap();
                let list = args(&made.job);
                prop_assert_eq!(expanded(list[list.len() - 1]), argument);
                let at = list.iter().position(|a| *a == "--fromSavepoint").unwrap();
                prop_assert_eq!(expanded(list[at + 1]), path);
                for object in [&made.job, &made.deployment] {
                    let pair = format!("-Dkey={value}");
                    prop_assert!(args(object).iter().any(|a| expanded(a) == pair));
                    prop_assert_eq!(expanded(container(object)["env"][0]["value"].as_str().unwrap()), env.clone());
                    prop_assert_eq!(&object["metadata"]["labels"]["label"], &json!(label));
                }
                // What the history remembers makes the same objects again.
                let text = flink_deployment::write(&spec.layer).to_string();
                let again = flink_deployment::read(&text, "history").unwrap().remove(0);
                let remade = build(&Spec::resolve(again).unwrap(), &Templates::built_in().unwrap(), "ns", 1).unwrap();
                prop_assert_eq!(remade, made);
            }
        }
    }
}

#[test]
fn sidecars_of_the_job_are_made_native_and_those_of_taskmanagers_stay() {
    let template = json!({"spec": {
        "initContainers": [{"name": "first"}],
        "containers": [{"name": "shipper", "image": "a"}, {"name": MAIN_CONTAINER, "workingDir": "/data"}]}});
    let layer = layer().with(|it| it.pod_template = Some(template));
    let names = |object: &Value, list: &str| -> Vec<String> {
        let all = object["spec"]["template"]["spec"][list]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let name = |container: &Value| format!("{}{}", container["name"], container["restartPolicy"]).replace('"', "");
        all.iter().map(name).collect()
    };
    let manifests = made(layer.clone());
    assert_eq!(manifests.native_sidecars, ["shipper"]);
    assert_eq!(names(&manifests.job, "containers"), ["flink-masternull"]);
    assert_eq!(names(&manifests.job, "initContainers"), ["firstnull", "shipperAlways"]);
    assert_eq!(container(&manifests.job)["workingDir"], "/data");
    assert_eq!(names(&manifests.deployment, "initContainers"), ["firstnull"]);
    assert_eq!(names(&manifests.deployment, "containers").len(), 2);
    let kept = made(layer.with(|it| it.keep_sidecars = Some(true)));
    assert!(kept.native_sidecars.is_empty());
    assert_eq!(names(&kept.job, "containers").len(), 2);
}
