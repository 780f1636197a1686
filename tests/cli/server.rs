//! A scripted API server for tests of the real binary.
//!
//! A test says which requests it expects, and how each is answered. An unexpected request fails the test, and
//! so does an expected one that does not come; both are checked when the program has ended, in [`Sandbox::run`].
//!
//! ```ignore
//! #[test]
//! fn a_cluster_that_is_there_is_deleted() {
//!     let sandbox = Sandbox::new();
//!     let server = &sandbox.server;
//!     server.expect(get("/apis/batch/v1/namespaces/default/jobs/demo-master")).answer(json(&job));
//!     server
//!         .expect(delete("/apis/batch/v1/namespaces/default/jobs/demo-master").body(json!({"preconditions": {"uid": "u"}})))
//!         .answer(status(409, "Conflict", "it was changed").after(Duration::from_millis(50)));
//!     server
//!         .expect(patch("/api/v1/namespaces/default/services/demo-master").body(json!({"kind": "Service"})))
//!         .times(2)
//!         .answer(json(&service).header("warning", "299 - \"would violate\""));
//!     let outcome = sandbox.run(&["delete", "demo", "--yes"]);
//!     assert_eq!(outcome.requests, ["GET /apis/…", "DELETE /apis/…", "PATCH /api/…", "PATCH /api/…"]);
//!     snapshot!(outcome);
//! }
//! ```
//!
//! An expectation is used once, or as often as [`Expected::times`] says. A request takes the first one, in the order of
//! writing, that it fits and that is not used up: so the first of two equal ones answers the first request. Which
//! *different* request comes first is free, as they are often sent side by side; after [`Server::in_order`] it is not.
//!
//! Answers: [`json`], [`status`], [`text`], [`watch`], [`cut`]; each can be late ([`Answer::after`]), cut short
//! ([`Answer::cut_at`]) or kept open ([`Answer::held`]).

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[allow(unused_imports)]
pub use crate::answer::{Answer, cut, json, status, status_object, text, watch};
#[allow(unused_imports)]
pub use crate::call::{Call, Request, delete, get, patch, post, put};

/// Number of times that no test comes near.
const OFTEN: usize = usize::MAX / 2;

#[derive(Default)]
struct Script {
    expected: Vec<(Call, Answer, usize)>,
    in_order: bool,
    requests: Vec<Request>,
    unexpected: Vec<String>,
}

/// The server. It ends with the test's process.
pub struct Server {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

/// An expectation that still needs its answer.
#[must_use]
pub struct Expected<'a> {
    server: &'a Server,
    call: Call,
    times: usize,
}

impl Expected<'_> {
    /// How often the request comes; once where this is not said.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// As often as it comes, which may be never.
    pub fn often(self) -> Self {
        self.times(OFTEN)
    }

    /// How it is answered.
    pub fn answer(self, answer: Answer) {
        self.server
            .script
            .lock()
            .unwrap()
            .expected
            .push((self.call, answer, self.times));
    }
}

impl Server {
    /// Starts on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::default(),
        };
        let script = Arc::clone(&server.script);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let script = Arc::clone(&script);
                // A connection that the program closes is none of the server's business.
                std::thread::spawn(move || drop(serve(stream, &script)));
            }
        });
        server
    }

    /// Where it listens, such as `http://127.0.0.1:40000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says that a request will come.
    pub fn expect(&self, call: Call) -> Expected<'_> {
        Expected {
            server: self,
            call,
            times: 1,
        }
    }

    /// From now on requests must come in the order in which they were, and will be, written down.
    #[allow(dead_code)]
    pub fn in_order(&self) {
        self.script.lock().unwrap().in_order = true;
    }

    /// The requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.script.lock().unwrap().requests.clone()
    }

    /// What is wrong with the requests so far; empty: nothing.
    pub fn faults(&self) -> String {
        let script = self.script.lock().unwrap();
        let mut faults = String::new();
        for request in &script.unexpected {
            faults = format!("{faults}  came unexpected: {request}\n");
        }
        let missing = |left: usize| left > 0 && left < OFTEN / 2;
        for (call, _, left) in script.expected.iter().filter(|(_, _, left)| missing(*left)) {
            faults = format!("{faults}  did not come ({left} left): {call}\n");
        }
        faults
    }
}

