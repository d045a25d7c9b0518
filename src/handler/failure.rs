//! Why an attempt failed, and whether a repeat could help.

use std::borrow::Cow;
use std::time::Duration;

use crate::job::{Fault, JobError, RetryPolicy, truncate};

/// How long the message of an error may be, in bytes; the rest is cut. It is kept up to ten times with the job.
const MESSAGE_BYTES: usize = 2_048;

/// How long a code that was made at run time may be, in bytes; the rest is cut.
const CODE_BYTES: usize = 128;

/// The error of a handler. Transient unless it says otherwise.
#[derive(Debug)]
pub struct Failure {
    code: Cow<'static, str>,
    message: String,
    retryable: bool,
    retry_after: Option<Duration>,
    least_rest: Duration,
}

impl Failure {
    /// An error that a repeat could mend.
    pub fn transient(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            retryable: true,
            retry_after: None,
            least_rest: Duration::ZERO,
        }
    }

    /// An error that no repeat would mend: the job becomes a dead letter.
    pub fn permanent(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { retryable: false, ..Self::transient(code, message) }
    }

    /// The far side said when to come back. Wins over the computed delay, up to one hour.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The far side has too much to do: the computed delay is at least this long. What it asked for still wins.
    #[must_use]
    pub(crate) fn rest_at_least(mut self, delay: Duration) -> Self {
        self.least_rest = delay;
        self
    }

    /// The same with its message, and a code that was made at run time, as `hide` leaves them.
    pub(crate) fn hidden(self, hide: impl Fn(&str) -> Cow<'_, str>) -> Self {
        let hidden = |text: String| match hide(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(hidden) => hidden,
        };
        let code = match self.code {
            Cow::Borrowed(code) => Cow::Borrowed(code),
            Cow::Owned(code) => Cow::Owned(truncate(&hidden(code), CODE_BYTES).to_owned()),
        };
        Self { code, message: hidden(self.message), ..self }
    }

    /// A payload that cannot be run: no repeat would mend it.
    pub(crate) fn invalid_payload(faults: &[Fault]) -> Self {
        let faults: Vec<String> =
            faults.iter().map(|fault| format!("/payload{}: {}", fault.pointer, fault.detail)).collect();
        Self::permanent("invalid-payload", faults.join("; "))
    }

    /// What the far side asked for.
    #[cfg(test)]
    pub(crate) fn asked_delay(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The rest before the next attempt: what the far side asked for, else as the policy computes it by `chance`.
    pub(crate) fn rest(&self, policy: &RetryPolicy, attempt: u32, chance: f64) -> Duration {
        let computed = policy.delay(attempt, chance, self.retry_after);
        if self.retry_after.is_some() { computed } else { computed.max(self.least_rest) }
    }
}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code,
            message: truncate(&failure.message, MESSAGE_BYTES).into(),
            retryable: failure.retryable,
        }
    }
}

impl<E> From<E> for Failure
where
    E: std::error::Error + Send + Sync + 'static,
{
    /// Keeps the whole chain of causes in the message.
    fn from(error: E) -> Self {
        Self::transient("error", format!("{:#}", anyhow::Error::from(error)))
    }
}

/// Turns the error of a `Result` into a [`Failure`] of a chosen sort; also for `anyhow::Error`, which `?` cannot take.
pub trait FailureExt<T> {
    /// A repeat could mend it.
    ///
    /// # Errors
    ///
    /// The error of `self`.
    fn transient(self) -> Result<T, Failure>;

    /// No repeat would mend it.
    ///
    /// # Errors
    ///
    /// The error of `self`.
    fn permanent(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> FailureExt<T> for Result<T, E> {
    fn transient(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::transient("error", format!("{:#}", error.into())))
    }

    fn permanent(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::permanent("error", format!("{:#}", error.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn the_chain_of_causes_is_kept() {
        let chain = || Err::<(), _>(std::io::Error::other("disk on fire")).context("read the invoice");
        let transient = JobError::from(chain().transient().unwrap_err());
        assert_eq!(&*transient.message, "read the invoice: disk on fire");
        assert!(transient.retryable);
        assert!(!JobError::from(chain().permanent().unwrap_err()).retryable);
    }

    #[test]
    fn the_question_mark_means_transient() {
        fn run() -> Result<(), Failure> {
            "x".parse::<u8>()?;
            Ok(())
        }
        let error = JobError::from(run().unwrap_err());
        assert!(error.retryable);
        assert_eq!(&*error.message, "invalid digit found in string");
    }

    #[test]
    fn a_code_that_was_made_is_hidden_and_cut() {
        for (length, kept) in [(127, 127), (128, 128), (129, 128)] {
            let failure = Failure::transient("y".repeat(length), "z");
            assert_eq!(failure.hidden(|text| text.into()).code.len(), kept);
        }
        let failure = Failure::permanent(String::from("a-secret"), "a secret")
            .hidden(|text| text.replace("secret", "#").into());
        assert_eq!((&*failure.code, &*failure.message, failure.retryable), ("a-#", "a #", false));
    }

    #[test]
    fn the_least_rest_holds_unless_the_far_side_asks() {
        use crate::job::Backoff;
        let seconds = Duration::from_secs;
        let policy =
            RetryPolicy { max_attempts: 3, backoff: Backoff::Delays(vec![seconds(5), seconds(300)]) };
        let busy = || Failure::transient("x", "y").rest_at_least(seconds(60));
        for (failure, attempt, rest) in [
            (Failure::transient("x", "y"), 1, 5),
            (busy(), 1, 60),
            (busy(), 2, 300),
            (busy().retry_after(seconds(7)), 1, 7),
            (busy().retry_after(seconds(99_999)), 2, 3_600),
        ] {
            assert_eq!(failure.rest(&policy, attempt, 0.5), seconds(rest), "{failure:?}");
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        for (length, kept) in [(2_047, 2_047), (2_048, 2_048), (2_049, 2_048)] {
            let error = JobError::from(Failure::transient("x", "y".repeat(length)));
            assert_eq!(error.message.len(), kept);
        }
    }
}
