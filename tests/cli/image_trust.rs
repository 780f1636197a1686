//! Registries with TLS that name addresses which are not theirs: no password, no token and no layer goes there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::connect::without_tls;
use crate::image_place::{fails, place, whole, works};
use crate::registry::Registry;
use crate::sandbox::{Outcome, Sandbox};

/// DER: a tag, the length, the content.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match u16::try_from(content.len()).unwrap().to_be_bytes() {
        [0, length @ ..0x80] => vec![length],
        [0, length] => vec![0x81, length],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag][..], &length, &content].concat()
}

/// A certificate for 127.0.0.1 that is its own authority, as `openssl req -x509` makes one, and its key. Source of the form:
/// RFC 5280, 4.1.
fn certificate() -> &'static (Vec<u8>, Vec<u8>) {
    static MADE: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random).unwrap();
        let oid = |bytes: &[u8]| der(6, &[bytes]);
        let ecdsa_with_sha256 = der(0x30, &[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])]);
        let curve = [
            oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
            oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
        ]
        .concat();
        let common_name = der(0x30, &[&oid(&[0x55, 4, 3]), &der(0x0c, &[b"registry"])]);
        let name = der(0x30, &[&der(0x31, &[&common_name])]);
        let alternative_names = der(0x30, &[&der(0x87, &[&[127, 0, 0, 1]])]);
        let is_authority = der(0x30, &[&der(1, &[&[0xff]])]);
        let extension = |id: u8, value: &[u8]| der(0x30, &[&oid(&[0x55, 0x1d, id]), &der(4, &[value])]);
        let extensions = [extension(17, &alternative_names), extension(19, &is_authority)].concat();
        let certificate = der(
            0x30,
            &[
                &der(0xa0, &[&der(2, &[&[2]])]),
                &der(2, &[&[1]]),
                &ecdsa_with_sha256,
                &name,
                &der(
                    0x30,
                    &[&der(0x17, &[b"200101000000Z"]), &der(0x17, &[b"491231235959Z"])],
                ),
                &name,
                &der(
                    0x30,
                    &[&der(0x30, &[&curve]), &der(3, &[&[0], pair.public_key().as_ref()])],
                ),
                &der(0xa3, &[&der(0x30, &[&extensions])]),
            ],
        );
        let signature = pair.sign(&random, &certificate).unwrap();
        let signature = der(3, &[&[0], signature.as_ref()]);
        (
            der(0x30, &[&certificate, &ecdsa_with_sha256, &signature]),
            key.as_ref().to_vec(),
        )
    })
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A server that speaks TLS and, on the same port, plain HTTP.
struct Front {
    address: String,
    /// `https METHOD /path AUTHORIZATION`, one for each request.
    log: Arc<Mutex<Vec<String>>>,
}

