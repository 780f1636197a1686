//! What [`write`] writes is what [`read`] reads, for any layer.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{read, write};
use crate::model::config::{Config, Entrypoint, JobId, Mount, PullPolicy, Restart, RoleConfig};
use crate::model::flink::{FlinkVersion, owned_key, without_effect};
use crate::model::pod_template::MAIN_CONTAINER;
use crate::model::quantity::{Cpu, Memory};

/// Texts that YAML, shells and Kubernetes are tempted to understand, and any others.
fn text() -> impl Strategy<Value = String> {
    const WORDS: &str = "' ${A} $(A) $$(A) yes no on y true null ~ 1_000 1:30 0x1f 0755 1e3 .5 +1 - ... #a { [ &a *a !a %a @a ` | > : , << = 2026-01-01 .nan";
    let others = [
        "",
        " ",
        "a b",
        "\"",
        "'\"",
        "\n",
        "a\nb\n",
        "\n\n a",
        "a\r\nb",
        "\t",
        "😀",
        "é\u{301}",
        "- a",
        "--- ",
        "a #b",
        "a: b",
        "? a",
        "\\",
        "\\n",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{7f}",
        "a\u{0}b",
    ];
    let tempting = prop::sample::select(WORDS.split(' ').chain(others).collect::<Vec<_>>());
    prop_oneof![
        tempting.clone().prop_map(ToOwned::to_owned),
        vec(tempting, 1..4).prop_map(|parts| parts.concat()),
        any::<String>(),
        "[a-z]{60,120} [a-z ]{60,120}",
    ]
}

fn key() -> impl Strategy<Value = String> {
    text().prop_filter("a key of another project", |key| {
        owned_key(key).is_none()
            && without_effect(key).is_none()
            && !key.starts_with("kubectl-flink/")
            && key != super::read::LAST_APPLIED
            && !["app", "component"].contains(&key.as_str())
            && !key.starts_with("app.kubernetes.io/")
    })
}

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(key(), text(), 0..3)
}

fn template() -> impl Strategy<Value = Value> {
    (texts(), text(), any::<i64>(), any::<bool>()).prop_map(|(map, text, number, flag)| {
        json!({"spec": {"nodeSelector": map, "hostNetwork": flag, "priority": number, "runtimeClassName": null,
            "containers": [{"name": MAIN_CONTAINER, "workingDir": text}]}})
    })
}

fn role() -> impl Strategy<Value = RoleConfig> {
    (
        option::of(1..u64::MAX),
        option::of(1..10_000_000_u64),
        option::of(template()),
    )
        .prop_map(|(memory, cpu, pod_template)| RoleConfig {
            memory: memory.map(Memory::from_bytes),
            cpu: cpu.map(Cpu::from_millis),
            pod_template,
        })
}

fn mounts() -> impl Strategy<Value = Vec<Mount>> {
    let mount = ("[a-z😀$ ]{1,5}", "/[a-z/'\"\n]{0,9}", any::<bool>());
    vec(mount, 0..3).prop_map(|mounts| {
        let mount = |(claim, path, read_only)| Mount { claim, path, read_only };
        mounts.into_iter().map(mount).collect()
    })
}

prop_compose! {
    fn strings()(
        name in option::of(text()),
        namespace in option::of(text()),
        image in option::of(text()),
        job_class in option::of(text()),
        jars in option::of(vec(prop_oneof![
            text(), Just("s3://a/b.jar".to_owned()), Just("local:///opt/flink/usrlib/a.jar".to_owned())
        ], 0..3)),
        from_savepoint in option::of(text()),
        arguments in option::of(vec(text(), 0..4)),
        service_account in option::of(text()),
        image_pull_secrets in option::of(vec(text(), 0..3)),
        savepoint_dir in option::of(text()),
        checkpoint_dir in option::of(text()),
        ha in option::of((text(), option::of((text(), option::of(text()))), option::of(any::<bool>()))),
        others in (
            option::of(1..u32::MAX), option::of(any::<u32>()), option::of("[a-z0-9]{1,16}"), option::of(any::<bool>()),
            option::of(any::<bool>()), option::of(text()),
            option::of(1..u16::MAX)
        ),
    ) -> Config {
        // A ZooKeeper without high availability is no valid layer, and has no place in the format.
        let (ha, zookeeper, ha_create_rbac) = match ha {
            Some((folder, zookeeper, rbac)) => (Some(folder), zookeeper, rbac),
            None => (None, None, None),
        };
        let (zookeeper, zookeeper_root) = zookeeper.map_or((None, None), |(quorum, root)| (Some(quorum), root));
        Config {
            name, namespace, image, job_class, jars, from_savepoint, arguments, service_account, image_pull_secrets,
            savepoint_dir, checkpoint_dir, ha, zookeeper, zookeeper_root, ha_create_rbac,
            job_managers: others.0, ttl_after_finished: others.1, nonce: others.2, keep_sidecars: others.3,
            direct_start: others.4, sql: others.5, rpc_port: others.6,
            ..Config::default()
        }
    }
}

prop_compose! {
    fn layers()(
        layer in strings().boxed(),
        version in option::of((1..3_u16, 0..30_u16)),
        numbers in (option::of(1..u32::MAX), option::of(1..u32::MAX), option::of(1..u32::MAX)),
        job_id in option::of((any::<bool>(), text())),
        allow_non_restored_state in option::of(any::<bool>()),
        words in (
            option::of(prop::sample::select(vec![Entrypoint::Official, Entrypoint::Legacy])),
            option::of(prop::sample::select(vec![PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never])),
            option::of(prop::sample::select(vec![Restart::UntilTerminal, Restart::OnFailure, Restart::Never])),
        ),
        maps in (texts(), texts(), texts(), texts()),
        mounts in mounts(),
        roles in (role(), role(), option::of(template())),
        node_port in option::of(1..u16::MAX),
        log_configuration in btree_map("[a-z][a-z0-9.]{0,20}[a-z]", text(), 0..3),
    ) -> Config {
        Config {
            flink_version: version.map(|(major, minor)| FlinkVersion::new(major, minor)),
            parallelism: numbers.0,
            slots: numbers.1,
            task_managers: numbers.2,
            job_id: job_id.map(|(fixed, text)| if fixed { JobId::Fixed(text) } else { JobId::Seed(text) }),
            allow_non_restored_state,
            entrypoint: words.0,
            image_pull_policy: words.1,
            restart: words.2,
            configuration: maps.0,
            env: maps.1,
            labels: maps.2,
            annotations: maps.3,
            mounts,
            job_manager: roles.0,
            task_manager: roles.1,
            pod_template: roles.2,
            node_port,
            log_configuration,
            ..layer
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(layer in layers()) {
        let value = write(&layer);
        let json = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(&read(&json, "x.json").unwrap(), std::slice::from_ref(&layer));
        let yaml = serde_yaml::to_string(&value).unwrap();
        prop_assert_eq!(read(&yaml, "x.yaml").unwrap(), [layer]);
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = read(&text, "x");
        let _ = read(&format!("kind: FlinkDeployment\nspec: {text}"), "x");
    }
}
