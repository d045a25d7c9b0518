//! Scheduled jobs, retries and what is found at start.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backroom::handler::Outcome;
use backroom::job::{Delay, Job, JobLog, JobState, KindName, NewJob, QueueName, Spec, StateName, WaitingFor};
use backroom::store::Store as _;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::rig::{EPOCH, Rig, Setup, attempts, job, queue};

fn delayed(payload: &str, millis: u64) -> NewJob {
    job(payload).delay(Delay::For(Duration::from_millis(millis)))
}

/// Jobs whose payload begins with `gate` wait for the gate; all say their payload when they begin.
struct Gated {
    rig: Rig,
    gate: Arc<Semaphore>,
    began: Arc<Mutex<Vec<String>>>,
}

fn gated(setup: Setup) -> Gated {
    let (gate, began) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
    let rig = setup.start({
        let (gate, began) = (Arc::clone(&gate), Arc::clone(&began));
        move |input, _| {
            let name = input.as_str().unwrap().to_owned();
            let (gate, wait) = (Arc::clone(&gate), name.starts_with("gate"));
            began.lock().unwrap().push(name);
            Box::pin(async move {
                if wait {
                    gate.acquire().await.unwrap().forget();
                }
                Ok(Outcome::done())
            })
        }
    });
    Gated { rig, gate, began }
}

impl Gated {
    fn began(&self) -> Vec<String> {
        self.began.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_run_when_and_in_the_order_in_which_they_are_due() {
    let g = gated(Setup { queues: vec![queue("default", 10, 1)], ..Setup::default() });
    let mut ids = Vec::new();
    for (name, millis) in [("c", 3_000), ("a", 1_000), ("b", 2_500), ("d", 3_000)] {
        ids.push(g.rig.submit(delayed(name, millis)).await);
    }
    g.rig.submit(job("now")).await;
    for (id, at) in ids.into_iter().zip([3.0, 1.0, 2.5, 3.0]) {
        let ended = g.rig.end(id).await;
        assert_eq!(attempts(&ended), [("completed", at, at)]);
    }
    assert_eq!(g.began(), ["now", "a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn the_loop_wakes_for_a_job_that_is_due_before_the_one_it_sleeps_for() {
    let g = gated(Setup::default());
    g.rig.submit(delayed("later", 900)).await;
    g.rig.idle().await;
    let sooner = g.rig.run(delayed("sooner", 200)).await;
    assert_eq!(attempts(&sooner), [("completed", 0.201, 0.201)]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_due_waits_for_room() {
    let g = gated(Setup { queues: vec![queue("default", 1, 1), queue("other", 1, 1)], ..Setup::default() });
    let running = g.rig.submit(job("gate running")).await;
    g.rig.idle().await;
    let pending = g.rig.submit(job("pending")).await;
    let due = g.rig.submit(delayed("due", 500)).await;
    let other = delayed("other", 600).queue(QueueName::new("other").unwrap());
    let other = g.rig.submit(other).await;

    let waiting = |job: &Job| g.rig.jobs.waiting(job, g.rig.jobs.clock().now()).unwrap();
    assert_eq!(waiting(&*g.rig.get(due).await).reason, WaitingFor::Schedule);
    assert_eq!(waiting(&*g.rig.get(pending).await).reason, WaitingFor::Turn);
    // A full queue holds up no other.
    assert_eq!(attempts(&*g.rig.end(other).await), [("completed", 0.601, 0.601)]);
    // sleep: paused time, which moves on when nothing else can be done.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let job = g.rig.get(due).await;
    assert_eq!(job.state.name(), StateName::Scheduled);
    assert_eq!((waiting(&job).reason, waiting(&job).until), (WaitingFor::Room, None));

    g.gate.add_permits(1);
    for id in [running, pending, due] {
        assert_eq!(g.rig.end(id).await.state.name(), StateName::Completed);
    }
    assert_eq!(g.began(), ["gate running", "other", "pending", "due"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_canceled_while_it_waits_for_room_gives_the_room_back() {
    let g = gated(Setup { queues: vec![queue("default", 1, 1)], ..Setup::default() });
    g.rig.submit(job("gate")).await;
    g.rig.idle().await;
    g.rig.submit(job("pending")).await;
    let due = g.rig.submit(delayed("due", 500)).await;
    // sleep: paused time.
    tokio::time::sleep(Duration::from_secs(2)).await;
    g.rig.jobs.cancel(due).await.unwrap();
    g.gate.add_permits(1);
    for n in 0..5 {
        g.rig.run(job(format!("after {n}"))).await;
    }
    assert!(!g.began().contains(&"due".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_retry_by_hand_runs_a_scheduled_job_now_and_only_once() {
    let g = gated(Setup::default());
    let id = g.rig.submit(delayed("x", 5_000)).await;
    g.rig.jobs.retry(id).await.unwrap();
    assert_eq!(attempts(&*g.rig.end(id).await), [("completed", 0.0, 0.0)]);
    // sleep: paused time.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(g.began(), ["x"]);
}

/// As a spill file would bring it.
fn found(g: &Gated, kind: &str, payload: &str, since: i64) -> Arc<Job> {
    let now = g.rig.jobs.clock().now();
    let spec = Spec {
        id: g.rig.jobs.clock().job_id(now),
        kind: KindName::new(kind).unwrap(),
        queue: QueueName::new("default").unwrap(),
        payload: RawValue::from_string(format!("{payload:?}")).unwrap(),
        created_at: EPOCH,
        max_attempts: 3,
        timeout: Duration::from_secs(1),
        tags: Box::default(),
        unique: None,
        trace: None,
        notices: None,
        log: JobLog::default(),
    };
    let since = backroom::job::Timestamp::from_millis(EPOCH.as_millis() + since);
    Arc::new(Job::new(spec, JobState::Pending { turn: None, since }, None))
}

#[tokio::test(start_paused = true)]
async fn what_is_found_at_start_runs_in_its_old_order() {
    let g = gated(Setup { queues: vec![queue("default", 2, 1)], ..Setup::default() });
    let jobs: Vec<_> = [("c", -1), ("a", -30), ("b", -20), ("d", -1)]
        .into_iter()
        .map(|(name, since)| found(&g, "act", name, since))
        .collect();
    g.rig.store.insert(jobs.clone()).await.unwrap();
    for job in jobs {
        g.rig.end(job.id()).await;
    }
    assert_eq!(g.began(), ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_gone_is_a_dead_letter() {
    let g = gated(Setup::default());
    let gone = found(&g, "gone", "x", 0);
    g.rig.store.insert(vec![Arc::clone(&gone)]).await.unwrap();
    let ended = g.rig.end(gone.id()).await;
    assert_eq!(ended.state.name(), StateName::DeadLettered);
    assert_eq!(&*ended.error.as_ref().unwrap().code, "unknown-kind");
    assert_eq!((ended.attempts.len(), g.rig.pool.running()), (1, 0));
}
