//! `backroom enqueue`.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::args::{EnqueueArgs, Patience};
use super::job_text::{code, is_terminal, message, text, waiting};
use super::problem::Failure;
use super::remote::{Answer, Remote};
use super::screen::Screen;
use super::text::{clean, json_line};
use super::{jobs, status, wait};
use crate::cli::{Ended, exit};
use crate::clock::Clock;
use crate::job::JobId;

/// How much a payload may have, in bytes. The server takes less; this keeps a pipe without an end out.
const LARGEST: u64 = 64 << 20;

/// Submits a job, and waits for it if it is asked to.
pub(super) async fn enqueue(remote: &Remote, args: &EnqueueArgs, screen: Screen) -> Result<(), Failure> {
    let body = body(args)?;
    let key = match &args.idempotency_key {
        Some(key) => key.clone(),
        None => random_key(),
    };
    let answer = submit(remote, &body, &key, args.retries).await?;
    let job = answer.value()?;
    let id: JobId = text(&job["id"]).parse().map_err(|_| {
        Failure::Ended(Ended::failed("error: the answer is no job; is this a Backroom server?"))
    })?;
    let (json, patience) = (args.access.json, args.wait);
    let patience = if args.result { patience.or(Some(Patience(None))) } else { patience };
    let Some(patience) = patience else {
        if json {
            writeln!(io::stdout(), "{}", json_line(&answer.text()))?;
        } else {
            writeln!(io::stdout(), "{id}")?;
            say(&accepted(&job));
        }
        return Ok(());
    };
    say(&format!("{id}: {}", accepted(&job)));
    let (answer, job) = wait::for_end(remote, id, patience, true).await?;
    if args.result && code(&job) == exit::OK {
        return jobs::write_result(remote, id, None, screen).await;
    }
    if args.result {
        say(&unsuccessful(&job));
    } else {
        status::show(&job, &answer.text(), json, screen)?;
    }
    status::ended(&job)
}

/// The members of a job that the server is to judge; only what was given.
#[derive(Serialize)]
struct Request<'a> {
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    unique: Option<Unique<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    callback_events: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    notify_email: Option<&'a str>,
}

#[derive(Serialize)]
struct Unique<'a> {
    key: &'a str,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    held: Option<&'a str>,
}

fn body(args: &EnqueueArgs) -> Result<String, Ended> {
    let payload = args.payload.as_deref().map(payload).transpose();
    let payload =
        payload.map_err(|message| Ended { code: exit::USAGE, message: format!("error: {message}") })?;
    let unique = args.unique.as_deref().map(|key| Unique { key, held: args.unique_for.as_deref() });
    let request = Request {
        kind: &args.kind,
        payload,
        queue: args.queue.as_deref(),
        delay: args.delay.as_deref(),
        run_at: args.run_at.as_deref(),
        max_attempts: args.max_attempts,
        timeout: args.timeout.as_deref(),
        expires_in: args.expires_in.as_deref(),
        tags: &args.tags,
        unique,
        callback_url: args.callback_url.as_deref(),
        callback_events: &args.callback_events,
        notify_email: args.notify_email.as_deref(),
    };
    serde_json::to_string(&request).map_err(|error| Ended::failed(format!("error: {error}")))
}

/// The payload, to the letter: numbers are not read and written again.
fn payload(given: &str) -> Result<Box<RawValue>, String> {
    let (text, from) = match given.strip_prefix('@') {
        Some(file) => {
            let opened = std::fs::File::open(file).and_then(read);
            (opened.map_err(|error| format!("{file} cannot be read: {error}"))?, file)
        }
        None if given == "-" => {
            let read = read(io::stdin());
            (
                read.map_err(|error| format!("the standard input cannot be read: {error}"))?,
                "the standard input",
            )
        }
        None => (given.to_owned(), "the payload"),
    };
    let parsed: Result<Box<RawValue>, _> = serde_json::from_str(text.trim());
    // Only the place of the fault is told: the payload may be secret.
    parsed.map_err(|error| {
        format!("{from} is no JSON: a fault in line {}, column {}", error.line(), error.column())
    })
}

fn read(from: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    let size = from.take(LARGEST + 1).read_to_string(&mut text)?;
    if size as u64 > LARGEST {
        return Err(io::Error::other("it has more than 64 MiB"));
    }
    Ok(text)
}

