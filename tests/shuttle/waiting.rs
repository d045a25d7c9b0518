//! Whoever waits for the end of a job.

use shuttle::future::{block_on, spawn};

use crate::check;
use crate::gate::{job, service};
use crate::job::{Ending, ResultSlot};
use crate::jobs::Started;

pub(crate) fn no_end_is_missed() {
    check(|| {
        block_on(async {
            let jobs = service(4);
            let id = jobs.submit(job()).await.unwrap().id();
            let waiting: Vec<_> = (0..2)
                .map(|_| {
                    let jobs = jobs.clone();
                    // There is no other end to this wait: one that is missed is a deadlock.
                    spawn(async move { jobs.wait_until(id, std::future::pending()).await.unwrap().unwrap() })
                })
                .collect();
            let worker = spawn({
                let jobs = jobs.clone();
                async move {
                    let Started::Run(job) = jobs.start(id).await.unwrap() else { return false };
                    jobs.settle(id, job.runs, Ending::Completed(ResultSlot::Null)).await.is_ok()
                }
            });
            let canceler = spawn({
                let jobs = jobs.clone();
                async move { jobs.cancel(id).await.is_ok() }
            });
            for waiting in waiting {
                assert!(waiting.await.unwrap().state.is_terminal());
            }
            let (ran, canceled) = (worker.await.unwrap(), canceler.await.unwrap());
            assert!(ran || canceled);
            assert_eq!(jobs.finished(), 1);
        });
    });
}
