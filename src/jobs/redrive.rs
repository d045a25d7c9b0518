//! What somebody can do to dead letters as a group: send them round again, or throw them away.

use futures_util::FutureExt as _;

use super::Jobs;
use super::line::Line;
use super::submit_error::unknown;
use crate::job::{Change, Fault, JobId, KindName, QueueName, StateName, Timestamp};
use crate::queue::Slot;
use crate::store::{ApplyError, Filter, ListQuery, StoreError};

/// How many ids one request can name.
pub(crate) const MAX_IDS: usize = 1_000;
/// The largest limit of one redrive.
pub(crate) const LARGEST_REDRIVE: usize = 1_000_000;
/// How many jobs are looked at before others get their turn on this thread.
const PAGE: usize = 256;
/// One part in so many of a queue is left to new jobs.
const KEPT_BACK: usize = 5;

/// Which dead letters: those that meet every member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeadLetters {
    /// With one of these ids, 1 to 1,000 of them. Default: any.
    pub ids: Option<Vec<JobId>>,
    /// In one of these queues; an empty list stands for any.
    pub queues: Vec<QueueName>,
    /// Of one of these kinds; an empty list stands for any.
    pub kinds: Vec<KindName>,
}

/// An order to send dead letters round again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Redrive {
    /// Which of them.
    pub which: DeadLetters,
    /// How many at most, 1 to 1,000,000. Default: all for which there is room.
    pub limit: Option<usize>,
    /// Only count.
    pub dry_run: bool,
}

/// What a redrive came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Redriven {
    /// Dead letters that were meant.
    pub matched: usize,
    /// Those of them that wait in their queues now.
    pub redriven: usize,
    /// Those of them that are dead letters still: beyond the limit, or there was no room. What somebody else has taken
    /// away meanwhile is in neither number.
    pub left: usize,
}

/// Why dead letters were left alone.
#[derive(Debug, thiserror::Error)]
pub enum DeadLettersError {
    /// It does not make sense; every fault is named.
    #[error("the dead letters that are meant cannot be told")]
    Invalid(Vec<Fault>),
    /// The server stops.
    #[error("the server is draining")]
    Draining,
    /// The backend does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A dead letter that is to go round again; in the order in which they are taken.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Dead {
    at: Timestamp,
    id: JobId,
    queue: QueueName,
}

impl Jobs {
    /// Sends dead letters round again with fresh attempts, those first that were given up first.
    ///
    /// It never waits for room and never fills a queue: a fifth of each queue's capacity (of a queue for one job:
    /// nothing) is left to new jobs. What finds no room stays a dead letter and is counted as left; call again when the
    /// queue has moved on.
    ///
    /// # Errors
    ///
    /// [`DeadLettersError`]. When the backend stops answering half way, those before it have been sent round.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, each dead letter is one still or waits in its queue.
    pub async fn redrive(&self, redrive: &Redrive) -> Result<Redriven, DeadLettersError> {
        let _inside = self.enter().ok_or(DeadLettersError::Draining)?;
        let faults = self.redrive_faults(redrive).await?;
        if !faults.is_empty() {
            return Err(DeadLettersError::Invalid(faults));
        }
        let mut all = Vec::new();
        let mut search = Search::new(self, &redrive.which);
        while let Some(page) = search.page().await? {
            all.extend(page);
        }
        all.sort_unstable();
        let mut sum = Redriven { matched: all.len(), redriven: 0, left: all.len() };
        if redrive.dry_run {
            return Ok(sum);
        }
        let limit = redrive.limit.unwrap_or(usize::MAX);
        let mut full: Vec<&QueueName> = Vec::new();
        for (n, dead) in all.iter().enumerate() {
            if sum.redriven == limit {
                break;
            }
            if full.contains(&&dead.queue) {
                continue;
            }
            let Some(mut slot) = self.0.lines.get(&dead.queue).and_then(|line| spare_room(line)) else {
                full.push(&dead.queue);
                continue;
            };
            match self.change(dead.id, Change::Redrive { turn: slot.turn() }).await {
                Ok(_) => {
                    slot.push(dead.id);
                    sum.redriven += 1;
                    sum.left -= 1;
                }
                // Somebody else was quicker: it was deleted, forgotten, or goes round already.
                Err(ApplyError::NotFound | ApplyError::Refused(_)) => sum.left -= 1,
                // Another job does the same work meanwhile: it stays where it is.
                Err(ApplyError::KeyHeld(_)) => {}
                Err(ApplyError::Store(error)) => return Err(error.into()),
            }
            if n % PAGE == PAGE - 1 {
                tokio::task::yield_now().await;
            }
        }
        if sum.redriven > 0 {
            let Redriven { matched, redriven, left } = sum;
            tracing::info!(matched, redriven, left, "dead letters redriven");
        }
        Ok(sum)
    }

