//! Times are counted by the API server's clock: that of this machine may be hours off, and here it is months ahead.

use std::io::{BufRead, BufReader, Write, copy};
use std::net::{TcpListener, TcpStream};

use serde_json::json as tree;

use crate::demo::{DEPLOYMENT, HISTORY, JOB, PODS, SERVICE, made};
use crate::sandbox::Sandbox;
use crate::server::{get, json, text};

const DATE: &str = "Thu, 01 Jan 2026 03:00:00 GMT";

/// Starts an HTTP proxy that connects to whatever it is asked for, and returns its address.
fn proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || tunnel(client));
        }
    });
    address
}

fn tunnel(mut client: TcpStream) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request).unwrap() == 0 {
            return;
        }
    }
    let place = request.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let mut server = TcpStream::connect(place.unwrap()).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let mut to_server = server.try_clone().unwrap();
    // Either end closes the connection when the program has ended.
    std::thread::spawn(move || drop(copy(&mut reader, &mut to_server)));
    let _ = copy(&mut server, &mut client);
}

#[test]
fn the_clock_of_the_server_is_seen_through_a_proxy() {
    let made = made(1, &tree!([]));
    let sandbox = Sandbox::bare();
    let text = sandbox.kubeconfig("test");
    let proxied = text.replace(
        "cluster: {server:",
        &format!("cluster: {{proxy-url: \"{}\", server:", proxy()),
    );
    assert_ne!(proxied, text);
    sandbox.file(".kube/config", &proxied);
    let objects = [&made.service, &made.job, &made.deployment, &made.history];
    for (path, object) in [SERVICE, JOB, DEPLOYMENT, HISTORY].into_iter().zip(objects) {
        sandbox
            .server
            .expect(get(path))
            .answer(json(object).header("date", DATE));
    }
    let outcome = sandbox.run(&["history", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let row = outcome.stdout.lines().nth(1).unwrap_or_default();
    assert!(row.contains("3h"), "{outcome}");
}

#[test]
fn ages_in_the_history_use_the_clock_of_the_server() {
    let savepoint = tree!({"triggerId": "1".repeat(32), "jobId": "2".repeat(32), "progress": "completed",
        "path": "s3://b/sp-1", "format": "CANONICAL", "reason": "stop", "stopsJob": true, "requestedAt": "2026-01-01T00:00:00Z",
        "completedAt": "2026-01-01T00:00:00Z"});
    let made = made(1, &tree!([savepoint]));
    let objects = [&made.service, &made.job, &made.deployment, &made.history];
    for command in [&["history", "demo"][..], &["savepoint", "list", "demo"]] {
        let sandbox = Sandbox::new();
        for (path, object) in [SERVICE, JOB, DEPLOYMENT, HISTORY].into_iter().zip(objects) {
            sandbox
                .server
                .expect(get(path))
                .answer(json(object).header("date", DATE));
        }
        let outcome = sandbox.run(command);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let rows: Vec<&str> = outcome.stdout.lines().skip(1).collect();
        assert!(rows.len() == 1 && rows[0].contains("3h"), "{outcome}");
    }
}

#[test]
fn logs_since_a_time_use_the_clock_of_the_server() {
    let sandbox = Sandbox::new();
    let pod = tree!({"metadata": {"name": "demo-master-x", "labels": {"app": "demo", "component": "master"}},
        "spec": {"containers": [{"name": "flink-master"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "flink-master", "image": "x", "imageID": "",
            "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}});
    let pods = tree!({"metadata": {"resourceVersion": "9"}, "items": [pod]});
    sandbox
        .server
        .expect(get(PODS))
        .answer(json(&pods).header("date", DATE));
    let since = get(&format!("{PODS}/demo-master-x/log")).query("sinceTime", "2026-01-01T02:00:00Z");
    let log = "2026-01-01T02:30:00.000000000Z it runs\n";
    sandbox.server.expect(since).answer(text(200, log));
    let outcome = sandbox.run(&["logs", "demo", "--since", "1h"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("it runs"), "{outcome}");
}
