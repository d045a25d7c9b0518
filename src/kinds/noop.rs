//! Does nothing, in every way that a job can: for trying out, testing and measuring.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::about;
use crate::handler::{About, Context, Failure, Handler, Outcome, Payload};
use crate::job::{Fault, JobResult, parse_duration};

/// How long it may sleep.
const MAX_SLEEP: Duration = Duration::from_hours(1);
/// How many progress reports it may make.
const MAX_STEPS: u64 = 1_000;

/// The payload of a `noop` job: any object. Five of its members are orders, all others are left alone.
///
/// | member | meaning |
/// |---|---|
/// | `sleep` | how long it takes, `"250ms"`, at most `"1h"`; default: no time |
/// | `steps` | progress reports, spread over the sleep, 0 to 1000; default 0 |
/// | `fail` | how it ends: `transient`, `permanent` or `panic`; default: well |
/// | `fail_times` | only the first so many attempts fail; default: all |
/// | `ignore_cancel` | whether it sleeps on when it should stop; default `false` |
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Noop(Box<RawValue>);

impl Payload for Noop {
    const KIND: &'static str = "noop";

    fn decode(payload: &RawValue) -> Result<Self, serde_json::Error> {
        Ok(Self(payload.to_owned()))
    }
}

/// Runs `noop` jobs. The result is the payload.
pub struct NoopHandler;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fail {
    Transient,
    Permanent,
    Panic,
}

#[derive(Debug)]
struct Orders {
    sleep: Duration,
    steps: u32,
    fail: Option<Fail>,
    fail_times: Option<u64>,
    ignore_cancel: bool,
}

/// The members that are orders, whatever they hold; the others are skipped without being kept.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Members<'a> {
    #[serde(borrow)]
    sleep: Option<&'a RawValue>,
    #[serde(borrow)]
    steps: Option<&'a RawValue>,
    #[serde(borrow)]
    fail: Option<&'a RawValue>,
    #[serde(borrow)]
    fail_times: Option<&'a RawValue>,
    #[serde(borrow)]
    ignore_cancel: Option<&'a RawValue>,
}

impl Handler for NoopHandler {
    type Input = Noop;

    fn about(&self) -> About {
        about::noop()
    }

    fn check(&self, input: &Noop) -> Vec<Fault> {
        input.orders().err().unwrap_or_default()
    }

    async fn run(&self, input: Noop, cx: &Context) -> Result<Outcome, Failure> {
        let orders = input.orders().map_err(|faults| Failure::invalid_payload(&faults))?;
        orders.rest(cx).await?;
        if let Some(fail) = orders.fail
            && orders.fail_times.is_none_or(|times| u64::from(cx.attempt()) <= times)
        {
            match fail {
                Fail::Transient => {
                    return Err(Failure::transient("noop-transient", "the payload asked for it"));
                }
                Fail::Permanent => {
                    return Err(Failure::permanent("noop-permanent", "the payload asked for it"));
                }
                Fail::Panic => panic!("the payload asked for it"),
            }
        }
        // The text that came in goes out, without having been copied.
        let text: Box<str> = input.0.into();
        let bytes = text.into_boxed_bytes().into_vec().into();
        Ok(Outcome::Completed(JobResult { media_type: "application/json".into(), bytes }))
    }
}

impl Orders {
    async fn rest(&self, cx: &Context) -> Result<(), Failure> {
        let parts = self.steps.max(1);
        for part in 1..=parts {
            if !self.sleep.is_zero() {
                self.nap(self.sleep / parts, cx).await?;
            }
            if self.steps > 0 {
                let percent = u64::from(part) * 100 / u64::from(parts);
                cx.progress(percent as u8, &format!("step {part} of {parts}")).await;
            }
        }
        Ok(())
    }

    async fn nap(&self, duration: Duration, cx: &Context) -> Result<(), Failure> {
        let asleep = tokio::time::sleep(duration);
        if self.ignore_cancel {
            asleep.await;
            return Ok(());
        }
        tokio::select! {
            biased;
            () = cx.canceled() => Err(Failure::transient("canceled", "canceled in its sleep")),
            () = asleep => Ok(()),
        }
    }
}

impl Noop {
    fn orders(&self) -> Result<Orders, Vec<Fault>> {
        if !self.0.get().starts_with('{') {
            return Err(vec![Fault::new("", "must be an object")]);
        }
        let members: Members<'_> = serde_json::from_str(self.0.get())
            .map_err(|_| vec![Fault::new("", "must be an object that names no member twice")])?;
        let mut faults = Vec::new();
        let mut read = Reader(&mut faults);
        let orders = Orders {
            sleep: read.member("sleep", members.sleep, duration).unwrap_or_default(),
            steps: read.member("steps", members.steps, steps).unwrap_or_default(),
            fail: read.member("fail", members.fail, fail),
            fail_times: read.member("fail_times", members.fail_times, |value| {
                value.as_u64().ok_or_else(|| "must be a whole number, 0 or more".to_owned())
            }),
            ignore_cancel: read
                .member("ignore_cancel", members.ignore_cancel, |value| {
                    value.as_bool().ok_or_else(|| "must be true or false".to_owned())
                })
                .unwrap_or_default(),
        };
        if faults.is_empty() { Ok(orders) } else { Err(faults) }
    }
}

struct Reader<'a>(&'a mut Vec<Fault>);

