//! Flame graphs: how often which stack of frames was seen in samples of threads.

/// Deepest stack that is kept. Flink keeps 100 frames by default (`rest.flamegraph.stack-depth`).
const DEEPEST: usize = 512;
/// Starts of classes that are not the user's.
const LIBRARIES: &[&str] = &[
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "com.sun.",
    "scala.",
    "org.apache.flink.",
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// `CLASS.METHOD:LINE`.
    pub(crate) name: String,
    pub(crate) samples: u64,
    pub(crate) children: Vec<Frame>,
}

/// The answer of `GET /jobs/:id/vertices/:id/flamegraph`. Source: `VertexFlameGraph`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The first samples are being taken.
    Waiting,
    Ended,
    /// `rest.flamegraph.enabled` is off.
    Disabled,
    /// Samples, and the milliseconds since 1970 when they were complete.
    Taken(i64, Frame),
}

/// Reads the answer; `None`: it is none.
///
/// Frames are nested as deep as stacks are, deeper than serde reads.
pub(crate) fn parse(text: &str) -> Option<Answer> {
    let mut open: Vec<Frame> = Vec::new();
    let (mut key, mut end, mut whole) = (None, None, None);
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '{' => open.push(Frame::default()),
            '}' => {
                let frame = open.pop()?;
                let is_shallow = open.len() <= DEEPEST;
                match open.last_mut() {
                    Some(parent) if is_shallow => parent.children.push(frame),
                    Some(_) => {}
                    None => whole = Some(frame),
                }
            }
            '"' => {
                length = string_length(rest)?;
                let text: String = serde_json::from_str(&rest[..length]).ok()?;
                if rest[length..].trim_start().starts_with(':') {
                    key = Some(text);
                } else if key.take().as_deref() == Some("name") {
                    open.last_mut()?.name = text;
                }
            }
            '-' | '0'..='9' => {
                length = rest.find([',', '}', ']']).unwrap_or(rest.len());
                let number: i64 = rest[..length].trim().parse().ok()?;
                match key.take().as_deref() {
                    Some("value") => open.last_mut()?.samples = u64::try_from(number).ok()?,
                    Some("endTimestamp") => end = Some(number),
                    _ => {}
                }
            }
            _ => {}
        }
        rest = &rest[length..];
    }
    let root = whole?.children.pop();
    Some(match (end?, root) {
        (-1, _) => Answer::Ended,
        (-2, _) => Answer::Disabled,
        (at, Some(root)) if at >= 0 => Answer::Taken(at, root),
        _ => Answer::Waiting,
    })
}

/// Length of the JSON string with which `text` begins.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text[1..].bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(end + 2)
}

/// What runs a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameOrigin {
    /// The job, or a library of it.
    User,
    Flink,
    Java,
}

impl Frame {
    pub(crate) fn origin(&self) -> FrameOrigin {
        if self.name.starts_with("org.apache.flink.") {
            FrameOrigin::Flink
        } else if LIBRARIES.iter().any(|library| self.name.starts_with(library)) {
            FrameOrigin::Java
        } else {
            FrameOrigin::User
        }
    }

    /// Number of samples in which it called no other frame.
    pub(crate) fn own_samples(&self) -> u64 {
        let children: u64 = self.children.iter().map(|child| child.samples).sum();
        self.samples.saturating_sub(children)
    }

    /// The name with short packages: `o.a.f.s.runtime.Task.run:1` is `o.a.f.s.r.Task.run:1`.
    pub(crate) fn short_name(&self) -> String {
        let words: Vec<&str> = self.name.split('.').collect();
        let packages = words.len().saturating_sub(2);
        let short = |(at, word): (usize, &&str)| {
            let is_package = at < packages && word.starts_with(|c: char| c.is_ascii_lowercase());
            let length = if is_package { 1 } else { word.len() };
            word[..length].to_owned()
        };
        words.iter().enumerate().map(short).collect::<Vec<_>>().join(".")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) depth: usize,
    pub(crate) frame: &'a Frame,
    /// Number of frames before it that are left out: each called the next one, and nothing else.
    pub(crate) left_out: usize,
}

