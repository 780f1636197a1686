//! Lines of many containers, sorted by time.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::batch::Batch;
use super::{ContainerLine, LineOrigin, Source};
use crate::error::{Error, Result};

/// How long a line waits for earlier lines of containers that are silent at the moment.
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// How long the first lines wait for those of other containers.
const BEGINNING: Duration = Duration::from_secs(2);
/// Maximum length of the lines that are returned together.
const ROUND: usize = 64 << 10;

/// The lines, sorted by time.
pub(crate) struct Interleaved {
    heads: Vec<Head>,
    /// Number of containers so far.
    count: usize,
    begun: Instant,
    /// Containers that are added later; `None`: there will be none.
    fresh: Option<mpsc::UnboundedReceiver<Source>>,
    watched: Option<JoinHandle<Result<()>>>,
    /// The readers, if no watch owns them. They end with this value.
    tasks: JoinSet<Result<()>>,
}

struct Head {
    number: usize,
    origin: LineOrigin,
    batches: mpsc::Receiver<Batch>,
    batch: Batch,
    silent: bool,
    ended: bool,
}

impl Interleaved {
    /// Logs that are not followed: each line waits until no earlier one can arrive.
    pub(super) fn once(sources: Vec<Source>, tasks: JoinSet<Result<()>>) -> Self {
        let mut lines = Self {
            heads: Vec::new(),
            count: 0,
            begun: Instant::now(),
            fresh: None,
            watched: None,
            tasks,
        };
        for source in sources {
            lines.add(source);
        }
        lines
    }

    /// Followed logs, of containers that `watched` sends.
    pub(super) fn following(
        sources: Vec<Source>,
        fresh: mpsc::UnboundedReceiver<Source>,
        watched: JoinHandle<Result<()>>,
    ) -> Self {
        Self {
            fresh: Some(fresh),
            watched: Some(watched),
            ..Self::once(sources, JoinSet::new())
        }
    }

    fn add(&mut self, source: Source) {
        self.heads.push(Head {
            number: self.count,
            origin: source.origin,
            batches: source.batches,
            batch: Batch::default(),
            silent: true,
            ended: false,
        });
        self.count += 1;
    }