impl Reader<'_> {
    /// A member; `null` counts as missing.
    fn member<T>(
        &mut self,
        name: &str,
        value: Option<&RawValue>,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        // What cannot be read, as a number that no double holds, is as wrong as a number that none of them takes.
        let value = serde_json::from_str(value?.get()).unwrap_or_else(|_| Value::from(f64::MAX));
        if value.is_null() {
            return None;
        }
        let read = read(&value);
        read.map_err(|detail| self.0.push(Fault::new(format!("/{name}"), detail))).ok()
    }
}

fn duration(value: &Value) -> Result<Duration, String> {
    let duration = value.as_str().and_then(|text| parse_duration(text).ok());
    let duration = duration.ok_or("must be a duration with its unit, such as \"250ms\"")?;
    if duration > MAX_SLEEP { Err("must be at most 1h".to_owned()) } else { Ok(duration) }
}

fn steps(value: &Value) -> Result<u32, String> {
    let steps = value.as_u64().filter(|steps| *steps <= MAX_STEPS);
    let steps = steps.and_then(|steps| u32::try_from(steps).ok());
    steps.ok_or_else(|| format!("must be a whole number from 0 to {MAX_STEPS}"))
}

fn fail(value: &Value) -> Result<Fail, String> {
    match value.as_str() {
        Some("transient") => Ok(Fail::Transient),
        Some("permanent") => Ok(Fail::Permanent),
        Some("panic") => Ok(Fail::Panic),
        _ => Err("must be transient, permanent or panic".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobError;
    use crate::kinds::testing::context;
    use futures_util::FutureExt as _;
    use tokio::time::Instant;

    fn noop(json: &str) -> Noop {
        Noop(RawValue::from_string(json.to_owned()).unwrap())
    }

    fn pointers(json: &str) -> Vec<String> {
        NoopHandler.check(&noop(json)).into_iter().map(|fault| fault.pointer).collect()
    }

    async fn run(json: &str, attempt: u32) -> Result<Outcome, JobError> {
        let (cx, _, _) = context("noop", attempt);
        NoopHandler.run(noop(json), &cx).await.map_err(JobError::from)
    }

    #[test]
    fn limits_hold_at_their_edges() {
        for good in [
            "{}",
            r#"{"anything":[1,{"sleep":3}],"more":null}"#,
            r#"{"sleep":"1h","steps":1000,"fail":"panic","fail_times":0,"ignore_cancel":true}"#,
            r#"{"sleep":"0s","steps":0,"fail":null}"#,
        ] {
            assert_eq!(pointers(good), [""; 0], "{good}");
        }
        let bad =
            r#"{"sleep":"3600001ms","steps":1001,"fail":"maybe","fail_times":-1,"ignore_cancel":"yes"}"#;
        assert_eq!(pointers(bad), ["/sleep", "/steps", "/fail", "/fail_times", "/ignore_cancel"]);
        assert_eq!(pointers(r#"{"sleep":30,"steps":1.5,"fail":1}"#), ["/sleep", "/steps", "/fail"]);
        for no_object in ["[]", "1", "null", "\"{\"", r#"{"sleep":"1s","sleep":"2s"}"#] {
            assert_eq!(pointers(no_object), [""], "{no_object}");
        }
    }

    #[tokio::test]
    async fn the_result_is_the_payload_to_the_letter() {
        let text = r#"{ "b": 1,  "a": [2.50, "ü"] }"#;
        let Outcome::Completed(result) = run(text, 1).await.unwrap() else { panic!("not completed") };
        assert_eq!((&*result.media_type, &result.bytes[..]), ("application/json", text.as_bytes()));
    }

    #[tokio::test(start_paused = true)]
    async fn steps_are_spread_over_the_sleep() {
        let (cx, _, heard) = context("noop", 1);
        let began = Instant::now();
        NoopHandler.run(noop(r#"{"sleep":"10s","steps":4}"#), &cx).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 10);
        assert_eq!(*heard.progress.lock().unwrap(), [25, 50, 75, 100]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_sleep_ends_when_it_should_stop_unless_it_ignores_that() {
        let (cx, token, _) = context("noop", 1);
        token.cancel();
        let began = Instant::now();
        let error = JobError::from(NoopHandler.run(noop(r#"{"sleep":"1h"}"#), &cx).await.unwrap_err());
        assert_eq!((&*error.code, error.retryable, began.elapsed().as_secs()), ("canceled", true, 0));
        NoopHandler.run(noop(r#"{"sleep":"1h","ignore_cancel":true}"#), &cx).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 3600);
    }

    #[tokio::test]
    async fn it_fails_as_it_is_told_and_as_often() {
        let code = async |json: &str, attempt| run(json, attempt).await.err().map(|e| (e.code, e.retryable));
        let transient = Some(("noop-transient".into(), true));
        assert_eq!(code(r#"{"fail":"transient"}"#, 9).await, transient);
        assert_eq!(code(r#"{"fail":"permanent"}"#, 1).await, Some(("noop-permanent".into(), false)));
        for (attempt, expected) in [(1, transient.clone()), (2, transient), (3, None)] {
            assert_eq!(code(r#"{"fail":"transient","fail_times":2}"#, attempt).await, expected, "{attempt}");
        }
        assert_eq!(code(r#"{"fail_times":2}"#, 1).await, None);
        assert_eq!(code(r#"{"steps":-1}"#, 1).await, Some(("invalid-payload".into(), false)));
        let panicked = std::panic::AssertUnwindSafe(run(r#"{"fail":"panic"}"#, 1)).catch_unwind().await;
        assert!(panicked.is_err());
    }
}
