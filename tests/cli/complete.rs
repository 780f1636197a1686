//! Completion as kubectl asks for it: candidates, a line each, and a directive of Cobra's.

use std::time::{Duration, Instant};

use serde_json::json as tree;

use crate::image_place::jar;
use crate::objects::{deployment_table, job_row, job_table};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{get, json, status};

/// The names of the candidates, and the directive.
fn complete(sandbox: &Sandbox, words: &[&str]) -> (Vec<String>, String) {
    let outcome = sandbox.run(&[&["__complete"], words].concat());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome}");
    let mut lines: Vec<String> = outcome.stdout.lines().map(ToOwned::to_owned).collect();
    let directive = lines.pop().unwrap();
    let names = lines.iter().map(|line| line.split('\t').next().unwrap().to_owned());
    (names.collect(), directive)
}

fn names(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    complete(sandbox, words).0
}

fn clusters(sandbox: &Sandbox, namespace: &str) {
    let rows = ["orders", "payments"].map(|name| job_row(namespace, name, "Running"));
    let jobs = get(&format!("/apis/batch/v1/namespaces/{namespace}/jobs"));
    sandbox.server.expect(jobs).answer(json(&job_table(&rows)));
    let deployments = get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"));
    sandbox.server.expect(deployments).answer(json(&deployment_table(&[])));
}

#[test]
fn commands_are_completed_with_descriptions() {
    let sandbox = Sandbox::bare();
    let outcome = sandbox.run(&["__complete", "del"]);
    assert_eq!(outcome.stdout, "delete\tDelete clusters\n:4\n", "{outcome}");
    let all = names(&sandbox, &[""]);
    assert!(all.contains(&"savepoint-resume".to_owned()), "{all:?}");
    assert!(all.iter().all(|name| !name.starts_with('-')), "{all:?}");
    assert!(
        all.contains(&"list".to_owned()) && !all.contains(&"get".to_owned()),
        "{all:?}"
    );
    assert_eq!(names(&sandbox, &["ge"]), ["get"]);
    assert_eq!(names(&sandbox, &["savepoint", "l"]), ["list"]);
}

#[test]
fn flags_and_their_values_are_completed() {
    let sandbox = Sandbox::bare();
    assert_eq!(
        names(&sandbox, &["create", "demo", "--savepoint-d"]),
        ["--savepoint-dir"]
    );
    assert_eq!(
        names(&sandbox, &["create", "demo", "--image-pull-policy", "A"]),
        ["Always"]
    );
    // Shells complete what follows the equals sign.
    assert_eq!(names(&sandbox, &["list", "--output=w"]), ["wide"]);
    // A template is typed right after them.
    for (typed, offered) in [("js", &["json", "jsonpath="][..]), ("cu", &["custom-columns="])] {
        assert_eq!(names(&sandbox, &["history", "demo", "-o", typed]), offered);
    }
    assert_eq!(names(&sandbox, &["stop", "demo", "-o", "j"]), ["json"]);
    assert_eq!(
        names(&sandbox, &["wait", "demo", "--for", "s"]),
        ["stopped", "suspended", "savepoint"]
    );
    assert_eq!(names(&sandbox, &["wait", "demo", "--for=t"]), ["taskmanagers="]);
    assert_eq!(names(&sandbox, &["list", "--sort-by", "n"]), ["name", "namespace"]);
    assert!(names(&sandbox, &["list", "--conte"]).contains(&"--context".to_owned()));
}

#[test]
fn values_of_defaults_are_completed() {
    let sandbox = Sandbox::bare();
    assert_eq!(names(&sandbox, &["defaults", "set", "su"]), ["surge"]);
    for (key, values) in [
        ("surge", &["auto", "always", "never"][..]),
        ("prompts", &["true", "false"]),
        ("image", &[]),
    ] {
        assert_eq!(names(&sandbox, &["defaults", "set", key, ""]), values, "{key}");
    }
    assert_eq!(names(&sandbox, &["defaults", "set", "surge", "n"]), ["never"]);
}

