//! A registry of images for tests of the real binary: it keeps what is pushed, and does what a test says it does wrong.

mod answers;
mod connection;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kubectl_flink::testing::Digest;
use serde_json::{Value, json};

use connection::serve;
#[allow(unused_imports)]
pub use connection::{Meddler, Met};

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

/// Whether a registry is closed, what interferes with its requests, and their number.
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
        // The listener ends at this connection.
        drop(TcpStream::connect(address));
    }
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

    /// The same registry behind this meddler: on a free port for 0, or on this one as soon as it is free.
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

    /// Requires a login of this kind: `Basic`, `Bearer`, or `Public` for tokens that it gives to everyone.
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
