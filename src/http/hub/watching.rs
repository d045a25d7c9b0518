//! What one connection watches: jobs, streams of jobs, and queues.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{self, AbortHandle, Abortable, BoxStream, SelectAll};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Sleep;

use crate::event::{Event, EventKind, Events, JobWatcher, Watcher};
use crate::job::{JobId, QueueName};

/// How many jobs one connection may watch, streams included. Those of watched queues do not count.
pub(super) const MOST: usize = 100;

/// How long events of queues are collected: see `sse.rs`.
const PAUSE: Duration = Duration::from_millis(10);

/// How many events are remembered, so that one is not told twice to who watches a job and its queue.
const REMEMBERED: usize = 256;

/// Something that happened.
pub(super) enum Told {
    /// For `JobUpdated`.
    Updated(Event),
    /// For the stream of this invocation.
    Item(String, Event),
    /// Events were lost, because they were not taken in time.
    Lost,
}

/// What is watched. A watch of a job ends with the job.
#[derive(Default)]
pub(super) struct Watching {
    feeds: SelectAll<Abortable<BoxStream<'static, Told>>>,
    jobs: HashMap<JobId, AbortHandle>,
    streams: HashMap<String, AbortHandle>,
    queues: HashSet<QueueName>,
    all: Option<All>,
    told: VecDeque<u64>,
}

/// The watcher of all jobs, of whom those in the watched queues are told.
struct All {
    watcher: Watcher,
    /// Nothing is taken before it is over.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Watching {
    /// Whether one more may be watched.
    pub(super) fn has_room(&self) -> bool {
        self.jobs.len() + self.streams.len() < MOST
    }

    pub(super) fn watches(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    pub(super) fn streams(&self, invocation: &str) -> bool {
        self.streams.contains_key(invocation)
    }

    /// Tells of a job from here on, in place of an earlier watch of it.
    pub(super) fn job(&mut self, job: JobId, watcher: JobWatcher) {
        let handle = self.feed(watcher, Told::Updated);
        if let Some(before) = self.jobs.insert(job, handle) {
            before.abort();
        }
    }

    /// Tells the stream of an invocation of a job.
    pub(super) fn stream(&mut self, invocation: String, watcher: JobWatcher) {
        let name = invocation.clone();
        let handle = self.feed(watcher, move |event| Told::Item(name.clone(), event));
        self.streams.insert(invocation, handle);
    }

    pub(super) fn queue(&mut self, queue: QueueName, events: &Events) {
        self.queues.insert(queue);
        self.all.get_or_insert_with(|| All { watcher: events.watch(), pause: None });
    }

    pub(super) fn leave_job(&mut self, job: JobId) {
        if let Some(handle) = self.jobs.remove(&job) {
            handle.abort();
        }
    }

    pub(super) fn leave_queue(&mut self, queue: &str) {
        self.queues.retain(|watched| watched.as_str() != queue);
        if self.queues.is_empty() {
            self.all = None;
        }
    }

    /// Says whether there was such a stream.
    pub(super) fn leave_stream(&mut self, invocation: &str) -> bool {
        let handle = self.streams.remove(invocation);
        handle.map(|handle| handle.abort()).is_some()
    }

    /// Waits for the next thing that happens.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn next(&mut self) -> Told {
        loop {
            let told = tokio::select! {
                Some(told) = self.feeds.next() => Some(told),
                told = next_of(&mut self.all, &self.queues) => told,
            };
            if let Some(told) = told.and_then(|told| self.note(told)) {
                return told;
            }
        }
    }

    /// What has happened already.
    pub(super) fn now(&mut self) -> Option<Told> {
        // A pause would only put off what is taken now.
        if let Some(all) = &mut self.all {
            all.pause = None;
        }
        self.next().now_or_never()
    }

    fn feed(&mut self, watcher: JobWatcher, tell: impl Fn(Event) -> Told + Send + 'static) -> AbortHandle {
        let (handle, registration) = AbortHandle::new_pair();
        let feed = stream::unfold(Some((watcher, tell)), |state| async move {
            let (mut watcher, tell) = state?;
            match watcher.recv().await {
                Ok(event) => {
                    let (goes_on, told) = (!event.kind.is_terminal(), tell(event));
                    Some((told, goes_on.then_some((watcher, tell))))
                }
                Err(_) => Some((Told::Lost, None)),
            }
        });
        self.feeds.push(Abortable::new(feed.boxed(), registration));
        handle
    }

    /// Takes note of ends; leaves out what was told already.
    fn note(&mut self, told: Told) -> Option<Told> {
        match &told {
            Told::Updated(event) => {
                // The numbers of a watcher grow; only with two kinds of them can an event come twice.
                if self.all.is_some() {
                    if self.told.contains(&event.number) {
                        return None;
                    }
                    if self.told.len() == REMEMBERED {
                        self.told.pop_front();
                    }
                    self.told.push_back(event.number);
                }
                if event.kind.is_terminal() {
                    self.jobs.remove(&event.job.id());
                }
            }
            Told::Item(invocation, event) if event.kind.is_terminal() => {
                self.streams.remove(invocation);
            }
            Told::Item(..) | Told::Lost => {}
        }
        Some(told)
    }
}

/// The next event of a watched queue. `None`: look again.
async fn next_of(all: &mut Option<All>, queues: &HashSet<QueueName>) -> Option<Told> {
    let Some(All { watcher, pause }) = all else { return std::future::pending().await };
    let wanted = |event: Event, slow: bool| {
        let left_out = event.kind == EventKind::Progress && slow;
        (!left_out && queues.contains(&event.job.spec.queue)).then_some(Told::Updated(event))
    };
    if let Some(resting) = pause {
        resting.await;
        let event = watcher.recv().await;
        *pause = None;
        return match event {
            Ok(event) => wanted(event, watcher.is_slow()),
            Err(RecvError::Lagged(_) | RecvError::Closed) => Some(Told::Lost),
        };
    }
    match watcher.try_recv() {
        Ok(event) => wanted(event, watcher.is_slow()),
        Err(TryRecvError::Lagged(_)) => Some(Told::Lost),
        Err(TryRecvError::Empty | TryRecvError::Closed) => {
            *pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
            None
        }
    }
}
