//! A registry of images for tests of the real binary: it keeps what is pushed, and does what a test says it does wrong.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kubectl_flink::testing::Digest;
use serde_json::{Value, json};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What goes wrong with a request.
#[derive(Clone)]
pub enum Fault {
    /// It is answered with this status, these headers and this message.
    Status(u16, &'static [(&'static str, &'static str)], &'static str),
    /// The connection is closed after so many bytes of the request's body.
    CutRequest(usize),
    /// The connection is closed after so many bytes of the answer's body.
    CutAnswer(usize),
}

/// What became of a request at the hands of a [`Meddler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)]
pub enum Met {
    /// It goes its way.
    Goes,
    /// It is answered.
    Answered,
    /// Its connection is over.
    Over,
    /// So is the whole server.
    Gone,
}

/// Stands between a server and whoever asks it.
pub trait Meddler: Send + Sync {
    /// Before the request of this number, counted from 1, is carried out.
    fn before(&self, number: usize, writer: &mut TcpStream) -> io::Result<Met>;
    /// After it, before its answer with this body is sent; `None`: the answer must not have one.
    fn after(&self, number: usize, writer: &mut TcpStream, body: Option<&[u8]>) -> io::Result<Met>;
}

/// Whether a registry is at its end, what stands before it, and the requests it has had.
#[derive(Default)]
struct Door {
    closed: AtomicBool,
    meddler: Option<Arc<dyn Meddler>>,
    count: AtomicUsize,
}

#[derive(Default)]
struct State {
    blobs: HashMap<(String, String), Vec<u8>>,
    manifests: HashMap<(String, String), (String, Vec<u8>)>,
    uploads: HashMap<String, Vec<u8>>,
    faults: Vec<(&'static str, &'static str, usize, Fault)>,
    log: Vec<String>,
    no_mounts: bool,
    /// `Basic` or `Bearer`, for user `tester` with password `s3cret`.
    auth: Option<&'static str>,
    number: usize,
}

/// The registry.
pub struct Registry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    door: Arc<Door>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        close(&self.door, self.address);
    }
}

fn close(door: &Door, address: SocketAddr) {
    if !door.closed.swap(true, Ordering::SeqCst) {
        // The listener ends when it hears this.
        drop(TcpStream::connect(address));
    }
}

struct Asked {
    method: String,
    path: String,
    query: HashMap<String, String>,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

struct Told {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn told(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Told {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Told {
        status,
        headers,
        body: body.to_vec(),
    }
}

fn refused(status: u16, message: &str) -> Told {
    told(
        status,
        &[],
        json!({ "errors": [{ "code": "X", "message": message }] })
            .to_string()
            .as_bytes(),
    )
}

impl Registry {
    /// Starts on a free port.
    pub fn start() -> Self {
        Self::over(
            Arc::default(),
            Door::default(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        )
    }

    /// The same with all that is here, behind this meddler: on a free port, or on this one as soon as nobody else is.
    #[allow(dead_code)]
    pub fn behind(&self, meddler: Arc<dyn Meddler>, port: u16) -> Self {
        let door = Door {
            meddler: Some(meddler),
            ..Door::default()
        };
        let mut tries = 0;
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(listener) => break listener,
                Err(e) => assert!(tries < 500, "port {port}: {e}"),
            }
            tries += 1;
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        Self::over(Arc::clone(&self.state), door, listener)
    }

    fn over(state: Arc<Mutex<State>>, door: Door, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let door = Arc::new(door);
        let registry = Self {
            address,
            state: Arc::clone(&state),
            door: Arc::clone(&door),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if door.closed.load(Ordering::SeqCst) {
                    return;
                }
                let (state, door) = (Arc::clone(&state), Arc::clone(&door));
                std::thread::spawn(move || drop(serve(stream, &state, &door, address)));
            }
        });
        registry
    }

