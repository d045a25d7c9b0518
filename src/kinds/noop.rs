//! Does nothing, in every way that a job can: for trying out, testing and measuring.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::handler::{Context, Failure, Handler, Outcome, Payload};
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
struct Members {
    sleep: Option<Value>,
    steps: Option<Value>,
    fail: Option<Value>,
    fail_times: Option<Value>,
    ignore_cancel: Option<Value>,
}

impl Handler for NoopHandler {
    type Input = Noop;

    fn check(&self, input: &Noop) -> Vec<Fault> {
        input.orders().err().unwrap_or_default()
    }

    async fn run(&self, input: Noop, cx: &Context) -> Result<Outcome, Failure> {
        let orders = input.orders().map_err(|faults| {
            let faults: Vec<String> = faults
                .iter()
                .map(|f| format!("/payload{}: {}", f.pointer, f.detail))
                .collect();
            Failure::permanent("invalid-payload", faults.join("; "))
        })?;
        orders.rest(cx).await?;
        if let Some(fail) = orders.fail
            && orders
                .fail_times
                .is_none_or(|times| u64::from(cx.attempt()) <= times)
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
        Ok(Outcome::Completed(JobResult {
            media_type: "application/json".into(),
            bytes,
        }))
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
                cx.progress(percent as u8, &format!("step {part} of {parts}"))
                    .await;
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
        let members: Members = serde_json::from_str(self.0.get())
            .map_err(|_| vec![Fault::new("", "must be an object that names no member twice")])?;
        let mut faults = Vec::new();
        let mut read = Reader(&mut faults);
        let orders = Orders {
            sleep: read.member("sleep", members.sleep, duration).unwrap_or_default(),
            steps: read.member("steps", members.steps, steps).unwrap_or_default(),
            fail: read.member("fail", members.fail, fail),
            fail_times: read.member("fail_times", members.fail_times, |value| {
                value
                    .as_u64()
                    .ok_or_else(|| "must be a whole number, 0 or more".to_owned())
            }),
            ignore_cancel: read
                .member("ignore_cancel", members.ignore_cancel, |value| {
                    value.as_bool().ok_or_else(|| "must be true or false".to_owned())
                })
                .unwrap_or_default(),
        };
        if faults.is_empty() {
            Ok(orders)
        } else {
            Err(faults)
        }
    }
}

struct Reader<'a>(&'a mut Vec<Fault>);

impl Reader<'_> {
    /// A member; `null` counts as missing.
    fn member<T>(
        &mut self,
        name: &str,
        value: Option<Value>,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let read = read(&value.filter(|value| !value.is_null())?);
        read.map_err(|detail| self.0.push(Fault::new(format!("/{name}"), detail)))
            .ok()
    }
}

fn duration(value: &Value) -> Result<Duration, String> {
    let duration = value.as_str().and_then(|text| parse_duration(text).ok());
    let duration = duration.ok_or("must be a duration with its unit, such as \"250ms\"")?;
    if duration > MAX_SLEEP {
        Err("must be at most 1h".to_owned())
    } else {
        Ok(duration)
    }
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
