//! What people see of a push: a bar with bytes for a layer on its way, a line with ✔ for one that has arrived, on terminals
//! of three sizes.

use unicode_width::UnicodeWidthStr;

use crate::image_job::accepts_demo;
use crate::image_place::{place, whole};
use crate::registry::{Fault, Registry};
use crate::terminal::{Frame, Line, SIZES, Session};

/// Ctrl-C.
const INTERRUPT: &str = "\u{3}";
/// What has arrived of the new layer when the registry closes the connection.
const PART: &str = " 48.83 KiB/";

/// The registry closes the connection after 50000 bytes of a layer, and asks to wait before it gets the rest.
fn slow(registry: &Registry, wait: &'static [(&'static str, &'static str)]) {
    registry.fault("PATCH", "/blobs/uploads/", 1, Fault::CutRequest(50_000));
    registry.fault("PATCH", "/blobs/uploads/", 1, Fault::Status(503, wait, "busy"));
}

/// Pushes a new layer to a slow registry.
fn push(
    size: (u16, u16),
    wait: &'static [(&'static str, &'static str)],
    press: impl FnMut(&Frame) -> Option<&'static str>,
) -> (Session, Registry) {
    let (sandbox, registry) = place(2);
    slow(&registry, wait);
    let (base, target) = (registry.image("flink:2.3.0"), registry.image("team/app:1"));
    let arguments = ["image", "build", "--base", &base, "--jar", "app.jar", "--push", &target];
    (sandbox.run_on_screen(&arguments, size, press), registry)
}

fn is_bar(line: &Line) -> bool {
    line.text.starts_with("  new layer ") && line.text.contains("KiB/")
}

/// Asserts that each of these is there, in this order.
#[track_caller]
fn in_order(text: &str, parts: &[&str], session: &Session) {
    let mut rest = text;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            panic!("{part:?} is not there, or not in its place:\n{session}");
        };
        rest = after;
    }
}

#[test]
fn a_push_shows_its_bytes_and_what_has_arrived_stays() {
    for size in SIZES {
        let (session, registry) = push(size, &[("retry-after", "1")], |_| None);
        assert_eq!(session.code, Some(0), "{session}");
        assert_eq!(session.fault_of_checklist(), None, "{size:?}: {session}");
        let lines = || session.frames.iter().flat_map(|frame| &frame.lines);
        let bar = lines().find(|line| is_bar(line) && line.text.contains(PART));
        let bar = &bar.unwrap_or_else(|| panic!("{size:?} has no bar:\n{session}")).text;
        // What a terminal shows of a Ctrl-C fits beside it.
        let columns = usize::from(size.0);
        let widest = lines().filter(|line| is_bar(line)).map(|line| line.text.width()).max();
        assert!(widest <= Some(columns - 3), "{size:?}: {bar:?}");
        assert_eq!(bar.contains("/s "), columns >= 70, "{size:?}: {bar:?}");

        let last = session.last();
        assert!(!last.lines.iter().any(is_bar), "{session}");
        let pushed = format!("{} is pushed", registry.image("team/app:1"));
        let mounted = " is taken from the base's repository (";
        let stays = [
            "✔ layer ",
            mounted,
            "✔ layer ",
            mounted,
            "✔ new layer ",
            " is sent (",
            &pushed,
        ];
        in_order(&last.joined(), &stays, &session);
        // The name is for copying: it is whole, in as many rows as it needs.
        let digest = kubectl_flink::testing::Digest::of(whole(&registry, "team/app", "1").to_string().as_bytes());
        let rows: String = last.lines.iter().map(|line| line.text.as_str()).collect();
        assert!(
            rows.ends_with(&registry.image(&format!("team/app@{digest}"))),
            "{session}"
        );
    }
}

#[test]
fn a_create_shows_its_push() {
    for size in SIZES {
        let (sandbox, registry) = place(2);
        accepts_demo(&sandbox.server);
        slow(&registry, &[("retry-after", "1")]);
        let (base, target) = (registry.image("flink:2.3.0"), registry.image("team/app"));
        let words = [
            "create",
            "demo",
            "--no-wait",
            "--image",
            &base,
            "--jar",
            "app.jar",
            "--push-to",
            &target,
        ];
        let session = sandbox.run_on_screen(&words, size, |_| None);
        assert_eq!(session.code, Some(0), "{size:?}: {session}");
        assert_eq!(session.fault_of_checklist(), None, "{size:?}: {session}");
        let mut lines = session.frames.iter().flat_map(|frame| &frame.lines);
        assert!(
            lines.any(|line| is_bar(line) && line.text.contains(PART)),
            "{size:?}: {session}"
        );
        assert!(!session.last().lines.iter().any(is_bar), "{size:?}: {session}");
        let stays = ["✔ new layer ", " is sent (", " is pushed", "cluster/demo created"];
        in_order(&session.last().joined(), &stays, &session);
    }
}

#[test]
fn an_interrupted_push_leaves_no_bar() {
    for size in SIZES {
        let mut is_pressed = false;
        let press = |frame: &Frame| {
            let is_there = frame.lines.iter().any(|line| is_bar(line) && line.text.contains(PART));
            (is_there && !std::mem::replace(&mut is_pressed, true)).then_some(INTERRUPT)
        };
        let (session, registry) = push(size, &[("retry-after", "30")], press);
        assert_eq!(session.code, Some(130), "{size:?}: {session}");
        assert_eq!(session.fault_of_checklist(), None, "{size:?}: {session}");
        let text = session.last().joined();
        in_order(&text, &["✔ layer ", "✔ layer "], &session);
        for stale in ["new layer", "KiB/", "^C"] {
            assert!(!text.contains(stale), "{size:?}: {stale} is left:\n{session}");
        }
        assert_eq!(registry.tags("team/app"), Vec::<String>::new(), "{session}");
    }
}