impl Front {
    /// Answers by `answer`, which gets method, path and the front's address.
    fn start(answer: impl Fn(&str, &str, &str, &[u8], &str) -> Answer + Send + Sync + 'static) -> Self {
        let (certificate, key) = certificate();
        let chain = vec![CertificateDer::from(certificate.clone())];
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.clone()).into())
            .unwrap();
        let (config, answer) = (Arc::new(config), Arc::new(answer));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (at, kept) = (address.clone(), Arc::clone(&log));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, answer, at, log) = (config.clone(), answer.clone(), at.clone(), kept.clone());
                std::thread::spawn(move || {
                    let mut first = [0];
                    let count = stream.peek(&mut first).unwrap_or(0);
                    if count == 1 && first == [0x16] {
                        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                        let _ = serve(&mut tls, "https", answer.as_ref(), &at, &log);
                        tls.conn.send_close_notify();
                        let _ = tls.flush();
                    } else if count == 1 {
                        let mut stream = stream;
                        let _ = serve(&mut stream, "http", answer.as_ref(), &at, &log);
                    }
                });
            }
        });
        Self { address, log }
    }

    /// In front of a registry, whose addresses become these: `upload` and `blob` before a path, and the realm.
    fn of(registry: &Registry, upload: &str, blob: Option<&str>, realm: &str) -> Self {
        let (inner, upload, realm) = (registry.host(), upload.to_owned(), realm.to_owned());
        let blob = blob.map(ToOwned::to_owned);
        Self::start(move |method, path, login, body, own| {
            if let Some(blob) = blob
                .as_ref()
                .filter(|_| method == "GET" && path.contains("/blobs/sha256:"))
            {
                let to = ("location".to_owned(), format!("{blob}{path}?signature=x"));
                return Answer {
                    status: 307,
                    headers: vec![to],
                    body: Vec::new(),
                };
            }
            let mut answer = forward(&inner, method, path, login, body);
            for (name, value) in &mut answer.headers {
                match name.as_str() {
                    "location" => *value = format!("{}{value}", upload.replace("OWN", own)),
                    "www-authenticate" => {
                        *value = format!("Bearer realm=\"{}\",service=\"test\"", realm.replace("OWN", own));
                    }
                    _ => {}
                }
            }
            answer
        })
    }

    /// Asks for a login at a realm, and knows nothing else.
    fn asking_for_a_login(realm: &str) -> Self {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"evil\"");
        Self::start(move |_, _, _, _, _| Answer {
            status: 401,
            headers: vec![("www-authenticate".to_owned(), challenge.clone())],
            body: Vec::new(),
        })
    }

    /// Takes and gives whatever it is asked.
    fn greedy() -> Self {
        Self::start(|_, _, _, _, _| Answer {
            status: 200,
            headers: Vec::new(),
            body: br#"{"token": "the-token"}"#.to_vec(),
        })
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

fn serve(
    stream: &mut (impl Read + Write),
    scheme: &str,
    answer: &(impl Fn(&str, &str, &str, &[u8], &str) -> Answer + ?Sized),
    own: &str,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut login, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        match name.to_lowercase().as_str() {
            "authorization" => value.trim().clone_into(&mut login),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    log.lock().unwrap().push(format!("{scheme} {method} {path} {login}"));
    let answer = answer(method, path, &login, &body, own);
    let mut head = format!("HTTP/1.1 {} Status\r\nconnection: close\r\n", answer.status);
    if method != "HEAD" {
        head = format!("{head}content-length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        head = format!("{head}{name}: {value}\r\n");
    }
    let stream = reader.into_inner();
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if method != "HEAD" {
        stream.write_all(&answer.body)?;
    }
    stream.flush()
}

fn forward(inner: &str, method: &str, path: &str, login: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(inner).unwrap();
    let login = if login.is_empty() {
        String::new()
    } else {
        format!("authorization: {login}\r\n")
    };
    let kind = if method == "PUT" && path.contains("/manifests/") {
        format!("content-type: {}\r\n", crate::registry::OCI_MANIFEST)
    } else {
        String::new()
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\n{login}{kind}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut answer = Answer {
        status: line.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        if name == "content-length" {
            length = value.parse().unwrap();
        } else {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    if method != "HEAD" {
        answer.body = vec![0; length];
        reader.read_exact(&mut answer.body).unwrap();
    }
    answer
}

/// A sandbox with the password for a front and its authority, and a registry that asks for a login.
fn trusted() -> (Sandbox, Registry) {
    let (sandbox, registry) = place(1);
    registry.ask_for("Bearer");
    let pem = STANDARD.encode(&certificate().0);
    let pem = pem.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        pem.collect::<Vec<_>>().join("\n")
    );
    sandbox.file("ca.pem", &pem);
    (sandbox, registry)
}

/// Builds on the base behind a front, and pushes there.
fn build(sandbox: &Sandbox, front: &Front) -> Outcome {
    // tester:s3cret
    let auths = json!({ "auths": { &front.address: { "auth": "dGVzdGVyOnMzY3JldA==" } } });
    sandbox.file("logins.json", &auths.to_string());
    let (base, push) = (
        format!("{}/flink:2.3.0", front.address),
        format!("{}/team/app:1", front.address),
    );
    sandbox.run(&[
        "image",
        "build",
        "--base",
        &base,
        "--jar",
        "app.jar",
        "--push",
        &push,
        "--registry-ca",
        "ca.pem",
        "--registry-config",
        "logins.json",
    ])
}

const REALM: &str = "https://OWN/token";

/// No request came here, or none with a password or a token.
#[track_caller]
fn no_credentials(front: &Front) {
    let log = front.log();
    let with = log
        .iter()
        .filter(|line| line.contains("Basic") || line.contains("Bearer"));
    assert_eq!(with.collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn a_registry_behind_a_proxy_that_ends_tls_is_spoken_to_with_tls_all_the_same() {
    for (upload, realm) in [("http://OWN", REALM), ("", "http://OWN/token"), ("https://OWN", REALM)] {
        let (sandbox, registry) = trusted();
        let front = Front::of(&registry, upload, None, realm);
        works(&build(&sandbox, &front));
        whole(&registry, "team/app", "1");
        let log = front.log();
        assert!(
            log.iter()
                .any(|line| line.starts_with("https PATCH /v2/team/app/blobs/uploads/"))
        );
        assert!(log.iter().all(|line| line.starts_with("https ")), "{log:#?}");
    }
}

#[test]
fn an_upload_does_not_continue_without_tls_and_sends_no_token_to_another_host() {
    let (sandbox, registry) = trusted();
    let other = Front::greedy();
    let front = Front::of(&registry, &format!("http://{}", other.address), None, REALM);
    fails(&build(&sandbox, &front), 1, &["has no TLS", &other.address]);
    assert_eq!(other.log(), Vec::<String>::new());
    let front = Front::of(&registry, &format!("https://{}", other.address), None, REALM);
    // The other host says that it has taken everything, which the registry does not know of.
    fails(&build(&sandbox, &front), 1, &["blob unknown to registry"]);
    let log = other.log();
    assert!(log.iter().any(|line| line.starts_with("https PATCH ")), "{log:#?}");
    assert!(
        log.iter()
            .all(|line| line.starts_with("https ") && !line.contains("Bearer")),
        "{log:#?}"
    );
}

#[test]
fn a_login_that_another_host_asks_for_is_not_given() {
    let (sandbox, registry) = trusted();
    let realm = Front::greedy();
    let other = Front::asking_for_a_login(&format!("https://{}/token", realm.address));
    let to = format!("https://{}", other.address);
    // By a redirect of a blob, and of an upload.
    let front = Front::of(&registry, "", Some(&to), REALM);
    fails(
        &build(&sandbox, &front),
        4,
        &[&other.address, "redirects", "refuses it"],
    );
    assert!(!other.log.lock().unwrap().is_empty());
    no_credentials(&other);
    let front = Front::of(&registry, &to, None, REALM);
    fails(&build(&sandbox, &front), 4, &[&other.address]);
    assert!(!other.log.lock().unwrap().is_empty());
    no_credentials(&other);
    assert_eq!(realm.log(), Vec::<String>::new());
}

#[test]
fn a_blob_is_not_fetched_without_tls() {
    let (sandbox, registry) = trusted();
    let other = Front::greedy();
    let front = Front::of(&registry, "", Some(&format!("http://{}", other.address)), REALM);
    let outcome = build(&sandbox, &front);
    fails(&outcome, 1, &["has no TLS", &other.address]);
    assert!(!outcome.stderr.contains("signature"), "{outcome}");
    assert_eq!(other.log(), Vec::<String>::new());
}

#[test]
fn a_registry_without_tls_is_reported_with_the_flag_that_allows_it() {
    let (sandbox, _registry) = trusted();
    let host = without_tls();
    let image = format!("{host}/app:1");
    let outcome = sandbox.run(&["image", "inspect", &image, "--registry-ca", "ca.pem"]);
    let flag = format!("--insecure-registry {host}");
    fails(&outcome, 7, &["does not speak TLS", &flag]);
}

/// With the signature anyone may fetch the blob, and a trace is shown to others.
#[test]
fn a_trace_shows_where_a_blob_is_fetched_without_the_signature() {
    let (sandbox, registry) = trusted();
    let other = Front::greedy();
    let front = Front::of(&registry, "", Some(&format!("https://{}", other.address)), REALM);
    // It writes the login.
    drop(build(&sandbox, &front));
    let base = format!("{}/flink:2.3.0", front.address);
    let files = ["--registry-ca", "ca.pem", "--registry-config", "logins.json"];
    let outcome = sandbox.run(&[&["image", "inspect", &base, "-v"][..], &files[..]].concat());
    assert!(outcome.stderr.contains(&other.address), "{outcome}");
    assert!(!outcome.stderr.contains("signature"), "{outcome}");
}

#[test]
fn a_realm_without_tls_gets_no_password() {
    let (sandbox, registry) = trusted();
    let realm = Front::greedy();
    let front = Front::of(&registry, "", None, &format!("http://{}/token", realm.address));
    fails(
        &build(&sandbox, &front),
        4,
        &[&realm.address, "credentials are not sent there"],
    );
    assert_eq!(realm.log(), Vec::<String>::new());
    // One with TLS does, wherever it is: that is how registries are logged in to.
    let front = Front::of(&registry, "", None, &format!("https://{}/token", realm.address));
    works(&build(&sandbox, &front));
    let log = realm.log();
    assert!(
        log[0].starts_with("https GET /token?") && log[0].ends_with("Basic dGVzdGVyOnMzY3JldA=="),
        "{log:#?}"
    );
}
