//! A scripted API server for tests of the real binary, alone or before a world.
//!
//! Where the requests and answers themselves are the subject of a test, it scripts them. Where only the state before and
//! after a command matters, a [`World`] answers ([`Server::live_in`], [`crate::demo`]): then what a script has goes first,
//! such as one refusal, and the world answers the rest.
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

pub use crate::answer::{Answer, cut, json, status, status_object, text, watch};
pub use crate::call::{Call, delete, get, patch, post, put};
use crate::world::reply::Reply;
use crate::world::{Request, World, stream};

/// Number of times that no test comes near.
const OFTEN: usize = usize::MAX / 2;

/// What another client does in a world.
type Change = Box<dyn FnOnce(&mut World) + Send>;

#[derive(Default)]
struct Script {
    expected: Vec<(Call, Answer, usize)>,
    meanwhile: Vec<(Call, Change)>,
    /// Requests that are carried out, and answered with this.
    instead: Vec<(Call, Answer)>,
    in_order: bool,
    requests: Vec<Request>,
    unexpected: Vec<String>,
}

/// The server. Its connections end with the program, or with the test's process.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<Script>,
    /// Answers what the script does not.
    world: OnceLock<Mutex<World>>,
    /// Whether a run has not asked for anything yet.
    sleeps: AtomicBool,
    closed: AtomicBool,
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
        self.server.script().expected.push((self.call, answer, self.times));
    }

    /// Another client changes the world just before the world answers it.
    pub fn meanwhile(self, change: impl FnOnce(&mut World) + Send + 'static) {
        self.server.script().meanwhile.push((self.call, Box::new(change)));
    }
}

impl Server {
    /// Starts on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&server.shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that the program closes is none of the server's business.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        server
    }

    /// From now on this world answers what the script does not.
    pub fn live_in(&self, world: World) {
        assert!(self.shared.world.set(Mutex::new(world)).is_ok(), "there is one world");
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || stream::pass_time(shared.world.get().unwrap(), || shared.is_closed()));
    }

    /// The world that answers; none: all is scripted.
    pub fn world(&self) -> Option<MutexGuard<'_, World>> {
        Some(self.shared.world.get()?.lock().unwrap())
    }

    /// The program is about to run.
    pub fn begin(&self) {
        if let Some(mut world) = self.world() {
            world.wake();
        }
        self.shared.sleeps.store(true, Ordering::SeqCst);
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap()
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

    /// The world carries out the next such request, and its answer is lost: the connection is closed instead.
    pub fn loses(&self, call: Call) {
        self.answers_instead(call, cut());
    }

    /// The world carries out the next such request, and this is its answer.
    pub fn answers_instead(&self, call: Call, answer: Answer) {
        self.script().instead.push((call, answer));
    }

    /// From now on requests must come in the order in which they were, and will be, written down.
    pub fn in_order(&self) {
        self.script().in_order = true;
    }

    /// The requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.script().requests.clone()
    }

    /// What is wrong with the requests so far; empty: nothing.
    pub fn faults(&self) -> String {
        let script = self.script();
        let mut faults = String::new();
        for request in &script.unexpected {
            faults = format!("{faults}  came unexpected: {request}\n");
        }
        for (call, _) in &script.meanwhile {
            faults = format!("{faults}  did not come, so that nothing happened meanwhile: {call}\n");
        }
        let missing = |left: usize| left > 0 && left < OFTEN / 2;
        for (call, _, left) in script.expected.iter().filter(|(_, _, left)| missing(*left)) {
            faults = format!("{faults}  did not come ({left} left): {call}\n");
        }
        for violation in self.world().iter().flat_map(|world| &world.violations) {
            faults = format!("{faults}  must never happen: {violation}\n");
        }
        faults
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader)? {
            let answer = match self.answer(request) {
                Ok(answer) => answer,
                Err(Reply::Whole(code, body)) => text(code, &body).header("content-type", "application/json"),
                Err(Reply::Watch(watch)) => {
                    let world = self.world.get().unwrap();
                    stream::watch(&mut writer, world, &watch, || self.is_closed(), |_| false)?;
                    continue;
                }
            };
            if !answer.send(&mut writer)? {
                writer.shutdown(std::net::Shutdown::Both)?;
                break;
            }
        }
        Ok(())
    }

    /// The answer of the script, or else that of the world.
    fn answer(&self, request: Request) -> Result<Answer, Reply> {
        let mut script = self.script.lock().unwrap();
        let answer = match (script.expected_answer(&request), self.world.get()) {
            (Some(answer), _) => Ok(answer),
            (None, Some(world)) => {
                let mut world = world.lock().unwrap();
                if self.sleeps.swap(false, Ordering::SeqCst) {
                    world.wake();
                }
                if let Some(at) = script.meanwhile.iter().position(|(call, _)| call.fits(&request)) {
                    script.meanwhile.remove(at).1(&mut world);
                }
                let reply = world.answer(&request);
                match script.instead.iter().position(|(call, _)| call.fits(&request)) {
                    Some(at) => Ok(script.instead.remove(at).1),
                    None => Err(reply),
                }
            }
            (None, None) => match script.usual_answer(&request) {
                // Most tests are not about it.
                Some(answer) => return Ok(answer),
                None => Ok(script.unexpected_answer(&request)),
            },
        };
        script.requests.push(request);
        answer
    }
}

impl Script {
    fn expected_answer(&mut self, request: &Request) -> Option<Answer> {
        let in_order = self.in_order;
        let mut open = self.expected.iter_mut().filter(|(_, _, left)| *left > 0);
        let found = if in_order {
            open.next().filter(|(call, _, _)| call.fits(request))
        } else {
            open.find(|(call, _, _)| call.fits(request))
        };
        let (_, answer, left) = found?;
        *left -= 1;
        Some(answer.completed(request))
    }

    /// The answer to what many commands ask beside all else.
    fn usual_answer(&self, request: &Request) -> Option<Answer> {
        let asks_for = |collection: &str, term: &str| {
            request.path.ends_with(collection) && request.query.iter().any(|(_, value)| value == term)
        };
        // What every begin reads again of the Job that its plan was made from.
        let asks_for_metadata = request
            .header("accept")
            .is_some_and(|accept| accept.contains("as=PartialObjectMetadata;"));
        if asks_for_metadata {
            // It is as it was, where a test does not say otherwise.
            let before = self.expected.iter().rfind(|(call, _, _)| call.fits(request));
            let missing = || status(404, "NotFound", "jobs.batch \"demo-master\" not found");
            return Some(before.map_or_else(missing, |(_, answer, _)| answer.completed(request)));
        }
        if request.path.ends_with("/selfsubjectrulesreviews") {
            let all = serde_json::json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
            return Some(json(
                &serde_json::json!({"status": {"resourceRules": [all], "incomplete": false}}),
            ));
        }
        if asks_for("/configmaps", "kubectl-flink/operation=open") {
            let none = serde_json::json!({"kind": "PartialObjectMetadataList", "items": null});
            return Some(json(&none));
        }
        // Without the right to list Pods a list says what Jobs and Deployments say.
        asks_for("/pods", "status.phase=Running").then(|| status(403, "Forbidden", "pods is forbidden"))
    }

    fn unexpected_answer(&mut self, request: &Request) -> Answer {
        let headers: BTreeMap<_, _> = request.headers.iter().cloned().collect();
        let body = String::from_utf8_lossy(&request.body);
        self.unexpected
            .push(format!("{request}\n      {headers:?}\n      {body}"));
        status(500, "InternalError", "the test did not expect this request")
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
