//! Passes on what a program says on its standard error, however much that is.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::lines::{Lines, Said};
use crate::handler::Context;
use crate::job::LogLevel;

/// How much is read at once, in bytes.
const CHUNK: usize = 16 << 10;
/// How many lines of a chunk are passed on: the last ones, as many as a job keeps.
const PASSED_ON: usize = 100;
/// How long progress is not told after it was told. What comes meanwhile replaces what waits.
const PAUSE: Duration = Duration::from_millis(100);

/// Who listens to a program.
pub(super) struct Listener<'a> {
    cx: &'a Context,
    lines: Lines,
    heard: Heard,
}

#[derive(Default)]
struct Heard {
    log: VecDeque<(LogLevel, Box<str>)>,
    progress: Option<(u8, Box<str>)>,
    skip: Option<Box<str>>,
    last: Box<str>,
}

impl<'a> Listener<'a> {
    pub(super) fn new(cx: &'a Context) -> Self {
        Self { cx, lines: Lines::default(), heard: Heard::default() }
    }

    /// Listens until the end. Never falls behind by more than a chunk: of too much only the last is passed on.
    ///
    /// # Cancel safety
    ///
    /// Safe: [`Self::finish`] passes on what was heard.
    pub(super) async fn listen(&mut self, mut stderr: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK];
        let mut pause = pin!(OptionFuture::from(None));
        let mut pausing = false;
        loop {
            let read = tokio::select! {
                biased;
                _ = &mut pause, if pausing => {
                    pausing = false;
                    None
                }
                read = stderr.read(&mut chunk) => Some(read),
            };
            match read {
                Some(Ok(read @ 1..)) => {
                    self.lines.take(&chunk[..read], |line| self.heard.line(line));
                    self.tell_log().await;
                    // As in `Output::collect`.
                    tokio::task::yield_now().await;
                }
                Some(_) => return,
                None => {}
            }
            if !pausing && self.heard.progress.is_some() {
                self.tell_progress().await;
                pause.set(Some(tokio::time::sleep(PAUSE)).into());
                pausing = true;
            }
        }
    }

    /// Passes on what is left: a last line without end, progress that waited.
    pub(super) async fn finish(&mut self) {
        self.lines.finish(|line| self.heard.line(line));
        self.tell_log().await;
        self.tell_progress().await;
    }

    /// Why there was nothing to do, if the program said so.
    pub(super) fn skip(&self) -> Option<&str> {
        self.heard.skip.as_deref()
    }

    /// The last line for the log: most programs say there why they failed.
    pub(super) fn last(&self) -> &str {
        &self.heard.last
    }

    async fn tell_log(&mut self) {
        while let Some((level, message)) = self.heard.log.pop_front() {
            self.cx.log(level, &message).await;
        }
    }

    async fn tell_progress(&mut self) {
        if let Some((percent, message)) = self.heard.progress.take() {
            self.cx.progress(percent, &message).await;
        }
    }
}

impl Heard {
    fn line(&mut self, line: &str) {
        match Said::of(line) {
            Said::Progress(percent, message) => self.progress = Some((percent, message.into())),
            Said::Skip(reason) => self.skip = Some(reason.into()),
            Said::Log(level, message) => {
                if self.log.len() == PASSED_ON {
                    self.log.pop_front();
                }
                self.last = message.into();
                self.log.push_back((level, message.into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::context;
    use std::task::{Context as Task, Waker};
    use tokio::io::AsyncWriteExt as _;

    #[tokio::test]
    async fn of_too_much_the_last_is_passed_on() {
        let (cx, _, heard) = context("x", 1);
        let mut listener = Listener::new(&cx);
        let text = (0..100_000).fold(String::new(), |text, n| text + &format!("line {n}\n"));
        listener.listen(text.as_bytes()).await;
        listener.finish().await;
        let log = heard.log.lock().unwrap();
        assert_eq!(log.last().unwrap(), "line 99999");
        let (last, chunks) = (&log[log.len() - 100..], text.len() / CHUNK + 1);
        assert_eq!(last[0], "line 99900");
        assert!((100..=100 * chunks).contains(&log.len()), "{} lines of {chunks} chunks", log.len());
    }

    /// The timeout of the attempt is looked at between two polls.
    #[test]
    fn who_never_stops_talking_lets_others_have_their_turn() {
        let (cx, _, _) = context("x", 1);
        let (mut listener, noise) = (Listener::new(&cx), vec![b'\n'; 3 * CHUNK]);
        let mut listening = pin!(listener.listen(&noise[..]));
        let mut poll = || listening.as_mut().poll(&mut Task::from_waker(Waker::noop()));
        assert!((0..3).all(|_| poll().is_pending()));
        assert!(poll().is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_told_ten_times_a_second_and_at_the_end() {
        let (cx, _, heard) = context("x", 1);
        let mut listener = Listener::new(&cx);
        let (mut program, stderr) = tokio::io::duplex(64);
        let talking = async move {
            for percent in 0..=99 {
                program.write_all(format!("::progress {percent}\n").as_bytes()).await.unwrap();
                // A second in all.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            program.write_all(b"::progress 100 done").await.unwrap();
        };
        tokio::join!(listener.listen(stderr), talking);
        listener.finish().await;
        let progress = heard.progress.lock().unwrap();
        assert!((10..=13).contains(&progress.len()), "{progress:?}");
        assert_eq!((progress[0], progress[progress.len() - 1]), (0, 100));
        assert!(progress.is_sorted(), "{progress:?}");
    }

    #[tokio::test]
    async fn the_last_line_and_the_reason_are_remembered() {
        let (cx, _, _) = context("x", 1);
        let mut listener = Listener::new(&cx);
        assert_eq!((listener.skip(), listener.last()), (None, ""));
        listener.listen(&b"one\n::skip first\n::skip why\n::error two\n::progress 5"[..]).await;
        listener.finish().await;
        assert_eq!((listener.skip(), listener.last()), (Some("why"), "two"));
    }
}
