//! The command line: what can be typed, and what it does.

mod check;
mod client;
mod completions;
mod config;
mod demo;
mod ended;
mod health;
mod notify;
mod openapi;
mod reload;
mod serve;
mod webhook;

pub use check::{check, refused_start};
pub use client::{Access, ClientCommand, Target, client};
pub use completions::completions;
pub use config::print_config;
pub use demo::demo;
pub use ended::Ended;
pub use health::health;
pub use openapi::print_openapi;
pub use serve::serve;
pub use webhook::{ListenArgs, WebhookArgs, WebhookCommand, webhook};

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{FileSource, Sources};
use crate::job::parse_duration;

/// Numbers that the process ends with.
///
/// 2, for a wrong command line, is given by clap itself.
pub mod exit {
    /// Everything went well, and no work was lost.
    pub const OK: u8 = 0;
    /// It failed while running.
    pub const FAILED: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// It stopped, but work was lost.
    pub const LOST: u8 = 3;
    /// The job that was asked for is a dead letter.
    pub const DEAD_LETTERED: u8 = 4;
    /// It has not ended yet.
    pub const UNFINISHED: u8 = 5;
    /// It was canceled.
    pub const CANCELED: u8 = 6;
    /// It was skipped.
    pub const SKIPPED: u8 = 7;
    /// The configuration is wrong (`EX_CONFIG` of sysexits).
    pub const CONFIG: u8 = 78;
}

const AFTER_HELP: &str = "\
Configuration, from weakest to strongest:
  the shipped defaults
  --config FILE, or ./backroom.toml if there is one
  the environment: BACKROOM_SECTION__KEY, always with the double underscore
  --set section.key=value

Examples:
  backroom                                       serve on 127.0.0.1:8080
  backroom --config /etc/backroom.toml serve
  backroom --set server.bind=127.0.0.1:0 --set server.address_file=address.txt
  BACKROOM_QUEUES__MAIL__CONCURRENCY=8 backroom serve
  backroom check --config config/production.toml
  backroom enqueue noop '{\"sleep\": \"2s\"}' --wait

Exit codes:
  0   nothing was lost
  1   it failed while running
  2   the command line is wrong
  3   it stopped, but work was lost (the ids are in the log)
  4   enqueue --wait, status, result: the job is a dead letter
  5   ... it has not ended yet
  6   ... it was canceled
  7   ... it was skipped
  78  the configuration is wrong";

const SERVE_HELP: &str = "\
Take jobs over HTTP and run them (the default), until SIGTERM or SIGINT. Then intake stops, work is
finished within shutdown.grace, and what is left is written to shutdown.spill_file, from where the
next start takes it up. A second signal skips the waiting. SIGHUP reads the certificate of
server.tls again, and takes over the concurrency and rate limits of queues, and log.level.";

const SET_HELP: &str = "\
Set one option, stronger than everything else; can be repeated.
The value is read as the option needs it:
  --set log.format=json
  --set limits.batch=50
  --set 'retry.mine.delays=[\"5s\", \"5m\"]'
  --set 'kinds.\"invoice.render\".timeout=5m'";

/// Takes slow work out of the request: a job server in one process.
#[derive(Clone, Parser, Debug)]
#[command(name = "backroom", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// What stands before the command; see [`Cli::config_options`].
    #[command(flatten)]
    before: ConfigOptions,
    /// What to do; `None` means [`Command::Serve`].
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Names the sources of the configuration.
///
/// They are arguments of the program and again of each command that takes them, rather than `global` ones: of a global
/// argument clap keeps what stands behind the command, and drops what stands before it.
#[derive(Clone, PartialEq, Eq, Default, Args, Debug)]
pub struct ConfigOptions {
    /// Configuration file [default: ./backroom.toml if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one option, stronger than everything else; can be repeated
    #[arg(long, value_name = "KEY=VALUE", long_help = SET_HELP)]
    pub set: Vec<String>,
}