#[test]
fn files_and_classes_of_the_typed_jar_are_completed() {
    let sandbox = Sandbox::bare();
    jar(&sandbox, "jars/app.jar", b"x");
    sandbox.file("jars/other.yaml", "");
    for before in [
        &["--jar", "jars/app.jar"][..],
        &["--jar=jars/app.jar"],
        &["--jar", "~/jars/app.jar"],
    ] {
        let line = [&["create", "x"][..], before, &["--job-class", ""]].concat();
        assert_eq!(
            names(&sandbox, &line),
            ["com.example.Job", "com.example.WordCount"],
            "{before:?}"
        );
    }
    let line = ["upgrade", "x", "--jar", "jars/app.jar", "--job-class=com.example.W"];
    assert_eq!(names(&sandbox, &line), ["com.example.WordCount"]);
    for jar in ["jars/other.yaml", "s3://bucket/app.jar", "missing.jar"] {
        let line = ["create", "x", "--jar", jar, "--job-class", ""];
        assert_eq!(names(&sandbox, &line), [""; 0], "{jar}");
    }
    for line in [
        &["create", "-f", "jars/o"][..],
        &["image", "build", "--lib", "jars/o"],
        &["run", "x", "--jar", "jars/o"],
    ] {
        assert_eq!(complete(&sandbox, line).0, ["jars/other.yaml"], "{line:?}");
    }
    // A folder is continued.
    assert_eq!(
        complete(&sandbox, &["create", "-f", "ja"]),
        (vec!["jars/".to_owned()], ":6".to_owned())
    );
}

#[test]
fn live_clusters_of_the_typed_namespace_are_completed() {
    let sandbox = Sandbox::new();
    for words in [
        &["status", "-n", "billing", ""][..],
        &["status", "--namespace=billing", ""],
        &["-nbilling", "status", ""],
        &["logs", "-f", "-n", "billing", "--tail", "5", ""],
    ] {
        clusters(&sandbox, "billing");
        assert_eq!(names(&sandbox, words), ["orders", "payments"], "{words:?}");
    }
    clusters(&sandbox, "default");
    assert_eq!(names(&sandbox, &["why", "pa"]), ["payments"]);
    // Who makes one names it.
    assert_eq!(names(&sandbox, &["create", "o"]), [""; 0]);
}

#[test]
fn deleted_clusters_are_completed_once_where_they_can_be_resumed() {
    let sandbox = Sandbox::new();
    for words in [&["savepoint-resume", ""][..], &["delete", "orders", ""]] {
        clusters(&sandbox, "default");
        let item = |name: &str| tree!({"metadata": {"name": format!("{name}-history"), "labels": {"app": name}}});
        sandbox
            .server
            .expect(get("/api/v1/namespaces/default/configmaps").query("labelSelector", "component=history"))
            .answer(json(&tree!({"items": [item("orders"), item("old")]})));
        let found = names(&sandbox, words);
        assert!(
            found.ends_with(&["old".to_owned(), "orders".to_owned(), "payments".to_owned()])
                || found == ["old", "payments"],
            "{found:?}"
        );
        assert_eq!(words[0] == "delete", !found.contains(&"orders".to_owned()), "{found:?}");
    }
}

#[test]
fn namespaces_and_contexts_are_completed() {
    let sandbox = Sandbox::new();
    let item = |name: &str| tree!({"metadata": {"name": name}});
    sandbox
        .server
        .expect(get("/api/v1/namespaces"))
        .answer(json(&tree!({"items": [item("billing"), item("default")]})));
    assert_eq!(names(&sandbox, &["list", "-n", "b"]), ["billing"]);
    assert_eq!(names(&sandbox, &["list", "--context", ""]), ["test"]);
    assert_eq!(names(&sandbox, &["list", "--user", ""]), ["tester"]);
}

