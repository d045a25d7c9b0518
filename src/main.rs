//! The `backroom` program: parse the arguments, load the configuration, run, exit.

use std::io::{self, Write as _};
use std::process::ExitCode;

use backroom::cli::{self, Cli, Command, exit};
use backroom::config::{self, Loaded};
use backroom::server::BUILT_IN_KINDS;
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command.clone().unwrap_or(Command::Serve) {
        Command::Serve => load(&cli).and_then(|loaded| block_on(cli::serve(loaded))),
        Command::Check => load(&cli).and_then(|loaded| cli::check(loaded, &mut io::stdout().lock())),
        Command::Config(args) => {
            load(&cli).and_then(|loaded| Ok(cli::print_config(&loaded, &args, &mut io::stdout())?))
        }
        Command::Demo => block_on(cli::demo()),
        Command::Health(args) => block_on(cli::health(args)),
        Command::Completions { shell } => {
            cli::completions(shell, &mut io::stdout()).map_err(cli::Ended::from)
        }
    };
    match ended {
        Ok(()) => ExitCode::from(exit::OK),
        Err(cli::Ended { code, message }) => {
            if !message.is_empty() {
                let _ = writeln!(io::stderr(), "{message}");
            }
            ExitCode::from(code)
        }
    }
}

fn load(cli: &Cli) -> Result<Loaded, cli::Ended> {
    let sources = cli.options.sources(std::env::vars_os());
    let loaded = config::load(sources, &BUILT_IN_KINDS).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        cli::Ended::config(faults.join("\n"))
    })?;
    for warning in &loaded.warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    Ok(loaded)
}

fn block_on(future: impl Future<Output = Result<(), cli::Ended>>) -> Result<(), cli::Ended> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(future);
    // A handler that blocks its thread must not keep the process: its job has been accounted for.
    runtime.shutdown_background();
    ended
}
