//! What is due goes to its queue: scheduled jobs, retries, and jobs found at start. One loop for each queue, so that a
//! full queue holds up no other.

use std::sync::Arc;
use std::time::Duration;

use super::pool::Desk;
use crate::job::{Job, JobId};
use crate::jobs::Line;
use crate::queue::Closed;
use crate::store::{ApplyError, StoreError};

/// How many due jobs are looked up at once.
const STEP: usize = 100;
/// The longest sleep, in case the machine's clock is set or the bell is missed.
const PERIOD: Duration = Duration::from_secs(1);

/// Runs until the drain begins; that of the notices until those of the last jobs are on their way.
pub(super) async fn run(desk: Arc<Desk>, line: Arc<Line>) {
    let over = if line.is_of_notices() { &desk.last_call } else { &desk.stop.soft };
    loop {
        // The bell keeps a ring that comes while nobody listens, so that looking first loses none.
        let rest = match work_off(&desk, &line).await {
            Ok(rest) => rest,
            Err(Halt::Closed) => return,
            Err(Halt::Paused) => break,
            Err(Halt::Store(error)) => {
                tracing::error!(queue = %line.name, error = desk.chain(&error), "due jobs could not be looked up");
                PERIOD
            }
        };
        tokio::select! {
            () = desk.stop.hard.cancelled() => return,
            () = over.cancelled() => break,
            () = line.due_changed.notified() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
    if line.is_of_notices() {
        // Once more: the last of them can have come between the look and the call. What is paused is spilled as it is.
        if line.flow.pause_left().is_none() {
            let _ = work_off(&desk, &line).await;
        }
        line.queue.close();
    }
}

/// Why no more due jobs can be put into the queue.
enum Halt {
    Closed,
    /// There is no room, and there will be none: the queue is paused, and the last jobs have ended.
    Paused,
    Store(StoreError),
}

/// Puts everything that is due into the queue; says how long to rest.
async fn work_off(desk: &Desk, line: &Line) -> Result<Duration, Halt> {
    loop {
        let now = desk.jobs.clock().now();
        let due = desk.jobs.store().due(&line.name, now, STEP).await.map_err(Halt::Store)?;
        if due.ids.is_empty() {
            return Ok(due.next.map_or(PERIOD, |next| next.since(now)).min(PERIOD));
        }
        let mut moved = false;
        for id in due.ids {
            moved |= move_on(desk, line, id).await?;
        }
        if !moved {
            // The store names jobs that cannot be moved. It should not; but if it does, not a whole core for it.
            return Ok(PERIOD);
        }
    }
}

/// Puts one due job into the queue, or skips it when it comes too late; says whether it did.
async fn move_on(desk: &Desk, line: &Line, id: JobId) -> Result<bool, Halt> {
    let is_due = |job: &Job| job.wakes_at().is_some_and(|due| due <= desk.jobs.clock().now());
    let Some(job) = desk.jobs.get(id).await.map_err(Halt::Store)?.filter(|job| is_due(job)) else {
        return Ok(false);
    };
    let moved = if job.is_expired(desk.jobs.clock().now()) {
        desk.jobs.expire(id).await.map(drop)
    } else {
        drop(job);
        let end = if line.is_of_notices() { &desk.stop.hard } else { &desk.stop.soft };
        let slot = tokio::select! {
            biased;
            () = end.cancelled() => return Err(Halt::Closed),
            () = stays_full(desk, line) => return Err(Halt::Paused),
            slot = desk.jobs.room(line) => slot.map_err(|Closed| Halt::Closed)?,
        };
        // The wait for room can be long, and meanwhile somebody may have sent it round and seen it fail again.
        let job = desk.jobs.get(id).await.map_err(Halt::Store)?;
        // The job itself is let go of: a change would copy it while it is held.
        let Some(seen) = job.filter(|job| is_due(job)).map(|job| job.sequence) else {
            return Ok(true);
        };
        desk.jobs.enqueue(id, seen, slot).await
    };
    match moved {
        // Refused or gone: somebody canceled or retried it while it waited for room.
        Ok(()) => Ok(true),
        Err(ApplyError::Refused(_) | ApplyError::NotFound | ApplyError::KeyHeld(_)) => Ok(false),
        Err(ApplyError::Store(error)) => Err(Halt::Store(error)),
    }
}

/// Comes to its end when nothing more leaves a queue of notices before the next start: it is paused, and the drain waits
/// for it alone.
async fn stays_full(desk: &Desk, line: &Line) {
    if !line.is_of_notices() {
        return std::future::pending().await;
    }
    desk.last_call.cancelled().await;
    // Somebody can still pause it, or let it go on.
    while line.flow.pause_left().is_none() {
        tokio::time::sleep(PERIOD).await;
    }
}
