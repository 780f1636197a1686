//! Splits one answer into lines, collects them, and sends them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt};
use tokio::sync::mpsc::Sender;
use tokio::time::{Sleep, sleep};

use super::batch::Batch;
use super::reader::End;
use crate::model::log_lines::{LogPosition, Stamps};

/// Maximum length of a stored line, in bytes.
const MAX_LINE: usize = 1 << 20;
/// How long lines wait for others that arrive right after them.
const GATHER: Duration = Duration::from_millis(20);

/// The lines of one answer, on their way to the printer.
pub(super) struct Lines<'a> {
    place: &'a mut LogPosition,
    stamps: Stamps,
    /// The start of a line whose end has not arrived yet.
    begun: Vec<u8>,
    batch: Batch,
}

impl<'a> Lines<'a> {
    pub(super) fn new(place: &'a mut LogPosition) -> Self {
        Self {
            place,
            stamps: Stamps::default(),
            begun: Vec::new(),
            batch: Batch::default(),
        }
    }

    pub(super) async fn read<R: AsyncBufRead>(
        &mut self,
        mut answer: Pin<&mut R>,
        follow: bool,
        send: &Sender<Batch>,
    ) -> std::io::Result<End> {
        let mut pause = std::pin::pin!(sleep(GATHER));
        loop {
            let gathered = !self.batch.is_empty();
            if self.batch.is_full() || !ready(answer.as_mut(), gathered.then_some(pause.as_mut())).await? {
                if let Err(end) = self.send(send).await {
                    return Ok(end);
                }
                continue;
            }
            let read = answer.fill_buf().await?;
            if read.is_empty() {
                if self.begun.is_empty() {
                    return Ok(End::Whole);
                }
                // A followed log is read again from half a line; without following, an answer may end with one.
                if follow {
                    return Ok(End::Broken);
                }
                let begun = std::mem::take(&mut self.begun);
                self.line(&begun);
                return Ok(End::Whole);
            }
            let used = self.take(read);
            answer.consume_unpin(used);
            if !gathered && !self.batch.is_empty() {
                pause.as_mut().reset(self.batch.came + GATHER);
            }
        }
    }

    /// Takes lines from the bytes that were read, until the batch is full; returns how many bytes were used.
    fn take(&mut self, read: &[u8]) -> usize {
        let mut rest = read;
        while !rest.is_empty() && !self.batch.is_full() {
            let Some(end) = memchr::memchr(b'\n', rest) else {
                self.begin(rest);
                return read.len();
            };
            if self.begun.is_empty() {
                self.line(&rest[..end.min(MAX_LINE)]);
            } else {
                self.begin(&rest[..end]);
                let begun = std::mem::take(&mut self.begun);
                self.line(&begun);
            }
            rest = &rest[end + 1..];
        }
        read.len() - rest.len()
    }

    /// Stores the start of a line; more than [`MAX_LINE`] is cut.
    fn begin(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.begun.len()).min(bytes.len());
        self.begun.extend_from_slice(&bytes[..room]);
    }

    fn line(&mut self, raw: &[u8]) {
        let raw = String::from_utf8_lossy(raw);
        let line = self.stamps.parse(&raw, self.place.last());
        if self.place.admit(line) {
            self.batch.push(line);
        }
    }

    pub(super) async fn send(&mut self, send: &Sender<Batch>) -> Result<(), End> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        send.send(batch).await.map_err(|_| End::Unwanted)
    }
}

