//! `backroom status`.

use std::io;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::args::{Patience, StatusArgs};
use super::job_text::{code, describe};
use super::problem::Failure;
use super::remote::Remote;
use super::screen::Screen;
use super::text::json_line;
use super::{wait, watch};
use crate::cli::{Ended, exit};

/// Shows how a job stands, now, when it has ended, or all the way there.
pub(super) async fn status(remote: &Remote, args: &StatusArgs, screen: Screen) -> Result<(), Failure> {
    let json = args.access.json;
    if args.watch {
        let patience = args.wait.unwrap_or(Patience(None));
        return ended(&watch::watch(remote, args.id, patience, json, screen).await?);
    }
    let (answer, job) = match args.wait {
        Some(patience) => wait::for_end(remote, args.id, patience, false).await?,
        None => {
            let request = remote.request(Method::GET, &format!("/api/jobs/{}", args.id));
            let answer = remote.ask(request, Duration::ZERO).await?;
            let job = answer.value()?;
            (answer, job)
        }
    };
    show(&job, &answer.text(), json, screen)?;
    ended(&job)
}

/// Shows a job: as it was answered, or as people read it.
pub(super) fn show(job: &Value, answer: &str, json: bool, screen: Screen) -> io::Result<()> {
    use io::Write as _;
    let mut out = io::stdout();
    if json { writeln!(out, "{}", json_line(answer)) } else { describe(job, screen, &mut out) }
}

/// Ends with the code that says how the job stands.
pub(super) fn ended(job: &Value) -> Result<(), Failure> {
    match code(job) {
        exit::OK => Ok(()),
        code => Err(Failure::Ended(Ended { code, message: String::new() })),
    }
}