    /// Throws dead letters away, with their payloads and their history; says how many.
    ///
    /// # Errors
    ///
    /// [`DeadLettersError`]. When the backend stops answering half way, those before it are gone.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, each dead letter is gone or as it was.
    pub async fn delete_dead_letters(&self, which: &DeadLetters) -> Result<usize, DeadLettersError> {
        let _inside = self.enter_late().ok_or(DeadLettersError::Draining)?;
        let faults = self.dead_letter_faults(which).await?;
        if !faults.is_empty() {
            return Err(DeadLettersError::Invalid(faults));
        }
        let mut deleted = 0_usize;
        let mut search = Search::new(self, which);
        while let Some(page) = search.page().await? {
            // What the drain has accounted for must not go away any more.
            if self.is_sealed() {
                break;
            }
            for dead in page {
                deleted += usize::from(self.0.store.remove(dead.id, StateName::DeadLettered).await?);
            }
        }
        if deleted > 0 {
            tracing::info!(deleted, "dead letters deleted");
        }
        Ok(deleted)
    }

    /// Everything that is wrong with an order to redrive.
    pub(crate) async fn redrive_faults(&self, redrive: &Redrive) -> Result<Vec<Fault>, StoreError> {
        let mut faults = self.dead_letter_faults(&redrive.which).await?;
        if redrive.limit.is_some_and(|limit| !(1..=LARGEST_REDRIVE).contains(&limit)) {
            faults.push(Fault::new("/limit", limit_rule()));
        }
        Ok(faults)
    }

    /// Everything that is wrong with a choice of dead letters.
    pub(crate) async fn dead_letter_faults(&self, which: &DeadLetters) -> Result<Vec<Fault>, StoreError> {
        let mut faults = Vec::new();
        // An empty list is refused: whoever has computed one does not mean all.
        if which.ids.as_ref().is_some_and(|ids| !(1..=MAX_IDS).contains(&ids.len())) {
            faults.push(Fault::new("/ids", ids_rule()));
        }
        for queue in which.queues.iter().filter(|queue| !self.has_queue(queue.as_str())) {
            let names = self.queue_names();
            let names = names.iter().map(|name| name.as_str());
            faults.push(Fault::new("/queue", unknown("queue", queue.as_str(), names)));
        }
        let strangers = which.kinds.iter().filter(|kind| self.0.registry.get(kind.as_str()).is_none());
        for kind in self.without_dead_letters(strangers.cloned().collect()).await? {
            let names = self.0.registry.names();
            let names = names.iter().map(|name| name.as_str());
            faults.push(Fault::new("/kind", unknown("kind", kind.as_str(), names)));
        }
        Ok(faults)
    }

    /// Those of the kinds that nothing is known of. A kind that is no longer configured can have left dead letters behind,
    /// and those must not be out of reach. Looks at each job once, however many kinds are asked about.
    async fn without_dead_letters(&self, mut kinds: Vec<KindName>) -> Result<Vec<KindName>, StoreError> {
        let mut before = None;
        while !kinds.is_empty() {
            let filter =
                Filter { states: vec![StateName::DeadLettered], kinds: kinds.clone(), ..Filter::default() };
            let page = self.0.store.list(&ListQuery { filter, before, limit: 1 }).await?;
            kinds.retain(|kind| page.jobs.iter().all(|job| job.spec.kind != *kind));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        Ok(kinds)
    }
}

/// What a list of ids must be.
pub(crate) fn ids_rule() -> String {
    format!("must hold 1 to {MAX_IDS} ids; leave it out for all dead letters")
}

/// What a limit must be.
pub(crate) fn limit_rule() -> String {
    format!("must be 1 to {LARGEST_REDRIVE}; leave it out for as many as there is room for")
}

/// Room for one, if there is more of it than is kept for new jobs.
fn spare_room(line: &Line) -> Option<Slot> {
    let most = line.queue.capacity() - kept_back(line.queue.capacity());
    if line.queue.depth() >= most {
        return None;
    }
    let slot = line.queue.reserve().now_or_never()?.ok()?;
    // Once more with the slot in hand: of several who come so far at once none keeps what is not to be had.
    (line.queue.depth() <= most).then_some(slot)
}

/// How much of a queue is left to new jobs. A queue for one job would never redrive anything if it kept that back.
fn kept_back(capacity: usize) -> usize {
    capacity.div_ceil(KEPT_BACK).min(capacity.saturating_sub(1))
}

/// Goes over the dead letters that are meant, a page at a time; others get their turn on this thread in between.
struct Search<'a> {
    jobs: &'a Jobs,
    filter: Filter,
    ahead: Ahead,
}

