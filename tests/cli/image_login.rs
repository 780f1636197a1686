//! Registries that let in only those they know, and registries behind proxies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::image_place::{build, fails, place, whole, works};
use crate::registry::Fault;

#[test]
fn a_missing_login_is_reported_with_the_way_to_log_in() {
    for kind in ["Basic", "Bearer"] {
        let (sandbox, registry) = place(1);
        registry.ask_for(kind);
        let outcome = build(&sandbox, &registry, &[]);
        fails(&outcome, 4, &["docker login"]);
        assert_eq!(registry.tags("team/app"), Vec::<String>::new());
        // tester:wrong
        let config = |auth: &str| json!({ "auths": { registry.host(): { "auth": auth } } }).to_string();
        sandbox.file("wrong.json", &config("dGVzdGVyOndyb25n"));
        fails(
            &build(&sandbox, &registry, &["--registry-config", "wrong.json"]),
            4,
            &["docker login"],
        );
        // By docker's own file, by podman's, by one that is named.
        for file in [".docker/config.json", ".config/containers/auth.json", "named.json"] {
            let path = sandbox.file(file, &config("dGVzdGVyOnMzY3JldA=="));
            let named = ["--registry-config", "named.json"];
            let outcome = build(&sandbox, &registry, if file == "named.json" { &named } else { &[] });
            works(&outcome);
            assert!(
                !outcome.stderr.contains("s3cret") && !outcome.stderr.contains("dGVzdG"),
                "{outcome}"
            );
            std::fs::remove_file(path).unwrap();
        }
        whole(&registry, "team/app", "1");
    }
}

/// As `podman login REGISTRY/FOLDER` writes them: the base and the target have each their own.
#[test]
fn a_login_for_a_part_of_a_registry_counts_before_the_one_for_all_of_it() {
    for kind in ["Basic", "Bearer"] {
        let (sandbox, registry) = place(1);
        registry.ask_for(kind);
        // tester:s3cret and tester:wrong
        let (good, wrong) = ("dGVzdGVyOnMzY3JldA==", "dGVzdGVyOndyb25n");
        let host = registry.host();
        let auths = json!({ "auths": {
            host.clone(): { "auth": wrong },
            format!("{host}/flink"): { "auth": good },
            format!("{host}/team"): { "auth": wrong },
            format!("{host}/team/app"): { "auth": good },
        } });
        sandbox.file(".config/containers/auth.json", &auths.to_string());
        works(&build(&sandbox, &registry, &[]));
        whole(&registry, "team/app", "1");
        let push = registry.image("team/other:1");
        fails(&build(&sandbox, &registry, &["--push", &push]), 4, &["docker login"]);
    }
}

#[test]
fn a_token_server_that_fails_for_a_moment_is_asked_again() {
    let (sandbox, registry) = place(1);
    registry.ask_for("Bearer");
    // tester:s3cret
    let login = json!({ "auths": { registry.host(): { "auth": "dGVzdGVyOnMzY3JldA==" } } });
    sandbox.file(".docker/config.json", &login.to_string());
    registry.fault("GET", "/token", 1, Fault::Status(503, &[], "restarting"));
    registry.fault("GET", "/token", 1, Fault::Status(429, &[], "too many requests"));
    works(&build(&sandbox, &registry, &[]));
    whole(&registry, "team/app", "1");
}

#[test]
fn an_identity_is_exchanged_for_a_token() {
    let (sandbox, registry) = place(1);
    registry.ask_for("Bearer");
    // As registries write it that log in by a browser: beside a user that means nothing.
    let config = |identity: &str| {
        let login = json!({ "auth": "MDAwMDAwMDAtMDAwMC0wMDAwOg==", "identitytoken": identity });
        json!({ "auths": { registry.host(): login } }).to_string()
    };
    sandbox.file(".docker/config.json", &config("the-identity"));
    let outcome = build(&sandbox, &registry, &[]);
    works(&outcome);
    whole(&registry, "team/app", "1");
    assert!(registry.log().contains(&"POST /token".to_owned()));
    assert!(!outcome.stderr.contains("the-identity"), "{outcome}");
    sandbox.file(".docker/config.json", &config("over"));
    fails(&build(&sandbox, &registry, &[]), 4, &["cannot log in", "docker login"]);
}

#[cfg(unix)]
#[test]
fn programs_that_keep_credentials_are_asked() {
    let (sandbox, registry) = place(1);
    registry.ask_for("Bearer");
    let sandbox_path = format!("{}/bin:/usr/bin:/bin", sandbox.home().display());
    sandbox.program(
        "bin/docker-credential-test",
        "#!/bin/sh\nread -r host\necho \"{\\\"ServerURL\\\": \\\"$host\\\", \\\"Username\\\": \\\"tester\\\", \\\"Secret\\\": \\\"s3cret\\\"}\"\n",
    );
    let sandbox = sandbox.variable("PATH", &sandbox_path);
    sandbox.file(
        ".docker/config.json",
        &json!({ "credHelpers": { registry.host(): "test" } }).to_string(),
    );
    works(&build(&sandbox, &registry, &[]));
    sandbox.file(
        ".docker/config.json",
        &json!({ "credHelpers": { registry.host(): "missing" } }).to_string(),
    );
    fails(
        &build(&sandbox, &registry, &[]),
        4,
        &["no credentials", "cannot be run"],
    );
    // Without them everything is accessed that anyone may access.
    registry.ask_for("Public");
    works(&build(&sandbox, &registry, &[]));
    // Some registries say so of what only others may read.
    let (missing, push) = (registry.image("flink:9.9"), registry.image("team/app:1"));
    let arguments = ["--base", &missing, "--jar", "app.jar", "--push", &push];
    let outcome = sandbox.run(&[&["image", "build"], &arguments[..]].concat());
    fails(&outcome, 3, &["there is no image", "cannot be run"]);
}

