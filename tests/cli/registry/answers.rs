//! What the registry answers to a request, by the protocol of OCI registries.

use std::collections::HashMap;

use kubectl_flink::image::digest::Digest;
use serde_json::{Value, json};

use super::State;

pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: HashMap<String, String>,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

pub(super) struct Told {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

pub(super) fn told(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Told {
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

pub(super) fn refused(status: u16, message: &str) -> Told {
    told(
        status,
        &[],
        json!({ "errors": [{ "code": "X", "message": message }] })
            .to_string()
            .as_bytes(),
    )
}

impl State {
    pub(super) fn answer(&mut self, asked: &Asked, host: &str) -> Told {
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
