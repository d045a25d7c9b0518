//! Dead letters as a group, where the time and the threads matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backroom::handler::{Failure, Outcome};
use backroom::job::{Job, JobId, JobLog, JobState, KindName, QueueName, Spec, StateName};
use backroom::jobs::{DeadLetters, DeadLettersError, Redrive};
use backroom::queue::{MemoryQueue, Queue};
use backroom::store::Store as _;
use serde_json::value::RawValue;
use tokio::sync::Barrier;

use crate::rig::{EPOCH, Rig, Setup, job, until};

/// A pool whose jobs fail for good, after as many seconds as their payload says, until `mended`; then they run for ever.
/// A job `stay` does so from the beginning.
fn rig(queue: &Arc<MemoryQueue>, concurrency: usize) -> (Rig, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let queue: Arc<dyn Queue> = Arc::<MemoryQueue>::clone(queue);
    let setup = Setup { queues: vec![("default", queue, concurrency)], ..Setup::default() };
    let rig = setup.start({
        let mended = Arc::clone(&mended);
        move |input, _| {
            let stays = mended.load(Ordering::SeqCst) || input == "stay";
            Box::pin(async move {
                if stays {
                    std::future::pending::<()>().await;
                }
                if let Some(seconds) = input.as_u64() {
                    // sleep: paused time; the work of a handler.
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                }
                Err::<Outcome, _>(Failure::permanent("no", "never"))
            })
        }
    });
    (rig, mended)
}

async fn dead(rig: &Rig, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(rig.run(job("x")).await.id());
    }
    ids
}

fn all() -> Redrive {
    Redrive::default()
}

