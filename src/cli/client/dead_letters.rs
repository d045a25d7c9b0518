//! `backroom dead-letters`.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::jobs::show_list;
use super::problem::Failure;
use super::remote::{Answer, Remote, with_query};
use super::screen::Screen;
use super::steer_args::{DeadLetterArgs, DeadLetterCommand, DeleteArgs, RedriveArgs};
use super::text::json_line;
use crate::cli::{Ended, exit};

const REDRIVE: &str = "/api/dead-letters/redrive";

/// Lists dead letters, sends them round again or deletes them.
pub(super) async fn dead_letters(
    remote: &Remote,
    args: DeadLetterArgs,
    screen: Screen,
) -> Result<(), Failure> {
    match &args.command {
        None => {
            let states = ["dead_lettered".to_owned()];
            show_list(remote, &states, &args.filters, &args.pages, args.access.json, screen).await
        }
        Some(DeadLetterCommand::Redrive(args)) => redrive(remote, args).await,
        Some(DeadLetterCommand::Delete(args)) => delete(remote, args).await,
    }
}

async fn redrive(remote: &Remote, args: &RedriveArgs) -> Result<(), Failure> {
    let mut order = Map::new();
    if !args.ids.is_empty() {
        order.insert("ids".to_owned(), json!(args.ids));
    }
    for (name, value) in [("queue", &args.queue), ("kind", &args.kind)] {
        order.extend(value.as_deref().map(|value| (name.to_owned(), value.into())));
    }
    order.extend(args.limit.map(|limit| ("limit".to_owned(), limit.into())));
    if args.dry_run {
        order.insert("dry_run".to_owned(), true.into());
    }
    let request = remote.json(Method::POST, REDRIVE, Value::Object(order).to_string());
    let answer = remote.ask(request, Duration::ZERO).await?;
    let done = answer.value()?;
    let told = if args.dry_run {
        format!("{} would be sent round again", done["matched"])
    } else {
        format!("{} found, {} sent round again, {} left", done["matched"], done["redriven"], done["left"])
    };
    tell(&answer, args.access.json, &told)
}

async fn delete(remote: &Remote, args: &DeleteArgs) -> Result<(), Failure> {
    if !args.yes {
        let number = count(remote, args).await?;
        confirm(number)?;
    }
    let ids: Vec<String> = args.ids.iter().map(ToString::to_string).collect();
    let named = [("id", &ids), ("queue", &args.queues), ("kind", &args.kinds)];
    let query: Vec<(&str, &str)> = named
        .into_iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value.as_str())))
        .collect();
    let request = remote.request(Method::DELETE, &with_query("/api/dead-letters", &query));
    let answer = remote.ask(request, Duration::ZERO).await?;
    let deleted = answer.value()?["deleted"].to_string();
    tell(&answer, args.access.json, &format!("{deleted} deleted"))
}

/// How many would be deleted, where that can be asked: a redrive takes one queue and one kind.
async fn count(remote: &Remote, args: &DeleteArgs) -> Result<Option<u64>, Failure> {
    let ([] | [_], [] | [_]) = (&*args.queues, &*args.kinds) else {
        return Ok(None);
    };
    let mut order = json!({ "dry_run": true });
    if !args.ids.is_empty() {
        order["ids"] = json!(args.ids);
    }
    for (name, values) in [("queue", &args.queues), ("kind", &args.kinds)] {
        if let Some(value) = values.first() {
            order[name] = value.as_str().into();
        }
    }
    let request = remote.json(Method::POST, REDRIVE, order.to_string());
    Ok(remote.ask(request, Duration::ZERO).await?.value()?["matched"].as_u64())
}

/// Asks whether it is meant. Where nobody can answer, it is not.
fn confirm(number: Option<u64>) -> Result<(), Ended> {
    if !io::stdin().is_terminal() {
        let message =
            "error: nobody is there to be asked: add --yes to delete dead letters for good".to_owned();
        return Err(Ended { code: exit::USAGE, message });
    }
    let what = number.map_or_else(|| "dead letters".to_owned(), |number| format!("{number} dead letters"));
    write!(io::stderr(), "Delete {what} for good? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Ended::failed("nothing was deleted"))
}

fn tell(answer: &Answer, json: bool, told: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    if json {
        return Ok(writeln!(out, "{}", json_line(&answer.text()))?);
    }
    Ok(writeln!(out, "{told}")?)
}
