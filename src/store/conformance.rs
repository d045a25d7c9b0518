//! What every store must do. A backend is a store when it passes [`check`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::forget_conformance as forget;
use super::notices_conformance as notices;
use super::unique_conformance as unique;
use super::{ApplyError, Filter, InsertError, ListQuery, Retention, Store};
use crate::job::{
    AttemptOutcome, Change, Ending, Job, JobError, JobId, JobLog, JobState, KindName, LogLevel, LogLine,
    QueueName, ResultSlot, Spec, StateName, Tag, Timestamp,
};

const KEEP: Retention = Retention {
    completed: Duration::from_secs(10),
    dead_lettered: Duration::from_secs(100),
    max_finished: 3,
};

/// Runs the whole suite; `make` builds an empty store for the given queues.
///
/// # Panics
///
/// When the store does not do what it must.
pub async fn check(make: impl Fn(Vec<QueueName>, Retention) -> Box<dyn Store>) {
    let make = || make(vec![queue("default"), queue("mail")], KEEP);
    inserts_all_or_none(&*make()).await;
    restores(&*make()).await;
    applies_or_refuses(&*make()).await;
    logs_what_the_run_writes(&*make()).await;
    refuses_a_late_settle(&*make()).await;
    tells_what_is_due(&*make()).await;
    lists_newest_first(&*make()).await;
    filters(&*make()).await;
    counts_every_state(&*make()).await;
    forget::forgets_by_age(&*make()).await;
    forget::forgets_by_number(&*make()).await;
    forget::removes_what_is_as_expected(&*make()).await;
    one_of_many_wins(make().into()).await;
    forget::one_of_many_removes(make().into()).await;
    unique::keeps_one_of_the_same_work(&*make()).await;
    unique::lets_go_of_a_key(&*make()).await;
    unique::takes_a_key_again_on_retry(&*make()).await;
    unique::forgets_holders_last(&*make()).await;
    unique::makes_one_of_many(make().into()).await;
    notices::keeps_notices_with_the_change(&*make()).await;
    notices::notes_notices_with_their_job(&*make()).await;
    notices::keeps_no_notice_of_a_duplicate(&*make()).await;
}

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn id(n: u128) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(n))
}

pub(super) fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a valid name")
}

/// A pending job; the time of its acceptance follows its number.
pub(super) fn job(n: u128, queue_name: &str, kind: &str, tags: &[&str]) -> Job {
    let created_at = at(i64::try_from(n).expect("a small number"));
    let spec = Spec {
        id: id(n),
        kind: KindName::new(kind).expect("a valid name"),
        queue: queue(queue_name),
        payload: RawValue::from_string("{}".to_owned()).expect("valid JSON"),
        created_at,
        max_attempts: 2,
        timeout: Duration::from_mins(1),
        tags: tags.iter().map(|tag| Tag::new(tag).expect("a valid tag")).collect(),
        unique: None,
        trace: None,
        notices: None,
        log: JobLog::default(),
    };
    Job::new(spec, JobState::Pending { turn: Some(0), since: created_at }, None)
}

fn scheduled(n: u128, due: i64) -> Job {
    let mut job = job(n, "default", "noop", &[]);
    job.state = JobState::Scheduled { due: at(due) };
    job
}

pub(super) async fn insert(store: &dyn Store, job: Job) -> JobId {
    let id = job.id();
    store.insert(vec![Arc::new(job)]).await.expect("a new id");
    id
}

pub(super) async fn state(store: &dyn Store, id: JobId) -> StateName {
    store.get(id).await.expect("an answer").expect("the job").state.name()
}

pub(super) async fn finish(store: &dyn Store, id: JobId, ending: Ending, now: i64) {
    let job = store.apply(id, Change::Start, at(now)).await.expect("a pending job starts");
    store.apply(id, Change::Settle { run: job.runs, ending }, at(now)).await.expect("a running job settles");
}

pub(super) fn completed() -> Ending {
    Ending::Completed(ResultSlot::Null)
}

pub(super) fn failed(retryable: bool, retry_at: i64) -> Ending {
    let error = Arc::new(JobError { code: "smtp-550".into(), message: "No such User".into(), retryable });
    Ending::Failed { outcome: AttemptOutcome::Failed, error, retry_at: at(retry_at) }
}

