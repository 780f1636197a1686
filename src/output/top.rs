//! The screens of `top`.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::keys;
use super::status::{self, VERTEX_COLUMNS};
use super::table::state_style;
use super::terminal::{self, MARK, WARN, clean, in_one_line};
use crate::model::age::{age, time};
use crate::model::flink::live::{Reach, Snapshot, in_words};
use crate::model::flink::overview::JobState;
use crate::model::listing::{Inventory, Key};
use crate::model::usage::{Usage, Usages, of_cluster};
use crate::operations::top::LiveView;
use crate::output::{charts, table_within};

/// Rows of the head, the headers, an error, the note about lines that do not fit, and the cursor.
const AROUND: usize = 6;
/// Columns by which clusters are sorted, in the order of the key `s`.
const SORTS: [&str; 6] = ["NAME", "CPU", "MEMORY", "RESTARTS", "TOOK", "STATE"];
/// Columns that go where a terminal is too narrow, the least important first.
const OPTIONAL: &[&str] = &[
    "STATE",
    "TOOK",
    "RESTARTS",
    "CHECKPOINT",
    "TASKS",
    "NAMESPACE",
    "STATUS",
];

/// What the user chose with keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopView {
    sort: usize,
    /// Only clusters whose name contains this.
    filter: String,
    typing: bool,
    selected: usize,
    shown: Vec<Key>,
    /// Whether clusters of all namespaces are shown.
    everywhere: bool,
    /// The cluster whose vertices are shown.
    pub(crate) opened: Option<Key>,
}

impl TopView {
    pub(crate) fn of(opened: Option<Key>, everywhere: bool) -> Self {
        Self {
            everywhere,
            opened,
            ..Self::default()
        }
    }

    /// Takes a key; `false`: the screen is to be left.
    pub(crate) fn press(&mut self, key: keys::Key) -> bool {
        match (self.typing, key) {
            (true, keys::Key::Char(c)) => self.filter.push(c),
            (true, keys::Key::Backspace) => drop(self.filter.pop()),
            (true, keys::Key::Enter) => self.typing = false,
            (true, keys::Key::Escape) => {
                self.typing = false;
                self.filter.clear();
            }
            (false, keys::Key::Char('q')) => return false,
            (false, keys::Key::Escape | keys::Key::Backspace) if self.opened.is_some() => self.opened = None,
            (false, keys::Key::Escape) => self.filter.clear(),
            (false, keys::Key::Char('s')) => self.sort = (self.sort + 1) % SORTS.len(),
            (false, keys::Key::Char('/')) => self.typing = true,
            (false, keys::Key::Up | keys::Key::Char('k')) => self.selected = self.selected.saturating_sub(1),
            (false, keys::Key::Down | keys::Key::Char('j')) => self.selected += 1,
            (false, keys::Key::Enter) if self.opened.is_none() => self.opened = self.shown.get(self.selected).cloned(),
            _ => {}
        }
        self.selected = self.selected.min(self.shown.len().saturating_sub(1));
        true
    }

    /// The two lines above the table.
    pub(crate) fn head(&self, context: &str, interval: Duration, width: Option<usize>, now: Timestamp) -> String {
        let keys = if self.typing {
            format!("filter: {}_", self.filter)
        } else if self.opened.is_some() {
            "q quit, Esc back".to_owned()
        } else {
            let filter = if self.filter.is_empty() {
                "/ filter".to_owned()
            } else {
                format!("/ filter: {}", self.filter)
            };
            format!("q quit, s sort: {}, {filter}, Enter vertices", SORTS[self.sort])
        };
        let heading = keys::heading(context, interval, &keys, width, now);
        let gap = if heading.lines().count() == 1 { "\n" } else { "" };
        heading + gap
    }
}

