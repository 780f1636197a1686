//! kubectl's connection flags against a real API server.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::place::Place;
use crate::process::{self, Run};

/// Server and certificate authority of the kubeconfig's context.
struct Server {
    address: String,
    authority: String,
    user: Value,
}

/// Reads them from the kubeconfig, and writes the authority to a file.
fn server(place: &Place) -> Server {
    let config = place.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
    let config: Value = serde_json::from_str(&config).unwrap();
    let cluster = &config["clusters"][0]["cluster"];
    let authority = decoded(place, "ca.crt", cluster["certificate-authority-data"].as_str().unwrap());
    Server {
        address: cluster["server"].as_str().unwrap().to_owned(),
        authority: authority.display().to_string(),
        user: config["users"][0]["user"].clone(),
    }
}

/// A file of what is encoded in a kubeconfig.
fn decoded(place: &Place, name: &str, base64: &str) -> PathBuf {
    let file = place.folder().join(name);
    let run = process::run(Command::new("base64").arg("--decode"), base64).ok();
    std::fs::write(&file, run.stdout).unwrap();
    file
}

/// Lists with flags and no kubeconfig at all.
fn list(place: &Place, flags: &[&str]) -> Run {
    let mut command = place.plugin(&["list", "-o", "name"]);
    command
        .args(flags)
        .env("KUBECONFIG", place.folder().join("no-kubeconfig"));
    place.note(process::run(&mut command, ""))
}

fn token(place: &Place, account: &str) -> String {
    place.kubectl(&["create", "token", account]).trim().to_owned()
}

#[test]
fn connection_flags_mean_what_they_mean_for_kubectl() {
    let place = Place::new("connection");
    place.create("demo", &["--image=absent-job:2.3.0", "--no-wait"]).ok();
    let server = server(&place);
    let address = [
        "--server",
        &server.address,
        "--certificate-authority",
        &server.authority,
    ];
    for account in ["reader", "powerless"] {
        place.kubectl(&["create", "serviceaccount", account]);
    }
    let subject = format!("--serviceaccount={}:reader", place.namespace);
    place.kubectl(&["create", "rolebinding", "reader", "--clusterrole=view", &subject]);
    let reader = token(&place, "reader");
    let powerless = token(&place, "powerless");

    // Tokens.
    let with_token = |token: &str| list(&place, &[&address[..], &["--token", token]].concat());
    assert_eq!(with_token(&reader).ok().stdout, "demo\n");
    with_token(&powerless).exits(4).reports(&[
        "may not list jobs in namespace",
        &place.namespace,
        "system:serviceaccount:",
    ]);
    with_token("no-token").exits(4).reports(&["Unauthorized"]);
    // Of an account that is gone: as good as expired.
    place.kubectl(&["delete", "serviceaccount", "reader"]);
    process::eventually("the token of a deleted account ends", process::LIMIT, || {
        (list(&place, &[&address[..], &["--token", &reader]].concat()).code == Some(4)).then_some(())
    });

    // Client certificates.
    if let (Some(certificate), Some(key)) = (
        server.user["client-certificate-data"].as_str(),
        server.user["client-key-data"].as_str(),
    ) {
        let certificate = decoded(&place, "client.crt", certificate).display().to_string();
        let key = decoded(&place, "client.key", key).display().to_string();
        let flags = ["--client-certificate", &certificate, "--client-key", &key];
        let with = |more: &[&str]| list(&place, &[&address[..], &flags, more].concat());
        assert_eq!(with(&[]).ok().stdout, "demo\n");
        let account = format!("--as=system:serviceaccount:{}:powerless", place.namespace);
        with(&[&account]).exits(4).reports(&["may not list jobs in namespace"]);
        assert_eq!(with(&[&account, "--as-group=system:masters"]).ok().stdout, "demo\n");
    } else {
        assert!(
            std::env::var("BED_CONTEXT").is_ok(),
            "the user of the test cluster has a client certificate"
        );
        // Not captured: it must be seen that something was left out.
        let _ = writeln!(
            std::io::stderr(),
            "left out: the context's user has no client certificate"
        );
    }

    // Servers.
    let untrusted = [
        "--server",
        "https://127.0.0.1:1",
        "--certificate-authority",
        &server.authority,
    ];
    list(&place, &[&untrusted[..], &["--token", &powerless]].concat())
        .exits(7)
        .reports(&["https://127.0.0.1:1"]);
    list(&place, &["--server", &server.address, "--token", &powerless])
        .exits(7)
        .reports(&["certificate"]);
    list(
        &place,
        &[
            "--server",
            &server.address,
            "--insecure-skip-tls-verify",
            "--token",
            &powerless,
        ],
    )
    .exits(4);
    place
        .flink(&["--context", "absent", "list"])
        .exits(3)
        .reports(&["absent"]);
}
