//! The commands that speak to a running server over HTTP.

mod args;
mod dead_letters;
mod enqueue;
mod help;
mod job_text;
mod jobs;
mod problem;
mod queues;
mod remote;
mod schedules;
mod screen;
mod sse;
mod status;
mod steer_args;
mod table;
mod target;
mod text;
mod wait;
mod watch;

pub use args::ClientCommand;
pub(super) use remote::{http_client, without_user};
pub use target::{Access, Target};
pub(super) use text::{clean, json_line};

use std::io::{self, Write as _};

use super::Ended;
use problem::Failure;
use remote::Remote;
use screen::Screen;

/// Does what a client command says.
///
/// # Errors
///
/// With the exit code that says why: see [`super::exit`].
pub async fn client(command: ClientCommand) -> Result<(), Ended> {
    let access = command.access().clone();
    let screen = Screen::stdout();
    let remote = Remote::new(&access)?;
    let ended = match command {
        ClientCommand::Enqueue(args) => enqueue::enqueue(&remote, &args, screen).await,
        ClientCommand::Status(args) => status::status(&remote, &args, screen).await,
        ClientCommand::Result(args) => jobs::result(&remote, &args, screen).await,
        ClientCommand::Log(args) => jobs::log(&remote, &args, screen).await,
        ClientCommand::Jobs(args) => jobs::list(&remote, &args, screen).await,
        ClientCommand::Cancel(args) => jobs::cancel(&remote, &args, screen).await,
        ClientCommand::Retry(args) => jobs::retry(&remote, &args, screen).await,
        ClientCommand::Queues(args) => queues::queues(&remote, args, screen).await,
        ClientCommand::DeadLetters(args) => dead_letters::dead_letters(&remote, args, screen).await,
        ClientCommand::Schedules(args) => schedules::schedules(&remote, args, screen).await,
    };
    ended.map_err(|failure| {
        if let (true, Failure::Refused(refusal)) = (access.json, &failure) {
            // What the server answered, as everywhere with --json. That nobody reads it changes nothing.
            let _ = writeln!(io::stdout(), "{}", text::json_line(&refusal.body));
        }
        failure.into()
    })
}