/// Names what to do.
#[derive(Clone, Subcommand, Debug)]
pub enum Command {
    /// Take jobs over HTTP and run them (the default)
    #[command(long_about = SERVE_HELP)]
    Serve(ConfigOptions),
    /// Check the configuration and render every template, without side effects
    #[command(
        after_help = "Reports every fault at once, each with its file and line, and ends with 0 or 78.\n\n\
                            Example:\n  backroom check --config /etc/backroom.toml"
    )]
    Check(ConfigOptions),
    /// Show the values that hold and where each of them came from
    #[command(after_help = "Secrets are shown as [redacted]. The table is valid TOML.\n\n\
                            Examples:\n  backroom config | grep queues.mail\n  backroom config --json | jq '.items[] | select(.origin != \"default\")'")]
    Config(ConfigArgs),
    /// Go a full round on an embedded server, explained on the way
    Demo,
    /// Ask a running server whether it is ready: a probe for containers
    #[command(after_help = "Ends with 0 when it is ready, else with 1.\n\n\
                            Examples (Dockerfile):\n  \
                            HEALTHCHECK CMD [\"backroom\", \"health\", \"--timeout\", \"2s\"]\n  \
                            HEALTHCHECK CMD [\"backroom\", \"health\", \"--server\", \"https://127.0.0.1:8080\", \"--insecure\"]")]
    Health(HealthArgs),
    /// The commands that speak to a running server.
    #[command(flatten)]
    Client(Box<ClientCommand>),
    /// Receive webhooks while developing
    Webhook(WebhookArgs),
    /// Write the description of the API (OpenAPI 3.1) to standard output
    #[command(after_help = "A running server gives the same at /openapi.json, and as a page at /docs.\n\n\
                            Example:\n  backroom openapi > openapi.json")]
    Openapi,
    /// Write the completion script of a shell to standard output
    #[command(
        after_help = "Examples:\n  backroom completions bash > ~/.local/share/bash-completion/completions/backroom\n  \
                            backroom completions fish > ~/.config/fish/completions/backroom.fish"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Says how to show the configuration.
#[derive(Clone, PartialEq, Eq, Default, Args, Debug)]
pub struct ConfigArgs {
    /// As JSON: {"items":[{"key","value","origin"}]}
    #[arg(long)]
    pub json: bool,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub options: ConfigOptions,
}

/// Says which server to ask.
#[derive(Clone, PartialEq, Eq, Args, Debug)]
pub struct HealthArgs {
    /// The server.
    #[command(flatten)]
    pub target: Target,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = some_time)]
    pub timeout: Duration,
}

impl Cli {
    /// The sources of the configuration that stand before the command and after it, in their order.
    ///
    /// # Errors
    ///
    /// When `--config` is given on both sides, or anything to a command that reads no configuration.
    pub fn config_options(&self) -> Result<ConfigOptions, clap::Error> {
        let fault = |message: &str| Self::command().error(ErrorKind::ArgumentConflict, message);
        let none = ConfigOptions::default();
        let after = match &self.command {
            Some(Command::Serve(options) | Command::Check(options)) => options,
            Some(Command::Config(args)) => &args.options,
            None => &none,
            Some(
                Command::Demo
                | Command::Health(_)
                | Command::Client(_)
                | Command::Webhook(_)
                | Command::Openapi
                | Command::Completions { .. },
            ) => {
                return if self.before == none {
                    Ok(none)
                } else {
                    Err(fault("this command reads no configuration: leave --config and --set out"))
                };
            }
        };
        let config = match (&self.before.config, &after.config) {
            (Some(_), Some(_)) => {
                return Err(fault("--config is given twice: before the command and after it"));
            }
            (file, None) | (None, file) => file.clone(),
        };
        let set = [self.before.set.as_slice(), &after.set].concat();
        Ok(ConfigOptions { config, set })
    }
}

impl ConfigOptions {
    /// The sources of the configuration, with an environment such as `std::env::vars_os()`.
    pub fn sources(&self, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Sources {
        Sources {
            file: match &self.config {
                Some(path) => FileSource::Named(path.clone()),
                None => FileSource::IfPresent("backroom.toml".into()),
            },
            environment: environment.into_iter().collect(),
            set: self.set.clone(),
        }
    }
}

fn some_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("must be more than nothing".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        let cli = parse("backroom").unwrap();
        assert!(cli.command.is_none());
        let sources = cli.config_options().unwrap().sources([]);
        assert_eq!(sources.file, FileSource::IfPresent("backroom.toml".into()));
        assert!(matches!(parse("backroom serve").unwrap().command, Some(Command::Serve(_))));
    }

