//! Waiting for the end of a job, with `Prefer: wait`.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::args::Patience;
use super::job_text::is_terminal;
use super::problem::Failure;
use super::remote::{Answer, Remote};
use crate::clock::Clock;
use crate::job::JobId;

/// The longest wait that the server grants at once.
const LONGEST: Duration = Duration::from_mins(1);

/// How long to rest before the server is asked again that has just answered, or has not.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest `Retry-After` that is waited for.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How often in a row an answer may be lost: a restart takes less time than so many pauses.
pub(super) const LOSSES: u32 = 30;

/// How much is left of a patience.
pub(super) struct Left {
    clock: Clock,
    until: Option<Duration>,
}

impl Left {
    pub(super) fn of(patience: Patience) -> Self {
        let clock = Clock::system();
        let until = patience.0.map(|patience| clock.elapsed().saturating_add(patience));
        Self { clock, until }
    }

    /// How long to wait at most, when `longest` is the most.
    pub(super) fn at_most(&self, longest: Duration) -> Duration {
        self.until.map_or(longest, |until| until.saturating_sub(self.clock.elapsed()).min(longest))
    }

    pub(super) fn is_over(&self) -> bool {
        self.at_most(LONGEST).is_zero()
    }
}

/// The job when it has ended, or as it stands when the patience has. An answer that is lost is asked for again, once it
/// is known that there is a server (`reached`); so is one that says no for now (429, 5xx), as a server that restarts does,
/// or a proxy in front of it.
pub(super) async fn for_end(
    remote: &Remote,
    id: JobId,
    patience: Patience,
    mut reached: bool,
) -> Result<(Answer, Value), Failure> {
    let (left, mut losses) = (Left::of(patience), 0);
    loop {
        let wait = left.at_most(LONGEST);
        // A part of a second counts as a whole one: it is better to ask once for too long than often.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let request = remote.request(Method::GET, &format!("/api/jobs/{id}"));
        let began = left.clock.elapsed();
        let asked_for = match remote.ask(request.header("prefer", format!("wait={seconds}")), wait).await {
            Ok(answer) => {
                (losses, reached) = (0, true);
                let job = answer.value()?;
                if is_terminal(&job) || left.is_over() {
                    return Ok((answer, job));
                }
                None
            }
            Err(Failure::Lost { sent, .. }) if (sent || reached) && losses < LOSSES && !left.is_over() => {
                (losses, reached) = (losses + 1, true);
                None
            }
            Err(Failure::Refused(refusal))
                if reached && refusal.may_pass() && losses < LOSSES && !left.is_over() =>
            {
                losses += 1;
                Some(refusal.retry_after.unwrap_or(PAUSE).clamp(PAUSE, LONGEST_PAUSE))
            }
            Err(failure) => return Err(failure),
        };
        // A server that does not wait, because it stops or is another one, is not asked without a pause.
        let soon = left.clock.elapsed().saturating_sub(began) < PAUSE;
        let pause = asked_for.unwrap_or(if soon { PAUSE } else { Duration::ZERO });
        if !pause.is_zero() {
            tokio::time::sleep(left.at_most(pause)).await;
        }
    }
}
