//! `backroom jobs`, `cancel`, `retry`, `result` and `log`.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::args::{Filters, JobArgs, JobsArgs, Pages, ResultArgs};
use super::enqueue::say;
use super::job_text::{COLUMNS, row, text};
use super::problem::Failure;
use super::remote::Remote;
use super::screen::Screen;
use super::table::Table;
use super::text::{clean, clean_lines, json_line};
use super::{status, wait};
use crate::cli::{Ended, exit};
use crate::job::JobId;

/// A page of a list, its jobs to the letter.
#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// Lists jobs.
pub(super) async fn list(remote: &Remote, args: &JobsArgs, screen: Screen) -> Result<(), Failure> {
    show_list(remote, &args.states, &args.filters, &args.pages, args.access.json, screen).await
}

/// Shows a page of jobs, or with `--all` every one: as one list either way, written as it comes.
pub(super) async fn show_list(
    remote: &Remote,
    states: &[String],
    filters: &Filters,
    pages: &Pages,
    json: bool,
    screen: Screen,
) -> Result<(), Failure> {
    let mut query: Vec<(&str, &str)> = Vec::new();
    let named =
        [("state", states), ("queue", &filters.queues), ("kind", &filters.kinds), ("tag", &filters.tags)];
    for (name, values) in named {
        query.extend(values.iter().map(|value| (name, value.as_str())));
    }
    let single = [
        ("q", &filters.q),
        ("created_after", &filters.created_after),
        ("created_before", &filters.created_before),
    ];
    query.extend(single.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
    let limit = pages.limit.or(pages.all.then_some(100)).map(|limit| limit.to_string());
    query.extend(limit.as_deref().map(|limit| ("limit", limit)));

    let (mut table, mut out) = (Table::new(&COLUMNS, screen), io::stdout());
    let (mut cursor, mut listed) = (pages.cursor.clone(), 0);
    loop {
        let mut query = query.clone();
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let answer = remote.ask(remote.get("/api/jobs", &query), Duration::ZERO).await?;
        let page: Page = answer.read()?;
        cursor = page.next_cursor;
        if json && !pages.all {
            writeln!(out, "{}", json_line(&answer.text()))?;
            return Ok(());
        }
        if json {
            // The members of one page, so that the form is the same however many there were.
            for item in &page.items {
                let before = if listed == 0 { "{\"items\":[" } else { "," };
                write!(out, "{before}{}", json_line(item.get()))?;
                listed += 1;
            }
        } else {
            let jobs = page.items.iter().map(|item| serde_json::from_str(item.get()).unwrap_or_default());
            let rows: Vec<Vec<String>> = jobs.map(|job: Value| row(&job)).collect();
            table.write(&rows, &mut out)?;
        }
        if pages.all && cursor.is_some() {
            continue;
        }
        if json {
            let before = if listed == 0 { "{\"items\":[" } else { "" };
            writeln!(out, "{before}],\"next_cursor\":null,\"next\":null}}")?;
        } else if let Some(cursor) = &cursor {
            say(&format!("there are more: --cursor {cursor}, or --all"));
        }
        return Ok(());
    }
}

/// Cancels a job.
pub(super) async fn cancel(remote: &Remote, args: &JobArgs, screen: Screen) -> Result<(), Failure> {
    steer(remote, Method::DELETE, &format!("/api/jobs/{}", args.id), args.access.json, screen).await
}

/// Sends a job round again.
pub(super) async fn retry(remote: &Remote, args: &JobArgs, screen: Screen) -> Result<(), Failure> {
    steer(remote, Method::POST, &format!("/api/jobs/{}/retry", args.id), args.access.json, screen).await
}

/// Sends a request without a body whose answer is a job, and shows that.
pub(super) async fn steer(
    remote: &Remote,
    method: Method,
    path: &str,
    json: bool,
    screen: Screen,
) -> Result<(), Failure> {
    let answer = remote.ask(remote.request(method, path), Duration::ZERO).await?;
    let job = answer.value()?;
    Ok(status::show(&job, &answer.text(), json, screen)?)
}

/// Shows what the attempts of a job wrote.
pub(super) async fn log(remote: &Remote, args: &JobArgs, screen: Screen) -> Result<(), Failure> {
    let request = remote.request(Method::GET, &format!("/api/jobs/{}/log", args.id));
    let answer = remote.ask(request, Duration::ZERO).await?;
    let mut out = io::stdout();
    if args.access.json {
        writeln!(out, "{}", json_line(&answer.text()))?;
        return Ok(());
    }
    let log = answer.value()?;
    let of = |line: &Value, name: &str| text(&line[name]).to_owned();
    let rows: Vec<Vec<String>> = (log["lines"].as_array().into_iter().flatten())
        .map(|line| vec![of(line, "at"), line["attempt"].to_string(), of(line, "level"), of(line, "message")])
        .collect();
    // A line of the log is what somebody looks for: it is not cut.
    let mut table = Table::new(&["AT", "ATTEMPT", "LEVEL", "MESSAGE"], Screen { width: None, ..screen });
    Ok(table.write(&rows, &mut out)?)
}

/// Writes the result of a job.
pub(super) async fn result(remote: &Remote, args: &ResultArgs, screen: Screen) -> Result<(), Failure> {
    if let Some(patience) = args.wait {
        wait::for_end(remote, args.id, patience, false).await?;
    }
    write_result(remote, args.id, args.output.as_deref(), screen).await
}

/// Writes a result as it is, to a file or the standard output. A terminal gets only text, and none that steers it.
pub(super) async fn write_result(
    remote: &Remote,
    id: JobId,
    file: Option<&Path>,
    screen: Screen,
) -> Result<(), Failure> {
    let request = remote.request(Method::GET, &format!("/api/jobs/{id}/result"));
    let answer = remote.ask(request, Duration::ZERO).await?;
    if let Some(file) = file {
        return std::fs::write(file, &answer.body).map_err(|error| {
            Ended::failed(format!("error: {} cannot be written: {error}", file.display())).into()
        });
    }
    let mut out = io::stdout();
    if !(screen.terminal || out.is_terminal()) {
        out.write_all(&answer.body)?;
        return Ok(out.flush()?);
    }
    match std::str::from_utf8(&answer.body) {
        Ok(text) => Ok(writeln!(out, "{}", clean_lines(text.trim_end_matches('\n')))?),
        Err(_) => {
            let (size, kind) = (answer.body.len(), clean(&answer.media_type));
            let message =
                format!("error: {size} bytes of {kind} are nothing for a terminal: use --output FILE");
            Err(Failure::Ended(Ended { code: exit::FAILED, message }))
        }
    }
}