fn serve(stream: TcpStream, script: &Mutex<Script>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader)? {
        let answer = script.lock().unwrap().answer(request);
        if !answer.send(&mut writer)? {
            writer.shutdown(std::net::Shutdown::Both)?;
            break;
        }
    }
    Ok(())
}

impl Script {
    fn answer(&mut self, request: Request) -> Answer {
        let in_order = self.in_order;
        let mut open = self.expected.iter_mut().filter(|(_, _, left)| *left > 0);
        let found = if in_order {
            open.next().filter(|(call, _, _)| call.fits(&request))
        } else {
            open.find(|(call, _, _)| call.fits(&request))
        };
        let answer = if let Some((_, answer, left)) = found {
            *left -= 1;
            answer.completed(&request)
        } else if let Some(again) = request
            .asks_for_metadata()
            .then(|| self.expected.iter().rfind(|(call, _, _)| call.fits(&request)))
            .flatten()
        {
            // What every begin reads again: it is as it was, where a test does not say otherwise.
            return again.1.completed(&request);
        } else if request.asks_for_metadata() {
            return status(404, "NotFound", "jobs.batch \"demo-master\" not found");
        } else if request.asks_for_operations() {
            // What every list for people asks beside all else, and most tests are not about.
            return json(&serde_json::json!({"kind": "PartialObjectMetadataList", "items": []}));
        } else if request.asks_for_running_pods() {
            // The same: without the right to list Pods a list says what Jobs and Deployments say.
            return status(403, "Forbidden", "pods is forbidden");
        } else {
            let headers: BTreeMap<_, _> = request.headers.iter().cloned().collect();
            let body = String::from_utf8_lossy(&request.body);
            self.unexpected
                .push(format!("{request}\n      {headers:?}\n      {body}"));
            status(500, "InternalError", "the test did not expect this request")
        };
        self.requests.push(request);
        answer
    }
}

mod tests {
    use super::*;
    use crate::sandbox::Sandbox;

    #[test]
    #[should_panic(expected = "came unexpected: GET /apis/batch/v1/namespaces/default/jobs")]
    fn an_unexpected_request_fails_the_test() {
        Sandbox::new().run(&["list"]);
    }

    #[test]
    #[should_panic(expected = "did not come (2 left): DELETE /api/v1/pods\n      with a=b")]
    fn a_request_that_does_not_come_fails_the_test() {
        let sandbox = Sandbox::new();
        let call = delete("/api/v1/pods").query("a", "b");
        sandbox.server.expect(call).times(2).answer(text(200, ""));
        sandbox.run(&["--version"]);
    }

    #[test]
    #[should_panic(expected = "came unexpected")]
    fn order_matters_where_a_test_says_so() {
        let sandbox = Sandbox::new();
        sandbox.server.in_order();
        for path in ["/api/v1/pods", "/apis/batch/v1/namespaces/default/jobs"] {
            sandbox.server.expect(get(path)).answer(text(200, ""));
        }
        sandbox.run(&["list"]);
    }

    #[test]
    fn a_body_has_what_is_expected_and_may_have_more() {
        let whole = serde_json::json!({"a": {"b": 1, "c": 2}, "d": [{"e": 1, "f": 2}]});
        for (part, fits) in [
            (serde_json::json!({"a": {"b": 1}}), true),
            (serde_json::json!({"d": [{"f": 2}]}), true),
            (serde_json::json!({"a": {"b": 2}}), false),
            (serde_json::json!({"d": []}), false),
            (serde_json::json!({"x": null}), false),
        ] {
            assert_eq!(crate::call::has(&whole, &part), fits, "{part}");
        }
    }
}