/// What is still to be looked at.
enum Ahead {
    These(std::vec::IntoIter<JobId>),
    Before(Option<JobId>),
    Nothing,
}

impl<'a> Search<'a> {
    fn new(jobs: &'a Jobs, which: &DeadLetters) -> Self {
        let filter = Filter {
            states: vec![StateName::DeadLettered],
            queues: which.queues.clone(),
            kinds: which.kinds.clone(),
            ..Filter::default()
        };
        let ahead = match &which.ids {
            Some(ids) => {
                let mut ids = ids.clone();
                ids.sort_unstable();
                ids.dedup();
                Ahead::These(ids.into_iter())
            }
            None => Ahead::Before(None),
        };
        Self { jobs, filter, ahead }
    }

    /// The next of them; a page can be empty, and the last one is followed by `None`.
    async fn page(&mut self) -> Result<Option<Vec<Dead>>, StoreError> {
        tokio::task::yield_now().await;
        let found = match &mut self.ahead {
            Ahead::Nothing => return Ok(None),
            Ahead::These(ids) => {
                let mut found = Vec::new();
                for id in ids.by_ref().take(PAGE) {
                    found.extend(self.jobs.get(id).await?.filter(|job| self.filter.matches(job)));
                }
                if ids.len() == 0 {
                    self.ahead = Ahead::Nothing;
                }
                found
            }
            Ahead::Before(before) => {
                let query = ListQuery { filter: self.filter.clone(), before: *before, limit: PAGE };
                let page = self.jobs.list(&query).await?;
                self.ahead = page.next.map_or(Ahead::Nothing, |next| Ahead::Before(Some(next)));
                page.jobs
            }
        };
        let dead = found.iter().filter_map(|job| {
            Some(Dead { at: job.state.finished_at()?, id: job.id(), queue: job.spec.queue.clone() })
        });
        Ok(Some(dead.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::jobs::QueueSettings;
    use crate::queue::{Closed, Consumer, MemoryQueue, Queue, ReserveManyError};
    use futures_util::future::BoxFuture;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// A queue in which somebody else takes a place just before each one that is reserved.
    struct Contested {
        queue: MemoryQueue,
        taken: Mutex<Vec<Slot>>,
    }

    impl Queue for Contested {
        fn reserve(&self) -> BoxFuture<'_, Result<Slot, Closed>> {
            let slot = self.queue.reserve().now_or_never().unwrap().unwrap();
            self.taken.lock().unwrap().push(slot);
            self.queue.reserve()
        }

        fn reserve_many(&self, count: usize) -> BoxFuture<'_, Result<Vec<Slot>, ReserveManyError>> {
            self.queue.reserve_many(count)
        }

        fn consume(&self) -> Box<dyn Consumer> {
            self.queue.consume()
        }

        fn close(&self) {
            self.queue.close();
        }

        fn capacity(&self) -> usize {
            self.queue.capacity()
        }

        fn depth(&self) -> usize {
            self.queue.depth()
        }

        fn ahead(&self, turn: u64) -> Option<u64> {
            self.queue.ahead(turn)
        }
    }

    #[test]
    fn who_was_overtaken_gives_back_what_is_kept_for_new_jobs() {
        for (waiting, spare) in [(6, true), (7, false), (8, false)] {
            let queue = Contested { queue: MemoryQueue::new(10), taken: Mutex::default() };
            let _waiting = queue.queue.reserve_many(waiting).now_or_never().unwrap().unwrap();
            let queue = Arc::new(queue);
            let settings = QueueSettings {
                capacity: 10,
                concurrency: 1,
                enqueue_wait: Duration::ZERO,
                rate_limit: None,
            };
            let name = QueueName::new("default").unwrap();
            let meter = crate::metrics::Metrics::off().queue(&name);
            let line = Line::new(name, Arc::<Contested>::clone(&queue), &settings, &Clock::system(), meter);
            let slot = spare_room(&line);
            assert_eq!(slot.is_some(), spare, "{waiting} wait");
            assert_eq!(queue.depth(), 8, "{waiting} wait");
        }
    }

    #[test]
    fn a_fifth_is_kept_back_and_never_everything() {
        for (capacity, kept) in [(1, 0), (2, 1), (5, 1), (6, 2), (10, 2), (11, 3), (1_000, 200)] {
            assert_eq!(kept_back(capacity), kept, "of {capacity}");
        }
    }
}
