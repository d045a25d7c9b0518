//! What can be typed behind the commands that steer queues, dead letters and schedules.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::{Filters, Pages};
use super::target::Access;
use crate::job::{JobId, Timestamp, parse_duration};

/// Says what to do with queues.
#[derive(Clone, Args, Debug)]
pub struct QueueArgs {
    /// What to do; `None`: list them.
    #[command(subcommand)]
    pub command: Option<QueueCommand>,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Names what to do with a queue.
#[derive(Clone, Subcommand, Debug)]
pub enum QueueCommand {
    /// Show one queue
    Show(NameArgs),
    /// Take no more jobs out of a queue; it accepts until it is full
    Pause(PauseArgs),
    /// Go on with a paused queue
    Resume(NameArgs),
    /// Change a queue until the next start
    Set(SetArgs),
}

/// Names a queue or a schedule.
#[derive(Clone, Args, Debug)]
pub struct NameArgs {
    /// Its name
    pub name: String,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Says what to pause, why and for how long.
#[derive(Clone, Args, Debug)]
pub struct PauseArgs {
    /// Its name
    pub name: String,
    /// Why, for whoever wonders
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Go on by itself at this time (RFC 3339) [default: when it is told to]
    #[arg(long, value_name = "TIME", conflicts_with = "length", value_parser = Timestamp::parse)]
    pub until: Option<Timestamp>,
    /// Go on by itself after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub length: Option<Duration>,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Says what of a queue to change.
#[derive(Clone, Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub struct SetArgs {
    /// Its name
    pub name: String,
    /// How many of its jobs run at once
    #[arg(long, value_name = "N", group = "change")]
    pub concurrency: Option<u32>,
    /// How many are started in a time, as in 10/s; none: as many as can; configured: what the configuration says
    #[arg(long, value_name = "RATE", group = "change")]
    pub rate_limit: Option<String>,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Says what to do with dead letters.
#[derive(Clone, Args, Debug)]
pub struct DeadLetterArgs {
    /// What to do; `None`: list them.
    #[command(subcommand)]
    pub command: Option<DeadLetterCommand>,
    /// What a dead letter must be like to be listed.
    #[command(flatten)]
    pub filters: Filters,
    /// How much of the list.
    #[command(flatten)]
    pub pages: Pages,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Names what to do with dead letters.
#[derive(Clone, Subcommand, Debug)]
pub enum DeadLetterCommand {
    /// Send them round again with fresh attempts: all, or those that the options name
    Redrive(RedriveArgs),
    /// Delete them: those that the options name
    Delete(DeleteArgs),
}

/// Says which dead letters to send round again.
#[derive(Clone, Args, Debug)]
pub struct RedriveArgs {
    /// Only this one; can be repeated
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<JobId>,
    /// Only of this queue
    #[arg(long, value_name = "NAME")]
    pub queue: Option<String>,
    /// Only of this kind
    #[arg(long, value_name = "NAME")]
    pub kind: Option<String>,
    /// Only so many, the oldest first
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Only say how many there are
    #[arg(long)]
    pub dry_run: bool,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Says which dead letters to delete.
#[derive(Clone, Args, Debug)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub struct DeleteArgs {
    /// This one; can be repeated
    #[arg(long = "id", value_name = "ID", group = "which")]
    pub ids: Vec<JobId>,
    /// Those of this queue; can be repeated
    #[arg(long = "queue", value_name = "NAME", group = "which")]
    pub queues: Vec<String>,
    /// Those of this kind; can be repeated
    #[arg(long = "kind", value_name = "NAME", group = "which")]
    pub kinds: Vec<String>,
    /// All of them
    #[arg(long, group = "which", conflicts_with_all = ["ids", "queues", "kinds"])]
    pub all: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Says what to do with schedules.
#[derive(Clone, Args, Debug)]
pub struct ScheduleArgs {
    /// What to do; `None`: list them.
    #[command(subcommand)]
    pub command: Option<ScheduleCommand>,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Names what to do with a schedule.
#[derive(Clone, Subcommand, Debug)]
pub enum ScheduleCommand {
    /// Make no more jobs by this schedule
    Pause(NameArgs),
    /// Go on with a paused schedule
    Resume(NameArgs),
    /// Make its job now
    Run(NameArgs),
}
