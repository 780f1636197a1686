//! A real registry for tests of images: with logins, with TLS, on a disk that is too small, behind a line that is cut.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::place::{Place, soon};
use crate::process;

/// `tester` with password `s3cret`, by bcrypt.
pub const USERS: &str = "tester:$2b$12$h84qhjupoRSEFSg3L94oeubyXxDcfw2V7MzJ7UrYgEDcbJe7GOSk6\n";
/// `tester:s3cret`.
pub const AUTH: &str = "dGVzdGVyOnMzY3JldA==";

/// A registry that runs until this is dropped.
pub struct Registry {
    process: Child,
    pub address: String,
}

impl Registry {
    /// Keeps its images in `storage`; `more` are lines below `http` of its configuration.
    pub fn start(place: &Place, storage: &Path, login: bool, tls: Option<(&Path, &Path)>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let folder = place.folder();
        fs::write(folder.join("users"), USERS).unwrap();
        let mut configuration = json!({
            "version": 0.1,
            "log": { "level": "error" },
            "storage": { "filesystem": { "rootdirectory": storage } },
            "http": { "addr": address, "secret": "the same for all" },
        });
        if login {
            configuration["auth"] = json!({ "htpasswd": { "realm": "bed", "path": folder.join("users") } });
        }
        if let Some((certificate, key)) = tls {
            configuration["http"]["tls"] = json!({ "certificate": certificate, "key": key });
        }
        // JSON is YAML.
        let file = folder.join(format!("registry-{port}.yaml"));
        fs::write(&file, configuration.to_string()).unwrap();
        let log = File::create(folder.join(format!("registry-{port}.log"))).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("docker-registry, which tests/bed/up installs");
        let registry = Self { process, address };
        soon("the registry listens", || TcpStream::connect(&registry.address).ok());
        registry
    }

    pub fn image(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// A file with credentials for it.
    pub fn login(&self, place: &Place) -> String {
        let file = place.folder().join(format!("login-{}.json", self.address));
        fs::write(
            &file,
            json!({ "auths": { &self.address: { "auth": AUTH } } }).to_string(),
        )
        .unwrap();
        format!("--registry-config={}", file.display())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A certificate for 127.0.0.1 that only its owner knows.
pub fn certificate(place: &Place, name: &str) -> (PathBuf, PathBuf) {
    let [certificate, key] = ["pem", "key"].map(|kind| place.folder().join(format!("{name}.{kind}")));
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]);
    command.args([
        "-subj",
        "/CN=registry",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:false",
    ]);
    command.arg("-out").arg(&certificate).arg("-keyout").arg(&key);
    process::run(&mut command, "").ok();
    (certificate, key)
}

/// An address that hands everything on to another, and cuts its first long requests after so many bytes.
pub fn cutter(target: &str, cuts: usize, after: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (target, left) = (target.to_owned(), Arc::new(Mutex::new(cuts)));
    std::thread::spawn(move || {
        for mut here in listener.incoming().flatten() {
            let (mut there, left) = (TcpStream::connect(&target).unwrap(), Arc::clone(&left));
            let (mut from, mut to) = (there.try_clone().unwrap(), here.try_clone().unwrap());
            std::thread::spawn(move || drop(io::copy(&mut from, &mut to)));
            std::thread::spawn(move || {
                let passed = io::copy(&mut (&mut here).take(after), &mut there).unwrap_or(0);
                let cut = passed == after && {
                    let mut left = left.lock().unwrap();
                    let some = *left > 0;
                    *left = left.saturating_sub(1);
                    some
                };
                if !cut {
                    let _ = io::copy(&mut here, &mut there);
                }
                for stream in [here, there] {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
        }
    });
    address
}

/// A disk with room for a few megabytes.
pub struct Disk(pub PathBuf);

impl Disk {
    pub fn new(path: &Path) -> Self {
        fs::create_dir(path).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(path);
        process::run(&mut command, "").ok();
        Self(path.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = process::run(Command::new("umount").arg("-l").arg(&self.0), "");
    }
}
