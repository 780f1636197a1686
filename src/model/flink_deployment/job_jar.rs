//! A jar in a volume that only the JobManager's Pods have: the TaskManagers need it, too.
//!
//! Flink's native deployment hands every jar to the TaskManagers. The entrypoint does it from 1.19 on with a jar that it
//! gets by `--jars`, and never with one that it finds below `usrlib` or on the class path.

use serde_json::{Value, json};

use super::fields::Faults;
use crate::model::config::Config;
use crate::model::flink::{FlinkVersion, Role};
use crate::model::pod_template::checks::list;
use crate::model::pod_template::{self, MAIN_CONTAINER, mount_of};

/// Gives such a jar to the entrypoint, or warns if the release takes none.
pub(super) fn hand_over(uri: &str, layer: &mut Config, faults: &mut Faults) {
    let Some(file) = uri.strip_prefix("local://") else {
        return;
    };
    if !in_volume(layer, Role::JobManager, file) || in_volume(layer, Role::TaskManager, file) {
        return;
    }
    let of_image = || FlinkVersion::of_image(layer.image.as_deref()?);
    let version = layer.flink_version.or_else(of_image);
    if version.is_none_or(FlinkVersion::takes_jars) {
        layer.jars.get_or_insert_with(|| vec![uri.to_owned()]);
    } else {
        let reason = "only the JobManager's Pods get it, and TaskManagers need it too: Flink before 1.19 does not send it to \
                      them. Fill its volume with spec.podTemplate, which applies to both roles";
        faults.warn("spec.job.jarURI", reason);
    }
}

/// Whether Flink's container of a role has the file in a volume. An empty one has what an init container puts there.
fn in_volume(layer: &Config, role: Role, file: &str) -> bool {
    let mut template = json!({});
    for patch in [&layer.pod_template, &layer.role(role).pod_template]
        .into_iter()
        .flatten()
    {
        if pod_template::merge(&mut template, patch, MAIN_CONTAINER).is_err() {
            return false;
        }
    }
    let pod = &template["spec"];
    let main = list(pod, "containers").find(|container| container["name"] == MAIN_CONTAINER);
    let mounts = main.into_iter().flat_map(|main| list(main, "volumeMounts"));
    let Some(mount) = mount_of(mounts, |mount| mount["mountPath"].as_str().unwrap_or_default(), file) else {
        return mount_of(&layer.mounts, |mount| mount.path.as_str(), file).is_some();
    };
    let of_volume = |element: &Value| element["name"] == mount["name"];
    let starts_empty = list(pod, "volumes").any(|one| of_volume(one) && one["emptyDir"].is_object());
    !starts_empty || list(pod, "initContainers").any(|init| list(init, "volumeMounts").any(of_volume))
}

#[cfg(test)]
mod tests {
    use super::super::read_all;

    /// The jars for the entrypoint, and the warnings.
    fn read(version: &str, jar: &str, templates: &str) -> (Option<Vec<String>>, Vec<String>) {
        let text = format!(
            "{{apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, metadata: {{name: x}}, spec: {{image: a, \
             flinkVersion: {version}, job: {{jarURI: 'local://{jar}', entryClass: a.B}}, {templates}}}}}"
        );
        let found = read_all(&text, "x.yaml").unwrap();
        (found.layers[0].jars.clone(), found.warnings)
    }

    const MAIN: &str =
        "containers: [{name: flink-main-container, volumeMounts: [{name: v, mountPath: /opt/flink/usrlib/}]}]";
    const FETCH: &str = "initContainers: [{name: fetch, image: a, volumeMounts: [{name: v, mountPath: /jars}]}]";
    const EMPTY: &str = "volumes: [{name: v, emptyDir: {}}]";
    const JAR: &str = "/opt/flink/usrlib/a.jar";