async fn inserts_all_or_none(store: &dyn Store) {
    let two = || vec![Arc::new(job(1, "default", "noop", &[])), Arc::new(job(2, "mail", "noop", &[]))];
    store.insert(two()).await.expect("two new ids");
    assert_eq!(store.get(id(1)).await.expect("an answer").expect("the job").id(), id(1));
    let again = vec![Arc::new(job(3, "default", "noop", &[])), Arc::new(job(2, "default", "noop", &[]))];
    assert!(matches!(store.insert(again).await, Err(InsertError::Taken(taken)) if taken == id(2)));
    assert!(store.get(id(3)).await.expect("an answer").is_none(), "none of them was kept");
    assert_eq!(store.get(id(2)).await.expect("an answer").expect("the job").spec.queue, queue("mail"));
    let twins = vec![Arc::new(job(4, "default", "noop", &[])), Arc::new(job(4, "default", "noop", &[]))];
    assert!(store.insert(twins).await.is_err(), "an id is given once");
    assert!(store.get(id(4)).await.expect("an answer").is_none());
    let stray = store.insert(vec![Arc::new(job(5, "elsewhere", "noop", &[]))]).await;
    assert!(matches!(stray, Err(InsertError::Store(_))), "a queue that the store does not know is refused");
}

async fn restores(store: &dyn Store) {
    let mut dead = job(2, "mail", "noop", &[]);
    dead.state = JobState::DeadLettered { at: at(5) };
    let two = || vec![Arc::new(job(1, "default", "noop", &[])), Arc::new(dead.clone())];
    store.restore(two()).await.expect("two new ids");
    assert_eq!(state(store, id(2)).await, StateName::DeadLettered);
    assert!(matches!(store.restore(two()).await, Err(InsertError::Taken(_))), "an id is given once");
    assert_eq!(store.sweep(at(100_005)).await.expect("an answer"), 1, "a restored dead letter has its time");
}