#[test]
fn revisions_of_the_typed_cluster_are_completed() {
    let sandbox = Sandbox::new();
    let revision =
        |number: u32| tree!({"number": number, "createdAt": "2026-01-01T00:00:00Z", "command": "upgrade", "spec": {}});
    let key = |number: u32| (format!("revision.{number}"), tree!(revision(number).to_string()));
    let mut data: serde_json::Map<String, serde_json::Value> = [1, 2, 12].map(key).into_iter().collect();
    data.insert("format".to_owned(), tree!("1"));
    for words in [
        &["rollback", "demo", "--to-revision", "1"][..],
        &["history", "demo", "--revision=1"],
        &["diff", "demo", "--revision", "1"],
    ] {
        sandbox
            .server
            .expect(get("/api/v1/namespaces/default/configmaps/demo-history"))
            .answer(json(&tree!({"metadata": {"name": "demo-history"}, "data": data})));
        assert_eq!(names(&sandbox, words), ["12", "1"], "{words:?}");
    }
}

#[test]
fn savepoints_of_the_typed_cluster_are_completed() {
    let sandbox = Sandbox::new();
    let savepoint = |number: u32, disposed: bool| {
        tree!({"triggerId": number.to_string().repeat(32), "jobId": "1".repeat(32), "progress": "completed",
            "path": format!("s3://bucket/savepoint-{number}"), "format": "CANONICAL", "reason": "savepoint",
            "requestedAt": "2026-01-01T00:00:00Z", "disposedAt": disposed.then_some("2026-01-02T00:00:00Z")})
    };
    let list = tree!([savepoint(1, false), savepoint(2, true), savepoint(3, false)]);
    for words in [
        &["savepoint-resume", "demo", "--from-savepoint", "s3"][..],
        &["savepoint", "dispose", "demo", ""],
    ] {
        sandbox
            .server
            .expect(get("/api/v1/namespaces/default/configmaps/demo-history"))
            .answer(json(
                &tree!({"metadata": {"name": "demo-history"}, "data": {"format": "1", "savepoints": list.to_string()}}),
            ));
        let found = names(&sandbox, words);
        assert_eq!(found.len(), 2, "{words:?}: {found:?}");
        assert!(found.iter().all(|path| !path.ends_with('2')), "{found:?}");
    }
}

#[test]
fn keys_of_flink_and_of_the_configuration_file_are_completed() {
    let sandbox = Sandbox::bare();
    for before in [&["create", "demo", "-D"][..], &["set", "config", "demo"]] {
        let (found, directive) = complete(&sandbox, &[before, &["execution.checkpointing.inte"]].concat());
        assert!(
            found.contains(&"execution.checkpointing.interval=".to_owned()),
            "{before:?}: {found:?}"
        );
        // The value is typed right after it.
        assert_eq!(directive, ":6");
    }
    assert_eq!(names(&sandbox, &["config", "set", "sav"]), ["savepoint-dir"]);
}

#[test]
fn completion_prints_nothing_when_something_is_wrong() {
    let nothing = |sandbox: &Sandbox, words: &[&str]| {
        let outcome: Outcome = sandbox.run(&[&["__complete"], words].concat());
        assert_eq!(
            (outcome.stdout.as_str(), outcome.stderr.as_str(), outcome.code),
            (":4\n", "", Some(0)),
            "{outcome}"
        );
    };
    // No kubeconfig, one that is broken, a context that does not exist, nonsense.
    nothing(&Sandbox::bare(), &["status", ""]);
    let broken = Sandbox::bare();
    broken.file(".kube/config", "nonsense: [");
    nothing(&broken, &["status", ""]);
    nothing(&Sandbox::new(), &["status", "--context", "gone", ""]);
    nothing(&Sandbox::new(), &["status", "--no-such-flag", "x", "y", "z", ""]);
    nothing(&Sandbox::new(), &[]);
    // No right, and a server that is away.
    let forbidden = Sandbox::new();
    for path in [
        "/apis/batch/v1/namespaces/default/jobs",
        "/apis/apps/v1/namespaces/default/deployments",
    ] {
        forbidden
            .server
            .expect(get(path))
            .answer(status(403, "Forbidden", "no"));
    }
    nothing(&forbidden, &["status", ""]);
    let away = Sandbox::bare();
    away.file(
        ".kube/config",
        &away.kubeconfig("test").replace("127.0.0.1", "127.0.0.2"),
    );
    nothing(&away, &["status", ""]);
}

