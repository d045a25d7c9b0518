//! Progress is noted always and told now and then.

use std::time::Duration;

use backroom::event::EventKind;
use backroom::handler::{Context, Outcome};
use backroom::job::StateName;
use serde_json::Value;

use crate::rig::{Ran, Setup, job};

/// Reports every 10 milliseconds for a second, then waits to be canceled.
fn act(_: Value, cx: Context) -> Ran {
    Box::pin(async move {
        for percent in 1..=100 {
            cx.progress(percent, "").await;
            // sleep: paused time; the work of a handler.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cx.canceled().await;
        Ok(Outcome::done())
    })
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_ten_times_a_second_and_the_last_of_it_always() {
    let rig = Setup::default().start(act);
    let mut watch = rig.jobs.events().watch();
    let id = rig.submit(job("")).await;
    let (mut told, mut sequences) = (Vec::new(), Vec::new());
    // The last report is not followed by another event: it must come by itself.
    while told.last().is_none_or(|(_, percent)| *percent < 100) {
        let event = watch.recv().await.unwrap();
        sequences.push(event.job.sequence);
        if event.kind == EventKind::Progress {
            told.push((event.at.as_millis(), event.job.progress.percent));
        }
    }
    assert!((10..=11).contains(&told.len()), "{told:?}");
    assert_eq!(told[0].1, 1, "the first is told at once");
    assert!(told.windows(2).all(|two| two[1].0 - two[0].0 >= 100), "{told:?}");
    rig.jobs.cancel(id).await.unwrap();
    rig.end(id).await;
    loop {
        let event = watch.recv().await.unwrap();
        sequences.push(event.job.sequence);
        if event.kind == EventKind::State(StateName::Completed) {
            break;
        }
    }
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>(), "without holes");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_told_yet_can_be_asked_for() {
    let rig = Setup::default().start(|_, cx| {
        Box::pin(async move {
            cx.progress(1, "").await;
            cx.progress(2, "two").await;
            cx.canceled().await;
            Ok(Outcome::done())
        })
    });
    let mut watch = rig.jobs.events().watch();
    let id = rig.submit(job("")).await;
    while watch.recv().await.unwrap().kind != EventKind::Progress {}
    rig.idle().await;
    let noted = rig.get(id).await.progress.clone();
    assert_eq!((noted.percent, noted.message.as_deref()), (2, Some("two")));
    // The event after it brings it along.
    rig.jobs.cancel(id).await.unwrap();
    let canceled = watch.recv().await.unwrap();
    assert_eq!((canceled.kind, canceled.job.progress.percent), (EventKind::Progress, 2));
    rig.end(id).await;
}
