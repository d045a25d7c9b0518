//! What one connection watches: jobs, streams of jobs, and queues.

use std::collections::{BTreeSet, HashMap, HashSet};
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
    jobs: HashMap<JobId, One>,
    streams: HashMap<String, AbortHandle>,
    queues: HashSet<QueueName>,
    all: Option<All>,
}

/// The watch of one job.
struct One {
    handle: AbortHandle,
    /// The sequences of what its queue has told and this watch has not come to: it is not told again.
    told: BTreeSet<u64>,
}

/// The watcher of all jobs, of whom those in the watched queues are told.
struct All {
    watcher: Watcher,
    /// Nothing is taken before it is over.
    pause: Option<Pin<Box<Sleep>>>,
    /// The number of the last event that was taken.
    passed: u64,
    /// The numbers of what watches of jobs have told and this watcher has not come to. There are no more than can wait for
    /// it.
    told: BTreeSet<u64>,
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
        if let Some(before) = self.jobs.insert(job, One { handle, told: BTreeSet::new() }) {
            before.handle.abort();
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
        self.all.get_or_insert_with(|| All {
            watcher: events.watch(),
            pause: None,
            passed: 0,
            told: BTreeSet::new(),
        });
    }

    pub(super) fn leave_job(&mut self, job: JobId) {
        if let Some(one) = self.jobs.remove(&job) {
            one.handle.abort();
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
                Some(told) = self.feeds.next() => self.note(told),
                told = next_of(&mut self.all) => told.and_then(|told| self.sift(told)),
            };
            if let Some(told) = told {
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

    /// Of what the watch of a job tells: takes note of ends, and leaves out what the queue has told before.
    fn note(&mut self, told: Told) -> Option<Told> {
        match &told {
            Told::Updated(event) => {
                let (id, sequence) = (event.job.id(), event.job.sequence);
                let again = self.jobs.get_mut(&id).is_some_and(|one| {
                    // The sequences of a watch grow.
                    one.told = one.told.split_off(&sequence);
                    one.told.remove(&sequence)
                });
                if event.kind.is_terminal() {
                    self.jobs.remove(&id);
                }
                if again {
                    return None;
                }
                if let Some(all) = &mut self.all
                    && event.number > all.passed
                {
                    all.told.insert(event.number);
                }
            }
            Told::Item(invocation, event) if event.kind.is_terminal() => {
                self.streams.remove(invocation);
            }
            Told::Item(..) | Told::Lost => {}
        }
        Some(told)
    }

    /// Of what happens to all jobs: what is in a watched queue, and was not told by the watch of a job before.
    fn sift(&mut self, told: Told) -> Option<Told> {
        let (Told::Updated(event), Some(all)) = (&told, &mut self.all) else { return Some(told) };
        all.passed = event.number;
        // The numbers of this watcher grow.
        all.told = all.told.split_off(&event.number);
        if all.told.remove(&event.number) || !self.queues.contains(&event.job.spec.queue) {
            return None;
        }
        if event.kind == EventKind::Progress && all.watcher.is_slow() {
            return None;
        }
        if let Some(one) = self.jobs.get_mut(&event.job.id()) {
            one.told.insert(event.job.sequence);
        }
        Some(told)
    }
}

/// The next event of all jobs. `None`: look again.
async fn next_of(all: &mut Option<All>) -> Option<Told> {
    let Some(All { watcher, pause, .. }) = all else { return std::future::pending().await };
    if let Some(resting) = pause {
        resting.await;
        let event = watcher.recv().await;
        *pause = None;
        return Some(match event {
            Ok(event) => Told::Updated(event),
            Err(RecvError::Lagged(_) | RecvError::Closed) => Told::Lost,
        });
    }
    match watcher.try_recv() {
        Ok(event) => Some(Told::Updated(event)),
        Err(TryRecvError::Lagged(_)) => Some(Told::Lost),
        Err(TryRecvError::Empty | TryRecvError::Closed) => {
            *pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::value::RawValue;

    use super::*;
    use crate::event::BACKLOG;
    use crate::job::{Job, JobLog, JobState, KindName, Spec, StateName, Timestamp};

    const AT: Timestamp = Timestamp::from_millis(0);

    fn tell(events: &Events, id: JobId, sequence: u64) {
        let spec = Spec {
            id,
            kind: KindName::new("noop").unwrap(),
            queue: QueueName::new("default").unwrap(),
            payload: RawValue::from_string("{}".into()).unwrap(),
            created_at: AT,
            max_attempts: 1,
            timeout: Duration::from_mins(1),
            tags: Box::default(),
            unique: None,
            trace: None,
            notices: None,
            log: JobLog::default(),
        };
        let mut job = Job::new(spec, JobState::Pending { turn: Some(1), since: AT }, None);
        job.sequence = sequence;
        events.tell(EventKind::State(StateName::Pending), AT, &Arc::new(job));
    }

    fn watch(watching: &mut Watching, events: &Events, job: JobId) {
        let mut watcher = events.watch_job(job);
        watcher.begin_after(1);
        watching.job(job, watcher);
    }

    /// The jobs that are told of next, with their sequences.
    fn told(watching: &mut Watching) -> Vec<(JobId, u64)> {
        std::iter::from_fn(|| watching.now())
            .map(|told| match told {
                Told::Updated(event) => (event.job.id(), event.job.sequence),
                Told::Item(..) | Told::Lost => panic!("nothing of that is watched"),
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_and_its_queue_tell_of_it_once_however_much_lies_between() {
        let [watched, other] = [JobId::MIN, JobId::MAX];
        let (events, mut watching) = (Events::new(AT), Watching::default());
        watch(&mut watching, &events, watched);
        tell(&events, watched, 2);
        watching.queue(QueueName::new("default").unwrap(), &events);
        let n = BACKLOG as u64;
        for sequence in 3..n {
            tell(&events, other, sequence);
        }
        tell(&events, watched, 3);
        tell(&events, watched, 4);
        let (of_watched, of_other): (Vec<_>, Vec<_>) =
            told(&mut watching).into_iter().partition(|told| told.0 == watched);
        let mut sequences: Vec<u64> = of_watched.into_iter().map(|told| told.1).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, [2, 3, 4], "what the queue cannot tell of is not left out either");
        assert!(of_other.into_iter().map(|told| told.1).eq(3..n));
        // And nothing is remembered longer than needed.
        assert!(watching.all.as_ref().unwrap().told.is_empty());
        assert!(watching.jobs[&watched].told.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_watch_of_a_job_has_told_its_queue_does_not_tell_after_it_is_left() {
        let (events, mut watching) = (Events::new(AT), Watching::default());
        watch(&mut watching, &events, JobId::MIN);
        tell(&events, JobId::MIN, 2);
        assert_eq!(told(&mut watching), [(JobId::MIN, 2)]);
        watching.queue(QueueName::new("default").unwrap(), &events);
        tell(&events, JobId::MIN, 3);
        // Whoever of the two is first.
        assert!(matches!(watching.now(), Some(Told::Updated(event)) if event.job.sequence == 3));
        watching.leave_job(JobId::MIN);
        assert_eq!(told(&mut watching), []);
        tell(&events, JobId::MIN, 4);
        assert_eq!(told(&mut watching), [(JobId::MIN, 4)]);
    }
}