    #[test]
    fn the_options_stand_before_or_after_the_command_or_both() {
        for line in [
            "backroom --config a --set x.y=1 --set x.y=2 check",
            "backroom check --config a --set x.y=1 --set x.y=2",
            "backroom --set x.y=1 check --set x.y=2 --config a",
            "backroom --config a --set x.y=1 serve --set x.y=2",
            "backroom --set x.y=1 --config a config --set x.y=2 --json",
        ] {
            let options = parse(line).unwrap().config_options().unwrap();
            let sources = options.sources([("A".into(), "b".into())]);
            assert_eq!(sources.file, FileSource::Named("a".into()), "{line}");
            assert_eq!(sources.set, ["x.y=1", "x.y=2"], "{line}");
            assert_eq!(sources.environment, [("A".into(), "b".into())]);
        }
    }

    #[test]
    fn there_is_one_file_wherever_it_is_named() {
        for line in [
            "backroom --config a check --config b",
            "backroom --config a --config b check",
            "backroom check --config a --config b",
        ] {
            let ended = parse(line).and_then(|cli| cli.config_options());
            let error = ended.expect_err(line);
            assert_eq!(error.exit_code(), i32::from(exit::USAGE), "{line}");
            assert!(error.to_string().contains("--config"), "{error}");
        }
    }

    #[test]
    fn what_reads_no_configuration_refuses_to_be_given_one() {
        for command in ["demo", "health", "openapi", "completions bash", "jobs", "queues", "webhook listen"] {
            for option in ["--config a", "--set x.y=1"] {
                for line in [format!("backroom {option} {command}"), format!("backroom {command} {option}")] {
                    let ended = parse(&line).and_then(|cli| cli.config_options());
                    let error = ended.expect_err(&line);
                    assert_eq!(error.exit_code(), i32::from(exit::USAGE), "{line}");
                }
            }
            let cli = parse(&format!("backroom {command}")).unwrap();
            assert_eq!(cli.config_options().unwrap(), ConfigOptions::default());
        }
    }

    #[test]
    fn health_takes_a_server_and_a_time() {
        let health = |line: &str| match parse(line).unwrap().command {
            Some(Command::Health(args)) => args,
            other => panic!("{other:?}"),
        };
        let args = health("backroom health --server https://h/base/ --timeout 250ms");
        let server = "https://h/base/".to_owned();
        let timeout = Duration::from_millis(250);
        let target = Target { server, ca_file: None, insecure: false };
        assert_eq!(args, HealthArgs { target, timeout });
        assert_eq!(args.target.url().unwrap(), "https://h/base");
        let target = health("backroom health --ca-file ca.pem").target;
        assert_eq!((target.ca_file, target.insecure), (Some("ca.pem".into()), false));
        assert!(health("backroom health --insecure").target.insecure);
        assert_eq!(health("backroom health --server http://h").timeout, Duration::from_secs(5));
        for bad in ["h:80", "ftp://h", "http://h?x", "http://h#x", "http://u:s3cret@h:port", "s3cret"] {
            let ended = health(&format!("backroom health --server {bad}")).target.url().unwrap_err();
            assert_eq!(ended.code, exit::USAGE, "{bad}");
            assert!(ended.message.starts_with("error: --server (BACKROOM_URL): write "), "{ended:?}");
            assert!(!ended.message.contains("s3cret"), "{ended:?}");
        }
        for bad in ["--timeout 5", "--timeout 0s", "--insecure --ca-file ca.pem"] {
            assert_eq!(
                parse(&format!("backroom health {bad}")).unwrap_err().exit_code(),
                i32::from(exit::USAGE),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_wrong_command_line_is_2() {
        for bad in ["backroom sreve", "backroom --bind x", "backroom completions tcsh", "backroom --config"] {
            assert_eq!(parse(bad).unwrap_err().exit_code(), i32::from(exit::USAGE), "{bad}");
        }
    }

    #[test]
    fn the_help_names_every_exit_code() {
        let help = Cli::command().render_long_help().to_string();
        let ends = [exit::DEAD_LETTERED, exit::UNFINISHED, exit::CANCELED, exit::SKIPPED];
        for code in [exit::OK, exit::FAILED, exit::USAGE, exit::LOST, exit::CONFIG].into_iter().chain(ends) {
            assert!(help.contains(&format!("\n  {code} ")), "{code} is not in:\n{help}");
        }
    }
}
