//! What the registry answers to a request, by the protocol of OCI registries.

use std::collections::HashMap;

use kubectl_flink::testing::Digest;
use serde_json::{Value, json};

use super::State;

pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: HashMap<String, String>,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

pub(super) fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Answer {
        status,
        headers,
        body: body.to_vec(),
    }
}

pub(super) fn refused(status: u16, message: &str) -> Answer {
    reply(
        status,
        &[],
        json!({ "errors": [{ "code": "X", "message": message }] })
            .to_string()
            .as_bytes(),
    )
}

impl State {
    pub(super) fn answer(&mut self, request: &Request, host: &str) -> Answer {
        let login = request.headers.get("authorization").map(String::as_str);
        // tester:s3cret
        let known = login == Some("Basic dGVzdGVyOnMzY3JldA==");
        if request.path == "/token" {
            let body = String::from_utf8_lossy(&request.body);
            if request.method == "POST" {
                // By OAuth2: an identity is exchanged for a token.
                let parts: Vec<&str> = body.split('&').collect();
                let known = ["grant_type=refresh_token", "refresh_token=the-identity", "service=test"];
                return if known.iter().all(|part| parts.contains(part)) {
                    reply(200, &[], br#"{"access_token": "the-token", "expires_in": 300}"#)
                } else {
                    refused(401, "unknown identity")
                };
            }
            return if known || self.auth == Some("Public") {
                reply(200, &[], br#"{"token": "the-token"}"#)
            } else {
                refused(401, "who are you")
            };
        }
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"test\"");
        match self.auth {
            Some("Basic") if !known => return reply(401, &[("www-authenticate", "Basic realm=\"test\"")], b"{}"),
            Some("Bearer" | "Public") if login != Some("Bearer the-token") => {
                return reply(401, &[("www-authenticate", &challenge)], b"{}");
            }
            _ => {}
        }
        let rest = request.path.trim_start_matches("/v2/");
        for part in ["/manifests/", "/blobs/uploads/", "/blobs/"] {
            if let Some((repository, last)) = rest.split_once(part) {
                return match part {
                    "/manifests/" => self.manifest(request, repository, last),
                    "/blobs/" => self.blob(request, repository, last),
                    _ => self.upload(request, repository),
                };
            }
        }
        refused(404, "no such address")
    }

    fn manifest(&mut self, request: &Request, repository: &str, selector: &str) -> Answer {
        let key = (repository.to_owned(), selector.to_owned());
        if request.method == "PUT" {
            let digest = Digest::of(&request.body).to_string();
            let tree: Value = serde_json::from_slice(&request.body).unwrap();
            let parts = tree["layers"].as_array().into_iter().flatten().chain([&tree["config"]]);
            for blob in parts.filter_map(|part| part["digest"].as_str()) {
                if !self.blobs.contains_key(&(repository.to_owned(), blob.to_owned())) {
                    return refused(400, "blob unknown to registry");
                }
            }
            let kept = (request.headers["content-type"].clone(), request.body.clone());
            self.manifests
                .insert((repository.to_owned(), digest.clone()), kept.clone());
            self.manifests.insert(key, kept);
            return reply(201, &[("docker-content-digest", &digest)], b"");
        }
        match self.manifests.get(&key) {
            Some((media_type, bytes)) => {
                let digest = Digest::of(bytes).to_string();
                reply(
                    200,
                    &[("content-type", media_type), ("docker-content-digest", &digest)],
                    bytes,
                )
            }
            None => refused(404, "manifest unknown"),
        }
    }

    fn blob(&mut self, request: &Request, repository: &str, digest: &str) -> Answer {
        let Some(bytes) = self.blobs.get(&(repository.to_owned(), digest.to_owned())) else {
            return refused(404, "blob unknown");
        };
        let from = request.headers.get("range").and_then(|range| {
            range
                .trim_start_matches("bytes=")
                .trim_end_matches('-')
                .parse::<usize>()
                .ok()
        });
        match from {
            Some(from) => reply(206, &[], &bytes[from..]),
            None => reply(200, &[], bytes),
        }
    }

    fn upload(&mut self, request: &Request, repository: &str) -> Answer {
        if request.method == "POST" {
            if let (Some(digest), Some(from), false) =
                (request.query.get("mount"), request.query.get("from"), self.no_mounts)
                && let Some(bytes) = self.blobs.get(&(from.clone(), digest.clone())).cloned()
            {
                self.blobs.insert((repository.to_owned(), digest.clone()), bytes);
                return reply(201, &[], b"");
            }
            self.number += 1;
            let at = format!("/v2/{repository}/blobs/uploads/{}", self.number);
            self.uploads.insert(at.clone(), Vec::new());
            return reply(202, &[("location", &at)], b"");
        }
        let Some(upload) = self.uploads.get_mut(&request.path) else {
            return refused(404, "upload unknown");
        };
        if let Some(range) = request.headers.get("content-range")
            && !range.starts_with(&format!("{}-", upload.len()))
        {
            return refused(416, "not where it was");
        }
        upload.extend(&request.body);
        let range = format!("0-{}", upload.len().saturating_sub(1));
        match request.method.as_str() {
            "GET" => reply(204, &[("range", &range), ("location", &request.path)], b""),
            "PATCH" => reply(202, &[("range", &range), ("location", &request.path)], b""),
            _ => {
                let digest = &request.query["digest"];
                if Digest::of(upload).as_str() != digest {
                    return refused(400, "provided digest did not match uploaded content");
                }
                self.blobs
                    .insert((repository.to_owned(), digest.clone()), upload.clone());
                reply(201, &[], b"")
            }
        }
    }
}