    /// The name of an image here.
    pub fn image(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Makes the next `times` requests of `method` with `part` in their path go wrong.
    pub fn fault(&self, method: &'static str, part: &'static str, times: usize, fault: Fault) {
        self.state.lock().unwrap().faults.push((method, part, times, fault));
    }

    /// Lets nobody in without a login of this kind.
    pub fn ask_for(&self, kind: &'static str) {
        self.state.lock().unwrap().auth = Some(kind);
    }

    /// Mounts nothing.
    pub fn no_mounts(&self) {
        self.state.lock().unwrap().no_mounts = true;
    }

    /// Puts a blob there.
    pub fn blob(&self, repository: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes).to_string();
        self.state
            .lock()
            .unwrap()
            .blobs
            .insert((repository.to_owned(), digest.clone()), bytes.to_vec());
        json!({ "mediaType": OCI_LAYER, "digest": digest, "size": bytes.len() })
    }

    /// Puts a manifest there, and gives its descriptor.
    pub fn put(&self, repository: &str, tag: &str, media_type: &str, manifest: &Value) -> Value {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes).to_string();
        let mut state = self.state.lock().unwrap();
        for selector in [tag, &digest] {
            let key = (repository.to_owned(), selector.to_owned());
            state.manifests.insert(key, (media_type.to_owned(), bytes.clone()));
        }
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Puts an image of these layers there, and gives its descriptor.
    pub fn base(&self, repository: &str, tag: &str, architecture: &str, layers: &[Vec<u8>]) -> Value {
        let descriptors: Vec<Value> = layers.iter().map(|layer| self.blob(repository, layer)).collect();
        let diff_ids: Vec<String> = layers
            .iter()
            .map(|layer| Digest::of(&[b"plain", layer.as_slice()].concat()).to_string())
            .collect();
        let config = json!({
            "os": "linux", "architecture": architecture, "created": "2026-01-01T00:00:00Z",
            "config": {
                "Env": ["FLINK_HOME=/opt/flink", "JAVA_VERSION=jdk-11.0.1+1", "FLINK_TGZ_URL=x/flink-2.3.0/flink-2.3.0-bin.tgz"],
                "Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["help"],
            },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let mut config = self.blob(repository, config.to_string().as_bytes());
        config["mediaType"] = json!(OCI_CONFIG);
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": descriptors });
        self.put(repository, tag, OCI_MANIFEST, &manifest)
    }

    /// The manifest under a tag or digest.
    pub fn manifest(&self, repository: &str, selector: &str) -> Option<Value> {
        let state = self.state.lock().unwrap();
        let (_, bytes) = state.manifests.get(&(repository.to_owned(), selector.to_owned()))?;
        Some(serde_json::from_slice(bytes).unwrap())
    }

    /// The tags of a repository.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let of = state
            .manifests
            .keys()
            .filter(|(name, tag)| name == repository && !tag.starts_with("sha256:"));
        of.map(|(_, tag)| tag.clone()).collect()
    }

    /// A blob.
    pub fn has(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.state
            .lock()
            .unwrap()
            .blobs
            .get(&(repository.to_owned(), digest.to_owned()))
            .cloned()
    }

    /// Its port.
    #[allow(dead_code)]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many requests came.
    #[allow(dead_code)]
    pub fn count(&self) -> usize {
        self.door.count.load(Ordering::SeqCst)
    }

    /// What was asked, as `METHOD /path?query`; the log is empty after.
    pub fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

/// What is asked, without its body, and for what as it was said; `None`: nothing any more.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<(Asked, String)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut asked = Asked {
        method,
        path: path.to_owned(),
        query: pairs
            .map(|(name, value)| (name.to_owned(), value.replace("%3A", ":")))
            .collect(),
        headers: HashMap::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(Some((asked, target)));
        };
        asked.headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>, door: &Door, address: SocketAddr) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some((mut asked, target)) = read_head(&mut reader)? {
        let path = asked.path.clone();
        let fault = {
            let mut state = state.lock().unwrap();
            let range = asked
                .headers
                .get("content-range")
                .map_or(String::new(), |range| format!(" [{range}]"));
            state.log.push(format!("{} {target}{range}", asked.method));
            let open = state
                .faults
                .iter_mut()
                .find(|(method, part, times, _)| *method == asked.method && path.contains(part) && *times > 0);
            open.map(|(_, _, times, fault)| {
                *times -= 1;
                fault.clone()
            })
        };
        let length: usize = asked
            .headers
            .get("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if let Some(Fault::CutRequest(after)) = fault {
            let mut part = vec![0; after.min(length)];
            reader.read_exact(&mut part)?;
            if let Some(upload) = state.lock().unwrap().uploads.get_mut(&path) {
                upload.extend(part);
            }
            return writer.shutdown(Shutdown::Both);
        }
        asked.body = vec![0; length];
        reader.read_exact(&mut asked.body)?;
        if door.closed.load(Ordering::SeqCst) {
            return writer.shutdown(Shutdown::Both);
        }
        let number = door.count.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(meddler) = &door.meddler {
            match meddler.before(number, &mut writer)? {
                Met::Goes => {}
                Met::Answered => continue,
                Met::Over => return writer.shutdown(Shutdown::Both),
                Met::Gone => {
                    close(door, address);
                    return writer.shutdown(Shutdown::Both);
                }
            }
        }
        let answer = match &fault {
            Some(Fault::Status(status, headers, message)) => {
                let mut answer = refused(*status, message);
                answer.headers = told(0, headers, b"").headers;
                answer
            }
            _ => state.lock().unwrap().answer(&asked, &writer.local_addr()?.to_string()),
        };
        let mut head = format!(
            "HTTP/1.1 {} Told\r\ncontent-length: {}\r\n",
            answer.status,
            answer.body.len()
        );
        for (name, value) in &answer.headers {
            head = format!("{head}{name}: {value}\r\n");
        }
        let body = if asked.method == "HEAD" {
            &[]
        } else {
            answer.body.as_slice()
        };
        if let Some(meddler) = &door.meddler {
            match meddler.after(number, &mut writer, (asked.method != "HEAD").then_some(body))? {
                Met::Goes => {}
                Met::Answered => continue,
                Met::Over | Met::Gone => return writer.shutdown(Shutdown::Both),
            }
        }
        writer.write_all(format!("{head}\r\n").as_bytes())?;
        if let Some(Fault::CutAnswer(after)) = fault {
            writer.write_all(&body[..after.min(body.len())])?;
            return writer.shutdown(Shutdown::Both);
        }
        writer.write_all(body)?;
    }
    Ok(())
}

