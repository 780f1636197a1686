//! Lines of many containers in the order of their times.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::{Sent, Source, Told};
use crate::error::{Error, Result};

/// How long a line waits for earlier ones of containers that are silent just now.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long the first lines wait for those of other containers.
const BEGINNING: Duration = Duration::from_secs(2);

/// The lines, in the order of their times.
pub struct Interleaved {
    heads: Vec<Head>,
    begun: Instant,
    /// Containers that come later; none: there will be none.
    fresh: Option<mpsc::UnboundedReceiver<Source>>,
    watched: Option<JoinHandle<Result<()>>>,
    /// The readers end with this.
    _tasks: JoinSet<()>,
}

struct Head {
    label: Rc<str>,
    lines: mpsc::Receiver<Sent>,
    next: Option<Sent>,
    silent: bool,
    ended: bool,
}

impl From<Source> for Head {
    fn from(source: Source) -> Self {
        Self {
            label: source.label.into(),
            lines: source.lines,
            next: None,
            silent: true,
            ended: false,
        }
    }
}

impl Interleaved {
    /// Logs as they are: each line waits until no earlier one can come.
    pub(super) fn once(sources: Vec<Source>, tasks: JoinSet<()>) -> Self {
        Self {
            heads: sources.into_iter().map(Head::from).collect(),
            begun: Instant::now(),
            fresh: None,
            watched: None,
            _tasks: tasks,
        }
    }

    /// Logs that go on, of containers that `watched` sends.
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

    /// The next line; `None` when there will be no more.
    ///
    /// # Errors
    /// When Pods cannot be watched.
    pub async fn next(&mut self) -> Result<Option<Told>> {
        loop {
            let following = self.fresh.is_some();
            if !following && let Some(watched) = self.watched.take() {
                watched
                    .await
                    .map_err(|error| Error::failure(format!("the watch of Pods broke off: {error}")))??;
            }
            let due = self.earliest().map(|place| self.due(place));
            let whole = self.heads.iter().all(|head| head.next.is_some());
            match due {
                Some(_) if whole => return Ok(self.take()),
                Some(due) if following && due <= Instant::now() => return Ok(self.take()),
                None if self.heads.is_empty() && !following => return Ok(None),
                _ => {}
            }
            let change = poll_fn(|context| self.poll_change(context));
            match due.filter(|_| following) {
                // The line is due then, whatever did not come.
                Some(due) => drop(tokio::time::timeout_at(due, change).await),
                None => change.await,
            }
        }
    }

    /// Takes in what has come; ready if that is anything.
    fn poll_change(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut changed = false;
        while let Some(fresh) = &mut self.fresh {
            match fresh.poll_recv(context) {
                Poll::Ready(Some(source)) => self.heads.push(source.into()),
                Poll::Ready(None) => self.fresh = None,
                Poll::Pending => break,
            }
            changed = true;
        }
        for head in self.heads.iter_mut().filter(|head| head.next.is_none()) {
            if let Poll::Ready(sent) = head.lines.poll_recv(context) {
                head.ended = sent.is_none();
                head.next = sent;
                head.silent = false;
                changed = true;
            }
        }
        self.heads.retain(|head| !head.ended);
        if changed { Poll::Ready(()) } else { Poll::Pending }
    }

    fn earliest(&self) -> Option<usize> {
        let heads = self.heads.iter().enumerate();
        heads
            .filter_map(|(place, head)| Some((place, head.next.as_ref()?.line.at)))
            .min_by_key(|(_, at)| *at)
            .map(|(place, _)| place)
    }

    fn due(&self, place: usize) -> Instant {
        let next = self.heads[place].next.as_ref();
        let due = next.map_or_else(Instant::now, |sent| sent.came + PATIENCE);
        // At the beginning each container has its past to tell first.
        if self.heads.iter().any(|head| head.silent) {
            due.max(self.begun + BEGINNING)
        } else {
            due
        }
    }

    fn take(&mut self) -> Option<Told> {
        let place = self.earliest()?;
        let head = &mut self.heads[place];
        Some(Told {
            label: Rc::clone(&head.label),
            line: head.next.take()?.line,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::logs::Line;

    fn source(label: &str) -> (mpsc::Sender<Sent>, Source) {
        let (send, lines) = mpsc::channel(8);
        let label = label.to_owned();
        (send, Source { label, lines })
    }

    fn sent(second: i64) -> Sent {
        let at = k8s_openapi::jiff::Timestamp::from_second(second).unwrap();
        let line = Line {
            at,
            text: second.to_string(),
        };
        Sent {
            line,
            came: Instant::now(),
        }
    }

    async fn texts(mut lines: Interleaved) -> String {
        let mut all = String::new();
        while let Some(told) = lines.next().await.unwrap() {
            all = format!("{all} {}{}", told.label, told.line.text);
        }
        all
    }

    #[tokio::test]
    async fn lines_come_in_the_order_of_their_times() {
        let ((a, first), (b, second)) = (source("a"), source("b"));
        for at in [1, 4, 5] {
            a.send(sent(at)).await.unwrap();
        }
        for at in [2, 3, 6] {
            b.send(sent(at)).await.unwrap();
        }
        drop((a, b));
        let lines = Interleaved::once(vec![first, second], JoinSet::new());
        assert_eq!(texts(lines).await, " a1 b2 b3 a4 a5 b6");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_container_does_not_hold_up_the_others() {
        let ((a, first), (b, second)) = (source("a"), source("b"));
        let (send, fresh) = mpsc::unbounded_channel();
        let mut lines = Interleaved::following(vec![first, second], fresh, tokio::spawn(async { Ok(()) }));
        a.send(sent(5)).await.unwrap();
        let told = lines.next().await.unwrap().unwrap();
        assert_eq!(told.line.text, "5");
        // One that comes later is read too, and the end is the end of all.
        let (c, third) = source("c");
        send.send(third).map_err(drop).unwrap();
        c.send(sent(7)).await.unwrap();
        drop((a, b, c, send));
        assert_eq!(texts(lines).await, " c7");
    }
}
