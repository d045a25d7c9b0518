//! What holds jobs up before they begin: a pause of their queue, fewer places than before, a rate limit.

use std::time::Duration;

use super::pool::Desk;
use crate::job::{JobId, JobState};
use crate::jobs::{Flow, Line, Place, Step};

/// The longest rest without a look at the time, in case the machine's clock is set.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// Waits until the queue is not paused; says whether it is worth going on. A drain does not wait for the end of a pause:
/// what is paused is not run, but spilled.
pub(super) async fn open(desk: &Desk, line: &Line) -> bool {
    while let Some(left) = line.flow.pause_left() {
        if !rest(desk, &line.flow, Some(left), true).await {
            return false;
        }
    }
    note_end(line);
    true
}

/// Waits until a job that was taken out of the queue may begin. Gives back the place that it has then, or nothing when
/// everything stops.
pub(super) async fn pass(desk: &Desk, line: &Line, mut place: Place, job: JobId) -> Option<Place> {
    let flow = &line.flow;
    let _in_hand = InHand(flow);
    loop {
        // Whoever was canceled meanwhile, or comes too late, uses up no start.
        if flow.is_limited() && !would_begin(desk, job).await {
            return Some(place);
        }
        note_end(line);
        let went_on = match flow.step(job) {
            Step::Go => return Some(place),
            Step::Retake => {
                drop(place);
                place = tokio::select! {
                    biased;
                    () = desk.stop.hard.cancelled() => return None,
                    (place, _) = flow.take_place() => place,
                };
                true
            }
            Step::Pause(left) => rest(desk, flow, left, true).await,
            Step::Throttle(left) => rest(desk, flow, Some(left), false).await,
        };
        if !went_on {
            return None;
        }
    }
}

/// Rests until something is changed or the time is over; says whether it is worth going on.
async fn rest(desk: &Desk, flow: &Flow, left: Option<Duration>, paused: bool) -> bool {
    tokio::select! {
        biased;
        () = desk.stop.hard.cancelled() => false,
        () = desk.stop.soft.cancelled(), if paused => false,
        () = flow.changed() => true,
        () = tokio::time::sleep(left.unwrap_or(LONGEST_REST).min(LONGEST_REST)) => true,
    }
}

fn note_end(line: &Line) {
    if line.flow.end_pause() {
        tracing::info!(queue = %line.name, "queue resumed: the time of its pause is over");
    }
}

/// Whether an attempt would come of it. Of a store that does not answer, the attempt says so.
async fn would_begin(desk: &Desk, job: JobId) -> bool {
    match desk.jobs.get(job).await {
        Ok(Some(job)) => {
            matches!(job.state, JobState::Pending { .. }) && !job.is_expired(desk.jobs.clock().now())
        }
        Ok(None) => false,
        Err(_) => true,
    }
}

/// A job that was taken out of the queue and has not begun, however this ends.
struct InHand<'a>(&'a Flow);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.put_down();
    }
}
