//! Watching a job to its end, over server-sent events.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use super::args::Patience;
use super::job_text::{is_terminal, message, text, took};
use super::problem::Failure;
use super::remote::{ANSWERING, Remote};
use super::screen::{Paint, Screen};
use super::sse::Reader;
use super::text::{clean, json_line};
use super::wait::{LOSSES, Left};
use crate::cli::Ended;
use crate::job::JobId;

/// How long a stream may say nothing. The server says something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);

/// How long to rest before the next connection, unless the server has said so, and the longest time that it may say.
const RETRY: Duration = Duration::from_secs(3);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// How wide the bar is.
const BAR: usize = 24;

/// How events are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Each as the server sent it, on a line.
    Json,
    /// A line for each.
    Lines,
    /// One line that is written over.
    Bar,
}

/// Shows what becomes of a job until it has ended or the patience has; gives back the job as it stands then.
///
/// A connection that breaks is made again, from the last event that came whole (`Last-Event-ID`).
pub(super) async fn watch(
    remote: &Remote,
    id: JobId,
    patience: Patience,
    json: bool,
    screen: Screen,
) -> Result<Value, Failure> {
    let form = if json {
        Form::Json
    } else if screen.terminal {
        Form::Bar
    } else {
        Form::Lines
    };
    let mut watched = Watched { remote, id, form, screen, reader: Reader::default(), job: Value::Null };
    let left = Left::of(patience);
    let ended = if patience.0.is_none() {
        watched.follow().await
    } else {
        // The longest time that can be waited at once is long enough for everybody.
        let longest = left.at_most(Duration::from_hours(24 * 365));
        tokio::time::timeout(longest, watched.follow()).await.unwrap_or(Ok(()))
    };
    if form == Form::Bar && !watched.job.is_null() {
        writeln!(io::stdout())?;
    }
    ended?;
    if watched.job.is_null() {
        // Not even the first event has come, so it is asked for how the job stands.
        watched.job = watched.ask().await?;
    }
    Ok(watched.job)
}

struct Watched<'a> {
    remote: &'a Remote,
    id: JobId,
    form: Form,
    screen: Screen,
    reader: Reader,
    /// As the last event had it.
    job: Value,
}

impl Watched<'_> {
    async fn follow(&mut self) -> Result<(), Failure> {
        let mut losses = 0;
        loop {
            let failure = match self.connect().await {
                Ok(response) if response.status() == StatusCode::NO_CONTENT => {
                    // It has ended, and its last event has been seen; or it was forgotten what was seen.
                    self.job = self.ask().await?;
                    return Ok(());
                }
                Ok(response) => {
                    let before = self.reader.last_id.clone();
                    let failure = self.read(response).await?;
                    if is_terminal(&self.job) {
                        return Ok(());
                    }
                    if self.reader.last_id != before {
                        losses = 0;
                    }
                    failure
                }
                // At the first time nobody knows that there is a server; later, one that restarts comes back.
                Err(failure @ Failure::Lost { .. }) if !self.job.is_null() => failure,
                Err(Failure::Refused(refusal)) if !self.job.is_null() && refusal.may_pass() => {
                    Failure::Refused(refusal)
                }
                Err(failure) => return Err(failure),
            };
            losses += 1;
            if losses > LOSSES {
                return Err(failure);
            }
            let retry = self.reader.retry.map_or(RETRY, Duration::from_millis).min(LONGEST_RETRY);
            tokio::time::sleep(retry).await;
            self.reader.restart();
        }
    }

    async fn connect(&self) -> Result<Response, Failure> {
        let path = format!("/api/jobs/{}/events", self.id);
        let mut request = self.remote.request(Method::GET, &path).header(ACCEPT, "text/event-stream");
        if let Some(id) = &self.reader.last_id {
            request = request.header("last-event-id", id);
        }
        let opening = tokio::time::timeout(ANSWERING, self.remote.open(request)).await;
        opening.unwrap_or_else(|_| Err(lost("the server does not answer")))
    }

    /// Shows what comes until the stream ends; says how it did.
    async fn read(&mut self, mut response: Response) -> Result<Failure, Failure> {
        loop {
            let chunk = match tokio::time::timeout(SILENCE, response.chunk()).await {
                Err(_) => return Ok(lost("the server has become silent")),
                Ok(Err(error)) => return Ok(self.remote.lost(error)),
                Ok(Ok(None)) => return Ok(lost("the server has ended the stream")),
                Ok(Ok(Some(chunk))) => chunk,
            };
            let messages = self.reader.read(&chunk).map_err(|_| lost("an event is too large"))?;
            for message in messages {
                self.show(&message.data)?;
                if is_terminal(&self.job) {
                    return Ok(lost("the job has ended"));
                }
            }
        }
    }

    fn show(&mut self, envelope: &str) -> Result<(), Failure> {
        let Ok(Value::Object(mut parsed)) = serde_json::from_str(envelope) else {
            return Err(Failure::Ended(Ended::failed(
                "error: an event is no JSON; is this a Backroom server?",
            )));
        };
        self.job = parsed.remove("data").unwrap_or_default();
        let mut out = io::stdout();
        match self.form {
            Form::Json => writeln!(out, "{}", json_line(envelope))?,
            Form::Lines => {
                let at = parsed.get("timestamp").and_then(Value::as_str).unwrap_or_default();
                writeln!(out, "{}  {}", clean(at), line(&self.job))?;
            }
            Form::Bar => write!(out, "\r\u{1b}[2K{}", bar(&self.job, self.screen))?,
        }
        out.flush()?;
        Ok(())
    }

    async fn ask(&self) -> Result<Value, Failure> {
        let request = self.remote.request(Method::GET, &format!("/api/jobs/{}", self.id));
        self.remote.ask(request, Duration::ZERO).await?.value()
    }
}