/// Waits until there is something to read; `false`: the time is up.
async fn ready<R: AsyncBufRead>(mut answer: Pin<&mut R>, mut pause: Option<Pin<&mut Sleep>>) -> std::io::Result<bool> {
    poll_fn(|context| match answer.as_mut().poll_fill_buf(context) {
        Poll::Ready(read) => Poll::Ready(read.map(|_| true)),
        Poll::Pending => match &mut pause {
            Some(pause) => pause.as_mut().poll(context).map(|()| Ok(false)),
            None => Poll::Pending,
        },
    })
    .await
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use tokio::sync::mpsc;

    use super::*;

    const AT: &str = "2026-01-01T10:00:00Z";

    /// Reads an answer that comes in pieces, and gives its lines and how it ended.
    async fn read(pieces: Vec<std::io::Result<Vec<u8>>>, follow: bool) -> (Vec<String>, std::io::Result<End>) {
        let (send, mut batches) = mpsc::channel(1);
        let answer = futures::stream::iter(pieces).into_async_read();
        let mut place = LogPosition::default();
        let reading = async {
            let mut lines = Lines::new(&mut place);
            let end = lines.read(std::pin::pin!(answer), follow, &send).await;
            lines.send(&send).await.unwrap();
            drop(send);
            end
        };
        let gathering = async {
            let mut found = Vec::new();
            while let Some(mut batch) = batches.recv().await {
                while let Some(line) = batch.next() {
                    found.push(line.text.to_owned());
                }
            }
            found
        };
        let (end, found) = futures::join!(reading, gathering);
        (found, end)
    }

    #[tokio::test]
    async fn lines_are_the_same_however_the_answer_is_cut() {
        let text = format!("{AT} a\n{AT} \n{AT} é\u{1f980}\nodd\n{AT} b\u{ff}\n").into_bytes();
        for length in 1..=text.len() {
            let pieces = text.chunks(length).map(|piece| Ok(piece.to_vec())).collect();
            let (lines, end) = read(pieces, true).await;
            assert_eq!(lines, ["a", "", "é\u{1f980}", "odd", "bÿ"], "{length}");
            assert_eq!(end.unwrap(), End::Whole);
        }
    }

    #[tokio::test]
    async fn many_lines_come_in_many_batches() {
        let count = 5000;
        let text: String = (0..count).map(|number| format!("{AT} {number}\n")).collect();
        let (lines, _) = read(vec![Ok(text.into_bytes())], false).await;
        assert_eq!(lines, (0..count).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn half_a_line_is_one_only_where_nothing_follows() {
        let pieces = || vec![Ok(format!("{AT} a\n{AT} b").into_bytes())];
        let (lines, end) = read(pieces(), false).await;
        let expected = (vec!["a".to_owned(), "b".to_owned()], End::Whole);
        assert_eq!((lines, end.unwrap()), expected);
        let (lines, end) = read(pieces(), true).await;
        assert_eq!((lines, end.unwrap()), (vec!["a".to_owned()], End::Broken));
    }

    #[tokio::test]
    async fn what_came_before_a_connection_broke_off_is_printed() {
        let broken = std::io::Error::other("reset");
        let (lines, end) = read(vec![Ok(format!("{AT} a\n{AT} b").into_bytes()), Err(broken)], true).await;
        assert_eq!(lines, ["a"]);
        assert_eq!(end.unwrap_err().to_string(), "reset");
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_cut_and_the_next_one_is_whole() {
        let piece = vec![b'x'; 1 << 16];
        let mut pieces: Vec<_> = (0..40).map(|_| Ok(piece.clone())).collect();
        pieces.push(Ok(format!("\n{AT} a\n").into_bytes()));
        let (lines, _) = read(pieces, true).await;
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_does_not_wait_for_what_does_not_come() {
        let (send, mut batches) = mpsc::channel(1);
        let first = futures::stream::iter([Ok(format!("{AT} a\n").into_bytes())]);
        let answer = futures::StreamExt::chain(first, futures::stream::pending()).into_async_read();
        let answer = std::pin::pin!(answer);
        let mut place = LogPosition::default();
        let mut lines = Lines::new(&mut place);
        let begun = tokio::time::Instant::now();
        tokio::select! {
            _ = lines.read(answer, true, &send) => panic!("it never ends"),
            batch = batches.recv() => assert_eq!(batch.unwrap().next().unwrap().text, "a"),
        }
        assert!(begun.elapsed() < 2 * GATHER);
    }
}
