//! What lets the jobs of a queue begin, changed while it runs: pause, concurrency, rate limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backroom::handler::{Failure, Outcome};
use backroom::job::{Delay, JobId, RateLimit, StateName, Timestamp, WaitingFor};
use backroom::jobs::{Patch, QueuePatch, SubmitError};
use tokio::sync::Semaphore;

use crate::rig::{EPOCH, Rig, Setup, job, queue, until};

type Order = Arc<Mutex<Vec<u64>>>;

/// A rig with one queue, whose handler notes the numbers of its jobs, and waits for the gate where there is one.
fn noting(capacity: usize, concurrency: usize, gate: Option<Arc<Semaphore>>) -> (Rig, Order) {
    let order = Order::default();
    let setup = Setup { queues: vec![queue("default", capacity, concurrency)], ..Setup::default() };
    let rig = setup.start({
        let order = Arc::clone(&order);
        move |input, _| {
            let (order, gate) = (Arc::clone(&order), gate.clone());
            Box::pin(async move {
                order.lock().unwrap().push(input.as_u64().unwrap());
                if let Some(gate) = gate {
                    gate.acquire().await.unwrap().forget();
                }
                Ok(Outcome::done())
            })
        }
    });
    (rig, order)
}

fn at(seconds: u64) -> Timestamp {
    EPOCH.after(Duration::from_secs(seconds))
}

fn limit(text: &str) -> RateLimit {
    RateLimit::parse(text).unwrap()
}

impl Rig {
    async fn submit_numbers(&self, numbers: std::ops::Range<u64>) -> Vec<JobId> {
        let mut ids = Vec::new();
        for number in numbers {
            ids.push(self.submit(job(number)).await);
        }
        ids
    }

    /// Seconds from the start of the test to the first start of a job.
    async fn began(&self, id: JobId) -> f64 {
        self.end(id).await.attempts.first().unwrap().started_at.since(EPOCH).as_secs_f64()
    }