    /// Waits for lines, and passes those that are due to `print`: enough of them that a write is worthwhile. `false`:
    /// there will be no more.
    ///
    /// # Errors
    /// When Pods cannot be watched, or the API server no longer accepts the credentials. The lines before are valid.
    pub(crate) async fn next(&mut self, print: &mut dyn FnMut(ContainerLine<'_>)) -> Result<bool> {
        let mut printed = 0;
        loop {
            let following = self.fresh.is_some();
            if !following && let Some(watched) = self.watched.take() {
                watched
                    .await
                    .map_err(|error| Error::failure("the watch of Pods broke off").because(error))??;
            }
            let first = self.earliest();
            let whole = self.heads.iter().all(|head| head.batch.next_at().is_some());
            let due = first.as_ref().map(|first| self.due(first.place));
            match &first {
                Some(first) if whole || following && due.is_some_and(|due| due <= Instant::now()) => {
                    printed += self.print(first, print);
                    if printed >= ROUND {
                        return Ok(true);
                    }
                    // Without waiting: more lines of the same container may be available already.
                    let _ = poll_fn(|context| Poll::Ready(self.poll_change(context))).await;
                    continue;
                }
                _ if printed > 0 => return Ok(true),
                None if self.heads.is_empty() && !following => {
                    while let Some(read) = self.tasks.join_next().await {
                        read.unwrap_or(Ok(()))?;
                    }
                    return Ok(false);
                }
                _ => {}
            }
            let change = poll_fn(|context| self.poll_change(context));
            match due.filter(|_| following) {
                // Then the line is due, even if others are missing.
                Some(due) => drop(tokio::time::timeout_at(due, change).await),
                None => change.await,
            }
        }
    }

    /// Takes what has arrived; ready if anything has.
    fn poll_change(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut changed = false;
        while let Some(fresh) = &mut self.fresh {
            match fresh.poll_recv(context) {
                Poll::Ready(Some(source)) => self.add(source),
                Poll::Ready(None) => self.fresh = None,
                Poll::Pending => break,
            }
            changed = true;
        }
        for head in self.heads.iter_mut().filter(|head| head.batch.next_at().is_none()) {
            if let Poll::Ready(sent) = head.batches.poll_recv(context) {
                head.ended = sent.is_none();
                head.batch = sent.unwrap_or_default();
                head.silent = false;
                changed = true;
            }
        }
        self.heads.retain(|head| !head.ended);
        if changed { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The container with the earliest line, and the time and index of the next line of another one. Of equal ones the
    /// first.
    fn earliest(&self) -> Option<Earliest> {
        let mut found: Option<Earliest> = None;
        for (place, head) in self.heads.iter().enumerate() {
            let Some(at) = head.batch.next_at() else { continue };
            let this = (at, place);
            match &mut found {
                Some(found) if this > (found.at, found.place) => {
                    found.second = Some(found.second.map_or(this, |second| second.min(this)));
                }
                earlier => {
                    let second = earlier.as_ref().map(|found| (found.at, found.place));
                    *earlier = Some(Earliest { place, at, second });
                }
            }
        }
        found
    }

    fn due(&self, place: usize) -> Instant {
        let due = self.heads[place].batch.came + LONGEST_WAIT;
        // At first each container must send its past lines.
        if self.heads.iter().any(|head| head.silent) {
            due.max(self.begun + BEGINNING)
        } else {
            due
        }
    }

    /// Returns lines of one container up to those of another, or to the end of the batch; the result is their length.
    fn print(&mut self, first: &Earliest, print: &mut dyn FnMut(ContainerLine<'_>)) -> usize {
        let head = &mut self.heads[first.place];
        let mut printed = 0;
        while head
            .batch
            .next_at()
            .is_some_and(|at| first.second.is_none_or(|second| (at, first.place) < second))
            && let Some(line) = head.batch.next()
        {
            printed += line.text.len() + 1;
            print(ContainerLine {
                source: head.number,
                origin: &head.origin,
                line,
            });
        }
        printed
    }
}

/// The index of the container whose line is before all others.
struct Earliest {
    place: usize,
    at: Timestamp,
    second: Option<(Timestamp, usize)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::log_lines::LogLine;

    fn source(label: &str) -> (mpsc::Sender<Batch>, Source) {
        let (send, batches) = mpsc::channel(8);
        let origin = LineOrigin {
            label: label.to_owned(),
            ..LineOrigin::default()
        };
        (send, Source { origin, batches })
    }

    /// A batch of lines with these times, which they say.
    fn sent(seconds: &[i64]) -> Batch {
        let mut batch = Batch::default();
        for second in seconds {
            let at = Timestamp::from_second(*second).unwrap();
            let text = second.to_string();
            batch.push(LogLine { at, text: &text });
        }
        batch
    }

    async fn texts(mut lines: Interleaved) -> String {
        let mut all = String::new();
        let mut print =
            |printed: ContainerLine<'_>| all = format!("{all} {}{}", printed.origin.label, printed.line.text);
        while lines.next(&mut print).await.unwrap() {}
        all
    }

    #[tokio::test]
    async fn lines_come_in_the_order_of_their_times() {
        let ((a, first), (b, second)) = (source("a"), source("b"));
        a.send(sent(&[1])).await.unwrap();
        a.send(sent(&[4, 5, 5, 7])).await.unwrap();
        b.send(sent(&[2, 3, 5, 6])).await.unwrap();
        b.send(sent(&[8])).await.unwrap();
        drop((a, b));
        let lines = Interleaved::once(vec![first, second], JoinSet::new());
        assert_eq!(texts(lines).await, " a1 b2 b3 a4 a5 a5 b5 b6 a7 b8");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_container_does_not_hold_up_the_others() {
        let ((a, first), (b, second)) = (source("a"), source("b"));
        let (send, fresh) = mpsc::unbounded_channel();
        let mut lines = Interleaved::following(vec![first, second], fresh, tokio::spawn(async { Ok(()) }));
        a.send(sent(&[5, 6])).await.unwrap();
        let mut printed = Vec::new();
        let mut print = |line: ContainerLine<'_>| printed.push((line.source, line.line.text.to_owned()));
        assert!(lines.next(&mut print).await.unwrap());
        assert_eq!(printed, [(0, "5".to_owned()), (0, "6".to_owned())]);
        // One that comes later is read too, and the end is the end of all.
        let (c, third) = source("c");
        send.send(third).map_err(drop).unwrap();
        c.send(sent(&[7])).await.unwrap();
        drop((a, b, c, send));
        assert_eq!(texts(lines).await, " c7");
    }
}