async fn logs_what_the_run_writes(store: &dyn Store) {
    let id = insert(store, job(1, "default", "noop", &[])).await;
    let log = async |run, text: &str| {
        store.log(id, run, LogLine::new(at(1), 1, LogLevel::Info, text)).await.expect("an answer");
        let job = store.get(id).await.expect("an answer").expect("the job");
        job.log.lines().iter().map(|line| line.message.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(log(1, "too early").await, [""; 0]);
    let run = store.apply(id, Change::Start, at(1)).await.expect("it starts").runs;
    assert_eq!(log(run, "a").await, ["a"]);
    assert_eq!(log(run + 1, "of another run").await, ["a"]);
    assert_eq!(log(run, "b").await, ["a", "b"]);
    store.apply(id, Change::Settle { run, ending: completed() }, at(2)).await.expect("it settles");
    assert_eq!(log(run, "too late").await, ["a", "b"]);
    store.log(self::id(9), 1, LogLine::new(at(1), 1, LogLevel::Info, "x")).await.expect("of no job: dropped");
}

async fn applies_or_refuses(store: &dyn Store) {
    assert!(matches!(store.apply(id(9), Change::Start, at(0)).await, Err(ApplyError::NotFound)));
    let id = insert(store, job(1, "default", "noop", &[])).await;
    let before = store.get(id).await.expect("an answer").expect("the job");
    let running = store.apply(id, Change::Start, at(5)).await.expect("a pending job starts");
    assert_eq!((running.state.name(), running.attempt, running.sequence), (StateName::Processing, 1, 2));
    assert_eq!(before.state.name(), StateName::Pending, "what a reader holds does not change under it");
    let refused = store.apply(id, Change::Start, at(6)).await;
    assert!(matches!(refused, Err(ApplyError::Refused(refused)) if refused.state == StateName::Processing));
    let after = store.get(id).await.expect("an answer").expect("the job");
    assert_eq!((after.sequence, after.started_at), (2, Some(at(5))), "nothing was written");
}

async fn refuses_a_late_settle(store: &dyn Store) {
    let id = insert(store, job(1, "default", "noop", &[])).await;
    let first = store.apply(id, Change::Start, at(1)).await.expect("it starts").runs;
    let settle = |run, ending| store.apply(id, Change::Settle { run, ending }, at(2));
    settle(first, failed(true, 3)).await.expect("the first run fails");
    store.apply(id, Change::Enqueue { turn: 1 }, at(3)).await.expect("it is due again");
    assert!(settle(first, completed()).await.is_err(), "no run is under way");
    let second = store.apply(id, Change::Start, at(4)).await.expect("it starts again").runs;
    assert!(settle(first, completed()).await.is_err(), "another run is under way");
    assert_eq!(state(store, id).await, StateName::Processing);
    settle(second, completed()).await.expect("the run under way ends");
    assert!(settle(second, completed()).await.is_err(), "a run ends once");
}

async fn tells_what_is_due(store: &dyn Store) {
    for (n, due) in [(1, 300), (2, 100), (3, 200)] {
        insert(store, scheduled(n, due)).await;
    }
    let default = queue("default");
    let due = async |now, limit| {
        let due = store.due(&default, at(now), limit).await.expect("an answer");
        (due.ids, due.next)
    };
    assert_eq!(due(99, 10).await, (vec![], Some(at(100))));
    assert_eq!(due(100, 10).await, (vec![id(2)], Some(at(200))));
    assert_eq!(due(500, 2).await, (vec![id(2), id(3)], Some(at(300))));
    assert_eq!(due(500, 3).await, (vec![id(2), id(3), id(1)], None));
    assert!(
        store.due(&queue("mail"), at(500), 9).await.expect("an answer").ids.is_empty(),
        "of another queue"
    );

    store.apply(id(2), Change::Enqueue { turn: 1 }, at(100)).await.expect("it is due");
    store.apply(id(3), Change::Cancel, at(100)).await.expect("it waits");
    assert_eq!(due(500, 10).await, (vec![id(1)], None), "neither pending nor canceled jobs are due");
    finish(store, id(2), failed(true, 400), 110).await;
    assert_eq!(due(399, 10).await, (vec![id(1)], Some(at(400))));

    let mut expiring = scheduled(7, 10_000);
    expiring.expires_at = Some(at(350));
    insert(store, expiring).await;
    assert_eq!(due(360, 10).await.0, vec![id(1), id(7)], "a job wakes to expire");
}

pub(super) fn query(filter: Filter, before: Option<JobId>, limit: usize) -> ListQuery {
    ListQuery { filter, before, limit }
}

pub(super) async fn ids(store: &dyn Store, query: ListQuery) -> (Vec<u128>, Option<JobId>) {
    let page = store.list(&query).await.expect("an answer");
    (page.jobs.iter().map(|job| job.id().as_uuid().as_u128()).collect(), page.next)
}

/// The numbers of all jobs, newest first.
pub(super) async fn all(store: &dyn Store) -> Vec<u128> {
    ids(store, query(Filter::default(), None, 100)).await.0
}

async fn lists_newest_first(store: &dyn Store) {
    // More than one step of any index, in no order.
    let mut numbers: Vec<u128> = (1..=700).collect();
    numbers.rotate_left(313);
    for n in numbers {
        insert(store, job(n, "default", "noop", &[])).await;
        // Whether it is done or not; of those that are, no more are kept than a few.
        if n % 350 == 0 {
            finish(store, id(n), completed(), 701).await;
        }
    }
    assert_eq!(ids(store, query(Filter::default(), None, 2)).await, (vec![700, 699], Some(id(699))));
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let (page, next) = ids(store, query(Filter::default(), before, 99)).await;
        seen.extend(page);
        let Some(next) = next else { break };
        before = Some(next);
    }
    assert_eq!(seen, (1..=700).rev().collect::<Vec<u128>>(), "each job on one page");
    assert_eq!(ids(store, query(Filter::default(), None, 700)).await.1, None, "no page after the last job");
    let one = Filter { created_before: Some(at(2)), ..Filter::default() };
    assert_eq!(ids(store, query(one, None, 5)).await, (vec![1], None), "far from the newest");
}

async fn filters(store: &dyn Store) {
    insert(store, job(1, "default", "noop", &["Nightly"])).await;
    insert(store, job(2, "mail", "email", &["signup", "eu"])).await;
    insert(store, job(3, "mail", "noop", &["eu"])).await;
    finish(store, id(1), failed(false, 0), 5).await;
    insert(store, job(4, "default", "render", &[])).await;
    finish(store, id(4), completed(), 6).await;
    let find = async |filter| ids(store, query(filter, None, 10)).await.0;
    let text = |text: &str| Filter { text: Some(text.to_owned()), ..Filter::default() };
    let tags = |tags: &[&str]| tags.iter().map(|tag| Tag::new(tag).expect("a valid tag")).collect();
    assert_eq!(find(Filter { states: vec![StateName::DeadLettered], ..Filter::default() }).await, [1]);
    assert_eq!(find(Filter { states: vec![StateName::Completed], ..Filter::default() }).await, [4]);
    let both = vec![StateName::DeadLettered, StateName::Pending];
    assert_eq!(find(Filter { states: both, ..Filter::default() }).await, [3, 2, 1]);
    assert_eq!(find(Filter { queues: vec![queue("mail")], ..Filter::default() }).await, [3, 2]);
    assert_eq!(find(Filter { queues: vec![queue("default")], ..Filter::default() }).await, [4, 1]);
    let noop = vec![KindName::new("noop").expect("a valid name")];
    assert_eq!(find(Filter { kinds: noop.clone(), ..Filter::default() }).await, [3, 1]);
    let all = Filter { kinds: noop, queues: vec![queue("mail")], tags: tags(&["eu"]), ..Filter::default() };
    assert_eq!(find(all).await, [3], "every member must be met");
    assert_eq!(find(Filter { tags: tags(&["signup", "Nightly"]), ..Filter::default() }).await, [2, 1]);
    assert_eq!(find(text("RENDER")).await, [4]);
    assert_eq!(find(text(&id(4).to_string())).await, [4]);
    assert_eq!(find(text("nightly")).await, [1]);
    assert_eq!(find(text("no such user")).await, [1]);
    assert_eq!(find(text("smtp-5")).await, [1]);
    assert_eq!(find(text("EMAIL")).await, [2]);
    assert_eq!(find(text(&id(3).to_string())).await, [3]);
    assert_eq!(find(text(&id(3).to_string()[..20])).await, [4, 3, 2, 1]);
    assert_eq!(find(text(&id(3).to_string()[1..])).await, [0; 0], "an id is found by its beginning only");
    let time = |after, before| Filter { created_after: after, created_before: before, ..Filter::default() };
    assert_eq!(find(time(Some(at(2)), None)).await, [4, 3, 2]);
    assert_eq!(find(time(None, Some(at(2)))).await, [1]);
}

async fn counts_every_state(store: &dyn Store) {
    for n in 1..=4 {
        insert(store, job(n, "default", "noop", &[])).await;
    }
    insert(store, scheduled(5, 50)).await;
    insert(store, job(6, "mail", "noop", &[])).await;
    finish(store, id(1), completed(), 1).await;
    finish(store, id(2), failed(true, 9), 1).await;
    store.apply(id(3), Change::Start, at(1)).await.expect("it starts");
    let default = queue("default");
    let count = async |state| store.counts(&default).await.expect("an answer").get(state);
    for (state, want) in [
        (StateName::Scheduled, 1),
        (StateName::Pending, 1),
        (StateName::Processing, 1),
        (StateName::Failed, 1),
        (StateName::Completed, 1),
        (StateName::DeadLettered, 0),
    ] {
        assert_eq!(count(state).await, want, "{state}");
    }
    assert_eq!(store.oldest_pending(&default).await.expect("an answer"), Some(at(4)));
    store.apply(id(4), Change::Cancel, at(9)).await.expect("it waits");
    assert_eq!(store.oldest_pending(&default).await.expect("an answer"), None);
    assert_eq!(store.oldest_pending(&queue("mail")).await.expect("an answer"), Some(at(6)));
    assert_eq!(count(StateName::Canceled).await, 1);
    store.sweep(at(1_000_000)).await.expect("an answer");
    assert_eq!(
        count(StateName::Completed).await + count(StateName::Canceled).await,
        0,
        "what is gone is not counted"
    );
}

/// However many settle the same run at once, one of them does.
async fn one_of_many_wins(store: Arc<dyn Store>) {
    let id = insert(&*store, job(1, "default", "noop", &[])).await;
    let run = store.apply(id, Change::Start, at(1)).await.expect("it starts").runs;
    let settlers: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store.apply(id, Change::Settle { run, ending: completed() }, at(2)).await.is_ok()
            })
        })
        .collect();
    let mut winners = 0;
    for settler in settlers {
        winners += usize::from(settler.await.expect("it does not panic"));
    }
    assert_eq!(winners, 1);
}