pub(crate) fn hottest(root: &Frame, most: usize) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    add(&root.children, 0, root.samples.div_ceil(100), &mut lines);
    if lines.len() > most && most > 0 {
        // A frame has at least as many samples as what it calls: each line keeps those above it.
        let mut samples: Vec<u64> = lines.iter().map(|line| line.frame.samples).collect();
        samples.sort_unstable_by(|one, other| other.cmp(one));
        let least = samples[most - 1];
        lines.retain(|line| line.frame.samples >= least);
        lines.truncate(most);
    }
    lines
}

fn add<'a>(frames: &'a [Frame], depth: usize, least: u64, lines: &mut Vec<Line<'a>>) {
    let mut sorted: Vec<&Frame> = frames.iter().filter(|frame| frame.samples >= least).collect();
    sorted.sort_by(|one, other| other.samples.cmp(&one.samples).then_with(|| one.name.cmp(&other.name)));
    for first in sorted {
        let (mut frame, mut left_out) = (first, 0);
        while let [only] = frame.children.as_slice()
            && only.samples == frame.samples
            && frame.origin() != FrameOrigin::User
        {
            frame = only;
            left_out += 1;
        }
        lines.push(Line { depth, frame, left_out });
        add(&frame.children, depth + 1, least, lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: &str, samples: u64, children: Vec<Frame>) -> Frame {
        Frame {
            name: name.to_owned(),
            samples,
            children,
        }
    }

    #[test]
    fn answers_of_flink_are_read_at_any_depth() {
        for (text, want) in [
            ("{\"endTimestamp\":-3}", Some(Answer::Waiting)),
            ("{\"endTimestamp\": -1, \"data\": null}", Some(Answer::Ended)),
            ("{\"endTimestamp\":-2}", Some(Answer::Disabled)),
            ("{\"endTimestamp\":5", None),
            ("no answer", None),
            (
                "{\"endTimestamp\":5,\"data\":{\"name\":\"root\",\"value\":2,\"children\":[{\"name\":\"a \\\"}{\",\"value\":1,\"children\":[]}]}}",
                Some(Answer::Taken(5, frame("root", 2, vec![frame("a \"}{", 1, Vec::new())]))),
            ),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
        let deep = 3000;
        let text = format!(
            "{{\"endTimestamp\":5,\"data\":{}{}}}",
            "{\"name\":\"f\",\"value\":1,\"children\":[".repeat(deep),
            "]}".repeat(deep)
        );
        let Some(Answer::Taken(_, root)) = parse(&text) else {
            panic!("not read")
        };
        let (mut depth, mut at) = (0, &root);
        while let [only] = at.children.as_slice() {
            (depth, at) = (depth + 1, only);
        }
        assert_eq!(depth, DEEPEST - 1);
    }

    #[test]
    fn the_hottest_frames_are_a_tree_without_what_only_hands_on() {
        let run = |children| {
            frame(
                "java.lang.Thread.run:1",
                100,
                vec![frame("org.apache.flink.Task.run:2", 100, children)],
            )
        };
        let root = frame(
            "root",
            100,
            vec![run(vec![
                frame("org.apache.flink.Wait.park:3", 30, Vec::new()),
                frame("my.Job.map:4", 69, vec![frame("java.util.Map.get:5", 69, Vec::new())]),
                frame("a.b.C.rare:6", 0, Vec::new()),
            ])],
        );
        let shown = |most| -> Vec<(usize, String, u64, usize)> {
            let line = |line: Line| {
                (
                    line.depth,
                    line.frame.short_name(),
                    line.frame.own_samples(),
                    line.left_out,
                )
            };
            hottest(&root, most).into_iter().map(line).collect()
        };
        let want = [
            (0, "o.a.f.Task.run:2".to_owned(), 1, 1),
            (1, "m.Job.map:4".to_owned(), 0, 0),
            (2, "j.u.Map.get:5".to_owned(), 69, 0),
            (1, "o.a.f.Wait.park:3".to_owned(), 30, 0),
        ];
        assert_eq!(shown(10), want);
        assert_eq!(shown(3), want[..3]);
        assert_eq!(root.children[0].children[0].children[1].origin(), FrameOrigin::User);
    }
}