/// A proxy that connects everything to one address, and notes what it is asked for. `greet` speaks its protocol.
pub fn proxy_to(target: String, greet: fn(&mut BufReader<TcpStream>, &mut TcpStream) -> String) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (target, log) = (target.clone(), Arc::clone(&log));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let text = greet(&mut reader, &mut stream);
                log.lock().unwrap().push(text);
                let mut other = TcpStream::connect(target).unwrap();
                let mut back = other.try_clone().unwrap();
                std::thread::spawn(move || drop(std::io::copy(&mut back, &mut stream)));
                // It ends when either side does.
                let _ = std::io::copy(&mut reader, &mut other);
            });
        }
    });
    (address, asked)
}

pub type Asked = Arc<Mutex<Vec<String>>>;

/// `CONNECT HOST:PORT`, and the header with the login.
pub fn http_proxy(reader: &mut BufReader<TcpStream>, stream: &mut TcpStream) -> String {
    let (mut said, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if said.is_empty() || line.to_lowercase().starts_with("proxy-authorization") {
            said = format!("{said}{}; ", line.trim());
        }
    }
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
    said
}

/// The greeting, a login by name and password, and a request for a name and a port. Source: RFC 1928 and 1929.
pub fn socks_proxy(reader: &mut BufReader<TcpStream>, stream: &mut TcpStream) -> String {
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        reader.read_exact(&mut bytes).unwrap();
        bytes
    };
    let methods = take(2)[1];
    let methods = take(usize::from(methods));
    let mut said = String::new();
    if methods.contains(&2) {
        stream.write_all(&[5, 2]).unwrap();
        for start in [2, 1] {
            let length = *take(start).last().unwrap();
            said = format!("{said}{} ", String::from_utf8(take(usize::from(length))).unwrap());
        }
        stream.write_all(&[1, 0]).unwrap();
    } else {
        stream.write_all(&[5, 0]).unwrap();
    }
    let head = take(5);
    assert_eq!(head[..4], [5, 1, 0, 3], "a connection to a name is asked for");
    let name = String::from_utf8(take(usize::from(head[4]))).unwrap();
    let port = take(2);
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    format!("{said}{name}:{}", u16::from_be_bytes([port[0], port[1]]))
}

#[test]
fn registries_are_reached_through_a_proxy_but_not_those_on_this_machine() {
    for (variable, scheme, first) in [
        ("HTTP_PROXY", "http://", "CONNECT registry.invalid:80 HTTP/1.1; "),
        (
            "HTTP_PROXY",
            "http://user:word@",
            "CONNECT registry.invalid:80 HTTP/1.1; proxy-authorization: Basic dXNlcjp3b3Jk; ",
        ),
        ("ALL_PROXY", "socks5://", "registry.invalid:80"),
        ("HTTP_PROXY", "socks5h://user:word@", "user word registry.invalid:80"),
    ] {
        let (sandbox, registry) = place(1);
        let greet = if scheme.starts_with("http") {
            http_proxy
        } else {
            socks_proxy
        };
        let (proxy, asked) = proxy_to(registry.host(), greet);
        let sandbox = sandbox.variable(variable, &format!("{scheme}{proxy}"));
        works(&build(&sandbox, &registry, &[]));
        assert_eq!(asked.lock().unwrap().len(), 0, "this machine needs none");
        let push = "registry.invalid/far/app:1";
        let flags = ["--push", push, "--insecure-registry", "registry.invalid"];
        works(&build(&sandbox, &registry, &flags));
        whole(&registry, "far/app", "1");
        let asked = asked.lock().unwrap()[0].clone();
        assert!(asked.eq_ignore_ascii_case(first), "{scheme}: {asked}");
        // Who is not to be reached by it is not.
        let mut sandbox = sandbox;
        for list in ["registry.invalid", "*.invalid", "registry.invalid:80"] {
            sandbox = sandbox.variable("NO_PROXY", list);
            fails(&build(&sandbox, &registry, &flags), 7, &["cannot be reached"]);
        }
        // A name with a dot before it has only the names below it.
        let sandbox = sandbox.variable("NO_PROXY", ".registry.invalid");
        works(&build(&sandbox, &registry, &flags));
    }
    let (sandbox, registry) = place(1);
    let sandbox = sandbox.variable("HTTP_PROXY", "https://127.0.0.1:1");
    let flags = [
        "--push",
        "registry.invalid/a",
        "--insecure-registry",
        "registry.invalid",
    ];
    fails(
        &build(&sandbox, &registry, &flags),
        7,
        &["proxies of kind https are not supported"],
    );
}