/// The screen; `head` is the context and the time between two looks, if it is drawn in place.
pub(crate) fn screen(
    look: &LiveView,
    used: Option<&Usages>,
    view: &mut TopView,
    head: Option<(&str, Duration)>,
    now: Timestamp,
) -> String {
    let width = terminal::width();
    let text = match look {
        LiveView::All(inventory, snapshots) => clusters(inventory, snapshots, used, (view, width), now),
        LiveView::One(key, snapshot) => cluster(key, snapshot, used, width),
    };
    let Some((context, interval)) = head else {
        return text;
    };
    let text = match look {
        LiveView::All(..) => marked(&text, view, terminal::rows()),
        LiveView::One(..) => text,
    };
    view.head(context, interval, width, now) + &text
}

/// All clusters, one a line; on a terminal of `width` columns as `view` says.
#[allow(clippy::cast_precision_loss)]
fn clusters(
    inventory: &Inventory,
    snapshots: &BTreeMap<Key, Snapshot>,
    usages: Option<&Usages>,
    (view, width): (&mut TopView, Option<usize>),
    now: Timestamp,
) -> String {
    let dash = || "-".to_owned();
    // A script counts columns; people see none of what no server measures.
    let measured = usages.is_some() || width.is_none();
    let mut rows: Vec<(&Key, f64, Vec<String>)> = Vec::new();
    for (key, parts) in inventory.iter().filter(|(key, _)| key.name.contains(&view.filter)) {
        let snapshot = snapshots.get(key);
        let job = snapshot.and_then(|snapshot| snapshot.job.as_ref());
        let last = snapshot.and_then(Snapshot::last_checkpoint);
        let state = match (job, snapshot.map(|snapshot| &snapshot.reach)) {
            (Some(job), _) => {
                let others = snapshot.into_iter().flat_map(|snapshot| &snapshot.others);
                job.state.to_string() + &in_words(others.map(|job| &job.state))
            }
            (None, Some(Reach::Answered)) => "no job".to_owned(),
            (None, Some(_)) => "no answer".to_owned(),
            (None, None) => dash(),
        };
        let used = usages.and_then(|usages| of_cluster(usages, &key.namespace, &key.name));
        let restarts = snapshot.and_then(|snapshot| snapshot.restarts);
        let took = last.and_then(|last| last.end_to_end_duration);
        let size = last.and_then(|last| last.state_size);
        let by = match SORTS[view.sort] {
            "CPU" => used.map(|used| used.cpu_millis),
            "MEMORY" => used.map(|used| used.memory_bytes),
            "RESTARTS" => restarts,
            "TOOK" => took,
            "STATE" => size,
            _ => None,
        };
        let [cpu, memory] = usage(used);
        let mut row = vec![
            key.name.clone(),
            parts.status(now).to_string(),
            state,
            job.map_or_else(dash, |job| format!("{}/{}", job.tasks.running, job.tasks.total)),
            restarts.map_or_else(dash, |times| times.to_string()),
            last.and_then(|last| time(last.latest_ack_timestamp))
                .map_or_else(dash, |at| age(at, now)),
            took.map_or_else(dash, charts::millis),
            charts::bytes(size.map(|size| size as f64)),
        ];
        if view.everywhere {
            row.insert(0, key.namespace.clone());
        }
        if measured {
            row.extend([cpu, memory]);
        }
        rows.push((key, by.map_or(-1.0, |by| by as f64), row));
    }
    // The largest first; what is equal stays in the order of names.
    rows.sort_by(|one, other| other.1.total_cmp(&one.1));
    view.shown = rows.iter().map(|(key, ..)| (*key).clone()).collect();
    let headers = "NAMESPACE NAME STATUS JOB TASKS RESTARTS CHECKPOINT TOOK STATE CPU MEMORY";
    let headers: Vec<&str> = headers.split(' ').collect();
    let (first, end) = (usize::from(!view.everywhere), if measured { headers.len() } else { 9 });
    table_within(
        width,
        &headers[first..end],
        OPTIONAL,
        rows.into_iter().map(|(.., row)| row),
    )
}