#[tokio::test(start_paused = true)]
async fn those_go_first_that_were_given_up_first() {
    let (rig, mended) = rig(&Arc::new(MemoryQueue::new(10)), 3);
    let mut ids = Vec::new();
    for seconds in [10, 1, 5] {
        ids.push(rig.submit(job(seconds)).await);
    }
    for id in &ids {
        rig.end(*id).await;
    }
    mended.store(true, Ordering::SeqCst);
    for expected in [ids[1], ids[2], ids[0]] {
        let done = rig.jobs.redrive(&Redrive { limit: Some(1), ..all() }).await.unwrap();
        assert_eq!(done.redriven, 1);
        assert_eq!(rig.get(expected).await.state.name(), StateName::Pending);
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_ids_has_a_limit() {
    let (rig, _) = rig(&Arc::new(MemoryQueue::new(10)), 2);
    let dead = dead(&rig, 1).await;
    let which = |count: usize| DeadLetters { ids: Some(vec![dead[0]; count]), ..DeadLetters::default() };
    for count in [0, 1_001] {
        let redrive = Redrive { which: which(count), ..all() };
        assert!(
            matches!(rig.jobs.redrive(&redrive).await, Err(DeadLettersError::Invalid(f)) if f.len() == 1)
        );
        let deleted = rig.jobs.delete_dead_letters(&which(count)).await;
        assert!(matches!(deleted, Err(DeadLettersError::Invalid(f)) if f[0].pointer == "/ids"), "{count}");
    }
    let redrive = Redrive { which: which(1_000), dry_run: true, ..all() };
    assert_eq!(rig.jobs.redrive(&redrive).await.unwrap().matched, 1, "each counts once");
    assert_eq!(rig.jobs.delete_dead_letters(&which(1_000)).await.unwrap(), 1);
}

/// More than one page, of which some jobs leave while the next one is looked for.
#[tokio::test(start_paused = true)]
async fn many_are_found_page_by_page() {
    for count in [255, 256, 257, 600] {
        let (rig, mended) = rig(&Arc::new(MemoryQueue::new(2_000)), 2);
        let ids = dead(&rig, count).await;
        mended.store(true, Ordering::SeqCst);
        let dry = rig.jobs.redrive(&Redrive { dry_run: true, ..all() }).await.unwrap();
        assert_eq!((dry.matched, dry.redriven, dry.left), (count, 0, count));
        let which = DeadLetters { ids: Some(ids[..count / 2].to_vec()), ..DeadLetters::default() };
        let done = rig.jobs.redrive(&Redrive { which, ..all() }).await.unwrap();
        assert_eq!((done.matched, done.redriven, done.left), (count / 2, count / 2, 0));
        let rest = rig.jobs.delete_dead_letters(&DeadLetters::default()).await.unwrap();
        assert_eq!(rest, count - count / 2);
        assert_eq!(rig.count(StateName::DeadLettered).await, 0);
    }
}

/// A backend that outlives the configuration can hold such jobs.
#[tokio::test(start_paused = true)]
async fn dead_letters_of_a_kind_that_is_gone_are_not_out_of_reach() {
    let (rig, _) = rig(&Arc::new(MemoryQueue::new(10)), 2);
    let of = |kind: &str| DeadLetters { kinds: vec![KindName::new(kind).unwrap()], ..DeadLetters::default() };
    let mut ids = Vec::new();
    for kind in ["gone", "gone", "gone-too"] {
        let spec = Spec {
            id: rig.jobs.clock().job_id(EPOCH),
            kind: KindName::new(kind).unwrap(),
            queue: QueueName::new("default").unwrap(),
            payload: RawValue::from_string("{}".to_owned()).unwrap(),
            created_at: EPOCH,
            max_attempts: 1,
            timeout: Duration::from_mins(1),
            tags: Box::default(),
            unique: None,
            trace: None,
            notices: None,
            log: JobLog::default(),
        };
        ids.push(spec.id);
        let given_up = Job::new(spec, JobState::DeadLettered { at: EPOCH }, None);
        rig.store.insert(vec![Arc::new(given_up)]).await.unwrap();
    }
    let both = DeadLetters { kinds: [of("gone").kinds, of("gone-too").kinds].concat(), ..of("gone") };
    let dry = rig.jobs.redrive(&Redrive { which: both, dry_run: true, ..all() }).await.unwrap();
    assert_eq!(dry.matched, 3);
    // One that does not exist is named, beside one that does.
    let typo = DeadLetters { kinds: [of("gone").kinds, of("act2").kinds].concat(), ..of("gone") };
    let Err(DeadLettersError::Invalid(faults)) = rig.jobs.delete_dead_letters(&typo).await else {
        panic!("it was not refused");
    };
    assert_eq!(faults.len(), 1);
    assert!(faults[0].pointer == "/kind" && faults[0].detail.contains("\"act\""), "{faults:?}");
    assert_eq!(rig.jobs.delete_dead_letters(&of("gone")).await.unwrap(), 2);
    // Another round cannot help, says why, and loses nothing.
    assert_eq!(rig.jobs.redrive(&Redrive { which: of("gone-too"), ..all() }).await.unwrap().redriven, 1);
    rig.idle().await;
    let again = rig.end(ids[2]).await;
    assert_eq!(again.state.name(), StateName::DeadLettered);
    assert_eq!(&*again.error.as_ref().unwrap().code, "unknown-kind");
}

/// Redrives, deletes and single retries at once: each dead letter is taken by one of them, and waits in its queue once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_comes_first_takes_it_and_nobody_else() {
    const DEAD: usize = 300;
    let queue = Arc::new(MemoryQueue::new(1_000));
    let (rig, mended) = rig(&queue, 2);
    let ids = dead(&rig, DEAD).await;
    mended.store(true, Ordering::SeqCst);
    let start = Arc::new(Barrier::new(7));
    let mut takers = Vec::new();
    for n in 0..7 {
        let (jobs, start, ids) = (rig.jobs.clone(), Arc::clone(&start), ids.clone());
        takers.push(tokio::spawn(async move {
            start.wait().await;
            match n {
                0..3 => (jobs.redrive(&all()).await.unwrap().redriven, 0),
                3 | 4 => (0, jobs.delete_dead_letters(&DeadLetters::default()).await.unwrap()),
                _ => {
                    let mut retried = 0;
                    for id in ids.into_iter().rev() {
                        retried += usize::from(jobs.retry(id).await.is_ok());
                        tokio::task::yield_now().await;
                    }
                    (retried, 0)
                }
            }
        }));
    }
    let (mut round, mut deleted) = (0, 0);
    for taker in takers {
        let (sent, thrown) = taker.await.unwrap();
        round += sent;
        deleted += thrown;
    }
    assert_eq!(round + deleted, DEAD);
    assert_eq!(rig.count(StateName::DeadLettered).await, 0);
    let under_way = round.min(2);
    until("both places to be taken", || rig.pool.running() == under_way).await;
    assert_eq!(queue.depth(), round - under_way, "each waits once");
    assert_eq!(rig.store.len(), round);
}

/// However many redrive at once, none takes what is kept for new jobs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_redrives_at_once_keep_the_same_room_free() {
    let queue = Arc::new(MemoryQueue::new(10));
    let (rig, _) = rig(&queue, 2);
    dead(&rig, 40).await;
    for _ in 0..2 {
        rig.submit(job("stay")).await;
    }
    until("both places to be taken", || rig.pool.running() == 2 && queue.depth() == 0).await;
    let start = Arc::new(Barrier::new(6));
    let redrives: Vec<_> = (0..6)
        .map(|_| {
            let (jobs, start) = (rig.jobs.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                jobs.redrive(&all()).await.unwrap().redriven
            })
        })
        .collect();
    let mut redriven = 0;
    for redrive in redrives {
        redriven += redrive.await.unwrap();
    }
    assert!(redriven <= 8 && queue.depth() == redriven, "{redriven} of ten places");
    redriven += rig.jobs.redrive(&all()).await.unwrap().redriven;
    assert_eq!((redriven, queue.depth()), (8, 8));
}

/// Somebody retries and cancels it while the redrive looks for others: what was a dead letter then is none any more, and
/// is left alone.
#[tokio::test(start_paused = true)]
async fn what_is_no_dead_letter_any_more_is_left_alone() {
    let mut overtaken = 0;
    for steps in 0..8 {
        let queue = Arc::new(MemoryQueue::new(10));
        let (rig, _) = rig(&queue, 2);
        let id = dead(&rig, 1).await[0];
        for _ in 0..2 {
            rig.submit(job("stay")).await;
        }
        rig.idle().await;
        let jobs = rig.jobs.clone();
        let quicker = tokio::spawn(async move {
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
            // When the redrive was quicker, it waits already.
            let _ = jobs.retry(id).await;
            jobs.cancel(id).await.unwrap();
        });
        let done = rig.jobs.redrive(&all()).await.unwrap();
        quicker.await.unwrap();
        assert_eq!(rig.get(id).await.state.name(), StateName::Canceled, "after {steps} steps");
        assert_eq!(done.left, 0);
        overtaken += usize::from((done.matched, done.redriven) == (1, 0));
    }
    assert!(overtaken > 0, "it never happened in between");
}