    /// What a job waits for, until which second, behind how many.
    async fn waits(&self, id: JobId) -> (WaitingFor, Option<f64>, u64) {
        let waiting = self.jobs.waiting(&*self.get(id).await, self.jobs.clock().now()).unwrap();
        (waiting.reason, waiting.until.map(|until| until.since(EPOCH).as_secs_f64()), waiting.ahead)
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_queue_takes_in_until_it_is_full_and_keeps_its_order() {
    let (rig, order) = noting(5, 1, None);
    rig.idle().await;
    rig.jobs.pause_queue("default", Some("the mail server is down"), None).await.unwrap();
    let ids = rig.submit_numbers(0..5).await;
    rig.idle().await;
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(rig.waits(*id).await, (WaitingFor::Pause, None, n as u64));
        assert_eq!(rig.poll_pause(*id).await, 30);
    }
    let refused = rig.jobs.submit(job(9)).await.unwrap_err();
    assert!(matches!(refused, SubmitError::QueueFull { capacity: 5, retry_after: 30, .. }), "{refused:?}");
    assert_eq!((rig.count(StateName::Pending).await, rig.pool.running()), (5, 0));
    let status = rig.jobs.resume_queue("default").await.unwrap();
    assert!(!status.is_paused());
    for id in ids {
        rig.end(id).await;
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waited_for_room_is_as_old_as_its_submission() {
    let gate = Arc::new(Semaphore::new(0));
    let (rig, _) = noting(1, 1, Some(Arc::clone(&gate)));
    rig.submit_numbers(0..1).await;
    rig.idle().await;
    rig.submit_numbers(1..2).await;
    let mut waiting = Box::pin(rig.jobs.submit(job(2)));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let since = rig.jobs.clock().now();
    rig.idle().await;
    // It needs no room, and so goes by.
    let later = rig.submit(job(3).delay(Delay::For(Duration::from_hours(1)))).await;
    gate.add_permits(1);
    let waited = waiting.await.unwrap();
    assert_eq!(waited.spec.created_at, since);
    assert!(waited.id() < later, "ids sort by the time of submission");
}

#[tokio::test(start_paused = true)]
async fn what_runs_goes_on_and_what_waits_for_its_place_stays_in_the_line() {
    let gate = Arc::new(Semaphore::new(0));
    let (rig, order) = noting(3, 1, Some(Arc::clone(&gate)));
    let ids = rig.submit_numbers(0..4).await;
    rig.idle().await;
    rig.jobs.pause_queue("default", None, None).await.unwrap();
    gate.add_permits(1);
    rig.end(ids[0]).await;
    rig.idle().await;
    assert_eq!((rig.count(StateName::Pending).await, rig.pool.running()), (3, 0));
    assert_eq!(rig.waits(ids[1]).await, (WaitingFor::Pause, None, 0));
    assert_eq!(rig.waits(ids[3]).await, (WaitingFor::Pause, None, 2));
    // None of them has left the line, so that there is no room for a further one.
    assert!(matches!(rig.jobs.submit(job(9)).await, Err(SubmitError::QueueFull { .. })));
    gate.add_permits(3);
    rig.jobs.resume_queue("default").await.unwrap();
    rig.end(ids[3]).await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_ends_by_itself_at_its_time() {
    let (rig, _) = noting(5, 1, None);
    // Longer than the dispatcher rests without a look.
    rig.jobs.pause_queue("default", None, Some(at(150))).await.unwrap();
    let id = rig.submit(job(0)).await;
    rig.idle().await;
    assert_eq!(rig.waits(id).await, (WaitingFor::Pause, Some(150.0), 0));
    assert!((rig.began(id).await - 150.0).abs() < 0.01);
    assert!(!rig.jobs.queue("default").await.unwrap().unwrap().is_paused());
    // The time can be moved, and taken away; a new pause has none of the old one's.
    rig.jobs.pause_queue("default", None, Some(at(500))).await.unwrap();
    let sooner = QueuePatch { pause_until: Patch::To(at(200)), ..QueuePatch::default() };
    rig.jobs.patch_queue("default", &sooner).await.unwrap();
    let id = rig.submit(job(1)).await;
    assert!((rig.began(id).await - 200.0).abs() < 0.01);
    rig.jobs.pause_queue("default", None, Some(at(300))).await.unwrap();
    let open = QueuePatch { pause_until: Patch::Reset, ..QueuePatch::default() };
    rig.jobs.patch_queue("default", &open).await.unwrap();
    let id = rig.submit(job(2)).await;
    // sleep: paused time, far beyond what the pause had been to last.
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(rig.waits(id).await, (WaitingFor::Pause, None, 0));
}

#[tokio::test(start_paused = true)]
async fn when_the_machines_clock_is_set_the_end_is_still_found() {
    let (rig, _) = noting(5, 1, None);
    rig.jobs.pause_queue("default", None, Some(at(3_600))).await.unwrap();
    let id = rig.submit(job(0)).await;
    rig.idle().await;
    rig.jobs.clock().jump(3_600_000);
    let ended = rig.end(id).await;
    assert!(ended.attempts.first().unwrap().started_at <= at(3_600 + 61), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_due_comes_into_a_paused_line_as_far_as_there_is_room() {
    let (rig, order) = noting(2, 1, None);
    rig.jobs.pause_queue("default", None, None).await.unwrap();
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(rig.submit(job(number).delay(Delay::For(Duration::from_secs(3 + number)))).await);
    }
    assert_eq!(rig.waits(ids[0]).await, (WaitingFor::Schedule, Some(3.0), 0), "it is not due yet");
    // sleep: paused time, until all of them are due.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(rig.count(StateName::Pending).await, 2);
    for (id, ahead) in [(ids[0], 0), (ids[1], 1), (ids[2], 0)] {
        assert_eq!(rig.waits(id).await, (WaitingFor::Pause, None, ahead));
    }
    rig.jobs.resume_queue("default").await.unwrap();
    rig.end(ids[2]).await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_run_what_is_paused() {
    let (rig, order) = noting(5, 1, None);
    rig.jobs.pause_queue("default", None, Some(at(60))).await.unwrap();
    let ids = rig.submit_numbers(0..2).await;
    rig.idle().await;
    rig.stop.soft.cancel();
    rig.jobs.close_intake().await;
    rig.pool.finished().await;
    assert!(rig.seconds() < 1.0, "it does not wait for the end of the pause");
    for id in ids {
        assert_eq!(rig.get(id).await.state.name(), StateName::Pending);
    }
    assert_eq!(*order.lock().unwrap(), [0; 0]);
    assert!(rig.jobs.resume_queue("default").await.is_err(), "too late: it is settled what becomes of them");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_held_for_nothing_is_given_back_when_there_are_fewer() {
    let gate = Arc::new(Semaphore::new(0));
    let (rig, order) = noting(5, 2, Some(Arc::clone(&gate)));
    let one = rig.submit(job(0)).await;
    rig.idle().await;
    // The second place is in the hand of the dispatcher, who waits for work.
    rig.jobs.set_concurrency("default", 1).await.unwrap();
    let two = rig.submit(job(1)).await;
    rig.idle().await;
    assert_eq!(*order.lock().unwrap(), [0], "one at a time");
    gate.add_permits(1);
    rig.end(one).await;
    rig.idle().await;
    assert_eq!(*order.lock().unwrap(), [0, 1]);
    rig.jobs.set_concurrency("default", 3).await.unwrap();
    rig.submit_numbers(2..6).await;
    rig.idle().await;
    assert_eq!(rig.pool.running(), 3, "at once");
    gate.add_permits(10);
    rig.end(two).await;
}

/// Who ends with a place that is one too many does not go on with what waits, whoever has what is next in hand.
#[tokio::test(start_paused = true)]
async fn no_place_that_is_too_many_is_used_again() {
    let gate = Arc::new(Semaphore::new(0));
    let (rig, order) = noting(20, 4, Some(Arc::clone(&gate)));
    rig.submit_numbers(0..3).await;
    rig.idle().await;
    rig.jobs.pause_queue("default", None, None).await.unwrap();
    rig.idle().await;
    let ids = rig.submit_numbers(3..13).await;
    rig.jobs.set_concurrency("default", 1).await.unwrap();
    rig.jobs.resume_queue("default").await.unwrap();
    rig.idle().await;
    for running in [3, 2, 1, 1, 1] {
        assert_eq!(rig.pool.running(), running);
        gate.add_permits(1);
        rig.idle().await;
    }
    gate.add_permits(20);
    rig.end(ids[9]).await;
    assert_eq!(*order.lock().unwrap(), (0..13).collect::<Vec<_>>());
}

/// How many run, and the most that did.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
    runs: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrency_goes_up_and_down_under_load_without_loss() {
    let crowd = Arc::new(Crowd::default());
    let rig = Setup { queues: vec![queue("default", 100, 1)], ..Setup::default() }.start({
        let crowd = Arc::clone(&crowd);
        move |_, _| {
            let crowd = Arc::clone(&crowd);
            Box::pin(async move {
                let now = crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
                crowd.most.fetch_max(now, Ordering::SeqCst);
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                crowd.runs.fetch_add(1, Ordering::SeqCst);
                crowd.now.fetch_sub(1, Ordering::SeqCst);
                Ok(Outcome::done())
            })
        }
    });
    // Producers that never let the line run dry, in every phase.
    let mut ids = Vec::new();
    for concurrency in [1, 50, 1, 7, 1] {
        rig.jobs.set_concurrency("default", concurrency).await.unwrap();
        // Who had a place before may still begin; this one gets none before the excess has ended, nor does anybody after it.
        let first = rig.submit(job(0)).await;
        rig.end(first).await;
        ids.push(first);
        crowd.most.store(0, Ordering::SeqCst);
        let before = crowd.runs.load(Ordering::SeqCst);
        for number in 0..600 {
            ids.push(rig.submit(job(number)).await);
        }
        until("they run", || crowd.runs.load(Ordering::SeqCst) > before + 400).await;
        let most = crowd.most.load(Ordering::SeqCst);
        assert!((1..=concurrency).contains(&most), "{most} at once, of {concurrency}");
        assert!(concurrency == 1 || most > 1, "more were to run than one");
    }
    for id in &ids {
        assert_eq!(rig.end(*id).await.attempts.len(), 1);
    }
    assert_eq!(crowd.runs.load(Ordering::SeqCst), ids.len(), "each ran once");
    until("all places are free", || rig.pool.running() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_spreads_starts_and_says_until_when_jobs_wait() {
    let (rig, _) = noting(10, 5, None);
    rig.jobs.set_rate_limit("default", Some(limit("10/m"))).await.unwrap();
    let ids = rig.submit_numbers(0..4).await;
    rig.idle().await;
    // The second one is in the hand of the dispatcher and in front of the others.
    for (n, id) in ids.iter().enumerate().skip(1) {
        let (reason, until, ahead) = rig.waits(*id).await;
        assert_eq!((reason, ahead), (WaitingFor::RateLimit, n as u64 - 1));
        assert!((until.unwrap() - 6.0 * n as f64).abs() < 0.01, "{until:?}");
    }
    for (n, id) in ids.iter().enumerate() {
        assert!((rig.began(*id).await - 6.0 * n as f64).abs() < 0.1);
    }
    // Nothing was saved up while there was nothing to do.
    tokio::time::advance(Duration::from_mins(10)).await;
    let late = rig.submit_numbers(4..6).await;
    let (one, two) = (rig.began(late[0]).await, rig.began(late[1]).await);
    assert!((two - one - 6.0).abs() < 0.01, "{one} {two}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_changed_while_jobs_wait_for_it() {
    let (rig, _) = noting(10, 5, None);
    rig.jobs.set_rate_limit("default", Some(limit("1/h"))).await.unwrap();
    let ids = rig.submit_numbers(0..5).await;
    rig.idle().await;
    assert_eq!(rig.waits(ids[1]).await.0, WaitingFor::RateLimit);
    let status = rig.jobs.set_rate_limit("default", Some(limit("1/m"))).await.unwrap();
    assert_eq!(status.rate_limit, Some(limit("1/m")));
    // Not at once: what has begun before counts.
    assert!((59.9..60.1).contains(&rig.began(ids[1]).await));
    rig.jobs.set_rate_limit("default", None).await.unwrap();
    for id in &ids[2..] {
        assert!(rig.began(*id).await < 60.2);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_count_and_what_never_begins_does_not() {
    let rig = Setup { queues: vec![queue("default", 100, 5)], ..Setup::default() }
        .start(|_, _| Box::pin(async { Err(Failure::transient("x", "again")) }));
    rig.jobs.set_rate_limit("default", Some(limit("1/m"))).await.unwrap();
    let failing = rig.submit(job(0)).await;
    let canceled = rig.submit(job(1)).await;
    let mut late = job(2);
    late.expires_in = Some(Duration::from_secs(30));
    let late = rig.submit(late).await;
    rig.idle().await;
    rig.jobs.cancel(canceled).await.unwrap();
    let failed = rig.end(failing).await;
    // Tried again 10 s after each end: the limit holds for that too.
    let began: Vec<f64> =
        failed.attempts.iter().map(|attempt| attempt.started_at.since(EPOCH).as_secs_f64().round()).collect();
    assert_eq!(began, [0.0, 60.0, 120.0]);
    assert_eq!(rig.get(late).await.state.name(), StateName::Skipped);
    assert!(rig.get(canceled).await.attempts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pause_wins_over_the_rate_limit_and_keeps_who_is_in_hand_in_front() {
    let (rig, order) = noting(10, 5, None);
    rig.jobs.set_rate_limit("default", Some(limit("1/m"))).await.unwrap();
    let ids = rig.submit_numbers(0..3).await;
    rig.idle().await;
    rig.jobs.pause_queue("default", None, Some(at(300))).await.unwrap();
    rig.idle().await;
    assert_eq!(rig.waits(ids[1]).await, (WaitingFor::Pause, Some(300.0), 0));
    assert_eq!(rig.waits(ids[2]).await, (WaitingFor::Pause, Some(300.0), 1));
    assert!((rig.began(ids[1]).await - 300.0).abs() < 0.01);
    assert!((rig.began(ids[2]).await - 360.0).abs() < 0.01);
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_not_held_up_by_a_rate_limit() {
    let (rig, order) = noting(10, 5, None);
    rig.jobs.set_rate_limit("default", Some(limit("1/m"))).await.unwrap();
    let ids = rig.submit_numbers(0..4).await;
    rig.idle().await;
    // Softly it goes on at its pace, and hard it ends at once.
    rig.stop.soft.cancel();
    rig.jobs.close_intake().await;
    rig.end(ids[1]).await;
    assert!((59.0..61.0).contains(&rig.seconds()));
    rig.stop.hard.cancel();
    rig.pool.finished().await;
    assert!(rig.seconds() < 61.0);
    assert_eq!(*order.lock().unwrap(), [0, 1]);
    for id in &ids[2..] {
        assert_eq!(rig.get(*id).await.state.name(), StateName::Pending);
    }
}
