//! Enqueue to completed within one process, through the public API, against a raw loop over a bounded channel.

use std::sync::Arc;
use std::time::Duration;

use backroom::job::QueueName;
use dashmap::DashMap;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc};

use crate::support::inside::{self, Inside, Tick};
use crate::support::report::{Report, Series};
use crate::support::{Size, now};

/// As many as a queue of Backroom holds by default.
const CAPACITY: usize = 1_000;

pub(crate) fn run(size: Size) {
    let mut report = Report::new(
        "throughput",
        size == Size::Quick,
        "Jobs that do nothing, from `Jobs::submit` to completed, with status, retries, timeout and panic guard. Baseline: \
         insert into a map, send through a bounded channel, receive, update the map.",
    );
    let jobs = size.pick(200_000, 4_000);
    for producers in [1, 8] {
        for concurrency in [1, 8, 64] {
            let mut config = inside::config();
            let queue = QueueName::new("default").expect("a name");
            config.queues.get_mut(&queue).expect("it is shipped").concurrency = concurrency;
            // Slowed down, not refused, however long that takes on a busy machine.
            config.queues.get_mut(&queue).expect("it is shipped").enqueue_wait = Duration::from_mins(1);
            let (ours, raw) = (Inside::start(config), inside::runtime());
            let nanos = |seconds: f64| seconds / jobs as f64 * 1e9;
            let (mut found, mut base) = (Series::default(), Series::default());
            for round in 0..=size.pick(7, 2) {
                let turn =
                    (nanos(run_raw(&raw, jobs, producers, concurrency)), nanos(ours.run(jobs, producers)));
                // The first one warms up.
                if round > 0 {
                    base.push(turn.0);
                    found.push(turn.1);
                }
            }
            let what = format!("{producers} producers, concurrency {concurrency}");
            report.row(what, "ns/job", found, base).ratio_at_most(3.0);
        }
    }
    report.finish();
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Completed,
}

struct Row {
    state: State,
    /// Held, as every queue with a status must.
    _payload: Box<RawValue>,
}

/// Seconds that the raw loop takes.
fn run_raw(runtime: &Runtime, jobs: usize, producers: usize, consumers: usize) -> f64 {
    let rows: Arc<DashMap<u128, Row, foldhash::fast::RandomState>> = Arc::default();
    let (sender, receiver) = mpsc::channel::<u128>(CAPACITY);
    let receiver = Arc::new(Mutex::new(receiver));
    let began = now();
    runtime.block_on(async {
        for producer in 0..producers {
            let (rows, sender) = (Arc::clone(&rows), sender.clone());
            runtime.spawn(async move {
                for n in 0..jobs / producers {
                    let id = (n * producers + producer) as u128;
                    let payload = serde_json::value::to_raw_value(&Tick::new()).expect("JSON");
                    rows.insert(id, Row { state: State::Pending, _payload: payload });
                    sender.send(id).await.expect("somebody receives");
                }
            });
        }
        drop(sender);
        let consume = || {
            let (rows, receiver) = (Arc::clone(&rows), Arc::clone(&receiver));
            runtime.spawn(async move {
                loop {
                    let received = receiver.lock().await.recv().await;
                    let Some(id) = received else { return };
                    rows.get_mut(&id).expect("it was inserted").state = State::Completed;
                }
            })
        };
        for consumer in (0..consumers).map(|_| consume()).collect::<Vec<_>>() {
            consumer.await.expect("it consumes");
        }
    });
    let took = began.elapsed().as_secs_f64();
    assert!(rows.iter().all(|row| row.state == State::Completed), "all are completed");
    took
}
