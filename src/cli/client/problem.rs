//! Why a request came to nothing, as people read it.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::text::clean;
use crate::cli::{Ended, exit};

/// Why a request, or the command, came to nothing.
pub(super) enum Failure {
    /// There is no whole answer.
    Lost {
        /// Why.
        reason: String,
        /// The server may have got the request.
        sent: bool,
    },
    /// The answer is a refusal.
    Refused(Box<Refusal>),
    /// Something else.
    Ended(Ended),
}

/// An answer that is no success.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// `Retry-After`.
    pub(super) retry_after: Option<Duration>,
    /// As it was answered.
    pub(super) body: String,
}

/// How much of an answer is told that is no problem of ours.
const QUOTED: usize = 300;

impl Refusal {
    /// Whether it may be another one later: from a server that restarts or has too much to do, or a proxy in front of it.
    pub(super) fn may_pass(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS || self.status.is_server_error()
    }

    /// The last part of the type of a problem; `about:blank` and whatever is none have none.
    pub(super) fn slug(&self) -> Option<String> {
        let problem: Value = serde_json::from_str(&self.body).ok()?;
        let slug = problem["type"].as_str()?.rsplit('/').next()?;
        (slug != "about:blank").then(|| clean(slug).into_owned())
    }

    /// The problem with every fault (RFC 9457), or what else was answered.
    pub(super) fn told(&self) -> String {
        let problem: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let status = self.status.as_u16();
        let Some(title) = problem["title"].as_str() else {
            let begin: String = self.body.chars().take(QUOTED).collect();
            let answer = if begin.trim().is_empty() { "nothing".into() } else { clean(begin.trim()) };
            return format!("refused: {status}, and no problem of a Backroom server: {answer}");
        };
        let slug = self.slug().map(|slug| format!(" {slug}")).unwrap_or_default();
        let mut told = format!("refused: {} ({status}{slug})", clean(title));
        let mut line = |text: &str| {
            // Writing into memory cannot fail.
            let _ = write!(told, "\n  {}", clean(text));
        };
        let errors = problem["errors"].as_array();
        for error in errors.into_iter().flatten() {
            let detail = error["detail"].as_str().unwrap_or_default();
            match error["pointer"].as_str().or(error["parameter"].as_str()) {
                Some("") | None => line(detail),
                Some(place) => line(&format!("{place}: {detail}")),
            }
        }
        // With faults, the detail only sums them up.
        if errors.is_none_or(Vec::is_empty)
            && let Some(detail) = problem["detail"].as_str()
        {
            line(detail);
        }
        if let Some(error) = problem["error"]["message"].as_str() {
            line(&format!("error: {error}"));
        }
        if let Some(reason) = problem["skip_reason"].as_str() {
            line(&format!("reason: {reason}"));
        }
        if let Some(again) = self.retry_after {
            line(&format!("try again in {} s", again.as_secs()));
        }
        if let Some(id) = problem["request_id"].as_str() {
            line(&format!("request {id}"));
        }
        told
    }

    /// The exit code: one that says how the job stands, where that is the reason.
    fn code(&self) -> u8 {
        match self.slug().as_deref() {
            Some("job-dead-lettered") => exit::DEAD_LETTERED,
            Some("result-not-ready") => exit::UNFINISHED,
            Some("job-canceled") => exit::CANCELED,
            Some("job-skipped") => exit::SKIPPED,
            _ => exit::FAILED,
        }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost { reason, .. } => Self::failed(format!("error: {reason}")),
            Failure::Refused(refusal) => Self { code: refusal.code(), message: refusal.told() },
            Failure::Ended(ended) => ended,
        }
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Ended(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Refusal {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal { status, retry_after: None, body: body.to_owned() }
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let told = refusal(
            422,
            r#"{"type":"/problems/validation-failed","title":"The request is not valid","status":422,"detail":"2 faults",
                "errors":[{"pointer":"/queue","detail":"no such\u001b queue"},{"pointer":"","detail":"is odd"},
                {"parameter":"limit","detail":"1 to 100"}],"request_id":"r-1"}"#,
        )
        .told();
        assert_eq!(
            told,
            "refused: The request is not valid (422 validation-failed)\n  /queue: no such\\u{1b} queue\n  is odd\n  \
             limit: 1 to 100\n  request r-1"
        );
    }

    #[test]
    fn without_faults_the_detail_is_told() {
        let mut full = refusal(503, r#"{"type":"https://j/problems/queue-full","title":"T","detail":"D."}"#);
        full.retry_after = Some(Duration::from_secs(7));
        assert_eq!(full.told(), "refused: T (503 queue-full)\n  D.\n  try again in 7 s");
        assert_eq!(full.code(), exit::FAILED);
    }

    #[test]
    fn what_is_no_problem_of_ours_is_quoted_in_part() {
        let page = format!("<html>\u{7}{}", "x".repeat(1_000));
        let told = refusal(502, &page).told();
        assert!(
            told.starts_with("refused: 502, and no problem of a Backroom server: <html>\\u{7}xxx"),
            "{told}"
        );
        assert!(told.len() < 400, "{told}");
        assert!(refusal(301, "").told().ends_with("server: nothing"));
        assert_eq!(
            refusal(404, r#"{"type":"about:blank","title":"Not Found"}"#).told(),
            "refused: Not Found (404)"
        );
    }

    #[test]
    fn the_end_of_a_job_has_its_own_code() {
        for (slug, code) in [
            ("job-dead-lettered", exit::DEAD_LETTERED),
            ("result-not-ready", exit::UNFINISHED),
            ("job-canceled", exit::CANCELED),
            ("job-skipped", exit::SKIPPED),
            ("job-not-found", exit::FAILED),
        ] {
            let body = format!(r#"{{"type":"/problems/{slug}","title":"T"}}"#);
            assert_eq!(Ended::from(Failure::Refused(Box::new(refusal(404, &body)))).code, code, "{slug}");
        }
    }
}
