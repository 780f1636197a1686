//! High availability: its options, JobManagers that stand by, and the rights that it needs.

use super::tests::{args, container, layer, made};
use super::*;
use crate::model::adopt;
use crate::model::config::Config;
use crate::model::names::ClusterName;

#[test]
fn high_availability_is_set_on_both_roles_with_a_job_id_for_each_generation() {
    let spec = Spec::resolve(Config {
        image: Some("flink:2.3.0".into()),
        ha: Some("s3://b/ha".into()),
        ..layer()
    })
    .unwrap();
    let templates = Templates::built_in().unwrap();
    let first = build(&spec, &templates, "ns", 1).unwrap();
    let second = build(&spec, &templates, "ns", 2).unwrap();
    for object in [&first.job, &first.deployment] {
        let words = "-Dhigh-availability.type=kubernetes -Dhigh-availability.storageDir=s3://b/ha \
            -Dhigh-availability.cluster-id=ns/demo/1 -Dkubernetes.cluster-id=demo -Dkubernetes.namespace=ns";
        for option in words.split(' ') {
            assert!(args(object).contains(&option), "{option}");
        }
    }
    let mut addresses = args(&first.job);
    addresses.retain(|one| one.contains("rpc.address"));
    assert_eq!(addresses, ["-Djobmanager.rpc.address=$(POD_IP)"]);
    assert_eq!(container(&first.job)["env"][0]["name"], "POD_IP");
    let id = |object| {
        let list = args(object);
        list[list.iter().position(|a| *a == "--job-id").unwrap() + 1].to_owned()
    };
    assert_ne!(id(&first.job), id(&second.job));
    assert_eq!(first.job["spec"]["completionMode"], Value::Null);
    assert_eq!(first.access, Vec::<Value>::new());
}

#[test]
fn zookeeper_needs_nothing_of_kubernetes() {
    let made = made(Config {
        image: Some("flink:2.3.0".into()),
        ha: Some("s3://b/ha".into()),
        zookeeper: Some("zk-0:2181,zk-1:2181".into()),
        zookeeper_root: Some("/team".into()),
        ..layer()
    });
    for object in [&made.job, &made.deployment] {
        let words = "-Dhigh-availability.type=zookeeper -Dhigh-availability.zookeeper.quorum=zk-0:2181,zk-1:2181 \
            -Dhigh-availability.zookeeper.path.root=/team -Dhigh-availability.storageDir=s3://b/ha \
            -Dhigh-availability.cluster-id=ns/demo/7";
        for option in words.split(' ') {
            assert!(args(object).contains(&option), "{option}");
        }
        assert!(!args(object).join(" ").contains("kubernetes"), "{object}");
    }
    assert!(args(&made.job).contains(&"--job-id"));
    assert!(args(&made.job).contains(&"-Djobmanager.rpc.address=$(POD_IP)"));
}

#[test]
fn standby_jobmanagers_end_with_the_leader() {
    let made = made(Config {
        ha: Some("s3://b/ha".into()),
        job_managers: Some(2),
        configuration: [(
            "application-result-store.delete-on-commit".to_owned(),
            "true".to_owned(),
        )]
        .into(),
        ..layer()
    });
    let spec = &made.job["spec"];
    let kind = json!([spec["parallelism"], spec["completions"], spec["completionMode"]]);
    assert_eq!(kind, json!([2, 2, "Indexed"]));
    // One that cannot start does not end the others.
    let codes = &spec["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"];
    assert_eq!(codes, &json!([163]));
    assert_eq!(spec["successPolicy"], json!({"rules": [{"succeededCount": 1}]}));
    let container = &spec["template"]["spec"]["containers"][0];
    assert_eq!(container["readinessProbe"]["tcpSocket"]["port"], 8081);
    // Requests go to JobManagers that answer; of one alone TaskManagers need the address at once.
    assert_eq!(made.service["spec"]["publishNotReadyAddresses"], Value::Null);
    let alone = self::made(layer());
    assert_eq!(alone.service["spec"]["publishNotReadyAddresses"], true);
    let container = &alone.job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["readinessProbe"]["tcpSocket"]["port"], 8081);
    assert!(args(&made.job).contains(&"-Djob-result-store.delete-on-commit=false"));
    // What the user says stays.
    assert!(args(&made.job).contains(&"-Dapplication-result-store.delete-on-commit=true"));
    assert!(!args(&made.job).contains(&"-Dapplication-result-store.delete-on-commit=false"));
}

#[test]
fn rights_are_made_for_the_pods_and_carry_the_labels_of_the_cluster() {
    let layer = || Config {
        ha: Some("s3://b/ha".into()),
        ha_create_rbac: Some(true),
        labels: [("team".to_owned(), "a".to_owned())].into(),
        ..layer()
    };
    let own = made(layer());
    let kinds: Vec<_> = own.all().map(|object| object["kind"].as_str().unwrap()).collect();
    let expected = ["ServiceAccount", "Role", "RoleBinding", "Service", "Job", "Deployment"];
    assert_eq!(kinds, expected);
    for object in &own.access {
        assert_eq!(object["metadata"]["name"], "demo-high-availability");
        let labels = &object["metadata"]["labels"];
        let found = json!([labels["app"], labels["component"], labels["team"]]);
        assert_eq!(found, json!(["demo", "high-availability", "a"]));
    }
    for object in [&own.job, &own.deployment] {
        let account = &object["spec"]["template"]["spec"]["serviceAccountName"];
        assert_eq!(account, "demo-high-availability");
        assert_eq!(object["metadata"]["annotations"][CREATED_RBAC], "true");
    }
    // An account of the user's own gets the rights, and is not made.
    let given = made(layer().with(|it| it.service_account = Some("flink".into())));
    assert_eq!(given.access.len(), 2);
    let account = json!({"kind": "ServiceAccount", "name": "flink", "namespace": "ns"});
    assert_eq!(given.access[1]["subjects"], json!([account]));
}

/// A Role names the ConfigMaps of one job ID: without a new Role the next job could not write its own.
#[test]
fn rights_of_a_cluster_made_by_hand_follow_its_job_id() {
    let own = made(Config {
        ha: Some("s3://b/ha".into()),
        ha_create_rbac: Some(true),
        ..layer()
    });
    let name = ClusterName::new("demo").unwrap();
    let (templates, adopted) =
        adopt::adopt(&name, &own.service, &own.job, &own.deployment, &Config::default()).unwrap();
    let spec = Spec::resolve(adopted.with(|it| it.name = Some("demo".into()))).unwrap();
    let next = build(&spec, &templates, "ns", 2).unwrap();
    let id = spec.job_id("ns", 2).unwrap();
    assert!(!args(&own.job).contains(&id.as_str()));
    let names = next.access[1]["rules"][1]["resourceNames"].to_string();
    assert!(names.contains(&format!("-{id}-config-map")), "{names}");
    assert_eq!(next.job["metadata"]["annotations"][CREATED_RBAC], "true");
}