/// The table with a mark on the selected line. Of a table that is higher than a terminal of `rows` rows those above go, so
/// that it is seen.
fn marked(table: &str, view: &TopView, rows: usize) -> String {
    let room = rows.saturating_sub(AROUND).max(1);
    let above = (view.selected + 1).saturating_sub(room);
    let mark = |(index, line): (usize, &str)| {
        if index == view.selected + 1 {
            let line = anstream::adapter::strip_str(line);
            format!("{MARK}{line}{MARK:#}\n")
        } else {
            format!("{line}\n")
        }
    };
    let lines = table.lines().enumerate();
    lines
        .filter(|(index, _)| *index == 0 || *index > above)
        .map(mark)
        .collect()
}

#[allow(clippy::cast_precision_loss)]
fn usage(usage: Option<Usage>) -> [String; 2] {
    match usage {
        None => ["-".to_owned(), "-".to_owned()],
        Some(usage) => [
            format!("{}m", usage.cpu_millis),
            charts::bytes(Some(usage.memory_bytes as f64)),
        ],
    }
}

fn cluster(key: &Key, snapshot: &Snapshot, usages: Option<&Usages>, width: Option<usize>) -> String {
    let name = clean(&key.name);
    let mut out = match (&snapshot.job, &snapshot.reach) {
        (Some(job), _) => {
            let state = clean(&job.state.to_string());
            let style = match job.state {
                JobState::Running if job.tasks.running < job.tasks.total => WARN,
                _ => state_style(&state),
            };
            let others = snapshot.other_jobs();
            let others: String = status::other_jobs(&others).map(|line| line + "\n").collect();
            format!(
                "{name}: {} {style}{state}{style:#}, {} of {} tasks run\n{others}\n",
                in_one_line(&job.name),
                job.tasks.running,
                job.tasks.total
            )
        }
        (None, Reach::Answered) => format!("{name}: no job\n"),
        (None, _) => format!("{name}: {WARN}Flink does not answer{WARN:#}\n"),
    };
    if let Some(width) = width {
        out = out
            .lines()
            .map(|line| terminal::cut(line, width).into_owned() + "\n")
            .collect();
    }
    if !snapshot.vertices.is_empty() {
        let rows = snapshot.vertices.iter().map(|vertex| {
            let rates = vertex.rates;
            vec![
                status::vertex_name(&vertex.name, width),
                vertex.parallelism.to_string(),
                charts::percent(rates.busy),
                charts::percent(rates.backpressured),
                charts::count(rates.records_in),
                charts::count(rates.records_out),
                charts::bytes(rates.bytes_in),
                charts::bytes(rates.bytes_out),
                charts::count(rates.pending),
            ]
        });
        let headers = [&VERTEX_COLUMNS[..], &["LAG"]].concat();
        out.push_str(&table_within(width, &headers, status::OPTIONAL, rows));
    }
    if let Some(last) = snapshot.last_checkpoint() {
        let took = last.end_to_end_duration.map_or_else(|| "-".to_owned(), charts::millis);
        out = format!("{out}\nlast checkpoint took {took}\n");
    }
    let own = usages.into_iter().flatten();
    let pods: Vec<_> = own
        .filter(|((namespace, app, _), _)| *namespace == key.namespace && *app == key.name)
        .map(|((_, _, pod), used)| {
            let [cpu, memory] = usage(Some(*used));
            vec![pod.clone(), cpu, memory]
        })
        .collect();
    if !pods.is_empty() {
        out.push('\n');
        out.push_str(&table_within(width, &["POD", "CPU", "MEMORY"], &[], pods));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::listing::{Part, Parts, TaskManagers, Traits};

    fn key(name: &str) -> Key {
        Key {
            namespace: "ns".to_owned(),
            name: name.to_owned(),
        }
    }

    fn inventory(names: &[&str]) -> Inventory {
        let parts = || {
            let mut parts = Parts::default();
            parts.put(Part::TaskManagers(TaskManagers {
                traits: Traits::default(),
                ready: 1,
                desired: 1,
            }));
            parts
        };
        names.iter().map(|name| (key(name), parts())).collect()
    }

    fn usages(used: &[(&str, u64)]) -> Usages {
        let usage = |cpu_millis| Usage {
            cpu_millis,
            memory_bytes: 1 << 20,
        };
        let entry = |(name, cpu): &(&str, u64)| (("ns".to_owned(), (*name).to_owned(), "p".to_owned()), usage(*cpu));
        used.iter().map(entry).collect()
    }

    fn draw(inventory: &Inventory, usages: Option<&Usages>, view: &mut TopView, width: Option<usize>) -> String {
        clusters(
            inventory,
            &BTreeMap::new(),
            usages,
            (view, width),
            Timestamp::UNIX_EPOCH,
        )
    }

    fn names(view: &TopView) -> Vec<&str> {
        view.shown.iter().map(|key| key.name.as_str()).collect()
    }

    #[test]
    fn keys_sort_filter_and_open() {
        let (inventory, usages) = (inventory(&["a", "b", "bc"]), usages(&[("a", 1), ("b", 9), ("bc", 5)]));
        let mut view = TopView::default();
        let draw = |view: &mut TopView| draw(&inventory, Some(&usages), view, Some(80));
        draw(&mut view);
        assert_eq!(names(&view), ["a", "b", "bc"]);
        assert!(view.press(keys::Key::Char('s')));
        draw(&mut view);
        assert_eq!(names(&view), ["b", "bc", "a"]);
        for key in ['/', 'c', 'x'] {
            assert!(view.press(keys::Key::Char(key)));
        }
        assert!(view.press(keys::Key::Backspace));
        let head = view.head("here", Duration::from_secs(2), None, Timestamp::UNIX_EPOCH);
        assert!(head.contains("filter: c_"));
        assert!(view.press(keys::Key::Enter));
        draw(&mut view);
        assert_eq!(names(&view), ["bc"]);
        assert!(view.press(keys::Key::Enter));
        assert_eq!(view.opened, Some(key("bc")));
        assert!(view.press(keys::Key::Escape) && view.opened.is_none());
        assert!(!view.press(keys::Key::Char('q')));
    }

    /// As in `list`, and in kubectl.
    #[test]
    fn the_namespace_is_shown_where_there_are_several() {
        let inventory = inventory(&["a"]);
        for everywhere in [false, true] {
            let mut view = TopView::of(None, everywhere);
            let text = draw(&inventory, None, &mut view, None);
            assert_eq!(text.starts_with("NAMESPACE   NAME"), everywhere, "{text}");
            assert_eq!(text.contains("\nns "), everywhere, "{text}");
        }
    }

    #[test]
    fn the_selected_cluster_is_seen_on_a_low_terminal() {
        let names: Vec<String> = (100..200).map(|number| format!("c{number}")).collect();
        let inventory = inventory(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut view = TopView::default();
        let table = draw(&inventory, None, &mut view, Some(80));
        for (down, first) in [(0, "c100"), (17, "c100"), (50, "c133"), (200, "c182")] {
            view.selected = 0;
            for _ in 0..down {
                view.press(keys::Key::Down);
            }
            let text = marked(&table, &view, 24);
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines[0].contains("NAME") && lines[1].contains(first), "{down}: {text}");
            let at = lines.iter().position(|line| line.starts_with(&MARK.to_string()));
            assert!(at.is_some_and(|at| at <= 18), "{down}: {text}");
        }
    }

    #[test]
    fn cpu_and_memory_stay_where_they_are_measured() {
        let name = "a-cluster-with-a-name";
        let (inventory, usages) = (inventory(&[name]), usages(&[(name, 7)]));
        let print = |usages, width| {
            let mut view = TopView::default();
            let text = draw(&inventory, usages, &mut view, width);
            anstream::adapter::strip_str(text.lines().next().unwrap()).to_string()
        };
        let expected = "NAME                    JOB   TASKS   CPU   MEMORY";
        assert_eq!(print(Some(&usages), Some(52)), expected);
        // So does the job's state: a name is cut before that.
        assert_eq!(print(Some(&usages), Some(36)), "NAME             JOB   CPU   MEMORY");
        assert!(!print(None, Some(120)).contains("CPU"));
        // A script counts columns.
        assert!(print(None, None).ends_with("CPU   MEMORY"));
    }
}
