//! One attempt: a program from its start to its end, or to ours.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::process::Command;
use tokio::time::sleep;

use super::group::Group;
use super::listener::Listener;
use super::output::{Output, TooLarge, feed};
use super::verdict::{check_json, failure, is_json};
use crate::handler::{About, Context, Failure, Handler, Outcome};
use crate::job::{JobResult, LogLevel};
use crate::kinds::Raw;

/// How long the output of a program may stay open after its end, because a child of it holds it.
const LINGER: Duration = Duration::from_secs(1);
/// How long before the end of `cancel_grace` everybody is killed, so that the attempt is over in time; of a short one it
/// is the last quarter.
const MARGIN: Duration = Duration::from_millis(500);

/// Runs a program for each attempt.
pub struct CommandHandler {
    settings: CommandSettings,
    is_json: bool,
}

/// Which program, and in what surroundings.
#[derive(Clone)]
pub struct CommandSettings {
    /// The program: an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its working directory. `None`: that of the server.
    pub folder: Option<PathBuf>,
    /// Its environment, beside what says which attempt it is.
    pub env: Vec<(String, OsString)>,
    /// The media type of its output.
    pub result_type: String,
    /// Whether a repeat could mend an exit code that says nothing about that.
    pub retry_on_exit: bool,
    /// The most output that it may have, in bytes.
    pub result_limit: usize,
    /// How long an attempt that was told to stop may take to do so.
    pub cancel_grace: Duration,
    /// What is told about the kind.
    pub about: About,
}

/// How a program stopped talking.
enum Talk {
    /// By itself.
    Over,
    /// It said more than a result may have, and was killed.
    TooLarge,
    /// It was killed, or a child that outlived it was.
    Cut,
}

impl CommandHandler {
    /// A handler for the kinds of these settings.
    pub fn new(settings: CommandSettings) -> Self {
        let is_json = is_json(&settings.result_type);
        Self { settings, is_json }
    }

    fn command(&self, cx: &Context) -> Command {
        let settings = &self.settings;
        let mut command = Command::new(&settings.program);
        command
            .args(&settings.arguments)
            .env_clear()
            .envs(settings.env.iter().map(|(name, value)| (name, value)))
            .env("BACKROOM_JOB_ID", cx.job_id().to_string())
            .env("BACKROOM_ATTEMPT", cx.attempt().to_string())
            .env("BACKROOM_MAX_ATTEMPTS", cx.max_attempts().to_string())
            .env("BACKROOM_KIND", cx.job().spec.kind.as_str());
        if let Some(folder) = &settings.folder {
            command.current_dir(folder);
        }
        command
    }

    /// Stays with a program until it has ended and says nothing any more. It is killed when it says too much, when it was
    /// told to stop and does not, and when others keep talking in its place.
    async fn attend(
        &self,
        group: &mut Group,
        feeding: impl Future<Output = ()>,
        talking: impl Future<Output = Result<(), TooLarge>>,
        cx: &Context,
    ) -> Talk {
        let (mut feeding, mut talking) = (pin!(feeding), pin!(talking));
        let (mut grace, mut linger) = (pin!(OptionFuture::from(None)), pin!(OptionFuture::from(None)));
        let (mut fed, mut told, mut exited, mut killed) = (false, false, false, false);
        let mut talk = None;
        while !exited || (talk.is_none() && !killed) {
            tokio::select! {
                biased;
                () = cx.canceled(), if !told => {
                    told = true;
                    group.terminate();
                    grace.set(Some(sleep(before_the_end_of(self.settings.cancel_grace))).into());
                }
                _ = &mut grace, if told && !killed => {
                    group.kill();
                    killed = true;
                }
                _ = &mut linger, if exited && !killed => {
                    group.kill();
                    killed = true;
                }
                () = group.exited(), if !exited => {
                    exited = true;
                    linger.set(Some(sleep(LINGER)).into());
                }
                said = &mut talking, if talk.is_none() => {
                    if said.is_err() {
                        group.kill();
                        killed = true;
                    }
                    talk = Some(said);
                }
                () = &mut feeding, if !fed => fed = true,
            }
        }
        match talk {
            Some(Ok(())) => Talk::Over,
            Some(Err(TooLarge)) => Talk::TooLarge,
            None => Talk::Cut,
        }
    }

    fn result(&self, output: Output) -> Result<Outcome, Failure> {
        let media_type = Cow::Owned(self.settings.result_type.clone());
        if !self.is_json {
            return Ok(Outcome::Completed(JobResult { media_type, bytes: output.into_bytes() }));
        }
        if output.bytes().trim_ascii().is_empty() {
            return Ok(Outcome::Completed(JobResult { media_type, ..JobResult::null() }));
        }
        check_json(output.bytes())?;
        Ok(Outcome::Completed(JobResult { media_type, bytes: output.into_bytes() }))
    }
}

fn before_the_end_of(cancel_grace: Duration) -> Duration {
    cancel_grace.saturating_sub(MARGIN.min(cancel_grace / 4))
}

impl Handler for CommandHandler {
    type Input = Raw;

    fn about(&self) -> About {
        self.settings.about.clone()
    }

    async fn run(&self, payload: Raw, cx: &Context) -> Result<Outcome, Failure> {
        // It was there at the start. What has changed since may change again, and is not the fault of the job.
        let (mut group, pipes) = Group::start(&mut self.command(cx)).map_err(|error| {
            let message = format!("the program, or what its first line names, could not be started: {error}");
            Failure::transient("command-not-started", message)
        })?;
        let (mut output, mut listener) = (Output::new(self.settings.result_limit), Listener::new(cx));
        let talk = {
            let listening = async {
                listener.listen(pipes.stderr).await;
                Ok(())
            };
            let talking = async { tokio::try_join!(output.collect(pipes.stdout), listening).map(drop) };
            self.attend(&mut group, feed(pipes.stdin, payload), talking, cx).await
        };
        let status = group.reap()?;
        listener.finish().await;
        match talk {
            Talk::Over => {}
            Talk::TooLarge => {
                let message = format!("the result is larger than {} bytes", self.settings.result_limit);
                return Err(Failure::permanent("result-too-large", message));
            }
            Talk::Cut if !cx.is_canceled() => {
                let message = "a child of the program kept its output open after its end, and was killed";
                cx.log(LogLevel::Warn, message).await;
            }
            Talk::Cut => {}
        }
        match (failure(status, self.settings.retry_on_exit, listener.last()), listener.skip()) {
            (Some(failure), _) => Err(failure),
            (None, Some(reason)) => Ok(Outcome::skip(reason)),
            (None, None) => self.result(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_killed_before_the_attempt_is_abandoned() {
        let millis = |grace| before_the_end_of(Duration::from_millis(grace)).as_millis();
        assert_eq!([0, 100, 1_999, 2_000, 5_000, 300_000].map(millis), [0, 75, 1_499, 1_500, 4_500, 299_500]);
    }
}
