//! The order of writes: an id is in its queue only when its row says that it is. A worker that is quick would otherwise
//! find a job that it may not start, and leave it.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use backroom::handler::{Failure, Outcome};
use backroom::job::{Delay, JobId, StateName};
use backroom::queue::{Closed, Consumer, MemoryQueue, Queue, ReserveManyError, Room, Slot};
use backroom::store::{MemoryStore, Store as _};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::rig::{Rig, Setup, attempts, job, queue};

type Rows = Arc<OnceLock<Arc<MemoryStore>>>;

/// A queue that looks at the row of every id that is pushed.
struct Watchful {
    inner: MemoryQueue,
    rows: Rows,
}

struct WatchfulRoom {
    inner: Slot,
    rows: Rows,
}

impl Watchful {
    fn slot(&self, inner: Slot) -> Slot {
        let rows = Arc::clone(&self.rows);
        Slot::new(Box::new(WatchfulRoom { inner, rows }))
    }
}

impl Room for WatchfulRoom {
    fn turn(&mut self) -> u64 {
        self.inner.turn()
    }

    fn push(self: Box<Self>, id: JobId) {
        let row = self.rows.get().unwrap().get(id).now_or_never().unwrap();
        let state = row.unwrap().map(|job| job.state.name());
        assert_eq!(state, Some(StateName::Pending));
        self.inner.push(id);
    }
}

impl Queue for Watchful {
    fn reserve(&self) -> BoxFuture<'_, Result<Slot, Closed>> {
        self.inner.reserve().map(|slot| slot.map(|slot| self.slot(slot))).boxed()
    }
    fn reserve_many(&self, count: usize) -> BoxFuture<'_, Result<Vec<Slot>, ReserveManyError>> {
        let watched = |slots: Vec<Slot>| slots.into_iter().map(|slot| self.slot(slot)).collect();
        self.inner.reserve_many(count).map(move |slots| slots.map(watched)).boxed()
    }
    fn consume(&self) -> Box<dyn Consumer> {
        self.inner.consume()
    }
    fn close(&self) {
        self.inner.close();
    }
    fn capacity(&self) -> usize {
        self.inner.capacity()
    }
    fn depth(&self) -> usize {
        self.inner.depth()
    }
    fn ahead(&self, turn: u64) -> Option<u64> {
        self.inner.ahead(turn)
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_is_pushed_after_its_row_is_written() {
    let rows = Rows::default();
    let queue = Watchful { inner: MemoryQueue::new(10), rows: Arc::clone(&rows) };
    let rig =
        Setup { queues: vec![("default", Arc::new(queue), 2)], ..Setup::default() }.start(|input, cx| {
            Box::pin(async move {
                match input.as_str() {
                    Some("once") if cx.attempt() == 1 => Err(Failure::transient("x", "again")),
                    Some("never") => Err(Failure::permanent("x", "never")),
                    _ => Ok(Outcome::done()),
                }
            })
        });
    assert!(rows.set(Arc::clone(&rig.store)).is_ok());
    // Submitted alone and with others, due, tried again, and sent round again by hand.
    rig.run(job("x")).await;
    for accepted in rig.jobs.submit_all(vec![job("x"), job("x")]).await.unwrap() {
        rig.end(accepted.id()).await;
    }
    let due = rig.run(job("x").delay(Delay::For(Duration::from_secs(3)))).await;
    let again = rig.run(job("once")).await;
    assert_eq!((due.attempts.len(), attempts(&again).len()), (1, 2));
    let never = rig.run(job("never")).await;
    rig.jobs.retry(never.id()).await.unwrap();
    assert_eq!(rig.end(never.id()).await.attempts.len(), 2);
}

/// Puts a hundred jobs into the line at once, and waits for the end of each.
async fn run_a_hundred(rig: &Rig) {
    for job in rig.jobs.submit_all((0..100).map(job).collect()).await.unwrap() {
        rig.end(job.id()).await;
    }
}

/// Whoever has a place goes on with what waits: neither a task nor a wake-up of the dispatcher is spent on each job.
#[tokio::test(start_paused = true)]
async fn one_task_runs_what_waits_for_its_place() {
    let tasks = Arc::new(Mutex::new(Vec::new()));
    let setup = Setup { queues: vec![queue("default", 100, 1)], ..Setup::default() };
    let rig = setup.start({
        let tasks = Arc::clone(&tasks);
        move |_, _| {
            tasks.lock().unwrap().push(tokio::task::id());
            Box::pin(async { Ok(Outcome::done()) })
        }
    });
    run_a_hundred(&rig).await;
    let tasks = tasks.lock().unwrap();
    assert_eq!(tasks.len(), 100);
    assert!(tasks.iter().all(|task| *task == tasks[0]), "{tasks:?}");
}

/// However much waits, others have the thread in between.
#[tokio::test(start_paused = true)]
async fn a_long_line_lets_others_at_the_thread() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let setup = Setup { queues: vec![queue("default", 100, 1)], ..Setup::default() };
    let rig = setup.start({
        let order = Arc::clone(&order);
        move |input, _| {
            order.lock().unwrap().push(input.as_u64().unwrap());
            if input == 0 {
                let order = Arc::clone(&order);
                tokio::spawn(async move { order.lock().unwrap().push(999) });
            }
            Box::pin(async { Ok(Outcome::done()) })
        }
    });
    run_a_hundred(&rig).await;
    let order = order.lock().unwrap();
    let at = order.iter().position(|who| *who == 999).unwrap();
    assert!((1..=32).contains(&at), "{order:?}");
}