fn lost(reason: &str) -> Failure {
    Failure::Lost { reason: reason.to_owned(), sent: true }
}

/// How a job stands, on one line.
fn line(job: &Value) -> String {
    let state = text(&job["state"]);
    // Writing into memory cannot fail.
    let mut told = format!("{state}, attempt {} of {}", job["attempt"], job["max_attempts"]);
    if is_terminal(job) {
        let took = took(&job["created_at"], &job["finished_at"]);
        if !took.is_empty() {
            let _ = write!(told, ", {took} after it was submitted");
        }
    } else if state == "processing" {
        let percent = job["progress"]["percent"].as_u64().unwrap_or_default();
        if percent > 0 {
            let _ = write!(told, ", {percent} %");
        }
    } else {
        let waits = super::job_text::waiting(&job["waiting"]);
        if !waits.is_empty() {
            let _ = write!(told, ", waits {waits}");
        }
    }
    let about = match (state, text(&job["skip_reason"])) {
        ("processing", _) => text(&job["progress"]["message"]).to_owned(),
        ("failed" | "dead_lettered", _) => message(&job["error"]["code"], &job["error"]["message"]),
        (_, reason) => reason.to_owned(),
    };
    if !about.is_empty() {
        let _ = write!(told, ": {about}");
    }
    clean(&told).into_owned()
}

fn bar(job: &Value, screen: Screen) -> String {
    let done = match text(&job["state"]) {
        "completed" => 100,
        _ => job["progress"]["percent"].as_u64().unwrap_or_default().min(100),
    };
    let full = BAR * usize::try_from(done).unwrap_or(100) / 100;
    let (full, rest) = ("#".repeat(full), "-".repeat(BAR - full));
    let told = screen.fit(&format!("[{full}{rest}] {done:>3} %  {}", line(job)));
    // The bar alone is painted: it is the part whose width is known.
    match told.split_once(']') {
        Some((bar, rest)) => {
            let state = Paint::of(text(&job["state"]));
            format!("{}{rest}", screen.paint(state, &format!("{bar}]")))
        }
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PLAIN: Screen = Screen { terminal: true, color: false, width: Some(60) };

    #[test]
    fn a_bar_fits_on_its_line_whatever_the_job_says() {
        let mut job = json!({"state": "processing", "attempt": 1, "max_attempts": 8,
            "progress": {"percent": 50, "message": "\u{1b}[2Jhalf\n".repeat(50)}});
        let half = bar(&job, PLAIN);
        assert!(half.starts_with("[############------------]  50 %  processing, attempt"), "{half}");
        assert_eq!(half.chars().count(), 60);
        assert!(!half.contains(['\u{1b}', '\n']), "{half:?}");
        job["progress"]["percent"] = json!(5_000_000_000_u64);
        assert!(bar(&job, PLAIN).starts_with("[########################] 100 %"));
        job["state"] = json!("dead_lettered");
        job["progress"]["percent"] = json!(0);
        job["error"] = json!({"code": "x", "message": "y"});
        assert!(bar(&job, PLAIN).starts_with("[------------------------]   0 %  dead_lettered"));
        assert!(line(&job).ends_with(": x: y"));
    }
}
