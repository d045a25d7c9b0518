//! `backroom completions`.

use std::io::{self, Write};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;

/// Writes the completion script of a shell.
///
/// # Errors
///
/// When `out` cannot be written to.
pub fn completions(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    // Into memory first: clap_complete panics when a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "backroom", &mut script);
    out.write_all(&script)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            completions(*shell, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            for command in [
                "serve",
                "check",
                "config",
                "demo",
                "health",
                "enqueue",
                "status",
                "result",
                "log",
                "jobs",
                "cancel",
                "retry",
                "queues",
                "dead-letters",
                "schedules",
                "webhook",
                "openapi",
                "completions",
            ] {
                assert!(script.contains(command), "{shell}: {command}");
            }
        }
    }

    #[test]
    fn a_closed_pipe_is_an_error_and_no_panic() {
        let mut full: &mut [u8] = &mut [0; 8];
        assert!(completions(Shell::Bash, &mut full).is_err());
    }
}
