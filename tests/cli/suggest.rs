//! What is probably meant, where something that was named does not exist.

use crate::objects::{deployment_table, job_row, job_table};
use crate::sandbox::Sandbox;
use crate::server::{get, json};
use crate::snapshot;

/// The warnings of a client's dry run with this configuration.
fn warnings(flags: &[&str]) -> String {
    let outcome = Sandbox::new().run(&[&["create", "demo", "--dry-run=client", "-o", "name"], flags].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    outcome.stderr
}

#[test]
fn slips_and_removed_keys_of_flink_are_warned_of_and_nothing_else() {
    let printed = warnings(&[
        "--image=flink:2.3.0",
        "-Dexecution.checkpointing.intervall=10s",
        "-Dtaskmanager.heap.size=1g",
        "-Dmy.own.key=1",
        "-Dexecution.checkpointing.interval=10s",
    ]);
    assert_eq!(
        printed,
        "warning: Flink has no key execution.checkpointing.intervall; did you mean execution.checkpointing.interval?\n\
         warning: Flink 2.3 does not read taskmanager.heap.size, 1.20 was the last that did\n"
    );
    assert_eq!(warnings(&["--image=flink:1.17", "-Dtaskmanager.heap.size=1g"]), "");
    assert_eq!(warnings(&["--image=own", "-Dtaskmanager.heap.size=1g"]), "");
    assert_eq!(
        warnings(&["--image=flink:1.12.7"]),
        "warning: Flink 1.12 is older than 1.13, the oldest that this plugin supports\n"
    );
}

/// As commands print it, or as kubectl takes kinds; the names in `list` and in other commands are checked in different places.
#[test]
fn a_name_may_have_the_kind_before_it() {
    let create = |name| Sandbox::new().run(&["create", name, "--image=flink:2.3.0", "--dry-run=client", "-o", "yaml"]);
    for name in ["cluster/demo", "clusters/demo", "Clusters/demo"] {
        let created = create(name);
        assert_eq!(
            (created.code, &created.stdout),
            (Some(0), &create("demo").stdout),
            "{created}"
        );
        let sandbox = Sandbox::new();
        let jobs = job_table(&[job_row("default", "demo", "Running")]);
        let path = "/apis/batch/v1/namespaces/default/jobs";
        sandbox.server.expect(get(path)).answer(json(&jobs));
        let path = "/apis/apps/v1/namespaces/default/deployments";
        sandbox.server.expect(get(path)).answer(json(&deployment_table(&[])));
        let listed = sandbox.run(&["list", name, "-o", "name"]);
        assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), "demo\n"), "{listed}");
    }
    for name in ["pods/demo", "clusterss/demo"] {
        let refused = Sandbox::new().run(&["status", name]);
        assert_eq!(refused.code, Some(2), "{refused}");
    }
}

/// kubectl takes a kind before names.
#[test]
fn a_kind_in_place_of_a_name_is_named() {
    let sandbox = Sandbox::new();
    let path = "/apis/batch/v1/namespaces/default/jobs";
    sandbox.server.expect(get(path)).often().answer(json(&job_table(&[])));
    let path = "/apis/apps/v1/namespaces/default/deployments";
    sandbox
        .server
        .expect(get(path))
        .often()
        .answer(json(&deployment_table(&[])));
    let listed = sandbox.run(&["get", "clusters"]);
    assert_eq!(listed.code, Some(3), "{listed}");
    let hint = "\nhint: clusters was read as a name: commands take the names of clusters, without a kind\n";
    assert!(listed.stderr.contains(hint), "{listed}");
}

#[test]
fn a_context_that_does_not_exist() {
    snapshot!(Sandbox::new().run(&["list", "--context", "tset"]));
}

#[test]
fn a_flag_that_does_not_exist() {
    snapshot!(Sandbox::new().run(&["create", "demo", "--iamge", "flink:2.3"]));
}

#[test]
fn a_cluster_that_does_not_exist() {
    let sandbox = Sandbox::new();
    let jobs = || get("/apis/batch/v1/namespaces/default/jobs");
    let deployments = || get("/apis/apps/v1/namespaces/default/deployments");
    for list in [
        &[][..],
        &[
            job_row("default", "orders", "Running"),
            job_row("default", "payments", "Running"),
        ],
    ] {
        sandbox.server.expect(jobs()).answer(json(&job_table(list)));
        sandbox
            .server
            .expect(deployments())
            .answer(json(&deployment_table(&[])));
    }
    snapshot!(sandbox.run(&["list", "ordres"]));
}

/// As `kubectl get pods` shows it.
#[test]
fn the_name_of_an_object_leads_to_its_cluster() {
    for name in ["orders-master", "orders-task-manager-6f57bcb5b9-fjld6"] {
        let sandbox = Sandbox::new();
        let jobs = job_table(&[job_row("default", "orders", "Running")]);
        let path = "/apis/batch/v1/namespaces/default/jobs";
        sandbox.server.expect(get(path)).times(2).answer(json(&jobs));
        let path = "/apis/apps/v1/namespaces/default/deployments";
        sandbox
            .server
            .expect(get(path))
            .times(2)
            .answer(json(&deployment_table(&[])));
        let listed = sandbox.run(&["list", name]);
        assert_eq!(listed.code, Some(3), "{listed}");
        assert!(listed.stderr.contains("\nhint: did you mean orders?\n"), "{listed}");
    }
}

/// Flink's own client takes it as its last argument.
#[test]
fn the_folder_of_a_savepoint_is_a_flag() {
    let refused = Sandbox::bare().run(&["savepoint", "demo", "s3://bucket/savepoints"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    let hint = "\nhint: `kubectl flink savepoint demo --dir s3://bucket/savepoints` writes to this folder\n";
    assert!(refused.stderr.contains(hint), "{refused}");
}

/// clap has a guess for almost anything.
#[test]
fn only_what_is_like_the_typed_word_is_suggested() {
    for (arguments, tip) in [
        (&["savepoitn"][..], Some("a similar subcommand exists: 'savepoint'")),
        (&["cancle"], Some("a similar subcommand exists: 'cancel'")),
        (&["roll"], Some("a similar subcommand exists: 'rollback'")),
        (&["test"], None),
        (&["cluster"], None),
        (&["monitor"], None),
        (
            &["logs", "demo", "--folow"],
            Some("a similar argument exists: '--follow'"),
        ),
        (&["logs", "demo", "--lines", "5"], None),
        (&["logs", "demo", "-o", "jsno"], Some("a similar value exists: 'json'")),
    ] {
        let outcome = Sandbox::bare().run(arguments);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        let said = outcome
            .stderr
            .lines()
            .filter_map(|line| line.trim().strip_prefix("tip: "));
        assert_eq!(said.collect::<Vec<_>>(), Vec::from_iter(tip), "{outcome}");
    }
}

#[test]
fn flags_cannot_change_the_version_of_an_unfinished_operation() {
    for way in ["--continue", "--abort"] {
        let outcome = Sandbox::bare().run(&["upgrade", "demo", way, "-p", "2"]);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(
            outcome
                .stderr
                .starts_with("error: --continue and --abort take the version from the history, and no flag can"),
            "{outcome}"
        );
    }
    let outcome = Sandbox::bare().run(&["upgrade"]);
    assert!(outcome.stderr.contains("or by metadata.name of a file\n"), "{outcome}");
}
