//! What `list` prints: its formats, columns, labels and order.

use serde_json::{Value, json};

use crate::list::{list_zoo, lists, two};
use crate::objects::{deployment_row, in_2020, job_row, minutes_ago, with_metadata};
use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn wide() {
    snapshot!(list_zoo(&["-o", "wide", "--live=false"]));
}

#[test]
fn names() {
    snapshot!(list_zoo(&["-oname"]));
}

#[test]
fn without_headers() {
    snapshot!(list_zoo(&["--no-headers"]));
}

#[test]
fn json() {
    let sandbox = Sandbox::new();
    two(&sandbox);
    snapshot!(sandbox.run(&["list", "-o", "json"]));
}

#[test]
fn yaml() {
    let sandbox = Sandbox::new();
    lists(
        &sandbox,
        &[in_2020(with_metadata(
            job_row("default", "y", "Running"),
            &json!({"labels": {"zone": "1_000", "no": "on"}}),
        ))],
        &[
            deployment_row("default", "y", "1/2"),
            in_2020(deployment_row("default", "left-over", "2/2")),
        ],
    );
    snapshot!(sandbox.run(&["list", "-o", "yaml"]));
}

#[test]
fn json_and_yaml_are_the_same_tree() {
    let tree = |format: &str| -> Value { serde_yaml::from_str(&list_zoo(&["-o", format]).stdout).unwrap() };
    let mut trees = [tree("json"), tree("yaml")];
    // The two were made by two runs, at two times.
    for tree in &mut trees {
        for item in tree["items"].as_array_mut().unwrap() {
            item["createdAt"].take();
        }
    }
    assert_eq!(trees[0], trees[1]);
    assert_eq!(trees[0]["items"].as_array().unwrap().len(), 10);
}

#[test]
fn an_empty_list_prints_a_note() {
    for (format, stdout) in [
        (
            "json",
            "{\n    \"apiVersion\": \"kubectl-flink/v2\",\n    \"kind\": \"ClusterList\",\n    \"items\": []\n}\n",
        ),
        ("yaml", "apiVersion: kubectl-flink/v2\nkind: ClusterList\nitems: []\n"),
        ("name", ""),
        ("table", ""),
    ] {
        let sandbox = Sandbox::new();
        lists(&sandbox, &[], &[]);
        let outcome = sandbox.run(&["list", "-o", format]);
        assert_eq!((outcome.stdout.as_str(), outcome.code), (stdout, Some(0)));
        let note = if format == "table" {
            "No resources found in default namespace.\n"
        } else {
            ""
        };
        assert_eq!(outcome.stderr, note, "{format}");
    }
}

#[test]
fn sorted() {
    let rows = |key: &str| -> Vec<String> {
        let sandbox = Sandbox::new();
        let age = |minutes| json!({"creationTimestamp": minutes_ago(minutes)});
        let mut image = job_row("default", "c", "Running");
        image["cells"][6] = json!("registry:5000/shop-flink:1.9.0");
        lists(
            &sandbox,
            &[
                with_metadata(
                    job_row("default", "a", "Running"),
                    &json!({"annotations": {"kubectl-flink/parallelism": "10"}}),
                ),
                with_metadata(job_row("default", "b", "Failed"), &age(60)),
                with_metadata(image, &age(30)),
            ],
            &[
                deployment_row("default", "a", "2/2"),
                deployment_row("default", "b", "9/10"),
                deployment_row("default", "c", "3/3"),
            ],
        );
        let outcome = sandbox.run(&["list", "-oname", "--sort-by", key]);
        outcome.stdout.lines().map(ToOwned::to_owned).collect()
    };
    for (key, order) in [
        ("name", "a b c"),
        ("namespace", "a b c"),
        ("{.metadata.name}", "a b c"),
        ("status", "b a c"),
        ("age", "a b c"),
        (".metadata.creationTimestamp", "a b c"),
        ("parallelism", "b c a"),
        ("taskmanagers", "a c b"),
        ("image", "c a b"),
        ("flink", "c a b"),
        ("revision", "a b c"),
    ] {
        assert_eq!(rows(key).join(" "), order, "{key}");
    }
}

