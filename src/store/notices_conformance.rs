//! What every store must do with notices: keep them with the change that they follow from, and note with the job how they
//! stand.

use std::sync::Arc;

use super::conformance::{at, completed, failed, finish, id, insert, job, queue, state};
use super::{ApplyError, Space, Store};
use crate::job::{
    Callback, Change, Channel, Delivery, Ending, Job, JobId, Notice, Notices, StateName, Unique, UniqueKey,
    Wanted,
};

/// A job of which somebody wants to be told.
fn told(n: u128) -> Job {
    let mut job = job(n, "default", "noop", &[]);
    let callback = Some(Callback::new("https://app.example/hooks"));
    let spec = Arc::get_mut(&mut job.spec).expect("a new job");
    spec.notices = Some(Box::new(Notices::Wanted(Wanted { callback, email: None })));
    job
}

/// A notice of the job `of`.
fn notice(n: u128, of: JobId) -> Arc<Job> {
    let mut notice = job(n, "mail", "webhook", &[]);
    let of = Notice { of, event: StateName::Completed, channel: Channel::Webhook, target: "x".into() };
    Arc::get_mut(&mut notice.spec).expect("a new job").notices = Some(Box::new(Notices::Of(of)));
    notice.state = crate::job::JobState::Pending { turn: None, since: at(7) };
    Arc::new(notice)
}

async fn get(store: &dyn Store, id: JobId) -> Option<Arc<Job>> {
    store.get(id).await.expect("an answer")
}

async fn callback(store: &dyn Store, id: JobId) -> Delivery {
    get(store, id).await.expect("the job").callback_state()
}

pub(super) async fn keeps_notices_with_the_change(store: &dyn Store) {
    let id = insert(store, told(1)).await;
    let run = store.apply(id, Change::Start, at(5)).await.expect("it starts").runs;
    let make = |job: &Job, _: Space| {
        assert_eq!(job.state.name(), StateName::Completed, "the job as it stands after the change");
        vec![notice(10, job.id()), notice(11, job.id())]
    };
    let settle = |run| Change::Settle { run, ending: completed() };
    let late = store.apply_with(id, settle(run + 1), at(6), &make).await;
    assert!(matches!(late, Err(ApplyError::Refused(_))));
    assert!(get(store, self::id(10)).await.is_none(), "what is refused has no notices");
    let job = store.apply_with(id, settle(run), at(7), &make).await.expect("it settles");
    let ids = [10, 11].map(self::id);
    assert_eq!(job.told.as_ref().expect("it remembers them").notices, ids);
    for id in ids {
        assert_eq!(state(store, id).await, StateName::Pending);
    }
    let due = store.due(&queue("mail"), at(7), 9).await.expect("an answer");
    assert_eq!(due.ids, ids, "they wait for room like what is due");
    let again = store.apply_with(id, settle(run), at(8), &make).await;
    assert!(matches!(again, Err(ApplyError::Refused(_))), "and they are made once");
    // Of a job of which nobody wants to be told nothing is asked.
    let quiet = insert(store, job_of_nobody()).await;
    store
        .apply_with(quiet, Change::Cancel, at(9), &|_, _| panic!("nobody is told"))
        .await
        .expect("it is canceled");
}

fn job_of_nobody() -> Job {
    job(2, "default", "noop", &[])
}

pub(super) async fn notes_notices_with_their_job(store: &dyn Store) {
    let id = insert(store, told(1)).await;
    let make = |job: &Job, _: Space| vec![notice(10, job.id())];
    let before = store.apply_with(id, Change::Cancel, at(5), &make).await.expect("it is canceled");
    assert_eq!(callback(store, id).await, Delivery::Pending);
    let of = self::id(10);
    finish(store, of, failed(true, 20), 10).await;
    assert_eq!(callback(store, id).await, Delivery::Retrying);
    store.apply(of, Change::Enqueue { turn: 1 }, at(20)).await.expect("it is due");
    finish(store, of, failed(false, 0), 21).await;
    assert_eq!(callback(store, id).await, Delivery::Exhausted);
    store.apply(of, Change::Retry { turn: 2 }, at(22)).await.expect("somebody sends it again");
    finish(store, of, completed(), 23).await;
    assert_eq!(callback(store, id).await, Delivery::Delivered);
    let after = get(store, id).await.expect("the job");
    assert_eq!(after.state, before.state, "a notice never changes the state of its job");
    assert_eq!(after.sequence, before.sequence, "nor is anything told of it");
    // A notice outlives its job.
    let other = insert(store, job(3, "mail", "webhook", &[])).await;
    let orphan = notice(12, self::id(99));
    store.insert(vec![Arc::clone(&orphan)]).await.expect("a new id");
    finish(store, orphan.id(), Ending::Canceled, 24).await;
    assert_eq!(state(store, other).await, StateName::Pending);
}

pub(super) async fn keeps_no_notice_of_a_duplicate(store: &dyn Store) {
    let unique = |n| {
        let mut job = told(n);
        let key = UniqueKey::new("same").expect("a valid key");
        let spec = Arc::get_mut(&mut job.spec).expect("a new job");
        spec.unique = Some(Box::new(Unique { key, window: Unique::WINDOW }));
        Arc::new(job)
    };
    let (first, second) = (unique(1), unique(2));
    let rows = vec![first, second, notice(10, id(1)), notice(11, id(2))];
    let duplicates = store.insert(rows).await.expect("new ids");
    assert_eq!(duplicates.iter().map(|duplicate| duplicate.index).collect::<Vec<_>>(), [1]);
    assert!(get(store, id(10)).await.is_some());
    assert!(get(store, id(11)).await.is_none(), "its job was not kept");
    let counts = store.counts(&queue("mail")).await.expect("an answer");
    assert_eq!(counts.get(StateName::Pending), 1);
    // One that was accepted before is there to be told all the same.
    let duplicates = store.restore(vec![unique(3), notice(12, id(3))]).await.expect("new ids");
    assert_eq!(duplicates.len(), 1);
    assert!(get(store, id(3)).await.is_none());
    assert!(get(store, id(12)).await.is_some());
}