impl State {
    fn answer(&mut self, asked: &Asked, host: &str) -> Told {
        let login = asked.headers.get("authorization").map(String::as_str);
        // tester:s3cret
        let known = login == Some("Basic dGVzdGVyOnMzY3JldA==");
        if asked.path == "/token" {
            let body = String::from_utf8_lossy(&asked.body);
            if asked.method == "POST" {
                // By OAuth2: an identity is exchanged for a token.
                let parts: Vec<&str> = body.split('&').collect();
                let known = ["grant_type=refresh_token", "refresh_token=the-identity", "service=test"];
                return if known.iter().all(|part| parts.contains(part)) {
                    told(200, &[], br#"{"access_token": "the-token", "expires_in": 300}"#)
                } else {
                    refused(401, "unknown identity")
                };
            }
            return if known {
                told(200, &[], br#"{"token": "the-token"}"#)
            } else {
                refused(401, "who are you")
            };
        }
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"test\"");
        match self.auth {
            Some("Basic") if !known => return told(401, &[("www-authenticate", "Basic realm=\"test\"")], b"{}"),
            Some("Bearer") if login != Some("Bearer the-token") => {
                return told(401, &[("www-authenticate", &challenge)], b"{}");
            }
            _ => {}
        }
        let rest = asked.path.trim_start_matches("/v2/");
        for part in ["/manifests/", "/blobs/uploads/", "/blobs/"] {
            if let Some((repository, last)) = rest.split_once(part) {
                return match part {
                    "/manifests/" => self.manifest(asked, repository, last),
                    "/blobs/" => self.blob(asked, repository, last),
                    _ => self.upload(asked, repository),
                };
            }
        }
        refused(404, "no such address")
    }

    fn manifest(&mut self, asked: &Asked, repository: &str, selector: &str) -> Told {
        let key = (repository.to_owned(), selector.to_owned());
        if asked.method == "PUT" {
            let digest = Digest::of(&asked.body).to_string();
            let tree: Value = serde_json::from_slice(&asked.body).unwrap();
            let parts = tree["layers"].as_array().into_iter().flatten().chain([&tree["config"]]);
            for blob in parts.filter_map(|part| part["digest"].as_str()) {
                if !self.blobs.contains_key(&(repository.to_owned(), blob.to_owned())) {
                    return refused(400, "blob unknown to registry");
                }
            }
            let kept = (asked.headers["content-type"].clone(), asked.body.clone());
            self.manifests
                .insert((repository.to_owned(), digest.clone()), kept.clone());
            self.manifests.insert(key, kept);
            return told(201, &[("docker-content-digest", &digest)], b"");
        }
        match self.manifests.get(&key) {
            Some((media_type, bytes)) => {
                let digest = Digest::of(bytes).to_string();
                told(
                    200,
                    &[("content-type", media_type), ("docker-content-digest", &digest)],
                    bytes,
                )
            }
            None => refused(404, "manifest unknown"),
        }
    }

    fn blob(&mut self, asked: &Asked, repository: &str, digest: &str) -> Told {
        let Some(bytes) = self.blobs.get(&(repository.to_owned(), digest.to_owned())) else {
            return refused(404, "blob unknown");
        };
        let from = asked.headers.get("range").and_then(|range| {
            range
                .trim_start_matches("bytes=")
                .trim_end_matches('-')
                .parse::<usize>()
                .ok()
        });
        match from {
            Some(from) => told(206, &[], &bytes[from..]),
            None => told(200, &[], bytes),
        }
    }

    fn upload(&mut self, asked: &Asked, repository: &str) -> Told {
        if asked.method == "POST" {
            if let (Some(digest), Some(from), false) =
                (asked.query.get("mount"), asked.query.get("from"), self.no_mounts)
                && let Some(bytes) = self.blobs.get(&(from.clone(), digest.clone())).cloned()
            {
                self.blobs.insert((repository.to_owned(), digest.clone()), bytes);
                return told(201, &[], b"");
            }
            self.number += 1;
            let at = format!("/v2/{repository}/blobs/uploads/{}", self.number);
            self.uploads.insert(at.clone(), Vec::new());
            return told(202, &[("location", &at)], b"");
        }
        let Some(upload) = self.uploads.get_mut(&asked.path) else {
            return refused(404, "upload unknown");
        };
        if let Some(range) = asked.headers.get("content-range")
            && !range.starts_with(&format!("{}-", upload.len()))
        {
            return refused(416, "not where it was");
        }
        upload.extend(&asked.body);
        let range = format!("0-{}", upload.len().saturating_sub(1));
        match asked.method.as_str() {
            "GET" => told(204, &[("range", &range), ("location", &asked.path)], b""),
            "PATCH" => told(202, &[("range", &range), ("location", &asked.path)], b""),
            _ => {
                let digest = &asked.query["digest"];
                if Digest::of(upload).as_str() != digest {
                    return refused(400, "provided digest did not match uploaded content");
                }
                self.blobs
                    .insert((repository.to_owned(), digest.clone()), upload.clone());
                told(201, &[], b"")
            }
        }
    }
}