fn random_key() -> String {
    let mut key = "backroom-cli-".to_owned();
    for byte in &Clock::system().secret()[..16] {
        // Writing into memory cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// Sends a submission, and again when that makes sense: under its key there is no second job, however often it arrives,
/// unless the server restarts in between and has forgotten the key. Across that only `--unique` helps.
async fn submit(remote: &Remote, body: &str, key: &str, retries: u32) -> Result<Answer, Failure> {
    let mut tries = 0;
    loop {
        let request = remote.json(Method::POST, "/api/jobs", body.to_owned()).header("idempotency-key", key);
        let failure = match remote.ask(request, Duration::ZERO).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let Some(pause) = again(&failure, tries).filter(|_| tries < retries) else {
            return Err(failure);
        };
        tries += 1;
        let reason = Ended::from(failure).message;
        let first = reason.lines().next().unwrap_or_default();
        say(&format!("{first}; trying again in {} s ({tries} of {retries})", pause.as_secs()));
        tokio::time::sleep(pause).await;
    }
}

/// When to send a submission again, if that can help.
fn again(failure: &Failure, tries: u32) -> Option<Duration> {
    let backoff = Duration::from_secs(1 << tries.min(5));
    match failure {
        // Nobody listens: at the first time that is a wrong address, later a server that restarts.
        Failure::Lost { sent: false, .. } if tries == 0 => None,
        Failure::Lost { .. } => Some(backoff),
        Failure::Refused(refusal) => {
            let passes = match refusal.status {
                StatusCode::CONFLICT => refusal.slug().as_deref() == Some("idempotency-in-progress"),
                status => matches!(status.as_u16(), 408 | 425 | 429 | 502 | 503 | 504),
            };
            passes.then(|| refusal.retry_after.unwrap_or(backoff).min(wait::LONGEST_PAUSE))
        }
        Failure::Ended(_) => None,
    }
}

fn accepted(job: &Value) -> String {
    let mut told = format!("{} in the queue {}", text(&job["state"]), text(&job["queue"]));
    let waits = waiting(&job["waiting"]);
    if !waits.is_empty() {
        let _ = write!(told, ", waits {waits}");
    }
    if job["deduplicated"] == true {
        told.push_str("; it was there already");
    }
    told
}

fn unsuccessful(job: &Value) -> String {
    let about = match text(&job["skip_reason"]) {
        "" => message(&job["error"]["code"], &job["error"]["message"]),
        reason => reason.to_owned(),
    };
    let told = format!("{}: {about}", text(&job["state"]));
    let told = told.trim_end_matches([':', ' ']).to_owned();
    if is_terminal(job) { told } else { format!("{told}; not finished yet") }
}

/// Tells something that is no part of the output.
pub(super) fn say(text: &str) {
    // Whoever does not listen is not told.
    let _ = writeln!(io::stderr(), "{}", clean(text));
}

#[cfg(test)]
mod tests {
    use super::super::problem::Refusal;
    use super::*;

    fn refused(status: u16, slug: &str, after: Option<u64>) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        let body = format!(r#"{{"type":"/problems/{slug}","title":"T"}}"#);
        Failure::Refused(Box::new(Refusal { status, retry_after: after.map(Duration::from_secs), body }))
    }

    #[test]
    fn what_passes_is_sent_again_in_its_time() {
        let lost = |sent: bool| Failure::Lost { reason: String::new(), sent };
        let seconds = |failure: &Failure, tries: u32| again(failure, tries).map(|pause| pause.as_secs());
        assert_eq!(seconds(&lost(false), 0), None);
        assert_eq!(seconds(&lost(false), 1), Some(2));
        assert_eq!(seconds(&lost(true), 0), Some(1));
        assert_eq!(seconds(&lost(true), 40), Some(32));
        assert_eq!(seconds(&refused(503, "queue-full", Some(7)), 0), Some(7));
        assert_eq!(seconds(&refused(503, "queue-full", Some(301)), 0), Some(300));
        assert_eq!(seconds(&refused(503, "draining", None), 2), Some(4));
        assert_eq!(seconds(&refused(409, "idempotency-in-progress", None), 0), Some(1));
        for (status, slug) in
            [(409, "something-else"), (422, "validation-failed"), (500, "internal"), (401, "x")]
        {
            assert_eq!(seconds(&refused(status, slug, Some(1)), 0), None, "{slug}");
        }
    }

    #[test]
    fn payloads_go_to_the_letter_and_faults_quote_nothing() {
        assert_eq!(payload(" {\"a\": 1.000} ").unwrap().get(), "{\"a\": 1.000}");
        let fault = payload("{\"secret\": oops}").unwrap_err();
        assert_eq!(fault, "the payload is no JSON: a fault in line 1, column 12");
        assert!(payload("@/nonexistent/file").unwrap_err().starts_with("/nonexistent/file cannot be read: "));
    }

    #[test]
    fn no_two_keys_are_the_same() {
        assert_ne!(random_key(), random_key());
        assert_eq!(random_key().len(), 45);
    }
}
