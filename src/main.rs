//! The `backroom` program: parse the arguments, load the configuration, run, exit.

use std::io::{self, Write as _};
use std::process::ExitCode;

use backroom::cli::{self, Cli, Command, ConfigOptions, exit};
use backroom::config::{self, Loaded, Refused};
use backroom::server::BUILT_IN_KINDS;
use clap::Parser as _;

/// What a burst of jobs has taken goes back to the system when they are forgotten: see benches/RESULTS.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let options = cli.config_options().unwrap_or_else(|error| error.exit());
    let ended = match cli.command {
        None | Some(Command::Serve(_)) => load(&options).and_then(|loaded| serve(loaded, options)),
        Some(Command::Check(_)) => cli::check(examine(&options), &mut io::stdout().lock()),
        Some(Command::Config(args)) => {
            load(&options).and_then(|loaded| Ok(cli::print_config(&loaded, &args, &mut io::stdout())?))
        }
        Some(Command::Demo) => block_on(cli::demo()),
        Some(Command::Health(args)) => block_on(cli::health(args)),
        Some(Command::Client(command)) => block_on(cli::client(*command)),
        Some(Command::Webhook(args)) => block_on(cli::webhook(args)),
        Some(Command::Openapi) => cli::print_openapi(&mut io::stdout()).map_err(cli::Ended::from),
        Some(Command::Completions { shell }) => {
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

fn load(options: &ConfigOptions) -> Result<Loaded, cli::Ended> {
    examine(options).map_err(|refused| cli::refused_start(*refused))
}

fn examine(options: &ConfigOptions) -> Result<Loaded, Box<Refused>> {
    let loaded = config::examine(options.sources(std::env::vars_os()), &BUILT_IN_KINDS)?;
    for warning in &loaded.warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    Ok(loaded)
}

/// Jobs run on every core; what watches over them has a thread of its own, which no handler can block.
fn serve(loaded: Loaded, options: ConfigOptions) -> Result<(), cli::Ended> {
    let workers = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let read = move || config::examine(options.sources(std::env::vars_os()), &BUILT_IN_KINDS);
    let ended = control.block_on(cli::serve(loaded, read, workers.handle().clone()));
    // A handler that blocks its thread must not keep the process: its job has been accounted for.
    workers.shutdown_background();
    control.shutdown_background();
    ended
}

fn block_on(future: impl Future<Output = Result<(), cli::Ended>>) -> Result<(), cli::Ended> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(future);
    // A handler that blocks its thread must not keep the process: its job has been accounted for.
    runtime.shutdown_background();
    ended
}
