//! What can be typed behind the client commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::help;
use super::steer_args::{
    DeadLetterArgs, DeadLetterCommand, QueueArgs, QueueCommand, ScheduleArgs, ScheduleCommand,
};
use super::target::Access;
use crate::job::{JobId, parse_duration};

/// Names what to do with a running server.
#[derive(Clone, Subcommand, Debug)]
pub enum ClientCommand {
    /// Submit a job to a running server
    #[command(after_help = help::ENQUEUE)]
    Enqueue(Box<EnqueueArgs>),
    /// Show how a job stands, or watch it to its end
    #[command(after_help = help::STATUS)]
    Status(StatusArgs),
    /// Write the result of a job to the standard output
    #[command(after_help = help::RESULT)]
    Result(ResultArgs),
    /// Show the last lines that the attempts of a job wrote
    Log(JobArgs),
    /// List jobs, the newest first
    #[command(after_help = help::JOBS)]
    Jobs(JobsArgs),
    /// Cancel a job
    Cancel(JobArgs),
    /// Send a finished job round again, or run a waiting one now
    Retry(JobArgs),
    /// Show the queues; pause, resume or change one
    #[command(after_help = help::QUEUES, args_conflicts_with_subcommands = true)]
    Queues(QueueArgs),
    /// List dead letters; send them round again or delete them
    #[command(after_help = help::DEAD_LETTERS, args_conflicts_with_subcommands = true)]
    DeadLetters(DeadLetterArgs),
    /// Show the schedules; pause, resume or run one
    #[command(after_help = help::SCHEDULES, args_conflicts_with_subcommands = true)]
    Schedules(ScheduleArgs),
}

/// Says what to submit.
#[derive(Clone, Args, Debug)]
pub struct EnqueueArgs {
    /// The kind
    pub kind: String,
    /// The payload: JSON, @FILE, or - for the standard input [default: none]
    #[arg(value_name = "JSON|@FILE|-")]
    pub payload: Option<String>,
    /// Wait until the job has ended, or so long
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "forever", value_parser = patience)]
    pub wait: Option<Patience>,
    /// Wait, and write the result to the standard output instead of the id
    #[arg(long)]
    pub result: bool,
    /// The queue [default: the kind's]
    #[arg(long, value_name = "NAME")]
    pub queue: Option<String>,
    /// Run it so much later
    #[arg(long, value_name = "DURATION", conflicts_with = "run_at")]
    pub delay: Option<String>,
    /// Run it at this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub run_at: Option<String>,
    /// Attempts, the first one included
    #[arg(long, value_name = "N")]
    pub max_attempts: Option<u32>,
    /// How long one attempt may take
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Skip it when it was not started in this time
    #[arg(long, value_name = "DURATION")]
    pub expires_in: Option<String>,
    /// A tag to find it by; can be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Make no second job of this kind with this key
    #[arg(long, value_name = "KEY")]
    pub unique: Option<String>,
    /// How long the key is held after the job has ended
    #[arg(long, value_name = "DURATION", requires = "unique")]
    pub unique_for: Option<String>,
    /// Where a webhook is sent
    #[arg(long, value_name = "URL")]
    pub callback_url: Option<String>,
    /// Which events are sent there; can be repeated
    #[arg(long = "callback-event", value_name = "job.STATE")]
    pub callback_events: Vec<String>,
    /// Whom to write a mail when it has ended
    #[arg(long, value_name = "ADDRESS")]
    pub notify_email: Option<String>,
    /// What this request is called by, so that a repeat makes no second job [default: a random one]
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// How often the request is sent again when the server is full, drains, or its answer is lost
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub retries: u32,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// How long somebody waits: for ever, or for a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience(pub Option<Duration>);

/// Says which job to show, and how.
#[derive(Clone, Args, Debug)]
pub struct StatusArgs {
    /// The job
    pub id: JobId,
    /// Show every change until it has ended
    #[arg(long)]
    pub watch: bool,
    /// Wait until it has ended, or so long; with --watch, how long at most
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "forever", value_parser = patience)]
    pub wait: Option<Patience>,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Says whose result to write, and where.
#[derive(Clone, Args, Debug)]
pub struct ResultArgs {
    /// The job
    pub id: JobId,
    /// Wait until it has ended, or so long
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "forever", value_parser = patience)]
    pub wait: Option<Patience>,
    /// Write to this file instead
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Names a job.
#[derive(Clone, Args, Debug)]
pub struct JobArgs {
    /// The job
    pub id: JobId,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Says which jobs to list.
#[derive(Clone, Args, Debug)]
pub struct JobsArgs {
    /// Only jobs in this state; can be repeated
    #[arg(long = "state", value_name = "STATE")]
    pub states: Vec<String>,
    /// The rest of what a job must be like.
    #[command(flatten)]
    pub filters: Filters,
    /// How much of the list.
    #[command(flatten)]
    pub pages: Pages,
    /// The server.
    #[command(flatten)]
    pub access: Access,
}

/// Says what a job must be like to be listed.
#[derive(Clone, Default, Args, Debug)]
pub struct Filters {
    /// Only of this queue; can be repeated
    #[arg(long = "queue", value_name = "NAME")]
    pub queues: Vec<String>,
    /// Only of this kind; can be repeated
    #[arg(long = "kind", value_name = "NAME")]
    pub kinds: Vec<String>,
    /// Only with this tag; can be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// The beginning of an id, or a text in error, tag or kind
    #[arg(long, short, value_name = "TEXT")]
    pub q: Option<String>,
    /// Created at this time (RFC 3339) or later
    #[arg(long, value_name = "TIME")]
    pub created_after: Option<String>,
    /// Created before this time
    #[arg(long, value_name = "TIME")]
    pub created_before: Option<String>,
}

/// Says how much of a list to show.
#[derive(Clone, Default, Args, Debug)]
pub struct Pages {
    /// Jobs on a page: 1 to 100 [default: 20; with --all 100]
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    /// Where to go on, as the page before has said
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
    /// Every page
    #[arg(long)]
    pub all: bool,
}

impl ClientCommand {
    /// Which server it speaks to.
    pub(super) fn access(&self) -> &Access {
        match self {
            Self::Enqueue(args) => &args.access,
            Self::Status(args) => &args.access,
            Self::Result(args) => &args.access,
            Self::Log(args) | Self::Cancel(args) | Self::Retry(args) => &args.access,
            Self::Jobs(args) => &args.access,
            Self::Queues(args) => match &args.command {
                None => &args.access,
                Some(QueueCommand::Show(args) | QueueCommand::Resume(args)) => &args.access,
                Some(QueueCommand::Pause(args)) => &args.access,
                Some(QueueCommand::Set(args)) => &args.access,
            },
            Self::DeadLetters(args) => match &args.command {
                None => &args.access,
                Some(DeadLetterCommand::Redrive(args)) => &args.access,
                Some(DeadLetterCommand::Delete(args)) => &args.access,
            },
            Self::Schedules(args) => match &args.command {
                None => &args.access,
                Some(
                    ScheduleCommand::Pause(args) | ScheduleCommand::Resume(args) | ScheduleCommand::Run(args),
                ) => &args.access,
            },
        }
    }
}

/// `forever`, which is what stands for no value at all, a number of seconds as in `Prefer: wait=10`, or a duration.
fn patience(text: &str) -> Result<Patience, String> {
    if text == "forever" {
        return Ok(Patience(None));
    }
    let seconds = text.parse().ok().map(Duration::from_secs);
    Ok(Patience(Some(seconds.map_or_else(|| parse_duration(text), Ok)?)))
}