#[test]
fn sorted_by_what_is_no_column() {
    snapshot!(Sandbox::new().run(&["list", "--sort-by", ".spec.replicas"]));
}

#[test]
fn a_format_that_does_not_exist() {
    snapshot!(Sandbox::new().run(&["list", "-o", "custom-columns=NAME"]));
    for (format, why) in [
        ("jsonpath", "the template is empty"),
        ("jsonpath=", "the template is empty"),
        ("custom-columns", "\"\" must be HEADER:PATH"),
    ] {
        let outcome = Sandbox::new().run(&["list", "-o", format]);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        let expected = format!("error: invalid value for '--output <FORMAT>': {why}\n");
        assert_eq!(outcome.stderr, expected, "{outcome}");
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let sandbox = Sandbox::new();
    let hostile = json!({"annotations": {"kubectl-flink/flink-version": "\u{1b}]0;title\u{7}2.3\nroot\u{9b}31m"}});
    lists(
        &sandbox,
        &[with_metadata(job_row("default", "shop", "Running"), &hostile)],
        &[],
    );
    snapshot!(sandbox.run(&["list", "-o", "wide", "--live=false"]));
}

#[test]
fn labels_are_shown_where_they_are_asked_for() {
    let (sandbox, labels) = (
        Sandbox::new(),
        json!({"app": "shop", "component": "master", "example.com/team": "a"}),
    );
    let shop = with_metadata(job_row("default", "shop", "Running"), &json!({"labels": labels}));
    lists(&sandbox, &[shop], &[deployment_row("default", "shop", "1/1")]);
    let outcome = sandbox.run(&["list", "-L", "example.com/team,absent", "--show-labels"]);
    let lines: Vec<Vec<&str>> = outcome
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][5..], ["TEAM", "ABSENT", "LABELS"], "{outcome}");
    assert_eq!(
        lines[1][5..],
        ["a", "-", "app=shop,component=master,example.com/team=a"],
        "{outcome}"
    );
}

#[test]
fn a_cluster_that_is_named_is_one_object() {
    let list = |arguments: &[&str]| {
        let sandbox = Sandbox::new();
        lists(
            &sandbox,
            &[in_2020(job_row("default", "shop", "Running"))],
            &[in_2020(deployment_row("default", "shop", "2/2"))],
        );
        sandbox.run(&[&["list", "shop"], arguments].concat())
    };
    let object: Value = serde_json::from_str(&list(&["-ojson"]).stdout).unwrap();
    assert_eq!(object["kind"], "Cluster", "{object}");
    assert_eq!(
        object["metadata"],
        json!({"name": "shop", "namespace": "default"}),
        "{object}"
    );
    assert_eq!(object["status"], json!({"phase": "Running"}), "{object}");
    let yaml: Value = serde_yaml::from_str(&list(&["-oyaml"]).stdout).unwrap();
    assert_eq!(yaml, object);
    assert_eq!(list(&["-ojsonpath={.status.phase}"]).stdout, "Running");
    assert_eq!(
        list(&["-ocustom-columns=N:.metadata.name,S:.status.phase"]).stdout,
        "N      S\nshop   Running\n"
    );
}

#[test]
fn columns_and_templates_are_those_of_kubectl() {
    let list = |arguments: &[&str]| {
        let sandbox = Sandbox::new();
        two(&sandbox);
        sandbox.run(&[&["list"], arguments].concat())
    };
    let outcome = list(&[
        "-o",
        "custom-columns=N:.metadata.name,READY:.taskManagers.ready,NONE:.absent",
    ]);
    assert_eq!(
        outcome.stdout, "N      READY   NONE\ncart   2       <none>\nshop   2       <none>\n",
        "{outcome}"
    );
    let outcome = list(&["-ojsonpath={range .items[*]}{.metadata.name}={.status.phase}{\"\\n\"}{end}"]);
    assert_eq!(outcome.stdout, "cart=Running\nshop=Finished\n", "{outcome}");
    for wrong in ["-o=jsonpath={.items", "-o=custom-columns=NAME", "-o=xml"] {
        let outcome = Sandbox::bare().run(&["list", wrong]);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains("invalid value"), "{outcome}");
    }
}