    #[test]
    fn a_jar_of_the_job_manager_alone_is_handed_to_the_task_managers() {
        let jar = Some(vec![format!("local://{JAR}")]);
        let alone = format!("jobManager: {{podTemplate: {{spec: {{{MAIN}, {FETCH}, {EMPTY}}}}}}}");
        let filled =
            format!("podTemplate: {{spec: {{{MAIN}, {EMPTY}}}}}, jobManager: {{podTemplate: {{spec: {{{FETCH}}}}}}}");
        let claim = "volumes: [{name: v, persistentVolumeClaim: {claimName: jars}}]";
        let claimed = format!("jobManager: {{podTemplate: {{spec: {{{MAIN}, {claim}}}}}}}");
        // The path of its volume only begins like that of the jar.
        let beside =
            format!("{alone}, flinkConfiguration: {{kubernetes.persistent-volume-claims: 'jars:/opt/flink/usr'}}");
        for templates in [alone, filled, claimed, beside] {
            assert_eq!(read("v1_19", JAR, &templates), (jar.clone(), Vec::new()), "{templates}");
            let (jars, said) = read("v1_17", JAR, &templates);
            assert_eq!(jars, None, "{templates}");
            assert!(
                said.len() == 1 && said[0].contains("x.yaml: spec.job.jarURI: only the JobManager's Pods"),
                "{said:?}"
            );
        }
        // Other places are on the class path before 1.19.
        let elsewhere = "jobManager: {podTemplate: {spec: {containers: [{name: flink-main-container, \
             volumeMounts: [{name: v, mountPath: /jars}]}], volumes: [{name: v, hostPath: {path: /jars}}]}}}";
        assert_eq!(read("v1_17", "/jars/a.jar", elsewhere).1.len(), 1);
        assert!(read("v1_17", "/jars-of-the-image/a.jar", elsewhere).1.is_empty());
    }

    #[test]
    fn a_jar_of_both_is_found_where_it_is() {
        for templates in [
            "mode: native".to_owned(),
            format!("podTemplate: {{spec: {{{MAIN}, {FETCH}, {EMPTY}}}}}"),
            format!("podTemplate: {{spec: {{{MAIN}, {EMPTY}}}}}"),
            format!("podTemplate: {{spec: {{{MAIN}, volumes: [{{name: v, configMap: {{name: jars}}}}]}}}}"),
            "flinkConfiguration: {kubernetes.persistent-volume-claims: 'jars:/opt/flink/usrlib'}".to_owned(),
        ] {
            for version in ["v1_17", "v2_3"] {
                assert_eq!(read(version, JAR, &templates), (None, Vec::new()), "{templates}");
            }
        }
    }

    /// The `jarURI` of a Python program is a placeholder, as in the operator's example.
    #[test]
    fn a_python_program_gets_no_jar_of_the_file() {
        let jars = |version: &str, uri: &str, program: &str| {
            let text = format!(
                "{{apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, metadata: {{name: x}}, spec: {{image: a, \
                 flinkVersion: {version}, job: {{jarURI: '{uri}', {program}}}}}}}"
            );
            read_all(&text, "x.yaml").unwrap().layers[0].jars.clone()
        };
        for program in [
            "entryClass: org.apache.flink.client.python.PythonDriver, args: [-pym, job]",
            "args: [-pyclientexec, /usr/bin/python3, -py, /opt/flink/usrlib/job.py]",
            "args: [--python, /a.py, --input, x]",
        ] {
            for (version, uri) in [
                ("v1_17", "local:///opt/none.jar"),
                ("v1_20", "local:///opt/flink/usrlib/none.jar"),
                ("v2_0", "s3://b/job.py"),
            ] {
                assert_eq!(jars(version, uri, program), None, "{version} {program}");
            }
        }
        let jar = "local:///opt/a.jar";
        assert_eq!(
            jars("v1_20", jar, "args: [--pyfiles, a.py]"),
            Some(vec![jar.to_owned()])
        );
    }
}