/// It waits at most two seconds.
#[test]
fn completion_does_not_wait_for_a_server_that_does_not_answer() {
    let sandbox = Sandbox::new();
    let late = || json(&job_table(&[])).after(Duration::from_secs(20));
    for path in [
        "/apis/batch/v1/namespaces/default/jobs",
        "/apis/apps/v1/namespaces/default/deployments",
    ] {
        sandbox.server.expect(get(path)).answer(late());
    }
    let begun = Instant::now();
    assert_eq!(complete(&sandbox, &["status", ""]), (Vec::new(), ":4".to_owned()));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[cfg(unix)]
#[test]
fn the_helper_is_written_where_the_program_is_found() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::bare();
    let bin = sandbox.home().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kubectl-flink"), bin.join("kubectl-flink")).unwrap();
    let path = format!("/usr/bin:/bin:{}", bin.display());
    let sandbox = sandbox.variable("PATH", &path);
    for _ in 0..2 {
        let outcome = sandbox.run(&["completion", "install"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(outcome.stdout, "[HOME]/bin/kubectl_complete-flink\n");
    }
    let helper = bin.join("kubectl_complete-flink");
    assert_eq!(std::fs::metadata(&helper).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(std::fs::read_dir(&bin).unwrap().count(), 2);
    // As kubectl runs it.
    let output = std::process::Command::new(&helper)
        .args(["del"])
        .env_clear()
        .env("PATH", &path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().last(), Some(":4"));
    assert!(output.stdout.starts_with(b"delete\t"), "{output:?}");
    let nowhere = sandbox.run(&["completion", "install", "--dir", "no/such/folder"]);
    assert_eq!(nowhere.code, Some(1), "{nowhere}");
}

/// What is written is of no use where kubectl runs something else, or the helper has no program to run.
#[cfg(unix)]
#[test]
fn installing_says_whether_kubectl_will_find_the_helper() {
    let sandbox = Sandbox::bare();
    let [first, bin, elsewhere] = ["first", "bin", "elsewhere"].map(|name| {
        let folder = sandbox.home().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    });
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kubectl-flink"), bin.join("kubectl-flink")).unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", first.display(), bin.display());
    let sandbox = sandbox.variable("PATH", &path);
    let install = |folder: &std::path::Path| {
        let outcome = sandbox.run(&["completion", "install", "--dir", folder.to_str().unwrap()]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        outcome.stderr
    };
    let promise = "kubectl completes `kubectl flink` now";
    let said = install(&elsewhere);
    assert!(said.contains("is not on the PATH") && !said.contains(promise), "{said}");
    let other = sandbox.file("first/kubectl_complete-flink", "#!/bin/sh\n");
    let said = install(&bin);
    assert!(
        said.contains("comes first on the PATH") && !said.contains(promise),
        "{said}"
    );
    std::fs::remove_file(other).unwrap();
    assert!(install(&bin).contains(promise));
    std::fs::remove_file(bin.join("kubectl-flink")).unwrap();
    let said = install(&bin);
    assert!(
        said.contains("in none of the PATH's folders") && !said.contains(promise),
        "{said}"
    );
}

/// The script for bash, in a real bash, under the program's own name.
#[cfg(unix)]
#[test]
fn bash_completes_the_program_under_its_own_name() {
    let sandbox = Sandbox::bare();
    let script = sandbox.file("script", &sandbox.run(&["completion", "bash"]).stdout);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_kubectl-flink"));
    let line = format!(
        "source {}; COMP_WORDS=(kubectl-flink savepoint dis); COMP_CWORD=2; COMP_TYPE=9; \
         _clap_complete_kubectl_flink kubectl-flink dis savepoint 2> /dev/null; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", &line])
        .env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "dispose\n", "{output:?}");
    for shell in ["zsh", "fish", "powershell"] {
        let script = sandbox.run(&["completion", shell]);
        assert!(script.stdout.contains("kubectl-flink"), "{script}");
    }
}
