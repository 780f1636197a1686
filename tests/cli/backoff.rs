//! Pauses between watches that the server ends at once. They take longer than all other tests, so that they come early.

use crate::demo::PODS;
use crate::sandbox::Sandbox;
use crate::server::watch;
use crate::watching::{EVENTS, list_of, lists, objects, wait, watches};

/// Where no watch gets through the list is read from time to time.
#[test]
fn the_list_is_read_from_time_to_time() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    for (path, object) in objects() {
        server.expect(lists(path)).times(3).answer(list_of(&[object]));
        server.expect(lists(path)).often().answer(list_of(&[]));
        server.expect(watches(path)).often().answer(watch([]));
    }
    let outcome = wait(&sandbox, "deleted", "30s");
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.requests.len() < 40, "{outcome}");
}

#[test]
fn watches_that_end_at_once_are_not_opened_at_once() {
    let sandbox = Sandbox::new();
    let server = &sandbox.server;
    for (path, object) in objects() {
        server.expect(lists(path)).often().answer(list_of(&[object]));
        server.expect(watches(path)).often().answer(watch([]));
    }
    for path in [PODS, EVENTS] {
        server.expect(lists(path)).often().answer(list_of(&[]));
        server.expect(watches(path)).often().answer(watch([]));
    }
    let outcome = wait(&sandbox, "finished", "4s");
    assert_eq!(outcome.code, Some(5), "{outcome}");
    assert!(outcome.requests.len() < 100, "{} requests", outcome.requests.len());
}
